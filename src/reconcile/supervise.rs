//! The loop of one session. It waits for whatever comes first (an engine event, a saved file, an
//! action's end, a retry, a signal), changes what it remembers, and makes a pass when a look is due.
//! What it decides by is pure and lives elsewhere: [`crate::plan`], [`crate::trigger`], [`super::attempts`].
//!
//! `pass` looks, plans and begins; `ended` takes what came of it; `inbox` takes what happens outside.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::future::BoxFuture;
use tokio::{sync::watch::Receiver, task::JoinSet};

use self::{
    ended::{Outcome, Work},
    memory::{Memory, Spare},
};
use super::{
    act::{Done, Failure, SharedExecutor},
    attempts::Attempts,
};
use crate::{
    engine::{Engine, Images, resume::EventFeed},
    error::Error,
    model::{Settings, TargetKind, labels::PROJECT, target::PullPolicy},
    output::{ActionKind, Event, follow::Followers},
    plan::Subject,
    session::signals::{Ending, Signals},
    trigger::{Inputs, Rules, Trigger},
    watch::{ChangeReceiver, Watcher},
};

mod ended;
mod inbox;
mod memory;
mod pass;

/// Between two looks at an engine that does not answer.
const ENGINE_RETRY: Duration = Duration::from_millis(250);

/// Between two looks while actions are in progress and nothing waits for their end: a look takes the engine
/// as long as an action's small part (about 8 ms of its processor time for 50 containers), and after the last one
/// everything is looked at anyway.
const BUSY_PAUSE: Duration = Duration::from_millis(500);

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

impl Options {
    /// The settings as far as this session goes: where nothing is watched, nothing is copied.
    fn seen(&self, mut settings: Settings) -> Settings {
        if !self.watch {
            settings.project.targets.values_mut().for_each(|target| target.watch.rules.clear());
        }
        settings
    }
}

/// Reads the configuration again.
pub type Load = Box<dyn Fn() -> BoxFuture<'static, Result<Settings, Error>> + Send>;

/// Where edited settings come from.
pub enum Source {
    /// The configuration's files: they are watched, and read again by this.
    Files(Load),
    /// Somebody else of this session reads them, and says what there is to say about it.
    Told(Receiver<Arc<Settings>>),
}

impl Source {
    /// Waits for the next settings that somebody else has read. Nothing is lost when the future is dropped half-way.
    async fn next(&mut self) -> Arc<Settings> {
        if let Self::Told(settings) = self
            && settings.changed().await.is_ok()
        {
            return Arc::clone(&settings.borrow_and_update());
        }
        std::future::pending().await
    }
}

/// A project being kept as its file says.
pub struct Supervisor<E, I> {
    executor: SharedExecutor<E, I>,
    settings: Arc<Settings>,
    options: Options,
    source: Source,
    began: Instant,

    // What is known.
    look_again: bool,
    /// The last look, and whether something waited then for what was in progress.
    looked: Instant,
    waits: bool,
    next_resync: Instant,
    /// The engine does not answer.
    lost: bool,
    /// No look before this.
    retry_engine: Option<Instant>,
    targets: BTreeMap<String, Memory>,
    attempts: Attempts,
    /// Containers that somebody else stopped: their end is no crash.
    stopped_outside: BTreeSet<String>,
    /// The same, until they are started again: their end is not that of their work.
    asked_to_end: BTreeSet<String>,
    /// Kept containers that are being removed now.
    discarded: BTreeSet<String>,
    /// Containers that ran at the last look.
    running: BTreeSet<String>,
    /// Containers that ended or were paused just now, by the engine's events.
    touched: BTreeSet<String>,
    /// Ready and held targets, when nothing was in progress at the last pass.
    settled: Option<pass::Settled>,
    told_started: bool,
    /// When something that is held may go on by itself.
    retry_held: Option<Instant>,
    /// Warnings about what is watched that were said.
    warned: BTreeSet<String>,

    // What is in progress.
    tasks: JoinSet<Outcome>,
    working: BTreeMap<Subject, ActionKind>,

    // What comes in.
    events: EventFeed<E>,
    watcher: Watcher,
    changes: ChangeReceiver,
    rules: Arc<Rules>,
    trigger: Trigger,
    inputs: Inputs,
    followers: Option<Followers<E>>,
}

impl<E: Engine, I: Images> Supervisor<E, I> {
    /// A supervisor that has not looked yet, but watches already.
    pub async fn new(
        executor: SharedExecutor<E, I>,
        settings: Settings,
        options: Options,
        source: Source,
    ) -> Result<Self, Error> {
        let settings = options.seen(settings);
        let (watcher, changes) = Watcher::new()?;
        let now = Instant::now();
        let engine = &executor.engine;
        let rules = Arc::new(Rules::none());
        let mut supervisor = Self {
            source,
            began: now,
            look_again: true,
            looked: now,
            waits: false,
            next_resync: now,
            lost: false,
            retry_engine: None,
            targets: BTreeMap::new(),
            attempts: Attempts::default(),
            stopped_outside: BTreeSet::new(),
            asked_to_end: BTreeSet::new(),
            discarded: BTreeSet::new(),
            running: BTreeSet::new(),
            touched: BTreeSet::new(),
            settled: None,
            told_started: false,
            retry_held: None,
            warned: BTreeSet::new(),
            tasks: JoinSet::new(),
            working: BTreeMap::new(),
            events: EventFeed::new(engine.clone(), (PROJECT, Some(&settings.project.name)), None),
            watcher,
            changes,
            trigger: Trigger::new(Arc::clone(&rules)),
            rules,
            inputs: Inputs::default(),
            followers: options.follow_logs.then(|| Followers::new(engine.clone(), executor.reporter.clone())),
            settings: Arc::new(settings),
            executor,
            options,
        };
        supervisor.ask_for_images();
        supervisor.watch().await;
        Ok(supervisor)
    }

    /// Keeps the project as asked until a signal comes.
    pub async fn run(&mut self, signals: &mut Signals) -> Ending {
        loop {
            if self.look_again && self.next_look() <= Instant::now() {
                tokio::select! {
                    ending = signals.next() => return ending,
                    () = self.pass() => {}
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
                update = self.events.next() => self.engine_update(update),
                changes = self.changes.next() => self.files_changed(&changes).await,
                settings = self.source.next() => self.take(self.options.seen(Settings::clone(&settings))).await,
                () = tokio::time::sleep_until(wake.into()) => self.woken(),
            }
        }
    }

    /// Gives up what is in progress and waits until all of it has ended, at most `limit`.
    pub async fn stop(&mut self, limit: Duration) {
        self.executor.ending.cancel();
        // Kept ones may be of another session (one that died): whoever ends this session's would not find them.
        let spares: Vec<_> = self.targets.values_mut().filter_map(|memory| memory.spare.take()).collect();
        for spare in spares {
            self.discard(spare);
        }
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Ok(Outcome { result: Ok(Done::Swapped { container: new, spare: Some(old), .. }), .. }) = ended {
                    self.discard(Spare { old, new, until: Instant::now() });
                }
            }
        };
        if tokio::time::timeout(limit, all).await.is_err() {
            self.warn(format!("{} actions did not end within {limit:?}", self.tasks.len()));
        }
    }

    /// Lets go of what is in progress at once. What it had begun on the engine is found by its label.
    pub async fn give_up(&mut self) {
        self.tasks.shutdown().await;
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

    fn memory(&mut self, target: &str) -> &mut Memory {
        self.targets.entry(target.to_owned()).or_default()
    }

    fn is_working_on(&self, target: &str) -> bool {
        self.working.contains_key(&Subject::Target(target.to_owned()))
    }

    fn report(&self, event: Event) {
        self.executor.reporter.report(event);
    }

    fn warn(&self, message: String) {
        self.report(Event::Warning { message });
    }

    fn spawn(&mut self, work: Work, doing: impl Future<Output = Result<Done, Failure>> + Send + 'static) {
        let (began, settings) = (Instant::now(), Arc::clone(&self.settings));
        self.tasks.spawn(async move { Outcome { work, began, settings, result: doing.await } });
    }

    /// The earliest moment of the next look.
    fn next_look(&self) -> Instant {
        let in_progress = !self.working.is_empty() && !self.waits;
        let earliest = if in_progress { self.looked + BUSY_PAUSE } else { self.looked };
        self.retry_engine.map_or(earliest, |retry| retry.max(earliest))
    }

    /// When something is due even if nothing happens.
    fn next_wake(&self) -> Instant {
        let now = Instant::now();
        let times = [
            self.look_again.then(|| self.next_look()),
            self.retry_engine,
            self.attempts.next_retry(now),
            self.attempts.next_steady(now, pass::STEADY),
            self.retry_held,
            self.trigger.next_deadline(),
            self.targets.values().filter_map(|memory| memory.spare.as_ref()).map(|spare| spare.until).min(),
        ];
        times.into_iter().flatten().fold(self.next_resync, Instant::min).max(now)
    }

    fn woken(&mut self) {
        let now = Instant::now();
        // The look that follows finds the next one.
        self.retry_held = None;
        if self.retry_engine.is_some_and(|at| at <= now) {
            self.retry_engine = None;
        }
        let over = |memory: &mut Memory| memory.spare.take_if(|spare| spare.until <= now);
        let spares: Vec<_> = self.targets.values_mut().filter_map(over).collect();
        for spare in spares {
            self.discard(spare);
        }
        self.start_reloads();
        self.look_again = true;
    }

    /// The engine does not answer: everything waits until it does.
    fn lose_engine(&mut self, error: &str) {
        self.retry_engine = Some(Instant::now() + ENGINE_RETRY);
        self.look_again = true;
        if !std::mem::replace(&mut self.lost, true) {
            self.report(Event::EngineLost { error: error.to_owned() });
        }
    }

    /// Images that are to be fetched or built at each `up`, although they may be there.
    fn ask_for_images(&mut self) {
        let settings = Arc::clone(&self.settings);
        for target in settings.project.targets.values() {
            let refresh = match &target.kind {
                TargetKind::Run(run) => match run.pull_policy {
                    PullPolicy::Always | PullPolicy::Build => true,
                    PullPolicy::Missing | PullPolicy::Never => self.options.build && run.build.is_some(),
                },
                TargetKind::Service(service) => service.always_build || (self.options.build && service.builds),
                TargetKind::Compose(_) | TargetKind::Process(_) => continue,
            };
            self.memory(&target.name).refresh = refresh;
        }
    }
}
