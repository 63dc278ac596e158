//! `docker run -d`: the CLI prints the id and ends, which is no crash. The container is followed from then on: what it
//! prints is shown, it is restarted when watched files are saved, and it is stopped and removed at the end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::sleep_until,
};
use tokio_util::sync::CancellationToken;

use super::{
    container::Session,
    foreground::{catch, end, exit_code, leave, to_end},
};
use crate::{
    commands::{context::Context, up::finish},
    engine::{
        Engine, EngineEvent, EngineResult,
        docker::Docker,
        resume::{EventFeed, Update},
    },
    error::{Kind, Result},
    model::{ObservedContainer, State, labels::SESSION},
    output::{
        ActionKind, Event, Reporter,
        event::millis,
        follow::{Followers, Start},
        show::{Options, show},
    },
    session::forward::{self, Caught},
    trigger::{Reload, Rules, Trigger},
    watch::{ChangeReceiver, Watcher},
};

/// The rest of the output of a container that has ended: it is there already.
const LAST_LOGS: Duration = Duration::from_secs(2);
/// No deadline is set: something else wakes.
const FAR: Duration = Duration::from_hours(1);

/// Runs the line, and follows its container to the end; gives the exit code.
pub(super) async fn run(context: &Context, session: Session) -> Result<u8> {
    let mut caught = catch()?;
    // Watched before it starts: what is saved while it does is a change.
    let rules = Arc::new(Rules::new(&session.settings, context.home().as_deref()));
    let (watcher, changes) = Watcher::new()?;
    let (ran, ()) =
        tokio::join!(to_end(&session, &mut caught, false), watcher.set(Arc::clone(&rules), std::iter::empty()));
    let (status, asked) = ran?;
    if !status.success() {
        leave(&session, Some(status), &mut caught).await;
        return Ok(exit_code(status));
    }
    let engine = session.connect().await?;
    // None: `--rm`, and it has ended already.
    let Some(container) = session.containers(&engine).await?.pop() else { return Ok(0) };
    if let Some(signal) = asked {
        end(&session, &engine, &container, &mut caught).await?;
        return Ok(signalled(signal));
    }

    let (reporter, reports) = Reporter::channel();
    let mut options = Options::detect(context.json());
    options.targets = vec![session.name.clone()];
    // When nobody reads the output any more, nobody is there to keep it up for.
    let unread = CancellationToken::new();
    let shown: JoinHandle<_> = tokio::spawn({
        let unread = unread.clone();
        async move {
            let _unread = unread.drop_guard();
            show(reports, options).await
        }
    });
    for message in rules.targets().iter().flat_map(|target| target.warnings.clone()) {
        reporter.report(Event::Warning { message });
    }
    let label = session.owner.session.to_string();
    let follow = Follow {
        feed: EventFeed::new(engine.clone(), (SESSION, Some(&label)), None),
        followers: Followers::new(engine.clone(), reporter.clone()),
        trigger: Trigger::new(Arc::clone(&rules)),
        watching: !rules.roots().is_empty(),
        _watcher: watcher,
        restarts: JoinSet::new(),
        down: false,
        exit_code: None,
        changes,
        container,
        engine,
        reporter,
        session,
    };
    let code = Box::pin(follow.run(&mut caught, &unread)).await;
    finish(shown).await?;
    code
}

fn signalled(signal: Signal) -> u8 {
    Kind::Signal(u8::try_from(signal.as_raw()).unwrap_or_default()).exit_code()
}

/// A container being followed.
struct Follow {
    session: Session,
    engine: Docker,
    container: ObservedContainer,
    reporter: Reporter,
    feed: EventFeed<Docker>,
    followers: Followers<Docker>,
    changes: ChangeReceiver,
    trigger: Trigger,
    /// Something is watched.
    watching: bool,
    _watcher: Watcher,
    /// The restart in flight, since when.
    restarts: JoinSet<(Instant, EngineResult<()>)>,
    /// It ended by itself, with an error; the next change starts it.
    down: bool,
    /// Its last end's.
    exit_code: Option<i64>,
}

/// Why following ends.
enum Over {
    /// By a signal.
    Asked(&'static str, u8),
    /// By itself.
    Ended,
}

impl Follow {
    async fn run(mut self, caught: &mut Caught, unread: &CancellationToken) -> Result<u8> {
        self.show_output();
        let over = loop {
            if !self.restarts.is_empty() || self.down || self.looks_alive().await {
                // Goes on.
            } else if self.watching && self.exit_code != Some(0) {
                self.down = true;
                self.warn(format!(
                    "{} ended{}; it is started again when a watched file is saved",
                    self.session.name,
                    self.exit_code.map_or_else(String::new, |code| format!(" with exit code {code}")),
                ));
            } else {
                break Over::Ended;
            }
            tokio::select! {
                biased;
                signal = caught.next() => if forward::ends(signal) {
                    break Over::Asked(name(signal), signalled(signal));
                },
                () = unread.cancelled() => break Over::Asked("the output was closed", signalled(Signal::PIPE)),
                Some(restarted) = self.restarts.join_next(), if !self.restarts.is_empty() => {
                    if let Ok((began, result)) = restarted {
                        self.restarted(began, result);
                    }
                }
                update = self.feed.next() => self.engine_update(update),
                changes = self.changes.next() => {
                    for warning in changes.warnings.clone() {
                        self.warn(warning);
                    }
                    self.trigger.changed(Instant::now(), &changes);
                    self.reload(caught).await?;
                }
                () = sleep_until(self.trigger.next_deadline().unwrap_or_else(|| Instant::now() + FAR).into()) => {
                    self.reload(caught).await?;
                }
            }
        };
        self.leave(over, caught).await
    }

    fn warn(&self, message: String) {
        self.reporter.report(Event::Warning { message });
    }

    fn show_output(&self) {
        self.followers.follow(&self.session.name, &self.container.id, Start::Beginning);
    }

    /// Whether it runs. What the engine does not tell is no end.
    async fn looks_alive(&mut self) -> bool {
        match self.engine.inspect(&self.container.id).await {
            Ok(Some(details)) => {
                if !details.running {
                    self.exit_code = details.exit_code;
                }
                details.running || details.state == State::Restarting
            }
            Ok(None) => false,
            Err(_) => true,
        }
    }

    fn engine_update(&mut self, update: Update) {
        match update {
            Update::Event(EngineEvent { id, action, attributes, .. }) if id == self.container.id => {
                match action.as_str() {
                    "start" => {
                        self.down = false;
                        self.show_output();
                    }
                    "die" => self.exit_code = attributes.get("exitCode").and_then(|code| code.parse().ok()),
                    _ => {}
                }
            }
            Update::Event(_) => {}
            Update::Lost(error) => self.reporter.report(Event::EngineLost { error: error.to_string() }),
            Update::Back(_) => self.reporter.report(Event::EngineBack),
        }
    }

    /// Begins the restart that is due, if one is.
    async fn reload(&mut self, caught: &mut Caught) -> Result<()> {
        for Reload { target, first_path, count, .. } in self.trigger.poll(Instant::now()) {
            let path = first_path.map(|path| self.shown(&path)).unwrap_or_default();
            self.reporter.report(Event::FilesChanged { target, path, count, action: ActionKind::Restart });
            let began = Instant::now();
            if std::mem::take(&mut self.down) && self.is_gone().await? {
                self.run_again(caught).await?;
                self.restarted(began, Ok(()));
                continue;
            }
            let (engine, id, grace) = (self.engine.clone(), self.container.id.clone(), self.session.grace);
            self.restarts.spawn(async move { (began, engine.restart(&id, grace).await) });
        }
        Ok(())
    }

    /// Whether it can't be started again; waits for the end of a removal that has begun.
    async fn is_gone(&self) -> Result<bool> {
        if self.session.line.remove {
            self.engine.remove(&self.container.id).await?;
        }
        Ok(self.engine.inspect(&self.container.id).await?.is_none())
    }

    /// The engine removed it when it ended (`--rm`): the line makes another one.
    async fn run_again(&mut self, caught: &mut Caught) -> Result<()> {
        let (status, _) = to_end(&self.session, caught, true).await?;
        match self.session.containers(&self.engine).await?.pop() {
            Some(container) => self.container = container,
            None => self.down = true,
        }
        if !status.success() {
            self.down = true;
        }
        Ok(())
    }

    fn restarted(&mut self, began: Instant, result: EngineResult<()>) {
        self.trigger.done(&self.session.name);
        match result {
            Ok(()) => {
                self.show_output();
                self.reporter.report(Event::ActionDone {
                    target: self.session.name.clone(),
                    action: ActionKind::Restart,
                    duration_ms: millis(began.elapsed()),
                });
            }
            Err(error) => self.reporter.report(Event::ActionFailed {
                target: self.session.name.clone(),
                action: ActionKind::Restart,
                hint: error.hint(),
                error: error.to_string(),
                log: Vec::new(),
                retry_ms: None,
            }),
        }
    }

    /// A path as it is shown: relative to where mcpmon was called.
    fn shown(&self, path: &std::path::Path) -> String {
        path.strip_prefix(&self.session.settings.project.folder).unwrap_or(path).display().to_string()
    }

    /// The end: nothing is left of what was asked to end; what ended by itself stays, as it does without mcpmon.
    async fn leave(mut self, over: Over, caught: &mut Caught) -> Result<u8> {
        let code = match over {
            Over::Ended => {
                self.followers.finish(LAST_LOGS).await;
                leave(&self.session, None, caught).await;
                return Ok(self.exit_code.and_then(|code| u8::try_from(code).ok()).unwrap_or_default());
            }
            Over::Asked(cause, code) => {
                self.reporter.report(Event::Stopping { cause: cause.to_owned() });
                code
            }
        };
        self.restarts.abort_all();
        let left = if self.session.settings.session.cleanup {
            end(&self.session, &self.engine, &self.container, caught).await?;
            0
        } else {
            1
        };
        self.followers.finish(LAST_LOGS).await;
        self.reporter.report(Event::Stopped { removed: 1 - left, left });
        Ok(code)
    }
}

fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::HUP => "SIGHUP",
        Signal::INT => "SIGINT",
        Signal::QUIT => "SIGQUIT",
        _ => "SIGTERM",
    }
}
