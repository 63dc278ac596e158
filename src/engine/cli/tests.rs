//! The command line of a build, the environment of the CLI, and what its failures mean. Programs that
//! stand in for docker are shell scripts: what is tested here is how any such program is run.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use super::*;

fn build(context: &Path) -> Build {
    Build { context: context.to_owned(), dockerfile: None, target: None, args: BTreeMap::new() }
}

/// A CLI whose `docker` is this script.
fn scripted(folder: &Path, script: &str) -> DockerCli {
    let file = folder.join("docker");
    std::fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    DockerCli::new(&BTreeMap::from([("PATH".into(), path), ("MCPMON_DELAY".into(), "1".into())]))
}

#[test]
fn every_part_of_a_build_has_its_flag() {
    let build = Build {
        context: "/src/api".into(),
        dockerfile: Some("docker/Dockerfile.dev".into()),
        target: Some("dev".into()),
        args: BTreeMap::from([
            ("RUST".into(), Some("1.90".into())),
            ("TOKEN".into(), None),
            // Docker itself would take it for its own.
            ("https_proxy".into(), Some("http://p:1".into())),
        ]),
    };
    let arguments = build_arguments(&build, "mcpmon/acme-api", &BTreeMap::from([("a".into(), "b=c".into())]));
    let shown: Vec<_> = arguments.iter().map(|argument| argument.to_string_lossy()).collect();
    assert_eq!(
        shown.join(" "),
        "build --tag mcpmon/acme-api --file /src/api/docker/Dockerfile.dev --target dev \
         --build-arg RUST --build-arg TOKEN --build-arg https_proxy=http://p:1 --label a=b=c -- /src/api"
    );
    // What stands on a command line everybody can read.
    let given: Vec<_> = build_environment(&build).collect();
    assert_eq!(given, [(&"RUST".to_owned(), &"1.90".to_owned())]);
}

#[tokio::test]
async fn what_is_missing_is_said_before_docker_runs() {
    let folder = tempfile::tempdir().unwrap();
    let cli = scripted(folder.path(), "exit 0");
    let empty = tempfile::tempdir().unwrap();
    for (build, words) in [
        (build(&empty.path().join("nowhere")), "build context missing"),
        (build(empty.path()), "Dockerfile missing"),
        (Build { dockerfile: Some("Other".into()), ..build(empty.path()) }, "Other"),
    ] {
        let error = cli.build(&build, "t", &BTreeMap::new(), |_| {}).await.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let nowhere = DockerCli::new(&BTreeMap::from([("PATH".into(), empty.path().display().to_string())]));
    let error = nowhere.pull("a", |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("not on PATH"), "{error}");
}

#[tokio::test]
async fn lines_come_as_they_are_printed_and_the_last_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"env | grep -c MCPMON; echo "$BUILDKIT_PROGRESS"; printf 'a 1%%\ra 2%%\n'
        i=0; while [ $i -lt 40 ]; do echo "line $i" >&2; i=$((i+1)); done; exit 3"#;
    let cli = scripted(folder.path(), script);
    let mut lines = Vec::new();
    let error = cli.pull("acme/api", |line| lines.push(line.to_owned())).await.unwrap_err();
    assert_eq!(lines.len(), 43);
    for line in ["0", "plain", "a 2%"] {
        assert!(lines.iter().any(|found| found == line), "{line} in {lines:?}");
    }
    let EngineError::Command { message, output } = error else { panic!("{error:?}") };
    assert_eq!(message, "docker pull acme/api failed (exit status: 3)");
    assert_eq!(output.len(), KEPT_LINES);
}

#[tokio::test]
async fn failures_are_sorted_by_what_the_cli_says() {
    let folder = tempfile::tempdir().unwrap();
    let rows = [
        ("Error response from daemon: pull access denied for acme/api, repository does not exist", "image"),
        ("Error response from daemon: manifest for acme/api:9 not found: manifest unknown", "image"),
        ("Error response from daemon: Get \"https://r/v2/\": dial tcp: lookup r on 1.1.1.1:53: no such host", "image"),
        (
            "Error response from daemon: Get \"http://r/v2/\": dial tcp 10.0.0.1:80: connect: connection refused",
            "image",
        ),
        ("Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?", "engine"),
        ("no space left on device", "command"),
    ];
    for (line, expected) in rows {
        let cli = scripted(folder.path(), &format!("echo '{line}' >&2; exit 1"));
        let error = cli.pull("acme/api", |_| {}).await.unwrap_err();
        let found = match &error {
            EngineError::ImageNotFound(_) => "image",
            EngineError::Unreachable { .. } => "engine",
            EngineError::Command { .. } => "command",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, expected, "{line}");
    }
}

#[tokio::test]
async fn a_dropped_run_takes_its_children_with_it() {
    let folder = tempfile::tempdir().unwrap();
    // The child's end shows in the pipe that only it holds open.
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let cli = scripted(folder.path(), &format!("sleep 600 > '{}' &\necho started\nwait", pipe.display()));
    let (started, mut has_started) = mpsc::channel(1);
    let run = tokio::spawn(async move {
        let _ = cli.pull("acme/api", |line| drop(started.try_send(line.to_owned()))).await;
    });
    // Opening waits for the writer: the sleep.
    let mut reader = tokio::time::timeout(
        Duration::from_secs(30),
        tokio::task::spawn_blocking(move || std::fs::File::open(pipe).map(tokio::fs::File::from_std)),
    )
    .await
    .expect("the child opens the pipe")
    .unwrap()
    .unwrap();
    assert_eq!(has_started.recv().await.as_deref(), Some("started"));
    run.abort();
    let mut rest = Vec::new();
    let end = tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut rest);
    tokio::time::timeout(Duration::from_secs(30), end).await.expect("the child ends with the run").unwrap();
}
