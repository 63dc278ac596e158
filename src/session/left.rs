//! Sessions of lines that ended in order: what they left is stopped, is there on purpose, and is their user's from then
//! on, also when it is started again. Labels can't be changed, so it is written down: an empty file for each session, named by
//! its UUID, in `left` in the folder for state (which outlives the machine's next start).
//!
//! A session that was killed is not among them, unless its watchdog has done the same for it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::state_folder;
use crate::{orphan::Ends, output::private};

/// So many sessions are remembered, the last ones.
const KEPT: usize = 1000;

/// What is written down in this user's folder for state.
#[derive(Debug)]
pub struct Left;

impl Ends for Left {
    fn left_to_user(&self, session: Uuid) -> bool {
        folder(&state_folder::path()).join(session.to_string()).is_file()
    }
}

/// A session has ended in order, and what is left of it is its user's.
///
/// # Errors
/// It can't be written down: its containers look like those of any dead session.
pub fn remember(state: &Path, session: Uuid) -> io::Result<()> {
    let folder = folder(state);
    private::own_folder(&folder)?;
    private::append_own(&folder.join(session.to_string()))?;
    forget_surplus(&folder, KEPT)
}

fn folder(state: &Path) -> PathBuf {
    state.join("left")
}

/// The oldest go.
fn forget_surplus(folder: &Path, kept: usize) -> io::Result<()> {
    let entries = fs::read_dir(folder)?.flatten();
    let mut all: Vec<_> =
        entries.filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path()))).collect();
    all.sort();
    for (_, path) in all.iter().take(all.len().saturating_sub(kept)) {
        match fs::remove_file(path) {
            // Another session ends at this very moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_ones_are_remembered() {
        let state = tempfile::tempdir().unwrap();
        let sessions: Vec<Uuid> = (1..=5).map(Uuid::from_u128).collect();
        for (age, session) in (0u64..).zip(sessions.iter().rev()) {
            remember(state.path(), *session).unwrap();
            let file = fs::File::options().append(true).open(folder(state.path()).join(session.to_string())).unwrap();
            let then = std::time::SystemTime::now() - std::time::Duration::from_secs(age);
            file.set_modified(then).unwrap();
        }
        // Once more changes nothing.
        remember(state.path(), sessions[0]).unwrap();
        forget_surplus(&folder(state.path()), 3).unwrap();
        let is_there = |session: &&Uuid| folder(state.path()).join(session.to_string()).is_file();
        assert_eq!(sessions.iter().filter(is_there).collect::<Vec<_>>(), [&sessions[2], &sessions[3], &sessions[4]]);
    }
}
