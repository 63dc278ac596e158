//! What is to be put, by the archive API: where in the container it goes, and what the engine's refusal means.

use std::path::{Path, PathBuf};

use super::Copy;
use crate::{
    engine::{Engine, EngineError, EngineResult, PathKind},
    plan::short,
    sync::{Difference, Packed, Packing, Root, SyncRule, Tree, pack},
};

/// Where a rule's entries go.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// A folder that is there.
    folder: String,
    /// Folders that are not there, below it.
    missing: Vec<PathBuf>,
    /// What stands in front of each entry.
    prefix: PathBuf,
}

impl<E: Engine> Copy<'_, E> {
    /// Puts what is to be put; gives the tree as it is in the container, but for deletions, and whether it must be looked at again.
    pub(super) async fn put(&mut self, rule: &SyncRule, now: &Tree, plan: &Difference) -> EngineResult<(Tree, bool)> {
        let mut tree = now.clone();
        if plan.put.is_empty() {
            return Ok((tree, false));
        }
        let owner = self.owner().await?;
        let known = self.copied.places.remove(&rule.target).filter(|_| now.root == Root::Folder);
        let is_known = known.is_some();
        let place = match known {
            Some(place) => place,
            None => self.place(rule, now.root).await?,
        };
        let (mut sent, mut packed) = self.send(rule, &place, plan, owner).await;
        if is_known && matches!(sent, Err(EngineError::NotFound(_))) {
            // Somebody removed the folder in the container.
            let place = self.place(rule, now.root).await?;
            (sent, packed) = self.send(rule, &place, plan, owner).await;
        } else if place.missing.is_empty() && now.root == Root::Folder {
            self.copied.places.insert(rule.target.clone(), place);
        }
        sent.map_err(|error| self.explained(rule, error))?;
        let failed = |message: String| EngineError::Other { status: None, message };
        let packed = packed
            .map_err(|error| {
                failed(format!("copying `{}` ended by a programming error: {error}", rule.path.display()))
            })?
            .map_err(|error| failed(format!("copying `{}`: {error}", rule.path.display())))?;
        self.synced.put += packed.entries.len();
        for (path, _) in &plan.put {
            tree.entries.remove(path);
        }
        tree.entries.extend(packed.entries);
        for (path, error) in packed.unread {
            let path: PathBuf = rule.path.join(path).components().collect();
            self.warn(format!("`{}` can't be read and is not copied: {error}", path.display()));
        }
        Ok((tree, packed.unquiet))
    }

    async fn send(
        &self,
        rule: &SyncRule,
        place: &Place,
        plan: &Difference,
        owner: (u64, u64),
    ) -> (EngineResult<()>, Result<std::io::Result<Packed>, tokio::task::JoinError>) {
        let (stream, packed) = pack(Packing {
            root: rule.path.clone(),
            folders: place.missing.clone(),
            prefix: place.prefix.clone(),
            entries: plan.put.clone(),
            owner,
        });
        let sent = self.engine.put_archive(self.container, &place.folder, stream).await;
        (sent, packed.await)
    }

    /// Finds where the rule's entries go: the nearest folder above (or at) its target that is there.
    async fn place(&self, rule: &SyncRule, root: Root) -> EngineResult<Place> {
        let target = Path::new(&rule.target);
        let mut missing = Vec::new();
        let mut below = PathBuf::new();
        for (step, at) in target.ancestors().enumerate() {
            let Some(text) = at.to_str() else { continue };
            let found = if text == "/" {
                Some(PathKind::Folder)
            } else {
                self.engine.look_at_path(self.container, text).await?
            };
            let own = step == 0;
            let is_folder = match (found, root) {
                // A link at the place of one file is replaced, as the file would be.
                (Some(PathKind::Link), Root::File) => !own,
                (Some(PathKind::Folder | PathKind::Link), _) => true,
                (Some(PathKind::File) | None, _) => false,
            };
            if is_folder {
                let into = root == Root::File && own;
                if into || (root == Root::File && rule.target_is_folder) {
                    let name = rule.path.file_name().unwrap_or_default();
                    below.push(name);
                }
                missing.reverse();
                // Relative to the folder that was found.
                let missing =
                    missing.iter().filter_map(|path: &PathBuf| path.strip_prefix(at).ok().map(Path::to_path_buf));
                return Ok(Place { folder: text.to_owned(), missing: missing.collect(), prefix: below });
            }
            if let Some(name) = at.file_name() {
                below = Path::new(name).join(&below);
                // A file's own place is no folder.
                if root == Root::Folder || !own || rule.target_is_folder {
                    missing.push(at.to_path_buf());
                }
            }
        }
        Ok(Place { folder: "/".into(), missing: Vec::new(), prefix: below })
    }

    /// The engine's words, and what they mean here.
    fn explained(&self, rule: &SyncRule, error: EngineError) -> EngineError {
        match error {
            EngineError::Other { status, message } if message.contains("read-only") => EngineError::Other {
                status,
                message: format!(
                    "`{}` can't be copied to {} in container {}: its file system is read-only; let {} be a writable \
                     volume, or leave read_only out ({message})",
                    rule.path.display(),
                    rule.target,
                    short(self.container),
                    rule.target,
                ),
            },
            EngineError::Other { status, message } => EngineError::Other {
                status,
                message: format!(
                    "`{}` can't be copied to {} in container {}: {message}",
                    rule.path.display(),
                    rule.target,
                    short(self.container)
                ),
            },
            other => other,
        }
    }
}
