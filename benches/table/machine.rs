//! What the numbers were measured on.

use std::{fmt, path::Path};

use crate::run::{Outcome, printed};

/// Machine, engine, versions.
pub(crate) struct Machine {
    mcpmon: String,
    date: String,
    cores: usize,
    kernel: String,
    engine: String,
    compose: String,
}

impl Machine {
    /// Asks this one, and the binary that was measured.
    pub(crate) fn look(binary: &Path) -> Outcome<Self> {
        Ok(Self {
            mcpmon: printed(&binary.to_string_lossy(), &["--version"])?,
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
            "{} measured on {}: {} cores, {}, engine {}, compose {}. Medians; a ratio is mcpmon ÷ peer.",
            self.mcpmon, self.date, self.cores, self.kernel, self.engine, self.compose
        )
    }
}
