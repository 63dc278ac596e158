//! Rows, bounds, and how they read. Pure.

use std::fmt::Write;

/// One line of the table.
pub(crate) struct Row {
    /// What was measured.
    pub(crate) what: String,
    /// mcpmon's value.
    pub(crate) mcpmon: String,
    /// The peer's value; none where a bound is absolute.
    pub(crate) peer: Option<String>,
    /// What is compared with the bound: a ratio, or the value itself.
    pub(crate) value: f64,
    /// How the value reads.
    pub(crate) shown: String,
    /// The most that it may be.
    pub(crate) bound: f64,
    /// How the bound reads.
    pub(crate) bound_shown: String,
}

impl Row {
    /// mcpmon's milliseconds over the peer's.
    pub(crate) fn ratio(what: impl Into<String>, mcpmon: f64, peer: f64, peer_name: &str, bound: f64) -> Self {
        let value = mcpmon / peer;
        Self {
            what: what.into(),
            mcpmon: time(mcpmon),
            peer: Some(format!("`{peer_name}`: {}", time(peer))),
            value,
            shown: format!("{value:.2}"),
            bound,
            bound_shown: format!("{bound}"),
        }
    }

    /// A value against a bound in the same unit; `detail` goes with it.
    pub(crate) fn absolute(what: impl Into<String>, value: f64, bound: f64, unit: &str, detail: &str) -> Self {
        let shown = format!("{value:.2} {unit}");
        let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
        Self {
            what: what.into(),
            mcpmon: format!("{shown}{detail}"),
            peer: None,
            value,
            shown,
            bound,
            bound_shown: format!("{bound} {unit}"),
        }
    }

    /// What is shown beside the others, and has no bound.
    pub(crate) fn shown(what: impl Into<String>, mcpmon: impl Into<String>, peer: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            mcpmon: mcpmon.into(),
            peer: Some(peer.into()),
            value: 0.0,
            shown: String::new(),
            bound: f64::INFINITY,
            bound_shown: String::new(),
        }
    }

    fn holds(&self) -> bool {
        self.value <= self.bound
    }
}

/// Milliseconds with as many digits as mean something.
pub(crate) fn time(milliseconds: f64) -> String {
    if milliseconds >= 1000.0 {
        format!("{:.2} s", milliseconds / 1000.0)
    } else if milliseconds >= 20.0 {
        format!("{milliseconds:.0} ms")
    } else if milliseconds >= 1.0 {
        format!("{milliseconds:.1} ms")
    } else {
        format!("{:.0} µs", milliseconds * 1000.0)
    }
}

/// The whole, ready to be pasted into a README.
pub(crate) fn markdown(machine: &str, rows: &[Row]) -> String {
    let mut text = format!("{machine}\n\n| what | mcpmon | peer | measured | at most | |\n|---|---|---|---|---|---|\n");
    for row in rows {
        let verdict = match row.holds() {
            _ if row.bound.is_infinite() => "shown",
            true => "holds",
            false => "**over**",
        };
        let peer = row.peer.as_deref().unwrap_or("");
        // Writing to a String can't fail.
        let _ = writeln!(
            text,
            "| {} | {} | {peer} | {} | {} | {verdict} |",
            row.what, row.mcpmon, row.shown, row.bound_shown
        );
    }
    text
}
