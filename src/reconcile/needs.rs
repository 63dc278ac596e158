//! What a container needs and mcpmon does not make: external networks and volumes, and the sources of bind mounts. They are
//! looked at before a container is made or started, because an engine makes an empty one of most that is missing.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use super::act::{Executor, Failure};
use crate::{
    engine::{Engine, EngineInfo, Images},
    model::{Project, RunTarget, TargetKind, spec::MountSource},
};

/// Sources of bind mounts that were there at some time of this session.
#[derive(Debug, Default)]
pub(super) struct Sources(Mutex<BTreeSet<PathBuf>>);

impl Sources {
    /// Takes the sources that are there; gives the first that was, and is gone. The engine is on this host.
    fn note(&self, run: &RunTarget) -> Option<PathBuf> {
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut gone = None;
        for path in made_if_missing(run) {
            if path.exists() {
                seen.insert(path.to_owned());
            } else if gone.is_none() && seen.contains(path) {
                gone = Some(path.to_owned());
            }
        }
        gone
    }
}

impl<E: Engine, I: Images> Executor<E, I> {
    /// Takes note of what is there now: a container that ran before this session has it, too.
    pub(super) fn note_sources(&self, project: &Project) {
        if is_here(&self.engine.info()) {
            for target in project.targets.values() {
                if let TargetKind::Run(run) = &target.kind {
                    let _ = self.sources.note(run);
                }
            }
        }
    }

    /// Whether a container of the target may be made or started now.
    ///
    /// # Errors
    /// The engine would make something empty in the place of what it needs, or would fail in bare words.
    pub async fn needs(&self, project: &Project, run: &RunTarget) -> Result<(), Failure> {
        if is_here(&self.engine.info())
            && let Some(source) = self.sources.note(run)
        {
            let source = shown(project, &source);
            return Err(Failure::new(format!(
                "the volume's source {source} is gone; the target starts when it is back"
            )));
        }
        for name in run.spec.networks.keys().filter(|name| !project.networks.contains_key(*name)) {
            if self.engine.find_network(name).await?.is_none() {
                return Err(not_found("network", name));
            }
        }
        for mount in &run.spec.volumes {
            if let MountSource::Volume(name) = &mount.source
                && !project.volumes.contains_key(name)
                && self.engine.find_volume(name).await?.is_none()
            {
                return Err(not_found("volume", name));
            }
        }
        Ok(())
    }
}

/// A source that a container of the target had, since it was started, and that is gone.
pub fn gone(project: &Project, run: &RunTarget, engine: &EngineInfo) -> Option<String> {
    let missing = |path: &&Path| matches!(path.try_exists(), Ok(false));
    made_if_missing(run).find(missing).filter(|_| is_here(engine)).map(|path| shown(project, path))
}

fn not_found(word: &str, name: &str) -> Failure {
    let hint =
        format!("create it with `docker {word} create {name}`, or remove `external = true`: then mcpmon makes one");
    Failure { hint: Some(hint), ..Failure::new(format!("external {word} {name:?} was not found")) }
}

/// Sources that are missing, of the targets that are meant (none: all): docker and compose make an empty folder of each
/// without a word, and often it is a slip. Only an engine on this host is asked for this host's paths.
pub(super) fn missing_sources(project: &Project, engine: &EngineInfo, meant: Option<&BTreeSet<String>>) -> Vec<String> {
    let mut warnings = Vec::new();
    for (name, target) in &project.targets {
        let TargetKind::Run(run) = &target.kind else { continue };
        if !is_here(engine) || meant.is_some_and(|meant| !meant.contains(name)) {
            continue;
        }
        let missing = made_if_missing(run).filter(|path| matches!(path.try_exists(), Ok(false)));
        warnings.extend(missing.map(|path| {
            format!(
                "targets.{name}.volumes: {} is not there: the engine makes an empty folder of it; `create_host_path = false` in the volume's long form makes that an error",
                shown(project, path)
            )
        }));
    }
    warnings
}

/// Sources that the engine makes where they are missing.
fn made_if_missing(run: &RunTarget) -> impl Iterator<Item = &Path> {
    run.spec.volumes.iter().filter_map(|mount| match &mount.source {
        MountSource::Bind { path, create: true } => Some(path.as_path()),
        _ => None,
    })
}

/// Whether the engine is on this host.
pub(super) fn is_here(engine: &EngineInfo) -> bool {
    engine.address.starts_with("unix://")
}

fn shown(project: &Project, path: &Path) -> String {
    path.strip_prefix(&project.folder).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        spec::Mount,
        testing::{project, run, target},
    };

    fn mount(path: &Path, create: bool) -> Mount {
        Mount {
            source: MountSource::Bind { path: path.to_owned(), create },
            target: "/x".into(),
            read_only: false,
            propagation: None,
            selinux: None,
            nocopy: false,
        }
    }

    #[test]
    fn a_missing_source_is_told_where_the_engine_would_make_it() {
        let folder = tempfile::tempdir().unwrap();
        let there = folder.path().join("there");
        std::fs::write(&there, "").unwrap();
        let mut api = target("api", "i");
        run(&mut api).spec.volumes = vec![
            mount(&there, true),
            mount(&folder.path().join("made"), true),
            mount(&folder.path().join("refused"), false),
        ];
        let mut project = project([api]);
        folder.path().clone_into(&mut project.folder);
        let engine = |address: &str| EngineInfo {
            address: address.to_owned(),
            version: String::new(),
            api_version: String::new(),
        };
        let warnings = missing_sources(&project, &engine("unix:///var/run/docker.sock"), None);
        assert!(
            warnings.len() == 1 && warnings[0].starts_with("targets.api.volumes: made is not there: "),
            "{warnings:?}"
        );
        assert!(missing_sources(&project, &engine("tcp://elsewhere:2375"), None).is_empty());
        let others = BTreeSet::from(["db".to_owned()]);
        assert!(missing_sources(&project, &engine("unix:///x"), Some(&others)).is_empty());
    }

    #[test]
    fn what_was_there_and_is_gone_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("one.txt");
        let mut api = target("api", "i");
        run(&mut api).spec.volumes = vec![mount(&path, true)];
        let (sources, run) = (Sources::default(), run(&mut api));
        assert_eq!(sources.note(run), None, "it never was there");
        std::fs::write(&path, "").unwrap();
        assert_eq!(sources.note(run), None);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(sources.note(run), Some(path.clone()));
        std::fs::write(&path, "").unwrap();
        assert_eq!(sources.note(run), None, "it is back");
    }
}
