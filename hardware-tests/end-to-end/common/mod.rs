//! What the tests against a real broker share: mosquitto on a free port, and subscribers of both protocol versions.

#![allow(dead_code, unused_imports, missing_docs, clippy::unwrap_used)] // each test file uses its own part of it; tests may panic

pub mod ble;
pub mod bridge;
pub mod broker;
pub mod device;
pub mod gate;
pub mod kube;
pub mod plant;
pub mod schema;
pub mod serial;
pub mod site;
pub mod subscriber;

use std::{future::Future, time::Duration};

/// Waits for a condition; the deadline is there to end a test that will not pass, not to measure anything.
pub async fn until<T>(what: &str, found: impl AsyncFnMut() -> Option<T>) -> T {
    until_at_most(Duration::from_secs(60), what, found).await
}

/// The same for what takes its time.
pub async fn until_at_most<T>(limit: Duration, what: &str, mut found: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        if let Some(value) = found().await {
            return value;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited {limit:?} for: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Ends a test that hangs.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.unwrap_or_else(|_| panic!("waited 60 s for: {what}"))
}
