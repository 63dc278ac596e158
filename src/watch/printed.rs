//! The files that this process prints into: its stdout and stderr, where these are files. A line that it prints must not
//! come back to it as a change (`mcpmon up 2> log` in a watched folder would reload for ever). Children that have the
//! same outputs (docker's CLI) print into the same files. So does whoever started this process: a supervisor's own
//! outputs are elsewhere, and it watches already while its starter shows what happens.

use std::{
    collections::BTreeSet,
    fs::{self, File, Metadata},
    io::{self, stderr, stdout},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::MetadataExt,
    },
};

/// By device and inode: whatever they are called, and also after they were renamed.
#[derive(Debug, Default)]
pub(super) struct Printed(BTreeSet<(u64, u64)>);

impl Printed {
    /// This process's, and its parent's where the system shows them.
    pub(super) fn by_this_process() -> Self {
        let own = [about(stdout().as_fd()), about(stderr().as_fd())];
        let parent = rustix::process::getppid().map_or(0, rustix::process::Pid::as_raw_pid);
        let parents = [1, 2].map(|output| fs::metadata(format!("/proc/{parent}/fd/{output}")));
        Self::into(own.into_iter().chain(parents).flatten())
    }

    /// Those of these outputs that are files.
    pub(super) fn into(outputs: impl IntoIterator<Item = Metadata>) -> Self {
        Self(outputs.into_iter().filter(Metadata::is_file).map(|about| id(&about)).collect())
    }

    /// Whether a file is one of them.
    pub(super) fn has(&self, about: &Metadata) -> bool {
        self.0.contains(&id(about))
    }
}

/// Fails where it is closed.
fn about(output: BorrowedFd<'_>) -> io::Result<Metadata> {
    File::from(output.try_clone_to_owned()?).metadata()
}

fn id(about: &Metadata) -> (u64, u64) {
    (about.dev(), about.ino())
}
