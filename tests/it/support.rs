//! What every engine test needs: a connection, a name of its own, containers made and removed, waits with a deadline.
//! A test only ever touches what carries its own label.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    process::{Command, Output},
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering},
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use futures_util::StreamExt;
use mcpmon::{
    engine::{ContainerDetails, CreateContainer, Engine, EngineEvent, EngineResult, EngineStream, docker::Docker},
    model::{ContainerSpec, Owner, labels, spec::RestartPolicy},
};

use crate::engine_api::{self, Kind, sweep};

/// The image of all tests: `FROM scratch` around `examples/server`.
pub(crate) const IMAGE: &str = "mcpmon-test-server:latest";

/// How long anything may take that should happen at once. Generous: the machine may be busy.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// This process's environment, as mcpmon would read it.
pub(crate) fn environment() -> BTreeMap<String, String> {
    std::env::vars().collect()
}

/// One test's corner of the engine; everything labelled with its project is removed at the end, also after a panic.
pub(crate) struct Corner {
    /// The connection.
    pub(crate) docker: Docker,
    /// The test's project: label value, and prefix of all names.
    pub(crate) project: String,
}

impl Corner {
    /// Connects, and makes sure that the tests' image is there.
    pub(crate) async fn new(test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);

        let docker = Docker::connect(&environment(), DEADLINE).await.expect("engine tests need a running engine");
        let image = docker.image(IMAGE).await.expect("the engine answers");
        assert!(image.is_some(), "engine tests need the image {IMAGE}: `make test` builds it");
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        Self { docker, project: format!("it-{test}-{}-{count}", std::process::id()) }
    }

    /// A name in this corner.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.project)
    }

    /// The labels of everything here. Its owner is this very process: a `mcpmon cleanup` that runs meanwhile
    /// must not take it for an orphan's.
    pub(crate) fn labels(&self, target: &str) -> BTreeMap<String, String> {
        static OWNER: LazyLock<Owner> = LazyLock::new(mcpmon::session::new);
        let mut labels = OWNER.labels();
        labels.insert(labels::PROJECT.to_owned(), self.project.clone());
        labels.insert(labels::TARGET.to_owned(), target.to_owned());
        labels
    }

    /// Makes the target's container; its name and alias come from the target.
    pub(crate) async fn create(&self, target: &str, spec: &ContainerSpec) -> EngineResult<String> {
        let (name, labels) = (self.name(target), self.labels(target));
        self.docker
            .create(&CreateContainer { name: &name, spec, alias: target, labels: &labels, stdin_once: false })
            .await
    }

    /// Makes and starts the target's container.
    pub(crate) async fn run(&self, target: &str, spec: &ContainerSpec) -> String {
        let id = self.create(target, spec).await.expect("create");
        self.docker.start(&id).await.expect("start");
        id
    }

    /// This corner's events from now on.
    pub(crate) fn events(&self) -> Events {
        Events(self.docker.events((labels::PROJECT, Some(&self.project)), None))
    }

    /// A container's details; it must be there.
    pub(crate) async fn details(&self, id: &str) -> ContainerDetails {
        self.docker.inspect(id).await.expect("inspect").expect("the container is there")
    }
}

impl Drop for Corner {
    fn drop(&mut self) {
        // Without the code under test, which may be what has failed.
        sweep(&Kind::MADE, &[&format!("{}={}", labels::PROJECT, self.project)]);
    }
}

/// Events, awaited one by one.
pub(crate) struct Events(pub(crate) EngineStream<EngineEvent>);

impl Events {
    /// The next event that matches.
    pub(crate) async fn wait(&mut self, what: &str, matches: impl Fn(&EngineEvent) -> bool) -> EngineEvent {
        let found = tokio::time::timeout(DEADLINE, async {
            loop {
                let event = self.0.next().await.expect("the event stream goes on").expect("an event");
                if matches(&event) {
                    return event;
                }
            }
        });
        found.await.unwrap_or_else(|_| panic!("no event within {DEADLINE:?}: {what}"))
    }

    /// The next such event of that container.
    pub(crate) async fn action(&mut self, id: &str, action: &str) -> EngineEvent {
        self.wait(&format!("{action} of {id}"), |event| event.id == id && event.action == action).await
    }
}

/// A container of the tests' image with nothing set that need not be: what an empty target resolves to. In the host's
/// network: the engine starts a program of its own to set up any other, also none at all: two fifths of a start.
pub(crate) fn spec(command: &[&str]) -> ContainerSpec {
    ContainerSpec {
        image: IMAGE.to_owned(),
        container_name: None,
        command: Some(command.iter().map(ToString::to_string).collect()),
        entrypoint: None,
        environment: BTreeMap::new(),
        volumes: Vec::new(),
        ports: Vec::new(),
        tmpfs: BTreeMap::new(),
        networks: BTreeMap::new(),
        network_mode: Some("host".to_owned()),
        extra_hosts: Vec::new(),
        hostname: None,
        labels: BTreeMap::new(),
        working_dir: None,
        user: None,
        stdin_open: false,
        tty: false,
        init: true,
        read_only: false,
        cap_add: Vec::new(),
        cap_drop: Vec::new(),
        security_opt: Vec::new(),
        privileged: false,
        ulimits: BTreeMap::new(),
        shm_size: None,
        mem_limit: None,
        cpus: None,
        pids_limit: None,
        stop_signal: None,
        stop_grace_period: Duration::from_secs(10),
        restart: RestartPolicy::No,
        logging: None,
        healthcheck: None,
    }
}

/// Runs the docker CLI: the second opinion.
pub(crate) fn docker(arguments: &[&str]) -> Output {
    Command::new("docker").args(arguments).output().expect("the docker CLI runs")
}

/// Gives a command another one's folder and environment.
pub(crate) fn in_the_same_place(as_in: &Command, command: &mut Command) {
    if let Some(folder) = as_in.get_current_dir() {
        command.current_dir(folder);
    }
    for (key, value) in as_in.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
}

/// What `docker inspect` says about a container.
pub(crate) fn inspected(id: &str) -> serde_json::Value {
    engine_api::inspect(Kind::Container, id).unwrap_or_else(|| panic!("there is no container {id}"))
}

/// What `docker inspect` says about all containers with that label, also stopped ones. One that is made anew or removed at
/// that very moment is left out.
pub(crate) fn inspected_all(label: &str) -> Vec<serde_json::Value> {
    let ids = engine_api::ids(Kind::Container, &[&format!("label={label}")]);
    ids.iter().filter_map(|id| engine_api::inspect(Kind::Container, id)).collect()
}

/// The lines of an output as they come, read by a thread of their own: whoever waits for one can say how long.
pub(crate) fn lines_of(input: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = channel();
    std::thread::spawn(move || {
        let mut input = BufReader::new(input);
        let mut line = Vec::new();
        while input.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(line.trim_ascii_end()).into_owned();
            line.clear();
            if sender.send(text).is_err() {
                break;
            }
        }
    });
    lines
}

/// Looks until it is so. What is looked at has no event that a test could wait for.
#[track_caller]
pub(crate) fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    // Each look may take a docker CLI, which costs 20 ms of processor time: soon at first, then less often.
    let mut wait = Duration::from_millis(10);
    while !so() {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        std::thread::sleep(wait);
        wait = (wait * 2).min(Duration::from_millis(160));
    }
}
