//! What comes: news, what the client sends, what servers print. Each piece goes into the session as it is read.

use std::{
    ops::Bound,
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;

use super::{Drive, FULL, News};
use crate::proxy::{
    frame::{LONGEST, Line, Lines},
    server::{Failed, Launcher},
    session::{Input, ServerId},
};

impl<L: Launcher> Drive<L> {
    pub(super) fn hear(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut heard = false;
        while let Poll::Ready(Some(news)) = self.news.poll_recv(cx) {
            heard = true;
            match news {
                News::Prepared(server) => self.handle(Input::Prepared(server), now),
                News::Started(server, streams) => {
                    if let Some(remote) = self.servers.get_mut(&server) {
                        remote.attach(streams);
                    }
                    self.handle(Input::Started(server), now);
                }
                News::StartFailed(server, Failed { failure, log, kind }) => {
                    self.failure = Some(kind);
                    if let Some(remote) = self.servers.get_mut(&server) {
                        for line in log {
                            remote.words.push(format!("{line}\n").as_bytes());
                        }
                    }
                    self.handle(Input::StartFailed(server, failure), now);
                    self.servers.remove(&server);
                }
                News::Ended(server, reason) => {
                    if let Some(remote) = self.servers.get_mut(&server) {
                        remote.ended(reason);
                    }
                }
                News::Changed { rebuild } => self.handle(Input::Changed { rebuild }, now),
                News::Say(line) => self.errors.line(&line),
                News::Signal(ending) => {
                    self.signal.get_or_insert(ending);
                    self.handle(Input::End, now);
                }
            }
        }
        heard
    }

    pub(super) fn read_from_client(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut read = false;
        while let Some(input) = &self.input {
            // Refusals go to the client without a server, so its own side counts too.
            if self.to_client.len() >= FULL || self.servers.values().any(|server| server.queue.len() >= FULL) {
                break;
            }
            match input.poll_read(cx, &mut self.piece) {
                Poll::Pending => break,
                Poll::Ready(Ok(length @ 1..)) => {
                    self.lines.push(&self.piece[..length]);
                    while let Some(line) = self.lines.next() {
                        self.client_line(line, now);
                    }
                }
                Poll::Ready(ended) => {
                    if let Err(error) = ended {
                        self.errors.line(&format!("{}: the client's input can't be read: {error}", self.name));
                    }
                    self.input = None;
                    self.closed.cancel();
                    while let Some(line) = self.lines.finish() {
                        self.client_line(line, now);
                    }
                    self.handle(Input::ClientClosed, now);
                }
            }
            read = true;
            // Each piece goes on at once: the first frames do not wait for the last ones.
            self.write_to_servers(cx);
        }
        read
    }

    fn client_line(&mut self, line: Line, now: Instant) {
        match line {
            Line::Frame(frame) => {
                if let Some(trace) = &mut self.trace {
                    trace.client_sent(&frame, now);
                }
                self.handle(Input::FromClient(frame), now);
            }
            // It comes in pieces, and is told of once.
            Line::Noise(bytes) if bytes.ends_with(b"\n") => self.handle(Input::NoiseFromClient(None), now),
            Line::Noise(_) => {}
            Line::Lost(length) => self.handle(Input::NoiseFromClient(Some(length)), now),
        }
    }

    pub(super) fn read_from_servers(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut read = false;
        let mut next = self.servers.keys().next().copied();
        while let Some(server) = next {
            read |= self.read_from_server(server, cx, now);
            next = self.servers.range((Bound::Excluded(server), Bound::Unbounded)).next().map(|(next, _)| *next);
        }
        read
    }

    fn read_from_server(&mut self, server: ServerId, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut read = false;
        while !self.errors.is_full(now) {
            let full = self.to_client.len() >= FULL;
            let Some(remote) = self.servers.get_mut(&server) else { break };
            // An engine does not end a container whose output nobody takes.
            if full && !remote.stopping {
                break;
            }
            match remote.poll_output(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(chunk)) if !chunk.stderr && (full || remote.unheard) => {
                    // Nobody waits for it any more, or gets an error instead. What follows is no whole line.
                    remote.unheard = true;
                    remote.lines = Lines::default();
                }
                Poll::Ready(Some(chunk)) if chunk.stderr => {
                    remote.words.push(&chunk.bytes);
                    // A copy: what waits to be read must not hold more memory than it is long.
                    self.errors.bytes(Bytes::copy_from_slice(&chunk.bytes));
                }
                Poll::Ready(Some(chunk)) => {
                    remote.lines.push(&chunk.bytes);
                    drop(chunk);
                    while let Some(line) = self.servers.get_mut(&server).and_then(|remote| remote.lines.next()) {
                        self.server_line(server, line, now);
                    }
                }
                Poll::Ready(None) => {
                    while let Some(line) = self.servers.get_mut(&server).and_then(|remote| remote.lines.finish()) {
                        self.server_line(server, line, now);
                    }
                }
            }
            read = true;
            self.write_to_client(cx);
        }
        // Only when all that it printed was handed in.
        if let Some(reason) = self.servers.get_mut(&server).and_then(|remote| remote.poll_end(cx)) {
            self.handle(Input::Exited(server, reason), now);
            self.servers.remove(&server);
            read = true;
        }
        read
    }

    fn server_line(&mut self, server: ServerId, line: Line, now: Instant) {
        match line {
            Line::Frame(frame) => {
                if let Some(trace) = &mut self.trace {
                    trace.server_sent(server, &frame, now);
                }
                self.handle(Input::FromServer(server, frame), now);
            }
            Line::Noise(bytes) => self.noise(server, bytes),
            Line::Lost(length) if length > LONGEST => self.handle(Input::TooLong(server, length), now),
            Line::Lost(length) => {
                let line =
                    format!("{}: {length} bytes of the server's output were let go: no whole message", self.name);
                self.errors.line(&line);
            }
        }
    }

    /// What a server prints on stdout and is no message.
    pub(super) fn noise(&mut self, server: ServerId, bytes: Bytes) {
        if let Some(remote) = self.servers.get_mut(&server) {
            remote.words.push(&bytes);
        }
        self.errors.bytes(bytes);
    }
}
