//! The folder where living sessions of one user say that they live: `$XDG_RUNTIME_DIR/mcpmon`; where that is not set,
//! `/run/user/UID/mcpmon`; where that is not there, `mcpmon-UID` in the folder for passing files. An MCP client may
//! start mcpmon with another environment than a terminal does, so whoever looks for sessions looks in all of them.
//!
//! The folder is its owner's alone (0700). One that somebody else has made, or a symlink in its place, is not used.

use std::{
    env, fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use rustix::process::geteuid;

/// Every folder that may be the one, the one to be used first.
pub fn candidates() -> Vec<PathBuf> {
    let user = geteuid().as_raw();
    let set = env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    let passing = format!("mcpmon-{user}");
    let mut folders: Vec<PathBuf> = Vec::new();
    let all = [
        set.map(|folder| folder.join("mcpmon")),
        Some(PathBuf::from(format!("/run/user/{user}/mcpmon"))),
        Some(env::temp_dir().join(&passing)),
        Some(Path::new("/tmp").join(&passing)),
    ];
    for folder in all.into_iter().flatten() {
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
}

/// Makes the folder where it is missing, and makes sure that it is this user's alone.
pub fn make(folder: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    if !is_own(folder) {
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it is a link, or somebody else's"));
    }
    let mode = fs::symlink_metadata(folder)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Whether it is a folder (no link to one) of this user's.
pub fn is_own(folder: &Path) -> bool {
    fs::symlink_metadata(folder).is_ok_and(|meta| meta.is_dir() && meta.uid() == geteuid().as_raw())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_its_owners_alone_and_no_link() {
        let root = tempfile::tempdir().expect("a folder");
        let folder = root.path().join("mcpmon");
        make(&folder).expect("made");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).expect("a mode");
        make(&folder).expect("there");
        assert_eq!(fs::metadata(&folder).expect("meta").permissions().mode() & 0o777, 0o700);
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).expect("a link");
        assert!(make(&link).is_err(), "a link may lead anywhere");
        assert!(make(&root.path().join("no/such")).is_err(), "nothing above it is made");
    }
}
