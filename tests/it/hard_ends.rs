//! Ends that no signal announces and that nobody else can cause: a panic, the kernel out of memory, a terminal that is
//! closed, a machine that sleeps, a disk that is full. Nothing is left of them, and who only slept goes on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use mcpmon::session::runtime_folder;
use serde_json::json;

use crate::{
    client::Client,
    project::{Project, Up, kill, processes_in, watchdog_of},
    stdio::{greeting, server},
    support::{IMAGE, docker, in_the_same_place, until},
};

const IDLE: &str = "pull_policy = \"never\"\ncommand = [\"idle\"]\n";

/// A project of one target, which ends at SIGTERM.
fn idle(test: &str) -> Project {
    Project::with(test, &format!("[targets.api]\nimage = \"{IMAGE}\"\n{IDLE}network_mode = \"host\"\n"))
}

/// The same in a network of its own.
fn networked(test: &str) -> Project {
    let network = "networks = [\"inner\"]\n[networks.inner]\ninternal = true\n";
    Project::with(test, &format!("[targets.api]\nimage = \"{IMAGE}\"\n{IDLE}{network}"))
}

fn is_gone(pid: u32) -> bool {
    mcpmon::session::process::start_time(pid).is_none()
}

#[test]
fn a_panic_leaves_nothing() {
    let mut project = networked("panic");
    project.environment("_MCPMON_FAULT", "panic");
    let mut up = project.settled();
    let watchdog = watchdog_of(up.pid()).expect("a watchdog");
    up.signal("USR2");
    let (status, errors) = up.end();
    assert_eq!(status.code(), Some(101), "{errors}");
    assert!(errors.contains("asked for by SIGUSR2"), "{errors}");
    until("nothing is left", || project.on_the_engine().is_empty());
    until("the watchdog has ended", || is_gone(watchdog));

    let mut project = greeting("panic-run", "");
    project.environment("_MCPMON_FAULT", "panic");
    let mut client = Client::of_target(&project, "api");
    client.signal("USR2");
    assert_eq!(client.end().0.code(), Some(101), "{:#?}", client.said);
    until("nothing is left", || project.on_the_engine().is_empty());
}

/// A memory cgroup of the test's own. To make one takes the right to, which who runs an engine has.
struct Memory(PathBuf);

impl Memory {
    fn new(name: &str, bytes: u32) -> Self {
        let root = Path::new("/sys/fs/cgroup");
        let (folder, limits): (_, &[&str]) = if root.join("cgroup.controllers").exists() {
            fs::write(root.join("cgroup.subtree_control"), "+memory").expect("the memory controller");
            (root.join(name), &["memory.max", "memory.swap.max"])
        } else {
            (root.join("memory").join(name), &["memory.limit_in_bytes"])
        };
        fs::create_dir(&folder).expect("a cgroup (this test needs root)");
        for limit in limits {
            let bytes = if limit.contains("swap") { 0 } else { bytes };
            // Not every kernel counts swap.
            let set = fs::write(folder.join(limit), bytes.to_string());
            assert!(set.is_ok() || limit.contains("swap"), "{limit}: {set:?}");
        }
        Self(folder)
    }

    /// The command, run within it.
    fn within(&self, command: &Command) -> Command {
        let mut inner = Command::new("sh");
        inner.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.0.join("cgroup.procs"));
        inner.arg(command.get_program()).args(command.get_args());
        in_the_same_place(command, &mut inner);
        inner
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // Not before its last process is gone.
        let _ = fs::remove_dir(&self.0);
    }
}

#[test]
fn what_the_kernel_kills_for_its_memory_leaves_nothing() {
    let project = greeting("memory", "");
    let memory = Memory::new(&project.name, 40 << 20);
    let mut client = Client::of(memory.within(&project.command(&["run", "api"])));
    client.initialize();
    let watchdog = watchdog_of(client.pid()).expect("a watchdog");
    client.begin("big", &json!({"bytes": 60_000_000}));
    let (status, _) = client.end();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9), "{status:?}: {:#?}", client.said);
    until("nothing is left", || project.on_the_engine().is_empty());
    until("the watchdog has ended", || is_gone(watchdog));
}

#[test]
fn a_closed_terminal_ends_the_session_and_leaves_nothing() {
    let project = networked("terminal");
    let up = project.command(&["up"]);
    let mut terminal = Command::new("script");
    let line = format!("exec '{}' up", up.get_program().display());
    terminal.args(["-qfec", &line, "/dev/null"]);
    in_the_same_place(&up, &mut terminal);
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("script starts");
    let container = format!("name=^/{}$", project.container("api"));
    until("it runs", || !docker(&["ps", "-q", "--filter", &container]).stdout.is_empty());
    let session = processes_in(&project.path("")).pop().expect("a session");
    // Its end is the terminal's: whoever is in it hears SIGHUP, and can't write any more.
    kill(terminal.id(), "KILL");
    let _ = terminal.wait();
    until("the session has ended", || is_gone(session));
    project.assert_nothing_left();
}

/// As after a night with the lid closed: every limit that a wait has is over when it wakes.
#[test]
fn who_slept_for_longer_than_every_limit_goes_on() {
    let (mut project, mut served) = (idle("slept"), greeting("slept-run", ""));
    for project in [&mut project, &mut served] {
        project.environment("MCPMON_DOCKER_TIMEOUT", "3s");
    }
    let mut up = project.settled();
    let mut client = Client::of_target(&served, "api");
    let (before, id) = (server(&served), project.id("api"));
    for pid in [up.pid(), client.pid()] {
        kill(pid, "STOP");
    }
    // Meanwhile a server ends, a file is saved, a call is sent, and somebody cleans up.
    assert!(docker(&["kill", &id]).status.success());
    served.write("content/greeting.txt", "good morning\n");
    let call = client.begin("greet", &json!({}));
    let cleanup = project.run(&["cleanup", "--dry-run"]);
    assert!(![&project, &served].iter().any(|one| cleanup.out.contains(&one.name)), "{cleanup:?}");
    // Nothing is waited for: that time passes is what is tried.
    thread::sleep(Duration::from_secs(4));
    assert_eq!((project.id("api"), server(&served)), (id, before), "nobody took what is theirs");
    for pid in [up.pid(), client.pid()] {
        kill(pid, "CONT");
    }
    assert!(client.answer(call)["result"].is_object());
    client.hears("reloaded in");
    assert_eq!(client.call("greet", &json!({})), "good morning");
    up.wait("ready", "api");
    client.leave();
    up.interrupt();
    project.assert_nothing_left();
    served.assert_nothing_left();
}

/// The command with each folder for leases made unusable, in a mount namespace of its own.
fn without_leases(options: &str, command: &Command) -> Command {
    let folders = runtime_folder::candidates();
    let usable = folders.iter().filter(|folder| runtime_folder::make(folder).is_ok());
    let mounts = usable.map(|folder| format!("mount -t tmpfs -o {options} none '{}' && ", folder.display()));
    let script = format!("{}exec \"$@\"", mounts.collect::<String>());
    let mut outer = Command::new("unshare");
    outer.args(["--mount", "sh", "-c", &script, "sh"]);
    outer.arg(command.get_program()).args(command.get_args());
    in_the_same_place(command, &mut outer);
    outer
}

#[test]
fn a_full_or_read_only_disk_costs_a_warning_and_nothing_else() {
    // One inode is the folder's own: the next file finds no space.
    for options in ["mode=700,nr_inodes=1", "mode=700,ro"] {
        let project = idle("no-lease");
        let mut up = Up::start(without_leases(options, &project.command(&["up", "--format", "json"])));
        up.wait("settled", "");
        let id = project.id("api");
        // By its pid, and when that began.
        let cleanup = project.run(&["cleanup", "--dry-run"]);
        assert!(!cleanup.out.contains(&project.name), "{options}: {cleanup:?}");
        assert_eq!(project.id("api"), id, "{options}");
        up.signal("KILL");
        until("nothing is left", || project.on_the_engine().is_empty());
        let (_, errors) = up.end();
        assert!(errors.contains("this session can't say to others that it lives"), "{options}: {errors}");
    }
}
