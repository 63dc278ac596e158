//! A stdio session from its first byte to its exit code, whatever starts its servers.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use uuid::Uuid;

use crate::{
    error::{Error, Kind, Result},
    extension::ExtensionSet,
    output::{
        ActionKind, Event, History,
        event::millis,
        log,
        reporter::Reports,
        style::{self, Paint},
        words::Words,
    },
    proxy::{
        drive::{Client, Drive, Ended, News},
        server::Launcher,
        session::{Again, Notice, Options, Session},
    },
    session::signals::Signals,
};

/// What a session adds to a history.
#[derive(Debug)]
pub struct Kept {
    history: History,
    project: String,
    session: Uuid,
    order: &'static str,
}

impl Kept {
    /// The history of a project (or of what stands in one's place) and the session that adds to it.
    pub fn new(history: History, project: &str, session: Uuid) -> Self {
        Self { history, project: project.to_owned(), session, order: "" }
    }

    /// The session begins; a warning when that can't be kept.
    fn begin(&self, name: &str) -> Option<String> {
        self.history.add(&Event::SessionStarted {
            project: self.project.clone(),
            session: self.session.to_string(),
            pid: std::process::id(),
            targets: vec![name.to_owned()],
        })
    }

    /// What of a session's notices is worth being kept, in the words that `up` has for it.
    fn notice(&self, name: &str, notice: &Notice) {
        let target = name.to_owned();
        let order = self.order.into();
        let failed = |error: &String| Event::ActionFailed {
            target: name.to_owned(),
            action: ActionKind::Start,
            error: error.clone(),
            hint: None,
            log: Vec::new(),
            retry_ms: None,
        };
        // The first one that can't be kept was told of.
        let _ = match notice {
            Notice::Reloaded { total, .. } => {
                self.history.add(&Event::Reloaded { target, duration_ms: millis(*total), order })
            }
            Notice::Restarted { total } => {
                self.history.add(&Event::ActionDone { target, action: ActionKind::Start, duration_ms: millis(*total) })
            }
            Notice::NotReloaded { reason, .. } => {
                self.history.add(&Event::ReloadFailed { target, error: reason.clone(), log: Vec::new() })
            }
            Notice::Crashed { reason, again, .. } => {
                let retry_ms = if let Again::In(wait) = again { millis(*wait) } else { 0 };
                let crashed = Event::Crashed { target, exit_code: None, failures: 1, retry_ms, log: Vec::new() };
                self.history.add_because(&crashed, reason)
            }
            Notice::NotStarted { reason, .. } => self.history.add(&failed(reason)),
            _ => None,
        };
    }

    fn end(&self, ended: &Ended) {
        let cause = match (ended.signal, ended.well) {
            (Some(signal), _) => signal.name,
            (None, true) => "the client left",
            (None, false) => "there was no server any more",
        };
        let _ = self.history.add(&Event::Stopping { cause: cause.to_owned() });
    }
}

/// What is left for the servers when a client that has closed its side sends a signal as well: the official SDKs kill two
/// seconds later, and then nobody is there to remove anything.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Stands between this process's client and the launcher's servers until the client leaves or a signal comes; gives the
/// exit code. `kept`: its history. `reports`: what is said meanwhile. `outside` gets the way in for what happens outside (saved files), and is
/// dropped at the end; `before_the_end` is done before the launcher finishes.
pub async fn serve<L: Launcher, O: Future<Output = ()> + Send + 'static>(
    name: &str,
    mut kept: Kept,
    mut options: Options,
    launcher: Arc<L>,
    extensions: ExtensionSet,
    reports: Reports,
    outside: impl FnOnce(mpsc::UnboundedSender<News>) -> O,
    before_the_end: impl Future<Output = ()>,
) -> Result<u8> {
    let failed = |what: &str, error: io::Error| Error::failed(format!("{what} can't be used")).caused_by(error);
    let signals = Signals::new().map_err(|error| failed("signals", error))?;
    let client = Client::of_this_process().map_err(|error| failed("stdin, stdout and stderr", error))?;
    let hurry = CancellationToken::new();
    (options.results, options.claims) = (extensions.results(), extensions.claims());
    kept.order = if options.stop_first { "stop-first" } else { "start-first" };
    let session = Session::new(options);
    let mut drive = Drive::new(name.to_owned(), session, client, Arc::clone(&launcher), extensions, hurry.clone());
    let told = drive.teller();
    let closed = drive.closed();
    let log = told.clone();
    log::redirect(move |line| drop(log.send(News::Say(line.to_owned()))));
    let _tasks = [
        AbortOnDropHandle::new(tokio::spawn(listen(signals, told.clone(), closed, hurry.clone()))),
        AbortOnDropHandle::new(tokio::spawn(show(reports, name.to_owned(), told.clone()))),
        AbortOnDropHandle::new(tokio::spawn(outside(told))),
    ];
    // Nobody of the client's hears of it; where it can't be kept, the reporter says so, or this does.
    let cannot = kept.begin(name);
    let kept = Arc::new(kept);
    drive.on_notice({
        let (kept, name) = (Arc::clone(&kept), name.to_owned());
        move |notice| kept.notice(&name, notice)
    });
    if let Some(message) = cannot {
        drive.say(&format!("warning: {message}"));
    }
    let ended = drive.run().await;
    kept.end(&ended);
    before_the_end.await;
    let finished = launcher.finish(&hurry).await;
    if let Err(error) = &finished {
        drive.say(style::error(error, Paint::stderr()).trim_end());
    }
    drive.flush().await;
    Ok(exit_code(ended, finished.is_ok()))
}

/// Success is the session's, and that nothing is left.
fn exit_code(ended: Ended, nothing_left: bool) -> u8 {
    let kind = match (nothing_left, ended.signal, ended.well) {
        (false, ..) => Kind::Failed,
        (true, Some(signal), _) => Kind::Signal(signal.number),
        (true, None, true) => return 0,
        (true, None, false) => ended.failure.unwrap_or(Kind::Failed),
    };
    kind.exit_code()
}

/// The first signal asks, the second one insists.
async fn listen(
    mut signals: Signals,
    told: mpsc::UnboundedSender<News>,
    closed: CancellationToken,
    hurry: CancellationToken,
) {
    let first = signals.next().await;
    let _ = told.send(News::Signal(first));
    if closed.is_cancelled() {
        let _ = tokio::time::timeout(LAST_PATIENCE, signals.next()).await;
    } else {
        signals.next().await;
    }
    hurry.cancel();
}

/// Says what is reported, as far as people need it beside the session's own notices.
async fn show(mut reports: Reports, name: String, told: mpsc::UnboundedSender<News>) {
    let mut words = Words::new(Paint::stderr(), Paint::stderr(), &[name], false);
    while let Some(event) = reports.next().await {
        // What was asked for and went well needs no word, except where it takes its time.
        let quiet = match &event {
            Event::ActionStarted { action, .. } | Event::ActionDone { action, .. } => {
                !matches!(action, ActionKind::Build | ActionKind::Rebuild | ActionKind::Pull)
            }
            Event::Held { .. } | Event::Settled { .. } | Event::Ready { .. } | Event::Unchanged { .. } => true,
            _ => false,
        };
        if let Some(line) = words.say(&event).filter(|_| !quiet)
            && told.send(News::Say(line)).is_err()
        {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::signals::Ending;

    #[test]
    fn the_exit_code_tells_why_it_ended() {
        let ended = |well, signal| Ended { well, failure: None, signal };
        let term = Some(Ending { name: "SIGTERM", number: 15 });
        let cases = [
            (ended(true, None), true, 0),
            (ended(false, None), true, 1),
            (ended(true, term), true, 143),
            (ended(false, term), true, 143),
            (ended(true, term), false, 1),
            (ended(true, None), false, 1),
            (Ended { failure: Some(Kind::NotFound), ..ended(false, None) }, true, 127),
            (Ended { failure: Some(Kind::NotFound), ..ended(true, None) }, true, 0),
        ];
        for (ended, nothing_left, code) in cases {
            assert_eq!(exit_code(ended, nothing_left), code, "{ended:?} {nothing_left}");
        }
    }
}
