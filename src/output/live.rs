//! One live line per target while something is done to it, at the bottom of a terminal. A line comes once the deed has
//! taken a moment, later where the last one failed: what is tried again and again must not flicker. It must not know what
//! happened; it is told what the lines say.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the lines move.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How long something takes before it is worth a line.
const A_MOMENT: Duration = Duration::from_millis(200);
/// The same, where it did not go well the last time.
const AFTER_FAILURE: Duration = Duration::from_secs(2);

/// A line, shown or not yet.
struct Line {
    bar: ProgressBar,
    /// When it is to be shown; None: it is.
    due: Option<Instant>,
}

/// The live lines.
pub(super) struct Live {
    all: MultiProgress,
    lines: BTreeMap<String, Line>,
    failing: BTreeSet<String>,
    style: ProgressStyle,
}

impl Live {
    pub(super) fn new() -> Self {
        // The template is ours and fits; the plain spinner is what would be left if it did not.
        let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self {
            all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
            lines: BTreeMap::new(),
            failing: BTreeSet::new(),
            style,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Something begins: `prefix` is name and deed.
    pub(super) fn begin(&mut self, target: &str, prefix: String, message: String) {
        self.end(target);
        // Hidden: it draws nothing until it is added to the others.
        let bar = ProgressBar::hidden().with_style(self.style.clone());
        bar.set_prefix(prefix);
        bar.set_message(message);
        let wait = if self.failing.contains(target) { AFTER_FAILURE } else { A_MOMENT };
        self.lines.insert(target.to_owned(), Line { bar, due: Some(Instant::now() + wait) });
    }

    /// What is done now, and what it says; shortened to the width.
    pub(super) fn progress(&self, target: &str, prefix: String, message: String) {
        if let Some(line) = self.lines.get(target) {
            line.bar.set_prefix(prefix);
            line.bar.set_message(message);
        }
    }

    /// Nothing is done to it any more.
    pub(super) fn end(&mut self, target: &str) {
        if let Some(line) = self.lines.remove(target)
            && line.due.is_none()
        {
            line.bar.finish_and_clear();
            self.all.remove(&line.bar);
        }
    }

    /// Whether the last thing done to it went well.
    pub(super) fn went(&mut self, target: &str, well: bool) {
        if well {
            self.failing.remove(target);
        } else {
            self.failing.insert(target.to_owned());
        }
    }

    /// Moves the spinners and the times, and shows lines whose time has come.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        for line in self.lines.values_mut() {
            if line.due.is_some_and(|due| due <= now) {
                line.due = None;
                line.bar = self.all.add(line.bar.clone());
            }
            if line.due.is_none() {
                line.bar.tick();
            }
        }
    }

    /// Takes the lines away while `write` writes to the same terminal.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.lines.values().all(|line| line.due.is_some()) { write() } else { self.all.suspend(write) }
    }

    /// Takes all lines away.
    pub(super) fn clear(&mut self) {
        while let Some((target, _)) = self.lines.first_key_value() {
            let target = target.clone();
            self.end(&target);
        }
    }
}
