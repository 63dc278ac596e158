//! What the client has sent while no server could take it: in order, and bounded.

use std::{collections::VecDeque, time::Instant};

use crate::proxy::{frame::Frame, message::Id};

/// The buffer.
#[derive(Debug)]
pub(super) struct Waiting {
    held: VecDeque<Held>,
    bytes: usize,
    limit: usize,
}

/// One frame that waits.
#[derive(Debug)]
pub(super) struct Held {
    /// The frame.
    pub(super) frame: Frame,
    /// The requests in it: none for a notification, several for a batch.
    pub(super) requests: Vec<Id>,
    /// Since when.
    pub(super) since: Instant,
}

impl Waiting {
    pub(super) fn new(limit: usize) -> Self {
        Self { held: VecDeque::new(), bytes: 0, limit }
    }

    /// Room for so many bytes. The first frame always has: a session with a tiny buffer must be able to begin.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        self.held.is_empty() || self.bytes + bytes <= self.limit
    }

    pub(super) fn push(&mut self, frame: Frame, requests: Vec<Id>, since: Instant) {
        self.bytes += frame.len();
        self.held.push_back(Held { frame, requests, since });
    }

    /// In front of everything: what a server had and lost before it said anything.
    pub(super) fn push_front(&mut self, frame: Frame, requests: Vec<Id>, since: Instant) {
        self.bytes += frame.len();
        self.held.push_front(Held { frame, requests, since });
    }

    pub(super) fn pop(&mut self) -> Option<Held> {
        let held = self.held.pop_front()?;
        self.bytes -= held.frame.len();
        Some(held)
    }

    /// Takes a request out; true where it waited here (batches stay whole: the server is told of the cancellation).
    pub(super) fn cancel(&mut self, id: &Id) -> bool {
        let Some(place) = self.held.iter().position(|held| held.requests == [id.clone()]) else { return false };
        if let Some(held) = self.held.remove(place) {
            self.bytes -= held.frame.len();
        }
        true
    }

    /// The oldest one's time.
    pub(super) fn since(&self) -> Option<Instant> {
        self.held.front().map(|held| held.since)
    }
}
