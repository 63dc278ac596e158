//! Programs that are not known by name: files of this project, scripts with a first line of their own, and programs that
//! are given a source file.

use std::path::{Path, PathBuf};

use super::{
    Found,
    command::{command, known},
    language::{PYTHON, TYPESCRIPT, of_file},
    python,
    scene::{Roots, Scene},
};

/// What an unknown program is made of.
pub(super) fn run(scene: &Scene<'_>, program: &str, arguments: &[String]) -> Roots {
    let is_path = program.contains('/');
    let path = if is_path { Some(scene.at(program)) } else { scene.files.program(program) };
    // What is installed for all users is nobody's work in progress.
    let own = path.filter(|path| is_path || scene.home.is_some_and(|home| path.starts_with(home)) || has_tools(path));
    let itself = own.map(|path| file(scene, path, is_path)).unwrap_or_default();
    let source = source_argument(scene, arguments).unwrap_or_default();
    if !itself.is_empty() || !source.is_empty() {
        return Ok(itself.into_iter().chain(source).collect());
    }
    let wrapped = arguments.iter().position(|word| word == "--").map(|dashes| &arguments[dashes + 1..]);
    match wrapped.filter(|words| !words.is_empty()) {
        Some(words) => command(scene, words),
        None => Err(format!("{program} is no file of this project, and none of its arguments is a source file")),
    }
}

/// A source file among the arguments: `mcp run server.py`, `fastmcp run server.py:app`, `uvicorn app.main:app`.
pub(super) fn source_argument(scene: &Scene<'_>, arguments: &[String]) -> Option<Vec<Found>> {
    arguments.iter().filter(|word| !word.starts_with('-')).find_map(|word| {
        let (name, object) = word.split_once(':').unwrap_or((word, ""));
        let path = scene.at(name);
        if let Some(language) = of_file(&path).filter(|_| scene.is_file(&path)) {
            return Some(scene.script(&path, language));
        }
        let is_name = |name: &str| name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '.');
        let is_module = !object.is_empty() && is_name(name) && is_name(object);
        if is_module { python::local_module(scene, name) } else { None }
    })
}

/// A program's own file, and what its folder tells of it; for one that was named by its path also what its first line
/// tells (one found in `PATH` is installed, not edited).
fn file(scene: &Scene<'_>, path: PathBuf, is_path: bool) -> Vec<Found> {
    let mut found = Vec::new();
    if let Some(folder) = above(&path, &[".venv", "venv"]) {
        found.extend(scene.project(folder, &PYTHON));
    } else if let Some(folder) = above(&path, &["node_modules"]) {
        found.extend(scene.project(folder, &TYPESCRIPT));
    } else if let Some(language) = of_file(&path).filter(|_| is_path) {
        found.extend(scene.script(&path, language));
    } else if is_path && let Some(words) = first_line(scene, &path) {
        let script = known(scene, &words[0], &words[1..]);
        found.extend(script.into_iter().flatten().flatten());
    }
    // Last: where it is a script in a watched folder the folder says more.
    found.push(Found { path, suffixes: &[], reason: "the program".to_owned() });
    found
}

/// The command that a script's first line makes of it.
fn first_line(scene: &Scene<'_>, path: &Path) -> Option<Vec<String>> {
    let text = scene.files.beginning(path)?;
    let line = text.strip_prefix("#!")?.lines().next()?;
    let mut words: Vec<String> = line.split_whitespace().map(ToOwned::to_owned).collect();
    words.push(path.to_str()?.to_owned());
    (words.len() > 1).then_some(words)
}

/// Whether a program found in `PATH` was installed for one project.
fn has_tools(path: &Path) -> bool {
    above(path, &[".venv", "venv", "node_modules"]).is_some()
}

/// The folder that holds a folder of such a name above the path.
fn above<'p>(path: &'p Path, names: &[&str]) -> Option<&'p Path> {
    let folder = path
        .ancestors()
        .find(|folder| folder.file_name().and_then(|name| name.to_str()).is_some_and(|name| names.contains(&name)));
    folder.and_then(Path::parent)
}
