//! Compose's options before its command (`-f a.yml -p name --profile dev … up`), as typed, and the command line again
//! with other files. Pure; it must not look at files or run anything. What docker's own options before `compose` mean
//! is [`crate::docker_line`]'s business.

use std::ffi::{OsStr, OsString};

use crate::docker_line::{
    options::Options,
    scan::{Given, Unreadable, scan},
};

const SWITCHES: &str = "all-resources compatibility dry-run h,help insecure-registry no-ansi verbose v,version";
const VALUES: &str = "ansi env-file f,file parallel profile progress p,project-name project-directory workdir";

/// What is said about a compose project before the command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Invocation {
    /// `docker`, its own options, `compose`; or `docker-compose` alone.
    pub program: Vec<OsString>,
    /// `-f`, in order; empty = compose's own discovery ([`super::discover`]).
    pub files: Vec<OsString>,
    /// `-p`.
    pub project_name: Option<OsString>,
    /// `--project-directory`.
    pub project_directory: Option<OsString>,
    /// `--profile`.
    pub profiles: Vec<OsString>,
    /// `--env-file`, in order.
    pub env_files: Vec<OsString>,
    /// Every other option, with its value, as typed (`--ansi never`).
    pub others: Vec<OsString>,
    /// `--help` or `--version`: nothing but words.
    pub informs: bool,
}

/// Compose's own options, by name: what the tests compare with the installed one's help.
pub fn options() -> Options {
    Options::of(&[SWITCHES], &[VALUES])
}

/// Why the options can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// This option, as typed, is in no table: `compose --help` tells whether it takes a value.
    Unknown(String),
    /// Compose itself will refuse it: a value is missing, or the form is wrong.
    Malformed,
}

impl Invocation {
    /// `docker compose`, nothing else said.
    pub fn docker() -> Self {
        Self { program: vec!["docker".into(), "compose".into()], ..Self::default() }
    }

    /// Reads a line whose words from `from` on are compose's own; gives what it says and the index of the command
    /// (the line's length where there is none). `more`: options that the installed compose knows besides the table.
    pub fn read(line: &[OsString], from: usize, more: &Options) -> Result<(Self, usize), Unread> {
        let mut options = options();
        options.extend(more);
        let (given, command) = scan(line, from, &options).map_err(|unreadable| match unreadable {
            Unreadable::Unknown(option) => Unread::Unknown(option),
            Unreadable::Malformed => Unread::Malformed,
        })?;
        let mut read = Self { program: line[..from].to_vec(), ..Self::default() };
        for one in given {
            read.take(one);
        }
        Ok((read, command))
    }

    fn take(&mut self, one: Given) {
        let value = one.value;
        match (one.name.as_str(), value) {
            ("file", Some(value)) => self.files.push(value),
            ("project-name", Some(value)) => self.project_name = Some(value),
            // The old name of the same.
            ("project-directory" | "workdir", Some(value)) => self.project_directory = Some(value),
            ("profile", Some(value)) => self.profiles.push(value),
            ("env-file", Some(value)) => self.env_files.push(value),
            ("help" | "version", value) => {
                self.informs = true;
                self.others.push(long(&one.name, value.as_deref()));
            }
            (name, value) => self.others.push(long(name, value.as_deref())),
        }
    }

    /// Whether a file is read from stdin.
    pub fn reads_stdin(&self) -> bool {
        self.files.iter().any(|file| file == "-")
    }

    /// The same with these files instead of its own.
    #[must_use]
    pub fn with_files(mut self, files: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.files = files.into_iter().map(Into::into).collect();
        self
    }

    /// The command line, the program first, up to the command.
    pub fn argv(&self) -> Vec<OsString> {
        let mut argv = self.program.clone();
        argv.extend(self.others.iter().cloned());
        let named = [("--project-name", &self.project_name), ("--project-directory", &self.project_directory)];
        for (name, value) in named {
            argv.extend(value.iter().flat_map(|value| [name.into(), value.clone()]));
        }
        let listed = [("--profile", &self.profiles), ("--env-file", &self.env_files), ("--file", &self.files)];
        for (name, values) in listed {
            argv.extend(values.iter().flat_map(|value| [name.into(), value.clone()]));
        }
        argv
    }

    /// The command line with this command and its words.
    pub fn command<W: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = W>) -> Vec<OsString> {
        let mut argv = self.argv();
        argv.extend(words.into_iter().map(|word| word.as_ref().to_owned()));
        argv
    }
}

/// `--name` or `--name=value`.
fn long(name: &str, value: Option<&OsStr>) -> OsString {
    let mut word = OsString::from(format!("--{name}"));
    if let Some(value) = value {
        word.push("=");
        word.push(value);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn a_line_is_read_and_said_again() {
        let cases = [
            ("docker compose up -d", 2, "docker compose", "up -d"),
            ("docker-compose -f a.yml up", 1, "docker-compose --file a.yml", "up"),
            (
                "docker -H x compose -fa.yml --file=b.yml -p name -f c.yml up -f no",
                4,
                "docker -H x compose --project-name name --file a.yml --file b.yml --file c.yml",
                "up -f no",
            ),
            (
                "docker compose --ansi never --profile dev --profile=x --env-file .env --project-directory /d run a b",
                2,
                "docker compose --ansi=never --project-directory /d --profile dev --profile x --env-file .env",
                "run a b",
            ),
            (
                "docker compose --dry-run --progress=plain -p a -p b up",
                2,
                "docker compose --dry-run --progress=plain --project-name b",
                "up",
            ),
            ("docker compose --compatibility=false config", 2, "docker compose --compatibility=false", "config"),
            ("docker compose --help", 2, "docker compose --help", ""),
        ];
        for (line, from, again, rest) in cases {
            let line = words(line);
            let (read, command) = Invocation::read(&line, from, &Options::default()).unwrap();
            assert_eq!(read.argv(), words(again), "{line:?}");
            assert_eq!(line[command..], words(rest), "{line:?}");
        }
    }

    #[test]
    fn what_can_not_be_read_is_told() {
        let read = |line: &str| Invocation::read(&words(line), 2, &Options::default()).unwrap_err();
        assert_eq!(read("docker compose --nope up"), Unread::Unknown("--nope".into()));
        assert_eq!(read("docker compose -f"), Unread::Malformed);
        let (stdin, _) = Invocation::read(&words("docker compose -f a -f - up"), 2, &Options::default()).unwrap();
        assert!(stdin.reads_stdin() && !stdin.informs);
    }

    #[test]
    fn other_files_take_the_place_of_the_typed_ones() {
        let one = Invocation { files: words("a.yml"), ..Invocation::docker() };
        let argv = one.with_files(["b.yml", "c.yml"]).command(["config", "--format", "json"]);
        assert_eq!(argv, words("docker compose --file b.yml --file c.yml config --format json"));
    }
}
