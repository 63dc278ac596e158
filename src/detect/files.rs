//! The narrow edge to the file system. It must not decide anything.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

/// A manifest or a script's first line is in here; a binary need not be read to its end.
const MOST_READ: u64 = 64 * 1024;

/// What a path is; links are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// What is asked of the file system.
pub trait Files {
    /// What is there; none when nothing is, or it can't be told.
    fn kind(&self, path: &Path) -> Option<FileKind>;
    /// The first 64 KiB of a file as text.
    fn beginning(&self, path: &Path) -> Option<String>;
    /// Where a program is in `PATH`.
    fn program(&self, name: &str) -> Option<PathBuf>;
}

/// The real one.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    path: OsString,
}

impl Disk {
    /// With this `PATH`.
    pub fn new(path: impl Into<OsString>) -> Self {
        Self { path: path.into() }
    }
}

impl Files for Disk {
    fn kind(&self, path: &Path) -> Option<FileKind> {
        let metadata = fs::metadata(path).ok()?;
        Some(if metadata.is_dir() { FileKind::Folder } else { FileKind::File })
    }

    fn beginning(&self, path: &Path) -> Option<String> {
        // A pipe or a device would be read for ever.
        fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        let mut bytes = Vec::new();
        File::open(path).ok()?.take(MOST_READ).read_to_end(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn program(&self, name: &str) -> Option<PathBuf> {
        let mut files = std::env::split_paths(&self.path).map(|folder| folder.join(name));
        files.find(|file| file.is_absolute() && file.is_file())
    }
}
