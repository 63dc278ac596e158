//! `docker compose up -d`: compose's own output and exit status; then a supervisor in the background keeps what it made.
//! The supervisor is mcpmon itself, in a session of its own. It says who it is before anything is made, so that its
//! labels are on the containers, and ends when they are gone.

use std::{
    collections::VecDeque,
    fs::File,
    io::{Write, stdout},
    path::PathBuf,
    process::Stdio,
};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        child::{catch, exit_code, hand_on, lost, name},
        warn,
    },
    follow::{Follow, Over},
    project::{Project, keeper_name},
    reload,
    taken::Taken,
    watching::Watching,
};
use crate::{
    commands::{
        context::Context,
        detach::{SUPERVISOR, journal, log_file},
    },
    docker_line::compose::Command,
    engine::resume::EventFeed,
    error::{Error, Result},
    model::{Labels, Owner, labels::SESSION},
    output::{Event, Reporter},
    session::{
        forward::{Caught, Child},
        inherited,
    },
};

/// Starts the supervisor, runs the line, and leaves the supervisor to it; gives the CLI's exit code.
pub(super) async fn start(context: &Context, mut project: Project) -> Result<u8> {
    let mut caught = catch()?;
    if project.joins {
        return run_line(&project, &mut caught).await;
    }
    let failed = |error| Error::failed("the supervisor can't be started").caused_by(error);
    let log = log_file(context, &format!("compose-{}", project.meant.name))?;
    inherited::keep_to_myself();
    let mut supervisor = tokio::process::Command::new(std::env::current_exe().map_err(failed)?)
        .args(std::env::args_os().skip(1))
        .env(SUPERVISOR, &log)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::options().append(true).open(&log).map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let output = supervisor.stdout.take().ok_or_else(|| Error::failed("the supervisor has no output"))?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).await.map_err(failed)?;
    let owner = serde_json::from_str(&line).ok().and_then(|labels| Owner::from_labels(&Labels(labels)));
    let owner = owner.ok_or_else(|| Error::failed(format!("the supervisor did not start: see {}", log.display())))?;
    project.hand_to(owner)?;
    // Its end of this pipe closes when the line has been run, however this process ends.
    let running = supervisor.stdin.take();
    let code = run_line(&project, &mut caught).await;
    if let Ok(Some(status)) = supervisor.try_wait() {
        warn(format!("the supervisor has ended ({status}); files are not watched: see {}", log.display()));
    }
    drop(running);
    code
}

/// Runs the line's CLI to its end; gives its exit code.
async fn run_line(project: &Project, caught: &mut Caught) -> Result<u8> {
    let mut command = project.command();
    let child = Child::Beside { raw: false };
    let mut docker = project.spawn(&mut command)?;
    loop {
        tokio::select! {
            status = docker.wait() => return Ok(exit_code(status.map_err(lost)?)),
            signal = caught.next() => hand_on(&docker, child, signal),
        }
    }
}

/// What the supervisor does first: it says who it is.
pub(super) fn introduce(owner: &Owner) -> Result<()> {
    let failed = |error: std::io::Error| Error::failed("the supervisor can't say who it is").caused_by(error);
    // A session of its own: the terminal's end and its Ctrl-C are not meant for it.
    rustix::process::setsid().map_err(|error| failed(error.into()))?;
    let line = serde_json::to_string(&owner.labels()).map_err(|error| failed(error.into()))?;
    let mut out = stdout();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(failed)
}

/// What the supervisor itself does; gives the exit code.
pub(super) async fn supervise(context: &Context, project: Project, log: PathBuf) -> Result<u8> {
    let mut caught = catch()?;
    let (reporter, reports) = Reporter::channel();
    let shown = tokio::spawn(journal(reports, log));
    let guard = project.begin(context, &keeper_name(&project.meant.name));
    let mut watching = Watching::new(context.home(), &project)?;
    if project.line.command.command == Command::Up {
        watching.set(&project).await;
    }
    let label = project.owner.session.to_string();
    let feed = EventFeed::new(project.engine.clone(), (SESSION, Some(&label)), None);
    // Until the line has been run.
    let mut rest = Vec::new();
    let _ = tokio::io::stdin().read_to_end(&mut rest).await;
    reload::begin(&project, &reporter).await;
    let mut follow = Follow::new(project, reporter, feed, None, watching, VecDeque::new(), Taken::default());
    let mut all_stopped = true;
    if let Over::Asked(signal) = follow.run(&mut caught, &CancellationToken::new()).await
        && follow.project.settings.session.cleanup
    {
        follow.reporter.report(Event::Stopping { cause: name(signal).to_owned() });
        follow.finish_tasks().await;
        all_stopped = follow.project.stop_all().await;
    }
    drop(follow);
    // What could not be stopped the watchdog tries again.
    if all_stopped {
        guard.end();
    }
    let _ = shown.await;
    Ok(0)
}
