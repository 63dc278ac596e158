//! `mcpmon up` and its own file: unchanged means untouched, an edit touches what it is about, nonsense touches nothing.

use crate::{project::Project, support::docker};

/// A target that waits; `more` are further lines of its table.
fn idle(name: &str, more: &str) -> String {
    format!(
        "[targets.{name}]\nimage = \"mcpmon-test-server:latest\"\npull_policy = \"never\"\ncommand = [\"idle\"]\n\
         network_mode = \"none\"\n{more}\n"
    )
}

#[test]
fn an_unchanged_project_is_not_touched() {
    let config = idle("api", "") + &idle("db", "");
    let project = Project::with("same", &config);
    project.detached();
    let before = project.on_the_engine();
    let mut log = project.watch_engine();
    for arguments in [&["up", "-d"][..], &["up", "-d", "--wait"], &["up", "-d", "--format", "json"]] {
        let ran = project.run(arguments);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    // The same text, saved again, and a comment.
    project.config(&config);
    project.config(&format!("# a comment\n{config}"));
    let ran = project.run(&["up", "-d", "--format", "json"]);
    let unchanged: Vec<_> = ran.events().into_iter().filter(|event| event["event"] == "unchanged").collect();
    assert_eq!(unchanged.len(), 2, "{ran:?}");
    assert_eq!(log.until_now(), Vec::<String>::new());
    assert_eq!(project.on_the_engine(), before);
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn an_edit_is_applied_to_what_it_is_about() {
    let project = Project::with("edit", &(idle("api", "") + &idle("db", "")));
    let mut up = project.settled();
    let (api, db) = (project.id("api"), project.id("db"));
    // Another one beside it is told at once whose the project is.
    let beside = project.run(&["up", "-d"]);
    assert_eq!(beside.code, 0, "{beside:?}");
    let said = format!("warning: mcpmon, pid {}, keeps project {} in the foreground since 20", up.pid(), project.name);
    assert!(beside.err.starts_with(&said), "{beside:?}");
    let mut log = project.watch_engine();

    project.config(&(idle("api", "environment = { LOG_LEVEL = \"debug\" }") + &idle("db", "")));
    let reloaded = up.wait("config_reloaded", "");
    assert_eq!(reloaded.lines("files"), "mcpmon.toml");
    let action = up.wait("action_started", "");
    assert_eq!((action.text("target"), action.text("action")), ("api", "replace"));
    assert_eq!(action.text("cause"), "the file asks for something else: environment.LOG_LEVEL");
    up.wait("ready", "api");
    let container = project.inspect("api");
    assert!(container["Config"]["Env"].as_array().expect("a list").contains(&"LOG_LEVEL=debug".into()));
    assert_ne!(container["Id"], api);
    assert_eq!(project.id("db"), db);
    let about_db = project.container("db");
    let touched: Vec<String> = log.until_now().into_iter().filter(|line| line.ends_with(&about_db)).collect();
    assert_eq!(touched, Vec::<String>::new());

    // What it can't replace is told beside it too.
    project.config(&(idle("api", "").replace("\"idle\"", "\"exit\", \"3\"") + &idle("db", "")));
    up.wait("reload_failed", "api");
    let beside = project.run(&["up", "-d"]);
    assert_eq!(beside.code, 1, "{beside:?}");
    assert!(beside.err.contains("api: reload failed, the old container goes on: it ended"), "{beside:?}");
    assert!(!beside.err.contains("after 30s"), "{beside:?}");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn nonsense_is_said_and_the_last_good_file_stays_in_force() {
    let project = Project::with("nonsense", &idle("api", ""));
    let mut up = project.settled();
    let id = project.id("api");
    project.config(&idle("api", "").replace("command", "commnad"));
    let invalid = up.wait("config_invalid", "");
    let error = project.tidy(invalid.text("error"));
    assert!(error.contains("FOLDER/mcpmon.toml:5") || error.contains("mcpmon.toml:5:1"), "{error}");
    assert!(error.contains("commnad") && error.contains("command"), "{error}");
    assert_eq!(project.id("api"), id);
    // The last good one is still kept.
    assert!(docker(&["kill", &project.container("api")]).status.success());
    up.wait("ready", "api");
    assert_eq!(project.id("api"), id);
    // Not even TOML, and gone for a moment.
    project.config("[targets\n");
    up.wait("config_invalid", "");
    std::fs::remove_file(project.path("mcpmon.toml")).expect("it is there");
    up.wait("config_invalid", "");
    assert_eq!(project.id("api"), id);
    // A folder in its place.
    project.config(&idle("api", ""));
    up.wait("config_reloaded", "");
    std::fs::remove_file(project.path("mcpmon.toml")).expect("it is there");
    std::fs::create_dir(project.path("mcpmon.toml")).expect("a folder");
    let invalid = up.wait_for("the folder", |event| {
        event["event"] == "config_invalid" && event.to_string().contains("is a folder, not a file")
    });
    assert!(invalid.text("error").contains("mcpmon.toml"), "{}", invalid.event);
    assert_eq!(project.id("api"), id);
    std::fs::remove_dir(project.path("mcpmon.toml")).expect("it is there");
    // Mended, with something new in it.
    project.config(&(idle("api", "") + &idle("db", "")));
    up.wait("config_reloaded", "");
    up.wait("ready", "db");
    assert_eq!(project.id("api"), id);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn another_name_is_another_project() {
    let project = Project::with("named", &idle("api", ""));
    let mut up = project.settled();
    let id = project.id("api");
    project.write("mcpmon.toml", &format!("name = \"{}-other\"\n{}", project.name, idle("api", "")));
    let invalid = up.wait("config_invalid", "");
    assert!(invalid.text("error").contains("the project's name changed from"), "{}", invalid.event);
    assert_eq!(project.id("api"), id);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn what_leaves_the_file_is_removed() {
    let network = "[networks.inner]\ninternal = true\n";
    let networked = idle("db", "").replace("network_mode = \"none\"", "networks = [\"inner\"]");
    let project = Project::with("leaves", &(idle("api", "") + &networked + network));
    let mut up = project.settled();
    assert_eq!(project.on_the_engine().len(), 3);
    project.config(&idle("api", ""));
    let action = up.wait("action_started", "db");
    assert_eq!((action.text("action"), action.text("cause")), ("remove", "it left the file"));
    up.wait_for("the removal of the network", |event| {
        event["event"] == "action_done" && event["action"] == "remove_network"
    });
    assert_eq!(project.on_the_engine().len(), 1, "{:?}", project.on_the_engine());
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn without_prune_what_leaves_the_file_is_held() {
    let project = Project::with("prune", &format!("reconcile.prune = false\n{}{}", idle("api", ""), idle("db", "")));
    let mut up = project.settled();
    project.config(&format!("reconcile.prune = false\n{}", idle("api", "")));
    let held = up.wait("held", "db");
    assert_eq!(
        held.text("reason"),
        "it left the file, and reconcile.prune is off: `mcpmon up --remove-orphans` removes it"
    );
    assert_eq!(project.inspect("db")["State"]["Status"], "running");
    let plan = project.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 2, "what runs is not what the file asks for: {plan:?}");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_local_file_and_an_env_file_are_inputs_too() {
    let project = Project::new("inputs");
    project.write("app.env", "WORD=one\n");
    project.config(&idle("api", "env_file = \"app.env\""));
    let mut up = project.settled();
    project.write("app.env", "WORD=two\n");
    let reloaded = up.wait("config_reloaded", "");
    assert_eq!(reloaded.lines("files"), "app.env");
    up.wait("ready", "api");
    let word = |word: &str| project.inspect("api")["Config"]["Env"].as_array().expect("a list").contains(&word.into());
    assert!(word("WORD=two"));
    project.write("mcpmon.local.toml", "[targets.api]\nenvironment = { LOCAL = \"yes\" }\n");
    let reloaded = up.wait("config_reloaded", "");
    assert_eq!(reloaded.lines("files"), "mcpmon.local.toml");
    up.wait("ready", "api");
    assert!(word("LOCAL=yes") && word("WORD=two"));
    up.interrupt();
    project.assert_nothing_left();
}
