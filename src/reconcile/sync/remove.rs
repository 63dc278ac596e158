//! What is gone on the host, removed from the container: by its own `rm` where there is much and it has one, else by the
//! archive API alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
};

use futures_util::{StreamExt, stream};

use super::Copy;
use crate::{
    engine::{Engine, EngineError, EngineResult, PathKind},
    model::settings::ExecHook,
    plan::short,
    sync::{SyncRule, Tree, removal},
};

/// From so many paths on `rm` is tried first: a command in the container takes as long as one or two removals.
const MANY: usize = 3;
/// Paths in one call of `rm`.
const AT_ONCE: usize = 500;

impl<E: Engine> Copy<'_, E> {
    /// As [`split`]; a rule's one file may lie in the folder that its target is.
    pub(super) async fn place_of(&self, rule: &SyncRule, path: &Path) -> EngineResult<(String, OsString)> {
        if path.as_os_str().is_empty() && !rule.target_is_folder {
            let found = self.engine.look_at_path(self.container, &rule.target).await?;
            if let (Some(PathKind::Folder), Some(name)) = (found, rule.path.file_name()) {
                return Ok((rule.target.clone(), name.to_owned()));
            }
        }
        Ok(split(rule, path))
    }

    /// What the image brought back although it was deleted on the host.
    pub(super) async fn left_by_the_image(
        &self,
        rule: &SyncRule,
        now: &Tree,
        deleted: &mut BTreeSet<(String, OsString)>,
    ) -> EngineResult<Vec<(String, OsString)>> {
        let there: BTreeSet<_> = now.entries.keys().map(|path| split(rule, path)).collect();
        deleted.retain(|path| !there.contains(path));
        let own = deleted.iter().filter(|(folder, _)| Path::new(folder).starts_with(&rule.target));
        let mut left = Vec::new();
        for (folder, name) in own {
            let path = Path::new(folder).join(name);
            if self.engine.look_at_path(self.container, &path.to_string_lossy()).await?.is_some() {
                left.push((folder.clone(), name.clone()));
            }
        }
        Ok(left)
    }

    /// Removes paths from the container; gives those that are still there.
    pub(super) async fn delete(&mut self, paths: &[(String, OsString)]) -> EngineResult<BTreeSet<(String, OsString)>> {
        let mut left: Vec<_> = paths.to_vec();
        if left.len() >= MANY && self.delete_by_command(&left).await {
            left.clear();
        }
        let mut kept = BTreeSet::new();
        for (folder, name) in left {
            let path = Path::new(&folder).join(&name);
            let why = match self.delete_by_archive(&folder, &name, &path).await? {
                None => continue,
                Some(_) if self.delete_by_command(&[(folder.clone(), name.clone())]).await => continue,
                Some(why) => why,
            };
            self.warn(format!("{} in the container could not be deleted: {why}", path.display()));
            kept.insert((folder, name));
        }
        self.synced.deleted += paths.len() - kept.len();
        Ok(kept)
    }

    /// Removes one path by the archive API; gives why it is still there.
    async fn delete_by_archive(&self, folder: &str, name: &OsString, path: &Path) -> EngineResult<Option<String>> {
        let tar = removal(name).map_err(|error| EngineError::Other { status: None, message: error.to_string() })?;
        let body = stream::iter([Ok(tar)]).boxed();
        let why = match self.engine.put_archive(self.container, folder, body).await {
            Err(
                error @ (EngineError::Unreachable { .. } | EngineError::Denied { .. } | EngineError::Timeout { .. }),
            ) => {
                return Err(error);
            }
            Err(error) => error.to_string(),
            Ok(()) => "the engine has no way to".to_owned(),
        };
        let left = self.engine.look_at_path(self.container, &path.to_string_lossy()).await?;
        Ok(left.map(|_| why))
    }

    /// Removes paths by the container's own `rm`; false when that could not be done.
    async fn delete_by_command(&mut self, paths: &[(String, OsString)]) -> bool {
        if self.copied.bare {
            return false;
        }
        for paths in paths.chunks(AT_ONCE) {
            let words = ["rm", "-rf", "--"].map(str::to_owned).into_iter();
            let paths = paths.iter().map(|(folder, name)| Path::new(folder).join(name).to_string_lossy().into_owned());
            let hook = ExecHook {
                command: words.chain(paths).collect(),
                user: Some("0:0".into()),
                working_dir: Some("/".into()),
                environment: BTreeMap::new(),
                privileged: false,
            };
            match self.engine.exec(self.container, &hook, None).await {
                Ok(0) => {}
                Ok(code) => {
                    self.copied.bare |= matches!(code, 126 | 127);
                    return false;
                }
                // Not running, say.
                Err(error) => {
                    tracing::debug!("container {}: rm: {error}", short(self.container));
                    return false;
                }
            }
        }
        true
    }
}

/// The folder in the container that holds an entry, and the entry's name in it.
pub(super) fn split(rule: &SyncRule, path: &Path) -> (String, OsString) {
    let destination = rule.destination(path);
    let (folder, name) = destination.rsplit_once('/').unwrap_or(("", &destination));
    let name = path.file_name().map_or_else(|| OsString::from(name), OsString::from);
    (if folder.is_empty() { "/".to_owned() } else { folder.to_owned() }, name)
}
