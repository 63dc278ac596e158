//! Real processes: shells and sleeps. Each test stops what it started and sees that it is gone.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    process::ChildStdout,
    time::{Instant, timeout},
};

use rustix::process::Pid;

use super::{hold::Hold, *};
use crate::{error::Kind, session::process::start_time};

const DEADLINE: Duration = Duration::from_secs(20);
const GRACE: Duration = Duration::from_secs(10);

fn launcher(words: &[&str]) -> Launcher {
    Launcher::new(words.iter().map(Into::into), Path::new("/")).expect("a command")
}

fn shell(line: &str) -> Running {
    launcher(&["sh", "-c", line]).start().expect("sh starts")
}

fn lines(stdout: ChildStdout) -> Lines<BufReader<ChildStdout>> {
    BufReader::new(stdout).lines()
}

async fn line(lines: &mut Lines<BufReader<ChildStdout>>) -> String {
    timeout(DEADLINE, lines.next_line()).await.expect("a line in time").expect("read").expect("a line")
}

async fn pid(lines: &mut Lines<BufReader<ChildStdout>>) -> u32 {
    line(lines).await.parse().expect("a process id")
}

fn is_alive(pid: u32) -> bool {
    start_time(pid).is_some()
}

async fn stopped(process: &Process, grace: Duration) -> Stopped {
    timeout(DEADLINE, process.stop(grace)).await.expect("stopped in time").expect("stopped")
}

#[tokio::test]
async fn speaks_through_pipes_and_ends_with_its_stdin() {
    let Running { mut stdin, stdout, stderr: mut errors, process } = shell("echo ready >&2; cat");
    stdin.write_all(b"hello\n").await.expect("write");
    let mut lines = lines(stdout);
    assert_eq!(line(&mut lines).await, "hello");
    drop(stdin);
    let stopped = stopped(&process, GRACE).await;
    assert_eq!(stopped, Stopped { exit: Exit::Status(0), means: Means::EndOfFile });
    let mut said = String::new();
    errors.read_to_string(&mut said).await.expect("read");
    assert_eq!(said, "ready\n");
    assert!(!is_alive(process.pid()));
}

#[tokio::test]
async fn leads_a_group_of_its_own_in_the_folder_given() {
    let launcher = Launcher::new(["sh", "-c", "pwd; cat /proc/self/stat"].map(Into::into), Path::new("/usr"));
    let running = launcher.expect("a command").start().expect("start");
    let mut lines = lines(running.stdout);
    assert_eq!(line(&mut lines).await, "/usr");
    let stat = line(&mut lines).await;
    let group = stat.rsplit_once(')').expect("stat").1.split_ascii_whitespace().nth(2).expect("group");
    assert_eq!(group, running.process.pid().to_string());
    drop(running.stdin);
    stopped(&running.process, GRACE).await;
}

#[tokio::test]
async fn tells_how_it_ended_to_everyone_who_asks() {
    for (line, exit, said) in [
        ("exit 3", Exit::Status(3), "exit status 3"),
        ("kill -KILL $$", Exit::Signal(9), "SIGKILL"),
        ("kill -SEGV $$", Exit::Signal(11), "SIGSEGV"),
    ] {
        let process = shell(line).process;
        let (one, other) = tokio::join!(process.wait(), process.wait());
        assert_eq!((one.expect("exit"), other.expect("exit")), (exit, exit), "{line}");
        assert_eq!(exit.to_string(), said);
        // It stays there, unreaped, until the group was looked after.
        assert_eq!(stopped(&process, GRACE).await, Stopped { exit, means: Means::EndOfFile });
        assert_eq!(process.wait().await.expect("exit"), exit, "after it is gone, too");
        assert_eq!(stopped(&process, GRACE).await.exit, exit, "stopped twice");
    }
    assert_eq!(Exit::Signal(9).code(), 137);
}

#[tokio::test]
async fn one_that_does_not_mind_its_stdin_gets_sigterm_after_a_second() {
    let begun = Instant::now();
    let Running { stdin, stdout, stderr: _stderr, process } =
        shell("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done");
    assert_eq!(line(&mut lines(stdout)).await, "ready");
    drop(stdin);
    let stopped = stopped(&process, GRACE).await;
    assert_eq!(stopped, Stopped { exit: Exit::Status(7), means: Means::Terminate });
    assert!(begun.elapsed() >= END_OF_FILE_GRACE);
}

#[tokio::test]
async fn one_that_ignores_everything_is_killed_with_its_children() {
    let running = shell("trap '' TERM; sleep 1000 & echo $!; sh -c 'sleep 1000 & echo $!; wait' & echo $!; wait");
    let Running { stdin, stdout, stderr: _stderr, process } = running;
    let mut lines = lines(stdout);
    let children = [pid(&mut lines).await, pid(&mut lines).await, pid(&mut lines).await];
    assert!(children.iter().all(|child| is_alive(*child)));
    drop(stdin);
    let stopped = stopped(&process, Duration::from_millis(100)).await;
    assert_eq!(stopped, Stopped { exit: Exit::Signal(9), means: Means::Kill });
    for pid in children.into_iter().chain([process.pid()]) {
        assert!(!is_alive(pid), "{pid} is left");
    }
}

#[tokio::test]
async fn children_that_outlive_their_parent_are_ended_too() {
    let Running { stdin: _stdin, stdout, stderr: _stderr, process } = shell("sleep 1000 & echo $!");
    let child = pid(&mut lines(stdout)).await;
    assert_eq!(timeout(DEADLINE, process.wait()).await.expect("in time").expect("exit"), Exit::Status(0));
    assert!(is_alive(child));
    let stopped = stopped(&process, GRACE).await;
    assert_eq!(stopped, Stopped { exit: Exit::Status(0), means: Means::Terminate });
    assert!(!is_alive(child));
}

#[tokio::test]
async fn who_left_the_group_is_ended_too() {
    crate::session::mark::begin(&crate::session::new());
    let Running { stdin, stdout, stderr: _stderr, process } =
        shell("setsid sh -c 'trap \"\" TERM; echo $$; sleep 1000; sleep 1000' & read line");
    let daemon = pid(&mut lines(stdout)).await;
    let group = fs::read_to_string(format!("/proc/{daemon}/stat")).expect("alive");
    let group = group.rsplit_once(')').expect("stat").1.split_ascii_whitespace().nth(2).map(str::to_owned);
    assert_eq!(group, Some(daemon.to_string()), "in a group of its own");
    drop(stdin);
    stopped(&process, GRACE).await;
    assert!(!is_alive(daemon));
}

#[tokio::test]
async fn a_suspended_one_ends_as_well() {
    let Running { stdin, stdout, stderr: _stderr, process } = shell("echo ready; kill -STOP $$; sleep 1000");
    assert_eq!(line(&mut lines(stdout)).await, "ready");
    drop(stdin);
    let stopped = stopped(&process, GRACE).await;
    assert_eq!(stopped, Stopped { exit: Exit::Signal(15), means: Means::Terminate });
}

#[tokio::test]
async fn a_stop_may_be_cut_short_by_a_kill() {
    let Running { stdin: _stdin, stdout, stderr: _stderr, process } = shell("trap '' TERM; echo ready; sleep 1000");
    assert_eq!(line(&mut lines(stdout)).await, "ready");
    let begun = Instant::now();
    assert!(timeout(Duration::from_millis(50), process.stop(GRACE)).await.is_err());
    let killed = timeout(DEADLINE, process.kill()).await.expect("in time").expect("killed");
    assert_eq!(killed, Stopped { exit: Exit::Signal(9), means: Means::Kill });
    assert!(begun.elapsed() < END_OF_FILE_GRACE);
}

#[tokio::test]
async fn dropped_without_a_stop_it_is_killed() {
    let Running { stdin: _stdin, stdout, stderr: _stderr, process } = shell("sleep 1000 & echo $!; wait");
    let mut lines = lines(stdout);
    let child = pid(&mut lines).await;
    let child = Pid::from_raw(child.try_into().expect("a process id")).expect("a process id");
    let child = Hold::open(child).expect("open").expect("alive");
    drop(process);
    timeout(DEADLINE, child.ended()).await.expect("in time").expect("ended");
}

#[tokio::test]
async fn when_mcpmon_is_killed_its_server_reads_end_of_file() {
    const NAME: &str = "process::tests::when_mcpmon_is_killed_its_server_reads_end_of_file";
    const PIPE: &str = "PIPE_FOR_THE_SERVERS_PID";
    if std::env::var_os(PIPE).is_some() {
        // This is the mcpmon that is killed.
        let _running = shell(&format!("echo $$ > \"${PIPE}\"; cat"));
        return std::future::pending().await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let pipe = folder.path().join("pid");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
    let mut killed = Command::new(std::env::current_exe().expect("this program"));
    killed.args(["--exact", NAME]).env(PIPE, &pipe).stdout(Stdio::null()).stderr(Stdio::null());
    let mut killed = killed.spawn().expect("run");
    let server = tokio::task::spawn_blocking(move || fs::read_to_string(pipe));
    let server = timeout(DEADLINE, server).await.expect("in time").expect("no panic").expect("read");
    let server = Pid::from_raw(server.trim().parse().expect("a number")).expect("a process id");
    let hold = Hold::open(server).expect("open").expect("alive");
    killed.kill().expect("kill");
    killed.wait().expect("wait");
    let ended = timeout(DEADLINE, hold.ended()).await;
    if ended.is_err() {
        rustix::process::kill_process_group(server, rustix::process::Signal::KILL).expect("kill what is left");
    }
    ended.expect("the server has ended").expect("wait");
}

#[tokio::test]
async fn environment_is_handed_on_without_mcpmons_own() {
    const NAME: &str = "process::tests::environment_is_handed_on_without_mcpmons_own";
    if std::env::var_os("MCPMON_WATCH").is_none() {
        // This very test again, with something to leave out.
        let again = std::env::current_exe().expect("this program");
        let again = Command::new(again).args(["--exact", NAME]).env("MCPMON_WATCH", "src").output().expect("run");
        let said = String::from_utf8_lossy(&again.stdout);
        assert!(again.status.success() && said.contains("1 passed"), "{said}");
        return;
    }
    let running = launcher(&["env"]).start().expect("env starts");
    let mut said = String::new();
    let mut stdout = running.stdout;
    timeout(DEADLINE, stdout.read_to_string(&mut said)).await.expect("in time").expect("read");
    assert!(said.lines().any(|line| line.starts_with("PATH=")), "{said}");
    assert!(!said.lines().any(|line| line.starts_with("MCPMON_")), "{said}");
    stopped(&running.process, GRACE).await;
}

#[tokio::test]
async fn what_can_not_be_started_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str, mode: u32| {
        let path = folder.path().join(name);
        fs::write(&path, text).expect("write");
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("chmod");
    };
    write("plain.py", "print()", 0o644);
    write("no-line", "echo\n", 0o755);
    write("bad-line", "#!/nowhere/python9 -u\n", 0o755);
    write("windows", "#!/bin/sh\r\necho\r\n", 0o755);
    write("garbage", "\u{7f}ELF, but not really", 0o755);
    fs::create_dir(folder.path().join("sub")).expect("mkdir");
    for (program, kind, message, hint) in [
        ("mcpmon-has-no-such", Kind::NotFound, "was not found in PATH", "full path"),
        ("no-line", Kind::NotFound, "was not found in PATH", "`./no-line`"),
        ("./missing", Kind::NotFound, "no file ", "build"),
        ("./sub", Kind::NotExecutable, "is a folder", "name a program"),
        ("./plain.py", Kind::NotExecutable, "is not executable", "`python3 ./plain.py`"),
        ("./no-line", Kind::NotExecutable, "not a program for this machine", "#!/bin/sh"),
        ("./garbage", Kind::NotExecutable, "not a program for this machine", "built for this system"),
        ("./bad-line", Kind::NotFound, "begins with `#!/nowhere/python9 -u`", "correct the first line"),
        ("./windows", Kind::NotFound, "begins with `#!/bin/sh`", "Windows"),
        ("./plain.py/x", Kind::NotExecutable, "can't be reached", ""),
    ] {
        let error = Launcher::new([program.into()], folder.path()).expect("a command").start().expect_err(program);
        assert_eq!(error.kind, kind, "{program}: {error}");
        assert!(error.message.contains(message), "{program}: {error}");
        assert!(error.hint.as_deref().unwrap_or_default().contains(hint), "{program}: {:?}", error.hint);
    }
    let gone = Launcher::new(["sh".into()], &folder.path().join("gone")).expect("a command").start().expect_err("gone");
    assert_eq!(gone.kind, Kind::NotFound);
    assert!(gone.message.contains("its folder"), "{gone}");
    assert_eq!(Kind::NotFound.exit_code(), 127);
    assert_eq!(Kind::NotExecutable.exit_code(), 126);
}

#[test]
fn an_empty_command_is_refused() {
    for words in [vec![], vec![""], vec!["", "x"]] {
        let error = Launcher::new(words.into_iter().map(Into::into), Path::new("/")).expect_err("empty");
        assert_eq!(error.kind, Kind::Usage);
    }
}
