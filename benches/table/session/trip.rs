//! What a session costs while nothing is reloaded: time per call, calls in a row, large lines, memory.

use std::{
    fs,
    io::Write,
    process::Command,
    time::{Duration, Instant},
};

use super::{
    calls::{Era, sized},
    config,
    peer::Peer,
    target,
};
use crate::{
    Plan,
    corner::Corner,
    resident::Memory,
    run::{Outcome, median, percentile, say, wait},
    table::{Row, time},
};

/// Turns: each measures every peer once, so that a slow moment of the machine meets all of them.
const TURNS: usize = 60;
/// Bytes of a small call's line.
const SMALL: usize = 100;
/// Calls that are sent without waiting for an answer.
const PIPELINED: usize = 5000;
/// Bytes of a large result.
const LARGE: usize = 1 << 20;
/// Bytes of the largest line.
const HUGE: usize = 100_000_000;
const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// The rows of calls through a session.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    let corner = Corner::new(plan, "session-trip")?;
    corner.write("mcpmon.toml", &format!("version = 1\nname = \"{}\"\n{}", corner.name, config()))?;
    corner.write(super::GREETING, "0\n")?;
    let mut own = Peer::open(&corner, "mcpmon run", corner.command(&["run", "lean"]), Era::Legacy)?;
    let mut direct = Peer::open(&corner, "docker run", corner.docker_run(&[], &["lean"]), Era::Legacy)?;
    let idle = idle(&own, &direct)?;
    let rest = idle.value;
    let mut rows = vec![idle];
    rows.extend(round_trips(plan, &mut own, &mut direct)?);
    rows.push(pipelined(plan, &mut own, &mut direct)?);
    rows.push(large(plan, &mut own, &mut direct)?);
    rows.extend(huge(plan, rest, &mut own, &mut direct)?);
    own.close()?;
    direct.close()?;
    Ok(rows)
}

/// Memory once nothing is going on: what was needed for the start has been given back, or never will be.
fn idle(own: &Peer, direct: &Peer) -> Outcome<Row> {
    let mut last = f64::INFINITY;
    let rss = wait("a session at rest", Duration::from_secs(10), Duration::from_millis(500), || {
        let now = resident(own.pid())?;
        let steady = (now - last).abs() < 0.05;
        last = now;
        Ok(steady.then_some(now))
    })?;
    let detail = format!("`docker run -i`: {:.1} MiB", resident(direct.pid())?);
    Ok(Row::absolute("memory (RSS) of an idle session", rss, 12.0, "MiB", &detail))
}

/// Memory of a process and of its helpers: children that run the same program.
fn resident(pid: u32) -> Outcome<f64> {
    let own = Memory::of(pid)?.rss;
    let program = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_ascii_whitespace().filter_map(|child| child.parse().ok());
    let helpers = children.filter(|child| program(*child) == program(pid));
    // One that has ended meanwhile has none.
    Ok(own + helpers.filter_map(|child| Memory::of(child).ok()).map(|memory| memory.rss).sum::<f64>())
}

/// The most memory that a process has had so far, in MiB.
fn peak(pid: u32) -> Outcome<f64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).ok_or("no VmHWM")?;
    let kib: f64 = line.trim().trim_end_matches("kB").trim().parse().map_err(|_| format!("{path}: {line}"))?;
    Ok(kib / 1024.0)
}

/// Milliseconds of so many small calls, one after the other.
fn calls_in_a_row(peer: &mut Peer, count: usize, times: &mut Vec<f64>) -> Outcome<()> {
    for _ in 0..count {
        let line = sized(peer.number(), SMALL);
        let began = Instant::now();
        peer.send(&line)?;
        peer.next()?;
        times.push(milliseconds(began));
    }
    Ok(())
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

fn round_trips(plan: &Plan, own: &mut Peer, direct: &mut Peer) -> Outcome<Vec<Row>> {
    say("session: round trips in a container");
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    // The first calls find everything cold.
    for peer in [&mut *own, &mut *direct] {
        calls_in_a_row(peer, 5 * plan.trips, &mut Vec::new())?;
    }
    for _ in 0..TURNS {
        calls_in_a_row(own, plan.trips, &mut mine)?;
        calls_in_a_row(direct, plan.trips, &mut theirs)?;
    }
    let row = |hundredths: usize| -> Outcome<Row> {
        let what = format!("round trip of a {SMALL}-byte call, `mcpmon run`, p{hundredths}");
        let (mine, theirs) = (percentile(mine.clone(), hundredths)?, percentile(theirs.clone(), hundredths)?);
        Ok(Row::ratio(what, mine, theirs, "docker run -i", 1.0))
    };
    Ok(vec![row(50)?, row(99)?])
}

fn pipelined(plan: &Plan, own: &mut Peer, direct: &mut Peer) -> Outcome<Row> {
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    say(&format!("session: {PIPELINED} calls at once"));
    // Each takes a few milliseconds, and where the scheduler puts whom differs from one to the next: few turns say little.
    for _ in 0..plan.trips {
        mine.push(burst(own)?);
        theirs.push(burst(direct)?);
    }
    let what = format!("{PIPELINED} pipelined calls, `mcpmon run`");
    Ok(Row::ratio(what, median(mine)?, median(theirs)?, "docker run -i", 1.0))
}

/// Milliseconds until all of them are answered.
fn burst(peer: &mut Peer) -> Outcome<f64> {
    let lines: Vec<String> = (0..PIPELINED).map(|_| sized(peer.number(), SMALL)).collect();
    let lines = lines.concat();
    let (input, output) = peer.pipes()?;
    let began = Instant::now();
    // Answers come while calls still go out: who only wrote would wait for ever.
    std::thread::scope(|scope| {
        let written = scope.spawn(|| input.write_all(lines.as_bytes()).map_err(|error| error.to_string()));
        for _ in 0..PIPELINED {
            output.next()?;
        }
        written.join().map_err(|_| "the writer panicked")?
    })?;
    Ok(milliseconds(began))
}

fn large(plan: &Plan, own: &mut Peer, direct: &mut Peer) -> Outcome<Row> {
    say("session: results of 1 MiB");
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..plan.trips {
        for (peer, times) in [(&mut *own, &mut mine), (&mut *direct, &mut theirs)] {
            let began = Instant::now();
            let text = peer.call(Era::Legacy, "big", &format!("{{\"bytes\":{LARGE}}}"))?;
            times.push(milliseconds(began));
            if text.len() != LARGE {
                return Err(format!("a result of {} bytes instead of {LARGE}", text.len()));
            }
        }
    }
    Ok(Row::ratio("a result of 1 MiB, `mcpmon run`", median(mine)?, median(theirs)?, "docker run -i", 1.0))
}

fn huge(plan: &Plan, rest: f64, own: &mut Peer, direct: &mut Peer) -> Outcome<Vec<Row>> {
    let before = peak(own.pid())?;
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for turn in 1..=plan.rounds {
        say(&format!("session: a line of 100 MB, turn {turn} of {}", plan.rounds));
        for (peer, times) in [(&mut *own, &mut mine), (&mut *direct, &mut theirs)] {
            let line = sized(peer.number(), HUGE);
            let began = Instant::now();
            peer.send(&line)?;
            let length = peer.next()?.len();
            times.push(milliseconds(began));
            if length < HUGE - SMALL {
                return Err(format!("an answer of {length} bytes to an echo of {HUGE}"));
            }
        }
    }
    #[allow(clippy::cast_precision_loss, reason = "100 million")]
    let frame = HUGE as f64 / MEBIBYTE;
    let most = peak(own.pid())?;
    let detail = format!("{most:.1} MiB; the line: {frame:.1}, idle: {rest:.1}, highest before: {before:.1}");
    Ok(vec![
        Row::ratio("a line of 100 MB and back, `mcpmon run`", median(mine)?, median(theirs)?, "docker run -i", 1.0),
        Row {
            bound_shown: "the line + 8 MiB".into(),
            ..Row::absolute("the most memory that this took, more than idle", most - rest, frame + 8.0, "MiB", &detail)
        },
    ])
}

/// The row of a plain command, with mcpmon and without.
pub(crate) fn process(plan: &Plan) -> Outcome<Vec<Row>> {
    let corner = Corner::new(plan, "session-process")?;
    say("session: round trips to a process");
    let server = target("image/mcp-server")?.display().to_string();
    let mut bare = Command::new(&server);
    bare.arg("lean").current_dir(&corner.folder);
    let mut own = Peer::open(&corner, "mcpmon CMD", corner.command(&[&server, "lean"]), Era::Legacy)?;
    let mut bare = Peer::open(&corner, "the bare process", bare, Era::Legacy)?;
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for peer in [&mut own, &mut bare] {
        calls_in_a_row(peer, 5 * plan.trips, &mut Vec::new())?;
    }
    for _ in 0..TURNS {
        calls_in_a_row(&mut own, plan.trips, &mut mine)?;
        calls_in_a_row(&mut bare, plan.trips, &mut theirs)?;
    }
    own.close()?;
    bare.close()?;
    let ninety_nine = (percentile(mine.clone(), 99)?, percentile(theirs.clone(), 99)?);
    let (mine, theirs) = (median(mine)?, median(theirs)?);
    let detail = format!(
        "{} and {} at p50, {} and {} at p99",
        time(mine),
        time(theirs),
        time(ninety_nine.0),
        time(ninety_nine.1)
    );
    let what = format!("round trip of a {SMALL}-byte call, `mcpmon CMD` more than the bare process, p50");
    Ok(vec![Row::absolute(what, (mine - theirs) * 1000.0, 60.0, "µs", &detail)])
}
