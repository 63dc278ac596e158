//! The files that a project is read from: an edit of one is planned, not reloaded. Compose does not tell which files
//! were included, extended or taken variables from, so every word of a compose file that names a file beside it counts:
//! one too many is read for nothing, one too few would be an edit that nobody notices.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{compose::discover::Discovered, trigger::rules::tidy};

/// How deep files may name files.
const DEEPEST: usize = 8;

/// All of them; also those that are not there and would count if they were.
pub(super) fn inputs(found: &Discovered, read: &dyn Fn(&Path) -> Option<String>) -> BTreeSet<PathBuf> {
    let mut inputs: BTreeSet<PathBuf> =
        found.files.iter().chain(&found.env_files).chain(&found.candidates).cloned().collect();
    let mut files: Vec<(PathBuf, usize)> = found.files.iter().map(|file| (file.clone(), 0)).collect();
    while let Some((file, depth)) = files.pop() {
        let Some(text) = read(&file) else { continue };
        let folders: BTreeSet<&Path> = [file.parent().unwrap_or(&file), found.directory.as_path()].into();
        for word in words(&text) {
            for folder in &folders {
                let path = tidy(&folder.join(word));
                if inputs.contains(&path) || read(&path).is_none() {
                    continue;
                }
                let is_compose = path.extension().is_some_and(|suffix| suffix == "yml" || suffix == "yaml");
                if is_compose && depth < DEEPEST {
                    files.push((path.clone(), depth + 1));
                }
                inputs.insert(path);
            }
        }
    }
    inputs
}

/// What could be a file's name.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let words = lines.flat_map(|line| line.split(|c: char| c.is_whitespace() || "\"'[]{},".contains(c)));
    words.filter(|word| word.contains(['.', '/']) && !word.contains(['$', ':']) && word.len() < 200)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_that_are_named_are_found() {
        let there = [
            ("/p/compose.yaml", "include: [sub/inc.yml]\nservices:\n  a:\n    env_file: ./a.env # b.env\n"),
            ("/p/sub/inc.yml", "services: {b: {extends: {file: base.yaml, service: x}, image: a/b:1.2}}"),
            ("/p/sub/base.yaml", "services: {x: {env_file: [\"x.env\", {path: nowhere.env}]}}"),
            ("/p/sub/x.env", ""),
            ("/p/a.env", ""),
            ("/p/b.env", ""),
            ("/p/other.env", ""),
        ];
        let read =
            |path: &Path| there.iter().find(|(there, _)| Path::new(there) == path).map(|(_, text)| (*text).into());
        let found = Discovered {
            files: vec!["/p/compose.yaml".into()],
            env_files: vec!["/p/.env".into()],
            directory: "/p".into(),
            ..Discovered::default()
        };
        let inputs = inputs(&found, &read);
        let expected = [
            "/p/.env",
            "/p/a.env",
            "/p/b.env",
            "/p/compose.yaml",
            "/p/sub/base.yaml",
            "/p/sub/inc.yml",
            "/p/sub/x.env",
        ];
        assert_eq!(inputs.iter().map(|path| path.to_str().expect("UTF-8")).collect::<Vec<_>>(), expected);
    }
}
