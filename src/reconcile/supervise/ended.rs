//! What came of what was begun: said, remembered, and a reason to look again.

use std::{sync::Arc, time::Instant};

use super::{
    Supervisor,
    memory::{Rejected, Spare},
};
use crate::{
    compose::followers::{self, Again},
    engine::{Engine, Images},
    model::{Settings, TargetKind, settings::WatchAction, target::UpdateOrder},
    output::{
        ActionKind, Event,
        event::millis,
        follow::{Start, tail},
    },
    plan::{Change, Step, Subject, short},
    reconcile::{
        act::{Done, Failure, LOG_LINES},
        ready::{Evidence, evidence},
    },
    trigger::Reload,
};

/// Something in the background ended.
pub(super) struct Outcome {
    pub(super) work: Work,
    pub(super) began: Instant,
    /// The settings that were in force when it began.
    pub(super) settings: Arc<Settings>,
    pub(super) result: Result<Done, Failure>,
}

/// What happened to the target of what came of it.
fn again(result: &Result<Done, Failure>) -> Option<Again> {
    match result {
        Ok(Done::Swapped { .. }) => Some(Again::Made),
        Ok(Done::Restarted { .. }) => Some(Again::Started),
        _ => None,
    }
}

/// What it was.
#[derive(Debug, Clone)]
pub(super) enum Work {
    /// A change of the plan.
    Change(Change, ActionKind),
    /// A reload because files changed.
    Reload(Reload, ActionKind),
    /// A container that ran before this session was copied into, or only looked at.
    Adopt {
        /// The target.
        target: String,
        /// Something was to be copied.
        told: bool,
    },
    /// A kept container was put back.
    PutBack(String),
    /// A started container was asked whether it answers.
    Probe {
        /// The target.
        target: String,
        /// Its container.
        container: String,
    },
    /// A kept container was removed.
    Spare(String),
}

impl<E: Engine, I: Images> Supervisor<E, I> {
    pub(super) async fn ended(&mut self, outcome: Outcome) {
        self.look_again = true;
        let duration_ms = millis(outcome.began.elapsed());
        let edited = match &outcome.work {
            Work::Change(change, _) => Some(change.subject.name()),
            Work::Reload(Reload { target, .. }, _) | Work::PutBack(target) | Work::Adopt { target, .. } => {
                Some(target.as_str())
            }
            Work::Probe { .. } | Work::Spare(_) => None,
        };
        let edited = edited.filter(|_| !Arc::ptr_eq(&outcome.settings, &self.settings)).map(str::to_owned);
        match outcome.work {
            Work::Change(change, kind) => {
                let replaced = matches!(change.step, Step::Replace { .. })
                    && matches!(outcome.result, Ok(Done::Started { .. } | Done::Swapped { .. }));
                self.change_ended(&change, kind, outcome.result, duration_ms);
                if replaced {
                    self.followers_start_again(change.subject.name(), Again::Made, outcome.began);
                }
            }
            Work::Reload(reload, kind) => {
                let (again, target) = (again(&outcome.result), reload.target);
                self.reload_ended(target.clone(), kind, outcome.result, duration_ms);
                if let Some(again) = again {
                    self.followers_start_again(&target, again, outcome.began);
                }
            }
            Work::Adopt { target, told } => {
                self.release(&Subject::Target(target.clone()));
                let again = again(&outcome.result);
                self.synced(target.clone(), ActionKind::Sync, outcome.result, told.then_some(duration_ms));
                if let Some(again) = again {
                    self.followers_start_again(&target, again, outcome.began);
                }
            }
            Work::PutBack(target) => {
                self.release(&Subject::Target(target.clone()));
                let failure = match outcome.result {
                    Ok(Done::PutBack { log }) => {
                        Failure { log, ..Failure::new("it ended at once; the old container was started again") }
                    }
                    Ok(_) => return,
                    Err(failure) => failure,
                };
                self.reload_failed(target, failure);
            }
            Work::Probe { target, container } => self.probe_ended(&target, &container, outcome.result).await,
            Work::Spare(container) => {
                self.discarded.remove(&container);
                if let Err(failure) = outcome.result {
                    self.warn(format!("an old container could not be removed: {}", failure.message));
                }
            }
        }
        // What failed was made from settings that are no longer in force: it says nothing about those that are.
        if let Some(target) = edited {
            self.attempts.forget(&target, Instant::now());
            let memory = self.memory(&target);
            (memory.rejected, memory.delayed) = (None, None);
        }
    }

    fn release(&mut self, subject: &Subject) {
        self.working.remove(subject);
        self.trigger.done(Instant::now(), subject.name());
    }

    fn change_ended(&mut self, change: &Change, action: ActionKind, result: Result<Done, Failure>, duration_ms: u64) {
        let target = change.subject.name().to_owned();
        self.release(&change.subject);
        match result {
            Ok(done) => {
                self.report(match &done {
                    // It is told, and kept, by whoever did it.
                    Done::StartedElsewhere { container } => {
                        Event::Unchanged { target: target.clone(), container: short(container).to_owned() }
                    }
                    _ => Event::ActionDone { target: target.clone(), action, duration_ms },
                });
                let with_image = matches!(
                    change.step,
                    Step::RefreshImage { .. } | Step::Create { image: Some(_) } | Step::Replace { image: Some(_), .. }
                );
                let memory = self.memory(&target);
                memory.refresh &= !with_image;
                // What this session removed is missing for its own reasons.
                memory.made &= !matches!(change.step, Step::Remove { .. });
                memory.said = None;
                memory.delayed = None;
                if let (Step::Adopt { container }, Some(followers)) = (&change.step, &self.followers) {
                    // It began long ago; what it printed then was shown then.
                    followers.follow(&target, container, Start::Now);
                }
                self.runs(&target, done, true);
            }
            Err(failure) if failure.unreachable => self.lose_engine(&failure.message),
            // What is given up because the session ends is no failure.
            Err(_) if self.executor.ending.is_cancelled() => {}
            // What failed to take its place has left what ran running. What may be over in a moment is tried again.
            Err(failure) if failure.goes_on && !failure.passing => self.reload_failed(target, failure),
            Err(failure) => {
                if failure.goes_on {
                    self.memory(&target).delayed = Some(failure.message.clone());
                    self.tell_rejections();
                }
                let now = Instant::now();
                let wait = self.attempts.failed(&target, &failure.message, now, self.settings.reconcile.backoff);
                self.failed(&target, action, failure, Some(millis(wait)));
            }
        }
    }

    fn reload_ended(&mut self, target: String, action: ActionKind, result: Result<Done, Failure>, duration_ms: u64) {
        self.release(&Subject::Target(target.clone()));
        if matches!(action, ActionKind::Sync | ActionKind::SyncExec | ActionKind::SyncRestart) {
            return self.synced(target, action, result, Some(duration_ms));
        }
        match result {
            Ok(done @ Done::Swapped { order, .. }) => {
                self.attempts.forget(&target, Instant::now());
                self.runs(&target, done, false);
                let order = match order {
                    UpdateOrder::StartFirst => "start-first",
                    UpdateOrder::StopFirst => "stop-first",
                };
                self.report(Event::Reloaded { target, duration_ms, order: order.into() });
            }
            Ok(done) => {
                // The image was the same, and what was saved besides restarted the container.
                if matches!(done, Done::Restarted { .. }) {
                    self.runs(&target, done, false);
                }
                self.report(Event::ActionDone { target, action, duration_ms });
            }
            Err(failure) if failure.unreachable => {
                // The image is built once the engine is back.
                self.memory(&target).refresh |= action == ActionKind::Rebuild;
                self.lose_engine(&failure.message);
            }
            Err(failure) => self.reload_failed(target, failure),
        }
    }

    /// Files were copied, and what follows was done. `duration_ms` none: nobody was told that it began.
    fn synced(&mut self, target: String, action: ActionKind, result: Result<Done, Failure>, duration_ms: Option<u64>) {
        match result {
            Ok(done) => {
                // A rule that had something to copy may ask for more than the event did.
                let restarted = matches!(done, Done::Restarted { .. });
                let action = match done {
                    Done::Restarted { .. } => ActionKind::SyncRestart,
                    // It was copied with an earlier change already.
                    Done::Unchanged => ActionKind::Sync,
                    _ => action,
                };
                if restarted {
                    self.runs(&target, done, false);
                }
                if let Some(duration_ms) = duration_ms {
                    self.report(Event::ActionDone { target, action, duration_ms });
                }
            }
            Err(failure) if failure.unreachable => self.lose_engine(&failure.message),
            Err(_) if self.executor.ending.is_cancelled() => {}
            // The container goes on with what it has; the next save tries again.
            Err(Failure { message: error, hint, log, .. }) => {
                self.report(Event::ActionFailed { target, action, error, hint, log, retry_ms: None });
            }
        }
    }

    /// Services that hang on one ([`followers`]) start again after it, or are made anew. Those that began after `began` have
    /// seen it already. What hangs on these goes on when they have.
    fn followers_start_again(&mut self, name: &str, again: Again, began: Instant) {
        let settings = Arc::clone(&self.settings);
        for (follower, again) in followers::next(&followers::of_targets(&settings.project), name, again) {
            let memory = self.targets.get(follower).filter(|memory| memory.since.is_none_or(|since| since < began));
            let current = memory.and_then(|memory| memory.current.clone());
            let Some(old) = current.filter(|_| !self.is_working_on(follower)) else { continue };
            let follower = follower.to_owned();
            let (action, cause) = match again {
                Again::Made => {
                    (ActionKind::Replace, format!("{name} has another container, whose network or volumes it has"))
                }
                Again::Started => {
                    (ActionKind::Restart, format!("{name} started again, and its depends_on asks for it"))
                }
            };
            self.report(Event::ActionStarted { target: follower.clone(), action, cause });
            self.trigger.busy(&follower);
            self.working.insert(Subject::Target(follower.clone()), action);
            let (executor, settings) = (Arc::clone(&self.executor), Arc::clone(&settings));
            let reload = Reload { target: follower.clone(), action: WatchAction::Restart, first_path: None, count: 0 };
            self.spawn(Work::Reload(reload, action), async move {
                match again {
                    Again::Made => executor.remake_service(&settings.project, &follower).await,
                    Again::Started => executor.reload(&settings.project, &follower, false, &old).await,
                }
            });
        }
    }

    fn reload_failed(&mut self, target: String, failure: Failure) {
        if !self.executor.ending.is_cancelled() {
            if !failure.passing {
                self.memory(&target).rejected = Some(Rejected { reason: failure.message.clone(), made_of: None });
                // Whoever hears of it and looks finds it.
                self.tell_rejections();
            }
            self.report(Event::ReloadFailed { target, error: failure.message, log: failure.log });
        }
    }

    async fn probe_ended(&mut self, target: &str, container: &str, result: Result<Done, Failure>) {
        let memory = self.memory(target);
        if memory.probing.take_if(|probing| probing == container).is_none() {
            // Another one stands for the target by now.
            return;
        }
        let Err(failure) = result else { return };
        if self.executor.ending.is_cancelled() || self.touched.contains(container) {
            return;
        }
        self.memory(target).unanswered = Some(failure.message.clone());
        let log = tail(&self.executor.engine, container, LOG_LINES).await;
        self.failed(target, ActionKind::Start, Failure { log, ..failure }, None);
    }

    /// A container runs for the target. `probe`: nobody has asked yet whether it answers.
    fn runs(&mut self, name: &str, done: Done, probe: bool) {
        let (container, spare) = match done {
            Done::Started { container } | Done::StartedElsewhere { container } | Done::Restarted { container } => {
                (container, None)
            }
            Done::Swapped { container, spare, .. } => (container, spare),
            Done::PutBack { .. } | Done::Unchanged | Done::Finished => return,
        };
        let now = Instant::now();
        self.attempts.started(name, now);
        let settings = Arc::clone(&self.settings);
        let memory = self.memory(name);
        memory.begins_with(&container);
        let Some(target) = settings.project.targets.get(name) else { return };
        let asked = match &target.kind {
            TargetKind::Run(run) => evidence(target, run),
            _ => Evidence::Running,
        };
        if let Some(old) = spare {
            let spare = Spare { old, new: container, until: now + target.update.monitor };
            if let Some(replaced) = memory.spare.replace(spare) {
                self.discard(replaced);
            }
        } else if probe && asked != Evidence::Running {
            memory.awaited = Some(now);
            if asked != Evidence::Health && memory.probing.replace(container.clone()).as_ref() != Some(&container) {
                let executor = Arc::clone(&self.executor);
                let limit = target.mcp.startup_timeout;
                let work = Work::Probe { target: name.to_owned(), container: container.clone() };
                self.spawn(
                    work,
                    async move { executor.ready(&container, asked, limit).await.map(|()| Done::Finished) },
                );
            }
        }
    }

    /// Removes a container that was kept and is not needed any more.
    pub(super) fn discard(&mut self, spare: Spare) {
        let executor = Arc::clone(&self.executor);
        self.discarded.insert(spare.old.clone());
        self.spawn(Work::Spare(spare.old.clone()), async move {
            executor.engine.remove(&spare.old).await?;
            Ok(Done::Finished)
        });
    }

    /// The same failure again and again is said once, until something else happens.
    fn failed(&mut self, name: &str, action: ActionKind, failure: Failure, retry_ms: Option<u64>) {
        let memory = self.memory(name);
        memory.ready = false;
        if memory.said.as_ref() == Some(&failure.message) {
            return;
        }
        memory.said = Some(failure.message.clone());
        let target = name.to_owned();
        let Failure { message: error, hint, log, .. } = failure;
        self.report(Event::ActionFailed { target, action, error, hint, log, retry_ms });
    }
}
