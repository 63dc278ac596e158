//! The session's side of its watchdog: a small helper of mcpmon's own that reads from a pipe as long as the session lives.
//! When the pipe closes without a [`Note::Goodbye`], it ends what the session left. What it then does is not known here.
//!
//! The pipe's ends are close-on-exec: no other child of the session holds it open. All that the helper must know it is told
//! as notes, one a line: it may be started before the session knows it itself.

use std::{collections::BTreeMap, io, io::PipeWriter, path::PathBuf, process::Stdio, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::{
    io::AsyncReadExt,
    process::{Child, Command},
};
use uuid::Uuid;

use super::mark;

/// Tells the helper what it is. Not a flag: nobody is meant to type it.
pub const WATCHDOG: &str = "MCPMON_WATCHDOG";
/// How long a helper may take to be ready. It takes some milliseconds.
const READY: Duration = Duration::from_secs(10);

/// What a watchdog is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Note {
    /// First: what it is there for.
    Order(Order),
    /// The session has taken over a container.
    Adopted(String),
    /// Containers are to be left, or are not.
    Keep(bool),
    /// Nothing is left to do.
    Goodbye,
}

/// What a watchdog is there for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The session.
    pub session: Uuid,
    /// Its process.
    pub pid: u32,
    /// That process's start time.
    pub pid_start: u64,
    /// What the marks of its children begin with.
    pub mark: String,
    /// The engine to be asked; none: it has no containers.
    pub engine: Option<Reach>,
    /// From stop to kill, for what does not say so itself.
    pub grace: Duration,
    /// A container that has ended stays, as it does without mcpmon.
    pub leave_ended: bool,
    /// Its lease.
    pub lease: Option<PathBuf>,
    /// Where to say what was done.
    pub log: Option<PathBuf>,
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    /// By which it is found.
    pub environment: BTreeMap<String, String>,
    /// One call.
    pub timeout: Duration,
}

/// A helper that has been started.
#[derive(Debug)]
pub struct Started {
    /// Its process.
    pub child: Child,
    /// What it is told by; when that is closed, its session is over.
    pub pipe: PipeWriter,
}

/// Starts a helper. One whose pipe closes before it was told anything ends.
///
/// # Errors
/// It can't be started.
pub fn start() -> io::Result<Started> {
    let (reader, pipe) = io::pipe()?;
    // This very program, also when its file has been replaced meanwhile.
    let mut command = Command::new("/proc/self/exe");
    command.arg0("mcpmon-watchdog").env_remove(mark::VARIABLE).env(WATCHDOG, "1");
    command.stdin(Stdio::from(reader)).stdout(Stdio::piped()).stderr(Stdio::null());
    Ok(Started { child: command.spawn()?, pipe })
}

/// Waits until the helper has left the terminal and minds no signal any more.
pub async fn ready(child: &mut Child) -> bool {
    let Some(mut said) = child.stdout.take() else { return false };
    let said = async move { said.read(&mut [0]).await.is_ok_and(|count| count > 0) };
    tokio::time::timeout(READY, said).await.unwrap_or(false)
}
