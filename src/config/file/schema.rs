//! The JSON Schema of the file, from its types. Nothing here knows about a particular file.

use schemars::{Schema, generate::SchemaSettings, transform::RecursiveTransform};
use serde_json::{Value, json};

use super::File;

/// The schema as it is checked in.
pub const CHECKED_IN: &str = include_str!("../../../schemas/mcpmon.schema.json");

/// What text with a variable in it looks like, as a `pattern`.
pub const VARIABLE: &str = "\\$";

/// The schema (draft 2020-12) that is checked in as `schemas/mcpmon.schema.json`. Tables that hold known keys have
/// `additionalProperties: false`; their definitions are under `$defs`, by the names that
/// [`super::compose_spec_key`] takes. The file itself is `$ref: "#"`.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(without_null))
        .with_transform(RecursiveTransform(with_variables))
        .with_transform(RecursiveTransform(with_free_keys))
        .with_transform(RecursiveTransform(with_appended_tables))
        .with_transform(RecursiveTransform(without_line_breaks));
    settings.into_generator().into_root_schema_for::<File>().to_value()
}

/// TOML has no null: optional keys are left out instead.
fn without_null(schema: &mut Schema) {
    let Some(table) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = table.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            table.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(values)) = table.get_mut("enum") {
        values.retain(|value| !value.is_null());
    }
    if let Some(Value::Array(forms)) = table.get_mut("anyOf") {
        forms.retain(|form| *form != json!({ "type": "null" }));
        if let [Value::Object(only)] = forms.as_slice() {
            let only = only.clone();
            table.remove("anyOf");
            for (key, value) in only {
                table.entry(key).or_insert(value);
            }
        }
    }
}

/// Where one of some words stands, text with a variable in it may stand as well: it is judged once it is filled in.
fn with_variables(schema: &mut Schema) {
    let table = schema.as_object().map_or(0, serde_json::Map::len);
    // Nothing but the words: that is what this has put there.
    if table > 1
        && let Some(words) = schema.remove("enum")
    {
        schema.insert("anyOf".into(), json!([{ "enum": words }, { "type": "string", "pattern": VARIABLE }]));
    }
}

/// Keys that begin with `x-` are free in every table of known keys.
fn with_free_keys(schema: &mut Schema) {
    if schema.get("additionalProperties") == Some(&Value::Bool(false)) {
        schema.insert("patternProperties".into(), json!({ "^x-": true }));
    }
}

/// A list whose first element is `"+"` is appended to that of the layer below; lists of strings allow that anyway.
fn with_appended_tables(schema: &mut Schema) {
    let Some(items) = schema.get_mut("items") else { return };
    if items.get("$ref").is_some() {
        *items = json!({ "anyOf": [items.take(), { "const": "+" }] });
    }
}

/// Doc comments break lines where the source does; a description is one paragraph.
fn without_line_breaks(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.replace('\n', " ");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_checked_in_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/mcpmon.schema.json");
        let fresh = format!("{:#}\n", schema());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(path, &fresh).unwrap();
        }
        let checked_in = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            fresh == checked_in,
            "schemas/mcpmon.schema.json is not what the types say; write it anew with: \
             UPDATE=1 cargo nextest run config::file::schema"
        );
    }

    #[test]
    fn speaks_of_no_null_and_frees_x_keys() {
        let text = schema().to_string();
        assert!(!text.contains("null"), "TOML has no null");
        assert!(jsonschema::draft202012::is_valid(
            &schema(),
            &json!({ "x-mine": 1, "targets": { "a": { "x-b": 1 } } })
        ));
        assert!(!jsonschema::draft202012::is_valid(&schema(), &json!({ "mine": 1 })));
    }

    #[test]
    fn takes_variables_where_words_stand() {
        for (policy, valid) in [("never", true), ("${POLICY:-missing}", true), ("nevr", false)] {
            let file = json!({ "version": "${V}", "targets": { "a": { "image": "x", "pull_policy": policy } } });
            assert_eq!(jsonschema::draft202012::is_valid(&schema(), &file), valid, "{policy}");
        }
    }
}
