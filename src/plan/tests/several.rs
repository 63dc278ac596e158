//! Several containers of a target, and several targets: which one counts, and who waits for whom.

use super::*;

#[test]
fn the_container_that_needs_least_stands_for_the_target_and_the_others_go() {
    let text = case(|_, observed, _| {
        let mut old = only(observed).clone();
        old.id = "id-old".into();
        old.state = State::Exited(Some(0));
        old.created = 9;
        observed.containers.push(old);
    });
    assert_eq!(text, "a: remove id-old: another container stands for the target");
}

#[test]
fn dependencies_hold_until_they_are_far_enough() {
    let cases: &[(Condition, State, Health, &str)] = &[
        (Condition::Started, State::Running, Health::None, ""),
        (Condition::Started, State::Paused, Health::None, " after [db must run]"),
        (Condition::Healthy, State::Running, Health::Healthy, ""),
        (Condition::Healthy, State::Running, Health::Starting, " after [db must be healthy]"),
        (Condition::Healthy, State::Running, Health::None, " after [db must be healthy, and it has no health check]"),
        (Condition::CompletedSuccessfully, State::Exited(Some(0)), Health::None, ""),
        (
            Condition::CompletedSuccessfully,
            State::Running,
            Health::None,
            " after [db must have ended with exit code 0]",
        ),
    ];
    for (condition, state, health, expected) in cases {
        let mut api = target("api", "i");
        api.depends_on.insert("db".into(), *condition);
        let desired = project([api, target("db", "i")]);
        let mut observed = settled(&desired);
        observed.containers.retain(|container| container.labels.target() == Some("db"));
        only(&mut observed).state = state.clone();
        only(&mut observed).health = *health;
        let plan = plan(&desired, &observed, &Situation::default());
        let order: Vec<&str> = plan.changes.iter().map(|change| change.subject.name()).collect();
        assert_eq!(order, ["p_default", "db", "api"]);
        assert_eq!(
            text(&Plan { changes: vec![plan.changes[2].clone()] }),
            format!("api: create{expected}: there is none")
        );
    }
}

#[test]
fn a_one_shot_that_ended_well_is_done_and_one_that_failed_is_tried_again() {
    for (code, expected) in [(0, ""), (3, "job: start id-job: it ended with exit code 3")] {
        let mut api = target("api", "i");
        api.depends_on.insert("job".into(), Condition::CompletedSuccessfully);
        let desired = project([api, target("job", "i")]);
        let mut observed = settled(&desired);
        let job = observed.containers.iter_mut().find(|c| c.id == "id-job").expect("job");
        job.state = State::Exited(Some(code));
        assert_eq!(text(&plan(&desired, &observed, &Situation::default())), expected);
    }
}

#[test]
fn naming_targets_means_them_and_what_they_depend_on() {
    let mut api = target("api", "i");
    api.depends_on.insert("db".into(), Condition::Started);
    let desired = project([api, target("db", "i"), target("web", "i")]);
    assert_eq!(scope(&desired, &[]), Ok(None));
    assert_eq!(scope(&desired, &["api".into()]), Ok(Some(BTreeSet::from(["api".into(), "db".into()]))));
    assert_eq!(scope(&desired, &["nope".into()]), Err("nope".into()));
    assert_eq!(meant(&desired, &["api".into()]), ["api", "db"]);
    assert_eq!(meant(&desired, &[]), ["api", "db", "web"]);
}

#[test]
fn a_network_that_compose_left_goes_before_mcpmons_own_comes() {
    let desired = project([target("a", "i")]);
    let mut observed = settled(&desired);
    observed.containers.clear();
    let left = observed.networks.get_mut("p_default").unwrap();
    left.labels.0.remove(crate::model::labels::CONFIG_HASH);
    left.labels.0.insert(crate::model::service::COMPOSE_PROJECT.into(), "cp".into());
    let first = |observed: &Observed| plan(&desired, observed, &Situation::default()).changes.remove(0);
    assert_eq!(first(&observed).step, Step::Remove { containers: Vec::new() });
    let mut last = container(&target("gone", "i"));
    last.networks.insert("p_default".into());
    observed.containers.push(last);
    assert_eq!(first(&observed).step, Step::Hold { retry_ms: None });
}
