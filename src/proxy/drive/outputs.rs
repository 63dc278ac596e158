//! What goes: frames to the client and the servers, orders to those who start and stop servers, lines for people.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use tokio::sync::mpsc;

use super::{
    Drive,
    life::{Life, Order},
    remote::Remote,
};
use crate::{
    output::lines::printable,
    proxy::{
        frame::Frame,
        server::Launcher,
        session::{Input, Notice, Output, ServerId},
    },
};

impl<L: Launcher> Drive<L> {
    pub(super) fn write_to_servers(&mut self, cx: &mut Context<'_>) -> bool {
        self.servers.values_mut().fold(false, |moved, server| server.poll_input(cx) | moved)
    }

    pub(super) fn write_to_client(&mut self, cx: &mut Context<'_>) -> bool {
        let mut moved = false;
        while let Some(output) = self.output.as_ref().filter(|_| !self.to_client.is_empty()) {
            match output.poll_write(cx, self.to_client.front()) {
                Poll::Pending => break,
                Poll::Ready(Ok(written)) => self.to_client.advance(written),
                Poll::Ready(Err(error)) => {
                    // It does not read any more; whether it still sends, its input tells.
                    self.output = None;
                    self.to_client.clear();
                    self.errors.line(&format!("{}: the client does not read any more: {error}", self.name));
                    self.handle(Input::ClientClosed, Instant::now());
                }
            }
            moved = true;
        }
        moved
    }

    pub(super) fn handle(&mut self, input: Input, now: Instant) {
        for output in self.session.handle(input, now) {
            self.carry_out(output, now);
        }
    }

    fn carry_out(&mut self, output: Output, now: Instant) {
        match output {
            Output::ToClient(frame) => self.send(&frame, now),
            Output::Result { method, frame } => {
                let frame = self.extensions.result(method, frame);
                self.send(&frame, now);
            }
            Output::Results { methods, frame } => {
                let frame = self.extensions.batch(&methods, frame);
                self.send(&frame, now);
            }
            Output::Serve { claim, frame } => {
                let answer = self.extensions.serve(claim, &frame);
                self.send(&answer, now);
            }
            Output::ToServer(server, frame) => {
                if let Some(trace) = &mut self.trace {
                    trace.server_gets(server, &frame, now);
                }
                if let Some(remote) = self.servers.get_mut(&server) {
                    remote.queue.push(frame.bytes().clone());
                }
            }
            Output::Noise(server, frame) => self.noise(server, frame.bytes().clone()),
            Output::Prepare { server, rebuild } => self.order(server, Order::Prepare { rebuild }),
            Output::Start { server, how } => self.order(server, Order::Start(how)),
            Output::CloseInput(server) => {
                if let Some(remote) = self.servers.get_mut(&server) {
                    remote.close = true;
                }
            }
            Output::Stop { server, keep } => {
                if let Some(remote) = self.servers.get_mut(&server) {
                    (remote.close, remote.stopping) = (true, true);
                }
                self.order(server, Order::Stop { keep });
            }
            Output::Forget(server) => {
                let launcher = Arc::clone(&self.launcher);
                tokio::spawn(async move { launcher.forget(server).await });
            }
            Output::Notice(notice) => self.notice(&notice),
            Output::Ended { well } => self.well = Some(well),
        }
    }

    fn send(&mut self, frame: &Frame, now: Instant) {
        if let Some(trace) = &mut self.trace {
            trace.client_gets(frame, now);
        }
        if self.output.is_some() {
            self.to_client.push(frame.bytes().clone());
        }
    }

    /// Asks a server for something; one that is not known yet begins its life.
    fn order(&mut self, server: ServerId, order: Order) {
        let remote = self.servers.entry(server).or_insert_with(|| {
            let (orders, receiver) = mpsc::unbounded_channel();
            let life = Life {
                launcher: Arc::clone(&self.launcher),
                server,
                orders: receiver,
                hurry: self.hurry.clone(),
                news: self.tell.clone(),
            };
            tokio::spawn(life.live());
            Remote::new(orders)
        });
        remote.order(order);
    }

    fn notice(&mut self, notice: &Notice) {
        if let Some(taker) = &self.on_notice {
            taker(notice);
        }
        // It may quote what a server or an engine says.
        self.errors.line(&printable(&format!("{}: {notice}", self.name), false));
        let words = notice.last_words_of().and_then(|server| self.servers.get_mut(&server));
        for line in words.map(|remote| remote.words.take()).unwrap_or_default() {
            self.errors.line(&format!("    | {}", printable(&line, false)));
        }
    }
}
