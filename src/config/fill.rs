//! Fills `${…}` in: every merged string that came from a file. What comes from variables and flags is taken as it is.

use std::{cell::RefCell, collections::BTreeSet};

use figment::value::{Dict, Value};

use super::{
    check::Fault,
    diagnostics::Finding,
    interpolate::interpolate,
    merge::Merged,
    nearest::did_you_mean,
    problem::{KeyPath, Segment},
    read::boolean,
    shape::{Schema, Shape},
    value::Invalid,
};
use crate::model::secret::looks_secret;

/// What filling in gave besides the values.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What is wrong, by key and place.
    pub faults: Vec<(KeyPath, Finding)>,
    /// Variables that were blank because nobody set them.
    pub unset: BTreeSet<String>,
    /// Values of the variables used whose name looks like a secret's.
    pub secrets: BTreeSet<String>,
}

/// The merged values with everything filled in.
pub fn fill(schema: &Schema, merged: &Merged, lookup: &dyn Fn(&str) -> Option<String>) -> (Value, Outcome) {
    let mut root = merged.root.clone();
    let mut filler = Filler { schema, merged, lookup, path: KeyPath::default(), outcome: Outcome::default() };
    filler.value(&mut root, Some(schema.root()));
    (root, filler.outcome)
}

struct Filler<'a> {
    schema: &'a Schema,
    merged: &'a Merged,
    lookup: &'a dyn Fn(&str) -> Option<String>,
    path: KeyPath,
    outcome: Outcome,
}

impl Filler<'_> {
    fn value(&mut self, value: &mut Value, shape: Option<&Shape>) {
        match value {
            Value::Dict(_, dict) => {
                for (key, entry) in dict {
                    let shape = shape.and_then(|shape| self.schema.under(shape, key));
                    self.path.0.push(Segment::Key(key.clone()));
                    if !self.is_composes() {
                        self.value(entry, shape);
                    }
                    self.path.0.pop();
                }
            }
            Value::Array(_, items) => {
                let shape = shape.and_then(|shape| self.schema.item(shape));
                for (index, item) in items.iter_mut().enumerate() {
                    self.path.0.push(Segment::Index(index));
                    self.value(item, shape);
                    self.path.0.pop();
                }
            }
            Value::String(tag, text) => {
                let from_file =
                    self.merged.layer_of(*tag).is_some_and(|index| self.merged.layers[index].source.interpolates());
                if text.contains('$') && from_file {
                    let (tag, text) = (*tag, std::mem::take(text));
                    *value = self.string(tag, text, shape);
                }
            }
            // A table that was cleared is an empty one.
            Value::Empty(tag, _) => {
                let table = shape.is_some_and(|shape| {
                    self.schema.variants(shape).into_iter().any(|shape| matches!(shape, Shape::Table(_)))
                });
                if table {
                    *value = Value::Dict(*tag, Dict::new());
                }
            }
            Value::Char(..) | Value::Bool(..) | Value::Num(..) => {}
        }
    }

    /// `targets.NAME.compose.override`: compose fills it in itself.
    fn is_composes(&self) -> bool {
        matches!(&self.path.0[..], [Segment::Key(targets), _, Segment::Key(compose), Segment::Key(key)]
            if targets == "targets" && compose == "compose" && key == "override")
    }

    fn string(&mut self, tag: figment::value::Tag, text: String, shape: Option<&Shape>) -> Value {
        let secrets = RefCell::new(BTreeSet::new());
        let lookup = |name: &str| {
            let value = (self.lookup)(name);
            // Also when filling in fails: the message may hold it.
            if looks_secret(name) {
                secrets.borrow_mut().extend(value.clone());
            }
            value
        };
        let filled = interpolate(&text, &lookup);
        self.outcome.secrets.extend(secrets.into_inner());
        match filled {
            Ok(filled) => {
                self.outcome.secrets.extend(filled.secrets);
                self.outcome.unset.extend(filled.unset);
                self.typed(tag, filled.text, shape)
            }
            Err(error) => {
                let offset = error.offset;
                let Invalid { message, help } = Invalid::from(error);
                self.fault(message, help, Some(&text[offset..]).filter(|_| text.is_char_boundary(offset)));
                Value::String(tag, text)
            }
        }
    }

    /// Booleans and words of choice are judged here, because the file's check passed `${…}` over; numbers,
    /// durations and sizes are read from text anyway.
    fn typed(&mut self, tag: figment::value::Tag, text: String, shape: Option<&Shape>) -> Value {
        let variants = shape.map(|shape| self.schema.variants(shape)).unwrap_or_default();
        if let [Shape::Bool] = &variants[..] {
            if let Some(bool) = boolean(text.trim()) {
                return Value::Bool(tag, bool);
            }
            self.fault(
                format!("`{}` must be a boolean, but becomes {text:?}", self.path),
                Some("true or false (or 1/0, yes/no, on/off)".to_owned()),
                None,
            );
        }
        if let [Shape::String { choices }] = &variants[..]
            && !choices.is_empty()
            && !choices.contains(&text)
        {
            let words = choices.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
            let help = did_you_mean(&text, choices.iter().map(String::as_str));
            self.fault(format!("`{}` must be one of {words}, but becomes {text:?}", self.path), help, None);
        }
        Value::String(tag, text)
    }

    /// `part`: what of the value is meant, as written.
    fn fault(&mut self, message: String, help: Option<String>, part: Option<&str>) {
        let Some(place) = self.merged.place(&self.path.0) else { return };
        let mut span = place.node.span.clone();
        // Where the value is written without escapes, the reference itself can be marked.
        let written = place.layer.text.get(span.clone()).unwrap_or_default();
        if let Some(part) = part
            && let Some(at) = written.rfind(part)
        {
            span = span.start + at..span.start + at + reference_length(part);
        }
        let fault = Fault { path: self.path.clone(), span, message, help };
        self.outcome.faults.push((self.path.clone(), Finding::of(place.index, fault)));
    }
}

/// How long the `${…}` is that a text begins with.
fn reference_length(text: &str) -> usize {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open <= 1 => return at + 1,
            b'}' => open -= 1,
            _ => {}
        }
    }
    text.len()
}
