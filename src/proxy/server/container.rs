//! Servers of a run target or of a compose service: each a container of its own, made (a service's by compose), attached
//! to, started and removed by the engine's API. It
//! must not know what is said through the streams.
//!
//! # How
//!
//! - Attached before it is started, so that nothing it prints is missed. With `stdin_once`: when mcpmon dies, the
//!   connection ends and with it the server's stdin, on which the protocol asks it to end.
//! - Never with a terminal (it echoes and changes line ends); without a log, unless the file asks for one: the engine
//!   would write every message to disk, secrets included.
//! - At the end of the session everything that carries its label goes.
//! - Its name is the target's with the session's, because several clients may have one of it; a `container_name` is
//!   given to it when it starts.

mod name;
mod prepare;

use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;

use super::{
    Failed, Launcher, Streams, lock,
    made::{MadeContainers, nothing_left},
};
use crate::{
    engine::{Engine, EngineError, Images},
    error::Error,
    model::{
        Labels, Owner, Project, RunTarget, ServiceTarget, Settings, Target, TargetKind,
        labels::{DEPENDENCY, STDIO},
        settings::WatchAction,
    },
    output::Event,
    proxy::session::{ServerId, Start},
    reconcile::{
        act::{Failure, SharedExecutor},
        teardown::end_session,
    },
};

/// Starts a target's containers.
pub struct Containers<E, I> {
    executor: SharedExecutor<E, I>,
    /// The session, as the owner of its servers.
    owner: Owner,
    wanted: Mutex<Wanted>,
    made: MadeContainers<E>,
    /// What must be there first was looked for, and found or made.
    ready: tokio::sync::Mutex<bool>,
    /// One copy at a time.
    syncing: tokio::sync::Mutex<()>,
}

/// What is to be started, as the file has it now.
#[derive(Clone)]
struct Wanted {
    settings: Arc<Settings>,
    target: String,
    /// Its image is to be fetched or built although it is there.
    refresh: bool,
}

/// What a server's container is made of.
#[derive(Clone, Copy)]
enum Kind<'a> {
    /// By the engine's API.
    Run(&'a RunTarget),
    /// By compose: in its networks, with its secrets and all.
    Service(&'a ServiceTarget),
}

impl Wanted {
    fn parts(&self) -> Result<(&Project, &Target, Kind<'_>), Failed> {
        let project = &self.settings.project;
        match project.targets.get(&self.target) {
            Some(target @ Target { kind: TargetKind::Run(run), .. }) => Ok((project, target, Kind::Run(run))),
            Some(target @ Target { kind: TargetKind::Service(service), .. }) => {
                Ok((project, target, Kind::Service(service)))
            }
            _ => Err(Failed::hopeless(format!("{} has no container any more", self.target))),
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
            made: MadeContainers::new(executor.engine.clone(), executor.owner.session, is_dead),
            executor,
            wanted: Mutex::new(Wanted { settings, target: target.to_owned(), refresh: true }),
            ready: tokio::sync::Mutex::new(false),
            syncing: tokio::sync::Mutex::default(),
        }
    }

    /// From now on servers are started as these settings say.
    pub async fn set(&self, settings: Arc<Settings>) {
        lock(&self.wanted).settings = settings;
        *self.ready.lock().await = false;
    }

    /// Files of a sync rule changed: copies them into the containers there are, and runs what follows; they go on. What can't
    /// be done is said.
    pub async fn sync(&self, action: WatchAction) {
        let _alone = self.syncing.lock().await;
        let wanted = lock(&self.wanted).clone();
        let (project, reporter) = (&wanted.settings.project, &self.executor.reporter);
        for container in self.made.ids() {
            // One that is only prepared has been filled already, but before this change.
            let runs =
                self.engine().inspect(&container).await.is_ok_and(|found| found.is_some_and(|found| found.running));
            let synced = if runs {
                self.executor.sync(project, &wanted.target, action, &container).await.map(drop)
            } else {
                self.executor.sync_at_rest(project, &wanted.target, action, &container).await
            };
            if let Err(failure) = synced {
                let Failure { message: error, hint, log, .. } = failure;
                let (target, action) = (wanted.target.clone(), action.into());
                reporter.report(Event::ActionFailed { target, action, error, hint, log, retry_ms: None });
            }
        }
    }

    fn engine(&self) -> &E {
        &self.executor.engine
    }
}

impl<E: Engine, I: Images> Launcher for Containers<E, I> {
    async fn prepare(&self, server: ServerId, rebuild: bool, give_up: &CancellationToken) -> Result<(), Failed> {
        let wanted = lock(&self.wanted).clone();
        let made = self.make(server, &wanted, rebuild, give_up).await?;
        lock(&self.wanted).refresh = false;
        self.made.insert(server, made);
        Ok(())
    }

    async fn start(&self, server: ServerId, how: Start, give_up: &CancellationToken) -> Result<Streams, Failed> {
        match how {
            Start::Fresh { .. } if self.made.has(server) => {}
            Start::Fresh { rebuild } => self.prepare(server, rebuild, give_up).await?,
            Start::Again(old) => self.made.again(old, server)?,
        }
        self.made.start(server, give_up).await
    }

    async fn ended(&self, server: ServerId) -> String {
        self.made.ended(server).await
    }

    async fn stop(&self, server: ServerId, _keep: bool, hurry: &CancellationToken) -> String {
        self.made.stop(server, hurry).await
    }

    async fn forget(&self, server: ServerId) {
        self.made.forget(server).await;
    }

    async fn finish(&self, hurry: &CancellationToken) -> Result<(), Error> {
        self.executor.ending.cancel();
        let wanted = lock(&self.wanted).clone();
        let project = &wanted.settings.project;
        let (session, reporter) = (self.owner.session, &self.executor.reporter);
        let (is_dead, adopted) = (self.made.is_dead(), self.executor.guard.adopted());
        let ended = end_session(self.engine(), (session, &adopted), project, &*is_dead, hurry, reporter).await;
        nothing_left(ended)
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
