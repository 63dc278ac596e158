//! A stdio session of a docker line end to end: a real client, the real `mcpmon docker run -i`, a container that the docker
//! CLI makes. What the user typed counts as docker has it, and whatever ends the session, nothing is left.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    client::Client,
    engine_api::{self, Kind},
    project::{OWN_LABEL, Project},
    support::{DEADLINE, IMAGE, docker, inspected},
};

/// A folder with a greeting. The test server fails at its start when the greeting is empty.
fn greeting(test: &str) -> Project {
    let mut project = Project::new(test);
    project.environment("MCPMON_DELAY", "20");
    project.write("content/greeting.txt", "hello\n");
    project
}

/// `docker run -i …` with these options more, on the greeting.
fn line(project: &Project, options: &str) -> Vec<String> {
    let all = format!(
        "docker run -i --network none --label {OWN_LABEL}={} -v ./content:/content:ro {options} {IMAGE} stdio --greeting \
         /content/greeting.txt",
        project.name
    );
    all.split_whitespace().map(str::to_owned).collect()
}

fn start(project: &Project, line: &[String]) -> Client {
    Client::start(project, &line.iter().map(String::as_str).collect::<Vec<_>>())
}

/// A session that has begun.
fn session(project: &Project, options: &str) -> Client {
    let mut client = start(project, &line(project, options));
    client.initialize();
    client
}

/// The ids of the project's containers, running or not.
fn servers(project: &Project) -> Vec<String> {
    engine_api::ids(Kind::Container, &[&format!("label={OWN_LABEL}={}", project.name)])
}

/// The project's one container, as inspected.
#[track_caller]
fn server(project: &Project) -> Value {
    let servers = servers(project);
    assert_eq!(servers.len(), 1, "{servers:?}");
    inspected(&servers[0])
}

#[test]
fn a_docker_line_is_a_session_that_outlives_saves() {
    let project = greeting("line-save");
    let mut client = session(&project, "--rm -e COLOUR=red");
    assert_eq!(client.call("greet", &json!({})), "hello");
    assert_eq!(client.call("env", &json!({"name": "COLOUR"})), "red");

    let container = server(&project);
    let (config, host) = (&container["Config"], &container["HostConfig"]);
    assert_eq!((&config["StdinOnce"], &config["Tty"]), (&true.into(), &false.into()));
    assert_eq!((&host["AutoRemove"], &host["LogConfig"]["Type"]), (&true.into(), &"none".into()));
    let labels = &config["Labels"];
    assert_eq!((&labels["mcpmon.managed"], &labels["mcpmon.role"]), (&"true".into(), &"stdio".into()), "{labels}");
    for key in ["session", "pid", "started", "host", "pid-start"] {
        assert!(labels[format!("mcpmon.{key}")].is_string(), "{key}: {labels}");
    }

    for greeting in ["good day", "good evening"] {
        project.write("content/greeting.txt", greeting);
        let line = client.hears("reloaded in");
        assert!(line.starts_with("mcpmon-test-server: reloaded in "), "{line}");
        assert_eq!(client.call("greet", &json!({})), greeting);
    }
    project.write("content/greeting.txt", "");
    client.hears("the old server goes on");
    assert_eq!(client.call("greet", &json!({})), "good evening");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn nothing_is_left_without_rm_and_after_signals_either() {
    for (options, signal, code) in
        [("", None, 0), ("--rm", Some("TERM"), 143), ("--rm", Some("INT"), 130), ("", Some("HUP"), 129)]
    {
        let project = greeting("line-end");
        let mut client = session(&project, options);
        let slow = client.begin("slow", &json!({"milliseconds": 20_000}));
        assert_eq!(client.call("echo", &json!({"text": "x"})), "x");
        match signal {
            Some(signal) => client.signal(signal),
            None => client.close(),
        }
        assert_eq!(client.answer(slow)["error"]["data"]["reason"], "session ended", "{options} {signal:?}");
        let (status, _) = client.end();
        assert_eq!(status.code(), Some(code), "{:#?}", client.said);
        project.assert_nothing_left();
    }
}

#[test]
fn a_server_whose_session_was_killed_ends_and_is_gone() {
    let project = greeting("line-killed");
    let mut client = session(&project, "--rm");
    let id = server(&project)["Id"].as_str().expect("an id").to_owned();
    client.signal("KILL");
    client.end();
    let waited = Command::new("timeout").args(["30", "docker", "wait", &id]).output().expect("docker wait");
    let deadline = Instant::now() + DEADLINE;
    while !servers(&project).is_empty() {
        assert!(Instant::now() < deadline, "still there: {waited:?}");
    }
}

#[test]
fn the_lines_own_name_and_cidfile_follow_the_running_container() {
    let project = greeting("line-name");
    let name = format!("{}-the-one", project.name);
    let mut client = session(&project, &format!("--rm --name {name} --cidfile cid"));
    let id_of = |name: &str| inspected(name)["Id"].as_str().expect("an id").to_owned();
    let cid = || fs::read_to_string(project.path("cid")).expect("a cidfile");
    assert_eq!(client.call("greet", &json!({})), "hello");
    let first = id_of(&name);
    assert_eq!(cid(), first);

    project.write("content/greeting.txt", "good day");
    client.hears("reloaded in");
    assert_eq!(client.call("greet", &json!({})), "good day");
    let second = id_of(&name);
    assert_ne!(first, second);
    assert_eq!((cid(), servers(&project)), (second.clone(), vec![second]), "the old one stopped first");

    // The old one is gone (`--rm`): another one takes its place, and fails on the same file; a mended one brings it back.
    project.write("content/greeting.txt", "");
    client.hears("the old server is started again");
    project.write("content/greeting.txt", "good evening");
    client.hears("reloaded in");
    assert_eq!(client.call("greet", &json!({})), "good evening");
    assert_eq!(cid(), id_of(&name));
    client.leave();
    project.assert_nothing_left();

    let mut client = start(&project, &line(&project, "--rm --cidfile cid"));
    client.hears("the container ID file cid is there already");
    assert_eq!(client.end().0.code(), Some(1));
}

#[test]
fn a_name_that_somebody_else_has_is_theirs() {
    let project = greeting("line-taken");
    let name = format!("{}-taken", project.name);
    let label = format!("{OWN_LABEL}={}", project.name);
    assert!(docker(&["create", "--name", &name, "--label", &label, IMAGE]).status.success());
    let mut client = start(&project, &line(&project, &format!("--rm --name {name}")));
    client.hears(&format!("the name {name} is taken"));
    assert_eq!(client.end().0.code(), Some(1), "{:#?}", client.said);
    assert_eq!(server(&project)["Name"], format!("/{name}").as_str(), "only theirs is there");
}

#[test]
fn mcpmons_labels_are_not_for_the_line_to_set() {
    let project = greeting("line-labels");
    let mut client = session(&project, "--rm --label mcpmon.pid=1 --label team=x");
    client.hears("the label mcpmon.pid=1 is left out");
    let labels = server(&project)["Config"]["Labels"].clone();
    assert_ne!(labels["mcpmon.pid"], "1", "{labels}");
    assert_eq!(labels["team"], "x");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn an_env_file_that_is_saved_makes_another_container() {
    let project = greeting("line-env");
    project.write("vars", "COLOUR=red\n");
    let mut client = session(&project, "--rm --env-file vars");
    let colour = json!({"name": "COLOUR"});
    assert_eq!(client.call("env", &colour), "red");
    project.write("vars", "COLOUR=green\n");
    client.hears("reloaded in");
    assert_eq!(client.call("env", &colour), "green");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn what_docker_refuses_is_said_in_its_words_and_no_secret_is() {
    let secret = "hush-7f3a";
    for (options, words) in [
        ("-p 1:2:3:4", "invalid"),
        ("--env-file nowhere", "open nowhere: no such file"),
        ("--network it-nowhere", "it-nowhere"),
        ("--entrypoint /nowhere", "/nowhere"),
    ] {
        let project = greeting("line-refused");
        let mut words_of_line = line(&project, &format!("--rm -e KEY={secret} {options}"));
        words_of_line.retain(|word| word != "none" || !options.starts_with("--network"));
        if options.starts_with("--network") {
            let place = words_of_line.iter().position(|word| word == "--network").expect("the default");
            words_of_line.remove(place);
        }
        let mut client = start(&project, &words_of_line);
        let id = client.request("ping", &json!({}));
        let answer = client.answer(id);
        assert!(answer["error"]["message"].as_str().is_some_and(|text| text.contains(words)), "{options}: {answer}");
        let (status, _) = client.end();
        assert_eq!(status.code(), Some(1), "{:#?}", client.said);
        let said = client.all_said().join("\n");
        assert!(said.contains(words) && !said.contains("--help"), "{options}: {said}");
        assert!(!said.contains(secret), "{said}");
        project.assert_nothing_left();
    }
}

#[test]
fn an_image_that_is_not_there_and_a_missing_cli_are_named() {
    let mut project = greeting("line-missing");
    let image = |image: &str| -> Vec<String> {
        format!("docker run -i --rm --pull never {image} stdio").split(' ').map(str::to_owned).collect()
    };
    let mut client = start(&project, &image("it-nowhere:1"));
    client.hears("No such image: it-nowhere:1");
    assert_eq!(client.end().0.code(), Some(1));

    project.environment("PATH", "/nowhere");
    let mut client = start(&project, &image(IMAGE));
    client.hears("there is no program docker");
    assert_eq!(client.end().0.code(), Some(127));
}

#[test]
fn what_is_no_message_goes_to_stderr_and_the_exit_status_is_the_containers() {
    let project = greeting("line-noise");
    let label = format!("{OWN_LABEL}={}", project.name);
    // Prints lines, and ends by itself after its client has closed its side.
    let words = [
        "docker",
        "run",
        "-i",
        "--rm",
        "--network",
        "none",
        "--label",
        &label,
        IMAGE,
        "lines",
        "--count",
        "4",
        "--every",
        "100",
        "--then-exit",
        "5",
    ];
    let mut client = Client::start(&project, &words);
    client.hears("line 1");
    client.close();
    let (status, took) = client.end();
    assert_eq!(status.code(), Some(5), "{:#?}", client.said);
    assert!(took < Duration::from_secs(5), "{took:?}");
    project.assert_nothing_left();
}
