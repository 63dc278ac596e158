//! A configuration value as somebody wrote it, with its place in the text it was written in: what
//! every source (file, variable, flag) is read into. It must not know which keys mean what.

use std::{collections::BTreeMap, ops::Range};

use figment::value::{Dict, Empty, Num, Tag, Value};

use super::problem::Segment;

/// A value and where it stands. Spans are byte ranges of the layer's text.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// The value.
    pub data: Data,
    /// Where the value stands.
    pub span: Range<usize>,
    /// Where its key stands; list items: the item itself.
    pub key: Range<usize>,
}

/// What a [`Node`] holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// Cleared, or a bare `KEY` of a list-form `environment`. No source has a spelling of its own for it.
    Null,
    /// `"text"`
    String(String),
    /// `1`
    Integer(i64),
    /// `1.5`
    Float(f64),
    /// `true`
    Bool(bool),
    /// A TOML date or time: no key takes one.
    Datetime,
    /// `[…]`; `append`: goes behind the list of the layers below instead of replacing it.
    List {
        /// The items.
        items: Vec<Node>,
        /// It began with `+`.
        append: bool,
    },
    /// `{…}`
    Table(BTreeMap<String, Node>),
}

impl Node {
    /// A value whose key stands where the value stands.
    pub fn new(data: Data, span: Range<usize>) -> Self {
        Self { data, key: span.clone(), span }
    }

    /// An empty table.
    pub fn table() -> Self {
        Self::new(Data::Table(BTreeMap::new()), 0..0)
    }

    /// A list that replaces.
    pub fn list(items: Vec<Node>, span: Range<usize>) -> Self {
        Self::new(Data::List { items, append: false }, span)
    }

    /// What a person calls it: `a string`.
    pub fn kind(&self) -> &'static str {
        match self.data {
            Data::Null => "nothing",
            Data::String(_) => "a string",
            Data::Integer(_) => "an integer",
            Data::Float(_) => "a number",
            Data::Bool(_) => "a boolean",
            Data::Datetime => "a date",
            Data::List { .. } => "a list",
            Data::Table(_) => "a table",
        }
    }

    /// The value under `path`.
    pub fn find(&self, path: &[Segment]) -> Option<&Node> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        let child = match (&self.data, first) {
            (Data::Table(entries), Segment::Key(key)) => entries.get(key),
            (Data::List { items, .. }, Segment::Index(index)) => items.get(*index),
            _ => None,
        };
        child?.find(rest)
    }

    /// The keys of a table; none of anything else.
    pub fn keys(&self) -> impl Iterator<Item = &String> {
        match &self.data {
            Data::Table(entries) => Some(entries.keys()),
            _ => None,
        }
        .into_iter()
        .flatten()
    }

    /// Puts a value under `path`, making tables on the way. `false`: something on the way is no table.
    pub fn insert(&mut self, path: &[Segment], node: Node) -> bool {
        let Some((first, rest)) = path.split_first() else {
            *self = node;
            return true;
        };
        let (Data::Table(entries), Segment::Key(key)) = (&mut self.data, first) else { return false };
        entries
            .entry(key.clone())
            .or_insert_with(|| Node {
                data: Data::Table(BTreeMap::new()),
                span: node.span.clone(),
                key: node.key.clone(),
            })
            .insert(rest, node)
    }

    /// Visits every list below (and this).
    pub fn any_append(&self) -> bool {
        match &self.data {
            Data::List { append, .. } => *append,
            Data::Table(entries) => entries.values().any(Node::any_append),
            _ => false,
        }
    }

    /// This value for figment: `append` false gives all but the lists that append, true only these.
    /// Tables stay in both, so that a table's tag is that of the highest layer that has it.
    pub fn to_value(&self, append: bool) -> Option<Value> {
        let tag = Tag::Default;
        Some(match &self.data {
            Data::Table(entries) => Value::Dict(tag, entry_values(entries, append)),
            Data::List { items, append: own } if *own == append => {
                // What is inside a list is never merged: all of it goes along.
                Value::Array(tag, items.iter().filter_map(Node::whole).collect())
            }
            Data::List { .. } => return None,
            _ if append => return None,
            _ => self.whole()?,
        })
    }

    /// This value for figment, lists that append with all else.
    pub fn whole(&self) -> Option<Value> {
        let tag = Tag::Default;
        Some(match &self.data {
            Data::Null => Value::Empty(tag, Empty::None),
            Data::String(text) => Value::String(tag, text.clone()),
            Data::Integer(number) => Value::Num(tag, Num::I64(*number)),
            Data::Float(number) => Value::Num(tag, Num::F64(*number)),
            Data::Bool(bool) => Value::Bool(tag, *bool),
            Data::Datetime => return None,
            Data::List { items, .. } => Value::Array(tag, items.iter().filter_map(Node::whole).collect()),
            Data::Table(entries) => {
                Value::Dict(tag, entries.iter().filter_map(|(key, node)| Some((key.clone(), node.whole()?))).collect())
            }
        })
    }
}

/// A table's entries for figment; see [`Node::to_value`].
pub fn entry_values(entries: &BTreeMap<String, Node>, append: bool) -> Dict {
    entries.iter().filter_map(|(key, node)| Some((key.clone(), node.to_value(append)?))).collect()
}
