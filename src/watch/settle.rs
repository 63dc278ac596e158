//! Holds back files that are half-way through a save. Pure: time is passed in.

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use crate::trigger::Entry;

/// A file that is being written, or that is gone, counts this long after the last event about it. A finished save
/// counts at once.
pub(super) const SETTLE: Duration = Duration::from_millis(50);

#[derive(Debug, Default)]
pub(super) struct Settling {
    held: HashMap<PathBuf, (Entry, Instant)>,
}

impl Settling {
    /// Something happened to a file. A folder's end may be told twice, and only the first time is it known as a folder.
    pub(super) fn add(&mut self, now: Instant, path: PathBuf, entry: Entry, finished: bool) {
        let was_folder = matches!(self.held.get(&path), Some((Entry::Folder, _)));
        let entry = if was_folder && entry == Entry::Gone { Entry::Folder } else { entry };
        self.held.insert(path, (entry, if finished { now } else { now + SETTLE }));
    }

    /// The files that count now.
    #[must_use]
    pub(super) fn take(&mut self, now: Instant) -> Vec<(PathBuf, Entry)> {
        self.held.extract_if(|_, (_, due)| *due <= now).map(|(path, (entry, _))| (path, entry)).collect()
    }

    /// When the next one counts.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.held.values().map(|(_, due)| *due).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_counts_once_when_it_is_finished() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        let file = PathBuf::from("/p/a.py");
        let at = |millis| start + Duration::from_millis(millis);
        // vim: away, made, written, closed.
        settling.add(at(0), file.clone(), Entry::Gone, false);
        assert!(settling.take(at(0)).is_empty());
        settling.add(at(1), file.clone(), Entry::File, false);
        settling.add(at(2), file.clone(), Entry::File, true);
        assert_eq!(settling.take(at(2)), [(file.clone(), Entry::File)]);
        assert_eq!(settling.next_deadline(), None);
    }

    #[test]
    fn a_file_that_stays_open_or_gone_counts_too() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        settling.add(start, PathBuf::from("/p/open"), Entry::File, false);
        settling.add(start, PathBuf::from("/p/gone"), Entry::Gone, false);
        assert_eq!(settling.next_deadline(), Some(start + SETTLE));
        assert_eq!(settling.take(start + SETTLE).len(), 2);
    }
}
