//! What the tests share: programs and folders that do not outlive their test, waiting for a condition, a look at a pty.
#![allow(dead_code)] // each test file uses its part

use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use mapper_api::{Error, ErrorKind};
use tokio::time::{Instant, sleep, timeout};

/// How long a condition may take to come true.
const PATIENCE: Duration = Duration::from_secs(20);

/// Asks until there is an answer.
pub async fn wait<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(Instant::now() < end, "it did not come true");
        sleep(Duration::from_millis(5)).await;
    }
}

/// Asks until it is so.
pub async fn until(mut is_so: impl FnMut() -> bool) {
    wait(|| std::future::ready(is_so().then_some(()))).await;
}

/// What must come, and not at some time.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it did not come")
}

/// The message of what must not have opened.
pub fn reason<T>(result: Result<T, Error>) -> String {
    let error = result.err().expect("it opened");
    assert_eq!(error.kind, ErrorKind::Unreachable, "{error}");
    error.to_string()
}

/// A program that ends with the test.
pub struct Running(Child);

impl Running {
    pub fn spawn(command: &mut Command) -> Self {
        Self(command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A folder that goes with the test.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("mapper-tty-{name}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn look(path: &Path) -> File {
    let nonblocking = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(nonblocking.bits()).unwrap();
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).unwrap()
}

/// The rate that a pty was set to.
pub fn speed(path: &Path) -> u32 {
    rustix::termios::tcgetattr(look(path)).unwrap().output_speed()
}

/// The place of a file as `/proc/locks` writes it.
pub fn place(path: &Path) -> String {
    let meta = fs::metadata(path).unwrap();
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    format!("{major:02x}:{minor:02x}:{}", meta.ino())
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
