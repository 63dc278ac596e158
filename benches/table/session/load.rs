//! Calls at a steady pace while something else happens, and what became of each of them.
//!
//! Every second call asks for the greeting, which is the number of the last save that the answering server has seen; the
//! others are echoes of their own number. A call is *wrong* where its echo is another one's, or where its greeting is older
//! than one that had been heard when it was sent: then it went to a server that had been replaced.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    calls::{self, Era, Said},
    peer::Peer,
};
use crate::run::Outcome;

/// 50 calls a second.
const EVERY: Duration = Duration::from_millis(20);

/// A client at work.
pub(crate) struct Load<'a> {
    peer: &'a mut Peer,
    era: Era,
    due: Instant,
    calls: BTreeMap<u64, Call>,
    /// When answers came.
    times: Vec<Instant>,
    /// Lines that are no message, and answers to what nobody asked.
    strange: usize,
    /// The newest greeting that was heard.
    pub(crate) heard: u64,
}

struct Call {
    expected: Expected,
    answers: Vec<Said>,
}

#[derive(Clone, Copy)]
enum Expected {
    Echo(u64),
    /// This greeting, or a newer one.
    Greeting(u64),
}

/// What became of them.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Calls sent.
    pub(crate) sent: usize,
    /// Never answered.
    pub(crate) lost: usize,
    /// Answered more than once.
    pub(crate) doubled: usize,
    /// Answered with something else; and lines that answer nothing.
    pub(crate) wrong: usize,
    /// Answered with an error.
    pub(crate) errors: usize,
    /// The longest time between two answers.
    pub(crate) gap: Duration,
}

impl Tally {
    /// Calls that a user would miss.
    pub(crate) fn bad(&self) -> usize {
        self.lost + self.doubled + self.wrong + self.errors
    }
}

impl<'a> Load<'a> {
    /// Begins with the next call.
    pub(crate) fn new(peer: &'a mut Peer, era: Era, heard: u64) -> Self {
        Self { peer, era, due: Instant::now(), calls: BTreeMap::new(), times: Vec::new(), strange: 0, heard }
    }

    /// Goes on until so much time is over.
    pub(crate) fn go_on(&mut self, time: Duration) -> Outcome<()> {
        self.until(time, |_| false).map(|_| ())
    }

    /// Goes on until that greeting was heard, or so much time is over. Whether it was.
    pub(crate) fn heard(&mut self, greeting: u64, limit: Duration) -> Outcome<bool> {
        self.until(limit, |load| load.heard >= greeting)
    }

    fn until(&mut self, limit: Duration, done: impl Fn(&Self) -> bool) -> Outcome<bool> {
        let end = Instant::now() + limit;
        while Instant::now() < end {
            if done(self) {
                return Ok(true);
            }
            if Instant::now() >= self.due {
                self.send()?;
                self.due += EVERY;
            }
            self.listen(self.due.min(end))?;
        }
        Ok(done(self))
    }

    fn send(&mut self) -> Outcome<()> {
        let number = self.peer.number();
        let (expected, line) = if number.is_multiple_of(2) {
            (Expected::Greeting(self.heard), calls::call(self.era, number, "greet", "{}"))
        } else {
            let echo = format!("{{\"text\":\"{number}\"}}");
            (Expected::Echo(number), calls::call(self.era, number, "echo", &echo))
        };
        self.calls.insert(number, Call { expected, answers: Vec::new() });
        self.peer.send(&line)
    }

    /// Takes what comes until then: at most one line.
    fn listen(&mut self, until: Instant) -> Outcome<()> {
        let Some(line) = self.peer.line(until)? else { return Ok(()) };
        let (number, said) = match calls::answer(line) {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(()),
            Err(_) => {
                self.strange += 1;
                return Ok(());
            }
        };
        let Some(call) = self.calls.get_mut(&number) else {
            self.strange += 1;
            return Ok(());
        };
        self.times.push(Instant::now());
        if let (Expected::Greeting(_), Said::Text(text)) = (call.expected, &said) {
            self.heard = self.heard.max(text.parse().unwrap_or_default());
        }
        call.answers.push(said);
        Ok(())
    }

    /// Sends no more, and waits for what is still to be answered; for so long at most.
    pub(crate) fn finish(mut self, limit: Duration) -> Outcome<Tally> {
        let ended = Instant::now();
        let end = ended + limit;
        while Instant::now() < end && self.calls.values().any(|call| call.answers.is_empty()) {
            self.listen(end)?;
        }
        // An answer given twice may follow the first one closely.
        let end = Instant::now() + EVERY;
        while Instant::now() < end {
            self.listen(end)?;
        }
        let mut tally = tally(self.calls.values());
        tally.wrong += self.strange;
        let pairs = self.times.windows(2).map(|pair| pair[1] - pair[0]);
        let last = self.times.last().map(|last| ended.saturating_duration_since(*last));
        tally.gap = pairs.chain(last).max().unwrap_or_default();
        Ok(tally)
    }
}

fn tally<'a>(calls: impl Iterator<Item = &'a Call>) -> Tally {
    let mut tally = Tally::default();
    for call in calls {
        tally.sent += 1;
        match call.answers.as_slice() {
            [] => tally.lost += 1,
            [Said::Error(_)] => tally.errors += 1,
            [Said::Text(text)] => {
                let number: Option<u64> = text.parse().ok();
                let right = match call.expected {
                    Expected::Echo(echo) => number == Some(echo),
                    Expected::Greeting(oldest) => number.is_some_and(|greeting| greeting >= oldest),
                };
                tally.wrong += usize::from(!right);
            }
            _ => tally.doubled += 1,
        }
    }
    tally
}
