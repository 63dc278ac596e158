//! Globs: whether they are some.

use globset::GlobBuilder;

use super::Invalid;

/// One that matches something; one that begins with `!` takes out what others match.
pub fn check(text: &str) -> Result<(), Invalid> {
    match GlobBuilder::new(text.trim_start_matches('!')).literal_separator(true).build() {
        Ok(_) if !text.is_empty() => Ok(()),
        Ok(_) => Err(Invalid::new("an empty glob matches nothing")),
        Err(error) => Err(Invalid::new(format!("{text:?} is not a glob: {}", error.kind()))
            .help("* any part of a name, ** any folders, ? one character, [ab] one of these, {a,b} either")),
    }
}
