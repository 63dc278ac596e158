//! File, environment and flags to [`crate::model::Settings`], with the origin of every value.
//!
//! ```text
//! discover -> document (TOML) --\
//!             environment        > check, normalise, form -> merge (figment) -> fill (${…}) -> File -> resolve -> Settings
//!             command_line -----/                        |
//!                                                        v
//!                                    diagnostics: every fault, with the place that somebody wrote
//! ```
//!
//! Reading files and looking for them is all the effect there is; everything else is a function of [`Request`].

pub mod check;
pub mod claim;
pub mod command_line;
pub mod diagnostics;
pub mod discover;
pub mod document;
pub mod dotenv;
pub mod environment;
pub mod file;
pub mod fill;
pub mod form;
pub mod interpolate;
pub mod layer;
mod load;
pub mod merge;
pub mod nearest;
pub mod node;
pub mod normalise;
pub mod numbers;
pub mod problem;
pub mod read;
pub mod resolve;
pub mod secret;
pub mod shape;
pub mod show;
pub mod sources;
pub mod unset;
pub mod value;

pub use command_line::Override;
pub use load::{Loaded, Request, load};

#[cfg(test)]
mod tests;
