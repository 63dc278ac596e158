//! mcpmon's own log: what it says about its work beside the events. To stderr, and to `log.file` where the
//! configuration names one; the file gets the events too. It must not know what is logged.

use std::{fs::File, io, path::Path, sync::Arc};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, layer::SubscriberExt, util::SubscriberInitExt};

use crate::error::{Error, Result};

/// The events' name in the log. They are shown elsewhere, so stderr does not get them.
pub const EVENTS: &str = "mcpmon::event";

/// Begins to log. `level` is one of the configuration's words; libraries are heard from `warn` on only.
/// The process's first call counts; a later one changes nothing.
pub fn start(level: &str, file: Option<&Path>) -> Result<()> {
    let level: LevelFilter = level.parse().unwrap_or(LevelFilter::INFO);
    let file = file.map(open).transpose()?;
    let filter = || Targets::new().with_default(level.min(LevelFilter::WARN)).with_target("mcpmon", level);
    let shown = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
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

fn open(path: &Path) -> Result<File> {
    let made = match path.parent() {
        Some(folder) => std::fs::create_dir_all(folder),
        None => Ok(()),
    };
    made.and_then(|()| File::options().create(true).append(true).open(path)).map_err(|error| {
        Error::failed(format!("the log file {} can't be written", path.display()))
            .hint("choose another one: log.file, MCPMON_LOG_FILE")
            .caused_by(error)
    })
}
