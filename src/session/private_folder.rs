//! A folder of this process alone, removed when dropped. Its name says whose it is, so that it can be removed for a
//! process that was killed.

use std::{
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

use super::{host, process, runtime_folder::is_own};
use crate::{
    error::{Error, Result},
    model::HostIdentity,
    orphan::Processes,
};

/// What all their names begin with.
const PREFIX: &str = "mcpmon-of-";

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
        let pid = std::process::id();
        let started = process::start_time(pid).unwrap_or_default();
        let path = parent.join(format!("{}{}", name_of(&host::identity(), pid, started), uuid::Uuid::new_v4()));
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

/// What the names of a process's folders begin with. A pid means something in its namespace only.
fn name_of(here: &HostIdentity, pid: u32, started: u64) -> String {
    format!("{PREFIX}{}-{pid}-{started}-", here.pid_namespace)
}

/// Removes the folders of a process that has ended, in the folder for passing files.
pub fn remove_of(pid: u32, started: u64) {
    let begins = name_of(&host::identity(), pid, started);
    remove(&std::env::temp_dir(), |name| name.starts_with(&begins));
}

/// Removes the folders of all processes that have ended, in the folder for passing files.
pub fn sweep(here: &HostIdentity, processes: &dyn Processes) {
    remove(&std::env::temp_dir(), |name| is_dead(name, here, processes));
}

fn is_dead(name: &str, here: &HostIdentity, processes: &dyn Processes) -> bool {
    let mut parts = name.strip_prefix(PREFIX).unwrap_or_default().splitn(4, '-');
    let (Some(namespace), Some(Ok(pid)), Some(Ok(started)), Some(_)) =
        (parts.next(), parts.next().map(str::parse), parts.next().map(str::parse::<u64>), parts.next())
    else {
        return false;
    };
    let lives = || processes.start_time(pid).is_some_and(|now| now.is_none_or(|now| now == started));
    namespace == here.pid_namespace && !lives()
}

/// Only real folders of this user's.
fn remove(parent: &Path, meant: impl Fn(&str) -> bool) {
    let entries = fs::read_dir(parent).into_iter().flatten().flatten();
    let meant = |name: std::ffi::OsString| name.to_str().is_some_and(|name| name.starts_with(PREFIX) && meant(name));
    for entry in entries.filter(|entry| meant(entry.file_name())) {
        if is_own(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::process::ThisHost;

    #[test]
    fn only_a_dead_processs_own_folders_go() {
        let root = tempfile::tempdir().expect("a folder");
        let own = PrivateFolder::in_folder(root.path()).expect("made");
        let here = host::identity();
        let make = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir(&path).expect("a folder");
            path
        };
        let mut child = std::process::Command::new("true").spawn().expect("true");
        let dead = child.id();
        child.wait().expect("wait");
        let left = make(&format!("{}x", name_of(&here, dead, 7)));
        let reused = make(&format!("{}x", name_of(&here, std::process::id(), 7)));
        let elsewhere = make(&format!("{PREFIX}1-{dead}-7-x"));
        let strangers = make("mcpmon-of-nobody");
        remove(root.path(), |name| is_dead(name, &here, &ThisHost));
        let there = [own.path(), &left, &reused, &elsewhere, &strangers].map(Path::exists);
        assert_eq!(there, [true, false, false, true, true]);
    }
}
