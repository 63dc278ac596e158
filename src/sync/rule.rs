//! One sync rule: which files it covers, and where in the container they go. Pure; ignore files are passed in.

use std::path::{Path, PathBuf};

use ignore::gitignore::Gitignore;

use crate::{
    model::{
        Project, Target, TargetKind, WatchSettings,
        settings::{ExecHook, WatchAction},
        target::Build,
    },
    trigger::{
        Dockerignore,
        noise::is_noise,
        rules::{Context, compile_ignore, context, tidy},
    },
};

/// A `develop.watch` rule with a sync action.
#[derive(Debug, Clone)]
pub struct SyncRule {
    /// The file or folder on the host.
    pub path: PathBuf,
    /// Where in the container: absolute, without a slash at its end.
    pub target: String,
    /// The target was written with a slash at its end: a file goes into it.
    pub target_is_folder: bool,
    /// What follows a copy.
    pub action: WatchAction,
    /// What `sync+exec` runs.
    pub exec: Option<ExecHook>,
    /// Everything is copied when watching begins, too.
    pub initial: bool,
    include: Dockerignore,
    ignore: Dockerignore,
    watch_ignore: Gitignore,
    never: Vec<PathBuf>,
    context: Option<Context>,
}

/// The sync rules of a target. `never`: what mcpmon writes itself.
pub fn of_target(project: &Project, target: &Target, never: &[PathBuf]) -> Vec<SyncRule> {
    match &target.kind {
        TargetKind::Run(run) => rules(&project.folder, &target.watch, run.build.as_ref(), never),
        TargetKind::Service(service) => rules(&project.folder, &target.watch, service.build.as_ref(), never),
        TargetKind::Compose(_) | TargetKind::Process(_) => Vec::new(),
    }
}

/// The sync rules among `watch.rules`, whatever has them. `folder`: where `watch.ignore` is anchored; `build`: whose
/// `.dockerignore` counts; `never`: what mcpmon writes itself. Bad patterns are left out; [`crate::trigger::rules`] says them.
pub fn rules(folder: &Path, watch: &WatchSettings, build: Option<&Build>, never: &[PathBuf]) -> Vec<SyncRule> {
    let honoured = watch.ignore_files.iter().any(|file| file == ".dockerignore");
    let patterns = |patterns: &[String]| Dockerignore::from_patterns(patterns.iter().map(String::as_str)).0;
    let mut found = Vec::new();
    for rule in watch.rules.iter().filter(|rule| rule.action.is_sync()) {
        let Some(target) = &rule.target else { continue };
        found.push(SyncRule {
            path: tidy(&rule.path),
            target: clean(target),
            target_is_folder: target.ends_with('/'),
            action: rule.action,
            exec: rule.exec.clone(),
            initial: rule.initial_sync,
            include: patterns(&rule.include),
            ignore: patterns(&rule.ignore),
            watch_ignore: compile_ignore(folder, &watch.ignore, "", &mut Vec::new()),
            never: never.iter().map(|path| tidy(path)).collect(),
            context: build.map(|build| context(build, honoured)),
        });
    }
    found
}

impl SyncRule {
    /// Where something goes that lies at `relative` below the rule's path (empty: the rule's one file).
    pub fn destination(&self, relative: &Path) -> String {
        let mut destination = self.target.clone();
        let own_name = self.path.file_name().filter(|_| self.target_is_folder && relative.as_os_str().is_empty());
        for part in own_name.into_iter().chain(relative) {
            destination.push('/');
            destination.push_str(&part.to_string_lossy());
        }
        destination
    }

    /// The ignore files of the build context, the first one that is there counts.
    pub fn ignore_files(&self) -> &[PathBuf] {
        self.context.as_ref().map_or(&[], |context| &context.ignore_files)
    }

    /// Whether a file (or link) at `relative` is copied.
    pub fn covers(&self, relative: &Path, docker: Option<&Dockerignore>) -> bool {
        let included = self.include.is_empty() || self.include.excludes(relative);
        included && !self.leaves_out(relative, false, docker)
    }

    /// Whether a folder at `relative` is copied for its own sake, also when it is empty.
    pub fn covers_folder(&self, relative: &Path, docker: Option<&Dockerignore>) -> bool {
        self.include.is_empty() && !self.leaves_out(relative, true, docker)
    }

    /// Whether anything in a folder at `relative` can be copied.
    pub fn enters(&self, relative: &Path, docker: Option<&Dockerignore>) -> bool {
        let path = self.path.join(relative);
        !(is_noise(relative)
            || self.is_mcpmons(&path)
            || self.is_watch_ignored(&path, true)
            || self.ignore.excludes_folder(relative)
            || self.in_context(&path).zip(docker).is_some_and(|(path, docker)| docker.excludes_folder(path)))
    }

    /// Same rule, as far as what lies in the container follows from it.
    pub fn is_alike(&self, other: &Self) -> bool {
        self.path == other.path && self.target == other.target && self.target_is_folder == other.target_is_folder
    }

    fn leaves_out(&self, relative: &Path, is_folder: bool, docker: Option<&Dockerignore>) -> bool {
        if relative.as_os_str().is_empty() {
            return false;
        }
        let path = self.path.join(relative);
        is_noise(relative)
            || self.is_mcpmons(&path)
            || self.ignore.excludes(relative)
            || self.is_watch_ignored(&path, is_folder)
            || self.in_context(&path).zip(docker).is_some_and(|(path, docker)| docker.excludes(path))
    }

    fn is_mcpmons(&self, path: &Path) -> bool {
        self.never.iter().any(|never| path.starts_with(never))
    }

    fn is_watch_ignored(&self, path: &Path, is_folder: bool) -> bool {
        !self.watch_ignore.is_empty()
            && path
                .ancestors()
                .take_while(|ancestor| *ancestor != self.path)
                .any(|ancestor| self.watch_ignore.matched(ancestor, is_folder || ancestor != path).is_ignore())
    }

    fn in_context<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.strip_prefix(&self.context.as_ref()?.path).ok()
    }
}

/// The path without empty and `.` parts.
fn clean(path: &str) -> String {
    let mut cleaned = String::new();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        cleaned.push('/');
        cleaned.push_str(part);
    }
    cleaned
}
