//! `mcpmon docker compose …`: lines that make containers get one more file as the last `-f`, with mcpmon's labels for
//! every service; what else compose is told stays as typed. Any other compose line is compose's own.
//!
//! | line | what happens |
//! |---|---|
//! | `up` | `foreground`: the CLI in mcpmon's place; services are reloaded when files change |
//! | `up -d`, `run -d` | `detached`: the CLI's output, then a supervisor in the background keeps the containers |
//! | `run`, `create` | `once`: the CLI with the labels; what `run` started does not outlive it |
//! | `start`, `--dry-run`, anything else | mcpmon's process becomes the CLI |
//!
//! `start` makes no container. What it starts has the labels of a line that is over and has left it to its user, or of a
//! session that keeps it and hears of the start itself. Labels can't be changed: a session of this line's own would have
//! nothing by which others, or its own end, could tell its containers from those of the line that made them. Who wants them
//! kept types `up -d`.
//!
//! | part | what it is for |
//! |---|---|
//! | `line` | the line as typed, and compose's other commands about the same project |
//! | `handed` | the generated file, which lies nowhere |
//! | `project` | the project as compose reads it, whose its services are, and the labels |
//! | `inputs` | the files that the project is read from |
//! | `watching` | what is watched for each service |
//! | `reload` | what a change does to a service |
//! | `taken` | services that somebody else has made anew without mcpmon |
//! | `follow` | the session from the first reload on: output, reloads, the end |

use std::ffi::OsString;

use super::{ASKED, exec, help_options, warn};
use crate::{
    cli::GlobalArgs,
    commands::{context::Context, detach::SUPERVISOR, in_runtime},
    compose::invocation::{Invocation, Unread as UnreadOptions},
    docker_line::{
        compose::{Command, CommandLine, Unread},
        options::Options,
    },
    error::Result,
    model::{Owner, labels::CREATED},
    session,
};

mod detached;
mod follow;
mod foreground;
mod handed;
mod inputs;
mod line;
mod once;
mod project;
mod reload;
mod taken;
mod watching;

use line::Line;
use project::{Project, Read};

/// Runs a line whose words from `at` on are compose's; gives the exit code.
pub(super) fn run(global: GlobalArgs, words: &[OsString], at: usize) -> Result<u8> {
    let program = words[0].to_string_lossy();
    if program.contains("podman") {
        warn("podman's compose lines are run as typed: mcpmon adds nothing to them");
        return Err(exec(words));
    }
    let Some(line) = read(words, at)? else { return Err(exec(words)) };
    let context = Context::new(global)?;
    let supervisor = std::env::var_os(SUPERVISOR);
    let stays = line.command.command == Command::Create || line.command.no_start;
    let owner = Owner { role: stays.then_some(CREATED), ..session::new() };
    if supervisor.is_some() {
        detached::introduce(&owner)?;
    }
    let ran = in_runtime(async {
        let project = match Project::read(&context, line, owner).await? {
            Read::Project(project) => *project,
            // Compose says it itself.
            Read::Refused => return Ok(None),
        };
        let code = match (project.line.command.command, project.line.command.detach, supervisor) {
            (_, true, Some(log)) => Box::pin(detached::supervise(&context, project, log.into())).await,
            (_, true, None) => Box::pin(detached::start(&context, project)).await,
            (Command::Up, false, _) => Box::pin(foreground::run(&context, project)).await,
            _ => Box::pin(once::run(&context, project)).await,
        };
        code.map(Some)
    })?;
    ran.map_or_else(|| Err(exec(words)), Ok)
}

/// Reads the line; none: there is nothing to add to it.
fn read(words: &[OsString], at: usize) -> Result<Option<Line>> {
    let mut more = Options::default();
    for _ in 0..=ASKED {
        let asked = match Invocation::read(words, at, &more) {
            Err(UnreadOptions::Malformed) => return Ok(None),
            Err(UnreadOptions::Unknown(_)) => at,
            Ok((invocation, verb_at)) => {
                let command = words.get(verb_at).and_then(|word| Command::named(word));
                let (Some(command), false) = (command, invocation.informs) else { return Ok(None) };
                match CommandLine::read(command, &words[verb_at + 1..], &more) {
                    Err(Unread::Passed) => return Ok(None),
                    Err(Unread::Unknown(_)) => verb_at + 1,
                    Ok(command) => return Ok(Line::new(words, verb_at, invocation, command)),
                }
            }
        };
        more.extend(&help_options(&words[..asked])?);
    }
    // What is still unknown compose does not know either: it says so best.
    Ok(None)
}
