//! From a [`ContainerSpec`] to what the engine's API calls a container. Pure.
//! It must not send anything; what an engine can't take at creation is handed back beside the body.

use std::collections::{BTreeMap, HashMap};

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig,
    Mount as ApiMount, MountBindOptions, MountType, MountVolumeOptions, NetworkingConfig, PortBinding, PortMap,
    ResourcesUlimits, RestartPolicy as ApiRestartPolicy, RestartPolicyNameEnum,
};

use super::CreateContainer;
use crate::model::{
    ContainerSpec,
    spec::{Healthcheck, Mount, MountSource, NetworkAttachment, Port, RestartPolicy},
};

/// Networks whose members have no aliases: the engine refuses them there.
const NETWORKS_WITHOUT_ALIASES: [&str; 4] = ["bridge", "default", "host", "none"];

/// What of the API differs between versions, as far as creation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Several networks at creation, and `start_interval` of a health check (API 1.44).
    pub several_networks: bool,
    /// Bind mounts that make their missing folder by the mount API (API 1.42).
    pub create_mountpoint: bool,
}

/// What is sent to make a container.
#[derive(Debug, Clone, PartialEq)]
pub struct Creation {
    /// The container.
    pub body: ContainerCreateBody,
    /// Networks that it has to be connected to afterwards, before its start.
    pub connect: BTreeMap<String, EndpointSettings>,
}

/// The API's words for a container.
pub fn creation(container: &CreateContainer<'_>, abilities: Abilities) -> Creation {
    let spec = container.spec;
    let mut endpoints: BTreeMap<String, EndpointSettings> = spec
        .networks
        .iter()
        .map(|(name, attachment)| (name.clone(), endpoint(name, attachment, container.alias)))
        .collect();
    let network_mode = spec.network_mode.clone().or_else(|| endpoints.keys().next().cloned());
    let connect = if abilities.several_networks || endpoints.len() < 2 {
        BTreeMap::new()
    } else {
        let first = endpoints.keys().nth(1).cloned().unwrap_or_default();
        endpoints.split_off(&first)
    };
    let (exposed_ports, port_bindings) = ports(&spec.ports);
    let body = ContainerCreateBody {
        hostname: spec.hostname.clone(),
        user: spec.user.clone(),
        exposed_ports,
        tty: Some(spec.tty),
        open_stdin: Some(spec.stdin_open),
        stdin_once: Some(container.stdin_once),
        env: Some(spec.environment.iter().map(|(key, value)| format!("{key}={}", value.value)).collect()),
        cmd: spec.command.clone(),
        healthcheck: spec.healthcheck.as_ref().map(|check| health(check, abilities)),
        image: Some(spec.image.clone()),
        working_dir: spec.working_dir.clone(),
        entrypoint: spec.entrypoint.clone(),
        labels: Some(container.labels.clone().into_iter().collect()),
        stop_signal: spec.stop_signal.clone(),
        stop_timeout: Some(super::whole_seconds(spec.stop_grace_period)),
        host_config: Some(host_config(spec, network_mode, port_bindings, abilities)),
        networking_config: (!endpoints.is_empty())
            .then(|| NetworkingConfig { endpoints_config: Some(endpoints.into_iter().collect()) }),
        ..ContainerCreateBody::default()
    };
    Creation { body, connect }
}

fn host_config(
    spec: &ContainerSpec,
    network_mode: Option<String>,
    port_bindings: Option<PortMap>,
    abilities: Abilities,
) -> HostConfig {
    let (binds, mounts) = mounts(&spec.volumes, abilities);
    let security = SecurityOptions::of(&spec.security_opt);
    HostConfig {
        memory: spec.mem_limit.map(signed),
        nano_cpus: spec.cpus.map(nano_cpus),
        pids_limit: spec.pids_limit,
        shm_size: spec.shm_size.map(signed),
        init: Some(spec.init),
        ulimits: filled(spec.ulimits.iter().map(|(name, limit)| ResourcesUlimits {
            name: Some(name.clone()),
            soft: Some(limit.soft),
            hard: Some(limit.hard),
        })),
        binds: filled(binds),
        mounts: filled(mounts),
        tmpfs: (!spec.tmpfs.is_empty()).then(|| spec.tmpfs.clone().into_iter().collect()),
        log_config: spec.logging.as_ref().map(|logging| HostConfigLogConfig {
            typ: Some(logging.driver.clone()),
            config: Some(logging.options.clone().into_iter().collect()),
        }),
        network_mode,
        port_bindings,
        restart_policy: Some(restart_policy(spec.restart)),
        cap_add: filled(spec.cap_add.iter().cloned()),
        cap_drop: filled(spec.cap_drop.iter().cloned()),
        extra_hosts: filled(spec.extra_hosts.iter().cloned()),
        privileged: Some(spec.privileged),
        readonly_rootfs: Some(spec.read_only),
        security_opt: filled(security.options),
        masked_paths: security.system_paths_unconfined.then(Vec::new),
        readonly_paths: security.system_paths_unconfined.then(Vec::new),
        ..HostConfig::default()
    }
}

/// The API's words for a place on a network. `alias`: one more besides those of the attachment.
pub fn endpoint(network: &str, attachment: &NetworkAttachment, alias: &str) -> EndpointSettings {
    let mut aliases: Vec<String> = Vec::new();
    if !NETWORKS_WITHOUT_ALIASES.contains(&network) {
        aliases.push(alias.to_owned());
        aliases.extend(attachment.aliases.iter().filter(|other| *other != alias).cloned());
    }
    let fixed = attachment.ipv4_address.is_some() || attachment.ipv6_address.is_some();
    EndpointSettings {
        aliases: filled(aliases),
        ipam_config: fixed.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            link_local_ips: None,
        }),
        ..EndpointSettings::default()
    }
}

/// Exposed ports and their bindings.
fn ports(ports: &[Port]) -> (Option<Vec<String>>, Option<PortMap>) {
    let mut exposed: Vec<String> = Vec::new();
    let mut bindings: PortMap = HashMap::new();
    for port in ports {
        let key = format!("{}/{}", port.target, port.protocol.as_str());
        let binding = PortBinding {
            host_ip: port.host_ip.map(|address| address.to_string()),
            // Empty: the engine chooses.
            host_port: Some(if port.published == 0 { String::new() } else { port.published.to_string() }),
        };
        if !exposed.contains(&key) {
            exposed.push(key.clone());
        }
        bindings.entry(key).or_default().get_or_insert_default().push(binding);
    }
    (filled(exposed), (!bindings.is_empty()).then_some(bindings))
}

/// The two ways of mounting. `Binds` make a missing folder and know SELinux labels, but can't hold a path
/// with a colon; `Mounts` fail on a missing folder, which is what the long form wants.
fn mounts(mounts: &[Mount], abilities: Abilities) -> (Vec<String>, Vec<ApiMount>) {
    let mut binds = Vec::new();
    let mut others = Vec::new();
    for mount in mounts {
        match &mount.source {
            MountSource::Bind { path, create } => {
                let path = path.to_string_lossy();
                let has_colon = path.contains(':') || mount.target.contains(':');
                if (*create || mount.selinux.is_some()) && !has_colon {
                    binds.push(bind(&path, mount));
                } else {
                    others.push(ApiMount {
                        typ: Some(MountType::BIND),
                        source: Some(path.into_owned()),
                        bind_options: Some(MountBindOptions {
                            propagation: mount.propagation.as_deref().and_then(|word| word.parse().ok()),
                            create_mountpoint: (*create && abilities.create_mountpoint).then_some(true),
                            ..MountBindOptions::default()
                        }),
                        ..mounted(mount)
                    });
                }
            }
            MountSource::Volume(name) => others.push(ApiMount { source: Some(name.clone()), ..volume(mount) }),
            MountSource::Anonymous => others.push(volume(mount)),
        }
    }
    (binds, others)
}

fn bind(path: &str, mount: &Mount) -> String {
    let options: Vec<&str> = mount
        .read_only
        .then_some("ro")
        .into_iter()
        .chain(mount.selinux.as_deref())
        .chain(mount.propagation.as_deref())
        .collect();
    if options.is_empty() {
        format!("{path}:{}", mount.target)
    } else {
        format!("{path}:{}:{}", mount.target, options.join(","))
    }
}

fn mounted(mount: &Mount) -> ApiMount {
    ApiMount { target: Some(mount.target.clone()), read_only: Some(mount.read_only), ..ApiMount::default() }
}

fn volume(mount: &Mount) -> ApiMount {
    ApiMount {
        typ: Some(MountType::VOLUME),
        volume_options: mount
            .nocopy
            .then(|| MountVolumeOptions { no_copy: Some(true), ..MountVolumeOptions::default() }),
        ..mounted(mount)
    }
}

fn health(check: &Healthcheck, abilities: Abilities) -> HealthConfig {
    let nanoseconds = |duration: Option<std::time::Duration>| {
        duration.map(|duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX))
    };
    HealthConfig {
        test: check.test.clone(),
        interval: nanoseconds(check.interval),
        timeout: nanoseconds(check.timeout),
        retries: check.retries.map(i64::from),
        start_period: nanoseconds(check.start_period),
        start_interval: nanoseconds(check.start_interval).filter(|_| abilities.several_networks),
    }
}

fn restart_policy(policy: RestartPolicy) -> ApiRestartPolicy {
    let (name, maximum_retry_count) = match policy {
        RestartPolicy::No => (RestartPolicyNameEnum::NO, None),
        RestartPolicy::Always => (RestartPolicyNameEnum::ALWAYS, None),
        RestartPolicy::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        RestartPolicy::OnFailure(times) => (RestartPolicyNameEnum::ON_FAILURE, Some(i64::from(times))),
    };
    ApiRestartPolicy { name: Some(name), maximum_retry_count }
}

/// `--security-opt` has two words that are the client's, not the engine's: `systempaths=unconfined`
/// (docker CLI, `parseSystemPaths`), and `no-new-privileges` is passed as it is.
struct SecurityOptions {
    options: Vec<String>,
    system_paths_unconfined: bool,
}

impl SecurityOptions {
    fn of(options: &[String]) -> Self {
        let (paths, options): (Vec<_>, Vec<_>) =
            options.iter().cloned().partition(|option| option == "systempaths=unconfined");
        Self { options, system_paths_unconfined: !paths.is_empty() }
    }
}

/// CPUs as the API counts them; what is negative or no number asks for no limit, as 0 does.
#[allow(clippy::cast_possible_truncation, reason = "`as` saturates, and no machine has 9 thousand million CPUs")]
fn nano_cpus(cpus: f64) -> i64 {
    (cpus * 1e9).round() as i64
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A list, or nothing when it is empty.
fn filled<T>(items: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    let items: Vec<T> = items.into_iter().collect();
    (!items.is_empty()).then_some(items)
}

#[cfg(test)]
mod tests;
