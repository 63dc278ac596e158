//! The project of a line: as compose reads it, whose its services are, and which labels they get.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use super::{super::cannot_run, super::warn, handed::Handed, inputs::inputs, line::Line};
use crate::{
    commands::{context::Context, lone::Lone},
    compose::{
        cli::{has_no_plugin, refused},
        config::{ComposeConfig, Service},
        discover::{Discovered, discover, on_disk},
        generated::{ServiceLabels, text},
    },
    docker_line::{compose::Command, engine::compose_environment},
    engine::{Engine, EngineEvent, docker::Docker},
    error::{Error, Result},
    model::{
        ObservedContainer, Owner, Settings, State,
        labels::{PREFIX, SESSION, STARTED},
    },
    orphan::Verdict,
    output::log,
    reconcile::sync::Syncs,
    session::{
        self,
        guard::{Begun, Guard},
    },
};

/// Compose's own labels.
pub(super) const PROJECT: &str = "com.docker.compose.project";
pub(super) const SERVICE: &str = "com.docker.compose.service";
pub(super) const NUMBER: &str = "com.docker.compose.container-number";
const ONE_OFF: &str = "com.docker.compose.oneoff";

/// Where compose 2 comes from.
const GET: &str = "compose 2 is a plugin of the docker CLI: your system's package (docker-compose-plugin, \
    docker-compose-v2, docker-compose) has it, or https://docs.docker.com/compose/install/";

/// One run of a line.
#[derive(Clone)]
pub(super) struct Project {
    /// The line.
    pub(super) line: Line,
    /// Who makes the containers.
    pub(super) owner: Owner,
    /// Watch settings, time limits, labels. The one target is a pattern for the services'.
    pub(super) settings: Settings,
    /// The files as they were found.
    pub(super) found: Discovered,
    /// What the line is about: the services it means, and what they depend on.
    pub(super) meant: ComposeConfig,
    /// The services of all profiles.
    pub(super) all: ComposeConfig,
    /// The engine that the line means.
    pub(super) engine: Docker,
    /// What containers got by sync actions.
    pub(super) syncs: Arc<Syncs>,
    /// A supervisor keeps the project already, and this line is one more word to it.
    pub(super) joins: bool,
    environment: BTreeMap<String, String>,
    /// The same, so that it means the line's engine.
    engine_environment: BTreeMap<String, String>,
    folder: PathBuf,
    labels: ServiceLabels,
    file: Arc<Handed>,
}

/// What reading came to.
pub(super) enum Read {
    /// A project.
    Project(Box<Project>),
    /// Compose refuses it, and says why when the line is run.
    Refused,
}

/// What compose says of the project.
#[derive(Clone)]
pub(super) struct Said {
    pub(super) found: Discovered,
    pub(super) meant: ComposeConfig,
    pub(super) all: ComposeConfig,
}

impl Project {
    /// Reads the settings, the project and what is on the engine.
    ///
    /// # Errors
    /// There is no compose 2; a file comes from stdin; the services are another session's.
    pub(super) async fn read(context: &Context, line: Line, owner: Owner) -> Result<Read> {
        if line.invocation.reads_stdin() {
            return Err(Error::usage(
                "a compose file from stdin (`-f -`) can't be used: mcpmon reads the project again \
                when files change",
            )
            .hint("write it to a file, and name that with -f"));
        }
        let found = discover(&line.invocation, &on_disk(&context.folder, &context.environment));
        let Ok(found) = found else {
            check_compose(&line).await?;
            return Ok(Read::Refused);
        };
        let Ok(said) = said(&line, found).await? else { return Ok(Read::Refused) };
        let settings = Lone::new(context, "services", &said.meant.name, None).load()?;
        log::start(&settings.session.log_level, settings.session.log_file.as_deref())?;
        let environment = compose_environment(&line.invocation.program, &context.environment)
            .map_err(|error| Error::failed("the engine's API can't be found").caused_by(error))?;
        // What the engine says when it is not there, compose says too.
        let Ok(engine) = Docker::connect(&environment, settings.session.docker_timeout).await else {
            return Ok(Read::Refused);
        };
        let mut project = Self {
            owner,
            found: said.found,
            meant: said.meant,
            all: said.all,
            labels: ServiceLabels::new(),
            file: Arc::new(Handed::new("{}")?),
            joins: false,
            syncs: Arc::default(),
            environment: context.environment.clone(),
            engine_environment: environment,
            folder: context.folder.clone(),
            line,
            settings,
            engine,
        };
        project.take_labels().await?;
        project.say_warnings();
        Ok(Read::Project(Box::new(project)))
    }

    /// Which labels each service gets: this session's, or where something is to stay as it is those that it has.
    async fn take_labels(&mut self) -> Result<()> {
        let containers = self.engine.list(&[(PROJECT, Some(&self.meant.name))]).await?;
        let known = session::known();
        let command = self.line.command.command;
        let may_join = command == Command::Up && self.line.command.detach;
        let joined = may_join
            .then(|| known.keepers(&self.engine.info().address, &keeper_name(&self.meant.name)).next().cloned())
            .flatten();
        let named: BTreeSet<&str> = self.line.command.services.iter().filter_map(|name| name.to_str()).collect();
        let mut kept: BTreeMap<String, &ObservedContainer> = BTreeMap::new();
        for container in containers.iter().filter(|container| !is_one_off(container)) {
            let Some(service) = service(container) else { continue };
            let ours = joined.as_ref().map_or(self.owner.session, |keeper| keeper.session);
            let is_joined = container.labels.session() == Some(ours);
            let living = match known.judge(container) {
                Verdict::Owned { pid } if !is_joined => Some(pid),
                _ => None,
            };
            let services = &self.meant.services;
            let is_meant = if named.is_empty() { services.contains_key(service) } else { named.contains(service) };
            if let Some(pid) = living
                && is_meant
                && command != Command::Run
            {
                return Err(taken(&self.meant.name, service, pid, container.labels.get(SESSION)));
            }
            if living.is_some() || command == Command::Run {
                kept.insert(service.to_owned(), container);
            }
        }
        let mut own = self.own_labels();
        if let Some(keeper) = &joined {
            own.extend(keeper.labels().0);
            own.insert(STARTED.to_owned(), keeper.started.to_string());
        }
        let mut labels = ServiceLabels::new();
        for (name, service) in &self.all.services {
            let mut all = users_own(service);
            match kept.get(name) {
                // Another session's, or one that `run` finds: with other labels compose would make it anew.
                Some(container) if container.labels.managed() => {
                    all.extend(self.settings.session.labels.clone());
                    let theirs = container.labels.0.iter().filter(|(key, _)| key.starts_with(PREFIX));
                    all.extend(theirs.map(|(key, value)| (key.clone(), value.clone())));
                }
                Some(_) => all.clear(),
                None => all.extend(own.clone()),
            }
            if !all.is_empty() {
                labels.insert(name.clone(), all);
            }
        }
        self.joins = joined.is_some();
        self.file = Arc::new(Handed::new(&text(&serde_json::Map::new(), &labels))?);
        self.labels = labels;
        Ok(())
    }

    fn say_warnings(&mut self) {
        for message in self.settings.warnings.drain(..) {
            warn(message);
        }
        let services = self.meant.services.iter();
        let own = services.flat_map(|(name, service)| service.parts.labels.keys().map(move |key| (name, key)));
        for (name, key) in own.filter(|(_, key)| key.starts_with(PREFIX)) {
            warn(format!("{name}: the label {key} is left out: keys that begin with {PREFIX} are mcpmon's own"));
        }
        for label in &self.line.command.own_labels {
            warn(format!("the label {label} is left out: keys that begin with {PREFIX} are mcpmon's own"));
        }
    }

    /// The session begins: its lease, and its watchdog, which stops what still runs when this process is killed.
    /// `about`: what others know it by.
    pub(super) fn begin(&self, context: &Context, about: &str) -> Guard {
        let settings = &self.settings.session;
        let engine = Some((Some(self.engine.info().address), settings.docker_timeout));
        let grace = self.longest_grace();
        Guard::begin(Begun {
            environment: self.engine_environment.clone(),
            keep: !settings.cleanup,
            leave_ended: true,
            ..context.begin(&self.owner, about, engine, grace)
        })
    }

    /// The CLI with the line as it is run.
    pub(super) fn command(&self) -> tokio::process::Command {
        let labels = (self.line.command.command == Command::Run).then(|| {
            let mut labels = self.settings.session.labels.clone();
            labels.extend(self.owner.labels());
            labels
        });
        Line::command(&self.line.argv(&self.found.files, self.file.path(), labels.into_iter().flatten()))
    }

    /// Starts the CLI.
    pub(super) fn spawn(&self, command: &mut tokio::process::Command) -> Result<tokio::process::Child> {
        command.spawn().map_err(|error| cannot_run(self.line.program(), error))
    }

    /// Another compose command about the project, with the labels.
    pub(super) fn other(&self, words: &[OsString]) -> tokio::process::Command {
        Line::command(&self.line.other(&self.found.files, Some(self.file.path()), words))
    }

    /// Reads the project again. What was read before stays in force when that can't be done.
    ///
    /// # Errors
    /// Compose's own words.
    pub(super) async fn read_again(&self) -> Result<Said> {
        // The look at the disk is over before anything waits.
        let found = discover(&self.line.invocation, &on_disk(&self.folder, &self.environment))?;
        said(&self.line, found).await?
    }

    /// Takes what was read into force: services that are new get the labels too.
    pub(super) fn take(&mut self, said: Said) -> Result<()> {
        let own = self.own_labels();
        for (name, service) in &said.all.services {
            let labels = users_own(service).into_iter().chain(own.clone()).collect();
            self.labels.entry(name.clone()).or_insert(labels);
        }
        self.labels.retain(|name, _| said.all.services.contains_key(name));
        self.file = Arc::new(Handed::new(&text(&serde_json::Map::new(), &self.labels))?);
        (self.found, self.meant, self.all) = (said.found, said.meant, said.all);
        Ok(())
    }

    fn own_labels(&self) -> BTreeMap<String, String> {
        let mut labels = self.settings.session.labels.clone();
        labels.extend(self.owner.labels());
        labels
    }

    /// The files that the project is read from.
    pub(super) fn inputs(&self) -> BTreeSet<PathBuf> {
        inputs(&self.found, &|path| {
            // Nothing that is huge, and no device, is a compose file.
            let about = std::fs::metadata(path).ok().filter(|about| about.is_file() && about.len() < 1 << 20);
            about.and_then(|_| std::fs::read(path).ok()).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        })
    }

    /// The containers that this session made.
    pub(super) async fn containers(&self) -> Result<Vec<ObservedContainer>> {
        Ok(self.engine.list(&[(SESSION, Some(&self.owner.session.to_string()))]).await?)
    }

    /// How long a service has to stop.
    pub(super) fn grace(&self, service: &str) -> Duration {
        let asked = self.line.command.timeout.map(Duration::from_secs);
        let own = || self.all.services.get(service)?.parts.grace();
        asked.or_else(own).unwrap_or(Duration::from_secs(10))
    }

    /// How long the one that may take longest has to stop.
    pub(super) fn longest_grace(&self) -> Duration {
        self.meant.services.keys().map(|name| self.grace(name)).max().unwrap_or_default()
    }

    /// Stops what of this session still runs, those first whom no other needs. What has ended stays, as it does without
    /// mcpmon; what is in the volumes stays. False: something may still run.
    pub(super) async fn stop_all(&self) -> bool {
        let containers = match self.containers().await {
            Ok(containers) => containers,
            Err(error) => {
                warn(format!("whether containers still run is not known ({error}); `mcpmon cleanup` looks again"));
                return false;
            }
        };
        let mut left: Vec<ObservedContainer> = containers.into_iter().filter(runs).collect();
        let mut all = true;
        while !left.is_empty() {
            let needed: BTreeSet<String> = left.iter().flat_map(|one| self.needs(service(one))).collect();
            let is_needed = |one: &ObservedContainer| service(one).is_some_and(|name| needed.contains(name));
            let (mut later, mut now): (Vec<_>, Vec<_>) = left.into_iter().partition(is_needed);
            if now.is_empty() {
                std::mem::swap(&mut now, &mut later);
            }
            let stopped = futures_util::future::join_all(now.iter().map(|container| self.stop(container))).await;
            all &= stopped.into_iter().all(|stopped| stopped);
            left = later;
        }
        all
    }

    /// Kills what of this session still runs. False: something may still run.
    pub(super) async fn kill_all(&self) -> bool {
        let Ok(containers) = self.containers().await else { return false };
        let kills = containers.iter().filter(|one| runs(one)).map(|one| self.engine.kill(&one.id));
        // Those that did not hear it are the watchdog's, or the next cleanup's.
        futures_util::future::join_all(kills).await.iter().all(Result::is_ok)
    }

    /// Whether a service keeps another session's labels, or none.
    pub(super) fn is_another_s(&self, name: &str) -> bool {
        let own = self.owner.session.to_string();
        self.labels.get(name).and_then(|labels| labels.get(SESSION)) != Some(&own)
    }

    /// Stops one that has just started, although all was to end.
    pub(super) async fn stop_late(&self, started: EngineEvent) {
        self.stop_one(&started.id, started.name.as_deref().unwrap_or(&started.id), started.attributes.get(SERVICE))
            .await;
    }

    async fn stop(&self, container: &ObservedContainer) -> bool {
        self.stop_one(&container.id, &container.name, service(container)).await
    }

    async fn stop_one(&self, id: &str, name: &str, service: Option<&str>) -> bool {
        let grace = self.grace(service.unwrap_or_default());
        let stopped = self.engine.stop(id, grace).await;
        if let Err(error) = &stopped {
            warn(format!("container {name} is left running ({error}); `mcpmon cleanup` tries again"));
        }
        stopped.is_ok()
    }

    /// What a service depends on.
    fn needs(&self, name: Option<&str>) -> Vec<String> {
        let service = name.and_then(|name| self.all.services.get(name));
        service.map_or_else(Vec::new, |service| service.parts.depends_on.keys().cloned().collect())
    }

    /// What is made from now on is that session's.
    pub(super) fn hand_to(&mut self, owner: Owner) -> Result<()> {
        let before = self.owner.session.to_string();
        let own = owner.labels();
        for labels in self.labels.values_mut().filter(|labels| labels.get(SESSION) == Some(&before)) {
            labels.extend(own.clone());
        }
        self.file = Arc::new(Handed::new(&text(&serde_json::Map::new(), &self.labels))?);
        self.owner = owner;
        Ok(())
    }

    /// A path as it is shown: relative to where mcpmon was called.
    pub(super) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.folder).unwrap_or(path).display().to_string()
    }
}

/// What the lease of a session that ends with its line is about.
pub(super) fn line_name(project: &str) -> String {
    format!("compose-line:{project}")
}

/// What the supervisor's lease is about.
pub(super) fn keeper_name(project: &str) -> String {
    format!("compose:{project}")
}

/// The service that a container is of.
pub(super) fn service(container: &ObservedContainer) -> Option<&str> {
    container.labels.get(SERVICE)
}

/// `web-1`, as compose calls it in its output.
pub(super) fn shown_name(container: &ObservedContainer) -> String {
    match (service(container), container.labels.get(NUMBER)) {
        (Some(service), Some(number)) => format!("{service}-{number}"),
        _ => container.name.clone(),
    }
}

/// A container of `compose run`.
pub(super) fn is_one_off(container: &ObservedContainer) -> bool {
    container.labels.get(ONE_OFF) == Some("True")
}

/// It has not ended.
pub(super) fn runs(container: &ObservedContainer) -> bool {
    !matches!(container.state, State::Created | State::Exited(_) | State::Removing)
}

/// A user's labels with mcpmon's keys. They can't be taken out of a list from here; without a value they say nothing.
fn users_own(service: &Service) -> BTreeMap<String, String> {
    let own = service.parts.labels.keys().filter(|key| key.starts_with(PREFIX));
    own.map(|key| (key.clone(), String::new())).collect()
}

fn taken(project: &str, service: &str, pid: u32, session: Option<&str>) -> Error {
    let session = session.unwrap_or("unknown");
    Error::failed(format!(
        "{service} of compose project {project} is kept by another mcpmon, pid {pid}, session {session}"
    ))
    .hint("`docker compose logs -f` shows what it prints; end that mcpmon, or `docker compose down`, and try again")
}

/// What compose says of the project; the inner error is compose's refusal.
async fn said(line: &Line, found: Discovered) -> Result<Result<Said>> {
    let mut services: Vec<OsString> = vec!["config".into(), "--format".into(), "json".into()];
    services.extend(line.command.services.iter().cloned());
    let config = ["config", "--format", "json"].map(OsString::from);
    let meant = line.other(&found.files, None, &services);
    let mut all = line.other(&found.files, None, [""; 0]);
    all.extend(["--profile".into(), "*".into()]);
    all.extend(config);
    let (meant, all) = tokio::join!(output(&meant), output(&all));
    let meant = meant.map_err(|error| cannot_run(line.program(), error))?;
    if !meant.status.success() {
        check_said(line, &meant).await?;
        return Ok(Err(refused(&String::from_utf8_lossy(&meant.stderr))));
    }
    let meant = ComposeConfig::parse(&meant.stdout)?;
    let all = all.ok().filter(|output| output.status.success());
    let all = all.and_then(|output| ComposeConfig::parse(&output.stdout).ok()).unwrap_or_else(|| meant.clone());
    let mut meant = meant;
    if line.command.no_deps && !line.command.services.is_empty() {
        meant.services.retain(|name, _| line.command.services.iter().any(|service| service == name.as_str()));
    }
    Ok(Ok(Said { found, meant, all }))
}

async fn output(argv: &[OsString]) -> std::io::Result<Output> {
    // A group of its own: a Ctrl-C is mcpmon's to handle.
    Line::command(argv).stdin(Stdio::null()).process_group(0).kill_on_drop(true).output().await
}

/// Compose 2 must be there.
async fn check_compose(line: &Line) -> Result<()> {
    let asked = output(&line.other(&[], None, ["version", "--short"])).await;
    let asked = asked.map_err(|error| cannot_run(line.program(), error))?;
    check_said(line, &asked).await
}

/// Whether what was said is compose 2's word, and not that there is none.
async fn check_said(line: &Line, said: &Output) -> Result<()> {
    if has_no_plugin(&String::from_utf8_lossy(&said.stderr)) {
        return Err(Error::failed("the docker CLI has no compose plugin").hint(GET));
    }
    if line.invocation.program.len() == 1 {
        let argv = [line.program().to_owned(), "version".into(), "--short".into()];
        let version = output(&argv).await.map_err(|error| cannot_run(line.program(), error))?;
        let version = String::from_utf8_lossy(&version.stdout).trim().trim_start_matches('v').to_owned();
        if version.starts_with("1.") {
            let program = line.program().to_string_lossy().into_owned();
            return Err(Error::failed(format!("{program} is version {version}: compose 2 is needed")).hint(GET));
        }
    }
    Ok(())
}
