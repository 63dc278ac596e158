//! Which files are read: fixed places, and the nearest `mcpmon.toml` upward to the repository root.
//! It looks whether files are there; it does not read them.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::{Request, environment::CONFIG};

/// The project's file.
pub const FILE_NAME: &str = "mcpmon.toml";

/// Which layer a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// For all users of the machine.
    System,
    /// For one user.
    User,
    /// The project's, checked in.
    Project,
    /// The project's, not checked in.
    Local,
}

impl Role {
    /// A word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::User => "user",
            Self::Project => "project",
            Self::Local => "local",
        }
    }
}

/// A place where configuration may lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// What it is for.
    pub role: Role,
    /// Where.
    pub path: PathBuf,
    /// Whether there is something.
    pub exists: bool,
    /// What stands there in a file's place, in words.
    pub obstacle: Option<String>,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovered {
    /// Every place, lowest layer first. The project's own is missing where none was found.
    pub candidates: Vec<Candidate>,
    /// The folders that were searched for [`FILE_NAME`], nearest first; empty when it was named.
    pub searched: Vec<PathBuf>,
    /// Who named the file: `--config` or `MCPMON_CONFIG`.
    pub named_by: Option<&'static str>,
}

impl Discovered {
    /// The project's file.
    pub fn project(&self) -> Option<&Candidate> {
        self.candidates.iter().find(|candidate| candidate.role == Role::Project)
    }
}

/// Looks.
pub fn discover(request: &Request) -> Discovered {
    let mut candidates = vec![candidate(Role::System, request.system.clone())];
    if let Some(folder) = user_folder(request) {
        candidates.push(candidate(Role::User, folder.join("mcpmon/config.toml")));
    }
    let variable = request.environment.get(CONFIG).filter(|value| !value.is_empty()).map(PathBuf::from);
    let (named, named_by) = match (&request.config, variable) {
        (Some(path), _) => (Some(path.clone()), Some("--config")),
        (None, Some(path)) => (Some(path), Some(CONFIG)),
        (None, None) => (None, None),
    };
    let (project, searched) = match named {
        Some(path) => (Some(request.folder.join(path)), Vec::new()),
        None if request.without_project => (None, Vec::new()),
        None => search(&request.folder),
    };
    if let Some(path) = project {
        let mut project = candidate(Role::Project, path.clone());
        if named_by.is_some() {
            // Whoever named it is told so in other words.
            project = Candidate { exists: path.exists(), obstacle: None, ..project };
        }
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let local = path.with_file_name(format!("{stem}.local.toml"));
        candidates.push(project);
        candidates.push(candidate(Role::Local, local));
    }
    Discovered { candidates, searched, named_by }
}

fn candidate(role: Role, path: PathBuf) -> Candidate {
    let obstacle = obstacle(&path);
    let exists = obstacle.is_some() || path.exists();
    Candidate { role, path, exists, obstacle }
}

/// What stands in a file's place and is none, in words. Nobody who put it there meant "no file", so that it is not passed over.
pub fn obstacle(path: &Path) -> Option<String> {
    match fs::metadata(path) {
        Ok(found) => found.is_dir().then(|| "is a folder, not a file".to_owned()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let to = fs::read_link(path).ok()?;
            Some(format!("is a symbolic link to {}, which is not there", to.display()))
        }
        Err(_) => None,
    }
}

/// `$XDG_CONFIG_HOME`, which must be absolute (XDG base directories), else `~/.config`.
fn user_folder(request: &Request) -> Option<PathBuf> {
    let xdg = request.environment.get("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    xdg.or_else(|| request.home.as_ref().map(|home| home.join(".config")))
}

/// Upward to the first folder that holds the file; the last one looked at is the repository's root (it holds `.git`).
fn search(folder: &Path) -> (Option<PathBuf>, Vec<PathBuf>) {
    let mut searched = Vec::new();
    for folder in folder.ancestors() {
        let path = folder.join(FILE_NAME);
        searched.push(folder.to_owned());
        if path.is_file() || obstacle(&path).is_some() {
            return (Some(path), searched);
        }
        if folder.join(".git").exists() {
            break;
        }
    }
    (None, searched)
}
