//! When a server is started, and how one takes another's place.
//!
//! ```text
//! start-first:  Start -> Started -> handshake -> lists -> switch, drain the old one, stop it
//! stop-first:   Prepare -> Prepared -> drain the old one, stop it -> Exited -> Start -> … -> switch
//! ```

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{
    Notice, OldServer, Output, ServerId, Session, Start, StartFailure,
    client::{At, Purpose as Asked},
    from_server::accepted,
    instance::{Instance, Own, Phase, Purpose},
};
use crate::{
    model::settings::BackoffSettings,
    proxy::{
        lists::{Capability, Difference, Kind, Page},
        make::{self, Reason},
        message::{Id, Outcome, read},
    },
};

/// A server that never answered anything is started so often. Then a file has to change: what is wrong will stay so.
const FIRST_TRIES: u32 = 3;
/// How long a new server may be silent when files change again: what it hangs on may just have been mended.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is due.
#[derive(Debug)]
pub(super) struct Reload {
    /// Files changed, and no server that was started since has them.
    changed: Option<Changed>,
    /// When a server is started again that has ended by itself.
    again_at: Option<Instant>,
    /// How often in a row that has happened.
    tries: u32,
    backoff: BackoffSettings,
    /// For the next request: a new server speaks another version.
    pub(super) told_apart: Option<String>,
    /// The old server, stopped, until the new one is ready.
    pub(super) kept: Option<ServerId>,
    /// The new server is prepared and waits for the end of that one.
    waits_for: Option<ServerId>,
    /// Why no server will come until a file changes.
    pub(super) given_up: Option<String>,
    /// The client's own `initialize` must be answered by then.
    pub(super) handshake_by: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Changed {
    rebuild: bool,
    at: Instant,
}

/// How the client's era is told to a new server.
enum Handshake {
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
    fn wait(&self) -> Duration {
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
    fn reload_if_due(&mut self, now: Instant) {
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

    fn start(&mut self, purpose: Purpose, how: Start, now: Instant) {
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

    fn handshake(&self) -> Handshake {
        if self.client.accepted().is_some() {
            Handshake::Legacy
        } else if self.client.modern.as_ref().is_some_and(|modern| modern.confirmed) {
            Handshake::Modern
        } else {
            Handshake::None
        }
    }

    pub(super) fn own_answer(&mut self, server: ServerId, own: Own, outcome: Outcome<'_>, now: Instant) {
        match own {
            Own::Told => {}
            Own::List(kind) => self.list_answered(server, kind, outcome, now),
            Own::Initialize => {
                let agreed = self.client.accepted().map(|accepted| accepted.version.clone()).unwrap_or_default();
                match outcome {
                    Outcome::Result(result) if accepted(result).version == agreed => {
                        if let Some(instance) = self.instances.get_mut(&server) {
                            instance.declared = accepted(result).capabilities;
                        }
                        self.greeted(server, now);
                    }
                    Outcome::Result(result) => {
                        self.other_version(server, &agreed, &accepted(result).version, now);
                    }
                    Outcome::Error(error) => {
                        self.abandon(server, &format!("it refused initialize: {}", words(error.get())), now);
                    }
                }
            }
            Own::Discover => {
                #[derive(serde::Deserialize)]
                #[serde(rename_all = "camelCase")]
                struct Discovered {
                    #[serde(default)]
                    supported_versions: Vec<String>,
                }
                let version = self.client.modern.as_ref().map(|modern| modern.version.clone()).unwrap_or_default();
                match outcome {
                    Outcome::Result(result) => {
                        let supported =
                            read::<Discovered>(Some(result)).map(|found| found.supported_versions).unwrap_or_default();
                        if !supported.contains(&version) {
                            return self.other_version(server, &version, &supported.join(", "), now);
                        }
                        if let Some(instance) = self.instances.get_mut(&server) {
                            instance.declared = accepted(result).capabilities;
                        }
                        self.greeted(server, now);
                    }
                    Outcome::Error(error) => {
                        let other = format!("not {version} ({})", words(error.get()));
                        self.other_version(server, &version, &other, now);
                    }
                }
            }
        }
    }

    /// The new server speaks another version: the client, whose session has its version, hears of it with its next request.
    fn other_version(&mut self, server: ServerId, agreed: &str, other: &str, now: Instant) {
        let text = format!(
            "the changed server speaks protocol version {other}, this session {agreed}: start a new session to use it"
        );
        if self.current.is_none() {
            self.let_go_waiting(Reason::VersionChanged, &text, "no server of this session's protocol version", None);
        }
        self.reload.told_apart = Some(text);
        self.abandon(server, &format!("it speaks protocol version {other}, the session {agreed}"), now);
    }

    /// The new server has answered: it is told the rest of what the client has told the old one, and heard.
    fn greeted(&mut self, server: ServerId, now: Instant) {
        let Some(instance) = self.instances.get_mut(&server) else { return };
        let Phase::Handshaking { deadline } = instance.phase else { return };
        instance.phase = Phase::Listing { deadline };
        let initialize = self.client.initialize.as_ref().filter(|initialize| initialize.accepted.is_some());
        if let Some(initialized) = initialize.and_then(|initialize| initialize.initialized.clone()) {
            self.out.push(Output::ToServer(server, initialized));
        }
        let told = self.client.log_level.iter().chain(self.client.subscriptions.iter().map(|(_, frame)| frame));
        for frame in told {
            #[derive(serde::Deserialize)]
            struct Told {
                id: Id,
            }
            // Under the client's own ids, which it is done with.
            if let Ok(Told { id }) = serde_json::from_slice(frame.bytes()) {
                instance.own.insert(id, Own::Told);
                self.out.push(Output::ToServer(server, frame.clone()));
            }
        }
        self.hear(server, now);
        self.read_lists(server);
        self.ready_if_read(server, now);
    }

    /// Asks for the lists that a server declares and that are not known.
    fn read_lists(&mut self, server: ServerId) {
        let Some(instance) = self.instances.get(&server) else { return };
        if instance.input_closed || instance.reading > 0 {
            return;
        }
        let declares = |kind: &Kind| instance.declared.lists.contains(&kind.capability());
        let kinds: Vec<_> =
            Kind::ALL.into_iter().filter(declares).filter(|kind| !instance.lists.knows(*kind)).collect();
        for kind in kinds {
            self.ask_for_list(server, kind, None);
        }
    }

    fn ask_for_list(&mut self, server: ServerId, kind: Kind, cursor: Option<&str>) {
        let mut params = serde_json::Map::new();
        if let (Handshake::Modern, Some(modern)) = (self.handshake(), &self.client.modern) {
            params.insert("_meta".into(), modern.meta.clone());
        }
        if let Some(cursor) = cursor {
            params.insert("cursor".into(), cursor.into());
        }
        let params = (!params.is_empty()).then(|| Value::Object(params));
        let id = self.numbers.fresh();
        let Some(instance) = self.instances.get_mut(&server) else { return };
        instance.reading += 1;
        let frame = make::request(&id, kind.method(), params.as_ref());
        instance.own.insert(id, Own::List(kind));
        self.out.push(Output::ToServer(server, frame));
    }

    fn list_answered(&mut self, server: ServerId, kind: Kind, outcome: Outcome<'_>, now: Instant) {
        let Some(instance) = self.instances.get_mut(&server) else { return };
        instance.reading -= 1;
        // An error, or another shape: it declares the list and does not have it. The list stays unknown.
        if let Outcome::Result(result) = outcome
            && let Page::More(cursor) = instance.lists.page(kind, result)
        {
            self.ask_for_list(server, kind, Some(&cursor));
        }
        self.ready_if_read(server, now);
    }

    fn ready_if_read(&mut self, server: ServerId, now: Instant) {
        let is_read = |instance: &Instance| matches!(instance.phase, Phase::Listing { .. }) && instance.reading == 0;
        if self.instances.get(&server).is_some_and(is_read) {
            self.switch(server, now);
        }
    }

    /// The new server takes the requests from here on.
    fn switch(&mut self, new: ServerId, now: Instant) {
        let old = self.current.replace(new);
        self.next = None;
        let Some(instance) = self.instances.get_mut(&new) else { return };
        instance.phase = Phase::Serving { since: now };
        instance.heard = true;
        let (purpose, asked, started) = (instance.purpose, instance.asked, instance.started.unwrap_or(now));
        if let Some(kept) = self.reload.kept.take() {
            self.out.push(Output::Forget(kept));
        }
        if purpose != Purpose::Again {
            self.reload.told_apart = None;
        }

        let difference = old.and_then(|old| {
            let lists = &self.instances.get(&old)?.lists;
            Some(lists.difference(&self.instances.get(&new)?.lists))
        });
        self.reopen(new);
        if let Some(old) = old {
            self.requeue_handshake(old, now);
        }
        while let Some(held) = self.waiting.pop() {
            self.hand_over(held.frame, &held.requests, new, now);
        }
        if purpose != Purpose::First {
            self.tell_of_changed_lists(new, old, difference.as_ref());
        }
        match purpose {
            Purpose::First => {}
            Purpose::Reload(at) => {
                let notice = Notice::Reloaded {
                    total: now - at,
                    start: started - asked,
                    handshake: now - started,
                    drained: old.map_or(0, |old| self.client.owed_by(old)),
                    difference,
                };
                self.tell(notice);
            }
            Purpose::Restart | Purpose::Again => self.tell(Notice::Restarted { total: now - asked }),
        }
        if let Some(old) = old {
            self.drain(old, false, now);
        }
        if self.ending.is_near() {
            self.close_input(new);
        }
        self.reload_if_due(now);
    }

    /// Opens the client's subscriptions (modern) on the new server, under the same ids.
    fn reopen(&mut self, new: ServerId) {
        let mut open: Vec<_> = self.client.listens.keys().cloned().collect();
        open.sort();
        for id in open {
            let (Some(listen), Some(pending)) = (self.client.listens.get_mut(&id), self.client.requests.get_mut(&id))
            else {
                continue;
            };
            if pending.at == At::Waiting {
                continue; // it comes with the rest of what waits
            }
            pending.at = At::Server(new);
            listen.again_at = listen.acknowledged.then_some(new);
            self.out.push(Output::ToServer(new, listen.frame.clone()));
        }
    }

    /// Tells the client which lists changed, as far as it can hear it.
    fn tell_of_changed_lists(&mut self, new: ServerId, old: Option<ServerId>, difference: Option<&Difference>) {
        let knows = |server: Option<ServerId>, capability: Capability| {
            let Some(instance) = server.and_then(|server| self.instances.get(&server)) else { return false };
            Kind::ALL.into_iter().filter(|kind| kind.capability() == capability).all(|kind| instance.lists.knows(kind))
        };
        let changed: Vec<_> = Capability::ALL
            .into_iter()
            .filter(|capability| {
                let touched = difference.is_some_and(|difference| difference.touches(*capability));
                // What is not known of both may have changed.
                touched || !knows(old, *capability) || !knows(Some(new), *capability)
            })
            .collect();
        if let Some(accepted) = self.client.accepted() {
            let heard = changed.into_iter().filter(|capability| accepted.capabilities.lists.contains(capability));
            for capability in heard {
                self.out.push(Output::ToClient(make::notification(capability.list_changed(), None)));
            }
            return;
        }
        let mut open: Vec<_> = self.client.listens.iter().filter(|(_, listen)| listen.acknowledged).collect();
        open.sort_by_key(|(id, _)| *id);
        for (id, listen) in open {
            for capability in changed.iter().filter(|capability| listen.filter.contains(capability)) {
                let params = json!({"_meta": {"io.modelcontextprotocol/subscriptionId": id}});
                self.out.push(Output::ToClient(make::notification(capability.list_changed(), Some(&params))));
            }
        }
    }

    /// Questions that open a session may be asked again: until one is answered, nothing has begun.
    fn requeue_handshake(&mut self, server: ServerId, now: Instant) {
        if !matches!(self.handshake(), Handshake::None) {
            return;
        }
        let mut again = Vec::new();
        for (id, pending) in &mut self.client.requests {
            if pending.at != At::Server(server) || pending.cancelled {
                continue;
            }
            let frame = match (&pending.purpose, &self.client.initialize) {
                (Asked::Initialize, Some(initialize)) => initialize.frame.clone(),
                (Asked::Discover(frame), _) => frame.clone(),
                _ => continue,
            };
            pending.at = At::Waiting;
            again.push((id.clone(), frame));
        }
        self.reload.handshake_by = None;
        for (id, frame) in again {
            self.waiting.push_front(frame, vec![id], now);
        }
    }

    /// Gives the replaced server its time to answer what it has.
    fn drain(&mut self, old: ServerId, keep: bool, now: Instant) {
        let Some(instance) = self.instances.get_mut(&old) else { return };
        instance.keep = keep;
        instance.phase = Phase::Draining { deadline: now + self.options.grace };
        if self.options.error_on_reload || self.client.owed_by(old) == 0 {
            self.end_drain(old, now);
        }
    }

    /// Its time is over, or it has answered everything.
    fn end_drain(&mut self, old: ServerId, now: Instant) {
        let (mut failed, mut repeated) = (0, 0);
        for id in self.pending_at(old) {
            let Some(pending) = self.client.requests.get_mut(&id) else { continue };
            if matches!(pending.purpose, Asked::Listen) {
                // It had no new server yet to be opened on (stop-first): it will have.
                continue;
            }
            if pending.cancelled {
                self.client.requests.remove(&id);
                continue;
            }
            let harmless = |tool: &str| self.instances.get(&old).is_some_and(|old| old.lists.is_harmless(tool));
            if let Asked::Call(frame) = &pending.purpose
                && !self.options.error_on_reload
                && tool(frame).is_some_and(|tool| harmless(&tool))
            {
                let frame = frame.clone();
                pending.purpose = Asked::Plain; // not a third time
                pending.at = At::Waiting;
                repeated += 1;
                self.route(frame, vec![id], now);
                continue;
            }
            self.client.requests.remove(&id);
            failed += 1;
            self.refuse(&id, Reason::ServerReloaded, "the server was reloaded before it answered");
        }
        if failed + repeated > 0 {
            self.tell(Notice::DrainEnded { failed, repeated });
        }
        let keep = self.instances.get(&old).is_some_and(|old| old.keep);
        self.stop(old, keep);
    }

    pub(super) fn stop_if_drained(&mut self, server: ServerId) {
        let drains = |instance: &Instance| matches!(instance.phase, Phase::Draining { .. });
        if self.instances.get(&server).is_some_and(drains) && self.client.owed_by(server) == 0 {
            let keep = self.instances.get(&server).is_some_and(|old| old.keep);
            self.stop(server, keep);
        }
    }

    pub(super) fn stop(&mut self, server: ServerId, keep: bool) {
        if let Some(instance) = self.instances.get_mut(&server)
            && instance.phase != Phase::Stopping
        {
            instance.phase = Phase::Stopping;
            instance.keep = keep;
            self.out.push(Output::Stop { server, keep });
        }
    }

    fn pending_at(&self, server: ServerId) -> Vec<Id> {
        let at = |(id, pending): (&Id, &super::client::Pending)| (pending.at == At::Server(server)).then(|| id.clone());
        let mut ids: Vec<_> = self.client.requests.iter().filter_map(at).collect();
        ids.sort();
        ids
    }

    pub(super) fn start_failed(&mut self, server: ServerId, failure: &StartFailure, now: Instant) {
        let Some(instance) = self.instances.remove(&server) else { return };
        if self.next == Some(server) {
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
            self.crashed(server, &instance, reason, now);
        } else if self.next == Some(server) {
            self.failed(server, instance.purpose, reason, false, now);
        } else {
            self.give_up(server, Reason::ServerReloaded, "the server was reloaded and ended before it answered");
        }
        if self.reload.waits_for == Some(server) {
            self.reload.waits_for = None;
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
            let again_in = Some(Duration::ZERO);
            return self.tell(Notice::Crashed { server, reason: reason.to_owned(), unanswered, again_in });
        }
        let again_in = self.again(now, false);
        self.tell(Notice::Crashed { server, reason: reason.to_owned(), unanswered, again_in });
        self.give_up_waiting_unless(again_in, &message);
        self.start_again_if_due(now);
    }

    /// When a server is started again; none: when a file changes.
    fn again(&mut self, now: Instant, hopeless: bool) -> Option<Duration> {
        self.reload.tries += 1;
        if self.reload.changed.is_some() {
            return Some(Duration::ZERO);
        }
        if hopeless || (!self.served && self.reload.tries >= FIRST_TRIES) {
            return None;
        }
        let wait = self.reload.wait();
        self.reload.again_at = Some(now + wait);
        Some(wait)
    }

    fn start_again_if_due(&mut self, now: Instant) {
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
            let old = if self.current.is_some() { OldServer::GoesOn } else { OldServer::StartsAgain };
            self.tell(Notice::NotReloaded { server, reason: reason.to_owned(), old });
            self.log_to_client(&format!("The server was not reloaded: {reason}"));
            if let Some(kept) = self.reload.kept.take() {
                self.start(Purpose::Again, Start::Again(kept), now);
            }
            return self.reload_if_due(now);
        }
        self.trouble = true;
        if hopeless && purpose == Purpose::First && !self.served {
            self.tell(Notice::NotStarted { server, reason: reason.to_owned(), again_in: None });
            self.give_up_waiting_unless(None, reason);
            return self.end();
        }
        let again_in = self.again(now, hopeless);
        if reloads {
            self.tell(Notice::NotReloaded { server, reason: reason.to_owned(), old: OldServer::Gone });
        } else {
            self.tell(Notice::NotStarted { server, reason: reason.to_owned(), again_in });
        }
        self.give_up_waiting_unless(again_in, reason);
        self.start_again_if_due(now);
    }

    /// No server will come for what waits.
    fn give_up_waiting_unless(&mut self, again_in: Option<Duration>, reason: &str) {
        if again_in.is_none() {
            let message = format!("there is no server until a file changes: {reason}");
            self.let_go_waiting(Reason::ServerNotStarted, &message, "no server", None);
            self.reload.given_up = Some(message);
        }
    }

    /// What waits (longer than since then) gets an error.
    fn let_go_waiting(&mut self, reason: Reason, message: &str, why: &'static str, until: Option<Instant>) {
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

    /// Into the client's own log, where the server has one.
    fn log_to_client(&mut self, text: &str) {
        if self.client.accepted().is_some_and(|accepted| accepted.capabilities.logging) {
            self.out.push(Output::ToClient(make::log("error", text)));
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

/// What an error says.
fn words(error: &str) -> String {
    let message =
        serde_json::from_str::<Value>(error).ok().and_then(|error| Some(error["message"].as_str()?.to_owned()));
    message.unwrap_or_else(|| "an error without words".into())
}

/// The tool that a call names.
fn tool(frame: &crate::proxy::Frame) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Call {
        params: Params,
    }
    #[derive(serde::Deserialize)]
    struct Params {
        name: String,
    }
    serde_json::from_slice::<Call>(frame.bytes()).ok().map(|call| call.params.name)
}
