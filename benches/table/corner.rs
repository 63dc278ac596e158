//! A folder and a name of its own for one measurement. Whatever happens, nothing of it is left: the
//! folder, mcpmon's project, and compose's project of that name are removed, and nothing else is touched.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use mcpmon::model::labels;

use crate::{
    Plan,
    run::{Outcome, printed, timed},
};

/// The image that everything here runs: `FROM scratch` around `examples/server`.
pub(crate) const IMAGE: &str = "mcpmon-test-server:latest";

/// The label that compose puts on what it makes (docker/compose, `pkg/api/labels.go`).
const COMPOSE_PROJECT: &str = "com.docker.compose.project";

/// One measurement's own place.
pub(crate) struct Corner {
    /// The project's name, mcpmon's and compose's.
    pub(crate) name: String,
    /// The folder; `mcpmon.toml` and `compose.yaml` lie here.
    pub(crate) folder: PathBuf,
    binary: PathBuf,
}

impl Corner {
    /// An empty one.
    pub(crate) fn new(plan: &Plan, part: &str) -> Outcome<Self> {
        printed("docker", &["image", "inspect", "--format", "{{.Id}}", IMAGE])
            .map_err(|error| format!("{error}; `make images` builds it"))?;
        let name = format!("mcpmon-bench-{part}-{}", std::process::id());
        let folder = std::env::temp_dir().join(&name);
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Self { name, folder, binary: plan.binary.clone() })
    }

    /// Writes a file of this folder.
    pub(crate) fn write(&self, file: &str, text: &str) -> Outcome<()> {
        let path = self.folder.join(file);
        path.parent()
            .map_or(Ok(()), fs::create_dir_all)
            .and_then(|()| fs::write(&path, text))
            .map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Writes `mcpmon.toml`: the head, then so many targets, each with these lines.
    pub(crate) fn targets(&self, head: &str, count: usize, lines: &str) -> Outcome<()> {
        let mut text = format!("version = 1\nname = \"{}\"\n{head}\n", self.name);
        for number in 0..count {
            // Writing to a String can't fail.
            let _ = write!(text, "[targets.t{number:02}]\nimage = \"{IMAGE}\"\n{lines}\n");
        }
        self.write("mcpmon.toml", &text)
    }

    /// Runs mcpmon here; gives its time in milliseconds.
    pub(crate) fn mcpmon(&self, arguments: &[&str]) -> Outcome<f64> {
        timed(&self.folder, &self.binary, arguments)
    }

    /// Runs docker here; gives its time in milliseconds.
    pub(crate) fn docker(&self, arguments: &[&str]) -> Outcome<f64> {
        timed(&self.folder, Path::new("docker"), arguments)
    }

    /// `mcpmon` with these arguments, to be started here.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(&self.folder).env("XDG_STATE_HOME", &self.folder);
        command
    }

    /// Key and value of the label that containers carry which mcpmon does not start: the corner removes them too.
    pub(crate) fn label(&self) -> (String, String) {
        (COMPOSE_PROJECT.to_owned(), self.name.clone())
    }

    /// Ids of mcpmon's containers here.
    pub(crate) fn containers(&self) -> Outcome<Vec<String>> {
        let found = printed("docker", &["ps", "-aq", "--filter", &format!("label={}={}", labels::PROJECT, self.name)])?;
        Ok(found.lines().map(str::to_owned).collect())
    }

    /// The process that keeps the containers here.
    pub(crate) fn supervisor(&self) -> Outcome<u32> {
        let containers = self.containers()?;
        let first = containers.first().ok_or("nothing runs")?;
        let format = format!("{{{{index .Config.Labels \"{}\"}}}}", labels::PID);
        let pid = printed("docker", &["inspect", "--format", &format, first])?;
        pid.parse().map_err(|_| format!("container {first} names no pid: {pid}"))
    }

    /// The events that the supervisor wrote so far.
    pub(crate) fn journal(&self) -> Outcome<String> {
        let path = self.folder.join("mcpmon").join(format!("{}.log", self.name));
        fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Ends both projects, also after an interrupt; leaves the folder.
    pub(crate) fn clean(&self) {
        let quiet = |program: &Path, arguments: &[&str]| {
            let mut command = Command::new(program);
            command.args(arguments).current_dir(&self.folder).env("XDG_STATE_HOME", &self.folder);
            // What is gone already is no failure; what can't be removed is tried again by label below.
            let _ = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        };
        if self.folder.join("mcpmon.toml").exists() {
            quiet(&self.binary, &["down"]);
        }
        for label in [labels::PROJECT, COMPOSE_PROJECT] {
            let filter = format!("label={label}={}", self.name);
            let kinds: [(&[&str], &[&str]); 2] =
                [(&["ps", "-aq"], &["rm", "-fv"]), (&["network", "ls", "-q"], &["network", "rm"])];
            for (list, remove) in kinds {
                let found = printed("docker", &[list, &["--filter", &filter]].concat()).unwrap_or_default();
                let found: Vec<&str> = found.lines().collect();
                if !found.is_empty() {
                    quiet(Path::new("docker"), &[remove, &found].concat());
                }
            }
        }
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        self.clean();
        let _ = fs::remove_dir_all(&self.folder); // in the temporary folder, and nothing but a few lines of text
    }
}
