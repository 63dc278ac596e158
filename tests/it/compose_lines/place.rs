//! What the tests of compose lines share: a compose project of its own, with lines run in it, and what happens to its
//! services.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use crate::{
    compose_projects::containers,
    engine_api::{self, Kind, sweep},
    project::{EngineLog, Project},
    support::{DEADLINE, in_the_same_place, until},
};

/// A compose project of its own, in a folder of the test's project.
pub(super) struct Place {
    pub(super) project: Project,
    pub(super) folder: &'static str,
    pub(super) name: String,
}

impl Place {
    pub(super) fn new(test: &str, folder: &'static str) -> Self {
        let project = Project::new(test);
        let name = project.name.to_lowercase();
        project.write(&format!("{folder}/.gitignore"), "");
        Self { project, folder, name }
    }

    pub(super) fn write(&self, file: &str, text: &str) {
        self.project.write(&format!("{}/{file}", self.folder), text);
    }

    /// The line with mcpmon in front, or without.
    pub(super) fn command(&self, line: &str, with: bool) -> Command {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.project.command(&words);
        if !with {
            let mut plain = Command::new(words[0]);
            plain.args(&words[1..]);
            in_the_same_place(&command, &mut plain);
            command = plain;
        }
        command.env("COMPOSE_PROJECT_NAME", &self.name).env("MCPMON_DELAY", "20").env("NO_COLOR", "1");
        command.current_dir(self.project.path(self.folder)).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(super) fn output(&self, line: &str, with: bool) -> Output {
        self.command(line, with).output().expect("it runs")
    }

    #[track_caller]
    pub(super) fn ok(&self, line: &str, with: bool) -> String {
        let output = self.output(line, with);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {}\n{error}", output.status);
        error
    }

    /// Each container's service and id, and whether it runs.
    pub(super) fn running(&self) -> Vec<(String, String, bool)> {
        let found = containers(&self.name).into_iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        found.map(|(name, one)| (name, text(&one["Id"]), one["State"]["Running"] == true)).collect()
    }

    /// How many containers run. One that is being made anew, or that a clean-up removes, can't be inspected.
    pub(super) fn counts_running(&self) -> usize {
        let label = format!("label=com.docker.compose.project={}", self.name);
        engine_api::ids(Kind::Container, &[&label, "status=running"]).len()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.running().into_iter().map(|(_, id, _)| id).collect()
    }

    /// The pid on the project's containers.
    pub(super) fn keeper(&self) -> BTreeSet<String> {
        let label =
            |one: &serde_json::Value| one["Config"]["Labels"]["mcpmon.pid"].as_str().unwrap_or("none").to_owned();
        containers(&self.name).iter().map(|(_, one)| label(one)).collect()
    }

    /// Hears which services something happens to from now on.
    pub(super) fn touched(&self) -> Touched {
        Touched { log: EngineLog::new(&self.name), project: format!("{}-", self.name), services: BTreeSet::new() }
    }

    pub(super) fn start(&self, line: &str) -> Going {
        Going::new(self.command(line, true))
    }

    /// Removes what its lines made, for a fraction of what `docker compose down` costs.
    pub(super) fn clear(&self) {
        sweep(&Kind::MADE, &[&format!("com.docker.compose.project={}", self.name)]);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.clear();
        engine_api::remove(Kind::Image, &format!("{}-web", self.name));
    }
}

/// The services whose containers something happened to. What only looks does not count.
pub(super) struct Touched {
    log: EngineLog,
    project: String,
    services: BTreeSet<String>,
}

impl Touched {
    /// Since it was made.
    pub(super) fn so_far(&mut self) -> BTreeSet<String> {
        for event in self.log.until_now() {
            let container = event.strip_prefix("container ").filter(|rest| !rest.starts_with("exec_"));
            // `project-service-1`; while compose makes it anew, `0123456789ab_project-service-1`.
            let name = container.and_then(|rest| rest.split_once(&self.project)).map(|(_, name)| name);
            self.services.extend(name.and_then(|name| name.rsplit_once('-')).map(|(service, _)| service.to_owned()));
        }
        self.services.clone()
    }
}

/// A line that goes on until it is ended.
pub(super) struct Going {
    pub(super) child: Child,
    lines: Receiver<String>,
}

impl Going {
    pub(super) fn new(mut command: Command) -> Self {
        let mut child = command.spawn().expect("mcpmon starts");
        let (sender, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("a pipe")), Box::new(child.stderr.take().expect("a pipe"))];
        for output in outputs {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self { child, lines }
    }

    /// Waits until each of these was in a line, in any order; gives the lines.
    #[track_caller]
    pub(super) fn wait_for_all(&self, what: &[&str]) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        while let Some(missing) = what.iter().find(|what| !seen.iter().any(|line| line.contains(**what))) {
            seen.extend(self.wait(missing));
        }
        seen
    }

    /// Waits for a line with this in it; gives those before it, and it.
    #[track_caller]
    pub(super) fn wait(&self, what: &str) -> Vec<String> {
        let mut seen = Vec::new();
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => seen.push(line),
                Err(error) => panic!("{what:?} did not come ({error}): {seen:#?}"),
            }
            if seen.last().is_some_and(|line| line.contains(what)) {
                return seen;
            }
        }
    }

    pub(super) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "{signal}");
    }

    /// Waits for its end; gives its exit code.
    #[track_caller]
    pub(super) fn end(&mut self) -> Option<i32> {
        let mut last = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            last.push(line);
        }
        let mut status = None;
        until(&format!("its end, after it said {last:#?}"), || {
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}
