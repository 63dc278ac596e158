//! What `docker compose config --format json` says of a project, as far as mcpmon needs it: everything merged, filled in
//! and made absolute by compose itself. Unknown fields are ignored; each service's whole value is kept beside its parts,
//! for the hash and for what a plan shows. Pure: text in, structs out.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use serde::Deserialize;
use serde_json::Value;

use crate::{
    config::value::duration,
    error::{Error, Result},
    model::target::Bind,
};

/// A compose project, resolved.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ComposeConfig {
    /// Its name: `com.docker.compose.project` on everything of it.
    pub name: String,
    /// The active services, by name.
    pub services: BTreeMap<String, Service>,
    /// Networks by their name in the file.
    pub networks: BTreeMap<String, Resource>,
    /// Volumes by their name in the file.
    pub volumes: BTreeMap<String, Resource>,
    /// `configs`, whole.
    pub configs: BTreeMap<String, Value>,
    /// `secrets`, whole.
    pub secrets: BTreeMap<String, Value>,
}

/// A network or a volume.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Resource {
    /// Its name on the engine.
    pub name: String,
    /// Compose neither makes nor removes it.
    pub external: bool,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Service {
    /// What mcpmon reads of it.
    pub parts: Parts,
    /// All of it.
    pub value: Value,
}

/// What mcpmon reads of a service.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Parts {
    /// Image; none: compose names what it builds.
    pub image: Option<String>,
    /// Build.
    pub build: Option<Build>,
    /// Mounts.
    #[serde(deserialize_with = "or_default")]
    pub volumes: Vec<Mount>,
    /// Published ports.
    #[serde(deserialize_with = "or_default")]
    pub ports: Vec<Port>,
    /// `develop`.
    #[serde(deserialize_with = "or_default")]
    pub develop: Develop,
    /// Who must be there first, and how far.
    #[serde(deserialize_with = "or_default")]
    pub depends_on: BTreeMap<String, Dependency>,
    /// `scale`.
    pub scale: Option<u64>,
    /// `deploy`.
    #[serde(deserialize_with = "or_default")]
    pub deploy: Deploy,
    /// Labels.
    #[serde(deserialize_with = "or_default")]
    pub labels: BTreeMap<String, String>,
    /// Environment; null = not set.
    #[serde(deserialize_with = "or_default")]
    pub environment: BTreeMap<String, Option<String>>,
    /// Health check.
    pub healthcheck: Option<Healthcheck>,
    /// Profiles it belongs to.
    #[serde(deserialize_with = "or_default")]
    pub profiles: Vec<String>,
    /// A name of its own.
    pub container_name: Option<String>,
    /// `restart`.
    pub restart: Option<String>,
    /// How long it may take to stop, as written.
    pub stop_grace_period: Option<String>,
    /// `network_mode`.
    pub network_mode: Option<String>,
    /// Networks by their name in the file.
    #[serde(deserialize_with = "or_default")]
    pub networks: BTreeMap<String, Value>,
    /// `configs` used.
    #[serde(deserialize_with = "or_default")]
    pub configs: Vec<FileReference>,
    /// `secrets` used.
    #[serde(deserialize_with = "or_default")]
    pub secrets: Vec<FileReference>,
    /// A terminal.
    pub tty: bool,
    /// `pull_policy`.
    pub pull_policy: Option<String>,
}

/// A service's build.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Build {
    /// Context: an absolute folder, or a URL.
    pub context: String,
    /// Dockerfile, relative to the context.
    pub dockerfile: Option<String>,
    /// More contexts by name: folders, or other things (`docker-image://…`).
    #[serde(deserialize_with = "or_default")]
    pub additional_contexts: BTreeMap<String, String>,
}

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// `bind`, `volume`, `tmpfs`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// An absolute path (binds), or a volume's name in the file.
    pub source: String,
    /// Where in the container.
    pub target: String,
    /// The container can't write it.
    pub read_only: bool,
}

impl Mount {
    /// What of the host it mounts, if that is what it does.
    pub fn bind(&self) -> Option<Bind> {
        (self.kind == "bind").then(|| Bind { path: self.source.clone().into(), read_only: self.read_only })
    }
}

/// A published port.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Port {
    /// In the container.
    pub target: u32,
    /// On the host, as written: a port, a range, or empty.
    pub published: Option<String>,
}

/// `develop`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Develop {
    /// Its rules, in order.
    #[serde(deserialize_with = "or_default")]
    pub watch: Vec<Watch>,
}

/// A rule of `develop.watch`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default)]
pub struct Watch {
    /// An absolute path.
    pub path: PathBuf,
    /// `sync`, `rebuild`, `sync+restart`, …
    pub action: String,
    /// Where in the container.
    pub target: Option<String>,
    /// Patterns relative to `path` that count; empty = all.
    #[serde(deserialize_with = "or_default")]
    pub include: Vec<String>,
    /// Patterns relative to `path` that do not count.
    #[serde(deserialize_with = "or_default")]
    pub ignore: Vec<String>,
    /// Copied when the container starts, too.
    pub initial_sync: bool,
    /// The command of `sync+exec`, whole.
    pub exec: Value,
}

/// How far a dependency must have come.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Dependency {
    /// `service_started`, `service_healthy`, `service_completed_successfully`.
    pub condition: String,
    /// It starts again when what it depends on was made anew by hand.
    pub restart: bool,
    /// It must be there at all.
    pub required: bool,
}

impl Default for Dependency {
    fn default() -> Self {
        Self { condition: "service_started".into(), restart: false, required: true }
    }
}

/// `deploy`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Deploy {
    /// How many.
    pub replicas: Option<u64>,
}

/// A health check.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    /// Switched off.
    pub disable: bool,
    /// The check: `["NONE"]` is none.
    #[serde(deserialize_with = "or_default")]
    pub test: Vec<String>,
}

/// A config or a secret in use.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct FileReference {
    /// Its name in the file.
    pub source: String,
}

impl Parts {
    /// How many containers it has.
    pub fn replicas(&self) -> u64 {
        self.scale.or(self.deploy.replicas).unwrap_or(1)
    }

    /// Whether the file asks for a health check. Without one the image's own counts.
    pub fn health(&self) -> Option<bool> {
        let check = self.healthcheck.as_ref()?;
        Some(!check.disable && check.test.first().is_none_or(|word| word != "NONE"))
    }

    /// How long it may take to stop.
    pub fn grace(&self) -> Option<Duration> {
        duration::parse(self.stop_grace_period.as_deref()?).ok()
    }
}

impl ComposeConfig {
    /// Reads what compose printed.
    ///
    /// # Errors
    /// It is no such thing: a compose that is too old, say.
    pub fn parse(text: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        #[serde(default)]
        #[derive(Default)]
        struct Whole {
            name: String,
            #[serde(deserialize_with = "or_default")]
            services: BTreeMap<String, Value>,
            #[serde(deserialize_with = "or_default")]
            networks: BTreeMap<String, Option<Resource>>,
            #[serde(deserialize_with = "or_default")]
            volumes: BTreeMap<String, Option<Resource>>,
            #[serde(deserialize_with = "or_default")]
            configs: BTreeMap<String, Value>,
            #[serde(deserialize_with = "or_default")]
            secrets: BTreeMap<String, Value>,
        }
        let unread = |what: String, error: serde_json::Error| {
            Error::failed(format!("what `docker compose config` says{what} can't be read"))
                .caused_by(error)
                .hint("`docker compose version` tells its version; 2.20 or newer is needed")
        };
        let whole: Whole = serde_json::from_slice(text).map_err(|error| unread(String::new(), error))?;
        let mut services = BTreeMap::new();
        for (name, value) in whole.services {
            let parts = Parts::deserialize(&value).map_err(|error| unread(format!(" of service {name}"), error))?;
            services.insert(name, Service { parts, value });
        }
        let resources = |found: BTreeMap<String, Option<Resource>>| {
            found.into_iter().map(|(name, found)| (name, found.unwrap_or_default())).collect()
        };
        Ok(Self {
            name: whole.name,
            services,
            networks: resources(whole.networks),
            volumes: resources(whole.volumes),
            configs: whole.configs,
            secrets: whole.secrets,
        })
    }
}

/// compose writes `null` where there is nothing.
fn or_default<'de, T: Default + Deserialize<'de>, D: serde::Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_compose_says_is_read() {
        let text = r#"{"name": "big", "services": {
            "web": {"image": "i", "build": {"context": "/c"}, "scale": 2, "command": null,
                "depends_on": {"db": {"condition": "service_healthy", "restart": true, "required": true}},
                "develop": {"watch": [{"path": "/s", "action": "sync", "target": "/app", "exec": {"command": null}}]},
                "environment": {"A": "a$$b", "B": null}, "labels": {"u": "1"}, "stop_grace_period": "1m30s",
                "ports": [{"mode": "ingress", "target": 80, "published": "8080-8081"}],
                "volumes": [{"type": "bind", "source": "/s", "target": "/src"}, {"type": "tmpfs", "target": "/t"}]},
            "db": {"deploy": {"replicas": 3, "resources": {}}, "healthcheck": {"test": ["NONE"]}, "depends_on": null}},
            "networks": {"default": {"name": "big_default", "ipam": {}}, "ext": {"name": "ext", "external": true}},
            "volumes": {"data": null}, "x-any": {"a": 1}}"#;
        let config = ComposeConfig::parse(text.as_bytes()).unwrap();
        let (web, db) = (&config.services["web"].parts, &config.services["db"].parts);
        assert_eq!((config.name.as_str(), web.replicas(), db.replicas()), ("big", 2, 3));
        assert_eq!((web.health(), db.health()), (None, Some(false)));
        assert!(web.depends_on["db"].restart && web.depends_on["db"].condition == "service_healthy");
        assert_eq!(web.develop.watch[0].path, PathBuf::from("/s"));
        assert_eq!(web.environment["B"], None);
        assert_eq!(web.grace(), Some(Duration::from_secs(90)));
        assert_eq!(web.volumes[0].source, "/s");
        assert_eq!(web.ports[0].published.as_deref(), Some("8080-8081"));
        assert_eq!(config.services["web"].value["environment"]["A"], "a$$b");
        assert!(config.networks["ext"].external && !config.networks["default"].external);
        assert_eq!(config.volumes["data"], Resource::default());
        assert_eq!(ComposeConfig::parse(b"{}").unwrap(), ComposeConfig::default());
    }

    #[test]
    fn what_is_no_project_is_refused() {
        for text in ["", "not json", r#"{"services": []}"#, r#"{"services": {"a": {"ports": [1]}}}"#] {
            let error = ComposeConfig::parse(text.as_bytes()).unwrap_err();
            assert!(error.to_string().contains("docker compose config") && error.hint.is_some(), "{text}: {error}");
        }
    }
}
