//! One target: which of the three kinds it is, and what the kinds share.

use super::{
    container,
    findings::{Findings, strings},
    network::{Resources, Used},
    watch_rule::watch_rule,
};
use crate::{
    config::{
        file::{
            File,
            forms::ListOr,
            mcp::Mcp,
            reload::UpdateConfig as FileUpdateConfig,
            target::{Compose, Target as FileTarget},
        },
        nearest::did_you_mean,
        problem::KeyPath,
        value::Invalid,
    },
    model::{
        Target, TargetKind, WatchSettings,
        spec::Port,
        target::{
            ComposeTarget, Condition, ExtensionSettings, McpSettings, OnReload, ProcessTarget, Transport, UpdateConfig,
            UpdateOrder,
        },
    },
};

/// How long a new container has to become ready, where the file does not say.
const MONITOR: std::time::Duration = std::time::Duration::from_secs(10);

/// What a target stands in.
pub(super) struct Surroundings<'a> {
    pub(super) file: &'a File,
    pub(super) project: &'a str,
    pub(super) watch: &'a WatchSettings,
    pub(super) resources: &'a Resources,
}

/// A target's published port and where it was written.
pub(super) struct Published {
    pub(super) target: String,
    pub(super) path: KeyPath,
    pub(super) port: Port,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Container,
    Compose,
    Process,
}

/// None after a problem that leaves no target.
pub(super) fn target(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    name: &str,
    target: &FileTarget,
    surroundings: &Surroundings<'_>,
    used: &mut Used,
    published: &mut Vec<Published>,
) -> Option<Target> {
    let (kind, is_one) = kind(findings, at, target);
    belongs(findings, at, target, kind);
    let mcp = mcp(findings, at, target.mcp.as_ref(), surroundings.file);
    let has_build = target.build.is_some();
    let rules = target.develop.iter().flat_map(|develop| develop.watch.iter().flatten());
    let rules_at = at.key("develop").key("watch");
    let rules = rules
        .enumerate()
        .filter_map(|(index, rule)| watch_rule(findings, &rules_at.index(index), rule, has_build))
        .collect();
    let depends_on = depends_on(findings, at, target, surroundings.file);
    let empty = FileUpdateConfig::default();
    let update = target.deploy.as_ref().and_then(|deploy| deploy.update_config.as_ref()).unwrap_or(&empty);
    let update = update_config(findings, &at.key("deploy").key("update_config"), update);
    let kind = match kind {
        Kind::Container => TargetKind::Run(Box::new(container::run_target(
            findings,
            at,
            name,
            target,
            mcp.transport,
            surroundings,
            used,
            published,
        ))),
        Kind::Compose => {
            let empty = Compose::default();
            TargetKind::Compose(compose(findings, &at.key("compose"), target.compose.as_ref().unwrap_or(&empty)))
        }
        Kind::Process => {
            let words = findings.words(at, "run", target.run.as_ref());
            if words.as_ref().is_some_and(|words| words.first().is_none_or(String::is_empty)) {
                findings
                    .problem(at.key("run"), Invalid::new("the command is empty").help("a program and its arguments"));
            }
            let stop_grace_period = container::stop_grace_period(findings, at, target, surroundings);
            TargetKind::Process(ProcessTarget { words: words.unwrap_or_default(), stop_grace_period })
        }
    };
    if let (TargetKind::Run(run), Some(UpdateOrder::StartFirst)) = (&kind, update.order)
        && let Some(only_one) = run.only_one()
    {
        findings.warnings.push(format!(
            "{}: \"start-first\" does not hold: two containers at a time can't have {only_one}, so the old one stops first",
            at.key("deploy").key("update_config").key("order")
        ));
    }
    let watch = WatchSettings { rules, ..surroundings.watch.clone() };
    is_one.then(|| Target { name: name.to_owned(), kind, depends_on, watch, update, mcp })
}

/// The kind, and whether the target is of that kind: where it is of none or of several, its keys are judged all the same.
fn kind(findings: &mut Findings<'_>, at: &KeyPath, target: &FileTarget) -> (Kind, bool) {
    let container = target.image.is_some() || target.build.is_some();
    let kinds = [
        (container, Kind::Container, if target.image.is_some() { "image" } else { "build" }),
        (target.compose.is_some(), Kind::Compose, "compose"),
        (target.run.is_some(), Kind::Process, "run"),
    ];
    let mut found = kinds.iter().filter(|(there, ..)| *there);
    match (found.next(), found.next()) {
        (Some((_, kind, _)), None) => (*kind, true),
        (None, _) => {
            let invalid = Invalid::new("the target does not say what it is").help(
                "give it image or build (a container), compose (services of a compose project) or run (a command)",
            );
            findings.key_problem(at.clone(), invalid);
            (Kind::Container, false)
        }
        (Some((_, kind, one)), Some((_, _, other))) => {
            let invalid = Invalid::new(format!("a target can't have both {one} and {other}"))
                .help("make two targets of it, or remove one of the keys");
            findings.key_problem(at.key(*other), invalid);
            (*kind, false)
        }
    }
}

/// Keys that every kind of target takes, and those that make the kinds.
const SHARED: [&str; 6] = ["compose", "run", "develop", "deploy", "mcp", "depends_on"];

/// Keys of a container say nothing about compose's services and plain commands.
fn belongs(findings: &mut Findings<'_>, at: &KeyPath, target: &FileTarget, kind: Kind) {
    let what = match kind {
        Kind::Container => return,
        Kind::Compose => "a compose target: set it in its compose file, or under compose.override",
        Kind::Process => "a plain command",
    };
    let fits = |key: &str| SHARED.contains(&key) || (kind == Kind::Process && key == "stop_grace_period");
    let Ok(serde_json::Value::Object(keys)) = serde_json::to_value(target) else { return };
    for (key, _) in keys.iter().filter(|(key, value)| !value.is_null() && !fits(key)) {
        findings.key_problem(at.key(key), Invalid::new(format!("{key} does not belong to {what}")));
    }
}

fn compose(findings: &mut Findings<'_>, at: &KeyPath, compose: &Compose) -> ComposeTarget {
    for (at, _) in strings(&at.key("file"), compose.file.as_ref()).into_iter().filter(|(_, file)| file == "-") {
        let invalid = Invalid::new("a compose file from stdin can't be used: it is read more than once")
            .help("write it to a file, and name that");
        findings.problem(at, invalid);
    }
    let directory = compose.project_directory.as_ref();
    ComposeTarget {
        file: findings.paths(&at.key("file"), compose.file.as_ref()),
        project_name: findings.text(at, "project_name", compose.project_name.as_ref()),
        project_directory: directory.and_then(|text| findings.path(at.key("project_directory"), text)),
        profiles: compose.profiles.clone().unwrap_or_default(),
        env_file: findings.paths(&at.key("env_file"), compose.env_file.as_ref()),
        services: compose.services.clone().unwrap_or_default(),
        overrides: compose.overrides.clone().unwrap_or_default().into_iter().collect(),
        // Whoever knows the layers fills them in.
        origins: std::collections::BTreeMap::new(),
    }
}

/// The target's own `mcp`, and the file's where it is silent.
fn mcp(findings: &mut Findings<'_>, at: &KeyPath, own: Option<&Mcp>, file: &File) -> McpSettings {
    let empty = Mcp::default();
    let own = (at.key("mcp"), own.unwrap_or(&empty));
    let all = (KeyPath::default().key("mcp"), file.mcp.as_ref().unwrap_or(&empty));
    macro_rules! layer {
        ($field:ident) => {
            if own.1.$field.is_some() { (&own.0, own.1.$field.as_ref()) } else { (&all.0, all.1.$field.as_ref()) }
        };
    }
    let transports =
        [("stdio", Transport::Stdio), ("streamable-http", Transport::StreamableHttp), ("none", Transport::None)];
    let reloads = [("drain", OnReload::Drain), ("error", OnReload::Error)];
    let (at, value) = layer!(transport);
    let transport = findings.choice(at, "transport", value, &transports);
    let (at, value) = layer!(startup_timeout);
    let startup_timeout = findings.positive_duration(at, "startup_timeout", value);
    let startup_timeout = findings.needed(at, "startup_timeout", value.is_some(), startup_timeout);
    let (at, value) = layer!(on_reload);
    let on_reload = findings.choice(at, "on_reload", value, &reloads).unwrap_or(OnReload::Drain);
    let (at, value) = layer!(buffer);
    let buffer = findings.size(at, "buffer", value);
    let buffer = findings.needed(at, "buffer", value.is_some(), buffer);
    let (at, value) = layer!(max_output_tokens);
    let max_output_tokens = findings.integer(at, "max_output_tokens", value);
    if max_output_tokens == Some(0) {
        let invalid = Invalid::new("no result fits into 0 tokens")
            .help("to hand on results of any size: mcp.extensions.results = false");
        findings.problem(at.key("max_output_tokens"), invalid);
    }
    let max_output_tokens = findings.needed(at, "max_output_tokens", value.is_some(), max_output_tokens);
    let extensions = extensions(findings, [(&own.0, own.1), (&all.0, all.1)]);
    McpSettings { transport, startup_timeout, on_reload, buffer, max_output_tokens, extensions }
}

/// The target's own `mcp.extensions`, and the file's where it is silent.
fn extensions(findings: &mut Findings<'_>, layers: [(&KeyPath, &Mcp); 2]) -> ExtensionSettings {
    let results = |mcp: &Mcp| mcp.extensions.as_ref().and_then(|extensions| extensions.results.clone());
    let [own, all] = layers.map(|(at, mcp)| (at.key("extensions"), results(mcp)));
    let (at, value) = if own.1.is_some() { own } else { all };
    let results = findings.flag(&at, "results", value.as_ref());
    ExtensionSettings { results: findings.needed(&at, "results", value.is_some(), results) }
}

fn update_config(findings: &mut Findings<'_>, at: &KeyPath, update: &FileUpdateConfig) -> UpdateConfig {
    let orders = [("start-first", UpdateOrder::StartFirst), ("stop-first", UpdateOrder::StopFirst)];
    let failures = [("rollback", true), ("pause", false)];
    UpdateConfig {
        order: findings.choice(at, "order", update.order.as_ref(), &orders),
        rollback: findings.choice(at, "failure_action", update.failure_action.as_ref(), &failures).unwrap_or(true),
        monitor: findings.positive_duration(at, "monitor", update.monitor.as_ref()).unwrap_or(MONITOR),
    }
}

fn depends_on(
    findings: &mut Findings<'_>,
    at: &KeyPath,
    target: &FileTarget,
    file: &File,
) -> std::collections::BTreeMap<String, Condition> {
    let at = at.key("depends_on");
    let known = || file.targets.iter().flatten();
    let conditions = [Condition::Started, Condition::Healthy, Condition::CompletedSuccessfully]
        .map(|condition| (condition.as_str(), condition));
    let named: Vec<_> = match &target.depends_on {
        None => Vec::new(),
        Some(ListOr::List(list)) => list
            .iter()
            .enumerate()
            .map(|(index, name)| (at.index(index), false, name.to_string(), Condition::Started))
            .collect(),
        Some(ListOr::Table(table)) => table
            .iter()
            .map(|(name, dependency)| {
                let condition = findings.choice(&at.key(name), "condition", dependency.condition.as_ref(), &conditions);
                (at.key(name), true, name.clone(), condition.unwrap_or(Condition::Started))
            })
            .collect(),
    };
    let mut dependencies = std::collections::BTreeMap::new();
    for (path, at_key, name, condition) in named {
        // `web/db`: a service of the compose target web; whether there is such a one is known once compose was asked.
        let of = name.split_once('/').map_or(name.as_str(), |(of, _)| of);
        let is_service = |target: &FileTarget| name == of || target.compose.is_some();
        let found = known().find(|(key, target)| *key == of && is_service(target));
        let invalid = match found {
            None => {
                let invalid = Invalid::new(format!("there is no target {name:?}"));
                match did_you_mean(&name, known().map(|(key, _)| key.as_str())) {
                    Some(help) => invalid.help(help),
                    None => invalid,
                }
            }
            Some((_, other)) if other.run.is_some() => {
                Invalid::new(format!("{name} is a plain command; nothing can wait for it"))
            }
            Some(_) => {
                dependencies.insert(name, condition);
                continue;
            }
        };
        if at_key { findings.key_problem(path, invalid) } else { findings.problem(path, invalid) }
    }
    dependencies
}
