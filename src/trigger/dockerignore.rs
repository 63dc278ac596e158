//! `.dockerignore` by docker's rules, which are not git's. Pure: text in, verdicts out.
//!
//! - Patterns are anchored at the context's root: `*.log` is not `sub/a.log`, `**/*.log` is.
//! - A pattern that matches a folder covers everything in it.
//! - The last pattern that matches decides; `!` brings files back, also out of an excluded folder.
//! - `#` begins a comment only in the first column; space around a pattern is dropped; `.` alone means nothing.
//!
//! Source: <https://docs.docker.com/build/concepts/context/#dockerignore-files>; the engine tests compare it with what
//! a real build context contains. compose uses the same patterns in `develop.watch` (`include`, `ignore`).

use std::path::Path;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};

/// The patterns of one ignore file.
#[derive(Debug, Clone, Default)]
pub struct Dockerignore {
    globs: GlobSet,
    /// For each glob, the number of the pattern it came from.
    pattern_of: Vec<usize>,
    /// For each pattern, whether it began with `!`.
    exception: Vec<bool>,
}

impl Dockerignore {
    /// Reads an ignore file; the second value names the patterns that could not be understood (they are left out;
    /// `docker build` itself fails on them).
    pub fn parse(text: &str) -> (Self, Vec<String>) {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self::from_patterns(text.lines().filter(|line| !line.starts_with('#')))
    }

    /// From patterns without comments.
    pub fn from_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> (Self, Vec<String>) {
        let mut builder = GlobSetBuilder::new();
        let (mut pattern_of, mut exception, mut problems) = (Vec::new(), Vec::new(), Vec::new());
        for line in patterns {
            let (pattern, is_exception) = match line.trim().strip_prefix('!') {
                Some(rest) => (rest.trim(), true),
                None => (line.trim(), false),
            };
            if pattern.is_empty() {
                continue;
            }
            let cleaned = clean(pattern);
            if cleaned == "." {
                continue;
            }
            let globs: Result<Vec<_>, _> = translate(&cleaned)
                .iter()
                .map(|glob| GlobBuilder::new(glob).literal_separator(true).backslash_escape(true).build())
                .collect();
            match globs {
                Ok(globs) => {
                    for glob in globs {
                        builder.add(glob);
                        pattern_of.push(exception.len());
                    }
                    exception.push(is_exception);
                }
                Err(error) => problems.push(format!("`{pattern}`: {}", error.kind())),
            }
        }
        match builder.build() {
            Ok(globs) => (Self { globs, pattern_of, exception }, problems),
            Err(error) => {
                problems.push(error.to_string());
                (Self::default(), problems)
            }
        }
    }

    /// Whether there are no patterns.
    pub fn is_empty(&self) -> bool {
        self.exception.is_empty()
    }

    /// Whether a path (relative to the context) stays out of the context: the last pattern that matches it or a folder
    /// above it decides.
    pub fn excludes(&self, relative: &Path) -> bool {
        if self.is_empty() {
            return false;
        }
        let last = relative
            .ancestors()
            .filter(|path| !path.as_os_str().is_empty())
            .flat_map(|path| self.globs.matches(path))
            .map(|glob| self.pattern_of[glob])
            .max();
        last.is_some_and(|pattern| !self.exception[pattern])
    }

    /// Whether nothing in this folder can be in the context, so that it need not be looked into.
    pub fn excludes_folder(&self, relative: &Path) -> bool {
        !self.exception.contains(&true) && self.excludes(relative)
    }
}

/// The shortest equal path, as Go's `path.Clean`, without a slash in front.
fn clean(pattern: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let rooted = pattern.starts_with('/');
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_string() } else { parts.join("/") }
}

/// Docker's pattern in globset's words. docker takes `**` anywhere, also inside a name, where it means "anything,
/// then a slash, or nothing"; globset only takes it as a whole name, so such a pattern becomes two globs.
fn translate(pattern: &str) -> Vec<String> {
    let mut globs = vec![String::new()];
    let push = |globs: &mut Vec<String>, text: &str| globs.iter_mut().for_each(|glob| glob.push_str(text));
    let mut chars = pattern.chars().peekable();
    let mut at_start = true;
    while let Some(char) = chars.next() {
        let was_at_start = std::mem::replace(&mut at_start, char == '/');
        match char {
            '*' if chars.next_if_eq(&'*').is_some() => {
                let slash = chars.next_if_eq(&'/').is_some();
                let end = chars.peek().is_none();
                if globs == [""] && !slash && !end && !pattern[2..].contains(['*', '?', '[', ']', '\\']) {
                    // In front of plain text docker compares ends: `**foo` is `xfoo` too.
                    push(&mut globs, "**/*");
                    continue;
                }
                at_start = true;
                match (was_at_start, end) {
                    (true, true) => push(&mut globs, "**"),
                    (true, false) => push(&mut globs, "**/"),
                    (false, end) => {
                        let (nothing, something) = if end { ("*", "*/**") } else { ("", "*/**/") };
                        let more: Vec<_> = globs.iter().map(|glob| format!("{glob}{something}")).collect();
                        push(&mut globs, nothing);
                        globs.extend(more);
                    }
                }
            }
            '\\' => {
                push(&mut globs, "\\");
                if let Some(escaped) = chars.next() {
                    push(&mut globs, escaped.encode_utf8(&mut [0; 4]));
                }
            }
            '{' => push(&mut globs, "\\{"),
            '}' => push(&mut globs, "\\}"),
            // `!` in front of a class is an ordinary character to docker; globset would negate.
            '[' if chars.next_if_eq(&'!').is_some() => {
                let class: String = std::iter::from_fn(|| chars.next_if(|char| *char != ']')).collect();
                push(&mut globs, &format!("[{class}!"));
            }
            char => push(&mut globs, char.encode_utf8(&mut [0; 4])),
        }
    }
    globs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ignore file; paths it excludes; paths it leaves.
    const TABLE: &[(&str, &[&str], &[&str])] = &[
        ("", &[], &["a", "a/b"]),
        ("*.log", &["a.log", ".log"], &["sub/a.log", "a.log.txt"]),
        ("**/*.log", &["a.log", "sub/a.log", "a/b/c.log"], &["a.txt"]),
        ("target", &["target", "target/debug/x"], &["sub/target", "target2"]),
        ("target/", &["target", "target/x"], &["sub/target/x"]),
        ("/target", &["target/x"], &["sub/target/x"]),
        ("./target", &["target/x"], &["sub/target"]),
        ("**/target", &["target/x", "sub/target/x"], &["targets"]),
        ("*/temp*", &["a/temp", "a/temp.txt", "a/tempx/y"], &["temp", "a/b/temp"]),
        ("temp?", &["tempa", "tempb/x"], &["temp", "tempab"]),
        ("*\n!README.md", &["a", "a/README.md", "b/c"], &["README.md"]),
        ("*\n!src", &["a", "b/src"], &["src", "src/a", "src/a/b"]),
        ("src\n!src/keep", &["src/a", "src/b/keep"], &["src/keep", "src/keep/x"]),
        ("*.md\n!README*.md\nREADME-secret.md", &["a.md", "README-secret.md"], &["README.md", "README-x.md"]),
        ("*.md\nREADME-secret.md\n!README*.md", &["a.md"], &["README.md", "README-secret.md"]),
        ("# comment\n  a  \n\n #b", &["a", "#b"], &["b", "# comment"]),
        (".", &[], &["a"]),
        ("!a", &[], &["a"]),
        ("a/../b", &["b"], &["a"]),
        ("[a-c].txt", &["a.txt", "c.txt"], &["d.txt"]),
        ("[^a].txt", &["b.txt"], &["a.txt"]),
        ("[!a].txt", &["a.txt", "!.txt"], &["b.txt"]),
        ("a\\*", &["a*"], &["ab"]),
        ("{a,b}", &["{a,b}"], &["a", "b"]),
        ("**", &["a", "a/b"], &[]),
        ("a/**", &["a/b", "a/b/c"], &["b"]),
        ("a/**/c", &["a/c", "a/b/c", "a/x/y/c/z"], &["a/b", "c"]),
        ("**foo", &["foo", "x/foo", "xfoo", "x/yfoo"], &["foox"]),
        ("**foo*", &["foo", "x/foox"], &["xfoo"]),
        ("a**", &["a", "ab", "ab/c"], &["b/a"]),
        ("a**b", &["ab", "ax/b", "a/b", "a/x/b"], &["axb", "b"]),
        ("**/*.rs\n!**/main.rs", &["lib.rs", "a/lib.rs"], &["main.rs", "a/main.rs"]),
    ];

    #[test]
    fn the_table() {
        for (text, excluded, left) in TABLE {
            let (ignore, problems) = Dockerignore::parse(text);
            assert!(problems.is_empty(), "{text:?}: {problems:?}");
            for path in *excluded {
                assert!(ignore.excludes(Path::new(path)), "{text:?} should exclude {path}");
            }
            for path in *left {
                assert!(!ignore.excludes(Path::new(path)), "{text:?} should leave {path}");
            }
        }
    }

    #[test]
    fn a_folder_is_skipped_only_where_no_exception_can_bring_a_file_back() {
        assert!(Dockerignore::parse("target").0.excludes_folder(Path::new("target/debug")));
        assert!(!Dockerignore::parse("target\n!target/keep").0.excludes_folder(Path::new("target")));
        assert!(!Dockerignore::parse("*.log").0.excludes_folder(Path::new("src")));
    }

    #[test]
    fn a_bad_pattern_is_named_and_the_others_count() {
        let (ignore, problems) = Dockerignore::parse("a\n[z\nb");
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("`[z`"), "{problems:?}");
        assert!(ignore.excludes(Path::new("a")) && ignore.excludes(Path::new("b")));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_pattern() {
        assert!(Dockerignore::parse("\u{feff}a\r\nb\r\n").0.excludes(Path::new("a")));
    }
}
