//! What is changed from outside while `mcpmon up` runs is put right, and what is somebody else's is left alone.

use std::time::{Duration, Instant};

use crate::{
    engine_api::{self, Kind},
    project::{Project, Up},
    support::{docker, inspected, until},
};

const IDLE: &str = r#"
[targets.api]
image = "mcpmon-test-server:latest"
pull_policy = "never"
command = ["idle"]
network_mode = "host"
"#;

/// Far above what is promised (one second), far below the resync (30 s): a busy machine does not make it red,
/// a missed event does.
const SOON: Duration = Duration::from_secs(10);

/// Does something to the target's container by the docker CLI and waits until mcpmon has put it right.
#[track_caller]
#[expect(clippy::print_stdout, reason = "a passing test shows its measurement on request")]
fn disturbed(project: &Project, up: &mut Up, arguments: &[&str]) -> String {
    let name = project.container("api");
    let output = docker(&[arguments, &[name.as_str()]].concat());
    assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let done = Instant::now();
    let action = up.wait("action_started", "api");
    let right = up.wait("action_done", "api");
    let took = right.at.saturating_duration_since(done);
    // The CLI may come back later than the engine's event; then there is nothing to measure.
    println!("docker {}: {} after {took:?}", arguments.join(" "), right.text("action"));
    assert!(took < SOON, "docker {arguments:?} was put right after {took:?}");
    format!("{}: {}", action.text("action"), action.text("cause"))
}

#[track_caller]
fn runs(project: &Project) -> String {
    let container = project.inspect("api");
    assert_eq!(container["State"]["Status"], "running");
    container["Id"].as_str().expect("an id").to_owned()
}

#[test]
fn what_is_killed_stopped_removed_or_paused_comes_back() {
    let project = Project::with("repair", IDLE);
    let mut up = project.settled();
    let first = runs(&project);

    assert_eq!(disturbed(&project, &mut up, &["kill"]), "start: it ended with exit code 137");
    assert_eq!(runs(&project), first);
    assert_eq!(disturbed(&project, &mut up, &["stop"]), "start: it ended with exit code 0");
    assert_eq!(runs(&project), first);
    assert_eq!(disturbed(&project, &mut up, &["pause"]), "unpause: somebody paused it");
    assert_eq!(runs(&project), first);
    // Its end is seen before its removal, or with it.
    let seen = disturbed(&project, &mut up, &["rm", "-f"]);
    assert!(["start: it ended with exit code 137", "create: somebody removed it"].contains(&&*seen), "{seen}");
    assert_ne!(runs(&project), first);
    // Nothing of this is a crash or a failure: nobody is made to wait.
    let bad = up.seen(|event| event["event"] == "crashed" || event["event"] == "action_failed");
    assert_eq!(bad, Vec::<serde_json::Value>::new());
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn what_is_renamed_gets_its_name_back() {
    let project = Project::with("rename", IDLE);
    let mut up = project.settled();
    let id = runs(&project);
    let other = format!("{}-other", project.name);
    assert!(docker(&["rename", &project.container("api"), &other]).status.success());
    let action = up.wait("action_started", "api");
    assert_eq!((action.text("action"), action.text("cause")), ("rename", &*format!("somebody renamed it to {other}")));
    up.wait("action_done", "api");
    assert_eq!(runs(&project), id);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_network_that_is_removed_comes_back_with_who_was_on_it() {
    let project = Project::with("network", &IDLE.replace("network_mode = \"host\"\n", ""));
    let mut up = project.settled();
    let networks = |container: &serde_json::Value| container["NetworkSettings"]["Networks"].clone();
    let before = networks(&project.inspect("api"));
    let name = before.as_object().and_then(|all| all.keys().next()).expect("a network").clone();
    let id = before[&name]["NetworkID"].clone();
    // mcpmon may be quicker in between: then it is on it again.
    until("it is removed", || {
        docker(&["network", "disconnect", "-f", &name, &project.container("api")]);
        docker(&["network", "rm", &name]).status.success()
    });
    until("it is on a network of that name again", || {
        let found = engine_api::inspect(Kind::Container, &project.container("api"));
        found.is_some_and(|found| {
            let now = &found["NetworkSettings"]["Networks"][&name]["NetworkID"];
            now.as_str().is_some_and(|now| !now.is_empty()) && *now != id
        })
    });
    runs(&project);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn what_dies_of_itself_comes_back_at_once() {
    let project = Project::with("dies", IDLE);
    let mut up = project.settled();
    let process = project.inspect("api")["State"]["Pid"].to_string();
    assert_ne!(process, "0");
    // Not by the engine: nobody asked for this end.
    assert!(std::process::Command::new("kill").args(["-9", &process]).status().expect("kill runs").success());
    let killed = Instant::now();
    let crashed = up.wait("crashed", "api");
    assert_eq!((crashed.number("failures"), crashed.number("retry_ms")), (1, 0));
    assert_eq!(crashed.number("exit_code"), 137);
    let back = up.wait("action_done", "api");
    let took = back.at.saturating_duration_since(killed);
    println!("kill -9 of its process: {} after {took:?}", back.text("action"));
    assert!(took < SOON, "back after {took:?}");
    runs(&project);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_foreign_container_that_takes_the_name_is_left_alone() {
    let project = Project::with("foreign", IDLE);
    let name = project.container("api");
    // Made by hand, without any of mcpmon's labels: removed by this test itself.
    let made = docker(&["run", "-d", "--network", "host", "--name", &name, "mcpmon-test-server:latest", "idle"]);
    let foreign = String::from_utf8_lossy(&made.stdout).trim().to_owned();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let remove = Removal(foreign.clone());

    // The plan says it before anything is tried.
    let plan = project.run(&["plan"]);
    insta::assert_snapshot!(project.tidy(&plan.out).replace(&foreign[..12], "FOREIGN"), @r"
    ! api  held: the name PROJECT-api is taken by container FOREIGN, which is not this project's: remove or rename that one, or set another container_name

    Plan: 1 held.
    ");
    let mut up = project.up(&[]);
    let failed = up.wait_for("a word about the name", |event| {
        event["event"] == "held" || (event["event"] == "action_failed" && event["target"] == "api")
    });
    insta::assert_snapshot!(project.tidy(&failed.event.to_string()).replace(&foreign[..12], "FOREIGN"), @r#"{"event":"action_failed","target":"api","action":"create","error":"the name PROJECT-api is taken by container FOREIGN (not made by mcpmon)","hint":"remove or rename the container that has the name, or set another container_name","retry_ms":500}"#);
    assert_eq!(inspected(&foreign)["State"]["Status"], "running");
    assert_eq!(inspected(&foreign)["Name"], format!("/{name}"));
    // When it is gone, mcpmon goes on by itself.
    drop(remove);
    up.wait("ready", "api");
    assert_ne!(runs(&project), foreign);
    up.interrupt();
    project.assert_nothing_left();
}

/// Removes a container at the end, however the test ends.
struct Removal(String);

impl Drop for Removal {
    fn drop(&mut self) {
        docker(&["rm", "-f", &self.0]);
    }
}

#[test]
fn drift_can_be_left_as_it_is() {
    let project = Project::with("drift", &format!("reconcile.on_drift = \"warn\"\n{IDLE}"));
    let mut up = project.settled();
    assert!(docker(&["pause", &project.container("api")]).status.success());
    let held = up.wait("held", "api");
    assert_eq!(held.text("reason"), "somebody paused it; left so (reconcile.on_drift = \"warn\")");
    assert_eq!(project.inspect("api")["State"]["Status"], "paused");
    assert!(docker(&["unpause", &project.container("api")]).status.success());
    assert!(docker(&["stop", "--time", "1", &project.container("api")]).status.success());
    let held = up.wait("held", "api");
    assert_eq!(held.text("reason"), "somebody stopped it; left so (reconcile.on_drift = \"warn\")");
    assert_eq!(project.inspect("api")["State"]["Status"], "exited");
    assert!(docker(&["start", &project.container("api")]).status.success());
    up.wait("ready", "api");
    assert!(docker(&["pause", &project.container("api")]).status.success());
    up.wait("held", "api");
    // A paused container is no reason to stay.
    up.interrupt();
    project.assert_nothing_left();
}
