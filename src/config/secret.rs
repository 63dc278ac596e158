//! What must not be shown: values whose key looks like a secret's.

use std::{ops::Range, sync::Arc};

use super::{
    node::{Data, Node},
    problem::{KeyPath, Segment},
};
use crate::model::secret::{MASK, looks_secret};

mod assigned;

/// Tables whose keys are the user's own and may name secrets.
const OPEN_TABLES: [&str; 5] = ["environment", "args", "labels", "options", "driver_opts"];

/// Whether the value under `key` in the table `table` must be masked.
pub fn is_secret(table: &str, key: &str) -> bool {
    OPEN_TABLES.contains(&table) && looks_secret(key)
}

/// A text as it may be shown: the secrets that stand in it are stars, as long as they were, so that places stay right.
pub fn masked(text: &str, root: &Node) -> Arc<str> {
    let mut spans = Vec::new();
    secrets(root, "", &mut spans);
    let mut text = text.to_owned();
    for span in spans {
        stars(&mut text, span);
    }
    masked_by_looks(&text).into()
}

/// The same, for a text that was not understood, or not all of it: a key that stands twice, a mistyped table.
pub fn masked_by_looks(text: &str) -> String {
    let mut masked = text.to_owned();
    for span in assigned::spans(text) {
        stars(&mut masked, span);
    }
    masked
}

/// Masks one span.
pub fn stars(text: &mut String, span: Range<usize>) {
    if let Some(part) = text.get(span.clone()) {
        let stars: String =
            part.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { byte.into() } else { '*' }).collect();
        text.replace_range(span, &stars);
    }
}

/// Whether the value at a path must be masked.
pub fn is_secret_at(path: &KeyPath) -> bool {
    match &path.0[..] {
        [.., Segment::Key(table), Segment::Key(key)] => is_secret(table, key),
        _ => false,
    }
}

/// An item of a table's list form, `KEY=value`, as it may be shown; none where it is no secret.
pub fn masked_item(path: &KeyPath, text: &str) -> Option<String> {
    let [.., Segment::Key(table), Segment::Index(_)] = &path.0[..] else { return None };
    let (key, _) = text.split_once('=')?;
    is_secret(table, key).then(|| format!("{key}={MASK}"))
}

fn secrets(node: &Node, table: &str, spans: &mut Vec<Range<usize>>) {
    match &node.data {
        Data::Table(entries) => {
            for (key, entry) in entries {
                match &entry.data {
                    Data::String(text) if is_reference(text) => {}
                    _ if is_secret(table, key) => spans.push(entry.span.clone()),
                    _ => secrets(entry, key, spans),
                }
            }
        }
        Data::List { items, .. } => {
            for item in items {
                match &item.data {
                    // `KEY=value`
                    Data::String(text) => {
                        let secret = text
                            .split_once('=')
                            .is_some_and(|(key, value)| is_secret(table, key) && !is_reference(value));
                        if secret {
                            spans.push(item.span.clone());
                        }
                    }
                    _ => secrets(item, table, spans),
                }
            }
        }
        _ => {}
    }
}

/// Whether a text is a reference and nothing else: it says where the secret is, not what it is. One with a default is a value.
fn is_reference(text: &str) -> bool {
    let inner = text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).or_else(|| text.strip_prefix('$'));
    let name =
        inner.map(|inner| inner.split_once(":?").or_else(|| inner.split_once('?')).map_or(inner, |(name, _)| name));
    name.is_some_and(|name| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_default_is_no_reference() {
        for (text, reference) in [
            ("${TOKEN}", true),
            ("$TOKEN", true),
            ("${TOKEN:?set it}", true),
            ("${TOKEN:-abc}", false),
            ("${TOKEN-abc}", false),
            ("${A}x${B}", false),
            ("text", false),
            ("$", false),
        ] {
            assert_eq!(is_reference(text), reference, "{text}");
        }
    }
}
