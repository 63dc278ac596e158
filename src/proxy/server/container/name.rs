//! Names of a session's containers. A `container_name` of the file is one for all: it is given to a container when it
//! starts, so that the next one can be made while the last one still runs.

use super::Containers;
use crate::{
    engine::{Engine, Images},
    model::{Project, Target},
    plan::container_name,
    proxy::session::ServerId,
};

impl<E: Engine, I: Images> Containers<E, I> {
    /// `acme-api-1f2e3d4c-2`: nobody else's, whoever else runs the same target.
    pub(super) fn own_name(&self, project: &Project, target: &Target, server: ServerId) -> String {
        let session = self.owner.session.simple().to_string();
        format!("{}-{}-{}", container_name(project, target), &session[..8], server.0)
    }
}
