//! What is wrong with a configuration, said by key: the layers turn the key into file, line and
//! column, or into the variable or flag that set it. Nothing here knows about files.

use std::fmt;

/// Where a value sits in the configuration: `targets.api.ports[0]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(pub Vec<Segment>);

/// One step of a [`KeyPath`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Segment {
    /// A table's key.
    Key(String),
    /// A list's index.
    Index(usize),
}

impl KeyPath {
    /// This path and one more key.
    #[must_use]
    pub fn key(&self, key: impl Into<String>) -> Self {
        self.with(Segment::Key(key.into()))
    }

    /// This path and one more index.
    #[must_use]
    pub fn index(&self, index: usize) -> Self {
        self.with(Segment::Index(index))
    }

    fn with(&self, segment: Segment) -> Self {
        let mut path = self.clone();
        path.0.push(segment);
        path
    }
}

impl fmt::Display for KeyPath {
    /// Keys that TOML would quote are quoted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) => {
                    if position > 0 {
                        f.write_str(".")?;
                    }
                    let bare =
                        !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
                    if bare { f.write_str(key)? } else { write!(f, "{key:?}")? }
                }
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The value (or key) meant.
    pub path: KeyPath,
    /// Point at the key itself, not at its value.
    pub at_key: bool,
    /// What is wrong, without place: `port 99999 is above 65535`.
    pub message: String,
    /// What to do: `did you mean "image"?`.
    pub help: Option<String>,
}

impl Problem {
    /// Something wrong with the value at `path`.
    pub fn new(path: KeyPath, message: impl Into<String>) -> Self {
        Self { path, at_key: false, message: message.into(), help: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}
