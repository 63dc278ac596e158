//! The file system's events: one watcher for all roots of a project, which never dies and never drops a change.
//! It must not know what a change does; [`crate::trigger::Rules`] says what is wanted.
//!
//! ```text
//! notify's thread --Inbox--> Worker (a thread: tree, ignore files, settling) --Outbox--> ChangeReceiver
//! ```
//!
//! # How
//!
//! - **Own walk.** notify's recursive mode on Linux puts a watch on every folder, ignored ones too: a `target/` or
//!   `node_modules/` with 10,000s of folders would cost as many watches and seconds of CPU. So `tree` walks by itself
//!   and watches only folders in which something can count, each by itself. A watch is set before its folder is
//!   listed: what appears in between is seen twice, never missed. Where the system watches whole trees at no cost
//!   (macOS, Windows) one recursive watch per root is set instead, and the same rules filter its events.
//! - **Level-triggered.** An event only says "look at this path". Made, moved and removed folders are looked at again;
//!   a lost event (queue overflow) is a [`rescan`](crate::trigger::Changes::rescan): every watch is set again and
//!   everything counts as changed.
//! - **Roots that are not there** (not yet, or deleted) are waited for at the nearest folder that is.
//! - **Single files** (bind mounts of a file, `mcpmon.toml`, env files) are watched through their folder, because a
//!   save by rename replaces the file; their content is compared, so that a touch is no change.
//! - **A save is finished** when the file is closed after writing or renamed into place. A file that is still being
//!   written, or is gone, counts only after `settle::SETTLE` (50 ms): editors delete and write again. So even with a
//!   delay of 0 one save is one reload. The configuration's own files count together, once all of them have been quiet
//!   for 100 ms: one that was emptied and is not filled yet would be read as a project without targets.
//! - **What this process prints** is no change, where its stdout or stderr is a file in a watched folder.
//! - **Nothing is bounded by dropping.** Both boxes hold each path once; past 100,000 paths they become one rescan.
//!
//! Known weakness: notify looks through all its watches for each watched folder that is removed, so the removal of
//! 10,000 watched (not ignored) folders at once keeps its thread busy for seconds. Nothing is lost meanwhile: the
//! kernel's queue waits, and where it overflows there is a rescan.
//!
//! Not seen: changes of permissions or times alone (a relabelled bind mount would reload itself for ever), and, as for
//! everyone, changes on network mounts made by other machines.

mod inbox;
mod outbox;
mod printed;
mod settle;
mod tree;
mod worker;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc, thread};

pub use outbox::ChangeReceiver;
use tokio::sync::oneshot;

use self::{
    inbox::{Command, Inbox},
    outbox::Outbox,
    printed::Printed,
    tree::Tree,
    worker::Worker,
};
use crate::{
    error::{Error, Result},
    trigger::Rules,
};

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watcher {
    inbox: Arc<Inbox>,
}

impl Watcher {
    /// A watcher without roots, and the end where changes come out.
    ///
    /// # Errors
    /// When the system gives no watcher (inotify instances per user are limited); the hint says which setting.
    pub fn new() -> Result<(Self, ChangeReceiver)> {
        Self::printing(Printed::by_this_process())
    }

    fn printing(printed: Printed) -> Result<(Self, ChangeReceiver)> {
        let inbox = Arc::new(Inbox::default());
        let handler = Arc::clone(&inbox);
        let watcher = notify::recommended_watcher(move |event| handler.notified(event)).map_err(|error| {
            Error::failed("files can't be watched").caused_by(error).hint(
                "each user has a limited number of inotify instances: end other programs that watch files, or raise \
                 it with `sysctl fs.inotify.max_user_instances=512`",
            )
        })?;
        let outbox = Arc::new(Outbox::default());
        let worker = Worker::new(Arc::clone(&inbox), Arc::clone(&outbox), Tree::new(Box::new(watcher)), printed);
        thread::Builder::new()
            .name("mcpmon-watch".to_string())
            .spawn(move || worker.run())
            .map_err(|error| Error::failed("the watching thread can't be started").caused_by(error))?;
        Ok((Self { inbox }, ChangeReceiver::new(outbox)))
    }

    /// Watches what these rules want and these input files (missing ones too), as a difference to what is watched
    /// already. When it returns, everything that changes from now on will be seen.
    pub async fn set(&self, rules: Arc<Rules>, inputs: impl IntoIterator<Item = PathBuf>) {
        for what in rules.described() {
            tracing::debug!("{what}");
        }
        let (reply, done) = oneshot::channel();
        let inputs: BTreeSet<PathBuf> = inputs.into_iter().map(|path| crate::trigger::rules::tidy(&path)).collect();
        self.inbox.command(Command::Set { rules, inputs, reply });
        // An error means that the worker ended, which only dropping `self` brings about.
        let _ = done.await;
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.inbox.command(Command::End);
    }
}

#[cfg(test)]
mod tests;
