//! One file per command; wiring only.

pub mod cleanup;
pub mod config;
pub mod context;
pub mod detach;
pub mod docker;
pub mod down;
pub mod events;
pub mod logs;
pub mod plan;
pub mod ps;
pub mod restart;
pub mod run;
pub mod up;

use std::{
    ffi::{OsStr, OsString},
    io::{Write, stderr, stdout},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, error::ErrorKind};

use self::context::Context;
use crate::{
    cli::{CleanupArgs, Cli, Command, WatchArgs},
    config::nearest::nearest,
    error::{Error, Kind, Result},
    model::Project,
    orphan::judge,
    output::{
        show::Options,
        style::{self, Paint},
    },
    session::{host, process::ThisHost},
};

/// Parses the command line, runs the command, and gives the exit code.
pub fn main() -> ExitCode {
    let code = match Cli::try_parse() {
        Ok(cli) => run(cli).unwrap_or_else(|error| {
            let _ = writeln!(stderr(), "{}", style::error(&error, Paint::stderr()).trim_end());
            error.kind.exit_code()
        }),
        Err(error) => {
            let _ = error.print();
            match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
                _ => Kind::Usage.exit_code(),
            }
        }
    };
    ExitCode::from(code)
}

/// Commands that are announced and not there yet.
const NOT_YET: &[&str] = &["init", "setup", "doctor", "completions", "man"];

/// A word that is no command of mcpmon's, and no program it knows how to run.
fn unknown_command(word: &OsStr) -> Error {
    let word = word.to_string_lossy();
    let error = Error::usage(format!("mcpmon has no command `{word}`"));
    if NOT_YET.contains(&&*word) {
        return error
            .hint(format!("`mcpmon {word}` is announced, but not in this version yet: `mcpmon help` lists what is"));
    }
    let commands = Cli::command();
    match nearest(&word, commands.get_subcommands().map(clap::Command::get_name)) {
        Some(nearest) => error.hint(format!("did you mean `mcpmon {nearest}`?")),
        None => error
            .hint("`mcpmon help` lists the commands; running any program is announced, but not in this version yet"),
    }
}

fn run(cli: Cli) -> Result<u8> {
    let command = match (cli.command, cli.cleanup) {
        (Some(command), false) => command,
        (None, true) => {
            Command::Cleanup(CleanupArgs { force: cli.cleanup_args.force, dry_run: cli.cleanup_args.dry_run })
        }
        (Some(_), true) => return Err(Error::usage("--cleanup is a command of its own").hint("use `mcpmon cleanup`")),
        (None, false) => {
            let _ = write!(stderr(), "{}", Cli::command().render_help());
            return Ok(Kind::Usage.exit_code());
        }
    };
    if let Command::External(words) = command {
        return match words.first() {
            Some(program) if docker::is_meant(program) => docker::run(cli.global, &words),
            program => Err(unknown_command(program.map(OsString::as_os_str).unwrap_or_default())),
        };
    }
    let context = Context::new(cli.global)?;
    if let Command::Config(command) = &command {
        let request = context.request(&WatchArgs::default());
        return config::run(command, &request, context.format(), &mut stdout().lock());
    }
    in_runtime(dispatch(&context, command))
}

/// Runs what waits.
fn in_runtime<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    // One thread is enough for all the waiting there is; the work is the engine's.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::failed("the runtime can't be started").caused_by(error))?;
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
            let settings = context.load(&WatchArgs::default())?.settings;
            let engine = context.connect(settings.session.docker_timeout).await?;
            let here = host::identity();
            let judge = |labels: &_| judge(labels, &here, &ThisHost);
            ps::run(&engine, &settings, judge, context.format(), Paint::stdout(), &mut stdout()).await.map(done)
        }
        Command::Logs(args) => {
            let settings = context.load(&WatchArgs::default())?.settings;
            let engine = context.connect(settings.session.docker_timeout).await?;
            logs::run(&engine, &settings, &args, Options::detect(context.json())).await.map(done)
        }
        Command::Events => {
            let settings = context.load(&WatchArgs::default())?.settings;
            let engine = context.connect(settings.session.docker_timeout).await?;
            events::run(&engine, &settings, context.format(), Paint::stdout(), &mut stdout()).await.map(done)
        }
        Command::Config(command) => {
            let request = context.request(&WatchArgs::default());
            config::run(&command, &request, context.format(), &mut stdout())
        }
        // Taken before: some of them want no runtime.
        Command::External(words) => Err(unknown_command(words.first().map(OsString::as_os_str).unwrap_or_default())),
    }
}

/// A target that the file does not have.
pub fn unknown_target(project: &Project, name: &str) -> Error {
    let error = Error::usage(format!("there is no target {name} in {}", project.config_file.display()));
    match nearest(name, project.targets.keys().map(String::as_str)) {
        Some(nearest) => error.hint(format!("did you mean {nearest}?")),
        None => error.hint(format!("targets: {}", project.targets.keys().cloned().collect::<Vec<_>>().join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_told_from_what_is_mistyped() {
        let hint = |word: &str| unknown_command(OsStr::new(word)).hint.expect("a hint");
        for word in NOT_YET {
            assert!(hint(word).contains("not in this version yet"), "{word}");
            assert!(Cli::command().find_subcommand(word).is_none(), "{word} is there: take it off the list");
        }
        assert_eq!(hint("upp"), "did you mean `mcpmon up`?");
        assert!(hint("python").starts_with("`mcpmon help` lists the commands"));
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
