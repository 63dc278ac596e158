//! `docker run -d`: the CLI prints the id and ends, which is no crash. The container is followed from then on: what it
//! prints is shown, it is restarted when watched files are saved, and it is stopped and removed at the end.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::{task::JoinSet, time::sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    anew::is_made_anew,
    child::{catch, exit_code, name, signalled, to_end},
    container::Session,
    ending::{end, leave},
    life::Life,
    watching::{Binds, Noticed, Watching},
};
use crate::{
    commands::{context::Context, up::finish},
    engine::{
        Engine, EngineEvent, EngineResult,
        docker::Docker,
        resume::{EventFeed, Update},
    },
    error::{Error, Result},
    model::{ObservedContainer, State, labels::SESSION},
    output::{
        ActionKind, Event, Reporter,
        event::millis,
        follow::{Followers, Start},
        show::{Options, show_beside},
    },
    session::forward::{self, Caught},
    trigger::Reload,
};

/// The rest of the output of a container that has ended: it is there already.
const LAST_LOGS: Duration = Duration::from_secs(2);

/// Runs the line, and follows its container to the end; gives the exit code.
pub(super) async fn run(context: &Context, session: Session) -> Result<u8> {
    let mut caught = catch()?;
    // While the CLI starts, long before the container does: it is watched, and somebody removes it however this ends.
    let watching = async {
        tokio::task::yield_now().await;
        let watching = Watching::new(context, &session, Binds::All)?;
        watching.begin().await;
        Ok(watching)
    };
    let (ran, watching, ()) = tokio::join!(to_end(&session, &mut caught, false), watching, session.guarded());
    let (status, asked) = ran?;
    let watching = match watching {
        Ok(watching) => watching,
        Err(error) => {
            leave(&session, None, &mut caught).await;
            return Err(error);
        }
    };
    if !status.success() {
        leave(&session, Some(status), &mut caught).await;
        session.end();
        return Ok(exit_code(status));
    }
    let engine = session.connect().await?;
    // None: `--rm`, and it has ended already.
    let Some(container) = session.containers(&engine).await?.pop() else {
        session.end();
        return Ok(0);
    };
    if let Some(signal) = asked {
        end(&session, &engine, &container, &mut caught).await?;
        session.end();
        return Ok(signalled(signal));
    }

    let (reporter, reports) = Reporter::channel();
    session.began();
    let reporter = reporter.keeping(session.history.clone());
    let mut options = Options::detect(context.json());
    options.targets = vec![session.name.clone()];
    let (shown, unread) = show_beside(reports, options);
    let label = session.owner.session.to_string();
    let follow = Follow {
        // By the engine's own clock: its end is not missed, however soon it came.
        feed: EventFeed::new(engine.clone(), (SESSION, Some(&label)), Some(container.created * 1_000_000_000)),
        followers: Followers::new(engine.clone(), reporter.clone()),
        restarts: JoinSet::new(),
        down: false,
        gone: false,
        exit_code: None,
        life: Life::default(),
        asked: None,
        watching,
        container,
        engine,
        reporter,
        session,
    };
    let code = Box::pin(follow.run(&mut caught, &unread)).await;
    finish(shown).await?;
    code
}

/// A container being followed.
struct Follow {
    session: Session,
    engine: Docker,
    container: ObservedContainer,
    reporter: Reporter,
    feed: EventFeed<Docker>,
    followers: Followers<Docker>,
    watching: Watching,
    /// The restart in flight: why, and since when.
    restarts: JoinSet<(Reload, Instant, EngineResult<()>)>,
    /// It ended by itself, with an error; the next change starts it.
    down: bool,
    /// The engine has it no more.
    gone: bool,
    /// Its end's.
    exit_code: Option<i64>,
    /// What the engine told of it since it started.
    life: Life,
    /// A signal that came while the line was run again: that is given up.
    asked: Option<Signal>,
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
            if let Some(signal) = self.asked {
                break Over::Asked(name(signal), signalled(signal));
            }
            let mut open_until = None;
            if !self.restarts.is_empty() || self.waits() || (!self.down && self.looks_alive().await) {
                // Goes on.
            } else if let Some(until) = self.life.open_until(Instant::now()) {
                // Perhaps it is being restarted.
                open_until = Some(until);
            } else if self.is_for_the_next_save() {
                self.wait_for_a_save();
            } else {
                break Over::Ended;
            }
            tokio::select! {
                biased;
                signal = caught.next() => match signal {
                    signal if forward::ends(signal) => break Over::Asked(name(signal), signalled(signal)),
                    // Ctrl-Z is caught for the CLI's sake; here it means what it always means.
                    Signal::TSTP => forward::send(std::process::id(), Signal::STOP),
                    _ => {}
                },
                () = unread.cancelled() => break Over::Asked("the output was closed", signalled(Signal::PIPE)),
                Some(restarted) = self.restarts.join_next(), if !self.restarts.is_empty() => {
                    if let Ok((reload, began, result)) = restarted {
                        let failed = result.is_err();
                        self.restarted(&reload, began, result.map_err(Error::from));
                        // What ended it was mcpmon itself.
                        if failed && !self.looks_alive().await && !self.is_taken_away() {
                            self.wait_for_a_save();
                        }
                    }
                }
                update = self.feed.next() => self.engine_update(update),
                () = sleep_until(open_until.unwrap_or_else(Instant::now).into()), if open_until.is_some() => {}
                noticed = self.watching.next() => match noticed {
                    Noticed::Reload(reload) => self.reload(reload, caught).await,
                    Noticed::Warning(message) => self.warn(message),
                },
            }
        };
        self.leave(over, caught).await
    }

    fn warn(&self, message: String) {
        self.reporter.report(Event::Warning { message });
    }

    /// It has ended, and is there for the next save. What `--rm` has taken away is made anew.
    fn waits(&self) -> bool {
        self.down && (self.session.line.remove || !self.life.is_removed())
    }

    /// Of one that is over: it ended by itself, by an error that a save may mend. What its user has ended, or removed, is
    /// the user's.
    fn is_for_the_next_save(&self) -> bool {
        let is_users = self.life.was_asked() || self.is_taken_away();
        self.watching.is_on() && !is_users && self.exit_code.is_some_and(|code| code != 0)
    }

    /// It was removed, and not by `--rm`.
    fn is_taken_away(&self) -> bool {
        !self.session.line.remove && (self.gone || self.life.is_removed())
    }

    fn wait_for_a_save(&mut self) {
        self.down = true;
        self.warn(format!(
            "{} ended{}; it is started again when a watched file is saved",
            self.session.name,
            self.exit_code.map_or_else(String::new, |code| format!(" with exit code {code}")),
        ));
    }

    fn show_output(&self) {
        self.followers.follow(&self.session.name, &self.container.id, Start::Beginning);
    }

    /// Whether it runs. What the engine does not tell is no end.
    async fn looks_alive(&mut self) -> bool {
        let details = self.engine.inspect(&self.container.id).await;
        self.gone = matches!(details, Ok(None));
        match details {
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
                self.life.event(&action, attributes.get("signal"), Instant::now());
                match action.as_str() {
                    "start" => {
                        self.down = false;
                        self.exit_code = None;
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

    /// Begins a restart.
    async fn reload(&mut self, reload: Reload, caught: &mut Caught) {
        self.reporter.report(Event::FilesChanged {
            target: reload.target.clone(),
            path: reload.first_path.as_deref().map(|path| self.session.shown(path)).unwrap_or_default(),
            count: reload.count,
            action: ActionKind::Restart,
        });
        let began = Instant::now();
        let down = std::mem::take(&mut self.down);
        if is_made_anew(self.session.line.remove, down, &self.engine.info()) {
            let result = self.run_again(caught).await;
            self.down = result.is_err() && !self.looks_alive().await;
            if self.asked.is_none() {
                self.restarted(&reload, began, result);
            }
            return;
        }
        let (engine, id, grace) = (self.engine.clone(), self.container.id.clone(), self.session.grace);
        self.restarts.spawn(async move {
            let result = engine.restart(&id, grace).await;
            (reload, began, result)
        });
    }

    /// The line makes another container in the place of the one there is, or was.
    async fn run_again(&mut self, caught: &mut Caught) -> Result<()> {
        // Waits for the end of a removal that has begun.
        self.asked = end(&self.session, &self.engine, &self.container, caught).await?;
        if self.asked.is_some() {
            return Ok(());
        }
        self.session.forget_cidfile();
        let (status, asked) = to_end(&self.session, caught, true).await?;
        self.asked = asked;
        match self.session.containers(&self.engine).await?.pop() {
            Some(container) if status.success() => {
                (self.container, self.exit_code, self.life) = (container, None, Life::default());
                Ok(())
            }
            // Docker has said why.
            _ => Err(Error::failed("the line could not be run again")),
        }
    }

    fn restarted(&mut self, reload: &Reload, began: Instant, result: Result<()>) {
        self.watching.done(reload);
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
                error: error.to_string(),
                hint: error.hint,
                log: Vec::new(),
                retry_ms: None,
            }),
        }
    }

    /// The end: nothing is left of what was asked to end; what ended by itself stays, as it does without mcpmon.
    async fn leave(mut self, over: Over, caught: &mut Caught) -> Result<u8> {
        let code = match over {
            Over::Ended => {
                let code = self.exit_code.map_or_else(String::new, |code| format!(", exit code {code}"));
                if self.is_taken_away() {
                    let cause = "the container was removed from outside".to_owned();
                    self.reporter.report(Event::Stopping { cause });
                } else if self.life.was_asked() {
                    let cause = format!("the container was stopped from outside{code}");
                    self.reporter.report(Event::Stopping { cause });
                } else {
                    self.session.keep(&Event::Stopping { cause: format!("the container ended{code}") });
                }
                self.followers.finish(LAST_LOGS).await;
                leave(&self.session, None, caught).await;
                self.session.end();
                return Ok(self.exit_code.and_then(|code| u8::try_from(code).ok()).unwrap_or_default());
            }
            Over::Asked(cause, code) => {
                self.reporter.report(Event::Stopping { cause: cause.to_owned() });
                code
            }
        };
        self.restarts.abort_all();
        let left = if self.session.settings.session.cleanup {
            let ended = end(&self.session, &self.engine, &self.container, caught).await;
            ended.map_err(|error| error.hint("`mcpmon cleanup` removes the container, once the engine answers"))?;
            0
        } else {
            1
        };
        self.followers.finish(LAST_LOGS).await;
        self.session.end();
        self.reporter.report(Event::Stopped { removed: 1 - left, left, left_networks: 0, left_volumes: 0 });
        Ok(code)
    }
}
