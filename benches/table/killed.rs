//! What a killed session leaves, and for how long; what watching for that costs.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Plan,
    corner::{Corner, IMAGE},
    resident::Memory,
    run::{Outcome, median, printed, say, wait},
    table::Row,
};

const LIMIT: Duration = Duration::from_secs(30);
const PAUSE: Duration = Duration::from_millis(5);

/// The rows of the watchdog.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    let corner = Corner::new(plan, "killed")?;
    corner.targets("", 1, "command = [\"idle\"]\nnetwork_mode = \"none\"")?;
    let (mut gone, mut stops, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..plan.saves {
        say(&format!("killed sessions: {round} of {}", plan.saves));
        let mut up = corner
            .command(&["up"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let running = |name: String| {
            let found = printed("docker", &["ps", "-q", "--no-trunc", "--filter", &format!("name={name}")])?;
            Ok((!found.is_empty()).then_some(found))
        };
        let id = wait("the container", LIMIT, PAUSE, || running(format!("{}-t00", corner.name)))?;
        let watchdog = watchdog_of(up.id())?;
        memory.push(Memory::of(watchdog)?);
        let destroyed = Destroyed::of(&id)?;
        let killed = Instant::now();
        kill(up.id())?;
        gone.push(destroyed.wait(killed)?);
        up.wait().map_err(|error| error.to_string())?;
        wait("the watchdog's end", LIMIT, PAUSE, || {
            Ok((!fs::exists(format!("/proc/{watchdog}")).unwrap_or(false)).then_some(()))
        })?;

        let (key, value) = corner.label();
        let label = format!("{key}={value}");
        let id = printed("docker", &["run", "-d", "--init", "--network", "none", "--label", &label, IMAGE, "idle"])?;
        stops.push(corner.docker(&["stop", &id])?);
        corner.docker(&["rm", &id])?;
    }
    let (gone, stop) = (median(gone)?, median(stops)?);
    let bound = (stop * 1.5 + 100.0).round();
    Ok(vec![
        Row {
            bound_shown: format!("1.5 × `docker stop` + 100 ms = {bound} ms"),
            ..Row::absolute(
                "kill -9 of `up` → its container stopped and removed",
                gone,
                bound,
                "ms",
                &format!("`docker stop` of the same: {stop:.0} ms"),
            )
        },
        Row::absolute(
            "memory (RSS) of a session's watchdog",
            median(memory.iter().map(|memory| memory.rss).collect())?,
            3.0,
            "MiB",
            &format!("PSS {:.2} MiB", median(memory.iter().map(|memory| memory.pss).collect())?),
        ),
    ])
}

fn watchdog_of(session: u32) -> Outcome<u32> {
    let path = format!("/proc/{session}/task/{session}/children");
    let children = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let is_one =
        |pid: &&str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "mcpmon-watchdog");
    children.split_whitespace().find(is_one).and_then(|pid| pid.parse().ok()).ok_or_else(|| "no watchdog".into())
}

fn kill(pid: u32) -> Outcome<()> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or("no pid")?;
    kill_process(pid, Signal::KILL).map_err(|error| error.to_string())
}

/// Waits for the engine's word that a container is gone.
struct Destroyed(std::process::Child);

impl Destroyed {
    fn of(id: &str) -> Outcome<Self> {
        let mut command = Command::new("docker");
        command.args([
            "events",
            "--since",
            "1s",
            "--filter",
            "event=destroy",
            "--filter",
            &format!("container={id}"),
            "--format",
            "{{.ID}}",
        ]);
        command.stdout(Stdio::piped()).spawn().map(Self).map_err(|error| error.to_string())
    }

    /// Milliseconds since then.
    fn wait(mut self, since: Instant) -> Outcome<f64> {
        let mut line = String::new();
        let output = self.0.stdout.take().ok_or("no output")?;
        BufReader::new(output).read_line(&mut line).map_err(|error| error.to_string())?;
        let took = since.elapsed();
        let _ = self.0.kill();
        let _ = self.0.wait();
        if line.is_empty() { Err("docker events ended".into()) } else { Ok(took.as_secs_f64() * 1000.0) }
    }
}
