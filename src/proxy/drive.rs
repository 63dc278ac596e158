//! The loop of a stdio session: whatever happens goes into [`Session::handle`], and what comes out is done. It decides
//! nothing about frames.
//!
//! # How
//!
//! One task reads and writes everything that frames pass through, without ever waiting for one of them alone: each turn
//! takes what is there and writes what can be written. So a frame goes from the client to a server within one wake-up,
//! many frames go out in one call, and a side that does not read holds nobody up. What takes time (starting and stopping
//! servers, files, signals) lives in tasks of its own, which send [`News`].
//!
//! # Bounds
//!
//! The client is not read while a server has `FULL` bytes waiting, and the servers are not while the client has. What
//! is held for lack of a server is the session's business, and bounded there. So memory is bounded by the largest frame.

mod errors;
pub mod files;
mod last_words;
mod life;
mod queue;
mod remote;
mod trace;

use std::{
    collections::BTreeMap,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{sync::mpsc, time::Sleep};
use tokio_util::sync::CancellationToken;

use self::{
    errors::Errors,
    life::{Life, Order},
    queue::Queue,
    remote::Remote,
    trace::Trace,
};
use super::{
    frame::{Frame, LONGEST, Line, Lines},
    server::{Failed, Launcher, Streams},
    session::{Input, Notice, Output, ServerId, Session},
    stdio::Stdio,
};
use crate::{error::Kind, extension::ExtensionSet, session::signals::Ending};

/// Bytes that wait for one side before the other is not read any more.
const FULL: usize = 1 << 20;
/// Read at a time.
const PIECE: usize = 64 << 10;
/// What the client has to read the last answers, when all is over.
const LAST_WRITES: Duration = Duration::from_secs(1);

/// This process's three streams.
#[derive(Debug)]
pub struct Client {
    /// What it sends.
    pub input: Stdio,
    /// What it reads.
    pub output: Stdio,
    /// What people read.
    pub errors: Stdio,
}

impl Client {
    /// Whoever started this process.
    pub fn of_this_process() -> std::io::Result<Self> {
        Ok(Self { input: Stdio::stdin()?, output: Stdio::stdout()?, errors: Stdio::stderr()? })
    }
}

/// What happens outside of the frames' way.
pub enum News {
    /// All that a server needs before its start is there.
    Prepared(ServerId),
    /// A server runs.
    Started(ServerId, Streams),
    /// A server could not be started.
    StartFailed(ServerId, Failed),
    /// A server has ended; how, in words.
    Ended(ServerId, String),
    /// Watched files changed.
    Changed {
        /// The image is part of what changed.
        rebuild: bool,
    },
    /// A line for people, or several.
    Say(String),
    /// The session is told to end.
    Signal(Ending),
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// As [`Output::Ended`] says.
    pub well: bool,
    /// What the last server that could not be started failed with.
    pub failure: Option<Kind>,
    /// By this signal.
    pub signal: Option<Ending>,
}

/// A session and everything it moves.
pub struct Drive<L> {
    name: String,
    session: Session,
    launcher: Arc<L>,
    extensions: ExtensionSet,
    hurry: CancellationToken,
    trace: Option<Trace>,

    input: Option<Stdio>,
    lines: Lines,
    piece: Box<[u8]>,
    output: Option<Stdio>,
    to_client: Queue,
    closed: CancellationToken,
    errors: Errors,

    servers: BTreeMap<ServerId, Remote>,
    news: mpsc::UnboundedReceiver<News>,
    tell: mpsc::UnboundedSender<News>,

    timer: Pin<Box<Sleep>>,
    timer_at: Option<Instant>,
    well: Option<bool>,
    failure: Option<Kind>,
    signal: Option<Ending>,
}

impl<L: Launcher> Drive<L> {
    /// A session named `name` that has not begun. `hurry`, once cancelled, ends servers at once.
    pub fn new(
        name: String,
        session: Session,
        client: Client,
        launcher: Arc<L>,
        extensions: ExtensionSet,
        hurry: CancellationToken,
    ) -> Self {
        let (tell, news) = mpsc::unbounded_channel();
        Self {
            name,
            session,
            launcher,
            extensions,
            hurry,
            trace: Trace::if_wanted(),
            input: Some(client.input),
            lines: Lines::default(),
            piece: vec![0; PIECE].into_boxed_slice(),
            output: Some(client.output),
            to_client: Queue::default(),
            closed: CancellationToken::new(),
            errors: Errors::new(client.errors),
            servers: BTreeMap::new(),
            news,
            tell,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            timer_at: None,
            well: None,
            failure: None,
            signal: None,
        }
    }

    /// Where to tell what happens outside.
    pub fn teller(&self) -> mpsc::UnboundedSender<News> {
        self.tell.clone()
    }

    /// Cancelled when the client has closed its side.
    pub fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    /// From the first server's start until no server is left, and the client has what is for it.
    pub async fn run(&mut self) -> Ended {
        self.handle(Input::Begin, Instant::now());
        let well = poll_fn(|cx| self.turn(cx)).await;
        self.flush().await;
        self.extensions.end();
        Ended { well, failure: self.failure, signal: self.signal }
    }

    /// Writes a line for people.
    pub fn say(&mut self, line: &str) {
        self.errors.line(line);
    }

    /// Writes what is left to be written, as far as it is read.
    pub async fn flush(&mut self) {
        let deadline = tokio::time::sleep(LAST_WRITES);
        let written = poll_fn(|cx| {
            // What was told last is said, too.
            self.hear(cx, Instant::now());
            while self.write_to_client(cx) || self.errors.poll_write(cx, Instant::now()) {}
            if self.to_client.is_empty() && self.errors.is_empty() { Poll::Ready(()) } else { Poll::Pending }
        });
        tokio::select! {
            () = written => {}
            () = deadline => {}
        }
    }

    /// Does all that can be done without waiting.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        loop {
            let now = Instant::now();
            let mut moved = self.hear(cx, now);
            moved |= self.read_from_client(cx, now);
            moved |= self.write_to_servers(cx);
            moved |= self.read_from_servers(cx, now);
            moved |= self.write_to_client(cx);
            moved |= self.errors.poll_write(cx, now);
            if let Some(well) = self.well {
                return Poll::Ready(well);
            }
            if !moved && !self.is_time(cx) {
                return Poll::Pending;
            }
        }
    }

    /// True when the session's deadline is over, and was told so.
    fn is_time(&mut self, cx: &mut Context<'_>) -> bool {
        let deadline = [self.session.deadline(), self.errors.deadline()].into_iter().flatten().min();
        let Some(deadline) = deadline else {
            self.timer_at = None;
            return false;
        };
        if self.timer_at != Some(deadline) {
            self.timer_at = Some(deadline);
            self.timer.as_mut().reset(deadline.into());
        }
        if self.timer.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.timer_at = None;
        // The timer counts in milliseconds: it may be a moment early.
        self.handle(Input::Tick, Instant::now().max(deadline));
        true
    }

    fn hear(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
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

    fn read_from_client(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut read = false;
        while let Some(input) = &self.input {
            if self.servers.values().any(|server| server.queue.len() >= FULL) {
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
            Line::Noise(bytes) => self.handle(Input::NoiseFromClient(bytes.len()), now),
            Line::Lost(length) => self.handle(Input::NoiseFromClient(length), now),
        }
    }

    fn read_from_servers(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut read = false;
        let mut next = self.servers.keys().next().copied();
        while let Some(server) = next {
            read |= self.read_from_server(server, cx, now);
            next = self
                .servers
                .range((std::ops::Bound::Excluded(server), std::ops::Bound::Unbounded))
                .next()
                .map(|(next, _)| *next);
        }
        read
    }

    fn read_from_server(&mut self, server: ServerId, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut read = false;
        while self.to_client.len() < FULL && !self.errors.is_full(now) {
            let Some(remote) = self.servers.get_mut(&server) else { break };
            match remote.poll_output(cx) {
                Poll::Pending => break,
                Poll::Ready(Some(chunk)) if chunk.stderr => {
                    remote.words.push(&chunk.bytes);
                    self.errors.bytes(chunk.bytes);
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
    fn noise(&mut self, server: ServerId, bytes: bytes::Bytes) {
        if let Some(remote) = self.servers.get_mut(&server) {
            remote.words.push(&bytes);
        }
        self.errors.bytes(bytes);
    }

    fn write_to_servers(&mut self, cx: &mut Context<'_>) -> bool {
        self.servers.values_mut().fold(false, |moved, server| server.poll_input(cx) | moved)
    }

    fn write_to_client(&mut self, cx: &mut Context<'_>) -> bool {
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

    fn handle(&mut self, input: Input, now: Instant) {
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
                    remote.close = true;
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
        self.errors.line(&format!("{}: {notice}", self.name));
        let words = notice.last_words_of().and_then(|server| self.servers.get_mut(&server));
        for line in words.map(|remote| remote.words.take()).unwrap_or_default() {
            self.errors.line(&format!("    | {line}"));
        }
    }
}
