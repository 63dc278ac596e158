//! This process's identity, what it can say about other processes, how it is told to end, and a folder of its own.
//! It must not know containers.

pub mod forward;
pub mod host;
pub mod private_folder;
pub mod process;
pub mod record;
pub mod signals;

use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use crate::model::Owner;

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
