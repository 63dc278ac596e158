//! What notify's thread hands to the worker: each path once, with the last thing that happened to it.
//! It must not look at the file system (that thread must keep up with the kernel's queue) nor know any rule.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use notify::{
    ErrorKind, Event, EventKind,
    event::{AccessKind, AccessMode, MetadataKind, ModifyKind, RenameMode},
};
use tokio::sync::oneshot;

use crate::trigger::Rules;

/// More different paths than this at once are one rescan.
const MOST_PATHS: usize = 100_000;

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Touch {
    /// It was made, removed or renamed: look at what it is now.
    pub(super) structural: bool,
    /// The last event finished a save.
    pub(super) finished: bool,
}

/// What the worker is told to do.
#[derive(Debug)]
pub(super) enum Command {
    /// Watch this.
    Set { rules: Arc<Rules>, inputs: BTreeSet<PathBuf>, reply: oneshot::Sender<()> },
    /// End.
    End,
}

/// Everything that came in since the last look.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) touched: HashMap<PathBuf, Touch>,
    pub(super) commands: Vec<Command>,
    pub(super) rescan: bool,
    pub(super) limit_reached: bool,
    pub(super) errors: Vec<String>,
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.touched.is_empty()
            && self.commands.is_empty()
            && !self.rescan
            && !self.limit_reached
            && self.errors.is_empty()
    }
}

#[derive(Debug, Default)]
pub(super) struct Inbox {
    batch: Mutex<Batch>,
    filled: Condvar,
}

impl Inbox {
    /// From notify's thread.
    pub(super) fn notified(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.lock().rescan = true,
            Ok(event) => {
                let Some(touch) = touch(event.kind) else { return };
                let mut batch = self.lock();
                for path in event.paths {
                    let known = batch.touched.entry(path).or_default();
                    known.structural |= touch.structural;
                    known.finished = touch.finished;
                }
                if batch.touched.len() > MOST_PATHS {
                    batch.touched.clear();
                    batch.rescan = true;
                }
            }
            Err(error) if matches!(error.kind, ErrorKind::MaxFilesWatch) => self.lock().limit_reached = true,
            Err(error) => self.lock().errors.push(error.to_string()),
        }
        self.filled.notify_one();
    }

    pub(super) fn command(&self, command: Command) {
        self.lock().commands.push(command);
        self.filled.notify_one();
    }

    /// Waits until something is there or `deadline` has passed, and takes it all.
    pub(super) fn wait(&self, deadline: Option<Instant>) -> Batch {
        let mut batch = self.lock();
        while batch.is_empty() {
            batch = match deadline {
                None => self.filled.wait(batch).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.filled.wait_timeout(batch, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        std::mem::take(&mut *batch)
    }

    /// A panic elsewhere leaves the batch usable: every change of it is one statement.
    fn lock(&self) -> MutexGuard<'_, Batch> {
        self.batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What an event says; none: it does not count (opened, read, permissions).
fn touch(kind: EventKind) -> Option<Touch> {
    let touch = |structural, finished| Some(Touch { structural, finished });
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => touch(false, true),
        EventKind::Modify(ModifyKind::Name(RenameMode::To)) => touch(true, true),
        // `WriteTime` is how polling watchers say that a file was written.
        EventKind::Modify(
            ModifyKind::Metadata(MetadataKind::WriteTime) | ModifyKind::Data(_) | ModifyKind::Any | ModifyKind::Other,
        ) => touch(false, false),
        // `Both` comes after `From` and `To` and says nothing new.
        EventKind::Access(_) | EventKind::Modify(ModifyKind::Metadata(_) | ModifyKind::Name(RenameMode::Both)) => None,
        EventKind::Modify(ModifyKind::Name(_))
        | EventKind::Create(_)
        | EventKind::Remove(_)
        | EventKind::Any
        | EventKind::Other => touch(true, false),
    }
}
