//! Many trivial targets: up, up again, down. The peer is compose with the same image, command, init and network shape.

use std::fmt::Write;

use crate::{
    Plan,
    corner::{Corner, IMAGE},
    run::{Outcome, median, say},
    table::Row,
};

#[derive(Default)]
struct Times {
    up: Vec<f64>,
    again: Vec<f64>,
    down: Vec<f64>,
}

/// The rows of many targets.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    let corner = Corner::new(plan, "fifty")?;
    corner.targets("", plan.targets, "command = [\"idle\"]")?;
    let mut compose = format!("name: {}\nservices:\n", corner.name);
    for number in 0..plan.targets {
        // Writing to a String can't fail.
        let _ = writeln!(compose, "  t{number:02}: {{ image: \"{IMAGE}\", command: [idle], init: true }}");
    }
    corner.write("compose.yaml", &compose)?;

    let (mut mcpmon, mut peer) = (Times::default(), Times::default());
    for round in 0..plan.rounds {
        say(&format!("{} targets, round {} of {}", plan.targets, round + 1, plan.rounds));
        // Whoever comes second finds a warmer machine: they take turns.
        for own in [round % 2 == 0, round % 2 == 1] {
            if own {
                one(plan, &mut mcpmon, &["up", "-d", "--wait"], &["down"], |arguments| corner.mcpmon(arguments))?;
            } else {
                let (up, down) = (["compose", "up", "-d"], ["compose", "down"]);
                one(plan, &mut peer, &up, &down, |arguments| corner.docker(arguments))?;
            }
            corner.clean();
        }
    }
    let count = plan.targets;
    let row = |what: String, own: Vec<f64>, peer: Vec<f64>, peer_name: &str, bound| {
        Ok::<_, String>(Row::ratio(what, median(own)?, median(peer)?, peer_name, bound))
    };
    Ok(vec![
        row(
            format!("nothing to do: `mcpmon up -d --wait` again, {count} running targets"),
            mcpmon.again,
            peer.again,
            "docker compose up -d",
            0.25,
        )?,
        row(
            format!("first `mcpmon up -d --wait`, {count} trivial targets"),
            mcpmon.up,
            peer.up,
            "docker compose up -d",
            1.0,
        )?,
        row(format!("`mcpmon down`, {count} targets"), mcpmon.down, peer.down, "docker compose down", 0.9)?,
    ])
}

fn one(
    plan: &Plan,
    times: &mut Times,
    up: &[&str],
    down: &[&str],
    run: impl Fn(&[&str]) -> Outcome<f64>,
) -> Outcome<()> {
    times.up.push(run(up)?);
    for _ in 0..plan.again {
        times.again.push(run(up)?);
    }
    match run(down) {
        Ok(took) => times.down.push(took),
        // Compose and engine 20.10 now and then: "network … has active endpoints". No time to compare with.
        Err(error) if error.contains("has active endpoints") => say("a down failed: active endpoints; left out"),
        Err(error) => return Err(error),
    }
    Ok(())
}
