//! Short ways to make models in unit tests.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use super::{
    ContainerSpec, Health, Labels, ObservedContainer, Project, RunTarget, ServiceTarget, State, Target, TargetKind,
    WatchSettings,
    fingerprint::{config_hash, remember},
    labels,
    observed::ObservedResource,
    service::{COMPOSE_NUMBER, COMPOSE_PROJECT, COMPOSE_SERVICE, ComposeProject},
    spec::{NetworkAttachment, RestartPolicy},
    target::{ExtensionSettings, McpSettings, NetworkSpec, OnReload, ProcessTarget, PullPolicy, UpdateConfig},
};

/// A plain command.
pub fn process(words: Vec<String>) -> ProcessTarget {
    ProcessTarget { words, stop_grace_period: Duration::from_secs(10) }
}

/// A container of that image in the project's default network, everything else as it comes.
pub fn spec(image: &str) -> ContainerSpec {
    ContainerSpec {
        image: image.into(),
        container_name: None,
        command: None,
        entrypoint: None,
        environment: BTreeMap::new(),
        volumes: Vec::new(),
        ports: Vec::new(),
        tmpfs: BTreeMap::new(),
        networks: BTreeMap::from([("p_default".into(), NetworkAttachment::default())]),
        network_mode: None,
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

/// A run target of that image.
pub fn target(name: &str, image: &str) -> Target {
    Target {
        name: name.into(),
        kind: TargetKind::Run(Box::new(RunTarget {
            spec: spec(image),
            build: None,
            pull_policy: PullPolicy::Missing,
            secrets: super::secret::Secrets::default(),
        })),
        depends_on: BTreeMap::new(),
        watch: WatchSettings {
            paths: Vec::new(),
            auto: true,
            ignore: Vec::new(),
            extensions: Vec::new(),
            ignore_files: Vec::new(),
            delay: Duration::from_millis(100),
            rules: Vec::new(),
        },
        update: UpdateConfig { order: None, rollback: true, monitor: Duration::from_secs(10) },
        mcp: McpSettings {
            transport: None,
            startup_timeout: Duration::from_mins(1),
            on_reload: OnReload::Drain,
            buffer: 1 << 20,
            max_output_tokens: 25_000,
            extensions: ExtensionSettings { results: true },
        },
    }
}

/// The run target inside.
pub fn run(target: &mut Target) -> &mut RunTarget {
    match &mut target.kind {
        TargetKind::Run(run) => run,
        other => unreachable!("not a run target: {other:?}"),
    }
}

/// Project `p` of these targets, with the default network.
pub fn project(targets: impl IntoIterator<Item = Target>) -> Project {
    Project {
        name: "p".into(),
        folder: PathBuf::from("/p"),
        config_file: PathBuf::from("/p/mcpmon.toml"),
        targets: targets.into_iter().map(|target| (target.name.clone(), target)).collect(),
        networks: BTreeMap::from([("p_default".into(), NetworkSpec::default())]),
        volumes: BTreeMap::new(),
    }
}

/// The container that mcpmon makes of a target, running.
pub fn container(target: &Target) -> ObservedContainer {
    let TargetKind::Run(run) = &target.kind else { unreachable!("not a run target") };
    ObservedContainer {
        id: format!("id-{}", target.name),
        name: run.spec.container_name.clone().unwrap_or_else(|| format!("p-{}", target.name)),
        image: run.spec.image.clone(),
        image_id: format!("sha256:{}", run.spec.image),
        labels: labels([
            (labels::MANAGED, "true"),
            (labels::PROJECT, "p"),
            (labels::TARGET, &target.name),
            (labels::CONFIG_HASH, &config_hash(&run.spec)),
            (labels::CONFIG, &remember(run)),
        ]),
        state: State::Running,
        health: Health::None,
        created: 1,
        status: "Up".into(),
        ports: Vec::new(),
        networks: run.spec.networks.keys().cloned().collect(),
    }
}

/// Labels from pairs.
pub fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
    Labels(pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
}

/// A network that mcpmon made for project `p` from that spec.
pub fn network(spec: &NetworkSpec) -> ObservedResource {
    ObservedResource {
        labels: labels([(labels::MANAGED, "true"), (labels::PROJECT, "p"), (labels::CONFIG_HASH, &config_hash(spec))]),
    }
}

/// A service of compose project `cp`, with one container of image `i`.
pub fn service(compose: &str, name: &str) -> Target {
    let spec = serde_json::json!({"image": "i", "command": [name]});
    let service = ServiceTarget {
        project: std::sync::Arc::new(ComposeProject {
            target: compose.into(),
            name: "cp".into(),
            ..ComposeProject::default()
        }),
        service: name.into(),
        hash: config_hash(&spec),
        whole: spec.clone(),
        spec,
        image: "i".into(),
        builds: false,
        build: None,
        always_build: false,
        binds: Vec::new(),
        networks: BTreeSet::new(),
        replicas: 1,
        grace: Duration::from_secs(10),
        engine_restarts: false,
        follows: BTreeSet::new(),
        shares: BTreeSet::new(),
        secrets: super::secret::Secrets::default(),
    };
    Target { name: format!("{compose}/{name}"), kind: TargetKind::Service(Box::new(service)), ..target(name, "i") }
}

/// A container that mcpmon had compose make of a service, running.
pub fn service_container(compose: &str, service: &ServiceTarget, number: usize) -> ObservedContainer {
    let name = format!("{compose}/{}", service.service);
    let mut container = container(&target(&service.service, &service.image));
    container.id = format!("id-{name}-{number}");
    container.name = format!("{}-{}-{number}", service.project.name, service.service);
    container.image_id = format!("sha256:{}", service.image);
    container.networks.clear();
    container.labels = labels([
        (labels::MANAGED, "true"),
        (labels::PROJECT, "p"),
        (labels::TARGET, name.as_str()),
        (labels::CONFIG_HASH, &service.hash),
        (COMPOSE_PROJECT, &service.project.name),
        (COMPOSE_SERVICE, &service.service),
        (COMPOSE_NUMBER, &number.to_string()),
    ]);
    container
}
