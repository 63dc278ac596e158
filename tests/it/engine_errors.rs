//! What goes wrong with an engine, and what mcpmon then says.

use std::{collections::BTreeMap, path::Path, time::Duration};

use mcpmon::{
    engine::{Engine, EngineError, Images, cli::DockerCli, connect::Origin, docker::Docker},
    error::Error,
    model::{
        spec::{Port, Protocol},
        target::Build,
    },
};

use crate::support::{Corner, DEADLINE, Events, IMAGE, docker, environment, spec};

#[tokio::test]
async fn a_name_that_is_taken() {
    let corner = Corner::new("taken").await;
    let id = corner.create("api", &spec(&["idle"])).await.unwrap();
    let error = corner.create("api", &spec(&["idle"])).await.unwrap_err();
    let EngineError::NameTaken(message) = &error else { panic!("{error:?}") };
    for words in [corner.name("api").as_str(), &id[..12], "target api", &corner.project] {
        assert!(message.contains(words), "{message}");
    }
    let other = corner.create("other", &spec(&["idle"])).await.unwrap();
    let error = corner.docker.rename(&other, &corner.name("api")).await.unwrap_err();
    assert!(matches!(error, EngineError::NameTaken(_)), "{error:?}");
}

#[tokio::test]
async fn a_host_port_that_is_taken() {
    let corner = Corner::new("port").await;
    let mut spec = spec(&["idle"]);
    spec.network_mode = None;
    let publish = |port| {
        vec![Port { host_ip: Some([127, 0, 0, 1].into()), published: port, target: 3000, protocol: Protocol::Tcp }]
    };
    // By another container, …
    spec.ports = publish(0);
    let holder = corner.run("holder", &spec).await;
    let port = corner.details(&holder).await.published[0].1.port();
    spec.ports = publish(port);
    let id = corner.create("api", &spec).await.unwrap();
    let error = corner.docker.start(&id).await.unwrap_err();
    let EngineError::PortTaken(message) = &error else { panic!("{error:?}") };
    assert_eq!(message, &format!("host port 127.0.0.1:{port} is taken by container {}", corner.name("holder")));
    assert!(error.is_transient());
    // … which ends: then it starts.
    corner.docker.remove(&holder).await.unwrap();
    corner.docker.start(&id).await.unwrap();
    corner.docker.remove(&id).await.unwrap();

    // By a program on the host.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spec.ports = publish(port);
    let id = corner.create("api", &spec).await.unwrap();
    let error = corner.docker.start(&id).await.unwrap_err();
    assert_eq!(error, EngineError::PortTaken(format!("host port 127.0.0.1:{port} is taken")));
}

#[tokio::test]
async fn an_image_that_is_not_there() {
    let corner = Corner::new("image").await;
    let mut spec = spec(&["idle"]);
    spec.image = "mcpmon-it-nowhere/nothing:1".into();
    assert_eq!(corner.docker.image(&spec.image).await.unwrap(), None);
    let error = corner.create("api", &spec).await.unwrap_err();
    assert!(matches!(&error, EngineError::ImageNotFound(message) if message.contains(&spec.image)), "{error:?}");
    assert!(Error::from(error).hint.is_some());
}

#[tokio::test]
async fn a_program_that_cannot_be_started() {
    let corner = Corner::new("start").await;
    let mut spec = spec(&[]);
    spec.init = false;
    spec.entrypoint = Some(vec!["/no-such-program".into()]);
    let id = corner.create("api", &spec).await.unwrap();
    let error = corner.docker.start(&id).await.unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("exec: \"/no-such-program\"") && message.contains("no such file"), "{message}");
    let details = corner.details(&id).await;
    assert_eq!((details.running, details.exit_code), (false, Some(127)));
    assert_eq!(details.error.as_deref(), Some(message.as_str()), "the engine keeps the reason");
}

#[tokio::test]
async fn an_engine_that_is_not_there_or_not_ours() {
    let folder = tempfile::tempdir().unwrap();
    let gone = folder.path().join("gone.sock");
    let host = |path: &Path| BTreeMap::from([("DOCKER_HOST".to_owned(), format!("unix://{}", path.display()))]);
    let error = Docker::connect(&host(&gone), DEADLINE).await.unwrap_err();
    let EngineError::Unreachable { address, message, hint } = &error else { panic!("{error:?}") };
    assert_eq!(address, &format!("unix://{}", gone.display()));
    assert_eq!(message, "there is no such socket");
    assert!(hint.contains("named by DOCKER_HOST"), "{hint}");
    assert_eq!(Error::from(error).kind.exit_code(), 69);

    // A socket that nobody listens on, and one whose owner says nothing.
    let dead = folder.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let error = Docker::connect(&host(&dead), DEADLINE).await.unwrap_err();
    assert!(matches!(&error, EngineError::Unreachable { message, .. } if message == "connection refused"), "{error:?}");
    let silent = folder.path().join("silent.sock");
    let _listener = std::os::unix::net::UnixListener::bind(&silent).unwrap();
    let error = Docker::connect(&host(&silent), Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, EngineError::Timeout { .. }), "{error:?}");

    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = BTreeMap::from([("DOCKER_HOST".to_owned(), format!("tcp://{tcp}"))]);
    let error = Docker::connect(&nobody, DEADLINE).await.unwrap_err();
    assert!(matches!(&error, EngineError::Unreachable { message, .. } if message == "connection refused"), "{error:?}");
}

#[tokio::test]
async fn a_docker_context_is_followed() {
    let docker = Docker::connect(&environment(), DEADLINE).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    // sha256("work"): the folder's name in docker's own store.
    let hash = "00e13ed7af55b27622f1d6eab5bec0147e68efe28dc2b12461117afa1a5ed40e";
    let meta = folder.path().join("contexts/meta").join(hash);
    std::fs::create_dir_all(&meta).unwrap();
    let text = serde_json::json!({"Name": "work", "Endpoints": {"docker": {"Host": docker.info().address}}});
    std::fs::write(meta.join("meta.json"), text.to_string()).unwrap();
    std::fs::write(folder.path().join("config.json"), r#"{"currentContext": "work"}"#).unwrap();
    let environment = BTreeMap::from([("DOCKER_CONFIG".to_owned(), folder.path().display().to_string())]);
    let followed = Docker::connect(&environment, DEADLINE).await.unwrap();
    assert_eq!(followed.info(), docker.info());
    assert!(matches!(followed.origin(), Origin::Context { name, .. } if name == "work"));
}

#[tokio::test]
async fn a_build_shows_its_steps_and_carries_its_labels() {
    let corner = Corner::new("build").await;
    let folder = tempfile::tempdir().unwrap();
    let cli = DockerCli::new(&environment());
    let tag = format!("{}:latest", corner.name("built"));
    let build = Build {
        context: folder.path().to_owned(),
        dockerfile: Some("Other".into()),
        target: Some("wanted".into()),
        args: BTreeMap::from([("WORD".into(), Some("hello".into()))]),
    };
    let file = format!("FROM {IMAGE} AS wanted\nARG WORD\nLABEL word=$WORD\nFROM wanted AS other\nLABEL word=other\n");
    std::fs::write(folder.path().join("Other"), file).unwrap();
    let mut lines = Vec::new();
    cli.build(&build, &tag, &corner.labels("api"), |line| lines.push(line.to_owned())).await.unwrap();
    assert!(lines.iter().any(|line| line.contains("FROM")), "{lines:?}");
    let found = docker(&["image", "inspect", &tag, "--format", "{{json .Config.Labels}}"]);
    let labels: BTreeMap<String, String> = serde_json::from_slice(&found.stdout).unwrap();
    assert_eq!((labels["word"].as_str(), &labels["mcpmon.project"]), ("hello", &corner.project));
    assert!(corner.docker.image(&tag).await.unwrap().is_some());
    assert!(docker(&["image", "rm", &tag]).status.success());

    std::fs::write(folder.path().join("Other"), format!("FROM {IMAGE} AS wanted\nCOPY missing /\n")).unwrap();
    let error = cli.build(&build, &tag, &BTreeMap::new(), |_| {}).await.unwrap_err();
    let EngineError::Command { message, output } = error else { panic!("{error:?}") };
    assert!(message.contains("docker build of") && message.contains("exit status"), "{message}");
    assert!(output.iter().any(|line| line.contains("missing")), "{output:?}");
}

#[tokio::test]
async fn a_pull_that_fails_keeps_the_clis_words() {
    let cli = DockerCli::new(&environment());
    // Nobody listens on the discard port: a registry that can't be reached.
    let error = cli.pull("127.0.0.1:9/acme/api:1", |_| {}).await.unwrap_err();
    assert!(matches!(&error, EngineError::ImageNotFound(message) if message.contains("127.0.0.1:9")), "{error:?}");
    let gone = BTreeMap::from([
        ("PATH".to_owned(), environment()["PATH"].clone()),
        ("DOCKER_HOST".to_owned(), "unix:///nowhere/engine.sock".to_owned()),
    ]);
    let error = DockerCli::new(&gone).pull("acme/api", |_| {}).await.unwrap_err();
    assert!(
        matches!(&error, EngineError::Unreachable { address, .. } if address == "unix:///nowhere/engine.sock"),
        "{error:?}"
    );
}

/// Stands between mcpmon and the engine, and can go away.
struct Relay {
    socket: std::path::PathBuf,
    tasks: tokio::task::JoinSet<()>,
}

impl Relay {
    fn listen(socket: &Path, engine: String) -> Self {
        let listener = tokio::net::UnixListener::bind(socket).expect("a socket of our own");
        let mut tasks = tokio::task::JoinSet::new();
        tasks.spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut ours, _)) = listener.accept().await {
                let mut theirs = tokio::net::UnixStream::connect(&engine).await.expect("the engine");
                connections.spawn(async move { drop(tokio::io::copy_bidirectional(&mut ours, &mut theirs).await) });
            }
        });
        Self { socket: socket.to_owned(), tasks }
    }

    async fn stop(mut self) {
        self.tasks.shutdown().await;
        std::fs::remove_file(&self.socket).expect("the socket is ours");
    }
}

#[tokio::test]
async fn an_engine_that_goes_away_and_comes_back() {
    use futures_util::StreamExt;
    use mcpmon::model::labels;

    let corner = Corner::new("away").await;
    let address = corner.docker.info().address;
    let engine = address.strip_prefix("unix://").expect("this test relays a Unix socket").to_owned();
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("relay.sock");
    let relay = Relay::listen(&socket, engine.clone());
    let host = BTreeMap::from([("DOCKER_HOST".to_owned(), format!("unix://{}", socket.display()))]);
    let docker = Docker::connect(&host, DEADLINE).await.unwrap();
    let project = (labels::PROJECT, Some(corner.project.as_str()));
    let mut events = Events(docker.events(project, None));
    let id = corner.create("api", &spec(&["idle"])).await.unwrap();
    let created = events.action(&id, "create").await;

    relay.stop().await;
    let cut = async {
        loop {
            if let Err(error) = events.0.next().await.expect("the stream ends with an error") {
                return error;
            }
        }
    };
    let cut = tokio::time::timeout(DEADLINE, cut).await.expect("the cut is noticed");
    assert!(matches!(cut, EngineError::Unreachable { .. }), "{cut:?}");
    let error = docker.list(&[project]).await.unwrap_err();
    assert!(error.is_transient() && matches!(error, EngineError::Unreachable { .. }), "{error:?}");

    // Meanwhile something happens. Back again, the same connection goes on, and the events from then on are told.
    corner.docker.start(&id).await.unwrap();
    let relay = Relay::listen(&socket, engine);
    assert_eq!(docker.list(&[project]).await.unwrap().len(), 1);
    let mut events = Events(docker.events(project, Some(created.time)));
    assert_eq!(events.action(&id, "create").await, created, "inclusive: the last one comes again");
    events.action(&id, "start").await;
    relay.stop().await;
}
