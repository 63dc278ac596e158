//! What starts and stops the servers of a session, as narrow as the session needs it. A server is known by its number;
//! what it is made of (a container, a process) is the launcher's business alone.
//!
//! | launcher | server |
//! |---|---|
//! | [`container`] | a run target: a container, by the engine's API |
//! | [`docker_run`] | a docker line: a container, made by the docker CLI |
//! | [`process`] | a plain command: a child of mcpmon |
//!
//! What the two have in common that have containers is in `made`.

pub mod container;
pub mod docker_run;
mod made;
pub mod process;

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::Stream;
use tokio::io::AsyncWrite;
use tokio_util::sync::CancellationToken;

use super::session::{ServerId, Start, StartFailure};
use crate::{
    engine::LogChunk,
    error::{Error, Kind},
};

/// What a server prints: pieces of stdout and stderr as they come, not lines. Ends with the server; an error ends it too.
pub type Printed = Pin<Box<dyn Stream<Item = io::Result<LogChunk>> + Send>>;

/// The streams of a server that runs.
pub struct Streams {
    /// Its stdin. Shut down: end of file.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// Its stdout and stderr.
    pub output: Printed,
}

/// Why a server could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// What the session makes of it.
    pub failure: StartFailure,
    /// The last lines that the build, or the server, printed.
    pub log: Vec<String>,
    /// What kind of failure it is, where the session ends for it.
    pub kind: Kind,
}

impl Failed {
    /// A failure that another try may not have.
    pub fn new(reason: impl Into<String>) -> Self {
        Self { failure: StartFailure { reason: reason.into(), hopeless: false }, log: Vec::new(), kind: Kind::Failed }
    }

    /// The same failure until something changes.
    pub fn hopeless(reason: impl Into<String>) -> Self {
        Self { failure: StartFailure { reason: reason.into(), hopeless: true }, log: Vec::new(), kind: Kind::Failed }
    }
}

/// Starts and stops servers. For one server at most one call is in progress, but calls for several may be.
pub trait Launcher: Send + Sync + 'static {
    /// Makes all that a server needs before its start, so that another one need not stop before; [`start`](Self::start)
    /// with [`Start::Fresh`] follows, or [`forget`](Self::forget). Nothing is left when it fails. When `give_up` is
    /// cancelled it fails as soon as it can.
    fn prepare(
        &self,
        server: ServerId,
        rebuild: bool,
        give_up: &CancellationToken,
    ) -> impl Future<Output = Result<(), Failed>> + Send;

    /// Starts a server, as that number. Nothing is left when it fails. When `give_up` is cancelled it fails as soon as it
    /// can.
    fn start(
        &self,
        server: ServerId,
        how: Start,
        give_up: &CancellationToken,
    ) -> impl Future<Output = Result<Streams, Failed>> + Send;

    /// Waits until a started server has ended; how it did, in words. May be dropped and called again.
    fn ended(&self, server: ServerId) -> impl Future<Output = String> + Send;

    /// Ends a started server: its stop signal, the grace period, kill; once `hurry` is cancelled, kill. Gives, in words, how it
    /// ended, when nothing of it runs any more. `keep`: it may be started again until it is forgotten.
    fn stop(&self, server: ServerId, keep: bool, hurry: &CancellationToken) -> impl Future<Output = String> + Send;

    /// Removes what is left of a server that has ended, or was only prepared.
    fn forget(&self, server: ServerId) -> impl Future<Output = ()> + Send;

    /// The end of the session: nothing of it is left, also of what was only half made.
    ///
    /// # Errors
    /// Something is left, and what to do about it.
    fn finish(&self, hurry: &CancellationToken) -> impl Future<Output = Result<(), Error>> + Send;
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that panics happens while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
