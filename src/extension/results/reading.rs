//! What a tool's result is made of, borrowed from its frame: nothing is decoded or copied, whatever its size. Pure.

use std::{fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    super::object::{Change, Object, quoted},
    cut,
    uri::{self, Part},
};

/// With more items than these, the content is taken as one piece of JSON; memory is bounded by it.
const MOST_ITEMS: usize = 10_000;
/// Images, sounds and other things that are no text, of one result: so many bytes of base64 are handed on at most. One widely used
/// client drops the connection on a line of 10 MB.
pub(super) const MOST_MEDIA: usize = 8 << 20;
/// What one of them counts, in bytes of text: a model reads it by its pixels or seconds, not by its letters. 1600 tokens
/// are an image of the largest size that is not scaled down.
const MEDIUM: usize = 1600 * 4;

/// A result that has content.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    /// It stands here in the frame.
    pub(super) place: Range<usize>,
    result: &'a str,
    object: Object<'a>,
    content: &'a str,
    pub(super) items: Vec<Item<'a>>,
    pub(super) structured: Option<&'a str>,
}

/// One item of the content.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) raw: &'a str,
    pub(super) kind: Kind<'a>,
}

/// What an item is. Texts are without their quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind<'a> {
    /// A text.
    Text(&'a str),
    /// A resource within the content, of text.
    Embedded(&'a str),
    /// An image, a sound, a resource that is no text.
    Medium {
        /// Base64.
        data: &'a str,
        /// Its media type.
        mime: Option<&'a str>,
    },
    /// Anything else: a link, or what is not known here.
    Other,
}

impl<'a> Reading<'a> {
    /// Reads an answer. None: it is no result with content, or a batch.
    pub(super) fn new(frame: &'a [u8]) -> Option<Self> {
        let message: Object<'a> = serde_json::from_slice(frame).ok()?;
        let result: &'a RawValue = message.get("result")?;
        let result = result.get();
        let object: Object<'a> = serde_json::from_str(result).ok()?;
        let content = object.get("content")?.get();
        let items = match serde_json::from_str::<Items<'a>>(content).ok()?.0 {
            Some(items) => items.into_iter().map(|raw| Item { raw, kind: kind(raw) }).collect(),
            None => vec![Item { raw: content, kind: Kind::Other }],
        };
        let structured = object.get("structuredContent").map(RawValue::get);
        let start = result.as_ptr() as usize - frame.as_ptr() as usize;
        Some(Self { place: start..start + result.len(), result, object, content, items, structured })
    }

    /// The whole result, as it stands.
    pub(super) fn result(&self) -> &'a str {
        self.result
    }

    /// Where a part stands in the result.
    pub(super) fn place_of(&self, part: &str) -> Range<usize> {
        let start = part.as_ptr() as usize - self.result.as_ptr() as usize;
        start..start + part.len()
    }

    /// The content counts at most so many bytes.
    pub(super) fn content_fits(&self, most: usize) -> bool {
        let media: usize = self.items.iter().map(|item| item.data().map_or(0, str::len)).sum();
        media <= MOST_MEDIA && self.items.iter().map(|item| item.weight() + 1).sum::<usize>() <= most
    }

    /// The result with other content (JSON, a list). Where structured content that was there is left out, it is an error: a
    /// client that knows the tool's `outputSchema` refuses a success without it (both official SDKs do).
    pub(super) fn with(&self, content: &[u8], without_structured: bool) -> Vec<u8> {
        let mut changes = vec![("content", Change::Put(content))];
        if without_structured {
            changes.push(("structuredContent", Change::Drop));
            changes.push(("isError", Change::Put(b"true")));
        }
        let mut out = Vec::with_capacity(content.len() + 256);
        self.object.write(&mut out, &changes);
        out
    }

    /// The items of the content as they stand, without the list's brackets.
    pub(super) fn content(&self) -> &'a str {
        let inner = self.content.strip_prefix('[').and_then(|content| content.strip_suffix(']'));
        inner.unwrap_or_default().trim()
    }
}

impl<'a> Item<'a> {
    /// What it counts, in bytes of text.
    pub(super) fn weight(&self) -> usize {
        match self.kind {
            Kind::Text(_) | Kind::Embedded(_) => self.raw.len(),
            Kind::Medium { data, .. } => self.raw.len() - data.len() + MEDIUM,
            Kind::Other => cut::json_width(self.raw.as_bytes()),
        }
    }

    /// The base64 of a medium.
    pub(super) fn data(&self) -> Option<&'a str> {
        if let Kind::Medium { data, .. } = self.kind { Some(data) } else { None }
    }

    /// The item with the first `bytes` of its text, and something behind them. For texts only.
    pub(super) fn cut(&self, bytes: usize, behind: &str) -> Option<Vec<u8>> {
        let object: Object<'_> = serde_json::from_str(self.raw).ok()?;
        let mut out = Vec::with_capacity(bytes + behind.len() + 256);
        let short = |text: &str| [b"\"", &text.as_bytes()[..bytes], behind.as_bytes(), b"\""].concat();
        match self.kind {
            Kind::Text(text) => object.write(&mut out, &[("text", Change::Put(&short(text)))]),
            Kind::Embedded(text) => {
                let resource: Object<'_> = serde_json::from_str(object.get("resource")?.get()).ok()?;
                let mut inner = Vec::with_capacity(bytes + behind.len() + 256);
                resource.write(&mut inner, &[("text", Change::Put(&short(text)))]);
                object.write(&mut out, &[("resource", Change::Put(&inner))]);
            }
            Kind::Medium { .. } | Kind::Other => return None,
        }
        Some(out)
    }

    /// What stands for a medium in a text, as it stands between quotes.
    pub(super) fn line(&self, id: &str, place: usize) -> Option<String> {
        let Kind::Medium { data, mime } = self.kind else { return None };
        let mime = mime.filter(|mime| mime.len() < 100).unwrap_or("data");
        Some(format!("[{mime}, {} bytes of base64: {}]", data.len(), uri::write(id, Part::Item(place), None)))
    }
}

/// A text item of mcpmon's own. `text`: as it stands between quotes.
pub(super) fn text_item(text: &str) -> Vec<u8> {
    [br#"{"type":"text","text":""#, text.as_bytes(), br#""}"#].concat()
}

/// A link to a part.
pub(super) fn link_item(uri: &str, title: &str, description: &str, mime: &str, size: usize) -> Vec<u8> {
    let name = uri.strip_prefix("mcpmon://").unwrap_or(uri);
    let [uri, name, title, description, mime] =
        [uri, name, title, description, mime].map(|text| String::from_utf8_lossy(&quoted(text)).into_owned());
    format!(
        r#"{{"type":"resource_link","uri":{uri},"name":{name},"title":{title},"description":{description},"mimeType":{mime},"size":{size}}}"#
    )
    .into_bytes()
}

fn kind(raw: &str) -> Kind<'_> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Fields<'a> {
        #[serde(borrow, rename = "type")]
        kind: &'a RawValue,
        #[serde(borrow)]
        text: Option<&'a RawValue>,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
        #[serde(borrow)]
        mime_type: Option<&'a RawValue>,
        #[serde(borrow)]
        resource: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Resource<'a> {
        #[serde(borrow)]
        text: Option<&'a RawValue>,
        #[serde(borrow)]
        blob: Option<&'a RawValue>,
        #[serde(borrow)]
        mime_type: Option<&'a RawValue>,
    }
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(raw) else { return Kind::Other };
    let found = match fields.kind.get() {
        r#""text""# => text(fields.text).map(Kind::Text),
        r#""image""# | r#""audio""# => {
            text(fields.data).map(|data| Kind::Medium { data, mime: text(fields.mime_type) })
        }
        r#""resource""# => {
            let resource =
                fields.resource.and_then(|resource| serde_json::from_str::<Resource<'_>>(resource.get()).ok());
            resource.and_then(|resource| match (text(resource.text), text(resource.blob)) {
                (Some(text), _) => Some(Kind::Embedded(text)),
                (None, Some(data)) => Some(Kind::Medium { data, mime: text(resource.mime_type) }),
                (None, None) => None,
            })
        }
        _ => None,
    };
    found.unwrap_or(Kind::Other)
}

/// The inside of a text.
fn text(value: Option<&RawValue>) -> Option<&str> {
    value?.get().strip_prefix('"')?.strip_suffix('"')
}

/// A list's items as they stand; none when there are too many.
struct Items<'a>(Option<Vec<&'a str>>);

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;
        impl<'de> Visitor<'de> for List {
            type Value = Items<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = list.next_element::<&RawValue>()? {
                    if items.len() == MOST_ITEMS {
                        while list.next_element::<IgnoredAny>()?.is_some() {}
                        return Ok(Items(None));
                    }
                    items.push(item.get());
                }
                Ok(Items(Some(items)))
            }
        }
        deserializer.deserialize_seq(List)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_told_apart() {
        let medium = |data, mime| Kind::Medium { data, mime };
        let cases: &[(&str, Kind<'_>)] = &[
            (r#"{"type":"text","text":"a\n"}"#, Kind::Text(r"a\n")),
            (r#"{"text":"","annotations":{},"type" : "text"}"#, Kind::Text("")),
            (r#"{"type":"text","text":7}"#, Kind::Other),
            (r#"{"type":"text"}"#, Kind::Other),
            (r#"{"type":"image","data":"AAAA","mimeType":"image/png"}"#, medium("AAAA", Some("image/png"))),
            (r#"{"type":"audio","data":"AAAA"}"#, medium("AAAA", None)),
            (r#"{"type":"resource","resource":{"uri":"a","text":"b"}}"#, Kind::Embedded("b")),
            (
                r#"{"type":"resource","resource":{"uri":"a","blob":"AA==","mimeType":"x/y"}}"#,
                medium("AA==", Some("x/y")),
            ),
            (r#"{"type":"resource","resource":{"uri":"a"}}"#, Kind::Other),
            (r#"{"type":"resource_link","uri":"a","name":"b"}"#, Kind::Other),
            (r#"{"type":"text","text":"a","text":"b"}"#, Kind::Other),
            ("[1]", Kind::Other),
            ("null", Kind::Other),
        ];
        for (item, expected) in cases {
            assert_eq!(kind(item), *expected, "{item}");
        }
    }

    #[test]
    fn what_has_no_content_is_not_read() {
        for frame in [
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"x"}}"#,
            r#"[{"jsonrpc":"2.0","id":1,"result":{"content":[]}}]"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","inputRequests":{}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"task":{"taskId":"1"}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":{}}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[],"content":[]}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":null}"#,
        ] {
            assert!(Reading::new(frame.as_bytes()).is_none(), "{frame}");
        }
    }

    #[test]
    fn many_items_are_one() {
        let frame = |count: usize| {
            let items = vec!["{}"; count].join(",");
            format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"content":[{items}]}}}}"#)
        };
        assert_eq!(Reading::new(frame(MOST_ITEMS).as_bytes()).unwrap().items.len(), MOST_ITEMS);
        assert_eq!(Reading::new(frame(MOST_ITEMS + 1).as_bytes()).unwrap().items.len(), 1);
    }

    #[test]
    fn a_cut_keeps_what_is_not_text() {
        let item = |raw| Item { raw, kind: kind(raw) };
        let text = |bytes: Option<Vec<u8>>| bytes.map(|bytes| String::from_utf8(bytes).unwrap());
        assert_eq!(
            text(item(r#"{"_meta":{"a":1.0},"text":"abc","type":"text"}"#).cut(2, "…")).as_deref(),
            Some(r#"{"_meta":{"a":1.0},"text":"ab…","type":"text"}"#)
        );
        assert_eq!(
            text(item(r#"{"type":"resource","resource":{"text":"abc","uri":"u"},"x":1}"#).cut(0, "")).as_deref(),
            Some(r#"{"type":"resource","resource":{"text":"","uri":"u"},"x":1}"#)
        );
        assert_eq!(item("{}").cut(0, ""), None);
        let medium = item(r#"{"type":"image","data":"AAAA","mimeType":"image/png"}"#);
        assert_eq!(medium.line("i", 3).unwrap(), "[image/png, 4 bytes of base64: mcpmon://results/i/content/3]");
    }
}
