//! Files in, settings or problems out. The defaults are merged in as the layers do it.

use std::{collections::BTreeMap, path::Path, time::Duration};

use pretty::problems;

use super::{Context, resolve};
use crate::{
    config::{
        file::{DEFAULTS, File},
        problem::Problem,
    },
    model::{
        ContainerSpec, RunTarget, Settings, TargetKind,
        secret::Secrets,
        settings::WatchAction,
        target::{Condition, PullPolicy, UpdateOrder},
    },
};

mod pretty {
    use super::Problem;

    /// `path: message`, one a line; `@` before a path that is meant as a key.
    pub(super) fn problems(problems: &[Problem]) -> Vec<String> {
        let at = |problem: &Problem| if problem.at_key { "@" } else { "" };
        problems.iter().map(|problem| format!("{}{}: {}", at(problem), problem.path, problem.message)).collect()
    }
}

fn merge(into: &mut toml::Table, from: toml::Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => merge(below, above),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn outcome(text: &str) -> (Option<Settings>, Vec<Problem>) {
    let mut all: toml::Table = toml::from_str(DEFAULTS).unwrap();
    merge(&mut all, toml::from_str(text).unwrap_or_else(|error| panic!("{text}\n{error}")));
    let file: File = all.try_into().unwrap_or_else(|error| panic!("{text}\n{error}"));
    let read = |path: &Path| match path.to_str() {
        Some("/srv/My Project/.env") => Ok(Some("FROM_FILE=1\nLEVEL=file\nBLANK=$NOWHERE\n".to_owned())),
        Some("/srv/My Project/bad.env") => Ok(Some("A=1\nno name=2\n".to_owned())),
        Some("/srv/My Project/locked.env") => Err("permission denied".to_owned()),
        _ => Ok(None),
    };
    let context = Context {
        folder: "/srv/My Project".into(),
        config_file: "/srv/My Project/mcpmon.toml".into(),
        home: Some("/home/me".into()),
        environment: BTreeMap::from([("HOST_KEY".to_owned(), "host".to_owned())]),
        read: &read,
        inputs: vec!["/srv/My Project/mcpmon.toml".into()],
        warnings: Vec::new(),
        secrets: Secrets::default(),
    };
    resolve(&file, &context)
}

fn settings(text: &str) -> Settings {
    let (settings, found) = outcome(text);
    settings.unwrap_or_else(|| panic!("{text}\n{:#?}", problems(&found)))
}

fn run_target(text: &str) -> RunTarget {
    let mut settings = settings(&format!("[targets.api]\nimage = \"acme/api\"\n{text}"));
    match settings.project.targets.remove("api").map(|target| target.kind) {
        Some(TargetKind::Run(run)) => *run,
        other => panic!("{other:?}"),
    }
}

fn spec(text: &str) -> ContainerSpec {
    run_target(text).spec
}

/// As JSON, one field.
fn field(text: &str, name: &str) -> String {
    serde_json::to_value(spec(text)).unwrap().get(name).map(ToString::to_string).unwrap_or_default()
}

#[test]
fn an_empty_file_has_every_default() {
    let settings = settings("");
    assert_eq!(settings.project.name, "myproject");
    assert_eq!(settings.reconcile.interval, Duration::from_secs(30));
    assert_eq!(settings.reconcile.backoff.initial, Duration::from_millis(500));
    assert_eq!(settings.session.docker_timeout, Duration::from_secs(30));
    assert_eq!(settings.session.extensions_dir, Path::new("/srv/My Project/.mcpmon"));
    assert_eq!(settings.session.log_level, "info");
    assert!(settings.session.cleanup && settings.reconcile.prune);
    assert!(settings.project.networks.is_empty(), "nobody needs one");
}

#[test]
fn a_target_may_differ_in_its_extensions() {
    let text = "[mcp.extensions]\nresults = false\n[targets.a]\nimage = \"a\"\n[targets.b]\nimage = \"b\"\nmcp.extensions.results = true";
    let targets = settings(text).project.targets;
    assert_eq!((targets["a"].mcp.extensions.results, targets["b"].mcp.extensions.results), (false, true));
}

#[test]
fn a_target_has_every_default() {
    let settings = settings("[targets.api]\nimage = \"acme/api\"");
    let target = &settings.project.targets["api"];
    assert!(target.watch.auto && target.watch.paths.is_empty());
    assert_eq!(target.watch.delay, Duration::from_millis(100));
    assert_eq!(target.watch.ignore_files, [".gitignore", ".dockerignore"]);
    assert_eq!(target.update.monitor, Duration::from_secs(10));
    assert!(target.update.rollback && target.update.order.is_none());
    assert_eq!(target.mcp.startup_timeout, Duration::from_mins(1));
    assert_eq!((target.mcp.buffer, target.mcp.max_output_tokens), (1 << 20, 25_000));
    assert!(target.mcp.extensions.results);
    let spec = spec("");
    assert!(spec.init && !spec.stdin_open && !spec.tty);
    assert_eq!(spec.stop_grace_period, Duration::from_secs(10));
    assert_eq!(spec.networks.keys().collect::<Vec<_>>(), ["myproject_default"]);
    assert_eq!(settings.project.networks.keys().collect::<Vec<_>>(), ["myproject_default"]);
}

#[test]
fn container_fields_by_compose_spec_names() {
    let cases = [
        ("command = \"echo 'a b' c\"", "command", r#"["echo","a b","c"]"#),
        ("command = [\"a b\"]", "command", r#"["a b"]"#),
        ("entrypoint = \"\"", "entrypoint", "[]"),
        (
            "environment = [\"HOST_KEY\", \"GONE\", \"A=b=c\", \"E=\"]",
            "environment",
            r#"{"A":"b=c","E":"","HOST_KEY":"host"}"#,
        ),
        (
            "environment = { N = 3, B = true, F = 1.5, T = \"1.10\" }",
            "environment",
            r#"{"B":"true","F":"1.5","N":"3","T":"1.10"}"#,
        ),
        (
            "env_file = [\".env\", { path = \"none.env\", required = false }]\nenvironment = { LEVEL = \"own\" }",
            "environment",
            r#"{"BLANK":"","FROM_FILE":"1","LEVEL":"own"}"#,
        ),
        (
            "volumes = [\"./data:/data:ro\"]",
            "volumes",
            r#"[{"source":{"bind":{"path":"/srv/My Project/data","create":true}},"target":"/data","read_only":true,"nocopy":false}]"#,
        ),
        (
            "volumes = [\"../up:/u\", \"~/q:/q\"]",
            "volumes",
            r#"[{"source":{"bind":{"path":"/srv/up","create":true}},"target":"/u","read_only":false,"nocopy":false},{"source":{"bind":{"path":"/home/me/q","create":true}},"target":"/q","read_only":false,"nocopy":false}]"#,
        ),
        (
            "volumes = [{ type = \"bind\", source = \"x\", target = \"/x\", bind = { create_host_path = false, propagation = \"rslave\" } }, \"/anonymous\"]",
            "volumes",
            r#"[{"source":{"bind":{"path":"/srv/My Project/x","create":false}},"target":"/x","read_only":false,"propagation":"rslave","nocopy":false},{"source":"anonymous","target":"/anonymous","read_only":false,"nocopy":false}]"#,
        ),
        (
            "tmpfs = \"/t:size=64m\"\nvolumes = [{ type = \"tmpfs\", target = \"/m\", tmpfs = { size = \"1m\", mode = 1777 } }]",
            "tmpfs",
            r#"{"/m":"size=1048576,mode=1777","/t":"size=64m"}"#,
        ),
        (
            "ports = [3000, \"127.0.0.1:53:53/udp\", { target = 80, published = 8080, host_ip = \"::1\" }]",
            "ports",
            r#"[{"published":0,"target":3000,"protocol":"tcp"},{"host_ip":"127.0.0.1","published":53,"target":53,"protocol":"udp"},{"host_ip":"::1","published":8080,"target":80,"protocol":"tcp"}]"#,
        ),
        ("network_mode = \"host\"", "networks", "{}"),
        (
            "extra_hosts = [\"a=1.2.3.4\", \"b:::1\", \"c=[::2]\", \"d:host-gateway\"]",
            "extra_hosts",
            r#"["a:1.2.3.4","b:::1","c:::2","d:host-gateway"]"#,
        ),
        ("extra_hosts = { a = \"1.2.3.4\" }", "extra_hosts", r#"["a:1.2.3.4"]"#),
        ("labels = [\"a=b\", \"c\"]", "labels", r#"{"a":"b","c":""}"#),
        ("user = 1000", "user", "\"1000\""),
        (
            "ulimits = { nofile = 5, core = { soft = -1, hard = -1 } }",
            "ulimits",
            r#"{"core":{"soft":-1,"hard":-1},"nofile":{"soft":5,"hard":5}}"#,
        ),
        ("mem_limit = \"64m\"\nshm_size = 4096", "mem_limit", "67108864"),
        ("mem_limit = 0", "mem_limit", ""),
        ("cpus = \"0.5\"", "cpus", "0.5"),
        ("cpus = 2", "cpus", "2.0"),
        ("pids_limit = -1", "pids_limit", "-1"),
        ("restart = \"on-failure:3\"", "restart", "\"on-failure:3\""),
        ("stop_grace_period = \"1m30s\"", "stop_grace_period", "\"1m 30s\""),
        (
            "logging = { driver = \"local\", options = { max-file = 3 } }",
            "logging",
            r#"{"driver":"local","options":{"max-file":"3"}}"#,
        ),
        (
            "healthcheck = { test = \"curl x\", retries = 3 }",
            "healthcheck",
            r#"{"test":["CMD-SHELL","curl x"],"retries":3}"#,
        ),
        ("healthcheck = { disable = true }", "healthcheck", r#"{"test":["NONE"]}"#),
        ("mcp.transport = \"stdio\"", "stdin_open", "true"),
        ("stdin_open = false\nmcp.transport = \"stdio\"", "stdin_open", "false"),
        ("read_only = \"true\"", "read_only", "true"),
        ("init = false", "init", "false"),
    ];
    for (text, name, want) in cases {
        assert_eq!(field(text, name), want, "{text}");
    }
}

#[test]
fn secrets_are_told_by_key_and_by_file() {
    let spec = spec("env_file = \".env\"\nenvironment = { API_TOKEN = \"t\", LEVEL = \"own\" }");
    let secret = |key: &str| spec.environment[key].secret;
    assert!(secret("API_TOKEN") && secret("FROM_FILE"));
    assert!(!secret("LEVEL"), "written out in the file, above the env file");
    assert!(!format!("{spec:?}").contains("\"t\""));
}

#[test]
fn builds() {
    let target = |text: &str| {
        let settings = settings(text);
        match &settings.project.targets["Api"].kind {
            TargetKind::Run(run) => (**run).clone(),
            other => panic!("{other:?}"),
        }
    };
    let run = target("[targets.Api]\nbuild = \"./server\"");
    assert_eq!(run.spec.image, "myproject-api");
    assert_eq!(run.build.unwrap().context, Path::new("/srv/My Project/server"));
    let run = target(
        "[targets.Api]\nimage = \"localhost:5000/acme/api:Dev\"\npull_policy = \"build\"\n\
         [targets.Api.build]\ndockerfile = \"Dockerfile.dev\"\nargs = [\"HOST_KEY\", \"GONE\", \"A=1\"]",
    );
    assert_eq!(run.spec.image, "localhost:5000/acme/api:Dev");
    assert_eq!(run.pull_policy, PullPolicy::Build);
    let build = run.build.unwrap();
    assert_eq!(build.context, Path::new("/srv/My Project"));
    let args: Vec<_> = build.args.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
    assert_eq!(args, [("A", Some("1")), ("GONE", None), ("HOST_KEY", Some("host"))]);
}

#[test]
fn networks_and_volumes_are_made_only_when_needed() {
    let project = settings(
        "[targets.api]\nimage = \"a\"\nnetworks = { back = { aliases = [\"x\"] }, theirs = {} }\n\
         volumes = [\"cache:/c\", { type = \"volume\", source = \"named\", target = \"/n\" }]\n\
         [networks]\nback = { internal = true }\ntheirs = { external = true }\nunused = {}\n\
         [volumes]\ncache = {}\nnamed = { name = \"mine\" }\nunused = {}",
    )
    .project;
    assert_eq!(project.networks.keys().collect::<Vec<_>>(), ["myproject_back"]);
    assert!(project.networks["myproject_back"].internal);
    assert_eq!(project.volumes.keys().collect::<Vec<_>>(), ["mine", "myproject_cache"]);
    let TargetKind::Run(run) = &project.targets["api"].kind else { panic!() };
    assert_eq!(run.spec.networks.keys().collect::<Vec<_>>(), ["myproject_back", "theirs"]);
    assert_eq!(run.spec.networks["myproject_back"].aliases, ["x"]);
}

#[test]
fn the_other_kinds_of_target() {
    let settings = settings(
        "[targets.web.compose]\nfile = \"compose.yml\"\nservices = [\"web\"]\n\
         override.services.web.environment = { A = \"${B}\" }\n\
         [targets.local]\nrun = \"python 'my server.py'\"\nstop_grace_period = \"3s\"\n\
         [targets.other]\nrun = \"other\"\n[docker]\nstop_grace_period = \"4s\"",
    );
    let TargetKind::Compose(compose) = &settings.project.targets["web"].kind else { panic!() };
    assert_eq!(compose.file, [Path::new("/srv/My Project/compose.yml")]);
    assert_eq!(compose.overrides["services"]["web"]["environment"]["A"], "${B}");
    let TargetKind::Process(process) = &settings.project.targets["local"].kind else { panic!() };
    assert_eq!(process.words, ["python", "my server.py"]);
    assert_eq!(process.stop_grace_period, Duration::from_secs(3));
    let TargetKind::Process(other) = &settings.project.targets["other"].kind else { panic!() };
    assert_eq!(other.stop_grace_period, Duration::from_secs(4), "the common one");
}

#[test]
fn watching_swapping_and_order() {
    let settings = settings(
        "[watch]\npaths = [\"auto\", \"src\"]\nextensions = [\".rs\", \"*.py\", \"ts\"]\n\
         [targets.db]\nimage = \"db\"\n\
         [targets.api]\nimage = \"a\"\nbuild = \".\"\ndepends_on = { db = { condition = \"service_healthy\" } }\n\
         [[targets.api.develop.watch]]\npath = \"Cargo.lock\"\naction = \"rebuild\"\nignore = \"x/**\"\n\
         [targets.api.deploy.update_config]\norder = \"stop-first\"\nfailure_action = \"pause\"\nmonitor = \"3s\"",
    );
    let api = &settings.project.targets["api"];
    assert!(api.watch.auto);
    assert_eq!(api.watch.paths, [Path::new("/srv/My Project/src")]);
    assert_eq!(api.watch.extensions, ["rs", "py", "ts"]);
    assert_eq!(api.watch.rules[0].action, WatchAction::Rebuild);
    assert_eq!(api.watch.rules[0].path, Path::new("/srv/My Project/Cargo.lock"));
    assert_eq!(api.depends_on["db"], Condition::Healthy);
    assert_eq!(api.update.order, Some(UpdateOrder::StopFirst));
    assert_eq!((api.update.rollback, api.update.monitor), (false, Duration::from_secs(3)));
}

#[test]
fn the_files_own_mcp_and_docker_tables_are_defaults() {
    let settings = settings(
        "mcp = { startup_timeout = \"5s\", buffer = 10 }\ndocker.stop_grace_period = \"2s\"\nlog.verbose = 2\n\
         [targets.api]\nimage = \"a\"\nmcp.buffer = \"2k\"",
    );
    let api = &settings.project.targets["api"];
    assert_eq!((api.mcp.startup_timeout, api.mcp.buffer), (Duration::from_secs(5), 2048));
    let TargetKind::Run(run) = &api.kind else { panic!() };
    assert_eq!(run.spec.stop_grace_period, Duration::from_secs(2));
    assert_eq!(settings.session.log_level, "trace");
}

#[test]
fn inputs_name_env_files_also_missing_ones() {
    let settings =
        settings("[targets.api]\nimage = \"a\"\nenv_file = [\".env\", { path = \"n.env\", required = false }]");
    let inputs: Vec<_> = settings.inputs.iter().map(|path| path.to_str().unwrap()).collect();
    assert_eq!(inputs, ["/srv/My Project/mcpmon.toml", "/srv/My Project/.env", "/srv/My Project/n.env"]);
    assert_eq!(settings.warnings, ["/srv/My Project/.env: the variable NOWHERE is not set; it is taken as blank"]);
}

/// A target's keys, and what is said about them.
#[test]
fn says_what_is_wrong_with_a_target() {
    let cases = [
        ("ports = [\"99999\"]", "targets.api.ports[0]: port 99999 is above 65535"),
        (
            "ports = [\"80:80\", \"127.0.0.1:80:81\"]",
            "targets.api.ports[1]: this target publishes port 80 of the host already",
        ),
        ("ports = [{ published = 1 }]", "@targets.api.ports[0]: the port has no target"),
        (
            "ports = [\"80\"]\nnetwork_mode = \"host\"",
            "@targets.api.ports: with network_mode host, no ports can be published",
        ),
        ("volumes = [\"data:/data\"]", "targets.api.volumes[0]: there is no volume \"data\" under [volumes]"),
        ("volumes = [\"./a:/x\", \"./b:/x/\"]", "targets.api.volumes[1]: something else is mounted on /x already"),
        ("volumes = [{ type = \"bind\", target = \"/x\" }]", "@targets.api.volumes[0]: a bind mount needs a source"),
        ("volumes = [{ target = \"/x\" }]", "@targets.api.volumes[0]: the volume has no type"),
        ("networks = [\"defualt\"]", "targets.api.networks[0]: there is no network \"defualt\" under [networks]"),
        (
            "networks = [\"default\"]\nnetwork_mode = \"none\"",
            "@targets.api.network_mode: network_mode and networks exclude each other",
        ),
        ("network_mode = \"service:x\"", "targets.api.network_mode: \"service:x\" is not known for network_mode"),
        (
            "labels = { \"mcpmon.pid\" = \"1\" }",
            "@targets.api.labels.\"mcpmon.pid\": the label mcpmon.pid is mcpmon's own",
        ),
        ("stop_grace_period = \"10\"", "targets.api.stop_grace_period: the duration \"10\" has no unit"),
        ("mem_limit = \"1m\"", "targets.api.mem_limit: 1048576 bytes are less than any engine allows"),
        ("mem_limit = \"2x\"", "targets.api.mem_limit: \"2x\" is not a size"),
        ("cpus = -1", "targets.api.cpus: -1 CPUs can't be had"),
        ("cpus = \"nan\"", "targets.api.cpus: \"nan\" is not a number"),
        ("pids_limit = \"many\"", "targets.api.pids_limit: \"many\" is not a whole number"),
        ("restart = \"never\"", "targets.api.restart: \"never\" is not a restart policy"),
        ("pull_policy = \"mising\"", "targets.api.pull_policy: \"mising\" is not known for pull_policy"),
        ("pull_policy = \"build\"", "targets.api.pull_policy: pull_policy build needs a build"),
        ("command = \"a 'b\"", "targets.api.command: a quote is not closed"),
        ("env_file = \"gone.env\"", "targets.api.env_file: the env file /srv/My Project/gone.env is not there"),
        (
            "env_file = [\"bad.env\"]",
            "targets.api.env_file[0]: /srv/My Project/bad.env:2: ' ' can't be part of a variable's name",
        ),
        (
            "env_file = \"locked.env\"",
            "targets.api.env_file: the env file /srv/My Project/locked.env can't be read: permission denied",
        ),
        ("environment = [\"=x\"]", "targets.api.environment[0]: a name is missing, or holds ="),
        ("read_only = \"maybe\"", "targets.api.read_only: \"maybe\" is not a boolean"),
        (
            "ulimits.nofile = { soft = 9, hard = 3 }",
            "targets.api.ulimits.nofile: the soft limit is above the hard limit (3)",
        ),
        ("ulimits.nofile = { soft = 9 }", "@targets.api.ulimits.nofile: a limit needs both soft and hard"),
        (
            "healthcheck.test = [\"curl\"]",
            "targets.api.healthcheck.test: a test begins with CMD, CMD-SHELL or NONE, not with \"curl\"",
        ),
        (
            "healthcheck = { test = [\"CMD\", \"x\"], interval = \"0s\" }",
            "targets.api.healthcheck.interval: interval must be longer than 0",
        ),
        ("depends_on = [\"apo\"]", "targets.api.depends_on[0]: there is no target \"apo\""),
        ("depends_on = [\"api\"]", "targets.api.depends_on: targets wait for each other: api → api"),
        (
            "depends_on.api.condition = \"ready\"",
            "targets.api.depends_on.api.condition: \"ready\" is not known for condition",
        ),
        ("develop.watch = [{ path = \"x\", action = \"sync\" }]", "@targets.api.develop.watch[0]: sync needs a target"),
        (
            "develop.watch = [{ path = \"x\", action = \"sync\", target = \"app\" }]",
            "targets.api.develop.watch[0].target: \"app\" is not an absolute path in the container",
        ),
        (
            "develop.watch = [{ path = \"x\", action = \"sync\", target = \"//\" }]",
            "targets.api.develop.watch[0].target: the container's root can't be a target",
        ),
        (
            "develop.watch = [{ path = \"x\", action = \"sync\", target = \"/app/../etc\" }]",
            "targets.api.develop.watch[0].target: the target can't have .. in it",
        ),
        (
            "develop.watch = [{ path = \"x\", action = \"sync+exec\", target = \"/app\" }]",
            "@targets.api.develop.watch[0]: sync+exec needs exec",
        ),
        (
            "develop.watch = [{ path = \"x\", action = \"sync\", target = \"/app\", exec = { command = \"a\" } }]",
            "@targets.api.develop.watch[0].exec: exec belongs to the action sync+exec",
        ),
        (
            "develop.watch = [{ path = \"x\", action = \"sync+exec\", target = \"/app\", exec = { user = \"a\" } }]",
            "@targets.api.develop.watch[0].exec: exec has no command",
        ),
        (
            "develop.watch = [{ path = \"x\", action = \"rebuild\" }]",
            "targets.api.develop.watch[0].action: rebuild needs a build",
        ),
        ("develop.watch = [{ action = \"restart\" }]", "@targets.api.develop.watch[0]: the rule has no path"),
        (
            "develop.watch = [{ path = \"x\", action = \"restart\", ignore = [\"[\"] }]",
            "targets.api.develop.watch[0].ignore[0]: \"[\" is not a glob: unclosed character class; missing ']'",
        ),
        ("compose = {}", "@targets.api.compose: a target can't have both image and compose"),
        ("container_name = \"-x\"", "targets.api.container_name: \"-x\" can't be a name"),
        (
            "tty = true\nmcp.transport = \"stdio\"",
            "targets.api.tty: a terminal echoes and changes line ends: a stdio server can't have one",
        ),
        ("mcp.transport = \"htpp\"", "targets.api.mcp.transport: \"htpp\" is not known for transport"),
        ("mcp.max_output_tokens = -1", "targets.api.mcp.max_output_tokens: -1 is out of range for max_output_tokens"),
        ("mcp.max_output_tokens = 0", "targets.api.mcp.max_output_tokens: no result fits into 0 tokens"),
        ("mcp.extensions.results = \"maybe\"", "targets.api.mcp.extensions.results: \"maybe\" is not a boolean"),
        ("extra_hosts = [\"a\"]", "targets.api.extra_hosts[0]: \"a\" names no address"),
        ("extra_hosts = [\"a=b\"]", "targets.api.extra_hosts[0]: \"b\" is not an address for the host \"a\""),
        ("build = \"https://example.com/x.git\"", "targets.api.build: the build context is not a folder"),
        ("hostname = \"\"", "targets.api.hostname: hostname is empty"),
        ("tmpfs = [\"t\"]", "targets.api.tmpfs[0]: \"t\" is no absolute path in the container"),
    ];
    for (text, want) in cases {
        let (settings, found) = outcome(&format!("[targets.api]\nimage = \"acme/api\"\n{text}"));
        assert!(settings.is_none(), "{text}");
        assert!(problems(&found).iter().any(|problem| problem == want), "{text}\n{:#?}", problems(&found));
    }
}

/// A whole file, and all that is said about it.
#[test]
fn says_everything_at_once() {
    let cases: &[(&str, &[&str])] = &[
        ("version = 2", &["version: this mcpmon knows version 1 of the file, not 2"]),
        ("name = \"My App\"", &["name: \"My App\" can't be a project's name"]),
        (
            "watch.ignore = [\"{a\"]",
            &[
                "watch.ignore[0]: \"{a\" is not a glob: unclosed alternate group; missing '}' (maybe escape '{' with '[{]'?)",
            ],
        ),
        ("reconcile.interval = \"0s\"", &["reconcile.interval: interval must be longer than 0"]),
        (
            "reconcile.backoff.initial = \"1h\"",
            &["reconcile.backoff.max: the first wait (initial) is longer than the longest (max)"],
        ),
        (
            "log = { level = \"loud\", verbose = 7 }",
            &["log.verbose: \"7\" is no verbosity", "log.level: \"loud\" is not known for level"],
        ),
        ("docker.labels = [\"mcpmon.x=1\"]", &["@docker.labels[0]: the label mcpmon.x is mcpmon's own"]),
        ("targets.api = {}", &["@targets.api: the target does not say what it is"]),
        ("targets.\"a b\" = { run = [\"x\"] }", &["@targets.\"a b\": \"a b\" can't be a name"]),
        ("targets.a = { run = [] }", &["targets.a.run: the command is empty"]),
        ("targets.a = { run = \"x\", ports = [1] }", &["@targets.a.ports: ports does not belong to a plain command"]),
        ("targets.a = { image = \"Acme/API\" }", &["targets.a.image: \"Acme/API\" is not the name of an image"]),
        (
            "networks.n = { external = true, internal = true }",
            &["@networks.n: an external network is not made by mcpmon: it takes a name and nothing else"],
        ),
        (
            "mcp.buffer = \"big\"\n[targets.a]\nimage = \"a\"\n[targets.b]\nimage = \"b\"",
            &["mcp.buffer: \"big\" is not a size"],
        ),
        (
            "[targets.a]\nimage = \"a\"\ndepends_on = [\"b\"]\n[targets.b]\nimage = \"b\"\ndepends_on = [\"c\"]\n\
             [targets.c]\nimage = \"c\"\ndepends_on = { b = {}, l = {} }\n[targets.l]\nrun = \"x\"",
            &[
                "@targets.c.depends_on.l: l is a plain command; nothing can wait for it",
                "targets.c.depends_on: targets wait for each other: b → c → b",
            ],
        ),
        (
            "[targets.a]\nimage = \"a\"\ncontainer_name = \"x\"\nports = [\"80-82:80-82\"]\n\
             [targets.b]\nimage = \"b\"\ncontainer_name = \"x\"\nports = [\"1.2.3.4:81:1\", \"81:1/udp\"]\n\
             [targets.c]\nimage = \"c\"\ncontainer_name = \"myproject-d\"\nports = [\"[::1]:90:1\", \"127.0.0.1:90:1\"]\n\
             [targets.d]\nimage = \"d\"",
            &[
                "targets.b.container_name: the target a has a container of that name (x)",
                "targets.c.container_name: the target d has a container of that name (myproject-d)",
                "targets.b.ports[0]: the target a publishes port 81 of the host already",
            ],
        ),
    ];
    for (text, want) in cases {
        let (settings, found) = outcome(text);
        assert!(settings.is_none(), "{text}");
        assert_eq!(problems(&found), *want, "{text}");
    }
}

#[test]
fn a_start_first_that_does_not_hold_is_said() {
    for (more, only_one) in [
        ("ports = [\"3000:3000\"]", Some("host port 3000")),
        ("network_mode = \"host\"", Some("network_mode \"host\"")),
        ("networks = { default = { ipv4_address = \"10.0.0.2\" } }", Some("address 10.0.0.2")),
        ("container_name = \"one\"", Some("container_name \"one\"")),
        ("ports = [\"3000\"]\nnetwork_mode = \"bridge\"", None),
        ("", None),
    ] {
        let warnings = |order: &str| {
            let text = format!("[targets.d]\nimage = \"a\"\n{more}\ndeploy.update_config.order = \"{order}\"\n");
            settings(&text).warnings
        };
        let warning = only_one.map(|only_one| {
            format!(
                "targets.d.deploy.update_config.order: \"start-first\" does not hold: two containers at a time can't have {only_one}, so the old one stops first"
            )
        });
        assert_eq!(warnings("start-first"), Vec::from_iter(warning), "{more}");
        assert!(warnings("stop-first").is_empty(), "{more}");
    }
}
