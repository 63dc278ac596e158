//! Pure: a raw string (variable, flag, `--set`) to a value, by the [`Shape`] of the key it is for. A string is never
//! taken for a number: an image tag `1.10` stays `1.10`.

use super::{
    check::check_value,
    document::parse_value,
    node::{Data, Node},
    numbers::as_written,
    problem::{KeyPath, Segment},
    shape::{Schema, Shape},
};

/// Keys whose string form is one command line and no list of one.
pub const COMMAND_LINES: [&str; 4] = ["command", "entrypoint", "run", "test"];

/// Reads `raw` for the key at `path`; `offset`: where `raw` begins in its layer's text. Errors say what is wrong with the
/// value, without name or place.
pub fn read(schema: &Schema, shape: &Shape, path: &KeyPath, raw: &str, offset: usize) -> Result<Node, String> {
    Reader { schema, path }.value(shape, raw, offset)
}

/// Reads what a flag was given, several times perhaps: where a list may stand, each is one item (`none` alone clears, a
/// leading `+` appends); else the last one counts. `values`: with their offsets, not empty.
pub fn read_items(schema: &Schema, shape: &Shape, path: &KeyPath, values: &[(usize, &str)]) -> Result<Node, String> {
    let Some((&(offset, last), before)) = values.split_last() else { return Err("a value is missing".to_owned()) };
    let Some(item) = schema.item(shape) else { return read(schema, shape, path, last, offset) };
    let reader = Reader { schema, path };
    let span = values[0].0..offset + last.len();
    if before.is_empty() && last == "none" {
        return Ok(Node::list(Vec::new(), span));
    }
    let append = values[0].1.starts_with('+');
    let mut items = Vec::new();
    for (position, (offset, raw)) in values.iter().enumerate() {
        let skip = usize::from(append && position == 0);
        items.push(reader.scalar(&schema.variants(item), &raw[skip..], offset + skip)?);
    }
    Ok(Node::new(Data::List { items, append }, span))
}

/// `1`/`0`, `true`/`false`, `yes`/`no`, `on`/`off`, in any case.
pub fn boolean(raw: &str) -> Option<bool> {
    match raw.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Some(true),
        "0" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

struct Reader<'a> {
    schema: &'a Schema,
    path: &'a KeyPath,
}

impl Reader<'_> {
    fn value(&self, shape: &Shape, raw: &str, offset: usize) -> Result<Node, String> {
        let variants = self.schema.variants(shape);
        let list = variants.iter().find_map(|shape| match shape {
            Shape::List(item) => Some(&**item),
            _ => None,
        });
        let map = variants.iter().find_map(|shape| match shape {
            Shape::Table(table) => Some(table),
            _ => None,
        });
        let text = variants.iter().any(|shape| matches!(shape, Shape::String { .. } | Shape::Any));
        let trimmed = raw.trim();
        // What may be anything is a text, unless it is plainly written as a list or a table.
        let anything = matches!(variants[..], [Shape::Any]) && trimmed.starts_with('[');
        if (map.is_some() || matches!(variants[..], [Shape::Any])) && trimmed.starts_with('{') || anything {
            return self.toml(shape, raw, offset);
        }
        if let Some(item) = list.filter(|_| self.is_list(trimmed, text)) {
            return self.list(shape, item, raw, offset);
        }
        if let Some(table) = map {
            if table.rest.as_deref().is_some_and(|shape| self.schema.is_scalar(shape)) {
                return pairs(raw, offset);
            }
            if !text {
                return Err("a table is wanted here: write `{ key = value }`, or set its keys one by one".to_owned());
            }
        }
        self.scalar(&variants, raw, offset)
    }

    /// Whether `raw` is read as a list where a list may stand. A command line only when it is written as TOML.
    fn is_list(&self, raw: &str, text: bool) -> bool {
        let command_line =
            matches!(self.path.0.last(), Some(Segment::Key(key)) if COMMAND_LINES.contains(&key.as_str()));
        !(text && command_line)
            || raw.starts_with('[')
            || raw.strip_prefix('+').is_some_and(|r| r.trim().starts_with('['))
    }

    fn scalar(&self, variants: &[&Shape], raw: &str, offset: usize) -> Result<Node, String> {
        let node = |data| Ok(Node::new(data, offset..offset + raw.len()));
        let trimmed = raw.trim();
        for shape in variants {
            match shape {
                Shape::String { choices } if choices.is_empty() => return node(Data::String(raw.to_owned())),
                Shape::String { .. } => return self.checked(shape, trimmed, offset),
                Shape::Any => return node(Data::String(raw.to_owned())),
                _ => {}
            }
        }
        for shape in variants {
            match shape {
                Shape::Bool => match boolean(trimmed) {
                    Some(bool) => return node(Data::Bool(bool)),
                    None if variants.len() == 1 => {
                        return Err(format!("{raw:?} is no boolean: write true or false (or 1/0, yes/no, on/off)"));
                    }
                    None => {}
                },
                Shape::Integer => {
                    if let Ok(number) = trimmed.parse() {
                        return node(Data::Integer(number));
                    }
                }
                Shape::Duration => {
                    // The file asks for a unit; a bare number in a variable is milliseconds.
                    let bare = !trimmed.is_empty() && trimmed.bytes().all(|b| b.is_ascii_digit());
                    return node(Data::String(if bare { format!("{trimmed}ms") } else { trimmed.to_owned() }));
                }
                _ => {}
            }
        }
        // Numbers and sizes: text, judged where the file's own are.
        node(Data::String(trimmed.to_owned()))
    }

    fn checked(&self, shape: &Shape, raw: &str, offset: usize) -> Result<Node, String> {
        let mut node = Node::new(Data::String(raw.to_owned()), offset..offset + raw.len());
        match check_value(self.schema, &mut node, shape, self.path).into_iter().next() {
            None => Ok(node),
            Some(fault) => Err(match fault.help {
                Some(help) => format!("{}; {help}", fault.message),
                None => fault.message,
            }),
        }
    }

    fn list(&self, shape: &Shape, item: &Shape, raw: &str, offset: usize) -> Result<Node, String> {
        let span = offset..offset + raw.len();
        let trimmed = raw.trim();
        if trimmed == "none" || trimmed == "[]" {
            return Ok(Node::list(Vec::new(), span));
        }
        if trimmed.starts_with('[') {
            return self.toml(shape, raw, offset);
        }
        if let Some(rest) = trimmed.strip_prefix('+') {
            let mut node = self.list(shape, item, rest, offset + raw.len() - raw.trim_start().len() + 1)?;
            if let Data::List { append, .. } = &mut node.data {
                *append = true;
            }
            return Ok(node);
        }
        let mut items = Vec::new();
        for (start, part) in split(raw) {
            items.push(self.scalar(&self.schema.variants(item), part, offset + start)?);
        }
        Ok(Node::list(items, span))
    }

    fn toml(&self, shape: &Shape, raw: &str, offset: usize) -> Result<Node, String> {
        let mut node = parse_value(raw.trim()).map_err(|e| format!("{raw:?} is no TOML: {}", e.message))?;
        as_written(self.schema, shape, &mut node, raw.trim());
        let lead = raw.len() - raw.trim_start().len();
        shift(&mut node, offset + lead);
        match check_value(self.schema, &mut node, shape, self.path).into_iter().next() {
            None => Ok(node),
            Some(fault) => Err(fault.message),
        }
    }
}

/// `k=v,k2=v2`, or TOML's list of such; `none` clears.
fn pairs(raw: &str, offset: usize) -> Result<Node, String> {
    let span = offset..offset + raw.len();
    let trimmed = raw.trim();
    if trimmed == "none" || trimmed == "[]" {
        return Ok(Node::new(Data::Null, span));
    }
    let mut table = Node::new(Data::Table(std::collections::BTreeMap::new()), span);
    for (start, part) in split(raw) {
        let Some((key, value)) = part.split_once('=') else {
            return Err(format!("{part:?} has no `=`: write `key=value`, several with commas between"));
        };
        let place = offset + start;
        let value_start = place + key.len() + 1;
        let node = Node {
            data: Data::String(value.to_owned()),
            span: value_start..value_start + value.len(),
            key: place..place + key.len(),
        };
        table.insert(&[Segment::Key(key.trim().to_owned())], node);
    }
    Ok(table)
}

/// Parts between commas, trimmed, with their place; no split inside `{}`. Empty parts are left out.
fn split(raw: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut depth, mut start) = (0_usize, 0);
    for (at, byte) in raw.bytes().chain([b',']).enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 || at == raw.len() => {
                let part = &raw[start..at];
                let lead = part.len() - part.trim_start().len();
                if !part.trim().is_empty() {
                    parts.push((start + lead, part.trim()));
                }
                start = at + 1;
            }
            _ => {}
        }
    }
    parts
}

fn shift(node: &mut Node, by: usize) {
    node.span = node.span.start + by..node.span.end + by;
    node.key = node.key.start + by..node.key.end + by;
    match &mut node.data {
        Data::List { items, .. } => items.iter_mut().for_each(|item| shift(item, by)),
        Data::Table(entries) => entries.values_mut().for_each(|entry| shift(entry, by)),
        _ => {}
    }
}
