//! How a session ends: the client's end of file, or a signal. Then nothing is left.

use std::time::{Duration, Instant};

use super::{Output, Session, instance::Phase};
use crate::proxy::make::Reason;

/// From the client's end of file to the server's stop signal. The official clients close stdin, wait 2 s, send SIGTERM,
/// wait 2 s, and kill: one second is what a server may take to end by itself, and leaves one for its stop.
const AFTER_CLOSE: Duration = Duration::from_secs(1);

/// How far the end has come.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// The client has closed: servers are stopped by then.
    stop_by: Option<Instant>,
    /// Everything was told to stop.
    stopping: bool,
    /// It was said that all is over.
    over: bool,
}

impl Ending {
    /// The client is gone, or a signal came: nothing is started any more.
    pub(super) fn is_near(&self) -> bool {
        self.stop_by.is_some() || self.stopping
    }

    /// Everything was told to stop.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// When everything is told to stop.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.stopping { None } else { self.stop_by }
    }
}

impl Session {
    /// No more comes from the client: servers get the end of file too, and a moment to end by themselves. One that is
    /// still on its way gets what waits for it first, if it comes in time.
    pub(super) fn client_closed(&mut self, now: Instant) {
        if self.ending.is_near() {
            return;
        }
        self.ending.stop_by = Some(now + AFTER_CLOSE);
        let servers: Vec<_> = self.instances.keys().copied().collect();
        for server in servers {
            let Some(instance) = self.instances.get(&server) else { continue };
            match instance.phase {
                Phase::Serving { .. } | Phase::Draining { .. } => self.close_input(server),
                // A reload that nobody will see.
                _ if self.current.is_some() => self.stop(server, false),
                _ => {}
            }
        }
        self.reload.forget_what_is_due();
        if self.next.is_some_and(|next| self.instances.get(&next).is_none_or(|next| next.phase == Phase::Stopping)) {
            self.next = None;
        }
        if self.instances.is_empty() {
            self.end();
        }
    }

    pub(super) fn close_input(&mut self, server: super::ServerId) {
        if let Some(instance) = self.instances.get_mut(&server)
            && !instance.input_closed
        {
            instance.input_closed = true;
            self.out.push(Output::CloseInput(server));
        }
    }

    /// Everything stops now; what was asked and not answered gets an error.
    pub(super) fn end(&mut self) {
        if self.ending.stopping {
            return;
        }
        self.ending.stopping = true;
        self.reload.forget_what_is_due();
        self.refuse_all();
        let servers: Vec<_> = self.instances.keys().copied().collect();
        for server in servers {
            self.stop(server, false);
        }
        self.current = None;
        self.next = None;
        self.end_if_empty();
    }

    /// All is over once no server is left.
    pub(super) fn end_if_empty(&mut self) {
        if self.ending.is_near() && self.instances.is_empty() && !self.ending.over {
            self.ending.over = true;
            self.ending.stopping = true;
            self.refuse_all();
            if let Some(kept) = self.reload.kept.take() {
                self.out.push(Output::Forget(kept));
            }
            self.out.push(Output::Ended { well: !self.trouble });
        }
    }

    fn refuse_all(&mut self) {
        while self.waiting.pop().is_some() {}
        let mut open: Vec<_> =
            self.client.requests.drain().filter(|(_, pending)| !pending.cancelled).map(|(id, _)| id).collect();
        open.sort();
        self.client.listens.clear();
        for id in open {
            self.refuse(&id, Reason::SessionEnded, "the session ended before the server answered");
        }
    }
}
