//! Shells: scripts, and lines of several commands. It does not expand anything: a word with a variable in it names no
//! file.

use std::path::Path;

use super::{
    Found,
    command::command,
    options::{Options, Style},
    scene::{Roots, Scene, join},
    wrapper::assignments,
};

/// Words of the shell's own in front of a command.
const KEYWORDS: &[&str] = &["!", "{", "do", "else", "if", "then", "while"];

/// Commands that don't run a server.
const BUILT_IN: &[&str] = &[
    "[", "[[", ".", ":", "}", "cat", "cd", "done", "echo", "esac", "export", "false", "fi", "mkdir", "printf", "pwd",
    "set", "sleep", "source", "test", "trap", "true", "ulimit", "umask", "unset", "wait",
];

/// `sh script.sh`, `sh -c 'line'`.
pub(super) fn run(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    let options = Options::read(arguments, Style::Letters, &["-o", "-O", "--rcfile", "--init-file"], &["-c"]);
    if let Some(text) = options.value(&["-c"]) {
        return line(scene, text);
    }
    let Some(script) = options.rest.first() else { return Err("the shell is given no script".to_owned()) };
    Ok(vec![Found { path: scene.at(script), suffixes: &[], reason: "the shell script".to_owned() }])
}

/// All that a line's commands are made of; an error when none of them is known.
pub(super) fn line(scene: &Scene<'_>, text: &str) -> Roots {
    join(each(scene, text))
}

/// What each command of a line is made of.
pub(super) fn each(scene: &Scene<'_>, text: &str) -> Vec<Roots> {
    let mut scene = scene.clone();
    let mut roots = Vec::new();
    for words in commands(text) {
        let keywords = words.iter().take_while(|word| KEYWORDS.contains(&word.as_str())).count();
        let words = &words[keywords..];
        if let [first, folder, ..] = words
            && first == "cd"
        {
            scene = scene.inside(Some(folder));
        }
        let (scene, words) = assignments(scene.clone(), words);
        if words.first().is_some_and(|first| !BUILT_IN.contains(&first.as_str())) {
            roots.push(command(&scene, words).and_then(without_variables));
        }
    }
    roots
}

/// What a shell would have put something else for is no file's name.
fn without_variables(mut found: Vec<Found>) -> Roots {
    let is_plain = |path: &Path| !path.as_os_str().as_encoded_bytes().iter().any(|byte| b"$`*?".contains(byte));
    found.retain(|found| is_plain(&found.path));
    if found.is_empty() { Err("the shell's line names its files by variables".to_owned()) } else { Ok(found) }
}

/// A line's simple commands, without redirections. What is not closed is left out.
fn commands(text: &str) -> Vec<Vec<String>> {
    let (mut parts, mut quote, mut escaped) = (vec![String::new()], None, false);
    for c in text.chars() {
        match (c, quote) {
            _ if escaped => escaped = false,
            ('\\', None | Some('"')) => escaped = true,
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (';' | '&' | '|' | '\n' | '(' | ')', None) => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(c);
        }
    }
    let split = parts.iter().filter_map(|part| shell_words::split(part).ok());
    split.map(without_redirections).filter(|words| !words.is_empty()).collect()
}

fn without_redirections(words: Vec<String>) -> Vec<String> {
    let mut kept = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let operator = word.trim_start_matches(|c: char| c.is_ascii_digit());
        if operator.starts_with(['<', '>']) {
            if operator.trim_start_matches(['<', '>']).is_empty() {
                // The file is the next word.
                words.next();
            }
        } else {
            kept.push(word);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_where_a_shell_would() {
        for (text, expected) in [
            ("a b && c; d | e & f", "a b/c/d/e/f"),
            ("a 'b && c' \"d;e\" f\\;g", "a b && c d;e f;g"),
            ("exec a b 2>/dev/null > log <in", "exec a b"),
            ("(cd x && a)\nb # rest", "cd x/a/b"),
            ("a 'not closed", ""),
            ("", ""),
        ] {
            let found: Vec<String> = commands(text).iter().map(|words| words.join(" ")).collect();
            assert_eq!(found.join("/"), expected, "{text}");
        }
    }
}
