//! Copying a rule's files into a container: what differs is put by the archive API, what is gone on the host is removed. It
//! knows a container's id and rules, and nothing of targets, services or sessions.
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
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use futures_util::{StreamExt, stream};

use crate::{
    engine::{ContainerFacts, Engine, EngineError, EngineResult, PathKind},
    model::settings::{ExecHook, WatchAction},
    plan::short,
    sync::{Difference, Packed, Packing, Root, SyncRule, Tree, difference, pack, removal},
};

/// Looks at files that do not come to rest.
const ROUNDS: usize = 5;
/// From so many paths on `rm` is tried first: a command in the container takes as long as one or two removals.
const MANY: usize = 3;
/// Paths in one call of `rm`.
const AT_ONCE: usize = 500;
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

/// Where a rule's entries go.
#[derive(Debug, Clone)]
struct Place {
    /// A folder that is there.
    folder: String,
    /// Folders that are not there, below it.
    missing: Vec<PathBuf>,
    /// What stands in front of each entry.
    prefix: PathBuf,
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

    /// As [`split`]; a rule's one file may lie in the folder that its target is.
    async fn place_of(&self, rule: &SyncRule, path: &Path) -> EngineResult<(String, OsString)> {
        if path.as_os_str().is_empty() && !rule.target_is_folder {
            let found = self.engine.look_at_path(self.container, &rule.target).await?;
            if let (Some(PathKind::Folder), Some(name)) = (found, rule.path.file_name()) {
                return Ok((rule.target.clone(), name.to_owned()));
            }
        }
        Ok(split(rule, path))
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

    /// Puts what is to be put; gives the tree as it is in the container, but for deletions, and whether it must be looked at again.
    async fn put(&mut self, rule: &SyncRule, now: &Tree, plan: &Difference) -> EngineResult<(Tree, bool)> {
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

    async fn facts(&mut self) -> EngineResult<ContainerFacts> {
        if let Some(facts) = &self.copied.facts {
            return Ok(facts.clone());
        }
        let facts = self.engine.facts(self.container).await?;
        self.copied.facts = Some(facts.clone());
        Ok(facts)
    }

    /// Why nothing is copied to the rule's target, where it can't be, or must not.
    async fn out_of_reach(&mut self, rule: &SyncRule) -> EngineResult<Option<String>> {
        let facts = self.facts().await?;
        let target = Path::new(&rule.target);
        if let Some(memory) = facts.memory.iter().find(|memory| target.starts_with(memory)) {
            return Ok(Some(format!(
                "`{}` is not copied: {} in the container lies in the tmpfs {memory}, which the engine can't copy into",
                rule.path.display(),
                rule.target
            )));
        }
        let nearest = facts.binds.iter().filter(|(_, at)| target.starts_with(at)).max_by_key(|(_, at)| at.len());
        let same = nearest.and_then(|(source, at)| Some(Path::new(source).join(target.strip_prefix(at).ok()?)));
        // It would be copied over itself.
        let same = same.filter(|same| same.starts_with(&rule.path) || rule.path.starts_with(same));
        Ok(same.map(|_| {
            format!(
                "`{}` is not copied: {} in the container is mounted from there, and has each change already",
                rule.path.display(),
                rule.target
            )
        }))
    }

    /// The user and group that what is copied belongs to: those that the container runs as.
    async fn owner(&mut self) -> EngineResult<(u64, u64)> {
        if let Some(owner) = self.copied.owner {
            return Ok(owner);
        }
        let user = self.facts().await?.user;
        let named = user.split(':').any(|part| !part.is_empty() && part.parse::<u64>().is_err());
        let users = if user.is_empty() { String::new() } else { self.text("/etc/passwd").await? };
        let groups = if named { self.text("/etc/group").await? } else { String::new() };
        let owner = owner(&user, &users, &groups);
        if owner.is_none() {
            self.warn(format!("the container's user {user} is not in its /etc/passwd: what is copied belongs to root"));
        }
        let owner = owner.unwrap_or_default();
        self.copied.owner = Some(owner);
        Ok(owner)
    }

    async fn text(&self, path: &str) -> EngineResult<String> {
        let read = self.engine.read_file(self.container, path).await?;
        Ok(read.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default())
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

    /// What the image brought back although it was deleted on the host.
    async fn left_by_the_image(
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
    async fn delete(&mut self, paths: &[(String, OsString)]) -> EngineResult<BTreeSet<(String, OsString)>> {
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

/// The folder in the container that holds an entry, and the entry's name in it.
fn split(rule: &SyncRule, path: &Path) -> (String, OsString) {
    let destination = rule.destination(path);
    let (folder, name) = destination.rsplit_once('/').unwrap_or(("", &destination));
    let name = path.file_name().map_or_else(|| OsString::from(name), OsString::from);
    (if folder.is_empty() { "/".to_owned() } else { folder.to_owned() }, name)
}

/// User and group by number, from `user[:group]` and the container's `passwd` and `group`, as the engine reads them; none = there is
/// no such user.
fn owner(user: &str, users: &str, groups: &str) -> Option<(u64, u64)> {
    let (user, group) = user.split_once(':').map_or((user, None), |(user, group)| (user, Some(group)));
    let line = |text: &str, key: &str, by: usize| -> Option<Vec<String>> {
        let fields = text.lines().map(|line| line.split(':').map(str::to_owned).collect::<Vec<_>>());
        fields.into_iter().find(|fields| fields.get(by).is_some_and(|field| field == key))
    };
    let (number, own_group) = match user.parse::<u64>() {
        _ if user.is_empty() => (0, 0),
        Ok(number) => {
            let own = line(users, user, 2).and_then(|fields| fields.get(3)?.parse().ok());
            (number, own.unwrap_or(0))
        }
        Err(_) => {
            let fields = line(users, user, 0)?;
            (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)
        }
    };
    let group = match group.filter(|group| !group.is_empty()) {
        None => own_group,
        Some(group) => match group.parse::<u64>() {
            Ok(group) => group,
            Err(_) => line(groups, group, 0)?.get(2)?.parse().ok()?,
        },
    };
    Some((number, group))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_is_the_containers_user() {
        let users = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\n";
        let groups = "root:x:0:\nstaff:x:50:node\n";
        for (user, expected) in [
            ("", Some((0, 0))),
            ("0", Some((0, 0))),
            ("1000", Some((1000, 1001))),
            ("1000:7", Some((1000, 7))),
            ("4711", Some((4711, 0))),
            ("node", Some((1000, 1001))),
            ("node:staff", Some((1000, 50))),
            ("node:", Some((1000, 1001))),
            ("nobody", None),
            ("node:nobody", None),
        ] {
            assert_eq!(owner(user, users, groups), expected, "{user}");
        }
    }
}
