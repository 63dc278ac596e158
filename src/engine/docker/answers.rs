//! What the engine answers, as much of it as mcpmon reads. Open where bollard's models are closed:
//! words are text, anything may be missing or null. Pure.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, de::IgnoredAny};

use crate::{
    engine::{ContainerDetails, ContainerFacts, EngineEvent},
    model::{
        Health, Labels, ObservedContainer, State,
        labels::BUILD_HASH,
        observed::{ObservedImage, ObservedResource},
    },
};

/// One element of `GET /containers/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Summary {
    id: String,
    names: Option<Vec<String>>,
    image: Option<String>,
    #[serde(rename = "ImageID")]
    image_id: Option<String>,
    labels: Option<HashMap<String, String>>,
    state: Option<String>,
    status: Option<String>,
    created: Option<i64>,
    ports: Option<Vec<SummaryPort>>,
    network_settings: Option<SummaryNetworks>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SummaryPort {
    #[serde(rename = "IP")]
    ip: Option<String>,
    private_port: u16,
    public_port: Option<u16>,
    #[serde(rename = "Type")]
    protocol: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SummaryNetworks {
    #[allow(clippy::zero_sized_map_values, reason = "serde reads a JSON object as a map; the keys are what counts")]
    networks: Option<BTreeMap<String, IgnoredAny>>,
}

/// The answer to `POST /containers/{id}/wait`.
#[derive(Deserialize)]
pub(super) struct Waited {
    #[serde(rename = "StatusCode")]
    pub(super) code: i64,
}

impl Summary {
    /// Whether it publishes this host port.
    pub(super) fn publishes(&self, port: u16) -> bool {
        self.ports.iter().flatten().any(|published| published.public_port == Some(port))
    }

    pub(super) fn observed(self) -> ObservedContainer {
        let status = self.status.unwrap_or_default();
        let mut ports: Vec<String> = self.ports.iter().flatten().filter_map(SummaryPort::shown).collect();
        ports.sort();
        ports.dedup();
        ObservedContainer {
            id: self.id,
            name: self.names.into_iter().flatten().next().map(|name| bare(&name)).unwrap_or_default(),
            image: self.image.unwrap_or_default(),
            image_id: self.image_id.unwrap_or_default(),
            labels: Labels(self.labels.unwrap_or_default()),
            state: state(self.state.as_deref().unwrap_or_default(), exit_code(&status)),
            health: health_in(&status),
            created: self.created.unwrap_or_default(),
            status,
            ports,
            networks: self.network_settings.and_then(|all| all.networks).unwrap_or_default().into_keys().collect(),
        }
    }
}

impl SummaryPort {
    fn shown(&self) -> Option<String> {
        let public = self.public_port?;
        let address = match self.ip.as_deref().filter(|ip| !ip.is_empty()).unwrap_or("0.0.0.0") {
            ip if ip.contains(':') => format!("[{ip}]"),
            ip => ip.to_owned(),
        };
        Some(format!("{address}:{public}->{}/{}", self.private_port, self.protocol.as_deref().unwrap_or("tcp")))
    }
}

/// A container's state from the engine's word for it (Docker's and Podman's words).
fn state(word: &str, exit_code: Option<i64>) -> State {
    match word {
        "created" | "configured" | "initialized" => State::Created,
        "running" => State::Running,
        "paused" => State::Paused,
        "restarting" => State::Restarting,
        "exited" | "stopped" => State::Exited(exit_code),
        "removing" | "dead" => State::Removing,
        other => State::Other(other.to_owned()),
    }
}

/// 137 of `Exited (137) 3 seconds ago`.
fn exit_code(status: &str) -> Option<i64> {
    status.strip_prefix("Exited (")?.split(')').next()?.parse().ok()
}

/// Health of `Up 3 seconds (healthy)`.
fn health_in(status: &str) -> Health {
    let Some(word) = status.strip_suffix(')').and_then(|rest| rest.rsplit_once('(')).map(|(_, word)| word) else {
        return Health::None;
    };
    health(word.strip_prefix("health: ").unwrap_or(word))
}

fn health(word: &str) -> Health {
    match word {
        "starting" => Health::Starting,
        "healthy" => Health::Healthy,
        "unhealthy" => Health::Unhealthy,
        _ => Health::None,
    }
}

fn bare(name: &str) -> String {
    name.trim_start_matches('/').to_owned()
}

/// `GET /containers/ID/json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Inspected {
    pub(super) id: String,
    name: Option<String>,
    state: Option<InspectedState>,
    config: Option<InspectedConfig>,
    host_config: Option<InspectedHostConfig>,
    mounts: Option<Vec<InspectedMount>>,
    network_settings: Option<InspectedNetworks>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedState {
    status: Option<String>,
    running: bool,
    paused: bool,
    restarting: bool,
    exit_code: Option<i64>,
    error: Option<String>,
    started_at: Option<String>,
    #[serde(rename = "OOMKilled")]
    out_of_memory: bool,
    #[serde(alias = "Healthcheck")]
    health: Option<InspectedHealth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedHealth {
    status: Option<String>,
    log: Option<Vec<HealthLog>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct HealthLog {
    output: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedConfig {
    labels: Option<HashMap<String, String>>,
    user: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedHostConfig {
    #[serde(rename = "ReadonlyRootfs")]
    read_only: bool,
    tmpfs: Option<HashMap<String, String>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct InspectedMount {
    #[serde(rename = "Type")]
    kind: Option<String>,
    name: Option<String>,
    source: Option<String>,
    destination: Option<String>,
    #[serde(rename = "RW")]
    writable: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedNetworks {
    ports: Option<BTreeMap<String, Option<Vec<Binding>>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Binding {
    host_ip: Option<String>,
    host_port: Option<String>,
}

/// Whether it is a name that an engine gives a volume that has none.
fn is_made_up(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

impl Inspected {
    pub(super) fn is_called(&self, name: &str) -> bool {
        self.name.as_deref().map(bare).as_deref() == Some(name)
    }

    pub(super) fn facts(self) -> ContainerFacts {
        let mounts = self.mounts.unwrap_or_default();
        let of = |kind: &'static str| mounts.iter().filter(move |mount| mount.kind.as_deref() == Some(kind));
        // `--tmpfs` is not among the mounts.
        let host = self.host_config.unwrap_or_default();
        let given = host.tmpfs.unwrap_or_default().into_keys();
        let target = |mount: &InspectedMount| mount.destination.clone();
        ContainerFacts {
            user: self.config.and_then(|config| config.user).unwrap_or_default(),
            binds: of("bind").filter_map(|mount| Some((mount.source.clone()?, target(mount)?))).collect(),
            memory: of("tmpfs").filter_map(target).chain(given).collect(),
            anonymous: of("volume").filter_map(|mount| mount.name.clone()).filter(|name| is_made_up(name)).collect(),
            mounts: mounts.iter().filter_map(|mount| Some((target(mount)?, mount.writable.unwrap_or(true)))).collect(),
            read_only: host.read_only,
        }
    }

    pub(super) fn labels(self) -> Labels {
        Labels(self.config.and_then(|config| config.labels).unwrap_or_default())
    }

    pub(super) fn details(self) -> ContainerDetails {
        let published = self.published();
        let state = self.state.unwrap_or_default();
        let status = state.status.unwrap_or_default();
        let error = state.error.filter(|error| !error.is_empty()).map(|error| super::errors::trim(&error).to_owned());
        let ended = matches!(status.as_str(), "exited" | "stopped" | "dead" | "removing") || error.is_some();
        ContainerDetails {
            running: state.running || state.paused || state.restarting,
            exit_code: state.exit_code.filter(|_| ended),
            health: state.health.as_ref().and_then(|found| found.status.as_deref()).map_or(Health::None, health),
            health_log: state
                .health
                .and_then(|found| found.log?.pop()?.output)
                .map(|output| output.trim_end().to_owned())
                .filter(|output| !output.is_empty()),
            error,
            started_at: state.started_at.and_then(|text| humantime::parse_rfc3339(&text).ok()),
            out_of_memory: state.out_of_memory,
            state: self::state(&status, state.exit_code),
            published,
        }
    }

    fn published(&self) -> Vec<(u16, SocketAddr)> {
        let ports = self.network_settings.as_ref().and_then(|settings| settings.ports.as_ref());
        let mut published: Vec<(u16, SocketAddr)> = ports
            .into_iter()
            .flatten()
            .filter_map(|(key, bindings)| Some((key.strip_suffix("/tcp")?.parse().ok()?, bindings.as_ref()?)))
            .flat_map(|(port, bindings): (u16, &Vec<Binding>)| {
                bindings.iter().filter_map(move |binding| Some((port, binding.address()?)))
            })
            .collect();
        published.sort_unstable();
        published.dedup();
        published
    }
}

impl Binding {
    fn address(&self) -> Option<SocketAddr> {
        let port = self.host_port.as_deref()?.parse().ok()?;
        let ip = match self.host_ip.as_deref() {
            None | Some("") => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            Some(text) => text.parse().ok()?,
        };
        Some(SocketAddr::new(ip, port))
    }
}

/// `GET /images/NAME/json`.
#[derive(Deserialize)]
pub(super) struct Image {
    #[serde(rename = "Id")]
    id: String,
    #[serde(rename = "Config", default)]
    config: Option<InspectedConfig>,
}

impl Image {
    pub(super) fn observed(self) -> ObservedImage {
        let labels = self.config.and_then(|config| config.labels).unwrap_or_default();
        ObservedImage { id: self.id, build_hash: labels.get(BUILD_HASH).cloned() }
    }
}

impl Image {
    /// Its id and labels.
    pub(super) fn labels(&self) -> (String, HashMap<String, String>) {
        (self.id.clone(), self.config.as_ref().and_then(|config| config.labels.clone()).unwrap_or_default())
    }
}

/// `GET /info`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Info {
    system_time: Option<String>,
}

impl Info {
    pub(super) fn time(&self) -> Option<SystemTime> {
        rfc3339(self.system_time.as_deref()?)
    }
}

/// A time as engines write it: with an offset where their time zone has one.
fn rfc3339(text: &str) -> Option<SystemTime> {
    if text.ends_with('Z') {
        return humantime::parse_rfc3339(text).ok();
    }
    let (local, offset) = text.split_at_checked(text.len().checked_sub(6)?)?;
    let (hours, minutes) = offset.get(1..)?.split_once(':')?;
    let offset_by = Duration::from_secs((hours.parse::<u64>().ok()? * 60 + minutes.parse::<u64>().ok()?) * 60);
    let local = humantime::parse_rfc3339(&format!("{local}Z")).ok()?;
    if offset.starts_with('-') { local.checked_add(offset_by) } else { local.checked_sub(offset_by) }
}

/// A network or volume in a list.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Resource {
    /// Volumes have none.
    id: Option<String>,
    name: String,
    labels: Option<HashMap<String, String>>,
}

impl Resource {
    /// The id of the one of that name.
    pub(super) fn id_where_named(self, name: &str) -> Option<String> {
        self.id.filter(|_| self.name == name)
    }

    pub(super) fn observed(self) -> (String, ObservedResource) {
        (self.name, ObservedResource { labels: Labels(self.labels.unwrap_or_default()) })
    }
}

/// `GET /volumes`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Volumes {
    pub(super) volumes: Option<Vec<Resource>>,
}

/// One line of `GET /events`.
#[derive(Deserialize)]
pub(super) struct Event {
    #[serde(rename = "Type")]
    kind: Option<String>,
    #[serde(rename = "Action")]
    action: Option<String>,
    #[serde(rename = "Actor")]
    actor: Option<Actor>,
    time: Option<i64>,
    #[serde(rename = "timeNano")]
    time_nanoseconds: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Actor {
    #[serde(rename = "ID")]
    id: Option<String>,
    attributes: Option<HashMap<String, String>>,
}

impl Event {
    /// None for what says nothing about a thing.
    pub(super) fn read(self) -> Option<EngineEvent> {
        let actor = self.actor?;
        let attributes = Labels(actor.attributes.unwrap_or_default());
        Some(EngineEvent {
            time: self
                .time_nanoseconds
                .or_else(|| self.time.map(|seconds| seconds.saturating_mul(1_000_000_000)))
                .unwrap_or_default(),
            kind: self.kind?,
            action: match self.action? {
                action if action == "died" => "die".to_owned(), // Podman's word
                action => action,
            },
            id: actor.id?,
            name: attributes.get("name").map(str::to_owned),
            attributes,
        })
    }
}

#[cfg(test)]
mod tests;
