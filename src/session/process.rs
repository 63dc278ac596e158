//! Other processes: whether one lives, since when, and how one of mcpmon's own is asked to end.
//! A process is known by pid and start time together, never by its pid alone.

use std::{
    fs, io,
    os::{fd::OwnedFd, unix::fs::MetadataExt},
    sync::Arc,
    time::Duration,
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::{Errno, retry_on_intr},
    process::{Pid, PidfdFlags, Signal, geteuid, pidfd_open, pidfd_send_signal, test_kill_process},
};

use crate::orphan::Processes;

/// The start time of a living process in clock ticks since boot; none when there is no such process
/// (a zombie is none), or its start can't be read.
pub fn start_time(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name may hold spaces and parentheses: count from the last one. Field 3 is the state.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// The processes of this host.
#[derive(Debug, Clone, Copy)]
pub struct ThisHost;

impl Processes for ThisHost {
    fn start_time(&self, pid: u32) -> Option<Option<u64>> {
        if let Some(start) = start_time(pid) {
            return Some(Some(start));
        }
        // A zombie has ended, though its entry is still there; an entry that can't be read is somebody's.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        match stat {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Some(None),
            // A host may hide other users' processes: the kernel still says that one is there.
            Err(_) if is_hidden(pid) => Some(None),
            _ => None,
        }
    }
}

/// Whether a process lives that this user may neither see nor signal.
fn is_hidden(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::PERM))
}

/// A hold on one process that can't be confused with a later one of the same pid.
#[derive(Debug)]
pub struct Process {
    handle: Arc<OwnedFd>,
    pid: u32,
    started: u64,
}

impl Process {
    /// Opens the process with that pid, if it lives and started at that time.
    pub fn open(pid: u32, started: u64) -> io::Result<Option<Self>> {
        let Some(id) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return Ok(None) };
        let handle = match pidfd_open(id, PidfdFlags::empty()) {
            Ok(handle) => handle,
            Err(Errno::SRCH) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        // Checked after the handle was taken: from here on the pid can't be reused under it.
        if start_time(pid) != Some(started) {
            return Ok(None);
        }
        Ok(Some(Self { handle: Arc::new(handle), pid, started }))
    }

    /// Whether it is an mcpmon that this user runs. The program is known by its file: the one that this process
    /// runs, or another one of that name (it may have been updated since).
    pub fn is_own_mcpmon(&self) -> bool {
        let folder = format!("/proc/{}", self.pid);
        let own = fs::metadata(&folder).is_ok_and(|meta| meta.uid() == geteuid().as_raw());
        let program = fs::read_link(format!("{folder}/exe"));
        let named = program.is_ok_and(|program| {
            let name = program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
            name.trim_end_matches(" (deleted)") == "mcpmon"
        });
        let file = |path: &str| fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).ok();
        let same = file(&format!("{folder}/exe")).is_some_and(|found| file("/proc/self/exe") == Some(found));
        // Still that process: what was read is not another one's.
        own && (named || same) && start_time(self.pid) == Some(self.started)
    }

    /// Asks it to end (SIGTERM).
    pub fn terminate(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.handle, Signal::TERM) {
            Err(Errno::SRCH) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until it has ended; false when `limit` ran out first.
    pub async fn ended(&self, limit: Duration) -> bool {
        let handle = Arc::clone(&self.handle);
        let wait = move || {
            let limit = Timespec::try_from(limit).ok();
            // A pidfd becomes readable when its process ends.
            let ready = retry_on_intr(|| poll(&mut [PollFd::new(&handle, PollFlags::IN)], limit.as_ref()));
            ready.is_ok_and(|count| count > 0)
        };
        tokio::task::spawn_blocking(wait).await.unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_a_reaped_child_does_not() {
        let me = std::process::id();
        assert!(start_time(me).is_some_and(|ticks| ticks > 0));
        assert_eq!(ThisHost.start_time(me), Some(start_time(me)));
        let mut child = std::process::Command::new("true").spawn().expect("true");
        let pid = child.id();
        child.wait().expect("wait");
        assert_eq!(ThisHost.start_time(pid), None);
    }

    #[tokio::test]
    async fn a_process_is_asked_to_end_only_when_its_start_time_matches() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let started = start_time(child.id()).expect("start time");
        assert!(Process::open(child.id(), started + 1).expect("open").is_none());
        let process = Process::open(child.id(), started).expect("open").expect("alive");
        assert!(!process.ended(Duration::ZERO).await);
        assert!(!process.is_own_mcpmon(), "it is this user's, but sleep");
        let me = std::process::id();
        let me = Process::open(me, start_time(me).expect("start time")).expect("open").expect("alive");
        assert!(me.is_own_mcpmon());
        process.terminate().expect("terminate");
        assert!(process.ended(Duration::from_secs(5)).await);
        child.wait().expect("wait");
        assert!(Process::open(child.id(), started).expect("open").is_none());
    }
}
