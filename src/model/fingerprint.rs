//! The config hash and the field-by-field memory of a container spec, both kept as labels.
//! Pure. Secrets leave here only as short fingerprints.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    RunTarget, ServiceTarget,
    secret::{MASK, looks_secret},
};

/// The build beside the spec's own fields.
const BUILD: &str = "build";

/// A field that differs between two specs, as text for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldChange {
    /// compose-spec name, nested with dots: `environment.LOG_LEVEL`.
    pub field: String,
    /// The container's value; none = it has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old: Option<String>,
    /// The value asked for; none = it goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new: Option<String>,
}

/// The hash that tells whether a container is what the file asks for: SHA-256 over the spec, 32 hex digits.
/// What a container does not consist of (build, depends_on, watch) is not in it; images are compared by id, and builds by
/// a hash of their own.
pub fn config_hash<T: Serialize>(spec: &T) -> String {
    digest(serde_json::to_string(spec).unwrap_or_default().as_bytes(), 16)
}

/// The spec as it is kept in a label: JSON, each secret replaced by a fingerprint of it. With the build, so that a plan can
/// show what differs of it.
pub fn remember(run: &RunTarget) -> String {
    masked(run).to_string()
}

/// What differs between a remembered spec and the one asked for now. A label that can't be read
/// (another version's) gives no fields: the hash alone then says that something differs.
pub fn differences(remembered: &str, run: &RunTarget) -> Vec<FieldChange> {
    let mut new = masked(run);
    let knows_build = serde_json::from_str::<Value>(remembered).is_ok_and(|old| old.get(BUILD).is_some());
    if let Value::Object(fields) = &mut new
        && !knows_build
    {
        // Made without one, or by a version that did not remember it.
        fields.remove(BUILD);
    }
    differences_to(remembered, &new)
}

/// A service's spec as it is kept in a label.
pub fn remember_service(service: &ServiceTarget) -> String {
    masked_service(service).to_string()
}

/// What differs between a remembered service and the one asked for now.
pub fn service_differences(remembered: &str, service: &ServiceTarget) -> Vec<FieldChange> {
    differences_to(remembered, &masked_service(service))
}

fn differences_to(remembered: &str, new: &Value) -> Vec<FieldChange> {
    let Ok(old) = serde_json::from_str::<Value>(remembered) else { return Vec::new() };
    let (mut old_fields, mut new_fields) = (BTreeMap::new(), BTreeMap::new());
    flatten(String::new(), &old, &mut old_fields);
    flatten(String::new(), new, &mut new_fields);
    let mut names: Vec<_> = old_fields.keys().chain(new_fields.keys()).cloned().collect();
    names.sort();
    names.dedup();
    names
        .into_iter()
        .filter_map(|field| {
            let (old, new) = (old_fields.remove(&field), new_fields.remove(&field));
            (old != new).then_some(FieldChange { field, old, new })
        })
        .collect()
}

fn masked(run: &RunTarget) -> Value {
    let mut value = serde_json::to_value(&run.spec).unwrap_or_default();
    let build = serde_json::to_value(&run.build).unwrap_or_default();
    value[BUILD] = build.clone();
    hide(&mut value, &|text| run.secrets.hide_by(text, fingerprint));
    hide_by_key(&mut value[BUILD], &build);
    for (key, entry) in &run.spec.environment {
        if entry.secret {
            value["environment"][key] = Value::String(fingerprint(&entry.value));
        }
    }
    for (key, text) in run.spec.labels.iter().filter(|(key, _)| looks_secret(key)) {
        value["labels"][key] = Value::String(fingerprint(text));
    }
    for (key, text) in run.spec.logging.iter().flat_map(|logging| &logging.options).filter(|(key, _)| looks_secret(key))
    {
        value["logging"]["options"][key] = Value::String(fingerprint(text));
    }
    without_empty(value)
}

fn masked_service(service: &ServiceTarget) -> Value {
    let mut value = service.spec.clone();
    hide(&mut value, &|text| service.secrets.hide_by(text, fingerprint));
    hide_by_key(&mut value, &service.spec);
    for (key, plain) in service.spec.get("environment").and_then(Value::as_object).into_iter().flatten() {
        if let (Some(plain), true) = (plain.as_str(), service.project.env_file_keys.contains(key)) {
            value["environment"][key] = Value::String(fingerprint(plain));
        }
    }
    without_empty(value)
}

/// What stands under a key that looks like a secret's, and the content of secret files.
fn hide_by_key(value: &mut Value, plain: &Value) {
    let (Value::Object(table), Value::Object(plain)) = (value, plain) else { return };
    for (key, value) in table.iter_mut() {
        let plain = plain.get(key).unwrap_or(&Value::Null);
        match (&mut *value, plain) {
            (Value::String(text), Value::String(plain)) if looks_secret(key) => *text = fingerprint(plain),
            _ => hide_by_key(value, plain),
        }
    }
}

/// Eight digits tell "changed" from "same", and are too few to find the secret by.
fn fingerprint(secret: &str) -> String {
    format!("{MASK} ({})", digest(secret.as_bytes(), 4))
}

fn hide(value: &mut Value, shown: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = shown(text),
        Value::Array(list) => list.iter_mut().for_each(|item| hide(item, shown)),
        Value::Object(table) => table.values_mut().for_each(|value| hide(value, shown)),
        _ => {}
    }
}

/// What is empty says nothing, and a label is read by people too.
fn without_empty(value: Value) -> Value {
    match value {
        Value::Object(table) => {
            let fields = table.into_iter().map(|(key, value)| (key, without_empty(value)));
            let says_something = |value: &Value| match value {
                Value::Null => false,
                Value::Array(list) => !list.is_empty(),
                Value::Object(table) => !table.is_empty(),
                _ => true,
            };
            Value::Object(fields.filter(|(_, value)| says_something(value)).collect())
        }
        other => other,
    }
}

/// Tables become dotted names; a list is one value, as people read it.
fn flatten(name: String, value: &Value, fields: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(table) => {
            for (key, value) in table {
                let name = if name.is_empty() { key.clone() } else { format!("{name}.{key}") };
                flatten(name, value, fields);
            }
        }
        Value::Null => {}
        Value::Array(list) if list.is_empty() => {}
        Value::String(text) => {
            fields.insert(name, text.clone());
        }
        other => {
            fields.insert(name, other.to_string());
        }
    }
}

fn digest(bytes: &[u8], length: usize) -> String {
    use std::fmt::Write;
    Sha256::digest(bytes).iter().take(length).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
