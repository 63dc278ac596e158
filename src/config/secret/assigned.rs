//! Secrets in a text that no parser may have understood: what is assigned to a key that looks like a secret's, by its
//! looks alone. In doubt more is hidden than needed: such a text is only shown to point into it.

use std::ops::Range;

use super::is_reference;
use crate::model::secret::looks_secret;

/// Keys and variables of mcpmon's own that only look like a secret's.
const OWN: [&str; 2] = ["max_output_tokens", "max_mcp_output_tokens"];

/// Where values stand that must not be shown.
pub(super) fn spans(text: &str) -> Vec<Range<usize>> {
    let mut spans = Vec::new();
    let mut start = 0;
    while let Some(key) = next_key(text, start) {
        start = key.end;
        if is_secret_key(&text[key.clone()])
            && let Some(value) = value(text, &key)
        {
            start = value.end;
            spans.push(value);
        }
    }
    spans
}

fn in_key(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.')
}

/// The next word that can be a key.
fn next_key(text: &str, from: usize) -> Option<Range<usize>> {
    let start = from + text[from..].find(in_key)?;
    let end = text[start..].find(|c| !in_key(c)).map_or(text.len(), |length| start + length);
    Some(start..end)
}

/// By the last step of a dotted key, or of a variable's name: a target may be called `auth`.
fn is_secret_key(key: &str) -> bool {
    let last = key.rsplit('.').find(|step| !step.is_empty()).unwrap_or(key);
    let last = last.rsplit("__").find(|step| !step.is_empty()).unwrap_or(last);
    looks_secret(last) && !OWN.iter().any(|own| own.eq_ignore_ascii_case(last))
}

/// What is assigned to a key: `KEY = "value"`, `"KEY" = value`, `"KEY=value"`; at the beginning of a line also without a `=`
/// (`KEY: value`, `KEY "value"`).
fn value(text: &str, key: &Range<usize>) -> Option<Range<usize>> {
    let before = text[..key.start].chars().next_back();
    let quote = before.filter(|c| is_quote(*c));
    let mut after = &text[key.end..];
    // A quoted key ends with its quote; a quoted assignment does not.
    let closed = after.strip_prefix(is_quote);
    after = closed.unwrap_or(after);
    let quote = quote.filter(|_| closed.is_none());
    let at = skip_spaces(text, text.len() - after.len());
    let line = text[..key.start].trim_end_matches(is_quote);
    let line = line[line.rfind('\n').map_or(0, |newline| newline + 1)..].trim();
    let first = matches!(line, "" | "export");
    let start = match text[at..].chars().next()? {
        '=' => skip_spaces(text, at + 1),
        ':' if first => skip_spaces(text, at + 1),
        c if first && is_quote(c) && quote.is_none() => at,
        _ => return None,
    };
    let end = match quote {
        Some(quote) => text[start..].find([quote, '\n']).map_or(text.len(), |length| start + length),
        None => end_of_value(text, start)?,
    };
    let inner = text[start..end].trim_matches(is_quote);
    (!inner.trim().is_empty() && !is_reference(inner)).then_some(start..end)
}

/// Where a value ends that begins there. None: it is a table, whose keys speak for themselves.
fn end_of_value(text: &str, start: usize) -> Option<usize> {
    let value = &text[start..];
    let line = start + value.find('\n').unwrap_or(value.len());
    let end = match value.chars().next()? {
        '{' => return None,
        '[' => value.find(']').map_or(line, |length| start + length + 1),
        quote if is_quote(quote) => {
            let triple = &quote.to_string().repeat(3);
            match value.strip_prefix(triple.as_str()) {
                Some(rest) => rest.find(triple.as_str()).map_or(text.len(), |length| start + 3 + length + 3),
                None => closing(value, quote).map_or(line, |length| start + length),
            }
        }
        _ => {
            let plain = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | ':' | '*');
            value.find(|c| !plain(c)).map_or(text.len(), |length| start + length)
        }
    };
    // What goes on was meant to belong to it.
    let rest = text[end..].trim_start_matches([' ', '\t']);
    let ended = rest.is_empty() || rest.starts_with([',', '}', ']', '#', '\n', '\r', '"', '\'']);
    Some(if ended { end } else { end.max(line) })
}

/// The length of a quoted value on one line, with its quotes.
fn closing(value: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (index, c) in value.char_indices().skip(1) {
        match c {
            '\n' => return None,
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            c if c == quote => return Some(index + 1),
            _ => {}
        }
    }
    None
}

fn skip_spaces(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start_matches([' ', '\t']).len()
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '\'')
}

#[cfg(test)]
mod tests {
    use super::{super::stars, *};
    use crate::config::shape::{Schema, Shape};

    #[test]
    fn hides_what_is_assigned_to_a_secret() {
        for (text, shown) in [
            ("API_KEY = \"s3cret\" # why", "API_KEY = ******** # why"),
            ("API_KEY='s3cret'", "API_KEY=********"),
            ("e = { API_KEY = \"s3\", B = 1 }", "e = { API_KEY = ****, B = 1 }"),
            ("e = { API_KEY = 12, B = 1 }", "e = { API_KEY = **, B = 1 }"),
            ("\"api key\" = 1", "\"api key\" = *"),
            ("\"com.acme.token\" = 'x'\nb = 1", "\"com.acme.token\" = ***\nb = 1"),
            ("e = [\"API_KEY=s3 x\", \"B=1\"]", "e = [\"API_KEY=****\", \"B=1\"]"),
            ("command = ['--token=s3']", "command = ['--token=**']"),
            // No TOML.
            ("API_KEY = my own, secret", "API_KEY = **************"),
            ("API_KEY = \"a\"b\"", "API_KEY = *****"),
            ("API_KEY = \"a", "API_KEY = **"),
            ("API_KEY = \"a\\\"b\" # x", "API_KEY = ****** # x"),
            ("API_KEY: s3", "API_KEY: **"),
            ("export API_KEY s3 'x'", "export API_KEY s3 'x'"),
            ("API_KEY \"s3\"", "API_KEY ****"),
            ("TOKENS = [\"a\", \"b\"]\nb", "TOKENS = **********\nb"),
            ("TOKEN = \"\"\"a\nb\"\"\"\nc", "TOKEN = ****\n****\nc"),
            // Nothing to hide.
            ("API_KEY = \"${API_KEY:?set it}\"", "API_KEY = \"${API_KEY:?set it}\""),
            ("API_KEY = ", "API_KEY = "),
            ("auth = { image = 'a' }", "auth = { image = 'a' }"),
            ("targets.auth.image = 'a'", "targets.auth.image = 'a'"),
            ("[targets.auth]\nimage = 'auth:5000/a'", "[targets.auth]\nimage = 'auth:5000/a'"),
            ("MCPMON_TARGETS__AUTH__PORTS=1", "MCPMON_TARGETS__AUTH__PORTS=1"),
            ("MCPMON_TARGETS__A__ENVIRONMENT__API_KEY=1 2", "MCPMON_TARGETS__A__ENVIRONMENT__API_KEY=***"),
            ("--set targets.a.environment.API_KEY=ü", "--set targets.a.environment.API_KEY=**"),
            ("MAX_MCP_OUTPUT_TOKENS=x", "MAX_MCP_OUTPUT_TOKENS=x"),
            ("", ""),
        ] {
            let mut out = text.to_owned();
            for span in spans(text) {
                stars(&mut out, span);
            }
            assert_eq!(out, shown, "{text}");
        }
    }

    /// A key of the file that looks like a secret's is no secret: each is known here.
    #[test]
    fn the_files_own_keys_are_no_secrets() {
        fn look(schema: &Schema, shape: &Shape, depth: usize) {
            for shape in schema.variants(shape) {
                let Shape::Table(table) = shape else { continue };
                for (key, shape) in &table.keys {
                    assert!(!is_secret_key(key), "{key}");
                    if depth > 0 {
                        look(schema, shape, depth - 1);
                    }
                }
                if let Some(rest) = table.rest.as_deref().filter(|_| depth > 0) {
                    look(schema, rest, depth - 1);
                }
            }
        }
        let schema = Schema::of_file();
        look(schema, schema.root(), 6);
    }
}
