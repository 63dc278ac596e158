//! Files that are for one user alone: what servers print, and paths, stand in logs. It must not know what is written.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

/// Opens a file for writing behind what it holds. A new one only its owner can read.
pub fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Makes a folder that only its owner can look into; fine if there is one. `parents`: those above it too.
pub fn folder(path: &Path, parents: bool) -> io::Result<()> {
    match DirBuilder::new().recursive(parents).mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let inner = root.path().join("a/b");
        assert_eq!(folder(&inner, false).unwrap_err().kind(), io::ErrorKind::NotFound);
        folder(&inner, true).unwrap();
        folder(&inner, false).unwrap();
        append(&inner.join("log")).unwrap();
        assert_eq!((mode(&inner), mode(&inner.join("log"))), (0o700, 0o600));
        assert!(folder(&inner.join("log"), true).is_err(), "a file is no folder");
    }
}
