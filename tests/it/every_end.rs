//! Every end of a session, the unkind ones above all: nothing is left of it, and nothing that is another's is touched.
//! A session that is killed has a watchdog; a watchdog that is killed has a session; both killed are found by the next.

use std::{
    collections::BTreeMap,
    fs,
    io::BufRead,
    os::{fd::AsRawFd, unix::process::CommandExt},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use mcpmon::model::labels;
use serde_json::json;

use crate::{
    client::Client,
    project::{OWN_LABEL, Project, Up, kill, kill_with_watchdog, processes_in, watchdog_of},
    second_engine::SecondEngine,
    support::{DEADLINE, IMAGE, docker, until},
    wire::Wire,
};

/// A target whose server ends at SIGTERM.
fn idle(name: &str) -> String {
    format!(
        "[targets.{name}]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = [\"idle\"]\nnetworks = [\"inner\"]\n"
    )
}

/// The same in the host's network: there is none to make.
fn alone(name: &str) -> String {
    idle(name).replace("networks = [\"inner\"]", "network_mode = \"host\"")
}

const INNER: &str = "[networks.inner]\ninternal = true\n";

fn lives(pid: u32) -> bool {
    mcpmon::session::process::start_time(pid).is_some()
}

/// Processes that were started by sessions of that one process.
fn marked_by(pid: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").expect("/proc").flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|process| {
        let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        let mark = environment
            .split(|byte| *byte == 0)
            .find_map(|one| one.strip_prefix(b"_MCPMON_CHILD=").map(<[u8]>::to_vec));
        let mark = mark.map(|mark| String::from_utf8_lossy(&mark).into_owned()).unwrap_or_default();
        lives(*process) && mark.split('/').nth(2) == Some(&pid.to_string())
    })
    .collect()
}

/// Passing folders and leases of that process.
fn files_of(pid: u32) -> Vec<String> {
    let folders = mcpmon::session::runtime_folder::candidates().into_iter().chain([std::env::temp_dir()]);
    let entries = folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
    entries
        .map(|entry| entry.path())
        .filter(|path| {
            let text = if path.extension().is_some_and(|suffix| suffix == "lease") {
                fs::read_to_string(path).unwrap_or_default()
            } else {
                String::new()
            };
            text.contains(&format!("\"pid\":{pid},")) || path.display().to_string().contains(&format!("-{pid}-"))
        })
        .map(|path| path.display().to_string())
        .collect()
}

/// Ids of running containers with a label.
fn running(label: &str, value: &str) -> Vec<String> {
    let found = docker(&["ps", "-q", "--no-trunc", "--filter", &format!("label={label}={value}")]);
    String::from_utf8_lossy(&found.stdout).lines().map(str::to_owned).collect()
}

/// A session of each kind, with its pid and what it is.
struct Sessions {
    project: Project,
    supervised: Project,
    served: Project,
    /// Kept, so that nothing ends by its stdin's end or a closed pipe.
    clients: Vec<Client>,
    up: Up,
    lines: Vec<Up>,
    pids: BTreeMap<&'static str, u32>,
}

impl Sessions {
    fn start() -> Self {
        let config = format!("{}{}{INNER}", idle("api"), idle("db"));
        let (project, supervised) = (Project::with("ends", &config), Project::with("ends-d", &config));
        let served = Project::with("ends-run", &format!("{}{INNER}", idle("api").replace("\"idle\"", "\"stdio\"")));
        let label = format!("{OWN_LABEL}={}", project.name);
        let line = |options: &[&str], command: &str| {
            let words = ["docker", "run", "--network", "host", "--init", "--label", &label];
            [&words[..], options, &[IMAGE, command]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        let start =
            |words: Vec<String>| Up::start(project.command(&words.iter().map(String::as_str).collect::<Vec<_>>()));
        let up = project.up(&[]);
        let lines = vec![start(line(&[], "idle")), start(line(&["-d"], "idle"))];
        let stdio_line = line(&["-i", "--rm"], "stdio");
        let mut clients = vec![
            Client::start(&served, &["run", "api"]),
            Client::start(&project, &stdio_line.iter().map(String::as_str).collect::<Vec<_>>()),
            // A server that becomes a daemon as well, in a session and group of its own; both ignore SIGTERM and stdin's end.
            Client::start(
                &project,
                &[
                    "sh",
                    "-c",
                    "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 600; sleep 601' & sleep 602; sleep 603",
                ],
            ),
        ];
        clients[0].initialize();
        clients[1].initialize();
        supervised.detached();
        let keeper = processes_in(&supervised.path("")).pop().expect("a supervisor");
        let pids = BTreeMap::from([
            ("up", up.pid()),
            ("up -d", keeper),
            ("docker run", lines[0].pid()),
            ("docker run -d", lines[1].pid()),
            ("run", clients[0].pid()),
            ("docker run -i", clients[1].pid()),
            ("sh -c", clients[2].pid()),
        ]);
        Self { project, supervised, served, clients, up, lines, pids }
    }

    fn containers(&self) -> Vec<String> {
        let name = &self.project.name;
        let own = [running(labels::PROJECT, name), running(OWN_LABEL, name)].concat();
        [own, running(labels::PROJECT, &self.supervised.name), running(labels::PROJECT, &self.served.name)].concat()
    }

    fn wait(&mut self) {
        self.up.wait("settled", "");
        // up 2, up -d 2, run 1, lines 3.
        until("all containers run", || self.containers().len() == 8);
        until("all processes run", || marked_by(self.pids["sh -c"]).len() >= 4);
    }
}

#[test]
fn killed_sessions_of_all_kinds_leave_nothing_and_touch_nobody() {
    let other = Project::with("ends-other", &format!("{}{INNER}", idle("api")));
    let mut lives_on = other.settled();
    let stranger = format!("{}-stranger", other.name);
    let label = format!("{OWN_LABEL}={}", other.name);
    let made =
        docker(&["run", "-d", "--init", "--network", "host", "--name", &stranger, "--label", &label, IMAGE, "idle"]);
    assert!(made.status.success(), "{made:?}");
    let others = || (running(labels::PROJECT, &other.name), running(OWN_LABEL, &other.name));
    let before = others();

    let mut sessions = Sessions::start();
    sessions.wait();
    let containers = sessions.containers();
    let watchdogs: Vec<u32> = sessions.pids.values().filter_map(|pid| watchdog_of(*pid)).collect();
    assert_eq!(watchdogs.len(), sessions.pids.len(), "each session has one");
    for pid in &watchdogs {
        println!("watchdog {pid}: {}", memory(*pid));
        // Whoever wants it to end, has to kill it.
        for signal in ["HUP", "INT", "TERM", "QUIT"] {
            kill(*pid, signal);
        }
    }

    let mut events = Command::new("docker")
        .args(["events", "--filter", "event=destroy", "--format", "{{.ID}}", "--since", "1s"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("docker events");
    let destroyed = std::io::BufReader::new(events.stdout.take().expect("a pipe"));
    let killed = Instant::now();
    for pid in sessions.pids.values() {
        kill(*pid, "KILL");
    }
    let mut left = containers.clone();
    for line in destroyed.lines().map_while(Result::ok) {
        left.retain(|id| *id != line);
        if left.is_empty() {
            break;
        }
        assert!(killed.elapsed() < DEADLINE, "left: {left:?}");
    }
    println!(
        "{} containers of {} killed sessions gone after {:?}",
        containers.len(),
        watchdogs.len(),
        killed.elapsed()
    );
    let _ = events.kill();
    let _ = events.wait();

    until("the watchdogs have ended", || !watchdogs.iter().any(|pid| lives(*pid)));
    for (what, pid) in &sessions.pids {
        assert_eq!(marked_by(*pid), Vec::<u32>::new(), "processes of {what}");
        assert_eq!(files_of(*pid), Vec::<String>::new(), "files of {what}");
    }
    sessions.project.assert_nothing_left();
    sessions.supervised.assert_nothing_left();
    sessions.served.assert_nothing_left();
    assert_eq!(others(), before, "others' containers");
    assert!(docker(&["rm", "-f", &stranger]).status.success());
    lives_on.interrupt();
    other.assert_nothing_left();
    drop(sessions.clients);
    drop(sessions.lines);
}

/// What a process has in memory, in words.
fn memory(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let of = |key: &str| {
        status
            .lines()
            .find(|line| line.starts_with(key))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    ["VmRSS:", "RssAnon:", "RssFile:"].into_iter().filter_map(of).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_killed_watchdog_is_followed_by_another_and_a_killed_group_has_one_still() {
    let project = Project::with("watchdog", &alone("api"));
    let mut command = project.command(&["up", "--format", "json"]);
    command.process_group(0);
    // A shell leaves things open for what it starts: a lock, a pipe. Whoever is to outlive the session must not hold them.
    let (left_open, _writer) = rustix::pipe::pipe().expect("a pipe");
    let mut up = Up::start(command);
    up.wait("settled", "");
    let first = watchdog_of(up.pid()).expect("a watchdog");
    let has_it = |pid: u32| {
        let file = |pid| fs::read_link(format!("/proc/{pid}/fd/{}", left_open.as_raw_fd())).ok();
        file(pid) == file(std::process::id())
    };
    assert!(has_it(up.pid()) && !has_it(first));
    kill(first, "KILL");
    until("another one", || watchdog_of(up.pid()).is_some_and(|second| second != first));
    let id = project.id("api");
    // Suspended, a session lives: nobody takes what it has, and it goes on.
    up.signal("STOP");
    let cleanup = project.run(&["cleanup", "--dry-run"]);
    assert!(!cleanup.out.contains(&project.name), "{cleanup:?}");
    up.signal("CONT");
    assert!(docker(&["kill", &id]).status.success());
    up.wait("ready", "api");
    assert_eq!(project.id("api"), id);
    let group = format!("-{}", up.pid());
    assert!(Command::new("kill").args(["-KILL", "--", &group]).status().expect("kill runs").success());
    until("nothing is left", || project.on_the_engine().is_empty());
    assert_eq!(up.end().0.code(), None);
}

#[test]
fn what_both_killed_left_is_taken_over_as_it_is() {
    let project = Project::with("adopt", &format!("{}{}{INNER}", idle("api"), idle("db")));
    let up = project.settled();
    let (dead, api, db) = (up.pid(), project.id("api"), project.id("db"));
    kill_with_watchdog(dead);
    drop(up);
    let plan = project.run(&["plan"]).out.replace(&dead.to_string(), "PID");
    assert!(plan.contains("~ api") && plan.contains("adopt: its owner, pid PID, is dead"), "{plan}");
    assert!(project.run(&["cleanup", "--dry-run"]).out.contains(&project.container("api")), "an orphan until then");

    let mut log = project.watch_engine();
    // One is edited meanwhile: it can't be taken over.
    project.config(&format!("{}{}environment = {{ A = \"1\" }}\n{INNER}", idle("api"), idle("db")));
    let mut up = project.up(&[]);
    let adopted = up.wait("action_done", "api");
    assert_eq!(adopted.text("action"), "adopt");
    up.wait_for("both stand", |event| event["event"] == "settled" && event["ready"] == 2);
    assert_eq!(project.id("api"), api);
    assert_ne!(project.id("db"), db, "another configuration");
    let happened = log.until_now();
    let touched: Vec<&String> = happened.iter().filter(|event| event.ends_with(&project.container("api"))).collect();
    assert_eq!(touched, Vec::<&String>::new(), "{happened:#?}");

    // It is owned whatever its labels say; by all who ask.
    let cleanup = project.run(&["cleanup", "--dry-run"]);
    assert!(!cleanup.out.contains(&project.container("api")), "{cleanup:?}");
    let ps = project.run(&["ps", "--format", "json"]).json();
    assert_eq!(ps[0]["owner"], json!({"state": "alive", "pid": up.pid()}), "{ps:#}");
    let second = project.run(&["up"]);
    assert!(second.err.contains(&format!("is kept by another mcpmon, pid {}", up.pid())), "{second:?}");
    // It is watched over as one's own: what ends is started again; with the session it goes, its network too.
    assert!(docker(&["kill", &api]).status.success());
    up.wait("ready", "api");
    kill(up.pid(), "KILL");
    until("nothing is left", || project.on_the_engine().is_empty());

    // And in order as well.
    let first = project.settled();
    kill_with_watchdog(first.pid());
    let mut up = project.settled();
    assert_eq!(
        up.seen(|event| event["event"] == "action_done" && event["action"] == "adopt").len(),
        2,
        "{}",
        up.told()
    );
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn what_is_left_on_purpose_is_kept_and_taken_over() {
    let config = format!("reconcile.on_exit = \"keep\"\n{}", alone("api"));
    let project = Project::with("kept", &config);
    let mut up = project.settled();
    let id = project.id("api");
    let watchdog = watchdog_of(up.pid()).expect("a watchdog");
    kill(up.pid(), "KILL");
    until("the watchdog has ended", || !lives(watchdog));
    up.end();
    assert_eq!(project.id("api"), id);
    let cleanup = project.run(&["cleanup", "--force"]);
    assert_eq!(cleanup.code, 0, "{cleanup:?}");
    assert_eq!((project.id("api"), project.inspect("api")["State"]["Running"].clone()), (id.clone(), true.into()));

    let mut up = project.settled();
    assert_eq!(project.id("api"), id);
    up.signal("INT");
    assert_eq!(up.wait("stopped", "").number("left"), 1);
    up.end();
    assert_eq!(project.id("api"), id);
    // Its file does not ask for it any more: now it is an orphan.
    project.config(&format!("reconcile.on_exit = \"keep\"\n{}", alone("other")));
    let cleanup = project.run(&["cleanup", "--dry-run"]);
    assert!(cleanup.out.contains(&project.container("api")), "{cleanup:?}");
    assert_eq!(project.run(&["down"]).code, 0);
    project.assert_nothing_left();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watchdog_waits_for_an_engine_that_is_gone() {
    let mut wire = Wire::new();
    let mut project = Project::with("ends-gone", &alone("api"));
    project.environment("DOCKER_HOST", &wire.address());
    let up = project.settled();
    let watchdog = watchdog_of(up.pid()).expect("a watchdog");
    wire.cut().await;
    kill(up.pid(), "KILL");
    drop(up);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(lives(watchdog) && !project.on_the_engine().is_empty());
    wire.mend();
    // The wire is served by this very runtime.
    let nothing = tokio::task::spawn_blocking(move || {
        until("nothing is left", || project.on_the_engine().is_empty());
        until("the watchdog has ended", || !lives(watchdog));
    });
    nothing.await.expect("gone");
}

#[test]
fn a_stop_ends_daemons_too() {
    let mut project = Project::new("daemon");
    let pid = project.elsewhere("pid");
    let script = format!("setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600' & cat", pid.display());
    let mut client = Client::start(&project, &["sh", "-c", &script]);
    until("the daemon runs", || pid.exists());
    let daemon: u32 = fs::read_to_string(&pid).expect("a pid").trim().parse().expect("a number");
    let session = client.pid();
    assert!(lives(daemon));
    client.close();
    client.end();
    assert!(!lives(daemon), "it left its group, not its session");
    assert_eq!((marked_by(session), files_of(session)), (Vec::new(), Vec::new()));

    // One that nobody could end is ended by the next session, whatever that is: here it is none of another test.
    let runtime = project.elsewhere("runtime");
    fs::create_dir(&runtime).expect("a folder");
    project.environment("XDG_RUNTIME_DIR", &runtime.display().to_string());
    fs::remove_file(&pid).expect("the pid file");
    let client = Client::start(&project, &["sh", "-c", &script]);
    until("the daemon runs", || pid.exists());
    let daemon: u32 = fs::read_to_string(&pid).expect("a pid").trim().parse().expect("a number");
    kill_with_watchdog(client.pid());
    drop(client);
    assert!(lives(daemon));
    let next = Client::start(&project, &["cat"]);
    until("the daemon ends", || !lives(daemon));
    drop(next);
}

#[test]
fn a_session_outlives_its_engine_and_a_killed_one_leaves_nothing_on_it() {
    let mut engine = SecondEngine::new();
    let config = format!(
        "[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = [\"idle\"]\nnetwork_mode = \"none\"\n"
    );
    let mut project = Project::with("second", &config);
    project.environment("DOCKER_HOST", &engine.address());
    let mut up = project.settled();
    let running = |engine: &SecondEngine| engine.docker(&["ps", "-q"]).1;
    let first = running(&engine);
    assert_eq!(first.lines().count(), 1);

    // What the engine's end or death ended is started again.
    for end in [SecondEngine::stop, SecondEngine::kill] {
        end(&mut engine);
        up.wait("engine_lost", "");
        engine.start();
        up.wait("engine_back", "");
        up.wait("ready", "api");
        assert_eq!(running(&engine), first);
    }

    // And so does a watchdog.
    let watchdog = watchdog_of(up.pid()).expect("a watchdog");
    engine.kill();
    kill(up.pid(), "KILL");
    drop(up);
    engine.start();
    until("nothing is left", || engine.docker(&["ps", "-aq"]) == (true, String::new()));
    until("the watchdog has ended", || !lives(watchdog));
}
