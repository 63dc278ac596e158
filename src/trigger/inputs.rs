//! Whether a file's content is other than it was: a touch, a double write or a save without an edit is no change.
//! Pure over bytes; who reads them is not its business.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// What single files contained when last seen, as digests.
#[derive(Debug, Clone, Default)]
pub struct Inputs {
    known: BTreeMap<PathBuf, Option<[u8; 32]>>,
}

impl Inputs {
    /// Takes what a file contains now (none = it is missing); says whether that is news. A file never seen before is
    /// news when it is there.
    #[must_use]
    pub fn changed(&mut self, path: &Path, content: Option<&[u8]>) -> bool {
        let digest = content.map(|bytes| Sha256::digest(bytes).into());
        let before = self.known.insert(path.to_path_buf(), digest);
        before.flatten() != digest
    }

    /// Takes what a file contains now without asking.
    pub fn remember(&mut self, path: &Path, content: Option<&[u8]>) {
        let _ = self.changed(path, content);
    }

    /// Forgets files that are not watched any more.
    pub fn retain(&mut self, keep: impl Fn(&Path) -> bool) {
        self.known.retain(|path, _| keep(path));
    }

    /// Whether the file was ever seen (also as missing).
    pub fn knows(&self, path: &Path) -> bool {
        self.known.contains_key(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_another_content_is_news() {
        let mut inputs = Inputs::default();
        let path = Path::new("/p/mcpmon.toml");
        assert!(!inputs.changed(path, None), "missing, as before");
        assert!(inputs.changed(path, Some(b"a")), "made");
        assert!(!inputs.changed(path, Some(b"a")), "touched");
        assert!(inputs.changed(path, Some(b"b")), "edited");
        assert!(inputs.changed(path, None), "deleted");
        assert!(!inputs.changed(path, None), "still gone");
        assert!(inputs.changed(path, Some(b"b")), "made again");
    }
}
