//! Reading one value at one key: what is wrong is noted under that key, and resolving goes on, so that all problems are told
//! at once. A stand-in that is returned after a problem never leaves [`super::resolve`].

use std::path::{Component, Path, PathBuf};

use super::Context;
use crate::config::{
    file::{
        forms::{ListOr, StringOr},
        scalar::{Duration, Flag, Integer, Number, Scalar, Size},
    },
    nearest::did_you_mean,
    problem::{KeyPath, Problem, Segment},
    value::{self, Invalid},
};

/// What was found on the way.
pub(super) struct Findings<'a> {
    pub(super) context: &'a Context<'a>,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<String>,
    pub(super) inputs: Vec<PathBuf>,
}

impl<'a> Findings<'a> {
    pub(super) fn new(context: &'a Context<'a>) -> Self {
        Self { context, problems: Vec::new(), warnings: context.warnings.clone(), inputs: context.inputs.clone() }
    }

    /// Something wrong with the value at `path`.
    pub(super) fn problem(&mut self, path: KeyPath, invalid: Invalid) {
        self.problems.push(invalid.at(path));
    }

    /// Something wrong with the key itself.
    pub(super) fn key_problem(&mut self, path: KeyPath, invalid: Invalid) {
        self.problems.push(Problem { at_key: true, ..invalid.at(path) });
    }

    /// The value, or None after noting what is wrong.
    pub(super) fn noted<T>(&mut self, path: KeyPath, result: Result<T, Invalid>) -> Option<T> {
        result.map_err(|invalid| self.problem(path, invalid)).ok()
    }

    pub(super) fn flag(&mut self, at: &KeyPath, key: &str, value: Option<&Flag>) -> Option<bool> {
        let value = match &value?.0 {
            Scalar::Bool(value) => Ok(*value),
            other => match other.to_string().trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Ok(true),
                "false" | "no" | "off" | "0" => Ok(false),
                text => Err(Invalid::new(format!("{text:?} is not a boolean")).help("true or false")),
            },
        };
        self.noted(at.key(key), value)
    }

    /// A whole number within bounds.
    pub(super) fn integer<T>(&mut self, at: &KeyPath, key: &str, value: Option<&Integer>) -> Option<T>
    where
        T: TryFrom<i64>,
    {
        let number = value::whole::parse(&value?.to_string(), key);
        self.noted(at.key(key), number)
    }

    pub(super) fn number(&mut self, at: &KeyPath, key: &str, value: Option<&Number>) -> Option<f64> {
        let number = value::number::parse(&value?.to_string());
        self.noted(at.key(key), number)
    }

    pub(super) fn size(&mut self, at: &KeyPath, key: &str, value: Option<&Size>) -> Option<u64> {
        let size = value::size::parse(&value?.to_string());
        self.noted(at.key(key), size)
    }

    pub(super) fn duration(
        &mut self,
        at: &KeyPath,
        key: &str,
        value: Option<&Duration>,
    ) -> Option<std::time::Duration> {
        let duration = value::duration::parse(&value?.0);
        self.noted(at.key(key), duration)
    }

    /// A duration above zero.
    pub(super) fn positive_duration(
        &mut self,
        at: &KeyPath,
        key: &str,
        value: Option<&Duration>,
    ) -> Option<std::time::Duration> {
        let duration = self.duration(at, key, value)?;
        if duration.is_zero() {
            self.problem(at.key(key), Invalid::new(format!("{key} must be longer than 0")));
            return None;
        }
        Some(duration)
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(
        &mut self,
        at: &KeyPath,
        key: &str,
        value: Option<&String>,
        words: &[(&str, T)],
    ) -> Option<T> {
        let text = value?;
        let found = words.iter().find(|(word, _)| word == text).map(|(_, meaning)| *meaning);
        let wrong = || {
            let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let help =
                did_you_mean(text, known.iter().copied()).unwrap_or_else(|| format!("one of {}", known.join(", ")));
            Invalid::new(format!("{text:?} is not known for {key}")).help(help)
        };
        self.noted(at.key(key), found.ok_or_else(wrong))
    }

    /// Text that must not be empty.
    pub(super) fn text(&mut self, at: &KeyPath, key: &str, value: Option<&String>) -> Option<String> {
        let text = value?;
        if text.trim().is_empty() {
            self.problem(at.key(key), Invalid::new(format!("{key} is empty")).help("give it a value, or leave it out"));
            return None;
        }
        Some(text.clone())
    }

    /// What the lowest layer always sets; where it is missing, somebody cleared it.
    pub(super) fn needed<T: Default>(&mut self, at: &KeyPath, key: &str, raw: bool, value: Option<T>) -> T {
        if !raw {
            self.problem(at.key(key), Invalid::new(format!("{key} has no value")));
        }
        value.unwrap_or_default()
    }

    /// A path of the host, absolute: `~/` is the home folder, all else is relative to the file's folder.
    pub(super) fn path(&mut self, at: KeyPath, text: &str) -> Option<PathBuf> {
        let path = absolute(text, &self.context.folder, self.context.home.as_deref());
        self.noted(at, path)
    }

    pub(super) fn paths(&mut self, at: &KeyPath, value: Option<&StringOr<String>>) -> Vec<PathBuf> {
        let strings = strings(at, value);
        strings.into_iter().filter_map(|(at, text)| self.listed_path(at, &text)).collect()
    }

    /// A path in a list.
    pub(super) fn listed_path(&mut self, at: KeyPath, text: &str) -> Option<PathBuf> {
        if self.meant_to_append(&at, text, "./+") { None } else { self.path(at, text) }
    }

    /// The first item of a list that begins with `+`: in a variable that appends, in a file it would be a part of the name.
    /// `plain`: how such a name is written if it is meant.
    fn meant_to_append(&mut self, at: &KeyPath, text: &str, plain: &str) -> bool {
        let rest = text.strip_prefix('+').filter(|rest| !rest.is_empty());
        let first = !matches!(at.0.last(), Some(Segment::Index(index)) if *index > 0);
        let Some(rest) = rest.filter(|_| first) else { return false };
        let invalid = Invalid::new(format!("{text:?} begins with +")).help(format!(
            "to append to the list below, write [\"+\", {rest:?}]; a name that begins with + is written \"{plain}{rest}\""
        ));
        self.problem(at.clone(), invalid);
        true
    }

    /// Globs that compile.
    pub(super) fn globs(&mut self, at: &KeyPath, value: Option<&StringOr<String>>) -> Vec<String> {
        let mut globs = Vec::new();
        for (at, glob) in strings(at, value) {
            if self.meant_to_append(&at, &glob, "[+]") {
                continue;
            }
            let checked = value::glob::check(&glob);
            globs.extend(self.noted(at, checked).map(|()| glob));
        }
        globs
    }

    /// A command line: a list as it is, a string split into words.
    pub(super) fn words(&mut self, at: &KeyPath, key: &str, value: Option<&StringOr<String>>) -> Option<Vec<String>> {
        match value? {
            StringOr::Many(words) => Some(words.clone()),
            StringOr::One(line) => {
                let words = value::words::parse(line);
                self.noted(at.key(key), words)
            }
        }
    }

    /// `KEY=value` pairs of a table or a list, each with its key's path; None for a bare `KEY` of a list.
    pub(super) fn pairs(
        &mut self,
        at: &KeyPath,
        value: Option<&ListOr<Scalar>>,
    ) -> Vec<(KeyPath, String, Option<String>)> {
        let pairs: Vec<_> = match value {
            None => Vec::new(),
            Some(ListOr::Table(table)) => {
                table.iter().map(|(key, value)| (at.key(key), key.clone(), Some(value.to_string()))).collect()
            }
            Some(ListOr::List(list)) => list
                .iter()
                .enumerate()
                .map(|(index, item)| {
                    let text = item.to_string();
                    match text.split_once('=') {
                        Some((key, value)) => (at.index(index), key.to_owned(), Some(value.to_owned())),
                        None => (at.index(index), text, None),
                    }
                })
                .collect(),
        };
        let (good, bad): (Vec<_>, Vec<_>) =
            pairs.into_iter().partition(|(_, key, _)| !key.trim().is_empty() && !key.contains(['=', '\0']));
        for (path, ..) in bad {
            self.problem(path, Invalid::new("a name is missing, or holds =").help("write KEY=value"));
        }
        good
    }

    /// Labels; `mcpmon.*` is refused.
    pub(super) fn labels(
        &mut self,
        at: &KeyPath,
        value: Option<&ListOr<Scalar>>,
    ) -> std::collections::BTreeMap<String, String> {
        let mut labels = std::collections::BTreeMap::new();
        for (path, key, value) in self.pairs(at, value) {
            if key.starts_with(crate::model::labels::PREFIX) {
                let invalid = Invalid::new(format!("the label {key} is mcpmon's own"))
                    .help("mcpmon.* says who owns a container; choose another name");
                self.key_problem(path, invalid);
            } else {
                labels.insert(key, value.unwrap_or_default());
            }
        }
        labels
    }
}

/// The strings of a value, each with its path.
pub(super) fn strings(at: &KeyPath, value: Option<&StringOr<String>>) -> Vec<(KeyPath, String)> {
    match value {
        None => Vec::new(),
        Some(StringOr::One(text)) => vec![(at.clone(), text.clone())],
        Some(StringOr::Many(list)) => {
            list.iter().enumerate().map(|(index, text)| (at.index(index), text.clone())).collect()
        }
    }
}

/// `text` as an absolute path, without `.` and `..` as far as they can be taken out by name.
pub(super) fn absolute(text: &str, folder: &Path, home: Option<&Path>) -> Result<PathBuf, Invalid> {
    if text.is_empty() {
        return Err(Invalid::new("the path is empty"));
    }
    let joined = match text.strip_prefix('~') {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            let home =
                home.ok_or_else(|| Invalid::new(format!("{text:?}: the home folder is not known")).help("set HOME"))?;
            if home.to_str().is_none() {
                return Err(Invalid::new(format!("the home folder {} has a name that is not UTF-8", home.display()))
                    .help("engines take no other names: write a path without ~"));
            }
            home.join(rest.trim_start_matches('/'))
        }
        _ => folder.join(text),
    };
    let mut path = PathBuf::new();
    for component in joined.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                path.pop();
            }
            other => path.push(other),
        }
    }
    Ok(path)
}

/// A name that the engine takes for a container, a network or a volume.
pub(super) fn engine_name(name: &str) -> Result<(), Invalid> {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|c| c.is_ascii_alphanumeric());
    let rest = characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-'));
    if first && rest {
        return Ok(());
    }
    Err(Invalid::new(format!("{name:?} can't be a name"))
        .help("letters, digits, _ . and -; the first a letter or digit"))
}
