use std::collections::BTreeMap;

use super::*;
use crate::{
    model::{
        Observed, TargetKind,
        labels::{DEPENDENCY, MANAGED, PID, PROJECT, ROLE, TARGET},
        observed::{ObservedImage, ObservedResource},
        service::ComposeProject,
        testing::{labels, project, service, service_container},
    },
    plan::{Backoff, Plan, Situation, plan},
};

/// One service `web/a` with so many containers, as they are after `change`.
fn planned(
    replicas: usize,
    there: usize,
    change: impl Fn(&mut Vec<ObservedContainer>, &mut ServiceTarget, &mut Observed, &mut Situation),
) -> Plan {
    let mut target = service("web", "a");
    let (mut observed, mut situation) = (Observed::default(), Situation::default());
    let image = ObservedImage { id: "sha256:i".into(), build_hash: None };
    observed.images = BTreeMap::from([("i".to_owned(), image)]);
    let TargetKind::Service(inner) = &mut target.kind else { panic!() };
    inner.replicas = replicas;
    let mut containers: Vec<_> = (1..=there).map(|number| service_container("web", inner, number)).collect();
    change(&mut containers, inner, &mut observed, &mut situation);
    observed.containers = containers;
    plan(&project([target]), &observed, &situation)
}

/// What is done, in a line: `replace: cause`.
fn said(plan: &Plan) -> String {
    let step = |change: &Change| {
        let step = serde_json::to_value(&change.step).unwrap_or_default();
        let ready = step["ready"].as_bool().map(|ready| if ready { " ready" } else { " not ready" });
        let build = (step["image"] == "build").then_some(" build");
        let extra = [ready, build].into_iter().flatten().collect::<String>();
        format!("{}{extra}: {}", step["action"].as_str().unwrap_or_default(), change.cause)
    };
    plan.changes.iter().map(step).collect::<Vec<_>>().join("; ")
}

#[test]
fn each_state_has_its_step() {
    type Change = fn(&mut Vec<ObservedContainer>, &mut ServiceTarget, &mut Observed, &mut Situation);
    let cases: &[(&str, usize, usize, Change, &str)] = &[
        ("as asked", 1, 1, |_, _, _, _| {}, "same ready: "),
        ("none", 1, 0, |_, _, _, _| {}, "create: there is none"),
        ("none asked for", 0, 0, |_, _, _, _| {}, "same ready: "),
        ("removed", 1, 0, |_, _, _, now| _ = now.made.insert("web/a".into()), "create: somebody removed it"),
        ("one of two", 2, 1, |_, _, _, _| {}, "create: 1 of 2 containers are there"),
        (
            "of another compose project",
            1,
            1,
            |found, _, _, now| {
                found[0].labels.0.insert(COMPOSE_PROJECT.into(), "before".into());
                now.made.insert("web/a".into());
            },
            "remove: compose project cp is asked for; create: there is none",
        ),
        (
            "of another compose project, beside the one asked for",
            1,
            2,
            |found, _, _, _| drop(found[0].labels.0.insert(COMPOSE_PROJECT.into(), "before".into())),
            "remove: compose project cp is asked for; same ready: ",
        ),
        (
            "of another compose project, and somebody else's",
            1,
            1,
            |found, _, _, now| {
                found[0].labels.0.insert(COMPOSE_PROJECT.into(), "before".into());
                now.owners.insert(found[0].id.clone(), Ownership::Living { pid: 7 });
            },
            "hold: another mcpmon, pid 7, keeps it running: end that one first",
        ),
        ("one too many", 1, 2, |_, _, _, _| {}, "remove: 1 containers are asked for; same ready: "),
        (
            "other spec",
            2,
            2,
            |found, _, _, _| drop(found[1].labels.0.insert("mcpmon.config-hash".into(), "other".into())),
            "replace: made from another configuration",
        ),
        (
            "other image",
            1,
            1,
            |found, _, _, _| found[0].image_id = "sha256:old".into(),
            "replace: i is another image now",
        ),
        (
            "no image, and it can be built",
            1,
            0,
            |_, service, observed, _| {
                service.builds = true;
                observed.images.clear();
            },
            "create build: there is none",
        ),
        (
            "asked to build",
            1,
            1,
            |_, service, _, now| {
                service.builds = true;
                now.refresh.insert("web/a".into());
            },
            "refresh_image build: asked for",
        ),
        ("crashed", 1, 1, |found, _, _, _| found[0].state = State::Exited(Some(3)), "start: it ended with exit code 3"),
        ("done", 1, 1, |found, _, _, _| found[0].state = State::Exited(Some(0)), "same ready: "),
        (
            "stopped from outside",
            1,
            1,
            |found, _, _, now| {
                found[0].state = State::Exited(Some(0));
                now.stopped.insert(found[0].id.clone());
            },
            "start: it ended with exit code 0",
        ),
        (
            "ended, and the engine should have started it",
            1,
            1,
            |found, service, _, _| {
                service.engine_restarts = true;
                found[0].state = State::Exited(Some(0));
            },
            "start: it ended with exit code 0",
        ),
        ("paused", 1, 1, |found, _, _, _| found[0].state = State::Paused, "unpause: somebody paused it"),
        (
            "off its network",
            1,
            1,
            |_, service, _, _| _ = service.networks.insert("n".into()),
            "replace: it was taken off network n",
        ),
        (
            "drift is only said",
            1,
            1,
            |found, _, _, now| {
                found[0].state = State::Paused;
                now.on_drift = OnDrift::Warn;
            },
            "hold: somebody paused it; left so (reconcile.on_drift = \"warn\")",
        ),
        (
            "stopped by somebody, and drift is only said",
            1,
            1,
            |found, _, _, now| {
                found[0].state = State::Exited(Some(137));
                now.stopped.insert(found[0].id.clone());
                now.on_drift = OnDrift::Warn;
            },
            "hold: somebody stopped it; left so (reconcile.on_drift = \"warn\")",
        ),
        (
            "a dead session's",
            1,
            1,
            |found, _, _, now| {
                now.owners.insert(
                    found[0].id.clone(),
                    Ownership::Dead { reason: "its owner is dead".into(), adoptable: false },
                );
            },
            "replace: its owner is dead",
        ),
        (
            "a dead session's of another image",
            1,
            1,
            |found, _, _, now| {
                found[0].image_id = "sha256:old".into();
                now.owners.insert(
                    found[0].id.clone(),
                    Ownership::Dead { reason: "its owner is dead".into(), adoptable: true },
                );
            },
            "replace: i is another image now; its owner is dead",
        ),
        (
            "a dead session's that is as asked",
            2,
            2,
            |found, _, _, now| {
                let dead = || Ownership::Dead { reason: "its owner is dead".into(), adoptable: true };
                now.owners.extend(found.iter().map(|container| (container.id.clone(), dead())));
            },
            "adopt: its owner is dead",
        ),
        (
            "a living session's",
            1,
            1,
            |found, _, _, now| drop(now.owners.insert(found[0].id.clone(), Ownership::Living { pid: 7 })),
            "hold: another mcpmon, pid 7, keeps it running: end that one first",
        ),
        (
            "a client's session keeps it for its server",
            1,
            1,
            |found, _, _, now| {
                found[0].labels.0.insert(ROLE.into(), DEPENDENCY.into());
                now.owners.insert(found[0].id.clone(), Ownership::Living { pid: 7 });
            },
            "same ready: ",
        ),
        ("starting", 1, 1, |found, _, _, _| found[0].health = Health::Starting, "same not ready: "),
        (
            "failed lately",
            1,
            0,
            |_, _, _, now| {
                now.backoff.insert("web/a".into(), Backoff { retry_ms: Some(5), reason: "it failed".into() });
            },
            "hold: it failed",
        ),
        (
            "its replacement failed",
            1,
            1,
            |found, _, _, now| {
                found[0].image_id = "sha256:old".into();
                now.rejected.insert("web/a".into(), "no".into());
            },
            "hold: its containers go on as they are, their replacement failed: no",
        ),
    ];
    for (name, replicas, there, change, expected) in cases {
        assert_eq!(said(&planned(*replicas, *there, change)), *expected, "{name}");
    }
}

#[test]
fn what_others_made_of_the_service_is_left_alone() {
    let made = |more: &'static [(&'static str, &'static str)], owner: Option<Ownership>| {
        planned(1, 0, |_, service, observed, now| {
            let mut stranger = service_container("web", service, 1);
            for key in [MANAGED, PROJECT, TARGET] {
                stranger.labels.0.remove(key);
            }
            stranger.labels.0.extend(labels(more.iter().copied()).0);
            now.owners.extend(owner.clone().map(|owner| (stranger.id.clone(), owner)));
            observed.strangers.push(stranger);
        })
    };
    let plain = said(&made(&[], None));
    assert!(plain.contains("hold") && plain.contains("`docker compose -p cp down`"), "{plain}");
    let theirs: &[_] = &[(MANAGED, "true"), (PROJECT, "other"), (PID, "7")];
    let other = said(&made(theirs, Some(Ownership::Living { pid: 7 })));
    assert!(other.contains("another mcpmon, pid 7"), "{other}");
    let dead = said(&made(theirs, Some(Ownership::Dead { reason: "its owner is dead".into(), adoptable: true })));
    assert!(dead.contains("mcpmon cleanup"), "{dead}");
    let one_off = said(&made(&[(COMPOSE_ONE_OFF, "True")], None));
    assert_eq!(one_off, "create: there is none", "what `compose run` made is no container of the service");
}

#[test]
fn dependencies_are_waited_for_all_containers_of_them() {
    let (mut a, db) = (service("web", "a"), service("web", "db"));
    let TargetKind::Service(inner) = &db.kind else { panic!() };
    let unmet = |condition: Condition, states: &[(State, Health)]| {
        let mut target = a.clone();
        target.depends_on.insert("web/db".into(), condition);
        let containers = states.iter().enumerate().map(|(number, (state, health))| {
            let mut container = service_container("web", inner, number + 1);
            (container.state, container.health) = (state.clone(), *health);
            container
        });
        let observed = Observed { containers: containers.collect(), ..Observed::default() };
        let mut db = db.clone();
        let TargetKind::Service(inner) = &mut db.kind else { panic!() };
        inner.replicas = states.len().max(1);
        let plan = plan(&project([target, db]), &observed, &Situation::default());
        let change = plan.changes.iter().find(|change| change.subject.name() == "web/a").expect("web/a").clone();
        change.waits.join(", ")
    };
    let (up, well) = ((State::Running, Health::None), (State::Running, Health::Healthy));
    let done = (State::Exited(Some(0)), Health::None);
    let failed = (State::Exited(Some(1)), Health::None);
    for (condition, states, expected) in [
        (Condition::Started, vec![up.clone(), up.clone()], ""),
        (Condition::Started, vec![], "web/db must run"),
        (Condition::Started, vec![up.clone(), failed.clone()], "web/db must run"),
        (Condition::Healthy, vec![well.clone(), well.clone()], ""),
        (Condition::Healthy, vec![well, (State::Running, Health::Starting)], "web/db must be healthy"),
        (Condition::Healthy, vec![up.clone()], "web/db must be healthy, and it has no health check"),
        (Condition::CompletedSuccessfully, vec![done], ""),
        (Condition::CompletedSuccessfully, vec![failed], "web/db must have ended with exit code 0"),
    ] {
        assert_eq!(unmet(condition, &states), expected, "{condition:?} {states:?}");
    }
    // One that has the other's network waits until that one was made anew.
    let TargetKind::Service(inner) = &mut a.kind else { panic!() };
    inner.shares.insert("web/db".into());
    let plan = plan(&project([a, db]), &Observed::default(), &Situation::default());
    let change = plan.changes.iter().find(|change| change.subject.name() == "web/a").expect("web/a");
    assert_eq!(change.waits, ["web/db is made first"]);
}

#[test]
fn a_renamed_targets_service_waits_until_the_old_ones_containers_are_gone() {
    let plan = planned(1, 1, |found, _, _, _| {
        found[0].labels.0.insert(TARGET.into(), "before/a".into());
    });
    assert_eq!(said(&plan), "create: there is none; remove: it left the file");
    assert_eq!(plan.changes[0].waits, ["container cp-a-1 of before/a must be removed"]);
}

#[test]
fn a_network_that_compose_did_not_make_goes_before_composes_own_comes() {
    let made = |label: Option<(&'static str, &'static str)>| {
        planned(1, 0, move |_, service, observed, _| {
            let networks = BTreeMap::from([("back".to_owned(), "p_back".to_owned())]);
            service.project = std::sync::Arc::new(ComposeProject { networks, ..(*service.project).clone() });
            let labels = labels([(MANAGED, "true"), (PROJECT, "p")].into_iter().chain(label));
            observed.networks.insert("p_back".into(), ObservedResource { labels });
        })
    };
    let composes = made(Some((COMPOSE_PROJECT, "cp")));
    assert_eq!((said(&composes).as_str(), composes.changes[0].waits.len()), ("create: there is none", 0));
    let another = made(None);
    assert_eq!(said(&another), "create: there is none; remove: it left the file");
    assert_eq!(another.changes[0].waits, ["network p_back, which compose did not make, must be removed"]);
}
