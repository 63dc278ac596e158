//! A compose target becomes one target per service. Pure: what compose said in, targets out.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde_json::{Map, Value};

use super::{
    config::{ComposeConfig, Mount, Parts, Service},
    develop::watch_rules,
    followers::namespaces,
};
use crate::model::{
    Project, Target, TargetKind,
    fingerprint::config_hash,
    secret::{Secrets, looks_secret},
    service::{ComposeProject, ServiceTarget},
    settings::WatchRule,
    target::{Bind, Build, Condition},
};

/// What a container does not consist of: an edit of these alone leaves it as it is.
const NOT_OF_THE_CONTAINER: [&str; 6] = ["build", "depends_on", "develop", "profiles", "scale", "pull_policy"];
/// The same within `deploy`.
const NOT_OF_ITS_DEPLOY: [&str; 5] = ["replicas", "update_config", "rollback_config", "placement", "endpoint_mode"];
/// compose's own.
const GRACE: Duration = Duration::from_secs(10);

/// The name of a service's target.
pub fn service_name(target: &str, service: &str) -> String {
    format!("{target}/{service}")
}

/// A compose target's services. What it depends on, each of them depends on; dependencies on it are mapped by
/// [`link`] once all targets are there.
pub fn services(target: &Target, said: &ComposeConfig, project: &Arc<ComposeProject>) -> Vec<Target> {
    let makers = said.services.iter().map(|(name, service)| (name, whole(service)));
    makers.map(|(name, whole)| service(target, said, project, name, whole)).collect()
}

/// Compose writes a `$` as `$$`, for the case that its output is read again.
fn whole(service: &Service) -> (Value, Parts) {
    let mut value = service.value.clone();
    each_text(&mut value, &|text| text.replace("$$", "$"));
    let parts = serde_json::from_value(value.clone()).unwrap_or_else(|_| service.parts.clone());
    (value, parts)
}

fn service(
    target: &Target,
    said: &ComposeConfig,
    project: &Arc<ComposeProject>,
    name: &str,
    (value, parts): (Value, Parts),
) -> Target {
    let full = |service: &String| service_name(&target.name, service);
    let mut depends_on = target.depends_on.clone();
    let active = || parts.depends_on.iter().filter(|(service, _)| said.services.contains_key(*service));
    depends_on.extend(active().map(|(service, dependency)| (full(service), condition(&dependency.condition))));
    let build = parts.build.as_ref().and_then(|build| {
        let context = Path::new(&build.context);
        context.is_absolute().then(|| Build {
            context: context.to_owned(),
            dockerfile: build.dockerfile.as_ref().map(PathBuf::from),
            target: None,
            args: BTreeMap::new(),
        })
    });
    let binds: Vec<Bind> = parts.volumes.iter().filter_map(Mount::bind).collect();
    let networks = parts.networks.keys().filter_map(|network| said.networks.get(network));
    let spec = spec(&value, &parts, said);
    let hash = config_hash(&spec);
    let service = ServiceTarget {
        project: Arc::clone(project),
        service: name.to_owned(),
        hash,
        whole: said.services.get(name).map(|service| service.value.clone()).unwrap_or_default(),
        image: parts.image.clone().unwrap_or_else(|| format!("{}-{name}", project.name)),
        builds: parts.build.is_some(),
        always_build: parts.pull_policy.as_deref() == Some("build") && parts.build.is_some(),
        networks: networks.map(|network| network.name.clone()).collect(),
        replicas: usize::try_from(parts.replicas()).unwrap_or(usize::MAX),
        grace: parts.grace().unwrap_or(GRACE),
        engine_restarts: parts.restart.as_deref().is_some_and(|policy| matches!(policy, "always" | "unless-stopped")),
        follows: active().filter(|(_, dependency)| dependency.restart).map(|(service, _)| full(service)).collect(),
        shares: namespaces(&value).iter().map(full).collect(),
        secrets: secrets(&parts),
        spec,
        binds,
        build,
    };
    let mut watch = target.watch.clone();
    watch.rules.extend(watch_rules(&parts.develop.watch));
    Target {
        name: service_name(&target.name, name),
        kind: TargetKind::Service(Box::new(service)),
        depends_on,
        watch,
        update: target.update,
        mcp: target.mcp.clone(),
    }
}

fn condition(word: &str) -> Condition {
    match word {
        "service_healthy" => Condition::Healthy,
        "service_completed_successfully" => Condition::CompletedSuccessfully,
        _ => Condition::Started,
    }
}

/// What the containers consist of. Of the configs and secrets, their definitions: a content may stand there.
fn spec(value: &Value, parts: &Parts, said: &ComposeConfig) -> Value {
    let mut spec = value.as_object().cloned().unwrap_or_default();
    for key in NOT_OF_THE_CONTAINER {
        spec.remove(key);
    }
    if let Some(Value::Object(deploy)) = spec.get_mut("deploy") {
        for key in NOT_OF_ITS_DEPLOY {
            deploy.remove(key);
        }
        // Compose writes out what is empty once there is a number.
        deploy.retain(|_, value| value.as_object().is_none_or(|table| !table.is_empty()));
        if deploy.is_empty() {
            spec.remove("deploy");
        }
    }
    let definitions =
        [("config files", &parts.configs, &said.configs), ("secret files", &parts.secrets, &said.secrets)];
    for (key, used, defined) in definitions {
        let used: Map<String, Value> = used
            .iter()
            .filter_map(|reference| Some((reference.source.clone(), defined.get(&reference.source)?.clone())))
            .collect();
        if !used.is_empty() {
            spec.insert(key.to_owned(), Value::Object(used));
        }
    }
    // What was taken out has changed the order, and the hash is one of text.
    let mut spec = Value::Object(spec);
    spec.sort_all_objects();
    spec
}

fn secrets(parts: &Parts) -> Secrets {
    let values = parts.environment.iter().filter(|(key, _)| looks_secret(key)).filter_map(|(_, value)| value.clone());
    Secrets::new(values)
}

/// Maps dependencies on whole compose targets to their services, and parts the paths that are watched by name among
/// the services they concern.
pub fn link(project: &mut Project) {
    let all: Vec<(String, String, bool)> = project
        .targets
        .values()
        .filter_map(|target| match &target.kind {
            TargetKind::Service(service) => {
                let checked = service.whole.get("healthcheck").is_some_and(|check| check.get("test").is_some());
                Some((service.project.target.clone(), target.name.clone(), checked))
            }
            _ => None,
        })
        .collect();
    let one_shots: BTreeSet<String> = project
        .targets
        .values()
        .flat_map(|target| &target.depends_on)
        .filter(|(_, condition)| **condition == Condition::CompletedSuccessfully)
        .map(|(name, _)| name.clone())
        .collect();
    for target in project.targets.values_mut() {
        let whole: Vec<(String, Condition)> = target
            .depends_on
            .iter()
            .filter(|(name, _)| all.iter().any(|(of, ..)| of == *name))
            .map(|(name, condition)| (name.clone(), *condition))
            .collect();
        for (name, condition) in whole {
            target.depends_on.remove(&name);
            for (_, service, checked) in all.iter().filter(|(of, ..)| *of == name) {
                let condition = match condition {
                    _ if one_shots.contains(service) => Condition::CompletedSuccessfully,
                    // What has no health check can't say so.
                    Condition::Healthy if !checked => Condition::Started,
                    condition => condition,
                };
                target.depends_on.entry(service.clone()).or_insert(condition);
            }
        }
    }
    part_named_paths(project);
}

/// A network is either mcpmon's or compose's, and neither takes the other's. Where a compose project makes one that has the
/// name of mcpmon's own (both are called `<project>_<key>`), mcpmon's becomes `<project>.<key>`: no compose project has a
/// dot in its name. Gives the networks that the file itself gave such a name, and the compose target of each.
pub fn part_networks(project: &mut Project) -> Vec<(String, String)> {
    let mut composed: BTreeMap<String, String> = BTreeMap::new();
    for target in project.targets.values() {
        if let TargetKind::Service(service) = &target.kind {
            let networks = service.project.networks.values();
            composed.extend(networks.map(|name| (name.clone(), service.project.target.clone())));
        }
    }
    let mut named = Vec::new();
    for (name, target) in composed {
        if !project.networks.contains_key(&name) {
            continue;
        }
        let key = name.strip_prefix(&project.name).and_then(|rest| rest.strip_prefix('_'));
        let Some(own) = key.map(|key| format!("{}.{key}", project.name)) else {
            named.push((name, target));
            continue;
        };
        if let Some(spec) = project.networks.remove(&name) {
            project.networks.insert(own.clone(), spec);
        }
        for target in project.targets.values_mut() {
            if let TargetKind::Run(run) = &mut target.kind
                && let Some(attachment) = run.spec.networks.remove(&name)
            {
                run.spec.networks.insert(own.clone(), attachment);
            }
        }
    }
    named
}

/// A named path (`MCPMON_WATCH`) concerns the services that have something to do with it; where none has, all.
fn part_named_paths(project: &mut Project) {
    let touches = |service: &ServiceTarget, rules: &[WatchRule], path: &Path| {
        let of_build = service.build.iter().map(|build| build.context.as_path());
        let of_rules = rules.iter().map(|rule| rule.path.as_path());
        of_build
            .chain(service.binds.iter().map(|bind| bind.path.as_path()))
            .chain(of_rules)
            .any(|own| path.starts_with(own) || own.starts_with(path))
    };
    let mut concerned: BTreeMap<(String, PathBuf), BTreeSet<String>> = BTreeMap::new();
    for target in project.targets.values() {
        let TargetKind::Service(service) = &target.kind else { continue };
        for path in target.watch.paths.iter().filter(|path| touches(service, &target.watch.rules, path)) {
            let key = (service.project.target.clone(), path.clone());
            concerned.entry(key).or_default().insert(target.name.clone());
        }
    }
    for target in project.targets.values_mut() {
        let TargetKind::Service(service) = &target.kind else { continue };
        let of = &service.project.target;
        let name = &target.name;
        target
            .watch
            .paths
            .retain(|path| concerned.get(&(of.clone(), path.clone())).is_none_or(|services| services.contains(name)));
    }
}

/// Changes every text in a value.
fn each_text(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = change(text),
        Value::Array(list) => list.iter_mut().for_each(|value| each_text(value, change)),
        Value::Object(table) => table.values_mut().for_each(|value| each_text(value, change)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{settings::WatchAction, spec::NetworkAttachment, testing};

    fn expanded(text: &str) -> Project {
        let said = ComposeConfig::parse(text.as_bytes()).unwrap();
        let mut web = testing::target("web", "i");
        web.watch.paths = vec!["/c/src".into()];
        web.depends_on.insert("base".into(), Condition::Started);
        let project = Arc::new(ComposeProject { target: "web".into(), name: "p".into(), ..ComposeProject::default() });
        let mut others = vec![testing::target("base", "i"), testing::target("app", "i")];
        others[1].depends_on.insert("web".into(), Condition::Healthy);
        let mut all = testing::project(services(&web, &said, &project).into_iter().chain(others));
        link(&mut all);
        all
    }

    const PROJECT: &str = r#"{"name": "p", "services": {
        "api": {"build": {"context": "/c"}, "environment": {"A": "a$$b", "API_KEY": "hunter22"},
            "depends_on": {"db": {"condition": "service_healthy", "restart": true},
                           "job": {"condition": "service_completed_successfully"},
                           "off": {"condition": "service_started", "required": false}},
            "develop": {"watch": [{"path": "/c/lock", "action": "rebuild"}, {"path": "/c/s", "action": "sync+restart", "target": "/s", "exec": {"command": ["x", "y"]}}]},
            "volumes": [{"type": "bind", "source": "/data"}, {"type": "bind", "source": "/ro", "read_only": true}, {"type": "volume", "source": "v"}], "scale": 2},
        "db": {"image": "db", "healthcheck": {"test": ["CMD", "x"]}, "restart": "always"},
        "job": {"image": "job", "network_mode": "service:db"}}}"#;

    #[test]
    fn each_service_is_a_target() {
        let project = expanded(PROJECT);
        assert_eq!(project.targets.keys().collect::<Vec<_>>(), ["app", "base", "web/api", "web/db", "web/job"]);
        let api = &project.targets["web/api"];
        let TargetKind::Service(service) = &api.kind else { panic!("{api:?}") };
        assert_eq!((service.image.as_str(), service.replicas, service.builds), ("p-api", 2, true));
        let bind = |path: &str, read_only| Bind { path: path.into(), read_only };
        assert_eq!(service.binds, [bind("/data", false), bind("/ro", true)]);
        assert_eq!(service.spec["environment"]["A"], "a$b");
        assert_eq!(service.whole["environment"]["A"], "a$$b");
        assert!(service.secrets.are_in("x hunter22"));
        assert_eq!(service.follows, BTreeSet::from(["web/db".to_owned()]));
        let depends: Vec<_> = api.depends_on.iter().map(|(name, condition)| (name.as_str(), *condition)).collect();
        assert_eq!(
            depends,
            [
                ("base", Condition::Started),
                ("web/db", Condition::Healthy),
                ("web/job", Condition::CompletedSuccessfully)
            ]
        );
        let actions: Vec<_> = api.watch.rules.iter().map(|rule| rule.action).collect();
        assert_eq!(actions, [WatchAction::Rebuild, WatchAction::SyncRestart]);
        assert_eq!(api.watch.rules[1].exec.as_ref().map(|exec| exec.command.join(" ")).as_deref(), Some("x y"));
        let TargetKind::Service(db) = &project.targets["web/db"].kind else { panic!() };
        assert!(!db.may_be_done() && db.engine_restarts);
        let TargetKind::Service(job) = &project.targets["web/job"].kind else { panic!() };
        assert_eq!(job.shares, BTreeSet::from(["web/db".to_owned()]));
    }

    #[test]
    fn a_network_that_compose_makes_is_not_mcpmons() {
        let parted = |networks: &[(&str, &str)], name: &str| {
            let networks = networks.iter().map(|(key, name)| ((*key).to_owned(), (*name).to_owned())).collect();
            let mut web = testing::service("web", "a");
            let TargetKind::Service(service) = &mut web.kind else { panic!() };
            service.project = Arc::new(ComposeProject { networks, ..(*service.project).clone() });
            let mut all = testing::project([testing::target("app", "i"), web]);
            if name != "p_default" {
                all.networks = [(name.to_owned(), all.networks["p_default"].clone())].into();
                let app = all.targets.get_mut("app").unwrap();
                testing::run(app).spec.networks = [(name.to_owned(), NetworkAttachment::default())].into();
            }
            let named = part_networks(&mut all);
            let TargetKind::Run(run) = &all.targets["app"].kind else { panic!() };
            assert!(all.networks.keys().eq(run.spec.networks.keys()), "{:?}", all.networks);
            (all.networks.into_keys().next().unwrap(), named)
        };
        assert_eq!(parted(&[("default", "cp_default")], "p_default"), ("p_default".into(), vec![]));
        assert_eq!(parted(&[("default", "p_default")], "p_default"), ("p.default".into(), vec![]));
        assert_eq!(parted(&[("x", "p_back"), ("default", "p_default")], "p_back"), ("p.back".into(), vec![]));
        let named = vec![("theirs".to_owned(), "web".to_owned())];
        assert_eq!(parted(&[("x", "theirs")], "theirs"), ("theirs".into(), named));
    }

    #[test]
    fn what_an_env_file_sets_is_shown_as_a_fingerprint() {
        let mut target = testing::service("web", "a");
        let TargetKind::Service(service) = &mut target.kind else { panic!() };
        service.spec = serde_json::json!({"image": "i", "environment": {"PLAIN": "1", "PIN": "123", "MODE": "hidden"}});
        let env_file_keys = ["PIN", "MODE", "OTHER"].map(str::to_owned).into();
        service.project = Arc::new(ComposeProject { env_file_keys, ..(*service.project).clone() });
        let kept = crate::model::fingerprint::remember_service(service);
        assert!(!kept.contains("hidden") && !kept.contains("123\"") && !kept.contains("OTHER"), "{kept}");
        assert!(kept.contains("\"PLAIN\":\"1\"") && kept.contains("\"PIN\":\"*** ("), "{kept}");
    }

    #[test]
    fn a_dependency_on_a_compose_target_means_its_services() {
        let app = &expanded(PROJECT).targets["app"];
        let depends: Vec<_> = app.depends_on.iter().map(|(name, condition)| (name.as_str(), *condition)).collect();
        assert_eq!(
            depends,
            [
                ("web/api", Condition::Started),
                ("web/db", Condition::Healthy),
                ("web/job", Condition::CompletedSuccessfully)
            ]
        );
    }

    #[test]
    fn a_named_path_concerns_the_services_it_lies_in() {
        let project = expanded(PROJECT);
        assert_eq!(project.targets["web/api"].watch.paths, [PathBuf::from("/c/src")]);
        assert_eq!(project.targets["web/db"].watch.paths, Vec::<PathBuf>::new());
        let nowhere = expanded(r#"{"services": {"a": {"image": "i"}, "b": {"image": "i"}}}"#);
        assert!(["web/a", "web/b"].iter().all(|name| nowhere.targets[*name].watch.paths.len() == 1));
    }

    #[test]
    fn what_the_container_does_not_consist_of_is_not_in_its_hash() {
        let hash = |more: &str| {
            let project = expanded(&format!(r#"{{"services": {{"a": {{"image": "i"{more}}}}}}}"#));
            let TargetKind::Service(service) = &project.targets["web/a"].kind else { panic!() };
            service.hash.clone()
        };
        let plain = hash("");
        for same in [
            r#", "scale": 3"#,
            r#", "scale": 3, "deploy": {"replicas": 3, "resources": {}, "placement": {}}"#,
            r#", "develop": {"watch": []}"#,
            r#", "build": {"context": "/c"}"#,
            r#", "profiles": ["x"]"#,
            r#", "depends_on": {}"#,
        ] {
            assert_eq!(hash(same), plain, "{same}");
        }
        let more = r#", "environment": {"A": "1"}, "labels": {"a": "b"}"#;
        assert_eq!(hash(&format!(r#", "scale": 3{more}"#)), hash(more), "whatever stands behind it");
        for other in [r#", "environment": {"A": "1"}"#, r#", "labels": {"a": "b"}"#, r#", "networks": {"n": null}"#] {
            assert_ne!(hash(other), plain, "{other}");
        }
    }
}
