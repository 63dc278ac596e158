//! A stdio session end to end: a real client, the real `mcpmon run`, a real container. A saved file becomes the running
//! server while the client stays; whatever ends the session, nothing is left.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    client::Client,
    engine_api::{self, Kind},
    project::Project,
    support::{DEADLINE, IMAGE, docker, inspected},
};

/// A target on a greeting in a bind mount; its server fails at its start when the greeting is empty.
pub(crate) fn greeter(more: &str) -> String {
    format!(
        "watch.delay = \"20ms\"\n[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\nnetwork_mode = \"none\"\n\
         command = [\"stdio\", \"--greeting\", \"/content/greeting.txt\"]\nvolumes = [\"./content:/content:ro\"]\n{more}\n"
    )
}

/// A project with that target.
pub(crate) fn greeting(test: &str, more: &str) -> Project {
    let project = Project::with(test, &greeter(more));
    project.write("content/greeting.txt", "hello\n");
    project
}

/// The ids of the project's containers that stdio sessions have, running or not.
pub(crate) fn servers(project: &Project) -> Vec<String> {
    let project = format!("label=mcpmon.project={}", project.name);
    engine_api::ids(Kind::Container, &[&project, "label=mcpmon.role=stdio"])
}

/// The one container of the project's one session.
#[track_caller]
pub(crate) fn server(project: &Project) -> String {
    let servers = servers(project);
    assert_eq!(servers.len(), 1, "{servers:?}");
    servers[0].clone()
}

#[test]
fn a_saved_file_becomes_the_running_server_and_the_client_stays() {
    let project = greeting("stdio-save", "");
    let mut client = Client::start(&project, &["run", "api"]);
    let answer = client.initialize();
    assert_eq!(answer["result"]["capabilities"]["tools"]["listChanged"], true, "{answer}");
    assert_eq!(client.call("greet", &json!({})), "hello");

    let container = inspected(&server(&project));
    let config = &container["Config"];
    assert_eq!((&config["StdinOnce"], &config["Tty"]), (&true.into(), &false.into()));
    assert_eq!(container["HostConfig"]["LogConfig"]["Type"], "none");

    for greeting in ["good day", "good evening"] {
        project.write("content/greeting.txt", greeting);
        let line = client.hears("reloaded in");
        assert!(line.starts_with("api: reloaded in "), "{line}");
        assert_eq!(client.call("greet", &json!({})), greeting);
    }
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn a_call_in_flight_is_answered_by_the_server_that_has_it() {
    let project = greeting("stdio-flight", "");
    let mut client = Client::of_target(&project, "api");
    let slow = client.begin("slow", &json!({"milliseconds": 1500}));
    project.write("content/greeting.txt", "good day");
    let line = client.hears("reloaded in");
    assert!(line.contains("drained 1 call"), "{line}");
    assert_eq!(client.call("greet", &json!({})), "good day", "new calls do not wait for the old one");
    let answer = client.answer(slow);
    let text = answer["result"]["content"][0]["text"].as_str().unwrap_or_default();
    assert!(text.starts_with("slept 1500 ms"), "{answer}");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn a_bad_save_keeps_the_old_server_and_the_next_good_one_works() {
    let project = greeting("stdio-bad", "");
    let mut client = Client::of_target(&project, "api");
    project.write("content/greeting.txt", "");
    let line = client.hears("not reloaded");
    assert!(line.contains("exit code 1") && line.contains("the old server goes on"), "{line}");
    client.hears("| mcp-server: the greeting /content/greeting.txt is empty");
    assert_eq!(client.call("greet", &json!({})), "hello");
    project.write("content/greeting.txt", "good day");
    client.hears("reloaded in");
    assert_eq!(client.call("greet", &json!({})), "good day");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn a_server_that_is_killed_comes_back_and_what_it_had_gets_an_error() {
    let project = greeting("stdio-kill", "");
    let mut client = Client::of_target(&project, "api");
    assert_eq!(client.call("greet", &json!({})), "hello");
    let slow = client.begin("slow", &json!({"milliseconds": 20_000}));
    // The call is there once a later one was answered.
    assert_eq!(client.call("echo", &json!({"text": "x"})), "x");
    assert!(docker(&["kill", &server(&project)]).status.success(), "kill");
    let error = &client.answer(slow)["error"];
    assert_eq!((&error["code"], &error["data"]["reason"]), (&(-32000).into(), &"server exited".into()), "{error}");
    client.hears("exit code 137 (SIGKILL)");
    assert_eq!(client.call("greet", &json!({})), "hello");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn a_container_that_is_removed_from_outside_comes_back() {
    let project = greeting("stdio-removed", "");
    let mut client = Client::of_target(&project, "api");
    assert!(docker(&["rm", "-f", &server(&project)]).status.success(), "rm");
    client.hears("the server ended");
    assert_eq!(client.call("greet", &json!({})), "hello");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn signals_end_the_session_and_leave_nothing() {
    for (signal, code) in [("TERM", 143), ("INT", 130), ("HUP", 129), ("QUIT", 131)] {
        let project = greeting("stdio-signal", "");
        let mut client = Client::of_target(&project, "api");
        let slow = client.begin("slow", &json!({"milliseconds": 20_000}));
        assert_eq!(client.call("echo", &json!({"text": "x"})), "x");
        client.signal(signal);
        assert_eq!(client.answer(slow)["error"]["data"]["reason"], "session ended");
        let (status, _) = client.end();
        assert_eq!(status.code(), Some(code), "{:#?}", client.said);
        project.assert_nothing_left();
    }
}

/// Ignores the end of its input and every polite signal; `init` passes signals on.
fn stubborn(test: &str, grace: &str) -> Project {
    let target = format!(
        "[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\nnetwork_mode = \"none\"\ncommand = [\"stubborn\"]\n\
         stop_grace_period = \"{grace}\"\n"
    );
    Project::with(test, &target)
}

/// A signal from outside makes it say that it is there.
#[track_caller]
fn until_it_runs(project: &Project, client: &mut Client) {
    let deadline = Instant::now() + DEADLINE;
    while servers(project).is_empty() || !docker(&["kill", "-s", "HUP", &server(project)]).status.success() {
        assert!(Instant::now() < deadline, "it does not run: {:#?}", client.all_said());
    }
    client.hears("ignored SIGHUP");
}

#[test]
fn a_server_that_does_not_want_to_end_is_killed_after_its_grace_period() {
    let project = stubborn("stdio-stubborn", "1s");
    let mut client = Client::start(&project, &["run", "api"]);
    let mut log = project.watch_engine();
    until_it_runs(&project, &mut client);
    client.close();
    let (_, took) = client.end();
    assert!(took > Duration::from_secs(2) && took < Duration::from_secs(6), "one second each: {took:?}");
    assert!(client.said.iter().any(|line| line == "ignored SIGTERM"), "{:#?}", client.said);
    let happened = log.until_now();
    assert!(happened.iter().any(|line| line.starts_with("container destroy")), "{happened:#?}");
    project.assert_nothing_left();
}

#[test]
fn a_client_that_loses_its_patience_finds_everything_gone_before_it_kills() {
    // As the official SDKs end a server: stdin closed, two seconds, SIGTERM, two seconds, SIGKILL.
    let project = stubborn("stdio-patience", "10s");
    let mut client = Client::start(&project, &["run", "api"]);
    until_it_runs(&project, &mut client);
    client.close();
    client.hears("ignored SIGTERM");
    std::thread::sleep(Duration::from_secs(1)); // the client's own clock, no wait of ours
    client.signal("TERM");
    let (status, took) = client.end();
    assert_eq!(status.code(), Some(143), "{:#?}", client.said);
    assert!(took < Duration::from_secs(2), "{took:?}");
    project.assert_nothing_left();
}

#[test]
fn a_second_signal_kills_at_once() {
    let project = stubborn("stdio-twice", "30s");
    let mut client = Client::start(&project, &["run", "api"]);
    until_it_runs(&project, &mut client);
    client.signal("TERM");
    client.hears("ignored SIGTERM");
    client.signal("TERM");
    let (status, took) = client.end();
    assert_eq!(status.code(), Some(143), "{:#?}", client.said);
    assert!(took < Duration::from_secs(5), "{took:?}");
    project.assert_nothing_left();
}
