//! What is watched and what a change does, by table.

use std::path::{Path, PathBuf};

use super::{
    Entry, Ignores, Rules,
    samples::{bind, build, settings},
};
use crate::model::{
    RunTarget, Settings, WatchSettings,
    settings::{
        WatchAction::{self, Rebuild, Restart, Sync},
        WatchRule,
    },
};

const NOTHING: Option<WatchAction> = None;

fn rules(change: impl FnOnce(&mut WatchSettings, &mut RunTarget)) -> Rules {
    of(&settings(Path::new("/p"), change))
}

fn of(settings: &Settings) -> Rules {
    Rules::new(settings, Some(Path::new("/home/me")))
}

fn check(rules: &Rules, ignores: &Ignores, table: &[(&str, Option<WatchAction>)]) {
    for (path, expected) in table {
        let action = rules.hits(Path::new(path), Entry::File, ignores).map(|(_, action)| action).next();
        assert_eq!(action, *expected, "{path}");
    }
}

fn rule(path: &str, action: WatchAction, include: &[&str], ignore: &[&str]) -> WatchRule {
    let list = |globs: &[&str]| globs.iter().map(ToString::to_string).collect();
    WatchRule {
        path: path.into(),
        action,
        include: list(include),
        ignore: list(ignore),
        target: None,
        initial_sync: false,
        exec: None,
    }
}

#[test]
fn by_place_where_mounts_and_context_overlap() {
    // Source mounted into a container that is also built from it.
    let nested = rules(|watch, run| {
        watch.auto = true;
        run.spec.volumes = vec![bind(Path::new("/p/src")), bind(Path::new("/elsewhere/data"))];
        run.build = Some(build(Path::new("/p"), None));
    });
    check(
        &nested,
        &Ignores::default(),
        &[
            ("/p/src/a.py", Some(Restart)),
            ("/p/Cargo.lock", Some(Rebuild)),
            ("/p/Dockerfile", Some(Rebuild)),
            ("/p/.dockerignore", Some(Rebuild)),
            ("/elsewhere/data/x", Some(Restart)),
            ("/elsewhere/x", NOTHING),
            ("/px/a", NOTHING),
        ],
    );
    // The whole context mounted: a tie.
    let tie = rules(|watch, run| {
        watch.auto = true;
        run.spec.volumes = vec![bind(Path::new("/p"))];
        run.build = Some(build(Path::new("/p"), None));
    });
    check(
        &tie,
        &Ignores::default(),
        &[("/p/a.py", Some(Restart)), ("/p/Dockerfile", Some(Rebuild)), ("/p/Dockerfile.dockerignore", Some(Rebuild))],
    );
    // A context inside of what is mounted.
    let inside = rules(|watch, run| {
        watch.auto = true;
        run.spec.volumes = vec![bind(Path::new("/p"))];
        run.build = Some(build(Path::new("/p/docker"), None));
    });
    check(&inside, &Ignores::default(), &[("/p/docker/base", Some(Rebuild)), ("/p/a.py", Some(Restart))]);
}

#[test]
fn a_dockerfile_outside_of_the_context_counts() {
    let rules = rules(|watch, run| {
        watch.auto = true;
        run.build = Some(build(Path::new("/p/app"), Some("../docker/Dockerfile.dev")));
    });
    check(
        &rules,
        &Ignores::default(),
        &[
            ("/p/docker/Dockerfile.dev", Some(Rebuild)),
            ("/p/docker/Dockerfile.dev.dockerignore", Some(Rebuild)),
            ("/p/docker/other", NOTHING),
            ("/p/app/x", Some(Rebuild)),
        ],
    );
}

#[test]
fn named_paths_replace_auto_but_what_a_change_does_stays() {
    let rules = rules(|watch, run| {
        watch.paths = vec!["/p/src".into(), "/p/conf/app.toml".into(), "/shared".into(), "/p/mnt".into()];
        watch.extensions = vec!["rs".into(), ".d.ts".into()];
        run.spec.volumes = vec![bind(Path::new("/p/mnt"))];
        run.build = Some(build(Path::new("/p"), None));
    });
    check(
        &rules,
        &Ignores::default(),
        &[
            ("/p/src/a.rs", Some(Rebuild)),
            ("/p/src/a.d.ts", Some(Rebuild)),
            ("/p/src/a.ts", NOTHING),
            ("/p/src/rs", NOTHING),
            ("/p/conf/app.toml", Some(Rebuild)),
            ("/p/conf/b.rs", NOTHING),
            ("/p/lib.rs", NOTHING),
            ("/p/Dockerfile", NOTHING),
            ("/shared/a.rs", Some(Restart)),
            ("/p/mnt/a.rs", Some(Restart)),
        ],
    );
}

#[test]
fn develop_watch_comes_first_and_its_strongest_match_decides() {
    let rules = rules(|watch, run| {
        watch.auto = true;
        watch.extensions = vec!["py".into()];
        watch.rules = vec![
            rule("/p/src", Restart, &["**/*.py"], &["tests/"]),
            rule("/p/src/native", Rebuild, &[], &[]),
            rule("/p/Cargo.lock", Rebuild, &[], &[]),
            rule("/p/mcpmon.toml", Restart, &[], &[]),
        ];
        run.spec.volumes = vec![bind(Path::new("/p/src"))];
    });
    check(
        &rules,
        &Ignores::default(),
        &[
            ("/p/src/a.py", Some(Restart)),
            ("/p/src/native/a.py", Some(Rebuild)),
            ("/p/src/native/a.c", Some(Rebuild)),
            ("/p/src/tests/a.c", NOTHING),
            ("/p/src/tests/a.py", NOTHING), // the rule's `ignore` holds for the bind mount too
            ("/p/src/b/a.py", Some(Restart)),
            ("/p/Cargo.lock", Some(Rebuild)),
            ("/p/mcpmon.toml", Some(Restart)), // exactly this file was named
            ("/p/other", NOTHING),
        ],
    );
}

#[test]
fn what_a_rule_ignores_is_no_change_of_a_mount_or_context() {
    let with = |paths: &[&str], also: Option<WatchRule>| {
        rules(|watch, run| {
            watch.auto = true;
            watch.paths = paths.iter().map(Into::into).collect();
            watch.rules = vec![rule("/p/web", Sync, &["**/*.py", "**/*.md"], &["tests/", "**/*.md", "!docs/a.md"])];
            watch.rules.extend(also);
            run.build = Some(build(Path::new("/p"), Some("web/tests/Dockerfile")));
        })
    };
    let none = Ignores::default();
    let alone = with(&[], None);
    check(
        &alone,
        &none,
        &[
            ("/p/web/a.py", Some(Sync)),
            ("/p/web/tests/a.py", NOTHING),
            ("/p/web/tests/deep/a.c", NOTHING),
            ("/p/web/docs/b.md", NOTHING),
            ("/p/web/docs/a.md", Some(Sync)), // an exception of the rule's own
            ("/p/web/a.html", Some(Rebuild)), // not included is not ignored: the image has it
            ("/p/tests/a.py", Some(Rebuild)), // not under the rule's path
            ("/p/web/tests/Dockerfile", Some(Rebuild)),
        ],
    );
    let gone = |path: &'static str, entry| alone.hits(Path::new(path), entry, &none).map(|(_, action)| action).next();
    assert_eq!(gone("/p/web/tests", Entry::Folder), NOTHING, "a folder that is ignored, and went away");
    assert_eq!(gone("/p/web", Entry::Folder), Some(Sync));
    // Another rule, or a path that a person named, has a say of its own.
    check(&with(&[], Some(rule("/p/web/tests", Restart, &[], &[]))), &none, &[("/p/web/tests/a.py", Some(Restart))]);
    check(&with(&["/p/web/tests"], None), &none, &[("/p/web/tests/a.py", Some(Rebuild))]);
}

#[test]
fn ignore_files_count_where_they_should() {
    let change = |watch: &mut WatchSettings, run: &mut RunTarget| {
        watch.auto = true;
        watch.rules = vec![rule("/p/gen", Rebuild, &[], &[])];
        run.spec.volumes = vec![bind(Path::new("/p/data")), bind(Path::new("/p/src"))];
        run.build = Some(build(Path::new("/p"), Some("Dockerfile.dev")));
    };
    let with = rules(change);
    let mut ignores = Ignores::default();
    ignores.put_git(Path::new("/p"), "*.log\ngen\ndata/");
    ignores.put_docker(Path::new("/p/.dockerignore"), "docs\nsrc/local\ngen/no\n**/Dockerfile*");
    check(
        &with,
        &ignores,
        &[
            ("/p/main.rs", Some(Rebuild)),
            ("/p/a.log", NOTHING),
            ("/p/docs/x", NOTHING),
            ("/p/src/local/x", Some(Restart)), // mounted, although not in the image
            ("/p/src/a.log", NOTHING),
            ("/p/gen/a.log", Some(Rebuild)), // a develop.watch rule does not obey .gitignore
            ("/p/gen/no", NOTHING),
            ("/p/data/db", NOTHING), // the whole mount is in .gitignore
            ("/p/Dockerfile.dev", Some(Rebuild)),
        ],
    );
    let left_out: Vec<_> = with.left_out(&ignores).map(|(_, path)| path.to_path_buf()).collect();
    assert_eq!(left_out, [PathBuf::from("/p/data")]);

    // The Dockerfile's own ignore file replaces the context's.
    ignores.put_docker(Path::new("/p/Dockerfile.dev.dockerignore"), "assets");
    check(&with, &ignores, &[("/p/docs/x", Some(Rebuild)), ("/p/assets/x", NOTHING)]);

    let without = rules(|watch, run| {
        change(watch, run);
        watch.ignore_files.clear();
    });
    check(
        &without,
        &ignores,
        &[("/p/a.log", Some(Rebuild)), ("/p/data/db", Some(Restart)), ("/p/docs/x", Some(Rebuild))],
    );
}

#[test]
fn ignore_globs_are_gitignore_patterns_below_the_root() {
    let rules = rules(|watch, _| {
        watch.paths = vec!["/p/target".into(), "/p/src".into(), "/elsewhere".into()];
        watch.ignore = ["**/target/**", "**/*.tmp", "tests/", "/src/gen", "*.bak"].map(String::from).to_vec();
    });
    check(
        &rules,
        &Ignores::default(),
        &[
            ("/p/src/a.rs", Some(Restart)),
            ("/p/src/a.tmp", NOTHING),
            ("/p/src/x/a.bak", NOTHING),
            ("/p/src/target/x", NOTHING),
            ("/p/src/tests/x/y", NOTHING),
            ("/p/src/gen/x", NOTHING),
            ("/p/src/x/gen", Some(Restart)),
            ("/elsewhere/a.tmp", NOTHING),
            ("/elsewhere/tests/a", NOTHING),
            ("/elsewhere/a", Some(Restart)),
        ],
    );
}

#[test]
fn what_mcpmon_reads_or_writes_itself_is_no_source() {
    let rules = rules(|watch, run| {
        watch.auto = true;
        run.build = Some(build(Path::new("/p"), None));
    });
    check(
        &rules,
        &Ignores::default(),
        &[
            ("/p/mcpmon.toml", NOTHING),
            ("/p/.env", NOTHING),
            ("/p/.mcpmon/results/1", NOTHING),
            ("/p/mcpmon.log", NOTHING),
            ("/p/.git/index", NOTHING),
            ("/p/src/.a.py.swp", NOTHING),
            ("/p/src/a.py", Some(Rebuild)),
        ],
    );
}

#[test]
fn roots_that_are_too_wide_are_left_out_and_said() {
    let rules = rules(|watch, run| {
        watch.auto = true;
        watch.paths = vec!["/dev".into(), "/p/src/../..".into()];
        watch.rules = vec![rule("/usr", Restart, &[], &[])];
        run.spec.volumes = [
            "/",
            "/home/me",
            "/home",
            "/var/run/docker.sock",
            "/dev/snd",
            "/etc/localtime",
            "/home/me/src",
            "/home/me/src",
            "/run/media/me/disk/src",
        ]
        .map(|path| bind(Path::new(path)))
        .to_vec();
    });
    let roots: Vec<_> = rules.roots().into_iter().collect();
    assert_eq!(roots, [Path::new("/etc/localtime"), Path::new("/home/me/src"), Path::new("/run/media/me/disk/src")]);
    let warnings = &rules.targets()[0].warnings;
    assert_eq!(warnings.len(), 6, "{warnings:#?}");
    assert!(
        warnings[0].contains("the bind mount of `/` is not watched")
            && warnings[0].contains(" in `watch.paths` (MCPMON_WATCH)"),
        "{warnings:#?}"
    );
    assert!(warnings.iter().all(|warning| !warning.contains("targets.")), "there is no such key: {warnings:#?}");
}

#[test]
fn what_is_watched_is_told_with_its_reason() {
    let rules = rules(|watch, run| {
        watch.auto = true;
        watch.paths = vec!["/shared".into()];
        watch.rules = vec![rule("/p/web", Sync, &[], &[])];
        run.spec.volumes = vec![bind(Path::new("/p/src"))];
        run.build = Some(build(Path::new("/p/img"), None));
    });
    let told: Vec<String> = rules.described().collect();
    assert_eq!(
        told,
        [
            "api: watching /p/web: develop.watch",
            "api: watching /p/src: a bind mount",
            "api: watching /p/img: the build context",
            "api: watching /p/img/Dockerfile: the build reads it",
            "api: watching /p/img/Dockerfile.dockerignore: the build reads it",
            "api: watching /p/img/.dockerignore: the build reads it",
            "api: watching /shared: watch.paths",
        ]
    );
}

#[test]
fn bad_patterns_are_said() {
    let rules = rules(|watch, _| {
        watch.ignore = vec!["a[".into(), "b".into()];
        watch.rules = vec![rule("/p/src", Restart, &["x["], &[])];
    });
    let warnings = &rules.targets()[0].warnings;
    assert!(warnings.iter().any(|warning| warning.contains("watch.ignore: bad pattern `a[`")), "{warnings:#?}");
    assert!(warnings.iter().any(|warning| warning.contains("develop.watch: bad pattern `x[`")), "{warnings:#?}");
}

#[test]
fn folders_in_which_nothing_counts_are_not_looked_into() {
    let mut ignores = Ignores::default();
    ignores.put_git(Path::new("/p"), "target/\nnode_modules");
    ignores.put_docker(Path::new("/p/.dockerignore"), "docs\n!docs/api");
    let rules = rules(|watch, run| {
        watch.auto = true;
        watch.ignore = vec!["cache/".into()];
        watch.rules = vec![rule("/p/gen", Restart, &[], &["old"])];
        run.build = Some(build(Path::new("/p"), None));
    });
    for (folder, expected) in [
        ("/p", true),
        ("/p/src", true),
        ("/p/target", false),
        ("/p/sub/target", false),
        ("/p/sub/node_modules/x", false),
        ("/p/.git", false),
        ("/p/.mcpmon", false),
        ("/p/cache", false),
        ("/p/docs", true), // an exception may bring a file back
        ("/p/gen/old", false),
        ("/p/gen/new", true),
        ("/elsewhere", false),
        ("/", false),
    ] {
        assert_eq!(rules.wants_folder(Path::new(folder), &ignores), expected, "{folder}");
    }
}
