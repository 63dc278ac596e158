//! `${…}` as compose fills it in: pure over a lookup. It knows strings, not keys.
//!
//! | written | becomes |
//! |---|---|
//! | `$NAME`, `${NAME}` | the value; blank, and named in [`Filled::unset`], when it is not set |
//! | `${NAME-text}`, `${NAME:-text}` | `text` when it is not set (`:` or empty) |
//! | `${NAME+text}`, `${NAME:+text}` | `text` when it is set (`:` and not empty), else blank |
//! | `${NAME?text}`, `${NAME:?text}` | an error that says `text` when it is not set (`:` or empty) |
//! | `$$` | `$` |
//!
//! `text` may hold more of the same. A `$` before anything else stays as it is. Source: compose-spec, "Interpolation";
//! what it leaves open was tried with `docker compose config`.

use std::collections::BTreeSet;

use super::value::Invalid;
use crate::model::secret::looks_secret;

/// A text with its variables filled in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filled {
    /// The text.
    pub text: String,
    /// Every variable it names, also in branches that were not taken.
    pub used: BTreeSet<String>,
    /// Variables that were blank because they are not set, and that had no default.
    pub unset: BTreeSet<String>,
    /// Defaults that stand for variables whose name looks like a secret's.
    pub secrets: BTreeSet<String>,
}

/// Why a text can't be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterpolationError {
    /// Byte offset of the `$` meant.
    pub offset: usize,
    /// The variable meant, if it got that far.
    pub variable: Option<String>,
    /// What is wrong.
    pub kind: InterpolationErrorKind,
}

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InterpolationErrorKind {
    /// `${` that does not go on as one.
    Format(String),
    /// `${NAME:?text}` without a value; holds `text`.
    Required(String),
    /// Defaults nested too deep.
    Depth,
}

impl From<InterpolationError> for Invalid {
    fn from(error: InterpolationError) -> Self {
        let variable = error.variable.unwrap_or_default();
        match error.kind {
            InterpolationErrorKind::Format(text) => Self::new(format!("{text:?} is not a variable"))
                .help("write ${NAME}, ${NAME:-default} or ${NAME:?message}; a plain $ is written $$"),
            InterpolationErrorKind::Required(text) if text.is_empty() => {
                Self::new(format!("the variable {variable} is required, and has no value"))
                    .help(format!("set {variable} in the environment or in .env"))
            }
            InterpolationErrorKind::Required(text) => {
                Self::new(format!("the variable {variable} is required, and has no value: {text}"))
                    .help(format!("set {variable} in the environment or in .env"))
            }
            InterpolationErrorKind::Depth => Self::new("defaults are nested too deep"),
        }
    }
}

const MAX_DEPTH: usize = 32;

/// Fills the variables of `text` in.
pub fn interpolate(text: &str, lookup: &dyn Fn(&str) -> Option<String>) -> Result<Filled, InterpolationError> {
    let mut filled = Filled::default();
    let out = fill(text, 0, 0, lookup, &mut filled)?;
    filled.text = out;
    Ok(filled)
}

fn fill(
    text: &str,
    base: usize,
    depth: usize,
    lookup: &dyn Fn(&str) -> Option<String>,
    seen: &mut Filled,
) -> Result<String, InterpolationError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let offset = base + (text.len() - rest.len()) + at;
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inner) = after.strip_prefix('{') {
            let error = |kind| InterpolationError { offset, variable: None, kind };
            let Some(end) = closing_brace(inner) else {
                return Err(error(InterpolationErrorKind::Format(rest[at..].to_owned())));
            };
            if depth == MAX_DEPTH {
                return Err(error(InterpolationErrorKind::Depth));
            }
            out.push_str(&braced(&inner[..end], offset, depth, lookup, seen)?);
            rest = &inner[end + 1..];
        } else {
            let length = name_length(after);
            if length == 0 {
                out.push('$');
            } else {
                out.push_str(&value_or_blank(&after[..length], lookup, seen));
            }
            rest = &after[length..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// What stands between `${` and `}`.
fn braced(
    inner: &str,
    offset: usize,
    depth: usize,
    lookup: &dyn Fn(&str) -> Option<String>,
    seen: &mut Filled,
) -> Result<String, InterpolationError> {
    let name = &inner[..name_length(inner)];
    let operator = &inner[name.len()..];
    let error = |kind| InterpolationError { offset, variable: (!name.is_empty()).then(|| name.to_owned()), kind };
    let malformed = || error(InterpolationErrorKind::Format(format!("${{{inner}}}")));
    if name.is_empty() {
        return Err(malformed());
    }
    if operator.is_empty() {
        return Ok(value_or_blank(name, lookup, seen));
    }
    seen.used.insert(name.to_owned());
    let (empty_counts, sign) = match operator.strip_prefix(':') {
        Some(sign) => (false, sign),
        None => (true, operator),
    };
    let value = lookup(name).filter(|value| empty_counts || !value.is_empty());
    let mut signs = sign.chars();
    let sign = signs.next();
    let text = signs.as_str();
    // `${`, the name, the operator
    let text_at = offset + 2 + (inner.len() - text.len());
    match (sign, value) {
        (Some('-' | '?'), Some(value)) => Ok(value),
        (Some('-'), None) => {
            let default = fill(text, text_at, depth + 1, lookup, seen)?;
            if looks_secret(name) {
                seen.secrets.insert(default.clone());
            }
            Ok(default)
        }
        (Some('+'), Some(_)) => fill(text, text_at, depth + 1, lookup, seen),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), None) => {
            Err(error(InterpolationErrorKind::Required(fill(text, text_at, depth + 1, lookup, seen)?)))
        }
        _ => Err(malformed()),
    }
}

fn value_or_blank(name: &str, lookup: &dyn Fn(&str) -> Option<String>, seen: &mut Filled) -> String {
    seen.used.insert(name.to_owned());
    lookup(name).unwrap_or_else(|| {
        seen.unset.insert(name.to_owned());
        String::new()
    })
}

/// Bytes of the variable name that `text` begins with; 0 for none.
fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Where the `}` is that closes what comes before `text`. Only `${` opens anew: `${A:-{x}}` ends at its first `}` in
/// a shell, but compose counts every brace.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 0 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "A" => Some("a".into()),
            "E" => Some(String::new()),
            "_x1" => Some("u".into()),
            _ => None,
        }
    }

    /// Each line was tried with `docker compose config` 2.26 (see `tests/` for the check against the installed one).
    pub(crate) const SAME_AS_COMPOSE: &[(&str, &str)] = &[
        ("$A", "a"),
        ("${A}", "a"),
        ("$A.b", "a.b"),
        ("${U}", ""),
        ("$U", ""),
        ("$AB", ""),
        ("${U:-d}", "d"),
        ("${U-d}", "d"),
        ("${E:-d}", "d"),
        ("${E-d}", ""),
        ("${A:+r}", "r"),
        ("${A+r}", "r"),
        ("${E:+r}", ""),
        ("${E+r}", "r"),
        ("${U+r}", ""),
        ("${U:+r}", ""),
        ("${E?msg}", ""),
        ("$$A", "$A"),
        ("$$$A", "$a"),
        ("$", "$"),
        ("a$", "a$"),
        ("$1", "$1"),
        ("$-", "$-"),
        ("$ A", "$ A"),
        ("$é", "$é"),
        ("$_x1", "u"),
        ("${A-}", "a"),
        ("${U:-}", ""),
        ("${U:-a:-b}", "a:-b"),
        ("${U:-${A}}", "a"),
        ("${U:-$A}", "a"),
        ("${U:-$$A}", "$A"),
        ("${U:-${V:-x}y}z", "xyz"),
        ("${U:-a}b}", "ab}"),
        ("${U:-{a}}", "{a}"),
        ("${A:+${A}q}", "aq"),
        ("${E:+${A}}", ""),
        ("${U-?a}", "?a"),
        ("${a-b}", "b"),
        ("${U-${V-${W-w}}}${A}", "wa"),
    ];

    #[test]
    fn fills_in_as_compose_does() {
        for (text, want) in SAME_AS_COMPOSE {
            assert_eq!(interpolate(text, &lookup).map(|filled| filled.text).as_deref(), Ok(*want), "{text}");
        }
    }

    #[test]
    fn says_where_and_which() {
        let format = |text: &str| InterpolationErrorKind::Format(text.into());
        let required = |text: &str| InterpolationErrorKind::Required(text.into());
        let cases = [
            ("x ${U:?set U}", 2, Some("U"), required("set U")),
            ("${U?}", 0, Some("U"), required("")),
            ("${E:?need ${A}}", 0, Some("E"), required("need a")),
            ("${V:-${U?deep}}", 5, Some("U"), required("deep")),
            ("é${1}", 2, None, format("${1}")),
            ("${", 0, None, format("${")),
            ("${}", 0, None, format("${}")),
            ("${A", 0, None, format("${A")),
            ("${A!}", 0, Some("A"), format("${A!}")),
            ("${A:}", 0, Some("A"), format("${A:}")),
            ("${A }", 0, Some("A"), format("${A }")),
            ("${ A}", 0, None, format("${ A}")),
            ("${A:0:1}", 0, Some("A"), format("${A:0:1}")),
        ];
        for (text, offset, variable, kind) in cases {
            let want = InterpolationError { offset, variable: variable.map(str::to_owned), kind };
            assert_eq!(interpolate(text, &lookup), Err(want), "{text}");
        }
    }

    #[test]
    fn tells_which_variables_it_used() {
        let filled = interpolate("$A ${U} ${V:-d}", &lookup).unwrap();
        assert_eq!(filled.used.into_iter().collect::<Vec<_>>(), ["A", "U", "V"]);
        assert_eq!(filled.unset.into_iter().collect::<Vec<_>>(), ["U"]);
    }

    #[test]
    fn nesting_has_an_end() {
        let text = format!("{}{}", "${U:-".repeat(10_000), "}".repeat(10_000));
        assert_eq!(interpolate(&text, &lookup).unwrap_err().kind, InterpolationErrorKind::Depth);
    }

    proptest! {
        #[test]
        fn never_panics(text in "[A${}:?+é x-]{0,40}") {
            let _ = interpolate(&text, &lookup);
        }

        #[test]
        fn doubled_dollars_give_the_text_back(text in "\\PC*") {
            let filled = interpolate(&text.replace('$', "$$"), &lookup).unwrap();
            prop_assert_eq!(filled.text, text);
        }
    }
}
