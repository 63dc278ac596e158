//! How old a container is, by the engine's own clock, and whether it is too young to be taken for left behind.
//!
//! Who owns a container is never judged by a clock. A clock spares only: what was made a moment ago and not started yet
//! may be somebody's who is still at work. Both times come from the engine, so it does not matter what this machine's
//! clock says. Where the engine's own clock was moved, a container seems to come from the future, or to be old: then at most it
//! is not spared, or for half a minute more.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::{ObservedContainer, State};

/// What was created, but not started, is left so long.
pub const YOUNG: Duration = Duration::from_secs(30);

/// Since its creation; none when that lies in the future. `now`: the engine's.
pub fn age(container: &ObservedContainer, now: SystemTime) -> Option<Duration> {
    let created = UNIX_EPOCH + Duration::from_secs(u64::try_from(container.created).ok()?);
    now.duration_since(created).ok()
}

/// Whether somebody may still be about to start it.
pub fn is_young(container: &ObservedContainer, now: SystemTime) -> bool {
    let Ok(created) = u64::try_from(container.created) else { return false };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    // The engine tells whole seconds.
    container.state == State::Created && now.abs_diff(Duration::from_secs(created)) < YOUNG
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing;

    #[test]
    fn a_clock_spares_and_does_nothing_else() {
        let now = UNIX_EPOCH + Duration::from_secs(1_000_000);
        let mut container = testing::container(&testing::target("a", "i"));
        #[rustfmt::skip]
        let cases = [
            ("just created", State::Created, 1_000_000, true, Some(0)),
            ("29 s ago", State::Created, 999_971, true, Some(29)),
            ("30 s ago", State::Created, 999_970, false, Some(30)),
            ("just created, and running", State::Running, 1_000_000, false, Some(0)),
            ("just created, and over", State::Exited(Some(0)), 1_000_000, false, Some(0)),
            ("the clock was set back by a second", State::Created, 1_000_001, true, None),
            ("the clock was set back by an hour", State::Created, 1_003_600, false, None),
            ("the clock was set forward by an hour", State::Created, 996_400, false, Some(3600)),
            ("the engine tells nothing", State::Created, 0, false, Some(1_000_000)),
            ("the engine tells nonsense", State::Created, -5, false, None),
            ("the end of time", State::Created, i64::MAX, false, None),
        ];
        for (name, state, created, young, old) in cases {
            (container.state, container.created) = (state, created);
            assert_eq!(is_young(&container, now), young, "{name}");
            assert_eq!(age(&container, now).map(|age| age.as_secs()), old, "{name}");
        }
    }
}
