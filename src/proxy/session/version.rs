//! A new server that does not speak the session's protocol version: which ones it speaks, and who hears of it. One that
//! refuses the handshake without naming them is asked once more, in the way of the other era.

use std::time::Instant;

use serde::Deserialize;
use serde_json::json;

use super::{
    Output, ServerId, Session,
    instance::{Own, Phase},
    reload::Handshake,
};
use crate::proxy::{
    make::{self, INVALID_REQUEST, Reason},
    message::{Outcome, Raw, read},
};

/// JSON-RPC's code for a method that is not there.
const NOT_THERE: i64 = -32601;
/// And for params that do not fit: what some servers say of any request that they do not know.
const UNFIT: i64 = -32602;
/// `UnsupportedProtocolVersionError` of 2026-07-28.
const UNSUPPORTED_VERSION: i64 = -32022;
/// What a server of the other era is asked with: any version of that era will do, its answer names its own.
const OF_LEGACY: &str = "2025-11-25";
const OF_MODERN: &str = "2026-07-28";

/// An error, as far as it matters here.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    code: i64,
    message: Option<String>,
    data: Option<Versions>,
}

/// The versions that a server names: all that it supports, or the one that it has chosen.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Versions {
    #[serde(alias = "supported")]
    supported_versions: Vec<String>,
    protocol_version: Option<String>,
}

impl Versions {
    fn words(self) -> Option<String> {
        let all: Vec<String> = self.supported_versions.into_iter().chain(self.protocol_version).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

impl Session {
    /// The handshake was answered with an error.
    pub(super) fn handshake_refused(&mut self, server: ServerId, error: Raw<'_>, now: Instant) {
        let refusal: Refusal = read(Some(error)).unwrap_or_default();
        if let Some(versions) = refusal.data.and_then(Versions::words) {
            return self.other_version(server, &versions, now);
        }
        let handshake = self.handshake();
        let method = if matches!(handshake, Handshake::Modern) { "server/discover" } else { "initialize" };
        let message = refusal.message.unwrap_or_else(|| "an error without words".into());
        let refused = format!("it refused {method}: {message}");
        // A server of the legacy era may say anything to a question that it does not know.
        let may_be_of_the_other_era = matches!(handshake, Handshake::Modern)
            || [NOT_THERE, UNFIT, INVALID_REQUEST, UNSUPPORTED_VERSION].contains(&refusal.code);
        if !may_be_of_the_other_era {
            return self.abandon(server, &refused, now);
        }
        let id = self.numbers.fresh();
        let Some(instance) = self.instances.get_mut(&server) else { return };
        if !matches!(instance.phase, Phase::Handshaking { .. }) {
            return;
        }
        let about = json!({"name": "mcpmon", "version": env!("CARGO_PKG_VERSION")});
        let (method, params) = if matches!(handshake, Handshake::Modern) {
            ("initialize", json!({"protocolVersion": OF_LEGACY, "capabilities": {}, "clientInfo": about}))
        } else {
            let meta = json!({
                "io.modelcontextprotocol/protocolVersion": OF_MODERN,
                "io.modelcontextprotocol/clientInfo": about,
                "io.modelcontextprotocol/clientCapabilities": {},
            });
            ("server/discover", json!({ "_meta": meta }))
        };
        instance.refused = Some(refused);
        instance.own.insert(id.clone(), Own::Versions);
        self.out.push(Output::ToServer(server, make::request(&id, method, Some(&params))));
    }

    /// The other era's answer of a server that has refused the handshake.
    pub(super) fn versions_told(&mut self, server: ServerId, outcome: Outcome<'_>, now: Instant) {
        let versions = match outcome {
            Outcome::Result(result) => read::<Versions>(Some(result)),
            Outcome::Error(error) => read::<Refusal>(Some(error)).and_then(|refusal| refusal.data),
        };
        if let Some(versions) = versions.and_then(Versions::words) {
            return self.other_version(server, &versions, now);
        }
        let refused = self.instances.get_mut(&server).and_then(|instance| instance.refused.take());
        self.abandon(server, &refused.unwrap_or_else(|| "it refused the handshake".into()), now);
    }

    /// The new server speaks another version: the client, whose session has its version, hears of it with its next request.
    pub(super) fn other_version(&mut self, server: ServerId, other: &str, now: Instant) {
        let agreed = self.version();
        let text = format!(
            "the changed server speaks protocol version {other}, this session {agreed}: start a new session to use it"
        );
        if self.current.is_none() {
            self.let_go_waiting(Reason::VersionChanged, &text, "no server of this session's protocol version", None);
        }
        self.reload.told_apart = Some(text);
        self.abandon(server, &format!("it speaks protocol version {other}, the session {agreed}"), now);
    }

    /// The version that the client and its servers agreed on.
    pub(super) fn version(&self) -> String {
        let legacy = self.client.accepted().map(|accepted| &accepted.version);
        legacy.or(self.client.modern.as_ref().map(|modern| &modern.version)).cloned().unwrap_or_default()
    }
}

/// The versions that a `server/discover` result names.
pub(super) fn supported(result: Raw<'_>) -> Vec<String> {
    read::<Versions>(Some(result)).unwrap_or_default().supported_versions
}

/// It has no such method.
pub(super) fn is_not_there(error: Raw<'_>) -> bool {
    read::<Refusal>(Some(error)).is_some_and(|refusal| refusal.code == NOT_THERE)
}
