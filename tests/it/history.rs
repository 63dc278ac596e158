//! `mcpmon events`: what happened in sessions of every kind that are over, with causes.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use serde_json::{Value, json};

use crate::{
    client::Client,
    project::{Project, Ran},
    stdio::{greeter, greeting},
    support::docker,
};

fn kept(project: &Project) -> Vec<Value> {
    let ran = project.run(&["events", "--format", "json"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    ran.events()
}

/// The events of that name by that command.
fn of<'a>(all: &'a [Value], by: &str, name: &str) -> Vec<&'a Value> {
    all.iter().filter(|event| event["by"] == by && event["event"] == name).collect()
}

#[test]
fn what_happened_is_there_when_the_sessions_are_over() {
    let project = greeting("history", "mcp.transport = \"stdio\"\nstdin_open = true");
    let nothing = project.run(&["events"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (0, ""), "{nothing:?}");
    assert!(nothing.err.starts_with("nothing has been kept yet"), "{nothing:?}");

    // In the foreground: start, reload, an end from outside, end.
    let mut up = project.settled();
    project.write("content/greeting.txt", "bonjour\n");
    up.wait("reloaded", "api");
    let running = docker(&["ps", "-q", "--filter", &format!("label=mcpmon.project={}", project.name)]);
    let running = String::from_utf8(running.stdout).expect("an id");
    assert!(docker(&["kill", running.trim()]).status.success(), "{running}");
    up.wait_for("its start", |event| event["event"] == "action_done" && event["action"] == "start");
    up.interrupt();
    // In the background; ended by another command.
    project.detached();
    assert_eq!(project.run(&["down"]).code, 0);
    // By a client.
    let mut client = Client::of_target(&project, "api");
    assert_eq!(client.call("greet", &json!({})), "bonjour");
    project.write("content/greeting.txt", "salut\n");
    client.hears("reloaded in");
    client.leave();

    let nothing = project.run(&["events", "--since", "2999-01-01T00:00:00Z"]);
    assert_eq!((nothing.code, nothing.out.as_str()), (0, ""), "{nothing:?}");
    assert!(nothing.err.starts_with("nothing has happened since then"), "{nothing:?}");
    let all = kept(&project);
    let up = of(&all, "up", "session_started");
    assert_eq!(up.len(), 1, "{all:#?}");
    assert_eq!(
        (&up[0]["project"], &up[0]["session"]),
        (&project.name.clone().into(), &of(&all, "up", "stopped")[0]["session"])
    );
    assert_eq!(of(&all, "up", "action_done")[0]["why"], "there is none", "{all:#?}");
    assert_eq!(of(&all, "up", "reloaded")[0]["why"], "content/greeting.txt changed", "{all:#?}");
    let again =
        of(&all, "up", "action_done").into_iter().find(|event| event["action"] == "start").expect("it was started");
    assert_eq!(again["why"], "it ended with exit code 137", "{all:#?}");
    assert_eq!(of(&all, "up", "stopping")[0]["cause"], "SIGINT");
    assert_eq!(of(&all, "up -d", "stopping")[0]["cause"], "SIGTERM");
    assert_eq!(of(&all, "down", "stopped").len(), 1);
    assert_eq!(
        (of(&all, "run", "reloaded").len(), &of(&all, "run", "stopping")[0]["cause"]),
        (1, &"the client left".into())
    );
    assert!(all.is_sorted_by_key(|event| event["time"].as_str().expect("a time")));
    assert!(!serde_json::to_string(&all).expect("JSON").contains("\"log\""), "what servers print is not kept");

    // As a person reads it.
    let text = project.run(&["events"]).out;
    assert_eq!(text.lines().count(), all.len(), "{text}");
    assert!(text.contains("(start-first); content/greeting.txt changed  [up "), "{text}");
    assert!(text.contains("; it ended with exit code 137  [up "), "{text}");
    assert_eq!(project.run(&["events", "-n", "2"]).out.lines().count(), 2);
    assert_eq!(project.run(&["events", "--since", "0s"]).out, "");
    assert_eq!(project.run(&["events", "--since", "1h"]).out, text);
    assert_eq!(project.run(&["events", "--since", "soon"]).code, 64);
    let summary = project.run(&["events", "--summary", "--format", "json"]).json();
    let numbers = |key: &str| summary[0][key].as_u64().expect("a number");
    assert_eq!((numbers("reloads"), numbers("crashes"), numbers("reloads_failed")), (2, 0, 0), "{summary}");
    assert!(numbers("starts") >= 2 && numbers("reload_median_ms") > 0, "{summary}");
    let table = project.run(&["events", "--summary"]).out;
    assert!(
        table.starts_with("TARGET ") && table.lines().nth(1).is_some_and(|line| line.starts_with("api ")),
        "{table}"
    );

    let mode = |path: &str| fs::metadata(project.elsewhere(path)).expect(path).permissions().mode() & 0o777;
    assert_eq!(mode("state/mcpmon"), 0o700);
    assert_eq!(mode("state/mcpmon/history"), 0o700);
    assert_eq!(mode(&format!("state/mcpmon/history/{}.jsonl", project.name)), 0o600);

    // Lines and plain commands have no project: they are among all.
    fs::remove_file(project.path("mcpmon.toml")).expect("it goes");
    let none = project.run(&["events"]);
    assert_eq!(none.code, 78, "{none:?}");
    let line = Ran::of(
        Command::output(&mut project.command(&[
            "docker",
            "run",
            "--rm",
            "mcpmon-test-server:latest",
            "exists",
            "/mcp-server",
        ]))
        .expect("mcpmon runs"),
    );
    assert_eq!(line.code, 0, "{line:?}");
    let every = project.run(&["events", "--all", "--format", "json"]).events();
    assert_eq!(of(&every, "docker run", "session_started").len(), 1, "{every:#?}");
    assert_eq!(of(&every, "docker run", "stopping")[0]["cause"], "docker ended, exit code 0");
    assert_eq!(every.iter().filter(|event| event["by"] != "docker run").count(), all.len());
}

#[test]
fn without_a_place_to_keep_it_there_is_one_warning_and_all_else_works() {
    let project = Project::with("history-none", &greeter(""));
    project.write("content/greeting.txt", "hello\n");
    // Somebody has put a link where the state folder would be.
    let elsewhere = project.elsewhere("somebodys");
    fs::create_dir(&elsewhere).expect("a folder");
    fs::create_dir(project.elsewhere("state")).expect("a folder");
    std::os::unix::fs::symlink(&elsewhere, project.elsewhere("state/mcpmon")).expect("a link");
    let mut up = project.settled();
    up.interrupt();
    let warnings = up.seen(|event| event["event"] == "warning");
    assert_eq!(warnings.len(), 1, "{}", up.told());
    assert!(warnings[0]["message"].as_str().is_some_and(|message| message.contains("symbolic link")), "{}", up.told());
    project.assert_nothing_left();
    let events = project.run(&["events"]);
    assert_eq!((events.code, events.out.as_str()), (0, ""), "{events:?}");
    assert_eq!(fs::read_dir(&elsewhere).expect("a folder").count(), 0, "nothing was written where the link leads");
}
