//! One file per command; wiring only.

pub mod beside;
pub mod cleanup;
pub mod command;
pub mod config;
pub mod context;
pub mod detach;
pub mod docker;
pub mod down;
pub mod events;
pub mod keeper;
pub mod logs;
pub mod lone;
pub mod plan;
pub mod ps;
pub mod restart;
pub mod run;
pub mod said;
pub mod up;
pub mod watchdog;

use std::{
    ffi::OsString,
    io::{Write, stderr, stdout},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, error::ErrorKind};

use self::context::Context;
use crate::{
    cli::{Cli, Command, Format, WatchArgs},
    config::nearest::nearest,
    error::{Error, Kind, Result},
    model::{Project, TargetKind},
    output::{refusal, show::Options, style::Paint},
    session::{self, watchdog::WATCHDOG},
};

/// Parses the command line, runs the command, and gives the exit code.
pub fn main() -> ExitCode {
    // First of all, and with nothing read or started before: it has to be small.
    if std::env::var_os(WATCHDOG).is_some() {
        return watchdog::main();
    }
    command_line()
}

/// Apart from [`main`], whose place on the stack the watchdog has for good.
#[inline(never)]
fn command_line() -> ExitCode {
    let code = match Cli::try_parse() {
        Ok(cli) => {
            let format = cli.global.format.unwrap_or_default();
            run(cli).unwrap_or_else(|error| refused(&error, format))
        }
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
                let _ = error.print();
                0
            }
            _ if wants_json(std::env::args_os()) => refused(&misuse(&error.to_string()), Format::Json),
            _ => {
                let _ = error.print();
                Kind::Usage.exit_code()
            }
        },
    };
    ExitCode::from(code)
}

/// Says on stderr why it came to nothing; gives the exit code.
fn refused(error: &Error, format: Format) -> u8 {
    refusal::say(error, format == Format::Json);
    error.kind.exit_code()
}

/// `--format json` on a command line that can't be read.
fn wants_json(words: impl Iterator<Item = OsString>) -> bool {
    let words: Vec<OsString> = words.collect();
    words.iter().any(|word| word == "--format=json")
        || words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json")
}

/// What clap says of a command line: its first paragraph is what is wrong, the others are what to do.
fn misuse(said: &str) -> Error {
    let mut paragraphs = said.split("\n\n").map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "));
    let first = paragraphs.next().unwrap_or_default();
    let hints: Vec<String> = paragraphs.filter(|text| !text.is_empty()).collect();
    Error::usage(first.strip_prefix("error: ").unwrap_or(&first)).hint(hints.join("; "))
}

fn run(cli: Cli) -> Result<u8> {
    let command = match (cli.command, cli.cleanup) {
        (Some(command), false) => command,
        (None, true) => Command::Cleanup(cli.cleanup_args.into()),
        (Some(_), true) => return Err(Error::usage("--cleanup is a command of its own").hint("use `mcpmon cleanup`")),
        (None, false) => {
            let _ = write!(stderr(), "{}", Cli::command().render_help());
            return Ok(Kind::Usage.exit_code());
        }
    };
    if let Command::External(words) = &command
        && words.first().is_some_and(|program| docker::is_meant(program))
    {
        return docker::run(cli.global, words);
    }
    let context = Context::new(cli.global)?;
    wait(&context, command)
}

/// Apart from [`run`]: it takes room on the stack for whatever any command needs, and not all come by here.
#[inline(never)]
fn wait(context: &Context, command: Command) -> Result<u8> {
    in_runtime(dispatch(context, command))
}

/// Runs what waits.
fn in_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    // One thread is enough for all the waiting there is; the work is the engine's.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed("the runtime can't be started").caused_by(error))?;
    #[cfg(feature = "faults")]
    let work = crate::faults::around(work);
    let result = runtime.block_on(work);
    // Nothing that is still in the background is worth waiting for.
    runtime.shutdown_background();
    result
}

async fn dispatch(context: &Context, command: Command) -> Result<u8> {
    let done = |()| 0;
    match command {
        Command::Up(args) => match std::env::var_os(detach::SUPERVISOR) {
            Some(log) => detach::run(context, &args, log.into()).await,
            None => up::run(context, &args).await,
        },
        Command::Down(args) => down::run(context, &args).await,
        Command::Plan(args) => plan::run(context, &args, &mut stdout()).await,
        Command::Restart(args) => restart::run(context, &args).await,
        Command::Run(args) => run::run(context, &args).await,
        Command::Cleanup(args) => cleanup::run(context, &args, &mut stdout()).await,
        Command::Ps => {
            let settings = context.settings_by_name_at_worst().await?;
            let engine = context.connect(settings.session.docker_timeout).await?;
            let known = session::known();
            ps::run(&engine, &settings, &known, context.format(), Paint::stdout(), &mut stdout()).await.map(done)
        }
        Command::Logs(args) => {
            let settings = context.settings_by_name_at_worst().await?;
            let engine = context.connect(settings.session.docker_timeout).await?;
            logs::run(&engine, &settings, &args, Options::detect(context.json())).await.map(done)
        }
        Command::Events(args) => events::events(context, &args, &mut stdout()).await.map(done),
        Command::Config(command) => {
            let request = context.request(&WatchArgs::default());
            config::run(&command, &request, context.format(), &mut stdout()).await
        }
        Command::External(words) => command::run(context, &words).await,
    }
}

/// A target that the file does not have.
pub fn unknown_target(project: &Project, name: &str) -> Error {
    if let Some(of) = unread_of(project, name) {
        return unread(of, name);
    }
    let error = Error::usage(format!("there is no target {name} in {}", project.config_file.display()));
    match nearest(name, project.names()) {
        Some(nearest) => error.hint(format!("did you mean {nearest}?")),
        None => error.hint(format!("targets: {}", project.targets.keys().cloned().collect::<Vec<_>>().join(", "))),
    }
}

/// The compose target that a name is of, if that one's files could not be read: which services it has is not known.
pub fn unread_of<'a>(project: &Project, name: &'a str) -> Option<&'a str> {
    let of = name.split_once('/').map_or(name, |(of, _)| of);
    matches!(project.targets.get(of)?.kind, TargetKind::Compose(_)).then_some(of)
}

/// Compose's own words stand above it.
pub fn unread(of: &str, name: &str) -> Error {
    let message = if of == name {
        format!("the compose files of target {of} can't be read")
    } else {
        format!("the compose files of target {of} can't be read: whether it has {name} is not known")
    };
    Error::config(message).hint("mend what compose says of them above, and try again")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn what_clap_says_is_one_error_for_programs() {
        let line = ["mcpmon", "up", "--nope", "--format", "json"];
        assert!(wants_json(line.into_iter().map(OsString::from)));
        let error = misuse(&Cli::try_parse_from(line).unwrap_err().to_string());
        assert_eq!((error.kind, error.message.as_str()), (Kind::Usage, "unexpected argument '--nope' found"));
        let hint = error.hint.unwrap_or_default();
        assert!(hint.contains("Usage: mcpmon up") && !hint.contains('\n'), "{hint}");
    }

    #[test]
    fn from_the_first_other_word_on_nothing_is_mcpmons_flag() {
        let cli = Cli::try_parse_from("mcpmon -v docker run --help -v /a:/b --config x".split(' ')).expect("it parses");
        assert_eq!((cli.global.verbose, cli.global.config), (1, None));
        let Some(Command::External(words)) = cli.command else { panic!("docker") };
        assert_eq!(words.join(OsStr::new(" ")), "docker run --help -v /a:/b --config x");
        assert_eq!(Cli::try_parse_from(["mcpmon", "up", "--nope"]).unwrap_err().kind(), ErrorKind::UnknownArgument);
    }
}
