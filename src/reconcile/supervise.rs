//! The loop of one session. It waits for whatever comes first (an engine event, a saved file, an
//! action's end, a retry, a signal), changes what it knows, and makes a pass when a look is due.
//! What it decides by is pure and lives elsewhere: [`crate::plan`], [`crate::trigger`], [`super::attempts`].

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use tokio::task::JoinSet;

use super::{
    act::{Done, Failure, LOG_LINES, SharedExecutor},
    attempts::Attempts,
    observe::{observe, owners},
    ready::{Evidence, evidence},
};
use crate::{
    engine::{Engine, EngineEvent, EngineResult, EngineStream, Images},
    error::Error,
    model::{
        Health, HostIdentity, Observed, Settings, State, TargetKind, WatchSettings,
        labels::{PROJECT, SESSION, TARGET},
        settings::WatchAction,
        target::UpdateOrder,
    },
    output::{
        ActionKind, Event,
        event::millis,
        follow::{Followers, Start, tail},
    },
    plan::{Change, ImageAction, Ownership, Plan, Situation, Step, Subject, plan, scope, short},
    session::{
        process::ThisHost,
        signals::{Ending, Signals},
    },
    trigger::{Changes, Inputs, Reload, Rules, Trigger},
    watch::{ChangeReceiver, Watcher},
};

/// Tries to reach a lost engine again.
const ENGINE_RETRY: Duration = Duration::from_millis(250);

/// What `up` was asked for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Targets meant (with what they depend on); empty = all.
    pub targets: Vec<String>,
    /// React to saved files.
    pub watch: bool,
    /// Build images first.
    pub build: bool,
    /// Remove what left the file, whatever `reconcile.prune` says.
    pub remove_orphans: bool,
    /// Show what targets print.
    pub follow_logs: bool,
    /// The user's home, never watched as a whole.
    pub home: Option<PathBuf>,
}

/// Where the project stands once nothing is in progress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// Targets that can be relied on.
    pub ready: Vec<String>,
    /// Targets that can't, and why.
    pub held: Vec<(String, String)>,
}

/// Reads the configuration again.
pub type Load = Box<dyn Fn() -> Result<Settings, Error> + Send>;

/// A project being kept as its file says.
pub struct Supervisor<E, I> {
    executor: SharedExecutor<E, I>,
    settings: Arc<Settings>,
    options: Options,
    load: Load,
    here: HostIdentity,

    began: Instant,
    look_again: bool,
    next_resync: Instant,
    events: Option<EngineStream<EngineEvent>>,
    last_event: Option<i64>,
    lost: bool,
    retry_engine: Option<Instant>,

    tasks: JoinSet<Outcome>,
    working: BTreeMap<Subject, ActionKind>,
    probing: BTreeSet<String>,
    attempts: Attempts,
    refresh: BTreeSet<String>,
    made: BTreeSet<String>,
    current: BTreeMap<String, String>,
    spares: BTreeMap<String, Spare>,
    /// Containers that somebody else stopped: their end is no crash.
    stopped_outside: BTreeSet<String>,
    /// Containers that ended just now, by the engine's event.
    died: BTreeSet<String>,
    said: BTreeMap<String, String>,
    ready: BTreeSet<String>,
    /// Since when a started target's own word is waited for (health, an answer).
    awaited: BTreeMap<String, Instant>,
    settled: Option<Settled>,
    told_started: bool,

    watcher: Watcher,
    changes: ChangeReceiver,
    rules: Arc<Rules>,
    trigger: Trigger,
    inputs: Inputs,
    followers: Option<Followers<E>>,
}

/// An old container kept for a while after a swap.
#[derive(Debug)]
struct Spare {
    old: String,
    new: String,
    until: Instant,
}

/// Something in the background ended.
struct Outcome {
    work: Work,
    began: Instant,
    result: Result<Done, Failure>,
}

#[derive(Debug, Clone)]
enum Work {
    /// A change of the plan.
    Change(Change, ActionKind),
    /// A reload because files changed.
    Reload(Reload),
    /// A kept container put back.
    PutBack(String),
    /// A started container was asked whether it answers.
    Probe(String),
    /// A spare was removed.
    Spare,
}

impl<E: Engine, I: Images> Supervisor<E, I> {
    /// A supervisor that has not looked yet.
    pub async fn new(
        executor: SharedExecutor<E, I>,
        settings: Settings,
        options: Options,
        load: Load,
        here: HostIdentity,
    ) -> Result<Self, Error> {
        let (watcher, changes) = Watcher::new()?;
        let now = Instant::now();
        let followers = options.follow_logs.then(|| Followers::new(executor.engine.clone(), executor.reporter.clone()));
        let rules = Arc::new(Rules::none());
        let mut supervisor = Self {
            settings: Arc::new(settings),
            here,
            load,
            began: now,
            look_again: true,
            next_resync: now,
            events: None,
            last_event: None,
            lost: false,
            retry_engine: Some(now),
            tasks: JoinSet::new(),
            working: BTreeMap::new(),
            probing: BTreeSet::new(),
            attempts: Attempts::default(),
            refresh: BTreeSet::new(),
            made: BTreeSet::new(),
            current: BTreeMap::new(),
            spares: BTreeMap::new(),
            stopped_outside: BTreeSet::new(),
            died: BTreeSet::new(),
            said: BTreeMap::new(),
            ready: BTreeSet::new(),
            awaited: BTreeMap::new(),
            settled: None,
            told_started: false,
            watcher,
            changes,
            trigger: Trigger::new(Arc::clone(&rules)),
            rules,
            inputs: Inputs::default(),
            followers,
            executor,
            options,
        };
        supervisor.refresh = supervisor.to_refresh();
        supervisor.watch().await;
        Ok(supervisor)
    }

    /// Keeps the project as asked until a signal comes. `settled` is told each time nothing is in
    /// progress any more and the answer differs from the last one.
    pub async fn run(&mut self, signals: &mut Signals, mut settled: impl FnMut(&Settled)) -> Ending {
        loop {
            if self.look_again && self.retry_engine.is_none() {
                tokio::select! {
                    ending = signals.next() => return ending,
                    answer = self.pass() => if let Some(answer) = answer { settled(answer) },
                }
            }
            let wake = self.next_wake();
            tokio::select! {
                biased;
                ending = signals.next() => return ending,
                Some(outcome) = self.tasks.join_next(), if !self.tasks.is_empty() => match outcome {
                    Ok(outcome) => self.ended(outcome).await,
                    Err(error) => self.warn(format!("an action ended by a programming error: {error}")),
                },
                event = next_event(&mut self.events), if self.events.is_some() => self.engine_event(event),
                changes = self.changes.next() => self.files_changed(&changes).await,
                () = tokio::time::sleep_until(wake.into()) => self.woken(),
            }
        }
    }

    /// Gives up what is in progress and waits until all of it has ended, at most `limit`.
    pub async fn stop(&mut self, limit: Duration) {
        self.executor.ending.cancel();
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(limit, all).await.is_err() {
            self.warn(format!("{} actions did not end within {limit:?}", self.tasks.len()));
        }
    }

    /// Shows what the ended containers printed last.
    pub async fn finish_logs(&mut self, limit: Duration) {
        if let Some(followers) = self.followers.take() {
            followers.finish(limit).await;
        }
    }

    /// The settings in force.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    // ---- a pass: observe, plan, act ----

    /// One pass. Gives where the project stands when nothing is in progress and that is news.
    async fn pass(&mut self) -> Option<&Settled> {
        self.look_again = false;
        self.next_resync = Instant::now() + self.settings.reconcile.interval;
        let mut observed = match observe(&self.executor.engine, &self.settings.project, false).await {
            Ok(observed) => observed,
            Err(error) => {
                self.lose_engine(&error.to_string());
                return None;
            }
        };
        if std::mem::take(&mut self.lost) {
            self.executor.reporter.report(Event::EngineBack);
        }
        self.look_closer(&mut observed).await;
        let owners = owners(&observed, Some(&self.executor.owner), &self.here, &ThisHost);
        self.note_ends(&observed, &owners).await;
        observed.containers.retain(|container| !self.spares.values().any(|spare| spare.old == container.id));
        let scope = match scope(&self.settings.project, &self.options.targets) {
            Ok(scope) => scope,
            // A named target left the file while running: what is left of the names is meant.
            Err(_) => Some(
                self.settings
                    .project
                    .targets
                    .keys()
                    .filter(|name| self.options.targets.contains(name))
                    .cloned()
                    .collect(),
            ),
        };
        let situation = Situation {
            owners,
            busy: self.busy(),
            scope,
            refresh: self.refresh.clone(),
            backoff: self.attempts.backoff(Instant::now()),
            made: self.made.clone(),
            on_drift: self.settings.reconcile.on_drift,
            prune: self.settings.reconcile.prune || self.options.remove_orphans,
        };
        let plan = plan(&self.settings.project, &observed, &situation);
        self.act(&plan);
        self.assess(&plan, &observed)
    }

    /// An engine tells of a container's end before its list does (measured with 20.10: the list says
    /// "running" for good when it is asked between the two). Inspecting waits until the end is over.
    async fn look_closer(&mut self, observed: &mut Observed) {
        let died = std::mem::take(&mut self.died);
        for container in observed.containers.iter_mut().filter(|container| died.contains(&container.id)) {
            match self.executor.engine.inspect(&container.id).await {
                Ok(Some(details)) if !details.running => container.state = State::Exited(details.exit_code),
                Ok(Some(_)) => {}
                Ok(None) => container.state = State::Removing,
                Err(error) => return self.lose_engine(&error.to_string()),
            }
        }
    }

    fn busy(&self) -> BTreeSet<String> {
        let targets = self.working.keys().filter_map(|subject| match subject {
            Subject::Target(name) => Some(name.clone()),
            _ => None,
        });
        targets.collect()
    }

    /// Begins everything that can be begun.
    fn act(&mut self, plan: &Plan) {
        for change in plan.actions().filter(|change| change.waits.is_empty()) {
            if self.working.contains_key(&change.subject) {
                // It has another change in this plan; this one's turn comes with the next pass.
                continue;
            }
            let kind = kind(change);
            self.executor.reporter.report(Event::ActionStarted {
                target: change.subject.name().to_owned(),
                action: kind,
                cause: change.cause.clone(),
            });
            self.trigger.busy(change.subject.name());
            if matches!(change.step, Step::Create { .. } | Step::Replace { .. } | Step::Start { .. }) {
                // What begins now sees the files as they are.
                self.trigger.forget(change.subject.name());
            }
            self.working.insert(change.subject.clone(), kind);
            let (executor, settings, change) = (Arc::clone(&self.executor), Arc::clone(&self.settings), change.clone());
            self.spawn(Work::Change(change.clone(), kind), async move {
                executor.carry_out(&settings.project, &change).await
            });
        }
    }

    fn spawn(&mut self, work: Work, doing: impl Future<Output = Result<Done, Failure>> + Send + 'static) {
        let began = Instant::now();
        self.tasks.spawn(async move { Outcome { work, began, result: doing.await } });
    }

    /// Counts containers that ended by themselves, and puts kept ones back where the new one ended too soon.
    async fn note_ends(&mut self, observed: &Observed, owners: &BTreeMap<String, Ownership>) {
        let mine = |id: &str| owners.get(id) == Some(&Ownership::Mine);
        for container in observed.containers.iter().filter(|container| mine(&container.id)) {
            let (State::Exited(code), Some(target)) = (&container.state, container.labels.target()) else { continue };
            let target = target.to_owned();
            if self.current.get(&target) != Some(&container.id)
                || self.working.contains_key(&Subject::Target(target.clone()))
                || self.attempts.is_down(&target)
                || self.is_done(&target, *code)
                || self.stopped_outside.remove(&container.id)
            {
                continue;
            }
            if let Some(spare) = self.spares.remove(&target).filter(|spare| spare.new == container.id) {
                self.put_back(target, spare);
                continue;
            }
            let reason = code.map_or_else(|| "it ended".to_owned(), |code| format!("it ended with exit code {code}"));
            let (failures, wait) =
                self.attempts.failed(&target, &reason, Instant::now(), self.settings.reconcile.backoff);
            self.ready.remove(&target);
            let log = tail(&self.executor.engine, &container.id, LOG_LINES).await;
            self.executor.reporter.report(Event::Crashed {
                target,
                exit_code: *code,
                failures,
                retry_ms: millis(wait),
                log,
            });
        }
    }

    /// Whether the target has done what it was there for: others wait for its good end.
    fn is_done(&self, target: &str, code: Option<i64>) -> bool {
        use crate::model::target::Condition::CompletedSuccessfully;
        code == Some(0)
            && self
                .settings
                .project
                .targets
                .values()
                .any(|other| other.depends_on.get(target) == Some(&CompletedSuccessfully))
    }

    fn put_back(&mut self, target: String, spare: Spare) {
        let (executor, settings) = (Arc::clone(&self.executor), Arc::clone(&self.settings));
        self.working.insert(Subject::Target(target.clone()), ActionKind::Replace);
        self.trigger.busy(&target);
        self.current.insert(target.clone(), spare.old.clone());
        self.spawn(Work::PutBack(target.clone()), async move {
            match settings.project.targets.get(&target) {
                Some(target) => executor.put_back(&settings.project, target, &spare.new, &spare.old).await,
                None => Ok(Done::Unchanged),
            }
        });
    }

    /// Tells what became ready and what is held, and whether anything is still in progress.
    fn assess(&mut self, plan: &Plan, observed: &Observed) -> Option<&Settled> {
        let mut settled = Settled::default();
        let mut in_progress = !self.working.is_empty() || !self.probing.is_empty();
        let mut acting = !self.working.is_empty();
        let mut waiting = Vec::new();
        for change in &plan.changes {
            let name = change.subject.name().to_owned();
            match (&change.subject, &change.step) {
                (Subject::Target(_), Step::Same { container: Some(id), ready }) => {
                    self.said.remove(&name);
                    self.made.insert(name.clone());
                    self.current.insert(name.clone(), id.clone());
                    let health = observed
                        .containers
                        .iter()
                        .find(|container| container.id == *id)
                        .map(|container| container.health);
                    if self.probing.contains(id) || health == Some(Health::Starting) {
                        in_progress = true;
                    } else if let Some(reason) = self.attempts.reason(&name).filter(|_| self.attempts.is_down(&name)) {
                        settled.held.push((name, reason.to_owned()));
                    } else if *ready {
                        if self.ready.insert(name.clone()) {
                            let container = short(id).to_owned();
                            self.executor.reporter.report(Event::Ready {
                                target: name.clone(),
                                container,
                                duration_ms: None,
                            });
                        }
                        settled.ready.push(name);
                    } else {
                        self.ready.remove(&name);
                        let reason =
                            if change.cause.is_empty() { "its health check says unhealthy" } else { &change.cause };
                        settled.held.push((name, reason.to_owned()));
                    }
                }
                (_, Step::Same { .. }) => {}
                (_, Step::Hold { .. }) => {
                    self.ready.remove(&name);
                    // A failure was told when it happened; other holds are told here, once.
                    if !self.attempts.is_down(&name) {
                        self.say_held(&name, &change.cause);
                    }
                    settled.held.push((name, change.cause.clone()));
                }
                _ if change.waits.is_empty() => (in_progress, acting) = (true, true),
                _ => waiting.push((name, change.waits.join(", "))),
            }
        }
        if !acting && (waiting.is_empty() || !in_progress) && !std::mem::replace(&mut self.told_started, true) {
            self.executor.reporter.report(Event::Started { running: self.current.len() });
        }
        if in_progress {
            self.settled = None;
            return None;
        }
        // Nothing moves any more: what still waits, waits for something that does not come by itself.
        for (name, waits) in waiting {
            self.say_held(&name, &waits);
            settled.held.push((name, waits));
        }
        if self.settled.as_ref() == Some(&settled) {
            return None;
        }
        self.executor.reporter.report(Event::Settled {
            ready: settled.ready.len(),
            held: settled.held.len(),
            duration_ms: millis(self.began.elapsed()),
        });
        Some(self.settled.insert(settled))
    }

    fn say_held(&mut self, name: &str, reason: &str) {
        if self.said.insert(name.to_owned(), reason.to_owned()).as_deref() != Some(reason) {
            self.executor.reporter.report(Event::Held { target: name.to_owned(), reason: reason.to_owned() });
        }
    }

    fn warn(&self, message: String) {
        self.executor.reporter.report(Event::Warning { message });
    }

    // ---- what comes in ----

    /// Something in the background ended: say it, remember it, look again.
    async fn ended(&mut self, outcome: Outcome) {
        self.look_again = true;
        let duration_ms = millis(outcome.began.elapsed());
        match outcome.work {
            Work::Change(change, kind) => self.change_ended(&change, kind, outcome.result, duration_ms),
            Work::Reload(reload) => {
                self.release(&reload.target);
                self.reload_ended(reload, outcome.result, duration_ms);
            }
            Work::PutBack(target) => {
                self.release(&target);
                if let Err(failure) = outcome.result {
                    self.reload_failed(target, failure);
                }
            }
            Work::Probe(target) => {
                if let Some(id) = self.current.get(&target) {
                    self.probing.remove(id);
                }
                if let Err(failure) = outcome.result
                    && !self.executor.ending.is_cancelled()
                {
                    let (_, wait) = self.attempts.failed(
                        &target,
                        &failure.message,
                        Instant::now(),
                        self.settings.reconcile.backoff,
                    );
                    let log = match self.current.get(&target) {
                        Some(id) => tail(&self.executor.engine, id, LOG_LINES).await,
                        None => Vec::new(),
                    };
                    self.failed(&target, ActionKind::Start, Failure { log, ..failure }, Some(wait));
                }
            }
            Work::Spare => {
                if let Err(failure) = outcome.result {
                    self.warn(format!("an old container could not be removed: {}", failure.message));
                }
            }
        }
    }

    fn release(&mut self, target: &str) {
        self.working.remove(&Subject::Target(target.to_owned()));
        self.trigger.done(target);
    }

    fn change_ended(&mut self, change: &Change, kind: ActionKind, result: Result<Done, Failure>, duration_ms: u64) {
        let name = change.subject.name().to_owned();
        self.working.remove(&change.subject);
        self.trigger.done(&name);
        match result {
            Ok(done) => {
                self.executor.reporter.report(Event::ActionDone { target: name.clone(), action: kind, duration_ms });
                if matches!(
                    change.step,
                    Step::RefreshImage { .. } | Step::Create { image: Some(_) } | Step::Replace { image: Some(_), .. }
                ) {
                    self.refresh.remove(&name);
                }
                self.said.remove(&name);
                self.runs(&name, done, true);
            }
            Err(failure) if failure.unreachable => self.lose_engine(&failure.message),
            Err(failure) if !self.executor.ending.is_cancelled() => {
                let (_, wait) =
                    self.attempts.failed(&name, &failure.message, Instant::now(), self.settings.reconcile.backoff);
                self.failed(&name, kind, failure, Some(wait));
            }
            Err(_) => {}
        }
    }

    /// A container runs for the target. `probe`: nobody has asked yet whether it answers.
    fn runs(&mut self, name: &str, done: Done, probe: bool) {
        let (id, spare) = match done {
            Done::Started { container } => (container, None),
            Done::Swapped { container, spare, .. } => (container, spare),
            Done::Unchanged | Done::Finished => return,
        };
        let now = Instant::now();
        self.attempts.started(name, now);
        self.made.insert(name.to_owned());
        self.ready.remove(name);
        self.current.insert(name.to_owned(), id.clone());
        let Some(target) = self.settings.project.targets.get(name) else { return };
        let (monitor, startup) = (target.update.monitor, target.mcp.startup_timeout);
        let asked = match &target.kind {
            TargetKind::Run(run) => evidence(target, run),
            _ => Evidence::Running,
        };
        if probe && asked != Evidence::Running {
            self.awaited.insert(name.to_owned(), now);
        }
        if let Some(old) = spare {
            let replaced = self.spares.insert(name.to_owned(), Spare { old, new: id.clone(), until: now + monitor });
            self.discard(replaced);
        } else if probe
            && matches!(asked, Evidence::StdioAnswer | Evidence::HttpAnswer(_))
            && self.probing.insert(id.clone())
        {
            let executor = Arc::clone(&self.executor);
            self.spawn(Work::Probe(name.to_owned()), async move {
                executor.ready(&id, asked, startup).await.map(|()| Done::Finished)
            });
        }
    }

    fn discard(&mut self, spare: Option<Spare>) {
        if let Some(spare) = spare {
            let executor = Arc::clone(&self.executor);
            self.spawn(Work::Spare, async move {
                executor.engine.remove(&spare.old).await?;
                Ok(Done::Finished)
            });
        }
    }

    fn failed(&mut self, name: &str, action: ActionKind, failure: Failure, wait: Option<Duration>) {
        self.ready.remove(name);
        // The same failure again and again is said once, until something else happens.
        if self.said.insert(name.to_owned(), failure.message.clone()).as_deref() == Some(&failure.message) {
            return;
        }
        self.executor.reporter.report(Event::ActionFailed {
            target: name.to_owned(),
            action,
            error: failure.message,
            hint: failure.hint,
            log: failure.log,
            retry_ms: wait.map(millis),
        });
    }

    fn reload_ended(&mut self, reload: Reload, result: Result<Done, Failure>, duration_ms: u64) {
        let target = reload.target;
        match result {
            Ok(done @ Done::Swapped { order, .. }) => {
                self.runs(&target, done, false);
                let order = match order {
                    UpdateOrder::StartFirst => "start-first",
                    UpdateOrder::StopFirst => "stop-first",
                };
                self.executor.reporter.report(Event::Reloaded { target, duration_ms, order: order.into() });
            }
            Ok(_) => {
                let action = reload_kind(reload.action);
                self.executor.reporter.report(Event::ActionDone { target, action, duration_ms });
            }
            Err(failure) if failure.unreachable => self.lose_engine(&failure.message),
            Err(failure) => self.reload_failed(target, failure),
        }
    }

    fn reload_failed(&mut self, target: String, failure: Failure) {
        if !self.executor.ending.is_cancelled() {
            self.executor.reporter.report(Event::ReloadFailed { target, error: failure.message, log: failure.log });
        }
    }

    /// Something happened on the engine.
    fn engine_event(&mut self, event: Option<EngineResult<EngineEvent>>) {
        let event = match event {
            Some(Ok(event)) => event,
            // Cut, or a word nobody knows: begin again, and look at everything.
            Some(Err(_)) | None => {
                self.events = None;
                self.retry_engine = Some(Instant::now());
                self.look_again = true;
                return;
            }
        };
        self.last_event = Some(event.time);
        if event.action.starts_with("exec_") || matches!(event.action.as_str(), "attach" | "detach" | "top" | "resize")
        {
            return;
        }
        let target = event.attributes.get(TARGET).map(str::to_owned);
        let busy = target.as_ref().is_some_and(|target| self.working.contains_key(&Subject::Target(target.clone())));
        let mine = event.attributes.get(SESSION) == Some(self.executor.owner.session.to_string().as_str());
        match event.action.as_str() {
            "start" if mine => {
                if let (Some(followers), Some(target)) = (&self.followers, &target) {
                    followers.follow(target, &event.id, Start::Beginning);
                }
            }
            "kill" | "stop" if mine && !busy => {
                self.stopped_outside.insert(event.id.clone());
            }
            "die" => {
                self.died.insert(event.id.clone());
            }
            "destroy" => {
                self.stopped_outside.remove(&event.id);
            }
            _ => {}
        }
        // Nobody listens while nothing is being waited for.
        let _ = self.executor.nudges.send(event.id);
        if !busy {
            self.look_again = true;
        }
    }

    /// Files were saved: the configuration's own, or those that a target runs on.
    async fn files_changed(&mut self, changes: &Changes) {
        for warning in &changes.warnings {
            self.warn(warning.clone());
        }
        let mut edited = Vec::new();
        for path in self.rules.inputs().iter().filter(|path| changes.rescan || changes.paths.contains_key(*path)) {
            if self.inputs.changed(path, std::fs::read(path).ok().as_deref()) {
                edited.push(path.display().to_string());
            }
        }
        if !edited.is_empty() {
            self.read_settings(edited).await;
        }
        self.trigger.changed(Instant::now(), changes);
        self.start_reloads();
    }

    fn start_reloads(&mut self) {
        for reload in self.trigger.poll(Instant::now()) {
            let target = reload.target.clone();
            let action = reload_kind(reload.action);
            self.executor.reporter.report(Event::FilesChanged {
                target: target.clone(),
                path: reload.first_path.as_ref().map(|path| self.show(path)).unwrap_or_default(),
                count: reload.count,
                action,
            });
            let runs = self.current.get(&target).filter(|_| !self.attempts.is_down(&target)).cloned();
            let Some(old) = runs else {
                // It does not run: what changed may be what it needs to. The plan starts it.
                self.trigger.done(&target);
                self.attempts.forget(&target);
                if reload.action == WatchAction::Rebuild {
                    self.refresh.insert(target);
                }
                self.look_again = true;
                continue;
            };
            self.working.insert(Subject::Target(target.clone()), action);
            let spare = self.spares.remove(&target);
            self.discard(spare);
            let (executor, settings) = (Arc::clone(&self.executor), Arc::clone(&self.settings));
            let rebuild = reload.action == WatchAction::Rebuild;
            self.spawn(Work::Reload(reload), async move {
                executor.reload(&settings.project, &target, rebuild, &old).await
            });
        }
    }

    fn show(&self, path: &std::path::Path) -> String {
        path.strip_prefix(&self.settings.project.folder).unwrap_or(path).display().to_string()
    }

    /// The configuration was edited: read it again; what does not parse leaves the last good one in force.
    async fn read_settings(&mut self, files: Vec<String>) {
        let reporter = &self.executor.reporter;
        match (self.load)() {
            Ok(settings) if settings.project.name != self.settings.project.name => {
                let error = format!(
                    "the project's name changed from {} to {}: end this session and start it again",
                    self.settings.project.name, settings.project.name
                );
                reporter.report(Event::ConfigInvalid { error });
            }
            Ok(settings) => {
                reporter.report(Event::ConfigReloaded { files });
                for message in settings.warnings.iter().filter(|warning| !self.settings.warnings.contains(warning)) {
                    reporter.report(Event::Warning { message: message.clone() });
                }
                self.settings = Arc::new(settings);
                // Failures may have come from what was just edited.
                self.attempts = Attempts::default();
                self.said.clear();
                self.settled = None;
                self.look_again = true;
                self.watch().await;
            }
            Err(error) => reporter.report(Event::ConfigInvalid { error: error.message }),
        }
    }

    /// Watches what the settings in force ask for.
    async fn watch(&mut self) {
        let mut settings = Settings::clone(&self.settings);
        let meant = scope(&settings.project, &self.options.targets).ok().flatten();
        for (name, target) in &mut settings.project.targets {
            if !self.options.watch || meant.as_ref().is_some_and(|meant| !meant.contains(name)) {
                target.watch =
                    WatchSettings { paths: Vec::new(), auto: false, rules: Vec::new(), ..target.watch.clone() };
            }
        }
        self.rules = Arc::new(Rules::new(&settings, self.options.home.as_deref()));
        for path in self.rules.inputs() {
            if !self.inputs.knows(path) {
                self.inputs.remember(path, std::fs::read(path).ok().as_deref());
            }
        }
        self.trigger.set_rules(Arc::clone(&self.rules));
        let inputs = self.rules.inputs().clone();
        self.watcher.set(Arc::clone(&self.rules), inputs).await;
    }

    // ---- time ----

    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let times = [
            Some(self.next_resync),
            self.retry_engine,
            self.attempts.next_retry(now),
            self.trigger.next_deadline(),
            self.spares.values().map(|spare| spare.until).min(),
        ];
        times.into_iter().flatten().min().unwrap_or(self.next_resync).max(now)
    }

    fn woken(&mut self) {
        let now = Instant::now();
        if self.retry_engine.is_some_and(|at| at <= now) {
            self.retry_engine = None;
            // First listen, then look: nothing falls between.
            self.events =
                Some(self.executor.engine.events((PROJECT, Some(&self.settings.project.name)), self.last_event));
        }
        let over: Vec<String> =
            self.spares.iter().filter(|(_, spare)| spare.until <= now).map(|(name, _)| name.clone()).collect();
        for name in over {
            let spare = self.spares.remove(&name);
            self.discard(spare);
        }
        self.start_reloads();
        self.look_again = true;
    }

    /// The engine does not answer: everything waits until it does.
    fn lose_engine(&mut self, error: &str) {
        self.events = None;
        self.retry_engine = Some(Instant::now() + ENGINE_RETRY);
        self.look_again = true;
        if !std::mem::replace(&mut self.lost, true) {
            self.executor.reporter.report(Event::EngineLost { error: error.to_owned() });
        }
    }

    fn to_refresh(&self) -> BTreeSet<String> {
        use crate::model::target::PullPolicy;
        let targets = self.settings.project.targets.values().filter(|target| match &target.kind {
            TargetKind::Run(run) => match run.pull_policy {
                PullPolicy::Always | PullPolicy::Build => true,
                PullPolicy::Missing | PullPolicy::Never => self.options.build && run.build.is_some(),
            },
            _ => false,
        });
        targets.map(|target| target.name.clone()).collect()
    }
}

async fn next_event(events: &mut Option<EngineStream<EngineEvent>>) -> Option<EngineResult<EngineEvent>> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

fn reload_kind(action: WatchAction) -> ActionKind {
    match action {
        WatchAction::Restart => ActionKind::Restart,
        WatchAction::Rebuild => ActionKind::Rebuild,
    }
}

fn kind(change: &Change) -> ActionKind {
    match (&change.subject, &change.step) {
        (Subject::Network(_), Step::Make) => ActionKind::CreateNetwork,
        (Subject::Network(_), Step::Remove { .. }) => ActionKind::RemoveNetwork,
        (Subject::Volume(_), Step::Remove { .. }) => ActionKind::RemoveVolume,
        (Subject::Volume(_), _) => ActionKind::CreateVolume,
        (_, Step::RefreshImage { image: ImageAction::Build }) => ActionKind::Build,
        (_, Step::RefreshImage { image: ImageAction::Pull }) => ActionKind::Pull,
        (_, Step::Start { .. }) => ActionKind::Start,
        (_, Step::Replace { .. }) => ActionKind::Replace,
        (_, Step::Unpause { .. }) => ActionKind::Unpause,
        (_, Step::Rename { .. }) => ActionKind::Rename,
        (_, Step::Remove { .. }) => ActionKind::Remove,
        _ => ActionKind::Create,
    }
}
