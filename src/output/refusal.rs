//! Why a command ends without having done what was asked, on stderr: for people, or as events for programs, each thing
//! that is wrong for itself.

use std::io::{Write, stderr};

use super::{
    Event,
    lines::json,
    style::{self, Paint},
};
use crate::error::{Error, Located};

/// Warnings first, then what is wrong.
pub fn events(error: &Error) -> Vec<Event> {
    let mut events: Vec<Event> =
        error.warnings.iter().map(|message| Event::Warning { message: message.clone() }).collect();
    let exit_code = error.kind.exit_code();
    let told = |located: Located| {
        let Located { file, line, column, origin, key, message, help: hint } = located;
        Event::Error { message, hint, file, line, column, origin, key, exit_code }
    };
    if error.faults.is_empty() {
        let message = [vec![error.message.clone()], error.causes()].concat().join(": ");
        events.push(told(Located { message, help: error.hint.clone(), ..Located::default() }));
    }
    events.extend(error.faults.iter().cloned().map(told));
    events
}

/// Says it on stderr: for people, or in events.
pub fn say(error: &Error, in_events: bool) {
    let text = if in_events {
        events(error).iter().map(json).collect::<Vec<_>>().join("\n")
    } else {
        style::error(error, Paint::stderr())
    };
    // Where nobody hears it, the exit code tells.
    let _ = writeln!(stderr(), "{}", text.trim_end());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn lines(error: &Error) -> Vec<String> {
        events(error).iter().map(json).collect()
    }

    #[test]
    fn one_thing_is_one_line_with_its_causes() {
        let cause = std::io::Error::other("connection refused");
        let error = Error::new(Kind::Unreachable, "can't reach it").caused_by(cause).hint("is it running?");
        let line = r#"{"event":"error","message":"can't reach it: connection refused","hint":"is it running?","exit_code":69}"#;
        assert_eq!(lines(&error), [line]);
    }

    #[test]
    fn several_things_are_a_line_each_and_warnings_come_first() {
        let place = Located {
            file: Some("mcpmon.toml".into()),
            line: Some(2),
            column: Some(20),
            origin: Some("mcpmon.toml:2:20".into()),
            key: Some("watch.delay".into()),
            message: "no duration".into(),
            help: Some("write 2s".into()),
        };
        let flag = Located { origin: Some("--set x=1".into()), message: "unknown key".into(), ..Located::default() };
        let (faults, warnings) = (vec![place, flag], vec!["MCPMON_DELEY: unknown variable".to_owned()]);
        let error = Error { faults, warnings, ..Error::config("all of it, for people") };
        insta::assert_snapshot!(lines(&error).join("\n"), @r#"
        {"event":"warning","message":"MCPMON_DELEY: unknown variable"}
        {"event":"error","message":"no duration","hint":"write 2s","file":"mcpmon.toml","line":2,"column":20,"origin":"mcpmon.toml:2:20","key":"watch.delay","exit_code":78}
        {"event":"error","message":"unknown key","origin":"--set x=1","exit_code":78}
        "#);
    }
}
