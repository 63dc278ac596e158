//! What may stand where: a small tree made from the file's JSON schema, so that the file's types are
//! the only place that says it. It serves the check of files and the reading of variables and flags.
//!
//! It reads the schema that is checked in, which a test keeps equal to the types: that is about half the work of making it
//! from them, at each start.

use std::{collections::BTreeMap, sync::OnceLock};

use serde_json::{Map, Value};

use super::{file, problem::Segment};

/// How a schema refers to itself.
const ROOT: &str = "#";

/// What a value may be.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Anything.
    Any,
    /// A string; `choices`: one of these, where there are any.
    String {
        /// The words allowed; empty = every string.
        choices: Vec<String>,
    },
    /// A boolean.
    Bool,
    /// A whole number, or a string that is read as one later.
    Integer,
    /// A number, or a string that is read as one later.
    Number,
    /// A string that is a duration (`250ms`).
    Duration,
    /// A string (or integer) that is a size in bytes (`1MiB`).
    Size,
    /// A list.
    List(Box<Shape>),
    /// A table with known keys, or a map, or both.
    Table(Table),
    /// One of these.
    AnyOf(Vec<Shape>),
    /// Another shape, by its name in the schema.
    Named(String),
}

/// A table's keys.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// Its name among the schema's definitions, where it has one.
    pub name: Option<String>,
    /// Known keys.
    pub keys: BTreeMap<String, Shape>,
    /// What any other key holds; none = there is no other key.
    pub rest: Option<Box<Shape>>,
}

/// The shape of the whole file.
#[derive(Debug, Clone)]
pub struct Schema {
    root: Shape,
    named: BTreeMap<String, Shape>,
}

impl Schema {
    /// Reads a JSON schema as schemars writes it.
    pub fn from_json(schema: &Value) -> Self {
        let named = schema
            .get("$defs")
            .and_then(Value::as_object)
            .map(|defs| defs.iter().map(|(name, schema)| (name.clone(), read_named(name, schema))).collect())
            .unwrap_or_default();
        Self { root: read_named("File", schema), named }
    }

    /// The shape of mcpmon.toml; made once.
    pub fn of_file() -> &'static Self {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        // That it is JSON is tested.
        SCHEMA.get_or_init(|| Self::from_json(&serde_json::from_str(file::CHECKED_IN).unwrap_or_default()))
    }

    /// The file itself.
    pub fn root(&self) -> &Shape {
        self.resolve(&self.root)
    }

    /// The shape behind a name.
    pub fn resolve<'a>(&'a self, shape: &'a Shape) -> &'a Shape {
        let mut shape = shape;
        // A name that leads to itself would be a fault of the types; it ends as "anything".
        for _ in 0..16 {
            match shape {
                Shape::Named(name) if name == ROOT => shape = &self.root,
                Shape::Named(name) => match self.named.get(name) {
                    Some(next) => shape = next,
                    None => return &Shape::Any,
                },
                other => return other,
            }
        }
        &Shape::Any
    }

    /// The shapes a value may have, names and alternatives written out.
    pub fn variants<'a>(&'a self, shape: &'a Shape) -> Vec<&'a Shape> {
        match self.resolve(shape) {
            Shape::AnyOf(shapes) => shapes.iter().flat_map(|shape| self.variants(shape)).collect(),
            shape => vec![shape],
        }
    }

    /// The shape of what is under `key` of `shape`.
    pub fn under<'a>(&'a self, shape: &'a Shape, key: &str) -> Option<&'a Shape> {
        self.variants(shape).into_iter().find_map(|shape| match shape {
            Shape::Table(table) => table.keys.get(key).or(table.rest.as_deref()),
            Shape::Any => Some(&Shape::Any),
            _ => None,
        })
    }

    /// The shape of the items of `shape`.
    pub fn item<'a>(&'a self, shape: &'a Shape) -> Option<&'a Shape> {
        self.variants(shape).into_iter().find_map(|shape| match shape {
            Shape::List(item) => Some(&**item),
            Shape::Any => Some(&Shape::Any),
            _ => None,
        })
    }

    /// The shape at a path from the root.
    pub fn at(&self, path: &[Segment]) -> Option<&Shape> {
        path.iter().try_fold(&self.root, |shape, segment| match segment {
            Segment::Key(key) => self.under(shape, key),
            Segment::Index(_) => self.item(shape),
        })
    }

    /// A single value, no list and no table.
    pub fn is_scalar(&self, shape: &Shape) -> bool {
        self.variants(shape).iter().all(|shape| !matches!(shape, Shape::List(_) | Shape::Table(_) | Shape::Any))
    }

    /// `a string or a list`
    pub fn describe(&self, shape: &Shape) -> String {
        let mut words: Vec<&str> = Vec::new();
        for shape in self.variants(shape) {
            let word = match shape {
                Shape::Any | Shape::AnyOf(_) | Shape::Named(_) => "a value",
                Shape::String { .. } => "a string",
                Shape::Bool => "a boolean",
                Shape::Integer => "an integer",
                Shape::Number => "a number",
                Shape::Duration => "a duration (\"250ms\", \"2s\")",
                Shape::Size => "a size (\"64m\", \"1MiB\")",
                Shape::List(_) => "a list",
                Shape::Table(_) => "a table",
            };
            if !words.contains(&word) {
                words.push(word);
            }
        }
        match words.split_last() {
            None => "nothing".to_owned(),
            Some((last, [])) => (*last).to_owned(),
            Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
        }
    }
}

/// A definition. The file's single values have names of their own; what their schema can't say (`1` is a size,
/// `250ms` a duration) is known by these.
fn read_named(name: &str, schema: &Value) -> Shape {
    match name {
        "Flag" => Shape::Bool,
        "Duration" => Shape::Duration,
        "Size" => Shape::Size,
        "Integer" => Shape::Integer,
        "Number" => Shape::Number,
        "Verbosity" => Shape::AnyOf(vec![Shape::Integer, Shape::Bool]),
        _ => match read(schema) {
            Shape::Table(table) => Shape::Table(Table { name: Some(name.to_owned()), ..table }),
            shape => shape,
        },
    }
}

fn read(schema: &Value) -> Shape {
    let Some(schema) = schema.as_object() else { return Shape::Any };
    if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
        return Shape::Named(name.strip_prefix("#/$defs/").unwrap_or(name).to_owned());
    }
    if let Some(value) = schema.get("const") {
        return choice(value);
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return any_of(values.iter().filter(|value| !value.is_null()).map(choice).collect());
    }
    for word in ["anyOf", "oneOf", "allOf"] {
        if let Some(schemas) = schema.get(word).and_then(Value::as_array) {
            return any_of(
                schemas.iter().filter(|schema| !is_null(schema) && !is_variable(schema)).map(read).collect(),
            );
        }
    }
    match schema.get("type") {
        Some(Value::String(name)) => typed(name, schema),
        Some(Value::Array(names)) => any_of(
            names
                .iter()
                .filter_map(Value::as_str)
                .filter(|name| *name != "null")
                .map(|name| typed(name, schema))
                .collect(),
        ),
        _ => Shape::Any,
    }
}

fn typed(name: &str, schema: &Map<String, Value>) -> Shape {
    match name {
        "string" => Shape::String { choices: Vec::new() },
        "boolean" => Shape::Bool,
        "integer" => Shape::Integer,
        "number" => Shape::Number,
        "array" => Shape::List(Box::new(schema.get("items").map_or(Shape::Any, read))),
        "object" => Shape::Table(table(schema)),
        _ => Shape::Any,
    }
}

fn table(schema: &Map<String, Value>) -> Table {
    let properties = schema.get("properties").and_then(Value::as_object);
    let keys: BTreeMap<String, Shape> = properties
        .map(|properties| properties.iter().map(|(key, schema)| (key.clone(), read(schema))).collect())
        .unwrap_or_default();
    let rest = match schema.get("additionalProperties") {
        Some(Value::Bool(false)) => None,
        Some(Value::Object(schema)) => Some(Box::new(read(&Value::Object(schema.clone())))),
        // A struct is closed whether or not its schema says so; an object without keys is a map.
        Some(_) | None => keys.is_empty().then(|| Box::new(Shape::Any)),
    };
    Table { name: None, keys, rest }
}

fn choice(value: &Value) -> Shape {
    match value {
        Value::String(word) => Shape::String { choices: vec![word.clone()] },
        Value::Bool(_) => Shape::Bool,
        Value::Number(_) => Shape::Number,
        _ => Shape::Any,
    }
}

fn is_null(schema: &Value) -> bool {
    schema.get("type").and_then(Value::as_str) == Some("null")
}

/// Text that is judged once its variables are filled in.
fn is_variable(schema: &Value) -> bool {
    schema.get("pattern").and_then(Value::as_str) == Some(file::VARIABLE)
}

/// Several alternatives; words of choice are put together, doubles left out.
fn any_of(shapes: Vec<Shape>) -> Shape {
    let mut merged: Vec<Shape> = Vec::new();
    let mut words = Vec::new();
    for shape in shapes {
        match shape {
            Shape::String { choices } if !choices.is_empty() => words.extend(choices),
            shape if merged.contains(&shape) => {}
            shape => merged.push(shape),
        }
    }
    if !words.is_empty() {
        merged.push(Shape::String { choices: words });
    }
    if merged.len() == 1 { merged.remove(0) } else { Shape::AnyOf(merged) }
}
