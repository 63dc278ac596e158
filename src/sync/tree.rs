//! What lies on the host under a rule, and how two such looks differ.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::SyncRule;
use crate::trigger::Dockerignore;

/// How long a save may be under way from the disk to its event.
const FRESH: Duration = Duration::from_secs(2);

/// The entries under a rule's path, by their path relative to it (a rule of one file: the empty path).
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// What the rule's path is.
    pub root: Root,
    /// Sorted, so that a folder comes before what is in it.
    pub entries: BTreeMap<PathBuf, Mark>,
    /// Folders that could not be read: nothing is known of what is in them.
    pub unread: Vec<(PathBuf, String)>,
}

/// What a rule's path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Root {
    /// Nothing.
    #[default]
    Missing,
    /// A file.
    File,
    /// A folder.
    Folder,
}

/// One entry, as far as another copy follows from a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Size; of a folder 0.
    pub size: u64,
    /// Time of the last change of its content, in nanoseconds since the epoch; of a folder 0: that one changes with what is in it.
    pub changed: i128,
    /// Which file it is; of a folder 0.
    pub inode: u64,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A link.
    Link,
}

impl Mark {
    /// None for what is not copied: sockets, pipes, devices.
    pub(super) fn of(metadata: &fs::Metadata) -> Option<Self> {
        let kind = match metadata.file_type() {
            kind if kind.is_file() => Kind::File,
            kind if kind.is_dir() => Kind::Folder,
            kind if kind.is_symlink() => Kind::Link,
            _ => return None,
        };
        let mode = metadata.mode() & 0o7777;
        if kind == Kind::Folder {
            return Some(Self { kind, mode, size: 0, changed: 0, inode: 0 });
        }
        let changed = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Some(Self { kind, mode, size: metadata.len(), changed, inode: metadata.ino() })
    }

    /// A mark that no look finds.
    pub(super) fn never(self) -> Self {
        Self { inode: u64::MAX, size: u64::MAX, ..self }
    }
}

impl Tree {
    /// Walks what lies under the rule's path now.
    pub fn walk(rule: &SyncRule) -> Self {
        let mut tree = Self::default();
        let Ok(metadata) = fs::metadata(&rule.path) else { return tree };
        if !metadata.is_dir() {
            if let Some(mark) = Mark::of(&metadata) {
                tree.root = Root::File;
                tree.entries.insert(PathBuf::new(), mark);
            }
            return tree;
        }
        tree.root = Root::Folder;
        let text = rule.ignore_files().iter().find_map(|file| fs::read_to_string(file).ok());
        let docker = text.map(|text| Dockerignore::parse(&text).0);
        let mut stack = vec![PathBuf::new()];
        while let Some(folder) = stack.pop() {
            let entries = match fs::read_dir(rule.path.join(&folder)) {
                Ok(entries) => entries,
                Err(error) if is_missing(&error) => continue,
                Err(error) => {
                    tree.unread.push((folder, error.to_string()));
                    continue;
                }
            };
            for entry in entries.flatten() {
                let relative = folder.join(entry.file_name());
                let Some(mark) = entry.metadata().ok().as_ref().and_then(Mark::of) else { continue };
                if mark.kind == Kind::Folder {
                    if rule.covers_folder(&relative, docker.as_ref()) {
                        tree.insert(rule, &relative, mark);
                    }
                    if rule.enters(&relative, docker.as_ref()) {
                        stack.push(relative);
                    }
                } else if rule.covers(&relative, docker.as_ref()) {
                    tree.insert(rule, &relative, mark);
                }
            }
        }
        tree
    }

    /// The same, but what was written just before `now` counts as not seen: its event is still on the way.
    #[must_use]
    pub fn but_for_fresh(mut self, now: SystemTime) -> Self {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().saturating_sub(FRESH);
        let since = i128::try_from(since.as_nanos()).unwrap_or(i128::MAX);
        for mark in self.entries.values_mut().filter(|mark| mark.changed >= since) {
            *mark = mark.never();
        }
        self
    }

    /// With the folders above it, which may have been left out for themselves.
    fn insert(&mut self, rule: &SyncRule, relative: &Path, mark: Mark) {
        for above in relative.ancestors().skip(1).take_while(|above| !above.as_os_str().is_empty()) {
            if self.entries.contains_key(above) {
                break;
            }
            if let Some(mark) = fs::symlink_metadata(rule.path.join(above)).ok().as_ref().and_then(Mark::of) {
                self.entries.insert(above.to_path_buf(), mark);
            }
        }
        self.entries.insert(relative.to_path_buf(), mark);
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// What a copy has to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is put, sorted.
    pub put: Vec<(PathBuf, Mark)>,
    /// What must go, with all below it; the uppermost paths alone.
    pub delete: Vec<PathBuf>,
}

impl Difference {
    /// Nothing to do.
    pub fn is_empty(&self) -> bool {
        self.put.is_empty() && self.delete.is_empty()
    }
}

/// What makes a container with the tree `before` have the tree `now`; `before` none: nothing is known of it, so everything is
/// put. `is_gone` says whether nothing is on the host at a path: what is only left out now stays where it is. A rule's folder that
/// is gone as a whole (a branch switch, a rename) takes nothing with it.
pub fn difference(before: Option<&Tree>, now: &Tree, is_gone: impl Fn(&Path) -> bool) -> Difference {
    let Some(before) = before else {
        return Difference {
            put: now.entries.iter().map(|(path, mark)| (path.clone(), *mark)).collect(),
            delete: Vec::new(),
        };
    };
    let put = now.entries.iter().filter(|(path, mark)| before.entries.get(*path) != Some(mark));
    let put = put.map(|(path, mark)| (path.clone(), *mark)).collect();
    let mut delete: Vec<PathBuf> = Vec::new();
    if now.root == Root::Missing && before.root == Root::Folder {
        return Difference { put, delete };
    }
    for path in before.entries.keys().filter(|path| !now.entries.contains_key(*path)) {
        let covered = delete.last().is_some_and(|above| path.starts_with(above));
        // What a file or a link takes the place of goes with its coming.
        let replaced =
            path.ancestors().skip(1).any(|above| now.entries.get(above).is_some_and(|mark| mark.kind != Kind::Folder));
        let unknown = now.unread.iter().any(|(folder, _)| path.starts_with(folder));
        if !covered && !replaced && !unknown && is_gone(path) {
            delete.push(path.clone());
        }
    }
    Difference { put, delete }
}
