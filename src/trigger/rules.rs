//! What is watched for each target, computed from the settings alone. It must not look at the file system: whether
//! a root is a folder, a file, missing or a socket is found out by who watches it.

use std::{
    collections::BTreeSet,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{
    Dockerignore,
    noise::{is_made, is_noise},
};
use crate::model::{
    Project, Settings, Target, TargetKind,
    settings::{WatchAction, WatchRule},
    target::{Bind, Build},
};

/// What is watched for a whole project.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The project's folder: where `.gitignore` begins to count without a repository.
    pub(super) folder: PathBuf,
    /// Files mcpmon reads itself: an edit is planned, not reloaded.
    pub(super) inputs: BTreeSet<PathBuf>,
    /// What mcpmon writes itself.
    pub(super) never: Vec<PathBuf>,
    /// One per target.
    pub(super) targets: Vec<TargetRules>,
}

/// What is watched for one target.
#[derive(Debug, Clone)]
pub struct TargetRules {
    /// The target's name.
    pub target: String,
    /// How long files must be quiet.
    pub delay: Duration,
    /// What was asked for and is not done, one sentence each.
    pub warnings: Vec<String>,
    /// `develop.watch`.
    pub(super) explicit: Vec<Explicit>,
    /// What is watched besides.
    pub(super) roots: Vec<Root>,
    /// Bind mounts: a change under one needs no rebuild.
    pub(super) binds: Vec<Bind>,
    /// The build context, if there is one.
    pub(super) build: Option<Context>,
    /// `watch.ignore`.
    pub(super) ignore: Gitignore,
    /// `watch.extensions`, without dots; empty = all.
    pub(super) extensions: Vec<String>,
    /// `.gitignore` counts.
    pub(super) git: bool,
}

/// A watched folder or file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    pub(super) origin: Origin,
    /// Suffixes of the files that count, without dots, unless `watch.extensions` names others; empty = all.
    pub(super) suffixes: &'static [&'static str],
}

impl Root {
    fn new(path: PathBuf, origin: Origin) -> Self {
        Self { path, origin, suffixes: &[] }
    }

    /// Whether it is watched for what it is to the container, by `auto`: a mount or a build context.
    pub(super) fn is_by_place(&self) -> bool {
        matches!(self.origin, Origin::Bind | Origin::Context)
    }

    /// Whether what lies there (relative to the root) never counts.
    pub(super) fn is_noise(&self, relative: &Path) -> bool {
        is_noise(relative) || (self.origin == Origin::Command && is_made(relative))
    }
}

/// Why a root is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// `watch.paths`.
    Named,
    /// A bind mount, by `auto`.
    Bind,
    /// The build context, by `auto`.
    Context,
    /// A Dockerfile or its ignore file, by `auto`.
    BuildFile,
    /// What a command line's server is made of, by `auto`.
    Command,
}

/// One `develop.watch` rule, compiled.
#[derive(Debug, Clone)]
pub(super) struct Explicit {
    pub(super) path: PathBuf,
    pub(super) action: WatchAction,
    pub(super) include: Dockerignore,
    pub(super) ignore: Dockerignore,
}

/// A build context.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) path: PathBuf,
    /// The Dockerfile and the ignore files.
    pub(super) files: Vec<PathBuf>,
    /// Ignore files in docker's order: `<Dockerfile>.dockerignore`, then the context's `.dockerignore`. Empty when
    /// `.dockerignore` is not among `watch.ignore_files`.
    pub(crate) ignore_files: Vec<PathBuf>,
}

impl Rules {
    /// The rules of a project. `home`: the user's home folder, which is never watched as a whole.
    pub fn new(settings: &Settings, home: Option<&Path>) -> Self {
        let never = settings.session.own_files();
        Self {
            folder: tidy(&settings.project.folder),
            inputs: settings.inputs.iter().map(|path| tidy(path)).collect(),
            never: never.iter().map(|path| tidy(path)).collect(),
            targets: rules(&settings.project, home),
        }
    }

    /// Rules of a project without targets: nothing is watched.
    pub fn none() -> Self {
        Self { folder: PathBuf::new(), inputs: BTreeSet::new(), never: Vec::new(), targets: Vec::new() }
    }

    /// The targets' rules, by name.
    pub fn targets(&self) -> &[TargetRules] {
        &self.targets
    }

    /// Watches a file, or the files with these suffixes in a folder, for a target that is a plain command. Folders that
    /// are made by tools ([`super::noise::is_made`]) don't count in it. The path must not be a too wide one.
    pub fn watch_command(&mut self, target: &str, path: &Path, suffixes: &'static [&'static str]) {
        let root = Root { suffixes, ..Root::new(tidy(path), Origin::Command) };
        for rules in self.targets.iter_mut().filter(|rules| rules.target == target) {
            if !rules.roots.contains(&root) {
                rules.roots.push(root.clone());
            }
        }
    }

    /// Everything to watch: folders with all below them, and files, missing ones too.
    pub fn roots(&self) -> BTreeSet<&Path> {
        let explicit = self.targets.iter().flat_map(|target| target.explicit.iter().map(|rule| rule.path.as_path()));
        let roots = self.targets.iter().flat_map(|target| target.roots.iter().map(|root| root.path.as_path()));
        explicit.chain(roots).collect()
    }

    /// What is watched, in words, each with its reason: for whoever asks why a save does nothing. What a plain command is
    /// made of is told by who finds it.
    pub fn described(&self) -> impl Iterator<Item = String> {
        self.targets.iter().flat_map(|target| {
            let rules = target.explicit.iter().map(|rule| (&rule.path, "develop.watch"));
            let roots = target.roots.iter().filter(|root| root.origin != Origin::Command);
            let roots = roots.map(|root| (&root.path, root.origin.reason()));
            rules.chain(roots).map(|(path, why)| format!("{}: watching {}: {why}", target.target, path.display()))
        })
    }

    /// Files mcpmon reads itself.
    pub fn inputs(&self) -> &BTreeSet<PathBuf> {
        &self.inputs
    }

    /// `.dockerignore` files that count.
    pub fn docker_ignore_files(&self) -> BTreeSet<&Path> {
        let contexts = self.targets.iter().filter_map(|target| target.build.as_ref());
        contexts.flat_map(|context| context.ignore_files.iter().map(PathBuf::as_path)).collect()
    }

    /// Roots for which `.gitignore` files count, those above them included.
    pub fn git_roots(&self) -> BTreeSet<&Path> {
        let targets = self.targets.iter().filter(|target| target.git);
        targets.flat_map(|target| target.roots.iter().map(|root| root.path.as_path())).collect()
    }

    /// The project's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Each target's rules.
pub fn rules(project: &Project, home: Option<&Path>) -> Vec<TargetRules> {
    project.targets.values().map(|target| target_rules(project, target, home)).collect()
}

fn target_rules(project: &Project, target: &Target, home: Option<&Path>) -> TargetRules {
    let watch = &target.watch;
    let honours = |name: &str| watch.ignore_files.iter().any(|file| file == name);
    let mut warnings = Vec::new();
    let binds: Vec<Bind> =
        target.kind.binds().into_iter().map(|bind| Bind { path: tidy(&bind.path), ..bind }).collect();
    let build = match &target.kind {
        TargetKind::Run(run) => run.build.as_ref(),
        TargetKind::Service(service) => service.build.as_ref(),
        TargetKind::Compose(_) | TargetKind::Process(_) => None,
    };
    let build = build.map(|build| context(build, honours(".dockerignore")));

    let mut wanted: Vec<Root> = Vec::new();
    if watch.auto {
        wanted.extend(binds.iter().map(|bind| Root::new(bind.path.clone(), Origin::Bind)));
        if let Some(context) = &build {
            wanted.push(Root::new(context.path.clone(), Origin::Context));
            let files = context.files.iter();
            wanted.extend(files.map(|path| Root::new(path.clone(), Origin::BuildFile)));
        }
    }
    wanted.extend(watch.paths.iter().map(|path| Root::new(tidy(path), Origin::Named)));

    let mut roots: Vec<Root> = Vec::new();
    for root in wanted {
        match breadth(&root.path, home) {
            _ if roots.contains(&root) => {}
            Breadth::Fine => roots.push(root),
            // Devices, /proc, the engine's socket: nothing there is ever saved by a person.
            Breadth::System if root.origin != Origin::Named => {}
            Breadth::System | Breadth::TooWide => warnings.push(format!(
                "{}: {} `{}` is not watched, because it holds far more than this server; name the folders that matter \
                 in `watch.paths` (MCPMON_WATCH)",
                target.name,
                root.origin.describe(),
                root.path.display(),
            )),
        }
    }

    let mut explicit = Vec::new();
    for rule in &watch.rules {
        let rule = compile(rule, &target.name, &mut warnings);
        match breadth(&rule.path, home) {
            Breadth::Fine => explicit.push(rule),
            Breadth::System | Breadth::TooWide => warnings.push(format!(
                "{}: develop.watch of `{}` is not followed, because it holds far more than this server; name a folder \
                 in it",
                target.name,
                rule.path.display(),
            )),
        }
    }

    TargetRules {
        target: target.name.clone(),
        delay: watch.delay,
        explicit,
        roots,
        binds,
        build,
        ignore: compile_ignore(&project.folder, watch.ignore.as_slice(), &target.name, &mut warnings),
        extensions: watch.extensions.iter().map(|suffix| suffix.trim_start_matches('.').to_string()).collect(),
        git: honours(".gitignore"),
        warnings,
    }
}

impl Origin {
    fn reason(self) -> &'static str {
        match self {
            Self::Named => "watch.paths",
            Self::Bind => "a bind mount",
            Self::Context => "the build context",
            Self::BuildFile => "the build reads it",
            Self::Command => "the command is made of it",
        }
    }

    fn describe(self) -> &'static str {
        match self {
            Self::Named => "the watch path",
            Self::Bind => "the bind mount of",
            Self::Context => "the build context",
            Self::BuildFile => "the build file",
            Self::Command => "the command's",
        }
    }
}

pub(crate) fn context(build: &Build, honour_ignore: bool) -> Context {
    let path = tidy(&build.context);
    let dockerfile = tidy(&path.join(build.dockerfile.as_deref().unwrap_or(Path::new("Dockerfile"))));
    let mut own = dockerfile.clone().into_os_string();
    own.push(".dockerignore");
    let ignore_files = vec![PathBuf::from(own), path.join(".dockerignore")];
    let files = std::iter::once(dockerfile).chain(ignore_files.iter().cloned()).collect();
    Context { path, files, ignore_files: if honour_ignore { ignore_files } else { Vec::new() } }
}

fn compile(rule: &WatchRule, target: &str, warnings: &mut Vec<String>) -> Explicit {
    let mut patterns = |patterns: &[String]| {
        let (compiled, problems) = Dockerignore::from_patterns(patterns.iter().map(String::as_str));
        let problems = problems.into_iter();
        warnings.extend(problems.map(|problem| format!("{target}: develop.watch: bad pattern {problem}")));
        compiled
    };
    Explicit {
        include: patterns(&rule.include),
        ignore: patterns(&rule.ignore),
        path: tidy(&rule.path),
        action: rule.action,
    }
}

/// `watch.ignore` uses `.gitignore`'s patterns, anchored at the project's folder: `*.tmp` and `tests/` match at any
/// depth, `/gen` and `src/gen` below the project's folder only.
pub(crate) fn compile_ignore(folder: &Path, globs: &[String], target: &str, warnings: &mut Vec<String>) -> Gitignore {
    let mut builder = GitignoreBuilder::new(folder);
    builder.allow_unclosed_class(false);
    for glob in globs {
        if let Err(error) = builder.add_line(None, glob) {
            warnings.push(format!("{target}: watch.ignore: bad pattern `{glob}`: {error}"));
        }
    }
    builder.build().unwrap_or_else(|error| {
        warnings.push(format!("{target}: watch.ignore: {error}"));
        Gitignore::empty()
    })
}

/// How much a root holds.
enum Breadth {
    Fine,
    /// The machine's own: `/dev`, `/proc`, `/sys`, `/run` and all below them.
    System,
    /// `/`, `/usr`, the home folder and the like as a whole.
    TooWide,
}

fn breadth(path: &Path, home: Option<&Path>) -> Breadth {
    const SYSTEM: &[&str] = &["/dev", "/proc", "/sys", "/run", "/var/run"];
    const WIDE: &[&str] = &[
        "/",
        "/bin",
        "/boot",
        "/etc",
        "/home",
        "/lib",
        "/lib64",
        "/media",
        "/mnt",
        "/opt",
        "/sbin",
        "/tmp",
        "/usr",
        "/usr/lib",
        "/usr/share",
        "/var",
        "/var/lib",
        "/Users",
        "/Library",
        "/System",
        "/Applications",
        "/private",
    ];
    // Where memory and removable disks are mounted a person may well keep a project.
    const NOT_SYSTEM: &[&str] = &["/dev/shm", "/run/media"];
    let below = |folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
    if below(SYSTEM) && !below(NOT_SYSTEM) {
        Breadth::System
    } else if WIDE.iter().any(|wide| path == Path::new(wide)) || home.is_some_and(|home| home.starts_with(path)) {
        Breadth::TooWide
    } else {
        Breadth::Fine
    }
}

/// Whether a folder holds far more than a server's code: the machine's own, or one that holds many projects.
pub fn is_too_wide(path: &Path, home: Option<&Path>) -> bool {
    !matches!(breadth(path, home), Breadth::Fine)
}

/// The path without `.` and `..`, as the watcher will see it in events. By text alone: `..` behind a link is rare
/// enough, and compose does the same.
pub fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => {
                tidy.pop();
            }
            component => tidy.push(component),
        }
    }
    tidy
}
