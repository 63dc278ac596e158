//! File, environment and flags to [`crate::model::Settings`], with the origin of every value.

pub mod dotenv;
pub mod file;
pub mod interpolate;
pub mod problem;
pub mod value;
