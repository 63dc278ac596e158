//! `mcpmon.toml.example` is what it says: every key of the schema, valid, and resolved without a problem.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use mcpmon::{
    config::{
        Request,
        file::{DEFAULTS, File, schema},
        load,
        resolve::{Context, resolve},
    },
    model::TargetKind,
};
use serde_json::Value;

use crate::readme::blocks;

const EXAMPLE: &str = include_str!("../../mcpmon.toml.example");

/// The files of the examples.
const OTHERS: [(&str, &str); 3] = [
    ("examples/compose/mcpmon.toml", include_str!("../../examples/compose/mcpmon.toml")),
    ("examples/quickstart/mcpmon.toml", include_str!("../../examples/quickstart/mcpmon.toml")),
    ("examples/stdio/run/mcpmon.toml", include_str!("../../examples/stdio/run/mcpmon.toml")),
];

/// The pages that show part of a file.
const PAGES: [(&str, &str); 4] = [
    ("README.md", include_str!("../../README.md")),
    ("docs/compose.md", include_str!("../../docs/compose.md")),
    ("docs/configuration.md", include_str!("../../docs/configuration.md")),
    ("docs/reload.md", include_str!("../../docs/reload.md")),
];

fn toml_as_json(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Table>(text).expect("TOML")).expect("JSON")
}

/// What of the schema's tables a value uses: `Table.key` each.
fn used(schema: &Value, part: &Value, table: &str, value: &Value, seen: &mut BTreeSet<String>) {
    if let Some(reference) = part["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap_or_default();
        let (name, part) = if reference == "#" { ("File", schema) } else { (name, &schema["$defs"][name]) };
        return used(schema, part, name, value, seen);
    }
    for form in part["anyOf"].as_array().into_iter().flatten() {
        used(schema, form, table, value, seen);
    }
    match value {
        Value::Object(entries) => {
            for (key, entry) in entries {
                if let Some(part) = part["properties"].get(key) {
                    seen.insert(format!("{table}.{key}"));
                    used(schema, part, table, entry, seen);
                } else if part["additionalProperties"].is_object() {
                    used(schema, &part["additionalProperties"], table, entry, seen);
                }
            }
        }
        Value::Array(items) if part["items"].is_object() => {
            for item in items {
                used(schema, &part["items"], table, item, seen);
            }
        }
        _ => {}
    }
}

#[test]
fn has_every_key_there_is() {
    let schema = schema();
    let mut seen = BTreeSet::new();
    used(&schema, &schema, "File", &toml_as_json(EXAMPLE), &mut seen);
    let tables = schema["$defs"].as_object().expect("definitions").iter();
    let all = tables.map(|(name, table)| (name.as_str(), table)).chain([("File", &schema)]);
    let missing: Vec<String> = all
        .flat_map(|(name, table)| {
            let keys = table["properties"].as_object().into_iter().flatten();
            keys.map(move |(key, _)| format!("{name}.{key}"))
        })
        .filter(|key| !seen.contains(key))
        .collect();
    assert!(missing.is_empty(), "mcpmon.toml.example lacks {missing:?}");
}

#[test]
fn is_valid_by_the_schema_and_has_the_defaults_it_speaks_of() {
    let shown = PAGES.iter().flat_map(|(page, text)| blocks(text, "toml").into_iter().map(move |block| (*page, block)));
    let all = [("mcpmon.toml.example", EXAMPLE), ("the defaults", DEFAULTS)].into_iter().chain(OTHERS).chain(shown);
    let all: Vec<(&str, &str)> = all.collect();
    assert_eq!(all.len(), 2 + OTHERS.len() + PAGES.len(), "one part in each page");
    for (name, text) in all {
        let errors: Vec<String> = jsonschema::draft202012::new(&schema())
            .expect("a schema")
            .iter_errors(&toml_as_json(text))
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}");
    }
}

#[test]
fn resolves() {
    // The example sets everything that the lowest layer does.
    let file: File = toml::from_str(EXAMPLE).expect("the file's types");
    let context = Context {
        folder: "/srv/acme".into(),
        config_file: "/srv/acme/mcpmon.toml".into(),
        home: None,
        environment: BTreeMap::new(),
        read: &|_: &Path| Ok(None),
        inputs: Vec::new(),
        warnings: Vec::new(),
        secrets: mcpmon::model::secret::Secrets::default(),
    };
    let (settings, problems) = resolve(&file, &context);
    assert!(problems.is_empty(), "{problems:#?}");
    let project = settings.expect("settings").project;
    assert_eq!(project.targets.keys().collect::<Vec<_>>(), ["api", "db", "local", "web"]);
    assert_eq!(project.networks.keys().collect::<Vec<_>>(), ["acme-backend"]);
}

#[test]
fn loads_through_every_layer() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("mcpmon.toml"), EXAMPLE).expect("a file");
    let request = Request {
        folder: folder.path().to_owned(),
        environment: BTreeMap::from([("MCPMON_DELAY".to_owned(), "2000".to_owned())]),
        profiles: vec!["ci".to_owned()],
        ..Request::default()
    };
    let loaded = load(&request).unwrap_or_else(|error| panic!("{error}"));
    let api = &loaded.settings.project.targets["api"];
    assert_eq!(api.watch.delay.as_secs(), 2, "the variable is above the file");
    let TargetKind::Run(run) = &api.kind else { panic!("a run target") };
    assert_eq!(run.spec.environment["LOG_LEVEL"].value, "warn", "the profile is above the file");
    assert_eq!(run.spec.environment["API_KEY"].value, "none", "the default of the variable");
}
