//! The golden dialogue: what a client says, line by line as it was recorded, to the same server with and without mcpmon
//! in between. Every line that comes back is the same, to the byte. (The server tells of changed lists itself: of one
//! that does not, mcpmon adds that capability to the `initialize` answer, by design.)

use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Instant,
};

use serde_json::Value;

use crate::{
    project::{OWN_LABEL, Project},
    python::interpreter,
    support::{DEADLINE, IMAGE},
};

const LEGACY: &str = include_str!("dialogue/legacy.jsonl");
const MODERN: &str = include_str!("dialogue/modern.jsonl");

const SERVE: [&str; 2] = ["stdio", "--list-changed"];

/// A server, and the lines that it sends.
struct Peer {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    name: String,
}

impl Peer {
    fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let lines = raw_lines(child.stdout.take().expect("a pipe"));
        let input = child.stdin.take();
        Self { child, input, lines, name: name.to_owned() }
    }

    fn send(&mut self, line: &str) {
        let input = self.input.as_mut().expect("not closed yet");
        // In one go: a half line is another story.
        input.write_all(format!("{line}\n").as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", self.name));
    }

    #[track_caller]
    fn line(&self, deadline: Instant, what: &str) -> Vec<u8> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.lines.recv_timeout(left).unwrap_or_else(|error| panic!("{}: no answer to {what}: {error}", self.name))
    }

    /// Says a recorded dialogue: the next line once what the one before asks for has come. Then closes input and reads on to
    /// the end.
    #[track_caller]
    fn hold(mut self, dialogue: &str) -> Vec<String> {
        let mut heard = Vec::new();
        for line in dialogue.lines() {
            self.send(line);
            let Some(end) = ends_with(line) else { continue };
            let deadline = Instant::now() + DEADLINE;
            loop {
                let came = self.line(deadline, line);
                let message: Value = serde_json::from_slice(&came).expect("JSON");
                heard.push(String::from_utf8(came).expect("UTF-8"));
                if end.is_in(&message) {
                    break;
                }
            }
        }
        drop(self.input.take());
        let deadline = Instant::now() + DEADLINE;
        while let Ok(line) = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            heard.push(String::from_utf8(line).expect("UTF-8"));
        }
        assert!(Instant::now() < deadline, "{}: output has not ended", self.name);
        let status = self.child.wait().expect("it ended");
        assert!(status.success(), "{}: {status}", self.name);
        heard
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What tells that a request has been answered.
enum End {
    /// The answer with this id.
    Answer(Value),
    /// The acknowledgement of a subscription, which is answered only at its end.
    Acknowledgement,
}

impl End {
    fn is_in(&self, message: &Value) -> bool {
        match self {
            Self::Answer(id) => message["id"] == *id && message.get("method").is_none(),
            Self::Acknowledgement => message["method"] == "notifications/subscriptions/acknowledged",
        }
    }
}

fn ends_with(line: &str) -> Option<End> {
    let message: Value = serde_json::from_str(line).expect("the dialogue is JSON");
    match (message["method"].as_str(), message.get("id")) {
        (Some("subscriptions/listen"), _) => Some(End::Acknowledgement),
        (_, id) => id.cloned().map(End::Answer),
    }
}

fn raw_lines(input: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut input = BufReader::new(input);
        loop {
            let mut line = Vec::new();
            match input.read_until(b'\n', &mut line) {
                Ok(1..) if sender.send(line).is_ok() => {}
                _ => break,
            }
        }
    });
    lines
}

/// With and without.
#[track_caller]
fn same(dialogue: &str, without: &mut Command, with: &mut Command) {
    let expected = Peer::start("without mcpmon", without).hold(dialogue);
    let requests = dialogue.lines().filter_map(ends_with).count();
    assert!(expected.len() >= requests, "{expected:#?}");
    let heard = Peer::start("with mcpmon", with).hold(dialogue);
    for (expected, heard) in expected.iter().zip(&heard) {
        assert_eq!(expected, heard);
    }
    assert_eq!(expected.len(), heard.len(), "{heard:#?}");
}

fn docker_line(project: &Project) -> Vec<String> {
    let label = format!("{OWN_LABEL}={}", project.name);
    let run = ["docker", "run", "-i", "--rm", "--init", "--network", "host", "--label", &label, IMAGE];
    run.iter().chain(&SERVE).map(ToString::to_string).collect()
}

fn direct(project: &Project) -> Command {
    let line = docker_line(project);
    let mut command = Command::new(&line[0]);
    command.args(&line[1..]);
    command
}

fn mcpmon(project: &Project, line: &[String]) -> Command {
    project.command(&line.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn the_dialogue_is_repeatable_without_mcpmon() {
    let project = Project::new("golden-direct");
    for dialogue in [LEGACY, MODERN] {
        same(dialogue, &mut direct(&project), &mut direct(&project));
    }
    project.assert_nothing_left();
}

#[test]
fn mcpmon_run_changes_no_byte() {
    let project = Project::with(
        "golden-run",
        &format!(
            "[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\nnetwork_mode = \"host\"\ncommand = {SERVE:?}\n"
        ),
    );
    for dialogue in [LEGACY, MODERN] {
        same(dialogue, &mut direct(&project), &mut project.command(&["run", "api"]));
    }
    project.assert_nothing_left();
}

#[test]
fn mcpmon_docker_run_changes_no_byte() {
    let project = Project::new("golden-docker");
    for dialogue in [LEGACY, MODERN] {
        same(dialogue, &mut direct(&project), &mut mcpmon(&project, &docker_line(&project)));
    }
    project.assert_nothing_left();
}

#[test]
fn mcpmon_with_a_command_changes_no_byte() {
    let project = Project::new("golden-process");
    project.write("server.py", include_str!("server.py"));
    let line = [interpreter().display().to_string(), project.path("server.py").display().to_string()];
    let mut bare = Command::new(&line[0]);
    bare.arg(&line[1]);
    // In its other era the SDK's server does not tell of changed lists.
    same(MODERN, &mut bare, &mut mcpmon(&project, &line));
}
