//! `mcpmon run TARGET`: a stdio session with a target, which an MCP client starts as its server. stdout carries the
//! server's messages and nothing else; all that people read goes to stderr.

mod dependencies;
pub mod kept;
pub mod serve;

use std::{ffi::OsString, sync::Arc, time::Duration};

use uuid::Uuid;

use self::{kept::Kept, serve::serve};
use super::{context::Context, unknown_target};
use crate::{
    cli::RunArgs,
    engine::{Engine, cli::DockerCli, docker::Docker},
    error::{Error, Result},
    extension::ExtensionSet,
    model::{
        Labels, Owner, RunTarget, Settings, Target, TargetKind,
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
    reconcile::{act::Executor, stamp::DEFAULT_GRACE, swap},
    session::{
        self,
        guard::{Begun, Guard},
    },
};

/// Stands between a client and the target's server until the client leaves; gives the exit code.
pub async fn run(context: &Context, args: &RunArgs) -> Result<u8> {
    let settings = Arc::new(context.load(&args.watch)?.settings);
    let project = &settings.project;
    let target = project.targets.get(&args.target).ok_or_else(|| unknown_target(project, &args.target))?;
    let request = context.request(&args.watch);
    let load = Arc::new(move || crate::config::load(&request).map(|loaded| loaded.settings));
    let run = Run { context, settings: &settings, target, load };
    match &target.kind {
        TargetKind::Run(container) => run.container(container).await,
        TargetKind::Process(words) => {
            let history = context.project_history(&project.name, "run");
            run.process(command(words, &settings)?, history).await
        }
        TargetKind::Compose(_) => Err(Error::usage(format!(
            "target {} is a compose target: it has no stdin and stdout of its own for a client",
            target.name
        ))
        .hint("make the service that the client wants a target of its own, with `image` or `build`")),
    }
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
    pub load: Arc<dyn Fn() -> Result<Settings> + Send + Sync>,
}

/// The launcher of a process target.
fn command(words: &[String], settings: &Settings) -> Result<process::Launcher> {
    process::Launcher::new(words.iter().map(OsString::from), &settings.project.folder)
}

impl Run<'_> {
    async fn container(&self, run: &RunTarget) -> Result<u8> {
        let Self { context, settings, target, .. } = self;
        let engine = context.connect(settings.session.docker_timeout).await?;
        let (reporter, reports) = Reporter::channel();
        let history = context.project_history(&settings.project.name, "run");
        let reporter = reporter.keeping(history.clone());
        let owner = Owner { role: Some(DEPENDENCY), ..session::new() };
        let session = owner.session;
        let options = self.options(session, swap::order(run, &target.update), run.spec.stop_grace_period);
        let where_to = (Some(engine.info().address), settings.session.docker_timeout);
        let begun = context.begin(&owner, &settings.project.name, Some(where_to), run.spec.stop_grace_period);
        let guard = Guard::begin(Begun { keep: !settings.session.cleanup, ..begun });
        let labels = settings.session.labels.clone();
        let executor: Executor<Docker, DockerCli> =
            Executor::new(engine, context.docker_cli(), owner, guard.clone(), labels, reporter.clone());
        let executor = Arc::new(executor);
        let is_dead = |labels: &Labels| session::known().is_dead(labels);
        let launcher = Arc::new(Containers::new(Arc::clone(&executor), Arc::clone(settings), &target.name, is_dead));
        let files = self.files(reporter).await?;
        let edited = Arc::clone(&launcher);
        let outside = |told| {
            files.run(told, move |settings| {
                let launcher = Arc::clone(&edited);
                async move { launcher.set(settings).await }
            })
        };
        let dependencies = dependencies::keep(context, &executor, settings, target, self.load()).await?;
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

    /// A session with a plain command, the first one started by this launcher.
    pub async fn process(&self, first: process::Launcher, history: History) -> Result<u8> {
        let target = self.target;
        let (reporter, reports) = Reporter::channel();
        let reporter = reporter.keeping(history.clone());
        let order = target.update.order.unwrap_or(UpdateOrder::StartFirst);
        let owner = session::new();
        let session = owner.session;
        let guard = Guard::begin(self.context.begin(&owner, &self.settings.project.name, None, DEFAULT_GRACE));
        let options = self.options(session, order, DEFAULT_GRACE);
        let launcher = Arc::new(Processes::new(first, DEFAULT_GRACE));
        let files = self.files(reporter.clone()).await?;
        let (edited, name) = (Arc::clone(&launcher), target.name.clone());
        let outside = |told| {
            files.run(told, move |settings| {
                let target = settings.project.targets.get(&name);
                if let Some(TargetKind::Process(words)) = target.map(|target| &target.kind) {
                    match command(words, &settings) {
                        Ok(command) => edited.set(command),
                        Err(error) => reporter.report(Event::Warning { message: error.message }),
                    }
                }
                std::future::ready(())
            })
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
