//! What the loop remembers of a target between two passes. Only what the engine can't tell: losing
//! it costs a repeated message or a lost fallback, never correctness.

use std::time::Instant;

/// One target's memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// The container that stands for it.
    pub(super) current: Option<String>,
    /// Since when.
    pub(super) since: Option<Instant>,
    /// This session has brought it up before: what is missing now, somebody removed.
    pub(super) made: bool,
    /// Its image is to be fetched or built although it is there.
    pub(super) refresh: bool,
    /// The container that was looked at when watching began: what it is taken to have.
    pub(super) adopted: Option<String>,
    /// It was said to be ready.
    pub(super) ready: bool,
    /// Since when its own word is waited for (health, an answer).
    pub(super) awaited: Option<Instant>,
    /// The container that is being asked whether it answers.
    pub(super) probing: Option<String>,
    /// It runs, but did not answer.
    pub(super) unanswered: Option<String>,
    /// What was to take its place and did not become ready.
    pub(super) rejected: Option<Rejected>,
    /// Why what is to take its place could not yet; it is tried again.
    pub(super) delayed: Option<String>,
    /// The container that it replaced, kept for a while.
    pub(super) spare: Option<Spare>,
    /// The hold or failure that was said last, so that it is said once.
    pub(super) said: Option<String>,
}

/// A replacement that did not become ready: it is not tried again until something changes.
#[derive(Debug, Clone)]
pub(super) struct Rejected {
    /// Why.
    pub(super) reason: String,
    /// What it was made of: config hash and image id. None: not looked up yet.
    pub(super) made_of: Option<(String, Option<String>)>,
}

/// An old container kept for a while after a swap.
#[derive(Debug, Clone)]
pub(super) struct Spare {
    /// The one that is kept, stopped.
    pub(super) old: String,
    /// The one that took its place.
    pub(super) new: String,
    /// Until when it may come back.
    pub(super) until: Instant,
}

impl Memory {
    /// Another container stands for the target now: what was known of the last one is void.
    pub(super) fn begins_with(&mut self, container: &str) {
        self.current = Some(container.to_owned());
        self.since = Some(Instant::now());
        self.made = true;
        self.ready = false;
        self.awaited = None;
        self.probing = None;
        self.unanswered = None;
        self.rejected = None;
        self.delayed = None;
    }
}
