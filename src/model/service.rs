//! A service of a compose project, as a target: what compose makes of it, as far as mcpmon compares, watches and keeps it.
//! It must not know how compose is run.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    sync::Arc,
    time::Duration,
};

use serde_json::{Map, Value};

use super::{
    observed::ObservedContainer,
    secret::Secrets,
    target::{Bind, Build},
};

/// compose's label for the project's name.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// compose's label for the service's name.
pub const COMPOSE_SERVICE: &str = "com.docker.compose.service";
/// compose's label for the number among a service's containers.
pub const COMPOSE_NUMBER: &str = "com.docker.compose.container-number";
/// compose's label that tells containers of `compose run`.
pub const COMPOSE_ONE_OFF: &str = "com.docker.compose.oneoff";

/// One service. Its target's name is `<compose target>/<service>`.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceTarget {
    /// The project it is of.
    pub project: Arc<ComposeProject>,
    /// Its name in the compose file.
    pub service: String,
    /// What its containers consist of, as compose resolved it: without what they don't (build, dependencies, number).
    pub spec: Value,
    /// The hash of that.
    pub hash: String,
    /// Everything that compose said of it, in compose's own escapes.
    pub whole: Value,
    /// Its image.
    pub image: String,
    /// Compose can build it.
    pub builds: bool,
    /// The build's folder, where it is one.
    pub build: Option<Build>,
    /// The image is built each time.
    pub always_build: bool,
    /// Folders and files of the host that are mounted.
    pub binds: Vec<Bind>,
    /// Networks, by their name on the engine.
    pub networks: BTreeSet<String>,
    /// How many containers it has.
    pub replicas: usize,
    /// How long it may take to stop.
    pub grace: Duration,
    /// The engine starts it again by itself, whatever its exit code.
    pub engine_restarts: bool,
    /// Targets after whose replacement it starts again (`depends_on.restart`).
    pub follows: BTreeSet<String>,
    /// Targets whose network or other namespace it has: it must be made anew after them.
    pub shares: BTreeSet<String>,
    /// What of the spec's texts must not be shown.
    pub secrets: Secrets,
}

/// A compose target's project: what all its services have in common.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComposeProject {
    /// The compose target's name in `mcpmon.toml`.
    pub target: String,
    /// The compose project's name.
    pub name: String,
    /// `docker compose`, its options and files: everything before the generated file and the command.
    pub command: Vec<OsString>,
    /// The last file's content besides mcpmon's labels.
    pub overrides: Map<String, Value>,
    /// Networks that compose makes: name in the file to name on the engine.
    pub networks: BTreeMap<String, String>,
    /// Volumes that compose makes, by their name on the engine.
    pub volumes: BTreeSet<String>,
    /// Variables that its services' env files set: what they are set to is nobody's business.
    pub env_file_keys: BTreeSet<String>,
}

impl ServiceTarget {
    /// Whether an end with exit code 0 is what is wanted of it, where nobody asked it to end.
    pub fn may_be_done(&self) -> bool {
        !self.engine_restarts
    }

    /// Whether a container is of the compose project that the service is of: under another name of the project, another one
    /// takes its place.
    pub fn is_of_its_project(&self, container: &ObservedContainer) -> bool {
        container.labels.get(COMPOSE_PROJECT) == Some(&self.project.name)
    }
}
