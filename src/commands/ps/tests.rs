//! Rows, table and JSON of a project in which everything has happened.

use std::collections::{BTreeMap, HashMap};

use super::*;
use crate::{
    model::{
        Labels,
        labels::{ROLE, STDIO, TARGET},
        settings::WatchSettings,
        target::{ComposeTarget, ExtensionSettings, McpSettings, OnReload, Target, UpdateConfig},
    },
    orphan::Reason,
};

fn target(name: &str, kind: TargetKind) -> (String, Target) {
    let target = Target {
        name: name.into(),
        kind,
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
    (name.to_owned(), target)
}

fn container(target: &str, state: State, health: Health, created: i64) -> ObservedContainer {
    ObservedContainer {
        id: format!("{target}{created}"),
        name: format!("acme-{target}"),
        image: "acme/image:1".into(),
        image_id: "sha256:0".into(),
        labels: Labels(HashMap::from([(TARGET.into(), target.into())])),
        state,
        health,
        created,
        status: "Up".into(),
        ports: if target == "api" { vec!["127.0.0.1:3000->3000/tcp".into()] } else { Vec::new() },
        networks: BTreeSet::new(),
    }
}

fn example() -> Vec<Row> {
    let kind = || crate::model::testing::target("x", "acme/image:1").kind;
    let project = Project {
        name: "acme".into(),
        folder: "/acme".into(),
        config_file: "/acme/mcpmon.toml".into(),
        targets: BTreeMap::from([
            target("api", kind()),
            target("db", kind()),
            target("job", kind()),
            target("local", TargetKind::Process(crate::model::testing::process(vec!["python".into()]))),
            target("web", kind()),
        ]),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
    };
    let containers = [
        container("api", State::Running, Health::Healthy, 1_000_000),
        container("old", State::Running, Health::None, 500_000),
        container("db", State::Exited(Some(137)), Health::Unhealthy, 999_000),
        container("job", State::Exited(Some(0)), Health::None, 990_000),
    ];
    let judge = |container: &ObservedContainer| match container.labels.target() {
        Some("old") => Verdict::Orphan(Reason::Dead(12)),
        Some("db") => Verdict::Remote { place: "host abc".into() },
        _ => Verdict::Owned { pid: 4711 },
    };
    let reload_failed = |container: &ObservedContainer| {
        (container.labels.target() == Some("api")).then_some("it ended with exit code 3")
    };
    rows(&project, &containers, judge, reload_failed)
}

#[test]
fn what_compose_files_have_that_can_not_be_read_nobody_knows() {
    let project = Project {
        targets: BTreeMap::from([target("stack", TargetKind::Compose(ComposeTarget::default()))]),
        ..crate::model::testing::project([])
    };
    let containers = ["stack/api", "other/api"].map(|name| container(name, State::Running, Health::None, 1));
    let rows = rows(&project, &containers, |_| Verdict::Owned { pid: 4711 }, |_| None);
    let rows: Vec<_> = rows.iter().map(|row| (row.target.as_str(), row.in_file, row.state.as_str())).collect();
    assert_eq!(rows, [("stack", true, "unread"), ("other/api", false, "running"), ("stack/api", true, "running")]);
}

#[test]
fn targets_and_containers_stand_in_a_table() {
    insta::assert_snapshot!(table(&example(), Duration::from_secs(1_000_042), Paint::PLAIN), @r#"
    TARGET                  CONTAINER   STATE                              AGE   PORTS                      OWNER
    api                     acme-api    running (healthy), reload failed   42s   127.0.0.1:3000->3000/tcp   pid 4711
    db                      acme-db     exited (137)                       17m                              elsewhere
    job                     acme-job    exited (0)                         2h                               pid 4711
    local                   -           process                            -                                -
    web                     -           missing                            -                                -
    old (not in the file)   acme-old    running                            5d                               dead
    "#);
}

#[test]
fn what_needs_a_look_is_coloured() {
    let text = table(&example(), Duration::from_secs(1_000_042), Paint::COLOURED);
    let coloured = |name: &str| text.lines().any(|line| line.contains('\u{1b}') && line.contains(name));
    let names = ["api", "db", "job", "local", "web", "old"].map(coloured);
    assert_eq!(names, [true, true, false, false, true, true]);
}

#[test]
fn json_has_everything() {
    let rows: Vec<_> =
        example().into_iter().filter(|row| matches!(row.target.as_str(), "api" | "old" | "web")).collect();
    insta::assert_snapshot!(serde_json::to_string_pretty(&rows).expect("JSON"), @r#"
    [
      {
        "target": "api",
        "in_file": true,
        "state": "running",
        "container": {
          "id": "api1000000",
          "name": "acme-api",
          "image": "acme/image:1",
          "created": "1970-01-12T13:46:40Z",
          "status": "Up",
          "health": "healthy",
          "exit_code": null,
          "ports": [
            "127.0.0.1:3000->3000/tcp"
          ],
          "role": null
        },
        "owner": {
          "state": "alive",
          "pid": 4711
        },
        "reload_failed": "it ended with exit code 3"
      },
      {
        "target": "web",
        "in_file": true,
        "state": "missing",
        "container": null,
        "owner": null,
        "reload_failed": null
      },
      {
        "target": "old",
        "in_file": false,
        "state": "running",
        "container": {
          "id": "old500000",
          "name": "acme-old",
          "image": "acme/image:1",
          "created": "1970-01-06T18:53:20Z",
          "status": "Up",
          "health": "none",
          "exit_code": null,
          "ports": [],
          "role": null
        },
        "owner": {
          "state": "dead",
          "reason": "its owner, pid 12, is dead"
        },
        "reload_failed": null
      }
    ]
    "#);
}

#[test]
fn a_stdio_sessions_server_is_told_from_what_up_keeps() {
    let mut server = container("api", State::Running, Health::None, 0);
    server.labels.0.insert(ROLE.into(), STDIO.into());
    let mut row = example().remove(0);
    row.container = Some(describe(&server));
    assert_eq!(state_text(&row), "running, stdio, reload failed");
}

#[test]
fn what_a_session_keeps_to_go_back_to_is_told_from_what_failed() {
    let project = Project {
        name: "acme".into(),
        folder: "/acme".into(),
        config_file: "/acme/mcpmon.toml".into(),
        targets: BTreeMap::from([target("api", TargetKind::Compose(ComposeTarget::default()))]),
        networks: BTreeMap::new(),
        volumes: BTreeMap::new(),
    };
    let old = || container("api", State::Exited(Some(0)), Health::None, 1);
    let new = || container("api", State::Running, Health::None, 2);
    let states = |containers: &[ObservedContainer], verdict: &Verdict| -> Vec<String> {
        rows(&project, containers, |_| verdict.clone(), |_| None).into_iter().map(|row| row.state).collect()
    };
    let alive = Verdict::Owned { pid: 1 };
    assert_eq!(states(&[old(), new()], &alive), ["kept", "running"]);
    assert_eq!(states(&[old()], &alive), ["exited"]);
    assert_eq!(states(&[old(), new()], &Verdict::Orphan(Reason::Dead(1))), ["exited", "running"]);
}
