//! However a line ends, nothing of it goes on running.

use std::{fs, process::Command};

use super::place::{Place, is_alive};
use crate::support::until;

/// Where compose is asked to end in the middle of its starts it stops what runs, starts the others all the same, and
/// waits for their end for ever.
#[test]
fn a_line_that_is_ended_while_it_starts_leaves_nothing_running() {
    let place = Place::new("compose-early", "early");
    let service = |name: &str, more: &str| {
        format!("  {name}: {{image: mcpmon-test-server, command: [idle], init: true, network_mode: host{more}}}\n")
    };
    let chain = [service("a", ""), service("b", ", depends_on: [a]"), service("c", ", depends_on: [b]")].concat();
    place.write("compose.yaml", &format!("services:\n{chain}"));
    let mut going = place.start("docker compose up");
    until("the first has started", || place.counts_running() > 0);
    going.signal("INT");
    assert_eq!(going.end(), Some(130));
    assert_eq!(place.counts_running(), 0);
}

#[test]
fn compose_that_does_not_end_is_killed_and_leaves_nothing_running() {
    let place = Place::new("compose-stuck", "stuck");
    place.write(
        "compose.yaml",
        "services:\n  web: {image: mcpmon-test-server, command: [idle], init: true, network_mode: host}\n",
    );
    let mut going = place.start("docker compose up -t 0");
    until("it runs", || place.counts_running() == 1);
    // The CLI and its plugin are a process group, led by mcpmon's child that is not the watchdog.
    let mcpmon = going.child.id();
    let children = fs::read_to_string(format!("/proc/{mcpmon}/task/{mcpmon}/children")).expect("it runs");
    let is_watchdog =
        |pid: &&str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "mcpmon-watchdog");
    let compose = children.split_whitespace().find(|pid| !is_watchdog(pid)).expect("compose runs");
    assert!(Command::new("kill").args(["-STOP", "--", &format!("-{compose}")]).status().expect("kill runs").success());
    going.signal("INT");
    let said = going.wait("was asked to end, and did not");
    assert_eq!(going.end(), Some(130), "{said:#?}");
    assert_eq!(place.counts_running(), 0);
    assert!(!is_alive(compose));
}

#[test]
fn signals_stop_what_runs_and_so_does_a_kill() {
    let place = Place::new("compose-signals", "ends");
    place.write(
        "compose.yaml",
        "services:\n  long: {image: mcpmon-test-server, command: [idle], init: true, network_mode: host}\n",
    );
    for (signal, code) in [("INT", 130), ("TERM", 130), ("HUP", 129)] {
        let mut going = place.start("docker compose up long");
        until("it runs", || place.counts_running() == 1);
        going.wait("Attaching to");
        going.signal(signal);
        assert_eq!(going.end(), Some(code), "{signal}");
        assert_eq!(place.counts_running(), 0, "{signal}");
    }
    // Killed: what ran is stopped all the same.
    let mut going = place.start("docker compose up long");
    going.wait("Attaching to");
    until("it runs", || place.counts_running() == 1);
    going.signal("KILL");
    let _ = going.child.wait();
    until("it is stopped", || place.counts_running() == 0);
}
