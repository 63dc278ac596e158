//! File, environment and flags to [`crate::model::Settings`], with the origin of every value.

pub mod dotenv;
pub mod file;
pub mod interpolate;
pub mod nearest;
pub mod problem;
pub mod resolve;
pub mod secret;
pub mod value;
