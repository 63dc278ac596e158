//! The decisions themselves, a target at a time.

use std::collections::BTreeSet;

use super::{Plan, Situation};
use crate::model::{Observed, Project};

/// Name of a target's container.
pub fn container_name(project: &Project, target: &str) -> String {
    format!("{}-{target}", project.name)
}
/// x
pub fn scope(_project: &Project, _targets: &[String]) -> Result<Option<BTreeSet<String>>, String> {
    Ok(None)
}
/// x
pub fn ownership_conflict(_plan: &Plan) {}
/// x
pub fn plan(_desired: &Project, _observed: &Observed, _situation: &Situation) -> Plan {
    Plan::default()
}
