//! `[targets.NAME]`: one entry of the file. Names and meanings are compose-spec's where it has them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    forms::{ListOr, ShortOr, StringOr},
    mcp::Mcp,
    reload::{Deploy, Develop},
    scalar::{Duration, Flag, Integer, Number, Scalar, Size},
    service::{Build, Dependency, EnvFile, Healthcheck, Logging, Mount, Port, ServiceNetwork, Ulimit},
};

/// One target: exactly one of a container (`image`, `build` or both), services of a compose project (`compose`),
/// or a plain command (`run`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Target {
    /// The image to run. With `build` as well: the tag that the build gets (default `<project>-<target>`).
    pub image: Option<String>,
    /// How the image is built: the context folder, or a table.
    pub build: Option<ShortOr<Build>>,
    /// When the image is fetched: `missing` (default) when the engine does not have it, `always` and `build` at each
    /// `up`, `never`. `if_not_present` means `missing`.
    #[schemars(extend("enum" = ["missing", "if_not_present", "always", "never", "build"]))]
    pub pull_policy: Option<String>,
    /// Replaces the image's command. A string is split into words as a shell would, without running one.
    pub command: Option<StringOr<String>>,
    /// Replaces the image's entrypoint. A string is split into words as a shell would; an empty list clears it.
    pub entrypoint: Option<StringOr<String>>,
    /// Environment of the container: a table, or a list of `KEY=value`. A bare `KEY` in the list takes the host's value.
    /// Values whose key looks like a secret's are masked in everything mcpmon prints.
    pub environment: Option<ListOr<Scalar>>,
    /// Files that the environment is read from, below `environment`; later files win. Read by the rules of compose's
    /// `.env`. All their values are masked.
    pub env_file: Option<EnvFiles>,
    /// Bind mounts and volumes: `SOURCE:TARGET[:OPTIONS]` or a table. A source that begins with `.`, `/` or `~` is a path
    /// (relative to this file); any other is the name of a volume.
    pub volumes: Option<Vec<ShortOr<Mount>>>,
    /// Published ports: `[IP:][HOST:]CONTAINER[/PROTOCOL]`, each port may be a range `FIRST-LAST`; or a table.
    pub ports: Option<Vec<ShortOr<Port>>>,
    /// Folders of the container that live in memory: `PATH[:OPTIONS]`.
    pub tmpfs: Option<StringOr<String>>,
    /// The networks it is in, by their name under `[networks]`. Default: `default`, the project's own.
    pub networks: Option<ListOr<ServiceNetwork>>,
    /// `host`, `none`, `bridge` or `container:ID`, in place of `networks`.
    pub network_mode: Option<String>,
    /// More lines of the container's `/etc/hosts`: `NAME=ADDRESS` (or `NAME:ADDRESS`), or a table by name.
    pub extra_hosts: Option<ListOr<Scalar>>,
    /// The host name inside the container.
    pub hostname: Option<String>,
    /// A fixed name for the container; default `<project>-<target>`. It rules out start-first reloads.
    pub container_name: Option<String>,
    /// Labels of the container: a table, or a list of `KEY=value`. `mcpmon.*` is mcpmon's own.
    pub labels: Option<ListOr<Scalar>>,
    /// The working directory in the container.
    pub working_dir: Option<String>,
    /// The user in the container: `USER[:GROUP]`, by name or number.
    pub user: Option<Scalar>,
    /// Keep the container's stdin open. Default: true where `mcp.transport` is `stdio`, else false.
    pub stdin_open: Option<Flag>,
    /// Give the container a terminal. Never for a stdio server: a terminal echoes.
    pub tty: Option<Flag>,
    /// Run an init as process 1, so that signals end the server at once. Default true (compose: false).
    pub init: Option<Flag>,
    /// The container's root file system is read-only.
    pub read_only: Option<Flag>,
    /// Linux capabilities added.
    pub cap_add: Option<Vec<String>>,
    /// Linux capabilities dropped; `ALL` for all.
    pub cap_drop: Option<Vec<String>>,
    /// Security options, as `docker run --security-opt` takes them.
    pub security_opt: Option<Vec<String>>,
    /// Give the container all capabilities and devices of the host.
    pub privileged: Option<Flag>,
    /// Resource limits by name (`nofile`): one number for both limits, or a table. -1 is no limit.
    pub ulimits: Option<BTreeMap<String, ShortOr<Ulimit>>>,
    /// Size of `/dev/shm`.
    pub shm_size: Option<Size>,
    /// Memory limit, at least 6 MiB (the engine's own rule).
    pub mem_limit: Option<Size>,
    /// How many CPUs it may use; may be a fraction.
    pub cpus: Option<Number>,
    /// How many processes it may have; -1 is no limit.
    pub pids_limit: Option<Integer>,
    /// The signal that asks it to stop. Default: the image's, else `SIGTERM`.
    pub stop_signal: Option<String>,
    /// How long a stop may take before the kill. Default: `docker.stop_grace_period`.
    pub stop_grace_period: Option<Duration>,
    /// The engine's own restart policy: `no` (default), `always`, `unless-stopped`, `on-failure[:TIMES]`. mcpmon restarts by
    /// itself; another policy than `no` works against its backoff.
    pub restart: Option<String>,
    /// The log driver and its options. Default: the engine's.
    pub logging: Option<Logging>,
    /// How the engine finds out whether the container is healthy. Default: the image's own.
    pub healthcheck: Option<Healthcheck>,
    /// The targets that must be there first: a list of names, or a table with a `condition` each.
    pub depends_on: Option<ListOr<Dependency>>,
    /// What is watched, and what a change does.
    pub develop: Option<Develop>,
    /// How a reload swaps containers.
    pub deploy: Option<Deploy>,
    /// What MCP needs to know about the target.
    pub mcp: Option<Mcp>,
    /// Services of a compose project, run by `docker compose`.
    pub compose: Option<Compose>,
    /// A plain command, no container: program and arguments. A string is split into words as a shell would.
    pub run: Option<StringOr<String>>,
}

/// `[targets.NAME.compose]`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Compose {
    /// Compose files, in order (`-f`). Default: those that `docker compose` finds by itself.
    pub file: Option<StringOr<String>>,
    /// The compose project's name (`-p`).
    pub project_name: Option<String>,
    /// The folder that the compose file's relative paths are relative to (`--project-directory`).
    pub project_directory: Option<String>,
    /// Compose profiles that are active (`--profile`).
    pub profiles: Option<Vec<String>>,
    /// Files that compose takes variables from (`--env-file`).
    pub env_file: Option<StringOr<String>>,
    /// The services meant. Default: all.
    pub services: Option<Vec<String>>,
    /// Compose keys, written out as the last compose file; compose fills in its `${…}`.
    #[serde(rename = "override")]
    pub overrides: Option<BTreeMap<String, serde_json::Value>>,
}

/// `env_file`: one path, one table, or a list of both.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum EnvFiles {
    /// One file.
    One(ShortOr<EnvFile>),
    /// Several, later ones win.
    Many(Vec<ShortOr<EnvFile>>),
}
