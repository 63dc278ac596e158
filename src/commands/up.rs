//! `mcpmon up`: makes containers match the file and keeps them so, in the foreground or, with `-d`,
//! by a supervisor in the background (see [`super::detach`]).

use std::{sync::Arc, time::Duration};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{context::Context, detach, unknown_target};
use crate::{
    cli::UpArgs,
    engine::{Engine, EngineError, cli::DockerCli, docker::Docker},
    error::{Error, Kind, Result},
    model::{Owner, Project, Settings},
    orphan::Verdict,
    output::{
        Event, Reporter,
        show::{Options as ShowOptions, show_beside},
    },
    plan::{down_of, meant, scope},
    reconcile::{
        act::Executor,
        compose::Composing,
        stamp,
        supervise::{Options, Source, Supervisor},
        teardown::end_session,
    },
    session::{
        self,
        guard::{Begun, Guard},
        signals::{Ending, Signals},
        turn::Turn,
    },
};

/// The rest of the output of containers that have ended: it is there already.
const LAST_LOGS: Duration = Duration::from_secs(2);
/// How long another session may take to begin.
const TURN: Duration = Duration::from_secs(30);
/// What ends a program whose output nobody reads.
const SIGPIPE: u8 = 13;

/// Makes it so; gives the exit code.
pub async fn run(context: &Context, args: &UpArgs) -> Result<u8> {
    let loaded = context.load(&args.watch)?.settings;
    let composer = context.composer(&loaded);
    // Compose reads its projects while the engine is asked who keeps this one.
    let (settings, asked) = tokio::join!(composer.expand(loaded.clone()), async {
        let engine = context.connect(loaded.session.docker_timeout).await?;
        // Held until this session can be seen: of two that begin at once, one must find the other.
        let turn = turn(&engine, &loaded.project.name).await;
        let keeper = kept_by(&engine, &loaded).await?;
        Ok::<_, Error>((engine, keeper, turn))
    });
    let settings = settings?;
    scope(&settings.project, &args.targets).map_err(|name| unknown_target(&settings.project, &name))?;
    let (engine, keeper, turn) = asked?;
    if let Some(Keeper { pid, other_file: Some(file) }) = &keeper {
        let message =
            format!("project {} is kept from another file, {file}, by mcpmon, pid {pid}", settings.project.name);
        return Err(Error::failed(message).hint(two_files(file)));
    }
    if args.detach || args.wait {
        return match detach::start(context, args, &settings, &engine, keeper, turn).await? {
            Some(code) => Ok(code),
            // The supervisor that was there has ended: another one is started.
            None => Box::pin(run(context, args)).await,
        };
    }
    if let Some(Keeper { pid, .. }) = keeper {
        return Err(Error::failed(format!("project {} is kept by another mcpmon, pid {pid}", settings.project.name))
            .hint("`mcpmon logs -f` follows it, `mcpmon down` ends it"));
    }
    let (reporter, reports) = Reporter::channel();
    let reporter = reporter.keeping(context.project_history(&settings.project.name, "up"));
    let mut options = ShowOptions::detect(context.json());
    options.targets = meant(&settings.project, &args.targets);
    options.watching = !args.no_watch;
    let (shown, unread) = show_beside(reports, options);
    let session = Session { settings, engine, reporter, owner: session::new(), unread, turn, follow_logs: true };
    let ending = supervise(context, args, session).await;
    finish(shown).await?;
    ending.map(|ending| Kind::Signal(ending.number).exit_code())
}

/// A turn at beginning to keep a project. Without one (there is no folder for it, somebody hangs) it goes on all the same.
async fn turn(engine: &Docker, project: &str) -> Option<Turn> {
    let turn = Turn::take(&format!("project {project} of {}", engine.info().address), TURN).await;
    turn.inspect_err(|error| tracing::warn!("project {project}: begun without waiting for others ({error})")).ok()
}

/// Another living mcpmon that keeps a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keeper {
    /// Its process id.
    pub pid: u32,
    /// The configuration file that it keeps it from, where that is another one.
    pub other_file: Option<String>,
}

/// Who keeps this project.
pub async fn kept_by(engine: &Docker, settings: &Settings) -> Result<Option<Keeper>> {
    let Project { name, config_file: own, .. } = &settings.project;
    let mut containers = engine.list(&[(crate::model::labels::PROJECT, Some(name.as_str()))]).await?;
    // A stdio session keeps its own server, not the project.
    containers.retain(|container| container.labels.role().is_none());
    let known = session::known();
    let keeper = containers.iter().find_map(|container| match known.judge(container) {
        Verdict::Owned { pid } => {
            let other_file = known.other_file(Some(&container.id), &container.labels, own).map(str::to_owned);
            Some(Keeper { pid, other_file })
        }
        _ => None,
    });
    if keeper.is_some() {
        return Ok(keeper);
    }
    // One that owns nothing on the engine yet has its lease.
    Ok(known.keepers(&engine.info().address, name).next().map(|lease| {
        let other_file = known.other_file_of(lease, own).map(str::to_owned);
        Keeper { pid: lease.pid, other_file }
    }))
}

/// What to do where two files have one project's name.
pub fn two_files(other: &str) -> String {
    format!("give one of the two another `name`, or end that one: {}", down_of(other))
}

/// What a session is made of, besides what was typed.
pub struct Session {
    /// The configuration.
    pub settings: Settings,
    /// The engine.
    pub engine: Docker,
    /// Who is told.
    pub reporter: Reporter,
    /// Who it is.
    pub owner: Owner,
    /// Cancelled when nobody reads the output any more.
    pub unread: CancellationToken,
    /// Its turn at beginning, where nobody else holds it for this session.
    pub turn: Option<Turn>,
    /// Show what targets print.
    pub follow_logs: bool,
}

/// Keeps the project until a signal comes, then leaves nothing behind.
pub async fn supervise(context: &Context, args: &UpArgs, session: Session) -> Result<Ending> {
    let Session { settings, engine, reporter, owner, unread, turn, follow_logs } = session;
    let mut signals = Signals::new().map_err(|error| Error::failed("signals can't be handled").caused_by(error))?;
    let where_to = (Some(engine.info().address), settings.session.docker_timeout);
    let begun = context.begin(&owner, &settings.project.name, Some(where_to), stamp::DEFAULT_GRACE);
    let config_file = Some(settings.project.config_file.clone());
    let guard = Guard::begin(Begun { config_file, keep: settings.leaves_containers(), ..begun });
    // By its lease others can see it from here on.
    drop(turn);
    reporter.report(Event::SessionStarted {
        project: settings.project.name.clone(),
        session: owner.session.to_string(),
        pid: owner.pid,
        targets: meant(&settings.project, &args.targets),
    });
    for message in &settings.warnings {
        reporter.report(Event::Warning { message: message.clone() });
    }
    let labels = settings.session.labels.clone();
    let mut executor: Executor<Docker, DockerCli> =
        Executor::new(engine, context.docker_cli(), owner, guard, labels, reporter.clone());
    executor.never = settings.session.own_files();
    let executor = Arc::new(executor.with_compose(Composing::new(context.compose_cli(&settings))));
    let options = Options {
        targets: args.targets.clone(),
        watch: !args.no_watch,
        build: args.build,
        remove_orphans: args.remove_orphans,
        follow_logs,
        home: context.home(),
    };
    let reader = context.reader(&args.watch, &settings);
    let source = Source::Files(Box::new(move || reader()));
    let mut supervisor = Supervisor::new(Arc::clone(&executor), settings, options, source).await?;

    // From the first container on somebody removes it, however this process ends.
    executor.guard.ready().await;
    let ending = tokio::select! {
        ending = supervisor.run(&mut signals) => ending,
        () = unread.cancelled() => Ending { name: "the output was closed", number: SIGPIPE },
    };
    reporter.report(Event::Stopping { cause: ending.name.to_owned() });
    let settings = Arc::clone(supervisor.settings());
    // A second SIGINT means: now.
    let hurry = CancellationToken::new();
    let impatient = hurry.clone();
    let listen = tokio::spawn(async move {
        while signals.next().await.name != "SIGINT" {}
        impatient.cancel();
    });
    tokio::select! {
        () = supervisor.stop(settings.session.docker_timeout) => {}
        () = hurry.cancelled() => supervisor.give_up().await,
    }
    let result = leave(&executor, &settings, &hurry).await;
    supervisor.finish_logs(LAST_LOGS).await;
    listen.abort();
    if result.is_ok() {
        executor.guard.end();
    }
    result.map(|()| ending)
}

/// The end of a session: nothing of it is left, unless the file says so.
async fn leave(executor: &Executor<Docker, DockerCli>, settings: &Settings, hurry: &CancellationToken) -> Result<()> {
    let reporter = &executor.reporter;
    let session = executor.owner.session;
    let adopted = executor.guard.adopted();
    if settings.leaves_containers() {
        let made = executor.engine.list(&[(crate::model::labels::SESSION, Some(&session.to_string()))]).await?;
        let left = made.len() + adopted.len();
        reporter.report(Event::Stopped { removed: 0, left, left_networks: 0, left_volumes: 0 });
        return Ok(());
    }
    let is_dead = |labels: &_| session::known().is_dead(labels);
    let ended = end_session(&executor.engine, (session, &adopted), &settings.project, is_dead, hurry, reporter).await;
    let removed = ended.map_err(|error: EngineError| {
        Error::from(error).hint("`mcpmon cleanup` removes what this session left, once the engine answers")
    })?;
    let left = removed.failed.len();
    reporter.report(Event::Stopped { removed: removed.removed.len(), left, left_networks: 0, left_volumes: 0 });
    if removed.failed.is_empty() {
        Ok(())
    } else {
        Err(Error::failed(format!("{} containers could not be removed", removed.failed.len()))
            .hint("`mcpmon cleanup` tries again"))
    }
}

/// Waits until everything that was said has been shown.
pub async fn finish(shown: JoinHandle<std::io::Result<()>>) -> Result<()> {
    match shown.await {
        Ok(written) => crate::output::show::ignore_closed(written),
        Err(error) => Err(Error::failed("the output ended by a programming error").caused_by(error)),
    }
}
