//! One look at the engine: everything that a plan needs, and whose it is. Reads only.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use futures_util::future::try_join_all;

use crate::{
    engine::{Engine, EngineResult},
    model::{
        Observed, ObservedContainer, Owner, Project, State, TargetKind,
        labels::{PROJECT, SESSION, STDIO, TARGET},
        service::{COMPOSE_PROJECT, COMPOSE_SERVICE},
        spec::MountSource,
    },
    orphan::{Known, Verdict},
    plan::{Ownership, container_name},
};

/// What the engine has of the project. With `names`, containers of strangers that hold a name the
/// project needs are looked up too: for a plan that is shown; the loop finds out when it acts.
pub async fn observe<E: Engine>(engine: &E, project: &Project, names: bool) -> EngineResult<Observed> {
    let references = images(project);
    let label = (PROJECT, project.name.as_str());
    let composed = compose_projects(project);
    let (containers, networks, volumes, images, of_compose) = tokio::try_join!(
        async { engine.list(&[(PROJECT, Some(&project.name))]).await },
        engine.networks(label),
        async { if project.volumes.is_empty() { Ok(BTreeMap::new()) } else { engine.volumes(label).await } },
        try_join_all(references.into_iter().map(|reference| async move {
            Ok(engine.image(reference).await?.map(|image| (reference.to_owned(), image)))
        })),
        try_join_all(
            composed.into_iter().map(|name| async move { engine.list(&[(COMPOSE_PROJECT, Some(name))]).await })
        ),
    )?;
    let is_stranger = |container: &ObservedContainer| container.labels.project() != Some(&project.name);
    let mut observed = Observed {
        containers,
        networks,
        volumes,
        images: images.into_iter().flatten().collect(),
        strangers: of_compose.into_iter().flatten().filter(is_stranger).collect(),
        ..Observed::default()
    };
    // What is asked for and does not carry the project's label may still be there: then it is somebody else's.
    let (networks, volumes) = resources(project);
    for name in networks.into_iter().filter(|name| project.networks.contains_key(*name)) {
        if !observed.networks.contains_key(name)
            && let Some(found) = engine.find_network(name).await?
        {
            observed.networks.insert(name.to_owned(), found);
        }
    }
    for name in volumes.into_iter().filter(|name| project.volumes.contains_key(*name)) {
        if !observed.volumes.contains_key(name)
            && let Some(found) = engine.find_volume(name).await?
        {
            observed.volumes.insert(name.to_owned(), found);
        }
    }
    if names {
        let missing = runs(project).filter(|(target, _)| {
            !observed.containers.iter().any(|container| container.labels.target() == Some(target))
        });
        let names = missing.filter_map(|(target, _)| Some(container_name(project, project.targets.get(target)?)));
        let found = try_join_all(names.map(|name| async move { Ok((engine.find_by_name(&name).await?, name)) }));
        for (holder, name) in found.await? {
            if let Some((id, labels)) = holder
                && (labels.project() != Some(&project.name) || labels.get(TARGET).is_none())
            {
                observed.foreign_names.insert(name, id);
            }
        }
    }
    Ok(observed)
}

fn runs(project: &Project) -> impl Iterator<Item = (&str, &str)> {
    project.targets.iter().filter_map(|(name, target)| match &target.kind {
        TargetKind::Run(run) => Some((name.as_str(), run.spec.image.as_str())),
        _ => None,
    })
}

/// The images that the project's targets need.
fn images(project: &Project) -> BTreeSet<&str> {
    let services = project.targets.values().filter_map(|target| match &target.kind {
        TargetKind::Service(service) => Some(service.image.as_str()),
        _ => None,
    });
    runs(project).map(|(_, image)| image).chain(services).collect()
}

/// The compose projects that the project's services are of.
fn compose_projects(project: &Project) -> BTreeSet<&str> {
    let services = project.targets.values().filter_map(|target| match &target.kind {
        TargetKind::Service(service) => Some(service.project.name.as_str()),
        _ => None,
    });
    services.collect()
}

/// Names of the networks and volumes that the project's targets use.
pub(super) fn resources(project: &Project) -> (BTreeSet<&str>, BTreeSet<&str>) {
    let (mut networks, mut volumes) = (BTreeSet::new(), BTreeSet::new());
    for target in project.targets.values() {
        if let TargetKind::Run(run) = &target.kind {
            networks.extend(run.spec.networks.keys().map(String::as_str));
            volumes.extend(run.spec.volumes.iter().filter_map(|mount| match &mount.source {
                MountSource::Volume(name) => Some(name.as_str()),
                _ => None,
            }));
        }
    }
    (networks, volumes)
}

/// Whose each container is, seen from this session; without a session (a plan that is only shown)
/// what a living session keeps counts as one's own, since that one carries the plan out.
pub fn owners(
    observed: &Observed,
    project: &Project,
    me: Option<&Owner>,
    known: &Known,
) -> BTreeMap<String, Ownership> {
    let ownership = |container: &ObservedContainer| {
        if me.is_some_and(|me| known.session(container) == Some(me.session)) {
            return Ownership::Mine;
        }
        let verdict = known.judge(container);
        if matches!(verdict, Verdict::Owned { .. } | Verdict::Orphan(_) | Verdict::Kept { .. })
            && container.labels.project() == Some(&project.name)
            && let Some(file) = known.other_file(Some(&container.id), &container.labels, &project.config_file)
        {
            return Ownership::OtherFile { file: file.to_owned() };
        }
        match verdict {
            Verdict::Owned { .. } if me.is_none() => Ownership::Mine,
            Verdict::Owned { pid } => Ownership::Living { pid },
            // `up` takes over what `up` made, a stdio session what such a one made for its server.
            Verdict::Orphan(reason) | Verdict::Kept { reason, .. } => Ownership::Dead {
                reason: reason.to_string(),
                adoptable: container.labels.role() == me.and_then(|me| me.role)
                    && container.labels.role() != Some(STDIO),
            },
            Verdict::Remote { place } => Ownership::Remote { host: place },
            // It carries the project's label but not mcpmon's mark: somebody else's, never touched.
            Verdict::NotManaged => {
                Ownership::Remote { host: "somebody else's behalf (it lacks mcpmon.managed)".into() }
            }
        }
    };
    let all = observed.containers.iter().chain(&observed.strangers);
    all.map(|container| (container.id.clone(), ownership(container))).collect()
}

/// Leaves out the servers of stdio sessions, unless their session is dead: they stand for no target, however many
/// clients have one, and end with their client. Networks that only they use are left out with them.
pub fn leave_out_stdio(observed: &mut Observed, project: &Project, known: &Known) {
    let is_left_out = |container: &mut ObservedContainer| {
        container.labels.role() == Some(STDIO) && !matches!(known.judge(container), Verdict::Orphan(_))
    };
    let left_out: Vec<ObservedContainer> = observed.containers.extract_if(.., is_left_out).collect();
    let used = |network: &String| left_out.iter().any(|container| container.networks.contains(network));
    observed.networks.retain(|name, _| project.networks.contains_key(name) || !used(name));
}

/// Leaves out what a living session keeps only for a while beside a target's running container (see
/// [`super::swap`]): for a plan that is only shown it is that session's own business.
pub fn leave_out_spares(observed: &mut Observed, known: &Known) {
    let is_running = |container: &ObservedContainer| container.state == State::Running;
    let key = |container: &ObservedContainer| {
        let label = |key: &str| container.labels.get(key).map(str::to_owned);
        (label(SESSION), label(TARGET))
    };
    let running: HashSet<_> = observed.containers.iter().filter(|container| is_running(container)).map(key).collect();
    observed.containers.retain(|container| {
        let lives = matches!(known.judge(container), Verdict::Owned { .. });
        // A service may have several containers; none of them is kept beside another.
        let of_service = container.labels.get(COMPOSE_SERVICE).is_some();
        is_running(container) || of_service || !lives || !running.contains(&key(container))
    });
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use super::*;
    use crate::{
        model::{
            labels::{HOST, MANAGED, PID, ROLE},
            testing::{self, labels, project, target},
        },
        orphan::{Claim, Claims, Ends, Processes},
        session,
    };

    struct Only(u32);

    impl Processes for Only {
        fn start_time(&self, pid: u32) -> Option<Option<u64>> {
            (pid == self.0).then_some(None)
        }
    }

    impl Claims for Only {
        fn claim(&self, _: &str) -> Option<Claim> {
            None
        }

        fn is_another(&self, _: &str, _: &Path) -> bool {
            false
        }
    }

    impl Ends for Only {
        fn left_to_user(&self, _: uuid::Uuid) -> bool {
            false
        }
    }

    #[test]
    fn a_stdio_sessions_server_stands_for_no_target_while_it_lives() {
        let here = session::new().host;
        let api = target("api", "i");
        let container = |name: &str, pid: &str, role: &str| {
            let mut container = testing::container(&api);
            container.id = name.to_owned();
            container.networks.insert(format!("of-{name}"));
            let more = labels([(MANAGED, "true"), (PID, pid), (ROLE, role), (HOST, &here.to_string())]);
            container.labels.0.extend(more.0);
            container
        };
        let mut observed = Observed {
            containers: vec![
                container("session", "7", "stdio"),
                container("orphan", "8", "stdio"),
                container("dependency", "7", "dependency"),
            ],
            networks: ["p_default", "of-session", "of-orphan"]
                .map(|name| (name.to_owned(), crate::model::observed::ObservedResource::default()))
                .into(),
            ..Observed::default()
        };
        let (claims, ends) = (Arc::new(Only(7)), Arc::new(Only(7)));
        let known = Known { here, processes: Arc::new(Only(7)), leases: Vec::new(), claims, ends };
        leave_out_stdio(&mut observed, &project([api.clone()]), &known);
        let left: Vec<&str> = observed.containers.iter().map(|container| container.id.as_str()).collect();
        assert_eq!(left, ["orphan", "dependency"]);
        assert_eq!(observed.networks.into_keys().collect::<Vec<_>>(), ["of-orphan", "p_default"]);
    }
}
