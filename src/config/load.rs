//! From a [`Request`] to [`Loaded`]: reads the files, puts the layers in order, and gathers every fault of every stage
//! before it gives up.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use figment::value::Value;

use super::{
    check::{Fault, check},
    command_line::{Override, read_override, read_set},
    diagnostics::{Finding, report},
    discover::{Candidate, Discovered, FILE_NAME, Role, discover},
    document, dotenv,
    environment::{PROFILE, read_environment},
    file::{self, File},
    fill::fill,
    layer::{Layer, Source},
    merge::Merged,
    nearest::nearest,
    node::{Data, Node},
    normalise::normalise,
    problem::{KeyPath, Problem, Segment},
    resolve::{Context, resolve},
    secret::masked,
    shape::Schema,
};
use crate::{
    error::{Error, Result},
    model::Settings,
};

/// Variables for `${…}`, beside the project's file.
const DOTENV: &str = ".env";

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
}

impl Loaded {
    /// Where the value of a key was set, in words: `mcpmon.toml:12:5`, `MCPMON_DELAY`, `--delay`, `default`.
    pub fn origin(&self, path: &KeyPath) -> Option<String> {
        let place = self.merged.place(&path.0).filter(|place| place.exact)?;
        Some(place.layer.place(place.node.key.start))
    }
}

/// Reads the whole configuration. Errors are of kind `Config` and hold every fault there is, with its place.
pub fn load(request: &Request) -> Result<Loaded> {
    let Layered { merged, values, mut findings, blocked, context, discovered } = layered(request)?;
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
        Some(settings) if findings.is_empty() => Ok(Loaded { settings, merged, values, discovered }),
        _ => Err(report(&merged.layers, findings, request.colour)),
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
    let project = found(request, &discovered)?;
    let folder = project.path.parent().unwrap_or(&request.folder).to_owned();
    let mut loading =
        Loading { request, schema: Schema::of_file(), layers: Vec::new(), findings: Vec::new(), blocked: Vec::new() };

    let variables = loading.variables(&folder);
    let lookup = |name: &str| variables.get(name).cloned();
    loading.defaults();
    loading.files(&discovered.candidates, &lookup);
    let mut warnings = loading.environment();
    loading.command_line(&lookup);

    let Loading { schema, layers, mut findings, mut blocked, .. } = loading;
    if blocked.contains(&KeyPath::default()) {
        // A file that can't be read at all: whatever else would be said is likely to come from that.
        return Err(report(&layers, findings, request.colour));
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
        config_file: project.path.clone(),
        home: request.home.clone(),
        inputs: inputs.chain([folder.join(DOTENV)]).collect(),
        environment: variables,
        read: &read_text,
        warnings,
        folder,
    };
    Ok(Layered { merged, values, findings, blocked, context, discovered })
}

/// A text file: none when it is missing.
fn read_text(path: &Path) -> Result<Option<String>, String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// The project's file, or why there is none.
fn found<'a>(request: &Request, discovered: &'a Discovered) -> Result<&'a Candidate> {
    match discovered.project() {
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

struct Loading<'a> {
    request: &'a Request,
    schema: &'static Schema,
    layers: Vec<Layer>,
    findings: Vec<Finding>,
    /// Keys that already have a fault: what else would be said about them (and what holds them) is left out.
    blocked: Vec<KeyPath>,
}

/// What one file gave.
struct Read {
    layer: Layer,
    faults: Vec<Fault>,
    profiles: BTreeMap<String, Node>,
    role: Role,
}

impl Loading<'_> {
    fn push(&mut self, layer: Layer, faults: Vec<Fault>) {
        let index = self.layers.len();
        self.layers.push(layer);
        self.fault(index, faults);
    }

    fn fault(&mut self, index: usize, faults: Vec<Fault>) {
        for fault in faults {
            self.blocked.push(fault.path.clone());
            self.findings.push(Finding::of(index, fault));
        }
    }

    /// What `${…}` sees: the process's environment above the project's `.env`. Its faults come with a layer that says nothing.
    fn variables(&mut self, folder: &Path) -> BTreeMap<String, String> {
        let environment = &self.request.environment;
        let path = folder.join(DOTENV);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // Missing is usual; anything else is shown as what it is.
            Err(error) => {
                if error.kind() != std::io::ErrorKind::NotFound && !path.is_dir() {
                    self.unreadable(&path, &error);
                }
                String::new()
            }
        };
        let mut variables = match dotenv::parse(&text, &|name| environment.get(name).cloned()) {
            Ok(dotenv) => dotenv.values,
            Err(errors) => {
                // Its values are as good as secrets: only the line's number is shown.
                let text = blank(&text);
                let faults = errors.into_iter().map(|error| Fault {
                    path: KeyPath::default(),
                    span: line_span(&text, error.line),
                    message: error.invalid.message,
                    help: error.invalid.help,
                });
                let faults = faults.collect();
                let source = Source::File { shown: self.shown(&path), path, profile: None };
                self.push(Layer { source, text: text.into(), root: Node::table() }, faults);
                BTreeMap::new()
            }
        };
        variables.extend(environment.iter().map(|(name, value)| (name.clone(), value.clone())));
        variables
    }

    fn defaults(&mut self) {
        let (root, _) = document::parse(file::DEFAULTS);
        let mut layer = Layer { source: Source::Defaults, text: file::DEFAULTS.into(), root };
        normalise(self.schema, &mut layer.root, &|_| None);
        self.layers.push(layer);
    }

    fn files(&mut self, candidates: &[Candidate], lookup: &dyn Fn(&str) -> Option<String>) {
        let (selected, by) = self.profiles();
        let mut known = BTreeSet::new();
        let mut pending: Vec<Read> = Vec::new();
        for candidate in candidates {
            if candidate.exists
                && let Some(mut read) = self.file(candidate, lookup)
            {
                known.extend(read.profiles.keys().cloned());
                if read.role == Role::Local {
                    self.profile_layers(&selected, &pending);
                    pending.clear();
                }
                self.push(read.layer.clone(), std::mem::take(&mut read.faults));
                pending.push(read);
            }
        }
        self.profile_layers(&selected, &pending);
        for name in selected {
            if !known.contains(&name) {
                self.unknown_profile(&name, by, &known);
            }
        }
    }

    /// The profiles asked for, and by what.
    fn profiles(&self) -> (Vec<String>, &'static str) {
        if !self.request.profiles.is_empty() {
            return (self.request.profiles.clone(), "--profile");
        }
        let names = self.request.environment.get(PROFILE).map(String::as_str).unwrap_or_default();
        (names.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect(), PROFILE)
    }

    /// One layer for each profile that a file has, in the order they were asked for.
    fn profile_layers(&mut self, selected: &[String], files: &[Read]) {
        for name in selected {
            for read in files {
                let (Some(root), Source::File { path, shown, .. }) = (read.profiles.get(name), &read.layer.source)
                else {
                    continue;
                };
                let source = Source::File { path: path.clone(), shown: shown.clone(), profile: Some(name.clone()) };
                self.layers.push(Layer { source, text: Arc::clone(&read.layer.text), root: root.clone() });
            }
        }
    }

    fn unknown_profile(&mut self, name: &str, by: &'static str, known: &BTreeSet<String>) {
        let (source, joint) = match by {
            PROFILE => (Source::Variable { name: PROFILE.to_owned() }, '='),
            flag => (Source::Flag { name: flag.to_owned() }, ' '),
        };
        let text = match by {
            PROFILE => format!("{by}{joint}{}", self.request.environment.get(PROFILE).map_or("", String::as_str)),
            _ => format!("{by}{joint}{name}"),
        };
        let start = by.len() + 1 + text[by.len() + 1..].find(name).unwrap_or_default();
        let help = match nearest(name, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None if known.is_empty() => format!("no file has profiles; write one as [profile.{name}]"),
            None => format!("there is {}", known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")),
        };
        let fault = Fault {
            path: KeyPath::default().key("profile").key(name),
            span: start..start + name.len(),
            message: format!("there is no profile `{name}`"),
            help: Some(help),
        };
        self.push(Layer { source, text: text.into(), root: Node::table() }, vec![fault]);
    }

    /// Reads one file. None: it can't be read, or is no TOML.
    fn file(&mut self, candidate: &Candidate, lookup: &dyn Fn(&str) -> Option<String>) -> Option<Read> {
        let bytes = match std::fs::read(&candidate.path) {
            Ok(bytes) => bytes,
            Err(error) => {
                self.unreadable(&candidate.path, &error);
                return None;
            }
        };
        let (text, not_text) = match String::from_utf8(bytes) {
            Ok(text) => (text, None),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                (String::from_utf8_lossy(error.as_bytes()).into_owned(), Some(at))
            }
        };
        // An editor's byte order mark is nobody's column.
        let text: Arc<str> = text.strip_prefix('\u{feff}').unwrap_or(&text).into();
        let source = Source::File { path: candidate.path.clone(), shown: self.shown(&candidate.path), profile: None };
        if let Some(at) = not_text {
            let message = "this is not UTF-8".to_owned();
            let fault = Fault {
                path: KeyPath::default(),
                span: at..at + 1,
                message,
                help: Some("save the file as UTF-8".to_owned()),
            };
            self.push(Layer { source, text, root: Node::table() }, vec![fault]);
            return None;
        }
        let (mut root, errors) = document::parse(&text);
        let text = masked(&text, &root);
        if !errors.is_empty() {
            let faults = errors.into_iter().map(|error| Fault {
                path: KeyPath::default(),
                span: error.span,
                message: error.message,
                help: None,
            });
            let faults = faults.collect();
            self.push(Layer { source, text, root: Node::table() }, faults);
            return None;
        }
        let mut faults = check(self.schema, &mut root, true);
        for fault in &mut faults {
            // What a profile has wrong is wrong at the key it would set.
            if let [Segment::Key(profile), _, rest @ ..] = &fault.path.0[..]
                && profile == "profile"
            {
                fault.path = KeyPath(rest.to_vec());
            }
        }
        let mut profiles = take_profiles(&mut root);
        for root in profiles.values_mut().chain([&mut root]) {
            normalise(self.schema, root, lookup);
        }
        Some(Read { layer: Layer { source, text, root }, faults, profiles, role: candidate.role })
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        self.blocked.push(KeyPath::default());
        self.findings.push(Finding {
            layer: None,
            span: 0..0,
            message: format!("{} can't be read: {error}", self.shown(path)),
            help: None,
        });
    }

    /// As messages show a path.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.request.folder).unwrap_or(path).display().to_string()
    }

    /// The environment's layers; gives the warnings about unknown variables back.
    fn environment(&mut self) -> Vec<String> {
        let read = read_environment(self.schema, &self.request.environment, &self.layers);
        for (mut layer, faults) in read.layers {
            normalise(self.schema, &mut layer.root, &|_| None);
            self.push(layer, faults);
        }
        if !self.request.strict {
            return read.unknown.into_iter().map(|unknown| format!("{}: {}", unknown.name, unknown.message)).collect();
        }
        for unknown in read.unknown {
            let source = Source::Variable { name: unknown.name.clone() };
            // A key of its own, so that it hides no other fault.
            let path = KeyPath::default().key(unknown.name.clone());
            let fault = Fault { path, span: 0..unknown.name.len(), message: unknown.message, help: None };
            self.push(Layer { source, text: unknown.name.into(), root: Node::table() }, vec![fault]);
        }
        Vec::new()
    }

    fn command_line(&mut self, lookup: &dyn Fn(&str) -> Option<String>) {
        let set = self.request.set.iter().map(|assignment| read_set(self.schema, assignment));
        let flags = self.request.overrides.iter().map(|flag| read_override(self.schema, flag));
        for (mut layer, faults) in set.chain(flags).collect::<Vec<_>>() {
            normalise(self.schema, &mut layer.root, lookup);
            self.push(layer, faults);
        }
    }
}

/// Takes `[profile]` out of a file's root.
fn take_profiles(root: &mut Node) -> BTreeMap<String, Node> {
    let Data::Table(entries) = &mut root.data else { return BTreeMap::new() };
    match entries.remove("profile") {
        Some(Node { data: Data::Table(mut profiles), .. }) => {
            for profile in profiles.values_mut() {
                if let Data::Table(entries) = &mut profile.data {
                    entries.remove("profile");
                }
            }
            profiles
        }
        _ => BTreeMap::new(),
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
            Finding { layer: Some(place.index), span, message, help }
        }
        _ if path.0.is_empty() => Finding { layer: None, span: 0..0, message, help },
        _ => Finding { layer: None, span: 0..0, message: format!("`{path}`: {message}"), help },
    }
}

/// The bytes of a line, counted from 1.
fn line_span(text: &str, line: usize) -> std::ops::Range<usize> {
    let start = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    start..start
}

/// A text whose lines are empty.
fn blank(text: &str) -> String {
    text.chars().filter(|c| *c == '\n').collect()
}
