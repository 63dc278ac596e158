//! Pure: `--set KEY=VALUE` and flags to layers.

use super::{
    check::{Fault, check},
    document::parse,
    layer::{Layer, Source},
    nearest::nearest,
    node::{Data, Node},
    problem::{KeyPath, Segment},
    read::{read, read_items},
    secret::{masked, masked_by_looks},
    shape::{Schema, Shape, Table},
};

/// A flag that sets a key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Override {
    /// With its dashes: `--delay`.
    pub flag: String,
    /// The key: `["watch", "delay"]`.
    pub key: Vec<String>,
    /// What was typed; several are one list.
    pub values: Vec<String>,
}

const SET: &str = "--set ";

/// Reads one `--set`. The key is written as in TOML (`targets."my.api".image`); the value as in a variable.
/// `KEY+=VALUE` appends, as `KEY=+VALUE` does.
pub fn read_set(schema: &Schema, assignment: &str) -> (Layer, Vec<Fault>) {
    let shown = masked_by_looks(&format!("{SET}{assignment}"));
    let mut layer = Layer { source: Source::Set, text: shown.as_str().into(), root: Node::table() };
    let fail = |layer, message: String, span: std::ops::Range<usize>, help: Option<String>| {
        (layer, vec![Fault { path: KeyPath::default(), span, message, help }])
    };
    let Some(equals) = outside_quotes(assignment) else {
        let help = Some("write --set KEY=VALUE, as in --set targets.api.image=acme/api:2".to_owned());
        return fail(layer, format!("{shown}: there is no `=`"), SET.len()..SET.len() + assignment.len(), help);
    };
    let (typed, raw) = (&assignment[..equals], &assignment[equals + 1..]);
    let (key, append) = typed.strip_suffix('+').map_or((typed, false), |key| (key, true));
    let key_span = SET.len()..SET.len() + key.len();
    // TOML itself reads the key: dots, quotes and all.
    let (document, errors) = parse(&format!("{key} = 0"));
    let Some(path) = errors.is_empty().then(|| single_path(&document)).flatten() else {
        let help = Some("a key is written as in the file: targets.api.image, targets.\"my.api\".image".to_owned());
        return fail(layer, format!("{shown}: {key:?} is no key"), key_span, help);
    };
    let shape = match find(schema, &path) {
        Ok(shape) => shape,
        Err((message, help)) => return fail(layer, message, key_span, help),
    };
    let offset = SET.len() + equals + 1;
    let text = if append { format!("+{raw}") } else { raw.to_owned() };
    // The sign of `+=` stands one byte before the `=` and so before the value.
    match read(schema, shape, &path, &text, if append { offset - 1 } else { offset }) {
        Ok(mut node) => {
            node.key = key_span;
            layer.root.insert(&path.0, node);
            layer.text = masked(&layer.text, &layer.root);
            let faults = check(schema, &mut layer.root, false);
            (layer, faults)
        }
        Err(message) => {
            let (layer, mut faults) = fail(layer, format!("--set {path}: {message}"), offset..offset + raw.len(), None);
            faults[0].path = path;
            (layer, faults)
        }
    }
}

/// Reads one flag. The keys come from mcpmon itself.
pub fn read_override(schema: &Schema, flag: &Override) -> (Layer, Vec<Fault>) {
    let path = KeyPath(flag.key.iter().cloned().map(Segment::Key).collect());
    let shape = schema.at(&path.0).unwrap_or(&Shape::Any);
    let mut text = flag.flag.clone();
    let mut values = Vec::new();
    for raw in &flag.values {
        text.push(' ');
        values.push((text.len(), raw.as_str()));
        text.push_str(raw);
    }
    let (mut root, mut faults) = (Node::table(), Vec::new());
    match read_items(schema, shape, &path, &values) {
        Ok(mut node) => {
            node.key = 0..flag.flag.len();
            root.insert(&path.0, node);
        }
        Err(message) => faults.push(Fault {
            path,
            span: flag.flag.len()..text.len(),
            message: format!("{}: {message}", flag.flag),
            help: None,
        }),
    }
    (Layer { source: Source::Flag { name: flag.flag.clone() }, text: masked(&text, &root), root }, faults)
}

/// The shape of a key that somebody typed, or what is wrong with it.
pub fn find<'a>(schema: &'a Schema, path: &KeyPath) -> Result<&'a Shape, (String, Option<String>)> {
    let (mut shape, mut before) = (schema.root(), KeyPath::default());
    for segment in &path.0 {
        let (next, key) = match segment {
            Segment::Key(key) => (schema.under(shape, key), key.clone()),
            Segment::Index(index) => (schema.item(shape), index.to_string()),
        };
        let Some(next) = next else {
            let place = if before.0.is_empty() { String::new() } else { format!(" in `{before}`") };
            let known = schema.variants(shape).into_iter().find_map(|shape| match shape {
                Shape::Table(Table { keys, .. }) => Some(keys),
                _ => None,
            });
            let help = known
                .and_then(|keys| nearest(&key, keys.keys().map(String::as_str)))
                .map(|name| format!("did you mean `{}`?", before.key(name)));
            return Err((format!("unknown key `{key}`{place}"), help));
        };
        shape = next;
        before.0.push(segment.clone());
    }
    Ok(shape)
}

/// Reads a key as `config why` takes it: TOML's spelling, with `[0]` for list items.
pub fn parse_key(text: &str) -> Option<KeyPath> {
    let mut path = KeyPath::default();
    let mut rest = text;
    while !rest.is_empty() {
        let end = bracket(rest).unwrap_or(rest.len());
        let keys = rest[..end].trim_start_matches(|c| c == '.' && !path.0.is_empty());
        if !keys.is_empty() {
            let (document, errors) = parse(&format!("{keys} = 0"));
            path.0.extend(errors.is_empty().then(|| single_path(&document)).flatten()?.0);
        }
        rest = &rest[end..];
        if let Some(index) = rest.strip_prefix('[') {
            let close = index.find(']')?;
            path.0.push(Segment::Index(index[..close].parse().ok()?));
            rest = &index[close + 1..];
        }
    }
    (!path.0.is_empty()).then_some(path)
}

/// The path of a document that sets one key.
fn single_path(document: &Node) -> Option<KeyPath> {
    let (mut path, mut node) = (KeyPath::default(), document);
    while let Data::Table(entries) = &node.data {
        let mut entries = entries.iter();
        let (Some((key, next)), None) = (entries.next(), entries.next()) else { return None };
        path.0.push(Segment::Key(key.clone()));
        node = next;
    }
    Some(path)
}

fn outside_quotes(text: &str) -> Option<usize> {
    position(text, b'=')
}

fn bracket(text: &str) -> Option<usize> {
    position(text, b'[')
}

/// The first such byte that is not inside quotes.
fn position(text: &str, wanted: u8) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, byte) if byte == wanted => return Some(at),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if byte == open => quote = None,
            _ => {}
        }
    }
    None
}
