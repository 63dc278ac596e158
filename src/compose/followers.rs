//! Which services go on after another one started again or was made anew, and in which order. Pure.
//!
//! | tie | after a start of the same container | after another container |
//! |---|---|---|
//! | `depends_on` with `restart` | starts again | starts again |
//! | `network_mode`, `ipc`, `pid` of it | starts again: the namespace it stood in has ended | is made anew: its container names the other by id |
//! | `volumes_from` | – | is made anew: it has the mounts of the one that is gone |

use std::collections::{BTreeMap, BTreeSet};

use super::config::Service;
use crate::model::{Project, TargetKind};

/// How a service hangs on another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tie {
    /// Its `depends_on` asks for a restart.
    Asks,
    /// It stands in one of its namespaces.
    Namespace,
    /// It has its volumes.
    Volumes,
}

/// What happened to a service, or is to happen to it; the stronger, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Again {
    /// Its container started again.
    Started,
    /// It has another container.
    Made,
}

/// On whom each service hangs, and how.
pub type Ties = BTreeMap<String, Vec<(String, Tie)>>;

/// The ties of a project's services.
pub fn ties(services: &BTreeMap<String, Service>) -> Ties {
    services.iter().map(|(name, service)| (name.clone(), of_service(service))).collect()
}

fn of_service(service: &Service) -> Vec<(String, Tie)> {
    let asks =
        service.parts.depends_on.iter().filter(|(_, one)| one.restart).map(|(name, _)| (name.clone(), Tie::Asks));
    let shares = namespaces(&service.value).into_iter().map(|name| (name, Tie::Namespace));
    asks.chain(shares).chain(volumes(&service.value).map(|name| (name.to_owned(), Tie::Volumes))).collect()
}

/// The ties of the services among a project's targets, by their full names.
pub fn of_targets(project: &Project) -> Ties {
    let tied = |names: &BTreeSet<String>, tie| names.iter().map(move |name| (name.clone(), tie)).collect::<Vec<_>>();
    let services = project.targets.values().filter_map(|target| match &target.kind {
        TargetKind::Service(service) => Some((target, service)),
        _ => None,
    });
    services
        .map(|(target, service)| {
            let full = |name| format!("{}/{name}", service.project.target);
            let volumes = volumes(&service.whole).map(full).collect();
            let all = [
                tied(&service.follows, Tie::Asks),
                tied(&service.shares, Tie::Namespace),
                tied(&volumes, Tie::Volumes),
            ];
            (target.name.clone(), all.concat())
        })
        .collect()
}

/// The services in whose namespaces a service stands, from all that compose said of it.
pub fn namespaces(service: &serde_json::Value) -> BTreeSet<String> {
    let named = ["network_mode", "ipc", "pid"].iter().filter_map(|key| service.get(*key)?.as_str());
    named.filter_map(|mode| mode.strip_prefix("service:").map(str::to_owned)).collect()
}

/// The services whose volumes a service has, from all that compose said of it.
fn volumes(service: &serde_json::Value) -> impl Iterator<Item = &str> {
    // `SERVICE[:ro]`, or `container:NAME`, which is none of the project's.
    let named = service["volumes_from"].as_array().into_iter().flatten().filter_map(|one| one.as_str());
    named.filter_map(|one| one.split(':').next()).filter(|name| *name != "container")
}

/// Who goes on after what happened to one service, and hangs on that one itself: what hangs on these goes on after them.
pub fn next<'a>(ties: &'a Ties, name: &'a str, happened: Again) -> impl Iterator<Item = (&'a str, Again)> {
    ties.iter().filter(move |(follower, _)| *follower != name).filter_map(move |(follower, on)| {
        let on_it = on.iter().filter(|(other, _)| other == name);
        Some((follower.as_str(), on_it.filter_map(|(_, tie)| after(*tie, happened)).max()?))
    })
}

/// Who goes on after what happened, each after those it hangs on; never one of those it happened to.
pub fn followers(ties: &Ties, happened: &BTreeMap<String, Again>) -> Vec<(String, Again)> {
    let mut all = happened.clone();
    loop {
        let found: Vec<(String, Again)> = ties
            .iter()
            .filter(|(name, _)| !happened.contains_key(*name))
            .filter_map(|(name, on)| {
                let again = on.iter().filter_map(|(other, tie)| after(*tie, *all.get(other)?)).max()?;
                (all.get(name) < Some(&again)).then(|| (name.clone(), again))
            })
            .collect();
        if found.is_empty() {
            break;
        }
        all.extend(found);
    }
    all.retain(|name, _| !happened.contains_key(name));
    let layers = layers(ties, all.keys().cloned().collect());
    layers.into_iter().flatten().filter_map(|name| all.remove_entry(&name)).collect()
}

/// These services, each in a layer behind those of them that it hangs on.
pub fn layers(ties: &Ties, mut left: BTreeSet<String>) -> Vec<Vec<String>> {
    let mut layers = Vec::new();
    while !left.is_empty() {
        let waits = |name: &String| ties.get(name).is_some_and(|on| on.iter().any(|(other, _)| left.contains(other)));
        let (later, mut now): (BTreeSet<String>, BTreeSet<String>) = left.iter().cloned().partition(waits);
        left = later;
        if now.is_empty() {
            // A ring, which compose refuses.
            std::mem::swap(&mut now, &mut left);
        }
        layers.push(now.into_iter().collect());
    }
    layers
}

fn after(tie: Tie, happened: Again) -> Option<Again> {
    match (tie, happened) {
        (Tie::Asks, _) | (Tie::Namespace, Again::Started) => Some(Again::Started),
        (Tie::Namespace | Tie::Volumes, Again::Made) => Some(Again::Made),
        (Tie::Volumes, Again::Started) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{compose::config::ComposeConfig, model::testing};

    #[test]
    fn targets_are_tied_by_their_full_names() {
        let mut files = testing::service("web", "files");
        let TargetKind::Service(service) = &mut files.kind else { panic!("a service") };
        service.follows = BTreeSet::from(["web/db".into(), "run".into()]);
        service.shares = BTreeSet::from(["web/db".into()]);
        service.whole = serde_json::json!({"volumes_from": ["db:ro", "container:db"]});
        let project = testing::project([testing::target("run", "i"), testing::service("web", "db"), files]);
        let expected =
            [("web/db", Tie::Asks), ("run", Tie::Asks), ("web/db", Tie::Namespace), ("web/db", Tie::Volumes)];
        let mut ties = of_targets(&project);
        let found: BTreeSet<_> = ties.remove("web/files").expect("a service").into_iter().collect();
        assert_eq!(found, expected.map(|(name, tie)| (name.to_owned(), tie)).into());
        assert_eq!(ties, Ties::from([("web/db".to_owned(), Vec::new())]));
    }

    #[test]
    fn who_goes_on_and_how_and_after_whom() {
        let config = ComposeConfig::parse(
            br#"{"name": "p", "services": {
                "web": {},
                "asks": {"depends_on": {"web": {"condition": "service_started", "restart": true}}},
                "needs": {"depends_on": {"web": {"condition": "service_started"}}},
                "beside": {"network_mode": "service:web", "depends_on": {"web": {"restart": true}}},
                "inside": {"pid": "service:beside", "ipc": "host"},
                "files": {"volumes_from": ["web:ro", "container:web"]},
                "a-last": {"depends_on": {"inside": {"restart": true}, "asks": {"restart": true}}}}}"#,
        )
        .expect("a project");
        let ties = ties(&config.services);
        for (happened, expected) in [
            ("web:Started", "asks:Started beside:Started inside:Started a-last:Started"),
            ("web:Made", "asks:Started beside:Made files:Made inside:Made a-last:Started"),
            ("asks:Made", "a-last:Started"),
            ("web:Made beside:Made", "asks:Started files:Made inside:Made a-last:Started"),
            ("needs:Made", ""),
            ("", ""),
        ] {
            let read = |word: &str| {
                let (name, how) = word.split_once(':').expect("a name and how");
                (name.to_owned(), if how == "Made" { Again::Made } else { Again::Started })
            };
            let found = followers(&ties, &happened.split_whitespace().map(read).collect());
            let found: Vec<String> = found.iter().map(|(name, again)| format!("{name}:{again:?}")).collect();
            assert_eq!(found.join(" "), expected, "{happened}");
        }
        for (happened, expected) in
            [(Again::Started, "asks:Started beside:Started"), (Again::Made, "asks:Started beside:Made files:Made")]
        {
            let found: Vec<String> =
                next(&ties, "web", happened).map(|(name, again)| format!("{name}:{again:?}")).collect();
            assert_eq!(found.join(" "), expected, "{happened:?}");
        }
        let all = layers(&ties, config.services.keys().cloned().collect());
        let all: Vec<String> = all.iter().map(|layer| layer.join(" ")).collect();
        assert_eq!(all, ["needs web", "asks beside files", "inside", "a-last"]);
        let ring = Ties::from(
            ["a", "b"].map(|name| (name.to_owned(), vec![(if name == "a" { "b" } else { "a" }.to_owned(), Tie::Asks)])),
        );
        assert_eq!(layers(&ring, ring.keys().cloned().collect()), [["a", "b"]]);
    }
}
