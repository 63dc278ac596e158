//! Each field of a container spec, by what the engine then has: the same container is made by the docker
//! CLI's own flags, and `docker inspect` must tell no difference. Where the CLI can't say it, inspect is read.

use std::{collections::BTreeMap, path::Path, time::Duration};

use mcpmon::{
    engine::{Engine, EngineError},
    model::{
        ContainerSpec, EnvironmentValue,
        spec::{Healthcheck, Logging, Mount, MountSource, NetworkAttachment, Port, Protocol, RestartPolicy, Ulimit},
        target::NetworkSpec,
    },
};
use serde_json::Value;

use crate::support::{Corner, IMAGE, docker, inspected, spec};

/// Makes the container both ways and compares what the engine says about them.
async fn same_as_the_cli(corner: &Corner, target: &str, spec: &ContainerSpec, flags: &[&str]) -> Value {
    let ours = corner.create(target, spec).await.expect("create");
    let theirs = corner.name(&format!("{target}-cli"));
    let labels: Vec<String> =
        corner.labels(target).into_iter().map(|(key, value)| format!("--label={key}={value}")).collect();
    let stop_timeout = format!("--stop-timeout={}", spec.stop_grace_period.as_secs());
    let mut arguments = vec!["create", "--name", &theirs, &stop_timeout];
    arguments.extend(labels.iter().map(String::as_str));
    arguments.extend(flags);
    arguments.push(IMAGE);
    arguments.extend(spec.command.iter().flatten().map(String::as_str));
    let made = docker(&arguments);
    assert!(made.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&made.stderr));
    let (ours, theirs) = (inspected(&ours), inspected(&theirs));
    for part in ["Config", "HostConfig"] {
        let (ours, theirs) = (comparable(&ours[part], spec), comparable(&theirs[part], spec));
        assert_eq!(ours, theirs, "{target}: {part} differs from the CLI's container");
    }
    ours
}

/// Without what is empty, and without what `docker create` means by itself: its terminal, its own attaching.
fn comparable(value: &Value, spec: &ContainerSpec) -> BTreeMap<String, Value> {
    let not_ours = ["AttachStdin", "AttachStdout", "AttachStderr", "StdinOnce", "ConsoleSize"];
    let fields = value.as_object().expect("an object").iter();
    let mut fields: BTreeMap<String, Value> = fields
        .filter(|(key, _)| !not_ours.contains(&key.as_str()))
        .filter(|(key, _)| spec.hostname.is_some() || *key != "Hostname")
        .filter_map(|(key, value)| Some((key.clone(), filled(value)?)))
        .collect();
    // The CLI keeps these in maps: their order is chance.
    for key in ["Binds", "Env"] {
        if let Some(Value::Array(items)) = fields.get_mut(key) {
            items.sort_by_key(ToString::to_string);
        }
    }
    fields
}

/// A value without its empty parts: engines read null, "", 0, [] and {} alike.
fn filled(value: &Value) -> Option<Value> {
    let value = match value {
        Value::Object(fields) => {
            Value::Object(fields.iter().filter_map(|(key, value)| Some((key.clone(), filled(value)?))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().filter_map(filled).collect()),
        other => other.clone(),
    };
    let empty = match &value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_i64() == Some(0),
        Value::String(value) => value.is_empty(),
        Value::Array(value) => value.is_empty(),
        Value::Object(value) => value.is_empty(),
    };
    (!empty).then_some(value)
}

fn mount(source: MountSource, target: &str) -> Mount {
    Mount { source, target: target.to_owned(), read_only: false, propagation: None, selinux: None, nocopy: false }
}

fn bind(path: &Path, create: bool, target: &str) -> Mount {
    mount(MountSource::Bind { path: path.to_owned(), create }, target)
}

fn port(host_ip: Option<[u8; 4]>, published: u16, target: u16, protocol: Protocol) -> Port {
    Port { host_ip: host_ip.map(Into::into), published, target, protocol }
}

#[tokio::test]
async fn an_empty_target_is_what_docker_create_makes() {
    let corner = Corner::new("plain").await;
    same_as_the_cli(&corner, "init", &spec(&["idle"]), &["--network=host", "--init"]).await;
    let mut bare = spec(&["idle"]);
    bare.init = false;
    bare.network_mode = None;
    let found = same_as_the_cli(&corner, "bare", &bare, &["--init=false"]).await;
    assert_eq!(found["Config"]["Cmd"][0], "idle");
}

#[tokio::test]
async fn the_process_and_its_surroundings() {
    let corner = Corner::new("process").await;
    let mut spec = spec(&["exists", "/"]);
    spec.entrypoint = Some(vec!["/mcp-server".into()]);
    let value = |value: &str, secret| EnvironmentValue { value: value.into(), secret };
    spec.environment = BTreeMap::from([
        ("A".into(), value("b=c d", false)),
        ("EMPTY".into(), value("", false)),
        ("API_KEY".into(), value("s3cret", true)),
    ]);
    spec.working_dir = Some("/work".into());
    spec.user = Some("1000:1000".into());
    spec.hostname = Some("box".into());
    spec.stdin_open = true;
    spec.tty = true;
    spec.stop_signal = Some("SIGINT".into());
    spec.stop_grace_period = Duration::from_secs(3);
    spec.restart = RestartPolicy::OnFailure(3);
    spec.extra_hosts = vec!["db:10.0.0.7".into(), "outside:host-gateway".into()];
    spec.logging =
        Some(Logging { driver: "json-file".into(), options: BTreeMap::from([("max-size".into(), "1m".into())]) });
    spec.healthcheck = Some(Healthcheck {
        test: Some(vec!["CMD-SHELL".into(), "true".into()]),
        interval: Some(Duration::from_millis(1500)),
        timeout: Some(Duration::from_secs(2)),
        retries: Some(4),
        start_period: Some(Duration::from_secs(5)),
        start_interval: None,
    });
    let flags = [
        "--network=host",
        "--init",
        "--entrypoint=/mcp-server",
        "--env=A=b=c d",
        "--env=API_KEY=s3cret",
        "--env=EMPTY=",
        "--workdir=/work",
        "--user=1000:1000",
        "--hostname=box",
        "--interactive",
        "--tty",
        "--stop-signal=SIGINT",
        "--restart=on-failure:3",
        "--add-host=db:10.0.0.7",
        "--add-host=outside:host-gateway",
        "--log-driver=json-file",
        "--log-opt=max-size=1m",
        "--health-cmd=true",
        "--health-interval=1500ms",
        "--health-timeout=2s",
        "--health-retries=4",
        "--health-start-period=5s",
    ];
    let found = same_as_the_cli(&corner, "api", &spec, &flags).await;
    assert_eq!(found["Config"]["StopTimeout"], 3);
    assert_eq!(found["Config"]["Healthcheck"]["Interval"], 1_500_000_000);
    assert_eq!(found["Config"]["StdinOnce"], false, "whoever attaches may come back");
}

#[tokio::test]
async fn entrypoint_and_health_check_can_be_cleared() {
    let corner = Corner::new("cleared").await;
    let mut spec = spec(&["/mcp-server", "idle"]);
    spec.entrypoint = Some(Vec::new());
    spec.healthcheck = Some(Healthcheck {
        test: Some(vec!["NONE".into()]),
        interval: None,
        timeout: None,
        retries: None,
        start_period: None,
        start_interval: None,
    });
    let id = corner.run("api", &spec).await;
    let found = inspected(&id);
    assert_eq!(filled(&found["Config"]["Entrypoint"]), None);
    assert_eq!(found["Path"], "/mcp-server");
    assert_eq!(found["Config"]["Healthcheck"]["Test"][0], "NONE");
    assert!(corner.details(&id).await.running);
}

#[tokio::test]
async fn limits_and_rights() {
    let corner = Corner::new("limits").await;
    let mut limited = spec(&["idle"]);
    limited.read_only = true;
    limited.cap_add = vec!["CAP_NET_ADMIN".into()];
    limited.cap_drop = vec!["ALL".into()];
    limited.security_opt = vec!["no-new-privileges".into(), "seccomp=unconfined".into()];
    limited.ulimits = BTreeMap::from([("nofile".into(), Ulimit { soft: 1024, hard: 2048 })]);
    limited.shm_size = Some(32 << 20);
    limited.mem_limit = Some(64 << 20);
    limited.cpus = Some(0.5);
    limited.pids_limit = Some(50);
    limited.tmpfs = BTreeMap::from([("/tmp".into(), "size=1m".into()), ("/run".into(), String::new())]);
    limited.restart = RestartPolicy::UnlessStopped;
    let flags = [
        "--network=host",
        "--init",
        "--read-only",
        "--cap-add=NET_ADMIN",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--security-opt=seccomp=unconfined",
        "--ulimit=nofile=1024:2048",
        "--shm-size=32m",
        "--memory=64m",
        "--cpus=0.5",
        "--pids-limit=50",
        "--tmpfs=/tmp:size=1m",
        "--tmpfs=/run",
        "--restart=unless-stopped",
    ];
    let found = same_as_the_cli(&corner, "limited", &limited, &flags).await;
    assert_eq!(found["HostConfig"]["NanoCpus"], 500_000_000);

    let folder = tempfile::tempdir().unwrap();
    let profile = folder.path().join("seccomp.json");
    std::fs::write(&profile, r#"{"defaultAction":"SCMP_ACT_ALLOW"}"#).unwrap();
    let seccomp = format!("seccomp={}", profile.display());
    let mut free = spec(&["idle"]);
    free.privileged = true;
    free.security_opt = vec![seccomp.clone(), "systempaths=unconfined".into()];
    free.restart = RestartPolicy::Always;
    free.pids_limit = Some(-1);
    let option = format!("--security-opt={seccomp}");
    let flags = [
        "--network=host",
        "--init",
        "--privileged",
        &option,
        "--security-opt=systempaths=unconfined",
        "--restart=always",
        "--pids-limit=-1",
    ];
    same_as_the_cli(&corner, "free", &free, &flags).await;

    free.security_opt = vec!["seccomp=/nowhere/seccomp.json".into()];
    let error = corner.create("unreadable", &free).await.unwrap_err();
    assert!(error.to_string().contains("/nowhere/seccomp.json"), "{error}");
}

#[tokio::test]
async fn bind_mounts_and_volumes() {
    let corner = Corner::new("mounts").await;
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().canonicalize().unwrap();
    let (cache, made) = (corner.name("cache"), here.join("made/deep"));
    corner
        .docker
        .create_volume(&cache, &mcpmon::model::target::VolumeSpec::default(), &corner.labels("none"))
        .await
        .unwrap();
    let mut spec = spec(&["write", "/made/file", "text"]);
    spec.volumes = vec![
        bind(&made, true, "/made"),
        Mount { read_only: true, selinux: Some("z".into()), ..bind(&here, true, "/short") },
        Mount { read_only: true, propagation: Some("private".into()), ..bind(&here, false, "/long") },
        Mount { nocopy: true, ..mount(MountSource::Volume(cache.clone()), "/cache") },
        mount(MountSource::Anonymous, "/anonymous"),
    ];
    let flags = [
        "--network=host",
        "--init",
        &format!("--volume={}:/made", made.display()),
        &format!("--volume={}:/short:ro,z", here.display()),
        &format!("--mount=type=bind,source={},target=/long,readonly,bind-propagation=private", here.display()),
        &format!("--mount=type=volume,source={cache},target=/cache,volume-nocopy"),
        "--mount=type=volume,target=/anonymous",
    ];
    let found = same_as_the_cli(&corner, "api", &spec, &flags).await;
    let id = found["Id"].as_str().unwrap();
    let mut events = corner.events();
    corner.docker.start(id).await.unwrap();
    events.action(id, "die").await;
    assert_eq!(std::fs::read_to_string(made.join("file")).unwrap().trim(), "text", "the missing folder was made");
}

#[tokio::test]
async fn a_missing_folder_fails_where_it_must_not_be_made() {
    let corner = Corner::new("missing").await;
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("not-there");
    let mut spec = spec(&["idle"]);
    spec.volumes = vec![bind(&missing, false, "/data")];
    let error = corner.create("api", &spec).await.unwrap_err().to_string();
    assert!(error.contains("volume source missing") && error.contains(missing.to_str().unwrap()), "{error}");
    assert!(!missing.exists());
    assert_eq!(corner.docker.find_by_name(&corner.name("api")).await.unwrap(), None, "nothing is left");
}

#[tokio::test]
async fn published_ports() {
    let corner = Corner::new("ports").await;
    let mut spec = spec(&["idle"]);
    spec.network_mode = None;
    spec.ports = vec![
        port(Some([127, 0, 0, 1]), 0, 3000, Protocol::Tcp),
        port(None, 0, 3001, Protocol::Tcp),
        port(Some([127, 0, 0, 1]), 0, 53, Protocol::Udp),
    ];
    let flags = ["--init", "--publish=127.0.0.1::3000", "--publish=3001", "--publish=127.0.0.1::53/udp"];
    let found = same_as_the_cli(&corner, "api", &spec, &flags).await;
    let id = found["Id"].as_str().unwrap();
    corner.docker.start(id).await.unwrap();
    let published = corner.details(id).await.published;
    let local: Vec<_> = published.iter().filter(|(port, _)| *port == 3000).collect();
    assert_eq!(local.len(), 1, "{published:?}");
    assert!(local[0].1.ip().is_loopback() && local[0].1.port() > 0);
    assert!(published.iter().any(|(port, _)| *port == 3001) && published.iter().all(|(port, _)| *port != 53));

    // The same port twice: fixed, on two addresses.
    let fixed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    spec.ports = vec![
        port(Some([127, 0, 0, 1]), fixed, 3000, Protocol::Tcp),
        port(Some([127, 0, 0, 2]), fixed, 3000, Protocol::Tcp),
    ];
    let flags = ["--init", &format!("--publish=127.0.0.1:{fixed}:3000"), &format!("--publish=127.0.0.2:{fixed}:3000")];
    same_as_the_cli(&corner, "fixed", &spec, &flags).await;
}

#[tokio::test]
async fn networks_their_aliases_and_addresses() {
    let corner = Corner::new("networks").await;
    let labels = corner.labels("none");
    let (front, back) = (corner.name("a-front"), corner.name("b-back"));
    corner.docker.create_network(&front, &NetworkSpec::default(), &labels).await.unwrap();
    let inside = NetworkSpec { internal: true, attachable: true, ..NetworkSpec::default() };
    corner.docker.create_network(&back, &inside, &labels).await.unwrap();
    let twice = corner.docker.create_network(&front, &NetworkSpec::default(), &labels).await;
    assert!(matches!(twice, Err(EngineError::NameTaken(_))), "{twice:?}");
    let described = docker(&["network", "inspect", &back, "--format", "{{.Internal}} {{.Attachable}} {{.Driver}}"]);
    assert_eq!(String::from_utf8_lossy(&described.stdout).trim(), "true true bridge");
    let project = (mcpmon::model::labels::PROJECT, corner.project.as_str());
    let found = corner.docker.networks(project).await.unwrap();
    assert_eq!(found.keys().collect::<Vec<_>>(), [&front, &back]);
    assert!(found[&front].labels.managed());

    let mut spec = spec(&["idle"]);
    spec.network_mode = None;
    spec.networks = BTreeMap::from([
        (front.clone(), NetworkAttachment { aliases: vec!["web".into()], ..NetworkAttachment::default() }),
        (back.clone(), NetworkAttachment::default()),
    ]);
    let id = corner.run("api", &spec).await;
    let networks = &inspected(&id)["NetworkSettings"]["Networks"];
    for (network, aliases) in [(&front, vec!["api", "web"]), (&back, vec!["api"])] {
        let found = networks[network.as_str()]["Aliases"].as_array().unwrap();
        assert!(aliases.iter().all(|alias| found.iter().any(|found| found == alias)), "{network}: {found:?}");
        assert_ne!(networks[network.as_str()]["IPAddress"], "");
    }
    let listed = corner.docker.list(&[(project.0, Some(project.1))]).await.unwrap();
    assert_eq!(listed[0].networks.iter().collect::<Vec<_>>(), [&front, &back]);

    let error = corner.docker.remove_network(&front).await.unwrap_err();
    assert!(error.to_string().contains("active endpoints"), "{error}");
    corner.docker.remove(&id).await.unwrap();
    corner.docker.remove_network(&front).await.unwrap();
    corner.docker.remove_network(&front).await.expect("removing what is gone is fine");

    // A first network that is missing shows at the start.
    spec.networks.remove(&back);
    let id = corner.create("late", &spec).await.unwrap();
    let error = corner.docker.start(&id).await.unwrap_err();
    assert!(matches!(&error, EngineError::NotFound(message) if message.contains(&front)), "{error:?}");
}

#[tokio::test]
async fn a_fixed_address_and_a_network_that_cannot_be_joined() {
    let corner = Corner::new("address").await;
    let network = corner.name("net");
    let label = format!("--label={}={}", mcpmon::model::labels::PROJECT, corner.project);
    let subnet = "10.213.77.0/28";
    let made = docker(&["network", "create", &label, "--subnet", subnet, &network]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let fixed = NetworkAttachment { ipv4_address: Some("10.213.77.5".into()), ..NetworkAttachment::default() };
    let mut spec = spec(&["idle"]);
    spec.network_mode = None;
    spec.networks = BTreeMap::from([(network.clone(), fixed)]);
    let id = corner.run("api", &spec).await;
    assert_eq!(inspected(&id)["NetworkSettings"]["Networks"][&network]["IPAddress"], "10.213.77.5");
    corner.docker.remove(&id).await.unwrap();

    // The second network can't be joined: nothing is left of the container.
    spec.networks.insert("host".into(), NetworkAttachment::default());
    let error = corner.create("api", &spec).await.unwrap_err();
    assert!(error.to_string().contains("host"), "{error:?}");
    assert_eq!(corner.docker.find_by_name(&corner.name("api")).await.unwrap(), None);
}

#[tokio::test]
async fn network_modes() {
    let corner = Corner::new("modes").await;
    let host = corner.run("host", &spec(&["idle"])).await;
    let shared = format!("container:{host}");
    for mode in ["host", "none", "bridge", &shared] {
        let mut spec = spec(&["idle"]);
        spec.network_mode = Some(mode.to_owned());
        let target = mode.split(':').next().unwrap().to_owned() + "-mode";
        same_as_the_cli(&corner, &target, &spec, &["--init", &format!("--network={mode}")]).await;
    }
}

#[tokio::test]
async fn volumes_are_made_listed_and_removed() {
    let corner = Corner::new("volumes").await;
    let name = corner.name("cache");
    let spec = mcpmon::model::target::VolumeSpec {
        driver_opts: BTreeMap::from([("type".into(), "tmpfs".into()), ("device".into(), "tmpfs".into())]),
        ..mcpmon::model::target::VolumeSpec::default()
    };
    corner.docker.create_volume(&name, &spec, &corner.labels("none")).await.unwrap();
    let described = docker(&["volume", "inspect", &name, "--format", "{{.Driver}} {{.Options.type}}"]);
    assert_eq!(String::from_utf8_lossy(&described.stdout).trim(), "local tmpfs");
    let project = (mcpmon::model::labels::PROJECT, corner.project.as_str());
    assert_eq!(corner.docker.volumes(project).await.unwrap().into_keys().next(), Some(name.clone()));
    corner.docker.remove_volume(&name).await.unwrap();
    corner.docker.remove_volume(&name).await.expect("removing what is gone is fine");
    assert!(corner.docker.volumes(project).await.unwrap().is_empty());
}
