//! Whose the containers are that a line made, while it runs and when it is over.

use std::{
    collections::BTreeSet,
    io::Write,
    process::{Command, Stdio},
};

use super::place::{Going, Place};
use crate::{
    project::{OWN_LABEL, kill_with_watchdog},
    support::{docker, in_the_same_place, until},
};

#[test]
fn what_a_create_line_made_is_its_users() {
    let place = Place::new("compose-create", "create");
    place.write(
        "compose.yaml",
        "services:\n  web: {image: mcpmon-test-server, command: [idle], init: true, network_mode: host}\n",
    );
    place.ok("docker compose create", true);
    place.ok("docker compose start", true);
    assert_eq!((place.counts_running(), place.keeper().len()), (1, 1));
    let label = format!("{OWN_LABEL}={}", place.project.name);
    let line = format!("docker create --init --network none --label {label} mcpmon-test-server idle");
    let made = String::from_utf8_lossy(&place.output(&line, true).stdout).trim().to_owned();
    assert!(docker(&["start", &made]).status.success());
    let cleanup = place.project.run(&["cleanup", "--dry-run", "--verbose", "--format", "json"]);
    let name = docker(&["inspect", "--format", "{{.Name}}", &made]).stdout;
    let name = String::from_utf8_lossy(&name).trim().trim_start_matches('/').to_owned();
    assert!(!name.is_empty() && !cleanup.out.contains(&name) && !cleanup.out.contains(&place.name), "{cleanup:?}");
    // The next `up` makes it a session's.
    let mut going = place.start("docker compose up");
    going.wait("Attaching to");
    until("it is the session's", || place.keeper() == BTreeSet::from([going.child.id().to_string()]));
    going.signal("INT");
    assert_eq!(going.end(), Some(130));
}

#[test]
fn what_an_up_line_left_stopped_is_its_users_and_what_a_killed_one_left_running_is_not() {
    let place = Place::new("compose-left", "left");
    place.write(
        "compose.yaml",
        "services:\n  web: {image: mcpmon-test-server, command: [idle], init: true, network_mode: host}\n",
    );
    let found = || {
        let listed = place.project.run(&["cleanup", "--dry-run", "--verbose", "--format", "json"]).events();
        let name = format!("{}-web-1", place.name);
        let own = listed.iter().find(|event| event["name"] == name);
        own.map(|event| event["verdict"].as_str().unwrap_or_default().to_owned())
    };
    let mut going = place.start("docker compose up");
    going.wait("Attaching to");
    until("it runs", || place.counts_running() == 1);
    assert_eq!(found().as_deref(), Some("owned"));
    going.signal("INT");
    assert_eq!((going.end(), place.counts_running(), found()), (Some(130), 0, None));
    place.ok("docker compose start", false);
    assert_eq!((place.counts_running(), found()), (1, None), "started again by hand");

    // The next `up` makes it a session's, which is killed, and whose watchdog stops it in time or not.
    let going = place.start("docker compose up");
    until("it is the session's", || place.keeper() == BTreeSet::from([going.child.id().to_string()]));
    until("it runs", || place.counts_running() == 1);
    going.signal("KILL");
    until("the watchdog stops it, and is done", || place.counts_running() == 0 && found().is_none());
    let mut going = place.start("docker compose up");
    until("it is the session's", || place.keeper() == BTreeSet::from([going.child.id().to_string()]));
    until("it runs", || place.counts_running() == 1);
    kill_with_watchdog(going.child.id());
    // The signal's sender does not wait for the end.
    going.child.wait().expect("it ended");
    assert_eq!((place.counts_running(), found().as_deref()), (1, Some("orphan")));
}

#[test]
fn what_is_detached_from_by_its_keys_goes_on_and_is_its_users() {
    let place = Place::new("compose-keys", "keys");
    place.write(
        "compose.yaml",
        "services:\n  web: {image: mcpmon-test-server, command: [lines, --every, '100'], network_mode: host}\n",
    );
    // A terminal of its own, made by script(1).
    let mut command = Command::new("script");
    command.args(["-qefc", concat!(env!("CARGO_BIN_EXE_mcpmon"), " docker compose run --rm web"), "/dev/null"]);
    in_the_same_place(&place.command("docker compose run", true), &mut command);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut going = Going::new(command);
    let mut keys = going.child.stdin.take().expect("a pipe");
    going.wait("line 2");
    keys.write_all(b"\x10\x11").expect("they are read");
    going.wait("comes back to it");
    assert_eq!((going.end(), place.counts_running()), (Some(0), 1));
    let cleanup = place.project.run(&["cleanup", "--dry-run", "--verbose", "--format", "json"]);
    assert!(!cleanup.out.contains(&place.name), "{cleanup:?}");
}
