//! Waits for a device file to come, or to become usable, by inotify: nothing is asked for in between. It watches before it
//! looks, so that nothing is missed.

use std::{
    fs, io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{
        Access, AtFlags, CWD, accessat,
        inotify::{self, CreateFlags, WatchFlags},
    },
    io::Errno,
};
use tokio::io::unix::AsyncFd;

use crate::{system::System, target::Target};

/// Resolves when the file or the USB device of a target is there and may be opened; at once if it is, or if the target
/// is over TCP. Whether somebody has it open is not looked at. May be dropped at any time. [`System::appears`] on this
/// machine.
///
/// # Errors
/// The system gives no inotify: its limits are reached (`fs.inotify.max_user_instances`).
pub async fn appears(target: &Target) -> io::Result<()> {
    System::default().appears(target).await
}

impl System {
    /// Resolves when the file or the USB device of a target is there and may be opened.
    ///
    /// # Errors
    /// The system gives no inotify: its limits are reached.
    pub async fn appears(&self, target: &Target) -> io::Result<()> {
        let mut watch = Watch::new()?;
        match target {
            Target::Tcp { .. } | Target::Rfc2217 { .. } => Ok(()),
            Target::Path(path) => loop {
                watch.path(Path::new(path))?;
                if is_usable(Path::new(path)) {
                    return Ok(());
                }
                watch.changed().await?;
            },
            Target::Usb(usb) => loop {
                watch.folder(&self.dev)?;
                let file = self.find(usb);
                if file.is_ok_and(|file| is_usable(&file)) {
                    return Ok(());
                }
                watch.changed().await?;
            },
        }
    }
}

/// Whether this program may read and write it.
fn is_usable(path: &Path) -> bool {
    accessat(CWD, path, Access::READ_OK | Access::WRITE_OK, AtFlags::EACCESS).is_ok()
}

/// Folders that are watched for what comes, goes, or changes its permissions.
#[derive(Debug)]
pub struct Watch {
    inotify: AsyncFd<OwnedFd>,
}

/// As many links as the kernel follows in one path (`MAXSYMLINKS`).
const LINKS: usize = 40;

impl Watch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// The system gives no inotify.
    pub fn new() -> io::Result<Self> {
        let inotify = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).map_err(|errno| match errno {
            Errno::MFILE => io::Error::other("no more inotify: raise the sysctl fs.inotify.max_user_instances"),
            errno => errno.into(),
        })?;
        // Deprecated since a type may hand out another descriptor each time; an `OwnedFd` cannot, and what is to replace
        // this is unsafe.
        #[allow(deprecated)]
        let inotify = AsyncFd::new(inotify)?;
        Ok(Self { inotify })
    }

    /// Watches a folder, or where that is not there, the nearest one above that is. To be called again after each change:
    /// what is watched already costs nothing.
    ///
    /// # Errors
    /// The system's, such as the limit of watches.
    pub fn folder(&self, folder: &Path) -> io::Result<()> {
        let flags = WatchFlags::CREATE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::DELETE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        loop {
            let mut absent = None;
            let mut above = folder.ancestors();
            let watched = loop {
                let Some(folder) = above.next() else { return Ok(()) };
                let named = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
                match inotify::add_watch(&self.inotify, named, flags) {
                    Ok(_) => break Ok(()),
                    Err(Errno::NOENT | Errno::NOTDIR) => absent = Some(folder),
                    // It may not be read: that it becomes so is seen from above.
                    Err(Errno::ACCESS) => absent = None,
                    Err(errno) => break Err(errno),
                }
            };
            match watched {
                // What was made between the two looks has been missed.
                Ok(()) if absent.is_some_and(Path::is_dir) => {}
                Ok(()) => return Ok(()),
                Err(Errno::NOSPC) => {
                    return Err(io::Error::other("no more watches: raise the sysctl fs.inotify.max_user_watches"));
                }
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Watches the folder of a file, and of each file that it is a link to.
    fn path(&self, path: &Path) -> io::Result<()> {
        let mut path = path.to_owned();
        for _ in 0..LINKS {
            let folder = path.parent().map_or_else(PathBuf::new, Path::to_owned);
            self.folder(&folder)?;
            match fs::read_link(&path) {
                Ok(to) => path = folder.join(to),
                Err(_) => break,
            }
        }
        Ok(())
    }

    /// Waits until something has changed since the last call. Which folder, and what, is for the caller to look at.
    /// Cancel-safe.
    ///
    /// # Errors
    /// The system's.
    pub async fn changed(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        loop {
            let mut guard = self.inotify.readable().await?;
            let mut any = false;
            // All that has come is one change. Once there is no more, the readiness is gone as well.
            while let Ok(read) = guard.try_io(|fd| Ok(rustix::io::read(fd.get_ref(), &mut bytes[..])?)) {
                any |= read? > 0;
            }
            if any {
                return Ok(());
            }
        }
    }
}
