//! `mcpmon up` from its start to its end: what it makes, what it writes on it, and that nothing is left.

use std::time::{Duration, Instant};

use mcpmon::model::labels;

use crate::{
    project::{Project, kill_with_watchdog},
    support::docker,
};

/// One target that waits to be told to end.
const IDLE: &str = r#"
[targets.api]
image = "mcpmon-test-server:latest"
pull_policy = "never"
command = ["idle"]
network_mode = "host"
"#;

/// One that ignores every polite signal.
const STUBBORN: &str = r#"
[targets.api]
image = "mcpmon-test-server:latest"
pull_policy = "never"
command = ["stubborn"]
network_mode = "host"
"#;

#[test]
fn every_label_says_whose_it_is() {
    let mut project = Project::with("labels", IDLE);
    project.environment("MCPMON_DOCKER_LABELS", "team=acme");
    let mut up = project.up(&[]);
    let started = up.wait("session_started", "");
    up.wait("settled", "");
    let container = project.inspect("api");
    let label = |key: &str| container["Config"]["Labels"][key].as_str().unwrap_or_else(|| panic!("no label {key}"));
    let process = std::fs::read_to_string(format!("/proc/{}/stat", up.pid())).expect("it lives");
    // Field 22; the second may hold spaces, and ends with the last parenthesis.
    let ticks = process.rsplit_once(')').expect("a name").1.split_whitespace().nth(19).expect("a start time");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock").as_millis();

    assert_eq!(label(labels::MANAGED), "true");
    assert_eq!(label(labels::PID), up.pid().to_string());
    assert_eq!(label(labels::PID_START), ticks);
    assert_eq!(label(labels::SESSION), started.text("session"));
    assert!(uuid::Uuid::parse_str(label(labels::SESSION)).is_ok());
    let begun: u128 = label(labels::STARTED).parse().expect("milliseconds");
    assert!(now.abs_diff(begun) < 60_000, "{begun} is not just before {now}");
    assert_eq!(label(labels::HOST), mcpmon::session::host::identity().to_string());
    assert_eq!(label(labels::PROJECT), project.name);
    assert_eq!(label(labels::TARGET), "api");
    let hash = label(labels::CONFIG_HASH);
    assert!(hash.len() == 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()), "{hash}");
    assert_eq!(label(labels::CONFIG_FILE), project.path("mcpmon.toml").display().to_string());
    assert_eq!(label("team"), "acme");
    assert_eq!(started.number("pid"), u64::from(up.pid()));
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn each_signal_leaves_nothing_and_has_its_exit_code() {
    let project = Project::new("signals");
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129), ("QUIT", 131)] {
        // A network of the project's own, and a volume, which is data and stays.
        project.config(
            r#"
            [targets.api]
            image = "mcpmon-test-server:latest"
            pull_policy = "never"
            command = ["idle"]
            networks = ["inner"]
            volumes = ["cache:/cache"]
            [networks.inner]
            internal = true
            [volumes.cache]
            "#,
        );
        let mut up = project.settled();
        assert_eq!(project.on_the_engine().len(), 3, "{:?}", project.on_the_engine());
        up.signal(signal);
        let stopping = up.wait("stopping", "");
        assert_eq!(stopping.text("cause"), format!("SIG{signal}"));
        let stopped = up.wait("stopped", "");
        assert_eq!((stopped.number("removed"), stopped.number("left")), (1, 0));
        let (status, errors) = up.end();
        assert_eq!(status.code(), Some(code), "SIG{signal}: {errors}");
        assert_eq!(project.on_the_engine(), [format!("volume {}_cache", project.name)], "SIG{signal}");
    }
    assert_eq!(project.run(&["down", "-v"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn what_ignores_its_stop_is_killed_after_its_grace_period() {
    let project = Project::with("grace", &format!("{STUBBORN}stop_grace_period = \"1s\"\n"));
    let mut up = project.settled();
    let told = Instant::now();
    up.interrupt();
    let took = told.elapsed();
    assert!(took >= Duration::from_secs(1), "it had {took:?} of its 1 s");
    assert!(took < Duration::from_secs(8), "killing after 1 s took {took:?}");
    project.assert_nothing_left();
}

#[test]
fn a_second_interrupt_kills_at_once() {
    let project = Project::with("hurry", &format!("{STUBBORN}stop_grace_period = \"5m\"\n"));
    let mut up = project.settled();
    up.signal("INT");
    up.wait("stopping", "");
    // It says so when it was asked to end; from then on nothing but the kill can end it.
    up.wait_for("the container's word", |event| event["event"] == "log" && event["line"] == "ignored SIGTERM");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_signal_while_things_are_being_made_leaves_nothing() {
    let mut config = String::new();
    for number in 0..6 {
        config += &IDLE.replace("targets.api", &format!("targets.t{number}"));
    }
    let project = Project::with("early", &config);
    for event in ["session_started", "action_started", "action_done"] {
        let mut up = project.up(&[]);
        up.wait(event, "");
        up.interrupt();
        project.assert_nothing_left();
    }
}

#[test]
fn a_killed_mcpmon_is_followed_by_one_that_takes_its_place() {
    // In the host's network the old one would be gone before the new one starts.
    let idle = IDLE.replace("\"host\"", "\"none\"");
    let project = Project::with("again", &idle);
    let first = project.settled();
    let old = project.id("api");
    let dead = first.pid();
    kill_with_watchdog(dead);
    drop(first);
    assert_eq!(project.id("api"), old, "a killed process can't clean up");
    // Another configuration: it can't be taken over.
    project.config(&format!("{idle}environment = {{ A = \"1\" }}\n"));
    let mut up = project.up(&[]);
    let replaced = up.wait("action_started", "api");
    assert_eq!(replaced.text("action"), "replace");
    assert_eq!(
        replaced.text("cause"),
        format!("the file asks for something else; its owner, pid {dead}, is dead: environment.A")
    );
    up.wait("settled", "");
    assert_ne!(project.id("api"), old);
    // Also the old one, which is kept for a while in case that the new one ends soon.
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn on_exit_keep_leaves_the_containers() {
    let project = Project::with("keep", &format!("reconcile.on_exit = \"keep\"\n{IDLE}"));
    let mut up = project.settled();
    let id = project.id("api");
    up.signal("INT");
    let stopped = up.wait("stopped", "");
    assert_eq!((stopped.number("removed"), stopped.number("left")), (0, 1));
    assert_eq!(up.end().0.code(), Some(130));
    assert_eq!(project.id("api"), id);
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn an_unknown_target_is_an_error_that_knows_the_nearest() {
    let project = Project::with("unknown", IDLE);
    for arguments in [&["up", "apy"][..], &["plan", "apy"], &["down", "apy"], &["restart", "apy"]] {
        let ran = project.run(arguments);
        assert_eq!(ran.code, 64, "{arguments:?}: {ran:?}");
        let expected = "error: there is no target apy in FOLDER/mcpmon.toml\nhint: did you mean api?\n";
        assert_eq!(project.tidy(&ran.err), expected, "{arguments:?}");
    }
    project.assert_nothing_left();
}

#[test]
fn named_targets_bring_what_they_depend_on_and_nothing_else() {
    let more = IDLE.replace("targets.api", "targets.db") + &IDLE.replace("targets.api", "targets.other");
    let project = Project::with("named", &format!("{IDLE}depends_on = [\"db\"]\n{more}"));
    let mut up = project.up(&["api"]);
    up.wait("settled", "");
    let names: Vec<String> =
        project.on_the_engine().iter().filter_map(|line| line.split(' ').nth(1).map(str::to_owned)).collect();
    assert_eq!(names, [project.container("api"), project.container("db")]);
    up.interrupt();
    project.assert_nothing_left();
    assert_eq!(docker(&["ps", "-q", "--filter", &format!("name={}", project.name)]).stdout, b"");
}
