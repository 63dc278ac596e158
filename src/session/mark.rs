//! The mark that everything carries which a session starts on this machine: one variable of the environment, which
//! children hand on to theirs. By it a watchdog finds what its session left running, also what has left its process
//! group or became a daemon. It must not know what is started.
//!
//! It is the session's process in words: its UUID, pid and start time, then what kind of child it is, and a number.

use std::{
    process::Command,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::model::Owner;

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
    format!("{}/{}/{}/", owner.session, owner.pid, owner.pid_start)
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
