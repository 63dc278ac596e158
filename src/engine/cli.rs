//! The docker CLI, for builds (BuildKit) and pulls (its logins and credential helpers).
//! It gets the environment untouched, so that it means the same engine as [`super::connect`].
//! It must not know containers: those are the API's business, or a command line's own.

use std::{
    collections::{BTreeMap, VecDeque},
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Command,
    sync::mpsc,
};

use super::{EngineError, EngineResult, Images, connect, docker};
use crate::{model::target::Build, session::mark};

/// How many of the last lines an error keeps.
const KEPT_LINES: usize = 30;

/// The docker CLI in an environment.
#[derive(Debug, Clone)]
pub struct DockerCli {
    environment: BTreeMap<String, String>,
}

impl DockerCli {
    /// A CLI that runs in this environment, without mcpmon's own variables.
    pub fn new(environment: &BTreeMap<String, String>) -> Self {
        let mut environment = environment.clone();
        environment.retain(|name, _| !name.starts_with("MCPMON_"));
        // Lines, whatever the CLI thinks of its output; the classic builder does not read it.
        environment.entry("BUILDKIT_PROGRESS".to_owned()).or_insert_with(|| "plain".to_owned());
        Self { environment }
    }

    fn program(&self) -> EngineResult<PathBuf> {
        find("docker", &self.environment).ok_or_else(|| EngineError::Command {
            message: "the docker command is not on PATH; builds and pulls need it: \
                      https://docs.docker.com/engine/install/ or your system's package (docker-cli, docker.io)"
                .to_owned(),
            output: Vec::new(),
        })
    }

    /// Runs it to its end; dropped before, it takes its children with it.
    async fn run(
        &self,
        arguments: Vec<OsString>,
        more: Vec<(String, String)>,
        progress: impl FnMut(&str) + Send,
    ) -> EngineResult<Ended> {
        let mut command = Command::new(self.program()?);
        command.args(arguments).env_clear().envs(&self.environment).envs(more);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        mark::put(command.as_std_mut(), mark::Kind::Tool);
        let cannot = |error: io::Error| EngineError::Command {
            message: format!("docker can't be run: {error}"),
            output: vec![],
        };
        run(command, progress).await.map_err(cannot)
    }
}

/// Runs a docker CLI to its end, without input; what it prints to pipes goes to `progress`, line by line. Dropped before,
/// it takes its children with it.
pub async fn run(mut command: Command, mut progress: impl FnMut(&str) + Send) -> io::Result<Ended> {
    // A group of its own: buildx is a child of it, and a Ctrl-C is mcpmon's to handle.
    command.stdin(Stdio::null()).process_group(0);
    let mut child = command.spawn()?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));

    let (sender, mut lines) = mpsc::channel(64);
    // The tasks end when the pipes do, which is when the last process of the group has ended or closed them.
    if let Some(output) = child.stdout.take() {
        tokio::spawn(forward(output, sender.clone()));
    }
    if let Some(output) = child.stderr.take() {
        tokio::spawn(forward(output, sender.clone()));
    }
    drop(sender);
    let mut last = VecDeque::with_capacity(KEPT_LINES);
    while let Some(line) = lines.recv().await {
        progress(&line);
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(line);
    }
    let status = child.wait().await?;
    group.0 = None;
    Ok(Ended { status, last: last.into() })
}

/// How a run ended, and the last lines it printed.
#[derive(Debug)]
pub struct Ended {
    /// How it ended.
    pub status: ExitStatus,
    /// The last lines, oldest first.
    pub last: Vec<String>,
}

impl Ended {
    fn result(self, what: &str, environment: &BTreeMap<String, String>) -> EngineResult<()> {
        if self.status.success() {
            return Ok(());
        }
        if let Some(line) = self.last.iter().find(|line| says_unreachable(line)) {
            let place = connect::resolve(environment, &|path| std::fs::read(path))?;
            return Err(EngineError::Unreachable {
                address: place.address.to_string(),
                message: line.clone(),
                hint: docker::unreachable_hint(&place.origin),
            });
        }
        Err(EngineError::Command { message: format!("{what} failed ({})", self.status), output: self.last })
    }
}

/// Ends a process group that is no longer wanted. The docker CLI, and buildx beneath it, cancel what they
/// asked of the engine when they get a SIGTERM; SIGKILL would leave buildx running.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            let _ = kill_process_group(group, Signal::TERM); // gone already: what is wanted
        }
    }
}

impl Images for DockerCli {
    async fn build(
        &self,
        build: &Build,
        tag: &str,
        labels: &BTreeMap<String, String>,
        progress: impl FnMut(&str) + Send,
    ) -> EngineResult<()> {
        check_build(build)?;
        let given = build_environment(build).map(|(key, value)| (key.clone(), value.clone())).collect();
        let ended = self.run(build_arguments(build, tag, labels), given, progress).await?;
        ended.result(&format!("docker build of {}", build.context.display()), &self.environment)
    }

    async fn pull(&self, reference: &str, progress: impl FnMut(&str) + Send) -> EngineResult<()> {
        let pull = vec!["pull".into(), "--".into(), reference.into()];
        let ended = self.run(pull, Vec::new(), progress).await?;
        if !ended.status.success()
            && !ended.last.iter().any(|line| says_unreachable(line))
            && let Some(line) = ended.last.iter().rev().find(|line| says_not_found(line))
        {
            let words = line.trim_start_matches("Error response from daemon: ");
            return Err(EngineError::ImageNotFound(format!("image {reference} can't be pulled: {words}")));
        }
        ended.result(&format!("docker pull {reference}"), &self.environment)
    }
}

fn build_arguments(build: &Build, tag: &str, labels: &BTreeMap<String, String>) -> Vec<OsString> {
    let mut arguments: Vec<OsString> = vec!["build".into(), "--tag".into(), tag.into()];
    let mut add = |flag: &str, value: OsString| arguments.extend([flag.into(), value]);
    if build.dockerfile.is_some() {
        add("--file", dockerfile(build).into());
    }
    if let Some(target) = &build.target {
        add("--target", target.into());
    }
    for (key, value) in &build.args {
        // A bare key: docker takes the value from its own environment.
        let in_line = value.as_ref().filter(|_| !goes_by_environment(key));
        add("--build-arg", in_line.map_or_else(|| key.clone(), |value| format!("{key}={value}")).into());
    }
    for (key, value) in labels {
        add("--label", format!("{key}={value}").into());
    }
    arguments.extend(["--".into(), build.context.clone().into()]);
    arguments
}

/// Values of build arguments that docker gets by its environment: what stands on a command line, everybody on the machine
/// can read.
fn build_environment(build: &Build) -> impl Iterator<Item = (&String, &String)> {
    build
        .args
        .iter()
        .filter_map(|(key, value)| Some((key, value.as_ref()?)))
        .filter(|(key, _)| goes_by_environment(key))
}

/// Whether a variable of that name means nothing to docker itself and to what it runs.
fn goes_by_environment(key: &str) -> bool {
    const MEANT: [&str; 12] = [
        "PATH",
        "HOME",
        "USER",
        "TMPDIR",
        "TERM",
        "LANG",
        "NO_COLOR",
        "COLUMNS",
        "SSH_AUTH_SOCK",
        "KUBECONFIG",
        "SHELL",
        "PWD",
    ];
    const BEGIN: [&str; 13] = [
        "DOCKER_",
        "BUILDKIT_",
        "BUILDX_",
        "COMPOSE_",
        "MCPMON_",
        "GO",
        "SSL_CERT_",
        "LD_",
        "LC_",
        "XDG_",
        "OTEL_",
        "AWS_",
        "GIT_",
    ];
    let upper = key.to_uppercase();
    let is_name = !key.is_empty() && !key.contains(['=', '\0']);
    let is_meant = MEANT.contains(&&*upper) || BEGIN.iter().any(|begin| upper.starts_with(begin));
    is_name && !is_meant && !upper.ends_with("_PROXY")
}

fn dockerfile(build: &Build) -> PathBuf {
    build.context.join(build.dockerfile.as_deref().unwrap_or(Path::new("Dockerfile")))
}

/// What docker would say less clearly, or only after sending the context.
fn check_build(build: &Build) -> EngineResult<()> {
    let missing = |what: String| Err(EngineError::Command { message: what, output: Vec::new() });
    if !build.context.is_dir() {
        return missing(format!("build context missing: {} is not a folder", build.context.display()));
    }
    let file = dockerfile(build);
    if !file.is_file() {
        return missing(format!("Dockerfile missing: there is no file {} (build.dockerfile)", file.display()));
    }
    Ok(())
}

fn says_unreachable(line: &str) -> bool {
    line.contains("Cannot connect to the Docker daemon") || line.contains("Is the docker daemon running")
}

/// Whether a registry, or the way to it, says that there is no such image for us.
fn says_not_found(line: &str) -> bool {
    const WORDS: [&str; 12] = [
        "pull access denied",
        "not found",
        "manifest unknown",
        "no matching manifest",
        "repository does not exist",
        "unauthorized",
        "no such host",
        "connection refused",
        "i/o timeout",
        "context deadline exceeded",
        "network is unreachable",
        "invalid reference format",
    ];
    let line = line.to_lowercase();
    WORDS.iter().any(|words| line.contains(words)) || line.contains("request canceled") || line.contains("tls: ")
}

/// Where a program is on `PATH`.
pub fn find(program: impl AsRef<Path>, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    let path = environment.get("PATH").map(String::as_str).unwrap_or_default();
    std::env::split_paths(path).map(|folder| folder.join(&program)).find(|file| is_executable(file))
}

/// Whether a file is there that may be run.
pub fn is_executable(file: &Path) -> bool {
    file.is_file() && rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok()
}

/// Hands on what a pipe says, line by line; of a line that is rewritten in place (`\r`) the last state.
async fn forward(output: impl AsyncRead + Unpin, lines: mpsc::Sender<String>) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line).await, Ok(1..)) {
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let shown = text.rsplit('\r').next().unwrap_or(text).to_owned();
        line.clear();
        // Nobody listens: the run was dropped, and its group has been told to end.
        if !shown.is_empty() && lines.send(shown).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
