//! The plan: a world as it was asked for, then changed, and what is planned then.

mod converge;
mod fields;
mod one_target;
mod several;

use super::*;
use crate::model::{
    Health, Labels, Observed, ObservedContainer, Project, State, Target, TargetKind,
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

fn build() -> crate::model::target::Build {
    crate::model::target::Build { context: "/p".into(), dockerfile: None, target: None, args: BTreeMap::new() }
}
