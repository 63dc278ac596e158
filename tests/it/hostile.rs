//! A container that lies: copied labels, a living process's pid, path characters, escape sequences, a huge label. It gains
//! nothing: no process is signalled, nothing of another session or of a stranger is removed, nothing is written anywhere,
//! and no line of output is broken.

use std::{
    fs,
    process::{Child, Command},
};

use mcpmon::{
    model::labels,
    session::{host, process::start_time},
};

use serde_json::json;

use crate::{
    project::{Project, Ran},
    support::{IMAGE, docker, inspected},
};

const IDLE: &str = "pull_policy = \"never\"\ncommand = [\"idle\"]\nnetwork_mode = \"host\"\n";

fn idle(test: &str) -> Project {
    Project::with(test, &format!("[targets.api]\nimage = \"{IMAGE}\"\n{IDLE}"))
}

/// A container with these labels; it is removed with its project.
fn container(project: &Project, name: &str, image: &str, pairs: &[(&str, &str)]) -> String {
    let name = project.container(name);
    let labels: Vec<String> =
        pairs.iter().flat_map(|(key, value)| ["--label".into(), format!("{key}={value}")]).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let made = docker(
        &[&["run", "-d", "--init", "--network", "host", "--name", &name], &labels[..], &[image, "idle"]].concat(),
    );
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    name
}

fn runs(name: &str) -> bool {
    let found = docker(&["inspect", "--format", "{{.State.Running}}", name]);
    String::from_utf8_lossy(&found.stdout).trim() == "true"
}

/// A process that does no harm; gone at the end.
struct Sleep(Child);

impl Drop for Sleep {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Nothing that a terminal acts on.
#[track_caller]
fn is_plain(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }
}

#[test]
fn a_container_that_lies_gains_nothing() {
    let (victim, project) = (idle("victim"), idle("hostile"));
    let mut up = victim.settled();
    let session = victim.inspect("api")["Config"]["Labels"][labels::SESSION].as_str().expect("a session").to_owned();
    let victim_pid = up.pid().to_string();
    let ticks = |pid: u32| start_time(pid).expect("it lives").to_string();
    let mut sleep = Sleep(Command::new("sleep").arg("600").spawn().expect("sleep"));
    let (sleep_pid, sleep_start, up_start) = (sleep.0.id().to_string(), ticks(sleep.0.id()), ticks(up.pid()));
    let here = host::identity().to_string();
    let huge = "x".repeat(60_000);
    let own = [(labels::MANAGED, "true"), (labels::HOST, &here), (labels::PROJECT, &project.name)];
    let with = |more: &[(&'static str, &str)]| -> Vec<(String, String)> {
        own.iter().chain(more).map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    let escapes = "a\n\u{1b}[2J\u{1b}]0;t\u{7}\r\u{9b}31m\u{202e}b";
    let config = json!({ "command": [escapes], "environment": { escapes: escapes }, "stop_grace_period": "1000years" })
        .to_string();
    let liars = [
        // Of this user, alive, the start time right; and no mcpmon.
        ("process", with(&[(labels::TARGET, "api"), (labels::PID, &sleep_pid), (labels::PID_START, &sleep_start)])),
        // mcpmon, but another project's.
        ("pid", with(&[(labels::TARGET, "api"), (labels::PID, &victim_pid), (labels::PID_START, &up_start)])),
        (
            "session",
            with(&[(labels::TARGET, "api"), (labels::SESSION, &session), (labels::PID, "1"), (labels::PID_START, "1")]),
        ),
        ("path", with(&[(labels::TARGET, "../../../x"), (labels::SESSION, "../../../evil"), (labels::PID, "-1")])),
        (
            "escapes",
            with(&[
                (labels::TARGET, escapes),
                (labels::SESSION, escapes),
                (labels::PID, escapes),
                (labels::ROLE, escapes),
            ]),
        ),
        (
            "config",
            with(&[
                (labels::TARGET, "api"),
                (labels::PID, "4194305"),
                (labels::CONFIG, &config),
                (labels::CONFIG_HASH, "x"),
            ]),
        ),
        ("huge", with(&[(labels::TARGET, &huge), (labels::PID, &huge), (labels::CONFIG, &huge)])),
    ];
    let mut names = Vec::new();
    for (name, pairs) in &liars {
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        names.push(container(&project, name, IMAGE, &pairs));
    }
    // Its project is a path; the tests' own label is what removes it in the end.
    let elsewhere =
        [(labels::MANAGED, "true"), (labels::PROJECT, "../../x"), (crate::project::OWN_LABEL, &project.name)];
    let path = container(&project, "project", IMAGE, &elsewhere);
    // Somebody keeps a copy of the victim's container: its image carries all of the labels.
    let copy = format!("mcpmon-it-copy:{}", victim.name);
    assert!(docker(&["commit", &victim.container("api"), &copy]).status.success());
    let copied = container(&victim, "copied", &copy, &[]);
    assert_eq!(inspected(&copied)["Config"]["Labels"][labels::SESSION], session.as_str());

    // What is shown of them is plain text, a line each.
    for command in [
        &["ps"][..],
        &["plan"],
        &["plan", "--format", "json"],
        &["ps", "--format", "json"],
        &["cleanup", "--dry-run", "-v"],
        &["logs"],
        &["events"],
    ] {
        let ran = project.run(command);
        is_plain(&ran);
        let long = ran.out.lines().find(|line| line.len() > 4000 && !command.contains(&"json"));
        assert!(long.is_none(), "{command:?} shows a line of {} bytes", long.map_or(0, str::len));
    }
    let json = project.run(&["cleanup", "--dry-run", "-v", "--format", "json"]);
    is_plain(&json);
    assert!(json.events().iter().all(|found| found["name"] != copied.as_str()), "an image's labels are nobody's word");

    // `down` takes what says it is this project's, and ends nobody else.
    let down = project.run(&["down"]);
    assert_eq!(down.code, 0, "{down:?}");
    is_plain(&down);
    assert!(sleep.0.try_wait().expect("wait").is_none(), "a process that a label named was ended: {down:?}");
    assert_eq!(names.iter().filter(|name| runs(name)).count(), 0, "{down:?}");
    assert!(runs(&victim.container("api")) && runs(&copied) && runs(&path));
    let forced = project.run(&["cleanup", "--force"]);
    is_plain(&forced);
    assert!(!docker(&["inspect", &path]).status.success(), "{forced:?}");

    // The victim goes on, ends as ever, and takes nothing with it that it did not make.
    assert!(runs(&victim.container("api")) && runs(&copied), "{forced:?}");
    let plan = victim.run(&["plan", "--detailed-exitcode"]);
    assert_eq!(plan.code, 0, "a copy is no drift: {plan:?}");
    up.interrupt();
    assert!(!docker(&["inspect", &victim.container("api")]).status.success());
    assert!(runs(&copied), "the copy is somebody's own");
    assert!(sleep.0.try_wait().expect("wait").is_none());

    // Nothing was written but histories, into their folder.
    let mut written: Vec<_> =
        fs::read_dir(project.elsewhere("state/mcpmon/history")).expect("a folder").flatten().collect();
    written.retain(|entry| {
        !["+cleanup.jsonl", &format!("{}.jsonl", project.name)].contains(&&*entry.file_name().to_string_lossy())
    });
    assert!(written.is_empty(), "{written:?}");
}
