//! Compose projects of different shape, each as small as its point allows: what compose makes of them is the measure for
//! whatever mcpmon does with the same files. And the containers of a compose project as an inspect tells of them, without
//! what is mcpmon's and what differs each time.

use std::path::Path;

use serde_json::{Value, json};

use crate::{project::Project, support::inspected_all};

/// A compose project.
pub(crate) struct Shape {
    /// Its name, and that of its folder.
    pub(crate) name: &'static str,
    /// Its files.
    pub(crate) files: &'static [(&'static str, &'static str)],
    /// What is said before compose's command, in its folder.
    pub(crate) options: &'static str,
    /// The same in `mcpmon.toml`; paths begin with `@/` for the project's folder.
    pub(crate) target: &'static str,
    /// Its containers, by service, with their number.
    pub(crate) services: &'static [(&'static str, usize)],
}

const IDLE: &str = "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host}\n";

/// In [`Shape::target`]: it depends on the folder that compose is called in, which is the project's for a target.
pub(crate) const NO_TARGET: &str = "-";

/// At least twenty of different shape.
pub(crate) const SHAPES: &[Shape] = &[
    Shape { name: "plain", files: &[("compose.yaml", IDLE)], options: "", target: "", services: &[("web", 1)] },
    Shape {
        name: "old-name",
        files: &[("docker-compose.yml", IDLE)],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "override",
        files: &[
            ("compose.yml", IDLE),
            ("compose.override.yml", "services:\n  web: {environment: {A: override}, labels: [own=1]}\n"),
        ],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "two-files",
        files: &[
            ("a.yml", IDLE),
            ("b.yml", "services:\n  web: {environment: {A: b}}\n"),
            ("compose.override.yml", "services:\n  web: {environment: {A: not-meant}}\n"),
        ],
        options: "-f a.yml -f b.yml",
        target: "file = [\"@/a.yml\", \"@/b.yml\"]",
        services: &[("web", 1)],
    },
    Shape {
        name: "extends",
        files: &[
            (
                "compose.yaml",
                "services:\n  web:\n    extends: {file: base.yml, service: base}\n    environment: {B: '2'}\n",
            ),
            (
                "base.yml",
                "services:\n  base: {image: mcpmon-test-server, command: [idle], network_mode: host, environment: {A: '1'}}\n",
            ),
        ],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "include",
        files: &[
            (
                "compose.yaml",
                "include: [more/db.yml]\nservices:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host}\n",
            ),
            (
                "more/db.yml",
                "services:\n  db: {image: mcpmon-test-server, command: [idle], network_mode: host, volumes: ['./data:/data']}\n",
            ),
            ("more/data/x", "x"),
        ],
        options: "",
        target: "",
        services: &[("web", 1), ("db", 1)],
    },
    Shape {
        name: "profile",
        files: &[(
            "compose.yaml",
            "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host}\n  dev: {image: mcpmon-test-server, command: [idle], network_mode: host, profiles: [dev]}\n  ci: {image: mcpmon-test-server, command: [idle], network_mode: host, profiles: [ci]}\n",
        )],
        options: "--profile dev",
        target: "project_directory = \"@\"\nprofiles = [\"dev\"]",
        services: &[("web", 1), ("dev", 1)],
    },
    Shape {
        name: "dotenv",
        files: &[
            (
                "compose.yaml",
                "services:\n  web: {image: 'mcpmon-test-server:${TAG:-nothing}', command: [idle], network_mode: host, environment: {A: \"${A}\", B: 'x$$y'}}\n",
            ),
            (".env", "TAG=latest\nA=\"with 'quotes'\"\n"),
        ],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "env-files",
        files: &[
            (
                "compose.yaml",
                "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host, environment: {A: \"${A}\", B: \"${B}\"}}\n",
            ),
            (".env", "A=not-meant\n"),
            ("one.env", "A=1\nB=1\n"),
            ("two.env", "B=2\n"),
        ],
        options: "--env-file one.env --env-file two.env",
        target: "project_directory = \"@\"\nenv_file = [\"@/one.env\", \"@/two.env\"]",
        services: &[("web", 1)],
    },
    Shape {
        name: "compose-file",
        files: &[
            (".env", "COMPOSE_FILE=x.yml;y.yml\nCOMPOSE_PATH_SEPARATOR=;\n"),
            ("x.yml", IDLE),
            ("y.yml", "services:\n  web: {environment: {A: y}}\n"),
            ("compose.yaml", "services:\n  not-meant: {image: mcpmon-test-server}\n"),
        ],
        options: "",
        target: NO_TARGET,
        services: &[("web", 1)],
    },
    Shape {
        name: "service-env",
        files: &[
            (
                "compose.yaml",
                "services:\n  web:\n    image: mcpmon-test-server\n    command: [idle]\n    network_mode: host\n    env_file:\n      - a.env\n      - {path: missing.env, required: false}\n    environment: {B: here}\n",
            ),
            ("a.env", "A=1\nB=file\n"),
        ],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "health",
        files: &[(
            "compose.yaml",
            "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host, depends_on: {db: {condition: service_healthy}}}\n  db: {image: mcpmon-test-server, command: [idle], network_mode: host, healthcheck: {test: [CMD, /mcp-server, exists, /mcp-server], interval: 500ms}}\n",
        )],
        options: "",
        target: "",
        services: &[("web", 1), ("db", 1)],
    },
    Shape {
        name: "one-shot",
        files: &[(
            "compose.yaml",
            "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host, depends_on: {job: {condition: service_completed_successfully}}}\n  job: {image: mcpmon-test-server, command: [exit, '0'], network_mode: host}\n  alone: {image: mcpmon-test-server, command: [exit, '0'], network_mode: host}\n",
        )],
        options: "",
        target: "",
        services: &[("web", 1), ("job", 1), ("alone", 1)],
    },
    Shape {
        name: "secrets",
        files: &[
            (
                "compose.yaml",
                "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host, secrets: [s, {source: s, target: other}]}\nsecrets: {s: {file: ./s.txt}}\n",
            ),
            ("s.txt", "hunter2"),
        ],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "configs",
        files: &[
            (
                "compose.yaml",
                "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host, configs: [{source: c, target: /c}]}\nconfigs: {c: {file: ./c.txt}}\n",
            ),
            ("c.txt", "c"),
        ],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "networks",
        files: &[(
            "compose.yaml",
            "services:\n  web: {image: mcpmon-test-server, command: [idle], networks: {inner: {aliases: [www]}}}\nnetworks: {inner: {internal: true, labels: {own: '1'}}}\n",
        )],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "shared-network",
        files: &[(
            "compose.yaml",
            "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: none}\n  side: {image: mcpmon-test-server, command: [idle], network_mode: 'service:web'}\n",
        )],
        options: "",
        target: "",
        services: &[("web", 1), ("side", 1)],
    },
    Shape {
        name: "scale",
        files: &[(
            "compose.yaml",
            "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host, scale: 2}\n  rep: {image: mcpmon-test-server, command: [idle], network_mode: host, deploy: {replicas: 2, resources: {limits: {memory: 64m}}}}\n",
        )],
        options: "",
        target: "",
        services: &[("web", 2), ("rep", 2)],
    },
    Shape {
        name: "build",
        files: &[
            (
                "compose.yaml",
                "services:\n  web: {build: {context: ./app, labels: {built: '1'}}, command: [idle], network_mode: host, develop: {watch: [{path: ./app/code, action: rebuild}]}}\n",
            ),
            ("app/Dockerfile", "FROM mcpmon-test-server\nENV BUILT=yes\n"),
            ("app/code/x", "x"),
        ],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "labels",
        files: &[(
            "compose.yaml",
            "services:\n  list: {image: mcpmon-test-server, command: [idle], network_mode: host, labels: [a=1, 'b=x=y', bare, 'd=$$x']}\n  map: {image: mcpmon-test-server, command: [idle], network_mode: host, labels: {a: '1', b: 'x=y', e: ''}}\n",
        )],
        options: "",
        target: "",
        services: &[("list", 1), ("map", 1)],
    },
    Shape {
        name: "mounts",
        files: &[
            (
                "compose.yaml",
                "services:\n  web:\n    image: mcpmon-test-server\n    command: [idle]\n    network_mode: host\n    volumes:\n      - ./src:/src:ro\n      - data:/data\n      - {type: tmpfs, target: /t}\n    tmpfs: [/t2]\n    read_only: true\nvolumes: {data: {}}\n",
            ),
            ("src/x", "x"),
        ],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "limits",
        files: &[(
            "compose.yaml",
            "services:\n  web:\n    image: mcpmon-test-server\n    command: [idle]\n    network_mode: host\n    restart: on-failure:3\n    init: true\n    cap_drop: [ALL]\n    user: '1000'\n    stop_signal: SIGINT\n    stop_grace_period: 3s\n    mem_limit: 64m\n    ulimits: {nofile: 1024}\n    logging: {driver: local}\n",
        )],
        options: "",
        target: "",
        services: &[("web", 1)],
    },
    Shape {
        name: "project-directory",
        files: &[
            (
                "files/compose.yaml",
                "services:\n  web: {image: mcpmon-test-server, command: [idle], network_mode: host, volumes: ['./src:/src']}\n",
            ),
            ("src/x", "x"),
        ],
        options: "--project-directory . -f files/compose.yaml",
        target: "project_directory = \"@\"\nfile = [\"@/files/compose.yaml\"]",
        services: &[("web", 1)],
    },
];

impl Shape {
    /// Writes its files into a folder of its name.
    pub(crate) fn write(&self, project: &Project) {
        for (path, text) in self.files {
            project.write(&format!("{}/{path}", self.name), text);
        }
    }
}

/// The containers of a compose project, by service and number.
pub(crate) fn containers(compose_project: &str) -> Vec<(String, Value)> {
    let all = inspected_all(&format!("com.docker.compose.project={compose_project}"));
    let mut found: Vec<(String, Value)> = all
        .into_iter()
        .map(|inspect| {
            let label = |key: &str| inspect["Config"]["Labels"][key].as_str().unwrap_or_default().to_owned();
            let name =
                format!("{}-{}", label("com.docker.compose.service"), label("com.docker.compose.container-number"));
            (name, inspect)
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

/// What a container is made of, as text, with `PROJECT` and `FOLDER` in the place of what differs each time.
pub(crate) fn made_of(inspect: &Value, compose_project: &str, folder: &Path) -> String {
    let config = &inspect["Config"];
    let host = &inspect["HostConfig"];
    let labels: serde_json::Map<String, Value> = config["Labels"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| !key.starts_with("mcpmon.") && !key.starts_with("com.docker.compose."))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let sorted = |value: &Value| {
        let mut list: Vec<String> = value.as_array().into_iter().flatten().map(Value::to_string).collect();
        list.sort();
        list
    };
    let id = inspect["Id"].as_str().unwrap_or_default();
    let networks: serde_json::Map<String, Value> = inspect["NetworkSettings"]["Networks"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, network)| {
            let mut aliases = sorted(&network["Aliases"]);
            aliases.retain(|alias| !id.starts_with(alias.trim_matches('"')));
            (name.clone(), json!(aliases))
        })
        .collect();
    let network_mode = match host["NetworkMode"].as_str().unwrap_or_default() {
        mode if mode.starts_with("container:") => "container",
        mode => mode,
    };
    let config_keys =
        ["Cmd", "Entrypoint", "User", "WorkingDir", "StopSignal", "StopTimeout", "Healthcheck", "Image", "Tty"];
    let host_keys = [
        "RestartPolicy",
        "Memory",
        "NanoCpus",
        "ReadonlyRootfs",
        "Init",
        "CapAdd",
        "CapDrop",
        "Ulimits",
        "LogConfig",
        "PortBindings",
        "Tmpfs",
        "Privileged",
    ];
    let pick = |from: &Value, keys: &[&str]| keys.iter().map(|key| from[*key].clone()).collect::<Vec<_>>();
    let mounts: Vec<Value> = inspect["Mounts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|mount| json!([mount["Type"], mount["Name"], mount["Source"], mount["Destination"], mount["RW"]]))
        .collect();
    let told = json!({
        "config": pick(config, &config_keys), "host": pick(host, &host_keys), "env": sorted(&config["Env"]),
        "labels": labels, "mounts": sorted(&json!(mounts)), "networks": networks, "network_mode": network_mode,
    });
    let told = serde_json::to_string_pretty(&told).expect("JSON");
    told.replace(compose_project, "PROJECT").replace(&folder.display().to_string(), "FOLDER")
}
