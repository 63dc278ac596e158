//! Pure: which file changes mean which reload, and when. The rules ([`Rules`]) say for each target what is
//! watched and what a change does; [`Trigger`] collects changes until the files are quiet. Time, file contents and
//! ignore files are passed in. It must not touch the file system, and not know how a reload is done.
//!
//! ```text
//! Settings -> Rules --> watch (which folders) --> Changes --> Trigger --poll(now)--> Reload
//!               \______________________________________________/
//! ```
//!
//! # What decides
//!
//! 1. `develop.watch` rules: of those that match a change, the strongest action counts (rebuild, restart, sync+restart,
//!    sync+exec, sync), and each sync rule copies to its own place ([`crate::sync`]). As in compose they obey
//!    `.dockerignore` and their own `ignore`, not `.gitignore`; `watch.extensions` does not narrow them, because
//!    they have `include`. What a rule's `ignore` names is no change of a bind mount or build context either; only
//!    another rule that matches it, or a path in `watch.paths`, makes it one. (compose watches nothing but what the rules
//!    say. Here mounts and contexts are watched beside them, so what a rule does not `include` is not said to be none.)
//! 2. The Dockerfile and its ignore file: rebuild.
//! 3. Everything else that is watched (bind mounts and build contexts by `auto`, and `watch.paths`), by where the
//!    change lies, not by why it is watched: under a bind mount → restart; in the build context (what
//!    `.dockerignore` leaves of it) → rebuild, because the running image can't have the change otherwise;
//!    elsewhere → restart. Where a bind mount and the build context overlap, the nearer folder decides, and on a
//!    tie the bind mount: the container sees the change already, and a rebuild on each save would be slow. Who
//!    wants the rebuild writes a `develop.watch` rule. A target that is a plain command has neither; `auto` means the
//!    files its command line names ([`Rules::watch_command`]), and a change restarts it.
//!
//! `.gitignore` counts for 3, from the repository's top (without a repository: from the project's folder) down. What
//! `auto` found is not watched when `.gitignore` excludes it as a whole (a server's data folder, say: its own writes
//! would reload it for ever); a path named in `watch.paths` is.
//!
//! Never a reason: version control's folders, editors' temporary files, `__pycache__` (see [`noise`]), mcpmon's
//! own extensions folder and log file, and the files that it prints into (which the watcher knows). Files mcpmon reads
//! itself (`mcpmon.toml`, env files) are for the plan, not for a reload, unless a rule names exactly that file.

pub mod changes;
pub mod debounce;
pub mod decide;
pub mod dockerignore;
pub mod ignores;
pub mod inputs;
pub mod noise;
pub mod rules;

pub use changes::{Changes, Entry};
pub use debounce::{Reload, Trigger};
pub use dockerignore::Dockerignore;
pub use ignores::Ignores;
pub use inputs::Inputs;
pub use rules::{Rules, TargetRules};

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
