//! What is known of the client: what it has asked and not got, what it was asked, and what a new server has to be told.

use std::{collections::VecDeque, time::Instant};

use serde_json::{Map, Value};

use super::ServerId;
use crate::proxy::{
    frame::Frame,
    lists::{Capability, Kind},
    message::{ById, Id, Raw, read},
};

/// How many cancelled requests and questions of servers that are gone are remembered: an answer to them may still come.
const REMEMBERED: usize = 1000;

/// The client.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// What it has asked and not got an answer to.
    pub(super) requests: ById<Pending>,
    /// Those of them that it has cancelled, oldest first.
    cancelled: VecDeque<Id>,
    /// What servers have asked it, by the id that it knows.
    pub(super) asked: ById<Asked>,
    /// Those of them whose server is gone, oldest first.
    gone: VecDeque<Id>,
    /// The legacy era's handshake.
    pub(super) initialize: Option<Initialize>,
    /// The modern era's `_meta`, as far as it describes the client, once a server has answered in that era.
    pub(super) modern: Option<Modern>,
    /// `logging/setLevel`, as it was accepted last.
    pub(super) log_level: Option<Frame>,
    /// `resources/subscribe`, by URI, in the order they were accepted.
    pub(super) subscriptions: Vec<(String, Frame)>,
    /// `subscriptions/listen` requests that are open.
    pub(super) listens: ById<Listen>,
}

/// A request without an answer.
#[derive(Debug)]
pub(super) struct Pending {
    /// Who has it.
    pub(super) at: At,
    /// What is done besides when the answer comes.
    pub(super) purpose: Purpose,
    /// The method, where an extension looks at its results.
    pub(super) looked_at: Option<&'static str>,
    /// It is of the modern era, and no server has answered in it yet: a result proves that this one is too.
    pub(super) modern: Option<Box<Modern>>,
    /// The client does not want the answer any more.
    pub(super) cancelled: bool,
}

impl Pending {
    /// A server gets it. The handshake has an answer by `by`, or none.
    pub(super) fn give(&mut self, server: ServerId, handshake_by: &mut Option<Instant>, by: Instant) {
        self.at = At::Server(server);
        if matches!(self.purpose, Purpose::Initialize) {
            *handshake_by = Some(by);
        }
    }
}

/// Who has a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// Nobody yet.
    Waiting,
    /// A server.
    Server(ServerId),
}

/// What an answer means besides.
#[derive(Debug)]
pub(super) enum Purpose {
    /// Nothing.
    Plain,
    /// The handshake.
    Initialize,
    /// What the server can do (modern).
    Discover(Frame),
    /// A new server has to be told the same.
    SetLevel(Frame),
    /// A new server has to be told the same.
    Subscribe(String, Frame),
    /// A new server need not be told.
    Unsubscribe(String),
    /// It stays open.
    Listen,
    /// The beginning of a list: what a later server's is compared with.
    List(Kind),
    /// A tool call, kept so that it can be repeated where that does no harm.
    Call(Frame),
}

/// What a server has asked the client.
#[derive(Debug)]
pub(super) struct Asked {
    /// Who asked; none: it is gone.
    pub(super) by: Option<ServerId>,
    /// The id that the server gave it, where it is another than the client knows.
    pub(super) original: Option<Id>,
    /// The token by which the client reports progress.
    pub(super) progress: Option<Id>,
}

/// The legacy handshake.
#[derive(Debug)]
pub(super) struct Initialize {
    /// The client's request.
    pub(super) frame: Frame,
    /// Its id.
    pub(super) id: Id,
    /// What the server answered, once it has.
    pub(super) accepted: Option<Accepted>,
    /// The client's `notifications/initialized`, once it came.
    pub(super) initialized: Option<Frame>,
}

/// What was agreed on.
#[derive(Debug, Clone)]
pub(super) struct Accepted {
    /// The protocol's version.
    pub(super) version: String,
    /// What the server declared.
    pub(super) capabilities: Declared,
}

/// What a server declares, as far as it matters here.
#[derive(Debug, Clone, Default)]
pub(super) struct Declared {
    /// Lists.
    pub(super) lists: Vec<Capability>,
    /// It may write into the client's log.
    pub(super) logging: bool,
}

impl Declared {
    /// Reads `capabilities`.
    pub(super) fn read(capabilities: &Value) -> Self {
        let has = |name: &str| capabilities.get(name).is_some_and(Value::is_object);
        let lists = Capability::ALL.into_iter().filter(|capability| has(capability.as_str())).collect();
        Self { lists, logging: has("logging") }
    }
}

/// The modern era's client.
#[derive(Debug)]
pub(super) struct Modern {
    /// The version that its requests name.
    pub(super) version: String,
    /// `_meta` of a request of mcpmon's own in its name.
    pub(super) meta: Value,
}

impl Modern {
    /// Reads it from a request's params; none where they are not of the modern era.
    pub(super) fn read(params: Option<Raw<'_>>) -> Option<Self> {
        const PREFIX: &str = "io.modelcontextprotocol/";
        #[derive(serde::Deserialize)]
        struct Params {
            #[serde(rename = "_meta")]
            meta: Map<String, Value>,
        }
        // Most params are small; those that are not are looked through once, because what is answered is kept.
        let Params { meta } = read(params)?;
        let version = meta.get("io.modelcontextprotocol/protocolVersion")?.as_str()?.to_owned();
        let about_the_client =
            ["protocolVersion", "clientInfo", "clientCapabilities"].map(|name| format!("{PREFIX}{name}"));
        let meta: Map<String, Value> = meta.into_iter().filter(|(name, _)| about_the_client.contains(name)).collect();
        Some(Self { version, meta: Value::Object(meta) })
    }
}

/// An open `subscriptions/listen`.
#[derive(Debug)]
pub(super) struct Listen {
    /// The request.
    pub(super) frame: Frame,
    /// What it asks for: the true ones of its `notifications`.
    pub(super) filter: Vec<Capability>,
    /// The server whose acknowledgement the client must not see: it has seen one.
    pub(super) again_at: Option<ServerId>,
    /// The client has seen one.
    pub(super) acknowledged: bool,
}

impl Listen {
    /// Reads the request.
    pub(super) fn read(frame: &Frame, params: Option<Raw<'_>>) -> Self {
        #[derive(serde::Deserialize)]
        struct Params {
            notifications: Map<String, Value>,
        }
        let asked = read::<Params>(params).map(|params| params.notifications).unwrap_or_default();
        let wants = |capability: &Capability| asked.get(capability.filter()) == Some(&Value::Bool(true));
        let filter = Capability::ALL.into_iter().filter(wants).collect();
        Self { frame: frame.clone(), filter, again_at: None, acknowledged: false }
    }
}

impl Client {
    /// The legacy handshake, where it was accepted.
    pub(super) fn accepted(&self) -> Option<&Accepted> {
        self.initialize.as_ref()?.accepted.as_ref()
    }

    /// Requests that this server still has to answer. Those that stay open, and those that nobody wants any more,
    /// are no reason to wait.
    pub(super) fn owed_by(&self, server: ServerId) -> usize {
        let owed = |pending: &&Pending| {
            pending.at == At::Server(server) && !pending.cancelled && !matches!(pending.purpose, Purpose::Listen)
        };
        self.requests.values().filter(owed).count()
    }

    /// The client has cancelled a request.
    pub(super) fn cancel(&mut self, id: &Id) {
        if let Some(pending) = self.requests.get_mut(id)
            && !pending.cancelled
        {
            pending.cancelled = true;
            self.cancelled.push_back(id.clone());
        }
        self.listens.remove(id);
        while self.cancelled.len() > REMEMBERED {
            if let Some(id) = self.cancelled.pop_front()
                && self.requests.get(&id).is_some_and(|pending| pending.cancelled)
            {
                self.requests.remove(&id);
            }
        }
    }

    /// A server is gone: nobody waits for the client's answers to its questions. Gives the ids that the client knows.
    pub(super) fn server_gone(&mut self, server: ServerId) -> Vec<Id> {
        let mut open = Vec::new();
        for (id, asked) in &mut self.asked {
            if asked.by == Some(server) {
                asked.by = None;
                open.push(id.clone());
            }
        }
        open.sort();
        self.gone.extend(open.iter().cloned());
        while self.gone.len() > REMEMBERED {
            if let Some(id) = self.gone.pop_front()
                && self.asked.get(&id).is_some_and(|asked| asked.by.is_none())
            {
                self.asked.remove(&id);
            }
        }
        open
    }
}
