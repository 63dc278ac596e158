//! Which version a session has, and what is said of a new server that speaks another.

use super::{TOOLS, World, call, initialized, legacy, own, result, seen, world};
use crate::proxy::session::Input;

fn meta(version: &str) -> String {
    format!(
        r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{version}","io.modelcontextprotocol/clientCapabilities":{{}}}}"#
    )
}

fn discover(id: u32, version: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"server/discover","params":{{{}}}}}"#, meta(version))
}

fn discovered(id: &str, versions: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{{"supportedVersions":[{versions}],"capabilities":{TOOLS}}}}}"#)
}

fn refused(id: &str, error: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#)
}

const ONLY_MODERN: &str =
    r#"{"code":-32022,"message":"unsupported","data":{"requested":"x","supported":["2026-07-28"]}}"#;

/// A modern session whose first server serves.
fn modern() -> World {
    let mut world = World::new(world::options());
    let _ = world.begin();
    let _ = world.started(1);
    let _ = world.client(&discover(1, "2026-07-28"));
    let _ = world.server(1, &discovered("1", r#""2026-07-28""#));
    world
}

#[test]
fn the_version_is_that_of_what_was_answered_and_not_of_what_was_refused() {
    let mut world = World::new(world::options());
    let _ = world.begin();
    let _ = world.started(1);
    let _ = world.client(&discover(1, "2027-01-15"));
    let _ = world.server(1, &refused("1", ONLY_MODERN));
    let _ = world.client(&discover(2, "2026-07-28"));
    let _ = world.server(1, &discovered("2", r#""2026-07-28""#));
    let out = world.handle(Input::Changed { rebuild: false });
    let list = out.iter().find(|line| line.contains("tools/list")).expect("the old one's lists");
    assert!(list.contains("2026-07-28"), "{list}");
    let out = world.started(2);
    assert!(out[0].contains("server/discover") && out[0].contains("2026-07-28"), "{out:?}");
    let asked = own(&out, 2, "server/discover");
    let out = world.server(2, &discovered(&format!("{asked:?}"), r#""2026-07-28""#));
    assert!(!out.iter().any(|line| line.contains("not reloaded")), "{out:?}");
}

/// What the client gets for its next request, and a person to read.
fn told(world: &mut World, out: &[String]) -> [String; 2] {
    let person = seen(out).into_iter().find(|line| line.starts_with("! not reloaded")).expect("a line").to_owned();
    assert!(out.iter().any(|line| line == "stop 2"), "{out:?}");
    let client = world.client(&call(9, "a"))[0].clone();
    assert!(client.contains(r#""id":9,"error""#), "{client}");
    assert_eq!(world.client(&call(10, "a")), [format!("1< {}", call(10, "a"))], "the old server goes on");
    [client, person]
}

#[test]
fn a_legacy_client_hears_of_a_server_that_is_modern_only() {
    for knows_the_error in [true, false] {
        let mut world = legacy(TOOLS);
        let _ = world.handle(Input::Changed { rebuild: false });
        let _ = world.started(2);
        let out = if knows_the_error {
            world.server(2, &refused("0", ONLY_MODERN))
        } else {
            let out = world.server(2, &refused("0", r#"{"code":-32601,"message":"what?"}"#));
            let asked = own(&out, 2, "server/discover");
            world.server(2, &discovered(&format!("{asked:?}"), r#""2026-07-28""#))
        };
        for text in told(&mut world, &out) {
            assert!(text.contains("2025-06-18") && text.contains("2026-07-28"), "{text}");
        }
    }
}

#[test]
fn a_modern_client_hears_of_a_server_that_is_legacy_only() {
    let mut world = modern();
    let _ = world.handle(Input::Changed { rebuild: false });
    let out = world.started(2);
    let asked = own(&out, 2, "server/discover");
    let out = world.server(2, &refused(&format!("{asked:?}"), r#"{"code":-32602,"message":"what?"}"#));
    let asked = own(&out, 2, "initialize");
    let out = world.server(2, &initialized(0, "2025-11-25", TOOLS).replace("\"id\":0", &format!("\"id\":{asked:?}")));
    for text in told(&mut world, &out) {
        assert!(text.contains("2025-11-25") && text.contains("2026-07-28"), "{text}");
    }
}

#[test]
fn a_server_that_refuses_both_eras_has_the_first_refusal_told() {
    let mut world = legacy(TOOLS);
    let _ = world.handle(Input::Changed { rebuild: false });
    let _ = world.started(2);
    let out = world.server(2, &refused("0", r#"{"code":-32601,"message":"what?"}"#));
    let asked = own(&out, 2, "server/discover");
    let out = world.server(2, &refused(&format!("{asked:?}"), r#"{"code":-32601,"message":"again?"}"#));
    assert!(seen(&out)[0].contains("it refused initialize: what?"), "{out:?}");
    assert_eq!(world.client(&call(9, "a")), [format!("1< {}", call(9, "a"))]);
    assert_eq!(world.server(1, &result(9)), [format!("> {}", result(9))]);
}
