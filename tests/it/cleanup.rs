//! `mcpmon cleanup`: lists and removes what dead mcpmons left, and nothing else. It looks at the whole engine, so
//! these tests run one after the other (.config/nextest.toml), and others' containers, which belong to living
//! processes, must not be in what it names.

use mcpmon::{model::labels, session::host};

use crate::{
    project::{Project, Ran, kill_with_watchdog},
    support::{IMAGE, docker},
};

/// No process has this id: the kernel's limit is 2^22.
const NOBODY: &str = "4194305";

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
        let name = self.project.container(target);
        let mut arguments = vec!["run", "-d", "--init", "--network", "none", "--name", &name];
        let project = format!("{}={}", labels::PROJECT, self.project.name);
        let target = format!("{}={target}", labels::TARGET);
        let more: Vec<String> = more.iter().map(|(key, value)| format!("{key}={value}")).collect();
        for label in [&project, &target].into_iter().chain(&more) {
            arguments.extend(["--label", label]);
        }
        arguments.extend([IMAGE, "idle"]);
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
        ];
        let others = vec![
            self.container("living", &[managed, here, (labels::PID, &me), (labels::PID_START, &start)]),
            self.container("remote", &[managed, (labels::HOST, &other_host), (labels::PID, NOBODY)]),
            self.container("unmanaged", &[here, (labels::PID, NOBODY)]),
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
                let words: Vec<&str> = line.split("  ").collect();
                let [_, name, image, place, rest] = words[..] else { panic!("five columns: {line:?}") };
                let why = rest.split_once(": ").map_or(rest, |(_, why)| why);
                self.project.tidy(&format!("{name}  {image}  {place}  {why}"))
            })
            .map(|line| line.replace(&std::process::id().to_string(), "ME"))
            .collect();
        lines.sort();
        lines.join("\n")
    }
}

/// Whether there is such a container.
fn there(name: &str) -> bool {
    docker(&["inspect", name]).status.success()
}

#[test]
fn orphans_are_listed_and_only_force_removes_them() {
    let made = Made::new("cleanup");
    let (orphans, others) = made.one_of_each();

    let dry = made.project.run(&["cleanup", "--dry-run"]);
    assert_eq!(dry.code, 0, "{dry:?}");
    insta::assert_snapshot!(made.about(&dry), @r"
    PROJECT-dead  mcpmon-test-server:latest  PROJECT/dead  its owner, pid 4194305, is dead
    PROJECT-nameless  mcpmon-test-server:latest  PROJECT/nameless  it names no owner
    PROJECT-rebooted  mcpmon-test-server:latest  PROJECT/rebooted  its owner, pid ME, ran before the host's last start
    PROJECT-reused  mcpmon-test-server:latest  PROJECT/reused  its owner is dead; pid ME is another process now
    ");
    assert!(dry.out.contains("belong to other hosts and are not judged here (--verbose lists them)"), "{dry:?}");

    // Without a terminal and without --force: listed, nothing removed, exit code 1.
    let asked = made.project.run(&["cleanup"]);
    assert_eq!(asked.code, 1, "{asked:?}");
    assert!(asked.out.ends_with("nothing removed: --force removes without asking\n"), "{asked:?}");
    assert_eq!(made.about(&asked), made.about(&dry));
    for name in orphans.iter().chain(&others) {
        assert!(there(name), "{name} is gone");
    }

    let verbose = made.project.run(&["cleanup", "--dry-run", "--verbose"]);
    insta::assert_snapshot!(made.about(&verbose), @r"
    PROJECT-dead  mcpmon-test-server:latest  PROJECT/dead  its owner, pid 4194305, is dead
    PROJECT-living  mcpmon-test-server:latest  PROJECT/living  kept by pid ME
    PROJECT-nameless  mcpmon-test-server:latest  PROJECT/nameless  it names no owner
    PROJECT-rebooted  mcpmon-test-server:latest  PROJECT/rebooted  its owner, pid ME, ran before the host's last start
    PROJECT-remote  mcpmon-test-server:latest  PROJECT/remote  not judged: host elsewhere
    PROJECT-reused  mcpmon-test-server:latest  PROJECT/reused  its owner is dead; pid ME is another process now
    ");
    let json = made.project.run(&["cleanup", "--dry-run", "--format", "json"]).json();
    let dead = json.as_array().expect("a list").iter().find(|found| found["name"] == orphans[0].as_str());
    let dead = dead.expect("it is listed");
    assert_eq!((&dead["orphan"], &dead["target"]), (&true.into(), &"dead".into()));
    assert_eq!(dead["why"], format!("its owner, pid {NOBODY}, is dead"));

    let forced = made.project.run(&["cleanup", "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    for name in &orphans {
        assert!(!there(name), "{name} is still there: {forced:?}");
    }
    for name in &others {
        assert!(there(name), "{name} is gone: {forced:?}");
    }
    let again = made.project.run(&["cleanup", "--force"]);
    assert_eq!((again.code, made.about(&again).as_str()), (0, ""), "{again:?}");
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
