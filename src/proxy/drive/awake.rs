//! Whether it is worth to stay awake for a moment when nothing moves. Pure.
//!
//! To be put to sleep and woken again costs more than a small call is worth: where the next piece is about to come, looking
//! again at once is quicker. It is expected where the last wait for the same side was short; each wait that turns out long
//! costs the moment once, and a session where nothing happens sleeps. For calls one after the other only: where many are
//! under way at once, or in the middle of a long line, whoever works on them needs the core.

use std::time::{Duration, Instant};

/// The longest time that is spent awake on one wait. A core that sleeps takes some 50 µs to wake, and between a call and its
/// answer several are woken one after the other. Longer takes the core from those who are waited for: on two cores the slowest
/// calls in a hundred took 1.1 of the time without mcpmon with 200 µs, and 0.95 with 100.
const MOMENT: Duration = Duration::from_micros(100);

/// Who is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The client has got something: it may ask next.
    Client,
    /// A server has got something: it may answer.
    Servers,
}

/// The waits so far.
#[derive(Debug)]
pub(super) struct Awake {
    side: Side,
    since: Option<Instant>,
    /// The last wait for the client, and for the servers, was short.
    short: [bool; 2],
}

impl Awake {
    pub(super) fn new() -> Self {
        Self { side: Side::Client, since: None, short: [false; 2] }
    }

    /// Something has moved, and from now on that side is waited for.
    pub(super) fn moved(&mut self, side: Side, now: Instant) {
        if let Some(since) = self.since.take() {
            self.short[self.side as usize] = now.saturating_duration_since(since) <= MOMENT;
        }
        self.side = side;
    }

    /// Nothing moves; true: look again at once.
    pub(super) fn stays(&mut self, now: Instant) -> bool {
        let since = *self.since.get_or_insert(now);
        self.short[self.side as usize] && now.saturating_duration_since(since) < MOMENT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_awake_where_waits_are_short_and_then_for_a_moment() {
        let mut awake = Awake::new();
        let mut now = Instant::now();
        let long = MOMENT * 10;
        assert!(!awake.stays(now), "nothing is known yet");
        now += MOMENT / 2;
        awake.moved(Side::Servers, now);
        assert!(!awake.stays(now), "the servers are not known yet");
        now += long;
        awake.moved(Side::Client, now);
        assert!(awake.stays(now), "the client was quick before");
        now += MOMENT / 2;
        assert!(awake.stays(now));
        now += MOMENT / 2;
        assert!(!awake.stays(now), "the moment is over");
        now += long;
        awake.moved(Side::Servers, now);
        assert!(!awake.stays(now), "the servers were slow");
        now += MOMENT / 2;
        awake.moved(Side::Client, now);
        assert!(!awake.stays(now), "and so was the client");
        now += MOMENT / 2;
        awake.moved(Side::Servers, now);
        assert!(awake.stays(now), "they were quick the last time");
    }
}
