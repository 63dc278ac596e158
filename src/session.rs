//! This process's identity, its lease, what it can say about other processes and sessions, how it is told to end, a
//! folder of its own, and what it keeps in memory. It must not know containers.

pub mod forward;
pub mod guard;
pub mod host;
pub mod inherited;
pub mod lease;
pub mod leases;
pub mod left;
pub mod mark;
pub mod private_folder;
pub mod process;
pub mod resident;
pub mod runtime_folder;
pub mod signals;
pub mod state_folder;
pub mod turn;
pub mod watchdog;

use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use uuid::Uuid;

use crate::{
    config::claim,
    model::{Lease, Owner},
    orphan::Known,
};

/// The owner that this process is: a new session each time it is called.
pub fn new() -> Owner {
    let pid = std::process::id();
    Owner {
        session: Uuid::new_v4(),
        pid,
        pid_start: process::start_time(pid).unwrap_or_default(),
        host: host::identity(),
        started: u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis())
            .unwrap_or_default(),
        role: None,
    }
}

/// What this host knows now of its processes, its living sessions, and what configuration files ask for.
pub fn known() -> Known {
    let known = Known {
        here: host::identity(),
        processes: Arc::new(process::ThisHost),
        leases: Vec::new(),
        claims: Arc::new(claim::Files),
        ends: Arc::new(left::Left),
    };
    let leases = leases::living(|lease: &Lease| known.is_dead(&lease.labels()));
    Known { leases, ..known }
}
