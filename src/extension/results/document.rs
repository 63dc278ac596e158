//! A text in pages, put together from places in a kept result. Only where the pages begin is remembered; the text itself stays
//! in its file. Pure: who reads the file is passed in. It must not know MCP.

use std::{io, ops::Range};

use super::{super::object::escaped, cut};

/// A part of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Text that stands there as JSON has it between quotes.
    Text(Range<usize>),
    /// JSON that stands there; as text it has to be escaped.
    Json(Range<usize>),
    /// A text of its own, escaped.
    Own(Box<str>),
}

/// A place in the text: bytes of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) piece: usize,
    pub(super) byte: usize,
}

/// The text's beginning.
pub(super) const BEGIN: Mark = Mark { piece: 0, byte: 0 };

/// A text in pages.
#[derive(Debug)]
pub(super) struct Document {
    pieces: Vec<Piece>,
    /// Where its pages begin; one at least.
    pages: Vec<Mark>,
}

impl Document {
    /// Cuts a text into pages of at most `most` bytes, as they stand in JSON. `result`: what the pieces are places of.
    /// `first`: where the first page ends, if that is settled already.
    pub(super) fn new(pieces: Vec<Piece>, result: &str, first: Option<Mark>, most: usize) -> Self {
        let mut pages = vec![BEGIN];
        pages.extend(first.filter(|mark| *mark > BEGIN));
        let mut at = first.unwrap_or(BEGIN);
        let mut room = most;
        while let Some(piece) = pieces.get(at.piece) {
            let (taken, left) = match piece {
                Piece::Text(range) => {
                    let rest = &result.as_bytes()[range.start + at.byte..range.end];
                    (cut::escaped(rest, room), rest.len())
                }
                Piece::Json(range) => {
                    let rest = &result.as_bytes()[range.start + at.byte..range.end];
                    (cut::json(rest, room), rest.len())
                }
                Piece::Own(text) => {
                    let rest = &text.as_bytes()[at.byte..];
                    (cut::escaped(rest, room), rest.len())
                }
            };
            if taken == left {
                room -= match piece {
                    Piece::Json(range) => cut::json_width(&result.as_bytes()[range.start + at.byte..range.end]),
                    Piece::Text(_) | Piece::Own(_) => left,
                };
                at = Mark { piece: at.piece + 1, byte: 0 };
            } else {
                at.byte += taken;
                room = most;
                pages.push(at);
            }
        }
        Self { pieces, pages }
    }

    /// How many pages.
    pub(super) fn pages(&self) -> usize {
        self.pages.len()
    }

    /// A page's text (from 1), as JSON has it between quotes.
    pub(super) fn page(&self, number: usize, read: impl Fn(Range<usize>) -> io::Result<Vec<u8>>) -> io::Result<String> {
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let from = *number.checked_sub(1).and_then(|place| self.pages.get(place)).ok_or_else(missing)?;
        let to = self.pages.get(number).copied().unwrap_or(Mark { piece: self.pieces.len(), byte: 0 });
        let read = |place: &Range<usize>, part: Range<usize>| {
            let bytes = read(place.start + part.start..(place.start + part.end).min(place.end))?;
            String::from_utf8(bytes).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
        };
        let mut text = String::new();
        for (place, piece) in self.pieces.iter().enumerate().take(to.piece + 1).skip(from.piece) {
            let start = if place == from.piece { from.byte } else { 0 };
            let end = |length: usize| if place == to.piece { to.byte } else { length };
            match piece {
                Piece::Text(range) => text += &read(range, start..end(range.len()))?,
                Piece::Json(range) => text += &escaped(&read(range, start..end(range.len()))?),
                Piece::Own(own) => text += own.get(start..end(own.len())).unwrap_or_default(),
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_text_has_one_page() {
        for pieces in [vec![], vec![Piece::Own("".into())]] {
            let document = Document::new(pieces, "", None, 16);
            assert_eq!((document.pages(), document.page(1, |_| Ok(Vec::new())).unwrap()), (1, String::new()));
            assert!(document.page(0, |_| Ok(Vec::new())).is_err() && document.page(2, |_| Ok(Vec::new())).is_err());
        }
    }

    proptest! {
        #[test]
        fn pages_make_the_whole(
            parts in proptest::collection::vec((0..3, r"(\\n|\\u00e9|[a-c]|ß|😀){0,30}"), 0..6),
            first in proptest::option::of((0_usize..6, 0_usize..10)),
            most in 12_usize..40,
        ) {
            let (mut result, mut pieces, mut whole) = (String::new(), Vec::new(), String::new());
            for (kind, text) in &parts {
                let start = result.len();
                match kind {
                    0 => { result += text; pieces.push(Piece::Text(start..result.len())); whole += text; }
                    1 => {
                        result = [&result, "{\"a\":\"", text, "\"}"].concat();
                        pieces.push(Piece::Json(start..result.len()));
                        whole += &escaped(&result[start..]);
                    }
                    _ => { pieces.push(Piece::Own(text.as_str().into())); whole += text; }
                }
            }
            // A settled end, where a text may be cut.
            let first = first.and_then(|(piece, byte)| {
                let Piece::Text(range) = pieces.get(piece)? else { return None };
                Some(Mark { piece, byte: cut::escaped(&result.as_bytes()[range.clone()], byte) })
            });
            let document = Document::new(pieces, &result, first, most);
            let read = |range: Range<usize>| Ok(result.as_bytes()[range].to_vec());
            let pages: Vec<String> = (1..=document.pages()).map(|page| document.page(page, read).unwrap()).collect();
            prop_assert_eq!(pages.concat(), whole);
            for page in pages.iter().skip(usize::from(first.is_some_and(|mark| mark > BEGIN))) {
                prop_assert!(page.len() <= most, "{}", page);
            }
        }
    }
}
