//! A stdio session in its project: beside `up` and other sessions, with networks and dependencies, edits of `mcpmon.toml`,
//! and what is refused before anything begins.

use std::{process::Command, time::Instant};

use serde_json::{Value, json};

use crate::{
    client::Client,
    project::{Project, kill_with_watchdog},
    stdio::{greeter, greeting, server, servers},
    stdio_trouble::server_binary,
    support::{DEADLINE, IMAGE, docker, inspected, until},
};

#[test]
fn two_clients_and_up_run_one_target_side_by_side() {
    let project = greeting("stdio-beside", "mcp.transport = \"stdio\"\nstdin_open = true");
    let mut up = project.settled();
    let kept = project.id("api");
    let (mut first, mut second) = (Client::of_target(&project, "api"), Client::of_target(&project, "api"));
    assert_eq!((first.call("greet", &json!({})), second.call("greet", &json!({}))), ("hello".into(), "hello".into()));
    assert_eq!(servers(&project).len(), 2);

    let plan = project.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "sessions are no drift: {plan:?}");
    let ps = project.run(&["ps", "--format", "json"]).json();
    let roles: Vec<_> = ps.as_array().expect("rows").iter().map(|row| row["container"]["role"].clone()).collect();
    assert_eq!(roles, [json!(null), json!("stdio"), json!("stdio")], "{ps}");
    assert_eq!(project.run(&["restart", "api"]).code, 0);
    assert_eq!(project.id("api"), kept, "`up`'s own is restarted");

    up.interrupt();
    let down = project.run(&["down"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert_eq!(servers(&project).len(), 2, "clients keep their servers");
    assert_eq!(first.call("greet", &json!({})), "hello");
    first.leave();
    assert_eq!(second.call("greet", &json!({})), "hello");
    second.leave();
    project.assert_nothing_left();
}

/// As a client does that has both in its configuration. An engine before API 1.44 makes two networks of one name then.
#[test]
fn two_clients_at_once_make_one_network() {
    let server = format!("image = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = [\"stdio\"]\n");
    let project = Project::with("stdio-network", &format!("[targets.api]\n{server}[targets.web]\n{server}"));
    std::thread::scope(|scope| {
        let project = &project;
        let sessions = ["api", "web"].map(|target| {
            scope.spawn(move || {
                let mut client = Client::of_target(project, target);
                assert_ne!(client.call("greet", &json!({})), "", "{target}");
                client
            })
        });
        for session in sessions {
            session.join().expect("it was served").leave();
        }
    });
    project.assert_nothing_left();
}

#[test]
fn a_killed_mcpmons_server_is_cleaned_up_and_a_living_ones_is_not() {
    let project = greeting("stdio-cleanup", "");
    let mut lives = Client::of_target(&project, "api");
    let kept = server(&project);
    let mut dies = Client::of_target(&project, "api");
    kill_with_watchdog(dies.pid());
    dies.end();
    assert_eq!(servers(&project).len(), 2, "what nobody could remove");
    let cleanup = project.run(&["cleanup", "--force"]);
    assert_eq!(cleanup.code, 0, "{cleanup:?}");
    assert_eq!(servers(&project), std::slice::from_ref(&kept));

    // The next session does the same without being asked.
    let mut dies = Client::of_target(&project, "api");
    let orphan = servers(&project).into_iter().find(|server| *server != kept).expect("its server");
    kill_with_watchdog(dies.pid());
    dies.end();
    let next = Client::of_target(&project, "api");
    let deadline = Instant::now() + DEADLINE;
    while servers(&project).contains(&orphan) {
        assert!(Instant::now() < deadline, "the orphan is not removed");
    }
    assert_eq!(lives.call("greet", &json!({})), "hello");
    next.leave();
    lives.leave();
    project.assert_nothing_left();
}

#[test]
fn networks_and_dependencies_are_made_and_go_with_the_session() {
    let config = format!(
        "[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = [\"stdio\"]\nvolumes = [\"cache:/cache\", \"./data:/data\"]\n\
         depends_on = {{ db = {{ condition = \"service_healthy\" }} }}\n\
         [targets.db]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = [\"idle\"]\nnetwork_mode = \"none\"\n\
         healthcheck = {{ test = [\"CMD\", \"/mcp-server\", \"exists\", \"/mcp-server\"], interval = \"1s\" }}\n[volumes.cache]\n"
    );
    let project = Project::with("stdio-needs", &config);
    let mut client = Client::of_target(&project, "api");
    client.hears("targets.api.volumes: data is not there: the engine makes an empty folder of it");
    assert_eq!(client.call("echo", &json!({"text": "x"})), "x");
    assert_eq!(inspected(&project.container("db"))["State"]["Health"]["Status"], "healthy");
    let labels = inspected(&project.container("db"))["Config"]["Labels"].clone();
    assert_eq!(labels["mcpmon.role"], "dependency", "{labels}");

    // Another client uses what is there; when the first one leaves, it brings up its own.
    let mut second = Client::of_target(&project, "api");
    assert_eq!(second.call("echo", &json!({"text": "y"})), "y");

    // The file is read once, for the target and for what it depends on, and what is said of it is said once.
    project.config(&config.replace("[targets.api]", "[targets.apo]"));
    client.hears("target api left the file; this session goes on with it as it was");
    let before = inspected(&project.container("db"))["Id"].clone();
    project.config(&config.replace("[\"idle\"]", "[\"idle\"]\nenvironment = { COLOUR = \"green\" }"));
    client.hears("mcpmon.toml read again");
    let is_made_anew = || {
        let found = docker(&["inspect", &project.container("db")]);
        let found: Value = serde_json::from_slice(&found.stdout).unwrap_or_default();
        found[0]["State"]["Health"]["Status"] == "healthy" && found[0]["Id"] != before
    };
    until("the edited dependency is made anew", is_made_anew);
    let said = client.all_said().join("\n");
    for line in ["left the file", "stays in force", "mcpmon.toml read again"] {
        assert_eq!(said.matches(line).count(), 1, "{line}: {said}");
    }
    client.leave();
    assert_eq!(second.call("echo", &json!({"text": "z"})), "z");
    second.leave();
    let volume = format!("volume {}_cache", project.name);
    assert_eq!(project.on_the_engine(), [volume], "volumes outlive sessions");
}

#[test]
fn an_edit_of_the_file_reloads_and_a_bad_one_does_not() {
    let project = greeting("stdio-edit", "environment = { COLOUR = \"red\" }");
    let mut client = Client::of_target(&project, "api");
    let colour = json!({"name": "COLOUR"});
    assert_eq!(client.call("env", &colour), "red");
    project.config(&greeter("environment = { COLOUR = \"green\" }"));
    client.hears("mcpmon.toml read again");
    client.hears("reloaded in");
    assert_eq!(client.call("env", &colour), "green");
    project.config(&greeter("environmnt = { COLOUR = \"blue\" }"));
    client.hears("did you mean `environment`?");
    client.hears("the last good configuration stays in force");
    assert_eq!(client.call("env", &colour), "green");
    project.config(&greeter("environment = { COLOUR = \"blue\" }"));
    client.hears("reloaded in");
    assert_eq!(client.call("env", &colour), "blue");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn where_there_can_be_one_only_the_old_one_stops_first() {
    let project = Project::new("stdio-fixed");
    let name = format!("{}-the-one", project.name);
    project.write("content/greeting.txt", "hello\n");
    project.config(&greeter(&format!("container_name = \"{name}\"")));
    let mut client = Client::of_target(&project, "api");
    assert_eq!(client.call("greet", &json!({})), "hello");
    assert_eq!(inspected(&name)["Id"], server(&project).as_str());
    project.write("content/greeting.txt", "good day");
    client.hears("reloaded in");
    assert_eq!(client.call("greet", &json!({})), "good day");
    assert_eq!(inspected(&name)["State"]["Running"], true);
    project.write("content/greeting.txt", "");
    client.hears("the old server is started again");
    // Files are as broken for the old one: it is a mended file that brings a server back.
    project.write("content/greeting.txt", "good evening");
    client.hears("reloaded in");
    assert_eq!(client.call("greet", &json!({})), "good evening");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn a_built_target_is_built_first_and_the_client_waits() {
    let project = Project::new("stdio-build");
    project.write("app/greeting.txt", "hello\n");
    project.write("app/Dockerfile", &format!("FROM {IMAGE}\nCOPY greeting.txt /greeting.txt\n"));
    project.config(
        "watch.delay = \"20ms\"\n[targets.api]\nbuild = \"app\"\nnetwork_mode = \"none\"\n\
         command = [\"stdio\", \"--greeting\", \"/greeting.txt\"]\n",
    );
    let mut client = Client::of_target(&project, "api");
    assert_eq!(client.call("greet", &json!({})), "hello");
    project.write("app/greeting.txt", "good day\n");
    client.hears("building the image");
    client.hears("reloaded in");
    assert_eq!(client.call("greet", &json!({})), "good day");
    project.write("app/Dockerfile", "FROM nobody/has:this\n");
    client.hears("not reloaded");
    assert_eq!(client.call("greet", &json!({})), "good day");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn a_plain_command_is_served_and_reloaded_too() {
    let project = Project::new("stdio-process");
    server_binary(&project);
    project.write("content/greeting.txt", "hello\n");
    project.config(
        "watch = { delay = \"20ms\", paths = [\"content\"] }\n[targets.local]\n\
         run = [\"./mcp-server\", \"stdio\", \"--greeting\", \"content/greeting.txt\"]\n",
    );
    let mut client = Client::of_target(&project, "local");
    assert_eq!(client.call("greet", &json!({})), "hello");
    project.write("content/greeting.txt", "good day");
    client.hears("reloaded in");
    assert_eq!(client.call("greet", &json!({})), "good day");
    client.call("crash", &json!({"code": 3}));
    client.hears("the server ended: exit status 3");
    assert_eq!(client.call("greet", &json!({})), "good day");
    client.leave();
    let file = project.path("mcp-server");
    let left = Command::new("pgrep").arg("-f").arg(file).output().expect("pgrep");
    assert!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));
}

#[test]
fn what_can_not_be_run_is_refused_before_anything_begins() {
    let config =
        format!("[targets.api]\nimage = \"{IMAGE}\"\n[targets.web]\ncompose = {{ file = \"compose.yaml\" }}\n");
    let project = Project::with("stdio-refused", &config);
    project.write("compose.yaml", "services: {a: {image: x}}\n");
    let cases: [(&[&str], i32, &str); 4] = [
        (&["run", "apy"], 64, "did you mean api?"),
        (&["run", "web"], 64, "is a compose target"),
        (&["run"], 64, "<TARGET>"),
        (&["run", "api", "--set", "targets.api.imge=x"], 64, "targets.api.image`?"),
    ];
    for (arguments, code, part) in cases {
        let ran = project.run(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{ran:?}");
        assert!(ran.err.contains(part), "{ran:?}");
    }
    let help = project.run(&["run", "--help"]);
    assert!(help.out.contains("\"mcpServers\""), "{help:?}");
    project.assert_nothing_left();
}
