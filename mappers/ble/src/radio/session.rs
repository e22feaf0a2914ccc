//! btleplug's side: connecting, service discovery, reading, writing and subscribing over a D-Bus connection of its own.
//!
//! What it does not do, the rest of the radio does over [`super::bus`]: advertisements (its scan asks for classic
//! Bluetooth too, and makes a call for each event), what devices send by themselves (see [`super::taps`]), pairing, adapters that come, go and get stuck, the loss of a link
//! (its streams neither end nor err) and of bluetoothd.
//!
//! What it does badly is kept in here. bluez-async 0.9.0 panics in a task of its own and leaves a match rule on the bus
//! when a signal comes between the drop of a stream and its removal; and no handle of btleplug closes its connection:
//! the task that serves it holds it for ever. So a session is a thread with a runtime of its own, in which every stream
//! lives and dies. When the session has served [`super::recycle::LINKS`] links the next one gets a fresh session, and
//! the old one ends with its last link: runtime, tasks, connection and left rules.

use std::{
    future::Future,
    sync::{
        Arc, Once,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use btleplug::{
    api::{Central, Manager as _},
    platform::{Adapter, Manager, Peripheral},
};
use tokio::{
    runtime::{Builder, Handle},
    sync::{OwnedSemaphorePermit, oneshot},
    task::JoinHandle,
    time::timeout,
};

use super::{bus::CallError, facts::Place};

/// The name of its threads.
const THREAD: &str = "btleplug";

/// Its calls are shallow.
const STACK: usize = 256 * 1024;

static PANICS: AtomicU64 = AtomicU64::new(0);

/// One connection of btleplug. Ends when dropped.
#[derive(Debug)]
pub struct Session {
    runtime: Handle,
    adapter: Adapter,
    _end: oneshot::Sender<()>,
}

impl Session {
    /// Opens one. The permit is held as long as that goes on, also when it was given up: libdbus connects while it
    /// blocks, and a bus that does not answer would collect a thread for each try.
    pub async fn open(
        limit: Duration,
        permit: OwnedSemaphorePermit,
    ) -> Result<(Arc<Self>, OwnedSemaphorePermit), CallError> {
        quiet_its_panics();
        let (end, ended) = oneshot::channel();
        let (opened, open) = oneshot::channel();
        let thread = std::thread::Builder::new().name(THREAD.to_owned()).stack_size(STACK);
        let failed = |message: String| CallError { name: "btleplug".to_owned(), message };
        thread.spawn(move || run(opened, ended, permit)).map_err(|error| failed(error.to_string()))?;
        let open = timeout(limit, open).await.map_err(|_| failed("no answer in time".to_owned()))?;
        let (open, permit) = open.map_err(|_| failed("it broke down".to_owned()))?;
        let (runtime, adapter) = open.map_err(|error| call_error(&error))?;
        Ok((Arc::new(Self { runtime, adapter, _end: end }), permit))
    }

    /// Does something of btleplug's on its own runtime. Dropped before its end, it is given up.
    pub async fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, btleplug::Error>> + Send + 'static,
    ) -> Result<T, CallError> {
        let mut task = AbortOnDrop(self.runtime.spawn(work));
        match timeout(limit, &mut task.0).await {
            Ok(Ok(result)) => result.map_err(|error| call_error(&error)),
            Ok(Err(broken)) => Err(CallError { name: "btleplug".to_owned(), message: broken.to_string() }),
            Err(_) => Err(CallError { name: String::new(), message: "no answer in time".to_owned() }),
        }
    }

    /// The device of this place.
    pub async fn peripheral(&self, limit: Duration, place: Place) -> Result<Peripheral, CallError> {
        // btleplug looks a device up by its own path, whichever adapter it is asked through.
        let adapter = self.adapter.clone();
        let work = async move {
            let id =
                place.id().parse::<bluez_async::DeviceId>().map_err(|error| btleplug::Error::Other(error.into()))?;
            adapter.peripheral(&id.into()).await
        };
        self.run(limit, work).await
    }
}

/// How often btleplug broke down inside, in all sessions.
pub fn panics() -> u64 {
    PANICS.load(Ordering::Relaxed)
}

type Opened = (Result<(Handle, Adapter), btleplug::Error>, OwnedSemaphorePermit);

fn run(opened: oneshot::Sender<Opened>, mut ended: oneshot::Receiver<()>, permit: OwnedSemaphorePermit) {
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(opened.send((Err(btleplug::Error::Other(error.into())), permit))),
    };
    runtime.block_on(async {
        let open = async {
            let adapters = Manager::new().await?.adapters().await?;
            adapters.into_iter().next().ok_or(btleplug::Error::NoAdapterAvailable)
        };
        let open = tokio::select! {
            open = open => open,
            // It was given up.
            _ = &mut ended => return,
        };
        // Nobody may be waiting any more; then `ended` is over as well.
        let _ = opened.send((open.map(|adapter| (Handle::current(), adapter)), permit));
        let _ = ended.await;
    });
}

/// Its panics are known, contained and counted: they are no news on standard error. Panics of other threads are shown
/// as before.
fn quiet_its_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if std::thread::current().name() == Some(THREAD) {
                PANICS.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%panic, "btleplug broke down in a task of its own, as it is known to");
            } else {
                before(panic);
            }
        }));
    });
}

/// btleplug hides BlueZ's errors in its own.
fn call_error(error: &btleplug::Error) -> CallError {
    if let btleplug::Error::Other(inner) = error
        && let Some(bluez_async::BluetoothError::DbusError(error)) = inner.downcast_ref()
    {
        return CallError {
            name: error.name().unwrap_or("org.freedesktop.DBus.Error.Failed").to_owned(),
            message: error.message().unwrap_or_default().to_owned(),
        };
    }
    let name = match error {
        btleplug::Error::DeviceNotFound => "org.freedesktop.DBus.Error.UnknownObject",
        btleplug::Error::NoAdapterAvailable => "org.bluez.Error.NotReady",
        _ => "org.bluez.Error.Failed",
    };
    CallError { name: name.to_owned(), message: error.to_string() }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
