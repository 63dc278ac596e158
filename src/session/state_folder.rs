//! The folder for what outlives sessions: what happened, logs, what was left. It must not know what is in it.

use std::{env, path::PathBuf};

/// Where notes and logs of sessions are kept: `$XDG_STATE_HOME/mcpmon`, `~/.local/state/mcpmon`.
pub fn path() -> PathBuf {
    let state = env::var("XDG_STATE_HOME").ok().filter(|path| !path.is_empty()).map(PathBuf::from);
    let state = state.or_else(|| Some(env::home_dir()?.join(".local/state")));
    state.unwrap_or_else(env::temp_dir).join("mcpmon")
}
