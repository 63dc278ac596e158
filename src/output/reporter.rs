//! The way from whatever happens to whoever shows it: events never block their sender,
//! log lines do (a terminal that stands still must not fill the memory).

use tokio::sync::mpsc;

use super::{Event, History, log::EVENTS};

/// How many log lines wait for a slow terminal before their containers' output is held back.
const LOG_LINES: usize = 1024;

/// A handle for sending; cheap to clone.
#[derive(Debug, Clone)]
pub struct Reporter {
    events: mpsc::UnboundedSender<Event>,
    logs: mpsc::Sender<Event>,
    /// Events are news to the log.
    logged: bool,
    /// Where what happens is kept.
    history: Option<History>,
}

/// The receiving end.
#[derive(Debug)]
pub struct Reports {
    events: mpsc::UnboundedReceiver<Event>,
    logs: mpsc::Receiver<Event>,
}

impl Reporter {
    /// A handle and its receiving end.
    pub fn channel() -> (Self, Reports) {
        let (events, events_end) = mpsc::unbounded_channel();
        let (logs, logs_end) = mpsc::channel(LOG_LINES);
        (Self { events, logs, logged: true, history: None }, Reports { events: events_end, logs: logs_end })
    }

    /// The same, for events that another mcpmon tells: it has logged them.
    pub fn relay() -> (Self, Reports) {
        let (reporter, reports) = Self::channel();
        (Self { logged: false, ..reporter }, reports)
    }

    /// The same handle, which keeps what happens as well.
    #[must_use]
    pub fn keeping(self, history: History) -> Self {
        Self { history: Some(history), ..self }
    }

    /// Reports what happened. A closed receiving end is no error: nobody listens any more.
    pub fn report(&self, event: Event) {
        if self.logged && tracing::enabled!(target: EVENTS, tracing::Level::INFO) {
            let text = serde_json::to_string(&event).unwrap_or_default();
            tracing::info!(target: EVENTS, "{text}");
        }
        let warning = self.history.as_ref().and_then(|history| history.add(&event));
        let _ = self.events.send(event);
        if let Some(message) = warning {
            let _ = self.events.send(Event::Warning { message });
        }
    }

    /// Reports a line that a target printed; waits while the terminal can't take it.
    pub async fn log(&self, target: String, stderr: bool, line: String) {
        let stream = if stderr { "stderr" } else { "stdout" };
        let _ = self.logs.send(Event::Log { target, stream: stream.into(), line }).await;
    }
}

impl Reports {
    /// The next event; what happened goes before log lines. None when every handle is gone.
    pub async fn next(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            Some(event) = self.events.recv() => Some(event),
            Some(line) = self.logs.recv() => Some(line),
            else => None,
        }
    }
}
