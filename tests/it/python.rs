//! The official Python SDK as a client, and Python programs as servers: published packages at pinned versions, in an
//! environment that `.ci/python tests` makes. A test drives the client by lines (see `client.py`) and sees what its
//! user would see, never a frame.

use std::{
    io::Write,
    path::PathBuf,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError},
    time::Instant,
};

use serde_json::{Value, json};

use crate::support::{DEADLINE, in_the_same_place, lines_of};

/// What runs Python programs with the packages of `requirements.txt`.
pub(crate) fn interpreter() -> PathBuf {
    // The environment lies beside cargo's own folder for tests, in the target folder.
    let target = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).parent().expect("the target folder").to_owned();
    let python = target.join("python/tests/bin/python");
    assert!(python.exists(), "{} is missing: `make test` or `.ci/python tests` makes it", python.display());
    python
}

/// A Python SDK client with its server.
pub(crate) struct PythonClient {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
    /// Lines that came while another one was waited for.
    kept: Vec<Value>,
    asked: u64,
    /// The protocol's version that client and server agreed on.
    pub(crate) version: String,
    /// The server's capabilities as the client was told.
    pub(crate) capabilities: Value,
}

impl PythonClient {
    /// Starts the client in `mode` (auto, legacy, or a version), which starts `server`, and waits until both have agreed.
    /// Folder and environment of `server` become the client's, which passes them on.
    #[track_caller]
    pub(crate) fn connect(mode: &str, server: &Command) -> Self {
        let mut command = Command::new(interpreter());
        command.args([concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/client.py"), mode]);
        command.arg(server.get_program()).args(server.get_args());
        in_the_same_place(server, &mut command);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the Python client starts");
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        let errors = lines_of(child.stderr.take().expect("a pipe"));
        let (input, kept) = (child.stdin.take(), Vec::new());
        let mut client =
            Self { child, input, lines, errors, kept, asked: 0, version: String::new(), capabilities: Value::Null };
        let connected = client.wait("the connection", |line| line["event"] == "connected");
        connected["version"].as_str().expect("a version").clone_into(&mut client.version);
        client.capabilities = connected["capabilities"].clone();
        client
    }

    /// Asks for something; gives the number under which it is answered.
    pub(crate) fn ask(&mut self, mut request: Value) -> u64 {
        self.asked += 1;
        request["id"] = self.asked.into();
        let input = self.input.as_mut().expect("not closed yet");
        writeln!(input, "{request}").expect("the client reads");
        self.asked
    }

    /// The answer to what was asked.
    #[track_caller]
    pub(crate) fn answer(&mut self, number: u64) -> Value {
        self.wait(&format!("the answer to {number}"), |line| line["id"] == number)
    }

    /// Calls a tool, and does not wait.
    pub(crate) fn begin(&mut self, tool: &str, arguments: &Value) -> u64 {
        self.ask(json!({ "do": "call", "tool": tool, "arguments": arguments }))
    }

    /// The text that a call gave; it must have gone well.
    #[track_caller]
    pub(crate) fn text(&mut self, number: u64) -> String {
        let answer = self.answer(number);
        assert_eq!(answer["failed"], false, "{answer}");
        answer["text"].as_str().expect("a text").to_owned()
    }

    /// Calls a tool that must answer with a text.
    #[track_caller]
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> String {
        let number = self.begin(tool, arguments);
        self.text(number)
    }

    /// The names of the server's tools, sorted.
    #[track_caller]
    pub(crate) fn tools(&mut self) -> Vec<String> {
        let number = self.ask(json!({ "do": "tools" }));
        let answer = self.answer(number);
        let names = answer["names"].as_array().unwrap_or_else(|| panic!("no tools: {answer}"));
        names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// From now on the client is told when the tools change, in whichever way its version of the protocol has.
    #[track_caller]
    pub(crate) fn listen(&mut self) {
        if self.is_modern() {
            let number = self.ask(json!({ "do": "listen" }));
            let answer = self.answer(number);
            assert_eq!(answer["honored"], json!({ "toolsListChanged": true }), "{answer}");
        } else {
            assert_eq!(self.capabilities["tools"]["listChanged"], true, "{}", self.capabilities);
        }
    }

    /// Waits until the client is told that the tools changed.
    #[track_caller]
    pub(crate) fn tools_changed(&mut self) {
        let method = "notifications/tools/list_changed";
        self.wait(method, |line| line["method"] == method);
        if self.is_modern() {
            // The SDK tells of it twice: as a notification, and to whoever reads the subscription.
            self.wait("the subscription's event", |line| line["kind"] == "ToolsListChanged");
        }
    }

    fn is_modern(&self) -> bool {
        self.version.as_str() >= "2026-07-28"
    }

    /// The next line that matches. Others stay for whoever waits for them.
    #[track_caller]
    pub(crate) fn wait(&mut self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        if let Some(place) = self.kept.iter().position(&matches) {
            return self.kept.remove(place);
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let line: Value = serde_json::from_str(&line)
                        .unwrap_or_else(|error| panic!("waiting for {what}: no JSON ({error}): {line}"));
                    assert_ne!(line["event"], "fault", "{line}");
                    if matches(&line) {
                        return line;
                    }
                    self.kept.push(line);
                }
                Err(error) => {
                    let why = match error {
                        RecvTimeoutError::Timeout => format!("not within {DEADLINE:?}"),
                        RecvTimeoutError::Disconnected => "the client ended".to_owned(),
                    };
                    panic!("waited for {what}: {why}; came instead: {:#?}; {}", self.kept, self.told());
                }
            }
        }
    }

    /// What was said that nobody waited for.
    pub(crate) fn unexpected(&self) -> &[Value] {
        &self.kept
    }

    /// What client and server wrote to stderr since this was last asked.
    pub(crate) fn told(&self) -> String {
        let lines: Vec<String> = self.errors.try_iter().collect();
        format!("stderr: {lines:#?}")
    }

    /// Closes the session as the SDK does, and waits until client and server have ended.
    #[track_caller]
    pub(crate) fn close(&mut self) -> ExitStatus {
        drop(self.input.take());
        self.wait("the client's end", |line| line["event"] == "closed");
        self.child.wait().expect("it ends")
    }
}

impl Drop for PythonClient {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
