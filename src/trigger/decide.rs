//! What one change means: for each target nothing, or an action; and which folders can be left out of
//! watching altogether. The order of the rules is told in [`crate::trigger`].

use std::{ffi::OsStr, path::Path};

use super::{
    Entry, Ignores, Rules, TargetRules,
    ignores::GitScope,
    noise::is_noise,
    rules::{Explicit, Origin, Root},
};
use crate::model::{settings::WatchAction, target::Bind};

impl Rules {
    /// The targets a change concerns, and what it does to each.
    pub fn hits<'a>(
        &'a self,
        path: &'a Path,
        entry: Entry,
        ignores: &'a Ignores,
    ) -> impl Iterator<Item = (&'a TargetRules, WatchAction)> {
        let targets = if self.is_never(path) { &[] } else { self.targets.as_slice() };
        targets.iter().filter_map(move |target| {
            let action = target.action(path, entry, ignores, self.inputs.contains(path))?;
            Some((target, action))
        })
    }

    /// Whether a change of this path concerns any target.
    pub fn wants(&self, path: &Path, entry: Entry, ignores: &Ignores) -> bool {
        self.hits(path, entry, ignores).next().is_some()
    }

    /// Whether anything in this folder can concern any target. Only true for folders in (or equal to) a root.
    pub fn wants_folder(&self, folder: &Path, ignores: &Ignores) -> bool {
        !self.is_never(folder) && self.targets.iter().any(|target| target.wants_folder(folder, ignores))
    }

    /// What `auto` found and `.gitignore` excludes as a whole, with the target: worth saying once.
    pub fn left_out<'a>(&'a self, ignores: &'a Ignores) -> impl Iterator<Item = (&'a TargetRules, &'a Path)> {
        self.targets.iter().filter(|target| target.git).flat_map(move |target| {
            let binds = target.roots.iter().filter(|root| root.origin == Origin::Bind);
            binds
                .filter(|root| ignores.git_excludes(&root.path, Entry::Folder, GitScope::Whole))
                .filter(|root| !target.wants_folder(&root.path, ignores))
                .map(move |root| (target, root.path.as_path()))
        })
    }

    fn is_never(&self, path: &Path) -> bool {
        self.never.iter().any(|never| path.starts_with(never))
    }
}

impl TargetRules {
    /// What reloading this target does when nobody knows which files changed.
    pub fn strongest(&self) -> Option<WatchAction> {
        let explicit = self.explicit.iter().map(|rule| rule.action);
        let by_place = match &self.build {
            Some(_) => WatchAction::Rebuild,
            None => WatchAction::Restart,
        };
        explicit.chain((!self.roots.is_empty()).then_some(by_place)).max()
    }

    fn action(&self, path: &Path, entry: Entry, ignores: &Ignores, is_input: bool) -> Option<WatchAction> {
        self.explicit_action(path, entry, ignores, is_input).or_else(|| {
            let passing = |root: &&Root| self.passes(root, path, entry, ignores, is_input);
            self.roots.iter().any(|root| passing(&root)).then(|| self.action_by_place(path, ignores))
        })
    }

    fn explicit_action(&self, path: &Path, entry: Entry, ignores: &Ignores, is_input: bool) -> Option<WatchAction> {
        let matching = self.explicit.iter().filter(|rule| {
            let Ok(relative) = path.strip_prefix(&rule.path) else { return false };
            if relative.as_os_str().is_empty() {
                return true;
            }
            // A folder that went away took files with it that nobody can name any more.
            let included = entry == Entry::Folder || rule.include.is_empty() || rule.include.excludes(relative);
            !is_input
                && included
                && !is_noise(relative)
                && !rule.ignore.excludes(relative)
                && !self.is_ignored(path, &rule.path, entry)
                && !self.docker_excludes(path, ignores)
        });
        matching.map(|rule| rule.action).max()
    }

    /// Whether a change under a root counts at all.
    fn passes(&self, root: &Root, path: &Path, entry: Entry, ignores: &Ignores, is_input: bool) -> bool {
        let Ok(relative) = path.strip_prefix(&root.path) else { return false };
        if relative.as_os_str().is_empty() {
            // The root itself: a file that was named, or a folder that went away. Who runs in it is told by a restart.
            return match root.origin {
                Origin::Named | Origin::BuildFile | Origin::Command => true,
                Origin::Bind | Origin::Context => {
                    !is_input && !self.git_excludes(root, path, entry, ignores) && !self.rule_ignores(root, path)
                }
            };
        }
        !is_input
            && !self.rule_ignores(root, path)
            && !root.is_noise(relative)
            && (entry == Entry::Folder || self.has_extension(root, path))
            && !self.is_ignored(path, &root.path, entry)
            && !self.git_excludes(root, path, entry, ignores)
            && !(root.origin == Origin::Context && self.docker_excludes(path, ignores))
    }

    /// Whether a `develop.watch` rule ignores what `auto` would take for a change.
    fn rule_ignores(&self, root: &Root, path: &Path) -> bool {
        let ignores = |rule: &Explicit| path.strip_prefix(&rule.path).is_ok_and(|path| rule.ignore.excludes(path));
        root.is_by_place() && self.explicit.iter().any(ignores)
    }

    fn rule_ignores_folder(&self, root: &Root, folder: &Path) -> bool {
        let ignores =
            |rule: &Explicit| folder.strip_prefix(&rule.path).is_ok_and(|path| rule.ignore.excludes_folder(path));
        root.is_by_place() && self.explicit.iter().any(ignores)
    }

    fn action_by_place(&self, path: &Path, ignores: &Ignores) -> WatchAction {
        let depth = |root: &Path| root.components().count();
        let bind = self.nearest_bind(path).map(|bind| depth(&bind.path));
        let context = self.build.as_ref().and_then(|context| {
            if context.files.iter().any(|file| file == path) {
                return Some(usize::MAX);
            }
            let covers = path.starts_with(&context.path) && !self.docker_excludes(path, ignores);
            covers.then(|| depth(&context.path))
        });
        // `None` is less than any depth; on a tie the bind mount wins.
        if context > bind { WatchAction::Rebuild } else { WatchAction::Restart }
    }

    /// Whether the target's own server can have changed this.
    pub(super) fn may_write(&self, path: &Path) -> bool {
        self.nearest_bind(path).is_some_and(|bind| !bind.read_only)
    }

    fn nearest_bind(&self, path: &Path) -> Option<&Bind> {
        let around = self.binds.iter().filter(|bind| path.starts_with(&bind.path));
        around.max_by_key(|bind| bind.path.components().count())
    }

    fn wants_folder(&self, folder: &Path, ignores: &Ignores) -> bool {
        let wanted_below = |top: &Path, relative: &Path| {
            relative.as_os_str().is_empty() || !(is_noise(relative) || self.is_ignored(folder, top, Entry::Folder))
        };
        let explicit = self.explicit.iter().any(|rule| {
            let Ok(relative) = folder.strip_prefix(&rule.path) else { return false };
            wanted_below(&rule.path, relative)
                && !rule.ignore.excludes_folder(relative)
                && !self.docker_excludes_folder(folder, ignores)
        });
        explicit
            || self.roots.iter().any(|root| {
                let Ok(relative) = folder.strip_prefix(&root.path) else { return false };
                let docker_excludes = || root.origin == Origin::Context && self.docker_excludes_folder(folder, ignores);
                wanted_below(&root.path, relative)
                    && !self.rule_ignores_folder(root, folder)
                    && (relative.as_os_str().is_empty() || !root.is_noise(relative))
                    && !self.git_excludes(root, folder, Entry::Folder, ignores)
                    && !docker_excludes()
            })
    }

    fn git_excludes(&self, root: &Root, path: &Path, entry: Entry, ignores: &Ignores) -> bool {
        let scope = match root.origin {
            Origin::Named | Origin::Command => GitScope::Below(&root.path),
            Origin::Bind | Origin::Context => GitScope::Whole,
            Origin::BuildFile => return false,
        };
        self.git && ignores.git_excludes(path, entry, scope)
    }

    fn docker_excludes(&self, path: &Path, ignores: &Ignores) -> bool {
        self.docker_ignore(path, ignores).is_some_and(|(ignore, relative)| ignore.excludes(relative))
    }

    fn docker_excludes_folder(&self, path: &Path, ignores: &Ignores) -> bool {
        self.docker_ignore(path, ignores).is_some_and(|(ignore, relative)| ignore.excludes_folder(relative))
    }

    fn docker_ignore<'a>(&self, path: &'a Path, ignores: &'a Ignores) -> Option<(&'a super::Dockerignore, &'a Path)> {
        let context = self.build.as_ref()?;
        let relative = path.strip_prefix(&context.path).ok()?;
        Some((ignores.docker(&context.ignore_files)?, relative))
    }

    /// `watch.ignore`: the path or a folder between it and the root matches.
    fn is_ignored(&self, path: &Path, root: &Path, entry: Entry) -> bool {
        if self.ignore.is_empty() {
            return false;
        }
        let is_folder = |ancestor: &Path| ancestor != path || entry == Entry::Folder;
        path.ancestors().take_while(|ancestor| *ancestor != root).any(|ancestor| {
            self.ignore.matched(ancestor, is_folder(ancestor)).is_ignore()
                || (entry == Entry::Gone && ancestor == path && self.ignore.matched(ancestor, true).is_ignore())
        })
    }

    fn has_extension(&self, root: &Root, path: &Path) -> bool {
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let ends = |suffix: &str| name.strip_suffix(suffix).is_some_and(|stem| stem.ends_with('.'));
        if !self.extensions.is_empty() {
            return self.extensions.iter().any(|suffix| ends(suffix));
        }
        root.suffixes.is_empty() || root.suffixes.iter().any(|suffix| ends(suffix))
    }
}
