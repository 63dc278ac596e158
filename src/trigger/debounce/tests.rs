//! The trigger by table and by property. Time is a number of milliseconds after an arbitrary beginning.

use proptest::prelude::*;

use super::*;
use crate::{
    model::{Settings, WatchSettings, settings::WatchRule, spec::Mount},
    trigger::{
        Entry,
        samples::{bind, several, target},
    },
};

/// Targets `a` (delay in ms) and `b` (no delay): `/p/a/…` and `/p/b/…` restart them, `…/lock` rebuilds.
fn settings(delay: u64) -> Settings {
    let folder = Path::new("/p");
    let watch = |name: &'static str, delay: u64| {
        move |watch: &mut WatchSettings, _: &mut _| {
            watch.paths = vec![folder.join(name)];
            watch.delay = Duration::from_millis(delay);
            watch.rules = vec![WatchRule {
                path: folder.join(name).join("lock"),
                action: WatchAction::Rebuild,
                include: Vec::new(),
                ignore: Vec::new(),
                target: None,
                initial_sync: false,
                exec: None,
            }];
        }
    };
    several(folder, [target("a", watch("a", delay)), target("b", watch("b", 0))])
}

struct Clock(Instant);

impl Clock {
    fn at(&self, millis: u64) -> Instant {
        self.0 + Duration::from_millis(millis)
    }
}

fn start(delay: u64) -> (Trigger, Clock) {
    (Trigger::new(Arc::new(Rules::new(&settings(delay), None))), Clock(Instant::now()))
}

fn change(paths: &[&str]) -> Changes {
    Changes { paths: paths.iter().map(|path| (PathBuf::from(path), Entry::File)).collect(), ..Changes::default() }
}

fn reload(target: &str, action: WatchAction, first_path: Option<&str>, count: usize) -> Reload {
    Reload { target: target.into(), action, first_path: first_path.map(PathBuf::from), count }
}

#[test]
fn a_target_fires_once_its_files_were_quiet() {
    let (mut trigger, clock) = start(100);
    assert_eq!(trigger.next_deadline(), None);
    trigger.changed(clock.at(0), &change(&["/p/a/1"]));
    trigger.changed(clock.at(60), &change(&["/p/a/2", "/p/a/1", "/p/elsewhere"]));
    assert!(trigger.poll(clock.at(100)).is_empty(), "started afresh");
    assert_eq!(trigger.next_deadline(), Some(clock.at(160)));
    assert_eq!(trigger.poll(clock.at(160)), [reload("a", WatchAction::Restart, Some("/p/a/1"), 2)]);
    assert_eq!(trigger.next_deadline(), None);
}

#[test]
fn no_delay_fires_at_once_and_a_rebuild_wins() {
    let (mut trigger, clock) = start(100);
    trigger.changed(clock.at(0), &change(&["/p/b/1", "/p/b/lock", "/p/a/lock"]));
    trigger.changed(clock.at(0), &change(&["/p/a/1"]));
    assert_eq!(trigger.poll(clock.at(0)), [reload("b", WatchAction::Rebuild, Some("/p/b/1"), 2)]);
    assert_eq!(trigger.poll(clock.at(100)), [reload("a", WatchAction::Rebuild, Some("/p/a/lock"), 2)]);
}

#[test]
fn changes_that_never_stop_are_not_waited_for_longer_than_ten_seconds() {
    let (mut trigger, clock) = start(100);
    for millis in (0..9_960).step_by(50) {
        trigger.changed(clock.at(millis), &change(&["/p/a/1"]));
        assert!(trigger.poll(clock.at(millis)).is_empty(), "at {millis}");
    }
    assert_eq!(trigger.next_deadline(), Some(clock.at(10_000)));
    assert_eq!(trigger.poll(clock.at(10_000)).len(), 1);
}

#[test]
fn changes_during_a_reload_make_the_next_one() {
    let (mut trigger, clock) = start(100);
    trigger.changed(clock.at(0), &change(&["/p/a/1"]));
    assert_eq!(trigger.poll(clock.at(100)).len(), 1);
    assert!(trigger.is_busy("a"));
    trigger.changed(clock.at(150), &change(&["/p/a/2"]));
    trigger.changed(clock.at(200), &change(&["/p/a/lock"]));
    assert_eq!(trigger.next_deadline(), None, "one in flight");
    assert!(trigger.poll(clock.at(5_000)).is_empty());
    trigger.done(clock.at(5_000), "a");
    assert_eq!(trigger.poll(clock.at(5_000)), [reload("a", WatchAction::Rebuild, Some("/p/a/2"), 2)]);
    trigger.done(clock.at(6_000), "a");
    assert_eq!(trigger.next_deadline(), None);
}

/// A target with a mounted folder that is changed by itself 300 ms after each of its starts, which take 200 ms: when
/// each reload begins, in ms after the one before, and what is warned of.
fn changes_itself(read_only: bool, other_files: bool, times: u32) -> (Vec<u64>, Vec<String>) {
    let folder = Path::new("/p");
    let own = target("a", |watch, run| {
        watch.auto = true;
        watch.delay = Duration::from_millis(100);
        run.spec.volumes = vec![Mount { read_only, ..bind(&folder.join("data")) }];
    });
    let mut trigger = Trigger::new(Arc::new(Rules::new(&several(folder, [own]), None)));
    let (clock, mut now, mut waits) = (Clock(Instant::now()), 0, Vec::new());
    for time in 0..times {
        let path = if other_files { format!("/p/data/{time}") } else { "/p/data/log.txt".to_owned() };
        trigger.changed(clock.at(now), &change(&[&path]));
        let deadline = trigger.next_deadline().expect("a change is never dropped");
        assert_eq!(trigger.poll(deadline).len(), 1);
        let began = u64::try_from((deadline - clock.0).as_millis()).unwrap();
        waits.push(began - now);
        now = began + 200;
        trigger.done(clock.at(now), "a");
        now += 300;
    }
    (waits, trigger.take_warnings())
}

#[test]
fn what_a_target_changes_itself_is_put_off_and_never_dropped() {
    let (waits, warnings) = changes_itself(false, false, 8);
    // Ten seconds after the end of the last one.
    assert_eq!(waits, [100, 100, 100, 100, 100, 100, 9_700, 9_700]);
    assert_eq!(
        warnings,
        [
            "a: /p/data/log.txt changes each time it is started; for that, it is restarted every 10 seconds at most. Name \
          what you edit in what is watched, or what the server writes in .gitignore"
        ]
    );
}

#[test]
fn what_a_person_saves_is_not_put_off() {
    // What the target can't write; and other files each time.
    for (read_only, other_files) in [(true, false), (false, true)] {
        let (waits, warnings) = changes_itself(read_only, other_files, 12);
        assert_eq!((waits, warnings), (vec![100; 12], Vec::new()), "{read_only} {other_files}");
    }
}

#[test]
fn lost_events_reload_every_target_by_its_strongest_action() {
    let (mut trigger, clock) = start(100);
    trigger.changed(clock.at(0), &Changes { rescan: true, ..Changes::default() });
    let due = trigger.poll(clock.at(100));
    assert_eq!(due, [reload("a", WatchAction::Rebuild, None, 0), reload("b", WatchAction::Rebuild, None, 0)]);
}

#[test]
fn other_rules_keep_what_is_pending_for_targets_that_stay() {
    let (mut trigger, clock) = start(100);
    trigger.changed(clock.at(0), &change(&["/p/a/1", "/p/b/1"]));
    trigger.busy("b");
    let mut fewer = settings(300);
    fewer.project.targets.remove("b");
    trigger.set_rules(Arc::new(Rules::new(&fewer, None)));
    assert_eq!(trigger.next_deadline(), Some(clock.at(300)), "with the new delay");
    assert_eq!(trigger.poll(clock.at(300)).len(), 1);
    assert!(!trigger.is_busy("b"));
}

#[derive(Debug, Clone)]
enum Step {
    Change { wait: u64, lock: bool },
    Finish { wait: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..400u64, any::<bool>()).prop_map(|(wait, lock)| Step::Change { wait, lock }),
        1 => (0..3_000u64).prop_map(|wait| Step::Finish { wait }),
    ];
    proptest::collection::vec(step, 1..200)
}

proptest! {
    /// Whatever happens when: no change is lost, none is answered twice, a reload starts after its changes, within
    /// the bounds of the delay; never are two in flight.
    #[test]
    fn every_change_is_followed_by_one_reload(steps in steps(), delay in 0..500u64) {
        let (mut trigger, clock) = start(delay);
        let (mut now, mut in_flight, mut free_since) = (0u64, false, 0u64);
        // Changes that no reload has followed yet: time, rebuild.
        let mut open: Vec<(u64, bool)> = Vec::new();

        // Time passes to `until`, stopping at each deadline as the loop does.
        let pass = |trigger: &mut Trigger, until: u64, in_flight: &mut bool, free_since: u64, open: &mut Vec<(u64, bool)>| {
            while let Some(deadline) = trigger.next_deadline().filter(|deadline| *deadline <= clock.at(until)) {
                prop_assert!(!*in_flight, "a deadline while one is in flight");
                let fires = deadline.max(clock.at(free_since));
                let due = trigger.poll(fires);
                prop_assert_eq!(due.len(), 1, "a deadline must lead to its reload");
                let fired = u64::try_from((fires - clock.0).as_millis()).unwrap();
                let (first, last) = (open.first().map(|open| open.0), open.last().map(|open| open.0));
                prop_assert!(first.is_some(), "a reload without a change");
                let expected = (last.unwrap() + delay).min(first.unwrap() + 10_000).max(free_since);
                prop_assert_eq!(fired, expected);
                let rebuild = open.iter().any(|open| open.1);
                prop_assert_eq!(due[0].action == WatchAction::Rebuild, rebuild);
                open.clear();
                *in_flight = true;
            }
            Ok(())
        };
        for step in steps {
            match step {
                Step::Change { wait, lock } => {
                    // Strictly before: at the same instant either order is right.
                    pass(&mut trigger, now + wait, &mut in_flight, free_since, &mut open)?;
                    now += wait;
                    trigger.changed(clock.at(now), &change(&[if lock { "/p/a/lock" } else { "/p/a/file" }]));
                    open.push((now, lock));
                }
                Step::Finish { wait } => {
                    pass(&mut trigger, now + wait, &mut in_flight, free_since, &mut open)?;
                    now += wait;
                    if in_flight {
                        trigger.done(clock.at(now), "a");
                        in_flight = false;
                        free_since = now;
                    }
                }
            }
        }
        // In the end every change has had its reload.
        if in_flight {
            trigger.done(clock.at(now), "a");
            in_flight = false;
        }
        pass(&mut trigger, now + 20_000, &mut in_flight, now, &mut open)?;
        prop_assert!(open.is_empty(), "changes without a reload: {open:?}");
        prop_assert_eq!(trigger.next_deadline(), None);
    }
}
