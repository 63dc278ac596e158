//! Processes that carry a mark (see [`crate::session::mark`]), and all that they have started: whoever has left the
//! group, or became a daemon, still has its environment or its parent. Who has neither (a daemon that also cleared its
//! environment) is not found. A process is known by pid and start time, and signalled through a hold on it (pidfd).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use rustix::{
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};

use crate::session::mark;

/// Between two looks at who is left. A look takes a few milliseconds, and nobody tells of ends of others' children.
const AGAIN: Duration = Duration::from_millis(20);

/// One of them, held: no signal can hit a later process of the same number.
#[derive(Debug)]
pub struct Kin {
    pid: i32,
    group: i32,
    hold: OwnedFd,
}

impl Kin {
    /// Its process group.
    pub fn group(&self) -> i32 {
        self.group
    }

    /// Sends it a signal. One that has ended hears nothing; one that is another user's can't be reached.
    pub fn signal(&self, signal: Signal) {
        let _ = pidfd_send_signal(&self.hold, signal);
    }
}

/// What `/proc` tells of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    parent: i32,
    group: i32,
    started: u64,
}

/// Everybody alive whose mark begins with this, and what they started. Not this process.
pub fn living(mark: &str) -> Vec<Kin> {
    let entries = entries();
    let mut found: BTreeSet<i32> = entries.keys().copied().filter(|pid| is_marked(*pid, mark)).collect();
    // Whoever has one of them above.
    loop {
        let children = entries.iter().filter(|(pid, entry)| found.contains(&entry.parent) && !found.contains(*pid));
        let children: Vec<i32> = children.map(|(pid, _)| *pid).collect();
        if children.is_empty() {
            break;
        }
        found.extend(children);
    }
    let me = std::process::id().cast_signed();
    let held = found.into_iter().filter(|pid| *pid != me).filter_map(|pid| hold(pid, entries[&pid]));
    held.collect()
}

/// Ends everybody with that mark: after `patience` SIGTERM, after `grace` SIGKILL. False: somebody is left all the same.
pub async fn end(mark: &str, patience: Duration, grace: Duration) -> bool {
    if gone(mark, patience, None).await || gone(mark, grace, Some(Signal::TERM)).await {
        return true;
    }
    gone(mark, Duration::from_secs(5), Some(Signal::KILL)).await
}

/// Sends everybody that signal, once, and waits until nobody is left; false when `limit` ran out first.
async fn gone(mark: &str, limit: Duration, signal: Option<Signal>) -> bool {
    let deadline = Instant::now() + limit;
    let mut told = BTreeSet::new();
    loop {
        let (of, kin) = (mark.to_owned(), Vec::new());
        let kin = tokio::task::spawn_blocking(move || living(&of)).await.unwrap_or(kin);
        if kin.is_empty() {
            return true;
        }
        for one in &kin {
            if let Some(signal) = signal.filter(|_| told.insert(one.pid)) {
                one.signal(signal);
                // One that was suspended gets the signal only when it goes on.
                one.signal(Signal::CONT);
            }
        }
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(AGAIN).await;
    }
}

fn entries() -> BTreeMap<i32, Entry> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter_map(|pid| Some((pid, entry(pid)?))).collect()
}

/// None: there is no such process, or it has ended and was not waited for.
fn entry(pid: i32) -> Option<Entry> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // After the command's name, which may hold anything: state, parent, group; 17 further on the start time.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse().ok();
    if matches!(*fields.first()?, "Z" | "X" | "x") {
        return None;
    }
    Some(Entry { parent: number(1)?, group: number(2)?, started: fields.get(19)?.parse().ok()? })
}

fn is_marked(pid: i32, mark: &str) -> bool {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let wanted = format!("{}={mark}", mark::VARIABLE);
    environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(wanted.as_bytes()))
}

fn hold(pid: i32, entry: Entry) -> Option<Kin> {
    let hold = match pidfd_open(Pid::from_raw(pid)?, PidfdFlags::empty()) {
        Ok(hold) => hold,
        Err(Errno::SRCH) => return None,
        Err(error) => {
            tracing::debug!("process {pid} can't be held: {error}");
            return None;
        }
    };
    // Asked again with the hold in hand: from here on it is this process and no later one of the same number.
    let same = self::entry(pid).is_some_and(|now| now.started == entry.started);
    same.then_some(Kin { pid, group: entry.group, hold })
}
