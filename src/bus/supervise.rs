//! A panic in a mapper or an observer ends the exchange, not the bus, let alone the process.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use super::task::Task;

/// Runs the bus until its handle is gone, however often it panics; the task's own back-off keeps that from becoming a
/// storm.
pub(super) async fn supervise(mut task: Task) {
    while let Err(message) = contained(task.run()).await {
        tracing::error!(bus = %task.label, "a panic, which is a defect; the bus starts anew: {message}");
        if catch_unwind(AssertUnwindSafe(|| task.panicked(&message))).is_err() {
            tracing::error!(bus = %task.label, "an observer panics as well");
        }
    }
}

/// The output of a future, or the text that it panicked with.
async fn contained<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    std::future::poll_fn(|context| {
        // The task's fields are put right by `panicked` before they are used again.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(panic) => Poll::Ready(Err(text(&*panic))),
        }
    })
    .await
}

fn text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}
