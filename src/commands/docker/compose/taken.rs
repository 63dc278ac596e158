//! Services that somebody else has made anew without mcpmon's labels: to a plain `docker compose up` what mcpmon's line
//! has made is not as the files say. They are not mcpmon's from then on.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::project::{PROJECT, Project, SERVICE, is_one_off};
use crate::{
    engine::{Engine, EngineEvent},
    model::ObservedContainer,
};

/// Those that were taken.
#[derive(Debug, Clone, Default)]
pub(super) struct Taken {
    services: BTreeSet<String>,
}

impl Taken {
    /// Takes an event of one of this session's containers; gives a line about a service that it tells the end of.
    pub(super) async fn event(&mut self, project: &Project, event: &EngineEvent) -> Option<String> {
        let name = event.attributes.get(SERVICE)?;
        if event.action == "start" {
            self.services.remove(name);
        }
        if event.action != "destroy" {
            return None;
        }
        // The new one is there before the old one goes.
        self.look(project, name).await
    }

    /// Looks at a service that this session had; gives a line when it is news that it was taken. What the engine does not
    /// tell has not happened.
    pub(super) async fn look(&mut self, project: &Project, name: &str) -> Option<String> {
        let service = [(PROJECT, Some(project.meant.name.as_str())), (SERVICE, Some(name))];
        let containers = project.engine.list(&service).await.ok()?;
        let is_news = is_taken(&containers, project.owner.session) && self.services.insert(name.to_owned());
        is_news.then(|| {
            format!(
                "{name} is no longer mcpmon's: its container was made anew without mcpmon (by `docker compose up`?); a saved \
                 file does nothing for it until the next `mcpmon docker compose up`"
            )
        })
    }

    /// Whether a service is one of them.
    pub(super) fn contains(&self, name: &str) -> bool {
        self.services.contains(name)
    }
}

/// Whether of a service's containers none is this session's, but there are others.
fn is_taken(containers: &[ObservedContainer], session: Uuid) -> bool {
    let mut kept = containers.iter().filter(|container| !is_one_off(container)).peekable();
    kept.peek().is_some() && kept.all(|container| container.labels.session() != Some(session))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        labels::SESSION,
        testing::{container, labels, target},
    };

    #[test]
    fn a_service_is_taken_when_there_is_one_and_none_is_of_this_session() {
        let (own, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let one = |session: Option<Uuid>, is_one_off: bool| {
            let (session, once) = (session.map(|id| id.to_string()), is_one_off.then_some("True"));
            let session = session.as_deref().map(|id| (SESSION, id));
            let once = once.map(|once| ("com.docker.compose.oneoff", once));
            ObservedContainer {
                labels: labels(session.into_iter().chain(once)),
                ..container(&target("web", "mcpmon-test-server"))
            }
        };
        for (containers, expected) in [
            (vec![], false),
            (vec![one(None, false)], true),
            (vec![one(Some(other), false)], true),
            (vec![one(Some(own), false)], false),
            (vec![one(None, false), one(Some(own), false)], false),
            (vec![one(None, true)], false),
            (vec![one(Some(own), true), one(None, false)], true),
        ] {
            assert_eq!(is_taken(&containers, own), expected, "{containers:?}");
        }
    }
}
