//! The watcher against the real file system, in folders of its own. No fixed sleeps: each test waits for what
//! must come, with a deadline; "nothing comes" is shown by a later change that comes alone.

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::time::timeout;

use super::{ChangeReceiver, Watcher, printed::Printed};
use crate::{
    model::{Settings, settings::WatchAction},
    trigger::{Rules, Trigger, samples},
};

const DEADLINE: Duration = Duration::from_secs(20);

struct Fixture {
    folder: TempDir,
    watcher: Watcher,
    changes: ChangeReceiver,
    seen: BTreeSet<PathBuf>,
    warnings: Vec<String>,
}

impl Fixture {
    /// A temporary project folder; `settings` gets its path.
    async fn new(prepare: impl Fn(&Path), settings: impl Fn(&Path) -> Settings) -> Self {
        Self::printing(|folder| (prepare(folder), Printed::default()).1, settings).await
    }

    /// `prepare` says which files the process prints into.
    async fn printing(prepare: impl Fn(&Path) -> Printed, settings: impl Fn(&Path) -> Settings) -> Self {
        let folder = tempfile::Builder::new().prefix("mcpmon-watch-").tempdir().unwrap();
        let (watcher, changes) = Watcher::printing(prepare(folder.path())).unwrap();
        let mut fixture = Self { folder, watcher, changes, seen: BTreeSet::new(), warnings: Vec::new() };
        fixture.set(settings).await;
        fixture
    }

    async fn set(&mut self, settings: impl Fn(&Path) -> Settings) {
        let settings = settings(self.folder.path());
        self.watcher.set(Arc::new(Rules::new(&settings, None)), settings.inputs).await;
    }

    fn path(&self, relative: &str) -> PathBuf {
        self.folder.path().join(relative)
    }

    fn write(&self, relative: &str, content: &str) {
        write(&self.path(relative), content);
    }

    /// Waits until every one of these was reported (since the last call).
    async fn expect(&mut self, paths: &[&str]) {
        let mut missing: BTreeSet<PathBuf> = paths.iter().map(|path| self.path(path)).collect();
        let until = Instant::now() + DEADLINE;
        while !missing.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(changes) = timeout(left, self.changes.next()).await else {
                panic!("no change of {missing:?}; seen: {:?}, warnings: {:?}", self.seen, self.warnings)
            };
            assert!(!changes.rescan, "no events should be lost here");
            self.warnings.extend(changes.warnings);
            for path in changes.paths.into_keys() {
                missing.remove(&path);
                self.seen.insert(path);
            }
        }
    }

    /// What was reported since the last call, relative to the folder.
    fn taken(&mut self) -> BTreeSet<String> {
        let seen = std::mem::take(&mut self.seen);
        let relative = |path: PathBuf| path.strip_prefix(self.folder.path()).unwrap().to_str().unwrap().to_string();
        seen.into_iter().map(relative).collect()
    }
}

fn write(path: &Path, content: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(ToString::to_string).collect()
}

/// One target with these folders bind-mounted.
fn binds(folder: &Path, binds: &[&str]) -> Settings {
    samples::settings(folder, |watch, run| {
        watch.auto = true;
        run.spec.volumes = binds.iter().map(|bind| samples::bind(&folder.join(bind))).collect();
    })
}

#[tokio::test]
async fn a_save_in_place_and_a_save_by_rename_are_seen_each_time() {
    let mut fixture =
        Fixture::new(|folder| write(&folder.join("src/a.py"), "1"), |folder| binds(folder, &["src"])).await;
    for round in 0..3 {
        fixture.write("src/a.py", &format!("in place {round}"));
        fixture.expect(&["src/a.py"]).await;
        assert_eq!(fixture.taken(), names(&["src/a.py"]));
        fixture.write("src/.a.py.swp", "editor");
        fs::rename(fixture.path("src/.a.py.swp"), fixture.path("src/a.py")).unwrap();
        fixture.expect(&["src/a.py"]).await;
        assert_eq!(fixture.taken(), names(&["src/a.py"]));
    }
}

#[tokio::test]
async fn what_the_process_itself_prints_is_no_change() {
    let open = |path: &Path| fs::File::options().create(true).append(true).open(path).unwrap();
    let mut fixture = Fixture::printing(
        |folder| {
            write(&folder.join("src/a.py"), "1");
            Printed::into(open(&folder.join("src/log")).metadata())
        },
        |folder| binds(folder, &["src"]),
    )
    .await;
    let (mut log, mut other) = (open(&fixture.path("src/log")), open(&fixture.path("src/a.py")));
    for _ in 0..3 {
        writeln!(log, "reloaded").unwrap();
        // Held as long as the line would be, as it is not closed either.
        writeln!(other, "2").unwrap();
        fixture.expect(&["src/a.py"]).await;
        assert_eq!(fixture.taken(), names(&["src/a.py"]));
    }
}

#[tokio::test]
async fn reading_and_permissions_are_no_change() {
    let mut fixture = Fixture::new(
        |folder| {
            write(&folder.join("src/a.py"), "1");
            write(&folder.join("src/b.py"), "1");
        },
        |folder| binds(folder, &["src"]),
    )
    .await;
    fs::read(fixture.path("src/a.py")).unwrap();
    let mut permissions = fs::metadata(fixture.path("src/a.py")).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(fixture.path("src/a.py"), permissions).unwrap();
    fixture.write("src/b.py", "2");
    fixture.expect(&["src/b.py"]).await;
    assert_eq!(fixture.taken(), names(&["src/b.py"]));
}

#[tokio::test]
async fn a_single_file_is_seen_after_renames_and_only_when_its_content_changes() {
    let mut fixture = Fixture::new(
        |folder| {
            write(&folder.join("conf/app.toml"), "1");
            write(&folder.join("conf/other.toml"), "1");
        },
        |folder| binds(folder, &["conf/app.toml"]),
    )
    .await;
    for round in 0..3 {
        fixture.write("conf/other.toml", &format!("{round}"));
        fixture.write("conf/new", &format!("content {round}"));
        fs::rename(fixture.path("conf/new"), fixture.path("conf/app.toml")).unwrap();
        fixture.expect(&["conf/app.toml"]).await;
        assert_eq!(fixture.taken(), names(&["conf/app.toml"]));
    }
    // The same content again: nothing. Shown by the change after it, which would otherwise be the second of two.
    fixture.write("conf/app.toml", "content 2");
    fs::remove_file(fixture.path("conf/app.toml")).unwrap();
    fixture.expect(&["conf/app.toml"]).await;
    assert!(!fixture.path("conf/app.toml").exists());
}

#[tokio::test]
async fn inputs_are_reported_missing_ones_too() {
    let mut fixture = Fixture::new(
        |folder| write(&folder.join("mcpmon.toml"), "version = 1"),
        |folder| {
            let mut settings = samples::settings(folder, |_, _| {});
            settings.inputs = vec![folder.join("mcpmon.toml"), folder.join("sub/dir/.env")];
            settings
        },
    )
    .await;
    fixture.write("mcpmon.toml", "version = 1\n");
    fixture.expect(&["mcpmon.toml"]).await;
    fixture.write("sub/dir/.env", "A=1");
    fixture.expect(&["sub/dir/.env"]).await;
    fixture.write("sub/dir/.env", "A=2");
    fixture.expect(&["sub/dir/.env"]).await;
    // A folder in a file's place, and the file again.
    fs::remove_file(fixture.path("mcpmon.toml")).unwrap();
    fs::create_dir(fixture.path("mcpmon.toml")).unwrap();
    fixture.expect(&["mcpmon.toml"]).await;
    fs::remove_dir(fixture.path("mcpmon.toml")).unwrap();
    fixture.write("mcpmon.toml", "version = 1\n");
    fixture.expect(&["mcpmon.toml"]).await;
}

#[tokio::test]
async fn a_root_deleted_and_made_again_goes_on() {
    let mut fixture =
        Fixture::new(|folder| write(&folder.join("src/deep/a.py"), "1"), |folder| binds(folder, &["src"])).await;
    for round in 0..3 {
        fs::remove_dir_all(fixture.path("src")).unwrap();
        fixture.expect(&["src"]).await;
        fixture.write("src/deep/a.py", &format!("{round}"));
        fixture.expect(&["src/deep/a.py"]).await;
        fixture.taken();
        fixture.write("src/deep/b.py", "later");
        fixture.expect(&["src/deep/b.py"]).await;
    }
    // All at once, without a pause to notice.
    fs::remove_dir_all(fixture.path("src")).unwrap();
    fixture.write("src/deep/a.py", "at once");
    fixture.expect(&["src/deep/a.py"]).await;
    fixture.taken();
    fixture.write("src/deep/c.py", "still there");
    fixture.expect(&["src/deep/c.py"]).await;
    // Moved away and replaced: the old folder's files are no longer ours.
    fs::rename(fixture.path("src"), fixture.path("old")).unwrap();
    fixture.write("src/deep/a.py", "new");
    fixture.expect(&["src/deep/a.py"]).await;
    fixture.taken();
    fixture.write("old/deep/a.py", "elsewhere");
    fixture.write("src/deep/d.py", "here");
    fixture.expect(&["src/deep/d.py"]).await;
    assert_eq!(fixture.taken(), names(&["src/deep/d.py"]));
}

#[tokio::test]
async fn a_missing_root_is_waited_for() {
    let mut fixture = Fixture::new(|_| {}, |folder| binds(folder, &["not/yet/there"])).await;
    fixture.write("not/unrelated", "1");
    fixture.write("not/yet/there/a/b.py", "1");
    fixture.expect(&["not/yet/there/a/b.py"]).await;
    assert_eq!(fixture.taken(), names(&["not/yet/there/a/b.py"]));
    fixture.write("not/yet/there/c.py", "1");
    fixture.expect(&["not/yet/there/c.py"]).await;
    fs::remove_dir_all(fixture.path("not")).unwrap();
    fixture.expect(&["not/yet/there"]).await;
    fixture.write("not/yet/there/again.py", "1");
    fixture.expect(&["not/yet/there/again.py"]).await;
}

#[tokio::test]
async fn files_in_folders_made_this_moment_are_all_seen() {
    let mut fixture =
        Fixture::new(|folder| fs::create_dir(folder.join("src")).unwrap(), |folder| binds(folder, &["src"])).await;
    let files: Vec<String> = (0..200).map(|number| format!("src/a{number}/b/c/file.py")).collect();
    for file in &files {
        fixture.write(file, "1");
    }
    fixture.expect(&files.iter().map(String::as_str).collect::<Vec<_>>()).await;
    fixture.taken();
    // And the new folders are watched.
    for file in &files {
        fixture.write(file, "2");
    }
    fixture.expect(&files.iter().map(String::as_str).collect::<Vec<_>>()).await;
}

#[tokio::test]
async fn a_renamed_folder_is_watched_under_its_new_name() {
    let mut fixture =
        Fixture::new(|folder| write(&folder.join("src/old/x/a.py"), "1"), |folder| binds(folder, &["src"])).await;
    fs::rename(fixture.path("src/old"), fixture.path("src/new")).unwrap();
    fixture.expect(&["src/old", "src/new/x/a.py"]).await;
    fixture.taken();
    fixture.write("src/new/x/a.py", "2");
    fixture.expect(&["src/new/x/a.py"]).await;
    fs::rename(fixture.path("src/new"), fixture.path("src/old")).unwrap();
    fixture.expect(&["src/old/x/a.py"]).await;
    fixture.write("src/old/x/b.py", "2");
    fixture.expect(&["src/old/x/b.py"]).await;
}

#[tokio::test]
async fn ignored_folders_stay_silent_until_the_ignore_file_changes() {
    let mut fixture = Fixture::new(
        |folder| {
            fs::create_dir(folder.join(".git")).unwrap();
            write(&folder.join(".gitignore"), "target/\n*.log");
            write(&folder.join("src/main.rs"), "1");
            write(&folder.join("src/target/debug/out"), "1");
        },
        |folder| binds(folder, &["src"]),
    )
    .await;
    fixture.write("src/target/debug/out", "2");
    fixture.write("src/target/release/out", "2");
    fixture.write("src/a.log", "2");
    fixture.write(".git/index", "2");
    fs::remove_dir_all(fixture.path("src/target")).unwrap();
    fixture.write("src/target/debug/out", "3");
    fixture.write("src/main.rs", "2");
    fixture.expect(&["src/main.rs"]).await;
    assert_eq!(fixture.taken(), names(&["src/main.rs"]));

    // The ignore file above the root changes: what it no longer excludes is watched.
    fixture.write(".gitignore", "*.log");
    let until = Instant::now() + DEADLINE;
    for number in 0.. {
        assert!(Instant::now() < until, "the new .gitignore is not in force");
        fixture.write("src/target/debug/out", &format!("{number}"));
        if let Ok(changes) = timeout(Duration::from_millis(100), fixture.changes.next()).await
            && changes.paths.contains_key(&fixture.path("src/target/debug/out"))
        {
            break;
        }
    }
    // A nested one that appears counts too.
    fixture.write("src/.gitignore", "target/\ngenerated");
    fixture.expect(&["src/.gitignore"]).await;
    fixture.taken();
    fixture.write("src/generated", "1");
    fixture.write("src/target/debug/out", "last");
    fixture.write("src/main.rs", "3");
    fixture.expect(&["src/main.rs"]).await;
    assert_eq!(fixture.taken(), names(&["src/main.rs"]));
}

#[tokio::test]
async fn the_watch_set_changes_as_a_difference() {
    let mut fixture = Fixture::new(
        |folder| {
            write(&folder.join("a/x"), "1");
            write(&folder.join("b/x"), "1");
        },
        |folder| binds(folder, &["a"]),
    )
    .await;
    fixture.write("b/x", "2");
    fixture.write("a/x", "2");
    fixture.expect(&["a/x"]).await;
    assert_eq!(fixture.taken(), names(&["a/x"]));
    fixture.set(|folder| binds(folder, &["b"])).await;
    fixture.write("a/x", "3");
    fixture.write("b/x", "3");
    fixture.expect(&["b/x"]).await;
    assert_eq!(fixture.taken(), names(&["b/x"]));
}

#[cfg(unix)]
#[tokio::test]
async fn links_are_not_followed_but_a_root_may_be_one() {
    let mut fixture = Fixture::new(
        |folder| {
            write(&folder.join("releases/1/a"), "1");
            write(&folder.join("releases/2/a"), "1");
            write(&folder.join("outside/a"), "1");
            std::os::unix::fs::symlink(folder.join("releases/1"), folder.join("current")).unwrap();
            std::os::unix::fs::symlink(folder.join("outside"), folder.join("releases/1/link")).unwrap();
            std::os::unix::fs::symlink(folder.join("releases/1"), folder.join("releases/1/loop")).unwrap();
        },
        |folder| binds(folder, &["current"]),
    )
    .await;
    fixture.write("outside/a", "2");
    fixture.write("releases/1/a", "2");
    fixture.expect(&["current/a"]).await;
    assert_eq!(fixture.taken(), names(&["current/a"]));
    // Turned to the next release.
    std::os::unix::fs::symlink(fixture.path("releases/2"), fixture.path("next")).unwrap();
    fs::rename(fixture.path("next"), fixture.path("current")).unwrap();
    fixture.expect(&["current/a"]).await;
    fixture.write("releases/2/b", "2");
    fixture.expect(&["current/b"]).await;
}

/// A branch switch: 10,000 files in 100 folders at once are one reload, and every file is counted.
#[tokio::test]
async fn ten_thousand_files_at_once_are_one_reload() {
    let files: Vec<String> = (0..10_000).map(|number| format!("src/folder{}/file{number}.py", number % 100)).collect();
    let settings = |folder: &Path| binds(folder, &["src"]);
    let mut fixture =
        Fixture::new(|folder| files.iter().for_each(|file| write(&folder.join(file), "1")), settings).await;
    let folder = fixture.folder.path().to_path_buf();
    let all = files.clone();
    let writing = std::thread::spawn(move || {
        let start = Instant::now();
        for file in &all {
            fs::write(folder.join(file), "2").unwrap();
        }
        start.elapsed()
    });
    // To the trigger it is one moment: how long a busy machine takes to write them all is not what is asked.
    let mut trigger = Trigger::new(Arc::new(Rules::new(&settings(fixture.folder.path()), None)));
    let (now, until) = (Instant::now(), Instant::now() + 3 * DEADLINE);
    let mut told = BTreeSet::new();
    while told.len() < files.len() {
        let left = until.saturating_duration_since(Instant::now());
        let changes = timeout(left, fixture.changes.next()).await.expect("all of them are told");
        assert!(!changes.rescan, "no events should be lost here");
        told.extend(changes.paths.keys().cloned());
        trigger.changed(now, &changes);
    }
    println!("10,000 files written in {:?}", writing.join().unwrap());
    let reloads = trigger.poll(trigger.next_deadline().expect("a reload is due"));
    assert_eq!(reloads.len(), 1);
    assert_eq!((reloads[0].count, reloads[0].action), (10_000, WatchAction::Restart));
    trigger.done(Instant::now(), &reloads[0].target);
    assert_eq!(trigger.next_deadline(), None, "nothing is left over for a second one");
}

/// How long after a save its change is there. A smoke test with a wide bound; the number it prints is the news.
#[tokio::test]
async fn a_save_is_reported_within_milliseconds() {
    let mut fixture =
        Fixture::new(|folder| write(&folder.join("src/a.py"), "1"), |folder| binds(folder, &["src"])).await;
    let mut latencies = Vec::new();
    for round in 0..50 {
        let content = format!("{round}");
        let start = Instant::now();
        fixture.write("src/a.py", &content);
        fixture.expect(&["src/a.py"]).await;
        latencies.push(start.elapsed());
        fixture.taken();
    }
    latencies.sort();
    println!("save to change: p50 {:?}, p99 {:?}", latencies[25], latencies[49]);
    assert!(latencies[25] < Duration::from_millis(40), "slower than the hold of an unfinished save");
}
