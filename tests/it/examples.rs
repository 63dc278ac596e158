//! `examples/stdio`, as a reader would try it: the lines for the client's configuration start the server, a saved file becomes
//! the running server in the same session, and nothing is left. And each line of `examples/docker-run`, as it is typed.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    client::Client,
    project::Project,
    support::{DEADLINE, docker, in_the_same_place, until},
};

/// What stands in the examples for the reader's own path.
const PLACE: &str = "/path/to/examples/stdio";

/// One example, in a folder of its own.
struct Example {
    project: Project,
    way: &'static str,
}

impl Example {
    fn new(way: &'static str) -> Self {
        let project = Project::new(&format!("examples-{way}"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/stdio").join(way);
        copy(&source, &project.path(way));
        Self { project, way }
    }

    /// Starts what `mcp.json` says.
    fn start(&self) -> Client {
        let config = fs::read_to_string(self.project.path(self.way).join("mcp.json")).expect("mcp.json");
        let config: Value = serde_json::from_str(&config).expect("JSON");
        let server = &config["mcpServers"]["greeter"];
        assert_eq!(server["command"], "mcpmon");
        let folder = self.project.path(".").canonicalize().expect("a folder").display().to_string();
        let words = server["args"].as_array().expect("words").iter();
        let words: Vec<String> = words.map(|word| word.as_str().expect("a word").replace(PLACE, &folder)).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let mut command = self.project.command(&words);
        command.current_dir(self.project.elsewhere(".")); // clients start servers anywhere
        Client::of(command)
    }

    /// Saves a file that says `Hello` as one that says `Bonjour`.
    fn edit(&self, file: &str) {
        let file = format!("{}/{file}", self.way);
        let text = fs::read_to_string(self.project.path(&file)).expect("a file");
        assert!(text.contains("Hello"));
        self.project.write(&file, &text.replace("Hello", "Bonjour"));
    }

    /// The containers that have the example's folder mounted.
    fn containers(&self) -> Vec<String> {
        let folder = self.project.path(self.way).canonicalize().expect("a folder").join("content");
        let output = docker(&["ps", "-aq", "--filter", &format!("volume={}", folder.display())]);
        String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect()
    }

    /// Greets, edits, is greeted anew, and leaves.
    fn tell(&self, file: &str) {
        let mut client = self.start();
        client.initialize();
        let name = json!({"name": "Ada"});
        assert!(client.call("greet", &name).starts_with("Hello"));
        self.edit(file);
        let since = Instant::now();
        loop {
            let greeting = client.call("greet", &name);
            if greeting.starts_with("Bonjour") {
                break;
            }
            assert!(greeting.starts_with("Hello"), "{greeting}");
            assert!(since.elapsed() < DEADLINE, "no new server within {DEADLINE:?} after {file} was saved");
        }
        client.leave();
        assert_eq!(self.containers(), Vec::<String>::new(), "left on the engine");
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        for left in self.containers() {
            docker(&["rm", "-fv", &left]);
        }
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("the example") {
        let entry = entry.expect("an entry");
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).expect("a copy");
        }
    }
}

#[test]
fn a_target_of_a_file() {
    Example::new("run").tell("content/greeting.txt");
}

#[test]
fn a_docker_line() {
    Example::new("docker").tell("content/greeting.txt");
}

#[test]
fn a_plain_command() {
    Example::new("command").tell("server.py");
}

const LINES: &str = include_str!("../../examples/docker-run/README.md");

/// The image of the lines, under a name of the test's own.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        docker(&["rmi", "-f", &self.0]);
    }
}

#[test]
fn each_docker_line_runs_as_it_is_typed() {
    let image = Image(format!("it-docker-run-{}:latest", std::process::id()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/docker-run");
    let built = docker(&["build", "-q", "-t", &image.0, source.to_str().expect("UTF-8")]);
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let blocks = LINES.split("\n```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    let lines: Vec<&str> = blocks.filter(|block| block.contains("mcpmon ")).collect();
    assert!(lines.len() > 12, "{lines:#?}");
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Some(line) = lines.get(next.fetch_add(1, Ordering::Relaxed)) {
                    run_line(line, &image.0, &source);
                }
            });
        }
    });
}

/// Runs a line until its server answers, saves what it watches, and ends it.
fn run_line(line: &str, image: &str, source: &Path) {
    let project = Project::new("examples-line");
    let folder = project.path("it");
    copy(source, &folder);
    // Others run beside it: its own image, and a port of the engine's choice.
    let own = |text: &str| {
        text.replace("my-mcp-server:latest", image)
            .replace("my-server:latest", image)
            .replace("127.0.0.1:3000:3000", "127.0.0.1::3000")
            .replace("-p 3000:3000", "-p 127.0.0.1::3000")
    };
    for file in ["docker-compose.yml", "docker-compose.override.yml"] {
        let text = fs::read_to_string(folder.join(file)).expect("a compose file");
        fs::write(folder.join(file), own(&text)).expect("a compose file");
    }
    let mcpmon = project.command(&[]);
    let binary = Path::new(env!("CARGO_BIN_EXE_mcpmon")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    in_the_same_place(&mcpmon, &mut shell);
    shell.args(["-c", &format!("exec env {}", own(line))]).current_dir(&folder);
    shell.env("PATH", path).env("COMPOSE_PROJECT_NAME", project.name.to_lowercase());
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = shell.spawn().expect("sh runs");
    let label = format!("label=mcpmon.pid={}", child.id());
    let found = |all: &[&str]| {
        let output = docker(&[&["ps", "-q", "--no-trunc", "--filter", &label], all].concat());
        String::from_utf8_lossy(&output.stdout).split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let answers = |id: &str| docker(&["exec", id, "/mcp-server", "healthz", "3000"]).status.success();
    let mut id = String::new();
    until(&format!("{line}: the server answers"), || {
        id = found(&[]).pop().unwrap_or_default();
        !id.is_empty() && answers(&id)
    });
    let inspect =
        |format: &str| String::from_utf8_lossy(&docker(&["inspect", "--format", format, &id]).stdout).into_owned();
    for word in ["API_KEY=secret", "NODE_ENV=development", "DEBUG=true", "LOG_LEVEL=debug"] {
        assert!(!line.contains(&format!("-e {word}")) || inspect("{{.Config.Env}}").contains(word), "{line}: {word}");
    }
    if line.contains("/app/src") || line.contains("WATCH=") {
        let started = inspect("{{.State.StartedAt}}");
        fs::write(folder.join("src/greeting.txt"), "Bonjour\n").expect("a file");
        until(&format!("{line}: it is restarted"), || inspect("{{.State.StartedAt}}") != started && answers(&id));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|sent| sent.success()));
    assert_eq!(child.wait().expect("it ends").code(), Some(130), "{line}");
    assert_eq!(found(&[]), Vec::<String>::new(), "{line}: nothing runs");
    let left = found(&["-a"]);
    assert!(left.is_empty() || line.contains("compose"), "{line}: {left:?}");
    for id in left {
        docker(&["rm", "-fv", &id]);
    }
    let network = format!("{}_default", project.name.to_lowercase());
    docker(&["network", "rm", &network]);
}
