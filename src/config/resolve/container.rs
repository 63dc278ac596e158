//! A run target: the container's spec, its build, and when its image is fetched.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use super::{
    environment,
    findings::{Findings, engine_name},
    health,
    network::{self, Used},
    storage,
    target::{Published, Surroundings},
};
use crate::{
    config::{
        file::{
            forms::ShortOr,
            service::{Build as FileBuild, Logging as FileLogging, Ulimit as FileUlimit},
            target::Target as FileTarget,
        },
        problem::KeyPath,
        value::{Invalid, restart, whole},
    },
    model::{
        ContainerSpec, RunTarget,
        spec::{Logging, RestartPolicy, Ulimit},
        target::{Build, PullPolicy, Transport},
    },
};

/// The engine refuses less. Source: moby, `linuxMinMemory`.
const LEAST_MEMORY: u64 = 6 * 1024 * 1024;

#[allow(clippy::too_many_arguments, reason = "a target, and what it stands in")]
pub(super) fn run_target(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    name: &str,
    target: &FileTarget,
    transport: Option<Transport>,
    surroundings: &Surroundings<'_>,
    used: &mut Used,
    published: &mut Vec<Published>,
) -> RunTarget {
    let build = target.build.as_ref().and_then(|build| self::build(findings, &at.key("build"), build));
    let pull_policy = pull_policy(findings, at, target);
    let image = image(findings, at, name, target, surroundings.project);
    if let Some(container_name) = &target.container_name {
        findings.noted(at.key("container_name"), engine_name(container_name));
    }
    let network_mode = network::mode(findings, at, target);
    let networks = network::attachments(findings, at, target, network_mode.as_deref(), surroundings.resources, used);
    let ports = network::ports(findings, at, name, target, network_mode.as_deref(), published);
    let storage = storage::storage(findings, at, target, surroundings.resources, used);
    let tty = findings.flag(at, "tty", target.tty.as_ref()).unwrap_or(false);
    if tty && transport == Some(Transport::Stdio) {
        let invalid = Invalid::new("a terminal echoes and changes line ends: a stdio server can't have one")
            .help("leave tty out; stdin_open is enough");
        findings.problem(at.key("tty"), invalid);
    }
    let stdin_open = findings.flag(at, "stdin_open", target.stdin_open.as_ref());
    let grace = stop_grace_period(findings, at, target, surroundings);
    let restart = target.restart.as_ref().and_then(|text| findings.noted(at.key("restart"), restart::parse(text)));
    if restart.is_some_and(|policy| policy != RestartPolicy::No) {
        findings.warnings.push(format!(
            "{}: the engine's restarts work against mcpmon's own, which know the file; leave restart out",
            at.key("restart")
        ));
    }
    let spec = ContainerSpec {
        image,
        container_name: target.container_name.clone(),
        command: findings.words(at, "command", target.command.as_ref()),
        entrypoint: findings.words(at, "entrypoint", target.entrypoint.as_ref()),
        environment: environment::environment(findings, at, target),
        volumes: storage.mounts,
        ports,
        tmpfs: storage.tmpfs,
        networks,
        network_mode,
        extra_hosts: network::extra_hosts(findings, &at.key("extra_hosts"), target.extra_hosts.as_ref()),
        hostname: findings.text(at, "hostname", target.hostname.as_ref()),
        labels: findings.labels(&at.key("labels"), target.labels.as_ref()),
        working_dir: findings.text(at, "working_dir", target.working_dir.as_ref()),
        user: findings.text(at, "user", target.user.as_ref().map(ToString::to_string).as_ref()),
        stdin_open: stdin_open.unwrap_or(transport == Some(Transport::Stdio)),
        tty,
        init: findings.flag(at, "init", target.init.as_ref()).unwrap_or(true),
        read_only: findings.flag(at, "read_only", target.read_only.as_ref()).unwrap_or(false),
        cap_add: target.cap_add.clone().unwrap_or_default(),
        cap_drop: target.cap_drop.clone().unwrap_or_default(),
        security_opt: target.security_opt.clone().unwrap_or_default(),
        privileged: findings.flag(at, "privileged", target.privileged.as_ref()).unwrap_or(false),
        ulimits: ulimits(findings, &at.key("ulimits"), target),
        shm_size: findings.size(at, "shm_size", target.shm_size.as_ref()),
        mem_limit: mem_limit(findings, at, target),
        cpus: cpus(findings, at, target),
        pids_limit: pids_limit(findings, at, target),
        stop_signal: findings.text(at, "stop_signal", target.stop_signal.as_ref()),
        stop_grace_period: grace,
        restart: restart.unwrap_or(RestartPolicy::No),
        logging: target.logging.as_ref().map(logging),
        healthcheck: target.healthcheck.as_ref().map(|check| health::check(findings, &at.key("healthcheck"), check)),
    };
    RunTarget { spec, build, pull_policy, secrets: findings.context.secrets.clone() }
}

/// The target's own, or the common one.
pub(super) fn stop_grace_period(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    target: &FileTarget,
    surroundings: &Surroundings<'_>,
) -> Duration {
    if target.stop_grace_period.is_some() {
        return findings.duration(at, "stop_grace_period", target.stop_grace_period.as_ref()).unwrap_or_default();
    }
    let common = surroundings.file.docker.as_ref().and_then(|docker| docker.stop_grace_period.as_ref());
    let at = KeyPath::default().key("docker");
    let grace = findings.duration(&at, "stop_grace_period", common);
    findings.needed(&at, "stop_grace_period", common.is_some(), grace)
}

/// As written, or `<project>-<target>` for what is built.
fn image(findings: &mut Findings<'_>, at: &KeyPath, name: &str, target: &FileTarget, project: &str) -> String {
    let Some(image) = &target.image else {
        let tag = format!("{project}-{name}").to_lowercase();
        if tag.ends_with(['.', '_', '-']) || tag.contains("..") || tag.contains("___") {
            let invalid =
                Invalid::new(format!("{tag:?} can't be the name of an image")).help("set image for the build");
            findings.key_problem(at.key("build"), invalid);
        }
        return tag;
    };
    let invalid = if image.is_empty() {
        Some(Invalid::new("image is empty").help("write NAME[:TAG], such as ghcr.io/acme/api:1.27"))
    } else if image.contains(|c: char| c.is_whitespace() || c.is_control()) {
        Some(Invalid::new(format!("{image:?} is not the name of an image: it has blanks")))
    } else {
        // The registry's host may have capitals; the tag and digest too.
        let path = image.split('@').next().unwrap_or_default();
        let path = path.rsplit_once('/').map_or(path, |(_, last)| last);
        let last = path.split(':').next().unwrap_or_default();
        (last.is_empty() || last.chars().any(char::is_uppercase)).then(|| {
            Invalid::new(format!("{image:?} is not the name of an image")).help("the name must be in small letters")
        })
    };
    if let Some(invalid) = invalid {
        findings.problem(at.key("image"), invalid);
    }
    image.clone()
}

fn build(findings: &mut Findings<'_>, at: &KeyPath, build: &ShortOr<FileBuild>) -> Option<Build> {
    let (context_at, build) = match build {
        ShortOr::Short(context) => {
            (at.clone(), FileBuild { context: Some(context.to_string()), ..FileBuild::default() })
        }
        ShortOr::Long(build) => (at.key("context"), build.clone()),
    };
    let context = build.context.unwrap_or_else(|| ".".to_owned());
    if context.contains("://") || context.starts_with("git@") {
        let invalid = Invalid::new("the build context is not a folder")
            .help("contexts from the network are not there yet: clone it, and name the folder");
        findings.problem(context_at, invalid);
        return None;
    }
    let args_at = at.key("args");
    let args = findings.pairs(&args_at, build.args.as_ref());
    let args: BTreeMap<_, _> = args
        .into_iter()
        .map(|(_, key, value)| {
            let value = value.or_else(|| findings.context.environment.get(&key).cloned());
            (key, value)
        })
        .collect();
    Some(Build {
        context: findings.path(context_at, &context)?,
        dockerfile: findings.text(at, "dockerfile", build.dockerfile.as_ref()).map(PathBuf::from),
        target: findings.text(at, "target", build.target.as_ref()),
        args,
    })
}

fn pull_policy(findings: &mut Findings<'_>, at: &KeyPath, target: &FileTarget) -> PullPolicy {
    let policies = [
        ("missing", PullPolicy::Missing),
        ("if_not_present", PullPolicy::Missing),
        ("always", PullPolicy::Always),
        ("never", PullPolicy::Never),
        ("build", PullPolicy::Build),
    ];
    let policy = findings.choice(at, "pull_policy", target.pull_policy.as_ref(), &policies).unwrap_or_default();
    if policy == PullPolicy::Build && target.build.is_none() {
        let invalid = Invalid::new("pull_policy build needs a build").help("add build, or use missing or always");
        findings.problem(at.key("pull_policy"), invalid);
    }
    policy
}

fn ulimits(findings: &mut Findings<'_>, at: &KeyPath, target: &FileTarget) -> BTreeMap<String, Ulimit> {
    let mut limits = BTreeMap::new();
    for (name, limit) in target.ulimits.iter().flatten() {
        let here = at.key(name);
        let limit = match limit {
            ShortOr::Short(both) => {
                let text = both.to_string();
                let both = text.parse::<i64>().map_err(|_| Invalid::new(format!("{text:?} is not a whole number")));
                findings.noted(here.clone(), both).map(|both| Ulimit { soft: both, hard: both })
            }
            ShortOr::Long(FileUlimit { soft, hard }) => {
                if soft.is_none() || hard.is_none() {
                    findings.key_problem(here.clone(), Invalid::new("a limit needs both soft and hard"));
                }
                let soft = findings.integer(&here, "soft", soft.as_ref());
                let hard = findings.integer(&here, "hard", hard.as_ref());
                soft.zip(hard).map(|(soft, hard)| Ulimit { soft, hard })
            }
        };
        let Some(limit) = limit else { continue };
        if limit.soft < -1 || limit.hard < -1 {
            findings.problem(here, Invalid::new("a limit can't be negative").help("-1 is no limit"));
        } else if limit.hard != -1 && (limit.soft == -1 || limit.soft > limit.hard) {
            findings.problem(here, Invalid::new(format!("the soft limit is above the hard limit ({})", limit.hard)));
        } else {
            limits.insert(name.clone(), limit);
        }
    }
    limits
}

/// 0 is no limit, as in compose.
fn mem_limit(findings: &mut Findings<'_>, at: &KeyPath, target: &FileTarget) -> Option<u64> {
    let bytes = findings.size(at, "mem_limit", target.mem_limit.as_ref()).filter(|bytes| *bytes != 0)?;
    if bytes < LEAST_MEMORY {
        let invalid = Invalid::new(format!("{bytes} bytes are less than any engine allows")).help("6m or more");
        findings.problem(at.key("mem_limit"), invalid);
    }
    Some(bytes)
}

/// 0 is no limit, as in compose.
fn cpus(findings: &mut Findings<'_>, at: &KeyPath, target: &FileTarget) -> Option<f64> {
    let cpus = findings.number(at, "cpus", target.cpus.as_ref()).filter(|cpus| *cpus != 0.0)?;
    if !(0.01..=4096.0).contains(&cpus) {
        let invalid = Invalid::new(format!("{cpus} CPUs can't be had")).help("0.01 or more, such as 0.5 or 2");
        findings.problem(at.key("cpus"), invalid);
    }
    Some(cpus)
}

fn pids_limit(findings: &mut Findings<'_>, at: &KeyPath, target: &FileTarget) -> Option<i64> {
    let limit = whole::limit(&target.pids_limit.as_ref()?.to_string(), "pids_limit");
    findings.noted(at.key("pids_limit"), limit)
}

fn logging(logging: &FileLogging) -> Logging {
    let options = logging.options.iter().flatten().map(|(key, value)| (key.clone(), value.to_string())).collect();
    Logging { driver: logging.driver.clone().unwrap_or_default(), options }
}
