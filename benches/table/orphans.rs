//! What dead sessions left: `mcpmon cleanup --force`, and the peer, `docker rm -f` of the same in one command. The servers end
//! on SIGTERM, as they should: docker kills them at once, mcpmon lets them end.

use std::process::{Command, Stdio};

use mcpmon::{model::labels, session::host};

use crate::{
    Plan,
    corner::{Corner, IMAGE},
    run::{Outcome, median, say},
    table::Row,
};

/// Containers started at once.
const AT_ONCE: usize = 8;
/// No process has this id: the kernel's limit is 2^22.
const NOBODY: &str = "4194305";

/// The row of many orphans.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    let corner = Corner::new(plan, "orphans")?;
    let (mut mcpmon, mut peer) = (Vec::new(), Vec::new());
    for round in 0..plan.rounds {
        say(&format!("{} orphans, round {} of {}", plan.targets, round + 1, plan.rounds));
        // Whoever comes second finds a warmer machine: they take turns.
        for own in [round % 2 == 0, round % 2 == 1] {
            make(&corner, plan.targets)?;
            let containers = corner.containers()?;
            if containers.len() != plan.targets {
                return Err(format!("{} of {} containers could be made", containers.len(), plan.targets));
            }
            if own {
                mcpmon.push(corner.mcpmon(&["cleanup", "--force"])?);
            } else {
                let ids: Vec<&str> = containers.iter().map(String::as_str).collect();
                peer.push(corner.docker(&[&["rm", "-f"], &ids[..]].concat())?);
            }
            if let [_, ..] = corner.containers()?[..] {
                return Err("containers were left".to_owned());
            }
        }
    }
    let what = format!("`mcpmon cleanup --force` of {} orphans", plan.targets);
    Ok(vec![Row::ratio(what, median(mcpmon)?, median(peer)?, "docker rm -f, one command", 1.3)])
}

/// Running containers as a dead session would have left them.
fn make(corner: &Corner, count: usize) -> Outcome<()> {
    let labels = [
        format!("{}=true", labels::MANAGED),
        format!("{}={NOBODY}", labels::PID),
        format!("{}=1", labels::PID_START),
        format!("{}={}", labels::HOST, host::identity()),
        format!("{}={}", labels::PROJECT, corner.name),
    ];
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(AT_ONCE) {
        let started: Outcome<Vec<_>> = some
            .iter()
            .map(|number| {
                let mut docker = Command::new("docker");
                docker.args(["run", "-d", "--init", "--name", &format!("{}-{number}", corner.name)]);
                docker.args(labels.iter().flat_map(|label| ["--label", label])).args([IMAGE, "idle"]);
                docker.stdin(Stdio::null()).stdout(Stdio::null()).spawn().map_err(|error| format!("docker: {error}"))
            })
            .collect();
        for mut docker in started? {
            let status = docker.wait().map_err(|error| format!("docker: {error}"))?;
            if !status.success() {
                return Err(format!("docker run: {status}"));
            }
        }
    }
    Ok(())
}
