//! What the client sends, and where it goes.

use std::time::Instant;

use super::{
    Notice, Output, ServerId, Session,
    client::{At, Initialize, Listen, Modern, Pending, Purpose},
    instance::Phase,
};
use crate::proxy::{
    edit,
    frame::Frame,
    lists::Kind,
    make::{self, INVALID_REQUEST, PARSE_ERROR, Reason},
    message::{Id, Message, Raw, Request, Response, parse, read},
};

/// A tool call larger than this is not kept for being repeated.
const KEPT_CALL: usize = 16 << 10;

impl Session {
    pub(super) fn client_noise(&mut self, bytes: Option<usize>) {
        self.unreadable(
            PARSE_ERROR,
            match bytes {
                None => "not JSON-RPC (it begins with neither `{` nor `[`)".into(),
                Some(bytes) => format!("not JSON-RPC (it ends after {bytes} bytes, or goes on for too long)"),
            },
        );
    }

    fn unreadable(&mut self, code: i64, reason: String) {
        self.out.push(Output::ToClient(make::unreadable(code, &reason)));
        self.tell(Notice::FromClient { reason });
    }

    pub(super) fn client_sent(&mut self, frame: Frame, now: Instant) {
        let bytes = frame.bytes().clone(); // shared: what is borrowed from it stands in the frame
        match parse(&bytes) {
            Ok(Message::Request(request)) => self.client_request(frame, &request, now),
            Ok(Message::Notification { method, params }) => self.client_notification(frame, &method, params, now),
            Ok(Message::Response(response)) => self.client_response(&frame, &response),
            Ok(Message::Batch(parts)) => self.client_batch(frame, &parts, now),
            Err(error) => {
                let code = if error.0.starts_with("not JSON (") { PARSE_ERROR } else { INVALID_REQUEST };
                self.unreadable(code, error.0);
            }
        }
    }

    fn client_request(&mut self, frame: Frame, request: &Request<'_>, now: Instant) {
        if !self.may_ask(request) {
            return;
        }
        if let Some(claim) = self.claim(request) {
            self.out.push(Output::Serve { claim, frame });
            return;
        }
        let mut pending = self.pending(&frame, request);
        // Nearly always there is one: the request is not looked up again.
        if let Some(server) = self.taker() {
            pending.give(server, &mut self.reload.handshake_by, now + self.options.startup_timeout);
            self.client.requests.insert(request.id.clone(), pending);
            self.out.push(Output::ToServer(server, frame));
            return;
        }
        self.client.requests.insert(request.id.clone(), pending);
        self.route(frame, std::slice::from_ref(&request.id), now);
    }

    /// Requests that go nowhere are answered here.
    fn may_ask(&mut self, request: &Request<'_>) -> bool {
        if self.client.requests.contains_key(&request.id) {
            let reason = format!("a second request with the id {}, which has no answer yet: let go", request.id);
            self.tell(Notice::FromClient { reason });
            return false;
        }
        if self.ending.is_stopping() {
            self.refuse(&request.id, Reason::SessionEnded, "the session ends");
            return false;
        }
        if request.method != "initialize"
            && let Some(text) = self.reload.told_apart.take()
        {
            self.refuse(&request.id, Reason::VersionChanged, &text);
            return false;
        }
        true
    }

    fn claim(&self, request: &Request<'_>) -> Option<usize> {
        self.options.claims.iter().position(|claim| {
            claim.method == request.method
                && read::<serde_json::Map<String, serde_json::Value>>(request.params)
                    .and_then(|params| params.get(claim.field)?.as_str().map(|value| value.starts_with(claim.prefix)))
                    .unwrap_or_default()
        })
    }

    /// What has to be known of a request until its answer comes; and what it tells about the client.
    fn pending(&mut self, frame: &Frame, request: &Request<'_>) -> Pending {
        #[derive(serde::Deserialize)]
        struct Uri {
            uri: String,
        }
        #[derive(serde::Deserialize)]
        struct Page {
            cursor: Option<String>,
        }
        let uri = || read::<Uri>(request.params).map(|params| params.uri);
        let purpose = match &*request.method {
            "initialize" => {
                let id = request.id.clone();
                self.client.initialize =
                    Some(Initialize { frame: frame.clone(), id, accepted: None, initialized: None });
                self.client.log_level = None;
                self.client.subscriptions.clear();
                Purpose::Initialize
            }
            "server/discover" => Purpose::Discover(frame.clone()),
            "logging/setLevel" => Purpose::SetLevel(frame.clone()),
            "resources/subscribe" => uri().map_or(Purpose::Plain, |uri| Purpose::Subscribe(uri, frame.clone())),
            "resources/unsubscribe" => uri().map_or(Purpose::Plain, Purpose::Unsubscribe),
            "subscriptions/listen" => {
                self.client.listens.insert(request.id.clone(), Listen::read(frame, request.params));
                Purpose::Listen
            }
            "tools/call" if frame.len() <= KEPT_CALL => Purpose::Call(frame.clone()),
            method => match Kind::of_method(method) {
                Some(kind) if read::<Page>(request.params).is_none_or(|page| page.cursor.is_none()) => {
                    Purpose::List(kind)
                }
                _ => Purpose::Plain,
            },
        };
        let is_open = self.client.accepted().is_none() && self.client.modern.is_none();
        let asks_in_it = is_open && !matches!(purpose, Purpose::Initialize);
        let modern = if asks_in_it { Modern::read(request.params).map(Box::new) } else { None };
        let looked_at = self.options.results.iter().copied().find(|method| *method == request.method);
        Pending { at: At::Waiting, purpose, looked_at, modern, cancelled: false }
    }

    /// Gives a frame with these requests to the server that takes requests, or holds it.
    pub(super) fn route(&mut self, frame: Frame, requests: &[Id], now: Instant) {
        if let Some(server) = self.taker() {
            self.hand_over(frame, requests, server, now);
        } else if let Some(message) = self.reload.given_up.clone() {
            for id in requests {
                self.client.requests.remove(id);
                self.client.listens.remove(id);
                self.refuse(id, Reason::ServerNotStarted, &message);
            }
        } else if self.waiting.has_room(frame.len()) {
            self.waiting.push(frame, requests.to_vec(), now);
        } else {
            let notifications = usize::from(requests.is_empty());
            for id in requests {
                let message = "the server is away, and no more can be held for it";
                self.client.requests.remove(id);
                self.client.listens.remove(id);
                self.refuse(id, Reason::BufferFull, message);
            }
            let reason = "the buffer is full";
            self.tell(Notice::NotHeld { reason, requests: requests.len(), notifications });
        }
    }

    /// Gives a frame with these requests to that server.
    pub(super) fn hand_over(&mut self, frame: Frame, requests: &[Id], server: ServerId, now: Instant) {
        for id in requests {
            if let Some(pending) = self.client.requests.get_mut(id) {
                pending.give(server, &mut self.reload.handshake_by, now + self.options.startup_timeout);
            }
        }
        self.out.push(Output::ToServer(server, frame));
    }

    /// The server that takes requests.
    fn taker(&self) -> Option<ServerId> {
        let server = self.current?;
        let instance = self.instances.get(&server)?;
        (matches!(instance.phase, Phase::Serving { .. }) && !instance.input_closed).then_some(server)
    }

    fn client_notification(&mut self, frame: Frame, method: &str, params: Option<Raw<'_>>, now: Instant) {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Params {
            request_id: Option<Id>,
            progress_token: Option<Id>,
        }
        let params = || read::<Params>(params);
        match method {
            "notifications/cancelled" => {
                if let Some(id) = params().and_then(|params| params.request_id) {
                    return self.client_cancels(frame, &id, now);
                }
            }
            "notifications/progress" => {
                // About a question of a server's: it goes to the one that asked.
                let token = params().and_then(|params| params.progress_token);
                let asked = self.client.asked.values().find(|asked| token.is_some() && asked.progress == token);
                if let Some(server) = asked.and_then(|asked| asked.by) {
                    self.out.push(Output::ToServer(server, frame));
                    return;
                }
            }
            "notifications/initialized" => {
                if let Some(initialize) = &mut self.client.initialize {
                    initialize.initialized = Some(frame.clone());
                }
                self.also_to_next(&frame);
            }
            "notifications/roots/list_changed" => self.also_to_next(&frame),
            _ => {}
        }
        self.route(frame, &[], now);
    }

    /// A new server that has answered the handshake already has to know as well.
    fn also_to_next(&mut self, frame: &Frame) {
        if let Some(next) = self.next
            && self.instances.get(&next).is_some_and(super::instance::Instance::listens)
        {
            self.out.push(Output::ToServer(next, frame.clone()));
        }
    }

    fn client_cancels(&mut self, frame: Frame, id: &Id, now: Instant) {
        match self.client.requests.get(id).map(|pending| pending.at) {
            // A subscription whose server is gone: nobody has to be told.
            Some(At::Server(server)) if !self.instances.contains_key(&server) => {
                self.client.requests.remove(id);
                self.client.listens.remove(id);
            }
            Some(At::Server(server)) => {
                self.client.cancel(id);
                self.out.push(Output::ToServer(server, frame));
                self.stop_if_drained(server);
            }
            Some(At::Waiting) if self.waiting.cancel(id) => {
                // No server has seen it, and nobody waits for an answer.
                self.client.requests.remove(id);
                self.client.listens.remove(id);
            }
            // Part of a batch that waits: it will be told in turn.
            Some(At::Waiting) => {
                self.client.cancel(id);
                self.waiting.push(frame, Vec::new(), now);
            }
            // It has its answer already, they passed each other; a server knows what to make of it.
            None => {
                if let Some(server) = self.taker() {
                    self.out.push(Output::ToServer(server, frame));
                }
            }
        }
    }

    fn client_response(&mut self, frame: &Frame, response: &Response<'_>) {
        let (Some(id), Some(raw_id)) = (&response.id, response.raw_id) else {
            // It could not read something of the server's.
            if let Some(server) = self.taker() {
                self.out.push(Output::ToServer(server, frame.clone()));
            }
            return;
        };
        let Some(asked) = self.client.asked.remove(id) else {
            self.tell(Notice::FromClient { reason: format!("an answer ({id}) to nothing that it was asked: let go") });
            return;
        };
        match asked.by {
            Some(server) if self.instances.get(&server).is_some_and(|instance| !instance.input_closed) => {
                let frame =
                    asked.original.map_or_else(|| frame.clone(), |original| edit::with_id(frame, raw_id, &original));
                self.out.push(Output::ToServer(server, frame));
            }
            _ => self.tell(Notice::LateAnswer { id: id.clone() }),
        }
    }

    /// A batch of requests goes on as one, to be answered as one. Anything else is taken apart: its parts may have
    /// different ways to go.
    fn client_batch(&mut self, frame: Frame, parts: &[Raw<'_>], now: Instant) {
        let requests: Vec<Request<'_>> = parts
            .iter()
            .filter_map(|part| match parse(part) {
                Ok(Message::Request(request)) => Some(request),
                _ => None,
            })
            .collect();
        let plain = requests.len() == parts.len()
            && self.reload.told_apart.is_none()
            && !self.ending.is_stopping()
            && requests.iter().enumerate().all(|(place, request)| {
                request.method != "initialize"
                    && self.claim(request).is_none()
                    && !self.client.requests.contains_key(&request.id)
                    && requests[..place].iter().all(|other| other.id != request.id)
            });
        if !plain {
            for part in parts {
                self.client_sent(make::alone(part), now);
            }
            return;
        }
        for (request, part) in requests.iter().zip(parts) {
            let pending = self.pending(&make::alone(part), request);
            self.client.requests.insert(request.id.clone(), pending);
        }
        let requests: Vec<Id> = requests.into_iter().map(|request| request.id).collect();
        self.route(frame, &requests, now);
    }

    /// Answers a request that no server will.
    pub(super) fn refuse(&mut self, id: &Id, reason: Reason, message: &str) {
        self.out.push(Output::ToClient(make::unanswered(id, reason, message)));
    }

    pub(super) fn tell(&mut self, notice: Notice) {
        self.out.push(Output::Notice(notice));
    }
}
