//! Engine events that survive a cut connection: connects again from the last event on, drops what comes
//! twice, and says when everything should be looked at again. It must not know what the events mean.

use std::{
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use futures_util::StreamExt;
use tokio::time::Instant;

use super::{Engine, EngineError, EngineEvent, EngineStream};
use crate::model::ObservedContainer;

/// First and longest wait between two tries to connect.
const RETRY: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// Events remembered to recognise the ones that a new connection repeats.
const REMEMBERED: usize = 256;

/// What comes next.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// Something happened.
    Event(EngineEvent),
    /// The connection was cut; said once, until [`Update::Back`].
    Lost(EngineError),
    /// The engine answers again; these containers carry the label now.
    Back(Vec<ObservedContainer>),
}

/// Events of the things with one label.
pub struct EventFeed<E> {
    engine: E,
    label: (String, Option<String>),
    stream: Option<EngineStream<EngineEvent>>,
    lost: bool,
    retry_at: Option<Instant>,
    wait: Duration,
    past: Past,
}

impl<E: Engine> EventFeed<E> {
    /// From `since` on (nanoseconds since the epoch), or from now on.
    pub fn new(engine: E, label: (&str, Option<&str>), since: Option<i64>) -> Self {
        Self {
            engine,
            label: (label.0.to_owned(), label.1.map(str::to_owned)),
            stream: None,
            lost: false,
            retry_at: None,
            wait: RETRY.0,
            past: Past::from(since.unwrap_or_else(now)),
        }
    }

    /// The next update; waits for ever. May be dropped and called again at any time.
    pub async fn next(&mut self) -> Update {
        loop {
            if let Some(stream) = &mut self.stream {
                match stream.next().await {
                    Some(Ok(event)) => {
                        self.wait = RETRY.0;
                        if self.past.is_new(&event) {
                            return Update::Event(event);
                        }
                        continue;
                    }
                    ended => {
                        self.stream = None;
                        let error = match ended {
                            Some(Err(error)) => error,
                            _ => EngineError::Other { status: None, message: "the stream of events ended".into() },
                        };
                        if !std::mem::replace(&mut self.lost, true) {
                            return Update::Lost(error);
                        }
                    }
                }
            }
            if !self.lost {
                // The first connection: what happens before it is made is asked for by time.
                self.connect();
                continue;
            }
            let at = *self.retry_at.get_or_insert_with(|| Instant::now() + self.wait);
            tokio::time::sleep_until(at).await;
            let listed = self.engine.list(&[(&self.label.0, self.label.1.as_deref())]).await;
            self.retry_at = None;
            self.wait = (self.wait * 2).min(RETRY.1);
            if let Ok(containers) = listed {
                self.connect();
                self.lost = false;
                return Update::Back(containers);
            }
        }
    }

    fn connect(&mut self) {
        self.stream = Some(self.engine.events((&self.label.0, self.label.1.as_deref()), Some(self.past.since)));
    }
}

/// Now, in nanoseconds since the epoch.
fn now() -> i64 {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// What has been seen, as far as it may come again.
#[derive(Debug)]
struct Past {
    since: i64,
    recent: VecDeque<EngineEvent>,
}

impl Past {
    fn from(since: i64) -> Self {
        Self { since, recent: VecDeque::new() }
    }

    /// Remembers it; false when it was seen on an earlier connection.
    fn is_new(&mut self, event: &EngineEvent) -> bool {
        // Asked each time: after a cut, repeated and new events may come in any order.
        if self.recent.contains(event) {
            return false;
        }
        self.since = self.since.max(event.time);
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(event.clone());
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Labels;

    fn event(time: i64, action: &str) -> EngineEvent {
        EngineEvent {
            time,
            kind: "container".into(),
            action: action.into(),
            id: "3f".into(),
            name: None,
            attributes: Labels::default(),
        }
    }

    #[test]
    fn what_a_new_connection_repeats_is_dropped() {
        let mut past = Past::from(10);
        assert!(past.is_new(&event(20, "start")));
        assert!(past.is_new(&event(30, "kill")));
        assert!(past.is_new(&event(30, "die")));
        assert_eq!(past.since, 30);
        assert!(!past.is_new(&event(30, "kill")));
        assert!(!past.is_new(&event(30, "die")));
        assert!(past.is_new(&event(30, "stop")), "same time, but not seen before");
        assert!(past.is_new(&event(40, "start")));
        assert!(!past.is_new(&event(30, "stop")), "repeated after a newer one");
    }

    #[test]
    fn memory_is_bounded() {
        let mut past = Past::from(0);
        for time in 0..10_000 {
            past.is_new(&event(time, "start"));
        }
        assert_eq!(past.recent.len(), REMEMBERED);
    }
}
