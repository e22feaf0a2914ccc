//! A task of the radio that broke down is started again: nobody else would.

use std::time::Duration;

use tokio::task::JoinSet;

/// Runs what `make` gives until it ends well. When it broke down, `broken` puts away what it left, and after `pause` it
/// is made again. Aborted, it ends what it runs.
pub async fn supervise<F: Future<Output = ()> + Send + 'static>(
    what: &str,
    pause: Duration,
    make: impl Fn() -> F,
    broken: impl Fn(),
) {
    loop {
        let mut task = JoinSet::new();
        task.spawn(make());
        match task.join_next().await {
            Some(Err(error)) if error.is_panic() => {
                tracing::error!(%error, "{what} broke down; starting it again");
                broken();
                tokio::time::sleep(pause).await;
            }
            _ => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn starts_again_what_broke_down() {
        let (count, cleared) = (Arc::new(AtomicUsize::new(0)), AtomicUsize::new(0));
        let make = || {
            let nth = count.fetch_add(1, Relaxed);
            async move { assert!(nth >= 2, "as it is meant to") }
        };
        let broken = || _ = cleared.fetch_add(1, Relaxed);
        supervise("a test", Duration::from_secs(1), make, broken).await;
        assert_eq!((count.load(Relaxed), cleared.load(Relaxed)), (3, 2));
    }

    #[tokio::test]
    async fn ends_what_it_runs() {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let make = move || {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
            }
        };
        let task = tokio::spawn(async move { supervise("a test", Duration::ZERO, make, || ()).await });
        while Arc::strong_count(&alive) < 3 {
            tokio::task::yield_now().await;
        }
        task.abort();
        while Arc::strong_count(&alive) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
