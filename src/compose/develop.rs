//! `develop.watch` of a service as mcpmon's own watch rules. It must not know which files there are.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::config::Watch;
use crate::model::settings::{ExecHook, WatchAction, WatchRule};

/// The rules. An action that mcpmon does not know ([`unknown_actions`]) is the strongest one.
pub fn watch_rules(rules: &[Watch]) -> impl Iterator<Item = WatchRule> + '_ {
    rules.iter().map(|rule| WatchRule {
        path: rule.path.clone(),
        action: action(&rule.action).unwrap_or(WatchAction::Rebuild),
        include: rule.include.clone(),
        ignore: rule.ignore.clone(),
        target: rule.target.clone(),
        initial_sync: rule.initial_sync,
        exec: hook(&rule.exec),
    })
}

/// What to say of the actions that mcpmon does not know.
pub fn unknown_actions(service: String, rules: &[Watch]) -> impl Iterator<Item = String> + '_ {
    let unknown = rules.iter().map(|rule| &rule.action).filter(|name| action(name).is_none());
    unknown.map(move |name| {
        format!("{service}: develop.watch: the action {name} is not known to mcpmon; the service is rebuilt")
    })
}

fn action(name: &str) -> Option<WatchAction> {
    Some(match name {
        "rebuild" => WatchAction::Rebuild,
        "restart" => WatchAction::Restart,
        "sync" => WatchAction::Sync,
        "sync+restart" => WatchAction::SyncRestart,
        "sync+exec" => WatchAction::SyncExec,
        _ => return None,
    })
}

/// The command of `sync+exec`.
fn hook(exec: &Value) -> Option<ExecHook> {
    let exec = Exec::deserialize(exec).ok()?;
    Some(ExecHook {
        command: exec.command?,
        user: exec.user.filter(|user| !user.is_empty()),
        working_dir: exec.working_dir.filter(|folder| !folder.is_empty()),
        environment: exec.environment.unwrap_or_default(),
        privileged: exec.privileged,
    })
}

/// `exec` of a rule, as compose writes it.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Exec {
    command: Option<Vec<String>>,
    user: Option<String>,
    working_dir: Option<String>,
    environment: Option<BTreeMap<String, String>>,
    privileged: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Vec<Watch> {
        serde_json::from_str(text).expect("rules")
    }

    #[test]
    fn rules_are_taken_as_compose_writes_them() {
        let said = rules(
            r#"[{"path": "/s", "action": "sync+exec", "target": "/app", "ignore": ["x/"], "initial_sync": true,
                 "exec": {"command": ["kill", "-HUP", "1"], "user": "root", "working_dir": "", "environment": {"A": "b"}}},
                {"path": "/t", "action": "sync", "exec": {"command": null}}]"#,
        );
        let taken: Vec<WatchRule> = watch_rules(&said).collect();
        assert_eq!(
            taken,
            [
                WatchRule {
                    path: "/s".into(),
                    action: WatchAction::SyncExec,
                    include: Vec::new(),
                    ignore: vec!["x/".into()],
                    target: Some("/app".into()),
                    initial_sync: true,
                    exec: Some(ExecHook {
                        command: ["kill", "-HUP", "1"].map(str::to_owned).to_vec(),
                        user: Some("root".into()),
                        working_dir: None,
                        environment: BTreeMap::from([("A".into(), "b".into())]),
                        privileged: false,
                    }),
                },
                WatchRule {
                    path: "/t".into(),
                    action: WatchAction::Sync,
                    include: Vec::new(),
                    ignore: Vec::new(),
                    target: None,
                    initial_sync: false,
                    exec: None,
                },
            ]
        );
    }

    #[test]
    fn an_action_that_is_not_known_is_the_strongest_and_is_said() {
        let said = rules(r#"[{"path": "/s", "action": "sync+dance"}, {"path": "/s", "action": "restart"}]"#);
        let actions: Vec<WatchAction> = watch_rules(&said).map(|rule| rule.action).collect();
        assert_eq!(actions, [WatchAction::Rebuild, WatchAction::Restart]);
        assert_eq!(
            unknown_actions("web".into(), &said).collect::<Vec<_>>(),
            ["web: develop.watch: the action sync+dance is not known to mcpmon; the service is rebuilt"]
        );
    }
}
