//! One `develop.watch` rule: what is watched, what a change does, and what that needs.

use super::findings::Findings;
use crate::{
    config::{
        file::reload::{ExecHook as FileExecHook, WatchRule as FileWatchRule},
        problem::KeyPath,
        value::Invalid,
    },
    model::settings::{ExecHook, WatchAction, WatchRule},
};

/// None after a problem that leaves no rule.
pub(super) fn watch_rule(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    rule: &FileWatchRule,
    has_build: bool,
) -> Option<WatchRule> {
    for (key, there) in [("path", rule.path.is_some()), ("action", rule.action.is_some())] {
        if !there {
            findings.key_problem(at.clone(), Invalid::new(format!("the rule has no {key}")));
        }
    }
    let actions = [
        ("restart", WatchAction::Restart),
        ("rebuild", WatchAction::Rebuild),
        ("sync", WatchAction::Sync),
        ("sync+restart", WatchAction::SyncRestart),
        ("sync+exec", WatchAction::SyncExec),
    ];
    let action = findings.choice(at, "action", rule.action.as_ref(), &actions);
    if action == Some(WatchAction::Rebuild) && !has_build {
        let invalid = Invalid::new("rebuild needs a build").help("add build to the target, or use restart");
        findings.problem(at.key("action"), invalid);
    }
    let target = action.is_some_and(WatchAction::is_sync).then(|| target(findings, at, rule)).flatten();
    let path = rule.path.as_ref().and_then(|text| findings.path(at.key("path"), text));
    let include = findings.globs(&at.key("include"), rule.include.as_ref());
    let ignore = findings.globs(&at.key("ignore"), rule.ignore.as_ref());
    let initial_sync = findings.flag(at, "initial_sync", rule.initial_sync.as_ref()).unwrap_or(false);
    let exec = exec(findings, at, rule, action);
    Some(WatchRule { path: path?, action: action?, include, ignore, target, initial_sync, exec })
}

/// Where a sync action copies to.
fn target(findings: &mut Findings<'_>, at: &KeyPath, rule: &FileWatchRule) -> Option<String> {
    let action = rule.action.as_deref().unwrap_or_default();
    let Some(target) = &rule.target else {
        let invalid = Invalid::new(format!("{action} needs a target"))
            .help("target = \"/app/src\", say: the path in the container that the files are copied to");
        findings.key_problem(at.clone(), invalid);
        return None;
    };
    if !target.starts_with('/') {
        let invalid = Invalid::new(format!("{target:?} is not an absolute path in the container"))
            .help(format!("/{}, say", target.trim_start_matches("./")));
        findings.problem(at.key("target"), invalid);
        return None;
    }
    if target.trim_matches('/').is_empty() {
        let invalid = Invalid::new("the container's root can't be a target").help("name a folder in it, such as /app");
        findings.problem(at.key("target"), invalid);
        return None;
    }
    if target.split('/').any(|part| part == "..") {
        findings
            .problem(at.key("target"), Invalid::new("the target can't have .. in it").help("name the place itself"));
        return None;
    }
    Some(target.clone())
}

fn exec(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    rule: &FileWatchRule,
    action: Option<WatchAction>,
) -> Option<ExecHook> {
    match (&rule.exec, action) {
        (None, Some(WatchAction::SyncExec)) => {
            let invalid = Invalid::new("sync+exec needs exec")
                .help("exec = { command = [\"/app/reload\"] }, say: what is run in the container after the copy");
            findings.key_problem(at.clone(), invalid);
            None
        }
        (None, _) => None,
        (Some(_), Some(other)) if other != WatchAction::SyncExec => {
            let invalid =
                Invalid::new("exec belongs to the action sync+exec").help("set the action, or leave exec out");
            findings.key_problem(at.key("exec"), invalid);
            None
        }
        (Some(hook), _) => command(findings, &at.key("exec"), hook),
    }
}

fn command(findings: &mut Findings<'_>, at: &KeyPath, hook: &FileExecHook) -> Option<ExecHook> {
    let command = findings.words(at, "command", hook.command.as_ref());
    if hook.command.is_none() || command.as_ref().is_some_and(Vec::is_empty) {
        findings.key_problem(at.clone(), Invalid::new("exec has no command"));
        return None;
    }
    let pairs = findings.pairs(&at.key("environment"), hook.environment.as_ref());
    // A bare KEY that the host does not have is left out, as in compose.
    let environment = pairs.into_iter().filter_map(|(_, key, value)| {
        let value = value.or_else(|| findings.context.environment.get(&key).cloned())?;
        Some((key, value))
    });
    let environment = environment.collect();
    Some(ExecHook {
        command: command?,
        user: findings.text(at, "user", hook.user.as_ref()),
        working_dir: findings.text(at, "working_dir", hook.working_dir.as_ref()),
        environment,
        privileged: findings.flag(at, "privileged", hook.privileged.as_ref()).unwrap_or(false),
    })
}
