//! What servers send, and where it goes.

use std::{borrow::Cow, time::Instant};

use serde_json::{Value, value::RawValue};

use super::{
    Notice, Output, ServerId, Session,
    client::{Accepted, Asked, At, Declared, Pending, Purpose},
    instance::{Instance, Phase},
};
use crate::proxy::{
    edit,
    frame::Frame,
    lists::Capability,
    make,
    message::{Id, Message, Outcome, Raw, Request, Response, parse, read},
};

/// A list of the client's that is larger than this is not looked into: that costs a multiple of it for a moment.
const KNOWN_LIST: usize = 1 << 20;

impl Session {
    pub(super) fn server_sent(&mut self, server: ServerId, frame: Frame, now: Instant) {
        let Some(instance) = self.instances.get_mut(&server) else { return };
        let bytes = frame.bytes().clone(); // shared: what is borrowed from it stands in the frame
        let Ok(message) = parse(&bytes) else {
            // Somebody waits for it all the same: what is no UTF-8 in its texts is replaced, as most clients would.
            return match String::from_utf8_lossy(&bytes) {
                Cow::Owned(mended) if parse(mended.as_bytes()).is_ok() => {
                    self.server_sent(server, Frame::new(mended), now);
                }
                _ => self.out.push(Output::Noise(server, frame)),
            };
        };
        match message {
            Message::Response(response) => self.server_response(server, frame, &response, now),
            Message::Batch(parts) => self.server_batch(server, frame, &parts, now),
            _ if !instance.heard => {
                let held: usize = instance.held.iter().map(Frame::len).sum();
                instance.held.push(frame);
                if held > self.options.buffer {
                    self.abandon(server, "it sent more than can be held before it answered the handshake", now);
                }
            }
            Message::Request(request) => self.server_request(server, frame, &request),
            Message::Notification { method, params } => self.server_notification(server, frame, &method, params),
        }
    }

    /// What was held before the handshake is heard now.
    pub(super) fn hear(&mut self, server: ServerId, now: Instant) {
        let Some(instance) = self.instances.get_mut(&server) else { return };
        instance.heard = true;
        for frame in std::mem::take(&mut instance.held) {
            self.server_sent(server, frame, now);
        }
    }

    fn server_request(&mut self, server: ServerId, frame: Frame, request: &Request<'_>) {
        #[derive(serde::Deserialize)]
        struct Params {
            #[serde(rename = "_meta")]
            meta: Meta,
        }
        #[derive(serde::Deserialize)]
        struct Meta {
            #[serde(rename = "progressToken")]
            progress_token: Id,
        }
        if self.instances.get(&server).is_none_or(|instance| instance.phase == Phase::Stopping) {
            return; // nobody will be there to hear the answer
        }
        let progress = read::<Params>(request.params).map(|params| params.meta.progress_token);
        let (id, original, frame) = if self.client.asked.contains_key(&request.id) {
            // The client is still busy with a question of that id, of another server: the answers must not be mixed up.
            let id = self.numbers.fresh();
            let frame = edit::with_id(&frame, request.raw_id, &id);
            (id, Some(request.id.clone()), frame)
        } else {
            (request.id.clone(), None, frame)
        };
        self.client.asked.insert(id, Asked { by: Some(server), original, progress });
        self.out.push(Output::ToClient(frame));
    }

    fn server_notification(&mut self, server: ServerId, frame: Frame, method: &str, params: Option<Raw<'_>>) {
        let frame = match method {
            "notifications/cancelled" => match self.server_cancels(server, frame, params) {
                Some(frame) => frame,
                None => return,
            },
            "notifications/subscriptions/acknowledged" => {
                if self.is_second_acknowledgement(server, params) {
                    return;
                }
                frame
            }
            _ => {
                if let Some(capability) = Capability::of_list_changed(method)
                    && let Some(instance) = self.instances.get_mut(&server)
                {
                    instance.lists.forget(capability);
                }
                frame
            }
        };
        self.out.push(Output::ToClient(frame));
    }

    /// A server takes a question back (legacy), or ends a subscription (modern). None: nothing the client should see.
    fn server_cancels(&mut self, server: ServerId, frame: Frame, params: Option<Raw<'_>>) -> Option<Frame> {
        #[derive(serde::Deserialize)]
        struct Params<'a> {
            #[serde(borrow, rename = "requestId")]
            request_id: &'a RawValue,
        }
        let Some(Params { request_id }) = read(params) else { return Some(frame) };
        let raw_id = request_id.get().as_bytes();
        let Some(id) = read::<Id>(Some(raw_id)) else { return Some(frame) };
        let asked = self
            .client
            .asked
            .iter()
            .find(|(known, asked)| asked.by == Some(server) && *asked.original.as_ref().unwrap_or(known) == id);
        if let Some((known, asked)) = asked {
            // It stays among what was asked: an answer that is on its way already still finds its server.
            return Some(if asked.original.is_some() { edit::with_id(&frame, raw_id, known) } else { frame });
        }
        if self.client.listens.contains_key(&id) {
            let leaves = self.leaves(server);
            if leaves || self.client.requests.get(&id).is_none_or(|pending| pending.at != At::Server(server)) {
                return None; // it is open at the new server, or will be
            }
            self.client.listens.remove(&id);
            self.client.requests.remove(&id);
        }
        Some(frame)
    }

    fn is_second_acknowledgement(&mut self, server: ServerId, params: Option<Raw<'_>>) -> bool {
        #[derive(serde::Deserialize)]
        struct Params {
            #[serde(rename = "_meta")]
            meta: Meta,
        }
        #[derive(serde::Deserialize)]
        struct Meta {
            #[serde(rename = "io.modelcontextprotocol/subscriptionId")]
            subscription: Id,
        }
        let Some(listen) =
            read::<Params>(params).and_then(|params| self.client.listens.get_mut(&params.meta.subscription))
        else {
            return false;
        };
        if listen.again_at == Some(server) {
            listen.again_at = None;
            return true;
        }
        listen.acknowledged = true;
        false
    }

    fn server_response(&mut self, server: ServerId, frame: Frame, response: &Response<'_>, now: Instant) {
        let Some(id) = &response.id else {
            self.out.push(Output::ToClient(frame)); // it could not read something of the client's
            return;
        };
        let Some(instance) = self.instances.get_mut(&server) else { return };
        if let Some(own) = instance.own.remove(id) {
            self.own_answer(server, own, response.outcome, now);
            return;
        }
        let leaves = self.leaves(server);
        if leaves && self.client.listens.contains_key(id) {
            return; // the client's subscription does not end with this server
        }
        let Some(pending) = self.take_pending(id, server) else {
            // A server that was replaced may answer what was given up, or was opened again elsewhere.
            if !leaves {
                self.tell(Notice::UnaskedAnswer { id: id.clone() });
            }
            return;
        };
        let looked_at = pending.looked_at;
        let frame = self.learn(server, id, pending, frame, response.outcome);
        match looked_at {
            Some(method) if matches!(response.outcome, Outcome::Result(_)) => {
                self.out.push(Output::Result { method, frame });
            }
            _ => self.out.push(Output::ToClient(frame)),
        }
        self.stop_if_drained(server);
    }

    /// It was replaced.
    fn leaves(&self, server: ServerId) -> bool {
        let leaves = |instance: &Instance| matches!(instance.phase, Phase::Draining { .. } | Phase::Stopping);
        self.instances.get(&server).is_none_or(leaves)
    }

    /// The request that this server answers.
    fn take_pending(&mut self, id: &Id, server: ServerId) -> Option<Pending> {
        // Nearly always it is this server's: it is looked up once.
        let pending = self.client.requests.remove(id)?;
        if pending.at == At::Server(server) {
            return Some(pending);
        }
        self.client.requests.insert(id.clone(), pending);
        None
    }

    /// Takes from an answer what a later server has to be told, or compared with. Gives the frame for the client.
    fn learn(&mut self, server: ServerId, id: &Id, pending: Pending, frame: Frame, outcome: Outcome<'_>) -> Frame {
        self.served = true;
        self.trouble = false;
        let Outcome::Result(result) = outcome else {
            match pending.purpose {
                Purpose::Initialize => {
                    self.reload.handshake_by = None;
                    self.client.initialize = None;
                }
                Purpose::Listen => drop(self.client.listens.remove(id)),
                _ => {}
            }
            return frame;
        };
        // The version is that of the request that was answered: one before may have been refused for its own.
        if let Some(modern) = pending.modern
            && self.client.modern.is_none()
            && self.client.accepted().is_none()
        {
            self.client.modern = Some(*modern);
        }
        match pending.purpose {
            Purpose::Initialize => {
                self.reload.handshake_by = None;
                let accepted = accepted(result);
                if let Some(instance) = self.instances.get_mut(&server) {
                    instance.declared = accepted.capabilities.clone();
                }
                if let Some(initialize) = &mut self.client.initialize {
                    initialize.accepted = Some(accepted);
                    // A client that has tried the modern era before is of the legacy one now.
                    self.client.modern = None;
                }
                return edit::with_list_changed(&frame, result).unwrap_or(frame);
            }
            Purpose::Discover(_) => {
                if let Some(instance) = self.instances.get_mut(&server) {
                    instance.declared = accepted(result).capabilities;
                }
                return edit::with_list_changed(&frame, result).unwrap_or(frame);
            }
            Purpose::SetLevel(frame) => self.client.log_level = Some(frame),
            Purpose::Subscribe(uri, frame) => {
                self.client.subscriptions.retain(|(other, _)| *other != uri);
                self.client.subscriptions.push((uri, frame));
            }
            Purpose::Unsubscribe(uri) => self.client.subscriptions.retain(|(other, _)| *other != uri),
            Purpose::Listen => drop(self.client.listens.remove(id)),
            Purpose::List(kind) if frame.len() <= KNOWN_LIST => {
                if let Some(instance) = self.instances.get_mut(&server) {
                    instance.lists.told(kind, result);
                }
            }
            Purpose::Plain | Purpose::List(_) | Purpose::Call(_) => {}
        }
        frame
    }

    /// A batch of answers goes on as one where each part would. Anything else is taken apart.
    fn server_batch(&mut self, server: ServerId, frame: Frame, parts: &[Raw<'_>], now: Instant) {
        let messages: Vec<_> = parts.iter().map(|part| parse(part)).collect();
        let plain = messages.iter().enumerate().all(|(place, message)| match message {
            Ok(Message::Response(Response { id: Some(id), .. })) => {
                let pending = self.client.requests.get(id);
                let before = &messages[..place];
                pending.is_some_and(|pending| {
                    pending.at == At::Server(server)
                        && !matches!(pending.purpose, Purpose::Initialize | Purpose::Discover(_))
                }) && !before
                    .iter()
                    .any(|other| matches!(other, Ok(Message::Response(other)) if other.id.as_ref() == Some(id)))
            }
            _ => false,
        });
        if !plain {
            for part in parts {
                self.server_sent(server, make::alone(part), now);
            }
            return;
        }
        let mut looked_at = Vec::new();
        for message in messages {
            if let Ok(Message::Response(Response { id: Some(id), outcome, .. })) = message
                && let Some(pending) = self.take_pending(&id, server)
            {
                looked_at.push(pending.looked_at.filter(|_| matches!(outcome, Outcome::Result(_))));
                // What is learnt is kept; the frame is the whole batch.
                let _ = self.learn(server, &id, pending, frame.clone(), outcome);
            }
        }
        self.out.push(if looked_at.iter().any(Option::is_some) {
            Output::Results { methods: looked_at, frame }
        } else {
            Output::ToClient(frame)
        });
        self.stop_if_drained(server);
    }
}

/// Reads the result of `initialize`, or of `server/discover` (which has no one version).
pub(super) fn accepted(result: Raw<'_>) -> Accepted {
    let result: Value = read(Some(result)).unwrap_or_default();
    Accepted {
        version: result["protocolVersion"].as_str().unwrap_or_default().to_owned(),
        capabilities: Declared::read(&result["capabilities"]),
    }
}
