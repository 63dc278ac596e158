//! A container as the file asks for it, by compose-spec names, with everything resolved:
//! paths absolute, variables filled in, short forms written out. It is what the config hash is taken over.
//! It must not know how an engine spells any of this.

use std::{collections::BTreeMap, fmt, net::IpAddr, path::PathBuf, time::Duration};

use serde::{Serialize, Serializer};

/// What a run target's container is made of. Field names and meanings: compose-spec, service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ContainerSpec {
    /// The image to run: as written, or the tag mcpmon gives to what it builds.
    pub image: String,
    /// A fixed container name; without it the name is `<project>-<target>`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_name: Option<String>,
    /// Replaces the image's command.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Replaces the image's entrypoint; an empty list clears it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Environment, `env_file` merged in below `environment`.
    pub environment: BTreeMap<String, EnvironmentValue>,
    /// Bind mounts and volumes, in the file's order.
    pub volumes: Vec<Mount>,
    /// Published ports, ranges written out.
    pub ports: Vec<Port>,
    /// tmpfs mounts: path in the container to mount options (`""` for none).
    pub tmpfs: BTreeMap<String, String>,
    /// Networks by their name on the engine. Empty when `network_mode` is set.
    pub networks: BTreeMap<String, NetworkAttachment>,
    /// `host`, `none`, `bridge`, `container:ID`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_mode: Option<String>,
    /// Lines of `/etc/hosts`, as `name:address`.
    pub extra_hosts: Vec<String>,
    /// Host name inside the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// The user's own labels; never a `mcpmon.` key.
    pub labels: BTreeMap<String, String>,
    /// Working directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// `user[:group]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Keep stdin open; a stdio server without it ends at once.
    pub stdin_open: bool,
    /// Allocate a terminal.
    pub tty: bool,
    /// Run an init as PID 1, so that signals end the server. Default true (compose: false).
    pub init: bool,
    /// Root file system read-only.
    pub read_only: bool,
    /// Capabilities added.
    pub cap_add: Vec<String>,
    /// Capabilities dropped.
    pub cap_drop: Vec<String>,
    /// Security options, as docker's `--security-opt`.
    pub security_opt: Vec<String>,
    /// All capabilities and devices.
    pub privileged: bool,
    /// Resource limits by name (`nofile`).
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Size of `/dev/shm` in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shm_size: Option<u64>,
    /// Memory limit in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mem_limit: Option<u64>,
    /// CPUs, may be a fraction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Process limit; -1 = no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids_limit: Option<i64>,
    /// The signal that asks the container to stop (default: the image's, else SIGTERM).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// How long a stop may take before the kill.
    #[serde(serialize_with = "duration_text")]
    pub stop_grace_period: Duration,
    /// The engine's own restart policy; mcpmon restarts by itself, so the default is `no`.
    pub restart: RestartPolicy,
    /// Log driver and its options.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logging: Option<Logging>,
    /// How the engine finds out whether the container is healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
}

/// One environment value, and whether it must be masked in everything that is shown.
/// `Debug` and `Display` mask; `Serialize` (for the hash alone) does not.
#[derive(Clone, PartialEq, Eq)]
pub struct EnvironmentValue {
    /// The value handed to the container.
    pub value: String,
    /// From an `env_file`, or the key looks like a secret's.
    pub secret: bool,
}

impl fmt::Display for EnvironmentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.secret { "***" } else { &self.value })
    }
}

impl fmt::Debug for EnvironmentValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(if self.secret { "***" } else { &self.value }, f)
    }
}

impl Serialize for EnvironmentValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.value)
    }
}

/// A bind mount or a volume (compose `volumes`; `tmpfs` long forms end up in [`ContainerSpec::tmpfs`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// What is mounted.
    pub source: MountSource,
    /// Where in the container.
    pub target: String,
    /// Not writable from inside.
    pub read_only: bool,
    /// Bind propagation (`rprivate`, `rshared`, …).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propagation: Option<String>,
    /// SELinux relabelling: `z` or `Z`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selinux: Option<String>,
    /// Volumes: do not copy what the image has at that path.
    pub nocopy: bool,
}

/// What a [`Mount`] mounts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MountSource {
    /// A path of the host. `create`: make a missing folder (compose's short form does).
    Bind {
        /// Absolute path.
        path: PathBuf,
        /// Make it when missing.
        create: bool,
    },
    /// A named volume, by its name on the engine.
    Volume(String),
    /// A volume without a name.
    Anonymous,
}

/// One published or exposed port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Port {
    /// Host address; none = all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_ip: Option<IpAddr>,
    /// Host port; 0 = the engine chooses one.
    pub published: u16,
    /// Container port.
    pub target: u16,
    /// `tcp`, `udp` or `sctp`.
    pub protocol: Protocol,
}

/// Transport protocol of a [`Port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// As docker spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// How a container is attached to one network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct NetworkAttachment {
    /// More names in that network; the target's name is always one.
    pub aliases: Vec<String>,
    /// Fixed IPv4 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv4_address: Option<String>,
    /// Fixed IPv6 address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipv6_address: Option<String>,
}

/// A resource limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Ulimit {
    /// Soft limit; -1 = none.
    pub soft: i64,
    /// Hard limit; -1 = none.
    pub hard: i64,
}

/// The engine's own restart policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RestartPolicy {
    /// mcpmon restarts.
    #[default]
    No,
    /// Always.
    Always,
    /// Unless stopped by hand.
    UnlessStopped,
    /// When the exit code is not 0; at most this many times (0 = without limit).
    OnFailure(u32),
}

impl fmt::Display for RestartPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::Always => f.write_str("always"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
            Self::OnFailure(0) => f.write_str("on-failure"),
            Self::OnFailure(times) => write!(f, "on-failure:{times}"),
        }
    }
}

impl Serialize for RestartPolicy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Log driver and its options.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Logging {
    /// Driver name; empty = the engine's default.
    pub driver: String,
    /// Driver options.
    pub options: BTreeMap<String, String>,
}

/// How the engine checks health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Healthcheck {
    /// `["CMD", …]`, `["CMD-SHELL", line]` or `["NONE"]`; none = the image's own test.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Vec<String>>,
    /// Between two checks.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_duration_text")]
    pub interval: Option<Duration>,
    /// One check may take.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_duration_text")]
    pub timeout: Option<Duration>,
    /// Failures in a row until unhealthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Failures do not count for this long after the start.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_duration_text")]
    pub start_period: Option<Duration>,
    /// Between two checks during the start period (engines from API 1.44 on).
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "optional_duration_text")]
    pub start_interval: Option<Duration>,
}

fn duration_text<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&humantime::format_duration(*duration))
}

#[allow(clippy::ref_option, reason = "serde hands out a reference to the field")]
fn optional_duration_text<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match duration {
        Some(duration) => duration_text(duration, serializer),
        None => serializer.serialize_none(),
    }
}
