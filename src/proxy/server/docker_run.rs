//! Servers of a docker line (`docker run -i …`): each a container of its own. The docker CLI makes it (`docker create`
//! with the words of the line), so that every option means what docker says it means; attached to, started and removed it
//! is by the engine's API. It must not know what is said through the streams.
//!
//! # How
//!
//! - The container's id comes from a `--cidfile` of mcpmon's own. The line's own one gets the id of the running
//!   container, at each start anew.
//! - The line's `--name` is one for all: a container gets it when it starts.
//! - Without a log unless the line names a driver: the engine would write every message to disk, secrets included.
//! - With `--rm` the engine removes a container by itself at its end, also when mcpmon was killed: its stdin has ended
//!   then.
//! - The line is never shown: it may hold secrets. What goes wrong is told in the CLI's words.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    path::Path,
    process::Stdio,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    Failed, Launcher, Streams, lock,
    made::{Made, MadeContainers, nothing_left},
};
use crate::{
    docker_line::{ContainerLine, Injected},
    engine::{Engine, cli},
    error::{Error, Kind, Result as Outcome},
    model::Labels,
    output::{ActionKind, Event, Reporter},
    proxy::session::{ServerId, Start},
    reconcile::teardown::end_containers,
    session::{mark, private_folder::PrivateFolder},
};

/// What a CLI that is not wanted any more has left to come to its end, where it does not pull an image.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// What the containers are made from.
#[derive(Debug)]
pub struct Recipe {
    /// The line.
    pub line: ContainerLine,
    /// What is put in: labels, and files of them.
    pub injected: Injected,
    /// From the stop signal to the kill.
    pub grace: Duration,
    /// What the server is called in what is shown.
    pub name: String,
}

/// Starts a docker line's containers.
pub struct DockerRun<E> {
    engine: E,
    session: Uuid,
    recipe: Recipe,
    reporter: Reporter,
    containers: MadeContainers<E>,
}

impl<E: Engine> DockerRun<E> {
    /// `session`: whose labels the recipe puts in. `is_dead`: the session of these labels is dead.
    ///
    /// # Errors
    /// The line's `--cidfile` is there already, which docker refuses.
    pub fn new(
        engine: E,
        session: Uuid,
        recipe: Recipe,
        reporter: Reporter,
        is_dead: impl Fn(&Labels) -> bool + Send + Sync + 'static,
    ) -> Outcome<Self> {
        if let Some(path) = recipe.line.cidfile.as_deref().filter(|path| path.exists()) {
            return Err(Error::failed(format!("the container ID file {} is there already", path.display()))
                .hint("make sure that its container does not run any more, and delete the file"));
        }
        let containers = MadeContainers::new(engine.clone(), session, is_dead);
        Ok(Self { engine, session, recipe, reporter, containers })
    }

    /// The exit code of the container that ended last, if it did so by itself.
    pub fn exit_code(&self) -> Option<i64> {
        self.containers.exit_code()
    }

    /// Makes a container.
    async fn make(&self, server: ServerId, give_up: &CancellationToken) -> Result<Made, Failed> {
        let Recipe { line, injected, grace, .. } = &self.recipe;
        let folder = PrivateFolder::in_folder(&std::env::temp_dir()).map_err(|error| Failed::new(error.to_string()))?;
        let file = folder.path().join("cid");
        let injected = Injected {
            cidfile: Some(file.clone()),
            replace_cidfile: true,
            log_driver_none: true,
            name: line.name.as_ref().map(|name| self.own_name(name, server)),
            create: true,
            ..injected.clone()
        };
        let mut command = Command::new(line.program());
        command.args(line.argv(&injected).into_iter().skip(1)).stdout(Stdio::null()).stderr(Stdio::piped());
        mark::put(command.as_std_mut(), mark::Kind::Tool);
        self.run(command, give_up).await?;
        let id = fs::read_to_string(&file).map_err(|error| {
            Failed::new(format!("docker create wrote no container id to {}: {error}", file.display()))
        })?;
        let fixed_name = line.name.as_ref().map(|name| name.to_string_lossy().into_owned());
        Ok(Made::new(id.trim().to_owned(), *grace, fixed_name).auto_remove(line.remove))
    }

    /// Until a container starts it has a name that nobody else has.
    fn own_name(&self, name: &OsString, server: ServerId) -> OsString {
        let mut own = name.clone();
        own.push(format!("-{}-{}", &self.session.simple().to_string()[..8], server.0));
        own
    }

    /// Runs the CLI to its end. A pull is given up when the container is not wanted any more; what the engine is making
    /// already is waited for, so that it is known.
    async fn run(&self, command: Command, give_up: &CancellationToken) -> Result<(), Failed> {
        let program = self.recipe.line.program();
        let (said, pulls) = (Mutex::new(None::<String>), AtomicBool::new(false));
        let progress = |line: &str| {
            if is_advice(line) {
                return;
            }
            // The last one says why, where it fails.
            if let Some(line) = lock(&said).replace(line.to_owned()) {
                pulls.store(true, Ordering::Relaxed);
                self.tell(line);
            }
        };
        let run = cli::run(command, progress);
        tokio::pin!(run);
        let ended = tokio::select! {
            ended = &mut run => Some(ended),
            () = give_up.cancelled() => {
                let wait = if pulls.load(Ordering::Relaxed) { Duration::ZERO } else { LAST_MOMENT };
                tokio::time::timeout(wait, &mut run).await.ok()
            }
        };
        let ended = ended.ok_or_else(|| Failed::new("it is not wanted any more"))?;
        let ended = ended.map_err(|error| cannot_run(program, &error))?;
        let last = lock(&said).take();
        if ended.status.success() {
            if let Some(line) = last {
                self.tell(line);
            }
            return Ok(());
        }
        let status = ended.status;
        let reason = last.unwrap_or_else(|| format!("docker create failed ({status})"));
        Err(if is_transient(&reason) { Failed::new(reason) } else { Failed::hopeless(reason) })
    }

    fn tell(&self, line: String) {
        let is_warning = line.to_ascii_uppercase().starts_with("WARNING");
        self.reporter.report(if is_warning {
            Event::Warning { message: line }
        } else {
            Event::ActionProgress { target: self.recipe.name.clone(), action: ActionKind::Pull, line }
        });
    }

    /// Writes the line's own `--cidfile`, as docker does.
    fn write_cidfile(&self, server: ServerId) {
        if let (Some(path), Some(id)) = (&self.recipe.line.cidfile, self.containers.id(server))
            && let Err(error) = fs::write(path, id)
        {
            let message = format!("the container ID file {} can't be written: {error}", path.display());
            self.reporter.report(Event::Warning { message });
        }
    }
}

impl<E: Engine> Launcher for DockerRun<E> {
    async fn prepare(&self, server: ServerId, _rebuild: bool, give_up: &CancellationToken) -> Result<(), Failed> {
        let made = self.make(server, give_up).await?;
        self.containers.insert(server, made);
        Ok(())
    }

    async fn start(&self, server: ServerId, how: Start, give_up: &CancellationToken) -> Result<Streams, Failed> {
        match how {
            Start::Fresh { .. } if self.containers.has(server) => {}
            // The engine removed it when it ended: the line makes another one.
            Start::Again(old) if self.recipe.line.remove => {
                self.containers.forget(old).await;
                self.prepare(server, false, give_up).await?;
            }
            Start::Again(old) => self.containers.again(old, server)?,
            Start::Fresh { rebuild } => self.prepare(server, rebuild, give_up).await?,
        }
        let streams = self.containers.start(server, give_up).await?;
        self.write_cidfile(server);
        Ok(streams)
    }

    async fn ended(&self, server: ServerId) -> String {
        self.containers.ended(server).await
    }

    async fn stop(&self, server: ServerId, _keep: bool, hurry: &CancellationToken) -> String {
        self.containers.stop(server, hurry).await
    }

    async fn forget(&self, server: ServerId) {
        self.containers.forget(server).await;
    }

    async fn finish(&self, hurry: &CancellationToken) -> Outcome<()> {
        nothing_left(end_containers(&self.engine, (self.session, &BTreeSet::new()), None, hurry, &self.reporter).await)
    }
}

fn cannot_run(program: &std::ffi::OsStr, error: &io::Error) -> Failed {
    let shown = Path::new(program).display();
    let (kind, reason) = match error.kind() {
        io::ErrorKind::NotFound => (
            Kind::NotFound,
            format!(
                "there is no program {shown}: install it (https://docs.docker.com/engine/install/), or add its folder to \
                 PATH"
            ),
        ),
        io::ErrorKind::PermissionDenied => (Kind::NotExecutable, format!("{shown} can't be run: {error}")),
        _ => (Kind::Failed, format!("{shown} can't be run: {error}")),
    };
    Failed { kind, ..Failed::hopeless(reason) }
}

/// Whether a line of the CLI's says nothing about what happened.
fn is_advice(line: &str) -> bool {
    line.starts_with("Usage:") || line.starts_with("See '") || (line.starts_with("Run '") && line.contains("--help'"))
}

/// Whether another try may do what this one did not: the engine, or the way to a registry, did not answer.
fn is_transient(reason: &str) -> bool {
    ["Cannot connect to the Docker daemon", "Is the docker daemon running", "deadline exceeded", "timeout"]
        .iter()
        .any(|words| reason.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clis_own_words_are_told_from_its_advice() {
        for (line, advice, transient) in [
            ("Run 'docker create --help' for more information", true, false),
            ("See 'docker create --help'.", true, false),
            ("Usage:  docker create [OPTIONS] IMAGE [COMMAND] [ARG...]", true, false),
            ("docker: invalid IP address: 1:2", false, false),
            ("Error response from daemon: No such image: zzz:latest", false, false),
            ("Cannot connect to the Docker daemon at unix:///nope. Is the docker daemon running?", false, true),
            ("Error response from daemon: Get \"https://r/v2/\": net/http: TLS handshake timeout", false, true),
        ] {
            assert_eq!((is_advice(line), is_transient(line)), (advice, transient), "{line}");
        }
    }
}
