//! Labels that a container has by its image alone. Whoever commits one of mcpmon's containers and runs what came of it has
//! mcpmon's labels on a container that mcpmon never made: they are not its word, and such a container is not its own.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::try_join_all;

use super::{Docker, answers::Image, wire};
use crate::{
    engine::EngineResult,
    model::{
        ObservedContainer,
        labels::{HOST, Labels, MANAGED, PID, PID_START, SESSION, STARTED},
    },
};

/// What says who owns a container. Each session writes all of them anew.
const OWNERSHIP: [&str; 6] = [MANAGED, SESSION, PID, STARTED, HOST, PID_START];

/// Labels of images by their ids.
#[derive(Debug, Default)]
pub(super) struct ImageLabels(Mutex<HashMap<String, Arc<Labels>>>);

impl Docker {
    /// Leaves out the containers whose ownership labels are their images'. Each image is asked for once.
    pub(super) async fn without_inherited(
        &self,
        mut containers: Vec<ObservedContainer>,
    ) -> EngineResult<Vec<ObservedContainer>> {
        let managed =
            containers.iter().filter(|container| container.labels.managed() && !container.image_id.is_empty());
        let images: BTreeSet<String> = managed.map(|container| container.image_id.clone()).collect();
        let looked = images.into_iter().map(|image| async move { Ok((self.labels_of(&image).await?, image)) });
        let looked = try_join_all(looked).await?;
        let labels: HashMap<String, Arc<Labels>> = looked.into_iter().map(|(labels, image)| (image, labels)).collect();
        containers.retain(|container| {
            labels.get(&container.image_id).is_none_or(|image| !are_inherited(&container.labels, image))
        });
        Ok(containers)
    }

    /// Remembers the labels of an image that was looked at for another reason.
    pub(super) fn know_labels(&self, image: &Image) {
        let (id, labels) = image.labels();
        self.remember(id, Labels(labels));
    }

    async fn labels_of(&self, image: &str) -> EngineResult<Arc<Labels>> {
        let known = self.shared.image_labels.0.lock().unwrap_or_else(PoisonError::into_inner).get(image).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let path = format!("/images/{}/json", wire::encode(image));
        let found: Option<Image> = self.find(&format!("looking at image {image}"), &path).await?;
        // Gone: it can't be asked any more, and containers are judged by what they say.
        let labels = found.map(|found| found.labels().1).unwrap_or_default();
        Ok(self.remember(image.to_owned(), Labels(labels)))
    }

    fn remember(&self, image: String, labels: Labels) -> Arc<Labels> {
        let labels = Arc::new(labels);
        let mut known = self.shared.image_labels.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(image, Arc::clone(&labels));
        labels
    }
}

/// Whether a container says of its owner exactly what its image says, and nothing of its own.
fn are_inherited(container: &Labels, image: &Labels) -> bool {
    image.managed() && OWNERSHIP.iter().all(|key| container.get(key) == image.get(key))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::labels;

    #[test]
    fn what_a_session_wrote_itself_is_not_inherited() {
        let plain = labels([("team", "x")]);
        let committed = labels([(MANAGED, "true"), (SESSION, "old"), (PID, "1")]);
        let marked = labels([(MANAGED, "true")]);
        for (container, image, inherited) in [
            (labels([(MANAGED, "true")]), &plain, false),
            (labels([(MANAGED, "true"), (SESSION, "old"), (PID, "1")]), &plain, false),
            (labels([(MANAGED, "true"), (SESSION, "old"), (PID, "1")]), &committed, true),
            (labels([(MANAGED, "true"), (SESSION, "old"), (PID, "1"), ("mcpmon.project", "p")]), &committed, true),
            (labels([(MANAGED, "true"), (SESSION, "new"), (PID, "1")]), &committed, false),
            (labels([(MANAGED, "true"), (SESSION, "old"), (PID, "1"), (HOST, "m/b/n")]), &committed, false),
            (labels([(MANAGED, "true"), (PID, "1")]), &marked, false),
            (labels([(MANAGED, "true")]), &marked, true),
        ] {
            assert_eq!(are_inherited(&container, image), inherited, "{container:?} {image:?}");
        }
    }
}
