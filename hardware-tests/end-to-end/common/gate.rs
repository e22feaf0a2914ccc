//! A gate before a broker: it passes connections while it is open, and cuts them when it closes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

pub struct Gate {
    port: u16,
    open: watch::Sender<bool>,
    passed: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Gate {
    /// An open gate to this port.
    pub async fn to(port: u16) -> Self {
        Self::at(0, port).await
    }

    /// An open gate at a port of one's choice to this port.
    pub async fn at(own: u16, port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", own)).await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (open, watched) = watch::channel(true);
        let passed = Arc::new(AtomicUsize::new(0));
        let count = passed.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                count.fetch_add(1, Ordering::Relaxed);
                let mut watched = watched.clone();
                tokio::spawn(async move {
                    if !*watched.borrow_and_update() {
                        return;
                    }
                    let Ok(mut server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut client, &mut server) => {}
                        _ = watched.wait_for(|open| !open) => {}
                    }
                });
            }
        });
        Self { port: own, open, passed, task }
    }

    pub fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    /// How many connections came.
    pub fn passed(&self) -> usize {
        self.passed.load(Ordering::Relaxed)
    }

    pub fn open(&self) {
        self.open.send_replace(true);
    }

    pub fn close(&self) {
        self.open.send_replace(false);
    }
}
