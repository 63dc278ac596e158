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
/// An input (`mcpmon.toml`, an env file) counts this long after the last event about any of them, finished or not: they
/// are read as one, and a file that was emptied and not filled yet (`git checkout`, `>`) is whole to whoever reads it.
const INPUTS_SETTLE: Duration = Duration::from_millis(100);
/// And this long after the first one at the latest, however often they are written.
const INPUTS_SETTLE_AT_MOST: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Settling {
    files: HashMap<PathBuf, (Entry, Instant)>,
    inputs: HashMap<PathBuf, Entry>,
    /// The first event about an input that is held, and the last one.
    inputs_touched: Option<(Instant, Instant)>,
}

impl Settling {
    /// Something happened to a file. A folder's end may be told twice, and only the first time is it known as a folder.
    pub(super) fn add(&mut self, now: Instant, path: PathBuf, entry: Entry, finished: bool) {
        let was_folder = matches!(self.files.get(&path), Some((Entry::Folder, _)));
        let entry = if was_folder && entry == Entry::Gone { Entry::Folder } else { entry };
        self.files.insert(path, (entry, if finished { now } else { now + SETTLE }));
    }

    /// Something happened to an input.
    pub(super) fn add_input(&mut self, now: Instant, path: PathBuf, entry: Entry) {
        self.inputs.insert(path, entry);
        let first = self.inputs_touched.map_or(now, |(first, _)| first);
        self.inputs_touched = Some((first, now));
    }

    /// The files that count now.
    #[must_use]
    pub(super) fn take(&mut self, now: Instant) -> Vec<(PathBuf, Entry)> {
        let mut due: Vec<_> =
            self.files.extract_if(|_, (_, due)| *due <= now).map(|(path, (entry, _))| (path, entry)).collect();
        if self.inputs_due().is_some_and(|at| at <= now) {
            self.inputs_touched = None;
            due.extend(self.inputs.drain());
        }
        due
    }

    /// When the next one counts.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.files.values().map(|(_, due)| *due).chain(self.inputs_due()).min()
    }

    fn inputs_due(&self) -> Option<Instant> {
        self.inputs_touched.map(|(first, last)| (last + INPUTS_SETTLE).min(first + INPUTS_SETTLE_AT_MOST))
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

    #[test]
    fn inputs_count_together_once_all_of_them_are_quiet() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        let (config, variables) = (PathBuf::from("/p/mcpmon.toml"), PathBuf::from("/p/.env"));
        // Emptied and closed, the other one written, then filled.
        settling.add_input(at(0), config.clone(), Entry::File);
        settling.add_input(at(10), variables.clone(), Entry::File);
        settling.add(at(20), PathBuf::from("/p/a.py"), Entry::File, true);
        assert_eq!(settling.take(at(20)), [(PathBuf::from("/p/a.py"), Entry::File)]);
        settling.add_input(at(90), config.clone(), Entry::File);
        assert!(settling.take(at(189)).is_empty());
        assert_eq!(settling.next_deadline(), Some(at(190)));
        let mut due = settling.take(at(190));
        due.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(due, [(variables, Entry::File), (config, Entry::File)]);
        assert_eq!(settling.next_deadline(), None);
    }

    #[test]
    fn inputs_that_never_come_to_rest_count_in_the_end() {
        let (mut settling, start) = (Settling::default(), Instant::now());
        let at = |millis| start + Duration::from_millis(millis);
        for millis in (0..2000).step_by(50) {
            settling.add_input(at(millis), PathBuf::from("/p/.env"), Entry::File);
            assert!(settling.take(at(millis)).is_empty(), "{millis}");
        }
        assert_eq!(settling.take(at(2000)).len(), 1);
    }
}
