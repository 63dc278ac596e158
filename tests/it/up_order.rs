//! What waits for what, and what can't start: each says why, none stops the others, nothing half-done is left.

use std::time::Duration;

use crate::{
    project::Project,
    support::{IMAGE, docker},
};

/// A target of the tests' image; `more` are further lines of its table.
fn target(name: &str, command: &str, more: &str) -> String {
    let network = if more.contains("network") { "" } else { "network_mode = \"host\"\n" };
    format!("[targets.{name}]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = {command}\n{network}{more}\n")
}

#[test]
fn a_healthy_dependency_is_waited_for() {
    let project = Project::new("healthy");
    std::fs::create_dir(project.path("flag")).expect("a folder");
    let check = "healthcheck = { test = [\"CMD\", \"/mcp-server\", \"exists\", \"/flag/up\"], interval = \"200ms\", retries = 100 }\n\
                 volumes = [\"./flag:/flag:ro\"]";
    project.config(
        &(target("db", "[\"idle\"]", check)
            + &target("api", "[\"idle\"]", "depends_on = { db = { condition = \"service_healthy\" } }")),
    );
    let mut up = project.up(&["--no-watch"]);
    up.wait("action_done", "db");
    // It runs and is not healthy: nothing happens until it is.
    let mut log = project.watch_engine();
    assert_eq!(project.inspect("db")["State"]["Health"]["Status"], "starting");
    assert!(!docker(&["inspect", &project.container("api")]).status.success(), "api is there too early");
    std::fs::write(project.path("flag/up"), "").expect("a file");
    up.wait("action_started", "api");
    assert_eq!(project.inspect("db")["State"]["Health"]["Status"], "healthy");
    up.wait("ready", "api");
    let happened = log.until_now();
    let healthy = happened.iter().position(|line| line.starts_with("container health_status: healthy"));
    let created = happened.iter().position(|line| line.starts_with("container create "));
    assert!(healthy.is_some() && healthy < created, "{happened:#?}");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_one_shot_runs_once_and_its_end_is_waited_for() {
    let project = Project::with(
        "oneshot",
        &(target("migrate", "[\"exit\", \"0\", \"--print\", \"migrated\", \"--after\", \"300\"]", "")
            + &target(
                "api",
                "[\"idle\"]",
                "depends_on = { migrate = { condition = \"service_completed_successfully\" } }",
            )),
    );
    let mut log = project.watch_engine();
    let mut up = project.settled();
    let happened = log.until_now();
    let of = |what: &str, name: &str| {
        happened.iter().position(|line| *line == format!("container {what} {}", project.container(name)))
    };
    assert!(of("die", "migrate").is_some() && of("die", "migrate") < of("start", "api"), "{happened:#?}");
    assert_eq!(happened.iter().filter(|line| line.starts_with("container start ")).count(), 2, "{happened:#?}");
    assert_eq!(project.inspect("migrate")["State"]["Status"], "exited");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_one_shot_that_fails_holds_what_waits_for_it() {
    let project = Project::with(
        "badshot",
        &(target("migrate", "[\"exit\", \"3\", \"--print\", \"no such table\"]", "")
            + &target(
                "api",
                "[\"idle\"]",
                "depends_on = { migrate = { condition = \"service_completed_successfully\" } }",
            )
            + &target("other", "[\"idle\"]", "")),
    );
    let mut up = project.up(&[]);
    let crashed = up.wait("crashed", "migrate");
    assert_eq!((crashed.number("exit_code"), crashed.lines("log").as_str()), (3, "no such table"));
    let held = up.wait("held", "api");
    assert_eq!(held.text("reason"), "migrate must have ended with exit code 0");
    assert_eq!(project.inspect("other")["State"]["Status"], "running");
    // Mended by an edit.
    project.config(
        &(target("migrate", "[\"exit\", \"0\"]", "")
            + &target(
                "api",
                "[\"idle\"]",
                "depends_on = { migrate = { condition = \"service_completed_successfully\" } }",
            )
            + &target("other", "[\"idle\"]", "")),
    );
    up.wait("ready", "api");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn what_cannot_start_says_why_and_stops_nobody_else() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let project = Project::new("cannot");
    project.write("broken/Dockerfile", "FROM scratch\nCOPY missing.txt /\n");
    project.config(
        &(target("good", "[\"idle\"]", "")
            + "[targets.never]\nimage = \"mcpmon-it-nowhere/nothing:1\"\npull_policy = \"never\"\n"
            + "[targets.pulled]\nimage = \"localhost:1/mcpmon-it-nowhere:1\"\n"
            + "[targets.built]\nbuild = \"broken\"\n"
            + &target("bound", "[\"idle\"]", "volumes = [{ type = \"bind\", source = \"./missing\", target = \"/data\", bind = { create_host_path = false } }]")
            + &target("port", "[\"idle\"]", &format!("ports = [\"127.0.0.1:{port}:3000\"]\nnetworks = [\"default\"]"))
            + &target("program", "[\"idle\"]", "entrypoint = [\"/no-such-program\"]\ninit = false")),
    );
    let mut up = project.up(&[]);
    // In whatever order they come.
    let names = ["pulled", "built", "bound", "port", "program"];
    let mut failures = std::collections::BTreeMap::new();
    let mut held = None;
    let mut good = false;
    while failures.len() < names.len() || held.is_none() || !good {
        let told = up.wait_for("each target's word", |event| {
            matches!(event["event"].as_str(), Some("action_failed" | "held" | "ready"))
        });
        let name = told.text("target").to_owned();
        match told.text("event") {
            "ready" => good |= name == "good",
            "held" if name == "never" => held = Some(told.text("reason").to_owned()),
            "action_failed" => {
                let hint = told.event["hint"].as_str().map(|hint| format!("\n  hint: {hint}")).unwrap_or_default();
                let text = format!("{}: {}{hint}", told.text("action"), told.text("error"));
                let text = project.tidy(&text).replace(&port.to_string(), "PORT");
                failures.entry(name).or_insert((text, told.lines("log")));
            }
            _ => {}
        }
    }
    assert_eq!(
        held.as_deref(),
        Some(
            "image mcpmon-it-nowhere/nothing:1 is not here, and pull_policy is \"never\": fetch it, or set pull_policy = \"missing\""
        )
    );
    assert_eq!(project.inspect("good")["State"]["Status"], "running");
    let texts: Vec<String> = failures.iter().map(|(name, (text, _))| format!("{name}: {text}")).collect();
    insta::assert_snapshot!(texts.join("\n"), @r#"
    bound: create: volume source missing: FOLDER/missing does not exist on the engine's host; make it, or let it be made (bind.create_host_path)
    built: create: docker build of FOLDER/broken failed (exit status: 1)
    port: create: host port 127.0.0.1:PORT is taken
      hint: publish another port, or end what listens there
    program: create: exec: "/no-such-program": stat /no-such-program: no such file or directory
    pulled: create: image localhost:1/mcpmon-it-nowhere:1 can't be pulled: Get "http://localhost:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused
      hint: check the image's name, log in with `docker login`, or add a `build`
    "#);
    assert!(failures["built"].1.contains("missing.txt"), "the build's own words: {}", failures["built"].1);
    // Nothing else runs; what a try had begun is gone with it (one may be under way just now).
    let running: Vec<String> = project.on_the_engine().into_iter().filter(|line| line.ends_with(" running")).collect();
    assert_eq!(running.len(), 1, "{running:#?}");
    // The port becomes free: it starts by itself.
    drop(listener);
    up.wait("ready", "port");
    // It is moved to a port that somebody holds: once that is known it is not stopped again for each try.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let moved = listener.local_addr().expect("an address").port();
    let ports = format!("ports = [\"127.0.0.1:{moved}:3000\"]\nnetworks = [\"default\"]");
    project.config(&target("port", "[\"idle\"]", &ports));
    let refused = up.wait("action_failed", "port").text("error").replace(&moved.to_string(), "PORT");
    assert_eq!(refused, "host port 127.0.0.1:PORT is taken");
    let before = project.inspect("port");
    let reload_failed = || {
        let ps = project.run(&["ps", "--format", "json"]).json();
        let row = ps.as_array().expect("rows").iter().find(|row| row["target"] == "port").expect("a row").clone();
        row["reload_failed"].as_str().map(|why| why.replace(&moved.to_string(), "PORT"))
    };
    assert_eq!(reload_failed().as_deref(), Some("host port 127.0.0.1:PORT is taken"));
    // The third try begins: the second has ended.
    for _ in 0..3 {
        up.wait("action_started", "port");
    }
    assert_eq!(project.inspect("port")["State"], before["State"], "it goes on");
    drop(listener);
    up.wait("action_done", "port");
    let bindings = &project.inspect("port")["HostConfig"]["PortBindings"];
    assert_eq!(bindings["3000/tcp"][0]["HostPort"], moved.to_string());
    up.wait("settled", "");
    assert_eq!(reload_failed(), None);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_crash_loop_backs_off_and_ends_with_an_edit() {
    let project = Project::with(
        "crash",
        &(target("bad", "[\"exit\", \"7\", \"--print\", \"cannot open the database\"]", "")
            + &target("good", "[\"idle\"]", "")),
    );
    let mut up = project.up(&[]);
    // At once, then after 500 ms, then twice as long each time.
    let mut ends = Vec::new();
    for (number, wait) in [(1, 0), (2, 500), (3, 1000), (4, 2000)] {
        let crashed = up.wait("crashed", "bad");
        assert_eq!((crashed.number("failures"), crashed.number("retry_ms")), (number, wait), "{}", up.told());
        assert_eq!(crashed.number("exit_code"), 7);
        assert!(crashed.lines("log").ends_with("cannot open the database"), "{}", crashed.event);
        if let Some(last) = ends.last() {
            let began = up.seen(|event| event["event"] == "action_started" && event["target"] == "bad").len();
            assert_eq!(u64::try_from(began).ok(), Some(number));
            let least = Duration::from_millis([0, 0, 500, 1000][usize::try_from(number - 1).expect("small")]);
            let took: Duration = crashed.at.saturating_duration_since(*last);
            println!("crash {number} came {took:?} after the one before, {least:?} of them by waiting");
            assert!(took >= least, "crash {number} came {took:?} after the one before");
            assert!(took < least + Duration::from_secs(8), "crash {number} came {took:?} after the one before");
        }
        ends.push(crashed.at);
    }
    assert_eq!(project.inspect("good")["State"]["Status"], "running");
    let ps = project.run(&["ps", "--format", "json"]).json();
    let bad = ps.as_array().expect("rows").iter().find(|row| row["target"] == "bad").expect("a row");
    assert_eq!((&bad["state"], &bad["container"]["exit_code"]), (&"exited".into(), &7.into()));
    // Mended: at once, not when the two seconds are over.
    project.config(&(target("bad", "[\"idle\"]", "") + &target("good", "[\"idle\"]", "")));
    up.wait("config_reloaded", "");
    up.wait("ready", "bad");
    let told = up.seen(|event| event["event"] == "crashed").len();
    assert_eq!(told, ends.len(), "no crash is told twice: {}", up.told());
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_network_and_a_volume_of_somebody_else_are_not_used() {
    let project = Project::new("theirs");
    let names = [format!("{}_inner", project.name), format!("{}_cache", project.name)];
    project.config(
        &(target("api", "[\"idle\"]", "networks = [\"inner\"]\nvolumes = [\"cache:/cache\"]")
            + &target("good", "[\"idle\"]", "")
            + "[networks.inner]\ninternal = true\n[volumes.cache]\n"),
    );
    let _theirs = Theirs(names.clone());
    assert!(docker(&["network", "create", "--internal", &names[0]]).status.success());
    assert!(docker(&["volume", "create", &names[1]]).status.success());
    let mut up = project.up(&[]);
    up.wait("settled", "");
    let words =
        "a network of that name is there and is not this project's: set `external = true` to use it, or another `name`";
    let held = |name: &str| {
        let held = up.seen(|event| event["event"] == "held" && event["target"] == name);
        held.first().and_then(|event| event["reason"].as_str().map(str::to_owned)).unwrap_or_default()
    };
    assert_eq!(held(&names[0]), words);
    assert_eq!(held(&names[1]), words.replace("network", "volume"));
    assert_eq!(held("api"), format!("{} must be there, {} must be there", names[0], names[1]));
    assert_eq!(project.inspect("good")["State"]["Status"], "running");
    assert!(!docker(&["inspect", &project.container("api")]).status.success(), "api is there: {}", up.told());
    up.interrupt();
    project.assert_nothing_left();
    assert!(docker(&["network", "inspect", &names[0]]).status.success(), "their network is gone");
    assert!(docker(&["volume", "inspect", &names[1]]).status.success(), "their volume is gone");
}

/// A network and a volume of nobody's, removed at the end.
struct Theirs([String; 2]);

impl Drop for Theirs {
    fn drop(&mut self) {
        docker(&["network", "rm", &self.0[0]]);
        docker(&["volume", "rm", &self.0[1]]);
    }
}

#[test]
fn a_failing_health_check_is_told_with_its_words() {
    let check = "healthcheck = { test = [\"CMD\", \"/mcp-server\", \"exists\", \"/nowhere\"], interval = \"100ms\", retries = 1 }";
    let project = Project::with("unhealthy", &target("api", "[\"idle\"]", check));
    let mut up = project.up(&[]);
    let held = up.wait("held", "api");
    assert_eq!(held.text("reason"), "its health check says unhealthy");
    up.interrupt();
    project.assert_nothing_left();
}
