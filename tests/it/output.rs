//! What is shown of real containers: every line once, every event once, whatever happens in between.

use std::{
    collections::BTreeMap,
    io::Write,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use mcpmon::{
    cli::{Format, LogsArgs},
    commands::{events, logs, ps},
    engine::Engine,
    model::{
        OnDrift, OnExit, Project, ReconcileSettings, SessionSettings, Settings, WatchSettings,
        settings::BackoffSettings,
        spec::Logging,
        target::{ExtensionSettings, McpSettings, OnReload, ProcessTarget, Target, TargetKind, UpdateConfig},
    },
    output::{Event, Paint, Reporter, follow::tail},
};

use crate::{
    support::{Corner, DEADLINE, docker, spec},
    wire::Wire,
};

fn settings(project: &str, targets: &[&str]) -> Settings {
    let target = |name: &&str| {
        let target = Target {
            name: (*name).to_owned(),
            kind: TargetKind::Process(ProcessTarget { words: Vec::new(), stop_grace_period: Duration::ZERO }),
            depends_on: BTreeMap::new(),
            watch: WatchSettings {
                paths: Vec::new(),
                auto: true,
                ignore: Vec::new(),
                extensions: Vec::new(),
                ignore_files: Vec::new(),
                delay: Duration::ZERO,
                rules: Vec::new(),
            },
            update: UpdateConfig { order: None, rollback: true, monitor: Duration::ZERO },
            mcp: McpSettings {
                transport: None,
                startup_timeout: Duration::ZERO,
                on_reload: OnReload::Drain,
                buffer: 0,
                max_output_tokens: 0,
                extensions: ExtensionSettings { results: true },
            },
        };
        ((*name).to_owned(), target)
    };
    Settings {
        project: Project {
            name: project.to_owned(),
            folder: "/".into(),
            config_file: "/mcpmon.toml".into(),
            targets: targets.iter().map(target).collect(),
            networks: BTreeMap::new(),
            volumes: BTreeMap::new(),
        },
        reconcile: ReconcileSettings {
            interval: DEADLINE,
            on_drift: OnDrift::Recreate,
            prune: true,
            backoff: BackoffSettings { initial: DEADLINE, max: DEADLINE, reset_after: DEADLINE },
            on_exit: OnExit::Remove,
        },
        session: SessionSettings {
            docker_timeout: DEADLINE,
            cleanup: true,
            labels: BTreeMap::new(),
            extensions_dir: "/".into(),
            log_level: "info".into(),
            log_file: None,
        },
        inputs: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Everything a running `mcpmon logs` has said so far.
#[derive(Clone, Default)]
struct Said(Arc<Mutex<Vec<Event>>>);

impl Said {
    /// `mcpmon logs` in the background.
    fn logs(engine: &impl Engine, settings: Settings, args: LogsArgs) -> Self {
        let said = Self::default();
        let (reporter, mut reports) = Reporter::channel();
        let engine = engine.clone();
        tokio::spawn(async move { logs::report(&engine, &settings, &args, reporter).await.expect("logs") });
        let into = said.clone();
        tokio::spawn(async move {
            while let Some(event) = reports.next().await {
                into.0.lock().expect("no panic elsewhere").push(event);
            }
        });
        said
    }

    fn lines(&self) -> Vec<String> {
        let said = self.0.lock().expect("no panic elsewhere");
        said.iter()
            .filter_map(|event| if let Event::Log { line, .. } = event { Some(line.clone()) } else { None })
            .collect()
    }

    fn has(&self, matches: impl Fn(&Event) -> bool) -> bool {
        self.0.lock().expect("no panic elsewhere").iter().any(matches)
    }
}

/// Looks again and again until it is so.
async fn until(what: &str, so: impl Fn() -> bool) {
    let looked = tokio::time::timeout(DEADLINE, async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    looked.await.unwrap_or_else(|_| panic!("not within {DEADLINE:?}: {what}"));
}

/// What the engine has kept: the truth.
fn kept(id: &str) -> Vec<String> {
    String::from_utf8(docker(&["logs", id]).stdout).expect("text").lines().map(str::to_owned).collect()
}

fn follow() -> LogsArgs {
    LogsArgs { follow: true, ..LogsArgs::default() }
}

#[tokio::test]
async fn following_goes_on_across_restarts_and_replacements() {
    let corner = Corner::new("follow").await;
    let first = corner.run("api", &spec(&["lines", "--every", "3"])).await;
    let said = Said::logs(&corner.docker, settings(&corner.project, &["api"]), follow());
    for _ in 0..3 {
        let before = said.lines().len();
        until("lines come after a restart", || said.lines().len() > before + 20).await;
        assert!(docker(&["restart", "-t", "0", &first]).status.success());
    }
    assert!(docker(&["kill", &first]).status.success());
    let mut expected = kept(&first);
    assert!(expected.len() > 60);
    until("the first container's lines", || said.lines().len() >= expected.len()).await;
    corner.docker.remove(&first).await.unwrap();
    let second = corner.run("api", &spec(&["lines", "--count", "50", "--text", "second", "--then-exit", "0"])).await;
    until("the second container's lines", || said.lines().last().is_some_and(|line| line == "second 50")).await;
    expected.extend(kept(&second));
    assert_eq!(said.lines(), expected);
}

#[tokio::test]
async fn a_cut_connection_costs_no_line() {
    let corner = Corner::new("cut").await;
    let mut wire = Wire::new();
    let id = corner.run("api", &spec(&["lines", "--every", "3"])).await;
    let said = Said::logs(&wire.connect().await, settings(&corner.project, &["api"]), follow());
    for _ in 0..2 {
        let before = said.lines().len();
        until("lines come", || said.lines().len() > before + 20).await;
        wire.cut().await;
        let before = kept(&id).len();
        until("lines are printed that nobody sees", || kept(&id).len() > before + 20).await;
        wire.mend();
    }
    assert!(docker(&["kill", &id]).status.success());
    let expected = kept(&id);
    until("all lines", || said.lines().len() >= expected.len()).await;
    assert_eq!(said.lines(), expected);
    assert!(said.has(|event| matches!(event, Event::EngineLost { .. })));
    assert!(said.has(|event| matches!(event, Event::EngineBack)));
}

#[tokio::test]
async fn logs_of_several_containers_are_merged_by_time() {
    let corner = Corner::new("merge").await;
    let mut events = corner.events();
    for (target, text) in [("api", "first"), ("db", "second"), ("api2", "third")] {
        let id = corner.run(target, &spec(&["lines", "--count", "2", "--text", text, "--then-exit", "0"])).await;
        events.action(&id, "die").await;
    }
    let settings = || settings(&corner.project, &["api", "api2", "db"]);
    let all = ["first 1", "first 2", "second 1", "second 2", "third 1", "third 2"];
    let said = Said::logs(&corner.docker, settings(), LogsArgs::default());
    until("all lines", || said.lines().len() >= all.len()).await;
    assert_eq!(said.lines(), all);
    let last = LogsArgs { targets: vec!["api".into(), "db".into()], tail: Some(1), ..LogsArgs::default() };
    let said = Said::logs(&corner.docker, settings(), last);
    until("two lines", || said.lines().len() >= 2).await;
    assert_eq!(said.lines(), ["first 2", "second 2"]);
    let unknown = LogsArgs { targets: vec!["apl".into()], ..LogsArgs::default() };
    let (reporter, _reports) = Reporter::channel();
    let error = logs::report(&corner.docker, &settings(), &unknown, reporter).await.unwrap_err();
    assert_eq!((error.kind.exit_code(), error.hint.as_deref()), (64, Some("did you mean `api`?")));
}

#[tokio::test]
async fn long_lines_terminals_and_silent_drivers() {
    let corner = Corner::new("odd").await;
    let mut events = corner.events();
    // Longer than the engine's pieces of 16 KiB.
    let text = "x".repeat(40_000);
    let long = corner.run("long", &spec(&["lines", "--count", "1", "--text", &text, "--then-exit", "0"])).await;
    events.action(&long, "die").await;
    let mut terminal = spec(&["lines", "--count", "2", "--then-exit", "0"]);
    terminal.tty = true;
    let terminal = corner.run("terminal", &terminal).await;
    events.action(&terminal, "die").await;
    let mut silent = spec(&["lines", "--count", "2", "--then-exit", "0"]);
    silent.logging = Some(Logging { driver: "none".into(), options: BTreeMap::new() });
    let silent = corner.run("silent", &silent).await;
    events.action(&silent, "die").await;
    let said =
        Said::logs(&corner.docker, settings(&corner.project, &["long", "terminal", "silent"]), LogsArgs::default());
    until("three lines", || said.lines().len() >= 3).await;
    assert_eq!(said.lines(), [format!("{text} 1"), "line 1".into(), "line 2".into()]);
    assert!(said.has(|event| matches!(event, Event::Warning { message } if message.starts_with("silent: "))));
}

#[tokio::test]
async fn the_last_lines_of_a_crash() {
    let corner = Corner::new("tail").await;
    let mut events = corner.events();
    let id = corner.run("api", &spec(&["lines", "--count", "9", "--stderr", "--then-exit", "3"])).await;
    events.action(&id, "die").await;
    assert_eq!(tail(&corner.docker, &id, 2).await, ["line 8", "line 9"]);
    corner.docker.remove(&id).await.unwrap();
    assert_eq!(tail(&corner.docker, &id, 2).await, Vec::<String>::new());
}

/// An output that can be looked at while it is written.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic elsewhere").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn json(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().expect("no panic elsewhere").clone()).expect("text");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

#[tokio::test]
async fn every_event_comes_once_also_over_a_cut_connection() {
    let corner = Corner::new("events").await;
    let mut wire = Wire::new();
    let (engine, settings, out) = (wire.connect().await, settings(&corner.project, &["api"]), Shared::default());
    let mut written = out.clone();
    let mut running =
        Box::pin(async move { events::run(&engine, &settings, Format::Json, Paint::PLAIN, &mut written).await });
    // From its first step on it asks for everything that happens.
    assert!((&mut running).now_or_never().is_none());
    let running = tokio::spawn(running);
    let id = corner.run("api", &spec(&["stubborn"])).await;
    until("the start is told", || out.json().iter().any(|event| event["what"] == "started")).await;
    wire.cut().await;
    assert!(docker(&["kill", &id]).status.success());
    assert!(docker(&["start", &id]).status.success());
    wire.mend();
    until("the second start is told", || out.json().iter().filter(|event| event["what"] == "started").count() > 1)
        .await;
    corner.docker.remove(&id).await.unwrap();
    until("the removal is told", || out.json().iter().any(|event| event["what"] == "removed")).await;
    running.abort();
    let told: Vec<_> = out.json().iter().map(|event| event["what"].as_str().unwrap().to_owned()).collect();
    let expected =
        ["created", "started", "signalled", "ended", "started", "signalled", "ended", "removed"].map(str::to_owned);
    assert_eq!(told, expected);
    let ended = out.json().into_iter().find(|event| event["what"] == "ended").unwrap();
    assert_eq!((&ended["target"], &ended["exit_code"]), (&"api".into(), &137.into()));
    assert_eq!(ended["container"], id.as_str());
}

#[tokio::test]
async fn ps_shows_what_runs_what_ended_and_what_is_missing() {
    let corner = Corner::new("ps").await;
    let mut events = corner.events();
    corner.run("api", &spec(&["idle"])).await;
    let job = corner.run("job", &spec(&["exit", "3"])).await;
    events.action(&job, "die").await;
    // The engine tells the end before its list knows it.
    let ended = ["ps", "-aq", "--filter", &format!("id={job}"), "--filter", "status=exited"].map(str::to_owned);
    let ended: Vec<&str> = ended.iter().map(String::as_str).collect();
    until("the list knows the end", || !docker(&ended).stdout.is_empty()).await;
    let mut out = Vec::new();
    let settings = settings(&corner.project, &["api", "job", "web"]);
    ps::run(&corner.docker, &settings, &mcpmon::session::known(), Format::Json, Paint::PLAIN, &mut out).await.unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
    let states: Vec<_> =
        rows.iter().map(|row| (row["target"].as_str().unwrap(), row["state"].as_str().unwrap())).collect();
    assert_eq!(states, [("api", "running"), ("job", "exited"), ("web", "process")]);
    assert_eq!(rows[1]["container"]["exit_code"], 3);
    assert_eq!(rows[0]["container"]["name"], corner.name("api"));
    assert_eq!(rows[0]["owner"]["pid"], std::process::id());
}
