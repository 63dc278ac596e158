//! The resolved configuration as TOML and JSON, with the origin of each value where that is asked for. Secrets are masked.

use std::fmt::Write as _;

use figment::value::{Empty, Tag, Value};
use serde_json::json;

use super::{
    Loaded,
    command_line::{find, parse_key},
    nearest::nearest,
    node::{Data, Node},
    problem::{KeyPath, Segment},
    secret::{is_secret_at, masked_item},
    shape::Schema,
    unset::default_of,
};
use crate::{
    error::{Error, Result},
    model::secret::{MASK, Secrets},
};

/// Where comments begin at most.
const COMMENT_COLUMN: usize = 60;

impl Loaded {
    /// The whole configuration as TOML. `origin`: each value's layer behind it.
    pub fn to_toml(&self, origin: bool) -> String {
        let mut out = String::new();
        self.table(&mut out, &self.values, &KeyPath::default(), origin);
        out
    }

    /// The whole configuration as JSON; `origin`: each value as `{"value": …, "origin": "…"}`.
    pub fn to_json(&self, origin: bool) -> serde_json::Value {
        self.json(&self.values, &KeyPath::default(), origin)
    }

    /// What a key's value is, where it comes from, and what it replaced. The key is written as in TOML, list items as `[0]`.
    pub fn why(&self, key: &str) -> Result<Why> {
        let path = parse_key(key).ok_or_else(|| {
            Error::usage(format!("{key:?} is no key"))
                .hint("write it as in the file: targets.api.image, targets.api.ports[0]")
        })?;
        self.has_target(&path)?;
        if let Err((message, help)) = find(Schema::of_file(), &path) {
            let error = Error::usage(message);
            return Err(match help {
                Some(help) => error.hint(help),
                None => error,
            });
        }
        if at(&self.values, &path.0).is_none()
            && let Some(default) = default_of(&path)
        {
            let value = Value::Empty(Tag::Default, Empty::None);
            let told = Told { path, value, origin: "not set".to_owned(), default: Some(default), replaced: Vec::new() };
            return Ok(Why { values: vec![told] });
        }
        let value = at(&self.values, &path.0).ok_or_else(|| {
            let hint = self.meant(&path).unwrap_or_else(|| "`mcpmon config show --origin` lists what is".to_owned());
            Error::failed(format!("`{path}` is not set")).hint(hint)
        })?;
        let mut leaves = Vec::new();
        collect_leaves(value, &path, &mut leaves);
        let values = leaves.into_iter().map(|(path, value)| self.told(path, value)).collect();
        Ok(Why { values })
    }

    /// Whether the target is there that a key is about.
    fn has_target(&self, path: &KeyPath) -> Result<()> {
        let [Segment::Key(first), Segment::Key(name), rest @ ..] = &path.0[..] else { return Ok(()) };
        let targets = match at(&self.values, &path.0[..1]) {
            Some(Value::Dict(_, dict)) => dict.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        if first != "targets" || targets.contains(&name.as_str()) {
            return Ok(());
        }
        let error = Error::failed(format!("there is no target {name}"));
        let with_name = |name: &str, rest: &[Segment]| {
            let mut path = KeyPath::default().key("targets").key(name);
            path.0.extend_from_slice(rest);
            format!("did you mean `{path}`?")
        };
        // A name with dots needs quotes.
        let mut dotted = name.clone();
        for (index, segment) in rest.iter().enumerate() {
            let Segment::Key(key) = segment else { break };
            dotted = format!("{dotted}.{key}");
            if targets.contains(&dotted.as_str()) {
                return Err(error.hint(with_name(&dotted, &rest[index + 1..])));
            }
        }
        Err(match nearest(name, targets.iter().copied()) {
            Some(near) => error.hint(with_name(near, rest)),
            None if targets.is_empty() => error.hint("the file has no targets"),
            None => error.hint(format!("there is {}", targets.join(", "))),
        })
    }

    /// What a key that is not set was perhaps meant to be: a name on its way that is near to one there is.
    fn meant(&self, path: &KeyPath) -> Option<String> {
        let length = (0..path.0.len()).find(|&length| at(&self.values, &path.0[..=length]).is_none())?;
        let (before, rest) = path.0.split_at(length);
        let (Segment::Key(typed), Some(Value::Dict(_, dict))) = (rest.first()?, at(&self.values, before)) else {
            return None;
        };
        let mut meant = KeyPath(before.to_vec()).key(nearest(typed, dict.keys().map(String::as_str))?);
        meant.0.extend_from_slice(&rest[1..]);
        at(&self.values, &meant.0).map(|_| format!("did you mean `{meant}`?"))
    }

    fn told(&self, path: KeyPath, value: &Value) -> Told {
        let own = self.merged.place(&path.0).map(|place| place.index);
        let replaced = self
            .merged
            .history(&path.0)
            .filter(|(index, _, _)| own.is_none_or(|own| *index < own))
            .filter_map(|(_, layer, node)| Some((written(&path, node, &self.secrets)?, layer.place(node.key.start))))
            .collect();
        Told {
            value: mask(value, &path, &self.secrets),
            origin: self.origins(&path).unwrap_or_default(),
            default: None,
            replaced,
            path,
        }
    }

    fn table(&self, out: &mut String, value: &Value, path: &KeyPath, origin: bool) {
        let Value::Dict(_, dict) = value else { return };
        let (tables, values): (Vec<_>, Vec<_>) =
            dict.iter().partition(|(_, value)| matches!(value, Value::Dict(_, inner) if !inner.is_empty()));
        if !values.is_empty() {
            if !path.0.is_empty() {
                if !out.is_empty() {
                    out.push('\n');
                }
                let _ = writeln!(out, "[{path}]");
            }
            let lines: Vec<(String, KeyPath)> = values
                .into_iter()
                .filter_map(|(key, value)| {
                    let path = path.key(key);
                    let key = KeyPath::default().key(key);
                    Some((format!("{key} = {}", to_toml(value, &path, &self.secrets)?), path))
                })
                .collect();
            let width =
                lines.iter().map(|(line, _)| line.chars().count()).filter(|width| *width <= COMMENT_COLUMN).max();
            for (line, path) in lines {
                let origin = origin.then(|| self.origins(&path)).flatten();
                let _ = match origin {
                    Some(origin) => writeln!(out, "{line:0$}  # {origin}", width.unwrap_or_default()),
                    None => writeln!(out, "{line}"),
                };
            }
        }
        for (key, value) in tables {
            self.table(out, value, &path.key(key), origin);
        }
    }

    /// A value's origin; a list that several layers added to names them all.
    fn origins(&self, path: &KeyPath) -> Option<String> {
        let mut origins = vec![self.origin(path)?];
        if let Some(Value::Array(_, items)) = at(&self.values, &path.0) {
            for index in 0..items.len() {
                let layer = self.merged.place(&path.index(index).0);
                let base = self.merged.place(&path.0);
                if let (Some(item), Some(base)) = (layer, base)
                    && item.index != base.index
                {
                    let list = item.layer.root.find(&path.0).unwrap_or(item.node);
                    origins.push(item.layer.place(list.key.start));
                }
            }
        }
        origins.dedup();
        Some(origins.join(" + "))
    }

    fn json(&self, value: &Value, path: &KeyPath, origin: bool) -> serde_json::Value {
        match value {
            Value::Dict(_, dict) => {
                dict.iter().map(|(key, value)| (key.clone(), self.json(value, &path.key(key), origin))).collect()
            }
            value => {
                let value = serde_json::to_value(mask(value, path, &self.secrets)).unwrap_or_default();
                if origin { json!({ "value": value, "origin": self.origins(path) }) } else { value }
            }
        }
    }
}

/// Where values come from.
#[derive(Debug, Clone, PartialEq)]
pub struct Why {
    /// The value asked for, or all that are under the key.
    pub values: Vec<Told>,
}

/// Where one value comes from.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Its key.
    pub path: KeyPath,
    /// `${…}` filled in, secrets masked.
    pub value: Value,
    /// The place that set it.
    pub origin: String,
    /// What holds where it is not set, in words.
    pub default: Option<&'static str>,
    /// What lower layers say, highest first: value as written, as TOML, and its place.
    pub replaced: Vec<(String, String)>,
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for told in &self.values {
            if let Some(default) = told.default {
                writeln!(f, "{} is not set; default: {default}", told.path)?;
                continue;
            }
            writeln!(
                f,
                "{} = {}",
                told.path,
                to_toml(&told.value, &told.path, &Secrets::default()).unwrap_or_default()
            )?;
            writeln!(f, "  set by {}", told.origin)?;
            for (value, place) in &told.replaced {
                writeln!(f, "  over   {place}: {value}")?;
            }
        }
        Ok(())
    }
}

impl Why {
    /// For programs.
    pub fn to_json(&self) -> serde_json::Value {
        self.values
            .iter()
            .map(|told| {
                let replaced: Vec<_> =
                    told.replaced.iter().map(|(value, origin)| json!({ "value": value, "origin": origin })).collect();
                let mut answer = json!({ "key": told.path.to_string(), "value": told.value, "origin": told.origin, "replaced": replaced });
                if let Some(default) = told.default {
                    answer["default"] = default.into();
                }
                answer
            })
            .collect()
    }
}

fn at<'a>(value: &'a Value, path: &[Segment]) -> Option<&'a Value> {
    path.iter().try_fold(value, |value, segment| match (value, segment) {
        (Value::Dict(_, dict), Segment::Key(key)) => dict.get(key),
        (Value::Array(_, items), Segment::Index(index)) => items.get(*index),
        _ => None,
    })
}

/// Every value at and under a path: scalars, and lists as a whole.
fn collect_leaves<'a>(value: &'a Value, path: &KeyPath, leaves: &mut Vec<(KeyPath, &'a Value)>) {
    match value {
        Value::Dict(_, dict) => dict.iter().for_each(|(key, value)| collect_leaves(value, &path.key(key), leaves)),
        value => leaves.push((path.clone(), value)),
    }
}

/// A value with its secrets masked.
fn mask(value: &Value, path: &KeyPath, secrets: &Secrets) -> Value {
    match value {
        Value::Dict(tag, dict) => Value::Dict(
            *tag,
            dict.iter().map(|(key, value)| (key.clone(), mask(value, &path.key(key), secrets))).collect(),
        ),
        Value::Array(tag, items) => {
            let items = items.iter().enumerate().map(|(index, item)| mask(item, &path.index(index), secrets));
            Value::Array(*tag, items.collect())
        }
        value if is_secret_at(path) => Value::String(value.tag(), MASK.to_owned()),
        Value::String(tag, text) => Value::String(*tag, masked_item(path, text).unwrap_or_else(|| secrets.hide(text))),
        value => value.clone(),
    }
}

/// On one line, secrets masked.
fn to_toml(value: &Value, path: &KeyPath, secrets: &Secrets) -> Option<String> {
    toml::Value::try_from(mask(value, path, secrets)).ok().map(|value| value.to_string())
}

/// A value of one layer as somebody wrote it.
fn written(path: &KeyPath, node: &Node, secrets: &Secrets) -> Option<String> {
    let text = match &node.data {
        Data::List { append: true, .. } => to_toml(&node.whole()?, path, secrets)?.replacen('[', "[\"+\", ", 1),
        _ => to_toml(&node.whole()?, path, secrets)?,
    };
    Some(text)
}
