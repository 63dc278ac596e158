//! What a line that makes a container needs besides itself: the settings (no `mcpmon.toml` needed), the labels, and
//! the engine that the line means.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::process::Command;

use super::{cannot_run, stdio, warn};
use crate::{
    commands::{context::Context, lone::Lone},
    docker_line::{ContainerLine, Injected, Verb, label_file},
    engine::{Engine, docker::Docker},
    error::{Error, Result},
    model::{
        ObservedContainer, Owner, Settings, TargetKind,
        labels::{CREATED, SESSION, STDIO},
        spec::{Mount, MountSource},
    },
    output::{Event, History, history::Subject, log},
    session::{
        self,
        guard::{self, Begun, Guard},
        mark,
        private_folder::PrivateFolder,
        watchdog::{self, Started},
    },
};

/// One run of a line.
#[derive(Debug)]
pub(super) struct Session {
    /// The line.
    pub(super) line: ContainerLine,
    /// Who makes the container.
    pub(super) owner: Owner,
    /// What the container is called in what is shown; the one target of the settings.
    pub(super) name: String,
    /// Watch settings, time limits, clean-up. Its target has the line's bind mounts.
    pub(super) settings: Settings,
    /// How long the container has to stop.
    pub(super) grace: Duration,
    /// Where what happens to it is kept.
    pub(super) history: History,
    /// Its lease and watchdog; none for a container that is nobody's (`docker create`).
    pub(super) guard: Option<Guard>,
    /// Something is left that should not be: the watchdog tries again.
    pub(super) unsettled: AtomicBool,
    injected: Injected,
    environment: BTreeMap<String, String>,
    /// Holds copies of label files.
    _folder: Option<PrivateFolder>,
}

impl Session {
    /// Reads the settings, and says what is worth a warning.
    pub(super) fn new(context: &Context, line: ContainerLine) -> Result<Self> {
        // On the other processor it gets ready while this one reads: by the time the CLI starts, both are free again.
        let watchdog = (line.verb == Verb::Run).then(watchdog::start).and_then(io::Result::ok);
        let target = Lone::new(context, &shown_name(&line), "docker", None);
        let mut settings = target.load()?;
        log::start(&settings.session.log_level, settings.session.log_file.as_deref())?;
        let name = target.name().to_owned();
        for message in settings.warnings.drain(..) {
            warn(message);
        }
        for label in &line.dropped_labels {
            warn(format!("the label {label} is left out: keys that begin with mcpmon. are mcpmon's own"));
        }
        let default_grace = add_binds(&mut settings, &name, context, &line);
        let grace = line.stop_timeout.and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let role = match line.verb {
            Verb::Create => Some(CREATED),
            Verb::Run => stdio::is_meant(&line).then_some(STDIO),
        };
        let owner = Owner { role, ..session::new() };
        let mut labels = settings.session.labels.clone();
        labels.extend(owner.labels());
        let (label_files, folder) = label_files(context, &line)?;
        let grace = grace.unwrap_or(default_grace);
        let guard = (line.verb == Verb::Run).then(|| begin(context, &line, &settings, &owner, grace, watchdog));
        Ok(Self {
            grace,
            guard,
            unsettled: AtomicBool::new(false),
            injected: Injected { labels, label_files, ..Injected::default() },
            history: context.history(&Subject::Kind("docker"), "docker run"),
            environment: context.environment.clone(),
            _folder: folder,
            line,
            owner,
            name,
            settings,
        })
    }

    /// Keeps that the line was run. What dead sessions left has its turn now: to look for it means to read of every process
    /// of the machine, which took a third of a detached line's time on the processors.
    pub(super) fn began(&self) {
        guard::sweep_aside();
        let project = &self.settings.project.name;
        self.keep(&Event::SessionStarted {
            project: project.clone(),
            session: self.owner.session.to_string(),
            pid: self.owner.pid,
            targets: vec![self.name.clone()],
        });
    }

    /// Keeps what happened.
    pub(super) fn keep(&self, event: &Event) {
        if let Some(message) = self.history.add(event) {
            warn(message);
        }
    }

    /// What is put into the line.
    pub(super) fn injected(&self) -> &Injected {
        &self.injected
    }

    /// The CLI with the line as it is run.
    pub(super) fn command(&self) -> Command {
        let argv = self.line.argv(&self.injected);
        let mut command = Command::new(self.line.program());
        command.args(argv.iter().skip(1));
        // What is nobody's is not ended with anybody.
        if self.guard.is_some() {
            mark::put(command.as_std_mut(), mark::Kind::Tool);
        }
        command
    }

    /// Starts the CLI.
    pub(super) fn spawn(&self, command: &mut Command) -> Result<tokio::process::Child> {
        command.spawn().map_err(|error| cannot_run(self.line.program(), error))
    }

    /// Connects to the engine that the line means.
    pub(super) async fn connect(&self) -> Result<Docker> {
        let is_root = rustix::process::geteuid().is_root();
        let environment = self
            .line
            .engine_environment(&self.environment, is_root)
            .map_err(|error| Error::failed("the engine's API can't be found").caused_by(error))?;
        Ok(Docker::connect(&environment, self.settings.session.docker_timeout).await?)
    }

    /// From here on somebody removes what the line makes, however this process ends.
    pub(super) async fn guarded(&self) {
        if let Some(guard) = &self.guard {
            guard.ready().await;
        }
    }

    /// The session has ended in order, if nothing is left of it that should not be.
    pub(super) fn end(&self) {
        if let Some(guard) = self.guard.as_ref().filter(|_| !self.unsettled.load(Ordering::Relaxed)) {
            guard.end();
        }
    }

    /// The session has ended in order, and its container goes on as its user's.
    pub(super) fn hand_over(&self) {
        if let Some(guard) = &self.guard {
            guard.hand_over();
        }
    }

    /// The `--cidfile` of the line's own goes: docker refuses one that is there already, and that container is gone.
    pub(super) fn forget_cidfile(&self) {
        if let Some(file) = &self.line.cidfile {
            // When it stays, docker says so.
            let _ = std::fs::remove_file(file);
        }
    }

    /// A path as it is shown: relative to where mcpmon was called.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.settings.project.folder).unwrap_or(path).display().to_string()
    }

    /// The containers that this session made: by label, so that no other can be meant.
    pub(super) async fn containers(&self, engine: &Docker) -> Result<Vec<ObservedContainer>> {
        Ok(engine.list(&[(SESSION, Some(&self.owner.session.to_string()))]).await?)
    }
}

/// The session begins: its lease, and its watchdog, which asks the engine that the line means.
fn begin(
    context: &Context,
    line: &ContainerLine,
    settings: &Settings,
    owner: &Owner,
    grace: Duration,
    watchdog: Option<Started>,
) -> Guard {
    let begun = context.begin(owner, &settings.project.name, Some((None, settings.session.docker_timeout)), grace);
    let environment = line.engine_environment(&context.environment, rustix::process::geteuid().is_root());
    let begun = Begun {
        // One that can't be found has no containers of this line either.
        environment: environment.unwrap_or_else(|_| context.environment.clone()),
        keep: !settings.session.cleanup,
        leave_ended: !line.remove && !stdio::is_meant(line),
        ..begun
    };
    Guard::begin_with(begun, watchdog)
}

/// Gives the target the line's bind mounts, for the watcher; gives the grace period of the settings.
fn add_binds(settings: &mut Settings, name: &str, context: &Context, line: &ContainerLine) -> Duration {
    let target = settings.project.targets.get_mut(name).map(|target| &mut target.kind);
    let Some(TargetKind::Run(run)) = target else { return Duration::from_secs(10) };
    run.spec.volumes.extend(line.binds.iter().map(|bind| Mount {
        source: MountSource::Bind { path: context.folder.join(&bind.source), create: false },
        target: bind.target.display().to_string(),
        read_only: bind.read_only,
        propagation: None,
        selinux: None,
        nocopy: false,
    }));
    run.spec.stop_grace_period
}

/// Copies of the label files that hold mcpmon's own keys, without these.
fn label_files(
    context: &Context,
    line: &ContainerLine,
) -> Result<(BTreeMap<std::path::PathBuf, std::path::PathBuf>, Option<PrivateFolder>)> {
    let (mut files, mut folder) = (BTreeMap::new(), None);
    for path in &line.label_files {
        // What can't be read is the CLI's to say.
        let Ok(text) = std::fs::read(context.folder.join(path)) else { continue };
        let Some((kept, dropped)) = label_file::without_own(&text) else { continue };
        for label in dropped {
            warn(format!(
                "the label {label} of {} is left out: keys that begin with mcpmon. are mcpmon's own",
                path.display()
            ));
        }
        let made = match folder.take() {
            Some(made) => made,
            None => PrivateFolder::in_folder(&std::env::temp_dir())?,
        };
        let copy = made.path().join(files.len().to_string());
        folder = Some(made);
        std::fs::write(&copy, kept)
            .map_err(|error| Error::failed(format!("{} can't be written", copy.display())).caused_by(error))?;
        files.insert(path.clone(), copy);
    }
    Ok((files, folder))
}

/// The container's own name, or the image's without registry and tag.
fn shown_name(line: &ContainerLine) -> String {
    line.name.clone().unwrap_or_else(|| image_name(&line.image)).to_string_lossy().into_owned()
}

fn image_name(image: &OsString) -> OsString {
    let image = image.to_string_lossy();
    let last = Path::new(&*image).file_name().unwrap_or_default().to_string_lossy();
    last.split(['@', ':']).next().unwrap_or_default().into()
}
