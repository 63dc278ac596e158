//! The set of watched folders: which ones it should be (by walking the roots under the rules), and making it so as a
//! difference. It reads the ignore files it meets. It must not know what a change does.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    ops::Bound,
    path::{Path, PathBuf},
    sync::Arc,
};

use notify::RecursiveMode;

use crate::trigger::{Entry, Ignores, Rules};

/// inotify watches folders one by one; elsewhere the system watches a whole tree by one request.
const FOLDER_BY_FOLDER: bool = cfg!(any(target_os = "linux", target_os = "android"));

pub(super) struct Tree {
    watcher: Box<dyn notify::Watcher + Send>,
    pub(super) rules: Arc<Rules>,
    /// Input files.
    pub(super) inputs: BTreeSet<PathBuf>,
    pub(super) ignores: Arc<Ignores>,
    /// Watched folders.
    folders: BTreeSet<PathBuf>,
    /// Of these, the ones whose content was listed (the others are watched for a name in them).
    listed: BTreeSet<PathBuf>,
    /// Roots and inputs that are single files or missing: they are compared by content.
    pub(super) singles: BTreeSet<PathBuf>,
    /// Roots that were folders when last looked at.
    folders_there: BTreeSet<PathBuf>,
    /// Roots that were folders and are not any more, until somebody tells.
    pub(super) lost: Vec<PathBuf>,
    /// Roots, inputs and ignore files: what is waited for when it is missing.
    awaited: BTreeSet<PathBuf>,
    /// Ignore files that count, at known places.
    ignore_files: BTreeSet<PathBuf>,
    /// Roots that are links (or lie behind one): where they really are → how they are called.
    aliases: BTreeMap<PathBuf, PathBuf>,
    /// No watch can be added any more.
    full: bool,
    warned: BTreeSet<String>,
    pub(super) warnings: Vec<String>,
}

impl Tree {
    pub(super) fn new(watcher: Box<dyn notify::Watcher + Send>) -> Self {
        Self {
            watcher,
            rules: Arc::new(Rules::none()),
            inputs: BTreeSet::new(),
            ignores: Arc::default(),
            folders: BTreeSet::new(),
            listed: BTreeSet::new(),
            singles: BTreeSet::new(),
            folders_there: BTreeSet::new(),
            lost: Vec::new(),
            awaited: BTreeSet::new(),
            ignore_files: BTreeSet::new(),
            aliases: BTreeMap::new(),
            full: false,
            warned: BTreeSet::new(),
            warnings: Vec::new(),
        }
    }

    /// Makes the watched set what the rules want. Gives the files in folders that were not watched before. `again`: set
    /// every watch again, because events were lost. Roots that are gone are added to `lost`.
    pub(super) fn sync(&mut self, again: bool) -> Vec<PathBuf> {
        let before = std::mem::take(&mut self.listed);
        let mut watched_before = std::mem::take(&mut self.folders);
        let there_before = std::mem::take(&mut self.folders_there);
        if !again {
            // Kept, so that `cover` does not ask notify for them again.
            self.folders.clone_from(&watched_before);
        }
        let mut needed = BTreeSet::new();
        self.full = false;
        self.singles.clear();
        self.aliases.clear();
        self.read_ignore_files(&mut needed);

        let rules = Arc::clone(&self.rules);
        self.awaited = rules.roots().into_iter().map(Path::to_path_buf).collect();
        self.awaited.extend(self.inputs.iter().chain(&self.ignore_files).cloned());
        let mut found = Vec::new();
        for root in rules.roots() {
            self.place(root, &before, &mut needed, &mut found);
        }
        for input in self.inputs.clone() {
            self.place(&input, &before, &mut needed, &mut found);
        }
        let ignores = Arc::clone(&self.ignores);
        for (target, root) in rules.left_out(&ignores) {
            self.warn(format!(
                "{}: the bind mount of `{}` is not watched, because `.gitignore` excludes it; name it in \
                 `watch.paths` (MCPMON_WATCH) to watch it all the same",
                target.target,
                root.display(),
            ));
        }

        watched_before.extend(self.folders.iter().cloned());
        for folder in watched_before.difference(&needed) {
            // It fails where the folder is gone, which is as good.
            let _ = self.watcher.unwatch(folder);
        }
        self.folders.retain(|folder| needed.contains(folder));
        // Not left to the event of the root's own end: that one is lost where a folder above was looked at first,
        // because its watch is dropped then.
        let gone = there_before.difference(&self.folders_there).filter(|root| rules.roots().contains(root.as_path()));
        self.lost.extend(gone.cloned());
        found
    }

    /// A folder appeared: what was watched under its name is another folder now. Below a root, watches it and all below
    /// it that counts; gives the files in it.
    pub(super) fn grow(&mut self, folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        self.shrink(folder);
        if self.is_inside(folder) && self.rules.wants_folder(folder, &self.ignores) {
            self.walk(folder.to_path_buf(), &BTreeSet::new(), &mut BTreeSet::new(), &mut found);
        }
        found
    }

    /// A path is gone (or another one now): drops the watches at and below it. Gives whether it was a watched folder.
    pub(super) fn shrink(&mut self, path: &Path) -> bool {
        let gone = self.forget(path);
        for folder in &gone {
            // The system has dropped most of them by itself; a folder that was moved away still has its watch.
            let _ = self.watcher.unwatch(folder);
        }
        !gone.is_empty()
    }

    fn forget(&mut self, path: &Path) -> Vec<PathBuf> {
        let range = (Bound::Included(path.to_path_buf()), Bound::Unbounded);
        let gone: Vec<PathBuf> =
            self.folders.range(range).take_while(|folder| folder.starts_with(path)).cloned().collect();
        for folder in &gone {
            self.folders.remove(folder);
            self.listed.remove(folder);
        }
        gone
    }

    /// Whether the path lies in a folder whose content was listed.
    fn is_inside(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| self.listed.contains(parent))
    }

    /// Whether an event at this path can mean that a root (or an input or ignore file) appeared or went away: it lies
    /// above one, or it is one and a folder.
    pub(super) fn concerns_a_root(&self, path: &Path, is_folder: bool) -> bool {
        // Paths are ordered by component: what lies below `path` follows it.
        let range = (Bound::Included(path), Bound::Unbounded);
        let mut below = self.awaited.range::<Path, _>(range).take_while(|awaited| awaited.starts_with(path));
        below.any(|awaited| is_folder || awaited != path)
    }

    /// Whether it is a root, an input or an ignore file.
    pub(super) fn is_awaited(&self, path: &Path) -> bool {
        self.awaited.contains(path)
    }

    /// Whether a change of this file changes what is ignored.
    pub(super) fn is_ignore_file(&self, path: &Path) -> bool {
        self.ignore_files.contains(path)
            || (path.file_name().is_some_and(|name| name == ".gitignore") && self.is_inside(path))
    }

    /// What else the path is called, where a root is a link to it (or to a folder above it).
    pub(super) fn other_names(&self, path: &Path) -> Vec<PathBuf> {
        let names = self.aliases.iter().filter_map(|(real, name)| {
            let rest = path.strip_prefix(real).ok()?;
            Some(if rest.as_os_str().is_empty() { name.clone() } else { name.join(rest) })
        });
        names.collect()
    }

    /// Watches one root or input, whatever it is.
    fn place(
        &mut self,
        root: &Path,
        before: &BTreeSet<PathBuf>,
        needed: &mut BTreeSet<PathBuf>,
        found: &mut Vec<PathBuf>,
    ) {
        let is_input = self.inputs.contains(root);
        match fs::metadata(root) {
            Ok(metadata) if metadata.is_dir() && !is_input => {
                self.folders_there.insert(root.to_path_buf());
                self.note_alias(root, needed);
                if self.rules.wants_folder(root, &self.ignores) {
                    self.walk(root.to_path_buf(), before, needed, found);
                }
                // Its deletion is told by itself, its return only by the folder above.
                self.wait_for(root, needed);
            }
            Ok(metadata) if metadata.is_file() => {
                self.singles.insert(root.to_path_buf());
                self.note_alias(root, needed);
                self.wait_for(root, needed);
            }
            // A folder where an input file should be is as good as none.
            Ok(metadata) if metadata.is_dir() => {
                self.singles.insert(root.to_path_buf());
                self.wait_for(root, needed);
            }
            // The engine's socket, a device.
            Ok(_) => {}
            Err(error) if is_missing(&error) => {
                self.singles.insert(root.to_path_buf());
                self.wait_for(root, needed);
            }
            Err(error) => {
                self.warn(format!("`{}` can't be watched: {error}", root.display()));
                self.wait_for(root, needed);
            }
        }
    }

    /// Watches the folder a path lies in, or, while that is missing, the nearest one above that is there.
    fn wait_for(&mut self, path: &Path, needed: &mut BTreeSet<PathBuf>) {
        let Some(parent) = path.parent() else { return };
        for folder in parent.ancestors() {
            let is_folder = fs::metadata(folder).is_ok_and(|metadata| metadata.is_dir());
            if !is_folder {
                continue;
            }
            needed.insert(folder.to_path_buf());
            self.cover(folder, false);
            // The one below may have been made between the look and the watch.
            let below = path.ancestors().take_while(|below| *below != folder).last().unwrap_or(path);
            if below != path && fs::metadata(below).is_ok_and(|metadata| metadata.is_dir()) {
                self.wait_for(path, needed);
            }
            return;
        }
    }

    /// A root that is a link: events may name what it points to, and the link itself may be turned.
    fn note_alias(&mut self, root: &Path, needed: &mut BTreeSet<PathBuf>) {
        let Ok(real) = fs::canonicalize(root) else { return };
        if real == root {
            return;
        }
        if real.is_file() {
            self.wait_for(&real, needed);
        }
        self.aliases.insert(real, root.to_path_buf());
    }

    /// Watches a folder and all below it that counts. Links are not followed: what they point to is not in the tree (and
    /// may be the tree).
    fn walk(
        &mut self,
        top: PathBuf,
        before: &BTreeSet<PathBuf>,
        needed: &mut BTreeSet<PathBuf>,
        found: &mut Vec<PathBuf>,
    ) {
        let mut stack = vec![(top, true)];
        while let Some((folder, is_top)) = stack.pop() {
            needed.insert(folder.clone());
            if !self.listed.insert(folder.clone()) {
                continue;
            }
            if !self.cover(&folder, is_top) {
                continue;
            }
            let entries = match fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if is_missing(&error) => continue,
                Err(error) => {
                    self.warn(format!("`{}` can't be read: {error}; changes in it are not seen", folder.display()));
                    continue;
                }
            };
            let (mut folders, mut files, mut has_gitignore) = (Vec::new(), Vec::new(), false);
            for entry in entries.flatten() {
                let Ok(kind) = entry.file_type() else { continue };
                if kind.is_dir() {
                    folders.push(entry.path());
                } else {
                    has_gitignore |= entry.file_name() == ".gitignore";
                    files.push(entry.path());
                }
            }
            if has_gitignore {
                self.read_gitignore(&folder);
            }
            folders.retain(|folder| self.rules.wants_folder(folder, &self.ignores));
            stack.extend(folders.into_iter().map(|folder| (folder, false)));
            if !before.contains(&folder) {
                found.extend(files);
            }
        }
    }

    /// Sets the watch of one folder. Gives false when there is nothing to look for in it.
    fn cover(&mut self, folder: &Path, is_top: bool) -> bool {
        if self.full || self.folders.contains(folder) {
            return true;
        }
        let mode = match (FOLDER_BY_FOLDER, is_top) {
            (false, true) => RecursiveMode::Recursive,
            (false, false) if self.listed.contains(folder) => return true,
            _ => RecursiveMode::NonRecursive,
        };
        match self.watcher.watch(folder, mode) {
            Ok(()) => {
                self.folders.insert(folder.to_path_buf());
                true
            }
            Err(error) => match error.kind {
                // Its ignore files count all the same, and single files below it may be in reach.
                notify::ErrorKind::MaxFilesWatch => {
                    self.limit_reached();
                    true
                }
                notify::ErrorKind::PathNotFound => false,
                notify::ErrorKind::Io(error) if is_missing(&error) => false,
                kind => {
                    let error = notify::Error::new(kind);
                    self.warn(format!("`{}` can't be watched: {error}; changes in it are not seen", folder.display()));
                    false
                }
            },
        }
    }

    /// Says so once, and goes on with what is watched.
    pub(super) fn limit_reached(&mut self) {
        self.full = true;
        let limit = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").unwrap_or_default();
        self.warn(format!(
            "the system's limit of watched folders is reached (fs.inotify.max_user_watches = {}): changes in some \
             folders are not seen; raise it with `sysctl fs.inotify.max_user_watches=524288`, or leave large folders \
             out by `watch.ignore` or `.gitignore`",
            limit.trim(),
        ));
    }

    pub(super) fn warn(&mut self, warning: String) {
        if self.warned.insert(warning.clone()) {
            self.warnings.push(warning);
        }
    }

    /// Reads the ignore files that lie at known places: `.dockerignore` of each context, and `.gitignore` of each
    /// folder from the repository's top (or the project's folder) down to each root. The ones below are read by
    /// the walk.
    fn read_ignore_files(&mut self, needed: &mut BTreeSet<PathBuf>) {
        self.ignores = Arc::default();
        self.ignore_files.clear();
        let rules = Arc::clone(&self.rules);
        for file in rules.docker_ignore_files() {
            self.ignore_files.insert(file.to_path_buf());
            self.wait_for(file, needed);
            if let Some(text) = self.read(file) {
                let problems = Arc::make_mut(&mut self.ignores).put_docker(file, &text);
                self.warn_problems(file, problems);
            }
        }
        for root in rules.git_roots() {
            let repository = root.ancestors().find(|folder| fs::symlink_metadata(folder.join(".git")).is_ok());
            let top = repository.unwrap_or_else(|| rules.folder());
            if !root.starts_with(top) {
                continue;
            }
            for folder in root.ancestors().skip(1).take_while(|folder| folder.starts_with(top)) {
                if self.ignore_files.insert(folder.join(".gitignore")) {
                    self.wait_for(&folder.join(".gitignore"), needed);
                    self.read_gitignore(folder);
                }
            }
        }
    }

    fn read_gitignore(&mut self, folder: &Path) {
        let file = folder.join(".gitignore");
        if let Some(text) = self.read(&file) {
            let problems = Arc::make_mut(&mut self.ignores).put_git(folder, &text);
            self.warn_problems(&file, problems);
        }
    }

    fn read(&mut self, file: &Path) -> Option<String> {
        match fs::read(file) {
            Ok(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
            Err(error) if is_missing(&error) => None,
            Err(error) => {
                self.warn(format!("`{}` can't be read: {error}", file.display()));
                None
            }
        }
    }

    fn warn_problems(&mut self, file: &Path, problems: Vec<String>) {
        for problem in problems {
            self.warn(format!("`{}`: bad pattern {problem}", file.display()));
        }
    }

    /// Whether anybody wants to know of a change of this path.
    pub(super) fn wants(&self, path: &Path, entry: Entry) -> bool {
        self.inputs.contains(path) || self.rules.wants(path, entry, &self.ignores)
    }
}

/// Not there, or a file where a folder should be.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}
