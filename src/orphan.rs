//! Who owns a container, and whether the owner lives: pure. What is known of this host and its
//! processes is passed in. The rule: `mcpmon.managed`, and no pid label or the pid's process is dead;
//! made safe against pid reuse and against pids that mean something elsewhere only.

pub mod age;

use crate::model::labels::{HOST, HostIdentity, Labels, PID, PID_START};

/// What this host can say about a process.
pub trait Processes {
    /// The start time (clock ticks since boot) of the living process with that id; none = there is none.
    /// A process whose start time can't be read (hidden by the system) is `Some(None)`.
    fn start_time(&self, pid: u32) -> Option<Option<u64>>;
}

/// What is known of a container's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// mcpmon did not make it: never touched.
    NotManaged,
    /// Its owner lives.
    Owned {
        /// The owner's process id.
        pid: u32,
    },
    /// Its owner is dead, or it has none.
    Orphan(Reason),
    /// Its owner is elsewhere; listed, never judged.
    Remote {
        /// Where, in words.
        place: String,
    },
}

/// Why a container is an orphan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// There is no pid label.
    NoPid,
    /// The pid label is not a process id.
    BadPid(String),
    /// No process has that id.
    Dead(u32),
    /// A younger process has that id.
    Reused(u32),
    /// The host was started again since.
    OtherBoot(u32),
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoPid => f.write_str("it names no owner"),
            Self::BadPid(text) => write!(f, "its owner's pid is no pid: {text:?}"),
            Self::Dead(pid) => write!(f, "its owner, pid {pid}, is dead"),
            Self::Reused(pid) => write!(f, "its owner is dead; pid {pid} is another process now"),
            Self::OtherBoot(pid) => write!(f, "its owner, pid {pid}, ran before the host's last start"),
        }
    }
}

/// Judges one container by its labels.
pub fn judge(labels: &Labels, here: &HostIdentity, processes: &impl Processes) -> Verdict {
    if !labels.managed() {
        return Verdict::NotManaged;
    }
    let pid =
        labels.get(PID).map(|text| text.parse::<u32>().ok().filter(|pid| *pid > 0).ok_or_else(|| text.to_owned()));
    // Containers of older versions have no host label: they are judged as this host's.
    let host = match labels.get(HOST).map(|text| text.parse::<HostIdentity>().map_err(|()| text.to_owned())) {
        Some(Err(text)) => return Verdict::Remote { place: format!("unknown host {text:?}") },
        Some(Ok(host)) if host.machine != here.machine => {
            return Verdict::Remote { place: format!("host {}", host.machine) };
        }
        Some(Ok(host)) => Some(host),
        None => None,
    };
    let pid = match pid {
        None => return Verdict::Orphan(Reason::NoPid),
        Some(Err(text)) => return Verdict::Orphan(Reason::BadPid(text)),
        Some(Ok(pid)) => pid,
    };
    if let Some(host) = host {
        if host.boot != here.boot {
            return Verdict::Orphan(Reason::OtherBoot(pid));
        }
        if host.pid_namespace != here.pid_namespace {
            return Verdict::Remote { place: format!("pid namespace {}", host.pid_namespace) };
        }
    }
    let started = labels.get(PID_START).and_then(|text| text.parse::<u64>().ok());
    match (processes.start_time(pid), started) {
        (None, _) => Verdict::Orphan(Reason::Dead(pid)),
        (Some(Some(now)), Some(then)) if now != then => Verdict::Orphan(Reason::Reused(pid)),
        (Some(_), _) => Verdict::Owned { pid },
    }
}

#[cfg(test)]
mod tests;
