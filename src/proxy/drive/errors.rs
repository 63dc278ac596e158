//! stderr: the server's own as it is, and lines for people between them. A reader that is slow holds the servers' output
//! back; one that does not read at all can't: what it misses is let go, counted, and told.

use std::{
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::queue::Queue;
use crate::proxy::stdio::Stdio;

/// More than this is not waiting to be read.
const FULL: usize = 1 << 20;
/// Who reads nothing for this long does not read.
const PATIENCE: Duration = Duration::from_secs(1);

/// What people read.
#[derive(Debug)]
pub(super) struct Errors {
    stdio: Option<Stdio>,
    queue: Queue,
    /// The last byte that was queued ended a line.
    at_line_start: bool,
    /// Since when nothing could be written.
    stuck_since: Option<Instant>,
    /// Bytes that were let go.
    lost: usize,
}

impl Errors {
    pub(super) fn new(stdio: Stdio) -> Self {
        Self { stdio: Some(stdio), queue: Queue::default(), at_line_start: true, stuck_since: None, lost: 0 }
    }

    /// What a server printed, as it came.
    pub(super) fn bytes(&mut self, bytes: bytes::Bytes) {
        if self.queue.len() >= FULL || self.stdio.is_none() {
            self.lost += bytes.len();
            return;
        }
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.line(&format!("mcpmon: {lost} bytes of stderr were let go, because nobody read it"));
        }
        if let Some(last) = bytes.last() {
            self.at_line_start = *last == b'\n';
            self.queue.push(bytes);
        }
    }

    /// A line for people, without its end. It begins at the beginning of a line.
    pub(super) fn line(&mut self, line: &str) {
        // Lines are few and short; only where nobody has read anything for very long are they let go.
        if self.queue.len() >= 2 * FULL || self.stdio.is_none() {
            self.lost += line.len();
            return;
        }
        let start = if std::mem::replace(&mut self.at_line_start, true) { "" } else { "\n" };
        self.queue.push(format!("{start}{line}\n").into());
    }

    /// Servers have to wait until more was read.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        let reads = self.stuck_since.is_none_or(|since| now < since + PATIENCE);
        self.queue.len() >= FULL && reads && self.stdio.is_some()
    }

    /// When [`is_full`](Self::is_full) ends by itself.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.stuck_since.filter(|_| self.queue.len() >= FULL).map(|since| since + PATIENCE)
    }

    /// Nothing waits to be read.
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Writes what can be written; true when anything was.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut moved = false;
        while let Some(stdio) = self.stdio.as_ref().filter(|_| !self.queue.is_empty()) {
            match stdio.poll_write(cx, self.queue.front()) {
                Poll::Ready(Ok(written)) => {
                    self.queue.advance(written);
                    self.stuck_since = None;
                    moved = true;
                }
                Poll::Ready(Err(_)) => {
                    // Nobody will ever read it.
                    self.stdio = None;
                    self.queue.clear();
                }
                Poll::Pending => {
                    self.stuck_since.get_or_insert(now);
                    break;
                }
            }
        }
        moved
    }
}
