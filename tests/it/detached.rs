//! `mcpmon up -d` and what one does with it: `ps`, `logs`, `restart`, `down`; and that there is one keeper at a time.

use serde_json::Value;

use crate::{
    project::{OWN_LABEL, Project, Ran, kill_with_watchdog, processes_in},
    support::{IMAGE, docker, until},
};

fn target(name: &str, command: &str, more: &str) -> String {
    format!(
        "[targets.{name}]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = {command}\nnetwork_mode = \"host\"\n{more}\n"
    )
}

fn idle(name: &str) -> String {
    target(name, "[\"idle\"]", "")
}

/// Supervisors in the project's folder.
fn keepers(project: &Project) -> Vec<u32> {
    processes_in(&project.path("").canonicalize().expect("a folder"))
}

#[test]
fn a_supervisor_keeps_the_project_until_down() {
    let project = Project::with("detached", &(idle("api") + &idle("db")));
    let ran = project.run(&["up", "-d"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let keepers = keepers(&project);
    let [keeper] = keepers[..] else { panic!("one supervisor: {keepers:?}") };

    let ps = project.run(&["ps", "--format", "json"]).json();
    let rows: Vec<(&Value, &Value, &Value)> =
        ps.as_array().expect("rows").iter().map(|row| (&row["target"], &row["state"], &row["owner"]["pid"])).collect();
    let (running, pid): (Value, Value) = ("running".into(), keeper.into());
    assert_eq!(rows, [(&"api".into(), &running, &pid), (&"db".into(), &running, &pid)]);
    let text = project.run(&["ps"]).out;
    assert!(text.contains("api") && text.contains(&keeper.to_string()), "{text}");

    // It keeps: what is killed comes back.
    let id = project.id("api");
    assert!(docker(&["rm", "-f", &id]).status.success());
    until("api is there again", || docker(&["inspect", &project.container("api")]).status.success());
    assert_ne!(project.id("api"), id);

    // Nobody else keeps it meanwhile.
    let second = project.run(&["up"]);
    assert_eq!(second.code, 1, "{second:?}");
    let expected = format!(
        "error: project PROJECT is kept by another mcpmon, pid {keeper}\n\
         hint: `mcpmon logs -f` follows it, `mcpmon down` ends it\n"
    );
    assert_eq!(project.tidy(&second.err), expected);

    let down = project.run(&["down"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert_eq!(self::keepers(&project), Vec::<u32>::new());
    project.assert_nothing_left();
    // Nothing to do is no error.
    assert_eq!(project.run(&["down"]).code, 0);
}

#[test]
fn wait_fails_where_a_target_cannot_be_ready() {
    let project = Project::with(
        "unready",
        &(idle("good") + "[targets.bad]\nimage = \"mcpmon-it-nowhere/x:1\"\npull_policy = \"never\"\n"),
    );
    let ran = project.run(&["up", "-d", "--wait"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("mcpmon-it-nowhere/x:1") && ran.err.contains("bad"), "{ran:?}");
    // What can run, runs.
    assert_eq!(project.inspect("good")["State"]["Status"], "running");
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn wait_waits_for_health() {
    let check =
        "healthcheck = { test = [\"CMD\", \"/mcp-server\", \"exists\", \"/mcp-server\"], interval = \"300ms\" }";
    let project = Project::with("health", &target("api", "[\"idle\"]", check));
    let ran = project.run(&["up", "-d", "--wait"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(project.inspect("api")["State"]["Health"]["Status"], "healthy");
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn wait_fails_where_a_target_crashes_again_and_again() {
    let project = Project::with(
        "crashes",
        &target("api", "[\"exit\", \"5\", \"--print\", \"no database\"]", "mcp.transport = \"stdio\""),
    );
    let ran = project.run(&["up", "-d", "--wait"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.err.contains("no database"), "its last words: {ran:?}");
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn nobody_waits_for_what_a_client_starts() {
    let project = Project::with("client", &(idle("api") + "[targets.local]\nrun = \"server\"\n"));
    for _ in 0..2 {
        let ran = project.run(&["up", "-d", "--wait"]);
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    let named = project.run(&["up", "-d", "--wait", "local"]);
    assert_eq!(named.code, 1, "{named:?}");
    assert!(named.err.contains("mcpmon run local"), "{named:?}");
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn a_supervisor_says_at_once_what_does_not_reach_it() {
    let unready = "[targets.bad]\nimage = \"mcpmon-it-nowhere/x:1\"\npull_policy = \"never\"\n";
    let project = Project::with("reach", &(idle("api") + &idle("db") + unready));
    assert_eq!(project.run(&["up", "-d", "--wait", "api"]).code, 0);
    for (words, said) in [
        (&["up", "-d", "--delay", "3s", "api"][..], "--delay does not reach it"),
        (&["up", "-d", "db"], "keeps api of the project, not db"),
    ] {
        let ran = project.run(words);
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.err.contains(said), "{ran:?}");
    }
    assert_eq!(project.run(&["down"]).code, 0);
    assert_eq!(project.run(&["up", "-d"]).code, 1);
    let again = project.run(&["up", "-d"]);
    assert_eq!(again.code, 1, "{again:?}");
    assert!(again.err.contains("bad (image mcpmon-it-nowhere/x:1 is not here"), "{again:?}");
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn wait_fails_where_a_target_has_crashed() {
    let ends = target("ends", "[\"exit\", \"3\", \"--print\", \"no database\"]", "");
    let project = Project::with("crashed", &(ends + &target("other", "[\"idle\"]", "depends_on = [\"ends\"]")));
    let ran = project.run(&["up", "-d", "--wait"]);
    assert_eq!(ran.code, 1, "started again it may end again: {ran:?}");
    assert!(ran.err.contains("no database"), "its last words: {ran:?}");
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn two_that_begin_at_once_are_one() {
    let project = Project::with("twice", &idle("api"));
    std::thread::scope(|scope| {
        let both = [0, 1].map(|_| scope.spawn(|| project.run(&["up", "-d", "--wait"])));
        for ran in both.map(|one| one.join().expect("it ran")) {
            assert_eq!(ran.code, 0, "{ran:?}");
        }
    });
    assert_eq!(keepers(&project).len(), 1);
    assert_eq!(project.on_the_engine().len(), 1, "{:?}", project.on_the_engine());
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn volumes_stay_until_they_are_asked_for() {
    let volume = "volumes = [\"cache:/cache\"]\n[volumes.cache]\n";
    let project = Project::with("volumes", &target("api", "[\"idle\"]", volume));
    let left = [format!("volume {}_cache", project.name)];
    project.detached();
    assert_eq!(project.run(&["down"]).code, 0);
    assert_eq!(project.on_the_engine(), left);
    project.detached();
    assert_eq!(project.run(&["down", "-v"]).code, 0);
    project.assert_nothing_left();
}

/// Waits until a killed process has ended: the signal's sender does not.
#[track_caller]
fn ended(pid: u32) {
    until(&format!("process {pid} ended"), || mcpmon::session::process::start_time(pid).is_none());
}

#[test]
fn what_is_in_the_way_of_down_is_removed_too() {
    // A supervisor that was killed: its containers are nobody's, and down removes them all the same.
    let project = Project::with(
        "killed",
        &(idle("api") + &target("stubborn", "[\"stubborn\"]", "stop_grace_period = \"500ms\"")),
    );
    project.detached();
    let [keeper] = keepers(&project)[..] else { panic!("one supervisor") };
    kill_with_watchdog(keeper);
    ended(keeper);
    let ps = project.run(&["ps", "--format", "json"]).json();
    assert_eq!(ps[0]["owner"]["state"], "dead", "{ps:#}");
    let down = project.run(&["down", "--format", "json"]);
    assert_eq!(down.code, 0, "{down:?}");
    let stopped = down.events().pop().expect("events");
    assert_eq!((&stopped["event"], &stopped["removed"], &stopped["left"]), (&"stopped".into(), &2.into(), &0.into()));
    project.assert_nothing_left();
}

#[test]
fn a_network_that_is_left_is_called_one() {
    let project = Project::new("net-left");
    let network = format!("{}_inner", project.name);
    let api = idle("api").replace("network_mode = \"host\"", "networks = [\"inner\"]");
    project.config(&(api + "[networks.inner]\ninternal = true\n"));
    project.detached();
    // Somebody else's container uses it.
    let label = format!("{OWN_LABEL}={}", project.name);
    let line = ["run", "-d", "--label", &label, "--network", &network, IMAGE, "idle"];
    let theirs = docker(&line);
    assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
    let down = project.run(&["down"]);
    assert_eq!(down.code, 1, "{down:?}");
    assert!(format!("{}{}", down.out, down.err).contains("removed, 1 network left"), "{down:?}");
    let theirs = String::from_utf8_lossy(&theirs.stdout);
    assert!(docker(&["rm", "-f", theirs.trim()]).status.success(), "{theirs}");
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn restart_makes_it_run_anew_and_the_keeper_goes_on() {
    let project = Project::with("restart", &(idle("api") + &idle("db")));
    project.detached();
    let started = |target: &str| project.inspect(target)["State"]["StartedAt"].clone();
    let (api, db) = (started("api"), started("db"));
    let ran = project.run(&["restart", "api"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_ne!(started("api"), api);
    assert_eq!(started("db"), db);
    assert_eq!(project.inspect("api")["State"]["Status"], "running");
    assert_eq!(keepers(&project).len(), 1);
    assert_eq!(project.run(&["plan", "--detailed-exitcode"]).code, 0);
    assert_eq!(project.run(&["down"]).code, 0);
    // One start is one line, whoever sees it.
    let events = project.run(&["events", "--format", "json"]).events();
    let of_api = events.iter().filter(|event| event["target"] == "api" && event["event"] == "action_done");
    let kept: Vec<_> = of_api.map(|event| format!("{} {}", event["by"], event["action"])).collect();
    let expected = [r#""up -d" "create""#, r#""restart" "restart""#, r#""up -d" "remove""#];
    assert_eq!(kept, expected, "{events:#?}");
    project.assert_nothing_left();
}

#[test]
fn logs_show_what_targets_print() {
    let project = Project::with(
        "logs",
        &(target("a", "[\"lines\", \"--count\", \"3\", \"--text\", \"from a\"]", "")
            + &target("b", "[\"lines\", \"--count\", \"2\", \"--stderr\"]", "")),
    );
    project.detached();
    let logs = |arguments: &[&str]| project.run(&[&["logs"], arguments].concat());
    until("all lines are there", || logs(&[]).out.lines().count() == 5);
    let all = logs(&[]);
    assert_eq!(all.code, 0, "{all:?}");
    for line in ["a | from a 1", "a | from a 3", "b | line 2"] {
        assert!(all.out.lines().any(|shown| shown == line), "{line:?} in {all:?}");
    }
    assert_eq!(logs(&["a", "-n", "1"]).out, "a | from a 3\n");
    let json = logs(&["b", "--format", "json"]).events();
    assert_eq!(json[0], serde_json::json!({ "event": "log", "target": "b", "stream": "stderr", "line": "line 1" }));
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn ended_while_it_waits_it_takes_back_what_it_began() {
    let check = "healthcheck = { test = [\"CMD\", \"/mcp-server\", \"exists\", \"/nowhere\"], interval = \"1s\", retries = 1000 }";
    let project = Project::with("impatient", &target("api", "[\"idle\"]", check));
    let mut waiting = project.up(&["-d", "--wait"]);
    waiting.wait("action_done", "api");
    waiting.signal("INT");
    assert_eq!(waiting.end().0.code(), Some(130));
    assert_eq!(keepers(&project), Vec::<u32>::new());
    project.assert_nothing_left();
}

#[test]
fn two_files_of_one_name_keep_out_of_each_others_way() {
    let keep = "[reconcile]\non_exit = \"keep\"\n";
    let volume = "volumes = [\"cache:/cache\"]\n[volumes.cache]\n";
    let project = Project::with("two-files", &(keep.to_owned() + &target("api", "[\"idle\"]", volume)));
    project.write("other.toml", &format!("name = \"{}\"\n{}{}", project.name, idle("db"), idle("api")));
    let other = |words: &[&str]| project.run(&[&["--config", "other.toml"], words].concat());
    let refuses = |words: &[&str]| {
        let ran = other(words);
        assert_eq!(ran.code, 1, "{words:?}: {ran:?}");
        assert!(ran.err.contains("/mcpmon.toml") && ran.err.contains("give one of the two another `name`"), "{ran:?}");
    };
    let volume = format!("volume {}_cache", project.name);
    project.detached();
    let [keeper] = keepers(&project)[..] else { panic!("one supervisor") };
    let api = project.id("api");
    let started = || project.inspect("api")["State"]["StartedAt"].clone();
    let since = started();
    for words in [&["up"][..], &["up", "-d", "--wait"], &["down"], &["down", "-v"], &["restart", "api"]] {
        refuses(words);
    }
    // Kept on purpose, it is nobody else's either.
    crate::project::kill(keeper, "INT");
    ended(keeper);
    refuses(&["down", "-v"]);
    refuses(&["up", "-d", "--wait"]);
    refuses(&["restart", "api"]);
    assert_eq!(started(), since);
    assert_eq!(other(&["restart", "db"]).code, 0, "it is its own");
    assert!(other(&["ps"]).out.contains("db"), "what is its own runs");
    let down = other(&["down", "-v"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(down.err.contains("is left: give one of the two") || down.out.contains("is left: give one"), "{down:?}");
    assert_eq!(project.id("api"), api);
    assert_eq!(project.run(&["down"]).code, 0);
    assert_eq!(other(&["down", "-v"]).code, 0, "there is nothing of another file to end");
    assert_eq!(project.on_the_engine(), [volume], "it does not name it");
    assert_eq!(project.run(&["down", "-v"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn whoever_waits_beside_a_supervisor_is_told_why_it_failed_or_that_it_has_ended() {
    // In the host's network the old one would be stopped for each new one.
    let target = |command, more| target("api", command, more).replace("\"host\"", "\"none\"");
    let project = Project::with("beside", &target("[\"idle\"]", ""));
    project.detached();
    let [keeper] = keepers(&project)[..] else { panic!("one supervisor") };
    project.config(&target("[\"exit\", \"3\", \"--print\", \"no database\"]", ""));
    let began = std::time::Instant::now();
    let ran = project.run(&["up", "-d", "--wait"]);
    assert_eq!(ran.code, 1, "{ran:?}");
    let said = ran.out.clone() + &ran.err;
    assert!(said.contains("no database") && said.contains("api (the file asks for something else)"), "{ran:?}");
    assert!(began.elapsed().as_secs() < 20, "{:?}", began.elapsed());
    // Whoever looks later sees that what runs is not what the file says.
    let reload_failed = || project.run(&["ps", "--format", "json"]).json()[0]["reload_failed"].clone();
    assert!(reload_failed().as_str().is_some_and(|why| why.starts_with("it ended")), "{}", reload_failed());
    assert!(project.run(&["ps"]).out.contains("running, reload failed"));
    // A file that it can't read, for want of a variable that it was not started with.
    project.config(&target("[\"lines\"]", "environment = { KEY = \"${NEW_KEY:?set NEW_KEY}\" }"));
    let ran = Ran::of(project.command(&["up", "-d"]).env("NEW_KEY", "1").output().expect("mcpmon"));
    assert_eq!(ran.code, 1, "{ran:?}");
    let said = ran.out.clone() + &ran.err;
    assert!(
        said.contains("set NEW_KEY") && said.contains("`mcpmon down`, then") && !said.contains("no database"),
        "{ran:?}"
    );
    // It sees no edit any more.
    crate::project::kill(keeper, "STOP");
    project.config(&target("[\"lines\"]", ""));
    let mut waits = project.command(&["up", "-d", "--wait"]).spawn().expect("mcpmon");
    let is_hold = |fd: std::io::Result<std::fs::DirEntry>| {
        fd.is_ok_and(|fd| std::fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().contains("pidfd")))
    };
    until("it holds on to the supervisor", || {
        std::fs::read_dir(format!("/proc/{}/fd", waits.id())).is_ok_and(|mut fds| fds.any(is_hold))
    });
    kill_with_watchdog(keeper);
    assert!(waits.wait().expect("it ended").success());
    assert_eq!(keepers(&project).len(), 1);
    assert_eq!(project.inspect("api")["Config"]["Cmd"][0], "lines");
    assert_eq!(reload_failed(), Value::Null);
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn a_file_that_was_broken_or_named_anew_is_known_by_who_keeps_it() {
    let project = Project::with("broken", &idle("api"));
    project.detached();
    let anew = format!("{}-anew", project.name);
    project.write("mcpmon.toml", &format!("name = \"{anew}\"\n{}", idle("api")));
    let down = project.run(&["down"]);
    assert_eq!(down.code, 1, "{down:?}");
    assert!(down.err.contains(&format!("`mcpmon --set name={} down` ends it", project.name)), "{down:?}");
    for broken in [format!("name = \"{}\"\nnonsense = 1\n", project.name), "nonsense = [".to_owned()] {
        project.write("mcpmon.toml", &broken);
        let ps = project.run(&["ps"]);
        assert_eq!(ps.code, 0, "{ps:?}");
        assert!(ps.out.contains(&project.container("api")) && ps.err.contains("nonsense"), "{ps:?}");
        assert_eq!(project.run(&["logs"]).code, 0);
        assert_eq!(project.run(&["plan"]).code, 78, "that needs the file");
    }
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
    assert_eq!(project.run(&["ps"]).code, 78, "nobody knows its name");
}
