//! The sync actions of a run target: what [`super::sync`] copies, and what follows a copy.
//!
//! `sync+restart` restarts the process in the same container, as compose does: what the container has written itself stays. Who
//! wants a fresh one, with the old one going on until the new one is ready, takes `restart`: it gets the rule's files too.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{
    act::{Done, Executor, Failure, LOG_LINES},
    ready::{Evidence, evidence},
    sync::{Extent, Synced},
};
use crate::{
    engine::{Engine, EngineResult, Images, LogChunk},
    model::{
        Project, State, Target, TargetKind,
        labels::{PROJECT, TARGET},
        settings::{ExecHook, WatchAction},
    },
    output::{Event, Reporter, follow::tail, words::exit_words},
    sync::{SyncRule, of_target},
};

/// Pieces of a command's output that wait to be shown.
const PIECES: usize = 64;

impl<E: Engine, I: Images> Executor<E, I> {
    /// Copies everything into a container that is not started yet.
    pub async fn fill(&self, project: &Project, target: &Target, container: &str) -> Result<(), Failure> {
        self.copy(project, target, container, Extent::Everything, WatchAction::SyncRestart).await.map(drop)
    }

    /// A container runs that this session has not copied into: copies what `initial_sync` asks for.
    pub async fn adopt(&self, project: &Project, name: &str, container: &str) -> Result<Done, Failure> {
        let Some(target) = project.targets.get(name) else { return Ok(Done::Unchanged) };
        let synced = self.copy(project, target, container, Extent::Initial, WatchAction::SyncRestart).await?;
        self.follow(target, container, synced.action, &synced).await
    }

    /// Copies what differs under the rules with that action or a weaker one (a stronger one has an event of its own, if it is
    /// still to come), and does what follows.
    pub async fn sync(
        &self,
        project: &Project,
        name: &str,
        action: WatchAction,
        container: &str,
    ) -> Result<Done, Failure> {
        let Some(target) = project.targets.get(name) else { return Ok(Done::Unchanged) };
        // A service may have several containers; a session's server beside them is its session's business.
        let others = match &target.kind {
            TargetKind::Service(_) => self.containers_of(project, name, container).await?,
            _ => Vec::new(),
        };
        let synced = self.copy(project, target, container, Extent::Difference, action).await?;
        let mut done = self.follow(target, container, synced.action, &synced).await?;
        for other in others {
            let synced = self.copy(project, target, &other, Extent::Difference, action).await?;
            if let Done::Restarted { .. } = self.follow(target, &other, synced.action, &synced).await? {
                done = Done::Restarted { container: container.to_owned() };
            }
        }
        Ok(done)
    }

    /// The other containers of the service that one is of.
    async fn containers_of(&self, project: &Project, name: &str, one: &str) -> Result<Vec<String>, Failure> {
        let found = self.engine.list(&[(PROJECT, Some(&project.name)), (TARGET, Some(name))]).await?;
        let role = found.iter().find(|container| container.id == one).and_then(|container| container.labels.role());
        let others = found.iter().filter(|container| {
            role.is_none()
                && container.labels.role().is_none()
                && container.id != one
                && container.state == State::Running
        });
        Ok(others.map(|container| container.id.clone()).collect())
    }

    /// As [`Self::sync`], into a container that does not run: nothing follows.
    pub async fn sync_at_rest(
        &self,
        project: &Project,
        name: &str,
        action: WatchAction,
        container: &str,
    ) -> Result<(), Failure> {
        let Some(target) = project.targets.get(name) else { return Ok(()) };
        self.copy(project, target, container, Extent::Difference, action).await.map(drop)
    }

    async fn copy(
        &self,
        project: &Project,
        target: &Target,
        container: &str,
        extent: Extent,
        strongest: WatchAction,
    ) -> Result<Synced, Failure> {
        let mut rules = of_target(project, target, &self.never);
        rules.retain(|rule| rule.action <= strongest);
        let rules: Arc<[SyncRule]> = rules.into();
        let copied = tokio::select! {
            copied = self.syncs.copy(&self.engine, &target.name, container, &rules, extent) => copied?,
            () = self.ending.cancelled() => return Err(Failure::new("the session ends")),
        };
        for warning in &copied.warnings {
            self.reporter.report(Event::Warning { message: format!("{}: {warning}", target.name) });
        }
        tracing::debug!("{}: {} put, {} deleted", target.name, copied.put, copied.deleted);
        Ok(copied)
    }

    async fn follow(
        &self,
        target: &Target,
        container: &str,
        action: Option<WatchAction>,
        synced: &Synced,
    ) -> Result<Done, Failure> {
        match action {
            None => Ok(Done::Unchanged),
            Some(WatchAction::SyncRestart) => match &target.kind {
                TargetKind::Run(run) => {
                    self.restart(target, evidence(target, run), run.spec.stop_grace_period, container).await
                }
                TargetKind::Service(service) => self.restart(target, Evidence::Running, service.grace, container).await,
                TargetKind::Compose(_) | TargetKind::Process(_) => Ok(Done::Unchanged),
            },
            Some(_) => {
                for hook in &synced.hooks {
                    self.exec(&target.name, container, hook).await?;
                }
                Ok(Done::Finished)
            }
        }
    }

    async fn restart(
        &self,
        target: &Target,
        evidence: Evidence,
        grace: Duration,
        container: &str,
    ) -> Result<Done, Failure> {
        self.engine.restart(container, grace).await?;
        if let Err(mut failure) = self.ready(container, evidence, target.update.monitor).await {
            failure.log = tail(&self.engine, container, LOG_LINES).await;
            failure.message = format!("restarted with the new files, but {}", failure.message);
            return Err(failure);
        }
        Ok(Done::Restarted { container: container.to_owned() })
    }

    /// Runs a rule's command in a container; its output is the target's.
    pub async fn exec(&self, target: &str, container: &str, hook: &ExecHook) -> Result<(), Failure> {
        let ended = tokio::select! {
            ended = run_in(&self.engine, container, hook, target, &self.reporter) => ended?,
            () = self.ending.cancelled() => return Err(Failure::new("the session ends")),
        };
        match ended {
            0 => Ok(()),
            code => {
                let command = shell_words::join(&hook.command);
                Err(Failure::new(format!("`{command}` ended with {}", exit_words(Some(code)))))
            }
        }
    }
}

/// Runs a command in a container, its lines reported as the target's; gives its exit code.
pub async fn run_in<E: Engine>(
    engine: &E,
    container: &str,
    hook: &ExecHook,
    target: &str,
    reporter: &Reporter,
) -> EngineResult<i64> {
    let (sender, mut receiver) = mpsc::channel::<LogChunk>(PIECES);
    let shown = async {
        let mut open: BTreeMap<bool, Vec<u8>> = BTreeMap::new();
        while let Some(LogChunk { stderr, bytes }) = receiver.recv().await {
            let buffer = open.entry(stderr).or_default();
            buffer.extend_from_slice(&bytes);
            while let Some(end) = memchr::memchr(b'\n', buffer) {
                let line: Vec<u8> = buffer.drain(..=end).collect();
                reporter.log(target.to_owned(), stderr, text(&line)).await;
            }
        }
        for (stderr, rest) in open.into_iter().filter(|(_, rest)| !rest.is_empty()) {
            reporter.log(target.to_owned(), stderr, text(&rest)).await;
        }
    };
    let (ended, ()) = tokio::join!(engine.exec(container, hook, Some(sender)), shown);
    ended
}

fn text(line: &[u8]) -> String {
    String::from_utf8_lossy(line).trim_end_matches(['\n', '\r']).to_owned()
}
