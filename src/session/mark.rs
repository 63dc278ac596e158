//! The mark that everything carries which a session starts on this machine: one variable of the environment, which
//! children hand on to theirs. By it a watchdog finds what its session left running, also what has left its process
//! group or became a daemon. It must not know what is started.
//!
//! It is the session's process in words: its UUID, pid namespace, pid and start time, then what kind of child it is, and a
//! number, with a slash after each.

use std::{
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use uuid::Uuid;

use crate::{
    model::{HostIdentity, Owner},
    orphan::Processes,
};

/// The variable. Its name is no setting's (`MCPMON_…`): those are never handed on.
pub const VARIABLE: &str = "_MCPMON_CHILD";

static SESSION: OnceLock<String> = OnceLock::new();

/// What a child is for; decides how it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The docker CLI, at work for the session: asked to end at once.
    Tool,
    /// A server: its stdin has ended, so it has a moment to end by itself.
    Server,
}

impl Kind {
    /// As it stands in a mark.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Server => "server",
        }
    }
}

/// What the marks of a session's children begin with.
pub fn of(owner: &Owner) -> String {
    format!("{}/{}/{}/{}/", owner.session, owner.host.pid_namespace, owner.pid, owner.pid_start)
}

/// The session of a mark, if its process is dead for sure: what its marks begin with, and its UUID.
pub fn of_dead(mark: &str, here: &HostIdentity, processes: &dyn Processes) -> Option<(String, Uuid)> {
    let parts: Vec<&str> = mark.split('/').collect();
    let &[session, namespace, pid, started, ..] = &parts[..] else { return None };
    let (uuid, pid, start) = (session.parse().ok()?, pid.parse().ok()?, started.parse::<u64>().ok()?);
    let lives = processes.start_time(pid).is_some_and(|now| now.is_none_or(|now| now == start));
    // A pid means something in its namespace only.
    (namespace == here.pid_namespace && !lives).then(|| (format!("{session}/{namespace}/{pid}/{started}/"), uuid))
}

/// From now on this process's children are that session's. The first call counts: a process is one session.
pub fn begin(owner: &Owner) {
    let _ = SESSION.set(of(owner));
}

/// Marks a child that is about to be started, and gives the mark; none: this process is no session.
pub fn put(command: &mut Command, kind: Kind) -> Option<String> {
    static COUNT: AtomicU32 = AtomicU32::new(0);

    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let mark = format!("{}{}/{number}/", SESSION.get()?, kind.word());
    command.env(VARIABLE, &mark);
    Some(mark)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::{self, process::ThisHost};

    #[test]
    fn only_a_mark_of_a_dead_process_of_this_namespace_is_a_dead_ones() {
        let me = session::new();
        let dead = |owner: &Owner| of_dead(&format!("{}server/0/", of(owner)), &me.host, &ThisHost);
        assert_eq!(dead(&me), None, "it lives");
        let reused = Owner { pid_start: 1, ..me.clone() };
        assert_eq!(dead(&reused), Some((of(&reused), me.session)));
        let mut elsewhere = reused.clone();
        elsewhere.host.pid_namespace = "1".into();
        assert_eq!(dead(&elsewhere), None);
        for nonsense in ["", "x", "a/b/c/d/e/f/"] {
            assert_eq!(of_dead(nonsense, &me.host, &ThisHost), None, "{nonsense:?}");
        }
    }
}
