//! The line as typed, the line as it is run, and compose's other commands about the same project.

use std::{
    ffi::{OsStr, OsString},
    path::PathBuf,
};

use crate::{
    commands::detach::SUPERVISOR,
    compose::invocation::Invocation,
    docker_line::compose::{Command, CommandLine},
    session::mark,
};

/// A line that makes containers.
#[derive(Debug, Clone)]
pub(super) struct Line {
    words: Vec<OsString>,
    verb_at: usize,
    /// What stands before the command.
    pub(super) invocation: Invocation,
    /// The command, and what stands behind it.
    pub(super) command: CommandLine,
}

impl Line {
    /// None: it makes no containers.
    pub(super) fn new(
        words: &[OsString],
        verb_at: usize,
        invocation: Invocation,
        command: CommandLine,
    ) -> Option<Self> {
        let is_dry = invocation.others.iter().any(|word| word == "--dry-run" || word == "--dry-run=true");
        // `start` starts what is there, and is its user's or another session's: labels can't be put on any more.
        if is_dry || command.dry_run || command.command == Command::Start {
            return None;
        }
        Some(Self { words: words.to_vec(), verb_at, invocation, command })
    }

    /// The program (`docker`).
    pub(super) fn program(&self) -> &OsStr {
        &self.words[0]
    }

    /// The line as it is run: these files where it names none, one more file last, and labels for the one container
    /// that `run` makes.
    pub(super) fn argv(
        &self,
        discovered: &[PathBuf],
        last: &std::path::Path,
        labels: impl IntoIterator<Item = (String, String)>,
    ) -> Vec<OsString> {
        let mut argv = self.before_command(discovered, Some(last));
        argv.push(self.words[self.verb_at].clone());
        argv.extend(self.command.words(labels));
        argv
    }

    /// Another command about the same project.
    pub(super) fn other<W: AsRef<OsStr>>(
        &self,
        discovered: &[PathBuf],
        last: Option<&std::path::Path>,
        words: impl IntoIterator<Item = W>,
    ) -> Vec<OsString> {
        let mut argv = self.before_command(discovered, last);
        argv.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        argv
    }

    fn before_command(&self, discovered: &[PathBuf], last: Option<&std::path::Path>) -> Vec<OsString> {
        let mut argv = self.words[..self.verb_at].to_vec();
        // A `--` that ended the options.
        if argv.last().is_some_and(|word| word == "--") {
            argv.pop();
        }
        let files = if self.invocation.files.is_empty() && last.is_some() { discovered } else { &[] };
        let files = files.iter().map(|file| file.as_os_str()).chain(last.map(std::path::Path::as_os_str));
        argv.extend(files.flat_map(|file| ["--file".into(), file.to_owned()]));
        argv
    }

    /// A command to run this argv with the environment as it is.
    pub(super) fn command(argv: &[OsString]) -> tokio::process::Command {
        let (program, arguments) = argv.split_first().map_or((OsStr::new("docker"), &[][..]), |(p, a)| (p, a));
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).env_remove(SUPERVISOR);
        // So that the session's watchdog finds it.
        mark::put(command.as_std_mut(), mark::Kind::Tool);
        command
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::docker_line::options::Options;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    fn line(text: &str, at: usize) -> Option<Line> {
        let words = words(text);
        let (invocation, verb_at) = Invocation::read(&words, at, &Options::default()).expect("it can be read");
        let command = Command::named(&words[verb_at]).expect("a command that is read");
        let command = CommandLine::read(command, &words[verb_at + 1..], &Options::default()).expect("it can be read");
        Line::new(&words, verb_at, invocation, command)
    }

    #[test]
    fn the_file_is_the_last_and_nothing_else_changes() {
        for (typed, at, run, other) in [
            (
                "docker compose up -d web",
                2,
                "docker compose --file /d/compose.yaml --file /o up -d web",
                "docker compose --file /d/compose.yaml --file /o stop",
            ),
            (
                "docker -H x compose -f a.yml -p n up",
                4,
                "docker -H x compose -f a.yml -p n --file /o up",
                "docker -H x compose -f a.yml -p n --file /o stop",
            ),
            (
                "docker-compose --profile=dev -- up --build",
                1,
                "docker-compose --profile=dev --file /d/compose.yaml --file /o up --build",
                "docker-compose --profile=dev --file /d/compose.yaml --file /o stop",
            ),
            (
                "docker compose -f a run -l mcpmon.pid=1 -e A=b web -l x",
                2,
                "docker compose -f a --file /o run --label mcpmon.k=v -e A=b web -l x",
                "docker compose -f a --file /o stop",
            ),
        ] {
            let line = line(typed, at).expect("a line that makes containers");
            let labels = (line.command.command == Command::Run).then(|| ("mcpmon.k".to_owned(), "v".to_owned()));
            let found = [PathBuf::from("/d/compose.yaml")];
            assert_eq!(line.argv(&found, Path::new("/o"), labels), words(run), "{typed}");
            assert_eq!(line.other(&found, Some(Path::new("/o")), ["stop"]), words(other), "{typed}");
        }
        let line = line("docker compose -p n up", 2).expect("a line that makes containers");
        assert_eq!(line.other(&["/d/c".into()], None, ["config"]), words("docker compose -p n config"));
    }

    #[test]
    fn what_makes_no_container_is_left_alone() {
        for typed in ["docker compose --dry-run up", "docker compose up --dry-run", "docker compose start web"] {
            assert!(line(typed, 2).is_none(), "{typed}");
        }
    }
}
