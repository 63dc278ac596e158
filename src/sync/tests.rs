//! Which files a rule copies, where they go, and what a copy has to do: by table, and as a property over random edits.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::Duration,
};

use proptest::prelude::*;

use super::{Difference, Kind, Mark, Root, SyncRule, Tree, difference, rules};
use crate::{
    model::{
        WatchSettings,
        settings::{
            WatchAction::{self, Rebuild, Sync, SyncRestart},
            WatchRule,
        },
    },
    trigger::{Dockerignore, samples::build},
};

fn watch(rules: Vec<WatchRule>) -> WatchSettings {
    WatchSettings {
        paths: Vec::new(),
        auto: true,
        ignore: vec!["*.bak".into()],
        extensions: vec!["py".into()],
        ignore_files: vec![".gitignore".into(), ".dockerignore".into()],
        delay: Duration::ZERO,
        rules,
    }
}

fn rule(path: &Path, action: WatchAction, target: &str, include: &[&str], ignore: &[&str]) -> WatchRule {
    let list = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
    let (include, ignore) = (list(include), list(ignore));
    let target = Some(target.into());
    WatchRule { path: path.into(), action, include, ignore, target, initial_sync: false, exec: None }
}

fn compiled(rule: WatchRule) -> SyncRule {
    let never = [PathBuf::from("/p/.mcpmon")];
    rules(Path::new("/p"), &watch(vec![rule]), Some(&build(Path::new("/p"), None)), &never).remove(0)
}

#[test]
fn where_files_go() {
    for (path, target, relative, expected) in [
        ("/p/src", "/app/src", "a.py", "/app/src/a.py"),
        ("/p/src", "/app/src/", "d/e/a.py", "/app/src/d/e/a.py"),
        ("/p/src", "//app/./src//", "a.py", "/app/src/a.py"),
        ("/p/x/../src", "/app", "a.py", "/app/a.py"),
        ("/p/package.json", "/app/package.json", "", "/app/package.json"),
        ("/p/package.json", "/app/", "", "/app/package.json"),
    ] {
        let rule = compiled(rule(Path::new(path), Sync, target, &[], &[]));
        assert_eq!(rule.destination(Path::new(relative)), expected, "{path} to {target}: {relative}");
    }
    let both =
        vec![rule(Path::new("/p"), Rebuild, "/app", &[], &[]), rule(Path::new("/p"), SyncRestart, "/app", &[], &[])];
    let found = rules(Path::new("/p"), &watch(both), None, &[]);
    assert_eq!(found.iter().map(|rule| rule.action).collect::<Vec<_>>(), [SyncRestart], "only what copies");
}

#[test]
fn which_files_are_copied() {
    let docker = Dockerignore::parse("src/secret\n**/*.key\n!src/public.key").0;
    let all = compiled(rule(Path::new("/p/src"), Sync, "/app", &[], &["tests/", "**/*.log"]));
    let some = compiled(rule(Path::new("/p/src"), Sync, "/app", &["**/*.py", "conf"], &[]));
    for (relative, in_all, in_some) in [
        ("a.py", true, true),
        ("d/a.py", true, true),
        ("a.txt", true, false), // `watch.extensions` does not narrow a rule: it has `include`
        ("conf/a.txt", true, true),
        ("tests/a.py", false, true),
        ("d/a.log", false, false),
        ("secret/a.py", false, false),
        ("a.key", false, false),
        ("public.key", true, false),
        ("a.bak", false, false),
        (".a.py.swp", false, false),
        ("__pycache__/a.pyc", false, false),
        (".git/config", false, false),
    ] {
        assert_eq!(all.covers(Path::new(relative), Some(&docker)), in_all, "{relative}");
        assert_eq!(some.covers(Path::new(relative), Some(&docker)), in_some, "{relative} where few are included");
    }
    assert!(all.covers_folder(Path::new("empty"), None) && !some.covers_folder(Path::new("empty"), None));
    assert!(!all.covers_folder(Path::new("tests"), None) && !all.enters(Path::new("tests"), None));
    assert!(some.enters(Path::new("d"), None), "a file in it may be included");
    let top = compiled(rule(Path::new("/p"), Sync, "/app", &[], &[]));
    assert!(!top.covers(Path::new(".mcpmon/results/1"), None), "mcpmon's own");
}

#[test]
fn a_walk_sees_links_modes_and_empty_folders_and_knows_what_it_could_not_see() {
    let folder = tempfile::tempdir().unwrap();
    let path = |relative: &str| folder.path().join(relative);
    fs::create_dir_all(path("src/empty")).unwrap();
    fs::create_dir_all(path("src/left/deep")).unwrap();
    fs::write(path("src/left/deep/kept.py"), "x").unwrap();
    fs::write(path("src/run.sh"), "x").unwrap();
    fs::set_permissions(path("src/run.sh"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("nowhere", path("src/link")).unwrap();
    symlink("left", path("src/to-a-folder")).unwrap();
    fs::write(path(".dockerignore"), "src/left\n!src/left/deep/kept.py\n").unwrap();
    let watched = watch(vec![rule(&path("src"), Sync, "/app", &[], &[])]);
    let rule = rules(folder.path(), &watched, Some(&build(folder.path(), None)), &[]).remove(0);
    let tree = Tree::walk(&rule);
    let found: Vec<_> = tree.entries.iter().map(|(path, mark)| (path.to_str().unwrap(), mark.kind)).collect();
    assert_eq!(
        found,
        [
            ("empty", Kind::Folder),
            ("left", Kind::Folder), // for what is in it
            ("left/deep", Kind::Folder),
            ("left/deep/kept.py", Kind::File),
            ("link", Kind::Link),
            ("run.sh", Kind::File),
            ("to-a-folder", Kind::Link),
        ]
    );
    assert_eq!(tree.entries[Path::new("run.sh")].mode, 0o750);
    assert_eq!(tree.root, Root::Folder);

    let before = tree.clone();
    fs::set_permissions(path("src/run.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::remove_dir_all(path("src/left")).unwrap();
    let now = Tree::walk(&rule);
    let plan = difference(Some(&before), &now, |gone| !path("src").join(gone).exists());
    assert_eq!(plan.put.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>(), [PathBuf::from("run.sh")]);
    assert_eq!(plan.delete, [PathBuf::from("left")]);

    fs::remove_dir_all(path("src")).unwrap();
    let now = Tree::walk(&rule);
    assert_eq!(now.root, Root::Missing);
    assert!(
        difference(Some(&before), &now, |_| true).is_empty(),
        "a folder that is gone as a whole takes nothing with it"
    );

    // A folder that can't be read says nothing about what is in it.
    let unread = Tree {
        unread: vec![("left".into(), "no right".into())],
        entries: before.entries.clone().into_iter().filter(|(path, _)| !path.starts_with("left/deep")).collect(),
        ..before.clone()
    };
    assert!(difference(Some(&before), &unread, |_| true).is_empty());
}

#[test]
fn what_is_only_left_out_now_stays() {
    let mark = Mark { kind: Kind::File, mode: 0o644, size: 1, changed: 1, inode: 1 };
    let tree = |paths: &[&str]| Tree {
        root: Root::Folder,
        entries: paths.iter().map(|path| (PathBuf::from(path), mark)).collect(),
        unread: Vec::new(),
    };
    let plan = difference(Some(&tree(&["a", "b"])), &tree(&["a"]), |_| false);
    assert!(plan.is_empty(), "{plan:?}");
}

/// What a container has after a plan was carried out on it, as the engine does it.
fn carried_out(mut container: BTreeMap<PathBuf, Mark>, plan: &Difference) -> BTreeMap<PathBuf, Mark> {
    for (path, mark) in &plan.put {
        if mark.kind != Kind::Folder || container.get(path).is_some_and(|there| there.kind != Kind::Folder) {
            container.retain(|there, _| !there.starts_with(path));
        }
        container.insert(path.clone(), *mark);
    }
    for gone in &plan.delete {
        container.retain(|there, _| !there.starts_with(gone));
    }
    container
}

/// A tree of files and folders with few names, so that one becomes the other.
fn trees() -> impl Strategy<Value = Tree> {
    let path = prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4);
    let entry = (path, any::<bool>(), 0u64..3, prop::sample::select(vec![0o644, 0o755]));
    prop::collection::vec(entry, 0..12).prop_map(|entries| {
        let mut tree = Tree { root: Root::Folder, ..Tree::default() };
        for (parts, folder, inode, mode) in entries {
            let path: PathBuf = parts.iter().collect();
            let above: Vec<_> = path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).collect();
            let blocked =
                above.iter().any(|path| tree.entries.get(*path).is_some_and(|mark| mark.kind != Kind::Folder));
            if blocked || tree.entries.contains_key(&path) {
                continue;
            }
            for above in above {
                let mark = Mark { kind: Kind::Folder, mode: 0o755, size: 0, changed: 0, inode: 0 };
                tree.entries.entry(above.to_path_buf()).or_insert(mark);
            }
            let kind = if folder { Kind::Folder } else { Kind::File };
            let inode = if folder { 0 } else { inode };
            tree.entries.insert(path, Mark { kind, mode, size: 0, changed: 0, inode });
        }
        tree
    })
}

proptest! {
    #[test]
    fn a_plan_makes_the_container_have_what_the_host_has(before in trees(), now in trees()) {
        let there: BTreeSet<_> = now.entries.keys().cloned().collect();
        let plan = difference(Some(&before), &now, |path| !there.contains(path));
        prop_assert_eq!(&carried_out(before.entries.clone(), &plan), &now.entries);
        prop_assert!(difference(Some(&now), &now, |_| true).is_empty());
        // From nothing it is all of it, folders first.
        let plan = difference(None, &now, |_| true);
        prop_assert_eq!(&carried_out(BTreeMap::new(), &plan), &now.entries);
        prop_assert!(plan.put.is_sorted_by(|(one, _), (other, _)| one < other));
    }
}
