//! Who lives in a process group, and waiting until nobody does. It must not signal anybody.

use std::{
    fs, io,
    time::{Duration, Instant},
};

use rustix::process::Pid;
use tokio::{task::spawn_blocking, time::timeout};

use super::hold::Hold;

/// Waits until nobody lives in the group any more; false when `limit` ran out first. Processes that have ended and were
/// not waited for by their parent do not live.
pub(super) async fn ended(group: Pid, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        let members = spawn_blocking(move || living(group)).await.map_err(io::Error::other)??;
        if members.is_empty() {
            return Ok(true);
        }
        // All of them must end, so the order does not matter; and then there may be others.
        for member in members {
            let left = deadline.saturating_duration_since(Instant::now());
            match timeout(left, member.ended()).await {
                Ok(ended) => ended?,
                Err(_) => return Ok(false),
            }
        }
    }
}

/// A hold on each process of the group that lives. Complete if nobody in the group starts another process meanwhile.
fn living(group: Pid) -> io::Result<Vec<Hold>> {
    let mut members = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw) else {
            continue;
        };
        if group_of(pid) != Some(group) {
            continue;
        }
        let Some(member) = Hold::open(pid)? else { continue };
        // Asked again with the hold in hand: from here on it is this process and no later one of the same number.
        if group_of(pid) == Some(group) && !member.has_ended()? {
            members.push(member);
        }
    }
    Ok(members)
}

fn group_of(pid: Pid) -> Option<Pid> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // After the command's name, which may hold anything: state, parent, group.
    let group = stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(2)?;
    group.parse().ok().and_then(Pid::from_raw)
}
