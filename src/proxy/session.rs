//! The state machine of a stdio session: `(state, input, now) -> outputs`. Pure: time is passed in, bytes come and go as
//! frames, servers are numbers.
//!
//! # What it promises
//!
//! - Each of the client's requests gets exactly one answer: the server's, or an error that says why there is none.
//!   (One that the client has cancelled gets at most one, as the protocol has it.)
//! - Order is kept, in each direction, for each pair of client and server.
//! - A frame that needs no change is handed on as it came. Changed are: the answer to `initialize` and to
//!   `server/discover` (`listChanged` is added, because mcpmon provides it), and a server's request whose id the client is
//!   still busy with for another server (it gets an id of its own for that one question).
//! - A server is heard before its handshake by nobody.
//!
//! # A reload
//!
//! The new server starts beside the old one, is told what the client has told the old one, must answer, has its lists
//! read and compared; then requests go to it, and the old one has a grace period to answer what it has. Where the
//! old one must stop first, requests wait in a bounded buffer.
//!
//! It must not know what a server is made of (container, process), nor do any input or output.

mod client;
mod ending;
mod from_client;
mod from_server;
mod greeting;
mod instance;
mod loss;
mod notice;
mod reload;
mod switch;
#[cfg(test)]
mod tests;
mod version;
mod waiting;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

pub use notice::{Again, Notice, OldServer, Severity};

use self::{client::Client, ending::Ending, instance::Instance, reload::Reload, waiting::Waiting};
use super::{frame::Frame, make::Numbers};
use crate::model::settings::BackoffSettings;

/// One server of a session, in the order of their starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId(pub u32);

/// How a session behaves.
#[derive(Debug, Clone)]
pub struct Options {
    /// Ids of mcpmon's own requests have it in them: another mcpmon may stand in front of this one.
    pub tag: String,
    /// The old server must be gone before the new one starts.
    pub stop_first: bool,
    /// A server that was stopped is the same one when it is started again (a container); else it is made of the files as
    /// they are then (a command).
    pub comes_back: bool,
    /// Requests that a replaced server has not answered get an error at once instead of a grace period.
    pub error_on_reload: bool,
    /// Bytes held for the client while no server can take them.
    pub buffer: usize,
    /// From a server's start to its readiness; and how long a request waits for a server at most.
    pub startup_timeout: Duration,
    /// What a replaced server has to answer what it already has.
    pub grace: Duration,
    /// How a crashing server is started again. The first time is at once.
    pub backoff: BackoffSettings,
    /// Methods whose results are handed out as [`Output::Result`], for an extension to look at.
    pub results: Vec<&'static str>,
    /// Requests that mcpmon answers itself, handed out as [`Output::Serve`].
    pub claims: Vec<Claim>,
}

/// Requests that an extension answers in the server's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// The method.
    pub method: &'static str,
    /// The field of `params` that decides (`uri`, `name`).
    pub field: &'static str,
    /// What it begins with.
    pub prefix: &'static str,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The session begins: the first server is asked for.
    Begin,
    /// The client sent a line.
    FromClient(Frame),
    /// The client sent a line that is no JSON-RPC; or one that is too long or has no end (so many bytes).
    NoiseFromClient(Option<usize>),
    /// The client's end of file.
    ClientClosed,
    /// A server sent a line.
    FromServer(ServerId, Frame),
    /// A server sent a line longer than any frame may be (so many bytes): it was let go.
    TooLong(ServerId, usize),
    /// All that a server needs before its start is there ([`Output::Prepare`]).
    Prepared(ServerId),
    /// A server runs; it can be written to.
    Started(ServerId),
    /// A server could not be prepared or started. What it had begun is undone.
    StartFailed(ServerId, StartFailure),
    /// A server has ended, and all that it printed was handed in. Also where it was asked to.
    Exited(ServerId, String),
    /// Watched files changed. `rebuild`: the image first.
    Changed {
        /// The image is part of what changed.
        rebuild: bool,
    },
    /// The session shall end (a signal).
    End,
    /// Time has passed: what [`Session::deadline`] had named.
    Tick,
}

/// Why a server could not be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFailure {
    /// What happened, for a person.
    pub reason: String,
    /// Another try would end in the same way unless something changes (the command does not exist).
    pub hopeless: bool,
}

/// What is to be done, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// To the client, as it is.
    ToClient(Frame),
    /// To the client; it is the answer to a request of that method, which an extension wants to look at first.
    Result {
        /// The method, one of [`Options::results`].
        method: &'static str,
        /// The answer.
        frame: Frame,
    },
    /// To the client; it is a batch of answers, some of which an extension wants to look at first.
    Results {
        /// For each of them, in their order: the method, where it is one of [`Options::results`].
        methods: Vec<Option<&'static str>>,
        /// The batch.
        frame: Frame,
    },
    /// A request that an extension answers: the claim's place in [`Options::claims`].
    Serve {
        /// Which claim.
        claim: usize,
        /// The request.
        frame: Frame,
    },
    /// To a server.
    ToServer(ServerId, Frame),
    /// To stderr: a line of the server that is no message.
    Noise(ServerId, Frame),
    /// Make all that a server needs before its start (its image, a container), so that the old one need not stop before.
    /// Answered by `Prepared` or `StartFailed`. Asked for only where the old one must stop first.
    Prepare {
        /// Its number.
        server: ServerId,
        /// Build the image first.
        rebuild: bool,
    },
    /// Start a server. Answered by `Started` or `StartFailed`.
    Start {
        /// Its number.
        server: ServerId,
        /// How.
        how: Start,
    },
    /// No more will be written to it: end of file, once what was written is through.
    CloseInput(ServerId),
    /// Stop it: its stop signal, the grace period, kill. Answered by `Exited`; also for one that is only prepared or
    /// about to start, which then is not started.
    Stop {
        /// Which.
        server: ServerId,
        /// It may be asked for again ([`Start::Again`]) until it is forgotten.
        keep: bool,
    },
    /// A stopped server that was kept will not be asked for again.
    Forget(ServerId),
    /// Tell a person.
    Notice(Notice),
    /// All is over.
    Ended {
        /// A server has served, or nobody asked for one.
        well: bool,
    },
}

/// How a server is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A new one; `rebuild`: its image first. One that is prepared already has been built.
    Fresh {
        /// Build the image first.
        rebuild: bool,
    },
    /// One that was stopped and kept, as it was.
    Again(ServerId),
}

/// What came out.
pub type Outputs = Vec<Output>;

/// One client, and the servers it has had.
#[derive(Debug)]
pub struct Session {
    options: Options,
    client: Client,
    instances: BTreeMap<ServerId, Instance>,
    /// Takes the client's requests.
    current: Option<ServerId>,
    /// Is on its way to take them.
    next: Option<ServerId>,
    /// What waits for a server.
    waiting: Waiting,
    reload: Reload,
    ending: Ending,
    numbers: Numbers,
    last_server: u32,
    /// Some server answered something.
    served: bool,
    /// The last server that was started did not stay, and none has answered since.
    trouble: bool,
    out: Outputs,
}

impl Session {
    /// A session that has not begun.
    pub fn new(options: Options) -> Self {
        Self {
            client: Client::default(),
            instances: BTreeMap::new(),
            current: None,
            next: None,
            waiting: Waiting::new(options.buffer),
            reload: Reload::new(options.backoff),
            ending: Ending::default(),
            numbers: Numbers::new(&options.tag),
            last_server: 0,
            served: false,
            trouble: false,
            out: Vec::new(),
            options,
        }
    }

    /// Takes what happened; gives what is to be done, in order.
    #[must_use]
    pub fn handle(&mut self, input: Input, now: Instant) -> Outputs {
        match input {
            Input::Begin => self.begin(now),
            Input::FromClient(frame) => self.client_sent(frame, now),
            Input::NoiseFromClient(bytes) => self.client_noise(bytes),
            Input::ClientClosed => self.client_closed(now),
            Input::FromServer(server, frame) => self.server_sent(server, frame, now),
            Input::TooLong(server, bytes) => self.too_long(server, bytes),
            Input::Prepared(server) => self.prepared(server, now),
            Input::Started(server) => self.started(server, now),
            Input::StartFailed(server, failure) => self.start_failed(server, &failure, now),
            Input::Exited(server, reason) => self.exited(server, &reason, now),
            Input::Changed { rebuild } => self.files_changed(rebuild, now),
            Input::End => self.end(),
            Input::Tick => {}
        }
        self.time_passed(now);
        std::mem::take(&mut self.out)
    }

    /// At most one of the client's requests waits for its answer. (Subscriptions, which stay open, are not counted.)
    #[must_use]
    pub fn is_one_at_a_time(&self) -> bool {
        self.client.requests.len() <= self.client.listens.len() + 1
    }

    /// Whether some server has answered something.
    #[must_use]
    pub fn has_served(&self) -> bool {
        self.served
    }

    /// When [`Input::Tick`] is due, unless something else happens first.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.next_deadline()
    }
}
