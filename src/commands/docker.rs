//! `mcpmon docker …`, `mcpmon podman …`: the line as typed. One that makes a container gets labels, and nothing of it
//! is left behind; any other is the program's own, from its first byte to its exit status.
//!
//! | line | what happens |
//! |---|---|
//! | `docker run -i` | `stdio`: a session between an MCP client and the container |
//! | `docker run`, also with `-t` | `foreground`: the CLI as a child, in mcpmon's place |
//! | `docker run -d` | `detached`: the id as docker prints it; then the container is followed |
//! | `docker compose` | `compose`: one more file with the labels, reloads, a clean end |
//! | `docker create` | the CLI as a child; the container is nobody's then |
//! | anything else | mcpmon's process becomes the CLI |

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write, stderr},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use super::{context::Context, in_runtime};
use crate::{
    cli::GlobalArgs,
    docker_line::{ContainerLine, DockerLine, Verb, options::Options, parse_with},
    error::{Error, Kind, Result},
    output::{Event, style::Paint, words::Words},
};

mod anew;
mod child;
mod compose;
mod container;
mod detached;
mod ending;
mod foreground;
mod life;
mod stdio;
mod watching;

use container::Session;

/// How often the installed program may be asked for its help: once for each place where options stand.
const ASKED: usize = 2;

/// Whether a word names a program whose lines are read here.
pub fn is_meant(program: &OsStr) -> bool {
    let name = Path::new(program).file_name().and_then(OsStr::to_str);
    matches!(name, Some("docker" | "docker-compose" | "podman" | "podman-remote" | "podman-compose"))
}

/// Runs a line, its program first; gives the exit code.
pub fn run(global: GlobalArgs, words: &[OsString]) -> Result<u8> {
    match read(words)? {
        DockerLine::Container(line) => {
            let context = Context::new(global)?;
            in_runtime(make(&context, *line))
        }
        DockerLine::Compose(at) => compose::run(global, words, at),
        DockerLine::PassThrough | DockerLine::UnknownOption { .. } => Err(exec(words)),
    }
}

/// A line that makes a container.
async fn make(context: &Context, line: ContainerLine) -> Result<u8> {
    let (verb, detach) = (line.verb, line.detach);
    let is_stdio = stdio::is_meant(&line);
    let session = Session::new(context, line)?;
    if is_stdio {
        return Box::pin(stdio::run(context, session)).await;
    }
    match (verb, detach) {
        (Verb::Create, _) => foreground::create(session).await,
        (Verb::Run, false) => Box::pin(foreground::run(context, session)).await,
        (Verb::Run, true) => Box::pin(detached::run(context, session)).await,
    }
}

/// Reads the line; options that the tables don't have are looked up in the installed program's help.
fn read(words: &[OsString]) -> Result<DockerLine> {
    let mut more = Options::default();
    for _ in 0..ASKED {
        let line = parse_with(words, &more);
        let DockerLine::UnknownOption { help, .. } = &line else { return Ok(line) };
        let Some((program, arguments)) = help.split_first() else { break };
        more.extend(&said_options(program, arguments)?);
    }
    // What is still unknown the program does not know either: it says so best.
    Ok(parse_with(words, &more))
}

/// The options that this command's help names.
fn help_options(words: &[OsString]) -> Result<Options> {
    let Some((program, arguments)) = words.split_first() else { return Ok(Options::default()) };
    said_options(program, &[arguments, &["--help".into()]].concat())
}

fn said_options(program: &OsStr, arguments: &[OsString]) -> Result<Options> {
    let said = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| cannot_run(program, error))?;
    Ok(Options::from_help(&String::from_utf8_lossy(&said.stdout)))
}

/// Becomes the program; comes back only when that can't be.
fn exec(words: &[OsString]) -> Error {
    let Some((program, arguments)) = words.split_first() else { return Error::usage("the command to run is empty") };
    let error = Command::new(program).args(arguments).exec();
    cannot_run(program, error)
}

/// Why a program can't be run, and what to do.
fn cannot_run(program: &OsStr, error: io::Error) -> Error {
    let shown = program.to_string_lossy();
    match error.kind() {
        io::ErrorKind::NotFound => Error::new(Kind::NotFound, format!("there is no program {shown}")).hint(
            "install it (https://docs.docker.com/engine/install/, or your system's package docker-cli, docker.io or \
             podman), or add its folder to PATH",
        ),
        io::ErrorKind::PermissionDenied => Error::new(Kind::NotExecutable, format!("{shown} can't be run"))
            .caused_by(error)
            .hint("it is not executable for you: see `ls -l` of it"),
        _ => Error::failed(format!("{shown} can't be run")).caused_by(error),
    }
}

/// Says what happened, in `up`'s words.
fn say(event: &Event) {
    let line = Words::new(Paint::stderr(), Paint::stderr(), &[], false).say(event);
    let _ = writeln!(stderr(), "{}", line.unwrap_or_default());
}

fn warn(message: impl Into<String>) {
    say(&Event::Warning { message: message.into() });
}
