//! The watching thread: looks at what events point to, keeps the tree in step, and hands out changes that somebody
//! wants to know of.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read,
    mem,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use super::{
    inbox::{Batch, Command, Inbox, Touch},
    outbox::Outbox,
    printed::Printed,
    settle::Settling,
    tree::{Tree, is_missing},
};
use crate::trigger::{Changes, Entry, Inputs};

/// Of a larger single file only the beginning, the size and the time are compared.
const MOST_COMPARED: u64 = 1024 * 1024;

pub(super) struct Worker {
    inbox: Arc<Inbox>,
    outbox: Arc<Outbox>,
    tree: Tree,
    settling: Settling,
    contents: Inputs,
    printed: Printed,
}

impl Worker {
    pub(super) fn new(inbox: Arc<Inbox>, outbox: Arc<Outbox>, tree: Tree, printed: Printed) -> Self {
        Self { inbox, outbox, tree, settling: Settling::default(), contents: Inputs::default(), printed }
    }

    pub(super) fn run(mut self) {
        loop {
            let batch = self.inbox.wait(self.settling.next_deadline());
            let mut changes = Changes::default();
            if !self.take_in(batch, &mut changes) {
                return;
            }
            self.settled(&mut changes);
            self.hold_lost();
            changes.warnings = mem::take(&mut self.tree.warnings);
            changes.ignores = Arc::clone(&self.tree.ignores);
            self.outbox.put(changes);
        }
    }

    /// Gives false when told to end.
    fn take_in(&mut self, batch: Batch, changes: &mut Changes) -> bool {
        for error in batch.errors {
            self.tree.warn(format!("watching files: {error}"));
        }
        if batch.limit_reached {
            self.tree.limit_reached();
        }
        self.look(batch.touched);
        if batch.rescan {
            changes.rescan = true;
            self.tree.sync(true);
            self.compare_singles();
        }
        for command in batch.commands {
            match command {
                Command::End => return false,
                Command::Set { rules, inputs, reply } => {
                    self.tree.rules = rules;
                    self.tree.inputs = inputs;
                    self.tree.sync(false);
                    self.remember_singles();
                    // Nobody waits any more when the caller was cancelled.
                    let _ = reply.send(());
                }
            }
        }
        true
    }

    /// Looks at each path that something happened to.
    fn look(&mut self, mut touched: HashMap<PathBuf, Touch>) {
        let now = Instant::now();
        let others: Vec<_> = touched
            .iter()
            .flat_map(|(path, touch)| self.tree.other_names(path).into_iter().map(|name| (name, *touch)))
            .collect();
        touched.extend(others);
        let (mut there, mut roots_moved) = (Vec::new(), false);
        // What is gone first: a folder that was renamed has one watch, which must be dropped under its old name
        // before it is set under the new one.
        for (path, touch) in touched {
            match fs::symlink_metadata(&path) {
                Ok(metadata) if self.printed.has(&metadata) => {}
                // A link is a file to whoever finds it in a tree; a root may be a link to a folder.
                Ok(metadata) => {
                    let is_folder = metadata.is_dir() || (self.tree.is_awaited(&path) && path.is_dir());
                    there.push((path, touch, is_folder));
                }
                Err(error) if is_missing(&error) => {
                    let was_folder = self.tree.shrink(&path);
                    roots_moved |= self.tree.concerns_a_root(&path, was_folder);
                    self.hold(now, path, if was_folder { Entry::Folder } else { Entry::Gone }, false);
                }
                // Unreadable: whether it counts is decided by its name alone.
                Err(_) => there.push((path, touch, false)),
            }
        }
        for (path, touch, is_folder) in there {
            if is_folder && !touch.structural {
                continue;
            }
            if touch.structural && self.tree.concerns_a_root(&path, is_folder) {
                roots_moved = true;
            }
            if is_folder {
                let found = self.tree.grow(&path);
                self.hold_all(now, found);
            } else {
                self.hold(now, path, Entry::File, touch.finished);
            }
        }
        if roots_moved {
            let found = self.tree.sync(false);
            self.hold_all(now, found);
            self.compare_singles();
        }
    }

    fn hold(&mut self, now: Instant, path: PathBuf, entry: Entry, finished: bool) {
        if self.tree.inputs.contains(&path) {
            self.settling.add_input(now, path, entry);
        } else if self.tree.is_ignore_file(&path) || self.tree.wants(&path, entry) {
            self.settling.add(now, path, entry, finished);
        }
    }

    /// Files in a folder that appeared: perhaps still being written, so an event may follow.
    fn hold_all(&mut self, now: Instant, files: Vec<PathBuf>) {
        for file in files {
            self.hold(now, file, Entry::File, false);
        }
    }

    /// Roots that went away count like any folder that is gone: perhaps they come back at once.
    fn hold_lost(&mut self) {
        let now = Instant::now();
        for root in mem::take(&mut self.tree.lost) {
            self.hold(now, root, Entry::Folder, false);
        }
    }

    /// Hands out what has settled.
    fn settled(&mut self, changes: &mut Changes) {
        let mut due = self.settling.take(Instant::now());
        if due.iter().any(|(path, _)| self.tree.is_ignore_file(path)) {
            // What is no longer ignored is watched from now on; that alone is no change.
            self.tree.sync(false);
            self.remember_singles();
        }
        due.retain(|(path, entry)| self.tree.wants(path, *entry) && self.is_news(path, *entry));
        changes.paths.extend(due);
    }

    /// Whether a single file's content is another one than before; in a tree every save counts.
    fn is_news(&mut self, path: &Path, entry: Entry) -> bool {
        // A root that was missing may be a folder by now: its files are the news.
        if entry == Entry::Folder {
            return true;
        }
        if self.tree.is_awaited(path) && path.is_dir() && !self.tree.inputs.contains(path) {
            return false;
        }
        !self.tree.singles.contains(path) || self.contents.changed(path, content(path).as_deref())
    }

    /// Single files as they are now are the ones to compare with; known ones keep what was seen.
    fn remember_singles(&mut self) {
        let singles = &self.tree.singles;
        self.contents.retain(|path| singles.contains(path));
        for path in singles {
            if !self.contents.knows(path) {
                self.contents.remember(path, content(path).as_deref());
            }
        }
    }

    /// Single files may have changed without an event: who differs is held for the usual look.
    fn compare_singles(&mut self) {
        let now = Instant::now();
        for path in self.tree.singles.clone() {
            let entry = if path.exists() { Entry::File } else { Entry::Gone };
            self.hold(now, path, entry, false);
        }
    }
}

/// What is compared of a single file: its content, or for a large one the beginning, the size and the time.
fn content(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    let metadata = file.metadata().ok().filter(fs::Metadata::is_file)?;
    file.take(MOST_COMPARED).read_to_end(&mut bytes).ok()?;
    if metadata.len() > MOST_COMPARED {
        bytes.extend(format!("{} {:?}", metadata.len(), metadata.modified().ok()).into_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        model::Settings,
        trigger::{Rules, samples},
    };

    /// Only the folder above tells: the watch of the root was dropped before its own event was read, or a later event
    /// was looked at first.
    #[test]
    fn a_root_is_gone_with_the_folder_above_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("above/root");
        fs::create_dir_all(&root).unwrap();
        let tree = Tree::new(Box::new(notify::NullWatcher));
        let mut worker = Worker::new(Arc::default(), Arc::default(), tree, Printed::default());
        let settings: Settings = samples::settings(folder.path(), |watch, run| {
            watch.auto = true;
            run.spec.volumes = vec![samples::bind(&root)];
        });
        let (reply, _) = oneshot::channel();
        let rules = Arc::new(Rules::new(&settings, None));
        let set = Command::Set { rules, inputs: [].into(), reply };
        assert!(worker.take_in(Batch { commands: vec![set], ..Batch::default() }, &mut Changes::default()));

        fs::remove_dir_all(folder.path().join("above")).unwrap();
        let touched = [(folder.path().join("above"), Touch { structural: true, finished: false })].into();
        assert!(worker.take_in(Batch { touched, ..Batch::default() }, &mut Changes::default()));
        worker.hold_lost();
        let later = Instant::now() + super::super::settle::SETTLE;
        assert_eq!(worker.settling.take(later), [(root, Entry::Folder)]);
    }

    /// It may have been emptied only to be filled: who reads it at once finds a project without targets.
    #[test]
    fn a_finished_save_of_an_input_waits_for_more() {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("mcpmon.toml");
        fs::write(&config, "version = 1").unwrap();
        let tree = Tree::new(Box::new(notify::NullWatcher));
        let mut worker = Worker::new(Arc::default(), Arc::default(), tree, Printed::default());
        let rules = Arc::new(Rules::new(&samples::settings(folder.path(), |_, _| {}), None));
        let (reply, _) = oneshot::channel();
        let set = Command::Set { rules, inputs: [config.clone()].into(), reply };
        assert!(worker.take_in(Batch { commands: vec![set], ..Batch::default() }, &mut Changes::default()));

        let before = Instant::now();
        let touched = [(config, Touch { structural: false, finished: true })].into();
        assert!(worker.take_in(Batch { touched, ..Batch::default() }, &mut Changes::default()));
        let due = worker.settling.next_deadline().expect("it is held");
        assert!(due > before + super::super::settle::SETTLE, "it counts at once");
    }
}
