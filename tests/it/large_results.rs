//! Results that are too large, end to end: a real server in a container, its result cut, read in pages, and gone at the end.

use std::{fs, os::unix::fs::PermissionsExt};

use serde_json::{Value, json};

use crate::{client::Client, project::Project, stdio::greeting};

/// A session whose results may have 1,000 tokens.
fn session(test: &str) -> (Project, Client) {
    let mut project = greeting(test, "");
    project.environment("MAX_MCP_OUTPUT_TOKENS", "1000");
    let client = Client::of_target(&project, "api");
    (project, client)
}

fn big(client: &mut Client, bytes: usize) -> Value {
    let id = client.begin("big", &json!({"bytes": bytes}));
    client.answer(id)["result"].clone()
}

fn read(client: &mut Client, uri: &str) -> Value {
    let id = client.request("resources/read", &json!({"uri": uri}));
    client.answer(id)
}

#[test]
fn a_large_result_is_read_in_pages_and_gone_with_the_session() {
    let (project, mut client) = session("large-pages");
    let small = big(&mut client, 3000);
    assert_eq!(small["content"].as_array().map(Vec::len), Some(1), "{small}");
    assert!(!project.path(".mcpmon").exists(), "nothing is kept of it");

    let whole = 1_000_000;
    let result = big(&mut client, whole);
    let text = result["content"][0]["text"].as_str().expect("a text");
    let (beginning, said) = text.rsplit_once("\n\n[mcpmon: ").expect("what mcpmon says");
    let uri = result["content"][1]["uri"].as_str().expect("a link").to_owned();
    assert!(said.contains(&format!("{uri}?page=2")), "{said}");
    assert!(result.to_string().len() < 4000);

    let file = said.rsplit_once("as JSON: ").expect("the file").1.trim_end_matches(']').to_owned();
    assert!(file.starts_with(&project.path(".mcpmon/results").display().to_string()), "{file}");
    assert_eq!(fs::metadata(&file).expect("the file").permissions().mode() & 0o777, 0o600);

    let (mut pages, mut next) = (beginning.to_owned(), Some(format!("{uri}?page=2")));
    while let Some(page) = next {
        // The server may be replaced meanwhile: its result stays.
        if page.ends_with("=100") {
            project.write("content/greeting.txt", "good day");
            client.hears("reloaded in");
        }
        let answer = read(&mut client, &page);
        let contents = &answer["result"]["contents"];
        pages += contents[0]["text"].as_str().unwrap_or_else(|| panic!("{page}: {answer}"));
        let note = contents[1]["text"].as_str().and_then(|note| note.split_once("the next: "));
        next = note.map(|(_, uri)| uri.trim_end_matches(']').to_owned());
    }
    assert_eq!(pages.len(), whole);
    assert_eq!(client.call("greet", &json!({})), "good day");
    let error = &read(&mut client, "mcpmon://results/0")["error"];
    assert_eq!(error["code"], -32002, "{error}");

    client.leave();
    assert!(!project.path(".mcpmon").exists(), "nothing is left");
    project.assert_nothing_left();
}

#[test]
fn a_large_result_passes_whole_where_it_cannot_be_kept_or_shall_not() {
    let (mut project, client) = session("large-whole");
    client.leave();
    // A file stands where the folder would be made.
    project.write("file", "");
    project.environment("MCPMON_EXTENSIONS_DIR", "file");
    let mut client = Client::of_target(&project, "api");
    assert_eq!(big(&mut client, 9000)["content"][0]["text"].as_str().map(str::len), Some(9000));
    client.hears("can't be kept under");
    client.leave();

    let mut client = Client::start(&project, &["--set", "mcp.extensions.results=false", "run", "api"]);
    client.initialize();
    assert_eq!(big(&mut client, 9000)["content"][0]["text"].as_str().map(str::len), Some(9000));
    assert!(!client.all_said().iter().any(|line| line.contains("results:")));
    client.leave();
    project.assert_nothing_left();
}
