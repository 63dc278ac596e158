//! What the worker hands to the consumer: each path once until it is taken. Nothing is dropped; what would not fit
//! becomes a rescan.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::trigger::{Changes, Entry};

/// More different paths than this at once are one rescan.
const MOST_PATHS: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    changes: Mutex<Changes>,
    filled: Notify,
}

impl Outbox {
    pub(super) fn put(&self, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        let mut held = self.lock();
        held.paths.extend(changes.paths);
        held.rescan |= changes.rescan;
        held.warnings.extend(changes.warnings);
        held.ignores = changes.ignores;
        if held.paths.len() > MOST_PATHS {
            held.paths = BTreeMap::<PathBuf, Entry>::new();
            held.rescan = true;
        }
        drop(held);
        self.filled.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Changes> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where changes come out.
#[derive(Debug)]
pub struct ChangeReceiver {
    outbox: Arc<Outbox>,
}

impl ChangeReceiver {
    pub(super) fn new(outbox: Arc<Outbox>) -> Self {
        Self { outbox }
    }

    /// Waits for changes and takes all there are. Nothing is lost when the future is dropped half-way.
    pub async fn next(&mut self) -> Changes {
        loop {
            let changes = std::mem::take(&mut *self.outbox.lock());
            if !changes.is_empty() {
                return changes;
            }
            self.outbox.filled.notified().await;
        }
    }
}
