//! Copying a rule's files into a container: what differs is put by the archive API, what is gone on the host is removed. It
//! knows a container's id and rules, and nothing of targets, services or sessions.
//!
//! `about` finds out what is to be known of a container first, `put` copies, `remove` removes.
//!
//! # What a container has
//!
//! - One that is made while watching (the first one, and each later one: `restart`, `rebuild`, drift, an edit) gets each rule's
//!   whole tree before it starts: it would not have what was copied into the one before. So does one that is started again. What
//!   was deleted on the host since the session began is deleted in it, too.
//! - One that ran before is taken to have what the host has; with `initial_sync` it gets everything.
//! - From then on it gets what differs from the last copy.
//!
//! # How
//!
//! - **Owner**: the user that the container runs as, as `docker compose watch` has it; mode and time are the host's. The
//!   target folder itself keeps its own where it is there already.
//! - **Removal**: by `rm` in the container where there are several paths and it has one; else by the archive API alone
//!   ([`crate::sync::removal`]): about 80 ms each, in any image, also in a container that does not run. A folder is one
//!   path.
//! - A file that was written while it was read is copied again, up to `ROUNDS` times; after that its next event does it.
//! - Not into a tmpfs (the engine can't), and never over itself: a target that is the bind mount of the rule's own files has
//!   each change already. Both are said.
//! - What fails is not remembered as copied: the next change tries it again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use self::{put::Place, remove::split};
use crate::{
    engine::{ContainerFacts, Engine, EngineError, EngineResult},
    model::settings::{ExecHook, WatchAction},
    sync::{Difference, Root, SyncRule, Tree, difference},
};

mod about;
mod put;
mod remove;

/// Looks at files that do not come to rest.
const ROUNDS: usize = 5;
/// Containers remembered for one name: the one that stands for it, and one that takes its place, or is kept for a while.
const KEPT: usize = 4;

/// How much is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// All of it: the container was just made, or is about to be started.
    Everything,
    /// What differs from the last copy; all of it where there was none.
    Difference,
    /// The container ran before anybody looked: the rules with `initial_sync`; the others are taken as copied.
    Initial,
}

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Synced {
    /// Entries put.
    pub put: usize,
    /// Paths removed; a folder is one.
    pub deleted: usize,
    /// The strongest action of the rules that had something to copy.
    pub action: Option<WatchAction>,
    /// What the `sync+exec` rules among them run.
    pub hooks: Vec<ExecHook>,
    /// What could not be done, one sentence each.
    pub warnings: Vec<String>,
}

/// What is known of the containers that were copied into.
#[derive(Debug, Default)]
pub struct Syncs {
    known: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<Known>>>>,
}

#[derive(Debug, Default)]
struct Known {
    /// The last ones, the youngest at the end.
    containers: Vec<(String, Copied)>,
    /// Paths in the container whose files were deleted on the host.
    deleted: BTreeSet<(String, OsString)>,
}

impl Known {
    fn has(&self, container: &str) -> bool {
        self.containers.iter().any(|(id, _)| id == container)
    }
}

/// What one container has.
#[derive(Debug, Clone, Default)]
struct Copied {
    trees: Vec<(SyncRule, Tree)>,
    owner: Option<(u64, u64)>,
    facts: Option<ContainerFacts>,
    /// Where each target's entries go, once that is a folder that is there.
    places: BTreeMap<String, Place>,
    /// There is no `rm` in it.
    bare: bool,
}

impl Syncs {
    /// Copies into a container what the rules ask for. `name`: who the container stands for, so that the next one knows what
    /// the last one had. One copy for a name at a time; others wait.
    pub async fn copy<E: Engine>(
        &self,
        engine: &E,
        name: &str,
        container: &str,
        rules: &Arc<[SyncRule]>,
        extent: Extent,
    ) -> EngineResult<Synced> {
        let mut synced = Synced::default();
        if rules.is_empty() {
            return Ok(synced);
        }
        let known = Arc::clone(self.lock().entry(name.to_owned()).or_default());
        let mut known = known.lock().await;
        let found = known.containers.iter().find(|(id, _)| id == container).map(|(_, copied)| copied.clone());
        // Copies, so that whoever drops this half-way leaves what was known.
        let (mut copied, mut deleted) = (found.unwrap_or_default(), known.deleted.clone());
        let mut copy = Copy { engine, container, copied: &mut copied, synced: &mut synced };
        let mut result = Ok(());
        for index in 0..rules.len() {
            result = copy.rule(rules, index, extent, &mut deleted).await;
            if result.is_err() {
                break;
            }
        }
        // What was copied before something failed was copied.
        known.deleted = deleted;
        known.containers.retain(|(id, _)| id != container);
        known.containers.push((container.to_owned(), copied));
        let surplus = known.containers.len().saturating_sub(KEPT);
        known.containers.drain(..surplus);
        result.map(|()| synced)
    }

    /// Whether anything is known of a container.
    pub fn knows(&self, name: &str, container: &str) -> bool {
        let known = self.lock().get(name).cloned();
        // Being copied into is being known.
        known.is_some_and(|known| known.try_lock().map_or(true, |known| known.has(container)))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<tokio::sync::Mutex<Known>>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One copy into one container.
struct Copy<'a, E> {
    engine: &'a E,
    container: &'a str,
    copied: &'a mut Copied,
    synced: &'a mut Synced,
}

impl<E: Engine> Copy<'_, E> {
    async fn rule(
        &mut self,
        rules: &Arc<[SyncRule]>,
        index: usize,
        extent: Extent,
        deleted: &mut BTreeSet<(String, OsString)>,
    ) -> EngineResult<()> {
        let rule = &rules[index];
        if let Some(why) = self.out_of_reach(rule).await? {
            self.warn(why);
            return Ok(());
        }
        for round in 0..ROUNDS {
            let before = match (extent, round) {
                (Extent::Everything, 0) => None,
                _ => self.copied.trees.iter().find(|(known, _)| known.is_alike(rule)).map(|(_, tree)| tree.clone()),
            };
            let (now, plan) = look(rules, index, before.clone()).await?;
            for (folder, error) in &now.unread {
                let folder = rule.path.join(folder);
                self.warn(format!("`{}` can't be read and is not copied: {error}", folder.display()));
            }
            if extent == Extent::Initial && !rule.initial {
                self.remember(rule, now.but_for_fresh(SystemTime::now()));
                return Ok(());
            }
            if before.as_ref().is_some_and(|before| before.root == Root::Folder) && now.root == Root::Missing {
                self.warn(format!(
                    "`{}` is gone; {} in the container stays as it is until it is back",
                    rule.path.display(),
                    rule.target
                ));
                // It stays known: what differs is copied when it is back.
                return Ok(());
            }
            if !plan.is_empty() && extent != Extent::Everything {
                self.synced.action = self.synced.action.max(Some(rule.action));
                if let Some(hook) = rule.exec.as_ref().filter(|hook| !self.synced.hooks.contains(hook)) {
                    self.synced.hooks.push(hook.clone());
                }
            }
            let (put, unquiet) = self.put(rule, &now, &plan).await?;
            let mut gone = Vec::new();
            for path in &plan.delete {
                let (folder, name) = self.place_of(rule, path).await?;
                deleted.insert((folder.clone(), name.clone()));
                gone.push((folder, name));
            }
            if extent == Extent::Everything && round == 0 {
                gone.extend(self.left_by_the_image(rule, &now, deleted).await?);
            }
            let kept = self.delete(&gone).await?;
            let mut tree = put;
            // What could not be deleted is still there, and tried again.
            if let Some(before) = &before {
                tree.entries.extend(
                    before
                        .entries
                        .iter()
                        .filter(|(path, _)| {
                            plan.delete.iter().any(|gone| path.starts_with(gone) && kept.contains(&split(rule, gone)))
                                || now.unread.iter().any(|(folder, _)| path.starts_with(folder))
                        })
                        .map(|(path, mark)| (path.clone(), *mark)),
                );
            }
            self.remember(rule, tree);
            if !unquiet {
                break;
            }
        }
        Ok(())
    }

    fn remember(&mut self, rule: &SyncRule, tree: Tree) {
        self.copied.trees.retain(|(known, _)| !known.is_alike(rule));
        self.copied.trees.push((rule.clone(), tree));
    }

    fn warn(&mut self, warning: String) {
        if !self.synced.warnings.contains(&warning) {
            self.synced.warnings.push(warning);
        }
    }
}

/// Looks at the host, on a thread that may wait for a disk.
async fn look(rules: &Arc<[SyncRule]>, index: usize, before: Option<Tree>) -> EngineResult<(Tree, Difference)> {
    let rules = Arc::clone(rules);
    let looked = tokio::task::spawn_blocking(move || {
        let rule = &rules[index];
        let now = Tree::walk(rule);
        let is_gone = |path: &Path| {
            let path = if path.as_os_str().is_empty() { rule.path.clone() } else { rule.path.join(path) };
            std::fs::symlink_metadata(path).is_err_and(|error| {
                matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
            })
        };
        let plan = difference(before.as_ref(), &now, is_gone);
        (now, plan)
    });
    looked.await.map_err(|error| EngineError::Other {
        status: None,
        message: format!("looking at the files to copy ended by a programming error: {error}"),
    })
}
