//! The compose command: docker's compose plugin, `docker compose` where only the CLI knows it, or a `docker-compose` 2 where
//! docker has no such plugin. Runs it, and tells its errors in its own words. It must not know what any command does.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::{Arc, OnceLock},
};

use tokio::process::Command;

use super::{config::ComposeConfig, invocation::Invocation, plugin};
use crate::{
    engine::cli::{self, Ended},
    error::{Error, Result},
    session::mark,
};

/// Where to get it.
const GET: &str = "compose 2 is a plugin of the docker CLI: your system's package (docker-compose-plugin, \
    docker-compose-v2, docker-compose) has it, or https://docs.docker.com/compose/install/";

/// The compose command in an environment.
#[derive(Debug, Clone)]
pub struct ComposeCli {
    environment: Arc<BTreeMap<String, String>>,
    folder: PathBuf,
    /// Docker has no compose plugin, but there is this program.
    standalone: Arc<OnceLock<PathBuf>>,
}

/// What `docker compose config` said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Said {
    /// The project.
    pub config: ComposeConfig,
    /// What compose warned of, a line each.
    pub warnings: Vec<String>,
}

impl ComposeCli {
    /// A CLI that runs in this environment, without mcpmon's own variables, and in this folder.
    pub fn new(environment: &BTreeMap<String, String>, folder: &Path) -> Self {
        let mut environment = environment.clone();
        environment.retain(|name, _| !name.starts_with("MCPMON_"));
        environment.entry("BUILDKIT_PROGRESS".to_owned()).or_insert_with(|| "plain".to_owned());
        Self { environment: Arc::new(environment), folder: folder.to_owned(), standalone: Arc::default() }
    }

    /// The environment it runs in.
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// The folder it runs in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// `docker compose … config --format json`: the project as compose reads it.
    ///
    /// # Errors
    /// Compose's own words, with the file and the line; there is no docker CLI, no compose, or only version 1.
    pub async fn config(&self, invocation: &Invocation) -> Result<Said> {
        self.config_of(invocation, &[]).await
    }

    /// The same of these services and what they depend on; of all active ones where none is named.
    ///
    /// # Errors
    /// As [`Self::config`]; there is no such service.
    pub async fn config_of(&self, invocation: &Invocation, services: &[String]) -> Result<Said> {
        let words = ["config", "--format", "json"].into_iter().chain(services.iter().map(String::as_str));
        let output = self.output(invocation, &words.collect::<Vec<_>>()).await?;
        let config = ComposeConfig::parse(&output.stdout)?;
        Ok(Said { config, warnings: warnings(&String::from_utf8_lossy(&output.stderr)) })
    }

    /// Runs a command that prints its answer.
    ///
    /// # Errors
    /// As [`Self::config`].
    pub async fn output(&self, invocation: &Invocation, words: &[&str]) -> Result<Output> {
        let output = self.once(invocation, words).await?;
        if output.status.success() {
            return Ok(output);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if has_no_plugin(&said) && self.standalone.get().is_none() {
            let program = self.find_standalone().await?;
            let _ = self.standalone.set(program); // somebody else found the same
            let output = self.once(invocation, words).await?;
            if output.status.success() {
                return Ok(output);
            }
            return Err(refused(&String::from_utf8_lossy(&output.stderr)));
        }
        Err(refused(&said))
    }

    async fn once(&self, invocation: &Invocation, words: &[&str]) -> Result<Output> {
        let mut command = self.command(&invocation.command(words))?;
        command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
        command.output().await.map_err(|error| can_not_run(&error))
    }

    /// Runs a command that does something; what it prints goes to `progress`, line by line. Dropped before its end, it
    /// is told to end.
    ///
    /// # Errors
    /// It can't be run. That it failed is told by what it gives.
    pub async fn run(&self, argv: &[OsString], progress: impl FnMut(&str) + Send) -> Result<Ended> {
        let mut command = self.command(argv)?;
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        cli::run(command, progress).await.map_err(|error| can_not_run(&error))
    }

    /// A command line of compose, ready to be run.
    ///
    /// # Errors
    /// There is no such program.
    pub fn command(&self, argv: &[OsString]) -> Result<Command> {
        let (mut command, words) = match argv {
            // Nothing of docker's own is said.
            [docker, compose, rest @ ..] if docker == "docker" && compose == "compose" => (self.compose()?, rest),
            [program, rest @ ..] => (self.program(&self.find(Path::new(program)).ok_or_else(no_docker)?), rest),
            [] => return Err(no_docker()),
        };
        command.args(words);
        Ok(command)
    }

    /// `docker compose`, or what takes its place. The plugin is looked for each time: its package may be exchanged.
    fn compose(&self) -> Result<Command> {
        if let Some(program) = self.standalone.get() {
            return Ok(self.program(program));
        }
        let docker = self.find(Path::new("docker")).ok_or_else(no_docker)?;
        let mut command = match plugin::find(&docker, &self.environment) {
            Some(plugin) => {
                let mut command = self.program(&plugin);
                command.env(plugin::TYPED, &docker);
                command
            }
            None => self.program(&docker),
        };
        command.arg("compose");
        Ok(command)
    }

    /// A program in the environment and the folder.
    fn program(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().envs(&*self.environment).current_dir(&self.folder);
        // A watchdog ends what its session had at work.
        mark::put(command.as_std_mut(), mark::Kind::Tool);
        command
    }

    fn find(&self, program: &Path) -> Option<PathBuf> {
        if program.components().count() > 1 {
            return Some(program.to_owned());
        }
        cli::find(program, &self.environment)
    }

    /// A `docker-compose` of version 2.
    async fn find_standalone(&self) -> Result<PathBuf> {
        let Some(program) = self.find(Path::new("docker-compose")) else {
            return Err(Error::failed("the docker CLI has no compose plugin").hint(GET));
        };
        let asked = Command::new(&program)
            .args(["version", "--short"])
            .env_clear()
            .envs(&*self.environment)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = asked.await.map_err(|error| can_not_run(&error))?;
        let version = String::from_utf8_lossy(&output.stdout).trim().trim_start_matches('v').to_owned();
        if !output.status.success() || version.starts_with("1.") {
            let shown = if version.is_empty() { "of an unknown version".to_owned() } else { version };
            return Err(Error::failed(format!(
                "{} is {shown}, and the docker CLI has no compose plugin: compose 2 is needed",
                program.display()
            ))
            .hint(GET));
        }
        Ok(program)
    }
}

/// What docker says when it takes `compose` for a command that it does not have, or the options behind it for its own.
pub fn has_no_plugin(said: &str) -> bool {
    said.contains("unknown command: docker compose")
        || said.contains("'compose' is not a docker command")
        || (said.contains("Usage:  docker [OPTIONS] COMMAND")
            && (said.contains("unknown shorthand flag") || said.contains("unknown flag")))
}

/// What to say where there is no docker CLI.
pub fn no_docker() -> Error {
    Error::failed("the docker command is not on PATH; compose projects need it")
        .hint("https://docs.docker.com/engine/install/ or your system's package (docker-cli, docker.io)")
}

/// What compose said, as the error it is. A file's place in it stays.
pub fn refused(said: &str) -> Error {
    let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let (warnings, words): (Vec<&str>, Vec<&str>) = lines.iter().partition(|line| is_warning(line));
    let words = if words.is_empty() { warnings } else { words };
    if words.is_empty() {
        return Error::failed("docker compose failed, and said nothing");
    }
    Error::config(format!("docker compose: {}", words.join("\n    ")))
}

fn can_not_run(error: &io::Error) -> Error {
    Error::failed(format!("docker compose can't be run: {error}"))
}

fn is_warning(line: &str) -> bool {
    line.contains("level=warning")
}

/// Compose's warnings, without the logger's dress: `time="…" level=warning msg="…"`.
fn warnings(said: &str) -> Vec<String> {
    let texts = said.lines().filter(|line| is_warning(line)).map(|line| {
        let text = line.split_once("msg=").map_or(line, |(_, text)| text);
        serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned())
    });
    texts.collect()
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    #[test]
    fn compose_speaks_in_its_own_words() {
        let said = "time=\"x\" level=warning msg=\"The \\\"A\\\" variable is not set.\"\nyaml: line 4: could not find expected ':'\n";
        assert_eq!(refused(said).to_string(), "docker compose: yaml: line 4: could not find expected ':'");
        assert_eq!(warnings(said), ["The \"A\" variable is not set."]);
        assert!(refused("").to_string().contains("said nothing"));
    }

    /// A folder with programs that say what they are told to.
    fn programs(list: &[(&str, &str)]) -> (tempfile::TempDir, ComposeCli) {
        let folder = tempfile::tempdir().unwrap();
        for (name, script) in list {
            let file = folder.path().join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let environment = BTreeMap::from([("PATH".to_owned(), folder.path().display().to_string())]);
        let cli = ComposeCli::new(&environment, folder.path());
        (folder, cli)
    }

    #[tokio::test]
    async fn what_is_missing_is_said_with_how_to_get_it() {
        const NO_PLUGIN: &str =
            "echo \"unknown shorthand flag: 'f' in -f\" >&2; echo 'Usage:  docker [OPTIONS] COMMAND' >&2; exit 125";
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a str);
        let old = "echo 1.29.2";
        let cases: &[Case<'_>] = &[
            (&[], "docker command is not on PATH", "install"),
            (&[("docker", NO_PLUGIN)], "has no compose plugin", "docker-compose-plugin"),
            (&[("docker", NO_PLUGIN), ("docker-compose", old)], "docker-compose is 1.29.2", "compose/install"),
            (&[("docker", "echo 'yaml: line 1: x' >&2; exit 15")], "docker compose: yaml: line 1: x", ""),
        ];
        for (list, message, hint) in cases {
            let (_folder, cli) = programs(list);
            let error = cli.config(&Invocation::docker()).await.unwrap_err();
            assert!(error.to_string().contains(message), "{list:?}: {error}");
            assert!(error.hint.unwrap_or_default().contains(hint), "{list:?}");
        }
    }

    #[tokio::test]
    async fn a_standalone_compose_2_takes_the_plugins_place() {
        let standalone = "if [ \"$1\" = version ]; then echo v2.26.1; else echo '{\"name\": \"'$*'\"}'; fi";
        let (_folder, cli) = programs(&[
            ("docker", "echo 'docker: unknown command: docker compose' >&2; exit 1"),
            ("docker-compose", standalone),
        ]);
        let invocation = Invocation::docker().with_files(["a.yml"]);
        let said = cli.config(&invocation).await.unwrap();
        assert_eq!(said.config.name, "--file a.yml config --format json");
    }
}
