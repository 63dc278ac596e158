//! What the mcpmon that keeps a project already was asked for, by its command line: whether it does what is asked now.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, UNIX_EPOCH},
};

use clap::Parser as _;

use crate::{
    cli::{Cli, Command, GlobalArgs, UpArgs},
    config::secret::masked_by_looks,
    error::{Error, Result},
    model::{Lease, Project},
    plan::{meant, scope},
};

/// The variable that `--profile` takes the place of.
const PROFILE: &str = "MCPMON_PROFILE";

/// The words of `mcpmon up`.
#[derive(Debug, Clone)]
pub struct Words {
    /// Flags that every command takes.
    pub global: GlobalArgs,
    /// Its own.
    pub up: UpArgs,
}

impl Words {
    /// It stays in its terminal.
    pub fn in_foreground(&self) -> bool {
        !self.up.detach && !self.up.wait
    }
}

/// What whoever asks for a supervisor in the background is told of one in the foreground.
pub fn in_foreground(pid: u32, project: &str, leases: &[Lease]) -> String {
    let since = leases.iter().find(|lease| lease.pid == pid).map(|lease| {
        let time = UNIX_EPOCH + Duration::from_millis(lease.started);
        format!(" since {}", humantime::format_rfc3339_seconds(time))
    });
    format!(
        "mcpmon, pid {pid}, keeps project {project} in the foreground{}: no other is started, and it ends with its terminal",
        since.unwrap_or_default()
    )
}

/// The words of `mcpmon up` as the process `pid` was started; none where that can't be read.
pub fn words_of(pid: u32) -> Option<Words> {
    let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<String> = line.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into()).collect();
    let (_, words) = words.split_last()?;
    let Cli { mut global, command, .. } = Cli::try_parse_from(words).ok()?;
    let Some(Command::Up(up)) = command else { return None };
    if global.profile.is_empty() {
        let environment = fs::read_to_string(format!("/proc/{pid}/environ")).unwrap_or_default();
        let named = environment.split('\0').find_map(|entry| entry.strip_prefix(PROFILE)?.strip_prefix('='));
        global.profile = profiles(named.unwrap_or_default());
    }
    Some(Words { global, up })
}

/// Those that the variable asks for.
fn profiles(variable: &str) -> Vec<String> {
    variable.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The flags that the keeper was started with and that are not given now, so that it keeps something else: as a shell takes
/// them, but for secrets.
pub fn left_out(keeper: &Words, global: &GlobalArgs, environment: &BTreeMap<String, String>) -> Vec<String> {
    let by_variable = environment.get(PROFILE).map(|named| profiles(named)).unwrap_or_default();
    let profile = if global.profile.is_empty() { &by_variable } else { &global.profile };
    let mut flags = Vec::new();
    for (flag, then, now) in
        [("--profile", &keeper.global.profile, profile), ("--set", &keeper.global.set, &global.set)]
    {
        flags.extend(
            then.iter()
                .filter(|value| !now.contains(value))
                .map(|value| format!("{flag} {}", shell_words::quote(&masked_by_looks(value)))),
        );
    }
    flags
}

/// Whether the keeper does what is asked of it: flags reach it only at its start.
///
/// # Errors
/// It does not; names the flag, or what it keeps instead.
pub fn does(pid: u32, keeper: Option<&Words>, asked: (&GlobalArgs, &UpArgs), project: &Project) -> Result<()> {
    let (global, asked) = asked;
    let deaf = |flag: &str| {
        Err(Error::failed(format!("a supervisor, pid {pid}, keeps the project already: {flag} does not reach it"))
            .hint("`mcpmon down`, then this command again"))
    };
    for (flag, given) in
        [("--build", asked.build), ("--no-watch", asked.no_watch), ("--remove-orphans", asked.remove_orphans)]
    {
        if given {
            return deaf(flag);
        }
    }
    let Some(Words { global: with, up: keeper }) = keeper else { return Ok(()) };
    let (now, then) = (&asked.watch, &keeper.watch);
    for (flag, another) in [
        ("--watch", !now.watch.is_empty() && now.watch != then.watch),
        ("--ignore", !now.ignore.is_empty() && now.ignore != then.ignore),
        ("--extensions", !now.extensions.is_empty() && now.extensions != then.extensions),
        ("--delay", now.delay.is_some() && now.delay != then.delay),
        ("--profile", !global.profile.is_empty() && global.profile != with.profile),
        ("--set", !global.set.is_empty() && global.set != with.set),
    ] {
        if another {
            return deaf(flag);
        }
    }
    // A target that has left the file since is nobody's business any more.
    let Ok(Some(kept)) = scope(project, &keeper.targets) else { return Ok(()) };
    let asked: BTreeSet<String> = meant(project, &asked.targets).into_iter().collect();
    let others: Vec<&str> = asked.difference(&kept).map(String::as_str).collect();
    if others.is_empty() {
        return Ok(());
    }
    Err(Error::failed(format!(
        "a supervisor, pid {pid}, keeps {} of the project, not {}",
        keeper.targets.join(", "),
        others.join(", ")
    ))
    .hint("`mcpmon down`, then `mcpmon up -d` with all that is wanted"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        Owner,
        testing::{project, target},
    };

    fn up(words: &str) -> Words {
        let cli = Cli::try_parse_from(format!("mcpmon up -d {words}").split_whitespace()).expect("it parses");
        match cli.command {
            Some(Command::Up(up)) => Words { global: cli.global, up },
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_in_the_foreground_is_said_to_be_there() {
        for (words, expected) in [("mcpmon up", true), ("mcpmon up -d", false), ("mcpmon up --wait api", false)] {
            let cli = Cli::try_parse_from(words.split(' ')).expect("it parses");
            let Some(Command::Up(up)) = cli.command else { panic!("{words}") };
            assert_eq!(Words { global: cli.global, up }.in_foreground(), expected, "{words}");
        }
        let owner = Owner { pid: 7, started: 1_790_000_000_999, ..crate::session::new() };
        let said = in_foreground(7, "acme", &[Lease::new(&owner, None, None)]);
        let expected = "mcpmon, pid 7, keeps project acme in the foreground since 2026-09-21T14:13:20Z: no other is started, and it ends with its terminal";
        assert_eq!(said, expected);
        assert!(in_foreground(8, "acme", &[]).starts_with("mcpmon, pid 8, keeps project acme in the foreground: "));
    }

    #[test]
    fn what_a_keeper_has_and_is_not_given_now_is_known() {
        for (keeper, now, variable, expected) in [
            ("", "", "", ""),
            ("--profile ci", "", "", "--profile ci"),
            ("--profile ci", "--profile ci", "", ""),
            ("--profile ci", "", "x, ci", ""),
            ("--profile ci --set a=b --set c=d", "--set c=d", "x", "--profile ci --set 'a=b'"),
            ("", "--profile ci", "", ""),
            ("--set targets.api.command=$x", "", "", "--set 'targets.api.command=$x'"),
            ("--set targets.api.environment.API_KEY=k3y", "", "", "--set 'targets.api.environment.API_KEY=***'"),
        ] {
            let environment = BTreeMap::from([(PROFILE.to_owned(), variable.to_owned())]);
            let found = left_out(&up(keeper), &up(now).global, &environment).join(" ");
            assert_eq!(found, expected, "{keeper:?} {now:?} {variable:?}");
        }
    }

    #[test]
    fn what_does_not_reach_a_keeper_is_said() {
        let project = project([target("a", "i"), target("b", "i")]);
        for (keeper, asked, said) in [
            ("", "", ""),
            ("", "a", ""),
            ("", "--build", "--build does not reach it"),
            ("", "--no-watch", "--no-watch does not reach it"),
            ("", "--watch x", "--watch does not reach it"),
            ("--watch x", "--watch x", ""),
            ("--watch x", "", ""),
            ("", "--profile ci", "--profile does not reach it"),
            ("--profile ci", "--profile ci", ""),
            ("--profile ci", "", ""),
            ("", "--set name=x", "--set does not reach it"),
            ("--delay 1s", "--delay 2s", "--delay does not reach it"),
            ("a", "a", ""),
            ("a", "", "keeps a of the project, not b"),
            ("a", "b", "keeps a of the project, not b"),
            ("a gone", "b", ""),
        ] {
            let asked_now = up(asked);
            let asked_now = (&asked_now.global, &asked_now.up);
            let said_now = does(7, Some(&up(keeper)), asked_now, &project).err().map(|error| error.message);
            assert!(
                said_now.as_deref().unwrap_or_default().ends_with(said) && said_now.is_none() == said.is_empty(),
                "{keeper:?} {asked:?}: {said_now:?}"
            );
        }
        let asked = up("b");
        assert!(does(7, None, (&asked.global, &asked.up), &project).is_ok(), "nobody knows");
        assert!(words_of(std::process::id()).is_none(), "this is no `up`");
    }
}
