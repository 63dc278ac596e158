//! An engine of a test's own, which may be killed: own socket, data, containerd, and a network namespace of its own. Gone with everything of it
//! when the test ends. The engine that all tests share is never touched. Needs root, as any engine does.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::{project::kill, support::IMAGE};

/// How long an engine may take to come up on a busy machine.
const UP: Duration = Duration::from_mins(1);

/// The engine.
pub(crate) struct SecondEngine {
    folder: tempfile::TempDir,
    process: Option<Child>,
}

impl SecondEngine {
    /// Started, with the tests' image.
    pub(crate) fn new() -> Self {
        let mut engine = Self { folder: tempfile::tempdir().expect("a folder"), process: None };
        engine.start();
        let image = engine.path("image.tar");
        let saved = Command::new("docker").args(["save", "-o"]).arg(&image).arg(IMAGE).output().expect("docker save");
        assert!(saved.status.success(), "{saved:?}");
        let loaded = engine.docker(&["load", "-i", &image.display().to_string()]);
        assert!(loaded.0, "{}", loaded.1);
        engine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What `DOCKER_HOST` is for it.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.path("docker.sock").display())
    }

    /// The docker CLI on it: whether it succeeded, and what it printed.
    pub(crate) fn docker(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("docker").args(["-H", &self.address()]).args(arguments).output().expect("docker");
        let text = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// Starts it, and waits until it answers.
    pub(crate) fn start(&mut self) {
        // With a network of its own: an engine without a bridge removes `docker0`, which is the other engine's.
        let mut command = Command::new("unshare");
        command.args(["--net", "dockerd"]);
        let at = |option: &str, name: &str| format!("--{option}={}", self.path(name).display());
        command.args([at("data-root", "data"), at("exec-root", "exec"), at("pidfile", "pid")]);
        command.args([
            "--bridge=none",
            "--iptables=false",
            "--ip6tables=false",
            "--ip-forward=false",
            "--ip-masq=false",
        ]);
        command.args(["-H", &self.address()]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.process = Some(command.spawn().expect("unshare starts"));
        let deadline = Instant::now() + UP;
        while !self.docker(&["version", "--format", "{{.Server.Version}}"]).0 {
            assert!(Instant::now() < deadline, "the engine did not come up within {UP:?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Asks it to end: it stops its containers first.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            kill(process.id(), "TERM");
            let _ = process.wait();
        }
    }

    /// Kills it, its containerd and the containers' keepers, as a machine that goes down does.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            kill(process.id(), "KILL");
            let _ = process.wait();
        }
        // Everything else of it names its folder; killed it leaves children, so until there is none.
        while let processes @ [_, ..] = &of(self.folder.path())[..] {
            for pid in processes {
                let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).output();
            }
        }
        let _ = std::fs::remove_file(self.path("pid"));
        let _ = std::fs::remove_file(self.path("exec/containerd/containerd.pid"));
    }
}

/// Processes with that folder in their command line.
fn of(folder: &Path) -> Vec<u32> {
    let folder = folder.display().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let names = String::from_utf8_lossy(&line).contains(&folder);
        names && mcpmon::session::process::start_time(*pid).is_some()
    })
    .collect()
}

impl Drop for SecondEngine {
    fn drop(&mut self) {
        if self.process.is_some() {
            let ids = self.docker(&["ps", "-aq"]).1;
            let ids: Vec<&str> = ids.split_whitespace().collect();
            if !ids.is_empty() {
                self.docker(&[&["rm", "-f"], &ids[..]].concat());
            }
        }
        self.kill();
        // What it had mounted would keep the folder from being removed.
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let folder = self.folder.path().display().to_string();
        for mount in
            mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|mount| mount.starts_with(&folder))
        {
            let _ = Command::new("umount").args(["-l", mount]).output();
        }
    }
}
