//! What there is of a project: on the engine, among the processes, and in its folders.

use std::{fs, path::Path};

use super::doomed::MARK;
use crate::project::Project;

/// The ids of its containers that run.
pub(super) fn running(project: &Project) -> Vec<String> {
    let lines = project.on_the_engine();
    let containers = lines.iter().filter_map(|line| line.strip_prefix("container ")?.strip_suffix(" running"));
    containers.filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
}

/// All that is left of it. `stopped`: containers that do not run are meant to stay.
pub(super) fn left(project: &Project, stopped: bool) -> Vec<String> {
    let mut left = project.on_the_engine();
    left.retain(|line| !(stopped && line.starts_with("container ") && line.ends_with(" exited")));
    left.extend(processes(&project.name).into_iter().map(|pid| format!("process {pid} {}", command_line(pid))));
    for folder in ["run", "tmp"] {
        files(&project.elsewhere(folder), &mut left);
    }
    left
}

/// Processes that inherited the project's mark.
pub(super) fn processes(project: &str) -> Vec<u32> {
    let mark = format!("{MARK}={project}");
    all().filter(|pid| has(&format!("/proc/{pid}/environ"), &mark)).collect()
}

/// The watchdog of a session: a child of its that is `mcpmon` again.
pub(super) fn watchdog(session: u32) -> Option<u32> {
    let program = Path::new(env!("CARGO_BIN_EXE_mcpmon"));
    all().find(|pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).map(str::trim);
        let state = status.lines().find_map(|line| line.strip_prefix("State:")).map(str::trim_start);
        parent == Some(session.to_string().as_str())
            && state.is_some_and(|state| !state.starts_with('Z'))
            && fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == program)
    })
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The file has that among its zero-ended texts.
fn has(file: &str, text: &str) -> bool {
    fs::read(file).is_ok_and(|bytes| bytes.split(|byte| *byte == 0).any(|part| part == text.as_bytes()))
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&bytes).replace('\0', " ")
}

fn files(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(format!("file {}", path.display()));
        }
    }
}
