//! Whether a container's end is the last of it: the engine ends and starts one again where somebody asks it for a
//! restart, and between the two it looks as one that has ended by itself. Told by the engine's events; pure.
//!
//! | what | events |
//! |---|---|
//! | an end of its own | `die` |
//! | `docker stop` | `kill` (the stop signal), `die`, `stop` |
//! | `docker restart` | `kill` (the stop signal), `die`, `stop`, `start` |
//! | `docker kill` | `kill` (SIGKILL), `die` |
//! | `docker rm -f` | `kill` (SIGKILL), `die`, `destroy` |
//!
//! Nothing in a stop's events, nor what the engine says of the container meanwhile, differs from a restart's before the
//! `start`: that one is waited for. Not long behind `stop`: an engine that goes on has by then only its notes to write
//! (measured: 25 ms at most, also on a busy machine) before it holds the container, and whoever asks for it then waits until it
//! is started.

use std::time::{Duration, Instant};

/// What the engine has to go on with what it was asked for, from each of its steps on.
const NEXT_STEP: Duration = Duration::from_secs(5);
/// The same where hardly anything can come: after a bare SIGKILL, which is hardly ever a stop's, and after `stop`.
const LAST_STEP: Duration = Duration::from_secs(1);

/// The number of SIGKILL, as events tell it.
const KILL: &str = "9";
/// The numbers of SIGINT, SIGQUIT, SIGKILL and SIGTERM: they ask a process to end. Others may mean anything.
const ENDING: [&str; 4] = ["2", "3", KILL, "15"];

/// What the events since its last start told.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Life {
    /// The first signal that somebody had the engine send.
    signal: Option<String>,
    /// Somebody had the engine end it.
    asked: bool,
    /// It has ended, and until then it may be started again as a part of what was asked for.
    ended: Option<Instant>,
    /// It was found ended, and no event has told of it yet; until then one may come.
    untold: Option<Instant>,
    /// It was removed.
    removed: bool,
}

impl Life {
    /// What an event tells. `signal`: a `kill`'s.
    pub(super) fn event(&mut self, action: &str, signal: Option<&str>, now: Instant) {
        match action {
            "start" => *self = Self::default(),
            "kill" => {
                self.asked |= signal.is_some_and(|signal| ENDING.contains(&signal));
                self.signal = self.signal.take().or(signal.map(str::to_owned));
            }
            "die" => {
                let more = match self.signal.as_deref() {
                    None => Duration::ZERO,
                    Some(KILL) => LAST_STEP,
                    Some(_) => NEXT_STEP,
                };
                self.ended = Some(now + more);
            }
            "stop" => (self.asked, self.ended) = (true, Some(now + LAST_STEP)),
            "destroy" => self.removed = true,
            _ => {}
        }
    }

    /// Of one that does not run: whether somebody had the engine end it.
    pub(super) fn was_asked(&self) -> bool {
        self.asked
    }

    /// Whether it is there no more.
    pub(super) fn is_removed(&self) -> bool {
        self.removed
    }

    /// Of one that does not run: until when its end may not be the last of it; none: it is over.
    pub(super) fn open_until(&mut self, now: Instant) -> Option<Instant> {
        let until = self.ended.unwrap_or_else(|| *self.untold.get_or_insert(now + NEXT_STEP));
        Some(until).filter(|until| !self.removed && *until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_asked_for_may_go_on_and_an_end_of_its_own_is_one() {
        let start = Instant::now();
        // Events, one a second; how long after the last one its end is open; whether somebody asked for it.
        for (events, open, asked) in [
            ("", Some(5), false),
            ("die", None, false),
            ("kill:15", Some(5), true),
            ("kill:15 die", Some(5), true),
            ("kill:15 kill:9 die", Some(5), true),
            ("kill:15 die stop", Some(1), true),
            ("kill:9 die", Some(1), true),
            ("kill:9 die stop", Some(1), true),
            ("kill:9 die destroy", None, true),
            ("kill:15 die stop destroy", None, true),
            ("die destroy", None, false),
            // A restart that somebody asked for, and then an end of its own.
            ("kill:15 die stop start restart die", None, false),
            // A SIGHUP that it took for what it is to many programs: it can't be told from a stop's signal.
            ("kill:1 die", Some(5), false),
            ("kill:1 die stop", Some(1), true),
            ("kill:1 kill:9 die", Some(5), true),
            ("start health_status exec_die die", None, false),
        ] {
            let (mut life, mut now) = (Life::default(), start);
            for event in events.split_whitespace() {
                now += Duration::from_secs(1);
                let (action, signal) = event.split_once(':').map_or((event, None), |(one, two)| (one, Some(two)));
                life.event(action, signal, now);
            }
            let until = life.open_until(now);
            assert_eq!((until.map(|until| (until - now).as_secs()), life.was_asked()), (open, asked), "{events}");
            let later = now + Duration::from_secs(open.unwrap_or_default());
            assert_eq!(life.open_until(later), None, "{events}: not for ever");
        }
    }
}
