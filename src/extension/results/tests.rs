use std::fs;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

fn results(tokens: u64) -> (TempDir, Results) {
    let root = tempfile::tempdir().unwrap();
    let results = Results::new(tokens, root.path(), Uuid::new_v4());
    (root, results)
}

fn frame(message: &Value) -> Frame {
    Frame::new(format!("{message}\n"))
}

fn answer(result: &Value) -> Frame {
    frame(&json!({"jsonrpc": "2.0", "id": "a-1", "result": result}))
}

fn value(frame: &Frame) -> Value {
    let text = std::str::from_utf8(frame.bytes()).unwrap();
    assert_eq!(text.find('\n'), Some(text.len() - 1), "one line");
    serde_json::from_str(text).unwrap()
}

/// What the client gets for the answer to a tool's call.
fn call(results: &mut Results, result: &Value) -> Value {
    let answer = value(&results.result("tools/call", answer(result)));
    assert_eq!(answer["id"], "a-1");
    answer["result"].clone()
}

fn read(results: &mut Results, uri: &str) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 9, "method": "resources/read", "params": {"uri": uri}});
    let claim = results.claims()[0];
    let answer = value(&results.serve(&claim, &frame(&request)));
    assert_eq!(answer["id"], 9);
    answer
}

/// All pages from this one on, put together; and the longest one, in bytes of JSON.
fn pages(results: &mut Results, first: &str) -> (String, usize) {
    let (mut whole, mut longest, mut uri) = (String::new(), 0, first.to_owned());
    loop {
        let answer = read(results, &uri);
        let contents = answer["result"]["contents"].as_array().unwrap_or_else(|| panic!("{uri}: {answer}"));
        longest = longest.max(answer.to_string().len());
        whole += contents[0]["text"].as_str().unwrap();
        let next = contents.get(1).and_then(|note| note["text"].as_str()?.split("the next: ").nth(1));
        match next {
            Some(next) => uri = next.trim_end_matches(']').to_owned(),
            None => return (whole, longest),
        }
    }
}

fn link(result: &Value) -> String {
    let links = result["content"].as_array().unwrap().iter().filter(|item| item["type"] == "resource_link");
    links.map(|link| link["uri"].as_str().unwrap().to_owned()).next().expect("a link")
}

#[test]
fn what_is_not_too_large_passes_as_it_is() {
    let (root, mut results) = results(1000);
    let image = "A".repeat(100_000);
    for message in [
        json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "x".repeat(3900)}]}}),
        json!({"jsonrpc": "2.0", "id": 1, "error": {"code": -1, "message": "x".repeat(9000)}}),
        json!([{"jsonrpc": "2.0", "id": 1, "result": {"content": [{"type": "text", "text": "x".repeat(9000)}]}}]),
        json!({"jsonrpc": "2.0", "id": 1, "result": {"resultType": "input_required", "requestState": "x".repeat(9000)}}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {"content": [], "_meta": {"a": "x".repeat(9000)}}}),
    ] {
        assert_eq!(results.result("tools/call", frame(&message)), frame(&message));
    }
    let mut generous = Results::new(25_000, root.path(), Uuid::new_v4());
    let screenshot = answer(&json!({"content": [{"type": "image", "data": image, "mimeType": "image/png"}]}));
    assert!(screenshot.len() > 100_000);
    assert_eq!(generous.result("tools/call", screenshot.clone()), screenshot, "an image is not counted by its letters");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing was kept");
}

#[test]
fn a_long_text_is_cut_and_the_rest_is_in_pages() {
    let (root, mut results) = results(1000);
    let lines: Vec<String> = (0..2000).map(|line| format!("line {line} ß 😀 \"\\\n")).collect();
    let text = lines.concat();
    let meta = json!({"a": 12_345_678_901_234_567_890_u64});
    let item = json!({"type": "text", "text": text, "annotations": {"priority": 1}});
    let shown =
        call(&mut results, &json!({"resultType": "complete", "content": [item], "_meta": meta, "x-new": [1.50]}));
    assert_eq!((&shown["_meta"], &shown["x-new"], &shown["resultType"]), (&meta, &json!([1.50]), &json!("complete")));
    assert!(shown.get("isError").is_none());
    let content = shown["content"].as_array().unwrap();
    assert_eq!(content.len(), 2);
    assert_eq!(content[0]["annotations"], json!({"priority": 1}));
    let (beginning, said) = content[0]["text"].as_str().unwrap().rsplit_once("\n\n[mcpmon: ").unwrap();
    assert!(text.starts_with(beginning) && beginning.len() > 2000);
    let uri = link(&shown);
    let bytes = content[1]["size"].as_u64().unwrap();
    assert!(
        said.contains(&format!("of {bytes} bytes is larger than 1000 tokens; it goes on at {uri}?page=2 (of ")),
        "{said}"
    );
    let file = said.rsplit_once("as JSON: ").unwrap().1.trim_end_matches(']');
    assert!(Path::new(file).starts_with(root.path()));
    let kept: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!((&kept["content"][0]["text"], bytes), (&json!(text), fs::metadata(file).unwrap().len()));

    let (whole, longest) = pages(&mut results, &uri);
    assert_eq!(whole, text);
    assert!(longest <= 4000, "{longest}");
    let (rest, _) = pages(&mut results, &format!("{uri}?page=2"));
    assert_eq!(beginning.to_owned() + &rest, text, "what was shown is the first page");
    results.end();
    assert!(!Path::new(file).exists());
    assert_eq!(
        fs::read_dir(root.path().parent().unwrap())
            .unwrap()
            .flatten()
            .filter(|entry| entry.path() == root.path())
            .count(),
        0
    );
}

#[test]
fn several_items_keep_their_order_and_media_are_named() {
    let (_root, mut results) = results(1800);
    let huge = "A".repeat(MOST_MEDIA + 4);
    let content = json!([
        {"type": "text", "text": "before"},
        {"type": "image", "data": "AAAA", "mimeType": "image/png"},
        {"type": "audio", "data": huge, "mimeType": "audio/wav"},
        {"type": "resource", "resource": {"uri": "file:///a", "text": "b\n".repeat(9000)}},
        {"type": "new", "x": "after"},
    ]);
    let shown = call(&mut results, &json!({"content": content}));
    let items = shown["content"].as_array().unwrap();
    assert_eq!(items[0], content[0]);
    let uri = link(&shown);
    // Of 1800 tokens, an image's 1600 do not fit beside what is said about the rest.
    assert_eq!(items[1], json!({"type": "text", "text": format!("[image/png, 4 bytes of base64: {uri}/content/1]")}));
    assert_eq!(items[2]["text"], format!("[audio/wav, {} bytes of base64: {uri}/content/2]", huge.len()));
    assert_eq!((&items[3]["type"], &items[3]["resource"]["uri"]), (&json!("resource"), &json!("file:///a")));
    assert!(items[3]["resource"]["text"].as_str().unwrap().starts_with("b\nb\n"));
    assert_eq!(items.len(), 5, "four, and the link");

    let (whole, _) = pages(&mut results, &uri);
    let lines = format!("{}\n\n{}", items[1]["text"].as_str().unwrap(), items[2]["text"].as_str().unwrap());
    assert_eq!(whole, format!("before\n\n{lines}\n\n{}\n\n{}", "b\n".repeat(9000), content[4]));
    assert_eq!(
        read(&mut results, &format!("{uri}/content/1"))["result"]["contents"],
        json!([{"uri": format!("{uri}/content/1"), "mimeType": "image/png", "blob": "AAAA"}])
    );
    let error = read(&mut results, &format!("{uri}/content/2"))["error"]["message"].as_str().unwrap().to_owned();
    assert!(error.contains("too large for one answer (8388612 bytes); it stands in /"), "{error}");
}

#[test]
fn structured_content_that_is_too_large_is_left_out_with_an_error() {
    let (_root, mut results) = results(1000);
    let structured = json!({"rows": (0..3000).collect::<Vec<_>>()});
    let text = json!([{"type": "text", "text": "3000 rows"}]);
    let shown = call(&mut results, &json!({"content": text, "structuredContent": structured, "isError": false}));
    assert_eq!((&shown["isError"], shown.get("structuredContent")), (&json!(true), None));
    let items = shown["content"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]), (4, &text[0]));
    let uri = link(&shown);
    assert_eq!(items[3]["uri"], format!("{uri}/structuredContent"));
    assert!(items[1]["text"].as_str().unwrap().contains("marked as an error"));
    assert_eq!(pages(&mut results, &uri).0, "3000 rows");
    let (whole, longest) = pages(&mut results, &format!("{uri}/structuredContent"));
    assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), structured);
    assert!(longest <= 4000, "{longest}");

    // Without content, the structured content is the whole.
    let shown = call(&mut results, &json!({"content": [], "structuredContent": structured}));
    let uri = link(&shown);
    assert_eq!(serde_json::from_str::<Value>(&pages(&mut results, &uri).0).unwrap(), structured);

    // Structured content that fits stays beside a content that does not.
    let shown = call(
        &mut results,
        &json!({"content": [{"type": "text", "text": "x".repeat(5000)}], "structuredContent": {"a": 1}}),
    );
    assert_eq!((&shown["structuredContent"], shown.get("isError")), (&json!({"a": 1}), None));
}

/// What another implementation of the protocol makes of it.
#[test]
fn clients_understand_it() {
    let (_root, mut results) = results(1000);
    let content = json!([{"type": "image", "data": "A".repeat(9_000_000), "mimeType": "image/png"}, {"type": "text", "text": "x".repeat(9000)}]);
    let shown = call(&mut results, &json!({"content": content, "structuredContent": {"a": "x".repeat(9000)}}));
    let parsed: rmcp::model::CallToolResult = serde_json::from_value(shown.clone()).unwrap();
    assert_eq!((parsed.content.len(), parsed.is_error), (4, Some(true)));
    assert!(matches!(&parsed.content[2], rmcp::model::ContentBlock::ResourceLink(_)), "{parsed:?}");
    let uri = link(&shown);
    for uri in [format!("{uri}?page=2"), format!("{uri}/structuredContent")] {
        let page = read(&mut results, &uri);
        let parsed: rmcp::model::ReadResourceResult = serde_json::from_value(page["result"].clone()).unwrap();
        assert_eq!(parsed.contents.len(), 2, "{page}");
    }
}

#[test]
fn a_client_of_an_older_version_gets_no_links() {
    let (_root, mut results) = results(1000);
    for (version, links) in [("2024-11-05", false), ("2025-03-26", false), ("2025-06-18", true), ("2025-11-25", true)] {
        let handshake = answer(&json!({"protocolVersion": version, "capabilities": {}}));
        assert_eq!(results.result("initialize", handshake.clone()), handshake);
        let shown = call(&mut results, &json!({"content": [{"type": "text", "text": "x".repeat(5000)}]}));
        let found = shown["content"].as_array().unwrap().iter().any(|item| item["type"] == "resource_link");
        assert_eq!(found, links, "{version}");
        assert!(shown["content"][0]["text"].as_str().unwrap().contains("mcpmon://results/"));
    }
}

#[test]
fn what_is_not_there_is_an_error_that_says_so() {
    let (_root, mut results) = results(1000);
    let shown = call(&mut results, &json!({"content": [{"type": "text", "text": "x".repeat(5000)}]}));
    let uri = link(&shown);
    for (uri, expected) in [
        ("mcpmon://results/0000".to_owned(), "not kept"),
        ("mcpmon://results/".to_owned(), "not kept"),
        (format!("{uri}?page=x"), "no name"),
        (format!("{uri}?page=0"), "no such page"),
        (format!("{uri}?page=99"), "no such page"),
        (format!("{uri}/content/0"), "no such item"),
        (format!("{uri}/structuredContent"), "no such part"),
    ] {
        let answer = read(&mut results, &uri);
        assert_eq!((&answer["error"]["code"], &answer["error"]["data"]["uri"]), (&json!(-32002), &json!(uri)));
        assert!(answer["error"]["message"].as_str().unwrap().contains(expected), "{answer}");
    }
    // Somebody else wrote into the file, or removed it.
    let file = fs::read_dir(results.folder.path("")).unwrap().next().unwrap().unwrap().path();
    fs::write(&file, "\"".repeat(9000)).unwrap();
    assert!(read(&mut results, &uri)["error"]["message"].as_str().unwrap().ends_with("can't be read: it was changed"));
    fs::write(&file, "x").unwrap();
    assert_eq!(read(&mut results, &uri)["error"]["code"], json!(-32603));
    fs::remove_file(&file).unwrap();
    assert_eq!(read(&mut results, &uri)["error"]["code"], json!(-32603));
}

#[test]
fn what_cannot_be_kept_passes_whole() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let whole = answer(&json!({"content": [{"type": "text", "text": "x".repeat(5000)}]}));
    for folder in [file.as_path(), &file.join("below"), Path::new("/proc/mcpmon"), Path::new("/dev/full")] {
        let mut results = Results::new(1000, folder, Uuid::new_v4());
        assert_eq!(results.result("tools/call", whole.clone()), whole, "{}", folder.display());
        results.end();
    }
}

#[test]
fn the_oldest_go_when_much_is_kept() {
    let (_root, mut results) = results(1000);
    results.most_kept = 15_000;
    let mut uris = Vec::new();
    for _ in 0..4 {
        let shown = call(&mut results, &json!({"content": [{"type": "text", "text": "x".repeat(5000)}]}));
        uris.push(link(&shown));
    }
    let there = uris.iter().map(|uri| read(&mut results, uri).get("result").is_some());
    assert_eq!(there.collect::<Vec<_>>(), [false, false, true, true]);
    assert_eq!(fs::read_dir(results.folder.path("")).unwrap().count(), 2);
}

/// Any item: text of all kinds, media, resources, what is not known.
fn item() -> impl Strategy<Value = Value> {
    let text = prop_oneof!["[a-z \"\\\\\n\u{1}ß😀]{0,60}", "[a-zß😀\n]{500,3000}"];
    let size = prop_oneof![0_usize..10, 2000_usize..3000];
    prop_oneof![
        4 => text.clone().prop_map(|text| json!({"type": "text", "text": text})),
        1 => (text.clone(), "[a-z]{0,20}").prop_map(|(text, uri)| json!({"type": "resource", "resource": {"uri": uri, "text": text}})),
        1 => size.prop_map(|size| json!({"type": "image", "data": "A".repeat(size), "mimeType": "image/png"})),
        1 => text.prop_map(|text| json!({"type": "new", "x": text})),
    ]
}

fn text_of(item: &Value, line: &str) -> String {
    match item["type"].as_str().unwrap() {
        "text" => item["text"].as_str().unwrap().to_owned(),
        "resource" => item["resource"]["text"].as_str().unwrap().to_owned(),
        "image" => format!("[image/png, {} bytes of base64: {line}]", item["data"].as_str().unwrap().len()),
        _ => item.to_string(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn nothing_is_lost_and_nothing_is_too_large(
        items in proptest::collection::vec(item(), 0..8),
        structured in proptest::option::of("[a-z\"]{0,3000}"),
        tokens in 100_u64..1200,
        modern: bool,
    ) {
        let (_root, mut results) = results(tokens);
        let mut result = json!({"content": items, "_meta": {"a": 1}});
        if let Some(text) = &structured {
            result["structuredContent"] = json!({"text": text});
        }
        if modern {
            result["resultType"] = json!("complete");
        }
        let media: usize = items.iter().map(|item| item["data"].as_str().map_or(0, str::len)).sum();
        let before = answer(&result);
        let after = results.result("tools/call", before.clone());
        let limit = usize::try_from(tokens).unwrap() * 4;
        prop_assert!(after.len() <= 2 * limit + media + 2 * AROUND, "{} of {}", after.len(), before.len());
        let after = value(&after);
        prop_assert_eq!(&after["id"], "a-1");
        let after = &after["result"];
        prop_assert_eq!((&after["_meta"], after.get("resultType")), (&result["_meta"], result.get("resultType")));
        if after == &result {
            return Ok(());
        }
        let uri = link(after);
        if !items.is_empty() {
            let texts = items.iter().enumerate().map(|(place, item)| text_of(item, &format!("{uri}/content/{place}")));
            let (whole, longest) = pages(&mut results, &uri);
            prop_assert_eq!(whole, texts.collect::<Vec<_>>().join("\n\n"));
            prop_assert!(longest <= limit + AROUND, "{}", longest);
        }
        match after.get("structuredContent") {
            Some(kept) => prop_assert_eq!(kept, &result["structuredContent"]),
            None if structured.is_some() => {
                prop_assert_eq!(&after["isError"], true);
                let (whole, _) = pages(&mut results, &format!("{uri}/structuredContent"));
                prop_assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), result["structuredContent"].clone());
            }
            None => prop_assert!(after.get("isError").is_none()),
        }
    }
}
