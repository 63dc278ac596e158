//! File, environment and flags to [`crate::model::Settings`], with the origin of every value.

pub mod file;
pub mod problem;
