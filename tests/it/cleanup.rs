//! `mcpmon cleanup`: lists and removes what dead mcpmons left, and nothing else. It looks at the whole engine, so
//! these tests run one after the other (.config/nextest.toml), and others' containers, which belong to living
//! processes, must not be in what it names.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use mcpmon::{model::labels, session::host};

use crate::{
    engine_api::{self, Kind},
    project::{Project, Ran, kill_with_watchdog},
    support::{IMAGE, docker},
};

/// No process has this id: the kernel's limit is 2^22.
const NOBODY: &str = "4194305";

/// Some session's UUID.
const SOME: &str = "a1b2c3d4-e5f6-4890-abcd-ef1234567890";

/// Makes containers as sessions in all kinds of circumstances would have, by hand.
struct Made {
    project: Project,
    here: String,
}

impl Made {
    fn new(test: &str) -> Self {
        Self { project: Project::new(test), here: host::identity().to_string() }
    }

    /// A running container with `mcpmon.project`, `mcpmon.target` and these labels; gives its name.
    fn container(&self, target: &str, more: &[(&str, &str)]) -> String {
        self.made(&["run", "-d"], target, more, "idle")
    }

    fn made(&self, how: &[&str], target: &str, more: &[(&str, &str)], command: &str) -> String {
        let name = self.project.container(target);
        let mut arguments = [how, &["--init", "--network", "host", "--name", &name]].concat();
        let project = format!("{}={}", labels::PROJECT, self.project.name);
        let target = format!("{}={target}", labels::TARGET);
        let more: Vec<String> = more.iter().map(|(key, value)| format!("{key}={value}")).collect();
        for label in [&project, &target].into_iter().chain(&more) {
            arguments.extend(["--label", label]);
        }
        arguments.extend([IMAGE, command]);
        let made = docker(&arguments);
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        name
    }

    /// One of each kind; gives the names of the orphans and of the others.
    fn one_of_each(&self) -> (Vec<String>, Vec<String>) {
        let me = std::process::id().to_string();
        let start = mcpmon::session::process::start_time(std::process::id()).expect("it lives").to_string();
        let managed = (labels::MANAGED, "true");
        let here = (labels::HOST, self.here.as_str());
        let parts: Vec<&str> = self.here.split('/').collect();
        let other_boot = format!("{}/before/{}", parts[0], parts[2]);
        let other_host = format!("elsewhere/{}/{}", parts[1], parts[2]);
        let orphans = vec![
            self.container("dead", &[managed, here, (labels::PID, NOBODY), (labels::PID_START, "1")]),
            self.container("reused", &[managed, here, (labels::PID, &me), (labels::PID_START, "1")]),
            self.container("rebooted", &[managed, (labels::HOST, &other_boot), (labels::PID, &me)]),
            self.container("nameless", &[managed]),
            // As the predecessor's: four labels, no host.
            self.container(
                "earlier",
                &[managed, (labels::SESSION, SOME), (labels::PID, NOBODY), (labels::STARTED, "1672531200000")],
            ),
        ];
        let others = vec![
            self.container(
                "earlier-lives",
                &[managed, (labels::SESSION, SOME), (labels::PID, &me), (labels::STARTED, "1672531200000")],
            ),
            self.container("living", &[managed, here, (labels::PID, &me), (labels::PID_START, &start)]),
            self.container("remote", &[managed, (labels::HOST, &other_host), (labels::PID, NOBODY)]),
            self.container("unmanaged", &[here, (labels::PID, NOBODY)]),
            self.made(&["create"], "young", &[managed, here, (labels::PID, NOBODY), (labels::PID_START, "1")], "idle"),
        ];
        (orphans, others)
    }

    /// What a run says about this test's containers: sorted, without ids and times.
    fn about(&self, ran: &Ran) -> String {
        let mut lines: Vec<String> = ran
            .out
            .lines()
            .filter(|line| line.contains(&self.project.name))
            .map(|line| {
                let words: Vec<&str> = line.split("  ").map(str::trim).filter(|word| !word.is_empty()).collect();
                let [name, image, age, place, owner, why] = words[..] else { panic!("six columns: {line:?}") };
                assert!(age.ends_with(['s', 'm']) || image == "(network)", "{line:?}");
                self.project.tidy(&format!("{name}  {image}  {place}  {owner}  {why}"))
            })
            .map(|line| line.replace(&std::process::id().to_string(), "ME"))
            .collect();
        lines.sort();
        lines.join("\n")
    }
}

/// Whether there is such a container.
fn there(name: &str) -> bool {
    engine_api::inspect(Kind::Container, name).is_some()
}

#[test]
fn orphans_are_listed_and_only_force_removes_them() {
    let made = Made::new("cleanup");
    let (orphans, others) = made.one_of_each();

    let dry = made.project.run(&["cleanup", "--dry-run"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    insta::assert_snapshot!(made.about(&dry), @r"
    PROJECT-dead  mcpmon-test-server:latest  PROJECT/dead  pid 4194305  its owner, pid 4194305, is dead
    PROJECT-earlier  mcpmon-test-server:latest  PROJECT/earlier  pid 4194305  its owner, pid 4194305, is dead
    PROJECT-nameless  mcpmon-test-server:latest  PROJECT/nameless  -  it names no owner
    PROJECT-rebooted  mcpmon-test-server:latest  PROJECT/rebooted  pid ME  its owner, pid ME, ran before the host's last start
    PROJECT-reused  mcpmon-test-server:latest  PROJECT/reused  pid ME  its owner is dead; pid ME is another process now
    ");
    assert!(dry.out.starts_with("NAME "), "{dry:?}");
    assert!(dry.out.contains("not judged here (--all-hosts takes them)"), "{dry:?}");
    assert!(dry.out.contains("too young"), "{dry:?}");

    // Without a terminal and without --force: listed, nothing removed, exit code 1.
    let asked = made.project.run(&["cleanup"]);
    assert_eq!(asked.code, 1, "{asked:?}");
    assert_eq!(asked.err, "nothing removed: --force removes without asking\n");
    assert_eq!(made.about(&asked), made.about(&dry));
    let old = made.project.run(&["cleanup", "--force", "--older-than", "10m"]);
    assert_eq!((old.code, made.about(&old).as_str()), (0, ""), "{old:?}");
    assert_eq!(made.project.run(&["cleanup", "--older-than", "soon"]).code, 64);
    for name in orphans.iter().chain(&others) {
        assert!(there(name), "{name} is gone");
    }

    let verbose = made.project.run(&["cleanup", "--dry-run", "--verbose"]);
    insta::assert_snapshot!(made.about(&verbose), @r"
    PROJECT-dead  mcpmon-test-server:latest  PROJECT/dead  pid 4194305  its owner, pid 4194305, is dead
    PROJECT-earlier  mcpmon-test-server:latest  PROJECT/earlier  pid 4194305  its owner, pid 4194305, is dead
    PROJECT-earlier-lives  mcpmon-test-server:latest  PROJECT/earlier-lives  pid ME  kept by pid ME
    PROJECT-living  mcpmon-test-server:latest  PROJECT/living  pid ME  kept by pid ME
    PROJECT-nameless  mcpmon-test-server:latest  PROJECT/nameless  -  it names no owner
    PROJECT-rebooted  mcpmon-test-server:latest  PROJECT/rebooted  pid ME  its owner, pid ME, ran before the host's last start
    PROJECT-remote  mcpmon-test-server:latest  PROJECT/remote  pid 4194305  not judged: host elsewhere
    PROJECT-reused  mcpmon-test-server:latest  PROJECT/reused  pid ME  its owner is dead; pid ME is another process now
    PROJECT-young  mcpmon-test-server:latest  PROJECT/young  pid 4194305  its owner, pid 4194305, is dead; left: created less than 30 s ago, not started yet
    ");
    let all_hosts = made.project.run(&["cleanup", "--dry-run", "--all-hosts"]);
    assert!(made.about(&all_hosts).contains("PROJECT-remote"), "{all_hosts:?}");
    let json = made.project.run(&["cleanup", "--dry-run", "--format", "json"]).events();
    let dead = json.iter().find(|found| found["name"] == orphans[0].as_str()).expect("it is listed");
    assert_eq!((&dead["event"], &dead["kind"]), (&"found".into(), &"container".into()));
    assert_eq!((&dead["verdict"], &dead["target"]), (&"orphan".into(), &"dead".into()));
    assert_eq!(dead["why"], format!("its owner, pid {NOBODY}, is dead"));
    assert!(dead["age_s"].as_u64().is_some_and(|age| age < 120) && dead["pid"] == 4_194_305, "{dead}");
    assert!(!json.iter().any(|found| others.iter().any(|other| found["name"] == other.as_str())), "{json:#?}");

    let forced = made.project.run(&["cleanup", "--force", "--format", "json"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    let done = forced.events();
    let last = done.last().expect("events");
    assert_eq!((&last["event"], &last["left"]), (&"stopped".into(), &0.into()), "{last}");
    for name in &orphans {
        assert!(!there(name), "{name} is still there: {forced:?}");
        assert!(done.iter().any(|event| event["event"] == "action_done" && event["target"] == name.as_str()), "{name}");
    }
    for name in &others {
        assert!(there(name), "{name} is gone: {forced:?}");
    }
    // What was done is kept, though the project has no history of its own.
    let kept = made.project.run(&["events", "--all"]).out;
    assert!(kept.contains(&format!("{}: removed", orphans[0])) && kept.contains("is dead  [cleanup"), "{kept}");
    assert!(!made.project.elsewhere(&format!("state/mcpmon/history/{}.jsonl", made.project.name)).exists());
    let again = made.project.run(&["cleanup", "--force"]);
    assert_eq!((again.code, made.about(&again).as_str()), (0, ""), "{again:?}");
}

/// Ten that ignore SIGTERM, two more than are stopped at once, take one grace period together, not two.
#[test]
fn many_that_do_not_listen_take_one_grace_period() {
    let made = Made::new("stubborn");
    let config = "{\"stop_grace_period\":\"8s\"}";
    let dead =
        [(labels::MANAGED, "true"), (labels::HOST, &*made.here), (labels::PID, NOBODY), (labels::CONFIG, config)];
    let names: Vec<_> =
        (0..10).map(|number| made.made(&["run", "-d"], &format!("s{number}"), &dead, "stubborn")).collect();
    let mut log = made.project.watch_engine();
    let began = Instant::now();
    let forced = made.project.run(&["cleanup", "--force"]);
    let took = began.elapsed();
    assert_eq!(forced.code, 0, "{forced:?}");
    assert!(names.iter().all(|name| !there(name)));
    assert!(took > Duration::from_secs(8), "{took:?}: they had their time");
    assert!(took < Duration::from_secs(2 * 8), "{took:?}, and not twice: {forced:?}");
    // Asked to end before any of them was at its end.
    let happened = log.until_now();
    let asked = happened.iter().take_while(|event| !event.starts_with("container die "));
    let asked: BTreeSet<&str> = asked.filter_map(|event| event.strip_prefix("container kill ")).collect();
    assert_eq!(asked.len(), names.len(), "{happened:#?}");
}

#[test]
fn the_earlier_spelling_does_the_same() {
    let made = Made::new("spelling");
    let dead = [(labels::MANAGED, "true"), (labels::HOST, &*made.here), (labels::PID, NOBODY)];
    let name = made.container("dead", &dead);
    let listed = made.project.run(&["--cleanup", "--dry-run"]);
    assert_eq!((listed.code, made.about(&listed).lines().count()), (0, 1), "{listed:?}");
    assert!(there(&name));
    let verbose = made.project.run(&["--cleanup", "--verbose", "--dry-run"]);
    assert_eq!((verbose.code, made.about(&verbose).lines().count()), (0, 1), "{verbose:?}");
    let old = made.project.run(&["--cleanup", "--force", "--older-than", "1h", "--all-hosts"]);
    assert!(old.code == 0 && there(&name), "{old:?}");
    let forced = made.project.run(&["--cleanup", "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    assert!(!there(&name));
    assert_eq!(made.project.run(&["--force"]).code, 64, "--force alone means nothing");
}

#[test]
fn what_a_killed_session_left_is_an_orphan_with_its_network() {
    let project = Project::with(
        "killed",
        &format!(
            "[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\ncommand = [\"stubborn\"]\nnetworks = [\"inner\"]\n\
             stop_grace_period = \"300ms\"\n[networks.inner]\ninternal = true\n"
        ),
    );
    let up = project.settled();
    // While it lives, it is not.
    let alive = project.run(&["cleanup", "--dry-run"]);
    assert!(!alive.out.contains(&project.name), "{alive:?}");
    kill_with_watchdog(up.pid());
    drop(up);
    let dead = project.run(&["cleanup", "--dry-run"]);
    assert!(dead.out.contains(&project.container("api")), "{dead:?}");
    let forced = project.run(&["cleanup", "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    project.assert_nothing_left();
}
