//! The labels that mcpmon writes and reads back: the only memory it has.
//! Reading never fails: a container with odd labels is judged, not trusted.

use std::collections::{BTreeMap, HashMap};

use uuid::Uuid;

/// Prefix of every key that is mcpmon's own; users can't set these.
pub const PREFIX: &str = "mcpmon.";
/// `true` on everything that mcpmon made.
pub const MANAGED: &str = "mcpmon.managed";
/// The session's UUID.
pub const SESSION: &str = "mcpmon.session";
/// The mcpmon process's id.
pub const PID: &str = "mcpmon.pid";
/// When the session made it, milliseconds since the epoch.
pub const STARTED: &str = "mcpmon.started";
/// Host, boot and pid namespace ([`HostIdentity`]).
pub const HOST: &str = "mcpmon.host";
/// The process's start time in clock ticks since boot.
pub const PID_START: &str = "mcpmon.pid-start";
/// The project's name.
pub const PROJECT: &str = "mcpmon.project";
/// The target's name.
pub const TARGET: &str = "mcpmon.target";
/// Hash of the container spec.
pub const CONFIG_HASH: &str = "mcpmon.config-hash";
/// The spec itself, secrets as fingerprints: what a later plan shows as the old value.
pub const CONFIG: &str = "mcpmon.config";
/// On images: hash of the build they came from.
pub const BUILD_HASH: &str = "mcpmon.build-hash";
/// What it is for, where it is not one of the things that `up` keeps: [`STDIO`] or [`DEPENDENCY`], which belong to a
/// stdio session and end with its client; or [`CREATED`].
pub const ROLE: &str = "mcpmon.role";
/// The server of a stdio session.
pub const STDIO: &str = "stdio";
/// What a stdio session's server depends on, made because nobody else kept it.
pub const DEPENDENCY: &str = "dependency";
/// Made by a `create` line: to stay, and the user's own. Its labels say where it came from, not whose it is.
pub const CREATED: &str = "created";
/// `keep` on what was made to be left at the end of its session.
pub const ON_EXIT: &str = "mcpmon.on-exit";
/// The file it came from.
pub const CONFIG_FILE: &str = "mcpmon.config-file";

/// Where a pid means something: `<machine>/<boot>/<pid namespace>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostIdentity {
    /// Stable over reboots; a hash, so that the machine's id does not leave it.
    pub machine: String,
    /// Changes at each boot.
    pub boot: String,
    /// The pid namespace's inode.
    pub pid_namespace: String,
}

impl std::fmt::Display for HostIdentity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.machine, self.boot, self.pid_namespace)
    }
}

impl std::str::FromStr for HostIdentity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('/').map(str::to_owned);
        match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(machine), Some(boot), Some(pid_namespace), None)
                if !machine.is_empty() && !boot.is_empty() && !pid_namespace.is_empty() =>
            {
                Ok(Self { machine, boot, pid_namespace })
            }
            _ => Err(()),
        }
    }
}

/// The session that makes things: what goes into the ownership labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The session's UUID.
    pub session: Uuid,
    /// Its process id.
    pub pid: u32,
    /// The process's start time, clock ticks since boot.
    pub pid_start: u64,
    /// Where the pid means something.
    pub host: HostIdentity,
    /// Session start, milliseconds since the epoch.
    pub started: u64,
    /// The [`ROLE`] of what it makes; none for what `up` keeps.
    pub role: Option<&'static str>,
}

impl Owner {
    /// The owner that these labels tell of; none: they are not whole.
    pub fn from_labels(labels: &Labels) -> Option<Self> {
        Some(Self {
            session: labels.session()?,
            pid: labels.get(PID)?.parse().ok()?,
            pid_start: labels.get(PID_START)?.parse().ok()?,
            host: labels.get(HOST)?.parse().ok()?,
            started: labels.get(STARTED)?.parse().ok()?,
            role: match labels.get(ROLE) {
                Some(STDIO) => Some(STDIO),
                Some(DEPENDENCY) => Some(DEPENDENCY),
                Some(CREATED) => Some(CREATED),
                _ => None,
            },
        })
    }

    /// The ownership labels.
    pub fn labels(&self) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::from([
            (MANAGED.into(), "true".into()),
            (SESSION.into(), self.session.to_string()),
            (PID.into(), self.pid.to_string()),
            (STARTED.into(), self.started.to_string()),
            (HOST.into(), self.host.to_string()),
            (PID_START.into(), self.pid_start.to_string()),
        ]);
        labels.extend(self.role.map(|role| (ROLE.into(), role.into())));
        labels
    }
}

/// A container's labels, read by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Labels(pub HashMap<String, String>);

impl Labels {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Made by mcpmon, by its own word.
    pub fn managed(&self) -> bool {
        self.get(MANAGED) == Some("true")
    }

    /// The project's name.
    pub fn project(&self) -> Option<&str> {
        self.get(PROJECT)
    }

    /// The target's name.
    pub fn target(&self) -> Option<&str> {
        self.get(TARGET)
    }

    /// The session's UUID.
    pub fn session(&self) -> Option<Uuid> {
        self.get(SESSION)?.parse().ok()
    }

    /// What it is for, where `up` does not keep it.
    pub fn role(&self) -> Option<&str> {
        self.get(ROLE)
    }

    /// The hash of the spec it was made from.
    pub fn config_hash(&self) -> Option<&str> {
        self.get(CONFIG_HASH)
    }
}
