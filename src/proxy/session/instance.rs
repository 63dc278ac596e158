//! One server as the session sees it.

use std::time::Instant;

use super::client::Declared;
use crate::proxy::{
    frame::Frame,
    lists::{Kind, Lists},
    message::ById,
};

/// A server that was asked for and has not ended.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) phase: Phase,
    pub(super) purpose: Purpose,
    /// mcpmon's own requests that it has not answered.
    pub(super) own: ById<Own>,
    pub(super) lists: Lists,
    /// Lists of it that are being read.
    pub(super) reading: usize,
    /// What it sends is for the client: its handshake is done.
    pub(super) heard: bool,
    /// What it sent before that.
    pub(super) held: Vec<Frame>,
    /// What it declared.
    pub(super) declared: Declared,
    /// When it was asked for.
    pub(super) asked: Instant,
    /// When it ran.
    pub(super) started: Option<Instant>,
    /// It was told that no more will come.
    pub(super) input_closed: bool,
    /// How it refused the handshake.
    pub(super) refused: Option<String>,
    /// Stop it, but keep it: it may be asked for again.
    pub(super) keep: bool,
}

/// What a server offers its client.
#[derive(Debug, Clone, Default)]
pub(super) struct Offers {
    pub(super) declared: Declared,
    pub(super) lists: Lists,
}

/// What it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    /// There was none before.
    First,
    /// Files changed, at that time.
    Reload(Instant),
    /// The one before ended by itself.
    Restart,
    /// The new one did not come up: this is the old one again.
    Again,
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its image, its container, its start: what takes its time and is no fault of the server's.
    Preparing,
    /// Prepared; the old one must end first.
    Prepared,
    /// It runs, and has not answered the handshake.
    Handshaking {
        /// Must be ready by then.
        deadline: Instant,
    },
    /// It answered; its lists are being read.
    Listing {
        /// Must be ready by then.
        deadline: Instant,
    },
    /// It takes requests.
    Serving {
        /// Since when.
        since: Instant,
    },
    /// It was replaced, and answers what it has.
    Draining {
        /// Must have answered by then.
        deadline: Instant,
    },
    /// It was told to stop.
    Stopping,
}

/// What an own request was for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Own {
    /// `initialize`, replayed.
    Initialize,
    /// `server/discover`.
    Discover,
    /// The handshake of the other era, for the versions that a server speaks which has refused this session's.
    Versions,
    /// A list.
    List(Kind),
    /// What a new server has to be told; the client has seen an answer already.
    Told,
}

impl Instance {
    pub(super) fn new(phase: Phase, purpose: Purpose, asked: Instant) -> Self {
        Self {
            phase,
            purpose,
            own: ById::default(),
            lists: Lists::default(),
            reading: 0,
            heard: false,
            held: Vec::new(),
            declared: Declared::default(),
            asked,
            started: None,
            input_closed: false,
            refused: None,
            keep: false,
        }
    }

    /// It stops before the next one starts, and has still to say what its lists are.
    pub(super) fn tells_its_lists(&self) -> bool {
        self.keep && self.reading > 0
    }

    /// What it offers, as far as it is known.
    pub(super) fn offers(&self) -> Offers {
        Offers { declared: self.declared.clone(), lists: self.lists.clone() }
    }

    /// It can be written to, beyond the handshake.
    pub(super) fn listens(&self) -> bool {
        matches!(self.phase, Phase::Listing { .. } | Phase::Serving { .. } | Phase::Draining { .. })
            && !self.input_closed
    }
}
