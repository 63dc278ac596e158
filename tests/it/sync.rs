//! The sync actions of `develop.watch`, on images without tar, shell or `rm`: what a container has is read back by `docker cp` and
//! compared with the host.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use mcpmon::{
    engine::{Engine, EngineError},
    model::{
        WatchSettings,
        settings::{WatchAction, WatchRule},
    },
    reconcile::sync::{Extent, Synced, Syncs},
    sync::{SyncRule, rules},
};
use serde_json::json;

use crate::{
    client::Client,
    project::{Project, Up},
    stdio::servers,
    support::{Corner, DEADLINE, IMAGE, docker, spec},
};

/// A path below a rule's target: `d` or `f` or `l`, mode, owner, content or link target.
type Files = BTreeMap<PathBuf, String>;

/// What lies under a folder of a container.
fn in_container(id: &str, folder: &str) -> Files {
    let copied = docker(&["cp", &format!("{id}:{folder}/."), "-"]);
    assert!(copied.status.success(), "docker cp: {}", String::from_utf8_lossy(&copied.stderr));
    let mut archive = tar::Archive::new(&copied.stdout[..]);
    let mut files = Files::new();
    for entry in archive.entries().expect("a tar") {
        let mut entry = entry.expect("an entry");
        let path: PathBuf = entry.path().expect("a path").components().filter(|part| part.as_os_str() != ".").collect();
        let header = entry.header();
        let mode = header.mode().expect("a mode") & 0o7777;
        let owner = (header.uid().expect("a uid"), header.gid().expect("a gid"));
        let what = match header.entry_type() {
            tar::EntryType::Directory => format!("d {mode:o} {owner:?}"),
            tar::EntryType::Symlink => {
                format!("l {owner:?} {}", entry.link_name().expect("a link").expect("a target").display())
            }
            _ => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).expect("content");
                format!("f {mode:o} {owner:?} {}", told(&content))
            }
        };
        files.insert(path, what);
    }
    files.remove(Path::new(""));
    files
}

/// What lies under a folder here, as it should be in a container whose user has these numbers.
fn on_host(folder: &Path, owner: (u64, u64), left_out: &dyn Fn(&Path) -> bool) -> Files {
    let mut files = Files::new();
    let mut stack = vec![folder.to_path_buf()];
    while let Some(at) = stack.pop() {
        for entry in fs::read_dir(at).expect("a folder") {
            let path = entry.expect("an entry").path();
            let relative = path.strip_prefix(folder).expect("below").to_path_buf();
            if left_out(&relative) {
                continue;
            }
            let metadata = fs::symlink_metadata(&path).expect("there");
            let mode = metadata.mode() & 0o7777;
            let what = if metadata.is_dir() {
                stack.push(path);
                format!("d {mode:o} {owner:?}")
            } else if metadata.is_symlink() {
                format!("l {owner:?} {}", fs::read_link(path).expect("a link").display())
            } else {
                format!("f {mode:o} {owner:?} {}", told(&fs::read(path).expect("content")))
            };
            files.insert(relative, what);
        }
    }
    files
}

fn told(content: &[u8]) -> String {
    match content.len() {
        0..=40 => String::from_utf8_lossy(content).into_owned(),
        length => format!("{length} bytes, {:?} to {:?}", &content[..20], &content[length - 20..]),
    }
}

/// Shows what differs only: there may be many.
#[track_caller]
fn assert_same(container: &Files, host: &Files, when: &str) {
    let differing = |one: &Files, other: &Files| -> Vec<String> {
        let odd = one.iter().filter(|(path, what)| other.get(*path) != Some(what));
        odd.take(20).map(|(path, what)| format!("{}: {what}", path.display())).collect()
    };
    let (there, here) = (differing(container, host), differing(host, container));
    assert!(there.is_empty() && here.is_empty(), "{when}: in the container: {there:#?}; on the host: {here:#?}");
}

/// Numbers that are the same in each run (xorshift).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).expect("small")
    }
}

/// Something that a person or a tool does to a tree.
fn edit(root: &Path, numbers: &mut Numbers, step: usize) {
    let names = ["a", "b", "sub", "sub/c", "sub/deep", "sub/deep/d", "x.log", "run"];
    let path = root.join(names[numbers.below(names.len())]);
    let above: Vec<_> = path.ancestors().skip(1).take_while(|above| *above != root).collect();
    for folder in above.into_iter().rev() {
        if !fs::symlink_metadata(folder).is_ok_and(|found| found.is_dir()) {
            let _ = fs::remove_file(folder);
            fs::create_dir(folder).expect("a folder");
        }
    }
    let clear = |path: &Path| match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).expect("removed"),
        Ok(_) => fs::remove_file(path).expect("removed"),
        Err(_) => {}
    };
    match numbers.below(7) {
        0 | 1 => {
            clear(&path);
            fs::write(&path, format!("step {step}")).expect("written");
        }
        2 => clear(&path),
        3 => {
            clear(&path);
            fs::create_dir(&path).expect("a folder");
        }
        4 => {
            clear(&path);
            symlink(["a", "nowhere", "sub", "/etc"][numbers.below(4)], &path).expect("a link");
        }
        5 => {
            if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_symlink()) {
                let mode = [0o755, 0o700, 0o775][numbers.below(3)];
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("a mode");
            }
        }
        _ => {
            clear(&path);
            fs::write(&path, vec![u8::try_from(step % 256).expect("small"); 3_000_000]).expect("written");
        }
    }
}

fn sync_rules(folder: &Path, rule: WatchRule) -> Arc<[SyncRule]> {
    let watch = WatchSettings {
        paths: Vec::new(),
        auto: false,
        ignore: Vec::new(),
        extensions: Vec::new(),
        ignore_files: Vec::new(),
        delay: Duration::ZERO,
        rules: vec![rule],
    };
    rules(folder, &watch, None, &[]).into()
}

fn rule(path: &Path, target: &str, ignore: &[&str]) -> WatchRule {
    WatchRule {
        path: path.to_path_buf(),
        action: WatchAction::Sync,
        include: Vec::new(),
        ignore: ignore.iter().map(ToString::to_string).collect(),
        target: Some(target.into()),
        initial_sync: false,
        exec: None,
    }
}

/// Random edits, a lot of files, other containers, and what goes wrong: each time the container has what the host has.
#[tokio::test]
async fn a_container_has_what_the_host_has() {
    let corner = Corner::new("sync").await;
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("src");
    fs::create_dir(&root).expect("a folder");
    let copied = sync_rules(folder.path(), rule(&root, "/srv/app/src", &["**/*.log"]));
    let left_out = |path: &Path| path.extension().is_some_and(|suffix| suffix == "log");
    let mut spec = spec(&["idle"]);
    spec.user = Some("1000:1001".into());
    let (syncs, docker) = (Syncs::default(), &corner.docker);
    let copy = async |id: &str, extent| -> Result<Synced, EngineError> {
        syncs.copy(docker, &corner.project, id, &copied, extent).await
    };

    // Into one that was only made: the target and the folders above it are not there.
    fs::write(root.join("first"), "1").expect("written");
    let id = corner.create("api", &spec).await.expect("create");
    let first = copy(&id, Extent::Everything).await.expect("copied");
    assert_eq!((first.put, first.deleted, first.warnings), (1, 0, vec![]));
    docker.start(&id).await.expect("start");
    assert_eq!(copy(&id, Extent::Difference).await.expect("copied"), Synced::default(), "nothing to do");

    let mut numbers = Numbers(0x9E37_79B9_7F4A_7C15);
    for round in 0..10 {
        for step in 0..=numbers.below(5) {
            edit(&root, &mut numbers, round * 10 + step);
        }
        let done = copy(&id, Extent::Difference).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert_eq!(done.warnings, Vec::<String>::new(), "round {round}");
        let expected = on_host(&root, (1000, 1001), &left_out);
        assert_same(&in_container(&id, "/srv/app/src"), &expected, &format!("round {round}"));
    }

    // What the container has of its own stays; what is left out is neither copied nor deleted.
    assert!(in_container(&id, "").contains_key(Path::new("mcp-server")));
    fs::create_dir_all(root.join("many/in/it")).expect("folders");
    for number in 0..10_000 {
        fs::write(root.join(format!("many/in/n{number}")), number.to_string()).expect("written");
    }
    let began = Instant::now();
    let done = copy(&id, Extent::Difference).await.expect("copied");
    println!("10,000 files: {:?}", began.elapsed());
    assert_eq!(done.put, 10_003);
    assert_same(&in_container(&id, "/srv/app/src"), &on_host(&root, (1000, 1001), &left_out), "");
    // A folder that goes is one path; so is one that another takes the place of.
    fs::remove_dir_all(root.join("many/in")).expect("removed");
    fs::write(root.join("many/in"), "a file now").expect("written");
    fs::write(root.join("gone"), "").expect("written");
    copy(&id, Extent::Difference).await.expect("copied");
    for name in ["gone", "many"] {
        let path = root.join(name);
        if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }.expect("removed");
    }
    let done = copy(&id, Extent::Difference).await.expect("copied");
    assert_eq!((done.put, done.deleted), (0, 2));
    assert_same(&in_container(&id, "/srv/app/src"), &on_host(&root, (1000, 1001), &left_out), "");

    // A fresh container of an image that has what was deleted meanwhile.
    let image = corner.name("image").to_lowercase();
    let commit = crate::support::docker(&["commit", &id, &image]);
    assert!(commit.status.success(), "{commit:?}");
    let _image = Image(image.clone());
    fs::write(root.join("late"), "x").expect("written");
    fs::remove_file(root.join("first")).expect("removed");
    copy(&id, Extent::Difference).await.expect("copied");
    spec.image = image;
    let fresh = corner.create("fresh", &spec).await.expect("create");
    copy(&fresh, Extent::Everything).await.expect("copied");
    assert_same(&in_container(&fresh, "/srv/app/src"), &on_host(&root, (1000, 1001), &left_out), "fresh");

    // A folder that is gone as a whole takes nothing with it.
    fs::rename(&root, folder.path().join("away")).expect("renamed");
    let done = copy(&id, Extent::Difference).await.expect("copied");
    assert!(done.warnings[0].contains("is gone; /srv/app/src in the container stays as it is"), "{done:?}");
    fs::rename(folder.path().join("away"), &root).expect("renamed");
    assert_eq!(copy(&id, Extent::Difference).await.expect("copied"), Synced::default());

    // A container that is gone.
    fs::write(root.join("late"), "y").expect("written");
    docker.remove(&id).await.expect("remove");
    let error = copy(&id, Extent::Difference).await.expect_err("gone");
    assert!(matches!(error, EngineError::NotFound(_)), "{error:?}");
}

/// An image that is removed at the end.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["image", "rm", "-f", &self.0]).output();
    }
}

/// Owners by name, single files, volumes, a read-only root, a file that does not come to rest.
#[tokio::test]
async fn places_owners_and_what_can_not_be_done() {
    let corner = Corner::new("syncplaces").await;
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().to_path_buf();
    fs::write(root.join("one.json"), "1").expect("written");
    let (syncs, docker) = (Syncs::default(), &corner.docker);
    let copy = async |id: &str, name: &str, rules: &Arc<[SyncRule]>, extent| {
        syncs.copy(docker, &corner.name(name), id, rules, extent).await
    };

    // A user by name is looked up in the container, not here; one file goes to a path, or into a folder that is there.
    let mut named = spec(&["idle"]);
    named.user = Some("node:staff".into());
    let id = corner.create("named", &named).await.expect("create");
    fs::create_dir(root.join("etc")).expect("a folder");
    fs::write(root.join("etc/passwd"), "node:x:2000:2001::/:/none\n").expect("written");
    fs::write(root.join("etc/group"), "staff:x:50:\n").expect("written");
    let put =
        Command::new("docker").args(["cp", "."]).arg(format!("{id}:/")).current_dir(&root).output().expect("docker");
    assert!(put.status.success(), "{put:?}");
    for (target, at) in [("/a/b/two.json", "/a/b/two.json"), ("/etc", "/etc/one.json"), ("/new/", "/new/one.json")] {
        let rules = sync_rules(&root, rule(&root.join("one.json"), target, &[]));
        let copied = copy(&id, target, &rules, Extent::Everything).await.expect("copied");
        assert_eq!((copied.put, copied.warnings), (1, vec![]), "{target}");
        let (parent, name) = at.rsplit_once('/').expect("a path");
        assert_eq!(in_container(&id, parent)[Path::new(name)], "f 644 (2000, 50) 1", "{target}");
        fs::remove_file(root.join("one.json")).expect("removed");
        assert_eq!(copy(&id, target, &rules, Extent::Difference).await.expect("copied").deleted, 1, "{target}");
        assert!(!in_container(&id, parent).contains_key(Path::new(name)), "{target}");
        fs::write(root.join("one.json"), "1").expect("written");
    }

    // A read-only root, and a volume in it.
    let mut closed = spec(&["idle"]);
    closed.read_only = true;
    closed.volumes = vec![mcpmon::model::spec::Mount {
        source: mcpmon::model::spec::MountSource::Anonymous,
        target: "/data".into(),
        read_only: false,
        propagation: None,
        selinux: None,
        nocopy: false,
    }];
    let id = corner.run("closed", &closed).await;
    let rules = sync_rules(&root, rule(&root.join("one.json"), "/app/one.json", &[]));
    let copied = copy(&id, "closed", &rules, Extent::Everything).await.expect("said");
    assert!(copied.put == 0 && copied.warnings.len() == 1, "{copied:?}");
    let said = &copied.warnings[0];
    assert!(
        said.contains("/app/one.json in the container lies in its root") && said.contains("leave read_only out"),
        "{said}"
    );
    let rules = sync_rules(&root, rule(&root.join("etc"), "/data/etc", &[]));
    assert_eq!(copy(&id, "data", &rules, Extent::Everything).await.expect("copied").put, 2);
    fs::remove_file(root.join("etc/group")).expect("removed");
    assert_eq!(copy(&id, "data", &rules, Extent::Difference).await.expect("copied").deleted, 1);
    assert_eq!(in_container(&id, "/data/etc").len(), 1);

    // Memory, and the rule's own files mounted: said, and left alone.
    let mut mounted = spec(&["idle"]);
    mounted.tmpfs = [("/memory".to_owned(), String::new())].into();
    mounted.volumes = vec![mcpmon::model::spec::Mount {
        source: mcpmon::model::spec::MountSource::Bind { path: root.join("etc"), create: false },
        target: "/etc".into(),
        read_only: false,
        propagation: None,
        selinux: None,
        nocopy: false,
    }];
    let id = corner.run("mounted", &mounted).await;
    for (target, why) in
        [("/memory/a", "in the tmpfs /memory"), ("/etc", "is mounted from there"), ("/etc/x", "mounted")]
    {
        let rules = sync_rules(&root, rule(&root.join("etc"), target, &[]));
        let copied = copy(&id, target, &rules, Extent::Everything).await.expect("said");
        assert!((copied.put, copied.warnings.len()) == (0, 1) && copied.warnings[0].contains(why), "{copied:?}");
    }

    // Written all the time: the copy ends, and once the file is at rest so is the container.
    let id = corner.run("busy", &spec(&["idle"])).await;
    let busy = root.join("busy");
    fs::create_dir(&busy).expect("a folder");
    fs::write(busy.join("log"), vec![b'x'; 20_000_000]).expect("written");
    let rules = sync_rules(&root, rule(&busy, "/busy", &[]));
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (path, stop) = (busy.join("log"), Arc::clone(&stop));
        move || {
            let mut file = fs::OpenOptions::new().append(true).open(path).expect("open");
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                file.write_all(b"more").expect("written");
            }
            file.set_len(1000).expect("cut");
        }
    });
    copy(&id, "busy", &rules, Extent::Everything).await.expect("copied");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writer.join().expect("the writer ends");
    copy(&id, "busy", &rules, Extent::Difference).await.expect("copied");
    assert_eq!(in_container(&id, "/busy"), on_host(&busy, (0, 0), &|_| false));
}

/// Waits until a file of a target's container has that content; none = is not there. Gives when it was seen.
#[track_caller]
fn until(project: &Project, target: &str, path: &str, content: Option<&str>) -> Instant {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let found = Command::new("docker")
            .args(["cp", &format!("{}:{path}", project.container(target)), "-"])
            .stderr(Stdio::null())
            .output()
            .expect("docker");
        let mut text = None;
        if found.status.success()
            && let Some(Ok(mut entry)) = tar::Archive::new(&found.stdout[..]).entries().expect("a tar").next()
        {
            let mut read = String::new();
            entry.read_to_string(&mut read).expect("text");
            text = Some(read);
        }
        if text.as_deref() == content {
            return Instant::now();
        }
        assert!(Instant::now() < deadline, "{path} is {text:?}, not {content:?}");
    }
}

fn config(more: &str) -> String {
    format!(
        "watch.delay = \"20ms\"\n[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\nnetwork_mode = \"none\"\n\
         command = [\"stdio\", \"--greeting\", \"/content/greeting.txt\"]\nstdin_open = true\nmcp.transport = \"stdio\"\n{more}\n"
    )
}

fn actions(up: &Up, event: &str) -> Vec<String> {
    let found = up.seen(|seen| seen["event"] == event);
    found.iter().map(|event| event["action"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn up_copies_runs_and_restarts_in_the_same_container_and_fills_fresh_ones() {
    let project = Project::new("syncup");
    project.write("content/greeting.txt", "hello\n");
    project.write("data/a.txt", "1");
    project.write("hooked/x.txt", "1");
    let mcp_server = "[\"/mcp-server\", \"cat\", \"/hooked/x.txt\"]";
    let sync = "[[targets.api.develop.watch]]\npath = \"content\"\naction = \"sync+restart\"\ntarget = \"/content\"\n\
                [[targets.api.develop.watch]]\npath = \"data\"\naction = \"sync\"\ntarget = \"/data\"\nignore = [\"*.log\"]\n";
    let hook = |command: &str| {
        format!(
            "[[targets.api.develop.watch]]\npath = \"hooked\"\naction = \"sync+exec\"\ntarget = \"/hooked\"\n\
             exec = {{ command = {command} }}\n"
        )
    };
    project.config(&config(&format!("{sync}{}", hook(mcp_server))));
    // The server reads its greeting at the start: it was there by then.
    let mut up = project.settled();
    let id = project.id("api");
    until(&project, "api", "/data/a.txt", Some("1"));

    let saved = Instant::now();
    project.write("data/a.txt", "2");
    let seen = until(&project, "api", "/data/a.txt", Some("2"));
    println!("save to file in the container: {:?}", seen - saved);
    let done = up.wait("action_done", "api");
    println!("sync took {} ms", done.number("duration_ms"));
    fs::remove_file(project.path("data/a.txt")).expect("removed");
    until(&project, "api", "/data/a.txt", None);
    up.wait("action_done", "api");
    project.write("data/left.log", "x");
    project.write("data/sub/b.txt", "3");
    until(&project, "api", "/data/sub/b.txt", Some("3"));
    until(&project, "api", "/data/left.log", None);
    up.wait("action_done", "api");

    // The command's output is the target's; its failure is told, and nothing restarts.
    project.write("hooked/x.txt", "hooked 2");
    let line = up.wait("log", "api");
    assert_eq!((line.text("line"), line.text("stream")), ("hooked 2", "stdout"));
    up.wait("action_done", "api");
    assert_eq!(project.id("api"), id);

    // The same container, restarted: a new process with the new file.
    let started = project.inspect("api")["State"]["StartedAt"].clone();
    let saved = Instant::now();
    project.write("content/greeting.txt", "good day\n");
    let changed = up.wait("files_changed", "api");
    assert_eq!(changed.text("action"), "sync_restart");
    let done = up.wait_for("the restart", |event| event["event"] == "action_done" && event["action"] == "sync_restart");
    println!("save to restarted and ready: {:?}", done.at - saved);
    assert_eq!(project.id("api"), id);
    assert_ne!(project.inspect("api")["State"]["StartedAt"], started);
    // A save that the server can't start with: told with its last lines; the next good one works.
    project.write("content/greeting.txt", "");
    let failed = up.wait("action_failed", "api");
    assert!(
        failed.text("error").starts_with("restarted with the new files, but it ended with exit code 1"),
        "{}",
        failed.event
    );
    assert!(failed.lines("log").contains("is empty"), "{}", failed.event);
    project.write("content/greeting.txt", "good evening\n");
    up.wait("ready", "api");

    // Whatever makes a fresh container: it has everything, and not what was deleted.
    let id = project.id("api");
    assert!(docker(&["rm", "-f", &id]).status.success());
    up.wait_for("another container", |event| event["event"] == "ready" && event["target"] == "api");
    assert_ne!(project.id("api"), id);
    until(&project, "api", "/data/sub/b.txt", Some("3"));
    until(&project, "api", "/data/a.txt", None);

    // An edit of the command: what fails is said.
    project.config(&config(&format!("{sync}{}", hook("[\"/mcp-server\", \"exit\", \"7\", \"--print\", \"oh\"]"))));
    up.wait("config_reloaded", "");
    project.write("hooked/x.txt", "hooked 3");
    let failed = up.wait("action_failed", "api");
    assert_eq!(failed.text("error"), "`/mcp-server exit 7 --print oh` ended with exit code 7");
    let said = up.seen(|event| event["event"] == "log" && event["line"] == "oh");
    assert!(said.iter().all(|line| line["stream"] == "stderr"), "{said:?}");
    assert!(actions(&up, "action_started").iter().all(|action| action != "replace"), "{}", up.told());
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn what_runs_already_gets_everything_with_initial_sync_and_changes_without() {
    let project = Project::new("syncinitial");
    project.write("first/a.txt", "1");
    project.write("second/a.txt", "1");
    let plain = format!(
        "watch.delay = \"20ms\"\n[targets.api]\nimage = \"{IMAGE}\"\npull_policy = \"never\"\nnetwork_mode = \"none\"\n\
         command = [\"idle\"]\n"
    );
    let rules = "[[targets.api.develop.watch]]\npath = \"first\"\naction = \"sync\"\ntarget = \"/first\"\ninitial_sync = true\n\
                 [[targets.api.develop.watch]]\npath = \"second\"\naction = \"sync\"\ntarget = \"/second\"\n";
    project.config(&plain);
    let mut up = project.settled();
    let id = project.id("api");
    // Its files were written long before it is watched, as those of a project are.
    for file in ["first/a.txt", "second/a.txt"] {
        let file = fs::File::options().write(true).open(project.path(file)).expect("open");
        file.set_modified(SystemTime::now() - Duration::from_hours(1)).expect("a time");
    }
    project.config(&format!("{plain}{rules}"));
    up.wait("config_reloaded", "");
    let began = up.wait("action_started", "api");
    assert_eq!((began.text("action"), began.text("cause")), ("sync", "initial_sync"));
    up.wait("action_done", "api");
    until(&project, "api", "/first/a.txt", Some("1"));
    until(&project, "api", "/second/a.txt", None);
    // From now on what changes.
    project.write("second/b.txt", "2");
    until(&project, "api", "/second/b.txt", Some("2"));
    until(&project, "api", "/second/a.txt", None);
    assert_eq!(project.id("api"), id);
    up.interrupt();

    // Without watching nothing is copied.
    let mut up = project.up(&["--no-watch"]);
    up.wait("settled", "");
    until(&project, "api", "/first/a.txt", None);
    up.interrupt();
    project.assert_nothing_left();
}

#[test]
fn a_stdio_session_copies_into_its_server_and_reloads_with_what_was_copied() {
    let project = Project::new("syncstdio");
    project.write("content/greeting.txt", "hello");
    project.write("data/a.txt", "1");
    project.config(&config(
        "[[targets.api.develop.watch]]\npath = \"content\"\naction = \"sync+restart\"\ntarget = \"/content\"\n\
         [[targets.api.develop.watch]]\npath = \"data\"\naction = \"sync+exec\"\ntarget = \"/data\"\n\
         exec = { command = [\"/mcp-server\", \"cat\", \"/data/a.txt\"] }\n",
    ));
    let mut client = Client::of_target(&project, "api");
    assert_eq!(client.call("greet", &json!({})), "hello");
    let server = servers(&project);
    project.write("data/a.txt", "copied and run");
    client.hears("copied and run");
    assert_eq!(servers(&project), server, "no reload");
    project.write("content/greeting.txt", "good day");
    client.hears("reloaded in");
    assert_eq!(client.call("greet", &json!({})), "good day");
    let now = servers(&project);
    assert_ne!(now, server);
    assert_eq!(in_container(&now[0], "/data").len(), 1, "what was copied before is in the new one, too");
    client.leave();
    project.assert_nothing_left();
}
