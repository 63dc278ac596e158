//! The engine as the binary meets it: where it is looked for, what is said when it can't be used, and that a session
//! goes on when an engine that was gone in the middle comes back.

use crate::{
    project::Project,
    support::{IMAGE, docker},
    wire::Wire,
};

fn idle(name: &str) -> String {
    format!(
        "[targets.{name}]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = [\"idle\"]\nnetwork_mode = \"host\"\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn gone_in_the_middle_and_back() {
    let mut wire = Wire::new();
    let mut project = Project::with("lost", &(idle("api") + &idle("db")));
    project.environment("DOCKER_HOST", &wire.address());
    let mut up = project.settled();
    let (api, db) = (project.id("api"), project.id("db"));
    wire.cut().await;
    let lost = up.wait("engine_lost", "");
    assert!(!lost.text("error").is_empty());
    // Meanwhile one is killed and one is removed; nobody tells mcpmon.
    assert!(docker(&["kill", &api]).status.success());
    assert!(docker(&["rm", "-f", &db]).status.success());
    wire.mend();
    up.wait("engine_back", "");
    up.wait("action_done", "");
    up.wait("action_done", "");
    up.wait_for("both stand again", |event| event["event"] == "settled" && event["ready"] == 2);
    assert_eq!(project.id("api"), api);
    assert_eq!(project.inspect("api")["State"]["Status"], "running");
    assert_ne!(project.id("db"), db);
    // It was said once, and events come as before.
    assert_eq!(up.seen(|event| event["event"] == "engine_lost").len(), 1, "{}", up.told());
    assert!(docker(&["kill", &api]).status.success());
    up.wait("ready", "api");
    up.interrupt();
    project.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_for_a_moment_nothing_is_made_anew() {
    let mut wire = Wire::new();
    let mut project = Project::with("moment", &idle("api"));
    project.environment("DOCKER_HOST", &wire.address());
    let mut up = project.settled();
    let id = project.id("api");
    for _ in 0..3 {
        wire.cut().await;
        wire.mend();
    }
    // It listens again: a kill is seen.
    assert!(docker(&["kill", &id]).status.success());
    up.wait("ready", "api");
    assert_eq!(project.id("api"), id);
    up.interrupt();
    project.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_without_an_engine_says_what_is_left() {
    let mut wire = Wire::new();
    let mut project = Project::with("end", &idle("api"));
    project.environment("DOCKER_HOST", &wire.address());
    let mut up = project.settled();
    wire.cut().await;
    up.wait("engine_lost", "");
    up.signal("TERM");
    let (status, errors) = up.end();
    assert_eq!(status.code(), Some(69), "{errors}");
    let error: serde_json::Value = serde_json::from_str(&errors).unwrap_or_else(|_| panic!("one event: {errors}"));
    assert_eq!((&error["event"], &error["exit_code"]), (&"error".into(), &69.into()));
    assert!(error["message"].to_string().contains("can't reach the container engine"), "{errors}");
    assert!(error["hint"].to_string().contains("`mcpmon cleanup` removes what this session left"), "{errors}");
    wire.mend();
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn an_engine_that_cannot_be_reached_says_what_to_check() {
    let mut project = Project::with("nowhere", &idle("api"));
    let socket = project.elsewhere("gone.sock");
    project.environment("DOCKER_HOST", &format!("unix://{}", socket.display()));
    for command in
        [&["up"][..], &["up", "-d"], &["plan"], &["ps"], &["down"], &["logs"], &["restart", "api"], &["cleanup"]]
    {
        let ran = project.run(command);
        assert_eq!(ran.code, 69, "{command:?}: {ran:?}");
        let err = project.tidy(&ran.err);
        let expected =
            "error: can't reach the container engine (unix://ELSEWHERE/gone.sock): there is no such socket\nhint: ";
        assert!(err.starts_with(expected) && err.contains("DOCKER_HOST"), "{command:?}: {err}");
        assert_eq!(ran.out, "", "{command:?}");
        // The same for programs, which find nothing else on stderr.
        let ran = project.run(&[command, &["--format", "json"]].concat());
        let told: serde_json::Value = serde_json::from_str(&ran.err).unwrap_or_else(|_| panic!("one event: {ran:?}"));
        assert_eq!((&told["event"], &told["exit_code"], ran.code), (&"error".into(), &69.into(), 69), "{command:?}");
        assert!(expected.contains(&project.tidy(told["message"].as_str().expect("a message"))), "{told}");
        assert!(told["hint"].to_string().contains("DOCKER_HOST"), "{told}");
    }
    // What needs no engine goes on.
    assert_eq!(project.run(&["config", "check"]).code, 0);
}

#[test]
fn a_socket_without_the_right_to_use_it_says_so() {
    use std::os::unix::{fs::PermissionsExt, process::CommandExt};

    let mut project = Project::with("denied", &idle("api"));
    let socket = project.elsewhere("closed.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600)).expect("a mode");
    // Anybody may look into the folders; nobody but the owner may use the socket.
    for folder in [project.path(""), project.elsewhere("")] {
        std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }
    project.environment("DOCKER_HOST", &format!("unix://{}", socket.display()));
    // As somebody else; a test that runs as nobody in particular takes the right away from itself.
    let mut command = project.command(&["plan"]);
    if rustix::process::geteuid().is_root() {
        // The program's folder may be closed to others: a copy that is not.
        let copy = project.elsewhere("mcpmon");
        std::fs::copy(env!("CARGO_BIN_EXE_mcpmon"), &copy).expect("a copy");
        let mut other = std::process::Command::new(copy);
        other.arg("plan").current_dir(project.path("")).env_clear().uid(65534).gid(65534);
        other.env("DOCKER_HOST", format!("unix://{}", socket.display())).env("HOME", "/nonexistent");
        command = other;
    } else {
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o000)).expect("a mode");
    }
    let ran = crate::project::Ran::of(command.output().expect("mcpmon runs"));
    assert_eq!(ran.code, 69, "{ran:?}");
    let err = project.tidy(&ran.err);
    assert!(
        err.starts_with("error: no right to use the container engine at unix://ELSEWHERE/closed.sock\nhint: "),
        "{err}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_engine_is_the_one_that_docker_would_use() {
    let wire = Wire::new();
    let mut project = Project::with("context", &idle("api"));
    // A context of the docker CLI's own making, in a configuration of its own.
    let config = project.elsewhere("docker");
    project.environment("DOCKER_CONFIG", &config.display().to_string());
    let config = config.display().to_string();
    let created =
        docker(&["--config", &config, "context", "create", "work", "--docker", &format!("host={}", wire.address())]);
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));

    let requests = |wire: &Wire| wire.requests().len();
    let plan = |with: Option<(&str, &str)>| {
        let mut command = project.command(&["plan"]);
        command.env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT").envs(with);
        crate::project::Ran::of(command.output().expect("mcpmon runs"))
    };
    // Not named, not current: not used.
    assert_eq!(plan(None).code, 0);
    assert_eq!(requests(&wire), 0);
    assert_eq!(plan(Some(("DOCKER_CONTEXT", "work"))).code, 0);
    let named = requests(&wire);
    assert!(named > 0, "DOCKER_CONTEXT was not followed");
    // The current one.
    assert!(docker(&["--config", &config, "context", "use", "work"]).status.success());
    assert_eq!(plan(None).code, 0);
    let current = requests(&wire);
    assert!(current > named, "the current context was not followed");
    // DOCKER_HOST wins over the current one.
    assert_eq!(plan(Some(("DOCKER_HOST", "unix:///var/run/docker.sock"))).code, 0);
    assert_eq!(requests(&wire), current);
    assert_eq!(plan(Some(("DOCKER_HOST", &wire.address()))).code, 0);
    assert!(requests(&wire) > current, "DOCKER_HOST was not followed");
    // One that is not there.
    let missing = plan(Some(("DOCKER_CONTEXT", "nowhere")));
    assert_eq!(missing.code, 69, "{missing:?}");
    assert!(missing.err.contains("nowhere") && missing.err.contains("hint: "), "{missing:?}");
}
