//! Collects changes until the files are quiet, then says once what to reload. A state machine with time passed in:
//! it never sleeps and never looks at a clock.
//!
//! A target fires when its files were quiet for its delay; each new change starts the delay afresh, [`LONGEST`] at most
//! in total. One reload per target is in flight: changes that arrive meanwhile make the next one.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Changes, Rules};
use crate::model::settings::WatchAction;

/// A reload is put off by new changes for this long in total, and no longer.
pub const LONGEST: Duration = Duration::from_secs(10);

/// A reload that is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reload {
    /// The target.
    pub target: String,
    /// What to do; the strongest that a change asked for.
    pub action: WatchAction,
    /// The first file that changed; none: events were lost, anything may have changed.
    pub first_path: Option<PathBuf>,
    /// How many different files changed.
    pub count: usize,
}

/// Changes in, reloads out.
#[derive(Debug)]
pub struct Trigger {
    rules: Arc<Rules>,
    states: BTreeMap<String, State>,
    hasher: RandomState,
}

#[derive(Debug)]
struct State {
    delay: Duration,
    in_flight: bool,
    pending: Option<Pending>,
}

#[derive(Debug)]
struct Pending {
    action: WatchAction,
    first_path: Option<PathBuf>,
    /// Digests of the paths, to count each once: 10,000 paths are not kept.
    paths: HashSet<u64>,
    first: Instant,
    last: Instant,
}

impl Trigger {
    /// A trigger that has seen nothing yet.
    pub fn new(rules: Arc<Rules>) -> Self {
        let mut trigger = Self { rules, states: BTreeMap::new(), hasher: RandomState::new() };
        trigger.set_rules(Arc::clone(&trigger.rules));
        trigger
    }

    /// Goes on with other rules. What is pending or in flight stays so for targets that are still there.
    pub fn set_rules(&mut self, rules: Arc<Rules>) {
        let mut old = std::mem::take(&mut self.states);
        self.states = rules
            .targets()
            .iter()
            .map(|target| {
                let (pending, in_flight) =
                    old.remove(&target.target).map_or((None, false), |state| (state.pending, state.in_flight));
                (target.target.clone(), State { delay: target.delay, in_flight, pending })
            })
            .collect();
        self.rules = rules;
    }

    /// Takes changes in.
    pub fn changed(&mut self, now: Instant, changes: &Changes) {
        let rules = Arc::clone(&self.rules);
        if changes.rescan {
            for target in rules.targets() {
                if let Some(action) = target.strongest() {
                    self.add(now, &target.target, action, None);
                }
            }
        }
        for (path, entry) in &changes.paths {
            for (target, action) in rules.hits(path, *entry, &changes.ignores) {
                self.add(now, &target.target, action, Some(path));
            }
        }
    }

    fn add(&mut self, now: Instant, target: &str, action: WatchAction, path: Option<&Path>) {
        let Some(state) = self.states.get_mut(target) else { return };
        let pending = state.pending.get_or_insert_with(|| Pending {
            action,
            first_path: path.map(Path::to_path_buf),
            paths: HashSet::new(),
            first: now,
            last: now,
        });
        pending.action = pending.action.max(action);
        pending.last = now;
        if let Some(path) = path {
            pending.paths.insert(self.hasher.hash_one(path));
        }
    }

    /// What is due now. Each reload given out is in flight until [`Self::done`].
    #[must_use = "a reload that is dropped is lost"]
    pub fn poll(&mut self, now: Instant) -> Vec<Reload> {
        let mut due = Vec::new();
        for (target, state) in &mut self.states {
            if state.deadline().is_some_and(|deadline| deadline <= now)
                && let Some(pending) = state.pending.take()
            {
                state.in_flight = true;
                due.push(Reload {
                    target: target.clone(),
                    action: pending.action,
                    first_path: pending.first_path,
                    count: pending.paths.len(),
                });
            }
        }
        due
    }

    /// When to poll next; none: not before something changes or ends.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.states.values().filter_map(State::deadline).min()
    }

    /// Something else is being done to the target (the plan replaces it, say): no reload starts before [`Self::done`].
    pub fn busy(&mut self, target: &str) {
        if let Some(state) = self.states.get_mut(target) {
            state.in_flight = true;
        }
    }

    /// The reload (or what else was done) has ended, well or not.
    pub fn done(&mut self, target: &str) {
        if let Some(state) = self.states.get_mut(target) {
            state.in_flight = false;
        }
    }

    /// Whether something is being done to the target.
    #[must_use]
    pub fn is_busy(&self, target: &str) -> bool {
        self.states.get(target).is_some_and(|state| state.in_flight)
    }

    /// Whether a change of the target's files waits for its reload.
    #[must_use]
    pub fn is_pending(&self, target: &str) -> bool {
        self.states.get(target).is_some_and(|state| state.pending.is_some())
    }

    /// Forgets what is pending for a target, because what just began will see these changes anyway.
    pub fn forget(&mut self, target: &str) {
        if let Some(state) = self.states.get_mut(target) {
            state.pending = None;
        }
    }
}

impl State {
    fn deadline(&self) -> Option<Instant> {
        let pending = self.pending.as_ref().filter(|_| !self.in_flight)?;
        Some((pending.last + self.delay).min(pending.first + LONGEST.max(self.delay)))
    }
}

#[cfg(test)]
mod tests;
