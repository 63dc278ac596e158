//! Names that never mean a change a person made. A short list on purpose: everything else belongs into
//! `watch.ignore` or an ignore file.

use std::path::{Component, Path};

/// Folders whose content never counts: version control, and what an interpreter writes beside the source when it
/// merely runs (a Python server with its source mounted would otherwise reload itself for ever).
const FOLDERS: &[&str] = &[".git", ".hg", ".svn", ".jj", "__pycache__"];

/// Folders that tools fill: dependencies, environments, builds and caches.
const MADE: &[&str] = &[
    "node_modules",
    "bower_components",
    "target",
    ".venv",
    "venv",
    ".tox",
    ".nox",
    ".eggs",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".gradle",
    ".next",
    ".turbo",
    ".yarn",
    "site-packages",
];

/// Files editors and file managers make around a save.
const FILES: &[&str] = &[
    "4913",      // vim tests whether it may write here
    ".DS_Store", // Finder
];

/// Beginnings of such names.
const PREFIXES: &[&str] = &[
    ".#",              // Emacs locks
    ".goutputstream-", // GLib's save
    ".nfs",            // a deleted file that is still open
];

/// Ends of such names.
const SUFFIXES: &[&str] = &[
    "~",            // backups (vim, Emacs, gedit)
    ".swp",         // vim
    ".swo",         // vim
    ".swx",         // vim
    ".swpx",        // vim
    ".kate-swp",    // Kate
    "___jb_tmp___", // JetBrains' save
    "___jb_old___", // JetBrains' save
    ".pyc",         // Python 2 wrote them beside the source
];

/// Whether a path below a watched root (given relative to it) is noise.
pub fn is_noise(relative: &Path) -> bool {
    let mut components = relative.components().peekable();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else { continue };
        let Some(name) = name.to_str() else { continue };
        if FOLDERS.contains(&name) || (components.peek().is_none() && is_noise_file(name)) {
            return true;
        }
    }
    false
}

/// Whether a path below a watched root (given relative to it) lies in what tools fill. A person who mounts or names such
/// a folder means it; nobody means it who only starts a program beside it.
pub fn is_made(relative: &Path) -> bool {
    relative.components().any(|component| component.as_os_str().to_str().is_some_and(|name| MADE.contains(&name)))
}

fn is_noise_file(name: &str) -> bool {
    FILES.contains(&name)
        || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        || SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
        || (name.len() > 1 && name.starts_with('#') && name.ends_with('#')) // Emacs auto-save
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_leavings_are_noise_and_sources_are_not() {
        let noise = [
            ".git",
            ".git/index",
            "a/.git/HEAD",
            "src/.main.rs.swp",
            "4913",
            "a/4913",
            "main.py~",
            ".#main.py",
            "#main.py#",
            "main.rs___jb_tmp___",
            "src/__pycache__/main.cpython-312.pyc",
            "src/__pycache__",
            ".DS_Store",
        ];
        for path in noise {
            assert!(is_noise(Path::new(path)), "{path} should be noise");
        }
        for path in ["src/main.rs", ".gitignore", ".github/x.yml", "git", "#", "4913/main.py", "a~/b.py", ".env"] {
            assert!(!is_noise(Path::new(path)), "{path} should count");
        }
    }
}
