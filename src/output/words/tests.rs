//! Every event's wording, as a person sees it.

use super::*;

fn words() -> Words {
    Words::new(Paint::PLAIN, Paint::PLAIN, &["api".into(), "db".into()], true)
}

fn said(events: &[Event]) -> String {
    let mut words = words();
    events.iter().filter_map(|event| words.say(event)).collect::<Vec<_>>().join("\n")
}

fn target(name: &str) -> String {
    name.to_owned()
}

#[test]
fn a_session_from_begin_to_end() {
    let api = || target("api");
    insta::assert_snapshot!(said(&[
        Event::SessionStarted {
            project: "acme".into(),
            session: "0".into(),
            pid: 4711,
            targets: vec![api(), target("db")],
        },
        Event::ActionStarted { target: target("acme_backend"), action: ActionKind::CreateNetwork, cause: "it is missing".into() },
        Event::ActionDone { target: target("acme_backend"), action: ActionKind::CreateNetwork, duration_ms: 41 },
        Event::Held { target: api(), reason: "db must be healthy".into() },
        Event::ActionStarted { target: api(), action: ActionKind::Build, cause: String::new() },
        Event::ActionProgress { target: api(), action: ActionKind::Build, line: "#5 RUN\u{1b}[2J make\r".into() },
        Event::ActionDone { target: api(), action: ActionKind::Build, duration_ms: 12_345 },
        Event::ActionDone { target: api(), action: ActionKind::Create, duration_ms: 320 },
        Event::Ready { target: api(), container: "3f".into(), duration_ms: Some(1250) },
        Event::Ready { target: target("db"), container: "4f".into(), duration_ms: None },
        Event::Settled { ready: 2, held: 0, duration_ms: 1290 },
        Event::Log { target: api(), stream: "stdout".into(), line: "listening\r".into() },
        Event::Log { target: target("db"), stream: "stderr".into(), line: String::new() },
        Event::FilesChanged { target: api(), path: "src/main.rs".into(), count: 1, action: ActionKind::Restart },
        Event::FilesChanged { target: api(), path: "src/main.rs".into(), count: 4, action: ActionKind::Rebuild },
        Event::Reloaded { target: api(), duration_ms: 432, order: "start-first".into() },
        // Told already: two are ready.
        Event::Settled { ready: 2, held: 0, duration_ms: 99_000 },
        Event::ConfigReloaded { files: vec!["mcpmon.toml".into(), ".env".into()] },
        Event::Stopping { cause: "SIGINT".into() },
        Event::Stopped { removed: 2, left: 0, left_networks: 0, left_volumes: 0 },
    ]), @r#"
    acme: 2 targets, pid 4711
    acme_backend: creating network (it is missing)
    acme_backend: network created in 41 ms
    api: waiting: db must be healthy
    api: building
    api: building: #5 RUN make
    api: built in 12 s
    api: created in 320 ms
    api: ready in 1.2 s
    2 targets ready in 1.2 s; watching for changes
    api | listening
    db  |
    api: src/main.rs changed, restarting
    api: src/main.rs and 3 more files changed, rebuilding
    api: reloaded in 432 ms (start-first)
    mcpmon.toml, .env read again
    stopping (SIGINT)
    stopped, 2 containers removed
    "#);
}

#[test]
fn what_goes_wrong() {
    let api = || target("api");
    insta::assert_snapshot!(said(&[
        Event::ActionFailed {
            target: api(),
            action: ActionKind::Create,
            error: "port 3000 is taken".into(),
            hint: Some("stop what holds it, or publish another one".into()),
            log: Vec::new(),
            retry_ms: Some(4000),
        },
        Event::ActionFailed {
            target: api(),
            action: ActionKind::Build,
            error: "docker build ended with exit code 1\nfailed to solve".into(),
            hint: None,
            log: vec!["#7 ERROR: no such file".into(), "\u{1b}[31mred".into()],
            retry_ms: None,
        },
        Event::Crashed { target: api(), exit_code: Some(1), failures: 1, retry_ms: 500, log: vec!["panic!".into()] },
        Event::Crashed { target: api(), exit_code: Some(137), failures: 3, retry_ms: 0, log: Vec::new() },
        Event::Crashed { target: api(), exit_code: None, failures: 12, retry_ms: 30_000, log: Vec::new() },
        Event::ReloadFailed { target: api(), error: "it did not become ready within 10 s".into(), log: vec!["oops".into()] },
        Event::ConfigInvalid { error: "error: no such key `imagee`\n --> mcpmon.toml:3:1\n".into() },
        Event::EngineLost { error: "connection refused".into() },
        Event::EngineBack,
        Event::Warning { message: "unknown variable MCPMON_DELEY, did you mean MCPMON_DELAY?".into() },
        Event::Warning { message: "warning: something\n --> here\n".into() },
        Event::Settled { ready: 1, held: 1, duration_ms: 2100 },
        Event::Stopped { removed: 1, left: 1, left_networks: 0, left_volumes: 0 },
        Event::Stopped { removed: 0, left: 1, left_networks: 1, left_volumes: 0 },
        Event::Stopped { removed: 0, left: 5, left_networks: 1, left_volumes: 3 },
    ]), @r#"
    api: creating failed: port 3000 is taken; retry in 4 s
        hint: stop what holds it, or publish another one
    api: building failed: docker build ended with exit code 1
        failed to solve
        | #7 ERROR: no such file
        | red
    api: ended by itself, exit code 1; retry in 500 ms
        | panic!
    api: ended by itself, exit code 137 (SIGKILL), 3rd time in a row; retry now
    api: ended by itself, exit code unknown, 12th time in a row; retry in 30 s
    api: reload failed, the old container goes on: it did not become ready within 10 s
        | oops
    error: no such key `imagee`
     --> mcpmon.toml:3:1
    the last good configuration stays in force
    the container engine stopped answering: connection refused
        going on when it is back
    the container engine answers again
    warning: unknown variable MCPMON_DELEY, did you mean MCPMON_DELAY?
    warning: something
     --> here
    1 target ready in 2.1 s, 1 not; watching for changes
    stopped, 1 container removed, 1 container left
    stopped, 0 containers removed, 1 network left
    stopped, 0 containers removed, 1 container, 1 network, 3 volumes left
    "#);
}

#[test]
fn names_have_colours_and_lines_of_logs_keep_theirs() {
    let mut words = Words::new(Paint::COLOURED, Paint::COLOURED, &["api".into(), "database".into()], false);
    let line = words.say(&Event::Log { target: "api".into(), stream: "stdout".into(), line: "\u{1b}[31mred".into() });
    let line = line.expect("a line");
    assert!(
        line.starts_with('\u{1b}') && line.contains("api      |") && line.ends_with("\u{1b}[31mred\u{1b}[0m"),
        "{line:?}"
    );
    let done = words.say(&Event::ActionDone { target: "api".into(), action: ActionKind::Create, duration_ms: 5 });
    assert!(done.expect("a line").contains("\u{1b}[32mcreated\u{1b}[0m in 5 ms"));
}

#[test]
fn times_and_codes_are_written_out() {
    for (milliseconds, text) in [
        (0, "0 ms"),
        (999, "999 ms"),
        (1000, "1 s"),
        (1250, "1.2 s"),
        (9999, "9.9 s"),
        (10_000, "10 s"),
        (125_000, "2 min 5 s"),
        (7_260_000, "2 h 1 min"),
    ] {
        assert_eq!(duration(milliseconds), text);
    }
    for (code, text) in [(Some(0), "exit code 0"), (Some(137), "exit code 137 (SIGKILL)"), (None, "exit code unknown")]
    {
        assert_eq!(exit_words(code), text);
    }
    assert_eq!([1, 2, 3, 4, 11, 21, 112].map(ordinal), ["1st", "2nd", "3rd", "4th", "11th", "21st", "112th"]);
}

#[test]
fn another_attempt_is_announced_with_the_failure() {
    let start =
        || Event::ActionStarted { target: target("api"), action: ActionKind::Create, cause: "there is none".into() };
    let progress =
        |line: &str| Event::ActionProgress { target: target("api"), action: ActionKind::Build, line: line.into() };
    let failed = Event::ActionFailed {
        target: target("api"),
        action: ActionKind::Create,
        error: "the build failed".into(),
        hint: None,
        log: Vec::new(),
        retry_ms: Some(500),
    };
    let done = Event::ActionDone { target: target("api"), action: ActionKind::Create, duration_ms: 1000 };
    let again = [start(), progress("step 1")];
    let events = [&[start(), progress("step 1"), failed][..], &again, &again, &[done], &again].concat();
    insta::assert_snapshot!(said(&events), @r"
    api: creating (there is none)
    api: building: step 1
    api: creating failed: the build failed; retry in 500 ms
    api: created in 1 s
    api: creating (there is none)
    api: building: step 1
    ");
}
