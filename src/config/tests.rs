//! The layers together, on real folders. Here is what the tests share.

use std::{collections::BTreeMap, fs};

use super::{
    command_line::parse_key,
    diagnostics::report,
    load::{Layered, layered},
    *,
};

mod errors;
mod faults;
mod layers;
mod origins;
mod secrets;
mod variables;

/// A project in a folder of its own.
struct Project {
    folder: tempfile::TempDir,
    request: Request,
}

impl Project {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let request = Request {
            folder: folder.path().join("project"),
            home: Some(folder.path().join("home")),
            system: folder.path().join("etc/config.toml"),
            ..Request::default()
        };
        Self { folder, request }.file("project/mcpmon.toml", text).file("project/.git/HEAD", "")
    }

    fn file(self, path: &str, text: &str) -> Self {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn variables(mut self, variables: &[(&str, &str)]) -> Self {
        self.request.environment.extend(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        self
    }

    fn set(mut self, assignments: &[&str]) -> Self {
        self.request.set = assignments.iter().map(|text| (*text).into()).collect();
        self
    }

    fn profiles(mut self, names: &[&str]) -> Self {
        self.request.profiles = names.iter().map(|text| (*text).into()).collect();
        self
    }

    fn read(&self) -> Layered {
        layered(&self.request).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The value of a key as JSON.
    fn get(&self, key: &str) -> String {
        let layered = self.read();
        let errors = report(&layered.merged.layers, layered.findings.clone(), Vec::new(), false);
        assert!(layered.findings.is_empty(), "{errors}");
        json(&layered, key)
    }

    /// What a person reads.
    fn errors(&self) -> String {
        let text = match layered(&self.request) {
            Err(error) => error.message,
            Ok(layered) => {
                assert!(!layered.findings.is_empty(), "there is no error");
                report(&layered.merged.layers, layered.findings, layered.context.warnings, false).message
            }
        };
        text.replace(self.folder.path().to_str().unwrap(), "FOLDER")
    }

    /// Everything, up to the settings.
    fn load(&self) -> Loaded {
        load(&self.request).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What a person reads when the settings can't be made.
    fn load_errors(&self) -> String {
        let error = load(&self.request).unwrap_err();
        error.message.replace(self.folder.path().to_str().unwrap(), "FOLDER")
    }

    fn warnings(&self) -> Vec<String> {
        self.read().context.warnings
    }
}

fn json(layered: &Layered, key: &str) -> String {
    let path = parse_key(key).unwrap_or_else(|| panic!("{key}"));
    let mut value = &layered.values;
    for segment in &path.0 {
        let next = match (value, segment) {
            (figment::value::Value::Dict(_, dict), problem::Segment::Key(key)) => dict.get(key),
            (figment::value::Value::Array(_, items), problem::Segment::Index(index)) => items.get(*index),
            _ => None,
        };
        match next {
            Some(next) => value = next,
            None => return "nothing".into(),
        }
    }
    serde_json::to_string(value).unwrap()
}

const API: &str = "[targets.api]\nimage = 'a:1'\n";
