//! The long forms inside a target, by compose-spec names.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    forms::{ListOr, StringOr},
    scalar::{Duration, Flag, Integer, Scalar, Size},
};

/// How an image is built (by `docker build`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Build {
    /// The folder whose files the build may use, relative to this file. Default `.`.
    pub context: Option<String>,
    /// The Dockerfile, relative to the context. Default `Dockerfile`.
    pub dockerfile: Option<String>,
    /// The stage to build. Default: the last one.
    pub target: Option<String>,
    /// Build arguments: a table, or a list of `KEY=value`. A bare `KEY` in the list takes the host's value.
    pub args: Option<ListOr<Scalar>>,
}

/// One file that environment is read from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct EnvFile {
    /// Path of the file, relative to this file.
    #[schemars(required)]
    pub path: Option<String>,
    /// Whether it is an error when the file is missing. Default true.
    pub required: Option<Flag>,
}

/// The long form of one volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Mount {
    /// What is mounted: `bind` a path of the host, `volume` a volume, `tmpfs` memory.
    #[serde(rename = "type")]
    #[schemars(required, extend("enum" = ["bind", "volume", "tmpfs"]))]
    pub kind: Option<String>,
    /// A path of the host (`bind`), or the name of a volume (`volume`; without it, the volume has no name).
    pub source: Option<String>,
    /// Where in the container.
    #[schemars(required)]
    pub target: Option<String>,
    /// Not writable from inside. Default false.
    pub read_only: Option<Flag>,
    /// Options of a bind mount.
    pub bind: Option<BindOptions>,
    /// Options of a volume.
    pub volume: Option<VolumeOptions>,
    /// Options of a tmpfs.
    pub tmpfs: Option<TmpfsOptions>,
}

/// Options of a bind mount.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct BindOptions {
    /// Make the host's folder when it is missing. Default true, as in compose; the short form always does.
    pub create_host_path: Option<Flag>,
    /// How mounts below it travel between host and container. Default: the engine's, `rprivate`.
    #[schemars(extend("enum" = ["private", "rprivate", "shared", "rshared", "slave", "rslave"]))]
    pub propagation: Option<String>,
    /// SELinux: `z` shared between containers, `Z` for this one alone.
    #[schemars(extend("enum" = ["z", "Z"]))]
    pub selinux: Option<String>,
}

/// Options of a mounted volume.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct VolumeOptions {
    /// Do not copy what the image has at that path into a new volume. Default false.
    pub nocopy: Option<Flag>,
}

/// Options of a tmpfs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct TmpfsOptions {
    /// Its largest size. Default: half of the memory.
    pub size: Option<Size>,
    /// Permissions of its root, written in octal digits as a number or string: `1777`.
    pub mode: Option<Integer>,
}

/// The long form of one published port.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Port {
    /// The port in the container.
    #[schemars(required)]
    pub target: Option<Integer>,
    /// The host's port, or a range `FIRST-LAST`. Default: the engine chooses one.
    pub published: Option<Integer>,
    /// The host's address. Default: all.
    pub host_ip: Option<String>,
    /// `tcp` (default), `udp` or `sctp`.
    #[schemars(extend("enum" = ["tcp", "udp", "sctp"]))]
    pub protocol: Option<String>,
    /// For the reader; not used.
    pub name: Option<String>,
    /// For the reader; not used.
    pub app_protocol: Option<String>,
    /// `host` or `ingress`: the same outside of a swarm; not used.
    #[schemars(extend("enum" = ["host", "ingress"]))]
    pub mode: Option<String>,
}

/// How the target is attached to one network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ServiceNetwork {
    /// More names that others in that network can reach it by; the target's name is always one.
    pub aliases: Option<Vec<String>>,
    /// A fixed IPv4 address in that network.
    pub ipv4_address: Option<String>,
    /// A fixed IPv6 address in that network.
    pub ipv6_address: Option<String>,
}

/// A resource limit with two values.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Ulimit {
    /// Soft limit; -1 is none.
    #[schemars(required)]
    pub soft: Option<Integer>,
    /// Hard limit; -1 is none.
    #[schemars(required)]
    pub hard: Option<Integer>,
}

/// The log driver and its options.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Logging {
    /// The driver's name, such as `local` or `none`. Default: the engine's.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: Option<BTreeMap<String, Scalar>>,
}

/// How the engine finds out whether the container is healthy.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Healthcheck {
    /// `["CMD", PROGRAM, ARGUMENT…]`, `["CMD-SHELL", LINE]`, `["NONE"]`, or a string: a line for the container's shell.
    /// Default: the image's own test.
    pub test: Option<StringOr<String>>,
    /// Between two checks. Default: the engine's, 30s.
    pub interval: Option<Duration>,
    /// How long one check may take. Default: the engine's, 30s.
    pub timeout: Option<Duration>,
    /// Failures in a row until it counts as unhealthy. Default: the engine's, 3.
    pub retries: Option<Integer>,
    /// Failures do not count for this long after the start. Default 0s.
    pub start_period: Option<Duration>,
    /// Between two checks during the start period (engines from API 1.44 on).
    pub start_interval: Option<Duration>,
    /// Switch the image's own check off.
    pub disable: Option<Flag>,
}

/// One target that must be there first.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Dependency {
    /// How far it must have come: it runs (default), its health check says healthy, or it ended with exit code 0.
    #[schemars(extend("enum" = ["service_started", "service_healthy", "service_completed_successfully"]))]
    pub condition: Option<String>,
}
