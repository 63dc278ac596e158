//! `examples/stdio`, as a reader would try it: the lines for the client's configuration start the server, a saved file becomes
//! the running server in the same session, and nothing is left.

use std::{fs, path::Path, time::Instant};

use serde_json::{Value, json};

use crate::{
    client::Client,
    project::Project,
    support::{DEADLINE, docker},
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
