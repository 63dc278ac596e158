//! Compose lines with and without mcpmon in front, really run: the same containers, output and exit status; what a
//! saved file does; whose a project is; and that nothing goes on running.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Instant,
};

use crate::{
    compose_projects::{SHAPES, Shape, containers, made_of},
    engine_api::{self, Kind, sweep},
    project::{EngineLog, OWN_LABEL, Project, kill_with_watchdog},
    support::{DEADLINE, docker, in_the_same_place, until},
};

/// A compose project of its own, in a folder of the test's project.
struct Place {
    project: Project,
    folder: &'static str,
    name: String,
}

impl Place {
    fn new(test: &str, folder: &'static str) -> Self {
        let project = Project::new(test);
        let name = project.name.to_lowercase();
        project.write(&format!("{folder}/.gitignore"), "");
        Self { project, folder, name }
    }

    fn write(&self, file: &str, text: &str) {
        self.project.write(&format!("{}/{file}", self.folder), text);
    }

    /// The line with mcpmon in front, or without.
    fn command(&self, line: &str, with: bool) -> Command {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut command = self.project.command(&words);
        if !with {
            let mut plain = Command::new(words[0]);
            plain.args(&words[1..]);
            in_the_same_place(&command, &mut plain);
            command = plain;
        }
        command.env("COMPOSE_PROJECT_NAME", &self.name).env("MCPMON_DELAY", "20").env("NO_COLOR", "1");
        command.current_dir(self.project.path(self.folder)).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn output(&self, line: &str, with: bool) -> Output {
        self.command(line, with).output().expect("it runs")
    }

    #[track_caller]
    fn ok(&self, line: &str, with: bool) -> String {
        let output = self.output(line, with);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{line}: {}\n{error}", output.status);
        error
    }

    /// Each container's service and id, and whether it runs.
    fn running(&self) -> Vec<(String, String, bool)> {
        let found = containers(&self.name).into_iter();
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        found.map(|(name, one)| (name, text(&one["Id"]), one["State"]["Running"] == true)).collect()
    }

    /// How many containers run. One that is being made anew, or that a clean-up removes, can't be inspected.
    fn counts_running(&self) -> usize {
        let label = format!("label=com.docker.compose.project={}", self.name);
        engine_api::ids(Kind::Container, &[&label, "status=running"]).len()
    }

    fn ids(&self) -> Vec<String> {
        self.running().into_iter().map(|(_, id, _)| id).collect()
    }

    /// The pid on the project's containers.
    fn keeper(&self) -> BTreeSet<String> {
        let label =
            |one: &serde_json::Value| one["Config"]["Labels"]["mcpmon.pid"].as_str().unwrap_or("none").to_owned();
        containers(&self.name).iter().map(|(_, one)| label(one)).collect()
    }

    /// Hears which services something happens to from now on.
    fn touched(&self) -> Touched {
        Touched { log: EngineLog::new(&self.name), project: format!("{}-", self.name), services: BTreeSet::new() }
    }

    fn start(&self, line: &str) -> Going {
        Going::new(self.command(line, true))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        sweep(&Kind::MADE, &[&format!("com.docker.compose.project={}", self.name)]);
        engine_api::remove(Kind::Image, &format!("{}-web", self.name));
    }
}

/// The services whose containers something happened to. What only looks does not count.
struct Touched {
    log: EngineLog,
    project: String,
    services: BTreeSet<String>,
}

impl Touched {
    /// Since it was made.
    fn so_far(&mut self) -> BTreeSet<String> {
        for event in self.log.until_now() {
            let container = event.strip_prefix("container ").filter(|rest| !rest.starts_with("exec_"));
            // `project-service-1`; while compose makes it anew, `0123456789ab_project-service-1`.
            let name = container.and_then(|rest| rest.split_once(&self.project)).map(|(_, name)| name);
            self.services.extend(name.and_then(|name| name.rsplit_once('-')).map(|(service, _)| service.to_owned()));
        }
        self.services.clone()
    }
}

/// A line that goes on until it is ended.
struct Going {
    child: Child,
    lines: Receiver<String>,
}

impl Going {
    fn new(mut command: Command) -> Self {
        let mut child = command.spawn().expect("mcpmon starts");
        let (sender, lines) = channel();
        let outputs: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().expect("a pipe")), Box::new(child.stderr.take().expect("a pipe"))];
        for output in outputs {
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    let _ = sender.send(line);
                }
            });
        }
        Self { child, lines }
    }

    /// Waits until each of these was in a line, in any order; gives the lines.
    #[track_caller]
    fn wait_for_all(&self, what: &[&str]) -> Vec<String> {
        let mut seen: Vec<String> = Vec::new();
        while let Some(missing) = what.iter().find(|what| !seen.iter().any(|line| line.contains(**what))) {
            seen.extend(self.wait(missing));
        }
        seen
    }

    /// Waits for a line with this in it; gives those before it, and it.
    #[track_caller]
    fn wait(&self, what: &str) -> Vec<String> {
        let mut seen = Vec::new();
        let deadline = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => seen.push(line),
                Err(error) => panic!("{what:?} did not come ({error}): {seen:#?}"),
            }
            if seen.last().is_some_and(|line| line.contains(what)) {
                return seen;
            }
        }
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "{signal}");
    }

    /// Waits for its end; gives its exit code.
    #[track_caller]
    fn end(&mut self) -> Option<i32> {
        let mut last = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(DEADLINE) {
            last.push(line);
        }
        let mut status = None;
        until(&format!("its end, after it said {last:#?}"), || {
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Going {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z"))
}

/// The project's containers as they are made, and its files as compose names them.
fn made(place: &Place) -> Vec<(String, String)> {
    let folder = place.project.path(place.folder).canonicalize().expect("a folder");
    let found = containers(&place.name).into_iter();
    found.map(|(name, one)| (name, made_of(&one, &place.name, &folder))).collect()
}

fn same_with_and_without(shape: &'static Shape) {
    let place = Place::new("compose-line", shape.name);
    shape.write(&place.project);
    place.ok(&format!("docker compose {} up -d", shape.options), false);
    let without = made(&place);
    assert_eq!(without.len(), shape.services.iter().map(|(_, count)| count).sum::<usize>(), "{}", shape.name);
    place.ok(&format!("docker compose {} down -v -t 1", shape.options), false);

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
fn a_change_under_one_of_twenty_touches_that_one_only() {
    let mut place = Place::new("compose-twenty", "twenty");
    let services = (0..20).fold("services:\n".to_owned(), |services, n| {
        let made = "image: mcpmon-test-server, command: [idle], init: true, network_mode: none";
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
    network_mode: none
    volumes: [data:/data]
    labels: [mcpmon.project=stolen, own=1]
  api:
    image: mcpmon-test-server
    command: [lines, --every, '50']
    init: true
    network_mode: none
    volumes: ['./src:/src']
    depends_on: {db: {condition: service_started}}
  db:
    image: mcpmon-test-server
    command: [lines, --every, '100']
    init: true
    network_mode: none
    profiles: []
    volumes: ['./src/text:/text']
  after:
    image: mcpmon-test-server
    command: [idle]
    init: true
    network_mode: none
    depends_on: {api: {condition: service_started, restart: true}}
  copied:
    image: mcpmon-test-server
    command: [lines, --every, '100']
    init: true
    network_mode: none
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
    network_mode: none
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
  web: {image: mcpmon-test-server, command: [lines, --every, '50'], network_mode: none, volumes: ['./src:/src']}\n",
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
fn what_a_create_line_made_is_its_users() {
    let place = Place::new("compose-create", "create");
    place.write(
        "compose.yaml",
        "services:\n  web: {image: mcpmon-test-server, command: [idle], init: true, network_mode: none}\n",
    );
    place.ok("docker compose create", true);
    place.ok("docker compose start", true);
    assert_eq!((place.counts_running(), place.keeper().len()), (1, 1));
    let label = format!("{OWN_LABEL}={}", place.project.name);
    let line = format!("docker create --init --network none --label {label} mcpmon-test-server idle");
    let made = String::from_utf8_lossy(&place.output(&line, true).stdout).trim().to_owned();
    assert!(docker(&["start", &made]).status.success());
    let cleanup = place.project.run(&["cleanup", "--dry-run", "--verbose", "--format", "json"]);
    let name = docker(&["inspect", "--format", "{{.Name}}", &made]).stdout;
    let name = String::from_utf8_lossy(&name).trim().trim_start_matches('/').to_owned();
    assert!(!name.is_empty() && !cleanup.out.contains(&name) && !cleanup.out.contains(&place.name), "{cleanup:?}");
    // The next `up` makes it a session's.
    let mut going = place.start("docker compose up");
    going.wait("Attaching to");
    until("it is the session's", || place.keeper() == BTreeSet::from([going.child.id().to_string()]));
    going.signal("INT");
    assert_eq!(going.end(), Some(130));
}

#[test]
fn what_an_up_line_left_stopped_is_its_users_and_what_a_killed_one_left_running_is_not() {
    let place = Place::new("compose-left", "left");
    place.write(
        "compose.yaml",
        "services:\n  web: {image: mcpmon-test-server, command: [idle], init: true, network_mode: none}\n",
    );
    let found = || {
        let listed = place.project.run(&["cleanup", "--dry-run", "--verbose", "--format", "json"]).events();
        let name = format!("{}-web-1", place.name);
        let own = listed.iter().find(|event| event["name"] == name);
        own.map(|event| event["verdict"].as_str().unwrap_or_default().to_owned())
    };
    let mut going = place.start("docker compose up");
    going.wait("Attaching to");
    until("it runs", || place.counts_running() == 1);
    assert_eq!(found().as_deref(), Some("owned"));
    going.signal("INT");
    assert_eq!((going.end(), place.counts_running(), found()), (Some(130), 0, None));
    place.ok("docker compose start", false);
    assert_eq!((place.counts_running(), found()), (1, None), "started again by hand");

    // The next `up` makes it a session's, which is killed, and whose watchdog stops it in time or not.
    let going = place.start("docker compose up");
    until("it is the session's", || place.keeper() == BTreeSet::from([going.child.id().to_string()]));
    until("it runs", || place.counts_running() == 1);
    going.signal("KILL");
    until("the watchdog stops it, and is done", || place.counts_running() == 0 && found().is_none());
    let going = place.start("docker compose up");
    until("it is the session's", || place.keeper() == BTreeSet::from([going.child.id().to_string()]));
    until("it runs", || place.counts_running() == 1);
    kill_with_watchdog(going.child.id());
    assert_eq!((place.counts_running(), found().as_deref()), (1, Some("orphan")));
}

/// Where compose is asked to end in the middle of its starts it stops what runs, starts the others all the same, and
/// waits for their end for ever.
#[test]
fn a_line_that_is_ended_while_it_starts_leaves_nothing_running() {
    let place = Place::new("compose-early", "early");
    let service = |name: &str, more: &str| {
        format!("  {name}: {{image: mcpmon-test-server, command: [idle], init: true, network_mode: none{more}}}\n")
    };
    let chain = [service("a", ""), service("b", ", depends_on: [a]"), service("c", ", depends_on: [b]")].concat();
    place.write("compose.yaml", &format!("services:\n{chain}"));
    let mut going = place.start("docker compose up");
    until("the first has started", || place.counts_running() > 0);
    going.signal("INT");
    assert_eq!(going.end(), Some(130));
    assert_eq!(place.counts_running(), 0);
}

#[test]
fn compose_that_does_not_end_is_killed_and_leaves_nothing_running() {
    let place = Place::new("compose-stuck", "stuck");
    place.write(
        "compose.yaml",
        "services:\n  web: {image: mcpmon-test-server, command: [idle], init: true, network_mode: none}\n",
    );
    let mut going = place.start("docker compose up -t 0");
    until("it runs", || place.counts_running() == 1);
    // The CLI and its plugin are a process group, led by mcpmon's child that is not the watchdog.
    let mcpmon = going.child.id();
    let children = fs::read_to_string(format!("/proc/{mcpmon}/task/{mcpmon}/children")).expect("it runs");
    let is_watchdog =
        |pid: &&str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "mcpmon-watchdog");
    let compose = children.split_whitespace().find(|pid| !is_watchdog(pid)).expect("compose runs");
    assert!(Command::new("kill").args(["-STOP", "--", &format!("-{compose}")]).status().expect("kill runs").success());
    going.signal("INT");
    let said = going.wait("was asked to end, and did not");
    assert_eq!(going.end(), Some(130), "{said:#?}");
    assert_eq!(place.counts_running(), 0);
    assert!(!is_alive(compose));
}

#[test]
fn lines_end_as_without_mcpmon() {
    let place = Place::new("compose-ends", "ends");
    place.write(
        "compose.yaml",
        "services:\n  ok: {image: mcpmon-test-server, command: [lines, --count, '2', --then-exit, '0'], network_mode: none}\n  \
         bad: {image: mcpmon-test-server, command: [exit, '3'], network_mode: none}\n  \
         long: {image: mcpmon-test-server, command: [idle], init: true, network_mode: none}\n  \
         odd: {image: mcpmon-test-server, command: [idle], network_mode: none, depends_on: {bad: {condition: service_completed_successfully}}}\n",
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
        place.ok("docker compose down -t 0 --remove-orphans", false);
        let with = told(place.output(line, true));
        assert_eq!(with, without, "{line}");
        let left = place.running();
        assert_eq!(left.iter().map(|(name, _, _)| name.clone()).collect::<Vec<_>>(), kept, "{line}");
        assert!(left.iter().all(|(_, _, runs)| !runs), "{line}: {left:?}");
        place.ok("docker compose down -t 0 --remove-orphans", false);
    }
}

#[test]
fn signals_stop_what_runs_and_so_does_a_kill() {
    let place = Place::new("compose-signals", "ends");
    place.write(
        "compose.yaml",
        "services:\n  long: {image: mcpmon-test-server, command: [idle], init: true, network_mode: none}\n",
    );
    for (signal, code) in [("INT", 130), ("TERM", 130), ("HUP", 129)] {
        let mut going = place.start("docker compose up long");
        until("it runs", || place.counts_running() == 1);
        going.wait("Attaching to");
        going.signal(signal);
        assert_eq!(going.end(), Some(code), "{signal}");
        assert_eq!(place.counts_running(), 0, "{signal}");
    }
    // Killed: what ran is stopped all the same.
    let mut going = place.start("docker compose up long");
    going.wait("Attaching to");
    until("it runs", || place.counts_running() == 1);
    going.signal("KILL");
    let _ = going.child.wait();
    until("it is stopped", || place.counts_running() == 0);
}

#[test]
fn what_is_missing_or_can_not_be_is_said() {
    let place = Place::new("compose-bad", "bad");
    place.write("compose.yaml", "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: none}\n");
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
