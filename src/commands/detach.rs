//! `mcpmon up -d`: a supervisor in the background owns and keeps the containers. It is mcpmon itself,
//! in a session of its own; it speaks the documented JSON events, one a line: to whoever started it
//! until that one has read enough, and all the time into its log file.

use std::{collections::BTreeSet, io::Write, path::PathBuf, process::Stdio, time::Duration};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::{
    beside,
    context::Context,
    keeper::{self, Words},
    up::{Keeper, Session, finish, supervise},
};
use crate::{
    cli::UpArgs,
    engine::docker::Docker,
    error::{Error, Kind, Result},
    model::Settings,
    output::{
        Event, Reporter,
        lines::json,
        private,
        reporter::Reports,
        show::{Options, show},
    },
    plan::meant,
    session::{self, inherited, process::Process, signals::Signals, turn::Turn},
};

/// Tells the supervisor what it is. Not a flag: nobody is meant to type it.
pub const SUPERVISOR: &str = "MCPMON_SUPERVISOR";

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
        return beside::wait(context, args, settings, engine, (pid, words)).await;
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
