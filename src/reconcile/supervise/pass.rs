//! One pass: observe, plan, begin what can be begun, and tell where the project stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{Supervisor, ended::Work, memory::Spare};
use crate::{
    engine::{Engine, Images},
    model::{
        Health, Observed, ServiceTarget, State, TargetKind,
        fingerprint::config_hash,
        settings::OnDrift,
        target::{Condition, belongs},
    },
    output::{ActionKind, Event, event::millis, follow::tail, lines::cell},
    plan::{Change, ImageAction, Ownership, Plan, Situation, Step, Subject, plan, scope, short},
    reconcile::{
        act::{Done, LOG_LINES},
        observe::{leave_out_stdio, observe, owners},
    },
};

/// Who crashes again and again, or while the others are still started, must run this long to be relied on.
pub(super) const STEADY: Duration = Duration::from_secs(10);

/// A reason is told to others in a line: a build's can be long.
const LONGEST_REASON: usize = 300;

/// Where the project stands once nothing is in progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settled {
    /// Targets that can be relied on.
    ready: Vec<String>,
    /// Targets that can't, and why.
    held: Vec<(String, String)>,
}

impl<E: Engine, I: Images> Supervisor<E, I> {
    pub(super) async fn pass(&mut self) {
        self.look_again = false;
        self.looked = Instant::now();
        self.retry_engine = None;
        self.next_resync = Instant::now() + self.settings.reconcile.interval;
        self.executor.note_sources(&self.settings.project);
        let mut observed = match observe(&self.executor.engine, &self.settings.project, false).await {
            Ok(observed) => observed,
            Err(error) => return self.lose_engine(&error.to_string()),
        };
        if std::mem::take(&mut self.lost) {
            self.report(Event::EngineBack);
        }
        let known = self.executor.guard.known();
        leave_out_stdio(&mut observed, &self.settings.project, &known);
        self.look_closer(&mut observed).await;
        let owners = owners(&observed, &self.settings.project, Some(&self.executor.owner), &known);
        self.note_ends(&observed, &owners).await;
        self.running = observed
            .containers
            .iter()
            .filter(|container| container.state == State::Running)
            .map(|container| container.id.clone())
            .collect();
        self.keep_rejections(&observed);
        self.tell_rejections();
        let spare = |id: &String| {
            self.discarded.contains(id)
                || self.targets.values().any(|memory| memory.spare.as_ref().is_some_and(|spare| spare.old == *id))
        };
        observed.containers.retain(|container| !spare(&container.id));
        let dead: BTreeSet<String> = owners
            .iter()
            .filter(|(_, owner)| matches!(owner, Ownership::Dead { .. }))
            .map(|(id, _)| id.clone())
            .collect();
        let others: BTreeSet<String> = owners
            .iter()
            .filter(|(_, owner)| matches!(owner, Ownership::Living { .. }))
            .map(|(id, _)| id.clone())
            .collect();
        let plan = plan(&self.settings.project, &observed, &self.situation(owners));
        for change in plan.actions().filter(|change| change.waits.is_empty()) {
            // What is kept of it for a while is this session's too, however that ends.
            if let Step::Replace { container, .. } = &change.step
                && dead.contains(container)
            {
                self.executor.guard.adopt(container);
            }
        }
        self.waits = plan.actions().any(|change| !change.waits.is_empty());
        tracing::debug!(
            containers = observed.containers.len(),
            actions = plan.actions().count(),
            holds = plan.holds().count(),
            "looked"
        );
        for change in plan.actions() {
            tracing::trace!(subject = change.subject.name(), step = ?change.step, cause = change.cause, waits = ?change.waits, "planned");
        }
        let retry = plan.holds().filter_map(|change| match change.step {
            Step::Hold { retry_ms } => retry_ms,
            _ => None,
        });
        self.retry_held = retry.min().map(|wait| Instant::now() + Duration::from_millis(wait));
        self.begin(&plan);
        self.adopt(&plan, &others);
        self.assess(&plan, &observed, &others);
    }

    fn situation(&self, owners: BTreeMap<String, Ownership>) -> Situation {
        let project = &self.settings.project;
        let named = |pick: fn(&super::Memory) -> bool| {
            self.targets.iter().filter(|(_, memory)| pick(memory)).map(|(name, _)| name.clone()).collect()
        };
        // A named target may have left the file meanwhile: what is left of the names is meant.
        let is_named = |target: &str| self.options.targets.iter().any(|name| belongs(target, name));
        let left = || project.targets.keys().filter(|name| is_named(name)).cloned().collect();
        Situation {
            owners,
            busy: self
                .working
                .keys()
                .filter(|subject| matches!(subject, Subject::Target(_)))
                .map(|subject| subject.name().to_owned())
                .collect(),
            scope: scope(project, &self.options.targets).unwrap_or_else(|_| Some(left())),
            refresh: named(|memory| memory.refresh),
            backoff: self.attempts.backoff(Instant::now()),
            rejected: self.rejected().map(|(name, reason)| (name.clone(), reason.to_owned())).collect(),
            made: named(|memory| memory.made),
            stopped: self.asked_to_end.clone(),
            on_drift: self.settings.reconcile.on_drift,
            prune: self.settings.reconcile.prune || self.options.remove_orphans,
        }
    }

    /// Lets others know which replacements failed, also those that are tried again.
    pub(super) fn tell_rejections(&self) {
        let delayed = self.targets.iter().filter_map(|(name, memory)| Some((name, memory.delayed.as_deref()?)));
        let failed = delayed.chain(self.rejected());
        let failed = failed.map(|(name, reason)| (name.clone(), cell(reason, LONGEST_REASON))).collect();
        self.executor.guard.reload_failed(failed);
    }

    /// Targets whose replacement failed, and why.
    fn rejected(&self) -> impl Iterator<Item = (&String, &str)> {
        self.targets.iter().filter_map(|(name, memory)| Some((name, memory.rejected.as_ref()?.reason.as_str())))
    }

    /// A replacement stays rejected as long as the same would be made again.
    fn keep_rejections(&mut self, observed: &Observed) {
        for (name, memory) in &mut self.targets {
            let Some(rejected) = &mut memory.rejected else { continue };
            let (hash, image) = match self.settings.project.targets.get(name).map(|target| &target.kind) {
                Some(TargetKind::Run(run)) => (config_hash(&run.spec), &run.spec.image),
                Some(TargetKind::Service(service)) => (service.hash.clone(), &service.image),
                _ => {
                    memory.rejected = None;
                    continue;
                }
            };
            let now = (hash, observed.images.get(image).map(|image| image.id.clone()));
            if *rejected.made_of.get_or_insert_with(|| now.clone()) != now {
                memory.rejected = None;
            }
        }
    }

    /// An engine tells of a container's end or pause before its list does (20.10: the list says "running"
    /// when it is asked between the two). Inspecting waits until the change is over.
    async fn look_closer(&mut self, observed: &mut Observed) {
        let touched = std::mem::take(&mut self.touched);
        for container in observed.containers.iter_mut().filter(|container| touched.contains(&container.id)) {
            match self.executor.engine.inspect(&container.id).await {
                Ok(Some(details)) => container.state = details.state,
                Ok(None) => container.state = State::Removing,
                Err(error) => return self.lose_engine(&error.to_string()),
            }
        }
    }

    /// Counts containers that ended by themselves, and puts kept ones back where the new one ended too soon.
    async fn note_ends(&mut self, observed: &Observed, owners: &BTreeMap<String, Ownership>) {
        for container in &observed.containers {
            let (State::Exited(code), Some(target)) = (&container.state, container.labels.target()) else { continue };
            let memory = self.targets.get(target);
            let stands = memory.and_then(|memory| memory.current.as_ref()).is_some_and(|current| {
                // All containers of a service stand for it.
                *current == container.id || self.service(target).is_some()
            });
            if !stands
                || owners.get(&container.id) != Some(&Ownership::Mine)
                || self.is_working_on(target)
                || self.attempts.is_down(target)
                || self.is_done(target, &container.id, *code)
                || self.may_stay_stopped(&container.id)
                || self.stopped_outside.remove(&container.id)
            {
                continue;
            }
            if let Some(spare) = self.memory(target).spare.take_if(|spare| spare.new == container.id) {
                self.put_back(target, spare);
                continue;
            }
            let reason = code.map_or_else(|| "it ended".to_owned(), |code| format!("it ended with exit code {code}"));
            // Somebody waits for all of them to be there: one that has ended meanwhile is not.
            let early = !self.told_started;
            let (failures, wait) =
                self.attempts.ended(target, &reason, Instant::now(), self.settings.reconcile.backoff, early);
            self.memory(target).ready = false;
            let log = tail(&self.executor.engine, &container.id, LOG_LINES).await;
            let (target, exit_code) = (target.to_owned(), *code);
            self.report(Event::Crashed { target, exit_code, failures, retry_ms: millis(wait), log });
        }
    }

    /// Somebody else asked it to end, and what others change is not put right.
    fn may_stay_stopped(&self, container: &str) -> bool {
        self.settings.reconcile.on_drift != OnDrift::Recreate && self.asked_to_end.contains(container)
    }

    /// Whether the target has done what it was there for: others wait for its good end.
    fn is_done(&self, target: &str, container: &str, code: Option<i64>) -> bool {
        let by_itself =
            || self.service(target).is_some_and(ServiceTarget::may_be_done) && !self.asked_to_end.contains(container);
        code == Some(0) && (self.is_one_shot(target) || by_itself())
    }

    fn service(&self, target: &str) -> Option<&ServiceTarget> {
        match &self.settings.project.targets.get(target)?.kind {
            TargetKind::Service(service) => Some(service),
            _ => None,
        }
    }

    /// Whether others wait for the target's good end.
    fn is_one_shot(&self, target: &str) -> bool {
        let wait_for_its_end =
            |other: &crate::model::Target| other.depends_on.get(target) == Some(&Condition::CompletedSuccessfully);
        self.settings.project.targets.values().any(wait_for_its_end)
    }

    fn put_back(&mut self, target: &str, spare: Spare) {
        let (executor, settings, target) = (Arc::clone(&self.executor), Arc::clone(&self.settings), target.to_owned());
        self.working.insert(Subject::Target(target.clone()), ActionKind::Replace);
        self.trigger.busy(&target);
        self.memory(&target).begins_with(&spare.old);
        self.spawn(Work::PutBack(target.clone()), async move {
            match settings.project.targets.get(&target) {
                Some(target) => executor.put_back(&settings.project, target, &spare.new, &spare.old).await,
                None => Ok(Done::Unchanged),
            }
        });
    }

    /// Begins everything that can be begun.
    fn begin(&mut self, plan: &Plan) {
        for change in plan.actions().filter(|change| change.waits.is_empty()) {
            if self.working.contains_key(&change.subject) {
                // It has another change in this plan; this one's turn comes with the next pass.
                continue;
            }
            let (kind, name) = (kind(change), change.subject.name());
            self.report(Event::ActionStarted { target: name.to_owned(), action: kind, cause: change.cause_in_short() });
            self.trigger.busy(name);
            if matches!(change.step, Step::Create { .. } | Step::Replace { .. } | Step::Start { .. }) {
                // What begins now sees the files as they are.
                self.trigger.forget(name);
            }
            self.working.insert(change.subject.clone(), kind);
            let current = self.targets.get(name).and_then(|memory| memory.current.clone());
            let (executor, settings, change) = (Arc::clone(&self.executor), Arc::clone(&self.settings), change.clone());
            self.spawn(Work::Change(change.clone(), kind), async move {
                executor.carry_out_over(&settings.project, &change, current.as_deref()).await
            });
        }
    }

    /// Looks at containers that ran before this session, so that what changes from now on is copied into them; those with
    /// `initial_sync` get everything.
    fn adopt(&mut self, plan: &Plan, others: &BTreeSet<String>) {
        for change in &plan.changes {
            let (Subject::Target(name), Step::Same { container: Some(id), .. }) = (&change.subject, &change.step)
            else {
                continue;
            };
            if others.contains(id) {
                continue;
            }
            let syncs = |target: &crate::model::Target| target.watch.rules.iter().any(|rule| rule.action.is_sync());
            let Some(target) = self.settings.project.targets.get(name).filter(|target| syncs(target)) else { continue };
            let told = target.watch.rules.iter().any(|rule| rule.action.is_sync() && rule.initial_sync);
            let known = self.targets.get(name).is_some_and(|memory| memory.adopted.as_ref() == Some(id));
            if known || !self.running.contains(id) || self.is_working_on(name) || self.trigger.is_pending(name) {
                continue;
            }
            let (name, id) = (name.clone(), id.clone());
            self.memory(&name).adopted = Some(id.clone());
            if self.executor.syncs.knows(&name, &id) {
                continue;
            }
            if told {
                let cause = "initial_sync".to_owned();
                self.report(Event::ActionStarted { target: name.clone(), action: ActionKind::Sync, cause });
            }
            self.working.insert(Subject::Target(name.clone()), ActionKind::Sync);
            self.trigger.busy(&name);
            let (executor, settings) = (Arc::clone(&self.executor), Arc::clone(&self.settings));
            self.spawn(Work::Adopt { target: name.clone(), told }, async move {
                executor.adopt(&settings.project, &name, &id).await
            });
        }
    }

    /// Tells what became ready and what is held, and whether anything is still in progress. `others`: containers that other
    /// sessions keep; they reload them too.
    fn assess(&mut self, plan: &Plan, observed: &Observed, others: &BTreeSet<String>) {
        let mut settled = Settled::default();
        let mut acting = !self.working.is_empty();
        let mut awaiting = false;
        let mut waiting = Vec::new();
        for change in &plan.changes {
            let name = change.subject.name().to_owned();
            match (&change.subject, &change.step) {
                (Subject::Target(_), Step::Same { container: Some(id), ready: true }) if others.contains(id) => {
                    let memory = self.memory(&name);
                    (memory.current, memory.made) = (None, false);
                    settled.ready.push(name);
                }
                (Subject::Target(_), Step::Same { container: Some(id), ready }) => {
                    // A service may have several.
                    let starting = observed.containers.iter().any(|container| {
                        container.health == Health::Starting && container.labels.target() == Some(name.as_str())
                    });
                    let cause = if change.cause.is_empty() { "its health check says unhealthy" } else { &change.cause };
                    // What others wait for the end of, is waited for until then.
                    let coming = !*ready && (starting || self.is_one_shot(&name));
                    match self.stands(&name, id, *ready, coming, cause) {
                        Standing::Ready => settled.ready.push(name),
                        Standing::Awaited => awaiting = true,
                        Standing::Not(reason) => settled.held.push((name, reason)),
                    }
                }
                (_, Step::Same { .. }) => {}
                (_, Step::Hold { .. }) => {
                    self.memory(&name).ready = false;
                    // A failure was told when it happened; other holds are told here, once.
                    if !self.attempts.is_down(&name) {
                        self.say_held(&name, &change.cause);
                    }
                    settled.held.push((name, change.cause.clone()));
                }
                _ if change.waits.is_empty() => acting = true,
                _ => waiting.push((name, change.waits.join(", "))),
            }
        }
        // Whoever waits, waits for something that moves, or for something that does not come by itself.
        let moving = acting || awaiting;
        if !acting && (waiting.is_empty() || !moving) && !std::mem::replace(&mut self.told_started, true) {
            let running = self.targets.values().filter(|memory| memory.current.is_some()).count();
            self.report(Event::Started { running });
        }
        if moving {
            self.settled = None;
            return;
        }
        for (name, waits) in waiting {
            self.say_held(&name, &waits);
            settled.held.push((name, waits));
        }
        if self.settled.as_ref() != Some(&settled) {
            let (ready, held) = (settled.ready.len(), settled.held.len());
            self.report(Event::Settled { ready, held, duration_ms: millis(self.began.elapsed()) });
            self.settled = Some(settled);
        }
    }

    /// How a target stands whose container is as asked.
    fn stands(&mut self, name: &str, container: &str, ready: bool, starting: bool, cause: &str) -> Standing {
        if self.attempts.is_down(name) {
            // Somebody else has started it.
            self.attempts.started(name, Instant::now());
        }
        let memory = self.memory(name);
        memory.made = true;
        memory.current = Some(container.to_owned());
        if memory.probing.as_deref() == Some(container) || starting {
            return Standing::Awaited;
        }
        if let Some(reason) = &memory.unanswered {
            return Standing::Not(reason.clone());
        }
        if let Some(reason) = self.attempts.is_shaky(name, Instant::now(), STEADY) {
            // Its crash was told when it happened.
            self.memory(name).ready = false;
            return Standing::Not(reason);
        }
        if !ready {
            self.memory(name).ready = false;
            self.say_held(name, cause);
            return Standing::Not(cause.to_owned());
        }
        let memory = self.memory(name);
        memory.said = None;
        if !std::mem::replace(&mut memory.ready, true) {
            let duration_ms = memory.awaited.take().map(|since| millis(since.elapsed()));
            let (target, container) = (name.to_owned(), short(container).to_owned());
            self.report(Event::Ready { target, container, duration_ms });
        }
        Standing::Ready
    }

    fn say_held(&mut self, name: &str, reason: &str) {
        let said = &mut self.memory(name).said;
        if said.as_deref() != Some(reason) {
            *said = Some(reason.to_owned());
            self.report(Event::Held { target: name.to_owned(), reason: reason.to_owned() });
        }
    }
}

enum Standing {
    /// It can be relied on.
    Ready,
    /// Its own word is still waited for.
    Awaited,
    /// It can't be relied on.
    Not(String),
}

fn kind(change: &Change) -> ActionKind {
    match (&change.subject, &change.step) {
        (Subject::Network(_), Step::Make) => ActionKind::CreateNetwork,
        (Subject::Network(_), Step::Remove { .. }) => ActionKind::RemoveNetwork,
        (Subject::Volume(_), Step::Remove { .. }) => ActionKind::RemoveVolume,
        (Subject::Volume(_), _) => ActionKind::CreateVolume,
        (_, Step::RefreshImage { image: ImageAction::Build, .. }) => ActionKind::Build,
        (_, Step::RefreshImage { image: ImageAction::Pull, .. }) => ActionKind::Pull,
        (_, Step::Start { .. }) => ActionKind::Start,
        (_, Step::Replace { .. }) => ActionKind::Replace,
        (_, Step::Adopt { .. }) => ActionKind::Adopt,
        (_, Step::Unpause { .. }) => ActionKind::Unpause,
        (_, Step::Rename { .. }) => ActionKind::Rename,
        (_, Step::Remove { .. }) => ActionKind::Remove,
        _ => ActionKind::Create,
    }
}
