//! The resources' names: `mcpmon://results/<id>`, `…/structuredContent`, `…/content/<item>`, each with `?page=<number>`.
//! Pure.

/// What every one begins with.
pub(super) const PREFIX: &str = "mcpmon://results/";

/// A part of a kept result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The text of its content; of one without content, its structured content.
    Whole,
    /// Its structured content, as JSON.
    Structured,
    /// One image or sound, or another thing that is no text: by its place in the content, from 0.
    Item(usize),
}

/// Names a part; without a page, its first one is meant.
pub(super) fn write(id: &str, part: Part, page: Option<usize>) -> String {
    let part = match part {
        Part::Whole => String::new(),
        Part::Structured => "/structuredContent".to_owned(),
        Part::Item(item) => format!("/content/{item}"),
    };
    let page = page.map(|page| format!("?page={page}")).unwrap_or_default();
    format!("{PREFIX}{id}{part}{page}")
}

/// Reads what [`write`] wrote: id, part, page (from 1).
pub(super) fn read(uri: &str) -> Option<(&str, Part, usize)> {
    let rest = uri.strip_prefix(PREFIX)?;
    let (path, page) = match rest.split_once('?') {
        None => (rest, 1),
        Some((path, query)) => (path, number(query.strip_prefix("page=")?)?),
    };
    let (id, part) = match path.split_once('/') {
        None => (path, Part::Whole),
        Some((id, "structuredContent")) => (id, Part::Structured),
        Some((id, part)) => (id, Part::Item(number(part.strip_prefix("content/")?)?)),
    };
    Some((id, part, page))
}

fn number(text: &str) -> Option<usize> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for part in [Part::Whole, Part::Structured, Part::Item(7)] {
            for page in [None, Some(12)] {
                assert_eq!(read(&write("abc", part, page)), Some(("abc", part, page.unwrap_or(1))));
            }
        }
        for other in
            ["mcpmon://result/abc", "abc?page=", "abc?page=+1", "abc?page=-1", "abc?x=1", "abc/content/", "abc/x"]
        {
            let uri = if other.starts_with("mcpmon:") { other.to_owned() } else { format!("{PREFIX}{other}") };
            assert_eq!(read(&uri), None, "{uri}");
        }
    }
}
