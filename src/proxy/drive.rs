//! The loop of a stdio session: whatever happens goes into [`Session::handle`], and what comes out is done. It decides
//! nothing about frames.
//!
//! | part | what it is for |
//! |---|---|
//! | `inputs`, `outputs` | what comes, and what goes |
//! | `life` | one server from its start to its end, as a task of its own |
//! | `remote` | one server as the loop sees it |
//! | `queue`, `last_words` | bytes that wait to be written; a server's last lines (pure) |
//! | `errors`, `trace` | stderr; `--verbose` |
//! | [`files`] | saved files |
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
//! The client is not read while it or a server has 1 MiB waiting (nor is its end seen: one that is only slow gets all of
//! its answers), and the servers are not while the client has. Only one that was told to stop is, and what it says then is
//! let go, because an engine does not end a container whose output nobody takes. What
//! is held for lack of a server is the session's business, and bounded there. So memory is bounded by the largest frame.

mod awake;
mod errors;
pub mod files;
mod inputs;
mod last_words;
mod life;
mod outputs;
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
    awake::{Awake, Side},
    errors::Errors,
    queue::Queue,
    remote::Remote,
    trace::Trace,
};
use super::{
    frame::Lines,
    server::{Failed, Launcher, Streams},
    session::{Input, Notice, ServerId, Session},
    stdio::Stdio,
};
use crate::{
    error::Kind,
    extension::ExtensionSet,
    session::{resident, signals::Ending},
};

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
    /// As [`Output::Ended`](super::session::Output::Ended) says.
    pub well: bool,
    /// What the last server that could not be started failed with.
    pub failure: Option<Kind>,
    /// By this signal.
    pub signal: Option<Ending>,
}

/// Somebody who hears notices beside the people who read them.
type OnNotice = Box<dyn Fn(&Notice) + Send>;

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
    /// Hears each notice as well.
    on_notice: Option<OnNotice>,

    servers: BTreeMap<ServerId, Remote>,
    news: mpsc::UnboundedReceiver<News>,
    tell: mpsc::UnboundedSender<News>,

    awake: Awake,
    /// What only the start needed is still in memory.
    starting: bool,
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
            on_notice: None,
            servers: BTreeMap::new(),
            news,
            tell,
            awake: Awake::new(),
            starting: true,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            timer_at: None,
            well: None,
            failure: None,
            signal: None,
        }
    }

    /// From now on `taker` hears each notice as well.
    pub fn on_notice(&mut self, taker: impl Fn(&Notice) + Send + 'static) {
        self.on_notice = Some(Box::new(taker));
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
            if moved {
                self.awake.moved(Side::Servers, now);
            }
            if self.read_from_servers(cx, now) | self.write_to_client(cx) {
                self.awake.moved(Side::Client, now);
                moved = true;
            }
            moved |= self.errors.poll_write(cx, now);
            if let Some(well) = self.well {
                return Poll::Ready(well);
            }
            if !moved && !self.is_time(cx) {
                if self.starting && self.session.has_served() {
                    self.starting = false;
                    resident::give_back();
                }
                // Where many calls are under way, or a long line is, others have better use for a core.
                if self.session.is_one_at_a_time() && !self.is_in_the_middle() && self.awake.stays(now) {
                    // What came meanwhile is looked for, by the runtime, without a wait.
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
        }
    }

    /// A line has begun to come and has not ended, or is not written whole.
    fn is_in_the_middle(&self) -> bool {
        let is_at_rest = |server: &Remote| server.lines.is_empty() && server.queue.is_empty();
        !(self.lines.is_empty() && self.to_client.is_empty() && self.servers.values().all(is_at_rest))
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
}
