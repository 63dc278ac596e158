//! Who owns a container, and whether the owner lives: pure. What is known of this host, its processes and its sessions
//! is passed in ([`Known`]). The rule: `mcpmon.managed`, and no pid label or the pid's process is dead; made safe
//! against pid reuse and against pids that mean something elsewhere only. Three things count for more than labels:
//!
//! - A living session's lease. What it has adopted is its own, whatever the labels say.
//! - A session of a line that ended in order: what it left is its user's.
//! - A configuration file that still asks for a container that was left on purpose (`on_exit = "keep"`): it is no
//!   orphan, though nobody keeps it now.

pub mod age;

use std::{collections::BTreeSet, path::Path, sync::Arc};

use uuid::Uuid;

use crate::model::{
    Lease, ObservedContainer,
    labels::{CONFIG_FILE, CREATED, HOST, HostIdentity, Labels, ON_EXIT, PID, PID_START},
};

/// What this host can say about a process.
pub trait Processes {
    /// The start time (clock ticks since boot) of the living process with that id; none = there is none.
    /// A process whose start time can't be read (hidden by the system) is `Some(None)`.
    fn start_time(&self, pid: u32) -> Option<Option<u64>>;
}

/// What a configuration file asks for, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    /// The project's name.
    pub project: String,
    /// Its targets.
    pub targets: BTreeSet<String>,
    /// Its containers are to be left at the end of a session (`reconcile.on_exit = "keep"`).
    pub keep: bool,
}

/// What configuration files say.
pub trait Claims {
    /// What the file of that path asks for; none: it is not there, or can't be read.
    fn claim(&self, config_file: &str) -> Option<Claim>;

    /// Whether a file is at that path, and is another one than `own`.
    fn is_another(&self, config_file: &str, own: &Path) -> bool;
}

/// What is known of sessions that have ended.
pub trait Ends {
    /// Whether the session ended in order and left what is left of it to its user.
    fn left_to_user(&self, session: Uuid) -> bool;
}

/// What is known of this host when something is judged.
#[derive(Clone)]
pub struct Known {
    /// This host.
    pub here: HostIdentity,
    /// Its processes.
    pub processes: Arc<dyn Processes + Send + Sync>,
    /// The leases of sessions that live.
    pub leases: Vec<Lease>,
    /// What configuration files say.
    pub claims: Arc<dyn Claims + Send + Sync>,
    /// How sessions ended.
    pub ends: Arc<dyn Ends + Send + Sync>,
}

/// What is known of a container's owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// mcpmon did not make it, or made it for its user (a `create` line), or left it to its user at the end of a line: never
    /// touched.
    NotManaged,
    /// Its owner lives.
    Owned {
        /// The owner's process id.
        pid: u32,
    },
    /// Its owner is dead, or it has none.
    Orphan(Reason),
    /// Its owner is dead and left it on purpose, and its configuration file asks for it: the next `up` takes it over.
    Kept {
        /// The file.
        file: String,
        /// How it is known that nobody keeps it now.
        reason: Reason,
    },
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

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").field("here", &self.here).field("leases", &self.leases).finish_non_exhaustive()
    }
}

impl Known {
    /// Judges a container.
    pub fn judge(&self, container: &ObservedContainer) -> Verdict {
        self.judge_named(Some(&container.id), &container.labels)
    }

    /// Judges what can't be adopted (a network) by its labels.
    pub fn judge_labels(&self, labels: &Labels) -> Verdict {
        self.judge_named(None, labels)
    }

    /// Whether the session of these labels is dead. What was left on purpose has a dead one too.
    pub fn is_dead(&self, labels: &Labels) -> bool {
        matches!(self.judge_labels(labels), Verdict::Orphan(_) | Verdict::Kept { .. })
    }

    /// Pid and start time of the living session that has a container: only with both a process is signalled, and only
    /// if it is an mcpmon of this user's. None where a label names a session that keeps another project.
    pub fn keeper(&self, container: &ObservedContainer) -> Option<(u32, u64)> {
        self.keeper_named(Some(&container.id), &container.labels)
    }

    /// As [`Self::keeper`], of what can't be adopted.
    pub fn keeper_by_labels(&self, labels: &Labels) -> Option<(u32, u64)> {
        self.keeper_named(None, labels)
    }

    fn keeper_named(&self, id: Option<&str>, labels: &Labels) -> Option<(u32, u64)> {
        if !matches!(self.judge_named(id, labels), Verdict::Owned { .. }) {
            return None;
        }
        if let Some(lease) = self.lease(id, labels) {
            // Anybody can write another session's UUID into a label: that one keeps something else.
            return (lease.project.as_deref() == labels.project()).then_some((lease.pid, lease.pid_start));
        }
        let number = |key: &str| labels.get(key).and_then(|text| text.parse::<u64>().ok());
        let process = (u32::try_from(number(PID)?).ok()?, number(PID_START)?);
        // The same with its process: it says itself what it keeps, and this is not it.
        let says = self.leases.iter().any(|lease| (lease.pid, lease.pid_start) == process);
        (!says).then_some(process)
    }

    /// The living session that has a container by its lease, or the one that made it.
    pub fn session(&self, container: &ObservedContainer) -> Option<Uuid> {
        let lease = self.lease(Some(&container.id), &container.labels);
        lease.map(|lease| lease.session).or_else(|| container.labels.session())
    }

    /// Why what was to take a container's place could not: the living session that has it goes on with what runs.
    pub fn reload_failed(&self, container: &ObservedContainer) -> Option<&str> {
        let labels = &container.labels;
        let lease = self.lease(Some(&container.id), labels)?;
        // Anybody can write another project's session into a label.
        let is_of_project = lease.project.as_deref() == labels.project();
        lease.reload_failed.get(labels.target()?).filter(|_| is_of_project).map(String::as_str)
    }

    /// The configuration file that a thing of a project is of, where that is another one than `own` and is still there: two
    /// files have one name. Where its folder was moved, it is gone from its old place, and the thing is the moved one's.
    pub fn other_file<'a>(&'a self, id: Option<&str>, labels: &'a Labels, own: &Path) -> Option<&'a str> {
        // Anybody can write another project's session into a label.
        let is_of_project = |lease: &&Lease| lease.project.as_deref() == labels.project();
        let lease = self.lease(id, labels).filter(is_of_project);
        let file = lease.and_then(|lease| lease.config_file.as_deref()).or_else(|| labels.get(CONFIG_FILE))?;
        self.claims.is_another(file, own).then_some(file)
    }

    /// The same of a living session: the file that it keeps its project from.
    pub fn other_file_of<'a>(&self, lease: &'a Lease, own: &Path) -> Option<&'a str> {
        lease.config_file.as_deref().filter(|file| self.claims.is_another(file, own))
    }

    /// Leases of living sessions that keep that project on that engine.
    pub fn keepers(&self, engine: &str, project: &str) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(move |lease| lease.keeps(engine, project))
    }

    /// Leases of living sessions that keep what that file asks for on that engine, under whatever name.
    pub fn keepers_of_file<'a>(&'a self, engine: &'a str, file: &'a Path) -> impl Iterator<Item = &'a Lease> {
        let is_of_file = move |lease: &&Lease| lease.config_file.as_deref().is_some_and(|of| Path::new(of) == file);
        let keeps = move |lease: &&Lease| lease.role.is_none() && lease.engine.as_deref() == Some(engine);
        self.leases.iter().filter(is_of_file).filter(keeps)
    }

    /// The lease that a thing is under: that has adopted it, or whose session made it.
    fn lease(&self, id: Option<&str>, labels: &Labels) -> Option<&Lease> {
        let adopted = |lease: &&Lease| id.is_some_and(|id| lease.adopted.contains(id));
        let made = |lease: &&Lease| labels.session() == Some(lease.session);
        self.leases.iter().find(adopted).or_else(|| self.leases.iter().find(made))
    }

    fn judge_named(&self, id: Option<&str>, labels: &Labels) -> Verdict {
        if !labels.managed() {
            return Verdict::NotManaged;
        }
        if let Some(lease) = self.lease(id, labels) {
            return Verdict::Owned { pid: lease.pid };
        }
        if labels.role() == Some(CREATED) {
            return Verdict::NotManaged;
        }
        match judge(labels, &self.here, &*self.processes) {
            Verdict::Orphan(_) if id.is_some() && labels.session().is_some_and(|one| self.ends.left_to_user(one)) => {
                Verdict::NotManaged
            }
            Verdict::Orphan(reason) => match id.and_then(|_| self.claimed(labels)) {
                Some(file) => Verdict::Kept { file: file.to_owned(), reason },
                None => Verdict::Orphan(reason),
            },
            verdict => verdict,
        }
    }

    /// The file that still asks for a container that was left on purpose.
    fn claimed<'a>(&self, labels: &'a Labels) -> Option<&'a str> {
        // What belongs to a stdio session ends with its client, always.
        if labels.role().is_some() {
            return None;
        }
        let (file, project, target) = (labels.get(CONFIG_FILE)?, labels.project()?, labels.target()?);
        let claim = self.claims.claim(file)?;
        let left_on_purpose = claim.keep || labels.get(ON_EXIT) == Some(KEEP);
        (left_on_purpose && claim.project == project && claim.targets.contains(target)).then_some(file)
    }
}

/// The value of [`ON_EXIT`] on what was made to be left.
pub const KEEP: &str = "keep";

/// Judges by labels, host and processes alone: [`Known`] knows more.
fn judge(labels: &Labels, here: &HostIdentity, processes: &dyn Processes) -> Verdict {
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
