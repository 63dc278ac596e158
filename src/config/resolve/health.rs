//! `healthcheck`: the forms of its test, and its numbers.

use super::findings::Findings;
use crate::{
    config::{
        file::{forms::StringOr, service::Healthcheck as FileHealthcheck},
        problem::KeyPath,
        value::Invalid,
    },
    model::spec::Healthcheck,
};

pub(super) fn check(findings: &mut Findings<'_>, at: &KeyPath, check: &FileHealthcheck) -> Healthcheck {
    let disabled = findings.flag(at, "disable", check.disable.as_ref()).unwrap_or(false);
    let test = match &check.test {
        None if disabled => Some(vec!["NONE".to_owned()]),
        None => None,
        Some(test) => {
            let test = self::test(test);
            findings.noted(at.key("test"), test)
        }
    };
    if disabled && check.test.is_some() {
        let invalid = Invalid::new("a check can't be switched off and have a test").help("remove disable or test");
        findings.key_problem(at.key("disable"), invalid);
    }
    Healthcheck {
        test,
        interval: findings.positive_duration(at, "interval", check.interval.as_ref()),
        timeout: findings.positive_duration(at, "timeout", check.timeout.as_ref()),
        retries: findings.integer(at, "retries", check.retries.as_ref()),
        start_period: findings.duration(at, "start_period", check.start_period.as_ref()),
        start_interval: findings.positive_duration(at, "start_interval", check.start_interval.as_ref()),
    }
}

/// Source: compose-spec, `healthcheck.test`.
fn test(test: &StringOr<String>) -> Result<Vec<String>, Invalid> {
    const HELP: &str =
        "[\"CMD\", PROGRAM, ARGUMENT…], [\"CMD-SHELL\", LINE], [\"NONE\"], or one string: a line for the shell";
    let words = match test {
        StringOr::One(line) if line.trim().is_empty() => return Err(Invalid::new("the test is empty").help(HELP)),
        StringOr::One(line) => return Ok(vec!["CMD-SHELL".to_owned(), line.clone()]),
        StringOr::Many(words) => words,
    };
    match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["NONE"] | ["CMD", _, ..] | ["CMD-SHELL", _] => Ok(words.clone()),
        ["CMD" | "CMD-SHELL"] => Err(Invalid::new("the test has no command").help(HELP)),
        ["CMD-SHELL", ..] => Err(Invalid::new("CMD-SHELL takes one line").help(HELP)),
        ["NONE", ..] => Err(Invalid::new("NONE takes nothing").help(HELP)),
        [] => Err(Invalid::new("the test is empty").help(HELP)),
        [first, ..] => {
            Err(Invalid::new(format!("a test begins with CMD, CMD-SHELL or NONE, not with {first:?}")).help(HELP))
        }
    }
}
