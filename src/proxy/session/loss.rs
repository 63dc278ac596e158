//! A server ends, or does not come up: who gets an error for it, and what is started next.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    Notice, OldServer, Output, ServerId, Session, Start, StartFailure,
    client::At,
    instance::{Instance, Phase, Purpose},
    notice::Again,
};
use crate::proxy::{
    Frame,
    make::{self, Reason},
};

/// A server that never answered anything is started so often. Then a file has to change: what is wrong will stay so.
const FIRST_TRIES: u32 = 3;
impl Session {
    pub(super) fn start_failed(&mut self, server: ServerId, failure: &StartFailure, now: Instant) {
        let Some(instance) = self.instances.remove(&server) else { return };
        if self.next == Some(server) {
            if self.ending.is_near() && self.current.is_none() && instance.phase != Phase::Stopping {
                // The client has closed meanwhile: nothing follows any more that would say why there was no server.
                self.tell(Notice::NotStarted { server, reason: failure.reason.clone(), again: Again::Never });
            }
            self.failed(server, instance.purpose, &failure.reason, failure.hopeless, now);
        }
        self.end_if_empty();
    }

    /// The new server did not make it: it is stopped, and the old one goes on.
    pub(super) fn abandon(&mut self, server: ServerId, reason: &str, now: Instant) {
        let Some(purpose) = self.instances.get(&server).map(|instance| instance.purpose) else { return };
        self.stop(server, false);
        if self.next == Some(server) {
            self.failed(server, purpose, reason, false, now);
        }
    }

    pub(super) fn exited(&mut self, server: ServerId, reason: &str, now: Instant) {
        let Some(instance) = self.instances.remove(&server) else { return };
        let asked = self.client.server_gone(server);
        if self.client.accepted().is_some() && !self.ending.is_near() {
            for id in asked {
                let params = json!({"requestId": id, "reason": "the server that asked is gone"});
                self.out.push(Output::ToClient(make::notification("notifications/cancelled", Some(&params))));
            }
        }
        if instance.keep && instance.phase == Phase::Stopping {
            self.reload.kept = Some(server);
        }
        if self.current == Some(server) {
            self.current = None;
            self.reload.left = Some(instance.offers());
            self.crashed(server, &instance, reason, now);
        } else if self.next == Some(server) {
            self.failed(server, instance.purpose, reason, false, now);
        } else if instance.phase == Phase::Stopping {
            self.give_up(server, Reason::ServerReloaded, "the server was reloaded and ended before it answered");
        } else {
            // Replaced, but not told to end yet.
            let message = format!("the server ended before it answered: {reason}");
            self.give_up(server, Reason::ServerExited, &message);
        }
        if self.reload.waits_for == Some(server) {
            self.reload.waits_for = None;
            self.reload.left = Some(instance.offers());
            self.start_prepared(now);
        }
        self.end_if_empty();
    }

    /// The old server has ended: the new one may start. Where that one has gone meanwhile, the old one may again.
    fn start_prepared(&mut self, now: Instant) {
        match self.next.and_then(|next| Some((next, self.instances.get_mut(&next)?))) {
            Some((next, instance)) if instance.phase == Phase::Prepared => {
                instance.phase = Phase::Preparing;
                instance.asked = now;
                self.out.push(Output::Start { server: next, how: Start::Fresh { rebuild: false } });
            }
            Some(_) => {}
            None => {
                if let Some(kept) = self.reload.kept.take().filter(|_| !self.ending.is_near()) {
                    self.start(Purpose::Again, Start::Again(kept), now);
                }
            }
        }
    }

    /// Nobody can tell whose answer a line was that could not be kept: all that the server has get an error. What it
    /// answers after all is let go.
    pub(super) fn too_long(&mut self, server: ServerId, bytes: usize) {
        let message =
            format!("the server sent a line of {bytes} bytes, which is too long and may have been the answer");
        let unanswered = self.give_up(server, Reason::TooLong, &message);
        self.tell(Notice::TooLong { bytes, unanswered });
        self.stop_if_drained(server);
    }

    /// What a server had and will not answer gets an error. Gives how many.
    fn give_up(&mut self, server: ServerId, reason: Reason, message: &str) -> usize {
        let mut failed = 0;
        for id in self.pending_at(server) {
            if self.client.listens.contains_key(&id) {
                continue; // it is opened again on the next server
            }
            if self.client.requests.remove(&id).is_some_and(|pending| !pending.cancelled) {
                failed += 1;
                self.refuse(&id, reason, message);
            }
        }
        failed
    }

    /// The server that took the requests has ended by itself.
    fn crashed(&mut self, server: ServerId, instance: &Instance, reason: &str, now: Instant) {
        if self.ending.is_near() {
            return; // the client is gone: as it should be
        }
        self.requeue_handshake(server, now);
        let message = format!("the server ended before it answered: {reason}");
        let unanswered = self.give_up(server, Reason::ServerExited, &message);
        self.trouble = true;
        if let Phase::Serving { since } = instance.phase
            && now - since >= self.reload.backoff.reset_after
        {
            self.reload.tries = 0;
        }
        if self.next.is_some() {
            // Another one is on its way already.
            let again = Again::In(Duration::ZERO);
            return self.tell(Notice::Crashed { server, reason: reason.to_owned(), unanswered, again });
        }
        let again = self.again(now, false);
        self.tell(Notice::Crashed { server, reason: reason.to_owned(), unanswered, again });
        self.give_up_waiting_unless(again, &message);
        self.start_again_if_due(now);
    }

    /// When a server is started again.
    fn again(&mut self, now: Instant, hopeless: bool) -> Again {
        self.reload.tries += 1;
        if self.reload.changed.is_some() {
            return Again::In(Duration::ZERO);
        }
        if hopeless || (!self.served && self.reload.tries >= FIRST_TRIES) {
            return Again::OnChange;
        }
        let wait = self.reload.wait();
        self.reload.again_at = Some(now + wait);
        Again::In(wait)
    }

    pub(super) fn start_again_if_due(&mut self, now: Instant) {
        self.reload_if_due(now);
        if self.next.is_none() && self.current.is_none() && self.reload.again_at.is_some_and(|at| at <= now) {
            self.reload.again_at = None;
            let purpose = if self.served { Purpose::Restart } else { Purpose::First };
            self.start(purpose, Start::Fresh { rebuild: false }, now);
        }
    }

    /// The server on its way did not come up.
    fn failed(&mut self, server: ServerId, purpose: Purpose, reason: &str, hopeless: bool, now: Instant) {
        self.next = None;
        if self.ending.is_near() {
            self.trouble |= self.current.is_none();
            return;
        }
        let reloads = matches!(purpose, Purpose::Reload(_));
        if self.current.is_some() || self.reload.waits_for.is_some() || self.reload.kept.is_some() {
            let old = match (self.current.is_some(), self.options.comes_back) {
                (true, _) => OldServer::GoesOn,
                (false, true) => OldServer::StartsAgain,
                (false, false) => OldServer::StartsAnew,
            };
            self.tell(Notice::NotReloaded { server, reason: reason.to_owned(), old });
            self.log_to_client(&format!("The server was not reloaded: {reason}"));
            if let Some(kept) = self.reload.kept.take() {
                self.start(Purpose::Again, Start::Again(kept), now);
            }
            return self.reload_if_due(now);
        }
        self.trouble = true;
        if hopeless && purpose == Purpose::First && !self.served {
            self.tell(Notice::NotStarted { server, reason: reason.to_owned(), again: Again::Never });
            self.give_up_waiting_unless(Again::Never, reason);
            return self.end();
        }
        let again = self.again(now, hopeless);
        if reloads {
            self.tell(Notice::NotReloaded { server, reason: reason.to_owned(), old: OldServer::Gone });
        } else {
            self.tell(Notice::NotStarted { server, reason: reason.to_owned(), again });
        }
        self.give_up_waiting_unless(again, reason);
        self.start_again_if_due(now);
    }

    /// No server will come for what waits.
    fn give_up_waiting_unless(&mut self, again: Again, reason: &str) {
        if !matches!(again, Again::In(_)) {
            let until = if again == Again::Never { "" } else { " until a file changes" };
            let message = format!("there is no server{until}: {reason}");
            self.let_go_waiting(Reason::ServerNotStarted, &message, "no server", None);
            self.reload.given_up = Some(message);
        }
    }

    /// What waits (longer than since then) gets an error.
    pub(super) fn let_go_waiting(&mut self, reason: Reason, message: &str, why: &'static str, until: Option<Instant>) {
        let (mut requests, mut notifications) = (0, 0);
        while self.waiting.since().is_some_and(|since| until.is_none_or(|until| since <= until)) {
            let Some(held) = self.waiting.pop() else { break };
            notifications += usize::from(held.requests.is_empty());
            for id in held.requests {
                self.client.listens.remove(&id);
                if self.client.requests.remove(&id).is_some_and(|pending| !pending.cancelled) {
                    requests += 1;
                    self.refuse(&id, reason, message);
                }
            }
        }
        // A subscription whose server is gone waits for the next one too.
        if until.is_none() {
            let gone: Vec<_> = self
                .client
                .listens
                .keys()
                .filter(|id| {
                    self.client.requests.get(id).is_none_or(|pending| match pending.at {
                        At::Server(server) => !self.instances.contains_key(&server),
                        At::Waiting => false,
                    })
                })
                .cloned()
                .collect();
            for id in gone {
                self.client.listens.remove(&id);
                if self.client.requests.remove(&id).is_some() {
                    requests += 1;
                    self.refuse(&id, reason, message);
                }
            }
        }
        if requests + notifications > 0 {
            self.tell(Notice::NotHeld { reason: why, requests, notifications });
        }
    }

    /// Into the client's own log, where the server has one, and the client has not asked for graver things only.
    fn log_to_client(&mut self, text: &str) {
        let wants = self.client.log_level.as_ref().is_none_or(hears_errors);
        if wants && self.client.accepted().is_some_and(|accepted| accepted.capabilities.logging) {
            self.out.push(Output::ToClient(make::log("error", text)));
        }
    }
}

/// Whether errors are grave enough for that `logging/setLevel`.
fn hears_errors(level: &Frame) -> bool {
    #[derive(serde::Deserialize)]
    struct Request {
        params: Params,
    }
    #[derive(serde::Deserialize)]
    struct Params {
        level: String,
    }
    let level = serde_json::from_slice::<Request>(level.bytes()).map(|request| request.params.level);
    !level.is_ok_and(|level| ["critical", "alert", "emergency"].contains(&level.as_str()))
}
