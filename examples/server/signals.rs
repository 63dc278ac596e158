//! Signals as futures. As process 1 of a container a program has no default handlers: what it does
//! not handle, it does not hear.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The two polite requests to end.
pub(crate) struct Ending {
    terminate: Signal,
    interrupt: Signal,
}

impl Ending {
    /// Handles them from now on. Call it before anything else says that the program is ready.
    pub(crate) fn listen() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Ends with the first of them.
    pub(crate) async fn requested(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// A runtime of one thread: enough for everything here, and small.
pub(crate) fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
