//! `mcpmon CMD ARGS…`: a stdio session with a plain command, which is watched as far as its words tell what it is made of.
//! No configuration is needed.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    sync::Arc,
};

use clap::CommandFactory;

use super::{
    context::{Context, Reader},
    lone::Lone,
    run::Run,
};
use crate::{
    cli::Cli,
    config::nearest::nearest,
    error::{Error, Kind, Result},
    model::TargetKind,
    output::{history::Subject, log},
    process,
};

/// Commands that are announced and not there yet.
pub const NOT_YET: &[&str] = &["init", "setup", "doctor", "completions", "man"];

/// Stands between a client and the command until the client leaves; gives the exit code.
pub async fn run(context: &Context, words: &[OsString]) -> Result<u8> {
    let launcher = process::Launcher::new(words.iter().cloned(), &context.folder)?;
    let program = words.first().map(OsString::as_os_str).unwrap_or_default();
    is_there(program)?;
    let shown = Path::new(program).file_name().unwrap_or(program).to_string_lossy();
    let known: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let lone = Lone::new(context, &shown, "command", Some(known));
    let settings = Arc::new(lone.load()?);
    log::start(&settings.session.log_level, settings.session.log_file.as_deref())?;
    let Some(target) = settings.project.targets.get(lone.name()) else {
        return Err(Error::failed(format!("there are no settings for {}", lone.name())));
    };
    let load: Reader = Arc::new({
        let lone = lone.clone();
        move || Box::pin(std::future::ready(lone.load()))
    });
    let history = context.history(&Subject::Kind("command"), "command");
    let TargetKind::Process(process) = &target.kind else {
        return Err(Error::failed(format!("{} is no command", lone.name())));
    };
    let grace = process.stop_grace_period;
    Run { context, settings: &settings, target, load }.process(launcher, grace, history).await
}

/// Whether a word without a slash is a program at all; if not, it was perhaps meant to be a command of mcpmon's.
fn is_there(program: &OsStr) -> Result<()> {
    let word = program.to_string_lossy();
    if NOT_YET.contains(&&*word) {
        return Err(Error::usage(format!("mcpmon has no command `{word}`")).hint(format!(
            "`mcpmon {word}` is announced, but not in this version yet: `mcpmon help` lists what is; a program of that \
             name is run with its whole path"
        )));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if word.contains('/') || std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
        return Ok(());
    }
    let commands = Cli::command();
    let names = commands.get_subcommands().map(clap::Command::get_name);
    Err(match nearest(&word, names.chain(NOT_YET.iter().copied())) {
        Some(nearest) => Error::usage(format!("mcpmon has no command `{word}`, and there is no program of that name"))
            .hint(format!("did you mean `mcpmon {nearest}`?")),
        None => Error::new(Kind::NotFound, format!("there is no program `{word}`"))
            .hint("install it, or add its folder to PATH; `mcpmon help` lists mcpmon's own commands"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_announced_is_told_from_what_is_mistyped_and_what_is_no_program() {
        for word in NOT_YET {
            let error = is_there(OsStr::new(word)).expect_err("not yet");
            assert!(error.hint.is_some_and(|hint| hint.contains("not in this version yet")), "{word}");
            assert!(Cli::command().find_subcommand(word).is_none(), "{word} is there: take it off the list");
        }
        let error = is_there(OsStr::new("upp")).expect_err("no program");
        assert_eq!((error.kind, error.hint.as_deref()), (Kind::Usage, Some("did you mean `mcpmon up`?")));
        let error = is_there(OsStr::new("no-such-program-anywhere")).expect_err("no program");
        assert_eq!(error.kind, Kind::NotFound);
        assert!(is_there(OsStr::new("sh")).is_ok());
        assert!(is_there(OsStr::new("./whatever")).is_ok(), "its start says what is wrong with it");
    }
}
