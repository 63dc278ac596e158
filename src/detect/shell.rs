//! Shells: scripts, and lines of several commands. It does not expand anything: a word with a variable in it names no
//! file.

use super::{
    Found,
    command::command,
    language,
    options::{Options, Style},
    scene::{Roots, Scene, join},
    wrapper::assignments,
};

/// Commands that don't run a server.
const BUILT_IN: &[&str] = &[
    "[", "[[", ".", ":", "{", "}", "cat", "cd", "do", "done", "echo", "else", "esac", "export", "false", "fi", "if",
    "mkdir", "printf", "pwd", "set", "sleep", "source", "test", "then", "trap", "true", "ulimit", "umask", "unset",
    "wait", "while",
];

/// `sh script.sh`, `sh -c 'line'`.
pub(super) fn run(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    let options = Options::read(arguments, Style::Letters, &["-o", "-O", "--rcfile", "--init-file"], &["-c"]);
    if let Some(text) = options.value(&["-c"]) {
        return line(scene, text);
    }
    let Some(script) = options.rest.first() else { return Err("the shell is given no script".to_owned()) };
    let path = scene.at(script);
    let is_source = path.extension().is_some_and(|suffix| language::SHELL.suffixes.iter().any(|own| suffix == *own));
    let reason = if is_source { "the shell script" } else { "the script" };
    Ok(vec![Found { path, suffixes: &[], reason: reason.to_owned() }])
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
        if let [first, folder, ..] = words.as_slice()
            && first == "cd"
        {
            scene = scene.inside(Some(folder));
        }
        let (scene, words) = assignments(scene.clone(), &words);
        match words.first() {
            Some(first) if !BUILT_IN.contains(&first.as_str()) => roots.push(command(&scene, words)),
            _ => {}
        }
    }
    roots
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
