//! The handshake with a new server, in the client's name, and the reading of its lists.

use std::time::Instant;

use serde_json::Value;

use super::{
    Output, ServerId, Session,
    from_server::accepted,
    instance::{Instance, Own, Phase},
    reload::Handshake,
};
use crate::proxy::{
    lists::{Kind, Page},
    make::{self, Reason},
    message::{Id, Outcome, Raw, read},
};

impl Session {
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
                        self.abandon(server, &format!("it refused initialize: {}", words(error)), now);
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
                        let other = format!("not {version} ({})", words(error));
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
}

/// What an error says.
fn words(error: Raw<'_>) -> String {
    let message = read::<Value>(Some(error)).and_then(|error| Some(error["message"].as_str()?.to_owned()));
    message.unwrap_or_else(|| "an error without words".into())
}
