//! Opens a line, wherever it is, within a time.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError},
    time::Duration,
};

use mapper_api::{Error, ErrorKind, Result};
use rustix::net::sockopt;
use tokio::{
    net::TcpStream,
    task::spawn_blocking,
    time::{Instant, timeout_at},
};

use crate::{
    port::{Port, Way},
    rfc2217::Remote,
    settings::Settings,
    system::System,
    target::{Target, UsbId},
    tty,
};

/// Opens a line for this program alone, with these settings. [`System::open`] on this machine.
///
/// # Errors
/// [`ErrorKind::Unreachable`]: the line's name, why it does not open, and what to do.
pub async fn open(target: &Target, settings: &Settings, within: Duration) -> Result<Port> {
    System::default().open(target, settings, within).await
}

impl System {
    /// Opens a line for this program alone, with these settings.
    ///
    /// A device file is locked (`flock`) and marked exclusive (`TIOCEXCL`): the lock holds off who asks for it, root
    /// included, the mark everybody but root. It survives no change of the file, so that a container has to see the
    /// node's own `/dev`.
    ///
    /// # Errors
    /// [`ErrorKind::Unreachable`]: the line's name, why it does not open, and what to do.
    pub async fn open(&self, target: &Target, settings: &Settings, within: Duration) -> Result<Port> {
        let end = Instant::now() + within;
        let late = format!("no connection within {} ms", within.as_millis());
        let opened = match target {
            Target::Path(path) => self.file(Name::Path(path.into()), settings, end).await,
            Target::Usb(usb) => self.file(Name::Usb(usb.clone()), settings, end).await,
            Target::Tcp { host, port } => connect(host, *port, end, &late).await.map(Way::Tcp),
            Target::Rfc2217 { host, port } => {
                let stream = connect(host, *port, end, &late).await;
                async { remote(stream?, settings, end).await }.await
            }
        };
        let way =
            opened.map_err(|detail| Error::new(ErrorKind::Unreachable, format!("cannot open {target}: {detail}")))?;
        Ok(Port::new(way, settings))
    }

    async fn file(&self, name: Name, settings: &Settings, end: Instant) -> Result<Way, String> {
        let (system, settings) = (self.clone(), *settings);
        // Opening a device file can block for long: a modem that waits for its carrier, an adapter that hangs.
        let opened = spawn_blocking(move || {
            let path = match name {
                Name::Path(path) => path,
                Name::Usb(usb) => system.find(&usb)?,
            };
            let _turn = Turn::take(&path)?;
            tty::open(&system, &path, &settings)
        });
        match timeout_at(end, opened).await {
            Ok(opened) => opened.map_err(|error| error.to_string())?.map(Way::Tty),
            Err(_) => Err("its driver does not answer; unplug it and plug it in again".into()),
        }
    }
}

enum Name {
    Path(PathBuf),
    Usb(UsbId),
}

/// The files that are being opened: an attempt that never returns keeps one thread, not one more at each attempt.
static OPENING: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

struct Turn(PathBuf);

impl Turn {
    fn take(path: &Path) -> Result<Self, String> {
        let free = OPENING.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        let hangs = "an earlier attempt to open it is still under way; if that lasts, unplug it and plug it in again";
        free.then(|| Self(path.to_owned())).ok_or_else(|| hangs.to_owned())
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        OPENING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// A connection whose other side vanished without a word is noticed after this and five probes, with nothing sent.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
const PROBE_EVERY: Duration = Duration::from_secs(3);
const PROBES: u32 = 5;

async fn connect(host: &str, port: u16, end: Instant, late: &str) -> Result<TcpStream, String> {
    let connected = timeout_at(end, TcpStream::connect((host, port))).await.map_err(|_| late.to_owned())?;
    let stream = connected.map_err(|error| error.to_string())?;
    let set = || -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, KEEP_ALIVE)?;
        sockopt::set_tcp_keepintvl(&stream, PROBE_EVERY)?;
        sockopt::set_tcp_keepcnt(&stream, PROBES)?;
        Ok(())
    };
    set().map_err(|error| error.to_string())?;
    Ok(stream)
}

async fn remote(stream: TcpStream, settings: &Settings, end: Instant) -> Result<Way, String> {
    if settings.rs485.is_some() {
        return Err("RFC 2217 knows no RS-485; it is set at the other side".into());
    }
    let mut remote = Remote::new(stream);
    let set = async {
        remote.agree().await?;
        remote.set(settings).await
    };
    let set = timeout_at(end, set).await;
    set.map_err(|_| remote.unanswered())?.map_err(|error| match error.kind() {
        std::io::ErrorKind::UnexpectedEof => format!("{error}; is another program on it?"),
        _ => error.to_string(),
    })?;
    Ok(Way::Remote(Box::new(remote)))
}
