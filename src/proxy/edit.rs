//! The few changes that are made to frames that pass through. Everything but the changed place stays byte for byte.
//! Pure.

use std::ops::Range;

use bytes::BytesMut;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    frame::Frame,
    message::{Id, Raw},
};

/// The frame with another id. `raw_id`: where the id stands, borrowed from the frame's own bytes.
pub fn with_id(frame: &Frame, raw_id: Raw<'_>, id: &Id) -> Frame {
    let text = serde_json::to_vec(id).unwrap_or_default(); // a text or a number: it can't fail
    spliced(frame, vec![(place(frame, raw_id), text)])
}

/// The answer to `initialize` or `server/discover`, with `listChanged` where the server has lists: mcpmon tells of
/// changed lists after a reload, whether or not the server does. None: nothing had to be changed.
pub fn with_list_changed(frame: &Frame, result: Raw<'_>) -> Option<Frame> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        capabilities: Option<Lists<'a>>,
    }
    #[derive(Deserialize)]
    struct Lists<'a> {
        #[serde(borrow)]
        tools: Option<&'a RawValue>,
        #[serde(borrow)]
        prompts: Option<&'a RawValue>,
        #[serde(borrow)]
        resources: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Capability<'a> {
        #[serde(borrow)]
        list_changed: Option<&'a RawValue>,
    }
    let answer: Answer<'_> = serde_json::from_slice(result).ok()?;
    let lists = answer.capabilities?;
    let mut changes = Vec::new();
    for list in [lists.tools, lists.prompts, lists.resources].into_iter().flatten() {
        let Ok(capability) = serde_json::from_str::<Capability<'_>>(list.get()) else { continue };
        match capability.list_changed {
            Some(value) if value.get() == "true" => {}
            Some(value) => changes.push((place(frame, value.get().as_bytes()), b"true".to_vec())),
            None => {
                let start = place(frame, list.get().as_bytes()).start + 1;
                let empty = list.get()[1..].trim_start().starts_with('}');
                let text = if empty { &br#""listChanged":true"#[..] } else { br#""listChanged":true,"# };
                changes.push((start..start, text.to_vec()));
            }
        }
    }
    if changes.is_empty() { None } else { Some(spliced(frame, changes)) }
}

/// Where a part that was borrowed from the frame stands in it.
fn place(frame: &Frame, part: Raw<'_>) -> Range<usize> {
    let start = part.as_ptr() as usize - frame.bytes().as_ptr() as usize;
    start..start + part.len()
}

fn spliced(frame: &Frame, mut changes: Vec<(Range<usize>, Vec<u8>)>) -> Frame {
    changes.sort_by_key(|(place, _)| place.start);
    let added: usize = changes.iter().map(|(_, text)| text.len()).sum();
    let mut bytes = BytesMut::with_capacity(frame.len() + added);
    let mut from = 0;
    for (place, text) in changes {
        bytes.extend_from_slice(&frame.bytes()[from..place.start]);
        bytes.extend_from_slice(&text);
        from = place.end;
    }
    bytes.extend_from_slice(&frame.bytes()[from..]);
    Frame::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::message::{Message, Outcome, parse};

    fn frame(text: &str) -> Frame {
        Frame::new(text.as_bytes().to_vec())
    }

    #[test]
    fn an_id_is_replaced_and_nothing_else() {
        let cases = [
            (
                r#"{"jsonrpc":"2.0", "id" : 7 ,"method":"a","params":{"id":7}}"#,
                r#"{"jsonrpc":"2.0", "id" : "n" ,"method":"a","params":{"id":7}}"#,
            ),
            (
                r#"{"params":{"id":"x"},"id":"x","method":"a","jsonrpc":"2.0"}"#,
                r#"{"params":{"id":"x"},"id":"n","method":"a","jsonrpc":"2.0"}"#,
            ),
        ];
        for (before, after) in cases {
            let before = frame(before);
            let Ok(Message::Request(request)) = parse(before.bytes()) else { panic!("a request") };
            assert_eq!(with_id(&before, request.raw_id, &Id::Text("n".into())), frame(after));
        }
    }

    #[test]
    fn list_changed_is_added_where_there_are_lists() {
        let cases = [
            (r#"{"tools":{}}"#, r#"{"tools":{"listChanged":true}}"#),
            (
                r#"{"tools":{ }, "prompts":{"x":1}}"#,
                r#"{"tools":{"listChanged":true }, "prompts":{"listChanged":true,"x":1}}"#,
            ),
            (
                r#"{"resources":{"subscribe":true,"listChanged":false}}"#,
                r#"{"resources":{"subscribe":true,"listChanged":true}}"#,
            ),
        ];
        let whole = |capabilities: &str| {
            format!(r#"{{"result":{{"capabilities":{capabilities},"protocolVersion":"x"}},"id":0,"jsonrpc":"2.0"}}"#)
        };
        for (before, after) in cases {
            let before = frame(&whole(before));
            let Ok(Message::Response(response)) = parse(before.bytes()) else { panic!("an answer") };
            let Outcome::Result(result) = response.outcome else { panic!("a result") };
            assert_eq!(with_list_changed(&before, result), Some(frame(&whole(after))));
        }
        for same in [r#"{"tools":{"listChanged":true}}"#, "{}", r#"{"tools":null}"#, r#"{"logging":{}}"#] {
            let before = frame(&whole(same));
            let Ok(Message::Response(response)) = parse(before.bytes()) else { panic!("an answer") };
            let Outcome::Result(result) = response.outcome else { panic!("a result") };
            assert_eq!(with_list_changed(&before, result), None, "{same}");
        }
    }
}
