//! A started process: waiting for its end, and bringing it about for its whole group.

use std::{
    io,
    process::Child,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use super::{exit::Exit, group, hold::Hold, kin};
use crate::error::{Error, Result};
use rustix::{
    io::Errno,
    process::{Pid, Signal, WaitId, WaitIdOptions, WaitIdStatus, kill_process_group, waitid},
};

/// How long a server has to end by itself after its stdin was closed. MCP names no time; the official SDKs give
/// servers two seconds, and mcpmon must be done before they lose patience with it.
pub const END_OF_FILE_GRACE: Duration = Duration::from_secs(1);

/// What those have from SIGTERM to SIGKILL that left the server's group.
const STRAY_GRACE: Duration = Duration::from_secs(2);

/// How long the kernel has to carry out a SIGKILL. Only a process that hangs in the kernel (a dead network disk)
/// takes longer.
const KILL_LIMIT: Duration = Duration::from_secs(5);

/// A started process and its group. Clones are the same process. When the last one is dropped without
/// [`stop`](Self::stop), the group is killed: a safety net for panics and cancelled tasks, not a way to end it.
#[derive(Debug, Clone)]
pub struct Process {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The leader's process id, which is the group's too.
    pid: Pid,
    /// Readable when the leader has ended.
    leader: Hold,
    /// The leader, until it was waited for. As long as it is here, its number is nobody else's.
    child: Mutex<Option<Child>>,
    exit: OnceLock<Exit>,
    /// What it and all that it starts carry.
    mark: Option<String>,
    /// One stop at a time; the others find it done.
    stopping: tokio::sync::Mutex<()>,
}

/// What a stop came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped {
    /// How the leader ended.
    pub exit: Exit,
    /// What it took.
    pub means: Means,
}

/// What it took to stop a group, from gentle to not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Means {
    /// It was gone already, or ended when its stdin did.
    EndOfFile,
    /// SIGTERM.
    Terminate,
    /// SIGKILL.
    Kill,
}

impl Process {
    /// Takes over a child that leads a group of its own; it is killed when that fails.
    pub(super) fn new(mut child: Child, mark: Option<String>) -> io::Result<Self> {
        let hold = || -> io::Result<(Pid, Hold)> {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidData)?;
            Ok((pid, Hold::open(pid)?.ok_or(io::ErrorKind::NotFound)?))
        };
        match hold() {
            Ok((pid, leader)) => {
                let (child, exit) = (Mutex::new(Some(child)), OnceLock::new());
                Ok(Self {
                    inner: Arc::new(Inner { pid, leader, child, exit, mark, stopping: tokio::sync::Mutex::default() }),
                })
            }
            Err(error) => {
                child.kill()?;
                child.wait()?;
                Err(error)
            }
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.inner.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Waits until it ends by itself or is stopped. Processes that it started may go on; [`stop`](Self::stop) ends
    /// them.
    ///
    /// # Errors
    /// When the kernel does not tell (another part of the program waited for the process).
    pub async fn wait(&self) -> Result<Exit> {
        self.inner.leader.ended().await.map_err(|error| self.failed("can't be waited for", error))?;
        self.inner.exit().map_err(|error| self.failed("did not tell how it ended", error))
    }

    /// Ends the whole group: whoever holds its stdin has dropped it or drops it now; one second later SIGTERM; after
    /// `grace` SIGKILL. Returns when nobody is left. May be cancelled, and called again.
    ///
    /// # Errors
    /// When somebody is left all the same: a process of another user (`sudo`), or one that hangs in the kernel.
    pub async fn stop(&self, grace: Duration) -> Result<Stopped> {
        self.end(&[(None, END_OF_FILE_GRACE), (Some(Means::Terminate), grace), (Some(Means::Kill), KILL_LIMIT)]).await
    }

    /// As [`stop`](Self::stop), without the second: for one whose stdin was closed long enough ago.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn terminate(&self, grace: Duration) -> Result<Stopped> {
        self.end(&[(Some(Means::Terminate), grace), (Some(Means::Kill), KILL_LIMIT)]).await
    }

    /// Kills the whole group at once, and returns when nobody is left.
    ///
    /// # Errors
    /// As [`stop`](Self::stop).
    pub async fn kill(&self) -> Result<Stopped> {
        self.end(&[(Some(Means::Kill), KILL_LIMIT)]).await
    }

    async fn end(&self, steps: &[(Option<Means>, Duration)]) -> Result<Stopped> {
        let inner = &self.inner;
        let _one = inner.stopping.lock().await;
        if inner.is_reaped() {
            let exit = inner.exit().map_err(|error| self.failed("did not tell how it ended", error))?;
            return Ok(Stopped { exit, means: Means::EndOfFile });
        }
        let mut means = Means::EndOfFile;
        for (next, limit) in steps {
            if let Some(next) = next {
                inner.signal(*next).map_err(|error| self.left(error))?;
                means = *next;
            }
            let gone = group::ended(inner.pid, *limit).await;
            if !gone.map_err(|error| self.failed("can't be looked for in /proc", error))? {
                continue;
            }
            // Who was started by one that ended while `/proc` was read may have been overlooked. After a kill nobody
            // can start anybody any more, so the second look is sure.
            inner.signal(Means::Kill).map_err(|error| self.left(error))?;
            let gone = group::ended(inner.pid, KILL_LIMIT).await;
            if gone.map_err(|error| self.failed("can't be looked for in /proc", error))? {
                self.end_strays(means).await;
                let exit = inner.reap().map_err(|error| self.failed("did not tell how it ended", error))?;
                return Ok(Stopped { exit, means });
            }
        }
        Err(self.left(io::Error::other(format!("still there {} s after SIGKILL", KILL_LIMIT.as_secs()))))
    }

    /// Ends those that left the group.
    async fn end_strays(&self, means: Means) {
        let Some(mark) = &self.inner.mark else { return };
        let grace = if means == Means::Kill { Duration::ZERO } else { STRAY_GRACE };
        if !kin::end(mark, Duration::ZERO, grace).await {
            tracing::warn!("a process that the server {} started could not be ended", self.pid());
        }
    }

    fn left(&self, error: io::Error) -> Error {
        let pid = self.pid();
        self.failed("can't be ended", error).hint(format!(
            "it belongs to another user or hangs in the kernel: `ps -o pid,stat,user,args -g {pid}` shows what is left"
        ))
    }

    fn failed(&self, what: &str, error: io::Error) -> Error {
        Error::failed(format!("the server's process {} {what}", self.pid())).caused_by(error)
    }
}

impl Inner {
    /// How the leader ended. It stays to be waited for.
    fn exit(&self) -> io::Result<Exit> {
        // Held, so that nobody waits for it in between.
        let _child = self.child();
        if let Some(exit) = self.exit.get() {
            return Ok(*exit);
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        let status = waitid(WaitId::Pid(self.pid), options)?;
        let exit = status.as_ref().and_then(exit_of).ok_or(io::ErrorKind::WouldBlock)?;
        Ok(*self.exit.get_or_init(|| exit))
    }

    /// Waits for the leader, which has ended: from here on its number is free.
    fn reap(&self) -> io::Result<Exit> {
        let exit = self.exit()?;
        if let Some(mut child) = self.child().take() {
            child.wait()?;
        }
        Ok(exit)
    }

    fn is_reaped(&self) -> bool {
        self.child().is_none()
    }

    /// Signals the group, as long as its number is its own.
    fn signal(&self, means: Means) -> io::Result<()> {
        let child = self.child();
        let signals: &[Signal] = match means {
            Means::EndOfFile => &[],
            // One that was suspended gets the signal only when it goes on.
            Means::Terminate => &[Signal::TERM, Signal::CONT],
            Means::Kill => &[Signal::KILL],
        };
        for signal in signals.iter().filter(|_| child.is_some()) {
            match kill_process_group(self.pid, *signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is there to be told when it fails.
        let _ = self.signal(Means::Kill);
        if let Some(child) = self.child().as_mut() {
            let _ = child.try_wait();
        }
    }
}

fn exit_of(status: &WaitIdStatus) -> Option<Exit> {
    let number = |number: i32| u8::try_from(number).ok();
    status
        .exit_status()
        .and_then(number)
        .map(Exit::Status)
        .or_else(|| status.terminating_signal().and_then(number).map(Exit::Signal))
}
