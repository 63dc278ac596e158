//! A plan as `mcpmon plan` shows it: a diff to read, or JSON. Pure; it must not know how a plan is made.
//!
//! In text each thing has a sign: `+` made, `~` changed or replaced (with the fields that differ,
//! old → new), `-` removed, `=` same, `!` held until something changes outside. In JSON:
//!
//! ```json
//! {
//!   "changes": [{ "subject": { "target": "api" }, "step": { "action": "create" }, "cause": "…", "waits": ["…"] }],
//!   "summary": { "create": 1, "change": 0, "replace": 0, "remove": 0, "same": 0, "held": 0 }
//! }
//! ```
//!
//! `changes` is [`Plan::changes`] as it is; `subject` is one of `network`, `volume`, `target`;
//! `step.action` is one of `same`, `hold`, `make`, `refresh_image`, `create`, `start`, `replace`,
//! `unpause`, `rename`, `remove`.

use std::fmt::Write;

use serde::Serialize;

use super::{
    lines::{cell, harmless, printable},
    style::Paint,
    words::{LONGEST_NAME, duration},
};
use crate::{
    model::fingerprint::FieldChange,
    plan::{Change, ImageAction, Plan, Step, Subject},
};

/// Old and new value stand on one line as long as it is no longer than this.
const ONE_LINE: usize = 100;

/// How many things get which sign.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Made.
    pub create: usize,
    /// Changed without being replaced: started, adopted, unpaused, renamed, image refreshed.
    pub change: usize,
    /// Replaced.
    pub replace: usize,
    /// Removed.
    pub remove: usize,
    /// Nothing to do.
    pub same: usize,
    /// Held.
    pub held: usize,
}

impl Summary {
    /// Counts a plan's changes.
    pub fn of(plan: &Plan) -> Self {
        let mut summary = Self::default();
        for change in &plan.changes {
            *match change.step {
                Step::Same { .. } => &mut summary.same,
                Step::Hold { .. } => &mut summary.held,
                Step::Make | Step::Create { .. } => &mut summary.create,
                Step::Replace { .. } => &mut summary.replace,
                Step::Remove { .. } => &mut summary.remove,
                Step::RefreshImage { .. }
                | Step::Start { .. }
                | Step::Adopt { .. }
                | Step::Unpause { .. }
                | Step::Rename { .. } => &mut summary.change,
            } += 1;
        }
        summary
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let counts = [
            (self.create, "to create"),
            (self.change, "to change"),
            (self.replace, "to replace"),
            (self.remove, "to remove"),
            (self.held, "held"),
            (self.same, "unchanged"),
        ];
        let mut shown = counts.iter().filter(|(number, _)| *number > 0).peekable();
        if shown.peek().is_none() {
            return f.write_str("nothing");
        }
        for (position, (number, what)) in shown.enumerate() {
            write!(f, "{}{number} {what}", if position == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// The JSON form; ends with a line break.
pub fn json(plan: &Plan) -> String {
    #[derive(Serialize)]
    struct Document<'a> {
        #[serde(flatten)]
        plan: &'a Plan,
        summary: Summary,
    }
    let document = Document { plan, summary: Summary::of(plan) };
    // Strings, numbers and lists alone: there is nothing in it that JSON can't hold.
    harmless(serde_json::to_string_pretty(&document).unwrap_or_default()) + "\n"
}

/// The text form; ends with a line break.
pub fn text(plan: &Plan, paint: Paint) -> String {
    let width = plan.changes.iter().map(|change| title(&change.subject).chars().count()).max().unwrap_or(0);
    let mut text = String::new();
    for change in &plan.changes {
        write_change(&mut text, change, width, paint);
    }
    if !plan.changes.is_empty() {
        text.push('\n');
    }
    let end = if plan.is_empty() {
        paint.good("No changes: what runs is what the file asks for.").clone()
    } else {
        format!("{} {}.", paint.strong("Plan:"), Summary::of(plan))
    };
    text + &end + "\n"
}

fn title(subject: &Subject) -> String {
    match subject {
        Subject::Network(name) => format!("network {}", cell(name, LONGEST_NAME)),
        Subject::Volume(name) => format!("volume {}", cell(name, LONGEST_NAME)),
        // One that left the file is called what a label says.
        Subject::Target(name) => cell(name, LONGEST_NAME),
    }
}

fn write_change(text: &mut String, change: &Change, width: usize, paint: Paint) {
    let padded = format!("{:<width$}", title(&change.subject));
    let (sign, name) = match &change.step {
        Step::Same { .. } => (paint.dim("="), paint.dim(padded)),
        Step::Hold { .. } => (paint.warn("!"), paint.strong(padded)),
        Step::Make | Step::Create { .. } => (paint.good("+"), paint.strong(padded)),
        Step::Remove { .. } => (paint.bad("-"), paint.strong(padded)),
        _ => (paint.warn("~"), paint.strong(padded)),
    };
    let (verb, cause) = (verb(change), printable(&change.cause, false));
    let separator = if verb.is_empty() || cause.is_empty() { "" } else { ": " };
    let line = format!("{sign} {name}  {verb}{separator}{cause}");
    text.push_str(line.trim_end());
    text.push('\n');
    for wait in &change.waits {
        let _ = writeln!(text, "    {} {}", paint.dim("after:"), printable(wait, false));
    }
    if let Step::Replace { fields, .. } | Step::RefreshImage { fields, .. } = &change.step {
        let width = fields.iter().map(|field| field.field.chars().count()).max().unwrap_or(0);
        for field in fields {
            write_field(text, field, width, paint);
        }
    }
}

/// What is done, in words; empty where the sign says it all.
fn verb(change: &Change) -> String {
    let image = |image: &Option<ImageAction>| match image {
        Some(ImageAction::Pull) => "pull, then ",
        Some(ImageAction::Build) => "build, then ",
        None => "",
    };
    match &change.step {
        Step::Same { ready: true, .. } => String::new(),
        Step::Same { ready: false, .. } => "not ready yet".into(),
        Step::Hold { retry_ms: None } => "held".into(),
        Step::Hold { retry_ms: Some(after) } => format!("held, retry in {}", duration(*after)),
        Step::Make => "create".into(),
        Step::RefreshImage { image: ImageAction::Pull, .. } => "pull, replace if the image is new".into(),
        Step::RefreshImage { image: ImageAction::Build, .. } => "build, replace if the image is new".into(),
        Step::Create { image: first } => format!("{}create", image(first)),
        Step::Start { .. } => "start".into(),
        Step::Replace { image: first, .. } => format!("{}replace", image(first)),
        Step::Adopt { .. } => "adopt".into(),
        Step::Unpause { .. } => "unpause".into(),
        Step::Rename { name, .. } => format!("rename to {name}"),
        Step::Remove { containers } if containers.len() > 1 => format!("remove {} containers", containers.len()),
        Step::Remove { .. } => "remove".into(),
    }
}

fn write_field(text: &mut String, change: &FieldChange, width: usize, paint: Paint) {
    let value = |value: &Option<String>| value.as_ref().map_or_else(|| "(none)".to_owned(), |text| escape(text));
    let (name, old, new) = (printable(&change.field, false), value(&change.old), value(&change.new));
    if width + old.chars().count() + new.chars().count() <= ONE_LINE {
        let _ = writeln!(text, "    {name:<width$}  {} → {}", paint.bad(old), paint.good(new));
    } else {
        let _ = writeln!(
            text,
            "    {name}\n      {}\n      {}",
            paint.bad(format!("- {old}")),
            paint.good(format!("+ {new}"))
        );
    }
}

/// On one line, with control characters as JSON would write them.
fn escape(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, character| {
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
        shown
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(subject: Subject, step: Step, cause: &str, waits: &[&str]) -> Change {
        Change { subject, step, cause: cause.into(), waits: waits.iter().map(|&wait| wait.into()).collect() }
    }

    fn target(name: &str) -> Subject {
        Subject::Target(name.into())
    }

    fn field(name: &str, old: Option<&str>, new: Option<&str>) -> FieldChange {
        FieldChange { field: name.into(), old: old.map(Into::into), new: new.map(Into::into) }
    }

    fn id() -> String {
        "3f2a".into()
    }

    fn every_step() -> Plan {
        Plan {
            changes: vec![
                change(Subject::Network("acme_backend".into()), Step::Make, "it is missing", &[]),
                change(Subject::Volume("acme_cache".into()), Step::Same { container: None, ready: true }, "", &[]),
                change(target("db"), Step::Same { container: Some(id()), ready: false }, "", &[]),
                change(
                    target("api"),
                    Step::Create { image: Some(ImageAction::Build) },
                    "it has no container",
                    &["db must be healthy"],
                ),
                change(
                    target("web"),
                    Step::Replace {
                        container: id(),
                        image: None,
                        fields: vec![
                            field("command", None, Some("[\"serve\"]")),
                            field("environment.LOG_LEVEL", Some("info"), Some("debug\n")),
                            field("labels.long", Some(&"a".repeat(60)), Some(&"b".repeat(60))),
                        ],
                    },
                    "its configuration changed",
                    &[],
                ),
                change(target("queue"), Step::Start { container: id() }, "it was stopped from outside", &[]),
                change(target("mail"), Step::Unpause { container: id() }, "it was paused from outside", &[]),
                change(
                    target("auth"),
                    Step::Rename { container: id(), name: "acme-auth".into() },
                    "it was renamed from outside",
                    &[],
                ),
                change(
                    target("docs"),
                    Step::RefreshImage { image: ImageAction::Pull, fields: Vec::new() },
                    "pull_policy is always",
                    &[],
                ),
                change(target("stack"), Step::Hold { retry_ms: None }, "compose targets are not run yet", &[]),
                change(target("flaky"), Step::Hold { retry_ms: Some(4000) }, "it ended with exit code 1", &[]),
                change(target("old"), Step::Remove { containers: vec![id(), id()] }, "it left the file", &[]),
            ],
        }
    }

    #[test]
    fn every_step_has_its_sign() {
        insta::assert_snapshot!(text(&every_step(), Paint::PLAIN), @r#"
        + network acme_backend  create: it is missing
        = volume acme_cache
        = db                    not ready yet
        + api                   build, then create: it has no container
            after: db must be healthy
        ~ web                   replace: its configuration changed
            command                (none) → ["serve"]
            environment.LOG_LEVEL  info → debug\n
            labels.long
              - aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
              + bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
        ~ queue                 start: it was stopped from outside
        ~ mail                  unpause: it was paused from outside
        ~ auth                  rename to acme-auth: it was renamed from outside
        ~ docs                  pull, replace if the image is new: pull_policy is always
        ! stack                 held: compose targets are not run yet
        ! flaky                 held, retry in 4 s: it ended with exit code 1
        - old                   remove 2 containers: it left the file

        Plan: 2 to create, 4 to change, 1 to replace, 1 to remove, 2 held, 2 unchanged.
        "#);
    }

    #[test]
    fn nothing_to_do_is_said() {
        insta::assert_snapshot!(text(&Plan::default(), Paint::PLAIN), @"No changes: what runs is what the file asks for.");
        let plan =
            Plan { changes: vec![change(target("api"), Step::Same { container: Some(id()), ready: true }, "", &[])] };
        insta::assert_snapshot!(text(&plan, Paint::PLAIN), @r#"
        = api

        No changes: what runs is what the file asks for.
        "#);
    }

    #[test]
    fn colours_do_not_change_the_words() {
        let coloured = text(&every_step(), Paint::COLOURED);
        assert!(coloured.contains("\u{1b}[32m+\u{1b}[0m"));
        let stripped = anstream::adapter::strip_str(&coloured).to_string();
        // Padding stands inside the style.
        let trim = |text: &str| text.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>();
        assert_eq!(trim(&stripped), trim(&text(&every_step(), Paint::PLAIN)));
    }

    #[test]
    fn json_is_the_plan_and_its_summary() {
        let mut plan = every_step();
        plan.changes.retain(|change| matches!(change.subject.name(), "api" | "web" | "flaky"));
        if let Step::Replace { fields, .. } = &mut plan.changes[1].step {
            fields.truncate(1);
        }
        insta::assert_snapshot!(json(&plan), @r#"
        {
          "changes": [
            {
              "subject": {
                "target": "api"
              },
              "step": {
                "action": "create",
                "image": "build"
              },
              "cause": "it has no container",
              "waits": [
                "db must be healthy"
              ]
            },
            {
              "subject": {
                "target": "web"
              },
              "step": {
                "action": "replace",
                "container": "3f2a",
                "fields": [
                  {
                    "field": "command",
                    "new": "[\"serve\"]"
                  }
                ]
              },
              "cause": "its configuration changed"
            },
            {
              "subject": {
                "target": "flaky"
              },
              "step": {
                "action": "hold",
                "retry_ms": 4000
              },
              "cause": "it ended with exit code 1"
            }
          ],
          "summary": {
            "create": 1,
            "change": 0,
            "replace": 1,
            "remove": 0,
            "same": 0,
            "held": 1
          }
        }
        "#);
    }
}
