//! Pure: `MCPMON_*` variables to layers, by the schema of the file. Every rule of a variable's name lives here; its value is
//! read by [`super::read`].

use std::collections::{BTreeMap, BTreeSet};

use super::{
    check::Fault,
    file::VARIABLES,
    layer::{Layer, Source},
    nearest::nearest,
    node::Node,
    problem::{KeyPath, Segment},
    read::read,
    secret::masked,
    shape::{Schema, Shape},
};

/// Prefix of every variable that is mcpmon's own.
pub const PREFIX: &str = "MCPMON_";
/// The file instead of discovery.
pub const CONFIG: &str = "MCPMON_CONFIG";
/// The profiles.
pub const PROFILE: &str = "MCPMON_PROFILE";

/// Compose keys whose tables hold names of the user's own: the whole rest, its case kept.
const OWN_NAMES: [&str; 3] = ["environment", "labels", "args"];

/// What the environment says.
#[derive(Debug, Default)]
pub struct Read {
    /// One layer for each variable, with what is wrong with its value.
    pub layers: Vec<(Layer, Vec<Fault>)>,
    /// Variables nobody knows: name, what is known about it.
    pub unknown: Vec<Unknown>,
}

/// A variable that addresses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Its name.
    pub name: String,
    /// Why, and what is near.
    pub message: String,
}

/// Reads every variable that is mcpmon's. `below`: the layers under the environment; only names they have can be addressed.
pub fn read_environment(schema: &Schema, environment: &BTreeMap<String, String>, below: &[Layer]) -> Read {
    let mut result = Read::default();
    for (name, raw) in environment {
        // Empty = unset, so that a wrapper can switch a variable off.
        if raw.is_empty() || name == CONFIG || name == PROFILE {
            continue;
        }
        let address = match VARIABLES.iter().find(|(known, _)| known == name) {
            Some((_, keys)) => Ok(KeyPath(keys.iter().map(|key| Segment::Key((*key).to_owned())).collect())),
            None if name.starts_with(PREFIX) => address(schema, name, below),
            None => continue,
        };
        match address {
            Ok(path) => result.layers.push(layer(schema, name, raw, &path)),
            Err(Miss::Unknown(message)) => result.unknown.push(Unknown { name: name.clone(), message }),
            Err(Miss::Ambiguous(message)) => {
                let source = Source::Variable { name: name.clone() };
                let layer =
                    Layer { source, text: masked(&format!("{name}={raw}"), &Node::table()), root: Node::table() };
                let fault = Fault { path: KeyPath::default(), span: 0..name.len(), message, help: None };
                result.layers.push((layer, vec![fault]));
            }
        }
    }
    result
}

fn layer(schema: &Schema, name: &str, raw: &str, path: &KeyPath) -> (Layer, Vec<Fault>) {
    let (mut root, mut faults) = (Node::table(), Vec::new());
    let offset = name.len() + 1;
    let shape = schema.at(&path.0).unwrap_or(&Shape::Any);
    match read(schema, shape, path, raw, offset) {
        Ok(mut node) => {
            node.key = 0..name.len();
            root.insert(&path.0, node);
        }
        Err(message) => faults.push(Fault {
            path: path.clone(),
            span: offset..offset + raw.len(),
            message: format!("{name}: {message}"),
            help: None,
        }),
    }
    let source = Source::Variable { name: name.to_owned() };
    (Layer { source, text: masked(&format!("{name}={raw}"), &root), root }, faults)
}

enum Miss {
    /// Nothing has that name.
    Unknown(String),
    /// Two things have.
    Ambiguous(String),
}

/// The key that a nested variable means: `MCPMON_TARGETS__<NAME>__<FIELD>`.
fn address(schema: &Schema, name: &str, below: &[Layer]) -> Result<KeyPath, Miss> {
    let rest = name.strip_prefix(PREFIX).unwrap_or(name);
    if !rest.contains("__") {
        return Err(Miss::Unknown(unknown_name(name)));
    }
    walk(schema, schema.root(), rest, KeyPath::default(), below)
}

fn unknown_name(name: &str) -> String {
    // The prefix is always right, and would make any two names near.
    let known = VARIABLES
        .iter()
        .map(|(known, _)| *known)
        .chain([CONFIG, PROFILE])
        .filter_map(|known| known.strip_prefix(PREFIX));
    match nearest(name.strip_prefix(PREFIX).unwrap_or(name), known) {
        Some(known) => format!("unknown variable; did you mean {PREFIX}{known}?"),
        None => "unknown variable".to_owned(),
    }
}

fn walk(schema: &Schema, shape: &Shape, rest: &str, path: KeyPath, below: &[Layer]) -> Result<KeyPath, Miss> {
    if rest.is_empty() {
        return Ok(path);
    }
    let table = schema.variants(shape).into_iter().find_map(|shape| match shape {
        Shape::Table(table) => Some(table),
        _ => None,
    });
    let Some(table) = table else {
        return Err(Miss::Unknown(format!("`{path}` has no keys below it")));
    };
    if let Some(item) = &table.rest
        && table.keys.is_empty()
    {
        if schema.is_scalar(item) {
            // A variable or label name: the whole rest, its case kept.
            return Ok(path.key(rest));
        }
        if **item == Shape::Any {
            return free(rest, path, below);
        }
        let names: BTreeSet<&String> =
            below.iter().filter_map(|layer| layer.root.find(&path.0)).flat_map(Node::keys).collect();
        let (key, tail) = match_name(rest, names.iter().map(|name| name.as_str()), &path)?;
        return walk(schema, item, tail, path.key(key), below);
    }
    let (key, tail) = match_name(rest, table.keys.keys().map(String::as_str), &path)?;
    walk(schema, &table.keys[key], tail, path.key(key), below)
}

/// The key below a table that may hold anything (`compose.override`): names that are there already are matched as others
/// are; new ones are written small, as compose's are, except where they are a user's own.
fn free(rest: &str, path: KeyPath, below: &[Layer]) -> Result<KeyPath, Miss> {
    if rest.is_empty() {
        return Ok(path);
    }
    if matches!(path.0.last(), Some(Segment::Key(key)) if OWN_NAMES.contains(&key.as_str())) {
        return Ok(path.key(rest));
    }
    let names: BTreeSet<&String> =
        below.iter().filter_map(|layer| layer.root.find(&path.0)).flat_map(Node::keys).collect();
    match match_name(rest, names.iter().map(|name| name.as_str()), &path) {
        Ok((key, tail)) => free(tail, path.key(key), below),
        Err(Miss::Ambiguous(message)) => Err(Miss::Ambiguous(message)),
        Err(Miss::Unknown(_)) => {
            let (first, tail) = rest.split_once("__").unwrap_or((rest, ""));
            free(tail, path.key(first.to_ascii_lowercase()), below)
        }
    }
}

/// The name that `rest` begins with, and what comes behind it. Without case, `-` and `.` as `_`; the longest wins.
fn match_name<'a, 'n>(
    rest: &'a str,
    names: impl Iterator<Item = &'n str> + Clone,
    path: &KeyPath,
) -> Result<(&'n str, &'a str), Miss> {
    let upper = plain(rest);
    let hits = |name: &str| {
        let name = plain(name);
        upper.strip_prefix(&name).is_some_and(|tail| tail.is_empty() || (tail.starts_with("__") && tail.len() > 2))
    };
    let longest = names.clone().filter(|name| hits(name)).map(str::len).max();
    let Some(length) = longest else {
        let ended = rest.strip_suffix("__").unwrap_or_default();
        if let Some(name) = names.clone().find(|name| plain(name) == plain(ended)) {
            let path = path.key(name);
            let follows = if path.0.len() == 1 && name == "targets" {
                "the name of a target and a key must follow, as in MCPMON_TARGETS__NAME__IMAGE".to_owned()
            } else {
                format!("a key of `{path}` must follow")
            };
            return Err(Miss::Unknown(follows));
        }
        let first = rest.split("__").next().unwrap_or(rest);
        let place = if path.0.is_empty() { String::new() } else { format!(" in `{path}`") };
        let hint = match nearest(first, names.clone()) {
            Some(name) => format!("did you mean {}?", plain(name)),
            None => match names.map(plain).collect::<Vec<_>>() {
                names if names.is_empty() => "there is none".to_owned(),
                names if names.len() <= 8 => format!("there is {}", names.join(", ")),
                _ => String::new(),
            },
        };
        let message = format!("nothing{place} is called {first}");
        return Err(Miss::Unknown(if hint.is_empty() { message } else { format!("{message}; {hint}") }));
    };
    let mut best = names.filter(|name| name.len() == length && hits(name));
    match (best.next(), best.next()) {
        (Some(name), None) => Ok((name, rest[length..].strip_prefix("__").unwrap_or_default())),
        (Some(one), Some(other)) => Err(Miss::Ambiguous(format!(
            "`{}` and `{}` are spelled the same in a variable's name: use `--set`, or rename one",
            path.key(one),
            path.key(other)
        ))),
        _ => Err(Miss::Unknown("nothing has that name".to_owned())),
    }
}

/// A name as a variable spells it. Keeps the length in bytes.
pub fn plain(name: &str) -> String {
    name.chars().map(|c| if matches!(c, '-' | '.') { '_' } else { c.to_ascii_uppercase() }).collect()
}
