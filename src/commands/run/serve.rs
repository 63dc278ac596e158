//! A stdio session from its first byte to its exit code, whatever starts its servers.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::sync::mpsc;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::kept::Kept;
use crate::{
    error::{Error, Kind, Result},
    extension::ExtensionSet,
    output::{
        ActionKind, Event, log,
        reporter::Reports,
        style::{self, Paint},
        words::Words,
    },
    proxy::{
        drive::{Client, Drive, Ended, News},
        server::Launcher,
        session::{Options, Session},
    },
    session::{guard::Guard, signals::Signals},
};

/// What is left for the servers when a client that has closed its side sends a signal as well: the official SDKs kill two
/// seconds later, and then nobody is there to remove anything.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// Stands between this process's client and the launcher's servers until the client leaves or a signal comes; gives the
/// exit code. `kept`: its history. `reports`: what is said meanwhile. `outside` gets the way in for what happens outside
/// (saved files), and is dropped at the end; `before_the_end` is done before the launcher finishes. `guard`: the session's,
/// which ends with it.
#[expect(clippy::too_many_arguments, reason = "each is one part of a session, and there are three callers")]
pub async fn serve<L: Launcher, O: Future<Output = ()> + Send + 'static>(
    name: &str,
    mut kept: Kept,
    mut options: Options,
    launcher: Arc<L>,
    extensions: ExtensionSet,
    reports: Reports,
    outside: impl FnOnce(mpsc::UnboundedSender<News>) -> O,
    before_the_end: impl Future<Output = ()>,
    guard: &Guard,
) -> Result<u8> {
    let failed = |what: &str, error: io::Error| Error::failed(format!("{what} can't be used")).caused_by(error);
    let signals = Signals::new().map_err(|error| failed("signals", error))?;
    let client = Client::of_this_process().map_err(|error| failed("stdin, stdout and stderr", error))?;
    let hurry = CancellationToken::new();
    (options.results, options.claims) = (extensions.results(), extensions.claims());
    kept.reloads(options.stop_first);
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
    // From the first server on somebody ends it, however this process ends.
    guard.ready().await;
    let ended = drive.run().await;
    kept.end(&ended);
    before_the_end.await;
    let finished = launcher.finish(&hurry).await;
    if let Err(error) = &finished {
        drive.say(style::error(error, Paint::stderr()).trim_end());
    }
    if finished.is_ok() {
        guard.end();
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
