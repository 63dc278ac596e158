//! The extension `results`: a tool's result that is too large for the client is kept in a file; the client gets its beginning, a
//! link, and the rest in pages when it asks (`resources/read` of `mcpmon://results/<id>?page=2`).
//!
//! # What is too large
//!
//! `max_output_tokens` × 4 bytes of JSON, for the content and for the structured content each: a client hands one of the two to its
//! model. `_meta` and unknown fields are not counted and always kept. An image or a sound counts 1,600 tokens whatever its size,
//! because that is how models read it, and 8 MiB of them are handed on at most: counted by its letters, every
//! screenshot would be cut off from a client that can show it.
//!
//! Only results of tools are looked at (also those of tasks). What `resources/read` gives is for programs as often as for models
//! (the page of a user interface, a file to open), and a part of it would be wrong; prompts are written by people.
//!
//! # What the client gets
//!
//! The items of the content in their order, as long as they fit; the first text that does not is cut, and says behind the cut
//! how large the whole is, where it goes on, and which file has it: many clients can't let their model read a resource, but a
//! file. Then a `resource_link` (in sessions older than 2025-06-18, which did not know that item, the text must do). Structured content
//! that is too large is left out, and the result is then marked as an error, because clients refuse a success without
//! the structured content that a tool's `outputSchema` promises.
//!
//! # What is kept, and how long
//!
//! The result as the server sent it, until the session ends (see [`super::folder`] for what a killed one leaves); of more than
//! 1 GiB in one session the oldest go. Pages are cut from the file when they are asked for, so memory holds nothing but
//! where they begin. If a result can't be kept, it is handed on whole, and a warning says why.

mod cut;
mod document;
mod reading;
mod shown;
#[cfg(test)]
mod tests;
mod uri;

use std::{
    collections::{HashMap, VecDeque},
    io,
    ops::Range,
    path::Path,
};

use serde::Deserialize;
use uuid::Uuid;

use self::{
    document::{Document, Piece},
    reading::{MOST_MEDIA, Reading, link_item},
    shown::{Shown, behind, pieces},
    uri::Part,
};
use super::{
    Extension,
    folder::Folder,
    object::{escaped, quoted},
    reply::{INTERNAL_ERROR, Request},
};
use crate::proxy::{Frame, session::Claim};

/// What one session keeps at most, in bytes; then the oldest go.
const MOST_KEPT: usize = 1 << 30;
/// What is said around a part of a result takes so many bytes of the limit.
const AROUND: usize = 1024;
/// No page is smaller than this, however small the limit.
const SMALLEST_PAGE: usize = 256;
/// The first version that knows `resource_link`.
const LINKS_SINCE: &str = "2025-06-18";

/// The extension.
#[derive(Debug)]
pub struct Results {
    limit: Limit,
    folder: Folder,
    kept: HashMap<String, Kept>,
    /// Ids, oldest first.
    order: VecDeque<String>,
    bytes: usize,
    most_kept: usize,
    /// The client knows `resource_link`.
    links: bool,
}

/// How large a result may be.
#[derive(Debug, Clone, Copy)]
struct Limit {
    tokens: u64,
    /// The same, in bytes.
    whole: usize,
    /// Of a part, so that there is room to say that it is one.
    part: usize,
}

/// A result that is kept.
#[derive(Debug)]
struct Kept {
    file: String,
    bytes: usize,
    whole: Document,
    structured: Option<Document>,
    /// By their place in the content: where the base64 stands in the file, and the media type (JSON).
    media: HashMap<usize, (Range<usize>, Option<String>)>,
}

/// Why there is nothing to read.
#[derive(Debug)]
enum Refusal {
    NotThere(&'static str),
    Failed(String),
}

impl Results {
    /// For one session. `max_output_tokens`: [`McpSettings::max_output_tokens`], at least 1; `extensions_dir`: where extensions
    /// keep files.
    ///
    /// [`McpSettings::max_output_tokens`]: crate::model::target::McpSettings::max_output_tokens
    pub fn new(max_output_tokens: u64, extensions_dir: &Path, session: Uuid) -> Self {
        let whole = usize::try_from(max_output_tokens.saturating_mul(4)).unwrap_or(usize::MAX);
        let part = (whole - AROUND.min(whole / 2)).max(SMALLEST_PAGE);
        Self {
            limit: Limit { tokens: max_output_tokens, whole, part },
            folder: Folder::new(extensions_dir, "results", session),
            kept: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            most_kept: MOST_KEPT,
            links: true,
        }
    }

    /// A tool's result. None: it is not too large, or no result.
    fn shortened(&mut self, frame: &Frame) -> io::Result<Option<Frame>> {
        let bytes = frame.bytes();
        let Some(reading) = Reading::new(bytes) else { return Ok(None) };
        let content_fits = reading.content_fits(self.limit.whole);
        let structured = reading.structured.filter(|structured| structured.len() > self.limit.whole);
        if content_fits && structured.is_none() {
            return Ok(None);
        }
        let id = Uuid::new_v4().simple().to_string();
        let file = format!("{id}.json");
        self.folder.save(&file, reading.result().as_bytes())?;
        let shown = (!content_fits).then(|| Shown::new(&reading, &id, self.limit.part));
        let kept = self.kept(&reading, &id, file, shown.as_ref().and_then(Shown::end), structured);
        let content = self.content(&reading, &id, &kept, shown);
        self.keep(id, kept);
        let result = reading.with(&content, structured.is_some());
        let (before, after) = (&bytes[..reading.place.start], &bytes[reading.place.end..]);
        Ok(Some(Frame::new([before, result.as_slice(), after].concat())))
    }

    fn kept(
        &self,
        reading: &Reading<'_>,
        id: &str,
        file: String,
        first: Option<document::Mark>,
        structured: Option<&str>,
    ) -> Kept {
        let document = |pieces, first| Document::new(pieces, reading.result(), first, self.limit.part);
        let structured_pieces = || structured.map(|structured| vec![Piece::Json(reading.place_of(structured))]);
        let whole = if reading.items.is_empty() {
            document(structured_pieces().unwrap_or_default(), None)
        } else {
            document(pieces(reading, id), first)
        };
        let media = reading.items.iter().enumerate().filter_map(|(place, item)| {
            let reading::Kind::Medium { data, mime } = item.kind else { return None };
            Some((place, (reading.place_of(data), mime.map(|mime| format!("\"{mime}\"")))))
        });
        Kept {
            file,
            bytes: reading.result().len(),
            whole,
            structured: structured_pieces().map(|pieces| document(pieces, None)),
            media: media.collect(),
        }
    }

    /// What the client gets as the content.
    fn content(&self, reading: &Reading<'_>, id: &str, kept: &Kept, shown: Option<Shown>) -> Vec<u8> {
        let whole = uri::write(id, Part::Whole, None);
        let size = format!("mcpmon: this result of {} bytes is larger than {} tokens", kept.bytes, self.limit.tokens);
        let mut said = vec![size];
        match shown.as_ref().map(Shown::end) {
            None => {}
            Some(Some(end)) => {
                let next = uri::write(id, Part::Whole, Some(if end > document::BEGIN { 2 } else { 1 }));
                said.push(format!("it goes on at {next} (of {} pages)", kept.whole.pages()));
            }
            Some(None) => said.push(format!("what is no text is where its line says, all else at {whole}")),
        }
        let description = format!("In {} pages; each names the next", kept.whole.pages());
        let mut links = vec![link_item(&whole, "The whole result", &description, "text/plain", kept.bytes)];
        if let (Some(document), Some(structured)) = (&kept.structured, reading.structured) {
            let uri = uri::write(id, Part::Structured, None);
            said.push(format!(
                "its structured content is at {uri} and left out here, which is why this is marked as an error"
            ));
            let description = format!("JSON, in {} pages; each names the next", document.pages());
            links.push(link_item(&uri, "The structured content", &description, "application/json", structured.len()));
        }
        if !self.links {
            links.clear();
        }
        let said = format!("[{}. All of it, as JSON: {}]", said.join("; "), self.folder.path(&kept.file).display());
        let shown = shown.unwrap_or_else(|| Shown::whole(reading));
        shown.content(reading, &behind(&said), links)
    }

    fn keep(&mut self, id: String, kept: Kept) {
        self.bytes += kept.bytes;
        self.order.push_back(id.clone());
        self.kept.insert(id, kept);
        while self.bytes > self.most_kept && self.order.len() > 1 {
            let Some(oldest) = self.order.pop_front().and_then(|id| self.kept.remove(&id)) else { return };
            self.folder.remove(&oldest.file);
            self.bytes -= oldest.bytes;
        }
    }

    /// The contents of a resource, as JSON.
    fn read(&self, uri: &str) -> Result<Vec<u8>, Refusal> {
        let (id, part, page) = uri::read(uri).ok_or(Refusal::NotThere("this is no name of a kept result"))?;
        let kept = self.kept.get(id).ok_or(Refusal::NotThere("this result is not kept (any more)"))?;
        let path = || self.folder.path(&kept.file).display().to_string();
        let failed = |error: &dyn std::fmt::Display| Refusal::Failed(format!("{} can't be read: {error}", path()));
        let file = self.folder.open(&kept.file).map_err(|error| failed(&error))?;
        let read = |range| file.read(range);
        let document = match part {
            Part::Whole => &kept.whole,
            Part::Structured => kept.structured.as_ref().ok_or(Refusal::NotThere("it has no such part"))?,
            Part::Item(place) => {
                let (range, mime) = kept.media.get(&place).ok_or(Refusal::NotThere("it has no such item"))?;
                if range.len() > MOST_MEDIA {
                    let why =
                        format!("it is too large for one answer ({} bytes); it stands in {}", range.len(), path());
                    return Err(Refusal::Failed(why));
                }
                let data = read(range.clone()).map_err(|error| failed(&error))?;
                let mime = mime.as_ref().map(|mime| format!("\"mimeType\":{mime},")).unwrap_or_default();
                return checked([contents(uri, &mime, "blob").as_bytes(), &data, br#""}]"#].concat())
                    .map_err(|error| failed(&error));
            }
        };
        if page == 0 || page > document.pages() {
            return Err(Refusal::NotThere("it has no such page"));
        }
        let text = document.page(page, read).map_err(|error| failed(&error))?;
        let is_json = part == Part::Structured && document.pages() == 1;
        let mime = format!("\"mimeType\":\"{}\",", if is_json { "application/json" } else { "text/plain" });
        let mut answer = contents(uri, &mime, "text") + &text + "\"}";
        if document.pages() > 1 {
            let next = if page == document.pages() {
                "the last one".to_owned()
            } else {
                format!("the next: {}", uri::write(id, part, Some(page + 1)))
            };
            let said = escaped(&format!("[mcpmon: page {page} of {}; {next}]", document.pages()));
            let note = contents(uri, "\"mimeType\":\"text/plain\",", "text");
            answer = [&answer, ",", &note[1..], &said, "\"}"].concat();
        }
        answer.push(']');
        checked(answer.into_bytes()).map_err(|error| failed(&error))
    }
}

/// A list of contents up to the value of its first text or blob.
fn contents(uri: &str, mime: &str, field: &str) -> String {
    format!("[{{\"uri\":{},{mime}\"{field}\":\"", String::from_utf8_lossy(&quoted(uri)))
}

/// The file may have been changed by somebody: what is no JSON must not reach the client.
fn checked(contents: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    match serde_json::from_slice::<serde::de::IgnoredAny>(&contents) {
        Ok(_) if !contents.contains(&b'\n') => Ok(contents),
        _ => Err("it was changed"),
    }
}

impl Extension for Results {
    fn name(&self) -> &'static str {
        "results"
    }

    fn results(&self) -> &'static [&'static str] {
        &["initialize", "tools/call", "tasks/result"]
    }

    fn claims(&self) -> &'static [Claim] {
        &[Claim { method: "resources/read", field: "uri", prefix: uri::PREFIX }]
    }

    fn result(&mut self, method: &str, frame: Frame) -> Frame {
        if method == "initialize" {
            self.links = version(&frame).is_none_or(|version| version.as_str() >= LINKS_SINCE);
            return frame;
        }
        if frame.len() <= self.limit.whole {
            return frame;
        }
        match self.shortened(&frame) {
            Ok(shorter) => shorter.unwrap_or(frame),
            Err(error) => {
                tracing::warn!(
                    "results: one of {} bytes is handed on whole, because it can't be kept under {}: {error}; \
                     another folder: extensions_dir, MCPMON_EXTENSIONS_DIR",
                    frame.len(),
                    self.folder.path("").display(),
                );
                frame
            }
        }
    }

    fn serve(&mut self, _: &Claim, frame: &Frame) -> Frame {
        let request = Request::read(frame);
        let uri = request.text("uri").unwrap_or_default();
        match self.read(&uri) {
            Ok(contents) => request.resource(&contents),
            Err(Refusal::NotThere(why)) => request.not_found(&uri, &format!("no resource {uri}: {why}")),
            Err(Refusal::Failed(why)) => request.error(INTERNAL_ERROR, &format!("resource {uri}: {why}"), None),
        }
    }

    fn end(&mut self) {
        self.kept.clear();
        self.order.clear();
        if let Err(error) = self.folder.end() {
            tracing::warn!("results: {} could not be removed: {error}", self.folder.path("").display());
        }
    }
}

/// The version that client and server have settled on.
fn version(frame: &Frame) -> Option<String> {
    #[derive(Deserialize)]
    struct Answer {
        result: Settled,
    }
    #[derive(Deserialize)]
    struct Settled {
        #[serde(rename = "protocolVersion")]
        protocol_version: String,
    }
    serde_json::from_slice::<Answer>(frame.bytes()).ok().map(|answer| answer.result.protocol_version)
}
