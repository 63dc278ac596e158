//! A JSON schema, as schemars writes it, to [`Shape`]s. It is read at each start: words that no shape needs, the
//! descriptions above all, are passed over, and what is needed is kept as it stands in the text.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

use super::{Schema, Shape, Table};
use crate::config::file;

/// Reads a whole schema.
pub(super) fn schema(text: &str) -> serde_json::Result<Schema> {
    let mut whole: Words<'_> = serde_json::from_str(text)?;
    let named = std::mem::take(&mut whole.definitions);
    let named = named.into_iter().map(|(name, definition)| {
        let shape = named_shape(&name, definition);
        (name, shape)
    });
    Ok(Schema { named: named.collect(), root: named_shape("File", Definition::Words(Box::new(whole))) })
}

/// What stands where a schema may stand.
enum Definition<'a> {
    /// `true`.
    Anything,
    /// `false`.
    Nothing,
    Words(Box<Words<'a>>),
}

/// The words of a schema that are read.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Words<'a> {
    #[serde(rename = "$ref")]
    reference: Option<&'a str>,
    #[serde(rename = "const")]
    constant: Option<Value>,
    #[serde(rename = "enum")]
    choices: Option<Vec<Value>>,
    #[serde(alias = "oneOf", alias = "allOf", borrow)]
    any_of: Option<Vec<Definition<'a>>>,
    #[serde(rename = "type", borrow)]
    types: Option<Types<'a>>,
    #[serde(borrow)]
    items: Option<Definition<'a>>,
    #[serde(borrow)]
    properties: BTreeMap<String, Definition<'a>>,
    #[serde(borrow)]
    additional_properties: Option<Definition<'a>>,
    pattern: Option<String>,
    #[serde(rename = "$defs", borrow)]
    definitions: BTreeMap<String, Definition<'a>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Types<'a> {
    #[serde(borrow)]
    One(&'a str),
    #[serde(borrow)]
    Several(Vec<&'a str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for Definition<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Definition<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a schema")
            }

            fn visit_bool<E>(self, anything: bool) -> Result<Self::Value, E> {
                Ok(if anything { Definition::Anything } else { Definition::Nothing })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Ok(Definition::Words(Box::new(Words::deserialize(MapAccessDeserializer::new(map))?)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A definition. The file's single values have names of their own; what their schema can't say (`1` is a size,
/// `250ms` a duration) is known by these.
fn named_shape(name: &str, definition: Definition<'_>) -> Shape {
    match name {
        "Flag" => Shape::Bool,
        "Duration" => Shape::Duration,
        "Size" => Shape::Size,
        "Integer" => Shape::Integer,
        "Number" => Shape::Number,
        "Verbosity" => Shape::AnyOf(vec![Shape::Integer, Shape::Bool]),
        _ => match shape(definition) {
            Shape::Table(table) => Shape::Table(Table { name: Some(name.to_owned()), ..table }),
            shape => shape,
        },
    }
}

fn shape(definition: Definition<'_>) -> Shape {
    let Definition::Words(mut words) = definition else { return Shape::Any };
    if let Some(name) = words.reference {
        return Shape::Named(name.strip_prefix("#/$defs/").unwrap_or(name).to_owned());
    }
    if let Some(value) = words.constant {
        return choice(value);
    }
    if let Some(values) = words.choices {
        return any_of(values.into_iter().filter(|value| !value.is_null()).map(choice).collect());
    }
    if let Some(schemas) = words.any_of.take() {
        return any_of(schemas.into_iter().filter(is_meant).map(shape).collect());
    }
    match words.types.take() {
        Some(Types::One(name)) => typed(name, &mut words),
        Some(Types::Several(names)) => {
            any_of(names.into_iter().filter(|name| *name != "null").map(|name| typed(name, &mut words)).collect())
        }
        None => Shape::Any,
    }
}

fn typed(name: &str, words: &mut Words<'_>) -> Shape {
    match name {
        "string" => Shape::String { choices: Vec::new() },
        "boolean" => Shape::Bool,
        "integer" => Shape::Integer,
        "number" => Shape::Number,
        "array" => Shape::List(Box::new(words.items.take().map_or(Shape::Any, shape))),
        "object" => Shape::Table(table(words)),
        _ => Shape::Any,
    }
}

fn table(words: &mut Words<'_>) -> Table {
    let keys: BTreeMap<String, Shape> =
        std::mem::take(&mut words.properties).into_iter().map(|(key, definition)| (key, shape(definition))).collect();
    let rest = match words.additional_properties.take() {
        Some(Definition::Nothing) => None,
        Some(rest @ Definition::Words(_)) => Some(Box::new(shape(rest))),
        // A struct is closed whether or not its schema says so; an object without keys is a map.
        Some(Definition::Anything) | None => keys.is_empty().then(|| Box::new(Shape::Any)),
    };
    Table { name: None, keys, rest }
}

fn choice(value: Value) -> Shape {
    match value {
        Value::String(word) => Shape::String { choices: vec![word] },
        Value::Bool(_) => Shape::Bool,
        Value::Number(_) => Shape::Number,
        _ => Shape::Any,
    }
}

/// Not `null`, which is no key at all, and not the text that is judged once its variables are filled in.
fn is_meant(definition: &Definition<'_>) -> bool {
    let Definition::Words(words) = definition else { return true };
    !matches!(words.types, Some(Types::One("null"))) && words.pattern.as_deref() != Some(file::VARIABLE)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checked_in_schema_can_be_read() {
        let schema = schema(file::CHECKED_IN).unwrap_or_else(|error| panic!("{error}"));
        let Shape::Table(whole) = schema.root() else { panic!("a file is a table") };
        assert!(whole.keys.contains_key("targets") && whole.rest.is_none(), "{whole:?}");
        assert!(schema.named.contains_key("Target"));
    }
}
