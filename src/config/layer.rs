//! One source of configuration (a file, a profile, a variable, a flag): its text and what was read out of it.
//! Spans are byte ranges of that text, so that every kind of source is shown in the same way.

use std::{fmt, path::PathBuf, sync::Arc};

use figment::{
    Error, Metadata, Profile, Provider,
    value::{Dict, Map},
};

use super::node::{Data, Node, entry_values};

/// Which source a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// What holds where nobody said anything.
    Defaults,
    /// A file, or one `[profile.NAME]` of it.
    File {
        /// Where it lies.
        path: PathBuf,
        /// As messages show it: relative to the current folder where that is shorter.
        shown: String,
        /// The profile.
        profile: Option<String>,
    },
    /// An environment variable.
    Variable {
        /// Its name.
        name: String,
    },
    /// `--set KEY=VALUE`.
    Set,
    /// A flag.
    Flag {
        /// With its dashes.
        name: String,
    },
}

impl Source {
    /// Values from files may hold `${…}`; what comes from the environment and the command line is taken as it is.
    pub fn interpolates(&self) -> bool {
        matches!(self, Self::File { .. })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Defaults => f.write_str("default"),
            Self::File { shown, profile: None, .. } => f.write_str(shown),
            Self::File { shown, profile: Some(profile), .. } => write!(f, "{shown} [profile.{profile}]"),
            Self::Variable { name } | Self::Flag { name } => f.write_str(name),
            Self::Set => f.write_str("--set"),
        }
    }
}

/// A source that has been read.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Which.
    pub source: Source,
    /// What it says, secrets masked: the file's text, `NAME=VALUE`, `--set KEY=VALUE`, `--flag VALUE`.
    pub text: Arc<str>,
    /// What was read.
    pub root: Node,
}

impl Layer {
    /// Line and column, both from 1, of a byte of the text; columns count characters.
    pub fn position(&self, offset: usize) -> (usize, usize) {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// Where the value at `offset` stands, in words: `mcpmon.toml:12:5`, `MCPMON_DELAY`.
    pub fn place(&self, offset: usize) -> String {
        match &self.source {
            Source::File { shown, profile, .. } => {
                let (line, column) = self.position(offset);
                match profile {
                    Some(profile) => format!("{shown}:{line}:{column} [profile.{profile}]"),
                    None => format!("{shown}:{line}:{column}"),
                }
            }
            Source::Set => self.text.to_string(),
            source => source.to_string(),
        }
    }
}

/// A layer as figment takes it. A layer is given twice: what replaces, then the lists that append.
pub struct LayerProvider<'a> {
    /// The layer.
    pub layer: &'a Layer,
    /// Its number; figment's metadata carries it from a value back to its layer.
    pub index: usize,
    /// Give the lists that append.
    pub append: bool,
}

impl Provider for LayerProvider<'_> {
    fn metadata(&self) -> Metadata {
        Metadata::from(self.layer.source.to_string(), self.index.to_string().as_str())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let dict = match &self.layer.root.data {
            Data::Table(entries) => entry_values(entries, self.append),
            _ => Dict::new(),
        };
        Ok(Profile::Default.collect(dict))
    }
}
