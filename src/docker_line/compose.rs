//! What stands behind `docker compose …`'s command (`up -d web`), read as compose reads it: its options, and which
//! services are meant. What stands before the command is [`crate::compose`]'s business. Pure.
//!
//! Source of the rule: compose's own `--help` (2.26), which the tests compare with these tables, and what newer
//! versions added.

use std::ffi::{OsStr, OsString};

use super::{
    is_own,
    options::Options,
    scan::{Given, Unreadable, scan, scan_all, switch},
};

const UP_SWITCHES: &str = "abort-on-container-exit abort-on-container-failure always-recreate-deps attach-dependencies \
    build d,detach dry-run force-recreate help menu no-attach-deps no-build no-color no-deps no-log-prefix no-recreate \
    no-start quiet-build quiet-pull remove-orphans V,renew-anon-volumes timestamps wait w,watch y,yes";
const UP_VALUES: &str = "attach exit-code-from no-attach pull scale t,timeout wait-timeout";
const RUN_SWITCHES: &str = "build d,detach dry-run help i,interactive no-deps T,no-TTY quiet quiet-build quiet-pull \
    remove-orphans rm P,service-ports t,tty use-aliases";
const RUN_VALUES: &str =
    "cap-add cap-drop entrypoint e,env env-from-file l,label name p,publish pull u,user v,volume volumes w,workdir";
const CREATE_SWITCHES: &str = "build dry-run force-recreate help no-build no-recreate quiet-pull remove-orphans y,yes";
const CREATE_VALUES: &str = "pull scale";
const START_SWITCHES: &str = "dry-run help wait";
const START_VALUES: &str = "wait-timeout";

/// A command of compose's that makes or starts containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// `up`.
    Up,
    /// `run`: one container of its own, with the service's dependencies up.
    Run,
    /// `create`.
    Create,
    /// `start`.
    Start,
}

impl Command {
    /// By its name.
    pub fn named(word: &OsStr) -> Option<Self> {
        match word.to_str()? {
            "up" => Some(Self::Up),
            "run" => Some(Self::Run),
            "create" => Some(Self::Create),
            "start" => Some(Self::Start),
            _ => None,
        }
    }

    /// Its options.
    pub fn options(self) -> Options {
        match self {
            Self::Up => Options::of(&[UP_SWITCHES], &[UP_VALUES]),
            Self::Run => Options::of(&[RUN_SWITCHES], &[RUN_VALUES]),
            Self::Create => Options::of(&[CREATE_SWITCHES], &[CREATE_VALUES]),
            Self::Start => Options::of(&[START_SWITCHES], &[START_VALUES]),
        }
    }
}

/// What was said behind the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// Which command.
    pub command: Command,
    /// `-d`, or `--wait`, which means the same.
    pub detach: bool,
    /// `--no-start`: nothing is left that runs.
    pub no_start: bool,
    /// `--no-deps`.
    pub no_deps: bool,
    /// `--dry-run`: nothing happens.
    pub dry_run: bool,
    /// `--watch`: compose itself watches.
    pub watch: bool,
    /// `--rm`.
    pub remove: bool,
    /// `--no-build`.
    pub no_build: bool,
    /// The line ends with one of its containers: `--abort-on-container-exit` and the like.
    pub ends_with_container: bool,
    /// `--attach`, `--no-attach` and `--attach-dependencies` don't say that all output is shown.
    pub attach: Attach,
    /// How output is shown: `--no-log-prefix`, `--no-color`, `--timestamps`.
    pub look: Vec<&'static str>,
    /// `--scale`, as typed (`web=3`).
    pub scale: Vec<OsString>,
    /// `-t` in seconds.
    pub timeout: Option<u64>,
    /// The services meant; empty = all. Of `run` the one.
    pub services: Vec<OsString>,
    /// Labels with one of mcpmon's keys (`run -l`).
    pub own_labels: Vec<String>,
    words: Vec<OsString>,
    given: Vec<Given>,
}

/// Whose output `up` shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attach {
    /// `--attach`; empty = the services that are meant.
    pub only: Vec<OsString>,
    /// `--no-attach`.
    pub without: Vec<OsString>,
    /// `--attach-dependencies`.
    pub dependencies: bool,
}

/// Why the words can't be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// This option, as typed, is in no table.
    Unknown(String),
    /// Compose itself will refuse it, or prints its help.
    Passed,
}

impl CommandLine {
    /// Reads the words behind the command; `more` are options that the installed compose knows besides the tables.
    ///
    /// # Errors
    /// They are compose's to answer, or an option is not known.
    pub fn read(command: Command, words: &[OsString], more: &Options) -> Result<Self, Unread> {
        let mut options = command.options();
        options.extend(more);
        let unread = |error| match error {
            Unreadable::Unknown(option) => Unread::Unknown(option),
            Unreadable::Malformed => Unread::Passed,
        };
        let (given, services) = if command == Command::Run {
            // What stands behind the service is the container's.
            let (given, at) = scan(words, 0, &options).map_err(unread)?;
            let service = words.get(at).ok_or(Unread::Passed)?;
            (given, vec![service.clone()])
        } else {
            let (given, operands) = scan_all(words, &options).map_err(unread)?;
            (given, operands.into_iter().map(|at| words[at].clone()).collect())
        };
        let mut read = Self {
            command,
            detach: false,
            no_start: false,
            no_deps: false,
            dry_run: false,
            watch: false,
            remove: false,
            no_build: false,
            ends_with_container: false,
            attach: Attach::default(),
            look: Vec::new(),
            scale: Vec::new(),
            timeout: None,
            services,
            own_labels: Vec::new(),
            words: words.to_vec(),
            given: Vec::new(),
        };
        for one in &given {
            read.take(one).ok_or(Unread::Passed)?;
        }
        read.given = given;
        Ok(read)
    }

    /// Takes one option in; none: compose will refuse it, or print its help.
    fn take(&mut self, one: &Given) -> Option<()> {
        let value = || one.value.clone().unwrap_or_default();
        let on = || switch(one.value.as_deref());
        match one.name.as_str() {
            "help" => return None,
            "detach" => self.detach = on()?,
            "wait" if self.command == Command::Up => self.detach |= on()?,
            "no-start" => self.no_start = on()?,
            "no-deps" => self.no_deps = on()?,
            "dry-run" => self.dry_run = on()?,
            "watch" => self.watch = on()?,
            "rm" => self.remove = on()?,
            "no-build" => self.no_build = on()?,
            "abort-on-container-exit" | "abort-on-container-failure" => self.ends_with_container |= on()?,
            "exit-code-from" => self.ends_with_container = true,
            "attach" => self.attach.only.push(value()),
            "no-attach" => self.attach.without.push(value()),
            "attach-dependencies" => self.attach.dependencies = on()?,
            "no-log-prefix" if on()? => self.look.push("--no-log-prefix"),
            "no-color" if on()? => self.look.push("--no-color"),
            "timestamps" if on()? => self.look.push("--timestamps"),
            "scale" => self.scale.push(value()),
            "timeout" => self.timeout = Some(value().to_str()?.parse().ok()?),
            "label" if is_own(&value()) => self.own_labels.push(value().display().to_string()),
            _ => {}
        }
        Some(())
    }

    /// The words as they are run: labels with one of mcpmon's keys are taken out, and these put in.
    pub fn words(&self, labels: impl IntoIterator<Item = (String, String)>) -> Vec<OsString> {
        let mut words: Vec<Option<OsString>> = self.words.iter().cloned().map(Some).collect();
        for one in self.given.iter().filter(|one| one.name == "label") {
            if one.value.as_deref().is_some_and(is_own) {
                super::argv::take_out(one, &mut words);
            }
        }
        let own = labels.into_iter().flat_map(|(key, value)| ["--label".into(), format!("{key}={value}").into()]);
        own.chain(words.into_iter().flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<CommandLine, Unread> {
        let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
        let command = Command::named(&words[0]).expect("a command that is read");
        CommandLine::read(command, &words[1..], &Options::default())
    }

    #[test]
    fn services_stand_anywhere_among_the_options() {
        for (line, services) in [
            ("up", ""),
            ("up web", "web"),
            ("up -d web db", "web db"),
            ("up web --build -t 3 db --scale web=2", "web db"),
            ("up -dV web", "web"),
            ("up --attach web -- --odd", "--odd"),
            ("up --no-attach=db --pull never web", "web"),
            ("create --force-recreate web", "web"),
            ("start web db", "web db"),
            ("run web up -d web", "web"),
            ("run -e A=b --rm -it -p80:80 web sh -c x", "web"),
            ("run -- web", "web"),
        ] {
            let read = read(line).unwrap_or_else(|error| panic!("{line}: {error:?}"));
            assert_eq!(read.services, services.split_whitespace().collect::<Vec<_>>(), "{line}");
        }
    }

    #[test]
    fn what_mcpmon_needs_to_know_is_read() {
        let up = read("up -d --no-deps --dry-run --scale a=2 --scale b=1 -t7 --no-log-prefix --timestamps=false")
            .expect("read");
        assert!(up.detach && up.no_deps && up.dry_run && !up.watch && !up.ends_with_container);
        assert_eq!(
            (up.scale, up.timeout, up.look),
            (vec!["a=2".into(), "b=1".into()], Some(7), vec!["--no-log-prefix"])
        );
        for (line, detach, ends) in [
            ("up --wait", true, false),
            ("up --detach=false", false, false),
            ("up --wait=false", false, false),
            ("up --abort-on-container-exit", false, true),
            ("up --exit-code-from web", false, true),
            ("run -d web", true, false),
        ] {
            let read = read(line).expect("read");
            assert_eq!((read.detach, read.ends_with_container), (detach, ends), "{line}");
        }
    }

    #[test]
    fn what_compose_answers_itself_is_passed() {
        for line in ["up --help", "up --detach=maybe", "up -t soon", "run", "run --rm", "up --scale", "up ---x"] {
            assert_eq!(read(line), Err(Unread::Passed), "{line}");
        }
        assert_eq!(read("up -f x"), Err(Unread::Unknown("-f".into())));
        assert_eq!(read("start --build"), Err(Unread::Unknown("--build".into())));
    }

    #[test]
    fn labels_of_mcpmons_own_are_taken_out() {
        let run = read("run -l mcpmon.pid=1 --label=mcpmon.x -Tl mcpmon.y -l a=b web -l mcpmon.pid=1").expect("read");
        assert_eq!(run.own_labels, ["mcpmon.pid=1", "mcpmon.x", "mcpmon.y"]);
        let words = run.words([("mcpmon.k".to_owned(), "v".to_owned())]);
        assert_eq!(words, ["--label", "mcpmon.k=v", "-T", "-l", "a=b", "web", "-l", "mcpmon.pid=1"]);
    }
}
