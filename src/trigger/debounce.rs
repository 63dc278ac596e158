//! Collects changes until the files are quiet, then says once what to reload. A state machine with time passed in:
//! it never sleeps and never looks at a clock.
//!
//! A target fires when its files were quiet for its delay; each new change starts the delay afresh, [`LONGEST`] at most
//! in total. One reload per target is in flight: changes that arrive meanwhile make the next one.
//!
//! A server that writes into its own mounted folder each time it starts would be restarted without end: such reloads
//! are put off after [`ROW`] in a row. None is lost, because a person who saves one file again and again looks the same.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher, RandomState},
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Changes, Rules, rules::TargetRules};
use crate::model::settings::WatchAction;

/// A reload is put off by new changes for this long in total, and no longer.
pub const LONGEST: Duration = Duration::from_secs(10);

/// How many reloads in a row a target may seem to cause itself.
pub const ROW: u32 = 5;
/// How long the next one then waits after the last.
pub const PAUSE: Duration = Duration::from_secs(10);
/// How soon after its reload a target changes what it changes itself.
const SOON: Duration = Duration::from_secs(2);

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
    warnings: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    delay: Duration,
    in_flight: bool,
    pending: Option<Pending>,
    last: Option<Last>,
    /// How many reloads in a row it seems to have caused itself.
    row: u32,
    warned: bool,
}

/// A target's last reload.
#[derive(Debug)]
struct Last {
    path: Option<PathBuf>,
    ended: Instant,
}

#[derive(Debug)]
struct Pending {
    action: WatchAction,
    first_path: Option<PathBuf>,
    /// The target can have changed it.
    is_writable: bool,
    /// Digests of the paths, to count each once: 10,000 paths are not kept.
    paths: HashSet<u64>,
    first: Instant,
    last: Instant,
}

impl Trigger {
    /// A trigger that has seen nothing yet.
    pub fn new(rules: Arc<Rules>) -> Self {
        let (hasher, warnings) = (RandomState::new(), Vec::new());
        let mut trigger = Self { rules, states: BTreeMap::new(), hasher, warnings };
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
                let state = old.remove(&target.target).unwrap_or_default();
                (target.target.clone(), State { delay: target.delay, ..state })
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
                    self.add(now, target, action, None);
                }
            }
        }
        for (path, entry) in &changes.paths {
            for (target, action) in rules.hits(path, *entry, &changes.ignores) {
                self.add(now, target, action, Some(path));
            }
        }
    }

    fn add(&mut self, now: Instant, target: &TargetRules, action: WatchAction, path: Option<&Path>) {
        let Some(state) = self.states.get_mut(&target.target) else { return };
        let pending = state.pending.get_or_insert_with(|| Pending {
            action,
            first_path: path.map(Path::to_path_buf),
            is_writable: path.is_some_and(|path| target.may_write(path)),
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
                state.row = if state.is_by_itself(&pending) { state.row + 1 } else { 0 };
                if state.row > ROW && !std::mem::replace(&mut state.warned, true) {
                    self.warnings.push(by_itself(target, pending.first_path.as_deref()));
                }
                // Until it is told when it ended.
                state.last = Some(Last { path: pending.first_path.clone(), ended: now });
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

    /// What a person should know, each once: one sentence with the target's name.
    pub fn take_warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.warnings)
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
    pub fn done(&mut self, now: Instant, target: &str) {
        if let Some(state) = self.states.get_mut(target) {
            state.in_flight = false;
            if let Some(last) = &mut state.last {
                last.ended = now;
            }
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
        let quiet = (pending.last + self.delay).min(pending.first + LONGEST.max(self.delay));
        let pause = self.last.as_ref().filter(|_| self.row >= ROW && self.is_by_itself(pending));
        Some(pause.map_or(quiet, |last| quiet.max(last.ended + PAUSE)))
    }

    /// Whether the target may have caused this itself: what it can write changed during its last reload or soon after,
    /// and it is what changed before.
    fn is_by_itself(&self, pending: &Pending) -> bool {
        let is_soon = |last: &Last| pending.first < last.ended + SOON && pending.first_path == last.path;
        pending.is_writable && self.last.as_ref().is_some_and(is_soon)
    }
}

fn by_itself(target: &str, path: Option<&Path>) -> String {
    format!(
        "{target}: {} changes each time it is started; for that, it is restarted every {} seconds at most. Name what you \
         edit in what is watched, or what the server writes in .gitignore",
        path.unwrap_or(Path::new("a file")).display(),
        PAUSE.as_secs()
    )
}

#[cfg(test)]
mod tests;
