//! Compose targets of `mcpmon.toml`: the same containers as compose makes, each service kept like a run target.

use std::{collections::BTreeMap, fs, path::Path};

use mcpmon::compose::{
    discover::{discover, on_disk},
    invocation::Invocation,
};
use serde_json::json;

use crate::{
    client::Client,
    compose_projects::{NO_TARGET, SHAPES, containers, made_of},
    engine_api::{self, Kind},
    project::{Project, Ran},
    support::{docker, inspected, inspected_all, until},
};

/// `docker compose` in a folder, as a person types it.
fn compose(folder: &Path, options: &[&str], command: &[&str]) -> std::process::Output {
    let mut line = std::process::Command::new("docker");
    line.arg("compose").args(options).args(command).current_dir(folder);
    line.output().expect("docker compose")
}

/// The compose project of a test's compose target.
fn project_name(project: &Project, shape: &str) -> String {
    format!("{}-{shape}", project.name)
}

/// Removes what compose made besides what the project's label finds (volumes, containers without labels).
struct Sweep(Vec<String>);

impl Drop for Sweep {
    fn drop(&mut self) {
        let labels: Vec<String> = self.0.iter().map(|name| format!("com.docker.compose.project={name}")).collect();
        engine_api::sweep(&Kind::MADE, &labels.iter().map(String::as_str).collect::<Vec<_>>());
    }
}

/// Containers by target: ids and when they were started.
fn running(project: &Project) -> BTreeMap<String, (String, String)> {
    inspected_all(&format!("mcpmon.project={}", project.name))
        .into_iter()
        .map(|inspect| {
            let number =
                inspect["Config"]["Labels"]["com.docker.compose.container-number"].as_str().unwrap_or("-").to_owned();
            let target = inspect["Config"]["Labels"]["mcpmon.target"].as_str().unwrap_or_default().to_owned();
            (
                format!("{target} {number}"),
                (inspect["Id"].as_str().expect("an id").to_owned(), inspect["State"]["StartedAt"].to_string()),
            )
        })
        .collect()
}

/// The targets whose containers are others, or were started again.
fn touched(before: &BTreeMap<String, (String, String)>, after: &BTreeMap<String, (String, String)>) -> Vec<String> {
    let all: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    all.into_iter().filter(|name| before.get(*name) != after.get(*name)).cloned().collect()
}

fn sweep(project: &Project, names: &[&str]) -> Sweep {
    Sweep(names.iter().map(|name| project_name(project, name)).collect())
}

#[test]
fn every_shape_of_project_is_as_compose_makes_it() {
    let project = Project::new("compose-shapes");
    let folder = project.path(".").canonicalize().expect("a folder");
    let names: Vec<String> =
        SHAPES.iter().flat_map(|shape| [shape.name.to_owned(), format!("{}-plain", shape.name)]).collect();
    let _sweep = sweep(&project, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let mut config = String::from("watch.paths = []\n");
    let shapes = || SHAPES.iter().filter(|shape| shape.target != NO_TARGET);
    for shape in shapes() {
        shape.write(&project);
        let target = match shape.target {
            "" => "project_directory = \"@\"".to_owned(),
            target => target.to_owned(),
        };
        let target = target.replace('@', shape.name);
        let (name, project_name) = (shape.name, project_name(&project, shape.name));
        config.extend([format!("[targets.{name}.compose]\nproject_name = \"{project_name}\"\n{target}\n")]);
    }
    project.config(&config);
    let up = project.run(&["up", "-d", "--wait"]);
    assert_eq!(up.code, 0, "{up:?}");

    let mut images = Vec::new();
    for shape in shapes() {
        let (name, plain) =
            (project_name(&project, shape.name), format!("{}-plain", project_name(&project, shape.name)));
        let made = containers(&name);
        let own = folder.join(shape.name);
        let options: Vec<&str> = ["-p", &plain].into_iter().chain(shape.options.split_whitespace()).collect();
        let created = compose(&own, &options, &["create"]);
        assert!(created.status.success(), "{}: {created:?}", shape.name);
        let asked = containers(&plain);
        let keys = |found: &[(String, serde_json::Value)]| found.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>();
        assert_eq!(keys(&made), keys(&asked), "{}", shape.name);
        let number: usize = shape.services.iter().map(|(_, number)| number).sum();
        assert_eq!(made.len(), number, "{}", shape.name);
        for ((key, made), (_, asked)) in made.iter().zip(&asked) {
            let made_text = made_of(made, &name, &own);
            let asked_text = made_of(asked, &plain, &own);
            assert_eq!(made_text, asked_text, "{}: {key}", shape.name);
            let labels = &made["Config"]["Labels"];
            let service = labels["com.docker.compose.service"].as_str().unwrap_or_default();
            assert_eq!(labels["mcpmon.managed"], "true", "{}: {key}", shape.name);
            assert_eq!(labels["mcpmon.target"], format!("{}/{service}", shape.name));
            assert!(!labels.to_string().contains("hunter2"), "{labels}");
        }
        if shape.name == "build" {
            images.extend([format!("{name}-web"), format!("{plain}-web")]);
        }
    }

    // Nothing has changed: nothing is touched.
    let before = running(&project);
    let again = project.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(again.code, 0, "{again:?}");
    assert_eq!(project.run(&["up", "-d", "--wait"]).code, 0);
    assert_eq!(touched(&before, &running(&project)), Vec::<String>::new());

    let down = project.run(&["down"]);
    assert_eq!(down.code, 0, "{down:?}");
    for shape in shapes() {
        let name = project_name(&project, shape.name);
        assert_eq!(containers(&name).len(), 0, "{name}");
        let networks = engine_api::ids(Kind::Network, &[&format!("label=com.docker.compose.project={name}")]);
        assert!(networks.is_empty(), "{name}: its networks go with it");
    }
    let volume = format!("{}_data", project_name(&project, "mounts"));
    assert!(docker(&["volume", "inspect", &volume]).status.success(), "volumes stay");
    let down = project.run(&["down", "-v"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert!(!docker(&["volume", "inspect", &volume]).status.success(), "until -v says otherwise");
    for image in images {
        docker(&["rmi", "-f", &image]);
    }
}

#[test]
fn the_files_found_are_those_that_compose_says_it_used() {
    let project = Project::new("compose-files");
    let _sweep = sweep(&project, &["p"]);
    let name = project_name(&project, "p");
    let service = |folder: &str, file: &str| {
        project.write(&format!("{folder}/{file}"), "services: {a: {image: mcpmon-test-server, network_mode: host}}\n");
    };
    for (folder, files, dotenv) in [
        ("one", &["docker-compose.yaml", "docker-compose.yml", "compose.override.yaml"][..], ""),
        ("two", &["compose.yml", "docker-compose.override.yml", "docker-compose.override.yaml"], ""),
        ("three/sub", &["../compose.yaml", "compose.override.yml"], ""),
        ("four", &["x.yml", "y/y.yml", "compose.yaml"], "COMPOSE_FILE=x.yml:y/y.yml\n"),
        ("five", &["x.yml", "y.yml"], "COMPOSE_FILE='x.yml,y.yml'\nCOMPOSE_PATH_SEPARATOR=,\n"),
    ] {
        for file in files {
            service(folder, file);
        }
        if !dotenv.is_empty() {
            project.write(&format!("{folder}/.env"), dotenv);
        }
        let folder = project.path(folder).canonicalize().expect("a folder");
        let created = compose(&folder, &["-p", &name], &["create", "--force-recreate"]);
        assert!(created.status.success(), "{folder:?}: {created:?}");
        let label = containers(&name)[0].1["Config"]["Labels"]["com.docker.compose.project.config_files"].clone();
        let environment = BTreeMap::new();
        let found = discover(&Invocation::docker(), &on_disk(&folder, &environment)).expect("files");
        let found: Vec<String> = found.files.iter().map(|file| file.display().to_string()).collect();
        assert_eq!(label, found.join(","), "{folder:?}");
    }
}

/// Twenty services, each with a folder of its own.
fn twenty(more: &str) -> String {
    let mut text = "services:\n".to_owned();
    for number in 0..20 {
        let made = "image: mcpmon-test-server, command: [idle], network_mode: host, stop_grace_period: 2s";
        let more = if number == 3 { more } else { "" };
        text.extend([format!("  s{number}: {{{made}, volumes: ['./s{number}:/s']{more}}}\n")]);
    }
    text
}

#[test]
fn a_change_under_one_of_twenty_services_touches_that_one_only() {
    let project = Project::new("compose-twenty");
    let _sweep = sweep(&project, &["web"]);
    project.config(&format!("[targets.web.compose]\nproject_name = \"{}\"\n", project_name(&project, "web")));
    for number in 0..20 {
        project.write(&format!("s{number}/x"), "x");
    }
    project.write("compose.yaml", &twenty(""));
    let mut up = project.settled();
    let mut events = project.watch_engine();
    let before = running(&project);
    assert_eq!(before.len(), 20);

    // A saved file.
    project.write("s7/x", "y");
    up.wait("reloaded", "web/s7");
    let after = running(&project);
    assert_eq!(touched(&before, &after), ["web/s7 1"]);
    assert_eq!(before["web/s7 1"].0, after["web/s7 1"].0, "the container is the same, its process is new");
    let seen = events.until_now();
    assert!(seen.iter().any(|event| event.contains("-s7-")), "{seen:?}");
    assert!(!seen.iter().any(|event| (0..20).any(|n| n != 7 && event.contains(&format!("-s{n}-")))), "{seen:?}");

    // An edited service.
    project.write("compose.yaml", &twenty(", environment: {A: '1'}"));
    up.wait("action_done", "web/s3");
    let edited = running(&project);
    assert_eq!(touched(&after, &edited), ["web/s3 1"]);

    // What compose can't read is told in its words, and nothing is touched.
    project.write("compose.yaml", "services:\n  s1: {image: x, nope: 1}\n");
    let told = up.wait("config_invalid", "");
    assert!(
        told.text("error").contains("compose.yaml") && told.text("error").contains("nope"),
        "{}",
        told.text("error")
    );
    project.write("compose.yaml", "services:\n  s1:\n    image: x\n   nope\n");
    let told = up.wait("config_invalid", "");
    assert!(told.text("error").contains("yaml: line"), "{}", told.text("error"));
    assert_eq!(touched(&edited, &running(&project)), Vec::<String>::new());

    // Good again, one container more, one service less.
    let more = twenty(", environment: {A: '1'}").replace("  s19:", "  # s19:");
    project.write("compose.yaml", &more.replace("  s5: {", "  s5: {scale: 2, "));
    up.wait("config_reloaded", "");
    up.wait("settled", "");
    assert_eq!(touched(&edited, &running(&project)), ["web/s19 1", "web/s5 2"]);

    // Somebody stops one, somebody removes one.
    let before = running(&project);
    docker(&["stop", "-t", "1", &before["web/s1 1"].0]);
    docker(&["rm", "-f", &before["web/s2 1"].0]);
    up.wait("action_done", "web/s2");
    up.wait_for("settled", |event| event["event"] == "settled");
    let repaired = running(&project);
    let touched = touched(&before, &repaired);
    assert!(touched.iter().all(|name| ["web/s1 1", "web/s2 1"].contains(&name.as_str())), "{touched:?}");
    assert_eq!(repaired["web/s1 1"].0, before["web/s1 1"].0, "it is started again, not made anew");
    up.interrupt();
    project.assert_nothing_left();
}

const STACK: &str = "services:
  db: {image: mcpmon-test-server, command: [idle], network_mode: host, healthcheck: {test: [CMD, /mcp-server, exists, /mcp-server], interval: 500ms}}
  api: {image: mcpmon-test-server, command: [lines, --count, '3'], networks: [inner], environment: {LEVEL: info, API_KEY: hunter22}, depends_on: {db: {condition: service_healthy, restart: true}}}
  mcp: {image: mcpmon-test-server, command: [stdio], networks: [inner], environment: {GREETING_FILE: /content/greeting.txt}, volumes: ['./content:/content'], depends_on: [db], profiles: [mcp]}
networks: {inner: {internal: true}}
";

/// A project with a compose target that a run target waits for, and that waits for one.
fn stack(test: &str, more: &str) -> Project {
    let project = Project::new(test);
    project.write("compose.yaml", STACK);
    project.write("content/greeting.txt", "hello");
    let run =
        "image = \"mcpmon-test-server\"\npull_policy = \"never\"\ncommand = [\"idle\"]\nnetwork_mode = \"host\"\n";
    project.config(&format!(
        "[targets.base]\n{run}[targets.last]\n{run}depends_on = {{ \"web/db\" = {{ condition = \"service_healthy\" }}, web = {{}} }}\n\
         [targets.web]\ndepends_on = [\"base\"]\n[targets.web.compose]\nproject_name = \"{}\"\n{more}",
        project_name(&project, "web")
    ));
    project
}

fn said(ran: &Ran) -> String {
    format!("{}{}", ran.out, ran.err)
}

#[test]
fn services_are_planned_shown_restarted_and_removed_like_targets() {
    let mut project = stack(
        "compose-words",
        "override.services.api.environment.DEBUG = \"${DEBUG:-0}\"\n[profile.loud.targets.web.compose]\noverride.services.api.environment.LEVEL = \"debug\"\n",
    );
    let _sweep = sweep(&project, &["web"]);
    let plan = project.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 2, "{plan:?}");
    for line in ["+ web/api", "+ web/db", "+ base", "+ last"] {
        assert!(plan.out.contains(line), "{line}: {plan:?}");
    }
    assert_eq!(running(&project).len(), 0, "a plan makes nothing");
    project.detached();
    let before = running(&project);
    assert_eq!(before.keys().collect::<Vec<_>>(), ["base -", "last -", "web/api 1", "web/db 1"]);

    // Another level, by profile and by variable: only that service would change; a secret is not shown.
    for (key, value) in [
        ("MCPMON_PROFILE", "loud"),
        ("MCPMON_TARGETS__WEB__COMPOSE__OVERRIDE__SERVICES__API__ENVIRONMENT__LEVEL", "debug"),
    ] {
        let plan = project.command(&["plan"]).env(key, value).output().expect("a plan");
        let text = String::from_utf8_lossy(&plan.stdout).into_owned();
        assert!(text.contains("~ web/api") && text.contains("info → debug"), "{key}: {text}");
        assert!(text.contains("= web/db") && !text.contains("hunter"), "{key}: {text}");
    }
    let plan =
        project.command(&["plan"]).env("MCPMON_TARGETS__WEB__COMPOSE__PROFILES", "mcp,other").output().expect("a plan");
    assert!(String::from_utf8_lossy(&plan.stdout).contains("+ web/mcp"), "{plan:?}");

    let ps = project.run(&["ps"]);
    assert!(ps.out.contains("web/api") && ps.out.contains("running (healthy)"), "{ps:?}");
    let logs = project.run(&["logs", "web"]);
    assert!(logs.out.contains("web/api"), "{logs:?}");
    assert_eq!(project.run(&["restart", "web/api"]).code, 0);
    assert_eq!(touched(&before, &running(&project)), ["web/api 1"]);

    // Two sessions on one compose project: the second says whose it is, and touches nothing.
    let before = running(&project);
    let other = Project::new("compose-second");
    other.write("compose.yaml", STACK);
    other.config(&format!("[targets.web.compose]\nproject_name = \"{}\"\n", project_name(&project, "web")));
    let second = other.run(&["up", "-d", "--wait"]);
    let pid = inspected(&before["web/db 1"].0)["Config"]["Labels"]["mcpmon.pid"].as_str().expect("a pid").to_owned();
    assert_eq!(second.code, 1, "{second:?}");
    assert!(said(&second).contains(&format!("pid {pid}")), "{second:?}");
    other.run(&["down"]);
    assert_eq!(touched(&before, &running(&project)), Vec::<String>::new());

    // A compose file that can't be read does not keep `down` from its work.
    project.write("compose.yaml", "nonsense");
    assert_ne!(project.run(&["plan"]).code, 0);
    let restart = project.run(&["restart", "web/api"]);
    assert_eq!(restart.code, 78, "{restart:?}");
    for words in ["docker compose: ", "compose.yaml", "the compose files of target web can't be read"] {
        assert!(restart.err.contains(words), "{words}: {restart:?}");
    }
    let ps = project.run(&["ps"]);
    assert!(ps.out.contains("unread") && ps.out.contains("web/api") && !ps.out.contains("not in the file"), "{ps:?}");
    let down = project.run(&["down"]);
    assert_eq!(down.code, 0, "{down:?}");
    assert_eq!(running(&project).len(), 0);
    project.environment("X", "1");
    project.assert_nothing_left();
}

#[test]
fn what_can_not_be_is_said_in_composes_words() {
    let project = stack("compose-wrong", "");
    let _sweep = sweep(&project, &["web"]);
    let say = |more: &str, file: &str| {
        project.write("compose.yaml", file);
        project.config(&format!("[targets.web.compose]\nproject_name = \"{}\"\n{more}", project_name(&project, "web")));
        let ran = project.run(&["up"]);
        assert_ne!(ran.code, 0, "{more}: {ran:?}");
        let check = project.run(&["config", "check"]);
        assert_eq!((check.code, said(&check)), (ran.code, said(&ran)), "{more}");
        said(&ran)
    };
    for (more, file, words) in [
        ("services = [\"nope\"]", STACK, &["web:", "no such service: nope"][..]),
        (
            "override.services.ghost.environment.A = \"1\"",
            STACK,
            &[
                "mcpmon.toml:4:19: targets.web.compose.override.services.ghost: no compose file has",
                "neither image nor build",
            ],
        ),
        ("override.services.dbs.environment.A = \"1\"", STACK, &["override.services.dbs", "did you mean db?"]),
        ("file = [\"missing.yml\"]", STACK, &["missing.yml", "no such file"]),
        ("", "services:\n  a:\n   image: x\n  b", &["yaml", "line 4"]),
        ("", "services:\n  a: {image: x, nope: 1}\n", &["compose.yaml", "nope"]),
        ("profiles = []", "services:\n  a: {image: x, profiles: [p]}\n", &["no active services", "compose.profiles"]),
        ("", "services:\n  a: {image: '${GONE:?set GONE}'}\n", &["set GONE"]),
    ] {
        let told = say(more, file);
        for word in words {
            assert!(told.contains(word), "{more}: {word}: {told}");
        }
    }
    // One that a variable adds is called by its name.
    project.write("compose.yaml", STACK);
    project.config(&format!("[targets.web.compose]\nproject_name = \"{}\"\n", project_name(&project, "web")));
    let variable = "MCPMON_TARGETS__WEB__COMPOSE__OVERRIDE__SERVICES__DBS__";
    for (key, code, words) in [
        ("IMAGE", 0, "has this service, so it is one more; did you mean db?"),
        ("USER", 78, "has this service, and it has neither image nor build\nhint: did you mean db?"),
    ] {
        let variable = format!("{variable}{key}");
        let check = project.command(&["config", "check"]).env(&variable, "x").output().expect("mcpmon");
        let told = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
        let expected = format!("web: {variable}: targets.web.compose.override.services.dbs: no compose file {words}");
        assert_eq!((check.status.code(), told.contains(&expected)), (Some(code), true), "{told}");
    }
    // One whose name no variable can spell is meant once the file names it.
    project.write("compose.yaml", "services:\n  My-Db: {image: x}\n");
    let variable = "MCPMON_TARGETS__WEB__COMPOSE__OVERRIDE__SERVICES__MY_DB__IMAGE";
    let target = format!("[targets.web.compose]\nproject_name = \"{}\"\n", project_name(&project, "web"));
    for (more, code, words) in [
        ("", 78, "hint: name it in the file too, `override.services.My-Db = {}`, or use `--set`"),
        ("override.services.My-Db = {}\n", 0, "ok: "),
    ] {
        project.config(&format!("{target}{more}"));
        let check = project.command(&["config", "check"]).env(variable, "y").output().expect("mcpmon");
        let told = String::from_utf8_lossy(&[check.stdout, check.stderr].concat()).into_owned();
        assert_eq!((check.status.code(), told.contains(words)), (Some(code), true), "{told}");
    }
    fs::remove_file(project.path("compose.yaml")).expect("removed");
    let told = said(&project.run(&["up"]));
    assert!(told.contains("no compose file was found"), "{told}");
    let nobody = project.command(&["plan"]).env("PATH", "/nowhere").output().expect("mcpmon");
    assert!(!nobody.status.success(), "{nobody:?}");

    // Containers that compose made without mcpmon are left alone.
    project.write(
        "compose.yaml",
        "services:\n  db: {image: mcpmon-test-server, command: [idle], network_mode: host, stop_grace_period: 1s}\n",
    );
    project.config(&format!("[targets.web.compose]\nproject_name = \"{}\"\n", project_name(&project, "web")));
    let folder = project.path(".");
    let name = project_name(&project, "web");
    assert!(compose(&folder, &["-p", &name], &["up", "-d"]).status.success());
    let before = containers(&name);
    let up = project.run(&["up", "-d", "--wait"]);
    assert_eq!(up.code, 1, "{up:?}");
    assert!(said(&up).contains("made without mcpmon"), "{up:?}");
    let after = containers(&name);
    assert_eq!(before[0].1["Id"], after[0].1["Id"]);
    assert_eq!(after[0].1["State"]["Running"], true);
    assert_eq!(project.run(&["down"]).code, 0);
    assert_eq!(containers(&name).len(), 1, "`down` leaves it too");
}

#[test]
fn a_client_gets_a_server_of_a_service() {
    let project = stack("compose-stdio", "profiles = [\"mcp\"]\n");
    let _sweep = sweep(&project, &["web"]);
    let refused = project.run(&["run", "web"]);
    assert_eq!(refused.code, 64, "{refused:?}");
    assert!(refused.err.contains("web/mcp"), "{refused:?}");
    let mut client = Client::of_target(&project, "web/mcp");
    assert_eq!(client.call("greet", &json!({})), "hello");
    let running = running(&project);
    assert!(running.keys().any(|name| name.starts_with("web/db")), "its dependencies are up: {running:?}");
    let server = running.iter().find(|(name, _)| name.starts_with("web/mcp")).expect("the server").1.0.clone();
    let inspect = inspected(&server);
    let networks = &inspect["NetworkSettings"]["Networks"];
    assert!(networks.get(format!("{}_inner", project_name(&project, "web"))).is_some(), "{networks}");
    assert_eq!(inspect["Config"]["Labels"]["mcpmon.role"], "stdio");
    // A saved file becomes the running server.
    project.write("content/greeting.txt", "bonjour");
    client.hears("reloaded");
    assert_eq!(client.call("greet", &json!({})), "bonjour");
    client.leave();
    project.assert_nothing_left();
}

#[test]
fn the_example_is_what_it_says() {
    let mut project = Project::new("compose-example");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/compose");
    for file in [
        "compose.yaml",
        "compose.dev.yaml",
        "compose.ci.yaml",
        "dev.env",
        "ci.env",
        "content/greeting.txt",
        "mcpmon.toml",
    ] {
        let text = fs::read_to_string(source.join(file)).expect(file);
        project.write(file, &text.replace("compose-example", &project.name));
    }
    // Others may run it beside.
    project.environment("PORT", "0");
    let _sweep = Sweep(vec![project.name.clone()]);
    project.detached();
    let dev = running(&project);
    assert_eq!(dev.keys().collect::<Vec<_>>(), ["stack/greeter 1", "stack/prepare 1"]);
    let labels = &inspected(&dev["stack/greeter 1"].0)["Config"]["Labels"];
    assert_eq!(labels["team"], "examples");
    let plan = project.run(&["--profile", "ci", "plan"]);
    assert!(plan.out.contains("debug → warn") && plan.out.contains("= stack/prepare"), "{plan:?}");
    assert_eq!(project.run(&["down"]).code, 0);
    project.environment("MCPMON_PROFILE", "ci");
    project.environment("MCPMON_TARGETS__STACK__COMPOSE__PROFILES", "client");
    project.detached();
    let ci = running(&project);
    assert_eq!(
        ci.keys().collect::<Vec<_>>(),
        ["stack/greeter 1", "stack/greeter 2", "stack/prepare 1", "stack/stdio 1"]
    );
    let mut client = Client::of_target(&project, "stack/stdio");
    assert!(client.call("greet", &json!({})).starts_with("Hello from compose"));
    client.leave();
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[test]
fn saved_files_are_copied_into_all_containers_of_a_service() {
    let project = Project::new("compose-sync");
    let _sweep = sweep(&project, &["web"]);
    let file = |more: &str| {
        let service = |action: &str, more: &str| {
            format!(
                "{{image: mcpmon-test-server, command: [idle], network_mode: host, stop_grace_period: 2s{more}, \
                 develop: {{watch: [{{path: ./code, action: {action}, target: /code}}]}}}}"
            )
        };
        format!(
            "services:\n  two: {}\n  again: {}\n",
            service("sync", &format!(", scale: 2{more}")),
            service("sync+restart", "")
        )
    };
    project.config(&format!("[targets.web.compose]\nproject_name = \"{}\"\n", project_name(&project, "web")));
    project.write("compose.yaml", &file(""));
    project.write("code/x", "one");
    let has = |text: &str| {
        let containers = running(&project);
        assert_eq!(containers.len(), 3);
        containers.values().all(|(id, _)| {
            let output = docker(&["exec", id, "/mcp-server", "cat", "/code/x"]);
            String::from_utf8_lossy(&output.stdout).trim() == text
        })
    };
    let mut up = project.settled();
    assert!(has("one"), "before they start");
    let before = running(&project);
    project.write("code/x", "two");
    up.wait("action_done", "web/two");
    up.wait("action_done", "web/again");
    assert!(has("two"));
    let after = running(&project);
    assert_eq!(touched(&before, &after), ["web/again 1"], "the others go on");
    assert_eq!(before["web/again 1"].0, after["web/again 1"].0, "and this one is the same container");
    // Containers that are made anew have it too.
    project.write("compose.yaml", &file(", environment: {A: '1'}"));
    up.wait("action_done", "web/two");
    assert!(has("two"));
    assert_eq!(touched(&after, &running(&project)), ["web/two 1", "web/two 2"]);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn what_hangs_on_a_service_goes_on_with_it_and_nothing_that_was_saved_is_lost() {
    let project = Project::new("compose-tied");
    let _sweep = sweep(&project, &["web"]);
    project.config(&format!("[targets.t.compose]\nproject_name = \"{}\"\n", project_name(&project, "web")));
    project.write(
        "compose.yaml",
        "services:
  web:
    build: ./app
    command: [idle]
    network_mode: none
    stop_grace_period: 1s
    develop:
      watch:
        - {path: ./copied, action: sync, target: /copied}
        - {path: ./again, action: sync+restart, target: /again}
  beside: {image: mcpmon-test-server, command: [idle], network_mode: 'service:web', stop_grace_period: 1s}
  asks:
    image: mcpmon-test-server
    command: [idle]
    network_mode: host
    stop_grace_period: 1s
    depends_on: {web: {condition: service_started, restart: true}}
",
    );
    project.write("app/Dockerfile", "FROM mcpmon-test-server\nCOPY code /code\n");
    project.write("app/code", "1");
    project.write("copied/x", "1");
    project.write("again/x", "1");
    let mut up = project.settled();
    let before = running(&project);
    let has = |file: &str| {
        let read = docker(&["exec", &before["t/web 1"].0, "/mcp-server", "cat", file]);
        String::from_utf8_lossy(&read.stdout).into_owned()
    };

    // The same image: what was saved with it is copied into the container that stays.
    project.write("app/other", "x");
    project.write("copied/x", "2");
    up.wait_for("the end of the build", |event| event["event"] == "action_done" && event["action"] == "rebuild");
    until("it is copied", || has("/copied/x") == "2");
    assert_eq!(touched(&before, &running(&project)), Vec::<String>::new());

    // The same container starts again, and so do those that hang on it.
    let all = ["t/asks 1", "t/beside 1", "t/web 1"];
    project.write("again/x", "2");
    up.wait("action_done", "t/web");
    until("all of them have started again", || touched(&before, &running(&project)) == all);
    let after = running(&project);
    assert_eq!((touched(&before, &after), has("/again/x")), (all.map(str::to_owned).to_vec(), "2".to_owned()));
    assert!(all.iter().all(|name| before[*name].0 == after[*name].0), "{before:?} {after:?}");

    // By hand.
    assert_eq!(project.run(&["restart", "t/web"]).code, 0);
    let by_hand = running(&project);
    assert_eq!(touched(&after, &by_hand), all);
    assert!(all.iter().all(|name| after[*name].0 == by_hand[*name].0), "{after:?} {by_hand:?}");
    up.interrupt();
    project.assert_nothing_left();
    engine_api::remove(Kind::Image, &format!("{}-web", project_name(&project, "web")));
}

#[test]
fn volumes_of_services_stay_unless_they_are_asked_to_go() {
    let project = Project::new("compose-volumes");
    let _sweep = sweep(&project, &["web"]);
    project.config(&format!("[targets.web.compose]\nproject_name = \"{}\"\n", project_name(&project, "web")));
    project.write(
        "compose.yaml",
        "services:\n  db: {image: mcpmon-test-server, command: [idle], network_mode: host, stop_grace_period: 1s, volumes: [/data]}\n",
    );
    let volume = || {
        let mounts = &inspected(&running(&project)["web/db 1"].0)["Mounts"];
        mounts[0]["Name"].as_str().expect("a volume").to_owned()
    };
    let is_there = |name: &str| engine_api::inspect(Kind::Volume, name).is_some();
    project.detached();
    let first = volume();
    assert_eq!(project.run(&["down"]).code, 0);
    assert_eq!((running(&project).len(), is_there(&first)), (0, true));
    engine_api::remove(Kind::Volume, &first);
    project.detached();
    let second = volume();
    let down = project.run(&["down", "-v"]);
    assert_eq!((down.code, running(&project).len(), is_there(&second)), (0, 0, false), "{down:?}");
    project.assert_nothing_left();
}
