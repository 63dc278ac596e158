//! Each [`Event`] as a line that a person likes to read: names first, then what happened; what belongs to
//! it is indented below. Pure; it must not know whether a terminal, a pipe or a file takes the line.

use std::{collections::BTreeSet, fmt::Write};

use super::{
    ActionKind, Event,
    lines::{cell, printable},
    style::{Paint, Palette},
};

/// The longest name that is shown whole: it may be whatever somebody's label says.
pub const LONGEST_NAME: usize = 128;

/// What the lines depend on besides the event itself.
#[derive(Debug)]
pub struct Words {
    paint: Paint,
    log_paint: Paint,
    palette: Palette,
    width: usize,
    watching: bool,
    settled: Option<(usize, usize)>,
    /// Targets whose failure was told: trying again and again is not worth a line each time.
    failing: BTreeSet<String>,
}

impl Words {
    /// `paint` is for what happens, `log_paint` for what targets print (it may go elsewhere).
    /// `watching`: saved files are reacted to.
    pub fn new(paint: Paint, log_paint: Paint, targets: &[String], watching: bool) -> Self {
        let mut words = Self {
            paint,
            log_paint,
            palette: Palette::new(targets.iter().map(String::as_str)),
            width: 0,
            watching,
            settled: None,
            failing: BTreeSet::new(),
        };
        words.widen(targets);
        words
    }

    fn widen(&mut self, targets: &[String]) {
        self.width = targets.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(self.width);
    }

    /// `name:` in the target's colour.
    pub fn name(&mut self, target: &str) -> String {
        let shown = cell(target, LONGEST_NAME);
        self.paint.style(self.palette.colour(target).bold(), format_args!("{shown}:"))
    }

    /// `api | line`: what a target printed, names aligned.
    pub fn log(&mut self, target: &str, line: &str) -> String {
        self.width = self.width.max(target.chars().count().min(LONGEST_NAME));
        let shown = cell(target, LONGEST_NAME);
        let prefix = format!("{shown:<width$} |", width = self.width);
        let line = printable(line, self.log_paint.is_on());
        format!("{} {line}", self.log_paint.style(self.palette.colour(target), prefix)).trim_end().to_owned()
    }

    /// The event's line or lines, without a line break at the end; none = nothing a person needs.
    pub fn say(&mut self, event: &Event) -> Option<String> {
        let paint = self.paint;
        Some(match event {
            Event::SessionStarted { project, targets, pid, .. } => {
                self.palette = Palette::new(targets.iter().map(String::as_str));
                self.widen(targets);
                paint.dim(format_args!("{project}: {}, pid {pid}", count(targets.len(), "target")))
            }
            Event::ActionStarted { target, .. } | Event::ActionProgress { target, .. }
                if self.failing.contains(target) =>
            {
                return None;
            }
            Event::ActionStarted { target, action, cause } => {
                let cause = if cause.is_empty() { String::new() } else { format!(" ({})", printable(cause, false)) };
                format!("{} {}{}", self.name(target), action.gerund(), paint.dim(cause))
            }
            Event::ActionProgress { target, action, line } => {
                format!("{} {}: {}", self.name(target), action.gerund(), printable(line, paint.is_on()))
            }
            Event::ActionDone { target, action, duration_ms } => {
                self.failing.remove(target);
                format!("{} {} in {}", self.name(target), paint.good(action.past()), duration(*duration_ms))
            }
            Event::ActionFailed { target, action, error, hint, log, retry_ms } => {
                self.failing.insert(target.clone());
                let mut text =
                    format!("{} {}", self.name(target), paint.bad(format_args!("{} failed", action.gerund())));
                self.failure(&mut text, error, log, hint.as_deref(), *retry_ms);
                text
            }
            Event::Held { target, reason } => {
                format!("{} {} {}", self.name(target), paint.warn("waiting:"), printable(reason, false))
            }
            // Nothing had to be done for it.
            Event::Ready { target, duration_ms: Some(after), .. } => {
                format!("{} {} in {}", self.name(target), paint.good("ready"), duration(*after))
            }
            Event::FilesChanged { target, path, count: files, action } => {
                let more = match files.saturating_sub(1) {
                    0 => String::new(),
                    more => format!(" and {}", count(more, "more file")),
                };
                format!("{} {}{more} changed, {}", self.name(target), printable(path, false), action.gerund())
            }
            Event::Unchanged { target, container } => {
                format!("{} {} {}", self.name(target), paint.dim("unchanged"), paint.dim(container))
            }
            // Said by the action that made it so, by what follows, or by a table.
            Event::Ready { duration_ms: None, .. } | Event::Started { .. } | Event::Found { .. } => return None,
            Event::Reloaded { target, duration_ms, order } => {
                let order = paint.dim(format_args!("({order})"));
                format!("{} {} in {} {order}", self.name(target), paint.good("reloaded"), duration(*duration_ms))
            }
            Event::ReloadFailed { target, error, log } => {
                let what = paint.bad("reload failed, the old container goes on");
                let mut text = format!("{} {what}", self.name(target));
                self.failure(&mut text, error, log, None, None);
                text
            }
            Event::Crashed { target, exit_code, failures, retry_ms, log } => {
                let times =
                    if *failures > 1 { format!(", {} time in a row", ordinal(*failures)) } else { String::new() };
                let ended = paint.bad(format_args!("ended by itself, {}{times}", exit_words(*exit_code)));
                let mut text = format!("{} {ended}; {}", self.name(target), retry(*retry_ms));
                self.quote(&mut text, log);
                text
            }
            Event::Log { target, line, .. } => self.log(target, line),
            Event::ConfigReloaded { files } => {
                self.failing.clear();
                format!("{} read again", files.join(", "))
            }
            Event::ConfigInvalid { error } => {
                let note = paint.warn("the last good configuration stays in force");
                format!("{}\n{note}", error.trim_end())
            }
            Event::EngineLost { error } => {
                let words = paint.bad("the container engine stopped answering");
                format!("{words}: {}\n    going on when it is back", printable(error, false))
            }
            Event::EngineBack => paint.good("the container engine answers again"),
            Event::Warning { message } => {
                let message = message.trim_end();
                let mut lines = message.lines().map(|line| printable(line, paint.is_on()));
                if message.contains('\n') {
                    lines.collect::<Vec<_>>().join("\n")
                } else {
                    format!("{} {}", paint.warn("warning:"), lines.next().unwrap_or_default())
                }
            }
            Event::Error { message, hint, .. } => {
                let mut text = paint.bad("error");
                self.failure(&mut text, message, &[], hint.as_deref(), None);
                text
            }
            Event::Settled { ready, held, .. } if self.settled == Some((*ready, *held)) => return None,
            Event::Settled { ready, held, duration_ms } => self.settled(*ready, *held, *duration_ms),
            Event::Stopping { cause } => format!("stopping ({cause})"),
            Event::Stopped { removed, left, left_networks, left_volumes } => {
                let containers = left.saturating_sub(left_networks + left_volumes);
                let kinds = [(containers, "container"), (*left_networks, "network"), (*left_volumes, "volume")];
                let left: Vec<_> =
                    kinds.iter().filter(|(left, _)| *left > 0).map(|(left, noun)| count(*left, noun)).collect();
                let left = match left.join(", ") {
                    left if left.is_empty() => left,
                    left => paint.warn(format_args!(", {left} left")),
                };
                format!("stopped, {} removed{left}", count(*removed, "container"))
            }
        })
    }

    /// `3 targets ready in 1.2 s; watching for changes`. The time is the session's, so it is told once.
    fn settled(&mut self, ready: usize, held: usize, duration_ms: u64) -> String {
        let first = self.settled.replace((ready, held)).is_none();
        let paint = self.paint;
        let mut text = format!("{} ready", count(ready, "target"));
        if held == 0 {
            text = paint.good(text);
        }
        if first {
            let _ = write!(text, " in {}", duration(duration_ms));
        }
        if held > 0 {
            let _ = write!(text, ", {}", paint.warn(format_args!("{held} not")));
        }
        if first && self.watching {
            text.push_str("; watching for changes");
        }
        text
    }

    /// `: error`, further lines of it indented, the log quoted, the hint, when it is tried again.
    fn failure(&self, text: &mut String, error: &str, log: &[String], hint: Option<&str>, retry_ms: Option<u64>) {
        let mut lines = error.lines().map(|line| printable(line, false));
        let _ = write!(text, ": {}", lines.next().unwrap_or_default());
        if let Some(after) = retry_ms {
            let _ = write!(text, "; {}", retry(after));
        }
        for line in lines {
            let _ = write!(text, "\n    {line}");
        }
        self.quote(text, log);
        if let Some(hint) = hint {
            let _ = write!(text, "\n    {} {}", self.paint.strong("hint:"), printable(hint, false));
        }
    }

    fn quote(&self, text: &mut String, log: &[String]) {
        for line in log {
            let line = printable(line, self.paint.is_on());
            let _ = write!(text, "\n    {} {line}", self.paint.dim("|"));
        }
    }
}

/// `working on it`: what a live line says after the name.
pub fn doing(action: ActionKind, paint: Paint) -> String {
    paint.warn(action.gerund())
}

/// `1 target`, `3 targets`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `320 ms`, `1.2 s`, `42 s`, `2 min 5 s`, `3 h 2 min`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..=9 if milliseconds % 1000 >= 100 => format!("{seconds}.{} s", milliseconds % 1000 / 100),
        1..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// As Kubernetes writes ages: `42s`, `5m`, `3h`, `12d`.
pub fn age(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m", seconds / 60),
        3600..86_400 => format!("{}h", seconds / 3600),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// An exit code in words; above 128 it is a signal's number and 128 (as shells and engines have it).
pub fn exit_words(code: Option<i64>) -> String {
    let Some(code) = code else { return "exit code unknown".into() };
    let meaning = match code {
        126 => "can't be executed",
        127 => "command not found",
        129 => "SIGHUP",
        130 => "SIGINT",
        132 => "SIGILL",
        134 => "SIGABRT",
        135 => "SIGBUS",
        136 => "SIGFPE",
        137 => "SIGKILL",
        139 => "SIGSEGV",
        141 => "SIGPIPE",
        143 => "SIGTERM",
        _ => return format!("exit code {code}"),
    };
    format!("exit code {code} ({meaning})")
}

fn retry(milliseconds: u64) -> String {
    if milliseconds == 0 { "retry now".into() } else { format!("retry in {}", duration(milliseconds)) }
}

fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests;
