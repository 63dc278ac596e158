//! The plan by table, and one property: carrying a plan out, again and again, ends in an empty plan.

use proptest::prelude::*;

use super::*;
use crate::model::{
    Health, Observed, ObservedContainer, Project, State, Target, TargetKind,
    labels::{CONFIG_HASH, DEPENDENCY, ROLE, TARGET},
    observed::ObservedImage,
    spec::{EnvironmentValue, Mount, MountSource},
    target::{Condition, NetworkSpec, PullPolicy, VolumeSpec},
    testing::{self, container, project, run, target},
};

/// Everything as asked: the network, the images, a running container a target.
fn settled(project: &Project) -> Observed {
    let mut observed = Observed {
        containers: project.targets.values().map(container).collect(),
        networks: project.networks.iter().map(|(name, spec)| (name.clone(), testing::network(spec))).collect(),
        ..Observed::default()
    };
    for target in project.targets.values() {
        if let TargetKind::Run(run) = &target.kind {
            observed.images.insert(run.spec.image.clone(), image(&format!("sha256:{}", run.spec.image)));
        }
    }
    observed
}

fn image(id: &str) -> ObservedImage {
    ObservedImage { id: id.into(), build_hash: None }
}

fn only(observed: &mut Observed) -> &mut ObservedContainer {
    &mut observed.containers[0]
}

/// One line a change, without those that are as asked.
fn text(plan: &Plan) -> String {
    let lines =
        plan.changes.iter().filter(|change| !matches!(change.step, Step::Same { ready: true, .. })).map(|change| {
            let step = match &change.step {
                Step::Same { .. } => "same, not ready".to_owned(),
                Step::Hold { retry_ms: None } => "hold".into(),
                Step::Hold { retry_ms: Some(retry) } => format!("hold {retry}"),
                Step::Make => "make".into(),
                Step::RefreshImage { image, .. } => format!("refresh {image:?}"),
                Step::Create { image: None } => "create".into(),
                Step::Create { image: Some(image) } => format!("{image:?}, create"),
                Step::Start { container } => format!("start {container}"),
                Step::Replace { container, image: None, .. } => format!("replace {container}"),
                Step::Replace { container, image: Some(image), .. } => format!("{image:?}, replace {container}"),
                Step::Adopt { container } => format!("adopt {container}"),
                Step::Unpause { container } => format!("unpause {container}"),
                Step::Rename { container, name } => format!("rename {container} to {name}"),
                Step::Remove { containers } => format!("remove {}", containers.join(" ")),
            };
            let waits =
                if change.waits.is_empty() { String::new() } else { format!(" after [{}]", change.waits.join("; ")) };
            format!("{}: {step}{waits}: {}", change.subject.name(), change.cause)
        });
    lines.collect::<Vec<_>>().join("\n")
}

/// A case: the world as settled for target `a` of image `i`, then changed.
fn case(prepare: impl FnOnce(&mut Project, &mut Observed, &mut Situation)) -> String {
    let mut desired = project([target("a", "i")]);
    let mut observed = settled(&desired);
    let mut situation = Situation::default();
    prepare(&mut desired, &mut observed, &mut situation);
    text(&plan(&desired, &observed, &situation))
}

type Prepare = fn(&mut Project, &mut Observed, &mut Situation);

fn a(project: &mut Project) -> &mut Target {
    project.targets.get_mut("a").expect("target a")
}

#[test]
fn one_target() {
    let cases: &[(&str, Prepare, &str)] = &[
        ("as asked", |_, _, _| {}, ""),
        (
            "nothing there",
            |_, o, _| *o = Observed::default(),
            "p_default: make: a uses it\na: Pull, create after [p_default must be there]: there is none",
        ),
        ("gone, never made here", |_, o, _| o.containers.clear(), "a: create: there is none"),
        (
            "removed from outside",
            |_, o, s| {
                o.containers.clear();
                s.made.insert("a".into());
            },
            "a: create: somebody removed it",
        ),
        (
            "removed, drift only warns",
            |_, o, s| {
                o.containers.clear();
                s.made.insert("a".into());
                s.on_drift = OnDrift::Warn;
            },
            "a: hold: somebody removed it; left so (reconcile.on_drift = \"warn\")",
        ),
        (
            "removed, drift ignored",
            |_, o, s| {
                o.containers.clear();
                s.made.insert("a".into());
                s.on_drift = OnDrift::Ignore;
            },
            "a: same, not ready: somebody removed it",
        ),
        ("killed", |_, o, _| only(o).state = State::Exited(Some(137)), "a: start id-a: it ended with exit code 137"),
        ("ended, code unknown", |_, o, _| only(o).state = State::Exited(None), "a: start id-a: it ended"),
        ("made, not started", |_, o, _| only(o).state = State::Created, "a: start id-a: it was made but not started"),
        ("paused", |_, o, _| only(o).state = State::Paused, "a: unpause id-a: somebody paused it"),
        ("renamed", |_, o, _| only(o).name = "other".into(), "a: rename id-a to p-a: somebody renamed it to other"),
        ("off its network", |_, o, _| only(o).networks.clear(), "a: replace id-a: it was taken off network p_default"),
        (
            "restarting",
            |_, o, _| only(o).state = State::Restarting,
            "a: hold: the engine's own restart policy is at work on it",
        ),
        ("removing", |_, o, _| only(o).state = State::Removing, "a: hold 100: it is being removed"),
        (
            "unknown state",
            |_, o, _| only(o).state = State::Other("stopped".into()),
            "a: hold: its state is \"stopped\", which this version of mcpmon does not know",
        ),
        ("starting", |_, o, _| only(o).health = Health::Starting, "a: same, not ready: "),
        ("unhealthy", |_, o, _| only(o).health = Health::Unhealthy, "a: same, not ready: "),
        ("healthy", |_, o, _| only(o).health = Health::Healthy, ""),
        ("other spec", |p, _, _| run(a(p)).spec.init = false, "a: replace id-a: the file asks for something else"),
        (
            "other hash, no memory",
            |_, o, _| {
                only(o).labels = testing::labels([
                    ("mcpmon.managed", "true"),
                    ("mcpmon.project", "p"),
                    (TARGET, "a"),
                    (CONFIG_HASH, "x"),
                ]);
            },
            "a: replace id-a: made from another configuration",
        ),
        (
            "other image id",
            |_, o, _| {
                o.images.insert("i".into(), image("sha256:new"));
            },
            "a: replace id-a: i is another image now",
        ),
        ("image gone, container runs", |_, o, _| o.images.clear(), ""),
        (
            "image missing, build",
            |p, o, _| {
                o.containers.clear();
                o.images.clear();
                run(a(p)).build = Some(build());
            },
            "a: Build, create: there is none",
        ),
        (
            "image missing, never pull",
            |p, o, _| {
                o.containers.clear();
                o.images.clear();
                run(a(p)).pull_policy = PullPolicy::Never;
            },
            "a: hold: image i is not here, and pull_policy is \"never\": fetch it, or set pull_policy = \"missing\"",
        ),
        (
            "refresh",
            |_, _, s| {
                s.refresh.insert("a".into());
            },
            "a: refresh Pull: asked for",
        ),
        (
            "refresh, build, none there",
            |p, o, s| {
                o.containers.clear();
                run(a(p)).build = Some(build());
                s.refresh.insert("a".into());
            },
            "a: Build, create: there is none",
        ),
        (
            "replacement rejected, the old one runs",
            |p, _, s| {
                run(a(p)).spec.init = false;
                s.rejected.insert("a".into(), "it ended".into());
            },
            "a: hold: the container goes on as it is, its replacement failed: it ended",
        ),
        (
            "replacement rejected, the old one ended",
            |p, o, s| {
                run(a(p)).spec.init = false;
                only(o).state = State::Exited(Some(1));
                s.rejected.insert("a".into(), "it ended".into());
            },
            "a: start id-a: it ended, and its replacement failed: it ended",
        ),
        (
            "replacement rejected, the old one ended and its network is gone",
            |p, o, s| {
                run(a(p)).spec.init = false;
                only(o).state = State::Exited(Some(1));
                o.networks.clear();
                s.rejected.insert("a".into(), "it ended".into());
            },
            "p_default: make: a uses it\na: replace id-a after [p_default must be there]: the file asks for something else",
        ),
        (
            "replacement by another image rejected, the old one ended",
            |_, o, s| {
                o.images.insert("i".into(), image("sha256:new"));
                only(o).state = State::Exited(Some(137));
                s.rejected.insert("a".into(), "it ended".into());
            },
            "a: start id-a: it ended, and its replacement failed: it ended",
        ),
        (
            "its build changed",
            |p, o, _| {
                run(a(p)).build = Some(build());
                o.images.insert("i".into(), ObservedImage { build_hash: Some("old".into()), ..image("sha256:i") });
            },
            "a: refresh Build: its build changed in the file",
        ),
        (
            "its build failed, and it was killed",
            |p, o, s| {
                run(a(p)).build = Some(build());
                s.refresh.insert("a".into());
                s.rejected.insert("a".into(), "build failed".into());
                only(o).state = State::Exited(Some(137));
            },
            "a: start id-a: it ended with exit code 137",
        ),
        ("built by somebody else", |p, _, _| run(a(p)).build = Some(build()), ""),
        (
            "busy",
            |_, o, s| {
                o.containers.clear();
                s.busy.insert("a".into());
            },
            "",
        ),
        (
            "backing off",
            |_, o, s| {
                only(o).state = State::Exited(Some(1));
                s.backoff.insert("a".into(), Backoff { retry_ms: Some(500), reason: "crashed".into() });
            },
            "a: hold 500: crashed",
        ),
        (
            "backed off",
            |_, o, s| {
                only(o).state = State::Exited(Some(1));
                s.backoff.insert("a".into(), Backoff { retry_ms: Some(0), reason: "crashed".into() });
            },
            "a: start id-a: it ended with exit code 1",
        ),
        (
            "running while backing off",
            |_, _, s| {
                s.backoff.insert("a".into(), Backoff { retry_ms: Some(500), reason: "crashed".into() });
            },
            "",
        ),
        (
            "name taken",
            |_, o, _| {
                o.containers.clear();
                o.foreign_names.insert("p-a".into(), "0123456789abcdef".into());
            },
            "a: hold: the name p-a is taken by container 0123456789ab, which is not this project's: remove or rename that one, or set another container_name",
        ),
        (
            "another mcpmon's",
            |_, _, s| {
                s.owners.insert("id-a".into(), Ownership::Living { pid: 7 });
            },
            "a: hold: another mcpmon, pid 7, keeps it running: end that one first",
        ),
        (
            "a client's session keeps it for its server",
            |_, o, s| {
                only(o).labels.0.insert(ROLE.into(), DEPENDENCY.into());
                s.owners.insert("id-a".into(), Ownership::Living { pid: 7 });
            },
            "",
        ),
        (
            "the same, unhealthy",
            |_, o, s| {
                only(o).labels.0.insert(ROLE.into(), DEPENDENCY.into());
                only(o).health = Health::Unhealthy;
                s.owners.insert("id-a".into(), Ownership::Living { pid: 7 });
            },
            "a: same, not ready: ",
        ),
        (
            "the same, not as asked",
            |_, o, s| {
                only(o).labels.0.extend([(ROLE.into(), DEPENDENCY.into()), (CONFIG_HASH.into(), "other".into())]);
                s.owners.insert("id-a".into(), Ownership::Living { pid: 7 });
            },
            "a: hold: another mcpmon, pid 7, keeps it running: end that one first",
        ),
        (
            "owner dead",
            |_, _, s| {
                s.owners.insert("id-a".into(), Ownership::Dead { reason: "dead".into(), adoptable: true });
            },
            "a: adopt id-a: dead",
        ),
        (
            "owner dead, another configuration",
            |_, o, s| {
                o.containers[0].labels.0.insert(crate::model::labels::CONFIG_HASH.into(), "other".into());
                s.owners.insert("id-a".into(), Ownership::Dead { reason: "dead".into(), adoptable: true });
            },
            "a: replace id-a: dead",
        ),
        (
            "owner dead, another image",
            |_, o, s| {
                o.containers[0].image_id = "sha256:other".into();
                s.owners.insert("id-a".into(), Ownership::Dead { reason: "dead".into(), adoptable: true });
            },
            "a: replace id-a: dead",
        ),
        (
            "owner dead, made for something else",
            |_, _, s| {
                s.owners.insert("id-a".into(), Ownership::Dead { reason: "dead".into(), adoptable: false });
            },
            "a: replace id-a: dead",
        ),
        (
            "another file's",
            |_, _, s| {
                s.owners.insert("id-a".into(), Ownership::OtherFile { file: "/b/mcpmon.toml".into() });
            },
            "a: hold: it was made from /b/mcpmon.toml, which has this project's name too: give one of the two another `name`, or `mcpmon --config /b/mcpmon.toml down`",
        ),
        (
            "left the file, another file's",
            |p, _, s| {
                p.targets.clear();
                s.owners.insert("id-a".into(), Ownership::OtherFile { file: "/b/mcpmon.toml".into() });
            },
            "a: hold: it was made from /b/mcpmon.toml, which has this project's name too: give one of the two another `name`, or `mcpmon --config /b/mcpmon.toml down`",
        ),
        (
            "owner elsewhere",
            |_, _, s| {
                s.owners.insert("id-a".into(), Ownership::Remote { host: "h".into() });
            },
            "a: hold: container id-a belongs to a session on h: end it there, or remove the container",
        ),
        ("left the file", |p, _, _| p.targets.clear(), "a: remove id-a: it left the file"),
        (
            "left the file, prune off",
            |p, _, s| {
                p.targets.clear();
                s.prune = false;
            },
            "a: hold: it left the file, and reconcile.prune is off: `mcpmon up --remove-orphans` removes it",
        ),
        (
            "left the file, another's",
            |p, _, s| {
                p.targets.clear();
                s.owners.insert("id-a".into(), Ownership::Living { pid: 7 });
            },
            "a: hold: another mcpmon, pid 7, keeps it running",
        ),
        (
            "left the file, not in scope",
            |p, _, s| {
                p.targets.clear();
                s.scope = Some(BTreeSet::new());
            },
            "",
        ),
        (
            "not in scope",
            |_, o, s| {
                o.containers.clear();
                s.scope = Some(BTreeSet::new());
            },
            "",
        ),
        (
            "network left the file",
            |p, o, _| {
                p.targets.clear();
                p.networks.clear();
                o.containers.clear();
            },
            "p_default: remove : it left the file",
        ),
        (
            "network differs",
            |p, _, _| {
                p.networks.insert("p_default".into(), NetworkSpec { internal: true, ..NetworkSpec::default() });
            },
            "p_default: hold: the network differs from the file and can't be changed in place: `mcpmon down`, then `mcpmon up`",
        ),
        (
            "network is another's",
            |_, o, _| {
                o.networks.get_mut("p_default").expect("network").labels = Labels::default();
            },
            "p_default: hold: a network of that name is there and is not this project's: set `external = true` to use it, or another `name`",
        ),
    ];
    for (name, prepare, expected) in cases {
        assert_eq!(case(prepare), *expected, "case: {name}");
    }
}

use crate::model::Labels;

fn build() -> crate::model::target::Build {
    crate::model::target::Build { context: "/p".into(), dockerfile: None, target: None, args: BTreeMap::new() }
}

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
fn fields_that_differ_are_named_and_secrets_are_not_shown() {
    let mut desired = project([target("a", "i")]);
    run(a(&mut desired))
        .spec
        .environment
        .insert("TOKEN".into(), EnvironmentValue { value: "hunter2".into(), secret: true });
    let observed = settled(&desired);
    let spec = &mut run(a(&mut desired)).spec;
    spec.environment.insert("TOKEN".into(), EnvironmentValue { value: "hunter3".into(), secret: true });
    spec.environment.insert("LEVEL".into(), EnvironmentValue { value: "debug".into(), secret: false });
    spec.init = false;
    let plan = plan(&desired, &observed, &Situation::default());
    let Step::Replace { fields, .. } = &plan.changes[1].step else { panic!("{plan:?}") };
    let names: Vec<&str> = fields.iter().map(|field| field.field.as_str()).collect();
    assert_eq!(names, ["environment.LEVEL", "environment.TOKEN", "init"]);
    assert_eq!((fields[2].old.as_deref(), fields[2].new.as_deref()), (Some("true"), Some("false")));
    assert!(!serde_json::to_string(&plan).expect("json").contains("hunter"), "{plan:?}");
    assert!(!format!("{:?}", observed.containers).contains("hunter"), "no secret in a label");
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

#[test]
fn a_changed_build_is_told_field_by_field() {
    let built = |args: &[(&str, &str)]| {
        let mut a = target("a", "i");
        let args = args.iter().map(|(key, value)| ((*key).to_owned(), Some((*value).to_owned()))).collect();
        run(&mut a).build = Some(crate::model::target::Build { args, ..build() });
        a
    };
    let (old, new) = (built(&[("A", "1"), ("TOKEN", "s3cret1")]), built(&[("A", "2"), ("TOKEN", "s3cret2")]));
    let desired = project([new]);
    let mut observed = settled(&project([old]));
    let fields = |observed: &Observed| {
        let plan = plan(&desired, observed, &Situation::default());
        let fields = plan.changes.iter().find_map(|change| match &change.step {
            Step::RefreshImage { fields, .. } | Step::Replace { fields, .. } => Some(fields.clone()),
            _ => None,
        });
        fields.map(|fields| {
            let text = |value: &Option<String>| value.clone().unwrap_or_default();
            let fields = fields.iter().map(|one| format!("{} {} {}", one.field, text(&one.old), text(&one.new)));
            fields.collect::<Vec<_>>()
        })
    };
    observed.images.insert("i".into(), ObservedImage { build_hash: Some("old".into()), ..image("sha256:i") });
    let told = fields(&observed).unwrap();
    assert_eq!(told[0], "build.args.A 1 2");
    assert!(
        told.len() == 2 && told[1].starts_with("build.args.TOKEN *** (") && !told[1].contains("s3cret"),
        "{told:?}"
    );
    // Built since, with the same image: nothing of the build is left to do.
    let TargetKind::Run(now) = &desired.targets["a"].kind else { unreachable!("a run target") };
    let hash = now.build.as_ref().map(crate::model::fingerprint::config_hash);
    observed.images.insert("i".into(), ObservedImage { build_hash: hash, ..image("sha256:j") });
    assert_eq!(fields(&observed), Some(vec!["image id i j".to_owned()]));
}

#[test]
fn the_fields_that_differ_are_named_in_short() {
    let named = |names: &[&str]| {
        let fields = names.iter().map(|name| FieldChange { field: (*name).into(), old: None, new: None }).collect();
        let step = Step::Replace { container: "c".into(), image: None, fields };
        let subject = Subject::Target("a".into());
        Change { subject, step, cause: "the cause".into(), waits: Vec::new() }.cause_in_short()
    };
    assert_eq!(named(&[]), "the cause");
    assert_eq!(named(&["image id"]), "the cause");
    assert_eq!(named(&["a", "b"]), "the cause: a, b");
    assert_eq!(named(&["a", "b", "c", "d", "e"]), "the cause: a, b, c, d, e");
    assert_eq!(named(&["a", "b", "c", "d", "e", "f", "g"]), "the cause: a, b, c, d, e and 2 more");
}
