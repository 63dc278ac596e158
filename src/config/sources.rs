//! Reads every source, lowest first: defaults, files and their profiles, variables, `--set`, flags. Each becomes a layer, each
//! fault a finding; what they add up to is [`super::merge`]'s business.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::ErrorKind,
    path::Path,
    sync::Arc,
};

use super::{
    Request,
    check::{Fault, check},
    command_line::{read_override, read_set},
    diagnostics::Finding,
    discover::{Candidate, Role, obstacle},
    document, dotenv,
    environment::{PROFILE, read_environment},
    file, form,
    layer::{Layer, Source},
    nearest::nearest,
    node::{Data, Node},
    normalise::normalise,
    numbers::as_written,
    problem::{KeyPath, Segment},
    secret::{masked, masked_by_looks},
    shape::Schema,
};

/// Variables for `${…}`, beside the project's file.
pub const DOTENV: &str = ".env";

/// What all sources say.
pub struct Sources<'a> {
    request: &'a Request,
    schema: &'a Schema,
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// What is wrong with them.
    pub findings: Vec<Finding>,
    /// Keys that already have a fault: what else would be said about them (and what holds them) is left out.
    pub blocked: Vec<KeyPath>,
    /// A file can't be read at all: whatever else would be said is likely to come from that.
    pub broken: bool,
    /// What `${…}` sees.
    pub variables: BTreeMap<String, String>,
    /// What is worth saying that is no error.
    pub warnings: Vec<String>,
}

/// Reads them. `folder`: the project's.
pub fn read<'a>(request: &'a Request, schema: &'a Schema, candidates: &[Candidate], folder: &Path) -> Sources<'a> {
    let mut sources = Sources {
        request,
        schema,
        layers: Vec::new(),
        findings: Vec::new(),
        blocked: Vec::new(),
        broken: false,
        variables: BTreeMap::new(),
        warnings: Vec::new(),
    };
    let project = candidates.iter().any(|candidate| candidate.role == Role::Project);
    let variables = if project { sources.variables(folder) } else { request.environment.clone() };
    let lookup = |name: &str| variables.get(name).cloned();
    sources.defaults();
    sources.files(candidates, &lookup);
    sources.environment();
    sources.command_line(&lookup);
    sources.variables = variables;
    sources
}

/// What one file gave.
struct Read {
    layer: Layer,
    faults: Vec<Fault>,
    profiles: BTreeMap<String, Node>,
    role: Role,
}

impl Sources<'_> {
    fn push(&mut self, layer: Layer, faults: Vec<Fault>) {
        let index = self.layers.len();
        let forms = form::faults(self.schema, &layer.root, layer.source.interpolates());
        self.layers.push(layer);
        self.fault(index, faults);
        // They hide nothing: what else is wrong there is another matter.
        self.findings.extend(forms.into_iter().map(|fault| Finding::of(index, fault)));
    }

    fn fault(&mut self, index: usize, faults: Vec<Fault>) {
        for fault in faults {
            // What has no key says nothing about any other.
            if !fault.path.0.is_empty() {
                self.blocked.push(fault.path.clone());
            }
            self.findings.push(Finding::of(index, fault));
        }
    }

    /// What `${…}` sees: the process's environment above the project's `.env`. Its faults come with a layer that says nothing.
    fn variables(&mut self, folder: &Path) -> BTreeMap<String, String> {
        let environment = &self.request.environment;
        let path = folder.join(DOTENV);
        // Compose skips folders; the usual one of that name is a Python environment.
        let obstacle = obstacle(&path).filter(|_| !path.join("pyvenv.cfg").exists());
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            // Missing is usual; anything else is shown as what it is.
            Err(error) => {
                match obstacle {
                    Some(obstacle) => self.obstructed(&path, &obstacle),
                    None if error.kind() == ErrorKind::NotFound || path.is_dir() => {}
                    None => self.unreadable(&path, &error),
                }
                String::new()
            }
        };
        let (dotenv, errors) = dotenv::parse_all(&text, &|name| environment.get(name).cloned());
        let mut variables = dotenv.values;
        if !errors.is_empty() {
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
        }
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
                let index = self.layers.len();
                self.push(read.layer.clone(), std::mem::take(&mut read.faults));
                // The others are layers of their own.
                for (_, root) in read.profiles.iter().filter(|(name, _)| !selected.contains(name)) {
                    let forms = form::faults(self.schema, root, true);
                    self.findings.extend(forms.into_iter().map(|fault| Finding::of(index, fault)));
                }
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
        // Empty = unset, as for every variable.
        let flags: Vec<String> = self.request.profiles.iter().filter(|name| !name.is_empty()).cloned().collect();
        if !flags.is_empty() {
            return (flags, "--profile");
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
                self.push(Layer { source, text: Arc::clone(&read.layer.text), root: root.clone() }, Vec::new());
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
        if let Some(obstacle) = &candidate.obstacle {
            self.obstructed(&candidate.path, obstacle);
            return None;
        }
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
            let text = masked_by_looks(&text).into();
            self.push(Layer { source, text, root: Node::table() }, vec![fault]);
            self.broken = true;
            return None;
        }
        let (mut root, errors) = document::parse(&text);
        as_written(self.schema, self.schema.root(), &mut root, &text);
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
            self.broken = true;
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
        let mut profiles = take_profiles(&mut root, &mut faults);
        for root in profiles.values_mut().chain([&mut root]) {
            normalise(self.schema, root, lookup);
        }
        Some(Read { layer: Layer { source, text, root }, faults, profiles, role: candidate.role })
    }

    fn unreadable(&mut self, path: &Path, error: &std::io::Error) {
        self.broken(format!("{} can't be read: {error}", self.shown(path)), None);
    }

    /// Something else stands in a file's place.
    fn obstructed(&mut self, path: &Path, obstacle: &str) {
        self.broken(
            format!("{} {obstacle}", self.shown(path)),
            Some("put the file there, or remove what is".to_owned()),
        );
    }

    fn broken(&mut self, message: String, help: Option<String>) {
        self.broken = true;
        self.findings.push(Finding { layer: None, span: 0..0, path: KeyPath::default(), message, help });
    }

    /// As messages show a path.
    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.request.folder).unwrap_or(path).display().to_string()
    }

    /// The environment's layers, and what is said about unknown variables.
    fn environment(&mut self) {
        let read = read_environment(self.schema, &self.request.environment, &self.layers);
        for (mut layer, faults) in read.layers {
            normalise(self.schema, &mut layer.root, &|_| None);
            self.push(layer, faults);
        }
        if !self.request.strict {
            let warnings = read.unknown.into_iter().map(|unknown| format!("{}: {}", unknown.name, unknown.message));
            self.warnings.extend(warnings);
            return;
        }
        for unknown in read.unknown {
            let source = Source::Variable { name: unknown.name.clone() };
            // A key of its own, so that it hides no other fault.
            let path = KeyPath::default().key(unknown.name.clone());
            let fault = Fault { path, span: 0..unknown.name.len(), message: unknown.message, help: None };
            self.push(Layer { source, text: unknown.name.into(), root: Node::table() }, vec![fault]);
        }
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
fn take_profiles(root: &mut Node, faults: &mut Vec<Fault>) -> BTreeMap<String, Node> {
    let Data::Table(entries) = &mut root.data else { return BTreeMap::new() };
    let Some(Node { data: Data::Table(mut profiles), .. }) = entries.remove("profile") else { return BTreeMap::new() };
    for (name, profile) in &mut profiles {
        if let Data::Table(entries) = &mut profile.data
            && let Some(inner) = entries.remove("profile")
        {
            faults.push(Fault {
                path: KeyPath::default().key("profile").key(name.clone()),
                span: inner.key,
                message: "a profile can't hold profiles".to_owned(),
                help: Some("give several: --profile A,B".to_owned()),
            });
        }
    }
    profiles
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
