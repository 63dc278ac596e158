//! `mcpmon run TARGET`: a stdio session with a target, which an MCP client starts as its server. stdout carries the
//! server's messages and nothing else; all that people read goes to stderr.

mod dependencies;
pub mod kept;
pub mod serve;

use std::{collections::BTreeSet, ffi::OsString, sync::Arc, time::Duration};

use uuid::Uuid;

use self::{kept::Kept, serve::serve};
use super::{
    context::{Context, Reader},
    unknown_target,
};
use crate::{
    cli::RunArgs,
    engine::{Engine, cli::DockerCli, docker::Docker},
    error::{Error, Result},
    extension::ExtensionSet,
    model::{
        Labels, Owner, Project, Settings, Target, TargetKind,
        labels::DEPENDENCY,
        target::{OnReload, UpdateOrder},
    },
    output::{Event, History, Reporter},
    process,
    proxy::{
        drive::files::{Files, Load, Surroundings},
        server::{container::Containers, process::Processes},
        session::Options,
    },
    reconcile::{act::Executor, compose::Composing, remarks::remarks, swap},
    session::{
        self,
        guard::{Begun, Guard},
    },
};

/// Stands between a client and the target's server until the client leaves; gives the exit code.
pub async fn run(context: &Context, args: &RunArgs) -> Result<u8> {
    let settings = Arc::new(context.settings(&args.watch).await?);
    let project = &settings.project;
    let target = project.targets.get(&args.target).ok_or_else(|| no_such(project, &args.target))?;
    let load = context.reader(&args.watch, &settings);
    let run = Run { context, settings: &settings, target, load };
    match &target.kind {
        TargetKind::Run(container) => {
            run.container(swap::order(container, &target.update), container.spec.stop_grace_period).await
        }
        // Of what only one container can have (a port, a name), a server beside the others has nothing.
        TargetKind::Service(service) => {
            let shared = service.spec.get("network_mode").and_then(|mode| mode.as_str());
            let alone = shared.is_none_or(|mode| matches!(mode, "none" | "bridge"));
            let order = if alone { UpdateOrder::StartFirst } else { UpdateOrder::StopFirst };
            run.container(target.update.order.unwrap_or(order), service.grace).await
        }
        TargetKind::Process(process) => {
            let history = context.project_history(&project.name, "run");
            run.process(command(&process.words, &settings)?, process.stop_grace_period, history).await
        }
        TargetKind::Compose(_) => Err(no_such(project, &args.target)),
    }
}

/// A compose target has no stdin and stdout of its own; its services have.
fn no_such(project: &Project, name: &str) -> Error {
    let services: Vec<&str> = project.named(name).map(|target| target.name.as_str()).collect();
    if services.is_empty() {
        return unknown_target(project, name);
    }
    Error::usage(format!("target {name} is a compose target: a client needs one of its services"))
        .hint(format!("name one: {}", services.join(", ")))
}

/// What was asked for.
pub struct Run<'a> {
    /// Environment and flags.
    pub context: &'a Context,
    /// The configuration.
    pub settings: &'a Arc<Settings>,
    /// The session's target.
    pub target: &'a Target,
    /// Reads the configuration again.
    pub load: Reader,
}

/// The launcher of a process target.
fn command(words: &[String], settings: &Settings) -> Result<process::Launcher> {
    process::Launcher::new(words.iter().map(OsString::from), &settings.project.folder)
}

impl Run<'_> {
    async fn container(&self, order: UpdateOrder, grace: Duration) -> Result<u8> {
        let Self { context, settings, target, .. } = self;
        let engine = context.connect(settings.session.docker_timeout).await?;
        let (reporter, reports) = Reporter::channel();
        let history = context.project_history(&settings.project.name, "run");
        let reporter = reporter.keeping(history.clone());
        let owner = Owner { role: Some(DEPENDENCY), ..session::new() };
        let session = owner.session;
        let options = self.options(session, order, grace);
        let where_to = (Some(engine.info().address), settings.session.docker_timeout);
        let begun = context.begin(&owner, &settings.project.name, Some(where_to), grace);
        let config_file = Some(settings.project.config_file.clone());
        let guard = Guard::begin(Begun { config_file, keep: !settings.session.cleanup, ..begun });
        let labels = settings.session.labels.clone();
        let mut executor: Executor<Docker, DockerCli> =
            Executor::new(engine, context.docker_cli(), owner, guard.clone(), labels, reporter.clone());
        executor.never = settings.session.own_files();
        let executor = Arc::new(executor.with_compose(Composing::new(context.compose_cli(settings))));
        let is_dead = |labels: &Labels| session::known().is_dead(labels);
        let launcher = Arc::new(Containers::new(Arc::clone(&executor), Arc::clone(settings), &target.name, is_dead));
        let own = BTreeSet::from([target.name.clone()]);
        for message in remarks(&settings.project, &executor.engine.info(), Some(&own)) {
            reporter.report(Event::Warning { message });
        }
        let files = self.files(reporter).await?;
        let in_force = files.in_force();
        let edited = Arc::clone(&launcher);
        let outside = |told| {
            let synced = Arc::clone(&edited);
            files.run(
                told,
                move |settings| {
                    let launcher = Arc::clone(&edited);
                    async move { launcher.set(settings).await }
                },
                move |action| {
                    let launcher = Arc::clone(&synced);
                    async move { launcher.sync(action).await }
                },
            )
        };
        let dependencies = dependencies::keep(context, &executor, target, in_force).await?;
        drop(executor);
        let before_the_end = async {
            if let Some(dependencies) = dependencies {
                dependencies.end().await;
            }
        };
        let extensions = self.extensions(session);
        let kept = Kept::new(history, &settings.project.name, session);
        serve(&target.name, kept, options, launcher, extensions, reports, outside, before_the_end, &guard).await
    }

    /// A session with a plain command, the first one started by this launcher. `grace`: what one has to end by itself.
    pub async fn process(&self, first: process::Launcher, grace: Duration, history: History) -> Result<u8> {
        let target = self.target;
        let (reporter, reports) = Reporter::channel();
        let reporter = reporter.keeping(history.clone());
        let order = target.update.order.unwrap_or(UpdateOrder::StartFirst);
        let owner = session::new();
        let session = owner.session;
        let guard = Guard::begin(self.context.begin(&owner, &self.settings.project.name, None, grace));
        let options = self.options(session, order, grace);
        let launcher = Arc::new(Processes::new(first, grace));
        let files = self.files(reporter.clone()).await?;
        let (made, name) = (Arc::clone(&launcher), target.name.clone());
        let outside = |told| {
            let edited = move |settings: Arc<Settings>| {
                let target = settings.project.targets.get(&name);
                if let Some(TargetKind::Process(process)) = target.map(|target| &target.kind) {
                    match command(&process.words, &settings) {
                        Ok(command) => made.set(command),
                        Err(error) => reporter.report(Event::Warning { message: error.message }),
                    }
                }
                std::future::ready(())
            };
            files.run(told, edited, |_| std::future::ready(()))
        };
        let kept = Kept::new(history, &self.settings.project.name, session);
        serve(&target.name, kept, options, launcher, self.extensions(session), reports, outside, async {}, &guard).await
    }

    async fn files(&self, reporter: Reporter) -> Result<Files> {
        for message in &self.settings.warnings {
            reporter.report(Event::Warning { message: message.clone() });
        }
        let variable = |name: &str| self.context.environment.get(name).map(OsString::from);
        let surroundings = Surroundings {
            home: self.context.home(),
            path: variable("PATH").unwrap_or_default(),
            python_path: variable("PYTHONPATH"),
        };
        Files::new(Arc::clone(self.settings), &self.target.name, surroundings, self.load(), reporter).await
    }

    fn load(&self) -> Load {
        let load = Arc::clone(&self.load);
        Box::new(move || load())
    }

    fn extensions(&self, session: Uuid) -> ExtensionSet {
        ExtensionSet::new(&self.target.mcp, &self.settings.session.extensions_dir, session)
    }

    /// How the session behaves, as the file says.
    fn options(&self, session: Uuid, order: UpdateOrder, grace: Duration) -> Options {
        let mcp = &self.target.mcp;
        Options {
            tag: session.simple().to_string()[..8].to_owned(),
            stop_first: order == UpdateOrder::StopFirst,
            comes_back: !matches!(self.target.kind, TargetKind::Process(_)),
            error_on_reload: mcp.on_reload == OnReload::Error,
            buffer: usize::try_from(mcp.buffer).unwrap_or(usize::MAX),
            startup_timeout: mcp.startup_timeout,
            grace,
            backoff: self.settings.reconcile.backoff,
            // The extensions say.
            results: Vec::new(),
            claims: Vec::new(),
        }
    }
}
