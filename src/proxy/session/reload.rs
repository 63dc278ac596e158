//! When a server is started: at the beginning, when files change, when time says so.
//!
//! ```text
//! start-first:  Start -> Started -> handshake -> lists -> switch, drain the old one, stop it
//! stop-first:   Prepare -> Prepared -> drain the old one, stop it -> Exited -> Start -> … -> switch
//! ```
//!
//! [`super::greeting`] is the handshake and the lists, [`super::switch`] the switch and the draining, [`super::loss`] what
//! happens when a server ends or does not come up.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    Notice, Output, ServerId, Session, Start,
    client::Purpose as Asked,
    instance::{Instance, Offers, Own, Phase, Purpose},
};
use crate::{
    model::settings::BackoffSettings,
    proxy::make::{self, Reason},
};

/// How long a new server may be silent when files change again: what it hangs on may just have been mended.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is due.
#[derive(Debug)]
pub(super) struct Reload {
    /// Files changed, and no server that was started since has them.
    pub(super) changed: Option<Changed>,
    /// When a server is started again that has ended by itself.
    pub(super) again_at: Option<Instant>,
    /// How often in a row that has happened.
    pub(super) tries: u32,
    pub(super) backoff: BackoffSettings,
    /// For the next request: a new server speaks another version.
    pub(super) told_apart: Option<String>,
    /// The old server, stopped, until the new one is ready.
    pub(super) kept: Option<ServerId>,
    /// The new server is prepared and waits for the end of that one.
    pub(super) waits_for: Option<ServerId>,
    /// What the old server offered, until the new one is ready.
    pub(super) left: Option<Offers>,
    /// Why no server will come until a file changes.
    pub(super) given_up: Option<String>,
    /// The client's own `initialize` must be answered by then.
    pub(super) handshake_by: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Changed {
    rebuild: bool,
    at: Instant,
}

/// How the client's era is told to a new server.
pub(super) enum Handshake {
    /// The client has said nothing yet.
    None,
    /// `initialize`, replayed.
    Legacy,
    /// `server/discover`.
    Modern,
}

impl Reload {
    pub(super) fn new(backoff: BackoffSettings) -> Self {
        Self {
            changed: None,
            again_at: None,
            tries: 0,
            backoff,
            told_apart: None,
            kept: None,
            waits_for: None,
            left: None,
            given_up: None,
            handshake_by: None,
        }
    }

    /// Nothing will be started any more.
    pub(super) fn forget_what_is_due(&mut self) {
        self.changed = None;
        self.again_at = None;
    }

    /// How long to wait after the `tries`-th end in a row: not at all, then `initial`, doubled each time.
    pub(super) fn wait(&self) -> Duration {
        match self.tries {
            0 | 1 => Duration::ZERO,
            tries => self.backoff.initial.saturating_mul(1 << (tries - 2).min(16)).min(self.backoff.max),
        }
    }
}

impl Session {
    pub(super) fn begin(&mut self, now: Instant) {
        self.start(Purpose::First, Start::Fresh { rebuild: false }, now);
    }

    pub(super) fn files_changed(&mut self, rebuild: bool, now: Instant) {
        if self.ending.is_near() {
            return;
        }
        let changed = self.reload.changed.get_or_insert(Changed { rebuild, at: now });
        changed.rebuild |= rebuild;
        self.reload_if_due(now);
    }

    /// One reload at a time; what changes meanwhile is the next one's.
    pub(super) fn reload_if_due(&mut self, now: Instant) {
        if self.next.is_some() || self.ending.is_near() {
            return;
        }
        let Some(Changed { rebuild, at }) = self.reload.changed.take() else { return };
        self.reload.again_at = None;
        self.reload.tries = 0;
        if rebuild {
            self.tell(Notice::Rebuilding);
        }
        self.start(Purpose::Reload(at), Start::Fresh { rebuild }, now);
        if let Some(current) = self.current
            && !matches!(self.handshake(), Handshake::None)
        {
            self.read_lists(current);
        }
    }

    pub(super) fn start(&mut self, purpose: Purpose, how: Start, now: Instant) {
        self.last_server += 1;
        let server = ServerId(self.last_server);
        self.instances.insert(server, Instance::new(Phase::Preparing, purpose, now));
        self.reload.given_up = None;
        self.next = Some(server);
        match how {
            Start::Fresh { rebuild } if self.options.stop_first && self.current.is_some() => {
                self.out.push(Output::Prepare { server, rebuild });
            }
            how => self.out.push(Output::Start { server, how }),
        }
    }

    pub(super) fn prepared(&mut self, server: ServerId, now: Instant) {
        let Some(instance) = self.instances.get_mut(&server) else { return };
        if instance.phase != Phase::Preparing {
            return;
        }
        let Some(old) = self.current.take() else {
            return self.out.push(Output::Start { server, how: Start::Fresh { rebuild: false } });
        };
        instance.phase = Phase::Prepared;
        self.reload.waits_for = Some(old);
        self.drain(old, true, now);
    }

    pub(super) fn started(&mut self, server: ServerId, now: Instant) {
        let handshake = self.handshake();
        let deadline = now + self.options.startup_timeout;
        let Some(instance) = self.instances.get_mut(&server) else { return };
        if instance.phase != Phase::Preparing {
            return;
        }
        instance.started = Some(now);
        let frame = match (handshake, &self.client.initialize, &self.client.modern) {
            (Handshake::Legacy, Some(initialize), _) => {
                instance.own.insert(initialize.id.clone(), Own::Initialize);
                initialize.frame.clone()
            }
            (Handshake::Modern, _, Some(modern)) => {
                let id = self.numbers.fresh();
                instance.own.insert(id.clone(), Own::Discover);
                make::request(&id, "server/discover", Some(&json!({"_meta": modern.meta})))
            }
            _ => return self.switch(server, now),
        };
        instance.phase = Phase::Handshaking { deadline };
        self.out.push(Output::ToServer(server, frame));
    }

    pub(super) fn handshake(&self) -> Handshake {
        if self.client.accepted().is_some() {
            Handshake::Legacy
        } else if self.client.modern.is_some() {
            Handshake::Modern
        } else {
            Handshake::None
        }
    }

    /// Everything that only time brings about.
    pub(super) fn time_passed(&mut self, now: Instant) {
        if self.ending.deadline().is_some_and(|at| at <= now) {
            return self.end();
        }
        if self.ending.is_stopping() {
            return;
        }
        self.start_again_if_due(now);
        self.look_at_next(now);
        let drained: Vec<_> = self
            .instances
            .iter()
            .filter(|(_, instance)| matches!(instance.phase, Phase::Draining { deadline } if deadline <= now))
            .map(|(server, _)| *server)
            .collect();
        for server in drained {
            self.end_drain(server, now);
        }
        if self.waiting_until().is_some_and(|at| at <= now)
            && let Some(until) = now.checked_sub(self.options.startup_timeout)
        {
            let message = "the server was away for too long";
            self.let_go_waiting(Reason::TooLate, message, "no server in time", Some(until));
        }
        if self.reload.handshake_by.is_some_and(|at| at <= now) {
            self.reload.handshake_by = None;
            let is_initialize = |pending: &super::client::Pending| matches!(pending.purpose, Asked::Initialize);
            let late =
                self.client.requests.iter().find(|(_, pending)| is_initialize(pending)).map(|(id, _)| id.clone());
            if let Some(id) = late {
                self.client.requests.remove(&id);
                self.client.initialize = None;
                self.trouble = true;
                self.refuse(&id, Reason::TooLate, "the server did not answer initialize in time");
                self.tell(Notice::NoHandshake { limit: self.options.startup_timeout });
            }
        }
    }

    /// A new server that does not get ready.
    fn look_at_next(&mut self, now: Instant) {
        let Some(next) = self.next else { return };
        let Some(instance) = self.instances.get(&next) else { return };
        let (Phase::Handshaking { deadline } | Phase::Listing { deadline }) = instance.phase else { return };
        let handshaking = matches!(instance.phase, Phase::Handshaking { .. });
        if deadline <= now {
            let limit = humantime::format_duration(self.options.startup_timeout);
            let what = if handshaking { "the handshake" } else { "the question for its lists" };
            return self.abandon(next, &format!("it did not answer {what} within {limit}"), now);
        }
        let patience = instance.started.map(|started| started + PATIENCE);
        if self.reload.changed.is_some() && patience.is_some_and(|until| until <= now) {
            self.abandon(next, "it does not answer, and files have changed since", now);
        }
    }

    /// When what waits has waited for too long. Images take their time.
    fn waiting_until(&self) -> Option<Instant> {
        let preparing =
            self.next.and_then(|next| self.instances.get(&next)).is_some_and(|next| next.phase == Phase::Preparing);
        if preparing { None } else { Some(self.waiting.since()? + self.options.startup_timeout) }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        if self.ending.is_stopping() {
            return None;
        }
        let next = self.next.and_then(|next| self.instances.get(&next));
        let ready_by = next.and_then(|next| match next.phase {
            Phase::Handshaking { deadline } | Phase::Listing { deadline } => Some(deadline),
            _ => None,
        });
        let patience = next
            .filter(|_| ready_by.is_some() && self.reload.changed.is_some())
            .and_then(|next| Some(next.started? + PATIENCE));
        let drains = self.instances.values().filter_map(|instance| match instance.phase {
            Phase::Draining { deadline } => Some(deadline),
            _ => None,
        });
        let again = self.reload.again_at.filter(|_| self.next.is_none());
        [self.ending.deadline(), again, ready_by, patience, self.waiting_until(), self.reload.handshake_by]
            .into_iter()
            .flatten()
            .chain(drains)
            .min()
    }
}
