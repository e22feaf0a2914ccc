//! A link to one device: what it has, reading, writing, and what it sends by itself.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use btleplug::{
    api::{CharPropFlags, Peripheral as _, WriteType},
    platform::Peripheral,
};
use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};

use super::{
    Characteristic, RadioError, RadioErrorKind, Spot, WriteKind, bus::CallError, connect::Claim, core::LinkState,
    refusal, session::Session, taps::read_spots,
};
use crate::advert::Mac;

/// How many notifications of one device wait to be taken.
const NOTIFIED: usize = 256;

/// A value that a device sent by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notified {
    /// Of this characteristic.
    pub spot: Spot,
    /// Its value.
    pub value: Vec<u8>,
    /// When it came.
    pub at: Instant,
}

/// A link to one device. Dropping it ends the link.
#[derive(Debug)]
pub struct Connection {
    claim: Claim,
    session: Arc<Session>,
    parts: Parts,
    subscribed: Mutex<Vec<Spot>>,
    over: Option<RadioError>,
}

/// What a link is made of.
#[derive(Debug)]
pub(super) struct Parts {
    peripheral: Peripheral,
    theirs: BTreeMap<Spot, btleplug::api::Characteristic>,
    characteristics: Vec<Characteristic>,
    notified: mpsc::Receiver<Notified>,
    mtu: u16,
}

impl Connection {
    /// Connects, reads what the device has, and takes what it sends.
    pub(super) async fn open(claim: &Claim, session: &Session, limit: Duration) -> Result<Parts, CallError> {
        let peripheral = session.peripheral(claim.core.settings.call, claim.place).await?;
        let device = peripheral.clone();
        let mut follow = claim.follow.clone();
        let connected = tokio::select! {
            result = session.run(limit, async move { device.connect().await }) => result,
            // BlueZ may leave the call unanswered when the link outlived a bluetoothd.
            () = resolved(&mut follow) => Ok(()),
            message = not_up(claim) => return Err(CallError { name: refusal::NO_ANSWER.to_owned(), message }),
        };
        match connected {
            // Pairing connects, or the link was there.
            Err(error) if error.name == "org.bluez.Error.AlreadyConnected" => {}
            result => result?,
        }
        // Whoever called has a limit.
        resolved(&mut follow).await;
        if let Some(lost) = follow.borrow().lost.clone() {
            return Err(CallError { name: "org.bluez.Error.Failed".to_owned(), message: lost.message });
        }
        let device = peripheral.clone();
        let services = session
            .run(limit, async move {
                device.discover_services().await?;
                Ok(device.services())
            })
            .await?;
        let no_bus = |error: RadioError| CallError { name: String::new(), message: error.message };
        let objects = claim.core.calls().map_err(no_bus)?.objects().await?;
        let (send, notified) = mpsc::channel(NOTIFIED);
        claim.core.tap(claim.place, read_spots(&objects, claim.place), send);
        let theirs: BTreeMap<_, _> = services
            .into_iter()
            .flat_map(|service| service.characteristics)
            .map(|its| (Spot { service: its.service_uuid, characteristic: its.uuid }, its))
            .collect();
        let characteristics = theirs.iter().map(|(spot, its)| characteristic(*spot, its.properties)).collect();
        let mtu = peripheral.mtu();
        Ok(Parts { peripheral, theirs, characteristics, notified, mtu })
    }

    pub(super) fn new(claim: Claim, session: Arc<Session>, parts: Parts) -> Self {
        Self { claim, session, parts, subscribed: Mutex::default(), over: None }
    }

    /// The device's address, as it is at the moment.
    pub fn mac(&self) -> Mac {
        self.claim.mac
    }

    /// The address of the adapter that holds the link.
    pub fn adapter(&self) -> Mac {
        self.claim.adapter
    }

    /// What the device has.
    pub fn characteristics(&self) -> &[Characteristic] {
        &self.parts.characteristics
    }

    /// Reads the whole value.
    pub async fn read(&self, spot: &Spot) -> Result<Vec<u8>, RadioError> {
        let (device, its) = self.find(spot, "read", CharPropFlags::READ)?;
        self.run(spot, "read", async move { device.read(&its).await }).await
    }

    /// Writes.
    pub async fn write(&self, spot: &Spot, value: &[u8], kind: WriteKind) -> Result<(), RadioError> {
        let flag = match kind {
            WriteKind::Request => CharPropFlags::WRITE,
            WriteKind::Command => CharPropFlags::WRITE_WITHOUT_RESPONSE,
        };
        let (device, its) = self.find(spot, "written that way", flag)?;
        let (value, kind) = (
            value.to_vec(),
            match kind {
                WriteKind::Request => WriteType::WithResponse,
                WriteKind::Command => WriteType::WithoutResponse,
            },
        );
        self.run(spot, "written", async move { device.write(&its, &value, kind).await }).await
    }

    /// Asks the device to notify, or to indicate where it cannot notify. Values come from [`Connection::next`].
    pub async fn subscribe(&self, spot: &Spot) -> Result<(), RadioError> {
        let either = CharPropFlags::NOTIFY | CharPropFlags::INDICATE;
        let (device, its) = self.find(spot, "subscribed to", either)?;
        // Before it is asked: the first value may come before the answer.
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).push(*spot);
        self.run(spot, "subscribed to", async move { device.subscribe(&its).await }).await
    }

    /// The next value that the device sends by itself; an error when the link is lost, and from then on. What is read of a
    /// characteristic that is subscribed to comes this way as well. Cancel-safe.
    pub async fn next(&mut self) -> Result<Notified, RadioError> {
        if let Some(over) = &self.over {
            return Err(over.clone());
        }
        loop {
            let over = tokio::select! {
                biased;
                next = self.parts.notified.recv() => match next {
                    // A read's answer comes this way too.
                    Some(next) if !self.is_subscribed(&next.spot) => continue,
                    Some(next) => return Ok(next),
                    None => RadioError::new(RadioErrorKind::Lost, format!("the link to {} is lost", self.claim.mac)),
                },
                lost = lost(self.claim.follow.clone()) => lost,
            };
            self.claim.core.counters.losses.add(1);
            self.over = Some(over.clone());
            return Err(over);
        }
    }

    /// How many bytes one packet carries (ATT MTU). A value may be three bytes less long without more packets.
    pub fn mtu(&self) -> u16 {
        self.parts.mtu
    }

    /// The strength at which the device was last heard advertising, in dBm. Most are silent while connected.
    pub fn rssi(&self) -> Option<i16> {
        self.claim.core.known(self.claim.place).and_then(|(_, known)| known.rssi)
    }

    /// Finds a characteristic that allows this. What it does not allow is refused here: some devices give no answer.
    fn find(
        &self,
        spot: &Spot,
        done: &str,
        either: CharPropFlags,
    ) -> Result<(Peripheral, btleplug::api::Characteristic), RadioError> {
        let its = self.parts.theirs.get(spot).ok_or_else(|| {
            let message = format!("{} has no {spot}", self.claim.mac);
            RadioError::new(RadioErrorKind::NoCharacteristic, message)
        })?;
        if !its.properties.intersects(either) {
            let message = format!("{spot} cannot be {done}: the device says so");
            return Err(RadioError::new(RadioErrorKind::Refused, message));
        }
        Ok((self.parts.peripheral.clone(), its.clone()))
    }

    fn is_subscribed(&self, spot: &Spot) -> bool {
        self.subscribed.lock().unwrap_or_else(PoisonError::into_inner).contains(spot)
    }

    /// An exchange ends by its answer, its time-out or the loss of the link.
    async fn run<T: Send + 'static>(
        &self,
        spot: &Spot,
        done: &str,
        work: impl Future<Output = Result<T, btleplug::Error>> + Send + 'static,
    ) -> Result<T, RadioError> {
        let limit = self.claim.core.settings.call;
        let result = tokio::select! {
            biased;
            lost = lost(self.claim.follow.clone()) => return Err(lost),
            result = self.session.run(limit, work) => result,
        };
        result.map_err(|CallError { name, message }| {
            let kind = refusal::of_exchange(&name, &message);
            if kind == RadioErrorKind::Timeout {
                self.claim.core.suspect.notify_one();
            }
            let hint = refusal::hint(&name, &message);
            RadioError::new(kind, format!("{spot} cannot be {done}: {message}{hint}"))
        })
    }
}

/// The device's services are known, or the link is lost.
async fn resolved(follow: &mut watch::Receiver<LinkState>) {
    // The sender is gone only after the link.
    let _ = follow.wait_for(|link| link.resolved || link.lost.is_some()).await;
}

/// Says so if the device is not linked in time.
async fn not_up(claim: &Claim) -> String {
    let (mut follow, limit) = (claim.follow.clone(), claim.core.settings.link);
    let up = tokio::time::timeout(limit, follow.wait_for(|link| link.up || link.lost.is_some())).await.is_ok();
    if up {
        std::future::pending::<()>().await;
    }
    format!("it did not answer within {limit:?}")
}

async fn lost(mut follow: watch::Receiver<LinkState>) -> RadioError {
    let lost = follow.wait_for(|link| link.lost.is_some()).await.ok().and_then(|link| link.lost.clone());
    lost.unwrap_or_else(|| RadioError::new(RadioErrorKind::Lost, "the link is ended"))
}

fn characteristic(spot: Spot, flags: CharPropFlags) -> Characteristic {
    Characteristic {
        spot,
        read: flags.contains(CharPropFlags::READ),
        write: flags.contains(CharPropFlags::WRITE),
        write_command: flags.contains(CharPropFlags::WRITE_WITHOUT_RESPONSE),
        notify: flags.contains(CharPropFlags::NOTIFY),
        indicate: flags.contains(CharPropFlags::INDICATE),
    }
}
