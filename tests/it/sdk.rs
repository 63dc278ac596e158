//! The official Python SDK as the client, in both eras of the protocol, in front of servers in containers and of plain
//! processes: what its user sees while the server is replaced. Nothing in client or server knows of mcpmon.

use std::{fs, path::Path, process::Command, time::Instant};

use serde_json::json;

use crate::{
    project::{OWN_LABEL, Project},
    python::{PythonClient, interpreter},
    support::{DEADLINE, IMAGE},
};

/// What the client is asked to speak, and the version that comes of it with a server that knows both eras.
const MODES: [(&str, &str); 2] = [("auto", "2026-07-28"), ("legacy", "2025-11-25")];

/// The test server. In the modern era it tells itself of changed lists: a client that can't subscribe has no way to
/// hear of them. In the legacy one it does not, and mcpmon does it in its place.
fn serve(mode: &str) -> Vec<&'static str> {
    let mut words = vec!["stdio", "--greeting", "/content/greeting.txt", "--tools", "/content/tools.txt"];
    if mode != "legacy" {
        words.push("--list-changed");
    }
    words
}

/// The test server in containers, its greeting and its list of tools in a mounted folder: a target for each mode.
fn container(test: &str) -> Project {
    let target = |(mode, _)| {
        format!(
            "[targets.{mode}]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\nnetwork_mode = \"none\"\n\
             command = {:?}\nvolumes = [\"./content:/content:ro\"]\n",
            serve(mode)
        )
    };
    let project = Project::with(test, &format!("watch.delay = \"20ms\"\n{}", MODES.map(target).concat()));
    project.write("content/greeting.txt", "one\n");
    project.write("content/tools.txt", "echo\ngreet\nslow\n");
    project
}

/// `docker run -i` of the same container, to be put after `docker` or `mcpmon docker`.
fn docker_line(project: &Project, mode: &str) -> Vec<String> {
    let content = format!("{}:/content:ro", project.path("content").display());
    let label = format!("{}={}", OWN_LABEL, project.name);
    let run = ["run", "-i", "--rm", "--init", "--network", "none", "--label", &label, "-v", &content, IMAGE];
    run.iter().chain(&serve(mode)).map(ToString::to_string).collect()
}

/// A server written with the Python SDK, in a folder of its own.
fn script(test: &str) -> Project {
    let mut project = Project::new(test);
    project.environment("MCPMON_DELAY", "20");
    project.write("server.py", SCRIPT);
    project
}

const SCRIPT: &str = include_str!("server.py");

/// The script with another greeting, and with one tool more or not.
fn edited(greeting: &str, more: bool) -> String {
    let text = SCRIPT.replace("GREETING = \"one\"", &format!("GREETING = {greeting:?}"));
    assert_ne!(text, SCRIPT, "the script has a greeting to replace");
    let tool = "@server.tool()\ndef echo(text: str) -> str:\n    return text\n";
    let here = "# More tools come here.";
    assert!(text.contains(here));
    if more { text.replace(here, tool) } else { text }
}

/// Lists, calls, is refused, and closes.
fn talks(server: impl Fn(&str) -> Command) {
    for (mode, version) in MODES {
        let mut client = PythonClient::connect(mode, &server(mode));
        assert_eq!(client.version, version);
        assert_eq!(client.tools(), ["echo", "greet", "slow"]);
        assert_eq!(client.call("echo", &json!({ "text": "ä\u{1F980}\n\"" })), "ä\u{1F980}\n\"");
        let slow = client.begin("slow", &json!({ "milliseconds": 300 }));
        assert_eq!(client.call("greet", &json!({})), "one");
        assert_eq!(client.text(slow), "slept 300 ms: one");
        let refused = client.begin("nothing", &json!({}));
        assert_eq!(client.answer(refused)["error"]["code"], -32602);
        assert!(client.close().success(), "{}", client.told());
        assert!(client.unexpected().is_empty(), "{:?}", client.unexpected());
    }
}

/// Calls until the server that answers is a new one. Every call must be answered well.
#[track_caller]
fn greets(client: &mut PythonClient, greeting: &str) {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let said = client.call("greet", &json!({}));
        if said == greeting {
            return;
        }
        assert!(Instant::now() < deadline, "still {said:?} and not {greeting:?} after {DEADLINE:?}; {}", client.told());
    }
}

/// What a save changes.
struct Edits<'a> {
    /// Saves a server with this greeting and the tools that it had.
    greeting: &'a dyn Fn(&str),
    /// Saves one whose greeting is "three" and that has lost or gained a tool.
    tools: &'a dyn Fn(),
    /// The tools before and after that.
    offered: [&'a [&'a str]; 2],
}

/// One session over two reloads: a call in flight is answered by the server that got it, later ones by the new one, and
/// the client hears of a changed list where the list did change, and only there.
fn lives_through_reloads(mode: &str, server: &Command, edits: &Edits<'_>) {
    let mut client = PythonClient::connect(mode, server);
    assert_eq!(client.tools(), edits.offered[0]);
    client.listen();
    assert_eq!(client.call("greet", &json!({})), "one");

    let slow = client.begin("slow", &json!({ "milliseconds": 1500 }));
    (edits.greeting)("two");
    greets(&mut client, "two");
    let said = client.text(slow);
    assert!(said.ends_with("one"), "the call in flight was answered by the new server: {said}");
    assert_eq!(client.tools(), edits.offered[0]);
    assert!(client.unexpected().is_empty(), "{:?}; {}", client.unexpected(), client.told());

    (edits.tools)();
    client.tools_changed();
    assert_eq!(client.tools(), edits.offered[1]);
    assert_eq!(client.call("greet", &json!({})), "three");

    assert!(client.close().success(), "{}", client.told());
    assert!(client.unexpected().is_empty(), "{:?}", client.unexpected());
}

/// The same of a container whose content is mounted.
fn container_lives_through_reloads(project: &Project, server: impl Fn(&str) -> Command) {
    for (mode, _) in MODES {
        project.write("content/greeting.txt", "one\n");
        project.write("content/tools.txt", "echo\ngreet\nslow\n");
        let edits = Edits {
            greeting: &|greeting| project.write("content/greeting.txt", greeting),
            tools: &|| {
                project.write("content/greeting.txt", "three");
                project.write("content/tools.txt", "env\ngreet\nslow\n");
            },
            offered: [&["echo", "greet", "slow"], &["env", "greet", "slow"]],
        };
        lives_through_reloads(mode, &server(mode), &edits);
        project.assert_nothing_left();
    }
}

/// The same of a script.
fn script_lives_through_reloads(project: &Project, server: &Command) {
    for (mode, _) in MODES {
        project.write("server.py", SCRIPT);
        let edits = Edits {
            greeting: &|greeting| project.write("server.py", &edited(greeting, false)),
            tools: &|| project.write("server.py", &edited("three", true)),
            offered: [&["greet", "slow"], &["echo", "greet", "slow"]],
        };
        lives_through_reloads(mode, server, &edits);
        assert_eq!(running_in(&project.path("")), Vec::<String>::new(), "left running");
    }
}

/// Command lines of processes whose current folder is that one.
fn running_in(folder: &Path) -> Vec<String> {
    let folder = folder.canonicalize().expect("the folder is there");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let there = entries.filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == folder));
    let lines = there.map(|entry| fs::read(entry.path().join("cmdline")).unwrap_or_default());
    lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " ")).collect()
}

fn words(first: &str, more: &[String]) -> Vec<String> {
    std::iter::once(first.to_owned()).chain(more.iter().cloned()).collect()
}

fn mcpmon(project: &Project, arguments: &[String]) -> Command {
    project.command(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_client_talks_to_a_container_without_mcpmon() {
    let project = container("sdk-direct");
    talks(|mode| {
        let mut docker = Command::new("docker");
        docker.args(docker_line(&project, mode));
        docker
    });
    project.assert_nothing_left();
}

#[test]
fn the_client_talks_through_mcpmon_run() {
    let project = container("sdk-run");
    talks(|mode| project.command(&["run", mode]));
    project.assert_nothing_left();
}

#[test]
fn the_client_talks_through_mcpmon_docker_run() {
    let project = container("sdk-docker");
    talks(|mode| mcpmon(&project, &words("docker", &docker_line(&project, mode))));
    project.assert_nothing_left();
}

#[test]
fn the_client_does_not_notice_a_reload_of_mcpmon_run() {
    let project = container("sdk-run-reload");
    container_lives_through_reloads(&project, |mode| project.command(&["run", mode]));
}

#[test]
fn the_client_does_not_notice_a_reload_of_mcpmon_docker_run() {
    let mut project = container("sdk-docker-reload");
    project.environment("MCPMON_DELAY", "20");
    container_lives_through_reloads(&project, |mode| mcpmon(&project, &words("docker", &docker_line(&project, mode))));
}

#[test]
fn the_client_does_not_notice_a_reload_of_a_python_server() {
    let project = script("sdk-script");
    let line = [interpreter().display().to_string(), "server.py".to_owned()];
    script_lives_through_reloads(&project, &mcpmon(&project, &line));
}

#[test]
fn a_published_server_runs_unchanged() {
    let project = Project::new("sdk-time");
    let module = ["-m".to_owned(), "mcp_server_time".to_owned(), "--local-timezone=Etc/UTC".to_owned()];
    let line = words(&interpreter().display().to_string(), &module);
    let mut bare = Command::new(&line[0]);
    bare.args(&line[1..]);
    for server in [&bare, &mcpmon(&project, &line)] {
        for (mode, version) in MODES {
            let mut client = PythonClient::connect(mode, server);
            assert_eq!(client.version, version);
            assert_eq!(client.tools(), ["convert_time", "get_current_time"]);
            let arguments = json!({ "source_timezone": "Etc/UTC", "time": "12:00", "target_timezone": "Asia/Tokyo" });
            let answer = client.call("convert_time", &arguments);
            assert!(answer.contains("T21:00:00+09:00") && answer.contains("+9.0h"), "{answer}");
            let wrong = client.begin("get_current_time", &json!({ "timezone": "Mars/Olympus" }));
            assert_eq!(client.answer(wrong)["failed"], true);
            assert!(client.close().success(), "{}", client.told());
        }
    }
    assert_eq!(running_in(&project.path("")), Vec::<String>::new(), "left running");
}
