//! Colours: one place that decides whether there are any, what they mean, and which one a target has;
//! and how an error looks. It must not know what is said.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
};

use anstream::{AutoStream, ColorChoice};
use anstyle::{AnsiColor, Style};

use super::lines::printable;
use crate::error::Error;

/// Whether one output may be coloured. Decided once: `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE`, `TERM`,
/// and whether it is a terminal (<https://no-color.org>, <https://bixense.com/clicolors>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Without colours.
    pub const PLAIN: Self = Self { on: false };
    /// With colours, whatever the environment says.
    pub const COLOURED: Self = Self { on: true };

    /// What fits standard output.
    pub fn stdout() -> Self {
        Self { on: AutoStream::choice(&std::io::stdout()) != ColorChoice::Never }
    }

    /// What fits standard error.
    pub fn stderr() -> Self {
        Self { on: AutoStream::choice(&std::io::stderr()) != ColorChoice::Never }
    }

    /// Whether colours are on.
    pub fn is_on(self) -> bool {
        self.on
    }

    /// The text in a style.
    pub fn style(self, style: Style, text: impl Display) -> String {
        if self.on { format!("{style}{text}{style:#}") } else { text.to_string() }
    }

    /// Came out well, or is added.
    pub fn good(self, text: impl Display) -> String {
        self.style(AnsiColor::Green.on_default(), text)
    }

    /// Failed, or is taken away.
    pub fn bad(self, text: impl Display) -> String {
        self.style(AnsiColor::Red.on_default(), text)
    }

    /// Needs a look, or changes.
    pub fn warn(self, text: impl Display) -> String {
        self.style(AnsiColor::Yellow.on_default(), text)
    }

    /// Matters less.
    pub fn dim(self, text: impl Display) -> String {
        self.style(Style::new().dimmed(), text)
    }

    /// Matters most.
    pub fn strong(self, text: impl Display) -> String {
        self.style(Style::new().bold(), text)
    }
}

/// Colours of targets, none of which means success or failure elsewhere.
const TARGETS: [AnsiColor; 7] = [
    AnsiColor::Cyan,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
    AnsiColor::BrightMagenta,
    AnsiColor::BrightBlue,
    AnsiColor::BrightYellow,
];

/// Each target's colour: the same in each run, and no two alike while there are colours left.
#[derive(Debug, Clone, Default)]
pub struct Palette {
    colours: BTreeMap<String, usize>,
}

impl Palette {
    /// Colours for these names.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut sorted: Vec<_> = names.into_iter().collect();
        sorted.sort_unstable();
        let mut palette = Self::default();
        for name in sorted {
            palette.colour(name);
        }
        palette
    }

    /// The style of a target's name.
    pub fn colour(&mut self, name: &str) -> Style {
        let index = if let Some(index) = self.colours.get(name) {
            *index
        } else {
            // FNV-1a: the standard library's hash may differ from one version to the next.
            let hash = name
                .bytes()
                .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
            let first = usize::try_from(hash % TARGETS.len() as u64).unwrap_or_default();
            let index = (0..TARGETS.len())
                .map(|step| (first + step) % TARGETS.len())
                .find(|index| !self.colours.values().any(|taken| taken == index))
                .unwrap_or(first);
            self.colours.insert(name.to_owned(), index);
            index
        };
        TARGETS[index].on_default()
    }
}

/// A table without borders, its columns three spaces apart, the first line strong.
pub fn plain_table(table: &mut comfy_table::Table, paint: Paint) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    let mut text = String::new();
    for (position, line) in table.lines().enumerate() {
        let line = line.trim_end();
        // Whole lines are coloured: the table would count escape sequences as letters.
        text.push_str(&if position == 0 { paint.strong(line) } else { line.to_owned() });
        text.push('\n');
    }
    text
}

/// An error as `main` prints it, without a line break at the end:
///
/// ```text
/// error: what happened
///   caused by: what it came from
/// hint: what to do
/// ```
///
/// An error that tells of several things is made of diagnostics already: its message stands as it is.
pub fn error(error: &Error, paint: Paint) -> String {
    let mut text = if error.faults.is_empty() {
        format!("{} {}", paint.style(AnsiColor::Red.on_default().bold(), "error:"), lines(&error.message, paint))
    } else {
        error.message.trim_end().to_owned()
    };
    for cause in error.causes() {
        let _ = write!(text, "\n  {} {}", paint.dim("caused by:"), lines(&cause, paint));
    }
    if let Some(hint) = &error.hint {
        let hint = lines(hint, paint);
        let _ = write!(text, "\n{} {hint}", paint.style(AnsiColor::Cyan.on_default().bold(), "hint:"));
    }
    text
}

/// What an engine or a program says may be quoted in an error: line by line as a terminal may have it.
fn lines(text: &str, paint: Paint) -> String {
    text.split('\n').map(|line| printable(line, paint.is_on())).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_its_causes_once_and_its_hint() {
        let cause = std::io::Error::other("connection refused");
        let shown =
            error(&Error::failed("api can't be started").caused_by(cause).hint("look at its log"), Paint::PLAIN);
        insta::assert_snapshot!(shown, @r"
        error: api can't be started
          caused by: connection refused
        hint: look at its log
        ");
        let cause = std::io::Error::other("connection refused");
        let shown = error(&Error::failed("api can't be started: connection refused").caused_by(cause), Paint::PLAIN);
        assert_eq!(shown, "error: api can't be started: connection refused");
    }

    #[test]
    fn diagnostics_of_the_configuration_stand_as_they_are() {
        let faults = vec![crate::error::Located::default()];
        let diagnostics = Error { faults, ..Error::config("error: no such key\n --> mcpmon.toml:3:1\n") };
        let shown = error(&diagnostics, Paint::COLOURED);
        assert_eq!(shown, "error: no such key\n --> mcpmon.toml:3:1");
        assert_eq!(error(&Error::config("no mcpmon.toml here"), Paint::PLAIN), "error: no mcpmon.toml here");
        // What compose says has lines too, and is no diagnostic of mcpmon's.
        let quoted = error(&Error::config("docker compose: no\n    such file"), Paint::PLAIN);
        assert_eq!(quoted, "error: docker compose: no\n    such file");
    }

    #[test]
    fn colours_are_escapes_or_nothing() {
        assert_eq!(Paint::PLAIN.good("x"), "x");
        assert_eq!(Paint::COLOURED.good("x"), "\u{1b}[32mx\u{1b}[0m");
    }

    #[test]
    fn a_target_keeps_its_colour_and_shares_it_with_no_other_while_there_are_some() {
        let names = ["api", "db", "web", "cache", "queue", "auth", "mail"];
        let mut palette = Palette::new(names);
        let colours: std::collections::BTreeSet<_> =
            names.iter().map(|name| format!("{:?}", palette.colour(name))).collect();
        assert_eq!(colours.len(), names.len());
        assert_eq!(Palette::new(["api", "db"]).colour("api"), Palette::new(["db", "api"]).colour("api"));
        let before = palette.colour("api");
        palette.colour("an eighth one");
        assert_eq!(palette.colour("api"), before);
    }
}
