//! What the client gets in place of a content that is too large: its beginning, and where the rest is. Pure.

use super::{
    document::{Mark, Piece},
    reading::{Kind, MOST_MEDIA, Reading, text_item},
};

/// Between the texts of two items.
const BETWEEN: &str = r"\n\n";

/// The beginning of a content.
#[derive(Debug)]
pub(super) struct Shown {
    /// The items that fit, as JSON.
    items: Vec<Vec<u8>>,
    /// The item that did not, and how many bytes of its text do.
    stop: Option<(usize, usize)>,
}

impl Shown {
    /// The items in their order, as long as they fit into `most` bytes. A medium that does not fit is named in a line; the first
    /// other item that does not fit is the last: if it is a text, up to where it fits.
    pub(super) fn new(reading: &Reading<'_>, id: &str, most: usize) -> Self {
        let (mut room, mut media) = (most, MOST_MEDIA);
        let mut items = Vec::new();
        for (place, item) in reading.items.iter().enumerate() {
            let weight = item.weight() + 1;
            let data = item.data().map_or(0, str::len);
            if weight <= room && data <= media {
                items.push(item.raw.as_bytes().to_vec());
                room -= weight;
                media -= data;
                continue;
            }
            if let Some(line) = item.line(id, place) {
                let line = text_item(&line);
                if line.len() < room {
                    room -= line.len() + 1;
                    items.push(line);
                    continue;
                }
            }
            let bytes = match item.kind {
                Kind::Text(text) | Kind::Embedded(text) => {
                    let around = item.raw.len() - text.len() + 1;
                    room.checked_sub(around).map_or(0, |room| super::cut::escaped(text.as_bytes(), room))
                }
                Kind::Medium { .. } | Kind::Other => 0,
            };
            return Self { items, stop: Some((place, bytes)) };
        }
        Self { items, stop: None }
    }

    /// All of a content.
    pub(super) fn whole(reading: &Reading<'_>) -> Self {
        let content = reading.content();
        Self { items: if content.is_empty() { Vec::new() } else { vec![content.into()] }, stop: None }
    }

    /// Where it ends in the text that [`pieces`] makes; none where nothing is missing but media.
    pub(super) fn end(&self) -> Option<Mark> {
        self.stop.map(|(place, byte)| Mark { piece: place * 2, byte })
    }

    /// The items, with what is said about the rest behind the text that was cut, and links.
    pub(super) fn content(self, reading: &Reading<'_>, behind: &str, links: Vec<Vec<u8>>) -> Vec<u8> {
        let mut items = self.items;
        let cut = self.stop.filter(|(_, bytes)| *bytes > 0);
        let cut = cut.and_then(|(place, bytes)| reading.items.get(place)?.cut(bytes, behind));
        items.push(cut.unwrap_or_else(|| text_item(behind.trim_start_matches(BETWEEN))));
        items.extend(links);
        [b"[", items.join(&b","[..]).as_slice(), b"]"].concat()
    }
}

/// What is said behind a text that was cut begins with this.
pub(super) fn behind(text: &str) -> String {
    format!("{BETWEEN}{}", super::super::object::escaped(text))
}

/// The text of a content: of each item the text, a line for what is none, JSON for what is not known; an empty line between two.
pub(super) fn pieces(reading: &Reading<'_>, id: &str) -> Vec<Piece> {
    let mut pieces = Vec::with_capacity(reading.items.len() * 2);
    for (place, item) in reading.items.iter().enumerate() {
        if place > 0 {
            pieces.push(Piece::Own(BETWEEN.into()));
        }
        pieces.push(match item.kind {
            Kind::Text(text) | Kind::Embedded(text) => Piece::Text(reading.place_of(text)),
            Kind::Medium { .. } => Piece::Own(item.line(id, place).unwrap_or_default().into()),
            Kind::Other => Piece::Json(reading.place_of(item.raw)),
        });
    }
    pieces
}
