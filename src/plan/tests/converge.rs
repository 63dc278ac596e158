//! One property: carrying a plan out, again and again, ends in an empty plan.

use proptest::prelude::*;

use super::*;

/// What the executor would do, done to the model.
fn carry_out(desired: &Project, observed: &mut Observed, change: &Change) {
    let fresh = |observed: &Observed, name: &str| {
        let mut container = container(&desired.targets[name]);
        container.id = format!("{}+{}", container.id, observed.containers.len());
        container.created = 100;
        container
    };
    let name = change.subject.name();
    match (&change.subject, &change.step) {
        (Subject::Network(name), Step::Make) => {
            observed.networks.insert(name.clone(), testing::network(&desired.networks[name]));
        }
        (Subject::Volume(name), Step::Make) => {
            let hash = crate::model::fingerprint::config_hash(&desired.volumes[name]);
            let mut volume = testing::network(&NetworkSpec::default());
            volume.labels.0.insert(CONFIG_HASH.into(), hash);
            observed.volumes.insert(name.clone(), volume);
        }
        (Subject::Network(name), Step::Remove { .. }) => {
            observed.networks.remove(name);
        }
        (_, Step::Create { .. }) => {
            let fresh = fresh(observed, name);
            observed.images.insert(fresh.image.clone(), image(&fresh.image_id));
            observed.containers.push(fresh);
        }
        (_, Step::Replace { container, .. }) => {
            let fresh = fresh(observed, name);
            observed.images.insert(fresh.image.clone(), image(&fresh.image_id));
            observed.containers.retain(|old| old.id != *container);
            observed.containers.push(fresh);
        }
        (_, Step::Start { container } | Step::Unpause { container }) => {
            let container = observed.containers.iter_mut().find(|found| found.id == *container).expect("container");
            container.state = State::Running;
        }
        (_, Step::Rename { container, name }) => {
            observed.containers.iter_mut().find(|found| found.id == *container).expect("container").name = name.clone();
        }
        (_, Step::Remove { containers }) => observed.containers.retain(|found| !containers.contains(&found.id)),
        other => panic!("not an action: {other:?}"),
    }
}

fn any_world() -> impl Strategy<Value = (Project, Observed)> {
    let state = prop_oneof![
        Just(State::Running),
        Just(State::Created),
        Just(State::Paused),
        Just(State::Exited(Some(1))),
        Just(State::Exited(Some(0))),
    ];
    let containers = proptest::collection::vec((0..6usize, state, any::<bool>(), any::<bool>(), 0..9i64), 0..12);
    (1..5usize, containers, any::<bool>(), any::<bool>()).prop_map(|(count, found, network, volume)| {
        let mut targets: Vec<Target> = (0..count).map(|number| target(&format!("t{number}"), "i")).collect();
        for (number, target) in targets.iter_mut().enumerate().skip(1) {
            target.depends_on.insert(format!("t{}", number - 1), Condition::Started);
        }
        if volume {
            run(&mut targets[0]).spec.volumes.push(Mount {
                source: MountSource::Volume("p_v".into()),
                target: "/v".into(),
                read_only: false,
                propagation: None,
                selinux: None,
                nocopy: false,
            });
        }
        let mut desired = project(targets);
        desired.volumes.insert("p_v".into(), VolumeSpec::default());
        let mut observed = Observed::default();
        if network {
            observed = Observed { networks: settled(&desired).networks, ..observed };
        }
        for (index, (number, state, stale, renamed, created)) in found.into_iter().enumerate() {
            let mut container = container(&target(&format!("t{number}"), "i"));
            container.id = format!("c{index}");
            container.state = state;
            container.created = created;
            if stale {
                container.labels.0.insert(CONFIG_HASH.into(), "stale".into());
            }
            if renamed {
                container.name = "somewhere".into();
            }
            observed.containers.push(container);
        }
        (desired, observed)
    })
}

proptest! {
    /// Whatever the engine has, a few passes make it what the file asks for; then nothing is left to do.
    #[test]
    fn passes_converge((desired, mut observed) in any_world()) {
        let situation = Situation::default();
        let mut passes = 0;
        loop {
            let plan = plan(&desired, &observed, &situation);
            let actions: Vec<Change> = plan.actions().filter(|change| change.waits.is_empty()).cloned().collect();
            if actions.is_empty() {
                prop_assert!(plan.is_empty(), "stuck: {}", text(&plan));
                break;
            }
            for action in &actions {
                carry_out(&desired, &mut observed, action);
            }
            passes += 1;
            prop_assert!(passes < 20, "does not end: {}", text(&plan));
        }
        prop_assert_eq!(observed.containers.len(), desired.targets.len());
    }

    /// The same input gives the same plan, whatever order the engine lists containers in.
    #[test]
    fn the_order_of_the_list_does_not_matter((desired, observed) in any_world()) {
        let mut reversed = observed.clone();
        reversed.containers.reverse();
        let plans = [&observed, &reversed].map(|observed| {
            let mut changes = plan(&desired, observed, &Situation::default()).changes;
            for change in &mut changes {
                if let Step::Remove { containers } = &mut change.step {
                    containers.sort();
                }
            }
            changes
        });
        prop_assert_eq!(&plans[0], &plans[1]);
    }
}
