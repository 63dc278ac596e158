//! What a saved file does to a detached container: it starts again, or its line makes another one. Pure.

use crate::engine::EngineInfo;

/// The first API of an engine (Docker 23) that never takes a restart of a `--rm` container for its end.
///
/// One before it forgets too soon that the end it sees is a part of the restart: now and then (a few times in a hundred
/// on a busy machine) it then refuses the start, or kills what it has just started, and waits 20 seconds for an end that it
/// does not see, holding the name and the ports. Nothing that is done afterwards makes that good.
const RESTARTS_WHAT_IT_REMOVES: (u16, u16) = (1, 42);

/// Whether the line is run again for it, rather than its container restarted. `remove`: the line has `--rm`. `down`: the
/// container has ended.
pub(super) fn is_made_anew(remove: bool, down: bool, engine: &EngineInfo) -> bool {
    let (major, minor) = RESTARTS_WHAT_IT_REMOVES;
    remove && (down || !engine.speaks(major, minor))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_has_removed_or_might_remove_is_made_anew() {
        for (remove, down, api, expected) in [
            (false, false, "1.41", false),
            (false, true, "1.41", false),
            (true, false, "1.40", true),
            (true, false, "1.41", true),
            (true, false, "1.42", false),
            (true, false, "1.53", false),
            (true, true, "1.42", true),
            (true, true, "1.41", true),
        ] {
            let engine = EngineInfo { address: String::new(), version: String::new(), api_version: api.into() };
            assert_eq!(is_made_anew(remove, down, &engine), expected, "{remove} {down} {api}");
        }
    }
}
