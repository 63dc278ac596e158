//! A hold on one process that can't be confused with a later one of the same number (pidfd).

use std::{io, os::fd::OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, retry_on_intr},
    process::{Pid, PidfdFlags, pidfd_open},
};
use tokio::io::{Interest, unix::AsyncFd};

/// A hold on a process, whether it lives or has ended and was not waited for yet.
#[derive(Debug)]
pub(super) struct Hold(AsyncFd<OwnedFd>);

impl Hold {
    /// Takes hold; none when there is no such process. Must be called in a tokio runtime.
    #[expect(
        deprecated,
        reason = "its successor is unsafe for types that lie about their descriptor; OwnedFd does not"
    )]
    pub(super) fn open(pid: Pid) -> io::Result<Option<Self>> {
        match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(process) => Ok(Some(Self(AsyncFd::with_interest(process, Interest::READABLE)?))),
            Err(Errno::SRCH) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether all of its threads are gone. (The state in `/proc` speaks of the first thread alone.)
    pub(super) fn has_ended(&self) -> io::Result<bool> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let ready = retry_on_intr(|| poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&now)))?;
        Ok(ready > 0)
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&self) -> io::Result<()> {
        // Dropped without clearing: who has ended stays so, for the next one who asks.
        self.0.readable().await.map(drop)
    }
}
