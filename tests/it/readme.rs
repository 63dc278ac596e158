//! The pages are promises. The README's commands run as they are written, in the project that it shows; its tables and
//! those of docs/ name everything there is; its links lead somewhere.

use std::{fs, path::Path, process::Command};

use clap::CommandFactory;
use mcpmon::{
    cli::Cli,
    config::{
        environment::{CONFIG, PROFILE},
        file::VARIABLES,
    },
    model::labels,
};

use crate::{
    project::Project,
    support::{DEADLINE, docker, in_the_same_place},
};

const README: &str = include_str!("../../README.md");
const CONFIGURATION: &str = include_str!("../../docs/configuration.md");
const RELOAD: &str = include_str!("../../docs/reload.md");
const SESSION: &str = include_str!("../../docs/session.md");
const EXAMPLES: &str = include_str!("../../examples/stdio/README.md");
const COMPOSE: &str = include_str!("../../docs/compose.md");
const COMPOSE_EXAMPLE: &str = include_str!("../../examples/compose/README.md");
const EVENTS: &str = include_str!("../../docs/events.md");
const SECURITY: &str = include_str!("../../docs/security.md");

/// The fenced blocks in that language, in order.
pub(crate) fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let opening = format!("\n```{language}\n");
    page.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap_or_default()).collect()
}

#[test]
fn its_commands_run_as_they_are_written() {
    let project = Project::new("readme");
    let [file] = blocks(README, "toml")[..] else { panic!("the README shows one mcpmon.toml") };
    // Its own name, and a port of the engine's choice: others may run beside it.
    let file = file.replace("\"hello\"", &format!("{:?}", project.name)).replace(":3738:", "::");
    assert!(file.contains(&project.name) && file.contains("127.0.0.1::3000"), "{file}");
    project.write("mcpmon.toml", &file);

    let script = blocks(README, "sh").join("\n").replace("project=hello", &format!("project={}", project.name));
    assert!(script.contains("mcpmon up -d --wait") && script.contains("mcpmon down"), "{script}");
    let binary = Path::new(env!("CARGO_BIN_EXE_mcpmon")).parent().expect("a folder");
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("timeout");
    shell.args([&(3 * DEADLINE.as_secs()).to_string(), "sh", "-eux", "-c", &script]).env("PATH", path);
    in_the_same_place(&project.command(&[]), &mut shell);
    let ran = shell.output().expect("sh runs");
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{}\n{out}\n{err}", ran.status);
    assert!(out.contains(&format!("{}-greeter", project.name)), "docker ps shows it by its label:\n{out}");
    assert!(err.contains("1 target ready") && err.contains("unchanged"), "{err}");

    let label = format!("label={}={}", labels::PROJECT, project.name);
    for list in [&["ps", "-aq"][..], &["network", "ls", "-q"]] {
        let left = docker(&[list, &["--filter", &label]].concat()).stdout;
        assert!(left.is_empty(), "left: {}", String::from_utf8_lossy(&left));
    }
}

#[test]
fn the_tables_are_complete() {
    for command in Cli::command().get_subcommands().map(|command| command.get_name().to_owned()) {
        assert!(README.contains(&format!("| `mcpmon {command}")), "the README has no command {command}");
    }
    for label in [
        labels::MANAGED,
        labels::SESSION,
        labels::PID,
        labels::STARTED,
        labels::HOST,
        labels::PID_START,
        labels::PROJECT,
        labels::TARGET,
        labels::CONFIG_HASH,
        labels::CONFIG,
        labels::CONFIG_FILE,
        labels::ROLE,
    ] {
        assert!(README.contains(&format!("`{label}`")), "the README has no label {label}");
    }
    for (name, key) in VARIABLES {
        let row = format!("| `{name}` | `{}`", key.join("."));
        assert!(CONFIGURATION.contains(&row), "docs/configuration.md lacks: {row}");
    }
    for name in [CONFIG, PROFILE] {
        assert!(CONFIGURATION.contains(&format!("| `{name}` |")), "docs/configuration.md lacks {name}");
    }
    let source = include_str!("../../src/output/event.rs");
    let body = source.split("pub enum Event {").nth(1).and_then(|rest| rest.split("\n}\n").next()).expect("the events");
    let variants = body.lines().filter_map(|line| {
        let name = line.strip_prefix("    ")?.trim_end_matches([' ', '{', ',']);
        name.starts_with(|c: char| c.is_ascii_uppercase()).then_some(name)
    });
    let names: Vec<String> = variants.map(snake_case).collect();
    assert!(names.len() > 20, "{names:?}");
    for name in names {
        assert!(EVENTS.contains(&format!("| `{name}` |")), "docs/events.md lacks {name}");
    }
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

#[test]
fn links_lead_somewhere() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (folder, page) in [
        ("", README),
        ("docs", CONFIGURATION),
        ("docs", RELOAD),
        ("docs", EVENTS),
        ("docs", SECURITY),
        ("docs", SESSION),
        ("docs", COMPOSE),
        ("examples/compose", COMPOSE_EXAMPLE),
        ("examples/stdio", EXAMPLES),
    ] {
        let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            assert!(fs::exists(top.join(folder).join(link)).unwrap_or(false), "{folder}: {link}");
        }
    }
}

#[test]
fn the_log_file_keeps_what_happened() {
    let mut project = Project::with("log", "targets.api = { image = 'mcpmon-test-server', command = ['idle'] }\n");
    let log = project.elsewhere("logs/mcpmon.log");
    project.environment("MCPMON_LOG_FILE", log.to_str().expect("UTF-8"));
    assert_eq!(project.run(&["up", "-d", "--wait"]).code, 0);
    assert_eq!(project.run(&["down"]).code, 0);
    let text = fs::read_to_string(&log).expect("the log");
    for event in ["session_started", "settled", "stopping"] {
        let times = text.matches(&format!("\"event\":\"{event}\"")).count();
        assert_eq!(times, 1, "{event} in {text}");
    }
    project.environment("MCPMON_LOG_FILE", "/dev/null/no.log");
    let ran = project.run(&["plan"]);
    assert!(ran.code == 1 && ran.err.contains("log file") && ran.err.contains("MCPMON_LOG_FILE"), "{ran:?}");
}
