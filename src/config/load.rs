//! From a [`Request`] to [`Loaded`]: the stages in order. Every fault of every stage is gathered before it gives up.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use figment::value::Value;

use super::{
    Override,
    diagnostics::{Finding, report},
    discover::{Candidate, Discovered, FILE_NAME, discover},
    file::File,
    fill::fill,
    layer::Source,
    merge::Merged,
    node::Data,
    problem::{KeyPath, Problem},
    resolve::{Context, resolve},
    shape::Schema,
    sources::{self, DOTENV, Sources},
};
use crate::{
    error::{Error, Result},
    model::{Settings, TargetKind, secret::Secrets},
};

/// The key of services in a compose file.
const SERVICES: &str = "services";
/// The key of the project's name.
const NAME: &str = "name";

/// Everything a configuration is made from besides the files themselves.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Where the search for `mcpmon.toml` begins, and what relative paths of flags are relative to. Absolute.
    pub folder: PathBuf,
    /// The process's environment.
    pub environment: BTreeMap<String, String>,
    /// The user's home folder.
    pub home: Option<PathBuf>,
    /// The file for all users, `/etc/mcpmon/config.toml`.
    pub system: PathBuf,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--profile`, in order; replaces `MCPMON_PROFILE`.
    pub profiles: Vec<String>,
    /// Flags that set keys.
    pub overrides: Vec<Override>,
    /// `--set KEY=VALUE`, in order.
    pub set: Vec<String>,
    /// Unknown `MCPMON_*` variables are errors.
    pub strict: bool,
    /// Colour the diagnostics.
    pub colour: bool,
    /// Do without a project's file (and its `.env`) unless one is named: for commands that bring their own target.
    pub without_project: bool,
}

/// A configuration without faults.
#[derive(Debug)]
pub struct Loaded {
    /// What it adds up to.
    pub settings: Settings,
    /// The layers and the way from a value to its place.
    pub merged: Merged,
    /// The merged values with `${…}` filled in.
    pub values: Value,
    /// Which files were looked for, and found.
    pub discovered: Discovered,
    /// Values of secret variables that were filled in.
    pub secrets: Secrets,
    /// The project's name is in no layer.
    named_by_folder: bool,
}

impl Loaded {
    /// Where the value of a key was set, in words: `mcpmon.toml:12:5`, `MCPMON_DELAY`, `--delay`, `default`.
    pub fn origin(&self, path: &KeyPath) -> Option<String> {
        if self.named_by_folder && *path == KeyPath::default().key(NAME) {
            return Some("the folder's name".to_owned());
        }
        origin(&self.merged, path)
    }
}

fn origin(merged: &Merged, path: &KeyPath) -> Option<String> {
    let place = merged.place(&path.0).filter(|place| place.exact)?;
    Some(place.layer.place(place.node.key.start))
}

/// Services that a compose target overrides are known to be wrong only once compose has read its files.
fn note_origins(settings: &mut Settings, merged: &Merged) {
    for target in settings.project.targets.values_mut() {
        let TargetKind::Compose(compose) = &mut target.kind else { continue };
        let path = ["targets", &target.name, "compose", "override", SERVICES];
        let path = path.into_iter().fold(KeyPath::default(), |path, key| path.key(key));
        let services = compose.overrides.get(SERVICES).and_then(serde_json::Value::as_object).into_iter();
        let placed = services.flat_map(|services| services.keys());
        compose.origins = placed.filter_map(|name| Some((name.clone(), origin(merged, &path.key(name))?))).collect();
    }
}

/// Reads the whole configuration. Errors are of kind `Config` and hold every fault there is, with its place.
pub fn load(request: &Request) -> Result<Loaded> {
    let Layered { merged, mut values, mut findings, blocked, context, discovered } = layered(request)?;
    let mut settings = None;
    let problems = match values.deserialize::<File>() {
        Ok(file) => {
            let (resolved, problems) = resolve(&file, &context);
            settings = resolved;
            problems
        }
        Err(error) => error.into_iter().map(|error| unreadable(&merged, &error)).collect(),
    };
    // What already has a fault would only be complained about twice.
    let related =
        |path: &KeyPath| blocked.iter().any(|other| path.0.starts_with(&other.0) || other.0.starts_with(&path.0));
    let problems = problems.into_iter().filter(|problem| !related(&problem.path));
    findings.extend(problems.map(|problem| locate(&merged, problem)));

    match settings {
        Some(mut settings) if findings.is_empty() => {
            note_origins(&mut settings, &merged);
            let mut named_by_folder = false;
            if let Value::Dict(_, dict) = &mut values {
                // Everything goes by it, so it is shown as if it had been written.
                dict.entry(NAME.to_owned()).or_insert_with(|| {
                    named_by_folder = true;
                    settings.project.name.clone().into()
                });
            }
            Ok(Loaded { settings, merged, values, discovered, secrets: context.secrets, named_by_folder })
        }
        _ => {
            for finding in &mut findings {
                finding.message = context.secrets.hide(&finding.message);
                finding.help = finding.help.as_deref().map(|help| context.secrets.hide(help));
            }
            Err(report(&merged.layers, findings, context.warnings, request.colour))
        }
    }
}

/// All layers, before anything is made of them.
pub(super) struct Layered {
    pub(super) merged: Merged,
    /// With `${…}` filled in.
    pub(super) values: Value,
    pub(super) findings: Vec<Finding>,
    /// Keys that already have a fault.
    blocked: Vec<KeyPath>,
    pub(super) context: Context<'static>,
    discovered: Discovered,
}

/// Reads every layer and merges them. An error: there is nothing to merge; other faults are in the result.
pub(super) fn layered(request: &Request) -> Result<Layered> {
    let discovered = discover(request);
    let project = match discovered.project() {
        None if request.without_project => request.folder.join(FILE_NAME),
        _ => found(request, &discovered)?.path.clone(),
    };
    let folder = project.parent().unwrap_or(&request.folder).to_owned();
    if discovered.project().is_some() && folder.to_str().is_none() {
        // The engine's words are UTF-8: it would be handed another folder.
        return Err(Error::config(format!("the project's folder {} has a name that is not UTF-8", folder.display()))
            .hint("rename it: engines take no other names"));
    }
    let schema = Schema::of_file();
    let sources = sources::read(request, schema, &discovered.candidates, &folder);
    let Sources { layers, mut findings, mut blocked, broken, variables, mut warnings, .. } = sources;
    let lookup = |name: &str| variables.get(name).cloned();
    if broken {
        return Err(report(&layers, findings, warnings, request.colour));
    }
    let (merged, faults) = Merged::new(layers);
    for (layer, fault) in faults {
        blocked.push(fault.path.clone());
        findings.push(Finding::of(layer, fault));
    }
    let (values, filled) = fill(schema, &merged, &lookup);
    for (path, finding) in filled.faults {
        blocked.push(path);
        findings.push(finding);
    }
    warnings
        .extend(filled.unset.into_iter().map(|name| format!("the variable {name} is not set; it is taken as blank")));
    let inputs = discovered.candidates.iter().map(|candidate| candidate.path.clone());
    let context = Context {
        config_file: project,
        home: request.home.clone(),
        inputs: inputs.chain([folder.join(DOTENV)]).collect(),
        environment: variables,
        read: &read_text,
        warnings,
        folder,
        secrets: Secrets::new(filled.secrets),
    };
    Ok(Layered { merged, values, findings, blocked, context, discovered })
}

/// A text file: none when it is missing.
fn read_text(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The project's file, or why there is none.
fn found<'a>(request: &Request, discovered: &'a Discovered) -> Result<&'a Candidate> {
    match discovered.project() {
        Some(Candidate { path, obstacle: Some(obstacle), .. }) => {
            Err(Error::config(format!("{} {obstacle}", path.display()))
                .hint("put the project's file there, or name another one with --config FILE"))
        }
        Some(project) if project.path.is_dir() => {
            let by = discovered.named_by.unwrap_or(FILE_NAME);
            // Without a `.` at its end.
            let folder: PathBuf = project.path.components().collect();
            Err(Error::config(format!("{by} names {}, which is a folder", folder.display()))
                .hint(format!("name the file: {}", folder.join(FILE_NAME).display())))
        }
        Some(project) if project.exists => Ok(project),
        Some(project) => {
            let by = discovered.named_by.unwrap_or(FILE_NAME);
            Err(Error::config(format!("{by} names {}, which is not there", project.path.display()))
                .hint("name an existing file, or leave it out: the nearest mcpmon.toml is then looked for"))
        }
        None => {
            let last = discovered.searched.last().unwrap_or(&request.folder);
            let upward =
                if *last == request.folder { String::new() } else { format!(" and upward to {}", last.display()) };
            Err(Error::config(format!("there is no {FILE_NAME} in {}{upward}", request.folder.display()))
                .hint("write one (a target with an `image` or `build` is enough), or name it with --config FILE or MCPMON_CONFIG"))
        }
    }
}

/// What the file's types can't take although its shape was right: a fault of the two disagreeing, still shown at its place.
fn unreadable(merged: &Merged, error: &figment::Error) -> Problem {
    let mut path = KeyPath::default();
    for key in &error.path {
        let list = matches!(merged.value(&path.0), Some(Value::Array(..)));
        path = match key.parse() {
            Ok(index) if list => path.index(index),
            _ => path.key(key.clone()),
        };
    }
    Problem::new(path, error.kind.to_string())
}

/// A problem at the place somebody wrote.
fn locate(merged: &Merged, problem: Problem) -> Finding {
    let Problem { path, at_key, message, help } = problem;
    match merged.place(&path.0) {
        Some(place) if place.layer.source != Source::Defaults => {
            let table = matches!(place.node.data, Data::Table(_));
            let span = if at_key || table || !place.exact { place.node.key.clone() } else { place.node.span.clone() };
            let message = if place.exact { message } else { format!("`{path}`: {message}") };
            Finding { layer: Some(place.index), span, path, message, help }
        }
        _ if path.0.is_empty() => Finding { layer: None, span: 0..0, path, message, help },
        _ => Finding { layer: None, span: 0..0, message: format!("`{path}`: {message}"), help, path },
    }
}
