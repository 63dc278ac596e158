//! Other programs with the same job, in front of the same servers: the Python package `mcpmon` (another project of that name),
//! measured here, and mcpmon's predecessor in TypeScript, with the figures that were measured for it. Shown, not judged.

use std::{
    process::Command,
    time::{Duration, Instant},
};

use super::{
    GREET, GREETING,
    calls::Era,
    config,
    load::{Load, Tally},
    peer::{LIMIT, Peer},
    target,
};
use crate::{
    Plan,
    corner::Corner,
    run::{Outcome, median, say, wait},
    table::{Row, time},
};

/// The package's name in the table.
const PACKAGE: &str = "PyPI's mcpmon 1.0.1";
/// What was measured for the predecessor, whose reload of a container waits for fixed times: save → new code answers, and how
/// many of the calls made meanwhile were never answered.
const PREDECESSOR: (&str, &str) = ("7.50 s", "8 %");
/// What the Python SDK's server is in the tests too.
const SCRIPT: &str = include_str!("../../../tests/it/server.py");
/// Between two saves: what fails, fails for so long.
const PAUSE: Duration = Duration::from_secs(4);

/// The rows of others.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    let corner = Corner::new(plan, "session-others")?;
    corner.write("mcpmon.toml", &format!("version = 1\nname = \"{}\"\n{}", corner.name, config()))?;
    Ok(vec![in_a_container(plan, &corner)?, in_front_of_python(plan, &corner)?])
}

/// The package, watching a folder of the corner, in front of a command line.
fn package(corner: &Corner, folder: &str, suffix: &str, server: &Command) -> Outcome<Command> {
    let mut command = Command::new(target("python/benches/bin/python")?);
    command.args(["-m", "mcpmon", "--watch"]).arg(corner.folder.join(folder)).args(["--ext", suffix, "--"]);
    command.arg(server.get_program()).args(server.get_args()).current_dir(corner.folder.join(folder));
    Ok(command)
}

/// Save → new code answers, in the modern era: there no server has to be opened again.
fn in_a_container(plan: &Plan, corner: &Corner) -> Outcome<Row> {
    corner.write(GREETING, "0\n")?;
    let direct = corner.docker_run(&["-v", &corner.content()], &GREET);
    let mut own = Peer::open(corner, "mcpmon run", corner.command(&["run", "greeter"]), Era::Modern)?;
    let mut other = Peer::open(corner, PACKAGE, package(corner, "content", "txt", &direct)?, Era::Modern)?;
    let (mut mine, mut theirs) = (Vec::new(), Vec::new());
    for peer in [&mut own, &mut other] {
        peer.call(Era::Modern, "greet", "{}")?;
    }
    for save in 1..=plan.saves.min(5) {
        say(&format!("session: others, save {save}"));
        let began = Instant::now();
        corner.write(GREETING, &format!("{save}\n"))?;
        // Both see the same save; the quicker one is done first, and is not in the way of the other.
        mine.push(answers(&mut own, save, began)?);
        theirs.push(answers(&mut other, save, began)?);
    }
    own.close()?;
    other.terminate()?; // its input's end is nothing to it
    let peer = format!("{PACKAGE}: {}; the predecessor: {}", time(median(theirs)?), PREDECESSOR.0);
    Ok(Row::shown("beside it: save → new code answers (container, 2026-07-28)", time(median(mine)?), peer))
}

/// Asks until the new greeting is heard. A call that is never answered is asked again after a while.
fn answers(peer: &mut Peer, save: usize, since: Instant) -> Outcome<f64> {
    wait("the new code's answer", LIMIT, Duration::from_millis(1), || {
        let mut load = Load::new(peer, Era::Modern, 0);
        let wanted = u64::try_from(save).map_err(|error| error.to_string())?;
        Ok(load.heard(wanted, LIMIT)?.then(|| since.elapsed().as_secs_f64() * 1000.0))
    })
}

/// Calls at a steady pace to a server written with the Python SDK, and a client that opened its session once.
fn in_front_of_python(plan: &Plan, corner: &Corner) -> Outcome<Row> {
    let python = target("python/benches/bin/python")?.display().to_string();
    let mut shares = Vec::new();
    for folder in ["own", "other"] {
        let script = corner.folder.join(folder).join("server.py").display().to_string();
        let save = |greeting: u64| corner.write(&format!("{folder}/server.py"), &edited(greeting));
        save(0)?;
        let mut server = Command::new(&python);
        server.arg(&script);
        let command =
            if folder == "own" { corner.command(&[&python, &script]) } else { package(corner, folder, "py", &server)? };
        let mut peer = Peer::open(corner, folder, command, Era::Legacy)?;
        let mut load = Load::new(&mut peer, Era::Legacy, 0);
        load.go_on(PAUSE / 2)?;
        for greeting in 1..=plan.storm.min(3) {
            say(&format!("session: others, Python server, save {greeting}"));
            save(greeting)?;
            load.go_on(PAUSE)?;
        }
        let tally = load.finish(Duration::from_secs(5))?;
        shares.push(share(&tally));
        if folder == "own" { peer.close()? } else { peer.terminate()? }
    }
    let [own, other] = shares.as_slice() else { return Err("two were measured".into()) };
    let peer = format!("{PACKAGE}: {other}; the predecessor: {} lost", PREDECESSOR.1);
    Ok(Row::shown("beside it: calls that fail, Python SDK server, a save every 4 s, client of 2025-11-25", own, peer))
}

/// The script with a number as its greeting, and an echo.
fn edited(greeting: u64) -> String {
    let echo = "@server.tool()\ndef echo(text: str) -> str:\n    return text\n";
    let text = SCRIPT.replace("GREETING = \"one\"", &format!("GREETING = \"{greeting}\""));
    text.replace("# More tools come here.", echo)
}

fn share(tally: &Tally) -> String {
    #[allow(clippy::cast_precision_loss, reason = "a few hundred calls")]
    let share = tally.bad() as f64 / tally.sent as f64 * 100.0;
    format!("{share:.1} % of {} (lost {}, failed {})", tally.sent, tally.lost, tally.errors)
}
