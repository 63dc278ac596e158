//! Carrying one change out on the engine. Decides nothing but what a failure leaves: nothing half-done.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::{Semaphore, SemaphorePermit, broadcast};
use tokio_util::sync::CancellationToken;

use super::{
    compose::Composing,
    needs::Sources,
    ports::Refused,
    ready::{self, Evidence},
    stamp,
    sync::Syncs,
};
use crate::{
    engine::{CreateContainer, Engine, EngineError, Images},
    model::{
        Owner, Project, RunTarget, Target, TargetKind, labels::ON_EXIT, settings::WatchAction, target::UpdateOrder,
    },
    orphan::KEEP,
    output::{ActionKind, Event, Reporter, follow::tail},
    plan::{Change, ImageAction, Step, Subject, container_name},
    session::{guard::Guard, turn::Turn},
};

/// Actions at once. Measured on two processors, the first `up` of 50 targets beside compose's of the same, a few rounds of a
/// debug build each: 16 at once took 1.04 of its time, 8: 0.92; one round differs from another by a tenth. More of them keep
/// each other from the processors. Removals have a number of their own.
const AT_ONCE: usize = 8;
/// Builds and pulls at once: each is parallel in itself.
const IMAGES_AT_ONCE: usize = 4;
/// How long another session may take to make a network, or to start a container.
const TURN: Duration = Duration::from_secs(30);
/// Lines of a container's log that go with a failure.
pub const LOG_LINES: usize = 10;

/// Whoever carries changes out: engine, identity, and who to tell.
#[derive(Debug)]
pub struct Executor<E, I> {
    /// The container engine.
    pub engine: E,
    /// Builds and pulls.
    pub images: I,
    /// The session that owns what is made.
    pub owner: Owner,
    /// Its lease and watchdog: what it takes over is its own by them.
    pub guard: Guard,
    /// Labels that every container gets besides (`MCPMON_DOCKER_LABELS`).
    pub labels: BTreeMap<String, String>,
    /// Who is told.
    pub reporter: Reporter,
    /// Ids of containers that something happened to.
    pub nudges: broadcast::Sender<String>,
    /// Cancelled when the session ends: builds, pulls and waits for readiness are given up.
    pub ending: CancellationToken,
    /// What was copied into containers by the sync actions.
    pub syncs: Syncs,
    /// What mcpmon writes itself, and never copies.
    pub never: Vec<PathBuf>,
    /// The compose command, where there are compose targets.
    pub(super) compose: Option<Composing>,
    pub(super) sources: Sources,
    pub(super) refused: Refused,
    slots: Semaphore,
    image_slots: Semaphore,
}

/// What one has a turn at who stops and starts a container: nobody starts it in between.
pub fn turn_at(container: &str) -> String {
    format!("starting container {container} again")
}

/// What became of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// A container runs; whether it is ready is another question.
    Started {
        /// Its id.
        container: String,
    },
    /// The same, but somebody else has started it meanwhile (`mcpmon restart`).
    StartedElsewhere {
        /// Its id.
        container: String,
    },
    /// A container took another one's place, and is ready.
    Swapped {
        /// Its id.
        container: String,
        /// Which one moved first.
        order: UpdateOrder,
        /// The old one, stopped but kept for a while, where nothing but time tells whether the new one is good.
        spare: Option<String>,
    },
    /// The old container was started again; the new one had ended too soon.
    PutBack {
        /// The last lines that the new one printed.
        log: Vec<String>,
    },
    /// Files were copied into a container, which was restarted and is ready.
    Restarted {
        /// Its id.
        container: String,
    },
    /// Nothing needed to be done after all.
    Unchanged,
    /// Anything else.
    Finished,
}

/// Why a change could not be carried out. What it had begun is undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
    /// The last lines that the container or the build printed.
    pub log: Vec<String>,
    /// The engine does not answer: nobody's fault, nothing to count.
    pub unreachable: bool,
    /// What is in its way is not its own: something that it needs is not on the engine, or somebody else holds it (a port, a
    /// name). A moment later that may be over.
    pub passing: bool,
    /// What it was to replace runs.
    pub goes_on: bool,
}

impl Failure {
    /// A failure in words.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            hint: None,
            log: Vec::new(),
            unreachable: false,
            passing: false,
            goes_on: false,
        }
    }
}

impl From<EngineError> for Failure {
    fn from(error: EngineError) -> Self {
        let mut failure = Self { hint: error.hint(), ..Self::new(error.to_string()) };
        match error {
            EngineError::Unreachable { .. } | EngineError::Denied { .. } => failure.unreachable = true,
            EngineError::NotFound(_)
            | EngineError::NameTaken(_)
            | EngineError::PortTaken(_)
            | EngineError::Timeout { .. } => failure.passing = true,
            EngineError::Command { output, .. } => failure.log = output,
            _ => {}
        }
        failure
    }
}

impl<E: Engine, I: Images> Executor<E, I> {
    /// Ready to work.
    pub fn new(
        engine: E,
        images: I,
        owner: Owner,
        guard: Guard,
        labels: BTreeMap<String, String>,
        reporter: Reporter,
    ) -> Self {
        let (nudges, _) = broadcast::channel(256);
        Self {
            engine,
            images,
            owner,
            guard,
            labels,
            reporter,
            nudges,
            ending: CancellationToken::new(),
            syncs: Syncs::default(),
            never: Vec::new(),
            compose: None,
            sources: Sources::default(),
            refused: Refused::default(),
            slots: Semaphore::new(AT_ONCE),
            image_slots: Semaphore::new(IMAGES_AT_ONCE),
        }
    }

    /// The same, and services of compose projects are made by this command.
    #[must_use]
    pub fn with_compose(self, compose: Composing) -> Self {
        Self { compose: Some(compose), ..self }
    }

    /// Waits until another build or pull may begin.
    pub(super) async fn image_slot(&self) -> Option<SemaphorePermit<'_>> {
        self.image_slots.acquire().await.ok()
    }

    /// Carries one change of a plan out. `current`: the container that stands for the target. Where that is to be replaced and
    /// something fails, it is looked at once more.
    pub async fn carry_out_over(
        &self,
        project: &Project,
        change: &Change,
        current: Option<&str>,
    ) -> Result<Done, Failure> {
        let mut done = self.carry_out(project, change).await;
        if let (Err(failure), Some(current)) = (&mut done, current)
            && matches!(change.step, Step::Replace { .. } | Step::RefreshImage { .. })
        {
            let found = self.engine.inspect(current).await;
            failure.goes_on = found.is_ok_and(|found| found.is_some_and(|found| found.running));
        }
        done
    }

    /// Carries one change of a plan out.
    pub async fn carry_out(&self, project: &Project, change: &Change) -> Result<Done, Failure> {
        match (&change.subject, &change.step) {
            (Subject::Network(name), step) => self.network(project, name, step).await,
            (Subject::Volume(name), step) => self.volume(project, name, step).await,
            (Subject::Target(name), Step::Remove { containers }) => self.remove(project, name, containers).await,
            (Subject::Target(name), step) => match project.targets.get(name) {
                Some(target @ Target { kind: TargetKind::Run(run), .. }) => {
                    self.target(project, target, run, step).await
                }
                Some(target @ Target { kind: TargetKind::Service(service), .. }) => {
                    self.service(project, target, service, step).await
                }
                _ => Err(Failure::new("it left the file meanwhile")),
            },
        }
    }

    async fn network(&self, project: &Project, name: &str, step: &Step) -> Result<Done, Failure> {
        let _slot = self.slots.acquire().await;
        match (step, project.networks.get(name)) {
            (Step::Remove { .. }, _) => self.engine.remove_network(name).await?,
            (_, Some(spec)) => {
                // Engines before API 1.44 make two of one name where two sessions ask at once, and then use neither.
                let what = format!("network {name} of {}", self.engine.info().address);
                let turn = Turn::take(&what, TURN).await;
                if let Err(error) = &turn {
                    tracing::warn!("network {name}: made without waiting for others ({error})");
                }
                if self.engine.find_network(name).await?.is_some() {
                    return Ok(Done::Unchanged);
                }
                let labels = stamp::network(&self.owner, project, spec, &spec.labels);
                self.engine.create_network(name, spec, &labels).await?;
            }
            (_, None) => return Err(Failure::new("it left the file meanwhile")),
        }
        Ok(Done::Finished)
    }

    async fn volume(&self, project: &Project, name: &str, step: &Step) -> Result<Done, Failure> {
        let _slot = self.slots.acquire().await;
        match (step, project.volumes.get(name)) {
            (Step::Remove { .. }, _) => self.engine.remove_volume(name).await?,
            (_, Some(spec)) => {
                let labels = stamp::volume(project, spec, &spec.labels);
                self.engine.create_volume(name, spec, &labels).await?;
            }
            (_, None) => return Err(Failure::new("it left the file meanwhile")),
        }
        Ok(Done::Finished)
    }

    async fn target(&self, project: &Project, target: &Target, run: &RunTarget, step: &Step) -> Result<Done, Failure> {
        match step {
            Step::RefreshImage { image, .. } => self.image(project, target, run, *image).await.map(|()| Done::Finished),
            Step::Create { image } => {
                if let Some(image) = image {
                    self.image(project, target, run, *image).await?;
                }
                let _slot = self.slots.acquire().await;
                self.create_and_start(project, target, run).await
            }
            Step::Start { container } => {
                let _slot = self.slots.acquire().await;
                self.needs(project, run).await?;
                // What was saved while it did not run.
                self.fill(project, target, container).await?;
                match self.start_again(container).await {
                    // Somebody removes it at this very moment. Once it is gone, another one takes its place.
                    Err(EngineError::NotFound(_)) => {
                        self.engine.remove(container).await?;
                        self.create_and_start(project, target, run).await
                    }
                    started => Ok(started?),
                }
            }
            Step::Replace { container, image, .. } => {
                if let Some(image) = image {
                    self.image(project, target, run, *image).await?;
                }
                let _slot = self.slots.acquire().await;
                if self.engine.inspect(container).await?.is_none_or(|old| !old.running) {
                    // Nothing that works is at stake, and nothing to go back to.
                    self.engine.remove(container).await?;
                    return self.create_and_start(project, target, run).await;
                }
                self.swap(project, target, run, container, false).await
            }
            Step::Adopt { container } => {
                self.guard.adopt(container);
                Ok(Done::Finished)
            }
            Step::Unpause { container } => {
                self.engine.unpause(container).await?;
                Ok(Done::Finished)
            }
            Step::Rename { container, name } => {
                self.engine.rename(container, name).await?;
                Ok(Done::Finished)
            }
            Step::Same { .. } | Step::Hold { .. } | Step::Make | Step::Remove { .. } => Ok(Done::Unchanged),
        }
    }

    /// Starts a container that has ended. Whoever has a turn at that is waited for.
    pub(super) async fn start_again(&self, container: &str) -> Result<Done, EngineError> {
        // Without a turn it is started all the same: one that runs already is fine.
        let _turn = Turn::take(&turn_at(container), TURN).await.ok();
        let container = container.to_owned();
        if self.engine.inspect(&container).await?.is_some_and(|found| found.running) {
            return Ok(Done::StartedElsewhere { container });
        }
        self.engine.start(&container).await?;
        Ok(Done::Started { container })
    }

    /// Reloads a target because files changed: the image first, where they were part of it.
    pub async fn reload(&self, project: &Project, name: &str, rebuild: bool, old: &str) -> Result<Done, Failure> {
        let (target, run) = match project.targets.get(name) {
            Some(target @ Target { kind: TargetKind::Run(run), .. }) => (target, run),
            Some(target @ Target { kind: TargetKind::Service(service), .. }) => {
                return self.reload_service(project, target, service, rebuild, old).await;
            }
            _ => return Ok(Done::Unchanged),
        };
        if rebuild && run.build.is_some() {
            let before = self.engine.image(&run.spec.image).await?.map(|image| image.id);
            self.image(project, target, run, ImageAction::Build).await?;
            let after = self.engine.image(&run.spec.image).await?.map(|image| image.id);
            if before.is_some() && before == after {
                // What was saved besides is copied into the container that stays.
                return self.sync(project, name, WatchAction::SyncRestart, old).await;
            }
        }
        let _slot = self.slots.acquire().await;
        self.swap(project, target, run, old, !rebuild).await
    }

    /// Builds or pulls the target's image, telling how it goes.
    pub async fn image(
        &self,
        project: &Project,
        target: &Target,
        run: &RunTarget,
        action: ImageAction,
    ) -> Result<(), Failure> {
        let kind = match action {
            ImageAction::Build => ActionKind::Build,
            ImageAction::Pull => ActionKind::Pull,
        };
        let progress = |line: &str| {
            let (target, line) = (target.name.clone(), line.to_owned());
            self.reporter.report(Event::ActionProgress { target, action: kind, line });
        };
        let labels = stamp::image(project, &target.name, run.build.as_ref());
        let work = async {
            let _slot = self.image_slots.acquire().await;
            match (action, &run.build) {
                (ImageAction::Build, Some(build)) => self.images.build(build, &run.spec.image, &labels, progress).await,
                _ => self.images.pull(&run.spec.image, progress).await,
            }
        };
        tokio::select! {
            result = work => Ok(result?),
            () = self.ending.cancelled() => Err(Failure::new("the session ends")),
        }
    }

    async fn create_and_start(&self, project: &Project, target: &Target, run: &RunTarget) -> Result<Done, Failure> {
        let container = self.create(project, target, run, &container_name(project, target)).await?;
        if let Err(failure) = self.fill(project, target, &container).await {
            return Err(self.undo(&container, failure).await);
        }
        if let Err(error) = self.engine.start(&container).await {
            return Err(self.undo(&container, error.into()).await);
        }
        Ok(Done::Started { container })
    }

    /// Makes the target's container under that name.
    pub(super) async fn create(
        &self,
        project: &Project,
        target: &Target,
        run: &RunTarget,
        name: &str,
    ) -> Result<String, Failure> {
        self.needs(project, run).await?;
        let mut labels = stamp::container(&self.owner, project, &target.name, run, &self.labels);
        if self.guard.keeps() {
            labels.insert(ON_EXIT.to_owned(), KEEP.to_owned());
        }
        // Whoever attaches may leave and come back.
        let stdin_once = false;
        let container = CreateContainer { name, spec: &run.spec, alias: &target.name, labels: &labels, stdin_once };
        Ok(self.engine.create(&container).await?)
    }

    /// Removes what a failed action made, and adds its last words to the failure.
    pub async fn undo(&self, container: &str, mut failure: Failure) -> Failure {
        if failure.log.is_empty() {
            failure.log = tail(&self.engine, container, LOG_LINES).await;
        }
        if let Err(error) = self.engine.remove(container).await {
            failure.message = format!("{} (and its container could not be removed: {error})", failure.message);
        }
        failure
    }

    async fn remove(&self, project: &Project, target: &str, containers: &[String]) -> Result<Done, Failure> {
        let grace = match project.targets.get(target).map(|target| &target.kind) {
            Some(TargetKind::Run(run)) => run.spec.stop_grace_period,
            Some(TargetKind::Service(service)) => service.grace,
            _ => stamp::DEFAULT_GRACE,
        };
        let _slot = self.slots.acquire().await;
        for container in containers {
            self.engine.stop(container, grace).await?;
            self.engine.remove(container).await?;
        }
        Ok(Done::Finished)
    }

    /// Waits until a started container is ready, or the session ends.
    pub async fn ready(&self, container: &str, evidence: Evidence, limit: Duration) -> Result<(), Failure> {
        let wait = ready::wait(&self.engine, container, evidence, self.nudges.subscribe(), limit);
        tokio::select! {
            result = wait => result.map_err(|reason| match reason {
                ready::NotReady::Engine(error) => error.into(),
                other => Failure::new(other.to_string()),
            }),
            () = self.ending.cancelled() => Err(Failure::new("the session ends")),
        }
    }
}

/// A handle for tasks.
pub type SharedExecutor<E, I> = Arc<Executor<E, I>>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_its_own_fault_passes() {
        let words = || "words".to_owned();
        let limit = Duration::from_secs(1);
        for (error, passing) in [
            (EngineError::NotFound(words()), true),
            (EngineError::NameTaken(words()), true),
            (EngineError::PortTaken(words()), true),
            (EngineError::Timeout { operation: words(), limit }, true),
            (EngineError::ImageNotFound(words()), false),
            (EngineError::Command { message: words(), output: Vec::new() }, false),
            (EngineError::Other { status: Some(400), message: words() }, false),
        ] {
            let shown = format!("{error:?}");
            assert_eq!(Failure::from(error).passing, passing, "{shown}");
        }
        assert!(!Failure::new("it ended with exit code 3").passing);
    }
}
