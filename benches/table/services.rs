//! A compose target of twenty services: up again with nothing to do. The peer is what compose itself needs to read the
//! project.

use std::fmt::Write;

use crate::{
    Plan,
    corner::{Corner, IMAGE},
    run::{Outcome, median, say},
    table::Row,
};

const SERVICES: usize = 20;

/// The row of compose services.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    let corner = Corner::new(plan, "services")?;
    let mut compose = String::from("services:\n");
    for number in 0..SERVICES {
        // Writing to a String can't fail.
        let _ = writeln!(compose, "  t{number:02}: {{ image: \"{IMAGE}\", command: [idle], init: true }}");
    }
    corner.write("compose.yaml", &compose)?;
    let target = format!("name = \"{0}\"\n[targets.all.compose]\nproject_name = \"{0}\"\n", corner.name);
    corner.write("mcpmon.toml", &target)?;
    say(&format!("{SERVICES} services of a compose target"));
    corner.mcpmon(&["up", "-d", "--wait"])?;
    let (mut again, mut config) = (Vec::new(), Vec::new());
    for _ in 0..(plan.rounds * plan.again).max(5) {
        again.push(corner.mcpmon(&["up", "-d", "--wait"])?);
        config.push(corner.docker(&["compose", "-p", &corner.name, "config", "-q"])?);
    }
    corner.mcpmon(&["down"])?;
    corner.clean();
    let what = format!("nothing to do: `mcpmon up -d --wait` again, a compose target of {SERVICES} services");
    Ok(vec![Row::ratio(what, median(again)?, median(config)?, "docker compose config", 1.1)])
}
