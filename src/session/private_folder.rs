//! A folder of this process alone, removed when dropped.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// The folder.
#[derive(Debug)]
pub struct PrivateFolder {
    path: PathBuf,
}

impl PrivateFolder {
    /// Makes a folder in that one. Its name is new: nobody can have put anything in its place.
    ///
    /// # Errors
    /// It can't be made there.
    pub fn in_folder(parent: &Path) -> Result<Self> {
        let path = parent.join(format!("mcpmon-{}", uuid::Uuid::new_v4()));
        fs::DirBuilder::new().mode(0o700).create(&path).map_err(|error| {
            Error::failed(format!("a folder can't be made in {}", parent.display()))
                .caused_by(error)
                .hint("set TMPDIR to a folder that you can write to")
        })?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // What stays is a few bytes in a folder for such things.
        let _ = fs::remove_dir_all(&self.path);
    }
}
