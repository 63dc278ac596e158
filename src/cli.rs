//! The command line as clap reads it. Flags have no default values: defaults live in the lowest
//! configuration layer alone, so that a variable is never hidden by a flag nobody typed.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};

/// What `mcpmon --help` ends with.
const WAYS_IN: &str = "\
Without a file:
  mcpmon COMMAND …            a stdio session with a command (python server.py)
  mcpmon docker run -i …      a stdio session with a container
  mcpmon docker run …         with labels, reloaded on a save; -d is followed
  mcpmon docker compose up …  the same for services; -d leaves a supervisor

podman and docker-compose do as well. From such a word on no flag is mcpmon's; every other docker line is docker's own.

Exit codes: 0 done, 1 failed, 2 changes (plan --detailed-exitcode), 64 usage, 69 engine unreachable, \
78 configuration error, 130/143 ended by a signal.";

/// `mcpmon`: runs MCP servers in containers, reloads them when files are saved, leaves nothing behind.
#[derive(Debug, Parser)]
#[command(name = "mcpmon", version = crate::VERSION, about, max_term_width = 100, args_conflicts_with_subcommands = false)]
#[command(after_help = WAYS_IN)]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// Same as `mcpmon cleanup` (earlier versions' spelling).
    #[arg(long, hide = true)]
    pub cleanup: bool,
    /// With `--cleanup`: its flags.
    #[command(flatten)]
    pub cleanup_args: HiddenCleanupArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Read this file instead of looking for mcpmon.toml [env: MCPMON_CONFIG]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Apply [profile.NAME]; may be given several times [env: MCPMON_PROFILE]
    #[arg(long, global = true, value_name = "NAME", value_delimiter = ',')]
    pub profile: Vec<String>,
    /// Set one key of the configuration: targets.api.image=acme/api:2
    #[arg(long = "set", global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Say more; twice or three times for more still [env: MCPMON_VERBOSE]
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// error, warn, info, debug or trace [env: MCPMON_LOG_LEVEL]
    #[arg(long, global = true, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// Unknown MCPMON_* variables are errors
    #[arg(long, global = true)]
    pub strict: bool,
    /// How to write what is shown: text, or json (one object per line, or one document)
    #[arg(long, global = true, value_name = "FORMAT")]
    pub format: Option<Format>,
}

/// `--format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make containers match mcpmon.toml, keep them so, and reload them when files are saved
    Up(UpArgs),
    /// Stop and remove what this project owns
    Down(DownArgs),
    /// Show what `up` would do; changes nothing
    Plan(PlanArgs),
    /// List the project's targets and their containers
    Ps,
    /// Show what targets print
    Logs(LogsArgs),
    /// Show what happened to the project, also in sessions that are over
    Events(EventsArgs),
    /// Stop a target's container and start it again
    Restart(RestartArgs),
    /// Stand between an MCP client and a target's server, and reload the server when files are saved
    #[command(after_long_help = RUN_EXAMPLE)]
    Run(RunArgs),
    /// Remove containers and networks whose mcpmon is dead
    #[command(after_help = CLEANUP_HELP)]
    Cleanup(CleanupArgs),
    /// Look at the resolved configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Any other word: a command line of its own (`docker run …`). From that word on nothing is mcpmon's flag.
    #[command(external_subcommand)]
    External(Vec<OsString>),
}

/// Flags of `up` and `plan` that change what is watched.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Watch options")]
pub struct WatchArgs {
    /// Watch these paths; `auto` keeps what mcpmon finds itself [env: MCPMON_WATCH]
    #[arg(long, value_name = "PATH", value_delimiter = ',')]
    pub watch: Vec<String>,
    /// Never react to files that match [env: MCPMON_IGNORE]
    #[arg(long, value_name = "GLOB")]
    pub ignore: Vec<String>,
    /// React to these suffixes only [env: MCPMON_EXTENSIONS]
    #[arg(long, value_name = "EXT", value_delimiter = ',')]
    pub extensions: Vec<String>,
    /// How long files must be quiet before a reload: 250ms, 2s [env: MCPMON_DELAY]
    #[arg(long, value_name = "DURATION")]
    pub delay: Option<String>,
}

/// `mcpmon up`.
#[derive(Debug, Clone, Default, Args)]
pub struct UpArgs {
    /// Only these targets and what they depend on
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Leave a supervisor in the background and return when everything has been started
    #[arg(short, long)]
    pub detach: bool,
    /// Return only when every target is ready; fail when one can't be
    #[arg(long)]
    pub wait: bool,
    /// Build images first, even when they are there
    #[arg(long)]
    pub build: bool,
    /// Do not react to saved files
    #[arg(long)]
    pub no_watch: bool,
    /// Remove containers of targets that left the file, also where `reconcile.prune` is off
    #[arg(long)]
    pub remove_orphans: bool,
    /// What is watched.
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// `mcpmon down`.
#[derive(Debug, Clone, Default, Args)]
pub struct DownArgs {
    /// Only these targets
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Remove the project's volumes too
    #[arg(short, long)]
    pub volumes: bool,
    /// Say more [env: MCPMON_VERBOSE]
    // The global flag of that id without its short form: here `-v` are the volumes, as with `docker compose down`.
    #[arg(long = "verbose", id = "verbose", action = clap::ArgAction::Count, help_heading = "Global options")]
    pub more: u8,
}

/// `mcpmon plan`.
#[derive(Debug, Clone, Default, Args)]
pub struct PlanArgs {
    /// Only these targets and what they depend on
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Exit with 0 when what runs is what the file asks for, 2 when something would change or is held, another code on an error
    #[arg(long)]
    pub detailed_exitcode: bool,
}

/// `mcpmon logs`.
#[derive(Debug, Clone, Default, Args)]
pub struct LogsArgs {
    /// Only these targets
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Stay and show what comes, across restarts
    #[arg(short, long)]
    pub follow: bool,
    /// Begin with the last so many lines of each
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
}

/// `mcpmon events`.
#[derive(Debug, Clone, Default, Args)]
pub struct EventsArgs {
    /// Stay and show what happens to the containers, whoever does it
    #[arg(short, long)]
    pub follow: bool,
    /// Only what is younger: 10m, 2d, or a time as 2026-11-27T14:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only the last so many lines
    #[arg(short = 'n', long, value_name = "LINES")]
    pub tail: Option<usize>,
    /// Of all projects and lines on this machine; needs no mcpmon.toml
    #[arg(long, conflicts_with = "follow")]
    pub all: bool,
    /// How often each target started, was reloaded and crashed, and how long its reloads take
    #[arg(long, conflicts_with = "follow")]
    pub summary: bool,
}

/// `mcpmon restart`.
#[derive(Debug, Clone, Default, Args)]
pub struct RestartArgs {
    /// The targets
    #[arg(value_name = "TARGET", required = true)]
    pub targets: Vec<String>,
}

/// What `mcpmon run --help` ends with.
const RUN_EXAMPLE: &str = "\
In an MCP client's configuration (most call the file mcp.json or settings.json):

  {
    \"mcpServers\": {
      \"api\": {
        \"command\": \"mcpmon\",
        \"args\": [\"--config\", \"/path/to/mcpmon.toml\", \"run\", \"api\"]
      }
    }
  }

Without --config, mcpmon.toml is looked for in the folder that the client starts servers in, and above it. \
stdout carries the server's messages and nothing else; what people read is on stderr, which most clients keep in a log.";

/// `mcpmon run`.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// The target whose server the client talks to
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// What is watched.
    #[command(flatten)]
    pub watch: WatchArgs,
}

/// What `mcpmon cleanup --help` ends with.
const CLEANUP_HELP: &str = "\
An orphan is a container that says mcpmon.managed=true and names no process, or one that is dead. It is stopped, killed \
where it does not end in time, and removed: eight at once, all within one grace period. With -v, what is left alone is \
listed too, with the reason.

Exit codes: 0 nothing is left to do (or --dry-run), 1 something was left: not agreed to, or it could not be removed; \
69 engine unreachable. Without a terminal and without --force nothing is removed.";

/// `mcpmon cleanup`.
#[derive(Debug, Clone, Default, Args)]
pub struct CleanupArgs {
    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
    /// List only
    #[arg(long)]
    pub dry_run: bool,
    /// Those of other hosts too, whose owners can't be looked at: they may live
    #[arg(long)]
    pub all_hosts: bool,
    /// Only what was created at least so long ago: 10m, 2h
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub older_than: Option<Duration>,
}

/// `mcpmon --cleanup --force …`: the flags of [`CleanupArgs`] without the command.
#[derive(Debug, Clone, Default, Args)]
pub struct HiddenCleanupArgs {
    /// Do not ask
    #[arg(short = 'f', long = "force", hide = true, requires = "cleanup")]
    pub force: bool,
    /// List only
    #[arg(long = "dry-run", hide = true, requires = "cleanup")]
    pub dry_run: bool,
    /// Those of other hosts too
    #[arg(long = "all-hosts", hide = true, requires = "cleanup")]
    pub all_hosts: bool,
    /// Only what is old enough
    #[arg(long = "older-than", hide = true, requires = "cleanup", value_parser = age)]
    pub older_than: Option<Duration>,
}

impl From<HiddenCleanupArgs> for CleanupArgs {
    fn from(args: HiddenCleanupArgs) -> Self {
        let HiddenCleanupArgs { force, dry_run, all_hosts, older_than } = args;
        Self { force, dry_run, all_hosts, older_than }
    }
}

fn age(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: write 90s, 10m, 2h or 3d"))
}

/// `mcpmon config`.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Print the resolved configuration
    Show {
        /// With the layer that set each value
        #[arg(long)]
        origin: bool,
    },
    /// Tell where one value comes from, and what it replaced
    Why {
        /// The key: targets.api.image
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Report every error, of compose files too; 0 when there is none
    Check,
    /// Print the JSON schema of mcpmon.toml
    Schema,
    /// Print the files that are read, in order
    Path,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Cli, Command};

    #[test]
    fn the_flags_fit_together() {
        Cli::command().debug_assert();
    }

    /// What help ends with, of `mcpmon` and of each of its commands.
    fn endings() -> Vec<String> {
        let all = Cli::command();
        let commands = all.get_subcommands().chain([&all]);
        let texts = commands.flat_map(|one| [one.get_after_help(), one.get_after_long_help()]);
        texts.flatten().map(ToString::to_string).collect()
    }

    #[test]
    fn help_names_every_way_in() {
        let help = Cli::command().render_long_help().to_string();
        assert!(super::WAYS_IN.lines().filter(|line| line.starts_with(' ')).all(|line| line.chars().count() < 80));
        for line in ["mcpmon COMMAND", "mcpmon docker run", "mcpmon docker compose", "docker-compose", "podman"] {
            assert!(help.contains(line), "{line}: {help}");
        }
    }

    #[test]
    fn prose_in_help_is_broken_by_the_terminals_width_alone() {
        let is_prose = |line: &str| !line.is_empty() && !line.starts_with(' ');
        assert!(endings().len() > 2);
        for text in endings() {
            let lines: Vec<&str> = text.lines().collect();
            let broken = lines.windows(2).find(|pair| is_prose(pair[0]) && is_prose(pair[1]));
            assert_eq!(broken, None, "{text}");
        }
    }

    #[test]
    fn of_down_alone_v_are_the_volumes() {
        let parse = |line: &str| {
            let cli = Cli::try_parse_from(line.split(' ')).expect(line);
            let Some(Command::Down(down)) = cli.command else { panic!("{line}") };
            (down.volumes, cli.global.verbose)
        };
        assert_eq!(parse("mcpmon down"), (false, 0));
        assert_eq!(parse("mcpmon down -v"), (true, 0));
        assert_eq!(parse("mcpmon down --verbose"), (false, 1));
        assert_eq!(parse("mcpmon -vv down"), (false, 2));
        assert_eq!(parse("mcpmon -v down -v"), (true, 1));
    }
}
