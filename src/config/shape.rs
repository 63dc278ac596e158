//! What may stand where: a small tree made from the file's JSON schema, so that the file's types are
//! the only place that says it. It serves the check of files and the reading of variables and flags.
//!
//! It comes from the schema that is checked in, which a test keeps equal to the types: to make it from them at each start
//! would take many times as long.

mod read;

use std::{collections::BTreeMap, sync::OnceLock};

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
    /// The shape of mcpmon.toml; made once.
    pub fn of_file() -> &'static Self {
        static SCHEMA: OnceLock<Schema> = OnceLock::new();
        // That it can be read is tested.
        SCHEMA
            .get_or_init(|| read::schema(file::CHECKED_IN).unwrap_or(Self { root: Shape::Any, named: BTreeMap::new() }))
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
