//! A container's life and its accidents: what the engine trait promises, asked of a real engine.

use std::{collections::BTreeSet, time::Duration};

use futures_util::StreamExt;
use mcpmon::{
    engine::{Engine, EngineError, LogOptions},
    model::{State, labels},
};
use tokio::{io::AsyncWriteExt, time::Instant};

use crate::support::{Corner, DEADLINE, Events, IMAGE, docker, spec};

#[tokio::test]
async fn a_container_lives_from_create_to_remove() {
    let corner = Corner::new("life").await;
    let mut events = corner.events();
    let id = corner.create("api", &spec(&["idle"])).await.unwrap();

    let ours = [(labels::MANAGED, None), (labels::PROJECT, Some(corner.project.as_str()))];
    let listed = corner.docker.list(&ours).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id.as_str(), &listed[0].state), (id.as_str(), &State::Created));
    assert_eq!(listed[0].name, corner.name("api"));
    assert_eq!(listed[0].image, IMAGE);
    assert_eq!(Some(listed[0].image_id.clone()), corner.docker.image(IMAGE).await.unwrap().map(|image| image.id));
    assert_eq!(listed[0].labels.target(), Some("api"));
    assert_eq!(listed[0].networks, BTreeSet::from(["host".to_owned()]));

    corner.docker.start(&id).await.unwrap();
    corner.docker.start(&id).await.expect("starting what runs is fine");
    let started = events.action(&id, "start").await;
    assert_eq!(started.kind, "container");
    assert_eq!(started.name, Some(corner.name("api")));
    assert_eq!(started.attributes.target(), Some("api"));
    assert!(corner.details(&id).await.running);
    assert_eq!(corner.docker.list(&ours).await.unwrap()[0].state, State::Running);

    let (found, found_labels) = corner.docker.find_by_name(&corner.name("api")).await.unwrap().expect("by name");
    assert_eq!((found.as_str(), found_labels.target()), (id.as_str(), Some("api")));
    assert_eq!(corner.docker.find_by_name(&id[..8]).await.unwrap(), None, "the beginning of an id is no name");

    corner.docker.rename(&id, &corner.name("other")).await.unwrap();
    corner.docker.rename(&id, &corner.name("other")).await.expect("the same name again is fine");
    assert_eq!(corner.docker.list(&ours).await.unwrap()[0].name, corner.name("other"));

    corner.docker.stop(&id, Duration::from_secs(10)).await.unwrap();
    corner.docker.stop(&id, Duration::from_secs(10)).await.expect("stopping what is stopped is fine");
    corner.docker.kill(&id).await.expect("killing what is stopped is fine");
    let details = corner.details(&id).await;
    assert_eq!((details.running, details.exit_code), (false, Some(0)));
    assert_eq!(corner.docker.list(&ours).await.unwrap()[0].state, State::Exited(Some(0)));

    corner.docker.remove(&id).await.unwrap();
    corner.docker.remove(&id).await.expect("removing what is gone is fine");
    corner.docker.stop(&id, Duration::ZERO).await.expect("stopping what is gone is fine");
    corner.docker.kill(&id).await.expect("killing what is gone is fine");
    assert_eq!(corner.docker.inspect(&id).await.unwrap(), None);
    assert!(matches!(corner.docker.start(&id).await, Err(EngineError::NotFound(_))));
    events.action(&id, "destroy").await;
}

#[tokio::test]
async fn stop_kills_what_does_not_listen() {
    let corner = Corner::new("stubborn").await;
    let id = corner.run("api", &spec(&["stubborn"])).await;
    let before = Instant::now();
    corner.docker.stop(&id, Duration::from_secs(1)).await.unwrap();
    let took = before.elapsed();
    assert!(took >= Duration::from_secs(1) && took < DEADLINE, "{took:?}");
    assert_eq!(corner.details(&id).await.exit_code, Some(137));
}

#[tokio::test]
async fn a_stop_may_take_longer_than_a_call() {
    let corner = Corner::new("patient").await;
    let id = corner.run("api", &spec(&["stubborn"])).await;
    let hurried =
        mcpmon::engine::docker::Docker::connect(&crate::support::environment(), Duration::from_secs(2)).await.unwrap();
    hurried.stop(&id, Duration::from_secs(3)).await.expect("the grace period is added to the limit");
}

#[tokio::test]
async fn what_runs_is_removed_at_once_with_its_anonymous_volume() {
    use mcpmon::model::spec::{Mount, MountSource};

    let corner = Corner::new("remove").await;
    let mut spec = spec(&["stubborn"]);
    spec.volumes = vec![Mount {
        source: MountSource::Anonymous,
        target: "/data".to_owned(),
        read_only: false,
        propagation: None,
        selinux: None,
        nocopy: false,
    }];
    let id = corner.run("api", &spec).await;
    let volume = crate::support::inspected(&id)["Mounts"][0]["Name"].as_str().unwrap().to_owned();
    let (one, other) = tokio::join!(corner.docker.remove(&id), corner.docker.remove(&id));
    one.and(other).expect("both see it gone");
    assert_eq!(corner.docker.inspect(&id).await.unwrap(), None);
    assert!(!docker(&["volume", "inspect", &volume]).status.success(), "the anonymous volume is gone too");
}

#[tokio::test]
async fn a_paused_container_goes_on() {
    let corner = Corner::new("pause").await;
    let id = corner.run("api", &spec(&["idle"])).await;
    corner.docker.unpause(&id).await.expect("unpausing what runs is fine");
    assert!(docker(&["pause", &id]).status.success());
    let listed = corner.docker.list(&[(labels::PROJECT, Some(&corner.project))]).await.unwrap();
    assert_eq!(listed[0].state, State::Paused);
    assert!(corner.details(&id).await.running);
    corner.docker.unpause(&id).await.unwrap();
    let listed = corner.docker.list(&[(labels::PROJECT, Some(&corner.project))]).await.unwrap();
    assert_eq!(listed[0].state, State::Running);
}

#[tokio::test]
async fn logs_come_with_their_stream_and_are_followed_to_the_end() {
    let corner = Corner::new("logs").await;
    let out = corner.run("out", &spec(&["lines", "--count", "3", "--every", "50", "--then-exit", "3"])).await;
    let err = corner.run("err", &spec(&["lines", "--count", "3", "--stderr", "--then-exit", "0"])).await;
    for (id, stderr) in [(&out, false), (&err, true)] {
        let chunks: Vec<_> = tokio::time::timeout(
            DEADLINE,
            corner.docker.logs(id, LogOptions { follow: true, ..LogOptions::default() }).collect(),
        )
        .await
        .expect("the log ends with the container");
        let chunks: Vec<_> = chunks.into_iter().map(Result::unwrap).collect();
        assert!(chunks.iter().all(|chunk| chunk.stderr == stderr));
        let text: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.to_vec()).collect();
        assert_eq!(String::from_utf8(text).unwrap().lines().count(), 3);
    }
    let last: Vec<_> = corner.docker.logs(&out, LogOptions { tail: Some(1), ..LogOptions::default() }).collect().await;
    assert_eq!(last.len(), 1, "{last:?}");
    assert_eq!(corner.details(&out).await.exit_code, Some(3));
}

#[tokio::test]
async fn a_server_is_spoken_to_through_attach() {
    let corner = Corner::new("attach").await;
    let mut spec = spec(&["stdio"]);
    spec.stdin_open = true;
    let id = corner.run("api", &spec).await;
    let mut attached = corner.docker.attach(&id).await.unwrap();
    let hello = concat!(
        r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","#,
        r#""capabilities":{},"clientInfo":{"name":"it","version":"1"}}}"#,
        "\n"
    );
    attached.input.write_all(hello.as_bytes()).await.unwrap();
    attached.input.flush().await.unwrap();
    let mut answer = Vec::new();
    let read = async {
        while !answer.contains(&b'\n') {
            let chunk = attached.output.next().await.expect("it stays attached").unwrap();
            if !chunk.stderr {
                answer.extend_from_slice(&chunk.bytes);
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("an answer to initialize");
    let answer: serde_json::Value = serde_json::from_slice(answer.trim_ascii()).unwrap();
    assert_eq!(answer["id"], 1);
    assert!(answer["result"]["serverInfo"].is_object(), "{answer}");

    // Who attaches may leave and come back: the server's stdin stays open.
    drop(attached);
    assert!(corner.docker.attach(&id).await.is_ok());
    assert!(corner.details(&id).await.running);
}

#[tokio::test]
async fn events_since_a_time_are_given_again() {
    let corner = Corner::new("events").await;
    let mut events = corner.events();
    let id = corner.run("api", &spec(&["exit", "7"])).await;
    let die = events.action(&id, "die").await;
    assert_eq!(die.attributes.get("exitCode"), Some("7"));

    let mut again = Events(corner.docker.events((labels::PROJECT, Some(&corner.project)), Some(die.time)));
    let first = again.wait("the past", |event| event.kind == "container").await;
    assert_eq!(first, die, "inclusive to the nanosecond");
}

#[tokio::test]
async fn events_of_networks_and_volumes_come_too() {
    let corner = Corner::new("kinds").await;
    let mut events = corner.events();
    let (network, volume) = (corner.name("net"), corner.name("vol"));
    let labels = corner.labels("none");
    corner.docker.create_network(&network, &mcpmon::model::target::NetworkSpec::default(), &labels).await.unwrap();
    corner.docker.create_volume(&volume, &mcpmon::model::target::VolumeSpec::default(), &labels).await.unwrap();
    corner.docker.remove_network(&network).await.unwrap();
    corner.docker.remove_volume(&volume).await.unwrap();
    let mut wanted: BTreeSet<(&str, &str)> =
        BTreeSet::from([("network", "create"), ("network", "destroy"), ("volume", "create"), ("volume", "destroy")]);
    while !wanted.is_empty() {
        let event = events
            .wait(&format!("{wanted:?}"), |event| {
                event.id == volume || event.attributes.get("name") == Some(network.as_str())
            })
            .await;
        wanted.retain(|(kind, action)| (*kind, *action) != (event.kind.as_str(), event.action.as_str()));
    }
}
