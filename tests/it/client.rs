//! An MCP client of a stdio session, line by line: the real `mcpmon run` with pipes for stdin, stdout and stderr. Each line
//! of its stdout must be JSON-RPC; a wait has a deadline and says what it waited for.

use std::{
    io::Write,
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{
    project::Project,
    support::{DEADLINE, lines_of},
};

/// A client and the session it started.
pub(crate) struct Client {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Receiver<String>,
    /// What came on stdout and nobody has asked for yet.
    unread: Vec<Value>,
    /// What came on stderr.
    pub(crate) said: Vec<String>,
    last_id: u64,
}

impl Client {
    /// Starts `mcpmon` in the project's folder with these arguments.
    pub(crate) fn start(project: &Project, arguments: &[&str]) -> Self {
        Self::of(project.command(arguments))
    }

    /// Starts `mcpmon run TARGET`, and says what clients say first.
    pub(crate) fn of_target(project: &Project, target: &str) -> Self {
        let mut client = Self::start(project, &["run", target]);
        client.initialize();
        client
    }

    /// Starts a command as its server.
    pub(crate) fn of(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("mcpmon starts");
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        let errors = lines_of(child.stderr.take().expect("a pipe"));
        let input = child.stdin.take();
        Self { child, input, lines, errors, unread: Vec::new(), said: Vec::new(), last_id: 0 }
    }

    /// The handshake; gives the server's answer.
    pub(crate) fn initialize(&mut self) -> Value {
        let client = json!({"name": "it", "version": "1"});
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client});
        let id = self.request("initialize", &params);
        let answer = self.answer(id);
        self.send(&json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
        answer
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, message: &Value) {
        let input = self.input.as_mut().expect("stdin is open");
        writeln!(input, "{message}").expect("the session reads");
    }

    /// Sends bytes as they are.
    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        let input = self.input.as_mut().expect("stdin is open");
        input.write_all(bytes).expect("the session reads");
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Nothing has come on stdout that was not asked for yet.
    #[track_caller]
    pub(crate) fn is_quiet(&mut self) -> bool {
        match self.lines.try_recv() {
            Ok(line) => self.unread.push(serde_json::from_str(&line).expect("JSON")),
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => panic!("it ended: {:#?}", self.all_said()),
        }
        self.unread.is_empty()
    }

    /// Sends a request; gives its id.
    pub(crate) fn request(&mut self, method: &str, params: &Value) -> u64 {
        self.last_id += 1;
        self.send(&json!({"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}));
        self.last_id
    }

    /// Sends a call of a tool; gives its id.
    pub(crate) fn begin(&mut self, tool: &str, arguments: &Value) -> u64 {
        self.request("tools/call", &json!({"name": tool, "arguments": arguments}))
    }

    /// The answer to a request.
    #[track_caller]
    pub(crate) fn answer(&mut self, id: u64) -> Value {
        self.message(&format!("the answer to {id}"), |message| message["id"] == id && message.get("method").is_none())
    }

    /// The next message that matches.
    #[track_caller]
    pub(crate) fn message(&mut self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        if let Some(place) = self.unread.iter().position(&matches) {
            return self.unread.remove(place);
        }
        let deadline = Instant::now() + DEADLINE;
        loop {
            let line = match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => line,
                Err(error) => panic!("waited for {what}: {error}; stderr: {:#?}", self.all_said()),
            };
            let message: Value =
                serde_json::from_str(&line).unwrap_or_else(|error| panic!("stdout is no JSON ({error}): {line}"));
            assert_eq!(message["jsonrpc"], "2.0", "{line}");
            if matches(&message) {
                return message;
            }
            self.unread.push(message);
        }
    }

    /// Calls a tool; gives the text of its answer, or of the error.
    #[track_caller]
    pub(crate) fn call(&mut self, tool: &str, arguments: &Value) -> String {
        let id = self.begin(tool, arguments);
        let answer = self.answer(id);
        let text = answer["result"]["content"][0]["text"].as_str().or(answer["error"]["message"].as_str());
        text.unwrap_or_else(|| panic!("no text in {answer}")).to_owned()
    }

    /// Waits for a line on stderr that has this in it.
    #[track_caller]
    pub(crate) fn hears(&mut self, part: &str) -> String {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.errors.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.said.push(line.clone());
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    panic!("not said within {DEADLINE:?}: {part}; said: {:#?}", self.said)
                }
                Err(RecvTimeoutError::Disconnected) => panic!("ended without saying {part}; said: {:#?}", self.said),
            }
        }
    }

    /// All that it said on stderr until now.
    pub(crate) fn all_said(&mut self) -> &[String] {
        self.said.extend(self.errors.try_iter());
        &self.said
    }

    /// Closes the session's stdin, as clients do when they end.
    pub(crate) fn close(&mut self) {
        self.input = None;
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).output();
        assert!(sent.is_ok_and(|sent| sent.status.success()), "{signal}");
    }

    /// Waits for its end; gives its exit status and how long that took.
    #[track_caller]
    pub(crate) fn end(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        // Its outputs close when it ends.
        while let Ok(line) = self.errors.recv_timeout((began + DEADLINE).saturating_duration_since(Instant::now())) {
            self.said.push(line);
        }
        assert!(began.elapsed() < DEADLINE, "it did not end within {DEADLINE:?}: {:#?}", self.said);
        (self.child.wait().expect("it ended"), began.elapsed())
    }

    /// Closes stdin and waits for the end, which must be a good one.
    #[track_caller]
    pub(crate) fn leave(mut self) {
        self.close();
        let (status, _) = self.end();
        assert_eq!(status.code(), Some(0), "{:#?}", self.said);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
