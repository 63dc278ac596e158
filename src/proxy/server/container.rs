//! Servers of a run target: each a container of its own, made, attached to, started and removed by the engine's API. It
//! must not know what is said through the streams.
//!
//! # How
//!
//! - Attached before it is started, so that nothing it prints is missed. With `stdin_once`: when mcpmon dies, the
//!   connection ends and with it the server's stdin, on which the protocol asks it to end.
//! - Never with a terminal (it echoes and changes line ends); without a log, unless the file asks for one: the engine
//!   would write every message to disk, secrets included.
//! - Its end is what the engine says about the container. A container that could not be removed at once is tried again,
//!   and at the end of the session everything that carries its label goes.
//! - Its name is the target's with the session's, because several clients may have one of it; a `container_name` is
//!   given to it when it starts.

mod name;
mod prepare;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt;
use tokio_util::sync::CancellationToken;

use super::{Failed, Launcher, Streams};
use crate::{
    engine::{Engine, EngineError, Images},
    error::Error,
    model::{
        Labels, Owner, Project, RunTarget, Settings, Target, TargetKind,
        labels::{DEPENDENCY, STDIO},
    },
    output::words::exit_words,
    proxy::session::{ServerId, Start},
    reconcile::{
        act::{Failure, SharedExecutor},
        teardown::end_session,
    },
};

/// Between tries to remove a container that could not be removed, and how many there are: what is left then is removed
/// at the session's end.
const REMOVE_AGAIN: Duration = Duration::from_secs(2);
const REMOVE_TRIES: u32 = 30;

/// Starts a target's containers.
pub struct Containers<E, I> {
    executor: SharedExecutor<E, I>,
    /// The session, as the owner of its servers.
    owner: Owner,
    wanted: Mutex<Wanted>,
    made: Mutex<BTreeMap<ServerId, Made>>,
    /// Held while a container is renamed, or one that may be renamed is removed: renamed while it is removed, an engine
    /// (20.10) lists it for ever, and can't remove it any more.
    renaming: tokio::sync::Mutex<()>,
    /// What must be there first was looked for, and found or made.
    ready: tokio::sync::Mutex<bool>,
    is_dead: Arc<dyn Fn(&Labels) -> bool + Send + Sync>,
}

/// What is to be started, as the file has it now.
#[derive(Clone)]
struct Wanted {
    settings: Arc<Settings>,
    target: String,
    /// Its image is to be fetched or built although it is there.
    refresh: bool,
}

/// A container that was made.
#[derive(Debug, Clone)]
struct Made {
    id: String,
    grace: Duration,
    /// The name that it gets when it starts.
    fixed_name: Option<String>,
}

impl Wanted {
    fn parts(&self) -> Result<(&Project, &Target, &RunTarget), Failed> {
        let project = &self.settings.project;
        match project.targets.get(&self.target) {
            Some(target @ Target { kind: TargetKind::Run(run), .. }) => Ok((project, target, run)),
            _ => Err(Failed::hopeless(format!("{} is no run target any more", self.target))),
        }
    }
}

impl<E: Engine, I: Images> Containers<E, I> {
    /// For the run target of that name. The executor's owner makes what the servers need; its role is [`DEPENDENCY`].
    /// `is_dead`: the session of these labels is dead.
    pub fn new(
        executor: SharedExecutor<E, I>,
        settings: Arc<Settings>,
        target: &str,
        is_dead: impl Fn(&Labels) -> bool + Send + Sync + 'static,
    ) -> Self {
        debug_assert_eq!(executor.owner.role, Some(DEPENDENCY));
        Self {
            owner: Owner { role: Some(STDIO), ..executor.owner.clone() },
            executor,
            wanted: Mutex::new(Wanted { settings, target: target.to_owned(), refresh: true }),
            made: Mutex::default(),
            renaming: tokio::sync::Mutex::default(),
            ready: tokio::sync::Mutex::new(false),
            is_dead: Arc::new(is_dead),
        }
    }

    /// From now on servers are started as these settings say.
    pub async fn set(&self, settings: Arc<Settings>) {
        lock(&self.wanted).settings = settings;
        *self.ready.lock().await = false;
    }

    fn engine(&self) -> &E {
        &self.executor.engine
    }

    fn made(&self, server: ServerId) -> Option<Made> {
        lock(&self.made).get(&server).cloned()
    }

    async fn start_made(&self, server: ServerId, made: &Made) -> Result<Streams, Failed> {
        if let Some(name) = &made.fixed_name {
            self.claim(&made.id, name).await?;
        }
        let attached = self.engine().attach(&made.id).await?;
        self.engine().start(&made.id).await?;
        tracing::debug!("server {} is container {}", server.0, crate::plan::short(&made.id));
        let output = attached.output.map(|chunk| chunk.map_err(io::Error::other));
        Ok(Streams { input: attached.input, output: output.boxed() })
    }

    /// How a container ended, in words.
    async fn how_it_ended(&self, id: &str, code: Option<i64>) -> String {
        match self.engine().inspect(id).await {
            Ok(Some(details)) => {
                let memory = if details.out_of_memory { ", out of memory" } else { "" };
                let code = exit_words(details.exit_code.or(code));
                match details.error.filter(|error| !error.is_empty()) {
                    Some(error) => format!("{code}{memory} ({error})"),
                    None => format!("{code}{memory}"),
                }
            }
            Ok(None) if code.is_none() => "its container was removed".into(),
            Ok(None) | Err(_) => exit_words(code),
        }
    }

    async fn remove(&self, id: &str) -> Result<(), EngineError> {
        let mut tries = 0;
        loop {
            tries += 1;
            match self.engine().remove(id).await {
                Err(error) if tries < REMOVE_TRIES => {
                    tracing::debug!("container {} could not be removed yet: {error}", crate::plan::short(id));
                    tokio::time::sleep(REMOVE_AGAIN).await;
                }
                result => return result,
            }
        }
    }
}

impl<E: Engine, I: Images> Launcher for Containers<E, I> {
    async fn prepare(&self, server: ServerId, rebuild: bool, give_up: &CancellationToken) -> Result<(), Failed> {
        let wanted = lock(&self.wanted).clone();
        let made = self.make(server, &wanted, rebuild, give_up).await?;
        lock(&self.wanted).refresh = false;
        lock(&self.made).insert(server, made);
        Ok(())
    }

    async fn start(&self, server: ServerId, how: Start, give_up: &CancellationToken) -> Result<Streams, Failed> {
        match how {
            Start::Fresh { .. } if self.made(server).is_some() => {}
            Start::Fresh { rebuild } => self.prepare(server, rebuild, give_up).await?,
            Start::Again(old) => {
                let kept = lock(&self.made).remove(&old);
                let kept = kept.ok_or_else(|| Failed::new("the container that was kept is gone"))?;
                lock(&self.made).insert(server, kept);
            }
        }
        let Some(made) = self.made(server) else { return Err(Failed::new("its container is gone")) };
        if give_up.is_cancelled() {
            self.forget(server).await;
            return Err(Failed::new("it is not wanted any more"));
        }
        let started = self.start_made(server, &made).await;
        if started.is_err() {
            self.forget(server).await;
        }
        started
    }

    async fn ended(&self, server: ServerId) -> String {
        let Some(Made { id, .. }) = self.made(server) else { return "its container is gone".into() };
        match self.engine().wait(&id).await {
            Ok(code) => self.how_it_ended(&id, code).await,
            Err(error) => format!("the engine does not tell what became of it: {error}"),
        }
    }

    async fn stop(&self, server: ServerId, _keep: bool, hurry: &CancellationToken) -> String {
        let Some(Made { id, grace, .. }) = self.made(server) else { return "its container is gone".into() };
        let stopped = tokio::select! {
            stopped = self.engine().stop(&id, grace) => stopped,
            () = hurry.cancelled() => self.engine().kill(&id).await,
        };
        let stopped = match stopped {
            Ok(()) => Ok(()),
            Err(_) => self.engine().kill(&id).await,
        };
        match stopped {
            Ok(()) => self.how_it_ended(&id, None).await,
            Err(error) => format!("it could not be stopped: {error}"),
        }
    }

    async fn forget(&self, server: ServerId) {
        let made = lock(&self.made).remove(&server);
        let Some(Made { id, fixed_name, .. }) = made else { return };
        let _alone = match fixed_name {
            Some(_) => Some(self.renaming.lock().await),
            None => None,
        };
        if let Err(error) = self.remove(&id).await {
            tracing::warn!("container {} could not be removed: {error}", crate::plan::short(&id));
        }
    }

    async fn finish(&self, hurry: &CancellationToken) -> Result<(), Error> {
        self.executor.ending.cancel();
        let wanted = lock(&self.wanted).clone();
        let project = &wanted.settings.project;
        let (session, reporter) = (self.owner.session, &self.executor.reporter);
        let hint = "`mcpmon cleanup` removes what this session left, once it has ended and the engine answers";
        let ended = end_session(self.engine(), session, project, &*self.is_dead, hurry, reporter).await;
        let left = ended.map_err(|error| Error::from(error).hint(hint))?.failed;
        match left.as_slice() {
            [] => Ok(()),
            [(id, error), ..] => {
                let (number, id) = (left.len(), crate::plan::short(id));
                Err(Error::failed(format!("{number} containers could not be removed, {id} for one: {error}"))
                    .hint(hint))
            }
        }
    }
}

impl From<EngineError> for Failed {
    fn from(error: EngineError) -> Self {
        let hopeless = !error.is_transient();
        Self::of(error.into(), hopeless)
    }
}

impl Failed {
    /// What an action failed with.
    pub(super) fn of(failure: Failure, hopeless: bool) -> Self {
        let hint = failure.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        let failed = if hopeless && !failure.unreachable { Self::hopeless } else { Self::new };
        Self { log: failure.log, ..failed(format!("{}{hint}", failure.message)) }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // Nothing that panics happens while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
