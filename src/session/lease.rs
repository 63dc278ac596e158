//! This session's lease: a file that is locked as long as it lives, and says what it has taken over. Without one the
//! session works all the same; others then know it by its labels alone (pid and start time).

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{leases::SUFFIX, runtime_folder};
use crate::model::Lease;

/// A written lease; taken away when dropped.
#[derive(Debug)]
pub struct LeaseFile {
    path: PathBuf,
    file: File,
    length: u64,
}

impl LeaseFile {
    /// Writes the lease into the first folder that can be used.
    ///
    /// # Errors
    /// None can. The error tells of the first one.
    pub fn write_anywhere(lease: &Lease) -> io::Result<Self> {
        let mut first = None;
        for folder in runtime_folder::candidates() {
            match runtime_folder::make(&folder).and_then(|()| Self::write(&folder, lease)) {
                Ok(file) => return Ok(file),
                Err(error) => {
                    let error = io::Error::new(error.kind(), format!("{}: {error}", folder.display()));
                    first.get_or_insert(error);
                }
            }
        }
        Err(first.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    /// Writes the lease into that folder.
    ///
    /// # Errors
    /// It can't be written there.
    pub fn write(folder: &Path, lease: &Lease) -> io::Result<Self> {
        let path = folder.join(format!("{}{SUFFIX}", lease.session));
        // Locked and written whole before it has its name: nobody takes it for a dead session's, or reads half of it.
        let passing = path.with_extension("new");
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&passing)?;
        // Where there are no locks, pid and start time must do.
        let _ = file.try_lock();
        let mut lease_file = Self { path, file, length: 0 };
        let written = lease_file.update(lease).and_then(|()| fs::rename(&passing, &lease_file.path));
        if let Err(error) = written {
            let _ = fs::remove_file(&passing);
            return Err(error);
        }
        Ok(lease_file)
    }

    /// Says anew what the lease is: one more line, of which the last one counts.
    ///
    /// # Errors
    /// It can't be written; what was written before still counts.
    pub fn update(&mut self, lease: &Lease) -> io::Result<()> {
        let mut line = serde_json::to_vec(lease)?;
        line.push(b'\n');
        match self.file.write_all(&line) {
            Ok(()) => {
                self.length += line.len() as u64;
                Ok(())
            }
            Err(error) => {
                // Half a line would spoil the next one.
                let _ = self.file.set_len(self.length);
                let _ = io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.length));
                Err(error)
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets go of it as a killed process does: it stays, and its lock is free.
    #[cfg(test)]
    pub(super) fn abandon(mut self) {
        self.path = PathBuf::new();
    }
}

impl Drop for LeaseFile {
    fn drop(&mut self) {
        // One that stays is a dead session's and does no harm.
        let _ = fs::remove_file(&self.path);
    }
}
