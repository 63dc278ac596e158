//! `mcpmon events`: what happened to a project, in all its sessions ([`crate::output::history`]); with `-f` then what happens
//! to its containers, as it happens, in mcpmon's words, whoever does it. Like `mcpmon logs`: without `-f` it ends.
//!
//! What is kept has the form of `docs/events.md`. What `-f` adds, with `--format json`, one object per line:
//!
//! ```json
//! {"time":"2026-11-22T14:11:00.123456789Z","what":"ended","target":"api","container":"3f2a…","name":"acme-api","exit_code":137}
//! ```
//!
//! `what` is one of `created`, `started`, `ended` (with `exit_code`), `signalled` (with `signal`), `stopped`,
//! `restarted`, `removed`, `paused`, `unpaused`, `renamed` (with `old_name`), `out_of_memory`, `health` (with
//! `health`: `healthy` or `unhealthy`); a word this version does not know is the engine's own.
//! When the engine stops answering, that is said on stderr; events go on where they ended when it is back.

use std::{
    fmt::Write as _,
    io::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use comfy_table::{Table, presets};

use serde::Serialize;

use super::context::Context;
use crate::{
    cli::{EventsArgs, Format, WatchArgs},
    engine::{
        Engine, EngineEvent,
        resume::{EventFeed, Update},
    },
    error::{Error, Result},
    model::{Settings, labels::PROJECT},
    output::{
        Paint,
        history::{self, Subject},
        ignore_closed,
        lines::{cell, json, printable},
        style::{Palette, plain_table},
        words::{LONGEST_NAME, Words, duration, exit_words},
    },
};

/// Shows what was kept, and with `-f` what happens from then on.
pub async fn events(context: &Context, args: &EventsArgs, out: &mut (dyn Write + Send)) -> Result<()> {
    let since = args.since.as_deref().map(since).transpose()?;
    // Read before the engine is asked: it shows what happened also while that is down.
    let settings = if args.all { None } else { Some(context.load(&WatchArgs::default())?.settings) };
    let state = context.state_folder();
    let read = match &settings {
        None => history::read_all(&state),
        Some(settings) => history::read(&state, &Subject::Project(settings.project.name.clone())),
    };
    let mut lines = read.map_err(|error| Error::failed("what happened can't be read").caused_by(error))?;
    let older = !lines.is_empty();
    if let Some(since) = since {
        lines.retain(|line| humantime::parse_rfc3339(line.time()).is_ok_and(|time| time >= since));
    }
    let none = lines.is_empty();
    lines.drain(..args.tail.map_or(0, |tail| lines.len().saturating_sub(tail)));
    let (format, paint) = (context.format(), Paint::stdout());
    let text = match (args.summary, format) {
        (true, Format::Text) => summary_table(&history::summary(&lines), paint),
        (true, Format::Json) => json(&history::summary(&lines)) + "\n",
        (false, Format::Text) => past(&lines, args.all, paint),
        (false, Format::Json) => lines.iter().map(|line| json(&line.value) + "\n").collect(),
    };
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if written.is_err() {
        return ignore_closed(written);
    }
    match settings.filter(|_| args.follow) {
        Some(settings) => {
            let engine = context.connect(settings.session.docker_timeout).await?;
            run(&engine, &settings, format, paint, out).await
        }
        None if none && format == Format::Text => {
            let what = if older { "nothing has happened since then" } else { "nothing has been kept yet" };
            note(&format!("{what}; -f shows what happens from now on"));
            Ok(())
        }
        None => Ok(()),
    }
}

/// `10m`, or a time.
fn since(text: &str) -> Result<SystemTime> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(SystemTime::now().checked_sub(ago).unwrap_or(UNIX_EPOCH));
    }
    humantime::parse_rfc3339_weak(text).map_err(|_| {
        Error::usage(format!("--since {text}: that is no time")).hint("write 10m, 2d, or 2026-11-27T14:00:00Z")
    })
}

/// What was kept, a line each: `2026-11-22T14:11:00.123Z api: reloaded in 320 ms (start-first); a.py changed  [up 4711]`.
fn past(lines: &[history::Line], all: bool, paint: Paint) -> String {
    let mut text = String::new();
    // What one says depends on what was said before: each one is said for itself.
    for line in lines {
        let mut words = Words::new(paint, paint, &[], false);
        let Some(record) = &line.record else {
            let event = line.value["event"].as_str().unwrap_or("?");
            let _ = writeln!(text, "{} {}", paint.dim(cell(line.time(), 30)), cell(event, LONGEST_NAME));
            continue;
        };
        let said = words.say(&record.event).unwrap_or_default();
        let said = said.lines().next().unwrap_or_default();
        let why = record.why.as_deref().map_or_else(String::new, |why| format!("; {}", cell(why, 300)));
        let session = record.session.as_deref().and_then(|session| session.get(..8)).filter(|_| all);
        let by = format!("{} {}{}", record.by, record.pid, session.map_or_else(String::new, |id| format!(" {id}")));
        let by = paint.dim(format!("[{}]", cell(&by, 60)));
        let _ = writeln!(text, "{} {said}{why}  {by}", paint.dim(cell(&record.time, 30)));
    }
    text
}

fn summary_table(summary: &[history::Summary], paint: Paint) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["TARGET", "STARTS", "RELOADS", "FAILED RELOADS", "CRASHES", "MEDIAN RELOAD"]);
    for target in summary {
        table.add_row([
            cell(&target.target, LONGEST_NAME),
            target.starts.to_string(),
            target.reloads.to_string(),
            target.reloads_failed.to_string(),
            target.crashes.to_string(),
            target.reload_median_ms.map_or_else(|| "-".into(), duration),
        ]);
    }
    plain_table(&mut table, paint)
}

/// Writes events until `out` is closed (or the process ends).
pub async fn run(
    engine: &impl Engine,
    settings: &Settings,
    format: Format,
    paint: Paint,
    out: &mut (dyn Write + Send),
) -> Result<()> {
    let mut palette = Palette::new(settings.project.targets.keys().map(String::as_str));
    let mut feed = EventFeed::new(engine.clone(), (PROJECT, Some(&settings.project.name)), None);
    loop {
        match feed.next().await {
            Update::Event(event) => {
                let Some(happening) = Happening::read(&event) else { continue };
                let line = match format {
                    Format::Text => happening.text(&mut palette, paint),
                    Format::Json => json(&happening),
                };
                let written = writeln!(out, "{line}").and_then(|()| out.flush());
                if written.is_err() {
                    return ignore_closed(written);
                }
            }
            Update::Lost(error) => note(&format!("the container engine stopped answering: {error}")),
            Update::Back(_) => note("the container engine answers again"),
        }
    }
}

/// A remark about the stream itself; a closed stderr is nobody's loss.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Happening {
    /// When, RFC 3339.
    pub time: String,
    /// What.
    pub what: String,
    /// The target.
    pub target: String,
    /// Full container id.
    pub container: String,
    /// Container name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i64>,
    /// The signal it was sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// What its health check says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    /// The name it had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub old_name: Option<String>,
}

impl Happening {
    /// An engine event in mcpmon's words. None for what does not change a container: commands run in it (each
    /// health check is one), somebody looking at it.
    pub fn read(event: &EngineEvent) -> Option<Self> {
        if event.kind != "container" {
            return None;
        }
        let (action, detail) = match event.action.split_once(": ") {
            Some((action, detail)) => (action, Some(detail)),
            None => (event.action.as_str(), None),
        };
        let attribute = |key: &str| event.attributes.get(key).filter(|value| !value.is_empty()).map(str::to_owned);
        // Podman says `died` for `die`, `remove` for `destroy`, and more that docker does not.
        let what = match action {
            "create" => "created",
            "start" => "started",
            "die" | "died" => "ended",
            "kill" => "signalled",
            "stop" => "stopped",
            "restart" => "restarted",
            "destroy" | "remove" => "removed",
            "pause" => "paused",
            "unpause" => "unpaused",
            "rename" => "renamed",
            "oom" => "out_of_memory",
            "health_status" => "health",
            "exec_create" | "exec_start" | "exec_die" | "exec_detach" | "exec_died" | "exec" | "attach" | "detach"
            | "resize" | "top" | "copy" | "archive-path" | "export" | "commit" | "init" | "sync" | "cleanup" => {
                return None;
            }
            other => other,
        };
        let time = UNIX_EPOCH + Duration::from_nanos(u64::try_from(event.time).unwrap_or_default());
        let mut happening = Self {
            time: humantime::format_rfc3339_nanos(time).to_string(),
            what: what.to_owned(),
            target: event.attributes.target().unwrap_or("?").to_owned(),
            container: event.id.clone(),
            name: event.name.clone(),
            exit_code: None,
            signal: None,
            health: None,
            old_name: None,
        };
        match what {
            "ended" => {
                let code = attribute("exitCode").or_else(|| attribute("containerExitCode"));
                happening.exit_code = code.and_then(|code| code.parse().ok());
            }
            "signalled" => happening.signal = attribute("signal").map(signal_name),
            "health" => happening.health = detail.map(str::to_owned).or_else(|| attribute("health_status")),
            "renamed" => happening.old_name = attribute("oldName").map(|name| name.trim_start_matches('/').to_owned()),
            _ => {}
        }
        Some(happening)
    }

    /// `2026-11-22T14:11:00.123Z api: ended, exit code 137 (SIGKILL) (acme-api 3f2a…)`.
    fn text(&self, palette: &mut Palette, paint: Paint) -> String {
        let unknown = || "unknown".to_owned();
        let what = match self.what.as_str() {
            "ended" if self.exit_code == Some(0) => format!("ended, {}", exit_words(self.exit_code)),
            "ended" => paint.bad(format_args!("ended, {}", exit_words(self.exit_code))),
            "started" => paint.good("started"),
            "signalled" => format!("was sent {}", self.signal.as_deref().unwrap_or("a signal")),
            "renamed" => format!("renamed from {}", self.old_name.clone().unwrap_or_else(unknown)),
            "out_of_memory" => paint.bad("out of memory"),
            "health" => match self.health.as_deref() {
                Some("healthy") => paint.good("healthy"),
                Some("unhealthy") => paint.bad("unhealthy"),
                other => format!("health {}", other.map_or_else(unknown, str::to_owned)),
            },
            other => other.to_owned(),
        };
        let id = self.container.get(..12).unwrap_or(&self.container);
        let which = match &self.name {
            Some(name) => format!("({} {id})", cell(name, LONGEST_NAME)),
            None => format!("({id})"),
        };
        // Milliseconds are enough for eyes.
        let time = self.time.get(..23).map_or_else(|| self.time.clone(), |time| format!("{time}Z"));
        let name =
            paint.style(palette.colour(&self.target).bold(), format_args!("{}:", cell(&self.target, LONGEST_NAME)));
        let what = printable(&what, paint.is_on());
        format!("{} {name} {what} {}", paint.dim(time), paint.dim(which))
    }
}

/// A signal's name by its number on Linux, where containers run; others stay numbers.
fn signal_name(number: String) -> String {
    match number.as_str() {
        "1" => "SIGHUP".into(),
        "2" => "SIGINT".into(),
        "3" => "SIGQUIT".into(),
        "9" => "SIGKILL".into(),
        "10" => "SIGUSR1".into(),
        "12" => "SIGUSR2".into(),
        "15" => "SIGTERM".into(),
        _ => number,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::model::{Labels, labels::TARGET};

    fn event(action: &str, attributes: &[(&str, &str)]) -> EngineEvent {
        let mut labels: HashMap<_, _> =
            attributes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        labels.insert(TARGET.into(), "api".into());
        EngineEvent {
            time: 1_700_000_000_123_456_789,
            kind: "container".into(),
            action: action.into(),
            id: "3f2a3f2a3f2a3f2a3f2a".into(),
            name: Some("acme-api".into()),
            attributes: Labels(labels),
        }
    }

    fn every() -> Vec<Happening> {
        [
            event("create", &[]),
            event("start", &[("exitCode", "1")]),
            event("health_status: healthy", &[]),
            event("exec_start: /healthz", &[]),
            event("health_status: unhealthy", &[]),
            event("kill", &[("signal", "15")]),
            event("kill", &[("signal", "28")]),
            event("die", &[("exitCode", "0")]),
            event("die", &[("exitCode", "137")]),
            event("oom", &[]),
            event("rename", &[("oldName", "/acme-old")]),
            event("destroy", &[]),
            event("checkpoint", &[]),
            EngineEvent { kind: "network".into(), ..event("connect", &[]) },
        ]
        .iter()
        .filter_map(Happening::read)
        .collect()
    }

    #[test]
    fn engine_events_in_words() {
        let mut palette = Palette::default();
        let lines: Vec<_> = every().iter().map(|happening| happening.text(&mut palette, Paint::PLAIN)).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        2023-11-14T22:13:20.123Z api: created (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: started (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: healthy (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: unhealthy (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: was sent SIGTERM (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: was sent 28 (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: ended, exit code 0 (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: ended, exit code 137 (SIGKILL) (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: out of memory (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: renamed from acme-old (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: removed (acme-api 3f2a3f2a3f2a)
        2023-11-14T22:13:20.123Z api: checkpoint (acme-api 3f2a3f2a3f2a)
        "#);
    }

    #[test]
    fn engine_events_as_json() {
        let lines: Vec<_> = every().iter().map(|happening| serde_json::to_string(happening).expect("JSON")).collect();
        insta::assert_snapshot!(lines.join("\n"), @r#"
        {"time":"2023-11-14T22:13:20.123456789Z","what":"created","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api"}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"started","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api"}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"health","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api","health":"healthy"}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"health","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api","health":"unhealthy"}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"signalled","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api","signal":"SIGTERM"}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"signalled","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api","signal":"28"}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"ended","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api","exit_code":0}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"ended","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api","exit_code":137}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"out_of_memory","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api"}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"renamed","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api","old_name":"acme-old"}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"removed","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api"}
        {"time":"2023-11-14T22:13:20.123456789Z","what":"checkpoint","target":"api","container":"3f2a3f2a3f2a3f2a3f2a","name":"acme-api"}
        "#);
    }
}
