//! What the numbers were measured on.

use std::fmt;

use crate::run::{Outcome, printed};

/// Machine, engine, versions.
pub(crate) struct Machine {
    date: String,
    cores: usize,
    kernel: String,
    engine: String,
    compose: String,
}

impl Machine {
    /// Asks this one.
    pub(crate) fn look() -> Outcome<Self> {
        Ok(Self {
            date: printed("date", &["+%Y-%m-%d"])?,
            cores: std::thread::available_parallelism().map_err(|error| error.to_string())?.get(),
            kernel: printed("uname", &["-sr"])?,
            engine: printed("docker", &["version", "--format", "{{.Server.Version}}"])?,
            compose: printed("docker", &["compose", "version", "--short"])?,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "mcpmon {} measured on {}: {} cores, {}, engine {}, compose {}. Medians; a ratio is mcpmon ÷ peer.",
            mcpmon::VERSION,
            self.date,
            self.cores,
            self.kernel,
            self.engine,
            self.compose
        )
    }
}
