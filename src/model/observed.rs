//! What the engine has, as far as a plan needs it. Read afresh on each pass; nothing is remembered here.

use std::collections::{BTreeMap, BTreeSet};

use super::labels::Labels;

/// The engine's side of a plan.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    /// Every container that carries this project's label, running or not.
    pub containers: Vec<ObservedContainer>,
    /// Desired image references to what the engine has for them now; absent = not there.
    pub images: BTreeMap<String, ObservedImage>,
    /// Networks of this project (or named like one that is asked for), by name.
    pub networks: BTreeMap<String, ObservedResource>,
    /// Volumes of this project (or named like one that is asked for), by name.
    pub volumes: BTreeMap<String, ObservedResource>,
    /// Names that are taken by containers without this project's label: name to container id.
    pub foreign_names: BTreeMap<String, String>,
    /// Containers of the compose projects asked for that are not this project's.
    pub strangers: Vec<ObservedContainer>,
}

/// An image on the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedImage {
    /// Its id (`sha256:…`).
    pub id: String,
    /// The hash of the build it came from, where mcpmon built it.
    pub build_hash: Option<String>,
}

/// A network or volume on the engine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedResource {
    /// Its labels.
    pub labels: Labels,
}

/// One container on the engine.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedContainer {
    /// Full id.
    pub id: String,
    /// Name without the leading slash.
    pub name: String,
    /// Image reference it was made from.
    pub image: String,
    /// Image id (`sha256:…`).
    pub image_id: String,
    /// Its labels.
    pub labels: Labels,
    /// What it does.
    pub state: State,
    /// What its health check says.
    pub health: Health,
    /// Creation time, seconds since the epoch.
    pub created: i64,
    /// The engine's words for the state (`Up 3 seconds (healthy)`).
    pub status: String,
    /// Published ports, as `127.0.0.1:3000->3000/tcp`.
    pub ports: Vec<String>,
    /// Networks it is attached to, by name.
    pub networks: BTreeSet<String>,
}

/// What a container does. Engines have more words; what is unknown is [`State::Other`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Frozen from outside.
    Paused,
    /// The engine's own restart policy is at work.
    Restarting,
    /// Ended, with its exit code where the engine told it.
    Exited(Option<i64>),
    /// Being removed, or dead: it will be gone.
    Removing,
    /// A word this version does not know.
    Other(String),
}

/// What a health check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// There is no health check.
    #[default]
    None,
    /// Not decided yet.
    Starting,
    /// Healthy.
    Healthy,
    /// Unhealthy.
    Unhealthy,
}
