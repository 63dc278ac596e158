//! Where a command runs, as its wrappers (`cd`, `env`, `--directory`) leave it; and the search for the project around a
//! folder.

use std::path::{Path, PathBuf};

use super::{FileKind, Files, Found, Surroundings, language::Language};
use crate::trigger::rules::{is_too_wide, tidy};

/// What was found, or why nothing was.
pub(super) type Roots = Result<Vec<Found>, String>;

/// Commands inside of commands: more than anybody writes by hand, and an end for scripts that call themselves.
const DEEPEST: u8 = 12;

/// Where a command runs.
#[derive(Clone)]
pub(super) struct Scene<'a> {
    pub(super) files: &'a dyn Files,
    pub(super) folder: PathBuf,
    pub(super) home: Option<&'a Path>,
    /// `PYTHONPATH`'s folders.
    pub(super) python_path: Vec<PathBuf>,
    depth: u8,
}

impl<'a> Scene<'a> {
    pub(super) fn new(surroundings: Surroundings<'a>) -> Self {
        let Surroundings { files, folder, home, python_path } = surroundings;
        let python_path = python_path.map(|path| std::env::split_paths(path).collect()).unwrap_or_default();
        Self { files, folder: tidy(folder), home, python_path, depth: 0 }
    }

    /// One command further in; none when that goes on for ever.
    pub(super) fn deeper(&self) -> Option<Self> {
        (self.depth < DEEPEST).then(|| Self { depth: self.depth + 1, ..self.clone() })
    }

    /// The same in another folder.
    pub(super) fn inside(&self, folder: Option<impl AsRef<Path>>) -> Self {
        match folder {
            Some(folder) => Self { folder: self.at(folder), ..self.clone() },
            None => self.clone(),
        }
    }

    /// The absolute path of what was written.
    pub(super) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        tidy(&self.folder.join(path))
    }

    pub(super) fn is_file(&self, path: &Path) -> bool {
        self.files.kind(path) == Some(FileKind::File)
    }

    pub(super) fn is_folder(&self, path: &Path) -> bool {
        self.files.kind(path) == Some(FileKind::Folder)
    }

    /// Whether a folder holds far more than a server's code.
    pub(super) fn is_too_wide(&self, folder: &Path) -> bool {
        is_too_wide(folder, self.home)
    }

    /// A folder and those above it that may be its project's: to the repository's top, and no too wide one.
    pub(super) fn upwards<'f>(&self, from: &'f Path) -> impl Iterator<Item = &'f Path> {
        let mut done = false;
        from.ancestors().take_while(move |folder| {
            let goes_on = !done && !self.is_too_wide(folder);
            done = self.files.kind(&folder.join(".git")).is_some();
            goes_on
        })
    }

    /// The nearest of these files, upwards from a folder.
    pub(super) fn nearest(&self, from: &Path, names: &[&str]) -> Option<PathBuf> {
        self.upwards(from).find_map(|folder| names.iter().map(|name| folder.join(name)).find(|file| self.is_file(file)))
    }

    /// The project around a folder: its sources, and its manifest. Empty when there is none.
    pub(super) fn project(&self, from: &Path, language: &Language) -> Vec<Found> {
        let Some(manifest) = self.nearest(from, language.manifests) else { return Vec::new() };
        let Some((folder, name)) = manifest.parent().zip(manifest.file_name()) else { return Vec::new() };
        let reason = format!("the project of {}", name.display());
        let sources = Found { path: folder.to_path_buf(), suffixes: language.suffixes, reason };
        let reason = "the project's manifest".to_owned();
        let others = language.also.iter().map(|name| folder.join(name)).filter(|file| self.is_file(file));
        let also: Vec<Found> =
            others.map(|path| Found { path, suffixes: &[], reason: "the project's settings".to_owned() }).collect();
        let mut found = vec![sources, Found { path: manifest.clone(), suffixes: &[], reason }];
        found.extend(also);
        found
    }

    /// A script and what it may import: its own folder, and the project around it.
    pub(super) fn script(&self, path: &Path, language: &Language) -> Vec<Found> {
        let name = path.file_name().unwrap_or(path.as_os_str()).display();
        let folder = if self.is_folder(path) { path } else { path.parent().unwrap_or(path) };
        let is_source = path.extension().is_some_and(|suffix| language.suffixes.iter().any(|own| suffix == *own));
        let mut found = Vec::new();
        if self.is_too_wide(folder) {
            let reason = format!("the script; its folder {} is too wide to be watched", folder.display());
            found.push(Found { path: path.to_path_buf(), suffixes: &[], reason });
        } else {
            let reason = format!("the folder of the script {name}");
            found.push(Found { path: folder.to_path_buf(), suffixes: language.suffixes, reason });
            if !is_source && folder != path {
                found.push(Found { path: path.to_path_buf(), suffixes: &[], reason: "the script".to_owned() });
            }
        }
        found.extend(self.project(folder, language));
        found
    }
}

/// All that was found; where nothing was, the first reason.
pub(super) fn join(roots: impl IntoIterator<Item = Roots>) -> Roots {
    let (mut found, mut reason) = (Vec::new(), None);
    for roots in roots {
        match roots {
            Ok(more) => found.extend(more),
            Err(why) => {
                reason.get_or_insert(why);
            }
        }
    }
    if found.is_empty() { Err(reason.unwrap_or_else(|| "no project is here".to_owned())) } else { Ok(found) }
}
