//! Compose projects, as `docker compose` reads them: mcpmon does not reimplement compose; it names the files that
//! compose would use, adds one generated file as the last, and reads the result with `docker compose config`.
//!
//! | part | what it is for | pure |
//! |---|---|---|
//! | [`invocation`] | compose's own options as typed, and the command line again | yes |
//! | [`discover`] | the files that compose would use when nobody names them | over a narrow view of the files |
//! | [`generated`] | the file that mcpmon adds: labels, and what a target overrides | its text |
//! | [`config`] | what `docker compose config` says, as far as mcpmon needs it | reading; running is its edge |
//! | [`mentions`] | the other files that a compose file names | yes |
//! | [`develop`] | `develop.watch` as mcpmon's watch rules | yes |
//! | [`expand`] | a compose target to one target per service | yes |
//! | [`followers`] | which services go on after another one did | yes |
//! | [`settings`] | settings with their compose targets taken apart | no |
//! | [`plugin`] | where docker's compose plugin lies | no |
//! | [`cli`] | the compose command itself: found, run, its errors in its own words | no |

pub mod cli;
pub mod config;
pub mod develop;
pub mod discover;
pub mod expand;
pub mod followers;
pub mod generated;
pub mod invocation;
pub mod mentions;
pub mod plugin;
pub mod settings;
