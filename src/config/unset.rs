//! What holds where a key is not set and no layer has a value for it: the defaults that [`super::resolve`] makes, in words,
//! for a person who asks. It decides nothing.

use super::problem::{KeyPath, Segment};

/// Keys of a target.
const OF_TARGETS: [(&str, &str); 15] = [
    ("container_name", "PROJECT-TARGET"),
    ("deploy.update_config.failure_action", "\"rollback\""),
    ("deploy.update_config.monitor", "\"10s\""),
    ("deploy.update_config.order", "start-first where nothing stands in the way, else stop-first"),
    ("image", "PROJECT-TARGET, made by build"),
    ("init", "true"),
    ("networks", "[\"default\"]"),
    ("privileged", "false"),
    ("pull_policy", "\"missing\""),
    ("read_only", "false"),
    ("restart", "\"no\"; mcpmon restarts by itself"),
    ("stdin_open", "true where mcp.transport is \"stdio\", else false"),
    ("stop_grace_period", "what docker.stop_grace_period says"),
    ("tty", "false"),
    ("mcp", "what the file's own mcp table says"),
];

/// Keys of the file.
const OF_FILE: [(&str, &str); 1] = [("log.level", "what log.verbose asks for: \"info\" at 0")];

/// The default of a key, in words.
pub fn default_of(path: &KeyPath) -> Option<&'static str> {
    let (table, rest): (&[(&str, &'static str)], &[Segment]) = match &path.0[..] {
        [Segment::Key(targets), _, rest @ ..] if targets == "targets" => (&OF_TARGETS, rest),
        all => (&OF_FILE, all),
    };
    let key = KeyPath(rest.to_vec()).to_string();
    table
        .iter()
        .find(|(name, _)| *name == key)
        .or_else(|| {
            // Every key of a target's `mcp`.
            let first = key.split_once('.')?.0;
            table.iter().find(|(name, _)| *name == first && first == "mcp")
        })
        .map(|(_, default)| *default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{command_line::parse_key, shape::Schema};

    #[test]
    fn names_keys_that_there_are() {
        let schema = Schema::of_file();
        for (key, _) in OF_TARGETS {
            assert!(schema.at(&parse_key(&format!("targets.a.{key}")).unwrap().0).is_some(), "{key}");
        }
        for (key, _) in OF_FILE {
            assert!(schema.at(&parse_key(key).unwrap().0).is_some(), "{key}");
        }
    }
}
