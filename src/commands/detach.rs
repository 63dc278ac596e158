//! `mcpmon up -d`: a supervisor in the background owns and keeps the containers. It is mcpmon itself,
//! in a session of its own; it speaks the documented JSON events, one a line: to whoever started it
//! until that one has read enough, and all the time into its log file.

use std::{
    collections::BTreeSet,
    future::pending,
    io::Write,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::{
    context::Context,
    keeper::{self, Words},
    said::Said,
    up::{Keeper, Session, finish, supervise},
};
use crate::{
    cli::UpArgs,
    engine::{Engine, docker::Docker},
    error::{Error, Kind, Result},
    model::{Settings, labels::PROJECT},
    orphan::Processes,
    output::{
        Event, Reporter,
        lines::json,
        private,
        reporter::Reports,
        show::{Options, show},
    },
    plan::{Plan, Situation, Step, meant, plan, scope, short},
    reconcile::observe::{leave_out_spares, leave_out_stdio, observe, owners},
    session::{
        self, inherited,
        process::{Process, ThisHost},
        signals::Signals,
        turn::Turn,
    },
};

/// Tells the supervisor what it is. Not a flag: nobody is meant to type it.
pub const SUPERVISOR: &str = "MCPMON_SUPERVISOR";
/// How long a supervisor that runs already may take to follow an edit.
const FOLLOWS: Duration = Duration::from_secs(30);

/// Starts the supervisor and shows what it does until everything has been started (`--wait`: is
/// ready); where one runs already, waits until it has what the file asks for. Gives the exit code; none: the one that ran
/// already has ended meanwhile.
///
/// `keeper`: the supervisor that runs already. `turn`: no other may be started until this one is seen.
pub async fn start(
    context: &Context,
    args: &UpArgs,
    settings: &Settings,
    engine: &Docker,
    keeper: Option<Keeper>,
    mut turn: Option<Turn>,
) -> Result<Option<u8>> {
    if let Some(Keeper { pid, .. }) = keeper {
        drop(turn);
        let words = keeper::words_of(pid);
        keeper::does(pid, words.as_ref(), (&context.global, args), &settings.project)?;
        if words.as_ref().is_some_and(Words::in_foreground) {
            // Said before anything is waited for.
            context.warn(keeper::in_foreground(pid, &settings.project.name, &session::known().leases));
        }
        return follow(context, args, settings, engine, (pid, words)).await;
    }
    let failed = |error| Error::failed("the supervisor can't be started").caused_by(error);
    let log = log_file(context, &settings.project.name)?;
    let program = std::env::current_exe().map_err(failed)?;
    let mut signals = Signals::new().map_err(failed)?;
    inherited::keep_to_myself();
    let mut child = tokio::process::Command::new(program)
        .args(std::env::args_os().skip(1))
        .env(SUPERVISOR, &log)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(private::append_own(&log).map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let pid = child.id().unwrap_or_default();
    let started = session::process::start_time(pid).unwrap_or_default();
    let mut lines =
        BufReader::new(child.stdout.take().ok_or_else(|| Error::failed("the supervisor has no output"))?).lines();

    let (reporter, reports) = Reporter::relay();
    let mut options = Options::detect(context.json());
    options.targets = meant(&settings.project, &args.targets);
    let shown = tokio::spawn(show(reports, options));
    // Targets that could not be started, as far as was told.
    let mut failing = BTreeSet::new();
    let code = loop {
        tokio::select! {
            ending = signals.next() => {
                // Not to be left half-done: what was begun ends with whoever asked for it.
                if let Ok(Some(process)) = Process::open(pid, started) {
                    let _ = process.terminate();
                    process.ended(Duration::from_mins(1)).await;
                }
                break Kind::Signal(ending.number).exit_code();
            }
            line = lines.next_line() => match line.map_err(failed)? {
                None => {
                    let status = child.wait().await.map_err(failed)?;
                    let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
                    reporter.report(Event::Warning { message: format!("the supervisor ended ({status}): {}", log.display()) });
                    break code.max(1);
                }
                Some(line) => match serde_json::from_str::<Event>(&line) {
                    Ok(event) => {
                        drop(turn.take());
                        let mut end = None;
                        match &event {
                            Event::ActionFailed { target, .. } | Event::Held { target, .. } => {
                                failing.insert(target.clone());
                            }
                            Event::ActionDone { target, .. } | Event::Ready { target, .. } => {
                                failing.remove(target);
                            }
                            Event::Started { .. } if !args.wait => end = Some(!failing.is_empty()),
                            Event::Settled { held, .. } => end = Some(if args.wait { *held > 0 } else { !failing.is_empty() }),
                            _ => {}
                        }
                        reporter.report(event);
                        if let Some(failed) = end {
                            break u8::from(failed);
                        }
                    }
                    Err(_) => reporter.report(Event::Warning { message: line }),
                },
            },
        }
    };
    drop(reporter);
    finish(shown).await?;
    Ok(Some(code))
}

/// A supervisor runs already: it follows the file by itself. Waits until nothing is left to do; none: it has ended.
async fn follow(
    context: &Context,
    args: &UpArgs,
    settings: &Settings,
    engine: &Docker,
    (pid, words): (u32, Option<Words>),
) -> Result<Option<u8>> {
    let names = scope(&settings.project, &args.targets).unwrap_or_default();
    let deadline = Instant::now() + FOLLOWS;
    let no_hold = |error| Error::failed(format!("the supervisor, pid {pid}, can't be waited for")).caused_by(error);
    let process = match session::process::start_time(pid) {
        Some(started) => Process::open(pid, started).map_err(no_hold)?,
        None => None,
    };
    if process.is_none() && ThisHost.start_time(pid).is_none() {
        return Ok(None);
    }
    let ended = async {
        match &process {
            Some(process) if process.ended(FOLLOWS).await => {}
            _ => pending().await,
        }
    };
    tokio::pin!(ended);
    // One in the foreground has no log.
    let has_log = words.is_some_and(|words| !words.in_foreground());
    let log = context.state_folder().join(format!("{}.log", settings.project.name));
    // Without it there is no reason to show, and everything else all the same.
    let mut said = if has_log { Said::open(&log).await.ok() } else { None };
    let (reporter, reports) = Reporter::channel();
    let shown = tokio::spawn(show(reports, Options::detect(context.json())));
    let mut events = engine.events((PROJECT, Some(&settings.project.name)), None);
    let plan = loop {
        let mut observed = observe(engine, &settings.project, false).await?;
        let known = session::known();
        leave_out_stdio(&mut observed, &settings.project, &known);
        leave_out_spares(&mut observed, &known);
        let owners = owners(&observed, &settings.project, None, &known);
        let situation = Situation { owners, scope: names.clone(), ..Situation::default() };
        let plan = plan(&settings.project, &observed, &situation);
        if is_reached(&plan, args.wait) {
            break plan;
        }
        let open = || plan.changes.iter().filter(|change| !is_same(&change.step, args.wait));
        let failing = said.as_mut().map(|said| said.failing(&settings.inputs).clone()).unwrap_or_default();
        let failed: Vec<&Event> = open().filter_map(|change| failing.get(change.subject.name())).collect();
        // What is held is so until something is edited.
        let is_held = plan.changes.iter().any(|change| matches!(change.step, Step::Hold { retry_ms: None }));
        let is_over = is_held || !failed.is_empty();
        let is_late = !is_over
            && tokio::select! {
                () = &mut ended => {
                    drop(reporter);
                    finish(shown).await?;
                    return Ok(None);
                }
                // Something happens on the engine, or it may have said something.
                _ = futures_util::StreamExt::next(&mut events) => false,
                () = more(said.as_mut()) => false,
                () = tokio::time::sleep_until(deadline.into()) => true,
            };
        if is_over || is_late {
            for event in failed {
                reporter.report(event.clone());
            }
            drop(reporter);
            finish(shown).await?;
            let open: Vec<String> = open()
                .map(|change| match &change.cause {
                    cause if cause.is_empty() => change.subject.name().to_owned(),
                    cause => format!("{} ({cause})", change.subject.name()),
                })
                .collect();
            let time = if is_over { String::new() } else { format!(" after {FOLLOWS:?}") };
            let hint = if is_given(context, args) {
                "`mcpmon plan` shows what is missing. The supervisor follows the file, but not flags or variables given \
                 now: for those `mcpmon down`, then `mcpmon up -d`"
            } else {
                "`mcpmon plan` shows what is missing. The supervisor follows the file: mend it there"
            };
            return Err(Error::failed(format!(
                "the supervisor, pid {pid}, does not have this as asked{time}: {}",
                open.join(", ")
            ))
            .hint(hint));
        }
    };
    // What runs may be as asked, and a rebuild of it have failed all the same.
    let failing = said.as_mut().map(|said| said.failing(&settings.inputs).clone()).unwrap_or_default();
    for (_, event) in failing.into_iter().filter(|(name, _)| names.as_ref().is_none_or(|names| names.contains(name))) {
        reporter.report(event);
    }
    let mut ready = 0;
    for change in &plan.changes {
        if let Step::Same { container: Some(container), .. } = &change.step {
            ready += 1;
            reporter.report(Event::Unchanged {
                target: change.subject.name().to_owned(),
                container: short(container).to_owned(),
            });
        }
    }
    reporter.report(Event::Settled { ready, held: 0, duration_ms: 0 });
    drop(reporter);
    finish(shown).await?;
    Ok(Some(0))
}

/// Waits until a supervisor has said more.
async fn more(said: Option<&mut Said>) {
    match said {
        Some(said) => said.more().await,
        None => pending().await,
    }
}

/// Whether there are flags or variables that a supervisor may have been started without.
fn is_given(context: &Context, args: &UpArgs) -> bool {
    let (global, watch) = (&context.global, &args.watch);
    let flags = [&global.profile, &global.set, &watch.watch, &watch.ignore, &watch.extensions];
    flags.iter().any(|flag| !flag.is_empty())
        || watch.delay.is_some()
        || context.environment.iter().any(|(key, value)| key.starts_with("MCPMON_") && !value.is_empty())
}

fn is_same(step: &Step, wait: bool) -> bool {
    matches!(step, Step::Same { ready, .. } if *ready || !wait)
}

fn is_reached(plan: &Plan, wait: bool) -> bool {
    plan.changes.iter().all(|change| is_same(&change.step, wait))
}

/// What the supervisor itself does: `up`, without a terminal. Gives the exit code.
pub async fn run(context: &Context, args: &UpArgs, log: PathBuf) -> Result<u8> {
    // A session of its own: the terminal's end and its Ctrl-C are not meant for it.
    rustix::process::setsid()
        .map_err(|error| Error::failed("the supervisor can't leave its terminal").caused_by(error))?;
    let settings = context.settings(&args.watch).await?;
    let engine = context.connect(settings.session.docker_timeout).await?;
    let (reporter, reports) = Reporter::channel();
    let reporter = reporter.keeping(context.project_history(&settings.project.name, "up -d"));
    let shown = tokio::spawn(journal(reports, log));
    // Nobody has to read what it says: its log keeps it.
    let unread = CancellationToken::new();
    // Whoever has started it holds the turn.
    let session = Session { settings, engine, reporter, owner: session::new(), unread, turn: None, follow_logs: false };
    let result = supervise(context, args, session).await;
    let _ = shown.await;
    result.map(|_| 0)
}

/// Writes every event to the log (of this supervisor alone; what is worth more is in the project's history), and to stdout as
/// long as somebody reads it.
pub(super) async fn journal(mut reports: Reports, log: PathBuf) {
    let mut file = private::append_own(&log).ok();
    let mut out = Some(tokio::io::stdout());
    while let Some(event) = reports.next().await {
        let line = json(&event) + "\n";
        if let Some(file) = &mut file {
            let _ = file.write_all(line.as_bytes());
        }
        if let Some(stdout) = &mut out
            && (stdout.write_all(line.as_bytes()).await.is_err() || stdout.flush().await.is_err())
        {
            // Whoever started it has read enough.
            out = None;
        }
    }
}

/// The supervisor's log file, empty: `$XDG_STATE_HOME/mcpmon/<project>.log`.
pub(super) fn log_file(context: &Context, project: &str) -> Result<PathBuf> {
    let folder = context.state_folder();
    let path = folder.join(format!("{project}.log"));
    let made = private::own_folder(&folder).and_then(|_| private::append_own(&path)).and_then(|file| file.set_len(0));
    made.map_err(|error| {
        Error::failed(format!("the supervisor's log {} can't be written", path.display())).caused_by(error)
    })?;
    Ok(path)
}
