//! `volumes` and `tmpfs`, in both forms: bind mounts, volumes, and folders in memory.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    findings::{Findings, strings},
    network::{Resources, Used},
};
use crate::{
    config::{
        file::{forms::ShortOr, service::Mount as FileMount, target::Target as FileTarget},
        problem::KeyPath,
        value::{
            Invalid,
            mount::{PROPAGATION, Source, check_target, parse},
        },
    },
    model::spec::{Mount, MountSource},
};

/// What a container has mounted.
#[derive(Default)]
pub(super) struct Storage {
    pub(super) mounts: Vec<Mount>,
    /// Path to options.
    pub(super) tmpfs: BTreeMap<String, String>,
}

pub(super) fn storage(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    target: &FileTarget,
    resources: &Resources,
    used: &mut Used,
) -> Storage {
    let mut storage = Storage::default();
    let mut taken = BTreeSet::new();
    let mut free = |findings: &mut Findings<'_>, path: &KeyPath, target: &str| {
        let target = target.trim_end_matches('/').to_owned();
        if taken.contains(&target) {
            let invalid = Invalid::new(format!("something else is mounted on {target} already"));
            findings.problem(path.clone(), invalid.help("one mount for each path in the container"));
            return false;
        }
        taken.insert(target)
    };
    for (index, mount) in target.volumes.iter().flatten().enumerate() {
        let path = at.key("volumes").index(index);
        match mount {
            ShortOr::Short(text) => {
                let Some(mount) = short(findings, &path, &text.to_string(), resources, used) else { continue };
                if free(findings, &path, &mount.target) {
                    storage.mounts.push(mount);
                }
            }
            ShortOr::Long(long) => {
                let Some(target) = long.target.as_ref() else {
                    findings.key_problem(
                        path,
                        Invalid::new("the volume has no target").help("target is a path in the container"),
                    );
                    continue;
                };
                let ok = findings.noted(path.key("target"), check_target(target)).is_some();
                if !ok || !free(findings, &path.key("target"), target) {
                    continue;
                }
                if long.kind.as_deref() == Some("tmpfs") {
                    let options = tmpfs_options(findings, &path, long);
                    storage.tmpfs.insert(target.clone(), options);
                } else if let Some(mount) = self::long(findings, &path, long, target, resources, used) {
                    storage.mounts.push(mount);
                }
            }
        }
    }
    for (path, text) in strings(&at.key("tmpfs"), target.tmpfs.as_ref()) {
        let (target, options) = text.split_once(':').unwrap_or((&text, ""));
        if findings.noted(path.clone(), check_target(target)).is_some() && free(findings, &path, target) {
            storage.tmpfs.insert(target.to_owned(), options.to_owned());
        }
    }
    storage
}

fn short(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    text: &str,
    resources: &Resources,
    used: &mut Used,
) -> Option<Mount> {
    let short = findings.noted(at.clone(), parse(text))?;
    let source = match short.source {
        Source::Path(path) => MountSource::Bind { path: findings.path(at.clone(), &path)?, create: true },
        Source::Volume(key) => MountSource::Volume(findings.noted(at.clone(), resources.volume(&key, used))?),
        Source::Anonymous => MountSource::Anonymous,
    };
    Some(Mount {
        source,
        target: short.target,
        read_only: short.read_only,
        propagation: short.propagation,
        selinux: short.selinux,
        nocopy: short.nocopy,
    })
}

fn long(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    long: &FileMount,
    target: &str,
    resources: &Resources,
    used: &mut Used,
) -> Option<Mount> {
    let mut mount = Mount {
        source: MountSource::Anonymous,
        target: target.to_owned(),
        read_only: findings.flag(at, "read_only", long.read_only.as_ref()).unwrap_or(false),
        propagation: None,
        selinux: None,
        nocopy: false,
    };
    let kinds = [("bind", true), ("volume", false), ("tmpfs", false)];
    if long.kind.is_none() {
        findings.key_problem(at.clone(), Invalid::new("the volume has no type").help("bind, volume or tmpfs"));
    }
    let bind = findings.choice(at, "type", long.kind.as_ref(), &kinds)?;
    let foreign = [
        (!bind && long.bind.is_some(), "bind"),
        (bind && long.volume.is_some(), "volume"),
        (long.tmpfs.is_some(), "tmpfs"),
    ];
    for (_, key) in foreign.iter().filter(|(there, _)| *there) {
        let kind = if bind { "bind" } else { "volume" };
        findings.key_problem(at.key(*key), Invalid::new(format!("{key} does not belong to type {kind}")));
    }
    if bind {
        let Some(source) = &long.source else {
            findings.key_problem(at.clone(), Invalid::new("a bind mount needs a source").help("a path of the host"));
            return None;
        };
        let path = findings.path(at.key("source"), source)?;
        let options = long.bind.clone().unwrap_or_default();
        let at = at.key("bind");
        let create = findings.flag(&at, "create_host_path", options.create_host_path.as_ref()).unwrap_or(true);
        let modes: Vec<_> = PROPAGATION.iter().map(|mode| (*mode, *mode)).collect();
        mount.propagation =
            findings.choice(&at, "propagation", options.propagation.as_ref(), &modes).map(str::to_owned);
        mount.selinux =
            findings.choice(&at, "selinux", options.selinux.as_ref(), &[("z", "z"), ("Z", "Z")]).map(str::to_owned);
        mount.source = MountSource::Bind { path, create };
    } else {
        if let Some(key) = &long.source {
            let name = if key.starts_with(['.', '/', '~']) {
                Err(Invalid::new(format!("{key:?} is a path, not the name of a volume")).help("write type = \"bind\""))
            } else {
                resources.volume(key, used)
            };
            mount.source = MountSource::Volume(findings.noted(at.key("source"), name)?);
        }
        let options = long.volume.clone().unwrap_or_default();
        mount.nocopy = findings.flag(&at.key("volume"), "nocopy", options.nocopy.as_ref()).unwrap_or(false);
    }
    Some(mount)
}

/// As mount options of `docker run --tmpfs`.
fn tmpfs_options(findings: &mut Findings<'_>, at: &KeyPath, long: &FileMount) -> String {
    if long.source.is_some() {
        findings.key_problem(at.key("source"), Invalid::new("a tmpfs has no source"));
    }
    let options = long.tmpfs.clone().unwrap_or_default();
    let at_options = at.key("tmpfs");
    let mut words = Vec::new();
    if findings.flag(at, "read_only", long.read_only.as_ref()) == Some(true) {
        words.push("ro".to_owned());
    }
    if let Some(size) = findings.size(&at_options, "size", options.size.as_ref()) {
        words.push(format!("size={size}"));
    }
    if let Some(mode) = options.mode {
        let text = mode.to_string();
        let octal = text.trim_start_matches("0o");
        if octal.is_empty() || octal.len() > 5 || octal.bytes().any(|byte| !(b'0'..=b'7').contains(&byte)) {
            findings.problem(
                at_options.key("mode"),
                Invalid::new(format!("{text:?} is not a mode")).help("octal digits, such as 1777"),
            );
        } else {
            words.push(format!("mode={octal}"));
        }
    }
    words.join(",")
}
