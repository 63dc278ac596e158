//! `.env` and `env_file` by compose's rules, which are neither docker's `--env-file` nor a shell's:
//!
//! - `KEY=value`, `KEY: value`, `export KEY=value`; a bare `KEY` takes the value from outside, and is left out without one.
//! - Without quotes: to the end of the line, ` #` begins a comment, blanks around it go, variables are filled in.
//! - `'…'`: literal, may span lines, `\'` is a quote. `"…"`: the same, with `\n \r \t \a \b \f \v \" \\ \$` and variables filled in.
//!   What follows the closing quote on its line is ignored.
//! - Variables come from outside first, then from the lines above.
//!
//! Tried line by line with `docker compose config` 2.26; `tests/` repeats that with the installed one. Pure: text in, pairs out.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    interpolate::{InterpolationErrorKind, interpolate},
    value::Invalid,
};

/// What a file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dotenv {
    /// The variables; the last line wins.
    pub values: BTreeMap<String, String>,
    /// Variables that were filled in blank because nothing sets them.
    pub unset: BTreeSet<String>,
}

/// One wrong line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DotenvError {
    /// Its number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub invalid: Invalid,
}

/// Reads a whole file. `lookup` is what lies outside of it; all wrong lines are told at once.
pub fn parse(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Dotenv, Vec<DotenvError>> {
    let (found, errors) = parse_all(text, lookup);
    if errors.is_empty() { Ok(found) } else { Err(errors) }
}

/// The same: what the good lines say, and the wrong ones.
pub fn parse_all(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> (Dotenv, Vec<DotenvError>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut found = Dotenv::default();
    let mut errors = Vec::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let line = text[..text.len() - rest.len()].matches('\n').count() + 1;
        match statement(rest, &found.values, lookup) {
            Ok((Some((key, value, unset)), after)) => {
                if let Some(value) = value {
                    found.values.insert(key, value);
                }
                found.unset.extend(unset);
                rest = after;
            }
            Ok((None, after)) => rest = after,
            Err(invalid) => {
                errors.push(DotenvError { line, invalid });
                rest = after_line(rest);
            }
        }
    }
    (found, errors)
}

/// Key, value (None: bare, and not set outside), variables that were not set.
type Pair = (String, Option<String>, BTreeSet<String>);

/// One statement from the start of a line, and what comes after it.
fn statement<'a>(
    text: &'a str,
    above: &BTreeMap<String, String>,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(Option<Pair>, &'a str), Invalid> {
    let line = line(text);
    let trimmed = line.trim_start();
    if trimmed.trim_end().is_empty() || trimmed.starts_with('#') {
        return Ok((None, after_line(text)));
    }
    let body = match trimmed.strip_prefix("export") {
        Some(rest) if rest.starts_with([' ', '\t']) => rest.trim_start(),
        _ => trimmed,
    };
    let Some(separator) = body.find(['=', ':']) else {
        let key = checked_key(body.trim_end())?;
        let value = lookup(&key);
        return Ok((Some((key, value, BTreeSet::new())), after_line(text)));
    };
    let key = checked_key(body[..separator].trim_end())?;
    // From here on the value may go on over lines: look at the text, not at the line.
    let start = line.len() - body.len() + separator + 1;
    let value = text[start..].trim_start_matches([' ', '\t']);
    let all = |name: &str| lookup(name).or_else(|| above.get(name).cloned());
    let fill = |text: &str| {
        interpolate(text, &all).map_err(|error| match error.kind {
            // The text itself may be a secret.
            InterpolationErrorKind::Format(_) => {
                Invalid::new(format!("the value of {key} has a ${{ that is no variable"))
                    .help("write ${NAME}; a plain $ is written $$, or put the value in single quotes")
            }
            _ => error.into(),
        })
    };
    let Some(quote) = value.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let value = self::line(value);
        let value = value.find(" #").map_or(value, |comment| &value[..comment]).trim_end();
        let filled = fill(value)?;
        return Ok((Some((key, Some(filled.text), filled.unset)), after_line(&text[start..])));
    };
    let inner = &value[1..];
    let Some(end) = closing_quote(inner, quote) else {
        return Err(Invalid::new(format!("the value of {key} has no closing {quote}"))
            .help("close the quote; a value with quotes may span lines"));
    };
    let (inner, after) = (&inner[..end], after_line(&inner[end + 1..]));
    if quote == '\'' {
        return Ok((Some((key, Some(inner.replace("\\'", "'")), BTreeSet::new())), after));
    }
    let filled = fill(&unescaped(inner))?;
    Ok((Some((key, Some(filled.text), filled.unset)), after))
}

fn line(text: &str) -> &str {
    text.split('\n').next().unwrap_or(text)
}

fn after_line(text: &str) -> &str {
    text.split_once('\n').map_or("", |(_, after)| after)
}

fn checked_key(key: &str) -> Result<String, Invalid> {
    let wrong = key.chars().find(|c| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']')));
    match wrong {
        _ if key.is_empty() => Err(Invalid::new("a line without a name before its =")),
        // Not the name itself: what is no name may be part of a secret.
        Some(c) => Err(Invalid::new(format!("{c:?} can't be part of a variable's name"))
            .help("write KEY=value, one a line; a value with line breaks needs quotes")),
        None => Ok(key.to_owned()),
    }
}

/// Where `quote` closes; one after a backslash does not.
fn closing_quote(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// The escapes of a double-quoted value; others stay as they are. `\$` becomes `$$`, which interpolation reads as `$`.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('a') => out.push('\u{7}'),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('v') => out.push('\u{b}'),
            Some('$') => out.push_str("$$"),
            Some(same @ ('"' | '\\')) => out.push(same),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        (name == "H").then(|| "host".to_owned())
    }

    fn shown(text: &str) -> String {
        let found = parse(text, &lookup).unwrap_or_else(|errors| panic!("{text:?}: {errors:?}"));
        found.values.iter().fold(String::new(), |all, (key, value)| all + key + "=" + value + ";")
    }

    #[test]
    fn reads_what_compose_reads() {
        let cases = [
            ("A=1\nB = 2\n  C=3\n", "A=1;B=2;C=3;"),
            ("A: yaml\n", "A=yaml;"),
            ("export A=1\nexport\tB=2\n", "A=1;B=2;"),
            ("A=a b  # c\nB=a#b\nC= # c\nD=#x\n", "A=a b;B=a#b;C=# c;D=#x;"),
            ("A='x $B \\n \\' y'\n", "A=x $B \\n ' y;"),
            ("A=\"x\\ny\\tz \\\"q\\\" \\\\ \\$B $B\"\nB=2\n", "A=x\ny\tz \"q\" \\ $B ;B=2;"),
            ("B=2\nA=$B ${B} ${C:-d} ${B:+r} $$B\n", "A=2 2 d r $B;B=2;"),
            ("A=\nB=\"\"\nC=''\n", "A=;B=;C=;"),
            ("A\nH\nexport B\n", "H=host;"),
            ("A=\"multi\nline\"\nB='m\nl'\n", "A=multi\nline;B=m\nl;"),
            ("A=\"x\" # c\nB=\"x\"y\nC='x'y", "A=x;B=x;C=x;"),
            ("1A=2\nA-B.c[0]=1\n", "1A=2;A-B.c[0]=1;"),
            ("A=1\r\nB=2\r\n", "A=1;B=2;"),
            ("A=x\\ny\n", "A=x\\ny;"),
            ("A=a=b:c\n", "A=a=b:c;"),
            ("# c\n\n   # d\nA=1", "A=1;"),
            ("A=$1 x\nB=$\n", "A=$1 x;B=$;"),
            ("A=x'y'\n", "A=x'y';"),
            ("A=\"a\\qb\\u0041\"\n", "A=a\\qb\\u0041;"),
            ("A=h\nA=i\n", "A=i;"),
            ("A='${B}'\nB=1\n", "A=${B};B=1;"),
            ("A=tail   \nB=\tq\n", "A=tail;B=q;"),
            ("\u{feff}A=1\n", "A=1;"),
            ("A=$B\nB=2\n", "A=;B=2;"),
            ("A=$H\nH=file\nB=$H\n", "A=host;B=host;H=file;"),
            ("A=\\\nB=1\n", "A=\\;B=1;"),
            ("A=\n\nB=x\n", "A=;B=x;"),
        ];
        for (text, want) in cases {
            assert_eq!(shown(text), want, "{text:?}");
        }
    }

    #[test]
    fn tells_all_wrong_lines_and_their_numbers() {
        let errors = parse("A=1\nA B=2\n=3\nC=${\nD='\nE!=1", &lookup).unwrap_err();
        let shown: Vec<String> = errors.iter().map(|error| format!("{}: {}", error.line, error.invalid)).collect();
        assert_eq!(
            shown,
            [
                "2: ' ' can't be part of a variable's name",
                "3: a line without a name before its =",
                "4: the value of C has a ${ that is no variable",
                "5: the value of D has no closing '",
                "6: '!' can't be part of a variable's name",
            ]
        );
    }

    #[test]
    fn tells_what_was_blank() {
        let unset = parse("A=$B ${C:-d}\nB=1", &lookup).unwrap().unset;
        assert_eq!(unset.into_iter().collect::<Vec<_>>(), ["B"]);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A=:'\"\\\\${}\n #é]{0,40}") {
            let _ = parse(&text, &lookup);
        }
    }
}
