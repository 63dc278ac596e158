//! A docker command line, read as docker reads it: whether it makes a container, where labels go in, and what mcpmon
//! needs to know of it. Pure; it must not run anything, look at files, or know an engine.
//!
//! ```text
//! docker --context x run -itp 80:80 --label a=b  IMAGE  COMMAND…
//!        `- global -´ ^  `------- options ------´
//!                     labels go in here: right behind the verb, whatever follows
//! ```
//!
//! What docker itself will refuse, and what only asks for help, is passed through: docker's own words are the best.
//! `podman` in docker's place (by the program's base name) is read with podman's options.
//!
//! | part | what it is for |
//! |---|---|
//! | [`options`] | which options there are, and which take a value |
//! | `scan` | options as docker's flag library reads them |
//! | `values` | the forms that values have: mounts, ports |
//! | [`engine`] | which engine the line means |
//! | [`argv`] | the line again, with mcpmon's own put in |
//! | [`compose`] | what stands behind compose's own command |
//! | [`label_file`] | a `--label-file` without mcpmon's keys |

use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use self::{
    options::{Options, Program},
    scan::{Given, Unreadable, scan, switch},
};
use crate::model::labels;

pub mod argv;
pub mod compose;
pub mod engine;
pub mod label_file;
pub mod options;
pub(crate) mod scan;
#[cfg(test)]
mod tests;
mod values;

pub use argv::Injected;
pub use values::Bind;

/// What a line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerLine {
    /// It makes a container.
    Container(Box<ContainerLine>),
    /// `docker … compose …`, `docker-compose …`: the words from this index on are compose's own.
    Compose(usize),
    /// Nothing that mcpmon adds anything to, or nothing that docker will accept: passed through as it is.
    PassThrough,
    /// An option that is in no table: the installed program's help tells whether it takes a value.
    /// Read that with [`Options::from_help`] and call [`parse_with`]; when it does not know it either, pass through.
    UnknownOption {
        /// As typed, without its value.
        option: String,
        /// The command line that prints the help.
        help: Vec<OsString>,
    },
}

/// `run` or `create`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// `docker run`, `docker container run`.
    Run,
    /// `docker create`, `docker container create`.
    Create,
}

/// A line that makes a container. Paths are as typed: relative ones are relative to where the line is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerLine {
    /// All of it, the program first.
    line: Vec<OsString>,
    /// Where the verb stands.
    verb_at: usize,
    /// How many words stand before the command (`run`, or `container` of `container run`).
    command_at: usize,
    program: Program,
    /// The options before the command.
    global: Vec<Given>,
    given: Vec<Given>,

    /// What it does.
    pub verb: Verb,
    /// `-i`.
    pub interactive: bool,
    /// `-t`.
    pub tty: bool,
    /// `-d`.
    pub detach: bool,
    /// `--rm`.
    pub remove: bool,
    /// Signals to the CLI go to the container (`--sig-proxy`, on unless said otherwise).
    pub signal_proxy: bool,
    /// `--init`; none = the engine's default.
    pub init: Option<bool>,
    /// `-a`: streams named.
    pub attach: Vec<OsString>,
    /// `--name`.
    pub name: Option<OsString>,
    /// `--cidfile`.
    pub cidfile: Option<PathBuf>,
    /// `--log-driver`.
    pub log_driver: Option<OsString>,
    /// `--restart`.
    pub restart: Option<OsString>,
    /// Paths of the host that are mounted (`-v`, `--mount type=bind`), in order.
    pub binds: Vec<Bind>,
    /// `--env-file`.
    pub env_files: Vec<PathBuf>,
    /// `--label-file`.
    pub label_files: Vec<PathBuf>,
    /// `-p`, as typed.
    pub ports: Vec<OsString>,
    /// `--network`, `--net`.
    pub networks: Vec<OsString>,
    /// `--ip` or `--ip6`: an address that only one container can have.
    pub fixed_address: bool,
    /// `--stop-timeout` in seconds; -1 = without limit.
    pub stop_timeout: Option<i64>,
    /// `--stop-signal`.
    pub stop_signal: Option<OsString>,
    /// The image.
    pub image: OsString,
    /// What stands behind the image.
    pub command: Vec<OsString>,
    /// Labels with one of mcpmon's keys that the user typed; they are dropped (worth a warning).
    pub dropped_labels: Vec<String>,
}

/// Reads a line, its program first (`docker`, `/usr/bin/podman`, `docker-compose`).
pub fn parse(line: &[OsString]) -> DockerLine {
    parse_with(line, &Options::default())
}

/// Reads a line; `more` are options that the installed program knows besides those of the tables.
pub fn parse_with(line: &[OsString], more: &Options) -> DockerLine {
    let Some(program) = line.first() else { return DockerLine::PassThrough };
    let program = match base_name(program) {
        b"docker-compose" | b"podman-compose" => return DockerLine::Compose(1),
        name if name.starts_with(b"podman") => Program::Podman,
        _ => Program::Docker,
    };
    let with_more = |mut options: Options| {
        options.extend(more);
        options
    };
    let help = |words: &[OsString]| [words, &["--help".into()]].concat();

    let (global, command_at) = match scan(line, 1, &with_more(Options::global(program))) {
        Ok(found) => found,
        Err(Unreadable::Malformed) => return DockerLine::PassThrough,
        Err(Unreadable::Unknown(option)) => {
            return DockerLine::UnknownOption { option, help: help(&line[..1]) };
        }
    };
    if global.iter().any(|one| matches!(one.name.as_str(), "help" | "version")) {
        return DockerLine::PassThrough;
    }
    let word = |at: usize| line.get(at).map(|word| word.as_bytes());
    let verb_at = if word(command_at) == Some(b"container") { command_at + 1 } else { command_at };
    let verb = match word(verb_at) {
        Some(b"run") => Verb::Run,
        Some(b"create") => Verb::Create,
        Some(b"compose") if verb_at == command_at => return DockerLine::Compose(verb_at + 1),
        _ => return DockerLine::PassThrough,
    };
    match scan(line, verb_at + 1, &with_more(Options::container(program, verb))) {
        Ok((given, image_at)) => ContainerLine::read(line, (command_at, verb_at, image_at), verb, given)
            .map_or(DockerLine::PassThrough, |line| {
                DockerLine::Container(Box::new(ContainerLine { program, global, ..line }))
            }),
        Err(Unreadable::Malformed) => DockerLine::PassThrough,
        Err(Unreadable::Unknown(option)) => DockerLine::UnknownOption { option, help: help(&line[..=verb_at]) },
    }
}

/// The last part of a program's path.
fn base_name(program: &OsStr) -> &[u8] {
    Path::new(program).file_name().unwrap_or(program).as_bytes()
}

impl ContainerLine {
    /// None: the program will refuse it, or print its help.
    fn read(
        line: &[OsString],
        (command_at, verb_at, image_at): (usize, usize, usize),
        verb: Verb,
        given: Vec<Given>,
    ) -> Option<Self> {
        let image = line.get(image_at)?.clone();
        let mut read = Self {
            line: line.to_vec(),
            verb_at,
            command_at,
            program: Program::Docker,
            global: Vec::new(),
            verb,
            interactive: false,
            tty: false,
            detach: false,
            remove: false,
            signal_proxy: true,
            init: None,
            attach: Vec::new(),
            name: None,
            cidfile: None,
            log_driver: None,
            restart: None,
            binds: Vec::new(),
            env_files: Vec::new(),
            label_files: Vec::new(),
            ports: Vec::new(),
            networks: Vec::new(),
            fixed_address: false,
            stop_timeout: None,
            stop_signal: None,
            image,
            command: line[image_at + 1..].to_vec(),
            dropped_labels: Vec::new(),
            given: Vec::new(),
        };
        for one in &given {
            read.take(one)?;
        }
        read.given = given;
        Some(read)
    }

    /// Takes one option in; none: the program will refuse it, or print its help.
    fn take(&mut self, one: &Given) -> Option<()> {
        let value = || one.value.clone().unwrap_or_default();
        let path = || PathBuf::from(value());
        match one.name.as_str() {
            "help" => return None,
            "interactive" => self.interactive = switch(one.value.as_deref())?,
            "tty" => self.tty = switch(one.value.as_deref())?,
            "detach" => self.detach = switch(one.value.as_deref())?,
            "rm" => self.remove = switch(one.value.as_deref())?,
            "sig-proxy" => self.signal_proxy = switch(one.value.as_deref())?,
            "init" => self.init = Some(switch(one.value.as_deref())?),
            "attach" => self.attach.push(value()),
            "name" => self.name = Some(value()),
            // An empty one is none.
            "cidfile" => self.cidfile = Some(path()).filter(|path| !path.as_os_str().is_empty()),
            "log-driver" => self.log_driver = Some(value()).filter(|driver| !driver.is_empty()),
            "restart" => self.restart = Some(value()),
            "volume" => self.binds.extend(values::volume(&value())),
            "mount" => self.binds.extend(values::mount(&value())),
            "env-file" => self.env_files.push(path()),
            "label-file" => self.label_files.push(path()),
            "publish" => self.ports.push(value()),
            "network" | "net" => self.networks.push(value()),
            "ip" | "ip6" => self.fixed_address = true,
            "stop-timeout" => self.stop_timeout = Some(value().to_str()?.parse().ok()?),
            "stop-signal" => self.stop_signal = Some(value()).filter(|signal| !signal.is_empty()),
            "label" if is_own(&value()) => self.dropped_labels.push(value().display().to_string()),
            _ => {}
        }
        Some(())
    }

    /// The program (`docker`).
    pub fn program(&self) -> &OsStr {
        &self.line[0]
    }

    /// What stands between the program and the command: which engine is meant (`--context x`). Every other command
    /// about this container needs it too.
    pub fn global(&self) -> &[OsString] {
        // A `--` that ends them stays with them, and does no harm in another line.
        &self.line[1..self.command_at]
    }

    /// As typed, the program first.
    pub fn as_typed(&self) -> &[OsString] {
        &self.line
    }

    /// Whether the CLI passes its stdin on to the container.
    pub fn takes_stdin(&self) -> bool {
        let named = self.attach.iter().any(|stream| stream.eq_ignore_ascii_case("stdin"));
        self.verb == Verb::Run && !self.detach && (named || (self.interactive && self.attach.is_empty()))
    }

    /// Whether two containers of this line can't run at once: it names a port of the host, a name, or an address.
    pub fn is_single(&self) -> bool {
        self.name.is_some() || self.fixed_address || self.ports.iter().any(|port| values::is_fixed_port(port))
    }
}

/// Whether a label's key is mcpmon's own.
fn is_own(label: &OsStr) -> bool {
    label.as_bytes().starts_with(labels::PREFIX.as_bytes())
}
