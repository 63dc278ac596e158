//! With mcpmon in front all is as without it: the same containers, output and exit status, and what can't be is said.

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Output, thread};

use super::place::{Place, is_alive};
use crate::{
    compose_projects::{SHAPES, Shape, containers, made_of},
    support::until,
};

/// The project's containers as they are made, and its files as compose names them.
fn made(place: &Place) -> Vec<(String, String)> {
    let folder = place.project.path(place.folder).canonicalize().expect("a folder");
    let found = containers(&place.name).into_iter();
    found.map(|(name, one)| (name, made_of(&one, &place.name, &folder))).collect()
}

fn same_with_and_without(shape: &'static Shape) {
    let place = Place::new("compose-line", shape.name);
    shape.write(&place.project);
    // What a container is made of does not change by its start.
    place.ok(&format!("docker compose {} create", shape.options), false);
    let without = made(&place);
    assert_eq!(without.len(), shape.services.iter().map(|(_, count)| count).sum::<usize>(), "{}", shape.name);
    place.clear();

    place.ok(&format!("docker compose {} up -d", shape.options), true);
    assert_eq!(made(&place), without, "{}", shape.name);
    let keepers = place.keeper();
    let [keeper] = &keepers.iter().collect::<Vec<_>>()[..] else { panic!("{}: {keepers:?}", shape.name) };
    assert!(is_alive(keeper), "{}: {keeper} keeps it", shape.name);
    // Every other line is compose's own.
    let is_asked = ["plain", "two-files", "profile"].contains(&shape.name);
    for line in [
        "config",
        "ps -aq",
        "images -q",
        "ls --filter name=nothing",
        "config --services",
        "port nothing 80",
        "nonsense",
    ]
    .into_iter()
    .filter(|_| is_asked)
    {
        let line = format!("docker compose {} {line}", shape.options);
        let (with, without) = (place.output(&line, true), place.output(&line, false));
        let told = |output: Output| {
            let mut lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
            // Compose lists services and images in any order.
            lines.sort();
            (output.status.code(), lines, String::from_utf8_lossy(&output.stderr).into_owned())
        };
        assert_eq!(told(with), told(without), "{line}");
    }
    place.ok(&format!("docker compose {} down -v -t 1", shape.options), true);
    assert_eq!(place.ids(), Vec::<String>::new(), "{}", shape.name);
    until("the supervisor ends with its containers", || !is_alive(keeper));
}

#[test]
fn projects_are_the_same() {
    assert!(SHAPES.len() >= 20);
    let next = std::sync::atomic::AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(shape) = SHAPES.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    same_with_and_without(shape);
                }
            });
        }
    });
}

#[test]
fn lines_end_as_without_mcpmon() {
    let place = Place::new("compose-ends", "ends");
    place.write(
        "compose.yaml",
        "services:\n  ok: {image: mcpmon-test-server, command: [lines, --count, '2', --then-exit, '0'], network_mode: host}\n  \
         bad: {image: mcpmon-test-server, command: [exit, '3'], network_mode: host}\n  \
         long: {image: mcpmon-test-server, command: [idle], init: true, network_mode: host}\n  \
         odd: {image: mcpmon-test-server, command: [idle], network_mode: host, depends_on: {bad: {condition: service_completed_successfully}}}\n",
    );
    // Lines in any order: several containers print.
    let told = |output: Output| {
        let text = [output.stdout, output.stderr].concat();
        let mut lines: Vec<String> = String::from_utf8_lossy(&text)
            .replace("\u{1b}[2K", "")
            .lines()
            .map(|line| line.trim().to_owned())
            // Whether compose says this of what is not running yet is a race of its own.
            .filter(|line| line != "Gracefully stopping... (press Ctrl+C again to force)")
            .collect();
        lines.sort();
        (output.status.code(), lines)
    };
    for line in [
        "docker compose up ok",
        "docker compose up --exit-code-from bad bad long",
        "docker compose up --abort-on-container-exit --no-color ok long",
        "docker compose up odd",
        "docker compose up nope",
        "docker compose up --no-start ok",
        "docker compose create ok bad",
        "docker compose run --rm -T ok",
        "docker compose run --rm -T --no-deps odd exit 5",
        "docker compose start nope",
        "docker compose -f nowhere.yml up",
        "docker compose up --nope",
        "docker compose up --help",
        "docker -H unix:///nowhere.sock compose up",
    ] {
        let without = told(place.output(line, false));
        let kept = place.running().into_iter().map(|(name, _, _)| name).collect::<Vec<_>>();
        place.clear();
        let with = told(place.output(line, true));
        assert_eq!(with, without, "{line}");
        let left = place.running();
        assert_eq!(left.iter().map(|(name, _, _)| name.clone()).collect::<Vec<_>>(), kept, "{line}");
        assert!(left.iter().all(|(_, _, runs)| !runs), "{line}: {left:?}");
        place.clear();
    }
}

#[test]
fn what_is_missing_or_can_not_be_is_said() {
    let place = Place::new("compose-bad", "bad");
    place.write("compose.yaml", "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host}\n");
    let program = |name: &str, script: &str| {
        let file: PathBuf = place.project.path("bad").join("bin").join(name);
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(&file, format!("#!/bin/sh\n{script}\n")).expect("a program");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a program");
    };
    let bin = place.project.path("bad").join("bin");
    let failed = |line: &str, path: Option<&str>| {
        let mut command = place.command(line, true);
        if let Some(path) = path {
            command.env("PATH", path);
        }
        let output = command.output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = failed("docker compose up", Some("/nowhere"));
    assert!(code == Some(127) && said.contains("there is no program docker"), "{said}");
    program(
        "docker",
        "echo \"unknown shorthand flag: 'd' in -d\" >&2; echo 'Usage:  docker [OPTIONS] COMMAND [ARG...]' >&2; exit 125",
    );
    let (code, said) = failed("docker compose up -d", bin.to_str());
    assert!(code == Some(1) && said.contains("no compose plugin") && said.contains("docker-compose-plugin"), "{said}");
    program("docker-compose", "[ \"$1\" = version ] && echo 1.29.2 && exit 0; echo 'No such option' >&2; exit 1");
    let (code, said) = failed("docker-compose up", bin.to_str());
    assert!(code == Some(1) && said.contains("is version 1.29.2: compose 2 is needed"), "{said}");
    let (code, said) = failed("docker compose -f - up", None);
    assert!(code == Some(64) && said.contains("from stdin") && said.contains("-f"), "{said}");
    place.write("compose.yaml", "services:\n  web: [\n");
    let (with, without) = (failed("docker compose up", None), place.output("docker compose up", false));
    assert_eq!(with, (without.status.code(), String::from_utf8_lossy(&without.stderr).into_owned()));
    assert_eq!(place.ids(), Vec::<String>::new());
}
