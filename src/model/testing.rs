//! Short ways to make models in unit tests.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    ContainerSpec, Health, Labels, ObservedContainer, Project, RunTarget, State, Target, TargetKind, WatchSettings,
    fingerprint::{config_hash, remember},
    labels,
    observed::ObservedResource,
    spec::{NetworkAttachment, RestartPolicy},
    target::{ExtensionSettings, McpSettings, NetworkSpec, OnReload, PullPolicy, UpdateConfig},
};

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
