//! `mcpmon plan`: reads like a diff, says so by its exit code, and provably writes nothing.

use crate::{
    project::{Project, kill_with_watchdog},
    support::docker,
    wire::Wire,
};

const BEFORE: &str = r#"
[targets.api]
image = "mcpmon-test-server:latest"
pull_policy = "never"
command = ["idle"]
network_mode = "host"
environment = { LOG_LEVEL = "info", API_KEY = "hunter2" }

[targets.db]
image = "mcpmon-test-server:latest"
pull_policy = "never"
command = ["idle"]
networks = ["inner"]
healthcheck = { test = ["CMD", "/mcp-server", "exists", "/mcp-server"], interval = "1s" }

[targets.old]
image = "mcpmon-test-server:latest"
pull_policy = "never"
command = ["idle"]
network_mode = "host"

[networks.inner]
internal = true
"#;

/// One thing of each kind: replaced, same, created (and waiting), removed, held.
const AFTER: &str = r#"
[targets.api]
image = "mcpmon-test-server:latest"
pull_policy = "never"
command = ["lines", "--count", "3"]
network_mode = "host"
environment = { LOG_LEVEL = "debug", API_KEY = "hunter3" }
mem_limit = "64m"

[targets.db]
image = "mcpmon-test-server:latest"
pull_policy = "never"
command = ["idle"]
networks = ["inner"]
healthcheck = { test = ["CMD", "/mcp-server", "exists", "/mcp-server"], interval = "1s" }

[targets.web]
image = "mcpmon-test-server:latest"
pull_policy = "never"
command = ["idle"]
volumes = ["cache:/cache"]
networks = ["inner"]
depends_on = { api = { condition = "service_started" }, db = { condition = "service_healthy" } }

[targets.nowhere]
image = "mcpmon-it-nowhere/nothing:1"
pull_policy = "never"

[targets.pulled]
image = "mcpmon-it-nowhere/nothing:2"

[targets.local]
run = ["true"]

[networks.inner]
internal = true
[volumes.cache]
"#;

/// A plan as text, its columns two spaces apart: their width depends on the project's name.
fn shown(project: &Project, text: &str) -> String {
    let line = |line: &str| {
        let words = line.trim_start();
        let columns: Vec<&str> = words.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
        format!("{}{}\n", &line[..line.len() - words.len()], columns.join("  "))
    };
    project.tidy(text).lines().map(line).collect()
}

#[test]
fn everything_is_new_then_nothing_changes_then_something_of_each() {
    let project = Project::with("plan", BEFORE);
    insta::assert_snapshot!(shown(&project, &project.run(&["plan"]).out), @r"
    + network PROJECT_inner  create: db uses it
    + api  create: there is none
    + db  create: there is none
        after: PROJECT_inner must be there
    + old  create: there is none

    Plan: 4 to create.
    ");
    assert_eq!(project.run(&["plan", "--detailed-exitcode"]).code, 2);
    project.assert_nothing_left();

    let up = project.settled();
    insta::assert_snapshot!(shown(&project, &project.run(&["plan"]).out), @r"
    = network PROJECT_inner
    = api
    = db
    = old

    No changes: what runs is what the file asks for.
    ");
    assert_eq!(project.run(&["plan", "--detailed-exitcode"]).code, 0);

    // From here on it does nothing about the edit, and lives.
    up.signal("STOP");
    project.config(AFTER);
    let plan = project.run(&["plan", "--detailed-exitcode"]);
    assert_eq!((plan.code, plan.err.as_str()), (2, ""));
    assert!(!plan.out.contains("hunter"), "a secret is shown: {}", plan.out);
    insta::assert_snapshot!(shown(&project, &plan.out), @r#"
    + network PROJECT_default  create: nowhere uses it
    = network PROJECT_inner
    + volume PROJECT_cache  create: web uses it
    ~ api  replace: the file asks for something else
        command  ["idle"] → ["lines","--count","3"]
        environment.API_KEY  *** (f52fbd32) → *** (fb8c2e2b)
        environment.LOG_LEVEL  info → debug
        mem_limit  (none) → 67108864
    = db
    = local  an MCP client starts it, with `mcpmon run local`
    ! nowhere  held: image mcpmon-it-nowhere/nothing:1 is not here, and pull_policy is "never": fetch it, or set pull_policy = "missing"
    + pulled  pull, then create: there is none
        after: PROJECT_default must be there
    + web  create: there is none
        after: PROJECT_cache must be there
    - old  remove: it left the file

    Plan: 4 to create, 1 to replace, 1 to remove, 1 held, 3 unchanged.
    "#);

    let json = project.run(&["plan", "--format", "json"]).json();
    let changes = json["changes"].as_array().expect("changes");
    let find = |name: &str| changes.iter().find(|change| change["subject"]["target"] == name).expect(name);
    assert_eq!(find("api")["step"]["action"], "replace");
    assert_eq!(find("api")["step"]["container"], project.id("api"));
    let level = serde_json::json!({ "field": "environment.LOG_LEVEL", "old": "info", "new": "debug" });
    assert!(find("api")["step"]["fields"].as_array().expect("fields").contains(&level), "{json:#}");
    assert_eq!(find("db")["step"]["action"], "same");
    assert_eq!(find("old")["step"]["action"], "remove");
    assert_eq!(find("nowhere")["step"]["action"], "hold");
    assert_eq!(json["summary"]["replace"], 1);
    drop(up);
}

/// Over a wire that notes every request: all of them read. And the engine's own events tell of nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_only_reads() {
    let wire = Wire::new();
    let mut project = Project::with("reads", BEFORE);
    let up = project.settled();
    // From here on it does nothing about the edit, and lives.
    up.signal("STOP");
    project.config(AFTER);
    let before = project.on_the_engine();
    project.environment("DOCKER_HOST", &wire.address());
    let mut log = project.watch_engine();
    for arguments in [&["plan"][..], &["plan", "--detailed-exitcode"], &["plan", "--format", "json"], &["plan", "web"]]
    {
        let ran = project.run(arguments);
        assert!(ran.err.is_empty(), "{ran:?}");
    }
    let mut happened = log.until_now();
    // Its health is looked at by the engine.
    happened.retain(|event| {
        !(event.contains("exec_") && (event.contains("exists /mcp-server") || event.contains("exec_die")))
    });
    assert_eq!(happened, Vec::<String>::new());
    assert_eq!(project.on_the_engine(), before);
    let requests = wire.requests();
    assert!(requests.len() > 8, "{requests:#?}");
    for request in &requests {
        assert!(request.starts_with("GET /") || request.starts_with("HEAD /"), "{request} in {requests:#?}");
    }
    drop(up);
}

#[test]
fn a_plan_tells_of_drift_and_of_dead_owners() {
    let idle = |name: &str| {
        format!(
            "[targets.{name}]\nimage = \"mcpmon-test-server:latest\"\npull_policy = \"never\"\ncommand = [\"idle\"]\nnetwork_mode = \"host\"\n"
        )
    };
    let project = Project::with("drifted", &[idle("gone"), idle("paused"), idle("renamed"), idle("stopped")].concat());
    let up = project.settled();
    let pid = up.pid();
    up.signal("STOP");
    let on = |arguments: &[&str], target: &str| {
        let name = project.container(target);
        assert!(docker(&[arguments, &[name.as_str()]].concat()).status.success(), "docker {arguments:?} {name}");
    };
    on(&["rm", "-f"], "gone");
    on(&["pause"], "paused");
    on(&["kill"], "stopped");
    assert!(docker(&["rename", &project.container("renamed"), &format!("{}-x", project.name)]).status.success());
    insta::assert_snapshot!(shown(&project, &project.run(&["plan"]).out), @r"
    + gone  create: there is none
    ~ paused  unpause: somebody paused it
    ~ renamed  rename to PROJECT-renamed: somebody renamed it to PROJECT-x
    ~ stopped  start: it ended with exit code 137

    Plan: 1 to create, 3 to change.
    ");
    // Dead with its session.
    kill_with_watchdog(pid);
    drop(up);
    let plan = project.run(&["plan"]);
    insta::assert_snapshot!(shown(&project, &plan.out).replace(&pid.to_string(), "PID"), @r"
    + gone  create: there is none
    ~ paused  adopt: its owner, pid PID, is dead
    ~ renamed  adopt: its owner, pid PID, is dead
    ~ stopped  adopt: its owner, pid PID, is dead

    Plan: 1 to create, 3 to change.
    ");
}

#[test]
fn files_that_make_no_plan() {
    let project = Project::new("nonsense");
    let cases = [
        ("[targets.api]\nimage = \"a\"\ncommnad = [\"x\"]\n", "commnad"),
        (
            "[targets.a]\nimage = \"a\"\ndepends_on = [\"b\"]\n[targets.b]\nimage = \"b\"\ndepends_on = [\"a\"]\n",
            "depend",
        ),
        (
            "[targets.a]\nimage = \"a\"\ncontainer_name = \"x\"\n[targets.b]\nimage = \"b\"\ncontainer_name = \"x\"\n",
            "container_name",
        ),
        ("[targets.a]\nimage = \"${NO_SUCH:?set it}\"\n", "set it"),
        ("[targets.a]\nimage = \"a\"\nports = [\"70000:1\"]\n", "70000"),
        ("watch.delay = \"soon\"\n[targets.a]\nimage = \"a\"\n", "soon"),
        ("watch.ignore = [\"a[\"]\n[targets.a]\nimage = \"a\"\n", "a["),
        ("[targets.a]\nimage = 3\n", "image"),
    ];
    for (config, word) in cases {
        project.config(config);
        for command in [&["plan"][..], &["up"], &["up", "-d"], &["down"], &["ps"]] {
            let ran = project.run(command);
            assert_eq!(ran.code, 78, "{command:?} of {config}: {ran:?}");
            assert!(ran.err.starts_with("error: ") && ran.err.contains(word), "{command:?} of {config}: {}", ran.err);
            assert!(ran.out.is_empty(), "{ran:?}");
        }
    }
    project.assert_nothing_left();
}
