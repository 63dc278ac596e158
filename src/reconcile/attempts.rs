//! How often a target failed in a row, and when it is tried again: pure, time is passed in.
//!
//! Whoever ran and ended is started again at once (somebody killed it: it is back within a second);
//! a second end waits `initial`, each further one twice as long, up to `max`. What could not even be
//! started waits `initial` from the first time on. Running for `reset_after` forgets everything.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::{model::settings::BackoffSettings, plan::Backoff};

/// Failures by target.
#[derive(Debug, Clone, Default)]
pub struct Attempts {
    targets: BTreeMap<String, Attempt>,
}

#[derive(Debug, Clone)]
struct Attempt {
    failures: u32,
    reason: String,
    retry_at: Instant,
    /// It ended before everything had been started.
    early: bool,
    /// Since when it runs; none while it does not.
    running_since: Option<Instant>,
}

impl Attempt {
    fn forget(&mut self, now: Instant) {
        (self.failures, self.early, self.retry_at) = (0, false, now);
    }
}

impl Attempts {
    /// It was started.
    pub fn started(&mut self, target: &str, now: Instant) {
        if let Some(attempt) = self.targets.get_mut(target) {
            attempt.running_since = Some(now);
        }
    }

    /// It ran and ended. `early`: before everything had been started. Gives the failures in a row and the wait until the next try.
    pub fn ended(
        &mut self,
        target: &str,
        reason: &str,
        now: Instant,
        settings: BackoffSettings,
        early: bool,
    ) -> (u32, Duration) {
        let counted = self.count(target, reason, now, settings, true);
        if let Some(attempt) = self.targets.get_mut(target) {
            attempt.early = early;
        }
        counted
    }

    /// It could not be started. Gives the wait until the next try.
    pub fn failed(&mut self, target: &str, reason: &str, now: Instant, settings: BackoffSettings) -> Duration {
        self.count(target, reason, now, settings, false).1
    }

    fn count(
        &mut self,
        target: &str,
        reason: &str,
        now: Instant,
        settings: BackoffSettings,
        ran: bool,
    ) -> (u32, Duration) {
        let before = self.targets.get(target).filter(|attempt| {
            attempt.running_since.is_none_or(|since| now.duration_since(since) < settings.reset_after)
        });
        let failures = before.map_or(0, |attempt| attempt.failures) + 1;
        let doublings = if ran { failures.checked_sub(2) } else { Some(failures - 1) };
        // Beyond 2^20 the limit has long been reached.
        let wait = doublings.map_or(Duration::ZERO, |times| settings.initial.saturating_mul(1 << times.min(20)));
        let wait = wait.min(settings.max);
        let (reason, retry_at) = (reason.to_owned(), now + wait);
        let attempt = Attempt { failures, reason, retry_at, early: false, running_since: None };
        self.targets.insert(target.to_owned(), attempt);
        (failures, wait)
    }

    /// The failure is known and not counted again until the next start.
    pub fn is_down(&self, target: &str) -> bool {
        self.targets.get(target).is_some_and(|attempt| attempt.running_since.is_none())
    }

    /// It runs, but ended more than once lately, or early, and has not run for `steady` since: not to be
    /// relied on. In words.
    pub fn is_shaky(&self, target: &str, now: Instant, steady: Duration) -> Option<String> {
        let attempt = self.targets.get(target).filter(|attempt| attempt.failures > 1 || attempt.early)?;
        let times = if attempt.failures > 1 {
            format!("failed {} times in a row", attempt.failures)
        } else {
            "at its start, and may again".to_owned()
        };
        let runs_shortly = attempt.running_since.is_some_and(|since| now.duration_since(since) < steady);
        runs_shortly.then(|| format!("{} ({times})", attempt.reason))
    }

    /// Something changed that may help: it is tried again at once, and what was before counts no more. The end of one that
    /// is down has been told already.
    pub fn forget(&mut self, target: &str, now: Instant) {
        if let Some(attempt) = self.targets.get_mut(target) {
            attempt.forget(now);
        }
    }

    /// The same for all of them.
    pub fn forget_all(&mut self, now: Instant) {
        self.targets.values_mut().for_each(|attempt| attempt.forget(now));
    }

    /// What the plan has to know.
    pub fn backoff(&self, now: Instant) -> BTreeMap<String, Backoff> {
        let down = self.targets.iter().filter(|(_, attempt)| attempt.running_since.is_none());
        down.map(|(target, attempt)| {
            let wait = attempt.retry_at.saturating_duration_since(now);
            // Rounded up: a wait of half a millisecond is not none.
            let retry_ms = u64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
            (target.clone(), Backoff { retry_ms: Some(retry_ms), reason: attempt.reason.clone() })
        })
        .collect()
    }

    /// When one that is not to be relied on yet has run for `steady` next.
    pub fn next_steady(&self, now: Instant, steady: Duration) -> Option<Instant> {
        let shaky = self.targets.values().filter(|attempt| attempt.failures > 1 || attempt.early);
        shaky.filter_map(|attempt| Some(attempt.running_since? + steady)).filter(|at| *at > now).min()
    }

    /// When something is to be tried again next.
    pub fn next_retry(&self, now: Instant) -> Option<Instant> {
        let down = self.targets.values().filter(|attempt| attempt.running_since.is_none());
        down.map(|attempt| attempt.retry_at).filter(|at| *at > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BackoffSettings = BackoffSettings {
        initial: Duration::from_millis(500),
        max: Duration::from_secs(30),
        reset_after: Duration::from_mins(1),
    };

    #[test]
    fn at_once_then_doubling_up_to_the_limit() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        let waits: Vec<u128> = (0..9).map(|_| attempts.ended("a", "x", now, SETTINGS, false).1.as_millis()).collect();
        assert_eq!(waits, [0, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        for _ in 0..100 {
            assert_eq!(attempts.ended("a", "x", now, SETTINGS, false).1, SETTINGS.max);
        }
        let waits: Vec<u128> = (0..3).map(|_| attempts.failed("b", "x", now, SETTINGS).as_millis()).collect();
        assert_eq!(waits, [500, 1000, 2000]);
    }

    #[test]
    fn running_long_enough_forgets_and_shorter_does_not() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        attempts.ended("a", "x", now, SETTINGS, false);
        attempts.started("a", now);
        assert!(!attempts.is_down("a"));
        assert_eq!(attempts.ended("a", "x", now + SETTINGS.reset_after / 2, SETTINGS, false).0, 2);
        attempts.started("a", now);
        assert_eq!(attempts.ended("a", "x", now + SETTINGS.reset_after, SETTINGS, false).0, 1);
    }

    #[test]
    fn who_ended_twice_must_run_for_a_while_to_be_relied_on() {
        let mut attempts = Attempts::default();
        let (now, steady) = (Instant::now(), Duration::from_secs(10));
        attempts.ended("a", "it ended", now, SETTINGS, false);
        attempts.started("a", now);
        assert_eq!(attempts.is_shaky("a", now, steady), None);
        attempts.ended("a", "it ended", now, SETTINGS, false);
        attempts.started("a", now);
        assert_eq!(attempts.is_shaky("a", now, steady).as_deref(), Some("it ended (failed 2 times in a row)"));
        assert_eq!(attempts.is_shaky("a", now + steady, steady), None);
    }

    #[test]
    fn who_ended_at_its_start_must_run_for_a_while_too() {
        let mut attempts = Attempts::default();
        let (now, steady) = (Instant::now(), Duration::from_secs(10));
        attempts.ended("a", "it ended", now, SETTINGS, true);
        attempts.started("a", now);
        let words = attempts.is_shaky("a", now, steady);
        assert_eq!(words.as_deref(), Some("it ended (at its start, and may again)"));
        assert_eq!(attempts.is_shaky("a", now + steady, steady), None);
        assert_eq!(attempts.next_steady(now, steady), Some(now + steady));
        assert_eq!(attempts.next_steady(now + steady, steady), None);
    }

    #[test]
    fn the_plan_is_told_what_is_down_only() {
        let mut attempts = Attempts::default();
        let now = Instant::now();
        attempts.ended("a", "first", now, SETTINGS, false);
        attempts.ended("a", "second", now, SETTINGS, false);
        attempts.ended("b", "other", now, SETTINGS, false);
        attempts.started("b", now);
        let expected = Backoff { retry_ms: Some(400), reason: "second".into() };
        let later = now + Duration::from_millis(100);
        assert_eq!(attempts.backoff(later), BTreeMap::from([("a".into(), expected)]));
        assert_eq!(attempts.next_retry(later), Some(now + Duration::from_millis(500)));
        assert_eq!(attempts.next_retry(now + Duration::from_secs(1)), None);
        attempts.forget("a", later);
        let at_once = Backoff { retry_ms: Some(0), reason: "second".into() };
        assert_eq!(attempts.backoff(later), BTreeMap::from([("a".into(), at_once)]));
        assert!(attempts.is_down("a"), "its end is not told again");
        attempts.started("a", later);
        assert_eq!(attempts.is_shaky("a", later, Duration::from_secs(10)), None);
        assert_eq!(attempts.ended("a", "again", later, SETTINGS, false), (1, Duration::ZERO));
    }
}
