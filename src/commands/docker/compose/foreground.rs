//! `docker compose up` in the foreground: the CLI as a child that has mcpmon's terminal, output and signals, and whose
//! exit status is mcpmon's, until the first reload. Compose attaches again to what was started or made anew only
//! sometimes, misses what it prints first, and ends when nothing runs for a moment (tried with 2.26). So from the first
//! reload on the CLI is gone, and mcpmon shows what the containers print.

use std::{collections::VecDeque, io::IsTerminal, process::ExitStatus, time::SystemTime};

use futures_util::{StreamExt, stream::FuturesUnordered};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::{
    super::{
        child::{catch, exit_code, lost, name, signalled},
        say,
    },
    follow::{Follow, LAST_STEPS, Over, is_shown},
    project::{Project, is_one_off, line_name, runs, service, shown_name},
    reload,
    taken::Taken,
    watching::{Noticed, Watching},
};
use crate::{
    commands::{context::Context, up::finish},
    engine::{
        docker::Docker,
        resume::{EventFeed, Update},
    },
    error::Result,
    model::{State, labels::SESSION},
    output::{
        Event, Reporter,
        follow::{Followers, Start},
        show::{Options, show_beside},
        stamp::Position,
    },
    session::forward::{self, Caught, Child},
};

/// Why the CLI is not waited for any more.
enum Left {
    /// It ended, asked by a signal or not.
    Ended { status: ExitStatus, asked: bool },
    /// It was asked to end, did not, and was killed.
    Stuck,
    /// The first thing that has to be done to a service.
    Changed(Noticed),
}

/// Runs the line; gives the exit code.
pub(super) async fn run(context: &Context, project: Project) -> Result<u8> {
    let mut caught = catch()?;
    // A line that ends with one of its containers is a job: a restart would be its end.
    let is_job =
        project.line.command.ends_with_container || project.line.command.no_start || project.line.command.watch;
    let mut watching = if is_job { None } else { Some(Watching::new(context.home(), &project)?) };
    // Watched before they start: what is saved while they do is a change.
    if let Some(watching) = &mut watching {
        watching.set(&project).await;
    }
    let child = if std::io::stdin().is_terminal() { Child::Beside { raw: false } } else { Child::Apart };
    let guard = project.begin(context, &line_name(&project.meant.name));
    let mut command = project.command();
    if child == Child::Apart {
        command.process_group(0);
    }
    guard.ready().await;
    let mut docker = project.spawn(&mut command)?;
    let label = project.owner.session.to_string();
    let mut feed = EventFeed::new(project.engine.clone(), (SESSION, Some(&label)), None);
    let mut taken = Taken::default();
    let over = until_over(&project, &mut docker, child, &mut caught, watching.as_mut(), &mut feed, &mut taken).await?;
    let (noticed, watching) = match (over, watching) {
        (Left::Changed(noticed), Some(watching)) => (noticed, watching),
        (over, _) => {
            // What could not be stopped the watchdog tries again.
            if !project.settings.session.cleanup || project.stop_all().await {
                guard.end();
            }
            return Ok(match over {
                Left::Ended { status, asked } => {
                    ended(exit_code(status), asked, project.line.command.ends_with_container)
                }
                Left::Stuck => signalled(Signal::INT),
                Left::Changed(_) => 0,
            });
        }
    };
    let (reporter, followers, shown, unread) = take_over(context, &project, &mut docker).await?;
    let mut follow = Follow::new(project, reporter, feed, Some(followers), watching, VecDeque::from([noticed]), taken);
    let over = follow.run(&mut caught, &unread).await;
    let (code, all_stopped) = leave(&mut follow, over, &mut caught).await;
    drop(follow);
    if all_stopped {
        guard.end();
    }
    finish(shown).await?;
    Ok(code)
}

/// The exit code of a CLI that ended with `code`. Asked to end while it attaches, compose 2.26 crashes now and then (it
/// closes a channel twice), and a crashed Go program ends with 2. What was asked for was done all the same: by mcpmon,
/// which stops what runs. Where the code is one of a container's, 2 may be just that.
fn ended(code: u8, asked: bool, is_a_container_s: bool) -> u8 {
    if code == 2 && asked && !is_a_container_s { signalled(Signal::INT) } else { code }
}

/// Waits until the CLI ends, or a service is to be reloaded and everything has been started: until then compose is at
/// work, and must not be disturbed.
///
/// Asked to end while it makes containers, compose 2.26 stops what runs, starts what it has just made all the same, and
/// waits for ever for that. What starts after it was asked is stopped here, which lets it end.
async fn until_over(
    project: &Project,
    docker: &mut tokio::process::Child,
    child: Child,
    caught: &mut Caught,
    mut watching: Option<&mut Watching>,
    feed: &mut EventFeed<Docker>,
    taken: &mut Taken,
) -> Result<Left> {
    let mut asked = false;
    let mut stops = FuturesUnordered::new();
    let mut patience = Instant::now();
    let mut held: Option<Noticed> = None;
    let mut look = false;
    let mut begun = false;
    loop {
        if look && !begun && held.is_none() && is_up(project, taken).await {
            begun = true;
            // What it has to say is said when the first change comes.
            reload::begin(project, &Reporter::channel().0).await;
        }
        if std::mem::take(&mut look)
            && held.is_some()
            && !asked
            && is_up(project, taken).await
            && let Some(noticed) = held.take()
        {
            return Ok(Left::Changed(noticed));
        }
        tokio::select! {
            biased;
            status = docker.wait() => return Ok(Left::Ended { status: status.map_err(lost)?, asked }),
            signal = caught.next() => {
                super::super::child::hand_on(docker, child, signal);
                asked |= forward::ends(signal);
                patience = Instant::now() + project.longest_grace() + LAST_STEPS;
            }
            update = feed.next() => match update {
                // Networks and volumes come whoever's they are.
                Update::Event(event) if event.kind == "container" => {
                    patience = Instant::now() + project.longest_grace() + LAST_STEPS;
                    let told = taken.event(project, &event).await;
                    look = event.action == "start" || told.is_some();
                    if let Some(message) = told.filter(|_| !asked) {
                        say(&Event::Warning { message });
                    }
                    if event.action == "start" && asked {
                        stops.push(project.stop_late(event));
                    }
                }
                Update::Back(_) => look = true,
                Update::Event(_) | Update::Lost(_) => {}
            },
            Some(()) = stops.next() => {}
            () = sleep_until(patience), if asked => {
                let program = project.line.program().display();
                let message = format!("{program} was asked to end, and did not: it was killed");
                say(&Event::Warning { message });
                if let Some(pid) = docker.id() {
                    kill_with_children(pid);
                }
                docker.wait().await.map_err(lost)?;
                return Ok(Left::Stuck);
            }
            noticed = next(watching.as_deref_mut()), if held.is_none() => match noticed {
                Noticed::Warning(message) => say(&Event::Warning { message }),
                Noticed::Reload(reload) if taken.contains(&reload.target) => {
                    if let Some(watching) = watching.as_deref_mut() {
                        watching.done(&reload.target);
                    }
                }
                noticed => {
                    held = Some(noticed);
                    look = true;
                }
            },
        }
    }
}

async fn next(watching: Option<&mut Watching>) -> Noticed {
    match watching {
        Some(watching) => watching.next().await,
        None => std::future::pending().await,
    }
}

/// Whether every service has been started, and not all were taken.
async fn is_up(project: &Project, taken: &Taken) -> bool {
    let Ok(containers) = project.containers().await else { return false };
    let is_started = |name: &str| {
        containers.iter().any(|container| service(container) == Some(name) && container.state != State::Created)
    };
    let mut services = project.meant.services.iter().filter(|(name, _)| !taken.contains(name)).peekable();
    services.peek().is_some()
        && services
            .all(|(name, service)| service.parts.replicas() == 0 || is_started(name) || project.is_another_s(name))
}

/// Ends the CLI without its stopping anything, and goes on showing where it was.
async fn take_over(
    context: &Context,
    project: &Project,
    docker: &mut tokio::process::Child,
) -> Result<(Reporter, Followers<Docker>, JoinHandle<std::io::Result<()>>, CancellationToken)> {
    let now = SystemTime::now();
    if let Some(pid) = docker.id() {
        kill_with_children(pid);
    }
    docker.wait().await.map_err(lost)?;
    let containers = project.containers().await.unwrap_or_default();
    let (reporter, reports) = Reporter::channel();
    let mut options = Options::detect(context.json());
    options.targets = containers.iter().map(shown_name).collect();
    let (shown, unread) = show_beside(reports, options);
    let followers = Followers::new(project.engine.clone(), reporter.clone());
    for container in containers.iter().filter(|container| !is_one_off(container)) {
        followers.skip(&container.id, Position::at(now), Start::Beginning);
        if runs(container) && service(container).is_some_and(|name| is_shown(project, name)) {
            followers.follow(&shown_name(container), &container.id, Start::Beginning);
        }
    }
    Ok((reporter, followers, shown, unread))
}

/// Children first: a plugin whose docker has gone would stop the containers.
fn kill_with_children(pid: u32) {
    for child in children(pid) {
        kill_with_children(child);
    }
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // Gone already: what is wanted.
        let _ = kill_process(pid, Signal::KILL);
    }
}

fn children(of: u32) -> Vec<u32> {
    let parent = |pid: u32| -> Option<u32> {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // Behind the command's name, which may hold anything: state, parent.
        stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| parent(*pid) == Some(of)).collect()
}

/// The end: as at compose's own, what runs is stopped and stays, stopped. Gives the exit code, and whether all of it did stop.
async fn leave(follow: &mut Follow, over: Over, caught: &mut Caught) -> (u8, bool) {
    let (cause, code) = match over {
        // As compose has it for every signal that it hears.
        Over::Asked(Signal::HUP) => (name(Signal::HUP), signalled(Signal::HUP)),
        Over::Asked(signal) => (name(signal), signalled(Signal::INT)),
        Over::Unread => ("the output was closed", signalled(Signal::PIPE)),
        Over::Ended => return (0, true),
    };
    follow.reporter.report(Event::Stopping { cause: cause.to_owned() });
    let stopped = async {
        follow.finish_tasks().await;
        follow.project.stop_all().await
    };
    let all_stopped = tokio::select! {
        all = stopped => all,
        () = insists(caught) => {
            follow.give_up_tasks().await;
            follow.project.kill_all().await
        }
    };
    (code, all_stopped)
}

/// A second Ctrl-C.
async fn insists(caught: &mut Caught) {
    while caught.next().await != Signal::INT {}
}

#[cfg(test)]
mod tests {
    use super::ended;

    #[test]
    fn a_crash_of_compose_that_was_asked_to_end_is_an_end_that_was_asked_for() {
        for (code, asked, is_a_container_s, is) in [
            (2, true, false, 130),
            (2, false, false, 2),
            (2, true, true, 2),
            (0, true, false, 0),
            (1, true, false, 1),
            (130, true, false, 130),
        ] {
            assert_eq!(ended(code, asked, is_a_container_s), is, "{code} {asked} {is_a_container_s}");
        }
    }
}
