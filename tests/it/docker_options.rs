//! The table of docker's options against the installed CLI's own help; podman's too, where it is installed.

use std::{
    ffi::OsString,
    process::{self, ExitStatus, Stdio},
};

use mcpmon::{
    compose::invocation,
    docker_line::{
        DockerLine, Verb,
        compose::Command,
        options::{Options, Program},
        parse,
    },
};

fn help(words: &[&str]) -> String {
    let output = process::Command::new(words[0]).args(&words[1..]).arg("--help").output().expect("it runs");
    assert!(output.status.success(), "{words:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn compare(name: &str, program: Program) {
    for (words, table) in [
        (vec![name], Options::global(program)),
        (vec![name, "run"], Options::container(program, Verb::Run)),
        (vec![name, "create"], Options::container(program, Verb::Create)),
        (vec![name, "container", "run"], Options::container(program, Verb::Run)),
    ] {
        let said = Options::from_help(&help(&words));
        assert!(said != Options::default(), "{words:?}: its help has options");
        assert_eq!(table.lacks(&said), Vec::<String>::new(), "{words:?}: the table lacks, or has otherwise");
    }
}

#[test]
fn the_table_has_what_docker_s_help_has() {
    compare("docker", Program::Docker);
}

#[test]
fn the_tables_have_what_compose_s_help_has() {
    let table = |name: &str| Command::named(name.as_ref()).expect("a command that is read").options();
    let compose = invocation::options();
    for (words, table) in [
        (vec!["docker", "compose"], compose),
        (vec!["docker", "compose", "up"], table("up")),
        (vec!["docker", "compose", "run"], table("run")),
        (vec!["docker", "compose", "create"], table("create")),
        (vec!["docker", "compose", "start"], table("start")),
    ] {
        let said = Options::from_help(&help(&words));
        assert!(said != Options::default(), "{words:?}: its help has options");
        assert_eq!(table.lacks(&said), Vec::<String>::new(), "{words:?}: the table lacks, or has otherwise");
    }
}

#[test]
fn the_table_has_what_podman_s_help_has() {
    let installed = process::Command::new("podman").arg("--version").stdout(Stdio::null()).status();
    if installed.is_ok_and(|status: ExitStatus| status.success()) {
        compare("podman", Program::Podman);
    }
}

/// What the help does not show is asked of docker itself: an option of the table is never an unknown one.
#[test]
fn docker_knows_what_the_table_hides() {
    let line: Vec<OsString> = ["docker", "run", "--nope", "image"].map(OsString::from).to_vec();
    assert!(matches!(parse(&line), DockerLine::UnknownOption { .. }));
    for option in
        ["annotation", "dns-opt", "health-start-interval", "net", "net-alias", "cpu-count", "io-maxiops", "nope"]
    {
        // A second one without its value makes docker stop before it does anything.
        let output = process::Command::new("docker").args(["run", &format!("--{option}"), "x", "--label"]).output();
        let error = String::from_utf8(output.expect("docker runs").stderr).expect("UTF-8");
        assert_eq!(error.contains("unknown flag"), option == "nope", "{option}: {error}");
    }
}
