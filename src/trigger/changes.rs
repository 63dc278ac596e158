//! What the watcher hands to the trigger: changed paths, and the ignore files as they were at that moment.
//! It must not know how a change was noticed.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use super::Ignores;

/// What a changed path is now. Ignore files treat folders and files differently (`target/` means folders only).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// A file (or a link): written, made, or put in place by a rename.
    File,
    /// A folder that went away with everything in it. (A folder that appears is reported as its files.)
    Folder,
    /// It is gone, and nobody knows what it was.
    Gone,
}

/// Changes since the last look.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// Absolute paths under the watched roots, and input files, each once.
    pub paths: BTreeMap<PathBuf, Entry>,
    /// Events were lost: everything under the roots may have changed, inputs included.
    pub rescan: bool,
    /// Things a person should know (limits, unreadable folders); each is said once.
    pub warnings: Vec<String>,
    /// The ignore files in force.
    pub ignores: Arc<Ignores>,
}

impl Changes {
    /// Nothing to tell.
    pub fn is_empty(&self) -> bool {
        self.paths.is_empty() && !self.rescan && self.warnings.is_empty()
    }
}
