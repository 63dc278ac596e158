//! Answers of several engines, read.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn read<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> T {
    serde_json::from_value(value).expect("it can be read")
}

#[test]
fn a_container_in_a_list() {
    let summary: Summary = read(json!({
        "Id": "0123", "Names": ["/acme-api"], "Image": "acme/api:1", "ImageID": "sha256:ab", "Command": "serve",
        "Created": 1_700_000_000, "State": "running", "Status": "Up 3 seconds (healthy)",
        "Labels": {"mcpmon.project": "acme"},
        "Ports": [
            {"IP": "127.0.0.1", "PrivatePort": 3000, "PublicPort": 3001, "Type": "tcp"},
            {"IP": "::", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
            {"PrivatePort": 9000, "Type": "tcp"},
        ],
        "NetworkSettings": {"Networks": {"acme_default": {"IPAddress": ""}}}, "SomethingNew": {"a": 1},
    }));
    assert!(summary.publishes(3001) && !summary.publishes(3000));
    let expected = ObservedContainer {
        id: "0123".into(),
        name: "acme-api".into(),
        image: "acme/api:1".into(),
        image_id: "sha256:ab".into(),
        labels: Labels(HashMap::from([("mcpmon.project".into(), "acme".into())])),
        state: State::Running,
        health: Health::Healthy,
        created: 1_700_000_000,
        status: "Up 3 seconds (healthy)".into(),
        ports: vec!["127.0.0.1:3001->3000/tcp".into(), "[::]:53->53/udp".into()],
        networks: BTreeSet::from(["acme_default".into()]),
    };
    assert_eq!(summary.observed(), expected);
}

#[test]
fn whatever_is_missing_or_unknown_fails_no_list() {
    let all: Vec<Summary> = read(json!([
        {"Id": "a"},
        {"Id": "b", "Names": null, "Labels": null, "Ports": null, "NetworkSettings": null, "State": "melting"},
    ]));
    let states: Vec<State> = all.into_iter().map(|summary| summary.observed().state).collect();
    assert_eq!(states, [State::Other(String::new()), State::Other("melting".into())]);
}

#[test]
fn states_of_docker_and_podman() {
    let rows = [
        ("created", "Created", State::Created, Health::None),
        ("configured", "", State::Created, Health::None),
        ("running", "Up 2 hours", State::Running, Health::None),
        ("running", "Up 1 second (health: starting)", State::Running, Health::Starting),
        ("running", "Up 1 second (unhealthy)", State::Running, Health::Unhealthy),
        ("paused", "Up 2 hours (Paused)", State::Paused, Health::None),
        ("restarting", "Restarting (1) 2 seconds ago", State::Restarting, Health::None),
        ("exited", "Exited (137) 3 seconds ago", State::Exited(Some(137)), Health::None),
        ("stopped", "", State::Exited(None), Health::None),
        ("removing", "Removal In Progress", State::Removing, Health::None),
        ("dead", "Dead", State::Removing, Health::None),
    ];
    for (word, status, expected, health) in rows {
        let found = read::<Summary>(json!({"Id": "a", "State": word, "Status": status})).observed();
        assert_eq!((found.state, found.health), (expected, health), "{word} {status}");
    }
}

#[test]
fn a_container_looked_at() {
    let inspected: Inspected = read(json!({
        "Id": "0123", "Name": "/acme-api",
        "State": {
            "Status": "running", "Running": true, "Paused": false, "ExitCode": 0, "Error": "", "OOMKilled": false,
            "Health": {"Status": "unhealthy", "FailingStreak": 3, "Log": [{"Output": "first\n"}, {"Output": "last\n"}]},
        },
        "Config": {"Labels": {"a": "b"}, "Tty": false},
        "NetworkSettings": {"Ports": {
            "3000/tcp": [{"HostIp": "0.0.0.0", "HostPort": "49153"}, {"HostIp": "::", "HostPort": "49153"}],
            "53/udp": [{"HostIp": "0.0.0.0", "HostPort": "53"}],
            "9000/tcp": null,
        }},
    }));
    assert!(inspected.is_called("acme-api") && !inspected.is_called("0123"));
    let expected = ContainerDetails {
        running: true,
        state: State::Running,
        exit_code: None,
        health: Health::Unhealthy,
        health_log: Some("last".into()),
        error: None,
        started_at: None,
        out_of_memory: false,
        published: vec![(3000, "0.0.0.0:49153".parse().unwrap()), (3000, "[::]:49153".parse().unwrap())],
    };
    assert_eq!(inspected.details(), expected);
}

#[test]
fn an_exit_code_is_told_only_after_an_end() {
    let rows = [
        (json!({"Status": "created", "ExitCode": 0, "Error": ""}), None, None),
        (
            json!({"Status": "created", "ExitCode": 127, "Error": "exec: \"x\": not found: unknown"}),
            Some(127),
            Some("exec: \"x\": not found"),
        ),
        (json!({"Status": "exited", "ExitCode": 0}), Some(0), None),
        (json!({"Status": "running", "Running": true, "ExitCode": 0}), None, None),
    ];
    for (state, exit_code, error) in rows {
        let details = read::<Inspected>(json!({"Id": "a", "State": state})).details();
        assert_eq!((details.exit_code, details.error.as_deref()), (exit_code, error), "{state}");
    }
}

#[test]
fn events_keep_their_time_to_the_nanosecond() {
    let event: Event = read(json!({
        "status": "die", "id": "0123", "from": "acme/api", "Type": "container", "Action": "die", "scope": "local",
        "Actor": {"ID": "0123", "Attributes": {"exitCode": "7", "name": "acme-api"}},
        "time": 1_700_000_000, "timeNano": 1_700_000_000_123_456_789_i64,
    }));
    let event = event.read().unwrap();
    assert_eq!(
        (event.time, event.kind.as_str(), event.action.as_str()),
        (1_700_000_000_123_456_789, "container", "die")
    );
    assert_eq!((event.name.as_deref(), event.attributes.get("exitCode")), (Some("acme-api"), Some("7")));
    let podman: Event = read(json!({"Type": "container", "Action": "died", "Actor": {"ID": "0"}, "time": 2}));
    let podman = podman.read().unwrap();
    assert_eq!((podman.time, podman.action.as_str()), (2_000_000_000, "die"));
    assert!(read::<Event>(json!({"status": "pull"})).read().is_none());
}

#[test]
fn the_engines_time_is_read_in_every_time_zone() {
    let at = |text: &str| {
        let info: Info = serde_json::from_value(serde_json::json!({ "SystemTime": text })).expect("an answer");
        info.time().map(|time| humantime::format_rfc3339_seconds(time).to_string())
    };
    let expected = Some("2026-11-27T14:00:00Z".to_owned());
    for text in [
        "2026-11-27T14:00:00Z",
        "2026-11-27T14:00:00.123456789Z",
        "2026-11-27T15:30:00.5+01:30",
        "2026-11-27T06:00:00.123-08:00",
    ] {
        assert_eq!(at(text), expected, "{text}");
    }
    for text in ["", "now", "2026-11-27T14:00:00", "ä+01:00", "2026-11-27T14:00:00+0100"] {
        assert_eq!(at(text), None, "{text}");
    }
}
