//! The handshake with a new server, in the client's name, and the reading of its lists.

use std::time::Instant;

use serde_json::Value;

use super::{
    Output, ServerId, Session,
    from_server::accepted,
    instance::{Instance, Own, Phase},
    reload::Handshake,
    version::{is_not_there, supported},
};
use crate::proxy::{
    lists::{Kind, Page},
    make,
    message::{Id, Outcome},
};

impl Session {
    pub(super) fn own_answer(&mut self, server: ServerId, own: Own, outcome: Outcome<'_>, now: Instant) {
        match own {
            Own::Told => {}
            Own::List(kind) => self.list_answered(server, kind, outcome, now),
            Own::Versions => self.versions_told(server, outcome, now),
            Own::Initialize | Own::Discover => {
                let result = match outcome {
                    Outcome::Result(result) => result,
                    Outcome::Error(error) => return self.handshake_refused(server, error, now),
                };
                let accepted = accepted(result);
                let versions = if own == Own::Discover { supported(result) } else { vec![accepted.version] };
                if !versions.contains(&self.version()) {
                    return self.other_version(server, &versions.join(", "), now);
                }
                if let Some(instance) = self.instances.get_mut(&server) {
                    instance.declared = accepted.capabilities;
                }
                self.greeted(server, now);
            }
        }
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
    pub(super) fn read_lists(&mut self, server: ServerId) {
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
        match outcome {
            Outcome::Result(result) => {
                if let Page::More(cursor) = instance.lists.page(kind, result) {
                    self.ask_for_list(server, kind, Some(&cursor));
                }
            }
            // It declares resources, say, and has no templates.
            Outcome::Error(error) if is_not_there(error) => instance.lists.has_none(kind),
            // The list stays unknown.
            Outcome::Error(_) => {}
        }
        self.ready_if_read(server, now);
        self.stop_if_drained(server);
    }

    fn ready_if_read(&mut self, server: ServerId, now: Instant) {
        let is_read = |instance: &Instance| matches!(instance.phase, Phase::Listing { .. }) && instance.reading == 0;
        if self.instances.get(&server).is_some_and(is_read) {
            self.switch(server, now);
        }
    }
}
