//! A container's environment: its env files, `environment` above them, and what of it is secret.

use std::collections::BTreeMap;

use super::findings::Findings;
use crate::{
    config::{
        dotenv,
        file::{
            forms::ShortOr,
            service::EnvFile,
            target::{EnvFiles, Target as FileTarget},
        },
        problem::KeyPath,
        value::Invalid,
    },
    model::{EnvironmentValue, secret::looks_secret},
};

pub(super) fn environment(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    target: &FileTarget,
) -> BTreeMap<String, EnvironmentValue> {
    let mut environment = BTreeMap::new();
    for (at, path, required) in env_files(findings, &at.key("env_file"), target.env_file.as_ref()) {
        for (key, value) in env_file(findings, &at, &path, required) {
            environment.insert(key, EnvironmentValue { value, secret: true });
        }
    }
    for (_, key, value) in findings.pairs(&at.key("environment"), target.environment.as_ref()) {
        // A bare KEY that the host does not have is left out, as in compose.
        let value = value.or_else(|| findings.context.environment.get(&key).cloned());
        match value {
            Some(value) => {
                let secret = looks_secret(&key) || findings.context.secrets.are_in(&value);
                environment.insert(key, EnvironmentValue { value, secret });
            }
            None => {
                environment.remove(&key);
            }
        }
    }
    environment
}

/// The files, in order: where each was written, its path, and whether it must be there.
fn env_files(findings: &mut Findings<'_>, at: &KeyPath, files: Option<&EnvFiles>) -> Vec<(KeyPath, String, bool)> {
    let files = match files {
        None => Vec::new(),
        Some(EnvFiles::One(file)) => vec![(at.clone(), file)],
        Some(EnvFiles::Many(files)) => files.iter().enumerate().map(|(index, file)| (at.index(index), file)).collect(),
    };
    let mut found = Vec::new();
    for (at, file) in files {
        match file {
            ShortOr::Short(path) => found.push((at, path.to_string(), true)),
            ShortOr::Long(EnvFile { path: Some(path), required }) => {
                let required = findings.flag(&at, "required", required.as_ref()).unwrap_or(true);
                found.push((at.key("path"), path.clone(), required));
            }
            ShortOr::Long(EnvFile { path: None, .. }) => {
                findings.key_problem(at, Invalid::new("env_file needs a path"));
            }
        }
    }
    found
}

fn env_file(findings: &mut Findings<'_>, at: &KeyPath, path: &str, required: bool) -> BTreeMap<String, String> {
    let Some(absolute) = findings.path(at.clone(), path) else { return BTreeMap::new() };
    findings.inputs.push(absolute.clone());
    let context = findings.context;
    let text = match (context.read)(&absolute) {
        Ok(Some(text)) => text,
        Ok(None) => {
            if required {
                let invalid = Invalid::new(format!("the env file {} is not there", absolute.display()))
                    .help(format!("make it, or say that it may be missing: {{ path = {path:?}, required = false }}"));
                findings.problem(at.clone(), invalid);
            }
            return BTreeMap::new();
        }
        Err(why) => {
            let invalid = Invalid::new(format!("the env file {} can't be read: {why}", absolute.display()));
            findings.problem(at.clone(), invalid);
            return BTreeMap::new();
        }
    };
    match dotenv::parse(&text, &|name| context.environment.get(name).cloned()) {
        Ok(found) => {
            for name in found.unset {
                let place = absolute.display();
                findings.warnings.push(format!("{place}: the variable {name} is not set; it is taken as blank"));
            }
            found.values
        }
        Err(errors) => {
            for error in errors {
                let message = format!("{}:{}: {}", absolute.display(), error.line, error.invalid.message);
                findings.problem(at.clone(), Invalid { message, help: error.invalid.help });
            }
            BTreeMap::new()
        }
    }
}
