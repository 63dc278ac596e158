//! A failure that nothing outside can cause, for the tests: a panic. What is shipped has none of it (feature `faults`).

use tokio::signal::unix::{SignalKind, signal};

/// Does the work. With `_MCPMON_FAULT=panic`, SIGUSR2 makes it panic where it is.
pub(crate) async fn around<T>(work: impl Future<Output = T>) -> T {
    if std::env::var_os("_MCPMON_FAULT").is_none_or(|fault| fault != "panic") {
        return work.await;
    }
    let Ok(mut asked) = signal(SignalKind::user_defined2()) else { return work.await };
    tokio::select! {
        biased;
        _ = asked.recv() => panic!("asked for by SIGUSR2"),
        done = work => done,
    }
}
