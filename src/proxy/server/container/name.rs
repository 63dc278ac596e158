//! Names of a session's containers. A `container_name` of the file is one for all: it is given to a container when it
//! starts, so that the next one can be made while the last one still runs.

use super::{Containers, Failed};
use crate::{
    engine::{Engine, EngineError, Images},
    model::{Project, Target},
    plan::{container_name, short},
    proxy::session::ServerId,
};

impl<E: Engine, I: Images> Containers<E, I> {
    /// `acme-api-1f2e3d4c-2`: nobody else's, whoever else runs the same target.
    pub(super) fn own_name(&self, project: &Project, target: &Target, server: ServerId) -> String {
        let session = self.owner.session.simple().to_string();
        format!("{}-{}-{}", container_name(project, target), &session[..8], server.0)
    }

    /// Gives a container the file's name for it. This session's earlier one, which has ended, gives it up; one whose
    /// session is dead is removed.
    pub(super) async fn claim(&self, id: &str, name: &str) -> Result<(), Failed> {
        let _alone = self.renaming.lock().await;
        if let Some((holder, labels)) = self.engine().find_by_name(name).await? {
            let freed = if holder == id {
                return Ok(());
            } else if labels.managed() && labels.session() == Some(self.owner.session) {
                self.engine().rename(&holder, &format!("{name}-{}", short(&holder))).await
            } else if labels.managed() && (self.is_dead)(&labels) {
                self.engine().remove(&holder).await
            } else {
                Ok(()) // the engine says who has it
            };
            match freed {
                Ok(()) | Err(EngineError::NotFound(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.engine().rename(id, name).await?)
    }
}
