//! `mcpmon ps`: the targets of the file and the containers of the project, as a table or as JSON.
//!
//! The JSON is an array with one object per line of the table:
//!
//! ```json
//! {
//!   "target": "api", "in_file": true, "state": "running",
//!   "container": { "id": "3f2a…", "name": "acme-api", "image": "acme/api:1", "created": "2026-11-22T14:11:00Z",
//!                  "status": "Up 3 seconds (healthy)", "health": "healthy", "exit_code": null,
//!                  "ports": ["127.0.0.1:3000->3000/tcp"], "role": null },
//!   "owner": { "state": "alive", "pid": 4711 },
//!   "reload_failed": null
//! }
//! ```
//!
//! `state` is one of `missing`, `unread` (a compose target whose files can't be read), `process` (a plain command has no container), `created`, `running`, `paused`,
//! `restarting`, `exited`, `removing`, `kept` (a former container that its session keeps for a while beside the running one,
//! to go back to), or the engine's own word. `health` is `none`, `starting`, `healthy` or
//! `unhealthy`. `role` is `stdio` for the server of a client's stdio session, `dependency` for what such a server depends
//! on, null for what `up` keeps. `owner.state` is `alive`, `dead` (with `reason`) or `remote` (with `reason`). `container` and
//! `owner` are null where there is no container. `reload_failed` says why what was to take the container's place could not: what
//! runs is not what the files say now. The table has it as a word beside the state; null: nothing failed.

use std::{
    collections::{BTreeSet, HashSet},
    io::Write,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use comfy_table::{Table, presets};
use serde::Serialize;

use super::unread_of;
use crate::{
    cli::Format,
    engine::Engine,
    error::Result,
    model::{
        Health, ObservedContainer, Project, Settings, State, TargetKind,
        labels::{MANAGED, PROJECT},
        service::COMPOSE_SERVICE,
    },
    orphan::{Known, Verdict},
    output::{
        Paint, ignore_closed,
        lines::{cell, harmless},
        words::{LONGEST_NAME, age},
    },
};

/// The state of a former container that a session keeps beside the running one.
const KEPT: &str = "kept";

/// Lists the project. `known` tells who owns a container, and what its session could not do.
pub async fn run(
    engine: &impl Engine,
    settings: &Settings,
    known: &Known,
    format: Format,
    paint: Paint,
    out: &mut dyn Write,
) -> Result<()> {
    let project = &settings.project;
    let containers = engine.list(&[(MANAGED, Some("true")), (PROJECT, Some(&project.name))]).await?;
    let rows = rows(project, &containers, |one| known.judge(one), |one| known.reload_failed(one));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let text = match format {
        Format::Text => table(&rows, now, paint),
        Format::Json => harmless(serde_json::to_string_pretty(&rows).unwrap_or_default()) + "\n",
    };
    ignore_closed(out.write_all(text.as_bytes()).and_then(|()| out.flush()))
}

/// One target, or one container of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The target's name.
    pub target: String,
    /// The file has it.
    pub in_file: bool,
    /// The state in a word.
    pub state: String,
    /// Its container.
    pub container: Option<Container>,
    /// Who owns the container.
    pub owner: Option<Owner>,
    /// Why what was to take its place could not.
    pub reload_failed: Option<String>,
}

/// A container in a [`Row`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Container {
    /// Full id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// Creation time, RFC 3339.
    pub created: String,
    /// The engine's words for the state.
    pub status: String,
    /// Health.
    pub health: &'static str,
    /// Exit code of an exited one, where the engine told it.
    pub exit_code: Option<i64>,
    /// Published ports.
    pub ports: Vec<String>,
    /// What it is for, where `up` does not keep it.
    pub role: Option<String>,
    /// Seconds since the epoch.
    #[serde(skip)]
    pub created_seconds: u64,
}

/// The owner in a [`Row`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum Owner {
    /// It lives.
    Alive {
        /// Its process id.
        pid: u32,
    },
    /// It is dead.
    Dead {
        /// How that is known.
        reason: String,
    },
    /// Nobody here can tell.
    Remote {
        /// Where it is.
        reason: String,
    },
}

/// Targets in the order of their names, each with its containers, then containers of targets that left the file.
/// `reload_failed`: why what was to take a container's place could not ([`Known::reload_failed`]).
pub fn rows<'a>(
    project: &Project,
    containers: &[ObservedContainer],
    judge: impl Fn(&ObservedContainer) -> Verdict,
    reload_failed: impl Fn(&ObservedContainer) -> Option<&'a str>,
) -> Vec<Row> {
    let mut containers: Vec<_> = containers.iter().collect();
    containers.sort_by(|a, b| (a.created, &a.name).cmp(&(b.created, &b.name)));
    let target_of = |container: &ObservedContainer| container.labels.target().unwrap_or("").to_owned();
    let left: BTreeSet<_> =
        containers.iter().map(|c| target_of(c)).filter(|name| !project.targets.contains_key(name)).collect();
    let in_file = project.targets.iter().map(|(name, target)| (name, Some(target)));
    let mut rows = Vec::new();
    let session_and_target = |container: &ObservedContainer| (container.labels.session(), target_of(container));
    let running: HashSet<_> =
        containers.iter().filter(|c| c.state == State::Running).map(|c| session_and_target(c)).collect();
    for (name, target) in in_file.chain(left.iter().map(|name| (name, None))) {
        let before = rows.len();
        for container in containers.iter().filter(|container| target_of(container) == *name) {
            let verdict = judge(container);
            let of_service = container.labels.get(COMPOSE_SERVICE).is_some();
            let kept = container.state != State::Running
                && !of_service
                && matches!(verdict, Verdict::Owned { .. })
                && running.contains(&session_and_target(container));
            rows.push(Row {
                target: name.clone(),
                // Of files that can't be read nobody knows.
                in_file: target.is_some() || unread_of(project, name).is_some(),
                state: if kept { KEPT } else { state_word(&container.state) }.to_owned(),
                container: Some(describe(container)),
                owner: owner(verdict),
                reload_failed: reload_failed(container).filter(|_| !kept).map(str::to_owned),
            });
        }
        if rows.len() == before {
            let state = match target.map(|target| &target.kind) {
                Some(TargetKind::Process(_)) => "process",
                Some(TargetKind::Compose(_)) => "unread",
                _ => "missing",
            };
            rows.push(Row {
                target: name.clone(),
                in_file: true,
                state: state.into(),
                container: None,
                owner: None,
                reload_failed: None,
            });
        }
    }
    rows
}

fn owner(verdict: Verdict) -> Option<Owner> {
    match verdict {
        Verdict::NotManaged => None,
        Verdict::Owned { pid } => Some(Owner::Alive { pid }),
        Verdict::Orphan(reason) | Verdict::Kept { reason, .. } => Some(Owner::Dead { reason: reason.to_string() }),
        Verdict::Remote { place } => Some(Owner::Remote { reason: place }),
    }
}

fn describe(container: &ObservedContainer) -> Container {
    let created_seconds = u64::try_from(container.created).unwrap_or_default();
    Container {
        id: container.id.clone(),
        name: container.name.clone(),
        image: container.image.clone(),
        created: humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(created_seconds)).to_string(),
        status: container.status.clone(),
        health: match container.health {
            Health::None => "none",
            Health::Starting => "starting",
            Health::Healthy => "healthy",
            Health::Unhealthy => "unhealthy",
        },
        exit_code: match container.state {
            State::Exited(code) => code,
            _ => None,
        },
        ports: container.ports.clone(),
        role: container.labels.role().map(str::to_owned),
        created_seconds,
    }
}

fn state_word(state: &State) -> &str {
    match state {
        State::Created => "created",
        State::Running => "running",
        State::Paused => "paused",
        State::Restarting => "restarting",
        State::Exited(_) => "exited",
        State::Removing => "removing",
        State::Other(word) => word,
    }
}

/// The table, without borders. `now` is the time since the epoch.
pub fn table(rows: &[Row], now: Duration, paint: Paint) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["TARGET", "CONTAINER", "STATE", "AGE", "PORTS", "OWNER"]);
    for row in rows {
        let container = row.container.as_ref();
        let age = |container: &Container| age(now.as_secs().saturating_sub(container.created_seconds));
        table.add_row([
            if row.in_file { shown(&row.target) } else { format!("{} (not in the file)", shown(&row.target)) },
            container.map_or_else(|| "-".into(), |container| shown(&container.name)),
            shown(&state_text(row)),
            container.map_or_else(|| "-".into(), age),
            container.map_or_else(String::new, |container| container.ports.join(", ").replace(char::is_control, "")),
            match &row.owner {
                None => "-".into(),
                Some(Owner::Alive { pid }) => format!("pid {pid}"),
                Some(Owner::Dead { .. }) => "dead".into(),
                Some(Owner::Remote { .. }) => "elsewhere".into(),
            },
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    let mut text = String::new();
    for (position, line) in table.lines().enumerate() {
        let line = line.trim_end();
        let row = position.checked_sub(1).and_then(|index| rows.get(index));
        // Whole lines are coloured: the table would count escape sequences as letters.
        text.push_str(&match row {
            None => paint.strong(line),
            Some(row) if needs_a_look(row) => paint.warn(line),
            Some(_) => line.to_owned(),
        });
        text.push('\n');
    }
    text
}

/// What labels and the engine say stays on its line.
fn shown(text: &str) -> String {
    cell(text, LONGEST_NAME)
}

fn needs_a_look(row: &Row) -> bool {
    let unhealthy = row.container.as_ref().is_some_and(|container| container.health == "unhealthy");
    let stopped = match row.state.as_str() {
        "running" | "process" | KEPT => false,
        "exited" => row.container.as_ref().is_none_or(|container| container.exit_code != Some(0)),
        _ => true,
    };
    unhealthy || stopped || row.reload_failed.is_some() || matches!(row.owner, Some(Owner::Dead { .. }))
}

/// `running (healthy)`, `exited (1)`, `missing`; `running, stdio`; `running, reload failed`.
fn state_text(row: &Row) -> String {
    let Some(container) = &row.container else { return row.state.clone() };
    let role = container.role.as_deref().map(|role| format!(", {role}"));
    let failed = if row.reload_failed.is_some() { ", reload failed" } else { "" };
    state_of(row, container) + role.as_deref().unwrap_or_default() + failed
}

fn state_of(row: &Row, container: &Container) -> String {
    match (row.state.as_str(), container.exit_code, container.health) {
        ("exited", Some(code), _) => format!("exited ({code})"),
        ("running", _, health) if health != "none" => format!("running ({health})"),
        (state, ..) => state.to_owned(),
    }
}

#[cfg(test)]
mod tests;
