//! One device's bus: an ear for what it advertises, a link for its characteristics, or both. The radio below is shared
//! by all, and its own affair: a device that is gone, or waits for a link, holds up nobody.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use mapper_api::{Bus, Error, ErrorKind, Result};
use tokio::time::{Instant, sleep_until};

use crate::{
    Ble,
    bind::{Device, Whom},
    calls::{Calls, Wanted},
    config::Pair,
    hearing::Hearing,
    memory::Memory,
    radio::{Connect, Connection, Heard, Limits, Listener, Notified, Pairing, Radio, RadioError, Spot, Who},
    request::{Answer, Frame, Request, Said, What},
    secrets,
};

/// A call waits for its device to be heard as long as somebody wants it: it is ended by who holds it.
const EVER: Duration = Duration::from_secs(24 * 60 * 60);
/// For a slot, and for the link, each. Pairing has the radio's own limit: a person may have to press a button.
const PHASE: Duration = Duration::from_secs(30);

/// How long after its silence was told of the link of a device that only sends is made anew.
const MUTE: Duration = Duration::from_secs(5);

/// What all devices share.
pub(crate) struct Shared<'a> {
    pub radio: &'a Radio,
    pub memory: &'a Arc<Memory>,
    pub calls: &'a Arc<Calls<Connection>>,
}

/// An open bus.
#[derive(Debug)]
pub struct DeviceBus {
    device: Arc<Device>,
    radio: Radio,
    who: Who,
    pairing: Pairing,
    hearing: Hearing,
    ear: Option<Listener>,
    link: Option<Connection>,
    memory: Arc<Memory>,
    calls: Arc<Calls<Connection>>,
    secrets: Option<PathBuf>,
    /// When a device that was never heard is given up; none once it was.
    give_up: Option<Instant>,
    /// When the link is made anew unless something comes over it; none while nothing is to come, or where polls tell
    /// whether it is alive.
    mute: Option<Instant>,
    polled: bool,
}

/// Reads the secrets, and connects if the device is to be connected to.
///
/// # Errors
/// A secret's file, with what it must hold; why the link did not come about.
pub(crate) async fn open(
    device: &Arc<Device>,
    Shared { radio, memory, calls }: Shared<'_>,
    folder: Option<&Path>,
) -> Result<DeviceBus> {
    let key = device.bind_key.as_ref().map(|at| secrets::key(folder, at, "bindKey")).transpose()?;
    let who = match &device.whom {
        Whom::Mac(mac) => Who::Mac(*mac),
        Whom::Name(name) => Who::Name(name.clone()),
        Whom::Irk(at) => Who::Irk(secrets::key(folder, at, "irk")?),
    };
    let pairing = match (device.pairing, &device.passkey) {
        (None, _) => Pairing::None,
        (Some(Pair::JustWorks), _) => Pairing::JustWorks,
        (Some(Pair::Numeric), _) => Pairing::Numeric,
        (Some(Pair::Passkey), Some(at)) => Pairing::Passkey(secrets::passkey(folder, at)?),
        (Some(Pair::Passkey), None) => {
            return Err(Error::new(ErrorKind::Config, "pair: passkey without a passkey"));
        }
    };
    let mut bus = DeviceBus {
        device: device.clone(),
        radio: radio.clone(),
        who,
        pairing,
        hearing: Hearing::new(device.clone(), key, memory.clone()),
        ear: None,
        link: None,
        memory: memory.clone(),
        calls: calls.clone(),
        secrets: folder.map(Path::to_owned),
        give_up: None,
        mute: None,
        polled: false,
    };
    if device.connects {
        bus.link().await?;
    }
    Ok(bus)
}

impl DeviceBus {
    /// The link, made if there is none.
    async fn link(&mut self) -> Result<&mut Connection> {
        if self.link.is_none() {
            let wanted = Wanted { who: self.who.clone(), adapter: self.device.adapter, pairing: self.pairing };
            let (radio, to) = (self.radio.clone(), wanted.clone());
            let link = self.calls.link(&self.device.id, wanted, |heard| call(radio, to, heard)).await;
            self.link = Some(link?);
        }
        Ok(self.link.as_mut().expect("it was just made sure of"))
    }

    /// Fails while there is no radio: to say so only in `idle` would be a bus that opens well, and closes at once.
    fn listen(&mut self) -> Result<()> {
        if self.ear.is_none() {
            let ear = self.radio.listen(self.who.clone(), self.device.adapter);
            if let Some(trouble) = ear.trouble() {
                return Err(trouble.into());
            }
            self.ear = Some(ear);
            // Of one that sends when something happens, silence says nothing.
            self.give_up = Instant::now().checked_add(self.hearing.silence());
        }
        Ok(())
    }

    async fn subscribe(&mut self, spot: &Spot) -> Result<Answer> {
        if let Err(error) = self.link().await?.subscribe(spot).await {
            return refused(error);
        }
        self.expect();
        let link = self.link().await?;
        let readable = link.characteristics().iter().any(|has| has.spot == *spot && has.read);
        if !readable {
            return Ok(Answer::Done);
        }
        // What the device sends next may be hours away. That it does not let itself be read now is no fault.
        match link.read(spot).await {
            Ok(value) => Ok(Answer::Value(value)),
            Err(error) if error.is_refusal() => Ok(Answer::Done),
            Err(error) => Err(error.into()),
        }
    }

    /// BlueZ goes on saying that a mute device is connected, and a subscription that got lost looks the same.
    fn expect(&mut self) {
        self.mute = Instant::now().checked_add(self.hearing.silence().saturating_add(MUTE)).filter(|_| !self.polled);
    }

    fn heard(&mut self, Heard { advert, at, .. }: Heard) -> Option<Frame> {
        let (device, folder) = (&self.device, self.secrets.as_deref());
        let key = || secrets::key(folder, device.bind_key.as_ref()?, "bindKey").ok();
        let said = self.hearing.advert_asking(advert, self.memory.time(at), key)?;
        self.give_up = None;
        Some(self.frame(said, at))
    }

    fn notified(&mut self, Notified { spot, value, at }: Notified) -> Frame {
        self.hearing.notified(spot, self.memory.time(at));
        self.expect();
        self.frame(Said::Notified(spot, value), at)
    }

    fn frame(&self, said: Said, at: Instant) -> Frame {
        let silence = self.hearing.trust(&said);
        Frame { source: self.device.id.clone(), said, at, silence }
    }

    fn muted(&self) -> Error {
        let silence = mapper_values::Duration(self.hearing.silence());
        let message = format!("nothing came over the link to {} for {silence}; it is made anew", self.device.id);
        Error::new(ErrorKind::Bus, message)
    }

    /// Nothing was ever heard.
    fn absent(&self) -> Error {
        let silence = mapper_values::Duration(self.hearing.silence());
        Error::new(ErrorKind::Unreachable, format!("{} was not heard within {silence}", self.device.id))
    }
}

/// Connects, and says whether the device was heard.
async fn call(radio: Radio, wanted: Wanted, heard: Arc<AtomicBool>) -> Result<Connection, RadioError> {
    let Wanted { who, adapter, pairing } = wanted;
    let limits = Limits { heard: EVER, slot: PHASE, link: PHASE };
    let mut ear = Some(radio.listen(who.clone(), adapter));
    let connect = radio.connect(&who, adapter, Connect { pairing, patience: EVER, limits, ..Connect::default() });
    tokio::pin!(connect);
    loop {
        tokio::select! {
            link = &mut connect => return link,
            word = maybe(ear.as_mut().map(Listener::next)) => {
                // Trouble with the radio is the connect's own to tell.
                heard.fetch_or(word.is_ok(), Relaxed);
                ear = ear.filter(|_| word.is_err());
            }
        }
    }
}

enum Event {
    Heard(Result<Heard, RadioError>),
    Notified(Result<Notified, RadioError>),
    Absent,
    Mute,
}

impl Bus<Ble> for DeviceBus {
    async fn exchange(&mut self, request: &Request) -> Result<Answer> {
        match &request.what {
            What::Listen => {
                self.listen()?;
                Ok(Answer::Done)
            }
            What::Subscribe(spot) => self.subscribe(spot).await,
            What::Read(spot) => {
                (self.polled, self.mute) = (true, None);
                self.link().await?.read(spot).await.map(Answer::Value).or_else(refused)
            }
            What::Write(spot, bytes, kind) => {
                self.link().await?.write(spot, bytes, *kind).await.map(|()| Answer::Done).or_else(refused)
            }
        }
    }

    /// Cancel-safe: both queues are, and nothing is awaited between taking from them and returning.
    async fn idle(&mut self) -> Result<Frame> {
        loop {
            let event = tokio::select! {
                notified = maybe(self.link.as_mut().map(Connection::next)) => Event::Notified(notified),
                heard = maybe(self.ear.as_mut().map(Listener::next)) => Event::Heard(heard),
                () = maybe(self.give_up.map(sleep_until)) => Event::Absent,
                () = maybe(self.mute.map(sleep_until)) => Event::Mute,
            };
            match event {
                Event::Notified(Ok(notified)) => return Ok(self.notified(notified)),
                Event::Heard(Ok(heard)) => {
                    if let Some(frame) = self.heard(heard) {
                        return Ok(frame);
                    }
                }
                Event::Heard(Err(error)) | Event::Notified(Err(error)) => return Err(error.into()),
                Event::Absent => return Err(self.absent()),
                Event::Mute => return Err(self.muted()),
            }
        }
    }
}

/// The future's result; never without one.
async fn maybe<T>(future: Option<impl Future<Output = T>>) -> T {
    match future {
        Some(future) => future.await,
        None => std::future::pending().await,
    }
}

/// What concerns one characteristic alone is an answer.
fn refused(error: RadioError) -> Result<Answer> {
    if error.is_refusal() { Ok(Answer::Refused(error.message)) } else { Err(error.into()) }
}
