//! What only shows when all targets are looked at together: circles, and things that two of them want.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{findings::Findings, target::Published};
use crate::config::{
    file::{File, forms::ListOr, target::Target},
    problem::KeyPath,
    value::Invalid,
};

pub(super) fn check(findings: &mut Findings<'_>, file: &File, project: &str, published: &[Published]) {
    let empty = BTreeMap::new();
    let targets = file.targets.as_ref().unwrap_or(&empty);
    circles(findings, targets);
    container_names(findings, targets, project);
    ports(findings, published);
}

fn dependencies(target: &Target) -> Vec<String> {
    match &target.depends_on {
        None => Vec::new(),
        Some(ListOr::List(list)) => list.iter().map(ToString::to_string).collect(),
        Some(ListOr::Table(table)) => table.keys().cloned().collect(),
    }
}

/// A service of a compose target stands for all of it: what that one waits for, each of its services waits for.
fn whole(names: Vec<String>) -> Vec<String> {
    names.into_iter().map(|name| name.split_once('/').map_or(name.clone(), |(of, _)| of.to_owned())).collect()
}

/// Each circle once, by the target where it was entered first.
fn circles(findings: &mut Findings<'_>, targets: &BTreeMap<String, Target>) {
    let edges: BTreeMap<&str, Vec<String>> =
        targets.iter().map(|(name, target)| (name.as_str(), whole(dependencies(target)))).collect();
    let mut done: BTreeSet<&str> = BTreeSet::new();
    for start in targets.keys() {
        // Depth first without recursion: the way here, and for each step the next edge to try.
        let mut way: Vec<(&str, usize)> = vec![(start, 0)];
        while let Some((name, next)) = way.last_mut() {
            let name = *name;
            let edge = edges.get(name).filter(|_| !done.contains(name)).and_then(|edges| edges.get(*next));
            *next += 1;
            let Some((other, _)) = edge.and_then(|edge| edges.get_key_value(edge.as_str())) else {
                if edge.is_none() {
                    done.insert(name);
                    way.pop();
                }
                continue;
            };
            if let Some(from) = way.iter().position(|(step, _)| step == other) {
                let mut circle: Vec<&str> = way[from..].iter().map(|(step, _)| *step).collect();
                circle.push(other);
                let at = KeyPath::default().key("targets").key(name).key("depends_on");
                let invalid = Invalid::new(format!("targets wait for each other: {}", circle.join(" → ")))
                    .help("remove one of these dependencies");
                findings.problem(at, invalid);
            } else if !done.contains(other) {
                way.push((other, 0));
            }
        }
    }
}

/// Fixed names, against each other and against those that targets get by themselves.
fn container_names(findings: &mut Findings<'_>, targets: &BTreeMap<String, Target>, project: &str) {
    let containers = || targets.iter().filter(|(_, target)| target.image.is_some() || target.build.is_some());
    let mut taken: BTreeMap<String, &str> = BTreeMap::new();
    for (name, _) in containers().filter(|(_, target)| target.container_name.is_none()) {
        taken.insert(format!("{project}-{name}"), name);
    }
    for (name, target) in containers() {
        let Some(container_name) = &target.container_name else { continue };
        match taken.get(container_name) {
            Some(other) => {
                let at = KeyPath::default().key("targets").key(name).key("container_name");
                let invalid =
                    Invalid::new(format!("the target {other} has a container of that name ({container_name})"))
                        .help("container names must differ; without container_name mcpmon finds one");
                findings.problem(at, invalid);
            }
            None => {
                taken.insert(container_name.clone(), name);
            }
        }
    }
}

fn ports(findings: &mut Findings<'_>, published: &[Published]) {
    let mut by_port: BTreeMap<_, Vec<&Published>> = BTreeMap::new();
    let mut told = BTreeSet::new();
    for this in published.iter().filter(|this| this.port.published != 0) {
        let others = by_port.entry((this.port.published, this.port.protocol)).or_default();
        if let Some(other) = others.iter().find(|other| overlap(other.port.host_ip, this.port.host_ip)) {
            let whose = if other.target == this.target {
                "this target".to_owned()
            } else {
                format!("the target {}", other.target)
            };
            // A range says it once.
            if told.insert((this.path.clone(), other.path.clone())) {
                let invalid =
                    Invalid::new(format!("{whose} publishes port {} of the host already", this.port.published)).help(
                        "take another port, another address, or let the engine choose: leave the host's port out",
                    );
                findings.problem(this.path.clone(), invalid);
            }
        }
        others.push(this);
    }
}

/// Whether two sockets on one port would meet. No address is all of them.
fn overlap(one: Option<IpAddr>, other: Option<IpAddr>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            one == other || (one.is_ipv4() == other.is_ipv4() && (one.is_unspecified() || other.is_unspecified()))
        }
        _ => true,
    }
}
