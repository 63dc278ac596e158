//! mcpmon's own log: what it says about its work beside the events. To stderr, and to `log.file` where the
//! configuration names one; the file gets the events too. It must not know what is logged.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
    sync::{Arc, OnceLock},
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use super::private;
use crate::error::{Error, Result};

/// The events' name in the log. They are shown elsewhere, so stderr does not get them.
pub const EVENTS: &str = "mcpmon::event";

const OTHER: &str = "choose another one: log.file, MCPMON_LOG_FILE";

/// Begins to log. `level` is one of the configuration's words; libraries are heard from `warn` on only.
/// The process's first call counts; a later one changes nothing.
pub fn start(level: &str, file: Option<&Path>) -> Result<()> {
    let level: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    let file = file.map(open).transpose()?;
    let filter = || Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("mcpmon", level);
    let shown = tracing_subscriber::fmt::layer()
        .with_writer(|| Stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .with_filter(filter().with_target(EVENTS, LevelFilter::OFF));
    let kept = file.map(|file| {
        tracing_subscriber::fmt::layer().with_writer(Arc::new(file)).with_ansi(false).with_filter(filter())
    });
    // Refused when somebody began before: then it goes on as it was.
    let _ = tracing_subscriber::registry().with(shown).with(kept).try_init();
    Ok(())
}

/// Takes a line.
type Taker = Box<dyn Fn(&str) + Send + Sync>;

/// Who takes what would go to stderr.
static TAKER: OnceLock<Taker> = OnceLock::new();

/// From now on `taker` gets each line that would go to stderr, without its end: for whoever must not wait until somebody
/// reads stderr. The first call counts.
pub fn redirect(taker: impl Fn(&str) + Send + Sync + 'static) {
    let _ = TAKER.set(Box::new(taker));
}

/// stderr, or whoever takes its place. An event is written in one call.
struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match TAKER.get() {
            Some(taker) => {
                taker(String::from_utf8_lossy(bytes).trim_end());
                Ok(bytes.len())
            }
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Makes the file, and its folder; not the folders above: those are likely to be mistyped.
fn open(path: &Path) -> Result<File> {
    let failed = |error: io::Error, hint: String| {
        Error::failed(format!("the log file {} can't be written", path.display())).hint(hint).caused_by(error)
    };
    if let Some(folder) = path.parent() {
        private::folder(folder, false).map_err(|error| match folder.parent() {
            Some(above) if !above.exists() => {
                let hint = format!(
                    "there is no folder {}: make it, or choose another file (log.file, MCPMON_LOG_FILE)",
                    above.display()
                );
                failed(error, hint)
            }
            _ => failed(error, OTHER.to_owned()),
        })?;
    }
    private::append(path).map_err(|error| failed(error, OTHER.to_owned()))
}
