//! A note in the user's state folder that says which process keeps a project: a session that owns nothing on the
//! engine (yet) can't be found by labels. It is a hint only: a pid counts when its process lives since that time.

use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use crate::model::{Labels, Owner, fingerprint::config_hash};

/// The note of a living session; taken away when dropped.
#[derive(Debug)]
pub struct Record {
    path: PathBuf,
}

/// Where the note about a project on an engine lies.
fn path(folder: &Path, engine: &str, project: &str) -> PathBuf {
    let key: String = config_hash(&(engine, project)).chars().take(8).collect();
    folder.join(format!("{project}-{key}.session"))
}

/// Notes that this session keeps the project. None when the folder can't be written: then labels alone must do.
pub fn write(folder: &Path, engine: &str, project: &str, owner: &Owner) -> Option<Record> {
    let path = path(folder, engine, project);
    let text = serde_json::to_string(&owner.labels()).ok()?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).ok()?;
    // Written whole, then put in its place: nobody reads half of it.
    let passing = path.with_extension(format!("{}", owner.pid));
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&passing).ok()?;
    file.write_all(text.as_bytes()).ok()?;
    fs::rename(&passing, &path).ok()?;
    Some(Record { path })
}

/// The labels of the session that was noted last; whether it lives has to be judged as for a container.
pub fn read(folder: &Path, engine: &str, project: &str) -> Option<Labels> {
    let text = fs::read_to_string(path(folder, engine, project)).ok()?;
    serde_json::from_str(&text).ok().map(Labels)
}

impl Drop for Record {
    fn drop(&mut self) {
        // One that stays is judged by its pid and does no harm.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session;

    #[test]
    fn a_note_is_there_as_long_as_its_session() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("mcpmon");
        let owner = session::new();
        assert_eq!(read(&state, "unix:///a", "p"), None);
        let record = write(&state, "unix:///a", "p", &owner).expect("it can be written");
        assert_eq!(read(&state, "unix:///a", "p").and_then(|labels| labels.session()), Some(owner.session));
        assert_eq!(read(&state, "unix:///b", "p"), None, "another engine's project is another one");
        drop(record);
        assert_eq!(read(&state, "unix:///a", "p"), None);
        assert_eq!(fs::read_dir(&state).expect("folder").count(), 0);
    }
}
