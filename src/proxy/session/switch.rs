//! One server takes another's place: who gets what from then on, what the client hears of it, and how the old one is
//! drained and stopped.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{
    Notice, Output, ServerId, Session,
    client::{At, Purpose as Asked},
    instance::{Instance, Offers, Phase, Purpose},
    reload::Handshake,
};
use crate::proxy::{
    lists::{Capability, Difference, Kind},
    make::{self, Reason},
    message::Id,
};

/// What a server that stops first has to say what its lists were: once it is gone nobody can.
const LISTS: Duration = Duration::from_secs(1);

impl Session {
    /// The new server takes the requests from here on.
    pub(super) fn switch(&mut self, new: ServerId, now: Instant) {
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

        // What stopped first, or crashed, has left its lists behind.
        let left = self.reload.left.take();
        let before = old.and_then(|old| self.instances.get(&old)).map(Instance::offers).or(left).unwrap_or_default();
        let after = self.instances.get(&new).map(Instance::offers).unwrap_or_default();
        let difference = before.lists.difference(&after.lists);
        self.reopen(new);
        if let Some(old) = old {
            self.requeue_handshake(old, now);
        }
        while let Some(held) = self.waiting.pop() {
            self.hand_over(held.frame, &held.requests, new, now);
        }
        if purpose != Purpose::First {
            self.tell_of_changed_lists(&before, &after, &difference);
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
    fn tell_of_changed_lists(&mut self, before: &Offers, after: &Offers, difference: &Difference) {
        let declares = |offers: &Offers, capability| offers.declared.lists.contains(&capability);
        let knows = |offers: &Offers, capability| {
            Kind::ALL.into_iter().filter(|kind| kind.capability() == capability).all(|kind| offers.lists.knows(kind))
        };
        let changed: Vec<_> = Capability::ALL
            .into_iter()
            .filter(|capability| declares(before, *capability) || declares(after, *capability))
            // What is not known of both may have changed.
            .filter(|capability| {
                difference.touches(*capability) || !knows(before, *capability) || !knows(after, *capability)
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
    pub(super) fn requeue_handshake(&mut self, server: ServerId, now: Instant) {
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
    pub(super) fn drain(&mut self, old: ServerId, keep: bool, now: Instant) {
        let Some(instance) = self.instances.get_mut(&old) else { return };
        instance.keep = keep;
        let tells = instance.tells_its_lists();
        let owes = self.client.owed_by(old) > 0;
        let limit = if tells && !owes { self.options.grace.min(LISTS) } else { self.options.grace };
        instance.phase = Phase::Draining { deadline: now + limit };
        if self.options.error_on_reload || !(owes || tells) {
            self.end_drain(old, now);
        }
    }

    /// Its time is over, or it has answered everything.
    pub(super) fn end_drain(&mut self, old: ServerId, now: Instant) {
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
                self.route(frame, &[id], now);
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
        let drains =
            |instance: &Instance| matches!(instance.phase, Phase::Draining { .. }) && !instance.tells_its_lists();
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

    pub(super) fn pending_at(&self, server: ServerId) -> Vec<Id> {
        let at = |(id, pending): (&Id, &super::client::Pending)| (pending.at == At::Server(server)).then(|| id.clone());
        let mut ids: Vec<_> = self.client.requests.iter().filter_map(at).collect();
        ids.sort();
        ids
    }
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
