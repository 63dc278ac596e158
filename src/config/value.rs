//! Small formats, by docker's and compose's rules, one module each. Pure: text in, value or [`Invalid`] out.
//! They don't know which key they are read for.

pub mod duration;
pub mod glob;
pub mod mount;
pub mod number;
pub mod port;
pub mod restart;
pub mod size;
pub mod whole;
pub mod words;

use std::fmt;

use super::problem::{KeyPath, Problem};

/// Why a text is not a value, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong: `port 99999 is above 65535`.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Invalid {
    /// Without a way out.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// At a key.
    #[must_use]
    pub fn at(self, path: KeyPath) -> Problem {
        Problem { path, at_key: false, message: self.message, help: self.help }
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
