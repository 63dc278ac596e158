//! compose's `restart`: `no`, `always`, `unless-stopped`, `on-failure[:TIMES]`.

use super::Invalid;
use crate::model::spec::RestartPolicy;

/// A restart policy.
pub fn parse(text: &str) -> Result<RestartPolicy, Invalid> {
    match text {
        "no" => Ok(RestartPolicy::No),
        "always" => Ok(RestartPolicy::Always),
        "unless-stopped" => Ok(RestartPolicy::UnlessStopped),
        "on-failure" => Ok(RestartPolicy::OnFailure(0)),
        _ => text
            .strip_prefix("on-failure:")
            .and_then(|times| times.parse().ok())
            .map(RestartPolicy::OnFailure)
            .ok_or_else(|| {
                Invalid::new(format!("{text:?} is not a restart policy"))
                    .help("no, always, unless-stopped, on-failure or on-failure:TIMES")
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_four_and_nothing_else() {
        for text in ["no", "always", "unless-stopped", "on-failure", "on-failure:3"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
        for text in ["", "never", "on-failure:", "on-failure:-1", "on-failure:x", "Always"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
