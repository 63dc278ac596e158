//! The labels that go onto what is made, and the one thing read back from them that isn't a comparison. Pure.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use crate::model::{
    Labels, Owner, Project, RunTarget, ServiceTarget,
    fingerprint::{config_hash, remember, remember_service},
    labels::{BUILD_HASH, CONFIG, CONFIG_FILE, CONFIG_HASH, MANAGED, PREFIX, PROJECT, TARGET},
    target::Build,
};

/// Stop before kill, where nothing says otherwise.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// Labels of a target's container: the user's (never a `mcpmon.` key), then mcpmon's.
pub fn container(
    owner: &Owner,
    project: &Project,
    target: &str,
    run: &RunTarget,
    more: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut labels = users(run.spec.labels.iter().chain(more));
    labels.extend(owner.labels());
    labels.extend([
        (PROJECT.into(), project.name.clone()),
        (TARGET.into(), target.into()),
        (CONFIG_HASH.into(), config_hash(&run.spec)),
        (CONFIG.into(), remember(run)),
        (CONFIG_FILE.into(), project.config_file.display().to_string()),
    ]);
    labels
}

/// Labels of a service's containers: mcpmon's alone, compose puts the user's beside them.
pub fn service(
    owner: &Owner,
    project: &Project,
    target: &str,
    service: &ServiceTarget,
    more: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut labels = users(more.iter());
    labels.extend(owner.labels());
    labels.extend([
        (PROJECT.into(), project.name.clone()),
        (TARGET.into(), target.into()),
        (CONFIG_HASH.into(), service.hash.clone()),
        (CONFIG.into(), remember_service(service)),
        (CONFIG_FILE.into(), project.config_file.display().to_string()),
    ]);
    labels
}

/// Labels of a network that compose makes: it goes with the project. No session's: compose would take it for another one.
pub fn compose_network(project: &Project, target: &str) -> BTreeMap<String, String> {
    let labels = [(MANAGED, "true"), (PROJECT, project.name.as_str()), (TARGET, target)];
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Labels of a network.
pub fn network<T: Serialize>(
    owner: &Owner,
    project: &Project,
    spec: &T,
    labels: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut stamped = volume(project, spec, labels);
    stamped.extend(owner.labels());
    stamped
}

/// Labels of a volume. It outlives sessions, so no session owns it.
pub fn volume<T: Serialize>(
    project: &Project,
    spec: &T,
    labels: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut stamped = users(labels.iter());
    stamped.extend([
        (MANAGED.into(), "true".into()),
        (PROJECT.into(), project.name.clone()),
        (CONFIG_HASH.into(), config_hash(spec)),
        (CONFIG_FILE.into(), project.config_file.display().to_string()),
    ]);
    stamped
}

/// Labels of an image that mcpmon builds.
pub fn image(project: &Project, target: &str, build: Option<&Build>) -> BTreeMap<String, String> {
    let build = build.map(|build| (BUILD_HASH.to_owned(), config_hash(build)));
    let names = [(PROJECT.to_owned(), project.name.clone()), (TARGET.to_owned(), target.to_owned())];
    names.into_iter().chain(build).collect()
}

/// No container is waited for longer, whatever its labels say: anybody can set them.
const LONGEST_GRACE: Duration = Duration::from_mins(10);

/// How long a container may take to stop, by the spec it was made from.
pub fn grace(labels: &Labels) -> Duration {
    let spec = labels.get(CONFIG).and_then(|text| serde_json::from_str::<serde_json::Value>(text).ok());
    let text = spec.as_ref().and_then(|spec| spec["stop_grace_period"].as_str());
    text.and_then(|text| humantime::parse_duration(text).ok()).unwrap_or(DEFAULT_GRACE).min(LONGEST_GRACE)
}

fn users<'a>(labels: impl Iterator<Item = (&'a String, &'a String)>) -> BTreeMap<String, String> {
    labels.filter(|(key, _)| !key.starts_with(PREFIX)).map(|(key, value)| (key.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        model::{
            HostIdentity,
            testing::{self, project, run, target},
        },
        session,
    };

    #[test]
    fn a_users_label_never_takes_the_place_of_mcpmons() {
        let mut a = target("a", "i");
        run(&mut a).spec.labels = BTreeMap::from([("mcpmon.pid".into(), "1".into()), ("team".into(), "x".into())]);
        run(&mut a).spec.stop_grace_period = Duration::from_millis(2500);
        let inner = run(&mut a).clone();
        let owner = Owner {
            host: HostIdentity { machine: "m".into(), boot: "b".into(), pid_namespace: "n".into() },
            ..session::new()
        };
        let more = BTreeMap::from([("mcpmon.project".into(), "other".into()), ("more".into(), "y".into())]);
        let labels = container(&owner, &project([a]), "a", &inner, &more);
        assert_eq!(labels["mcpmon.pid"], owner.pid.to_string());
        assert_eq!(labels["mcpmon.project"], "p");
        assert_eq!((labels["team"].as_str(), labels["more"].as_str()), ("x", "y"));
        assert_eq!(labels["mcpmon.host"], "m/b/n");
        let labels = Labels(labels.into_iter().collect());
        assert_eq!(grace(&labels), Duration::from_millis(2500));
        assert_eq!(grace(&testing::labels([])), DEFAULT_GRACE);
        let forever = testing::labels([("mcpmon.config", "{\"stop_grace_period\":\"1000years\"}")]);
        assert_eq!(grace(&forever), LONGEST_GRACE);
    }
}
