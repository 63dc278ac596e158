//! A command line in one string, split into words as compose does it: a shell's quoting, and nothing else of a shell.

use super::Invalid;

/// The words; none for an empty string.
pub fn parse(text: &str) -> Result<Vec<String>, Invalid> {
    shell_words::split(text).map_err(|_| {
        Invalid::new(format!("a quote is not closed in {text:?}")).help("close it, or write a list of words")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_a_shell_without_running_one() {
        assert_eq!(parse("echo \"a b\" 'c $x' d\\ e && f").unwrap(), ["echo", "a b", "c $x", "d e", "&&", "f"]);
        assert!(parse("").unwrap().is_empty());
        assert!(parse("a \"b").is_err());
    }
}
