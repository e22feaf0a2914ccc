//! Simulated Modbus TCP devices on the loopback, as a process of their own.
//!
//! ```text
//! modbus-sim DEVICES [--stamped]
//! ```
//!
//! Prints its ports on one line, then serves until its standard input ends. With `--stamped` the registers 0 to 3 hold
//! the time of the answer in microseconds of CLOCK_MONOTONIC.

use std::io::Write as _;

use anyhow::{Context as _, Result};
use hardware_tests::sim::{self, Registers};
use tokio::sync::mpsc;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let devices = args.next().and_then(|n| n.parse().ok()).context("usage: modbus-sim DEVICES [--stamped]")?;
    let stamped = args.next().is_some_and(|flag| flag == "--stamped");
    let listeners = sim::bind(devices).await?;
    let mut ports = Vec::new();
    for listener in listeners {
        ports.push(listener.local_addr()?.port().to_string());
        tokio::spawn(sim::serve(listener, Registers { stamped }));
    }
    println!("{}", ports.join(" "));
    std::io::stdout().flush()?;
    let (done, mut ended) = mpsc::channel(1);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = done.blocking_send(());
    });
    ended.recv().await;
    Ok(())
}
