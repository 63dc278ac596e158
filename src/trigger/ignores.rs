//! The ignore files in force: `.gitignore` of each folder, and the `.dockerignore` of each build context.
//! Pure: texts are put in by who reads them (the watcher), verdicts come out.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use ignore::{
    Match,
    gitignore::{Gitignore, GitignoreBuilder},
};

use super::{Dockerignore, Entry};

/// A snapshot of ignore files. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Ignores {
    /// By the folder the file lies in.
    git: HashMap<PathBuf, Arc<Gitignore>>,
    /// By the file's own path.
    docker: HashMap<PathBuf, Arc<Dockerignore>>,
}

/// Which folders a `.gitignore` verdict is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitScope<'a> {
    /// The path and everything above it.
    Whole,
    /// A person named this folder: only what lies below it is judged; and where the folder itself is excluded, only by
    /// the `.gitignore` files in it.
    Below(&'a Path),
}

impl Ignores {
    /// Puts in the `.gitignore` of a folder; gives the lines that could not be understood.
    pub fn put_git(&mut self, folder: &Path, text: &str) -> Vec<String> {
        let mut builder = GitignoreBuilder::new(folder);
        let mut problems = Vec::new();
        for line in text.strip_prefix('\u{feff}').unwrap_or(text).lines() {
            if let Err(error) = builder.add_line(None, line) {
                problems.push(format!("`{line}`: {error}"));
            }
        }
        match builder.build() {
            Ok(gitignore) if gitignore.is_empty() => {}
            Ok(gitignore) => {
                self.git.insert(folder.to_path_buf(), Arc::new(gitignore));
            }
            Err(error) => problems.push(error.to_string()),
        }
        problems
    }

    /// Puts in a `.dockerignore`; gives the patterns that could not be understood.
    pub fn put_docker(&mut self, file: &Path, text: &str) -> Vec<String> {
        let (ignore, problems) = Dockerignore::parse(text);
        self.docker.insert(file.to_path_buf(), Arc::new(ignore));
        problems
    }

    /// The first of these files that is there.
    pub(super) fn docker(&self, candidates: &[PathBuf]) -> Option<&Dockerignore> {
        candidates.iter().find_map(|file| self.docker.get(file)).map(AsRef::as_ref)
    }

    /// Whether `.gitignore` excludes the path, by itself or with a folder above it (git can't bring a file back out
    /// of an excluded folder).
    pub(super) fn git_excludes(&self, path: &Path, entry: Entry, scope: GitScope<'_>) -> bool {
        if self.git.is_empty() {
            return false;
        }
        // Nearest first; each judges paths below its own folder.
        let mut files: Vec<(&Path, &Gitignore)> = path
            .ancestors()
            .skip(1)
            .filter_map(|folder| self.git.get(folder).map(|file| (folder, file.as_ref())))
            .collect();
        let judged = |files: &[(&Path, &Gitignore)], path: &Path, is_folder: bool| {
            files
                .iter()
                .filter(|(folder, _)| path != *folder && path.starts_with(folder))
                .find_map(|(_, file)| match file.matched(path, is_folder) {
                    Match::None => None,
                    Match::Ignore(_) => Some(true),
                    Match::Whitelist(_) => Some(false),
                })
                .unwrap_or(false)
        };
        if let GitScope::Below(root) = scope
            && root.ancestors().any(|path| judged(&files, path, true))
        {
            files.retain(|(folder, _)| folder.starts_with(root));
        }
        let Some((top, _)) = files.last().copied() else { return false };
        path.ancestors()
            .take_while(|ancestor| {
                *ancestor != top
                    && match scope {
                        GitScope::Whole => true,
                        GitScope::Below(root) => *ancestor != root,
                    }
            })
            .any(|ancestor| {
                if ancestor != path {
                    return judged(&files, ancestor, true);
                }
                match entry {
                    Entry::File => judged(&files, path, false),
                    Entry::Folder => judged(&files, path, true),
                    // It may have been either: a removed `target` must not look like a change to `target/`.
                    Entry::Gone => judged(&files, path, false) || judged(&files, path, true),
                }
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ignores(files: &[(&str, &str)]) -> Ignores {
        let mut ignores = Ignores::default();
        for (folder, text) in files {
            assert!(ignores.put_git(Path::new(folder), text).is_empty());
        }
        ignores
    }

    #[test]
    fn nested_files_by_gits_rules() {
        let ignores = ignores(&[
            ("/r", "target/\n*.log\n/only-top\nnode_modules\n!keep.log"),
            ("/r/sub", "!special.log\nlocal.txt"),
        ]);
        let excluded = |path: &str, entry| ignores.git_excludes(Path::new(path), entry, GitScope::Whole);
        for (path, entry, expected) in [
            ("/r/a.rs", Entry::File, false),
            ("/r/a.log", Entry::File, true),
            ("/r/deep/er/a.log", Entry::File, true),
            ("/r/keep.log", Entry::File, false),
            ("/r/target/debug/x", Entry::File, true),
            ("/r/sub/target/x", Entry::File, true),
            ("/r/target", Entry::File, false),
            ("/r/target", Entry::Folder, true),
            ("/r/target", Entry::Gone, true),
            ("/r/only-top", Entry::File, true),
            ("/r/sub/only-top", Entry::File, false),
            ("/r/sub/special.log", Entry::File, false),
            ("/r/sub/other.log", Entry::File, true),
            ("/r/sub/local.txt", Entry::File, true),
            ("/r/local.txt", Entry::File, false),
            ("/r/node_modules/keep.log", Entry::File, true),
            ("/elsewhere/a.log", Entry::File, false),
        ] {
            assert_eq!(excluded(path, entry), expected, "{path} as {entry:?}");
        }
    }

    #[test]
    fn a_folder_a_person_named_is_judged_from_inside() {
        let ignores = ignores(&[("/r", "dist/\n*.map"), ("/r/dist", "cache/"), ("/r/src", "*.gen")]);
        let excluded = |path: &str, root: &str| {
            ignores.git_excludes(Path::new(path), Entry::File, GitScope::Below(Path::new(root)))
        };
        assert!(!excluded("/r/dist/app.js", "/r/dist"), "named, so watched");
        assert!(!excluded("/r/dist/app.map", "/r/dist"), "what excluded the folder has no say in it");
        assert!(excluded("/r/dist/cache/x", "/r/dist"), "its own file has");
        assert!(excluded("/r/src/app.map", "/r/src"), "a folder that is not excluded obeys the files above it");
        assert!(excluded("/r/src/x.gen", "/r/src"));
        assert!(excluded("/r/dist/app.js", "/r"), "named was the folder above");
    }
}
