//! A saved file becomes the running server: what causes a reload and what doesn't, which container moves first,
//! and that a bad save never takes a working server down.

use std::{
    fs,
    io::{Read, Write},
};

use serde_json::Value;

use crate::{
    project::{Project, Up, kill},
    support::{IMAGE, docker, until},
};

/// A server on a greeting in a bind mount; it fails at its start when the greeting is empty.
fn greeter(more: &str) -> String {
    format!(
        "watch.delay = \"20ms\"\n[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\nnetwork_mode = \"none\"\n\
         command = [\"stdio\", \"--greeting\", \"/content/greeting.txt\"]\nstdin_open = true\n\
         volumes = [\"./content:/content:ro\"]\n{more}\n"
    )
}

/// A project with that server, running.
fn greeting(test: &str, more: &str) -> (Project, Up) {
    let project = Project::new(test);
    project.write("content/greeting.txt", "hello\n");
    project.config(&greeter(more));
    let up = project.settled();
    (project, up)
}

/// The next reload's end, good or bad.
fn outcome(up: &mut Up) -> Value {
    up.wait_for("a reload's end", |event| matches!(event["event"].as_str(), Some("reloaded" | "reload_failed"))).event
}

/// Where in the list of what happened the first such line is.
#[track_caller]
fn place(happened: &[String], what: &str, nth: usize) -> usize {
    let found = happened.iter().enumerate().filter(|(_, line)| line.starts_with(what)).nth(nth);
    found.unwrap_or_else(|| panic!("no {what} ({nth}) in {happened:#?}")).0
}

#[test]
fn a_saved_file_becomes_the_running_server_and_the_old_one_goes_after_it() {
    let (project, mut up) = greeting("startfirst", "mcp.transport = \"stdio\"");
    let old = project.id("api");
    let mut log = project.watch_engine();
    project.write("content/greeting.txt", "good day\n");
    let changed = up.wait("files_changed", "api");
    assert_eq!((changed.text("path"), changed.text("action")), ("content/greeting.txt", "restart"));
    assert_eq!(changed.number("count"), 1);
    let reloaded = outcome(&mut up);
    assert_eq!((&reloaded["event"], &reloaded["order"]), (&"reloaded".into(), &"start-first".into()), "{reloaded}");
    println!("reloaded in {} ms", reloaded["duration_ms"]);
    let happened = log.until_now();
    let attached = place(&happened, "container attach", 0);
    assert!(place(&happened, "container create", 0) < place(&happened, "container start", 0), "{happened:#?}");
    assert!(place(&happened, "container start", 0) < attached, "asked before it was started: {happened:#?}");
    assert!(attached < place(&happened, "container kill", 0), "stopped before the new one answered: {happened:#?}");
    assert_ne!(project.id("api"), old);
    assert_eq!(project.on_the_engine().len(), 1, "{:?}", project.on_the_engine());
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_bad_save_leaves_the_old_server_running_and_the_next_good_one_works() {
    let (project, mut up) = greeting("badsave", "mcp.transport = \"stdio\"");
    let old = project.id("api");
    project.write("content/greeting.txt", "");
    let failed = up.wait("reload_failed", "api");
    assert_eq!(failed.text("error"), "it ended with exit code 1");
    assert!(failed.lines("log").contains("the greeting /content/greeting.txt is empty"), "{}", failed.event);
    let container = project.inspect("api");
    assert_eq!((&container["Id"], &container["State"]["Status"]), (&old.clone().into(), &"running".into()));
    assert_eq!(project.on_the_engine().len(), 1, "{:?}", project.on_the_engine());
    project.write("content/greeting.txt", "hello again\n");
    let reloaded = outcome(&mut up);
    assert_eq!(reloaded["event"], "reloaded", "{reloaded}");
    assert_ne!(project.id("api"), old);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_published_port_moves_from_the_old_to_the_new_and_back() {
    let project = Project::new("stopfirst");
    // In the image, not in a bind mount: the old container keeps the old greeting.
    project.write("app/Dockerfile", &format!("FROM {IMAGE}\nCOPY greeting.txt /greeting.txt\n"));
    project.write("app/greeting.txt", "hello\n");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    project.config(&format!(
        "watch.delay = \"20ms\"\n[targets.api]\nbuild = \"app\"\ncommand = [\"http\", \"--greeting\", \"/greeting.txt\"]\n\
         ports = [\"127.0.0.1:{port}:3000\"]\nnetwork_mode = \"bridge\"\nmcp.transport = \"streamable-http\"\n"
    ));
    let mut up = project.settled();
    let first = project.id("api");
    let mut log = project.watch_engine();
    project.write("app/greeting.txt", "good day\n");
    let reloaded = outcome(&mut up);
    assert_eq!((&reloaded["event"], &reloaded["order"]), (&"reloaded".into(), &"stop-first".into()), "{reloaded}");
    let happened = log.until_now();
    assert!(place(&happened, "container die", 0) < place(&happened, "container start", 0), "{happened:#?}");
    let second = project.id("api");
    assert_ne!(second, first);
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "it listens");
    // The new one ends at once: the old one is started again.
    project.write("app/greeting.txt", "");
    let failed = up.wait("reload_failed", "api");
    assert_eq!(failed.text("error"), "it ended with exit code 1", "{}", failed.event);
    assert!(failed.lines("log").contains("the greeting /greeting.txt is empty"), "{}", failed.event);
    let container = project.inspect("api");
    assert_eq!((&container["Id"], &container["State"]["Status"]), (&second.into(), &"running".into()));
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "it listens again");
    assert_eq!(project.run(&["plan", "--detailed-exitcode"]).code, 2, "the new image is still wanted");
    // It is not tried again by itself: that would take the good one down. The next save is.
    project.write("app/greeting.txt", "good evening\n");
    let reloaded = outcome(&mut up);
    assert_eq!(reloaded["event"], "reloaded", "{reloaded}");
    let tried = up.seen(|event| event["event"] == "action_started" && event["action"] == "replace");
    assert_eq!(tried, Vec::<Value>::new());
    up.interrupt();
    project.assert_nothing_left();
}

/// Where the same was made before, the new container is made while the old one stops.
#[test]
fn when_the_same_can_not_be_made_again_the_old_one_goes_on() {
    let project = Project::new("notagain");
    project.write("app/Dockerfile", &format!("FROM {IMAGE}\n"));
    project.write("content/file.txt", "one\n");
    project.config(
        "watch.delay = \"20ms\"\nwatch.paths = [\"content\"]\n[targets.api]\nbuild = \"app\"\ncommand = [\"idle\"]\n\
         network_mode = \"none\"\nvolumes = [\"./content:/content:ro\"]\n\
         deploy.update_config.order = \"stop-first\"\n",
    );
    let mut up = project.settled();
    let old = project.inspect("api");
    let image = old["Config"]["Image"].as_str().expect("an image");
    assert!(docker(&["image", "rm", "-f", image]).status.success());
    project.write("content/file.txt", "two\n");
    let failed = up.wait("reload_failed", "api");
    assert!(failed.text("error").to_lowercase().contains("no such image"), "{}", failed.event);
    let now = project.inspect("api");
    assert_eq!((&now["Id"], &now["State"]["Status"]), (&old["Id"], &"running".into()));
    up.interrupt();
    project.assert_nothing_left();
}

/// With no time to end by itself the old one is taken off its network, and runs until the new one is ready.
#[test]
fn a_port_is_handed_over_where_the_old_one_has_no_grace_and_comes_back_with_it() {
    a_port_moves("handover", "", true);
}

/// The same, but that two of it must not run at a time: the new one starts while the old one dies.
#[test]
fn a_port_moves_at_once_where_the_old_one_has_no_grace_and_must_stop_first() {
    a_port_moves("atonce", "deploy.update_config = { order = \"stop-first\" }\n", false);
}

fn a_port_moves(name: &str, more: &str, overlaps: bool) {
    let project = Project::new(name);
    project.write("content/greeting.txt", "hello\n");
    project.write("content/good", "");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    project.config(&format!(
        "watch = {{ delay = \"20ms\", ignore = [\"**/good\"] }}\n[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\n\
         command = [\"http\", \"--greeting\", \"/content/greeting.txt\"]\nvolumes = [\"./content:/content:ro\"]\n\
         ports = [\"127.0.0.1:{port}:3000\"]\nstop_grace_period = \"0s\"\nnetworks = {{ inner = {{ aliases = [\"other\"] }} }}\n\
         healthcheck = {{ test = [\"CMD\", \"/mcp-server\", \"exists\", \"/content/good\"], interval = \"100ms\", retries = 2 }}\n\
         {more}[networks.inner]\n"
    ));
    let mut up = project.settled();
    // The health check says nothing about the port: docker's proxy may listen before the server does.
    let answer = || -> std::io::Result<String> {
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(std::time::Duration::from_secs(10)))?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answers = || until("it answers", || answer().is_ok_and(|answer| answer.starts_with("HTTP/1.0 200")));
    answers();
    let old = project.id("api");
    let mut log = project.watch_engine();
    project.write("content/greeting.txt", "good day\n");
    let reloaded = outcome(&mut up);
    assert_eq!((&reloaded["event"], &reloaded["order"]), (&"reloaded".into(), &"stop-first".into()), "{reloaded}");
    let happened = log.until_now();
    let started_first = place(&happened, "container start", 0) < place(&happened, "container kill", 0);
    assert_eq!(started_first, overlaps, "{happened:#?}");
    let second = project.inspect("api");
    assert_ne!(second["Id"], old.as_str());
    answers();
    // The new one is no good: the old one goes on or is started again, and is where it was.
    fs::remove_file(project.path("content/good")).expect("it is there");
    project.write("content/greeting.txt", "good evening\n");
    let failed = up.wait("reload_failed", "api");
    assert!(failed.text("error").starts_with("its health check says unhealthy"), "{}", failed.event);
    let back = project.inspect("api");
    assert_eq!((&back["Id"], &back["State"]["Status"]), (&second["Id"], &"running".into()));
    assert_eq!(back["State"]["StartedAt"] == second["State"]["StartedAt"], overlaps, "whether it went on");
    answers();
    let aliases = |container: &Value| {
        let networks = container["NetworkSettings"]["Networks"].as_object().expect("networks");
        let (name, network) = networks.iter().next().expect("a network");
        let short = &container["Id"].as_str().expect("an id")[..12];
        let mut aliases: Vec<String> = serde_json::from_value(network["Aliases"].clone()).expect("aliases");
        aliases.retain(|alias| alias != short);
        aliases.sort();
        (networks.len(), name.clone(), aliases)
    };
    assert_eq!(aliases(&back), aliases(&second));
    // And nothing about it is to be put right.
    project.write("content/good", "");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_health_check_decides_about_a_save() {
    let check = "healthcheck = { test = [\"CMD\", \"/mcp-server\", \"exists\", \"/content/good\"], interval = \"100ms\", retries = 2 }";
    let project = Project::new("checked");
    project.write("content/greeting.txt", "hello\n");
    project.write("content/good", "");
    // The flag itself must cause nothing: it is what the check looks at.
    let config = greeter(check).replace("\"stdio\", \"--greeting\", \"/content/greeting.txt\"", "\"idle\"");
    project.config(&format!("watch.ignore = [\"**/good\"]\n{config}"));
    let mut up = project.settled();
    let old = project.id("api");
    fs::remove_file(project.path("content/good")).expect("it is there");
    project.write("content/greeting.txt", "one\n");
    let failed = up.wait("reload_failed", "api");
    let words = "its health check says unhealthy: /content/good does not exist";
    assert_eq!(failed.text("error"), words, "{}", failed.event);
    assert_eq!(project.id("api"), old);
    project.write("content/good", "");
    project.write("content/greeting.txt", "two\n");
    let reloaded = outcome(&mut up);
    assert_eq!(reloaded["event"], "reloaded", "{reloaded}");
    assert_ne!(project.id("api"), old);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn where_nothing_tells_the_old_one_is_kept_for_a_while() {
    // No health check, no transport: only time tells. The old one has its own image, so that it works again.
    let project = Project::new("monitor");
    project.write("app/Dockerfile", &format!("FROM {IMAGE}\nCMD [\"idle\"]\n"));
    project.config(
        "watch.delay = \"20ms\"\n[targets.api]\nbuild = \"app\"\nnetwork_mode = \"none\"\n\
         deploy.update_config = { monitor = \"60s\" }\n",
    );
    let mut up = project.settled();
    let old = project.id("api");
    project.write("app/Dockerfile", &format!("FROM {IMAGE}\nCMD [\"lines\", \"--count\", \"3\"]\n"));
    up.wait("reloaded", "api");
    assert_ne!(project.id("api"), old);
    assert_eq!(project.on_the_engine().len(), 2, "{:?}", project.on_the_engine());
    // It ends by itself: what docker is asked to end is nobody's fault.
    let process = project.inspect("api")["State"]["Pid"].as_u64().expect("a process");
    kill(process.try_into().expect("a process"), "KILL");
    let failed = up.wait("reload_failed", "api");
    assert_eq!(failed.text("error"), "it ended at once; the old container was started again", "{}", failed.event);
    assert!(failed.lines("log").contains('3'), "{}", failed.event);
    up.wait_for("rest", |event| event["event"] == "settled");
    let back = project.inspect("api");
    assert_eq!((&back["Id"], &back["State"]["Status"]), (&old.into(), &"running".into()));
    assert_eq!(project.on_the_engine().len(), 1, "{:?}", project.on_the_engine());
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn what_was_kept_comes_back_to_its_network() {
    let project = Project::new("kept");
    project.write("content/a.txt", "");
    let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    project.config(&format!(
        "watch.delay = \"20ms\"\n[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = [\"idle\"]\n\
         volumes = [\"./content:/content:ro\"]\nports = [\"127.0.0.1:{port}:3000\"]\nstop_grace_period = \"0s\"\n"
    ));
    let mut up = project.settled();
    let old = project.id("api");
    project.write("content/a.txt", "changed");
    up.wait("reloaded", "api");
    let process = project.inspect("api")["State"]["Pid"].as_u64().expect("a process");
    kill(process.try_into().expect("a process"), "KILL");
    up.wait("reload_failed", "api");
    up.wait_for("rest", |event| event["event"] == "settled");
    let back = project.inspect("api");
    assert_eq!((&back["Id"], &back["State"]["Status"]), (&old.into(), &"running".into()));
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_ok(), "its port is published");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_build_context_is_rebuilt_and_ignored_files_cause_nothing() {
    let project = Project::new("rebuild");
    // A git repository: only in one does .gitignore count beyond its own folder.
    project.write("app/Dockerfile", &format!("FROM {IMAGE}\nCOPY greeting.txt /greeting.txt\n"));
    project.write("app/greeting.txt", "hello\n");
    project.write("app/.dockerignore", "notes/\n*.log\n");
    project.write("app/.gitignore", "*.swp\n");
    project.config(
        "watch.delay = \"20ms\"\n[targets.api]\nbuild = \"app\"\nnetwork_mode = \"none\"\nstdin_open = true\n\
         command = [\"stdio\", \"--greeting\", \"/greeting.txt\"]\nmcp.transport = \"stdio\"\n",
    );
    let mut up = project.settled();
    let image = project.inspect("api")["Image"].clone();
    // Ignored by either file; then one that counts, which must be all that is told.
    project.write("app/notes/today.txt", "x");
    project.write("app/debug.log", "x");
    project.write("app/greeting.txt.swp", "x");
    project.write("app/greeting.txt", "good day\n");
    let changed = up.wait("files_changed", "api");
    assert_eq!((changed.text("path"), changed.text("action")), ("app/greeting.txt", "rebuild"), "{}", changed.event);
    assert_eq!(changed.number("count"), 1);
    let reloaded = outcome(&mut up);
    assert_eq!(reloaded["event"], "reloaded", "{reloaded}");
    let next = project.inspect("api")["Image"].clone();
    assert_ne!(next, image);
    // A build that fails: the old one goes on.
    project.write("app/Dockerfile", &format!("FROM {IMAGE}\nCOPY missing.txt /\n"));
    let failed = up.wait("reload_failed", "api");
    assert!(
        failed.text("error").contains("docker build") && failed.lines("log").contains("missing.txt"),
        "{}",
        failed.event
    );
    assert_eq!(project.inspect("api")["Image"], next);
    assert_eq!(project.inspect("api")["State"]["Status"], "running");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn what_a_bad_build_did_not_replace_is_started_again_when_it_is_killed() {
    let project = Project::new("badbuild");
    project.write("app/Dockerfile", &format!("FROM {IMAGE}\nCMD [\"idle\"]\n"));
    project.config("watch.delay = \"20ms\"\n[targets.api]\nbuild = \"app\"\nnetwork_mode = \"none\"\n");
    let mut up = project.settled();
    let old = project.id("api");
    project.write("app/Dockerfile", &format!("FROM {IMAGE}\nENTRYPOINT [\"/nope\"]\n"));
    up.wait("reload_failed", "api");
    assert!(docker(&["kill", &project.container("api")]).status.success());
    let action = up.wait("action_started", "api");
    assert_eq!(action.text("action"), "start", "{}", action.event);
    up.wait("action_done", "api");
    let back = project.inspect("api");
    assert_eq!((&back["Id"], &back["State"]["Status"]), (&old.into(), &"running".into()));
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn what_is_saved_with_a_build_that_changes_nothing_is_copied_all_the_same() {
    let project = Project::new("rebuild-sync");
    project.write("app/Dockerfile", &format!("FROM {IMAGE}\nCOPY code /code\n"));
    project.write("app/code", "1");
    project.write("copied/x", "1");
    project.config(
        "[targets.api]\nbuild = \"app\"\nnetwork_mode = \"none\"\ncommand = [\"idle\"]\n\
         [[targets.api.develop.watch]]\npath = \"copied\"\naction = \"sync\"\ntarget = \"/copied\"\n",
    );
    let mut up = project.settled();
    let id = project.id("api");
    project.write("app/other", "x");
    project.write("copied/x", "2");
    up.wait_for("the end of the build", |event| event["event"] == "action_done" && event["action"] == "rebuild");
    until("it is copied", || docker(&["exec", &id, "/mcp-server", "cat", "/copied/x"]).stdout == b"2");
    assert_eq!(project.id("api"), id);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn variables_and_flags_say_what_is_watched() {
    let project = Project::new("watched");
    project.write("content/greeting.txt", "hello\n");
    project.write("lib/code.py", "1\n");
    let command = "\n[targets.local]\nrun = [\"sh\", \"lib/code.py\"]\n";
    project.config(&format!("{}{command}", greeter("mcp.transport = \"stdio\"")));

    // MCPMON_WATCH replaces what mcpmon finds itself: the bind mount causes nothing.
    let mut command = project.command(&["up", "--format", "json"]);
    let mut up = Up::start({
        command.env("MCPMON_WATCH", "lib/").env("MCPMON_DELAY", "0");
        command
    });
    up.wait("settled", "");
    project.write("content/greeting.txt", "one\n");
    project.write("lib/code.py", "2\n");
    assert_eq!(up.wait("files_changed", "api").text("path"), "lib/code.py");
    outcome(&mut up);
    // A plain command is none of `up`'s: it is not said to start again.
    let told = up.seen(|event| event["event"] == "files_changed" && event["target"] == "local");
    assert_eq!(told, Vec::<Value>::new());
    up.interrupt();

    // With the token auto both do.
    let mut command = project.command(&["up", "--format", "json"]);
    let mut up = Up::start({
        command.env("MCPMON_WATCH", "auto,lib/").env("MCPMON_DELAY", "0");
        command
    });
    up.wait("settled", "");
    for path in ["content/greeting.txt", "lib/code.py"] {
        project.write(path, "three\n");
        assert_eq!(up.wait("files_changed", "api").text("path"), path);
        outcome(&mut up);
    }
    up.interrupt();

    // --no-watch: files cause nothing, the configuration still counts (its event comes after the files' would).
    let mut up = project.up(&["--no-watch"]);
    up.wait("settled", "");
    project.write("content/greeting.txt", "four\n");
    project.config(&greeter("mcp.transport = \"stdio\"\nlabels = { edited = \"yes\" }"));
    up.wait("config_reloaded", "");
    up.wait("ready", "api");
    assert_eq!(up.seen(|event| event["event"] == "files_changed"), Vec::<Value>::new());
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn the_delay_begins_anew_with_each_change() {
    let project = Project::new("delay");
    project.write("content/greeting.txt", "hello\n");
    project.config(&greeter("mcp.transport = \"stdio\""));
    let mut command = project.command(&["up", "--format", "json"]);
    let mut up = Up::start({
        command.env("MCPMON_DELAY", "700");
        command
    });
    up.wait("settled", "");
    for number in 0..5 {
        project.write(&format!("content/{number}.txt"), "x");
    }
    project.write("content/greeting.txt", "good day\n");
    let saved = std::time::Instant::now();
    let changed = up.wait("files_changed", "api");
    let quiet = changed.at.saturating_duration_since(saved);
    assert!(quiet >= std::time::Duration::from_millis(600), "after {quiet:?} of 700 ms");
    assert_eq!(changed.number("count"), 6, "{}", changed.event);
    outcome(&mut up);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn ten_thousand_files_at_once_are_one_reload() {
    let project = Project::new("many");
    project.write("content/greeting.txt", "hello\n");
    // Longer than a busy machine pauses while it writes the files.
    project.config(&greeter("mcp.transport = \"stdio\"").replace("20ms", "2s"));
    let mut up = project.settled();
    for folder in 0..100 {
        let folder = project.path(&format!("content/{folder}"));
        fs::create_dir(&folder).expect("a folder");
        for file in 0..100 {
            fs::write(folder.join(format!("{file}.txt")), "x").expect("a file");
        }
    }
    assert_eq!(up.wait("files_changed", "api").number("count"), 10_000);
    assert_eq!(outcome(&mut up)["event"], "reloaded");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_watched_root_may_go_and_come_back() {
    let project = Project::new("root");
    project.write("lib/code.py", "1\n");
    project.config(&format!(
        "watch = {{ paths = [\"lib\"], delay = \"20ms\" }}\n[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\n\
         command = [\"idle\"]\nnetwork_mode = \"none\"\ndeploy.update_config = {{ monitor = \"1s\" }}\n"
    ));
    let mut up = project.settled();
    fs::remove_dir_all(project.path("lib")).expect("it is there");
    up.wait("files_changed", "api");
    outcome(&mut up);
    project.write("lib/deep/code.py", "2\n");
    up.wait("files_changed", "api");
    outcome(&mut up);
    // And it is watched as before.
    project.write("lib/deep/code.py", "3\n");
    let changed = up.wait("files_changed", "api");
    assert_eq!(changed.text("path"), "lib/deep/code.py");
    outcome(&mut up);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn an_edit_that_does_not_run_is_tried_once_and_the_old_one_goes_on() {
    let (project, mut up) = greeting("badedit", "mcp.transport = \"stdio\"");
    let old = project.id("api");
    let bad = greeter("mcp.transport = \"stdio\"").replace("/content/greeting.txt\"]", "/content/missing.txt\"]");
    project.config(&bad);
    let failed = up.wait("reload_failed", "api");
    assert_eq!(failed.text("error"), "it ended with exit code 1");
    assert!(failed.lines("log").contains("cannot read the greeting /content/missing.txt"), "{}", failed.event);
    let held = up.wait("held", "api");
    let reason = "the container goes on as it is, its replacement failed: it ended with exit code 1";
    assert_eq!(held.text("reason"), reason);
    up.wait("settled", "");
    assert_eq!(project.id("api"), old);
    assert_eq!(project.inspect("api")["State"]["Status"], "running");
    project.config(&greeter("mcp.transport = \"stdio\"\nlabels = { mended = \"yes\" }"));
    let done = up.wait("action_done", "api");
    assert_eq!(done.text("action"), "replace");
    assert_ne!(project.id("api"), old);
    let tries = up.seen(|event| event["event"] == "action_started" && event["action"] == "replace");
    assert_eq!(tries.len(), 2, "{}", up.told());
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn an_edit_that_comes_while_the_one_before_fails_is_tried() {
    let (project, mut up) = greeting("overtaken", "mcp.transport = \"stdio\"");
    let old = project.id("api");
    let good = greeter("mcp.transport = \"stdio\"\nlabels = { mended = \"yes\" }");
    let slow = "command = [\"exit\", \"1\", \"--after\", \"1000\"]";
    let bad = greeter("mcp.transport = \"stdio\"");
    project.config(&bad.replace("command = [\"stdio\", \"--greeting\", \"/content/greeting.txt\"]", slow));
    up.wait("action_started", "api");
    project.config(&good);
    up.wait("config_reloaded", "");
    up.wait("reload_failed", "api");
    assert_eq!(up.wait("action_done", "api").text("action"), "replace");
    assert_ne!(project.id("api"), old);
    assert_eq!(project.inspect("api")["Config"]["Labels"]["mended"], "yes");
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn one_that_ends_soon_after_the_swap_gives_its_place_back() {
    // Nothing but time tells: the old one waits, stopped, until `monitor` is over.
    let config = |command: &str| {
        format!(
            "[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\nnetwork_mode = \"none\"\ncommand = {command}\n\
             deploy.update_config = {{ monitor = \"60s\" }}\n"
        )
    };
    let project = Project::with("spare", &config("[\"idle\"]"));
    let mut up = project.settled();
    let old = project.id("api");
    project.config(&config("[\"exit\", \"9\", \"--print\", \"out of luck\", \"--after\", \"700\"]"));
    assert_eq!(up.wait("action_done", "api").text("action"), "replace");
    let failed = up.wait("reload_failed", "api");
    assert_eq!(failed.text("error"), "it ended at once; the old container was started again");
    assert_eq!(failed.lines("log"), "out of luck");
    let container = project.inspect("api");
    assert_eq!((&container["Id"], &container["State"]["Status"]), (&old.into(), &"running".into()));
    assert_eq!(project.on_the_engine().len(), 1, "{:?}", project.on_the_engine());
    // Kept as it is, until the file says something else.
    up.wait("settled", "");
    project.config(&config("[\"idle\"]").replace("60s", "1s"));
    up.wait("config_reloaded", "");
    up.interrupt();
    let tries = up.seen(|event| event["event"] == "action_started" && event["action"] == "replace");
    assert_eq!(tries.len(), 1, "{}", up.told());
    project.assert_nothing_left();
}
