//! The merged file to [`Settings`]: pure, and all problems at once, each under its key.
//!
//! It gets a file whose `${…}` are filled in and whose lowest layer was [`crate::config::file::DEFAULTS`]. Defaults that depend
//! on other keys are made here (names, `init`, `stdin_open`, the project's own network). It reads nothing by itself:
//! env files come through [`Context::read`].

mod container;
mod cross;
mod environment;
mod findings;
mod health;
mod network;
mod storage;
mod target;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use findings::{Findings, engine_name, strings};

use super::{
    file::{
        File, VERSION,
        project::{Docker, Log, Reconcile, Watch},
        scalar::{Scalar, Verbosity},
    },
    problem::{KeyPath, Problem},
    value::Invalid,
};
use crate::model::{
    OnDrift, OnExit, Project, ReconcileSettings, SessionSettings, Settings, WatchSettings, secret::Secrets,
    settings::BackoffSettings,
};

/// What a file means depends on where it lies, and on its surroundings.
pub struct Context<'a> {
    /// The project's folder, absolute: relative paths are relative to it.
    pub folder: PathBuf,
    /// The project's file, absolute; goes into a label.
    pub config_file: PathBuf,
    /// The user's home folder, for `~/`.
    pub home: Option<PathBuf>,
    /// Variables: the process's environment above the project's `.env`.
    pub environment: BTreeMap<String, String>,
    /// Reads a text file: None when it is missing, Err says why it can't be read.
    pub read: &'a dyn Fn(&Path) -> Result<Option<String>, String>,
    /// Files that the layers came from, also missing ones (`mcpmon.local.toml`, `.env`).
    pub inputs: Vec<PathBuf>,
    /// What the layers had to say that is no error.
    pub warnings: Vec<String>,
    /// Values of secret variables that were filled in.
    pub secrets: Secrets,
}

/// The settings, or what is wrong. Settings come with an empty list only.
pub fn resolve(file: &File, context: &Context<'_>) -> (Option<Settings>, Vec<Problem>) {
    let mut findings = Findings::new(context);
    let root = KeyPath::default();
    version(&mut findings, file);
    let name = project_name(&mut findings, file);
    let watch = watch(&mut findings, file.watch.as_ref());
    let reconcile = reconcile(&mut findings, file.reconcile.as_ref());
    let session = session(&mut findings, file);
    let resources = network::Resources::new(&mut findings, file, &name);

    let mut targets = BTreeMap::new();
    let mut used = network::Used::default();
    let mut published = Vec::new();
    for (key, target) in file.targets.iter().flatten() {
        let at = root.key("targets").key(key);
        if let Err(invalid) = engine_name(key) {
            findings.key_problem(at.clone(), invalid);
        }
        let surroundings = target::Surroundings { file, project: &name, watch: &watch, resources: &resources };
        if let Some(resolved) =
            target::target(&mut findings, &at, key, target, &surroundings, &mut used, &mut published)
        {
            targets.insert(key.clone(), resolved);
        }
    }
    if file.targets.as_ref().is_none_or(BTreeMap::is_empty) {
        findings.warnings.push("there are no targets: add [targets.NAME] with image or build".to_owned());
    }
    cross::check(&mut findings, file, &name, &published);

    let mut inputs = std::mem::take(&mut findings.inputs);
    let mut seen = std::collections::HashSet::new();
    inputs.retain(|path| seen.insert(path.clone()));
    let (networks, volumes) = resources.needed(&used);
    let settings = Settings {
        project: Project {
            name,
            folder: context.folder.clone(),
            config_file: context.config_file.clone(),
            targets,
            networks,
            volumes,
        },
        reconcile,
        session,
        inputs,
        warnings: findings.warnings,
    };
    // What lies outside of the targets is read for each of them.
    let mut problems: Vec<Problem> = Vec::new();
    for problem in findings.problems {
        if !problems.contains(&problem) {
            problems.push(problem);
        }
    }
    (problems.is_empty().then_some(settings), problems)
}

fn version(findings: &mut Findings<'_>, file: &File) {
    let root = KeyPath::default();
    if let Some(version) = findings.integer::<i64>(&root, "version", file.version.as_ref())
        && version != VERSION
    {
        let invalid = Invalid::new(format!("this mcpmon knows version {VERSION} of the file, not {version}"))
            .help("a newer mcpmon may know it");
        findings.problem(root.key("version"), invalid);
    }
}

/// A folder's name as a project's, made fit as compose does it: small letters, digits, `_` and `-`. May be empty.
pub fn name_of_folder(folder: &Path) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let name: String = name.chars().filter(|c| allowed(*c)).collect();
    name.trim_start_matches(['_', '-']).to_owned()
}

/// The given name, or the folder's.
fn project_name(findings: &mut Findings<'_>, file: &File) -> String {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let at = KeyPath::default().key("name");
    if let Some(name) = &file.name {
        if name.is_empty() || !name.chars().all(allowed) || name.starts_with(['_', '-']) {
            let invalid = Invalid::new(format!("{name:?} can't be a project's name"))
                .help("small letters, digits, _ and -; the first a letter or digit");
            findings.problem(at, invalid);
        }
        return name.clone();
    }
    let name = name_of_folder(&findings.context.folder);
    if name.is_empty() {
        let folder = findings.context.folder.display().to_string();
        let invalid = Invalid::new(format!("the folder {folder} gives the project no name")).help("set name = \"…\"");
        findings.key_problem(at, invalid);
    }
    name
}

fn watch(findings: &mut Findings<'_>, watch: Option<&Watch>) -> WatchSettings {
    let at = KeyPath::default().key("watch");
    let empty = Watch::default();
    let watch = watch.unwrap_or(&empty);
    let (auto, paths): (Vec<_>, Vec<_>) =
        strings(&at.key("paths"), watch.paths.as_ref()).into_iter().partition(|(_, text)| text == "auto");
    let mut ignore_files = Vec::new();
    for (at, name) in strings(&at.key("ignore_files"), watch.ignore_files.as_ref()) {
        if name.is_empty() || name.contains('/') {
            let invalid = Invalid::new(format!("{name:?} is not the name of a file"))
                .help("the name alone, without a folder: .gitignore");
            findings.problem(at, invalid);
        } else {
            ignore_files.push(name);
        }
    }
    let extensions = strings(&at.key("extensions"), watch.extensions.as_ref())
        .into_iter()
        .map(|(_, text)| text.trim_start_matches('*').trim_start_matches('.').to_owned())
        .filter(|text| !text.is_empty())
        .collect();
    let delay = findings.duration(&at, "delay", watch.delay.as_ref());
    WatchSettings {
        paths: paths.into_iter().filter_map(|(at, text)| findings.listed_path(at, &text)).collect(),
        auto: !auto.is_empty(),
        ignore: findings.globs(&at.key("ignore"), watch.ignore.as_ref()),
        extensions,
        ignore_files,
        delay: findings.needed(&at, "delay", watch.delay.is_some(), delay),
        rules: Vec::new(),
    }
}

fn reconcile(findings: &mut Findings<'_>, reconcile: Option<&Reconcile>) -> ReconcileSettings {
    let at = KeyPath::default().key("reconcile");
    let empty = Reconcile::default();
    let reconcile = reconcile.unwrap_or(&empty);
    let backoff_at = at.key("backoff");
    let backoff = reconcile.backoff.clone().unwrap_or_default();
    let mut duration = |at: &KeyPath, key: &str, value: Option<&super::file::scalar::Duration>| {
        let duration = findings.positive_duration(at, key, value);
        findings.needed(at, key, value.is_some(), duration)
    };
    let interval = duration(&at, "interval", reconcile.interval.as_ref());
    let backoff = BackoffSettings {
        initial: duration(&backoff_at, "initial", backoff.initial.as_ref()),
        max: duration(&backoff_at, "max", backoff.max.as_ref()),
        reset_after: duration(&backoff_at, "reset_after", backoff.reset_after.as_ref()),
    };
    if backoff.initial > backoff.max {
        let invalid = Invalid::new("the first wait (initial) is longer than the longest (max)");
        findings.problem(backoff_at.key("max"), invalid);
    }
    let drifts = [("recreate", OnDrift::Recreate), ("warn", OnDrift::Warn), ("ignore", OnDrift::Ignore)];
    let exits = [("remove", OnExit::Remove), ("keep", OnExit::Keep)];
    let prune = findings.flag(&at, "prune", reconcile.prune.as_ref());
    ReconcileSettings {
        interval,
        on_drift: findings.choice(&at, "on_drift", reconcile.on_drift.as_ref(), &drifts).unwrap_or(OnDrift::Recreate),
        prune: findings.needed(&at, "prune", reconcile.prune.is_some(), prune),
        backoff,
        on_exit: findings.choice(&at, "on_exit", reconcile.on_exit.as_ref(), &exits).unwrap_or(OnExit::Remove),
    }
}

fn session(findings: &mut Findings<'_>, file: &File) -> SessionSettings {
    let root = KeyPath::default();
    let at = root.key("docker");
    let empty = Docker::default();
    let docker = file.docker.as_ref().unwrap_or(&empty);
    let timeout = findings.positive_duration(&at, "timeout", docker.timeout.as_ref());
    let cleanup = findings.flag(&at, "cleanup", docker.cleanup.as_ref());
    let extensions_dir = file.extensions_dir.as_ref().and_then(|text| findings.path(root.key("extensions_dir"), text));
    let empty = Log::default();
    let log = file.log.as_ref().unwrap_or(&empty);
    SessionSettings {
        docker_timeout: findings.needed(&at, "timeout", docker.timeout.is_some(), timeout),
        cleanup: findings.needed(&at, "cleanup", docker.cleanup.is_some(), cleanup),
        labels: findings.labels(&at.key("labels"), docker.labels.as_ref()),
        extensions_dir: findings.needed(&root, "extensions_dir", file.extensions_dir.is_some(), extensions_dir),
        log_level: log_level(findings, log),
        log_file: log.file.as_ref().and_then(|text| findings.path(root.key("log").key("file"), text)),
    }
}

/// `log.level`; without it, what `log.verbose` asks for.
fn log_level(findings: &mut Findings<'_>, log: &Log) -> String {
    let at = KeyPath::default().key("log");
    let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
    let verbose = match &log.verbose {
        None => 0,
        Some(Verbosity(Scalar::Bool(more))) => u8::from(*more),
        Some(Verbosity(other)) => match other.to_string().trim().to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => 1,
            "false" | "no" | "off" | "0" => 0,
            "2" => 2,
            "3" => 3,
            text => {
                let invalid = Invalid::new(format!("{text:?} is no verbosity")).help("a boolean, or 0 to 3");
                findings.problem(at.key("verbose"), invalid);
                0
            }
        },
    };
    let from_verbose = ["info", "debug", "trace", "trace"][usize::from(verbose)];
    findings.choice(&at, "level", log.level.as_ref(), &levels).unwrap_or(from_verbose).to_owned()
}

#[cfg(test)]
mod tests;
