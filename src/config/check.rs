//! Pure: whether a layer has the [`Shape`] of the file. Finds every fault, and takes what is at fault out of
//! the layer, so that the rest can be judged as well.

use std::{collections::BTreeMap, ops::Range};

use super::{
    file,
    nearest::did_you_mean,
    node::{Data, Node},
    problem::{KeyPath, Segment},
    shape::{Schema, Shape, Table},
};

/// Something wrong in one layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Under which key.
    pub path: KeyPath,
    /// Where in the layer's text.
    pub span: Range<usize>,
    /// What.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Checks a layer's root. `variables`: strings may hold `${…}`, and are then judged when it is filled in.
pub fn check(schema: &Schema, root: &mut Node, variables: bool) -> Vec<Fault> {
    let mut check = Check { schema, variables, path: KeyPath::default(), faults: Vec::new() };
    check.node(root, schema.root());
    check.faults
}

/// Checks one value at `path`, as [`check`] does the whole.
pub fn check_value(schema: &Schema, node: &mut Node, shape: &Shape, path: &KeyPath) -> Vec<Fault> {
    let mut check = Check { schema, variables: false, path: path.clone(), faults: Vec::new() };
    check.node(node, shape);
    check.faults
}

struct Check<'a> {
    schema: &'a Schema,
    variables: bool,
    path: KeyPath,
    faults: Vec<Fault>,
}

impl Check<'_> {
    /// `false`: the value itself can't be used.
    fn node(&mut self, node: &mut Node, shape: &Shape) -> bool {
        let variants = self.schema.variants(shape);
        if let Data::String(text) = &node.data
            && self.variables
            && text.contains('$')
            && variants.iter().any(|shape| !matches!(shape, Shape::List(_) | Shape::Table(_)))
        {
            return true;
        }
        let Some(shape) = variants.iter().find(|shape| takes(shape, &node.data)).copied() else {
            let (expected, found) = (self.schema.describe(shape), node.kind());
            let help = duration_help(&variants, &node.data);
            self.fault(node.span.clone(), format!("`{}` must be {expected}, not {found}", self.path), help);
            return false;
        };
        match (shape, &mut node.data) {
            (Shape::Table(table), Data::Table(entries)) => self.table(table, entries),
            (Shape::List(item), Data::List { items, .. }) => self.list(item, items),
            (Shape::String { .. }, Data::String(text)) => return self.choice(&variants, text, node.span.clone()),
            _ => {}
        }
        true
    }

    fn table(&mut self, table: &Table, entries: &mut BTreeMap<String, Node>) {
        entries.retain(|key, node| {
            let shape = match table.keys.get(key).or(table.rest.as_deref()) {
                Some(shape) => shape,
                // Free, and nobody's business: not even merged.
                None if key.starts_with("x-") => return false,
                None => {
                    self.unknown(table, key, node.key.clone());
                    return false;
                }
            };
            self.path.0.push(Segment::Key(key.clone()));
            let usable = self.node(node, shape);
            self.path.0.pop();
            usable
        });
    }

    fn list(&mut self, shape: &Shape, items: &mut Vec<Node>) {
        let mut index = 0;
        items.retain_mut(|item| {
            self.path.0.push(Segment::Index(index));
            index += 1;
            let usable = self.node(item, shape);
            self.path.0.pop();
            usable
        });
    }

    fn choice(&mut self, variants: &[&Shape], text: &str, span: Range<usize>) -> bool {
        let mut words: Vec<&str> = Vec::new();
        for shape in variants {
            match shape {
                Shape::String { choices } if choices.is_empty() => return true,
                Shape::String { choices } => words.extend(choices.iter().map(String::as_str)),
                _ => {}
            }
        }
        if words.contains(&text) {
            return true;
        }
        let help = did_you_mean(text, words.iter().copied());
        let words = words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
        self.fault(span, format!("`{}` must be one of {words}", self.path), help);
        false
    }

    fn unknown(&mut self, table: &Table, key: &str, span: Range<usize>) {
        let definition = table.name.as_deref().unwrap_or_default();
        let place = if self.path.0.is_empty() { String::new() } else { format!(" in `{}`", self.path) };
        let path = self.path.key(key);
        let (message, help) = if file::compose_spec_key(definition, key) {
            let help = match (definition, key) {
                ("File", "services") => "mcpmon calls them targets: `[targets.NAME]`".to_owned(),
                _ => {
                    "it is a key of compose-spec, and will come; take it out, or write it as `x-…`, for now".to_owned()
                }
            };
            (format!("`{key}`{place} is not there yet"), Some(help))
        } else {
            let help = did_you_mean(key, table.keys.keys().map(String::as_str));
            (format!("unknown key `{key}`{place}"), help.or_else(|| elsewhere(self.schema, &self.path, key)))
        };
        self.faults.push(Fault { path, span, message, help });
    }

    fn fault(&mut self, span: Range<usize>, message: String, help: Option<String>) {
        self.faults.push(Fault { path: self.path.clone(), span, message, help });
    }
}

/// Whether a value is of the shape's kind.
fn takes(shape: &Shape, data: &Data) -> bool {
    match (shape, data) {
        (Shape::Any, data) => !matches!(data, Data::Datetime),
        (_, Data::Null)
        | (Shape::String { .. } | Shape::Duration | Shape::Size | Shape::Integer | Shape::Number, Data::String(_))
        | (Shape::Bool, Data::Bool(_))
        | (Shape::Integer | Shape::Number | Shape::Size, Data::Integer(_))
        | (Shape::Number, Data::Float(_))
        | (Shape::List(_), Data::List { .. })
        | (Shape::Table(_), Data::Table(_)) => true,
        _ => false,
    }
}

fn duration_help(variants: &[&Shape], data: &Data) -> Option<String> {
    match data {
        Data::Integer(number) if variants.contains(&&Shape::Duration) => {
            Some(format!("a number needs a unit: \"{number}ms\", \"{number}s\""))
        }
        Data::String(text) if variants.contains(&&Shape::Bool) => {
            super::read::boolean(text).map(|bool| format!("without quotes: `{bool}`"))
        }
        _ => None,
    }
}

/// A key that exists one table further down or up, a common slip (`delay` at the top is `watch.delay`).
fn elsewhere(schema: &Schema, path: &KeyPath, key: &str) -> Option<String> {
    let inside = |shape: &Shape, prefix: &KeyPath| {
        schema.variants(shape).into_iter().find_map(|shape| match shape {
            Shape::Table(table) => table.keys.iter().find_map(|(name, shape)| {
                let known = schema.variants(shape).into_iter().any(
                    |shape| matches!(shape, Shape::Table(inner) if inner.name.is_some() && inner.keys.contains_key(key)),
                );
                known.then(|| format!("did you mean `{}`?", prefix.key(name).key(key)))
            }),
            _ => None,
        })
    };
    inside(schema.at(&path.0)?, path).or_else(|| inside(schema.root(), &KeyPath::default()))
}
