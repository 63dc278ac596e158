//! `--verbose`: one line per frame, without what it says, unless the log level is `trace`.

use std::{collections::HashMap, time::Instant};

use crate::proxy::{
    frame::Frame,
    message::{Id, Message, parse},
    session::ServerId,
};

/// Requests whose answers are waited for, at most: one that is never answered must not stay for ever.
const MOST: usize = 1024;

/// Remembers when requests came.
#[derive(Debug, Default)]
pub(super) struct Trace {
    from_client: HashMap<Id, Instant>,
    from_servers: HashMap<(ServerId, Id), Instant>,
}

impl Trace {
    /// None where nobody wants to read it: then it costs nothing.
    pub(super) fn if_wanted() -> Option<Self> {
        tracing::enabled!(tracing::Level::DEBUG).then(Self::default)
    }

    pub(super) fn client_sent(&mut self, frame: &Frame, now: Instant) {
        let what = describe(frame, |kind, id| match kind {
            Kind::Request => note(&mut self.from_client, id, now),
            Kind::Answer => None,
        });
        show("client", "mcpmon", &what, frame);
    }

    pub(super) fn client_gets(&mut self, frame: &Frame, now: Instant) {
        let what = describe(frame, |kind, id| match kind {
            Kind::Request => None,
            Kind::Answer => self.from_client.remove(&id).map(|since| now - since),
        });
        show("mcpmon", "client", &what, frame);
    }

    pub(super) fn server_sent(&mut self, server: ServerId, frame: &Frame, now: Instant) {
        let what = describe(frame, |kind, id| match kind {
            Kind::Request => note(&mut self.from_servers, (server, id), now),
            Kind::Answer => None,
        });
        show(&name(server), "mcpmon", &what, frame);
    }

    pub(super) fn server_gets(&mut self, server: ServerId, frame: &Frame, now: Instant) {
        let what = describe(frame, |kind, id| match kind {
            Kind::Request => None,
            Kind::Answer => self.from_servers.remove(&(server, id)).map(|since| now - since),
        });
        show("mcpmon", &name(server), &what, frame);
    }
}

fn name(server: ServerId) -> String {
    format!("server {}", server.0)
}

enum Kind {
    Request,
    Answer,
}

fn note<K: Eq + std::hash::Hash>(
    requests: &mut HashMap<K, Instant>,
    id: K,
    now: Instant,
) -> Option<std::time::Duration> {
    if requests.len() >= MOST {
        requests.clear();
    }
    requests.insert(id, now);
    None
}

/// Method, id, and, of an answer, the time since its request.
fn describe(frame: &Frame, mut seen: impl FnMut(Kind, Id) -> Option<std::time::Duration>) -> String {
    match parse(frame.bytes()) {
        Ok(Message::Request(request)) => {
            let text = format!("{} {}", request.method, request.id);
            seen(Kind::Request, request.id);
            text
        }
        Ok(Message::Notification { method, .. }) => method.into_owned(),
        Ok(Message::Response(response)) => {
            let Some(id) = response.id else { return "answer to nobody".into() };
            let text = format!("answer {id}");
            match seen(Kind::Answer, id) {
                Some(after) => format!("{text} after {} µs", after.as_micros()),
                None => text,
            }
        }
        Ok(Message::Batch(messages)) => format!("batch of {}", messages.len()),
        Err(reason) => format!("no message: {}", reason.0),
    }
}

fn show(from: &str, to: &str, what: &str, frame: &Frame) {
    tracing::debug!("{from} > {to}: {what}, {} bytes", frame.len());
    tracing::trace!("{}", String::from_utf8_lossy(frame.bytes().trim_ascii_end()));
}
