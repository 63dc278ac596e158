//! What is to be known of a container before anything is copied into it: what it can't have, and whose it is.

use std::path::Path;

use super::Copy;
use crate::{
    engine::{ContainerFacts, Engine, EngineResult},
    sync::SyncRule,
};

impl<E: Engine> Copy<'_, E> {
    async fn facts(&mut self) -> EngineResult<ContainerFacts> {
        if let Some(facts) = &self.copied.facts {
            return Ok(facts.clone());
        }
        let facts = self.engine.facts(self.container).await?;
        self.copied.facts = Some(facts.clone());
        Ok(facts)
    }

    /// Why nothing is copied to the rule's target, where it can't be, or must not.
    pub(super) async fn out_of_reach(&mut self, rule: &SyncRule) -> EngineResult<Option<String>> {
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
        if same.is_some() {
            return Ok(Some(format!(
                "`{}` is not copied: {} in the container is mounted from there, and has each change already",
                rule.path.display(),
                rule.target
            )));
        }
        Ok(sealed(&facts, target).map(|why| {
            format!("`{}` is not copied: {} in the container lies in {why}", rule.path.display(), rule.target)
        }))
    }

    /// The user and group that what is copied belongs to: those that the container runs as.
    pub(super) async fn owner(&mut self) -> EngineResult<(u64, u64)> {
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
}

/// Why the container's file system can't be written at a path, by the engine neither.
fn sealed(facts: &ContainerFacts, target: &Path) -> Option<String> {
    let nearest = facts.mounts.iter().filter(|(at, _)| target.starts_with(at)).max_by_key(|(at, _)| at.len());
    match nearest {
        Some((at, false)) => Some(format!("the mount {at}, which is read-only")),
        None if facts.read_only => Some(format!(
            "its root file system, which is read-only; let {} be a writable volume, or leave read_only out",
            target.display()
        )),
        Some((_, true)) | None => None,
    }
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
    fn what_is_read_only_is_told_by_the_nearest_mount() {
        let mounts = [("/data", true), ("/data/fixed", false), ("/srv", false)];
        let mounts: Vec<_> = mounts.into_iter().map(|(at, writable)| (at.to_owned(), writable)).collect();
        for (read_only, target, expected) in [
            (true, "/app/src", Some("its root file system, which is read-only; let /app/src be")),
            (true, "/data/x", None),
            (true, "/database", Some("its root file system")),
            (true, "/data/fixed/x", Some("the mount /data/fixed, which is read-only")),
            (false, "/app/src", None),
            (false, "/srv", Some("the mount /srv")),
        ] {
            let facts = ContainerFacts { mounts: mounts.clone(), read_only, ..ContainerFacts::default() };
            let why = sealed(&facts, Path::new(target));
            let is_so = why.as_deref().zip(expected).is_none_or(|(why, expected)| why.starts_with(expected));
            assert!(is_so && why.is_some() == expected.is_some(), "{read_only} {target}: {why:?}");
        }
    }

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
