//! Files that are for one user alone: what servers print, and paths, stand in logs. It must not know what is written.
//!
//! Where mcpmon chose the place ([`own_folder`], [`append_own`]), nobody else may have a say in what is written to: a
//! symbolic link, another user's file or folder, and what is no file (a pipe) are refused. Where a person named the place
//! ([`folder`], [`append`]), it is theirs to choose.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::{Mode, OFlags, fchmod};

/// Opens a folder, not what a link leads to.
pub const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// A file is opened, not what a link leads to; a pipe that nobody reads does not hold anybody up.
const FILE: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// Opens a file for writing behind what it holds. A new one only its owner can read.
pub fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// The same for a file in a place of mcpmon's choice: a file of this user's, for this user alone from now on.
pub fn append_own(path: &Path) -> io::Result<File> {
    open(path, OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | FILE)
}

/// Opens such a file for reading.
pub fn read_own(path: &Path) -> io::Result<File> {
    open(path, OFlags::RDONLY | FILE)
}

fn open(path: &Path, flags: OFlags) -> io::Result<File> {
    let file =
        File::from(rustix::fs::open(path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| refused(error, path))?);
    let found = file.metadata()?;
    if !found.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{} is no file", path.display())));
    }
    own(&file, path, Mode::RUSR | Mode::WUSR)?;
    Ok(file)
}

/// Makes a folder that only its owner can look into; fine if there is one. `parents`: those above it too.
pub fn folder(path: &Path, parents: bool) -> io::Result<()> {
    match DirBuilder::new().recursive(parents).mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }
}

/// Makes a folder of mcpmon's choice with those above it, or takes the one that is there: this user's, for this user alone
/// from now on.
pub fn own_folder(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path).is_err() {
        folder(path, true)?;
    }
    let opened = File::from(rustix::fs::open(path, FOLDER, Mode::empty()).map_err(|error| refused(error, path))?);
    own(&opened, path, Mode::RWXU)?;
    Ok(opened)
}

/// What was opened is this user's, and from now on nobody else's.
pub fn own(opened: &File, path: &Path, mode: Mode) -> io::Result<()> {
    let found = opened.metadata()?;
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("{} belongs to another user (uid {})", path.display(), found.uid()),
        ));
    }
    if found.mode() & 0o077 != 0 {
        fchmod(opened, mode)?;
    }
    Ok(())
}

/// Why something was not opened, with its path; a link is called one.
pub fn refused(error: rustix::io::Errno, path: &Path) -> io::Error {
    let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_symlink());
    if is_link {
        return io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("{} is a symbolic link, which is not followed", path.display()),
        );
    }
    let error = io::Error::from(error);
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn what_is_made_is_for_its_owner_alone() {
        let root = tempfile::tempdir().unwrap();
        let inner = root.path().join("a/b");
        assert_eq!(folder(&inner, false).unwrap_err().kind(), io::ErrorKind::NotFound);
        folder(&inner, true).unwrap();
        folder(&inner, false).unwrap();
        append(&inner.join("log")).unwrap();
        assert_eq!((mode(&inner), mode(&inner.join("log"))), (0o700, 0o600));
        assert!(folder(&inner.join("log"), true).is_err(), "a file is no folder");
    }

    #[test]
    fn where_mcpmon_chose_the_place_nobody_else_has_a_say() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        // What an earlier version left open to all is closed.
        for (name, folder) in [("folder", true), ("file", false)] {
            let path = at(name);
            if folder {
                fs::create_dir(&path).unwrap();
            } else {
                fs::write(&path, "kept").unwrap();
            }
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        }
        own_folder(&at("folder")).unwrap();
        own_folder(&at("new/er")).unwrap();
        append_own(&at("file")).unwrap();
        append_own(&at("newer")).unwrap();
        assert_eq!([mode(&at("folder")), mode(&at("new/er"))], [0o700; 2]);
        assert_eq!([mode(&at("file")), mode(&at("newer"))], [0o600; 2]);
        assert_eq!(fs::read_to_string(at("file")).unwrap(), "kept");
        // Links are not followed, wherever they lead; neither is a pipe waited for.
        symlink(at("file"), at("to-file")).unwrap();
        symlink(at("nowhere"), at("to-nothing")).unwrap();
        symlink(at("folder"), at("to-folder")).unwrap();
        for name in ["to-file", "to-nothing", "to-folder"] {
            for refused in [append_own(&at(name)), read_own(&at(name)), own_folder(&at(name))] {
                assert!(refused.unwrap_err().to_string().contains("symbolic link"), "{name}");
            }
        }
        assert!(!at("nowhere").exists());
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        assert!(append_own(&at("pipe")).is_err());
        assert!(read_own(&at("pipe")).unwrap_err().to_string().contains("no file"));
        assert!(own_folder(&at("file")).is_err());
    }
}
