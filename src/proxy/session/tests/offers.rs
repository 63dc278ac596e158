//! Which lists are compared at a reload, and who hears that they changed.

use std::time::Duration;

use super::{TOOLS, World, call, initialized, legacy, own, result, seconds, seen, tools, world};
use crate::proxy::session::{Input, ServerId};

const CHANGED: &str = r#"> {"jsonrpc":"2.0","method":"notifications/tools/list_changed"}"#;

/// A session whose servers may not run side by side, in the middle of a reload: the old one is to stop.
fn stop_first() -> (World, String) {
    let mut world = legacy(TOOLS);
    world.stop_first();
    let out = world.handle(Input::Changed { rebuild: false });
    assert_eq!(out[0], "prepare 2 fresh");
    let list = own(&out, 1, "tools/list");
    assert_eq!(world.handle(Input::Prepared(ServerId(2))), Vec::<String>::new(), "it has to say what its lists are");
    (world, list)
}

/// The new server comes up; what is said of it.
fn comes_up(world: &mut World, names: &[&str]) -> Vec<String> {
    assert_eq!(world.exited(1, "stopped"), ["start 2 fresh"]);
    let _ = world.started(2);
    let out = world.server(2, &initialized(0, "2025-06-18", TOOLS));
    let list = own(&out, 2, "tools/list");
    world.server(2, &tools(&list, names))
}

#[test]
fn what_stops_first_is_compared_too() {
    let (mut world, list) = stop_first();
    assert_eq!(world.server(1, &tools(&list, &["a"])), ["stop 1 keep"]);
    let out = comes_up(&mut world, &["a"]);
    assert_eq!(seen(&out), ["! reloaded in 0 ms (start 0, handshake 0)"], "the same is no news");

    let (mut world, list) = stop_first();
    let _ = world.server(1, &tools(&list, &["a"]));
    let out = comes_up(&mut world, &["a", "b"]);
    assert_eq!(seen(&out), [CHANGED, "! reloaded in 0 ms (start 0, handshake 0); tools +b"]);
}

/// The client asks for the tools; the server answers.
fn asks(world: &mut World, server: u32, names: &[&str], cursor: &str) {
    let params = format!("{{{cursor}}}");
    let _ = world.client(&format!(r#"{{"jsonrpc":"2.0","id":"9","method":"tools/list","params":{params}}}"#));
    assert_eq!(world.server(server, &tools("9", names)).len(), 1);
}

/// The server crashes, and the next one has these tools; what the client hears.
fn crashes(world: &mut World, server: u32, names: &[&str]) -> Vec<String> {
    let out = world.exited(server, "exit code 3");
    if !out.iter().any(|line| line.starts_with("start")) {
        world.pass(seconds(60));
        let _ = world.handle(Input::Tick);
    }
    let _ = world.started(server + 1);
    let out = world.server(server + 1, &initialized(0, "2025-06-18", TOOLS));
    let list = own(&out, server + 1, "tools/list");
    let out = world.server(server + 1, &tools(&list, names));
    out.into_iter().filter(|line| line.starts_with("> ")).collect()
}

#[test]
fn what_crashes_is_compared_with_what_its_client_has_seen() {
    let mut world = legacy(TOOLS);
    asks(&mut world, 1, &["a"], "");
    assert_eq!(crashes(&mut world, 1, &["a"]), Vec::<String>::new(), "the same");
    assert_eq!(crashes(&mut world, 2, &["a"]), Vec::<String>::new(), "known of one that was asked at its start");
    assert_eq!(crashes(&mut world, 3, &["b"]), [CHANGED]);
    let _ = world.server(4, CHANGED.trim_start_matches("> "));
    assert_eq!(crashes(&mut world, 4, &["b"]), [CHANGED], "they were others than is known");

    for part in [None, Some(r#""cursor":"2""#)] {
        let mut world = legacy(TOOLS);
        if let Some(cursor) = part {
            asks(&mut world, 1, &["a"], cursor);
        }
        assert_eq!(crashes(&mut world, 1, &["a"]), [CHANGED], "nobody knows the whole list: {part:?}");
    }

    // It crashes while the next one is on its way.
    let mut world = legacy(TOOLS);
    let list = own(&world.handle(Input::Changed { rebuild: false }), 1, "tools/list");
    let _ = world.server(1, &tools(&list, &["a"]));
    assert_eq!(crashes(&mut world, 1, &["a"]), Vec::<String>::new());
}

#[test]
fn what_stops_first_has_a_second_to_tell_its_lists() {
    let (mut world, _) = stop_first();
    world.pass(Duration::from_millis(999));
    assert_eq!(world.handle(Input::Tick), Vec::<String>::new());
    world.pass(Duration::from_millis(1));
    assert_eq!(world.handle(Input::Tick), ["stop 1 keep"]);
    assert_eq!(seen(&comes_up(&mut world, &["a"]))[0], CHANGED, "nobody knows");
}

#[test]
fn what_stops_first_answers_its_calls_before_it_goes_for_its_lists() {
    let mut world = legacy(TOOLS);
    world.stop_first();
    let _ = world.client(&call(1, "a"));
    let list = own(&world.handle(Input::Changed { rebuild: false }), 1, "tools/list");
    let _ = world.handle(Input::Prepared(ServerId(2)));
    assert_eq!(world.server(1, &result(1)), [format!("> {}", result(1))]);
    world.pass(seconds(2));
    assert_eq!(world.server(1, &tools(&list, &["a"])), ["stop 1 keep"]);
}

#[test]
fn a_list_that_a_server_does_not_have_has_not_changed() {
    const RESOURCES: &str = r#"{"resources":{"listChanged":true}}"#;
    for (code, said) in [(-32601, 0), (-32000, 1)] {
        let mut world = legacy(RESOURCES);
        let answer = |world: &mut World, server: u32, out: &[String]| {
            let (list, templates) = (own(out, server, "resources/list"), own(out, server, "resources/templates/list"));
            let _ = world.server(server, &format!(r#"{{"jsonrpc":"2.0","id":{list:?},"result":{{"resources":[]}}}}"#));
            let error = format!(r#"{{"jsonrpc":"2.0","id":{templates:?},"error":{{"code":{code},"message":"no"}}}}"#);
            world.server(server, &error)
        };
        let out = world.handle(Input::Changed { rebuild: false });
        let _ = answer(&mut world, 1, &out);
        let _ = world.started(2);
        let out = world.server(2, &initialized(0, "2025-06-18", RESOURCES));
        let out = answer(&mut world, 2, &out);
        let notifications = out.iter().filter(|line| line.contains("list_changed")).count();
        assert_eq!(notifications, said, "{code}: {out:?}");
    }
}

#[test]
fn batches_of_calls_stay_whole_for_those_who_look_at_them() {
    let mut options = world::options();
    options.results = vec!["tools/call"];
    let mut world = World::new(options);
    let _ = world.begin();
    let _ = world.started(1);
    let ping = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    let _ = world.client(&format!("[{},{ping}]", call(1, "a")));
    let answers = format!("[{},{}]", result(1), result(2));
    assert_eq!(world.server(1, &answers), [format!("> [Some(\"tools/call\"), None] {answers}")]);
}
