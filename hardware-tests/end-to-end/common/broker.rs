//! A mosquitto of the test's own, on a free port, with its files in a folder that goes with it.

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

pub struct Broker {
    pub port: u16,
    folder: PathBuf,
    config: String,
    child: Option<Child>,
}

static COUNT: AtomicU32 = AtomicU32::new(0);

impl Broker {
    /// Starts one; `config` are further lines of its configuration. `PERSIST` in it makes it keep its memory.
    pub fn start(config: &str) -> Self {
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("fieldgate-broker-{}-{count}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut broker = Self { port, folder, config: config.into(), child: None };
        broker.restart();
        broker
    }

    /// With every change on disk at once, so that even SIGKILL loses nothing that was acknowledged.
    pub fn persistent() -> Self {
        Self::start("PERSIST")
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// Starts it (again) on the same port.
    pub fn restart(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let folder = self.folder.display();
        let persist =
            format!("persistence true\npersistence_location {folder}/\nautosave_interval 1\nautosave_on_changes true");
        let more = self.config.replace("PERSIST", &persist);
        let config = format!("listener {} 127.0.0.1\nallow_anonymous true\nuser root\n{more}\n", self.port);
        let path = self.folder.join("mosquitto.conf");
        std::fs::write(&path, config).unwrap();
        let child = Command::new(program())
            .arg("-c")
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto does not start; install it: apt-get install mosquitto");
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < deadline, "mosquitto does not listen on port {}", self.port);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn freeze(&self) {
        self.signal("STOP");
    }

    /// SIGCONT.
    pub fn thaw(&self) {
        self.signal("CONT");
    }

    fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("it runs").id();
        assert!(Command::new("kill").arg(format!("-{name}")).arg(id.to_string()).status().unwrap().success());
    }
}

fn program() -> &'static str {
    if std::path::Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
