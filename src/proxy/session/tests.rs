//! The state machine by examples; by random interleavings in [`simulation`].

mod eras;
mod offers;
mod simulation;
mod world;

use std::time::Duration;

use self::world::World;
use super::{Input, Output, Start};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A legacy session whose first server serves, with these capabilities.
fn legacy(capabilities: &str) -> World {
    let mut world = World::new(world::options());
    assert_eq!(world.begin(), ["start 1 fresh"]);
    assert_eq!(world.started(1), Vec::<String>::new());
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18"}}"#;
    assert_eq!(world.client(initialize), [format!("1< {initialize}")]);
    let said = world.server(1, &initialized(0, "2025-06-18", capabilities));
    assert_eq!(said.len(), 1, "{said:?}");
    let initialized = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
    assert_eq!(world.client(initialized), [format!("1< {initialized}")]);
    world
}

fn initialized(id: u32, version: &str, capabilities: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"protocolVersion":"{version}","capabilities":{capabilities}}}}}"#)
}

fn call(id: u32, tool: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}"}}}}"#)
}

fn result(id: u32) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{}}}}"#)
}

const TOOLS: &str = r#"{"tools":{"listChanged":true}}"#;

/// What went to the client, and what a person was told.
fn seen(outputs: &[String]) -> Vec<&str> {
    outputs.iter().map(String::as_str).filter(|line| line.starts_with("> ") || line.starts_with("! ")).collect()
}

/// The id of mcpmon's own request in what went to a server.
fn own(outputs: &[String], server: u32, method: &str) -> String {
    let line = outputs.iter().find(|line| line.starts_with(&format!("{server}< ")) && line.contains(method));
    let line = line.unwrap_or_else(|| panic!("no {method} to {server} in {outputs:?}"));
    let value: serde_json::Value = serde_json::from_str(&line[3..]).expect("JSON");
    value["id"].as_str().expect("an id of its own").to_owned()
}

fn tools(id: &str, names: &[&str]) -> String {
    let tools: Vec<_> =
        names.iter().map(|name| format!(r#"{{"name":"{name}","annotations":{{"readOnlyHint":true}}}}"#)).collect();
    format!(r#"{{"jsonrpc":"2.0","id":"{id}","result":{{"tools":[{}]}}}}"#, tools.join(","))
}

#[test]
fn a_reload_is_not_noticed_but_for_what_changed() {
    let mut world = legacy(TOOLS);
    assert_eq!(world.client(&call(1, "slow")), [format!("1< {}", call(1, "slow"))]);

    let out = world.handle(Input::Changed { rebuild: false });
    assert_eq!(out[0], "start 2 fresh");
    let old_list = own(&out, 1, "tools/list");
    assert_eq!(world.server(1, &tools(&old_list, &["fetch", "old"])), Vec::<String>::new());

    world.pass(Duration::from_millis(300));
    let out = world.started(2);
    assert!(
        out[0].starts_with("2< ") && out[0].contains(r#""id":0,"method":"initialize""#),
        "the client's own: {out:?}"
    );
    // Requests go to the old one until the new one is ready.
    assert_eq!(world.client(&call(2, "a")), [format!("1< {}", call(2, "a"))]);
    assert_eq!(world.server(1, &result(2)), [format!("> {}", result(2))]);

    let out = world.server(2, &initialized(0, "2025-06-18", TOOLS));
    assert!(out[0].contains("notifications/initialized"), "{out:?}");
    assert_eq!(seen(&out), Vec::<&str>::new(), "the second answer to initialize is swallowed");
    let new_list = own(&out, 2, "tools/list");
    world.pass(Duration::from_millis(60));
    let out = world.server(2, &tools(&new_list, &["fetch", "search"]));
    assert_eq!(
        seen(&out),
        [
            r#"> {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#,
            "! reloaded in 360 ms (start 300, handshake 60, drained 1 call); tools +search -old",
        ]
    );
    assert_eq!(world.client(&call(3, "a")), [format!("2< {}", call(3, "a"))], "new requests go to the new one");
    // The old one answers what it had, and is stopped then.
    assert_eq!(world.server(1, &result(1)), [format!("> {}", result(1)), "stop 1".to_owned()]);
    assert_eq!(world.exited(1, "ended"), Vec::<String>::new());
    assert_eq!(world.server(2, &result(3)), [format!("> {}", result(3))]);
}

/// Reloads to server 2 with the same tools; gives the outputs of the switch.
fn reload(world: &mut World) -> Vec<String> {
    let out = world.handle(Input::Changed { rebuild: false });
    let list = own(&out, 1, "tools/list");
    let _ = world.server(1, &tools(&list, &["a"]));
    let _ = world.started(2);
    let out = world.server(2, &initialized(0, "2025-06-18", TOOLS));
    let list = own(&out, 2, "tools/list");
    world.server(2, &tools(&list, &["a"]))
}

#[test]
fn same_lists_are_no_news() {
    let mut world = legacy(TOOLS);
    assert_eq!(reload(&mut world), ["! reloaded in 0 ms (start 0, handshake 0)", "stop 1"]);
}

#[test]
fn what_the_old_server_does_not_answer_in_time_is_repeated_where_that_does_no_harm() {
    let mut world = legacy(TOOLS);
    let _ = world.client(&call(1, "a"));
    let _ = world.client(&call(2, "unknown"));
    let _ = reload(&mut world);
    world.pass(seconds(9));
    assert_eq!(world.handle(Input::Tick), Vec::<String>::new());
    world.pass(seconds(1));
    let out = world.handle(Input::Tick);
    assert_eq!(out[0], format!("2< {}", call(1, "a")));
    assert!(out[1].contains(r#""id":2,"error""#) && out[1].contains("server reloaded"), "{out:?}");
    assert_eq!(
        out[2],
        "! the old server did not answer 2 calls in time; 1 call sent to the new one; 1 call got an error"
    );
    assert_eq!(out[3], "stop 1");
    assert_eq!(world.server(1, &result(1)), Vec::<String>::new(), "too late");
    assert_eq!(world.server(2, &result(1)), [format!("> {}", result(1))]);
}

#[test]
fn a_new_server_that_does_not_come_up_changes_nothing() {
    for (name, fail) in [
        ("exits", (|world: &mut World| world.exited(2, "exit code 1")) as fn(&mut World) -> Vec<String>),
        ("is silent", |world| {
            world.pass(seconds(60));
            world.handle(Input::Tick)
        }),
        ("refuses", |world| world.server(2, r#"{"jsonrpc":"2.0","id":0,"error":{"code":1,"message":"no"}}"#)),
    ] {
        let mut world = legacy(r#"{"tools":{},"logging":{}}"#);
        let level = |level: &str| {
            format!(r#"{{"jsonrpc":"2.0","id":3,"method":"logging/setLevel","params":{{"level":"{level}"}}}}"#)
        };
        let _ = world.client(&level("error"));
        let _ = world.server(1, &result(3));
        let _ = world.handle(Input::Changed { rebuild: false });
        let _ = world.started(2);
        let out = fail(&mut world);
        let told = out.iter().find(|line| line.starts_with("! ")).unwrap_or_else(|| panic!("{name}: {out:?}"));
        assert!(told.contains("not reloaded") && told.contains("the old server goes on"), "{name}: {told}");
        assert!(out.iter().any(|line| line.contains("notifications/message")), "{name}: the client's log");
        assert_eq!(world.client(&call(5, "a")), [format!("1< {}", call(5, "a"))], "{name}");
        let _ = world.exited(2, "stopped");
        assert_eq!(
            world.handle(Input::Changed { rebuild: true }),
            ["! files changed, building the image", "start 3 rebuild"],
            "{name}"
        );
        let _ = world.client(&level("critical"));
        let _ = world.server(1, &result(3));
        let out = world.exited(3, "exit code 1");
        assert!(!out.iter().any(|line| line.contains("notifications/message")), "{name}: not grave enough: {out:?}");
    }
}

#[test]
fn a_server_of_another_version_is_told_of_once() {
    let mut world = legacy(TOOLS);
    let _ = world.handle(Input::Changed { rebuild: false });
    let _ = world.started(2);
    let out = world.server(2, &initialized(0, "2025-11-25", TOOLS));
    assert!(out.iter().any(|line| line == "stop 2"), "{out:?}");
    let out = world.client(&call(1, "a"));
    assert!(
        out[0].contains("2025-11-25") && out[0].contains("2025-06-18") && out[0].contains(r#""id":1,"error""#),
        "{out:?}"
    );
    assert_eq!(world.client(&call(2, "a")), [format!("1< {}", call(2, "a"))], "the old server goes on");
}

#[test]
fn a_crash_is_answered_at_once_and_the_next_request_waits() {
    let mut world = legacy(TOOLS);
    let _ = world.client(&call(1, "crash"));
    let out = world.exited(1, "exit code 3");
    assert!(out[0].contains(r#""id":1,"error""#) && out[0].contains("server exited"), "{out:?}");
    assert_eq!(out[1], "! the server ended: exit code 3; 1 call got an error; starting it again");
    assert_eq!(out[2], "start 2 fresh");
    assert_eq!(world.client(&call(2, "a")), Vec::<String>::new());
    let _ = world.started(2);
    let out = world.server(2, &initialized(0, "2025-06-18", "{}"));
    assert!(out.iter().any(|line| line == &format!("2< {}", call(2, "a"))), "{out:?}");
    // The second time it waits a little.
    let out = world.exited(2, "exit code 3");
    assert!(out.iter().any(|line| line.ends_with("starting it again in 500ms")), "{out:?}");
    assert!(!out.iter().any(|line| line.starts_with("start")));
    world.pass(Duration::from_millis(500));
    assert_eq!(world.handle(Input::Tick), ["start 3 fresh"]);
}

#[test]
fn a_first_server_that_never_stays_is_given_up_until_a_file_changes() {
    let mut world = World::new(world::options());
    let _ = world.begin();
    let initialize = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#;
    let _ = world.client(initialize);
    for server in 1..=3 {
        let out = world.started(server);
        assert_eq!(out, [format!("{server}< {initialize}")], "it is kept for the next one");
        let out = world.exited(server, "exit code 1");
        let answered = out.iter().any(|line| line.starts_with("> ") && line.contains("exit code 1"));
        assert_eq!(answered, server == 3, "{out:?}");
        world.pass(seconds(2));
        let out = world.handle(Input::Tick);
        assert_eq!(out.iter().filter(|line| line.starts_with("start")).count(), usize::from(server == 2), "{out:?}");
    }
    let out = world.client(&call(1, "a"));
    assert!(out[0].contains("until a file changes"), "no waiting for what will not come: {out:?}");
    assert_eq!(world.handle(Input::Changed { rebuild: false }), ["start 4 fresh"]);
}

#[test]
fn a_first_server_that_can_never_start_ends_the_session() {
    let mut world = World::new(world::options());
    let _ = world.begin();
    let _ = world.client(r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#);
    let failure = super::StartFailure { reason: "there is no program x".into(), hopeless: true };
    let out = world.handle(Input::StartFailed(super::ServerId(1), failure));
    assert_eq!(seen(&out)[0], "! not started: there is no program x; the session ends");
    assert!(!out.iter().any(|line| line.contains("until a file changes")), "{out:?}");
    assert!(out.iter().any(|line| line.starts_with("> ") && line.contains("there is no program x")), "{out:?}");
    assert_eq!(out.last().map(String::as_str), Some("ended badly"));
}

#[test]
fn a_first_server_that_can_not_start_is_told_of_also_where_the_client_has_closed() {
    let failure = || super::StartFailure { reason: "there is no program x".into(), hopeless: true };
    let mut world = World::new(world::options());
    let _ = world.begin();
    assert_eq!(world.handle(Input::ClientClosed), Vec::<String>::new());
    let out = world.handle(Input::StartFailed(super::ServerId(1), failure()));
    assert_eq!(out, ["! not started: there is no program x; the session ends", "ended badly"]);
    // One that was told to stop meanwhile is missed by nobody.
    let mut world = World::new(world::options());
    let _ = world.begin();
    let _ = world.handle(Input::End);
    let out = world.handle(Input::StartFailed(super::ServerId(1), failure()));
    assert_eq!(seen(&out), Vec::<&str>::new(), "{out:?}");
}

#[test]
fn a_replaced_server_that_ends_by_itself_was_not_in_time_for_another_reason() {
    let mut world = legacy(TOOLS);
    let _ = world.client(&call(1, "crash"));
    let _ = reload(&mut world);
    let out = world.exited(1, "exit code 3");
    assert!(out[0].contains(r#""id":1,"error""#) && out[0].contains("server exited"), "{out:?}");
    assert!(out[0].contains("ended before it answered: exit code 3"), "{out:?}");
}

#[test]
fn a_command_that_had_to_stop_first_is_not_called_the_old_server() {
    let mut world = World::new(super::Options { stop_first: true, comes_back: false, ..world::options() });
    let _ = world.begin();
    let _ = world.started(1);
    let _ = world.handle(Input::Changed { rebuild: false });
    let _ = world.handle(Input::Prepared(super::ServerId(2)));
    let _ = world.exited(1, "stopped");
    let out = world.exited(2, "exit code 1");
    assert_eq!(
        out[0],
        "! not reloaded: exit code 1; the command is started again with the files as they are now, the next save tries again"
    );
    assert_eq!(out[1], "start 3 again 1");
}

#[test]
fn where_the_old_one_must_stop_first_requests_wait() {
    let mut options = world::options();
    options.stop_first = true;
    options.buffer = 200;
    let mut world = World::new(options);
    let _ = world.begin();
    let _ = world.started(1);
    let _ = world.client(&call(1, "a"));
    assert_eq!(
        world.handle(Input::Changed { rebuild: true }),
        ["! files changed, building the image", "prepare 2 rebuild"]
    );
    assert_eq!(world.client(&call(2, "a")), [format!("1< {}", call(2, "a"))], "it serves while the image is built");
    assert_eq!(world.handle(Input::Prepared(super::ServerId(2))), Vec::<String>::new(), "it has two to answer");
    assert_eq!(world.client(&call(3, "a")), Vec::<String>::new(), "held");
    let _ = world.server(1, &result(1));
    assert_eq!(world.server(1, &result(2)), [format!("> {}", result(2)), "stop 1 keep".to_owned()]);
    assert_eq!(world.exited(1, "stopped"), ["start 2 fresh"]);
    let _ = world.client(&call(4, "a"));
    let _ = world.client(&call(5, "a"));
    let out = world.client(&call(6, "a"));
    assert!(out[0].contains("buffer full"), "{out:?}");
    // It does not come up: the old one again.
    let out = world.exited(2, "exit code 1");
    assert_eq!(
        out,
        ["! not reloaded: exit code 1; the old server is started again, the next save tries again", "start 3 again 1"]
    );
    let out = world.started(3);
    assert_eq!(out[0], format!("3< {}", call(3, "a")));
}

#[test]
fn questions_of_two_servers_are_not_mixed_up() {
    let mut world = legacy(TOOLS);
    let question = r#"{"jsonrpc":"2.0","id":0,"method":"roots/list"}"#;
    assert_eq!(world.server(1, question), [format!("> {question}")]);
    let _ = world.client(&call(1, "slow"));
    let _ = reload(&mut world);
    let out = world.server(2, question);
    assert!(!out[0].contains(r#""id":0"#) && out[0].contains("roots/list"), "{out:?}");
    let value: serde_json::Value = serde_json::from_str(&out[0][2..]).expect("JSON");
    let id = value["id"].as_str().expect("an id of its own");
    let answer = |id: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"roots":[]}}}}"#);
    assert_eq!(world.client(&answer(&format!("{id:?}"))), [format!("2< {}", answer("0"))]);
    assert_eq!(world.client(&answer("0")), [format!("1< {}", answer("0"))]);
}

#[test]
fn a_modern_client_keeps_its_subscriptions() {
    let meta = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}"#;
    let discover = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{{{meta}}}}}"#);
    let discovered = |id: &str| {
        format!(
            r#"{{"jsonrpc":"2.0","id":{id},"result":{{"supportedVersions":["2026-07-28"],"capabilities":{TOOLS}}}}}"#
        )
    };
    let listen = format!(
        r#"{{"jsonrpc":"2.0","id":2,"method":"subscriptions/listen","params":{{{meta},"notifications":{{"toolsListChanged":true,"promptsListChanged":true}}}}}}"#
    );
    let acknowledged = r#"{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":2},"notifications":{}}}"#;
    let mut world = World::new(world::options());
    let _ = world.begin();
    let _ = world.started(1);
    let _ = world.client(&discover);
    let _ = world.server(1, &discovered("1"));
    let _ = world.client(&listen);
    assert_eq!(world.server(1, acknowledged), [format!("> {acknowledged}")]);

    let _ = world.handle(Input::Changed { rebuild: false });
    let out = world.started(2);
    let asked = own(&out, 2, "server/discover");
    let out = world.server(2, &discovered(&format!("{asked:?}")));
    let list = own(&out, 2, "tools/list");
    assert!(
        out.iter().any(|line| line.contains(r#""method":"tools/list""#) && line.contains("clientCapabilities")),
        "{out:?}"
    );
    let out = world.server(2, &tools(&list, &["new"]));
    assert_eq!(out[0], format!("2< {listen}"), "opened again under the same id");
    assert!(out[1].contains("notifications/tools/list_changed") && out[1].contains(r#"subscriptionId":2"#), "{out:?}");
    assert!(!out.iter().any(|line| line.contains("prompts/list_changed")), "neither server has prompts: {out:?}");
    assert_eq!(world.server(2, acknowledged), Vec::<String>::new(), "the client has seen one");
    assert_eq!(world.server(1, &result(2)), Vec::<String>::new(), "the old server's end is not the subscription's");
    let update = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;
    assert_eq!(world.server(2, update), [format!("> {update}")]);
}

#[test]
fn the_end_of_file_is_handed_on_and_a_second_later_the_stop() {
    let mut world = legacy(TOOLS);
    let _ = world.client(&call(1, "slow"));
    assert_eq!(world.handle(Input::ClientClosed), ["close 1"]);
    world.pass(seconds(1));
    let out = world.handle(Input::Tick);
    assert!(out[0].contains(r#""id":1,"error""#) && out[0].contains("session ended"), "{out:?}");
    assert_eq!(out[1], "stop 1");
    assert_eq!(world.exited(1, "stopped"), ["ended well"]);
}

#[test]
fn a_server_that_ends_at_the_end_of_file_ends_the_session() {
    let mut world = legacy(TOOLS);
    let _ = world.handle(Input::ClientClosed);
    assert_eq!(world.exited(1, "exit code 0"), ["ended well"]);
}

#[test]
fn what_was_sent_before_the_end_of_file_is_served_by_a_server_that_starts_in_time() {
    let mut world = World::new(world::options());
    let _ = world.begin();
    let _ = world.client(&call(1, "a"));
    assert_eq!(world.handle(Input::ClientClosed), Vec::<String>::new());
    assert_eq!(world.started(1), [format!("1< {}", call(1, "a")), "close 1".to_owned()]);
    assert_eq!(world.server(1, &result(1)), [format!("> {}", result(1))]);
}

#[test]
fn strange_frames_are_told_of_and_go_no_further() {
    let mut world = legacy(TOOLS);
    assert_eq!(world.server(1, &result(77)), ["! the server answered 77, which nobody waits for: let go"]);
    assert_eq!(world.server(1, r#"{"level":"info"}"#), [r#"noise 1 {"level":"info"}"#]);
    let out = world.client(r#"{"hello":1}"#);
    assert!(out[0].contains("-32600") && out[1].contains("not JSON-RPC 2.0"), "{out:?}");
    let out = world.client("{nonsense");
    assert!(out[0].contains("-32700"), "{out:?}");
    let out = world.handle(Input::NoiseFromClient(None));
    assert!(out[0].contains("-32700") && out[1].contains("not JSON-RPC (it begins with neither"), "{out:?}");
    let large = "18446744073709551615";
    let ping = format!(r#"{{"jsonrpc":"2.0","id":{large},"method":"ping"}}"#);
    assert_eq!(world.client(&ping), [format!("1< {ping}")]);
    let answer = format!(r#"{{"jsonrpc":"2.0","id":{large},"result":{{"a":NaN}}}}"#);
    assert_eq!(world.server(1, &answer), [format!("> {answer}")]);
    // What is no UTF-8 would be no answer; with it replaced it is.
    let _ = world.client(&call(5, "a"));
    let broken = [br#"{"jsonrpc":"2.0","id":5,"result":{"a":"b"#.as_slice(), b"\xff", br#"c"}}"#].concat();
    let out = world.handle(Input::FromServer(super::ServerId(1), crate::proxy::Frame::new(broken)));
    assert_eq!(out, ["> {\"jsonrpc\":\"2.0\",\"id\":5,\"result\":{\"a\":\"b\u{fffd}c\"}}"]);
    let _ = world.client(&call(1, "a"));
    let out = world.client(&call(1, "a"));
    assert!(out[0].contains("a second request with the id 1"), "{out:?}");
    let _ = world.server(1, &result(1));
    assert_eq!(world.server(1, &result(1)).len(), 1, "the second answer is let go");
}

#[test]
fn a_line_that_could_not_be_kept_may_have_been_any_answer() {
    let mut world = legacy(TOOLS);
    let _ = world.client(&call(1, "a"));
    let out = world.handle(Input::TooLong(super::ServerId(1), 300_000_000));
    assert!(out[0].contains(r#""id":1,"error""#) && out[0].contains("answer too long"), "{out:?}");
    assert_eq!(out[1], "! the server sent a line of 300000000 bytes, which is too long: let go; 1 call got an error");
    assert_eq!(world.client(&call(2, "a")), [format!("1< {}", call(2, "a"))], "the server goes on");
}

#[test]
fn batches_stay_whole_where_they_can() {
    let mut world = legacy(TOOLS);
    let batch = format!("[{},{}]", call(1, "a"), call(2, "a"));
    assert_eq!(world.client(&batch), [format!("1< {batch}")]);
    let answers = format!("[{},{}]", result(1), result(2));
    assert_eq!(world.server(1, &answers), [format!("> {answers}")]);
    let mixed = format!("[{},{}]", call(3, "a"), result(9));
    assert_eq!(world.client(&mixed)[0], format!("1< {}", call(3, "a")));
    let answers = format!("[{},{}]", result(3), result(8));
    assert_eq!(world.server(1, &answers)[0], format!("> {}", result(3)));
}

#[test]
fn outputs_name_how_a_server_is_started() {
    let output = Output::Start { server: super::ServerId(2), how: Start::Again(super::ServerId(1)) };
    assert_eq!(world::words(&output), "start 2 again 1");
}
