//! The whole binary in a project of its own: a folder with an `mcpmon.toml`, the real `mcpmon` started in it,
//! its events (`--format json`) awaited one by one, and the engine asked by the docker CLI.
//! When a test ends, however it ends, its processes are killed and everything labelled as its project's is removed.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, RecvTimeoutError, channel},
    },
    time::Instant,
};

use mcpmon::model::labels;
use serde_json::Value;

use crate::{
    engine_api::{self, Kind, sweep},
    support::{DEADLINE, IMAGE, docker, inspected},
};

/// A project in a folder of its own.
pub(crate) struct Project {
    /// Label value, and prefix of all names.
    pub(crate) name: String,
    folder: tempfile::TempDir,
    elsewhere: tempfile::TempDir,
    environment: Vec<(String, String)>,
}

impl Project {
    /// An empty folder. The tests' image must be there.
    pub(crate) fn new(test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        let image = engine_api::inspect(Kind::Image, IMAGE);
        assert!(image.is_some(), "engine tests need an engine and the image {IMAGE}: `make test` gets both");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            name: format!("it-{test}-{}-{count}", std::process::id()),
            folder: tempfile::tempdir().expect("a folder"),
            elsewhere: tempfile::tempdir().expect("a folder"),
            environment: Vec::new(),
        }
    }

    /// A project whose file says this, after its name.
    pub(crate) fn with(test: &str, config: &str) -> Self {
        let project = Self::new(test);
        project.config(config);
        project
    }

    /// For every mcpmon started from now on.
    pub(crate) fn environment(&mut self, key: &str, value: &str) {
        self.environment.push((key.to_owned(), value.to_owned()));
    }

    /// Writes `mcpmon.toml`: the project's name, then this.
    pub(crate) fn config(&self, config: &str) {
        self.write("mcpmon.toml", &format!("name = \"{}\"\n{config}", self.name));
    }

    /// Saves a file as editors do: written beside, then renamed over.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        let beside = self.elsewhere.path().join("saved");
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&beside, text).expect("a file");
        fs::rename(&beside, path).expect("a file in its place");
    }

    /// A path in the project's folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// A path outside of the project's folder that is removed with it.
    pub(crate) fn elsewhere(&self, path: &str) -> PathBuf {
        self.elsewhere.path().join(path)
    }

    /// `mcpmon` in the project's folder, with nothing of the tests' own settings.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mcpmon"));
        command.args(arguments).current_dir(self.folder.path()).stdin(Stdio::null());
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("MCPMON_")) {
            command.env_remove(key);
        }
        command.env("XDG_STATE_HOME", self.elsewhere("state")).env("XDG_CONFIG_HOME", self.elsewhere("config"));
        command.env("NO_COLOR", "1").envs(self.environment.iter().map(|(key, value)| (key, value)));
        command
    }

    /// Runs `mcpmon` to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Ran::of(self.command(arguments).output().expect("mcpmon runs"))
    }

    /// Starts `mcpmon up --format json` with these arguments more.
    pub(crate) fn up(&self, arguments: &[&str]) -> Up {
        Up::start(self.command(&[&["up", "--format", "json"], arguments].concat()))
    }

    /// Starts `mcpmon up` and waits until everything is as asked, or held.
    pub(crate) fn settled(&self) -> Up {
        let mut up = self.up(&[]);
        up.wait("settled", "");
        up
    }

    /// Starts `mcpmon up -d --wait`; it must succeed.
    pub(crate) fn detached(&self) {
        let ran = self.run(&["up", "-d", "--wait"]);
        assert_eq!(ran.code, 0, "up -d --wait: {ran:?}");
    }

    /// The name that a target's container has.
    pub(crate) fn container(&self, target: &str) -> String {
        format!("{}-{target}", self.name)
    }

    /// What `docker inspect` says about a target's container, which must be there.
    pub(crate) fn inspect(&self, target: &str) -> Value {
        inspected(&self.container(target))
    }

    /// The id of a target's container, which must be there.
    pub(crate) fn id(&self, target: &str) -> String {
        self.inspect(target)["Id"].as_str().expect("an id").to_owned()
    }

    /// What the engine has of this project: kinds, names and ids, sorted.
    pub(crate) fn on_the_engine(&self) -> Vec<String> {
        let mut found = Vec::new();
        for label in own_labels(&self.name) {
            let list = |kind| engine_api::list(kind, &[&format!("label={label}")]).into_iter();
            let text = |one: &Value| one.as_str().unwrap_or_default().to_owned();
            found.extend(list(Kind::Container).map(|one| {
                let name = text(&one["Names"][0]);
                format!("container {} {} {}", name.trim_start_matches('/'), text(&one["Id"]), text(&one["State"]))
            }));
            found.extend(list(Kind::Network).map(|one| format!("network {}", text(&one["Name"]))));
            found.extend(list(Kind::Volume).map(|one| format!("volume {}", text(&one["Name"]))));
        }
        found.sort();
        found
    }

    /// Nothing is left.
    #[track_caller]
    pub(crate) fn assert_nothing_left(&self) {
        assert_eq!(self.on_the_engine(), Vec::<String>::new(), "left on the engine");
    }

    /// Follows everything that the engine does and that mentions this project, by label or by name.
    pub(crate) fn watch_engine(&self) -> EngineLog {
        EngineLog::new(&self.name)
    }

    /// Text without what differs from run to run: names, paths, ids, times.
    pub(crate) fn tidy(&self, text: &str) -> String {
        let text = text.replace(&self.name, "PROJECT").replace(&self.folder.path().display().to_string(), "FOLDER");
        text.replace(&self.elsewhere.path().display().to_string(), "ELSEWHERE")
    }
}

/// The label of containers whose labels are not mcpmon's to set, such as a docker line's own: its value is the project's name.
pub(crate) const OWN_LABEL: &str = "mcpmon-it.project";

/// On what a project can leave.
fn own_labels(project: &str) -> [String; 2] {
    [labels::PROJECT, OWN_LABEL].map(|label| format!("{label}={project}"))
}

impl Drop for Project {
    fn drop(&mut self) {
        // Supervisors left their parents; they are known by the folder that they run in.
        for process in processes_in(self.folder.path()) {
            let _ = Command::new("kill").args(["-9", &process.to_string()]).output();
        }
        let labels = own_labels(&self.name);
        let labels = labels.each_ref().map(String::as_str);
        sweep(&Kind::MADE, &labels);
        sweep(&[Kind::Image], &labels);
    }
}

/// Sends a signal by its name.
#[track_caller]
pub(crate) fn kill(pid: u32, signal: &str) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).output();
    assert!(sent.is_ok_and(|sent| sent.status.success()), "{signal} to pid {pid}");
}

/// What a watchdog calls itself.
const WATCHDOG: &str = "mcpmon-watchdog";

fn is_watchdog(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == WATCHDOG)
}

/// The watchdog of a session.
pub(crate) fn watchdog_of(session: u32) -> Option<u32> {
    let children = fs::read_to_string(format!("/proc/{session}/task/{session}/children")).ok()?;
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid| is_watchdog(*pid))
}

/// Kills a session and its watchdog, so that nobody is there to remove anything: as when the machine goes down.
#[track_caller]
pub(crate) fn kill_with_watchdog(session: u32) {
    // Stopped, it can't notice.
    kill(session, "STOP");
    kill(watchdog_of(session).expect("a watchdog"), "KILL");
    kill(session, "KILL");
}

/// Processes of the tested binary whose current folder is that one, without watchdogs.
pub(crate) fn processes_in(folder: &Path) -> Vec<u32> {
    let program = Path::new(env!("CARGO_BIN_EXE_mcpmon"));
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let processes = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    processes
        .filter(|process| {
            let link = |name: &str| fs::read_link(format!("/proc/{process}/{name}")).unwrap_or_default();
            link("exe") == program && link("cwd") == folder && !is_watchdog(*process)
        })
        .collect()
}

/// What a run of `mcpmon` gave.
#[derive(Debug)]
pub(crate) struct Ran {
    /// The exit code; -1 after a signal.
    pub(crate) code: i32,
    /// All of stdout.
    pub(crate) out: String,
    /// All of stderr.
    pub(crate) err: String,
}

impl Ran {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
        }
    }

    /// stdout as one JSON document.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The documented events, one a line.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
    }
}

/// A running `mcpmon up --format json`.
pub(crate) struct Up {
    child: Child,
    lines: Receiver<(Instant, String)>,
    errors: Receiver<(Instant, String)>,
    seen: VecDeque<String>,
}

/// An event, and when it came.
pub(crate) struct Told {
    /// The event as documented.
    pub(crate) event: Value,
    /// When it was read.
    pub(crate) at: Instant,
}

impl Told {
    /// A text field.
    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> &str {
        self.event[field].as_str().unwrap_or_else(|| panic!("no text {field} in {}", self.event))
    }

    /// A list of texts, as lines.
    pub(crate) fn lines(&self, field: &str) -> String {
        let lines = self.event[field].as_array().map(Vec::as_slice).unwrap_or_default();
        lines.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
    }

    /// A number.
    #[track_caller]
    pub(crate) fn number(&self, field: &str) -> u64 {
        self.event[field].as_u64().unwrap_or_else(|| panic!("no number {field} in {}", self.event))
    }
}

impl Up {
    /// Starts a command whose stdout is events.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("mcpmon starts");
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        let errors = lines_of(child.stderr.take().expect("a pipe"));
        Self { child, lines, errors, seen: VecDeque::new() }
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next event of that name, about that target where one is given.
    #[track_caller]
    pub(crate) fn wait(&mut self, name: &str, target: &str) -> Told {
        let what = format!("{name} {target}");
        self.wait_for(&what, |event| event["event"] == name && (target.is_empty() || event["target"] == target))
    }

    /// The next event that matches.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, what: &str, matches: impl Fn(&Value) -> bool) -> Told {
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((at, line)) => {
                    let event: Value = serde_json::from_str(&line)
                        .unwrap_or_else(|error| panic!("waiting for {what}: no event ({error}): {line}"));
                    self.seen.push_back(line);
                    if matches(&event) {
                        return Told { event, at };
                    }
                }
                Err(error) => {
                    let why = match error {
                        RecvTimeoutError::Timeout => format!("not within {DEADLINE:?}"),
                        RecvTimeoutError::Disconnected => "it ended".to_owned(),
                    };
                    let errors: Vec<String> = self.errors.try_iter().map(|(_, line)| line).collect();
                    panic!("waited for {what}: {why}. stderr: {errors:#?}; events so far: {}", self.told());
                }
            }
        }
    }

    /// All events that were read so far, one a line, without what builds print.
    pub(crate) fn told(&self) -> String {
        let lines = self.seen.iter().filter(|line| !line.contains("action_progress"));
        lines.fold(String::new(), |told, line| told + "\n  " + line)
    }

    /// Events read so far that match.
    pub(crate) fn seen(&self, matches: impl Fn(&Value) -> bool) -> Vec<Value> {
        self.seen.iter().filter_map(|line| serde_json::from_str(line).ok()).filter(|event| matches(event)).collect()
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.pid().to_string()]).output();
        assert!(sent.is_ok_and(|sent| sent.status.success()), "{signal} to pid {}", self.pid());
    }

    /// Waits for its end; gives its exit status, and what it wrote to stderr.
    #[track_caller]
    pub(crate) fn end(&mut self) -> (ExitStatus, String) {
        let deadline = Instant::now() + DEADLINE;
        // Its outputs close when it ends.
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok((_, line)) => self.seen.push_back(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it did not end within {DEADLINE:?}: {}", self.told()),
            }
        }
        let errors: Vec<String> = self.errors.iter().map(|(_, line)| line).collect();
        (self.child.wait().expect("it ended"), errors.join("\n"))
    }

    /// Sends SIGINT and waits for the end, which must be that signal's.
    #[track_caller]
    pub(crate) fn interrupt(&mut self) {
        self.signal("INT");
        let (status, errors) = self.end();
        assert_eq!(status.code(), Some(130), "{errors}{}", self.told());
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(input: impl Read + Send + 'static) -> Receiver<(Instant, String)> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(input).lines().map_while(Result::ok) {
            if sender.send((Instant::now(), line)).is_err() {
                break;
            }
        }
    });
    lines
}

/// Everything that the engine does (`docker events`, no filter) and that mentions a project.
pub(crate) struct EngineLog {
    child: Child,
    lines: Receiver<(Instant, String)>,
    project: String,
    marks: u32,
}

impl EngineLog {
    /// From now on, about that project.
    pub(crate) fn new(project: &str) -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("a clock");
        // With a beginning, events between now and the connection are not lost.
        let since = format!("{}.{:09}", now.as_secs(), now.subsec_nanos());
        let mut child = Command::new("docker")
            .args(["events", "--since", &since, "--format", "{{json .}}"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("docker events");
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        Self { child, lines, project: project.to_owned(), marks: 0 }
    }

    /// What happened until now, as `container start NAME`, in order. An own mark at the end of the stream
    /// tells that nothing is still on its way.
    #[track_caller]
    pub(crate) fn until_now(&mut self) -> Vec<String> {
        self.marks += 1;
        let mark = format!("{}-mark-{}", self.project, self.marks);
        let label = format!("{}={}", labels::PROJECT, self.project);
        assert!(docker(&["volume", "create", "--label", &label, &mark]).status.success(), "a mark");
        let mut happened = Vec::new();
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let (_, line) = self
                .lines
                .recv_timeout(left)
                .unwrap_or_else(|_| panic!("the engine's event about {mark} did not come"));
            let event: Value = serde_json::from_str(&line).expect("an event");
            if event["Actor"]["ID"] == mark {
                break;
            }
            if line.contains(&self.project) && !line.contains("-mark-") {
                let name = event["Actor"]["Attributes"]["name"].as_str().or(event["Actor"]["ID"].as_str());
                let word = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
                happened.push(format!("{} {} {}", word("Type"), word("Action"), name.unwrap_or_default()));
            }
        }
        assert!(docker(&["volume", "rm", &mark]).status.success(), "the mark");
        happened
    }
}

impl Drop for EngineLog {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
