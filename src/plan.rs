//! The difference between what the file asks for and what the engine has: pure, the same input
//! always gives the same plan. It must not know how anything is carried out.
//!
//! Each desired or observed thing gets exactly one [`Change`]: what is done ([`Step`]), why
//! ([`Change::cause`]) and what must come first ([`Change::waits`]). A change that waits is a hold
//! for the loop and an ordered step for a reader; [`Step::Hold`] needs something from outside.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::model::{fingerprint::FieldChange, settings::OnDrift};

mod decide;
mod reason;
mod service;
#[cfg(test)]
mod tests;

pub use decide::{container_name, dependency_order, image, meant, plan, scope, short};
pub use reason::down_of;

/// The field that says that an image is another one.
const IMAGE_ID: &str = "image id";

/// The ordered difference.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// Networks and volumes first, then targets in the order of their dependencies, then removals.
    pub changes: Vec<Change>,
}

/// One thing and what happens to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is.
    pub subject: Subject,
    /// What is done.
    pub step: Step,
    /// Why, in words. Empty for [`Step::Same`].
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cause: String,
    /// What must come first, in words (`db must be healthy`).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<String>,
}

/// More names of fields are no help in one line.
const MOST_FIELDS: usize = 5;

impl Change {
    /// Why, with the names of the fields that differ: for who is shown no values.
    pub fn cause_in_short(&self) -> String {
        let fields = match &self.step {
            Step::Replace { fields, .. } | Step::RefreshImage { fields, .. } => fields.as_slice(),
            _ => &[],
        };
        // Which image is another one is what the cause itself says.
        let names: Vec<&str> =
            fields.iter().map(|field| field.field.as_str()).filter(|field| *field != IMAGE_ID).collect();
        match names.split_at_checked(MOST_FIELDS) {
            Some((shown, rest @ [_, ..])) => format!("{}: {} and {} more", self.cause, shown.join(", "), rest.len()),
            _ if names.is_empty() => self.cause.clone(),
            _ => format!("{}: {}", self.cause, names.join(", ")),
        }
    }
}

/// What a change is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    /// A network, by its name on the engine.
    Network(String),
    /// A volume, by its name on the engine.
    Volume(String),
    /// A target, by its name in the file (or in the label, when it left the file).
    Target(String),
}

impl Subject {
    /// The name alone.
    pub fn name(&self) -> &str {
        match self {
            Self::Network(name) | Self::Volume(name) | Self::Target(name) => name,
        }
    }
}

/// What is done to a thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Step {
    /// It is as asked.
    Same {
        /// Container id, for targets.
        #[serde(skip_serializing_if = "Option::is_none")]
        container: Option<String>,
        /// Whether it can be relied on: running, healthy where there is a health check, or done.
        ready: bool,
    },
    /// It can't go on until something changes from outside, or time passes.
    Hold {
        /// When looking again makes sense by itself (milliseconds from now).
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_ms: Option<u64>,
    },
    /// Make a network or volume.
    Make,
    /// Fetch or build the image of a target whose container may then have to be replaced.
    RefreshImage {
        /// How.
        image: ImageAction,
        /// What differs of its build.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        fields: Vec<FieldChange>,
    },
    /// Make and start a container.
    Create {
        /// Its image first.
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<ImageAction>,
    },
    /// Start a container that is there.
    Start {
        /// Container id.
        container: String,
    },
    /// Replace a container by one of another spec, image or owner.
    Replace {
        /// Container id.
        container: String,
        /// Its image first.
        #[serde(skip_serializing_if = "Option::is_none")]
        image: Option<ImageAction>,
        /// What differs.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        fields: Vec<FieldChange>,
    },
    /// Take over a container of a dead session that is as asked. Nothing happens to it.
    Adopt {
        /// Container id.
        container: String,
    },
    /// Go on after a pause.
    Unpause {
        /// Container id.
        container: String,
    },
    /// Give it its name back.
    Rename {
        /// Container id.
        container: String,
        /// The name asked for.
        name: String,
    },
    /// Stop and remove containers, or remove a network.
    Remove {
        /// Container ids; empty for networks.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        containers: Vec<String>,
    },
}

/// How an image comes to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageAction {
    /// `docker pull`.
    Pull,
    /// `docker build`.
    Build,
}

/// Whose a container is, judged before the plan is made (see [`crate::orphan`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ownership {
    /// This session's; or there is no session (a plan that is only shown).
    Mine,
    /// Another session's, which lives.
    Living {
        /// Its process id.
        pid: u32,
    },
    /// Its owner is dead.
    Dead {
        /// How that is known.
        reason: String,
        /// It is such a one as this session makes: where it is as asked, it may be taken over.
        adoptable: bool,
    },
    /// Another configuration file's, which is still there and has the same project name.
    OtherFile {
        /// Its path.
        file: String,
    },
    /// Another host's, or another pid namespace's: nobody here can tell.
    Remote {
        /// Which.
        host: String,
    },
}

/// What the loop knows besides the file and the engine. A plan that is only shown has an empty one.
#[derive(Debug, Clone)]
pub struct Situation {
    /// Owner of each container, by id; [`Ownership::Mine`] when absent.
    pub owners: BTreeMap<String, Ownership>,
    /// Targets that are being worked on: nothing is planned for them.
    pub busy: BTreeSet<String>,
    /// Targets meant; none = all. Others are neither made nor removed.
    pub scope: Option<BTreeSet<String>>,
    /// Targets whose image is to be fetched or built although it is there.
    pub refresh: BTreeSet<String>,
    /// Targets that failed or crashed lately: how long until the next try (zero: now), and the words for it.
    pub backoff: BTreeMap<String, Backoff>,
    /// Targets whose replacement was tried and did not become ready, and why: what runs goes on until
    /// something else is asked for.
    pub rejected: BTreeMap<String, String>,
    /// Targets that this session has brought up before: what is missing of them now, somebody removed.
    pub made: BTreeSet<String>,
    /// Containers that somebody else asked to end: exit code 0 is no sign that their work is done.
    pub stopped: BTreeSet<String>,
    /// What to do about what was changed from outside.
    pub on_drift: OnDrift,
    /// Remove what left the file.
    pub prune: bool,
}

impl Default for Situation {
    fn default() -> Self {
        Self {
            owners: BTreeMap::new(),
            busy: BTreeSet::new(),
            scope: None,
            refresh: BTreeSet::new(),
            backoff: BTreeMap::new(),
            rejected: BTreeMap::new(),
            made: BTreeSet::new(),
            stopped: BTreeSet::new(),
            on_drift: OnDrift::Recreate,
            prune: true,
        }
    }
}

/// A target that failed lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    /// Milliseconds until the next try; none = not before something changes.
    pub retry_ms: Option<u64>,
    /// What happened.
    pub reason: String,
}

impl Plan {
    /// What would be changed on the engine, in order.
    pub fn actions(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| !matches!(change.step, Step::Same { .. } | Step::Hold { .. }))
    }

    /// What can't go on, and why.
    pub fn holds(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| matches!(change.step, Step::Hold { .. }))
    }

    /// Nothing to do and nothing held.
    pub fn is_empty(&self) -> bool {
        self.changes.iter().all(|change| matches!(change.step, Step::Same { .. }))
    }
}
