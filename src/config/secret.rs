//! What must not be shown: values whose key looks like a secret's.

use std::{ops::Range, sync::Arc};

use super::{
    node::{Data, Node},
    problem::{KeyPath, Segment},
};

/// What stands in a secret's place.
pub const MASK: &str = "***";

/// Tables whose keys are the user's own and may name secrets.
const OPEN_TABLES: [&str; 5] = ["environment", "args", "labels", "options", "driver_opts"];

/// Whether the value under `key` in the table `table` must be masked.
pub fn is_secret(table: &str, key: &str) -> bool {
    OPEN_TABLES.contains(&table) && looks_secret(key)
}

/// Whether a variable's name looks like a secret's (`API_KEY`, `GITHUB_TOKEN`, `db_password`).
pub fn looks_secret(key: &str) -> bool {
    const WORDS: [&str; 10] =
        ["SECRET", "TOKEN", "PASSWORD", "PASSWD", "PASSPHRASE", "APIKEY", "CREDENTIAL", "PRIVATE", "AUTH", "DSN"];
    let key = key.to_ascii_uppercase();
    WORDS.iter().any(|word| key.contains(word))
        || key
            .split(|c: char| !c.is_ascii_alphanumeric())
            .any(|part| matches!(part, "KEY" | "KEYS" | "PASS" | "PWD" | "PAT"))
}

/// A text as it may be shown: the secrets that stand in it are stars, as long as they were, so that places stay right.
pub fn masked(text: &str, root: &Node) -> Arc<str> {
    let mut spans = Vec::new();
    secrets(root, "", &mut spans);
    let mut text = text.to_owned();
    for span in spans {
        stars(&mut text, span);
    }
    text.into()
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

fn secrets(node: &Node, table: &str, spans: &mut Vec<Range<usize>>) {
    match &node.data {
        Data::Table(entries) => {
            for (key, entry) in entries {
                match &entry.data {
                    // A reference says where the secret is, not what it is.
                    Data::String(text) if text.starts_with("${") && text.ends_with('}') => {}
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
                            .is_some_and(|(key, value)| is_secret(table, key) && !value.starts_with("${"));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_secrets_by_their_key() {
        for (key, secret) in [
            ("API_KEY", true),
            ("GITHUB_TOKEN", true),
            ("db-password", true),
            ("AWS_SECRET_ACCESS_KEY", true),
            ("LOG_LEVEL", false),
            ("MONKEY", false),
            ("KEYBOARD", false),
        ] {
            assert_eq!(looks_secret(key), secret, "{key}");
        }
    }
}
