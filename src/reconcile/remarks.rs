//! What is worth saying of targets before anything is made of them, by the engine that they go to. It holds nothing up.

use std::collections::BTreeSet;

use super::needs::missing_sources;
use crate::{
    engine::EngineInfo,
    model::{Project, TargetKind},
};

/// Of the targets that are meant (none: all).
pub fn remarks(project: &Project, engine: &EngineInfo, meant: Option<&BTreeSet<String>>) -> Vec<String> {
    let mut remarks = missing_sources(project, engine, meant);
    if !engine.speaks(1, 44) {
        remarks.extend(without_start_interval(project, engine, meant));
    }
    remarks
}

/// Health checks whose `start_interval` an engine of an older API never hears of.
fn without_start_interval<'a>(
    project: &'a Project,
    engine: &'a EngineInfo,
    meant: Option<&'a BTreeSet<String>>,
) -> impl Iterator<Item = String> {
    let targets = project.targets.values().filter(move |target| meant.is_none_or(|meant| meant.contains(&target.name)));
    targets.filter_map(move |target| {
        let TargetKind::Run(run) = &target.kind else { return None };
        run.spec.healthcheck.as_ref()?.start_interval?;
        Some(format!(
            "targets.{}.healthcheck.start_interval: this engine does not know it (API {}, it came with 1.44, Docker 25): \
             `interval` counts from the start",
            target.name, engine.api_version
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::{
        spec::Healthcheck,
        testing::{project, run, target},
    };

    #[test]
    fn a_start_interval_is_told_where_the_engine_does_not_know_it() {
        let mut api = target("api", "i");
        let check = |start_interval| Healthcheck {
            test: None,
            interval: None,
            timeout: None,
            retries: None,
            start_period: None,
            start_interval,
        };
        run(&mut api).spec.healthcheck = Some(check(Some(Duration::from_secs(1))));
        let mut db = target("db", "i");
        run(&mut db).spec.healthcheck = Some(check(None));
        let project = project([api, db]);
        let engine = |api: &str| EngineInfo {
            address: "unix:///x".to_owned(),
            version: String::new(),
            api_version: api.to_owned(),
        };
        let told = remarks(&project, &engine("1.41"), None);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(
            told[0].starts_with("targets.api.healthcheck.start_interval: ") && told[0].contains("1.41"),
            "{told:?}"
        );
        assert_eq!(remarks(&project, &engine("1.44"), None), Vec::<String>::new());
        let others = BTreeSet::from(["db".to_owned()]);
        assert_eq!(remarks(&project, &engine("1.41"), Some(&others)), Vec::<String>::new());
    }
}
