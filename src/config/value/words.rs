//! A command line in one string, split into words as compose does it: a shell's quoting, and nothing else of a shell.

use super::Invalid;

/// The words; none for an empty string.
///
/// What a shell would act on outside of quotes (`&&`, `|`, `>`, …) is an error: compose cuts the line off there without
/// a word. Messages don't quote the line: a `${…}` may have put a secret into it.
pub fn parse(text: &str) -> Result<Vec<String>, Invalid> {
    let words = shell_words::split(text)
        .map_err(|_| Invalid::new("a quote is not closed").help("close it, or write a list of words"))?;
    match operator(text) {
        Some(operator) => Err(Invalid::new(format!("{operator:?} means nothing here: no shell runs the line"))
            .help("put it in quotes, or name the shell: [\"sh\", \"-c\", \"…\"]")),
        None => Ok(words),
    }
}

/// The first character outside of quotes that a shell would act on.
fn operator(text: &str) -> Option<char> {
    let mut quote = None;
    let mut escaped = false;
    for c in text.chars() {
        match (c, quote) {
            _ if escaped => escaped = false,
            ('\\', None | Some('"')) => escaped = true,
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (';' | '&' | '|' | '<' | '>', None) => return Some(c),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_like_a_shell_without_running_one() {
        let words = parse("echo \"a b\" 'c $x' d\\ e 'f && g' \\& \"h | \\\" >\"").unwrap();
        assert_eq!(words, ["echo", "a b", "c $x", "d e", "f && g", "&", "h | \" >"]);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("a \"b", "a quote is not closed"),
            ("a && b", "'&' means nothing here"),
            ("a 'x' | b", "'|' means nothing here"),
            ("a > b", "'>' means nothing here"),
            ("a; b", "';' means nothing here"),
        ];
        for (text, part) in cases {
            let message = parse(text).unwrap_err().message;
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}
