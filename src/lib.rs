//! mcpmon: the map of the house. No logic here.
//!
//! ```text
//! mcpmon.toml + env + flags -> config -> Settings --\
//!                                                    plan (pure) -> actions -> engine
//!              engine (list by label, events) -> Observed -/  ^________ observe again
//!
//! file event -> trigger (globs, debounce; time passed in) -> which targets, which action -> reload
//! ```
//!
//! | room | what it is for | pure |
//! |---|---|---|
//! | [`model`] | the words: targets, container specs, labels, settings, what was observed | yes |
//! | [`config`] | file, environment and flags to [`model::Settings`], with the origin of every value | reading at its edge |
//! | [`plan`] | desired and observed to an ordered list of actions and holds | yes |
//! | [`trigger`] | file changes to "which target, which action", debounced | yes |
//! | [`sync`] | what the sync actions copy into a container: which files, and where to | reading at its edge |
//! | [`orphan`] | who owns a container, and whether the owner lives | yes |
//! | [`docker_line`] | a docker command line as typed, and with labels put in | yes |
//! | [`compose`] | compose projects: their files, what `docker compose config` says, the file mcpmon adds | but for its edge |
//! | [`engine`] | the container engine behind a narrow trait | no |
//! | [`detect`] | a command line to the files and folders its server is made of | but for one narrow edge |
//! | [`watch`] | the file system's events | no |
//! | [`process`] | a plain command as a child, stopped with all it started | no |
//! | [`session`] | this process's identity, its lease and watchdog, what others' leases say, and signals | no |
//! | [`reconcile`] | the loop: the one place where state changes | no |
//! | [`proxy`] | the stdio session: between an MCP client and the servers that come and go | its core |
//! | [`extension`] | named units beside a stdio session: results that are too large, … | files at its edge |
//! | [`output`] | what a person or a program reads of all this | no |
//! | [`commands`] | one file per command; wiring only | no |
//!
//! Pure modules import std, serde, globset, uuid and each other. Adapters import pure modules.
//! Nobody imports [`commands`] or [`cli`].

pub mod cli;
pub mod commands;
pub mod compose;
pub mod config;
pub mod detect;
pub mod docker_line;
pub mod engine;
pub mod error;
pub mod extension;
#[cfg(feature = "faults")]
mod faults;
pub mod model;
pub mod orphan;
pub mod output;
pub mod plan;
pub mod process;
pub mod proxy;
pub mod reconcile;
pub mod session;
pub mod sync;
pub mod trigger;
pub mod watch;

/// Version and commit, as `mcpmon --version` shows them.
pub const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("MCPMON_COMMIT"), ")");
