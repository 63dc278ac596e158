//! A plain command as a server: a child of mcpmon with pipes for stdin, stdout and stderr, in a process group of its
//! own. It must not know what is said through the pipes, nor when a server is to be started or stopped.
//!
//! # The group
//!
//! The child leads a new process group, so that a Ctrl-C at the terminal reaches mcpmon alone, which then ends the
//! server in order; and so that `npm run dev`, `uv run …` and shells are stopped with everything they started. Whoever
//! leaves the group (a daemon, a job of an interactive shell) is found by the mark that all of them carry in their
//! environment ([`kin`]), and ended after the group.
//!
//! No signal can hit a stranger whose process id happens to be the same: the leader's process table entry is kept
//! (it is not waited for with `wait(2)`) until the group is gone, and as long as it is there the kernel gives its
//! number to nobody else. Who lives in the group is read from `/proc`, and their end is waited for by file
//! descriptors that stand for processes (pidfd), not by looking again and again.
//!
//! # When mcpmon is killed
//!
//! Its ends of the pipes close, so the server reads end of file, on which the protocol asks it to end. Whoever does not,
//! is ended by the session's watchdog, by its mark. (The kernel's own remedy, `PR_SET_PDEATHSIG`, reaches the leader
//! alone; being its children's subreaper ends with the subreaper.)

mod exit;
mod group;
mod handle;
mod hold;
pub mod kin;
mod refusal;
#[cfg(test)]
mod tests;

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tokio::{
    process::{ChildStderr, ChildStdin, ChildStdout},
    signal::unix::{SignalKind, signal},
};

pub use self::{
    exit::Exit,
    handle::{END_OF_FILE_GRACE, Means, Process, Stopped},
};
use crate::{
    error::{Error, Result},
    session::mark,
};

/// How a command is started, as often as it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launcher {
    words: Vec<OsString>,
    folder: PathBuf,
}

/// A command that has been started.
#[derive(Debug)]
pub struct Running {
    /// What it reads. Dropping it is the server's end of file.
    pub stdin: ChildStdin,
    /// What it prints. It must be read on, to the end: a full pipe (64 KiB) stops the server.
    pub stdout: ChildStdout,
    /// What it complains about. It must be read on, too.
    pub stderr: ChildStderr,
    /// The process itself.
    pub process: Process,
}

impl Launcher {
    /// The program and its arguments, and the folder it runs in (absolute). A program without a slash is looked up in
    /// `PATH`, one with a slash from the folder.
    ///
    /// # Errors
    /// When there is no word, or the program's name is empty.
    pub fn new(words: impl IntoIterator<Item = OsString>, folder: &Path) -> Result<Self> {
        let words: Vec<OsString> = words.into_iter().collect();
        if words.first().is_none_or(|program| program.is_empty()) {
            return Err(Error::usage("the command to run is empty")
                .hint("name a program and its arguments: `mcpmon python server.py`"));
        }
        Ok(Self { words, folder: folder.to_path_buf() })
    }

    /// Starts the command; it runs when this returns (its file has been found and could be executed). mcpmon's
    /// environment is handed on without `MCPMON_*`. Must be called in a tokio runtime.
    ///
    /// # Errors
    /// [`NotFound`](crate::error::Kind::NotFound) and [`NotExecutable`](crate::error::Kind::NotExecutable), with what
    /// to do about it.
    pub fn start(&self) -> Result<Running> {
        // Whoever started mcpmon may have it ignore SIGCHLD; then children vanish unasked when they end, and their
        // numbers are free for others. A handler ends that.
        let _ = signal(SignalKind::child()).map_err(|error| self.failed(error))?;
        let (program, arguments) = self.words.split_first().ok_or_else(|| self.failed(io::ErrorKind::InvalidInput))?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"MCPMON_") {
                command.env_remove(name);
            }
        }
        let mark = mark::put(&mut command, mark::Kind::Server);
        let mut child = command.spawn().map_err(|error| refusal::explain(program, &self.folder, error))?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        // From here on the process is ended when anything fails.
        let process = Process::new(child, mark).map_err(|error| self.failed(error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(self.failed(io::ErrorKind::BrokenPipe));
        };
        Ok(Running {
            stdin: ChildStdin::from_std(stdin).map_err(|error| self.failed(error))?,
            stdout: ChildStdout::from_std(stdout).map_err(|error| self.failed(error))?,
            stderr: ChildStderr::from_std(stderr).map_err(|error| self.failed(error))?,
            process,
        })
    }

    /// The command as it was typed, quoted for a shell.
    pub fn line(&self) -> String {
        shell_words::join(self.words.iter().map(|word| word.to_string_lossy()))
    }

    fn failed(&self, error: impl Into<io::Error>) -> Error {
        let program = self.words.first().map(|program| program.to_string_lossy()).unwrap_or_default();
        Error::failed(format!("`{program}` can't be run as a server")).caused_by(error.into())
    }
}
