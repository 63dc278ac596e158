//! What a target is connected to: the project's networks and volumes by name, ports, lines of `/etc/hosts`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    findings::{Findings, engine_name},
    target::Published,
};
use crate::{
    config::{
        file::{
            File,
            forms::{ListOr, ShortOr},
            project::{Network as FileNetwork, Volume as FileVolume},
            scalar::{Flag, Scalar},
            service::{Port as FilePort, ServiceNetwork},
            target::Target as FileTarget,
        },
        nearest::did_you_mean,
        problem::KeyPath,
        value::{Invalid, port},
    },
    model::{
        spec::{NetworkAttachment, Port, Protocol},
        target::{NetworkSpec, VolumeSpec},
    },
};

/// The network of targets that name none.
const DEFAULT: &str = "default";

/// A top-level network or volume.
struct Resource<T> {
    /// Its name on the engine.
    name: String,
    /// How to make it; None: external.
    spec: Option<T>,
}

/// The top-level networks and volumes, by their key.
pub(super) struct Resources {
    networks: BTreeMap<String, Resource<NetworkSpec>>,
    volumes: BTreeMap<String, Resource<VolumeSpec>>,
}

/// The keys of the networks and volumes that targets use.
#[derive(Default)]
pub(super) struct Used {
    networks: BTreeSet<String>,
    volumes: BTreeSet<String>,
}

impl Resources {
    pub(super) fn new(findings: &mut Findings<'_>, file: &File, project: &str) -> Self {
        let at = KeyPath::default().key("networks");
        let mut networks: BTreeMap<_, _> = file
            .networks
            .iter()
            .flatten()
            .map(|(key, it)| (key.clone(), network(findings, &at, key, it, project)))
            .collect();
        networks
            .entry(DEFAULT.to_owned())
            .or_insert_with(|| Resource { name: format!("{project}_{DEFAULT}"), spec: Some(NetworkSpec::default()) });
        let at = KeyPath::default().key("volumes");
        let volumes = file
            .volumes
            .iter()
            .flatten()
            .map(|(key, it)| (key.clone(), volume(findings, &at, key, it, project)))
            .collect();
        Self { networks, volumes }
    }

    /// The engine's name of a volume that a target names.
    pub(super) fn volume(&self, key: &str, used: &mut Used) -> Result<String, Invalid> {
        if let Some(volume) = self.volumes.get(key) {
            used.volumes.insert(key.to_owned());
            return Ok(volume.name.clone());
        }
        let invalid = Invalid::new(format!("there is no volume {key:?} under [volumes]"));
        Err(if key.contains('/') {
            invalid.help(format!("a path begins with ./, / or ~/: write ./{key}"))
        } else if let Some(help) = did_you_mean(key, self.volumes.keys().map(String::as_str)) {
            invalid.help(help)
        } else {
            invalid.help(format!("add [volumes.{key}]; for a folder write ./{key}"))
        })
    }

    fn network(&self, key: &str, used: &mut Used) -> Result<String, Invalid> {
        if let Some(network) = self.networks.get(key) {
            used.networks.insert(key.to_owned());
            return Ok(network.name.clone());
        }
        let help = did_you_mean(key, self.networks.keys().map(String::as_str));
        Err(Invalid::new(format!("there is no network {key:?} under [networks]"))
            .help(help.unwrap_or_else(|| format!("add [networks.{key}]"))))
    }

    /// What must be made, by the engine's names.
    pub(super) fn needed(self, used: &Used) -> (BTreeMap<String, NetworkSpec>, BTreeMap<String, VolumeSpec>) {
        (needed(self.networks, &used.networks), needed(self.volumes, &used.volumes))
    }
}

fn needed<T>(resources: BTreeMap<String, Resource<T>>, used: &BTreeSet<String>) -> BTreeMap<String, T> {
    let used = resources.into_iter().filter(|(key, _)| used.contains(key));
    used.filter_map(|(_, resource)| Some((resource.name, resource.spec?))).collect()
}

/// `name`, the key of an external one, or `<project>_<key>`; whether it is external.
fn resource_name(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    key: &str,
    name: Option<&String>,
    external: Option<&Flag>,
    project: &str,
) -> (String, bool) {
    let at = at.key(key);
    let external = findings.flag(&at, "external", external).unwrap_or(false);
    let (path, name) = match name {
        Some(name) => (Some(at.key("name")), name.clone()),
        None if external => (None, key.to_owned()),
        None => (None, format!("{project}_{key}")),
    };
    match (engine_name(&name), path) {
        (Err(invalid), Some(path)) => findings.problem(path, invalid),
        // A project without a name has been told of already.
        (Err(invalid), None) if !project.is_empty() => findings.key_problem(at, invalid),
        _ => {}
    }
    (name, external)
}

fn options(options: Option<&BTreeMap<String, Scalar>>) -> BTreeMap<String, String> {
    options.into_iter().flatten().map(|(key, value)| (key.clone(), value.to_string())).collect()
}

fn network(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    key: &str,
    network: &FileNetwork,
    project: &str,
) -> Resource<NetworkSpec> {
    let (name, external) = resource_name(findings, at, key, network.name.as_ref(), network.external.as_ref(), project);
    let at = at.key(key);
    let spec = NetworkSpec {
        driver: findings.text(&at, "driver", network.driver.as_ref()),
        driver_opts: options(network.driver_opts.as_ref()),
        internal: findings.flag(&at, "internal", network.internal.as_ref()).unwrap_or(false),
        attachable: findings.flag(&at, "attachable", network.attachable.as_ref()).unwrap_or(false),
        enable_ipv6: findings.flag(&at, "enable_ipv6", network.enable_ipv6.as_ref()).unwrap_or(false),
        labels: findings.labels(&at.key("labels"), network.labels.as_ref()),
    };
    if external && spec != NetworkSpec::default() {
        findings.key_problem(
            at,
            Invalid::new("an external network is not made by mcpmon: it takes a name and nothing else"),
        );
    }
    Resource { name, spec: (!external).then_some(spec) }
}

fn volume(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    key: &str,
    volume: &FileVolume,
    project: &str,
) -> Resource<VolumeSpec> {
    let (name, external) = resource_name(findings, at, key, volume.name.as_ref(), volume.external.as_ref(), project);
    let at = at.key(key);
    let spec = VolumeSpec {
        driver: findings.text(&at, "driver", volume.driver.as_ref()),
        driver_opts: options(volume.driver_opts.as_ref()),
        labels: findings.labels(&at.key("labels"), volume.labels.as_ref()),
    };
    if external && spec != VolumeSpec::default() {
        findings.key_problem(
            at,
            Invalid::new("an external volume is not made by mcpmon: it takes a name and nothing else"),
        );
    }
    Resource { name, spec: (!external).then_some(spec) }
}

/// `network_mode`, where it is one.
pub(super) fn mode(findings: &mut Findings<'_>, at: &KeyPath, target: &FileTarget) -> Option<String> {
    let mode = target.network_mode.as_ref()?;
    let known = matches!(mode.as_str(), "host" | "none" | "bridge")
        || mode.strip_prefix("container:").is_some_and(|id| !id.is_empty());
    if !known {
        let invalid = Invalid::new(format!("{mode:?} is not known for network_mode"));
        let help = if mode.starts_with("service:") {
            "service: is not there yet; use networks"
        } else {
            "host, none, bridge or container:ID; a network's name goes into networks"
        };
        findings.problem(at.key("network_mode"), invalid.help(help));
    }
    if target.networks.is_some() {
        let invalid = Invalid::new("network_mode and networks exclude each other").help("remove one of them");
        findings.key_problem(at.key("network_mode"), invalid);
    }
    Some(mode.clone())
}

/// The networks a container is in, by the engine's names.
pub(super) fn attachments(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    target: &FileTarget,
    mode: Option<&str>,
    resources: &Resources,
    used: &mut Used,
) -> BTreeMap<String, NetworkAttachment> {
    if mode.is_some() {
        return BTreeMap::new();
    }
    let at = at.key("networks");
    let mut named: Vec<(KeyPath, bool, String, ServiceNetwork)> = match &target.networks {
        None => Vec::new(),
        Some(ListOr::List(list)) => list
            .iter()
            .enumerate()
            .map(|(index, key)| (at.index(index), false, key.to_string(), ServiceNetwork::default()))
            .collect(),
        Some(ListOr::Table(table)) => {
            table.iter().map(|(key, network)| (at.key(key), true, key.clone(), network.clone())).collect()
        }
    };
    if named.is_empty() {
        named.push((at, true, DEFAULT.to_owned(), ServiceNetwork::default()));
    }
    let mut attachments = BTreeMap::new();
    for (path, at_key, key, network) in named {
        let attachment = NetworkAttachment {
            aliases: network.aliases.unwrap_or_default(),
            ipv4_address: address(findings, &path, "ipv4_address", network.ipv4_address.as_ref(), IpAddr::is_ipv4),
            ipv6_address: address(findings, &path, "ipv6_address", network.ipv6_address.as_ref(), IpAddr::is_ipv6),
        };
        match resources.network(&key, used) {
            Ok(name) => {
                attachments.insert(name, attachment);
            }
            Err(invalid) if at_key => findings.key_problem(path, invalid),
            Err(invalid) => findings.problem(path, invalid),
        }
    }
    attachments
}

fn address(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    key: &str,
    text: Option<&String>,
    family: fn(&IpAddr) -> bool,
) -> Option<String> {
    let text = text?;
    if text.parse::<IpAddr>().is_ok_and(|address| family(&address)) {
        return Some(text.clone());
    }
    findings.problem(at.key(key), Invalid::new(format!("{text:?} is not an address for {key}")));
    None
}

/// The published ports, ranges written out; each is noted in `published` with its place as well.
pub(super) fn ports(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    name: &str,
    target: &FileTarget,
    mode: Option<&str>,
    published: &mut Vec<Published>,
) -> Vec<Port> {
    let at = at.key("ports");
    if let (Some(mode), Some([_, ..])) = (mode.filter(|mode| *mode != "bridge"), target.ports.as_deref()) {
        let invalid = Invalid::new(format!("with network_mode {mode}, no ports can be published"))
            .help("remove ports or network_mode");
        findings.key_problem(at.clone(), invalid);
    }
    let mut ports = Vec::new();
    for (index, port) in target.ports.iter().flatten().enumerate() {
        let path = at.index(index);
        let found = match port {
            ShortOr::Short(short) => {
                let found = port::parse(&short.to_string());
                findings.noted(path.clone(), found)
            }
            ShortOr::Long(long) => long_port(findings, &path, long),
        };
        for port in found.into_iter().flatten() {
            published.push(Published { target: name.to_owned(), path: path.clone(), port: port.clone() });
            ports.push(port);
        }
    }
    ports
}

fn long_port(findings: &mut Findings<'_>, at: &KeyPath, long: &FilePort) -> Option<Vec<Port>> {
    let protocols = [("tcp", Protocol::Tcp), ("udp", Protocol::Udp), ("sctp", Protocol::Sctp)];
    let protocol = findings.choice(at, "protocol", long.protocol.as_ref(), &protocols).unwrap_or(Protocol::Tcp);
    let host_ip = long.host_ip.as_ref().and_then(|text| findings.noted(at.key("host_ip"), port::address(text)));
    let published = long.published.as_ref().map(ToString::to_string).filter(|text| !text.is_empty());
    let published = published.and_then(|text| findings.noted(at.key("published"), port::range(&text)));
    if long.target.is_none() {
        findings.key_problem(
            at.clone(),
            Invalid::new("the port has no target").help("target is the port in the container"),
        );
    }
    let target = findings.noted(at.key("target"), port::target(&long.target.as_ref()?.to_string()))?;
    let ports = port::spread(host_ip, published, (target, target), protocol);
    findings.noted(at.key("published"), ports)
}

/// Lines of `/etc/hosts`, as `name:address`.
pub(super) fn extra_hosts(findings: &mut Findings<'_>, at: &KeyPath, hosts: Option<&ListOr<Scalar>>) -> Vec<String> {
    let named: Vec<(KeyPath, String)> = match hosts {
        None => Vec::new(),
        Some(ListOr::List(list)) => {
            list.iter().enumerate().map(|(index, line)| (at.index(index), line.to_string())).collect()
        }
        Some(ListOr::Table(table)) => {
            table.iter().map(|(name, address)| (at.key(name), format!("{name}={address}"))).collect()
        }
    };
    let mut lines = Vec::new();
    for (path, line) in named {
        let Some((name, address)) = line.split_once('=').or_else(|| line.split_once(':')) else {
            findings.problem(path, Invalid::new(format!("{line:?} names no address")).help("write NAME=ADDRESS"));
            continue;
        };
        let (name, address) = (name.trim(), address.trim());
        let address = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        if name.is_empty() || (address != "host-gateway" && address.parse::<IpAddr>().is_err()) {
            let invalid = Invalid::new(format!("{address:?} is not an address for the host {name:?}"))
                .help("an IP address, or host-gateway for the machine that runs the engine");
            findings.problem(path, invalid);
        } else {
            lines.push(format!("{name}:{address}"));
        }
    }
    lines
}
