//! How the session is told to end: SIGINT, SIGTERM, SIGHUP, SIGQUIT. The first asks, a second SIGINT insists.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A signal that ends the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// `SIGINT`.
    pub name: &'static str,
    /// 2.
    pub number: u8,
}

/// The signals that end a session, as a queue. From its making on they no longer kill the process.
#[derive(Debug)]
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
    quit: Signal,
}

impl Signals {
    /// Takes the signals over.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
            quit: signal(SignalKind::quit())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.interrupt.recv() => Ending { name: "SIGINT", number: 2 },
            _ = self.terminate.recv() => Ending { name: "SIGTERM", number: 15 },
            _ = self.hangup.recv() => Ending { name: "SIGHUP", number: 1 },
            _ = self.quit.recv() => Ending { name: "SIGQUIT", number: 3 },
        }
    }
}
