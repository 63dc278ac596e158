//! What a stdio session adds to the history that `mcpmon events` shows. It must not know how the session works.

use uuid::Uuid;

use crate::{
    output::{ActionKind, Event, History, event::millis},
    proxy::{
        drive::Ended,
        session::{Again, Notice},
    },
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

    /// Whether the old server stops before the new one starts.
    pub(super) fn reloads(&mut self, stop_first: bool) {
        self.order = if stop_first { "stop-first" } else { "start-first" };
    }

    /// The session begins; a warning when that can't be kept.
    pub(super) fn begin(&self, name: &str) -> Option<String> {
        self.history.add(&Event::SessionStarted {
            project: self.project.clone(),
            session: self.session.to_string(),
            pid: std::process::id(),
            targets: vec![name.to_owned()],
        })
    }

    /// What of a session's notices is worth being kept, in the words that `up` has for it.
    pub(super) fn notice(&self, name: &str, notice: &Notice) {
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

    /// The session ends.
    pub(super) fn end(&self, ended: &Ended) {
        let cause = match (ended.signal, ended.well) {
            (Some(signal), _) => signal.name,
            (None, true) => "the client left",
            (None, false) => "there was no server any more",
        };
        let _ = self.history.add(&Event::Stopping { cause: cause.to_owned() });
    }
}
