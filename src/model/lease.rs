//! What a session says of itself to other sessions of the same user, for as long as it lives: who it is, what it keeps,
//! which containers it has taken over, and what it could not replace. Labels can't be changed once a container is made; this can.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::labels::{HOST, Labels, MANAGED, Owner, PID, PID_START, ROLE, SESSION};

/// A session's lease, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The session's UUID.
    pub session: Uuid,
    /// Its process id.
    pub pid: u32,
    /// The process's start time, clock ticks since boot.
    pub pid_start: u64,
    /// Where the pid means something ([`super::HostIdentity`]).
    pub host: String,
    /// Session start, milliseconds since the epoch.
    pub started: u64,
    /// The role of what it makes; none for a session that keeps a project.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub role: Option<String>,
    /// The engine's address, where it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub engine: Option<String>,
    /// The project it is about.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub project: Option<String>,
    /// The configuration file it was begun with.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub config_file: Option<String>,
    /// Full ids of containers of dead sessions that it has taken over.
    #[serde(default)]
    pub adopted: BTreeSet<String>,
    /// Targets whose replacement failed, and why: what ran before goes on.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub reload_failed: BTreeMap<String, String>,
}

impl Lease {
    /// The lease of a session that has adopted nothing.
    pub fn new(owner: &Owner, engine: Option<&str>, project: Option<&str>) -> Self {
        Self {
            session: owner.session,
            pid: owner.pid,
            pid_start: owner.pid_start,
            host: owner.host.to_string(),
            started: owner.started,
            role: owner.role.map(str::to_owned),
            engine: engine.map(str::to_owned),
            project: project.map(str::to_owned),
            config_file: None,
            adopted: BTreeSet::new(),
            reload_failed: BTreeMap::new(),
        }
    }

    /// The ownership labels of what the session makes: it is judged by them, as a container is.
    pub fn labels(&self) -> Labels {
        let labels = BTreeMap::from([
            (MANAGED.to_owned(), "true".to_owned()),
            (SESSION.to_owned(), self.session.to_string()),
            (PID.to_owned(), self.pid.to_string()),
            (PID_START.to_owned(), self.pid_start.to_string()),
            (HOST.to_owned(), self.host.clone()),
        ]);
        let role = self.role.iter().map(|role| (ROLE.to_owned(), role.clone()));
        Labels(labels.into_iter().chain(role).collect())
    }

    /// Whether the session keeps that project on that engine (as `up` does), whatever of it is there yet.
    pub fn keeps(&self, engine: &str, project: &str) -> bool {
        self.role.is_none() && self.engine.as_deref() == Some(engine) && self.project.as_deref() == Some(project)
    }
}
