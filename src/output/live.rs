//! One live line per target while something is done to it, at the bottom of a terminal. It must not
//! know what happened; it is told what the lines say.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often the lines move.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// The live lines.
pub(super) struct Live {
    all: MultiProgress,
    lines: BTreeMap<String, ProgressBar>,
    style: ProgressStyle,
}

impl Live {
    pub(super) fn new() -> Self {
        // The template is ours and fits; the plain spinner is what would be left if it did not.
        let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed} {wide_msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self { all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()), lines: BTreeMap::new(), style }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Something begins: `prefix` is name and deed.
    pub(super) fn begin(&mut self, target: &str, prefix: String, message: String) {
        self.end(target);
        let line = self.all.add(ProgressBar::new_spinner().with_style(self.style.clone()));
        line.set_prefix(prefix);
        line.set_message(message);
        self.lines.insert(target.to_owned(), line);
    }

    /// What it says now; shortened to the width.
    pub(super) fn progress(&self, target: &str, message: String) {
        if let Some(line) = self.lines.get(target) {
            line.set_message(message);
        }
    }

    /// Nothing is done to it any more.
    pub(super) fn end(&mut self, target: &str) {
        if let Some(line) = self.lines.remove(target) {
            line.finish_and_clear();
            self.all.remove(&line);
        }
    }

    /// Moves the spinners and the times.
    pub(super) fn tick(&self) {
        for line in self.lines.values() {
            line.tick();
        }
    }

    /// Takes the lines away while `write` writes to the same terminal.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        if self.lines.is_empty() { write() } else { self.all.suspend(write) }
    }

    /// Takes all lines away.
    pub(super) fn clear(&mut self) {
        while let Some((target, _)) = self.lines.first_key_value() {
            let target = target.clone();
            self.end(&target);
        }
    }
}
