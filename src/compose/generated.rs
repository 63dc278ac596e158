//! The file that mcpmon adds as the last `-f`: labels for services, and what a target overrides. JSON, which is YAML.
//! It is this user's alone and gone when dropped: it may hold secrets.
//!
//! Compose merges labels key by key, whether they are written as a list or as a map, so the users' own stay. Relative
//! paths in it are relative to the project directory (the first file's folder), wherever it lies itself.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use crate::{
    error::{Error, Result},
    model::labels::PREFIX,
    session::private_folder::PrivateFolder,
};

/// Labels by service.
pub type ServiceLabels = BTreeMap<String, BTreeMap<String, String>>;

/// The text: `overrides` as it is (compose fills in its `${…}`), and the labels, which compose takes letter by letter.
/// A label of `overrides` with one of mcpmon's keys is dropped.
pub fn text(overrides: &Map<String, Value>, labels: &ServiceLabels) -> String {
    text_with_networks(overrides, labels, &ServiceLabels::new())
}

/// The same, with labels for networks too.
pub fn text_with_networks(
    overrides: &Map<String, Value>,
    services: &ServiceLabels,
    networks: &ServiceLabels,
) -> String {
    let mut file = overrides.clone();
    add(&mut file, "services", services);
    add(&mut file, "networks", networks);
    Value::Object(file).to_string()
}

fn add(file: &mut Map<String, Value>, section: &str, labels: &ServiceLabels) {
    if labels.is_empty() {
        return;
    }
    let mut entries = table(file.remove(section));
    for (name, labels) in labels {
        let mut entry = table(entries.remove(name));
        let own = labels.iter().map(|(key, value)| (key.clone(), Value::String(literal(value))));
        let all: Map<String, Value> = users(entry.remove("labels")).chain(own).collect();
        entry.insert("labels".into(), Value::Object(all));
        entries.insert(name.clone(), Value::Object(entry));
    }
    file.insert(section.into(), Value::Object(entries));
}

/// The same text where compose fills in variables.
pub fn literal(text: &str) -> String {
    text.replace('$', "$$")
}

/// Only a table can stand there: anything else gives way.
fn table(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(table)) => table,
        _ => Map::new(),
    }
}

/// A user's labels, in map or list form, without mcpmon's keys.
fn users(given: Option<Value>) -> impl Iterator<Item = (String, Value)> {
    let labels: Vec<(String, Value)> = match given {
        Some(Value::Object(map)) => map.into_iter().collect(),
        Some(Value::Array(list)) => list
            .into_iter()
            .filter_map(|label| {
                let label = label.as_str()?;
                let (key, value) = label.split_once('=').unwrap_or((label, ""));
                Some((key.to_owned(), Value::String(value.to_owned())))
            })
            .collect(),
        _ => Vec::new(),
    };
    labels.into_iter().filter(|(key, _)| !key.starts_with(PREFIX))
}

/// The file on disk, until it is dropped.
#[derive(Debug)]
pub struct GeneratedFile {
    path: PathBuf,
    /// Goes with it.
    _folder: PrivateFolder,
}

impl GeneratedFile {
    /// Writes a file of this user's alone, in a new folder of this process in `parent`.
    ///
    /// # Errors
    /// It can't be written there.
    pub fn write(parent: &Path, text: &str) -> Result<Self> {
        let folder = PrivateFolder::in_folder(parent)?;
        let path = folder.path().join("mcpmon.compose.json");
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        match written {
            Ok(()) => Ok(Self { path, _folder: folder }),
            Err(error) => Err(Error::failed(format!("{} can't be written", path.display()))
                .caused_by(error)
                .hint("set TMPDIR to a folder that you can write to")),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use serde_json::json;

    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn made(overrides: Value, labels: &ServiceLabels) -> Value {
        let Value::Object(overrides) = overrides else { panic!("{overrides}") };
        serde_json::from_str(&text(&overrides, labels)).unwrap()
    }

    #[test]
    fn labels_stand_beside_what_is_overridden() {
        let ours = ServiceLabels::from([("web".into(), labels(&[("mcpmon.pid", "1"), ("mcpmon.config", "a$b")]))]);
        let own = json!({"mcpmon.pid": "1", "mcpmon.config": "a$$b"});
        let with = |more: Value| {
            let mut all = more;
            all.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
            all
        };
        let cases = [
            (json!({}), json!({"services": {"web": {"labels": own}}})),
            (
                json!({"services": {"web": {"image": "${A}"}, "db": {}}, "x-a": 1}),
                json!({"services": {"web": {"image": "${A}", "labels": own}, "db": {}}, "x-a": 1}),
            ),
            (
                json!({"services": {"web": {"labels": {"team": "${T}", "mcpmon.pid": "9"}}}}),
                json!({"services": {"web": {"labels": with(json!({"team": "${T}"}))}}}),
            ),
            (
                json!({"services": {"web": {"labels": ["team=x=y", "bare", "mcpmon.other=1"]}}}),
                json!({"services": {"web": {"labels": with(json!({"team": "x=y", "bare": ""}))}}}),
            ),
        ];
        for (overrides, expected) in cases {
            assert_eq!(made(overrides.clone(), &ours), expected, "{overrides}");
            assert_eq!(made(overrides.clone(), &ServiceLabels::new()), overrides, "nothing of ours: as it is");
        }
    }

    #[test]
    fn it_is_the_users_alone_and_goes_when_dropped() {
        let parent = tempfile::tempdir().unwrap();
        let file = GeneratedFile::write(parent.path(), "{}").unwrap();
        assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "{}");
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(file.path()), mode(file.path().parent().unwrap())), (0o600, 0o700));
        drop(file);
        assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 0);
        let nowhere = GeneratedFile::write(&parent.path().join("none"), "{}").unwrap_err();
        assert!(nowhere.to_string().contains("none"), "{nowhere}");
    }
}
