//! TOML text to [`Node`]s that know their place. All syntax errors are found, not only the first.

use std::{collections::BTreeMap, ops::Range};

use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::node::{Data, Node};

/// The mark that makes a list append: its first item.
pub const APPEND: &str = "+";

/// Something wrong in a text, by place.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntaxError {
    /// What, without place.
    pub message: String,
    /// Where.
    pub span: Range<usize>,
}

/// Reads a document. What can be read is returned even where some of it can't.
pub fn parse(text: &str) -> (Node, Vec<SyntaxError>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut errors: Vec<SyntaxError> = errors
        .into_iter()
        .map(|e| SyntaxError { message: e.message().to_owned(), span: clamp(text, e.span().unwrap_or(0..0)) })
        .collect();
    let span = clamp(text, table.span());
    let root = Node::new(read_table(text, table.into_inner(), &mut errors), span);
    errors.sort_by_key(|e| e.span.start);
    (root, errors)
}

/// Reads one TOML value (`[1, 2]`, `{ a = 1 }`).
pub fn parse_value(text: &str) -> Result<Node, SyntaxError> {
    match DeValue::parse(text) {
        Ok(value) => {
            let mut errors = Vec::new();
            let node = read_value(text, value, &mut errors);
            errors.into_iter().next().map_or(Ok(node), Err)
        }
        Err(e) => {
            Err(SyntaxError { message: e.message().to_owned(), span: clamp(text, e.span().unwrap_or(0..text.len())) })
        }
    }
}

fn read_table(text: &str, table: DeTable<'_>, errors: &mut Vec<SyntaxError>) -> Data {
    let mut entries = BTreeMap::new();
    for (key, value) in table {
        let mut node = read_value(text, value, errors);
        node.key = clamp(text, key.span());
        entries.insert(key.into_inner().into_owned(), node);
    }
    Data::Table(entries)
}

fn read_list(text: &str, list: DeArray<'_>, errors: &mut Vec<SyntaxError>) -> Data {
    let mut items: Vec<Node> = list.into_iter().map(|item| read_value(text, item, errors)).collect();
    let append = matches!(items.first(), Some(Node { data: Data::String(mark), .. }) if mark == APPEND);
    if append {
        items.remove(0);
    }
    Data::List { items, append }
}

fn read_value(text: &str, value: Spanned<DeValue<'_>>, errors: &mut Vec<SyntaxError>) -> Node {
    let span = clamp(text, value.span());
    let mut refuse = |message: String| {
        errors.push(SyntaxError { message, span: span.clone() });
        Data::Null
    };
    let data = match value.into_inner() {
        DeValue::String(string) => Data::String(string.into_owned()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Data::Integer(number),
            Err(_) => refuse(format!("{number} does not fit into 64 bits")),
        },
        DeValue::Float(number) => match number.as_str().parse() {
            Ok(number) => Data::Float(number),
            Err(_) => refuse(format!("{number} is not a number")),
        },
        DeValue::Boolean(bool) => Data::Bool(bool),
        DeValue::Datetime(_) => Data::Datetime,
        DeValue::Array(list) => read_list(text, list, errors),
        DeValue::Table(table) => read_table(text, table, errors),
    };
    Node::new(data, span)
}

/// A span that can be used on the text, whatever the parser said.
fn clamp(text: &str, span: Range<usize>) -> Range<usize> {
    let mut start = span.start.min(text.len());
    while !text.is_char_boundary(start) {
        start -= 1;
    }
    let mut end = span.end.clamp(start, text.len());
    while !text.is_char_boundary(end) {
        end += 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::{
        super::problem::Segment::{self, Index, Key},
        *,
    };

    #[test]
    fn spans_point_at_keys_and_values() {
        let text = "a = 1\r\n[t.\"x.y\"]\r\n\tb = [\"ü\", { c = true }]\r\n";
        let (root, errors) = parse(text);
        assert!(errors.is_empty(), "{errors:?}");
        let find = |path: &[Segment]| root.find(path).unwrap();
        let list = find(&[Key("t".into()), Key("x.y".into()), Key("b".into())]);
        assert_eq!(&text[list.key.clone()], "b");
        let item = find(&[Key("t".into()), Key("x.y".into()), Key("b".into()), Index(1), Key("c".into())]);
        assert_eq!((&text[item.key.clone()], &text[item.span.clone()]), ("c", "true"));
    }

    #[test]
    fn a_list_that_begins_with_plus_appends() {
        let (root, _) = parse("a = ['+', 'x']\nb = ['+%Y']");
        let Data::Table(entries) = root.data else { panic!() };
        assert!(matches!(&entries["a"].data, Data::List { items, append: true } if items.len() == 1));
        assert!(matches!(&entries["b"].data, Data::List { items, append: false } if items.len() == 1));
    }

    #[test]
    fn every_syntax_error_is_found() {
        let text = "a = \nb = 1\nc = [1,\nd = 2\n";
        let (_, errors) = parse(text);
        assert!(errors.len() >= 2, "{errors:?}");
    }
}
