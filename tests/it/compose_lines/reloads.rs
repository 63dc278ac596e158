//! What a saved file does to which service, and what somebody's restart does.

use std::{collections::BTreeSet, fs, process::Command};

use super::place::{Place, is_alive};
use crate::{
    compose_projects::containers,
    support::{docker, inspected, until},
};

#[test]
fn a_change_under_one_of_twenty_touches_that_one_only() {
    let mut place = Place::new("compose-twenty", "twenty");
    let services = (0..20).fold("services:\n".to_owned(), |services, n| {
        let made = "image: mcpmon-test-server, command: [idle], init: true, network_mode: host";
        services + &format!("  s{n}: {{{made}, volumes: ['./src/{n}:/src']}}\n")
    });
    place.write("compose.yaml", &services);
    for n in 0..20 {
        place.write(&format!("src/{n}/text"), "text");
    }
    place.project.environment("MCPMON_DOCKER_LABELS", "team=x");
    // What it prints into what is watched is no change.
    let printed = fs::File::create(place.project.path("twenty/src/3/log")).expect("a file");
    let mut up = place.command("docker compose up -d", true);
    up.stdout(printed.try_clone().expect("a file")).stderr(printed);
    assert!(up.status().expect("it runs").success());
    let mut touched = place.touched();
    let (keeper, before) = (place.keeper(), place.running());
    assert_eq!((keeper.len(), before.len()), (1, 20));
    let pid = keeper.first().expect("a keeper").clone();
    assert!(is_alive(&pid));

    place.write("src/7/text", "other");
    until("it is restarted", || touched.so_far().contains("s7"));
    until("it runs again", || place.running().iter().all(|(_, _, runs)| *runs));
    assert_eq!(touched.so_far(), BTreeSet::from(["s7".to_owned()]));
    // A second `up -d` is a word to the first one's supervisor: nothing is made anew.
    let said = place.ok("docker compose up -d", true);
    assert!(!said.contains("Recreate"), "{said}");
    assert_eq!((place.keeper(), place.running()), (keeper.clone(), before.clone()));
    // `run` finds what it depends on, and leaves it as it is.
    let ran = place.output("docker compose run --rm -T s1 exit 4", true);
    assert_eq!((ran.status.code(), place.running()), (Some(4), before));
    // A second session says whose the services are, and does nothing.
    let second = place.output("docker compose up s3", true);
    let said = String::from_utf8_lossy(&second.stderr).into_owned();
    assert!(
        second.status.code() == Some(1) && said.contains(&format!("pid {pid}")) && said.contains("s3 of"),
        "{said}"
    );
    // The file is edited: the one service is made anew, by the supervisor, with its labels.
    let mut touched = place.touched();
    let edited = services.replace("s4: {", "s4: {environment: {A: b}, ");
    place.write("compose.yaml", &edited);
    until("it is made anew", || touched.so_far().contains("s4") && place.counts_running() == 20);
    assert_eq!((touched.so_far(), place.keeper()), (BTreeSet::from(["s4".to_owned()]), keeper));
    assert!(containers(&place.name).iter().all(|(_, one)| one["Config"]["Labels"]["team"] == "x"));

    // The supervisor is asked to end: everything is stopped, nothing is removed.
    assert!(Command::new("kill").arg(&pid).status().expect("kill").success());
    until("the supervisor ends", || !is_alive(&pid));
    let left = place.running();
    assert!(left.len() == 20 && left.iter().all(|(_, _, runs)| !runs), "stopped, and there: {left:?}");
}

const STACK: &str = "services:
  web:
    build: ./app
    command: [lines, --every, '50', --text, WORD]
    init: true
    network_mode: host
    volumes: [data:/data]
    labels: [mcpmon.project=stolen, own=1]
  api:
    image: mcpmon-test-server
    command: [lines, --every, '50']
    init: true
    network_mode: host
    volumes: ['./src:/src']
    depends_on: {db: {condition: service_started}}
  db:
    image: mcpmon-test-server
    command: [lines, --every, '100']
    init: true
    network_mode: host
    profiles: []
    volumes: ['./src/text:/text']
  after:
    image: mcpmon-test-server
    command: [idle]
    init: true
    network_mode: host
    depends_on: {api: {condition: service_started, restart: true}}
  copied:
    image: mcpmon-test-server
    command: [lines, --every, '100']
    init: true
    network_mode: host
    develop:
      watch:
        - {path: ./copied, action: sync+restart, target: /copied}
        - {path: ./plain, action: sync, target: /plain}
volumes: {data: {}}
";

#[test]
fn services_in_the_foreground_are_reloaded_one_by_one_and_stopped_at_the_end() {
    let place = Place::new("compose-front", "front");
    place.write("compose.yaml", &STACK.replace("WORD", "one"));
    place.write("app/Dockerfile", "FROM mcpmon-test-server\nCOPY code /code\n");
    place.write("app/code", "1");
    place.write("src/text", "text");
    place.write("copied/x", "x");
    let mut going = place.start("docker compose up");
    going.wait("label mcpmon.project is left out");
    let shown = going.wait("| one 3");
    assert!(shown.iter().any(|line| line.contains("Attaching to")), "compose's own words: {shown:#?}");
    until("all of them run", || place.running().iter().filter(|one| one.2).count() == 5);
    let (before, mut touched) = (place.running(), place.touched());

    place.write("src/text", "other");
    // Both who have it.
    let mut shown = going.wait_for_all(&["api: restarted in", "db: restarted in"]);
    for name in ["api", "db"] {
        let said = format!("{name}: src/text changed, restarting");
        assert!(shown.iter().any(|line| line.contains(&said)), "{shown:#?}");
    }
    // From its first line on, and the others' go on.
    shown.extend(going.wait("api-1    | line 12"));
    assert!(shown.iter().any(|line| line.ends_with("api-1    | line 1")), "{shown:#?}");
    going.wait("db-1     | line");
    going.wait("web-1    | one");
    assert_eq!(touched.so_far(), ["after", "api", "db"].map(str::to_owned).into(), "and who asked for it");
    assert_eq!(place.running(), before);

    // What is copied is in the same container, and runs anew.
    let mut touched = place.touched();
    place.write("copied/a/b", "new");
    going.wait("copied: copied/a/b changed, syncing and restarting");
    going.wait("copied: synced and restarted in");
    going.wait("copied-1 | line 2");
    let name = format!("{}-copied-1", place.name);
    let read = docker(&["exec", &name, "/mcp-server", "cat", "/copied/a/b"]);
    assert_eq!(String::from_utf8_lossy(&read.stdout), "new");
    assert_eq!(touched.so_far(), BTreeSet::from(["copied".to_owned()]));
    assert_eq!(place.running(), before);
    fs::remove_file(place.project.path("front/copied/a/b")).expect("a file");
    going.wait("copied: synced and restarted in");
    assert!(!docker(&["exec", &name, "/mcp-server", "cat", "/copied/a/b"]).status.success(), "deleted there, too");

    // The process goes on; and each save counts, however many come.
    let started = || docker(&["inspect", "--format", "{{.State.StartedAt}}", &name]).stdout;
    let since = started();
    for time in 0..8 {
        place.write("plain/y", &format!("{time}"));
        going.wait("copied: synced in");
        let read = docker(&["exec", &name, "/mcp-server", "cat", "/plain/y"]);
        assert_eq!(String::from_utf8_lossy(&read.stdout), format!("{time}"));
    }
    assert_eq!(started(), since);

    let mut touched = place.touched();
    place.write("app/code", "2");
    going.wait("web: app/code changed, rebuilding");
    going.wait("web: rebuilt in");
    going.wait("web-1    | one 2");
    assert_eq!(touched.so_far(), BTreeSet::from(["web".to_owned()]));

    let mut touched = place.touched();
    place.write("compose.yaml", "services: [broken");
    going.wait("docker compose: yaml:");
    going.wait("the last good configuration stays in force");
    place.write("compose.yaml", &STACK.replace("WORD", "two"));
    going.wait("web-1    | two 2");
    assert_eq!(touched.so_far(), BTreeSet::from(["web".to_owned()]));
    let labels = |one: &serde_json::Value| one["Config"]["Labels"].clone();
    for (name, one) in containers(&place.name) {
        assert_eq!(labels(&one)["mcpmon.pid"], going.child.id().to_string(), "{name}");
        assert!(name != "web-1" || (labels(&one)["own"] == "1" && labels(&one)["mcpmon.project"] == ""), "{name}");
    }

    going.signal("INT");
    assert_eq!(going.end(), Some(130));
    let left = place.running();
    assert!(left.len() == 5 && left.iter().all(|(_, _, runs)| !runs), "stopped, and there: {left:?}");
    let volumes =
        docker(&["volume", "ls", "-q", "--filter", &format!("label=com.docker.compose.project={}", place.name)]);
    assert_eq!(String::from_utf8_lossy(&volumes.stdout).lines().count(), 1);
}

const TIED: &str = "services:
  web:
    build: ./app
    command: [lines, --every, '100', --text, WORD]
    init: true
    network_mode: none
    develop:
      watch:
        - {path: ./copied, action: sync, target: /copied}
        - {path: ./again, action: sync+restart, target: /again}
  beside:
    image: mcpmon-test-server
    command: [lines, --every, '100']
    init: true
    network_mode: service:web
  asks:
    image: mcpmon-test-server
    command: [idle]
    init: true
    network_mode: host
    depends_on: {web: {condition: service_started, restart: true}}
    develop: {watch: [{path: ./asked, action: rebuild}]}
";

#[test]
fn what_stands_on_a_service_goes_on_with_it_and_what_was_copied_stays() {
    let place = Place::new("compose-tied", "tied");
    place.write("compose.yaml", &TIED.replace("WORD", "one"));
    place.write("app/Dockerfile", "FROM mcpmon-test-server\nCOPY code /code\n");
    place.write("app/code", "1");
    place.write("copied/x", "0");
    place.write("again/x", "0");
    place.write("asked/x", "0");
    // Null while it is being made anew.
    let one = |name: &str| {
        let said = docker(&["inspect", &format!("{}-{name}", place.name)]).stdout;
        serde_json::from_slice::<serde_json::Value>(&said).map(|all| all[0].clone()).unwrap_or_default()
    };
    let id = |name: &str| one(name)["Id"].as_str().unwrap_or_default().to_owned();
    let started = |name: &str| one(name)["State"]["StartedAt"].as_str().unwrap_or_default().to_owned();
    // It runs in the network of the container that stands for `web` now.
    let stands = || {
        let beside = one("beside-1");
        beside["State"]["Running"] == true
            && beside["HostConfig"]["NetworkMode"] == format!("container:{}", id("web-1"))
    };
    let read = |file: &str| {
        let read = docker(&["exec", &format!("{}-web-1", place.name), "/mcp-server", "cat", file]);
        String::from_utf8_lossy(&read.stdout).into_owned()
    };
    let mut going = place.start("docker compose up");
    going.wait("web-1     | one 2");
    place.write("copied/x", "1");
    going.wait("web: synced in");
    assert_eq!((read("/copied/x"), stands()), ("1".to_owned(), true));

    // Another image: another container, with what was copied into the last one.
    let before = (id("web-1"), started("asks-1"));
    place.write("app/code", "2");
    let said = going.wait("web: rebuilt in");
    assert!(before.0 != id("web-1") && before.1 != started("asks-1") && stands(), "{said:#?}");
    assert_eq!((read("/copied/x"), read("/code")), ("1".to_owned(), "2".to_owned()));

    // An edit.
    let before = id("web-1");
    place.write("compose.yaml", &TIED.replace("WORD", "two"));
    going.wait("web-1    | two 2");
    until("what stands on it is made anew", || before != id("web-1") && stands());

    // The same image: what was saved with it is copied into the container that stays.
    let before = id("web-1");
    place.write("app/other", "3");
    place.write("copied/x", "3");
    going.wait("web: rebuilt in");
    until("it is copied", || read("/copied/x") == "3");
    assert_eq!(before, id("web-1"));

    // The same container starts again, and so do those that hang on it.
    let before = (id("beside-1"), started("beside-1"), started("asks-1"));
    place.write("again/x", "1");
    going.wait("web: synced and restarted in");
    assert!(stands() && before.1 != started("beside-1") && before.2 != started("asks-1"));
    assert_eq!((before.0, read("/again/x")), (id("beside-1"), "1".to_owned()));

    // Nothing can be built for it.
    let before = started("asks-1");
    place.write("asked/x", "1");
    going.wait("asks: restarted in");
    assert_ne!(before, started("asks-1"));

    // One that can't be made is named, and keeps no other from it.
    let before = id("web-1");
    let (ahead, asks) = TIED.split_once("  asks:\n").expect("a service");
    let asks = asks.replace("image: mcpmon-test-server", "image: mcpmon-test-none\n    pull_policy: never");
    place.write("compose.yaml", &format!("{}  asks:\n{asks}", ahead.replace("WORD", "three")));
    going.wait("docker compose up asks failed");
    until("the others are made anew", || before != id("web-1") && stands());
    going.signal("INT");
    assert_eq!(going.end(), Some(130));
}

#[test]
fn what_is_restarted_from_outside_is_followed_on() {
    let place = Place::new("compose-restarted", "restarted");
    place.write(
        "compose.yaml",
        "services:
  web: {image: mcpmon-test-server, command: [lines, --every, '50'], network_mode: host, volumes: ['./src:/src']}\n",
    );
    place.write("src/text", "one");
    let mut going = place.start("docker compose up");
    going.wait("web-1  | line 3");
    // From here on mcpmon shows what it prints.
    place.write("src/text", "two");
    going.wait("web: restarted in");
    going.wait("web-1 | line 12");
    place.ok("docker compose restart -t 1", false);
    while !going.wait("| line 1").last().is_some_and(|line| line.ends_with("| line 1")) {}
    going.signal("INT");
    assert_eq!((going.end(), place.counts_running()), (Some(130), 0));
}

#[test]
fn what_a_plain_line_made_anew_is_no_longer_mcpmons() {
    let place = Place::new("compose-taken", "taken");
    let made = "image: mcpmon-test-server, command: [lines, --every, '50'], init: true, network_mode: host";
    place.write(
        "compose.yaml",
        &format!(
            "services:\n  web: {{{made}, volumes: ['./src:/src']}}\n  api: {{{made}, volumes: ['./other:/other']}}\n"
        ),
    );
    place.write("src/text", "one");
    place.write("other/text", "one");
    let mut going = place.start("docker compose up");
    going.wait_for_all(&["web-1  | line 3", "api-1  | line 3"]);
    place.ok("docker compose up -d --no-deps web", false);
    going.wait("web is no longer mcpmon's");
    // Each time, and for it alone; what is mcpmon's is reloaded as ever.
    let started = || inspected(&format!("{}-web-1", place.name))["State"]["StartedAt"].clone();
    let before = started();
    for (text, reloaded) in [("two", "api: restarted in"), ("three", "api: restarted in")] {
        place.write("src/text", text);
        place.write("other/text", text);
        let said = going.wait(reloaded);
        assert!(!said.iter().any(|line| line.contains("src/text")), "{said:#?}");
    }
    place.ok("docker compose up -d --no-deps api", false);
    going.wait("api is no longer mcpmon's");
    assert_eq!(going.end(), Some(0), "nothing is left that is mcpmon's");
    assert_eq!(started(), before);
}
