//! A file for a child that lies nowhere: memory, with a name in `/proc` that the child and its children can open. It is
//! gone with the last process that has it, also when that is killed: there is nothing to clean up.

use std::{
    fs::File,
    io::Write,
    os::fd::AsRawFd,
    path::{Path, PathBuf},
};

use rustix::fs::{MemfdFlags, memfd_create};

use crate::error::{Error, Result};

/// The file.
#[derive(Debug)]
pub(super) struct Handed {
    path: PathBuf,
    /// Children started from now on have it under the same number, the docker CLI's plugins too.
    _file: File,
}

impl Handed {
    /// A file with this text.
    ///
    /// # Errors
    /// The system gives none.
    pub(super) fn new(text: &str) -> Result<Self> {
        let make = || -> std::io::Result<File> {
            // Not closed on exec: that is how it reaches the child.
            let mut file = File::from(memfd_create("mcpmon.compose", MemfdFlags::empty())?);
            file.write_all(text.as_bytes())?;
            Ok(file)
        };
        let file = make().map_err(|error| {
            Error::failed("the file with mcpmon's labels can't be handed to compose").caused_by(error)
        })?;
        Ok(Self { path: format!("/proc/self/fd/{}", file.as_raw_fd()).into(), _file: file })
    }

    /// Its name, as a child reads it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn children_and_theirs_can_read_it_again_and_again() {
        let file = Handed::new("text ").expect("a file");
        let script = format!("cat {0}; cat {0}; sh -c 'cat {0}'", file.path().display());
        let output = Command::new("sh").args(["-c", &script]).output().expect("sh");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "text text text ");
    }
}
