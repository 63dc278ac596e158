//! Sessions of every kind at once, disturbed and ended in every way, on one engine: of none is anything left, and neither
//! strangers nor living sessions notice.
//!
//! What is tried comes from a seed, which is printed with the figures. `make chaos` tries more of it, with the variables
//! `CHAOS_SEED`, `CHAOS_ROUNDS` and `CHAOS_SESSIONS`.

mod bystanders;
mod census;
mod dice;
mod doomed;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use self::{
    bystanders::Bystanders,
    dice::Dice,
    doomed::{Disturbance, Doomed, End, Kind},
};

/// The grace period of all containers here, which is docker's, and two seconds.
const LIMIT: Duration = Duration::from_secs(10 + 2);
/// With the watchdog killed too, somebody has to call `cleanup`, which leaves what was made less than 30 s ago and not started.
const CLEANUP_LIMIT: Duration = Duration::from_secs(10 + 2 + 30);
/// A look every so often: what is looked at has no one event.
const EVERY: Duration = Duration::from_millis(50);

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}")))
}

#[test]
fn whatever_ends_a_session_nothing_of_it_is_left_and_nobody_else_is_touched() {
    let (seed, rounds, sessions) = (number("CHAOS_SEED", 1), number("CHAOS_ROUNDS", 1), number("CHAOS_SESSIONS", 7));
    println!("seed {seed}, {rounds} rounds of {sessions} sessions");
    let mut dice = Dice::new(seed);
    let bystanders = Bystanders::begin();
    let mut left = Vec::new();
    let mut touched = Vec::new();
    let mut slowest: BTreeMap<String, Duration> = BTreeMap::new();
    let mut count = 0;
    for round in 0..rounds {
        let fates: Vec<_> = (0..sessions)
            .map(|number| {
                let kind = Kind::ALL[usize::try_from(number).expect("a number") % Kind::ALL.len()];
                (kind, dice.pick(&Disturbance::ALL), dice.pick(&kind.ends()))
            })
            .collect();
        let ended = std::thread::scope(|scope| {
            let lives: Vec<_> = fates.iter().map(|fate| scope.spawn(move || live(*fate))).collect();
            lives.into_iter().map(|life| life.join().expect("no panic in a life")).collect::<Vec<_>>()
        });
        for ((kind, disturbance, end), (took, remains)) in fates.into_iter().zip(ended) {
            count += 1;
            let what = format!("{kind:?} {disturbance:?} {end:?}");
            println!("round {round}: {what}: nothing left after {took:?}");
            let entry = slowest.entry(format!("{end:?}")).or_default();
            *entry = took.max(*entry);
            left.extend(remains.into_iter().map(|thing| format!("round {round}: {what}: {thing}")));
        }
        touched.extend(bystanders.touched());
    }
    let calls = bystanders.end();
    println!("| what | figure |\n|---|---|");
    println!("| containers, networks, processes, files left of {count} dead sessions | {} |", left.len());
    println!("| containers of strangers and of living sessions touched | {} |", touched.len());
    println!("| calls of a living session lost, of {}, over {} saves | {} |", calls.made, calls.saves, calls.lost);
    for (end, took) in slowest {
        println!("| {end}: the longest until nothing was left | {} ms |", took.as_millis());
    }
    assert_eq!(left, Vec::<String>::new(), "left");
    assert_eq!(touched, Vec::<String>::new(), "touched");
    assert_eq!(calls.lost, 0, "{calls:?}");
}

/// One life: how long its end took, and what is left of it.
fn live((kind, disturbance, end): (Kind, Disturbance, End)) -> (Duration, Vec<String>) {
    let mut doomed = Doomed::start(kind);
    doomed.disturb(disturbance);
    let ended = doomed.end(end);
    let remains = remains(&mut doomed, end == End::KillWithItsWatchdog, ended);
    (ended.elapsed(), remains)
}

/// What is left when its time is over.
fn remains(doomed: &mut Doomed, alone: bool, since: Instant) -> Vec<String> {
    let limit = if alone { CLEANUP_LIMIT } else { LIMIT };
    loop {
        doomed.reap();
        if alone {
            let ran = doomed.project.run(&["cleanup", "--force"]);
            assert_eq!(ran.code, 0, "{ran:?}");
        }
        // Compose's own way: at the end of `up` containers are stopped, and `down` removes them.
        let left = census::left(&doomed.project, doomed.kind == Kind::Compose);
        if left.is_empty() || since.elapsed() > limit {
            return left;
        }
        std::thread::sleep(EVERY);
    }
}
