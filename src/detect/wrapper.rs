//! Programs that run another one: what is in them, and where.

use super::{
    options::{Options, Style},
    scene::Scene,
};

/// Wrappers: name, options with a value, and how many plain arguments come before the command.
const WRAPPERS: &[(&str, &[&str], usize)] = &[
    ("nice", &["-n", "--adjustment"], 0),
    ("ionice", &["-c", "-n", "--class", "--classdata"], 0),
    ("time", &["-f", "-o", "--format", "--output"], 0),
    ("timeout", &["-k", "-s", "--kill-after", "--signal"], 1),
    ("nohup", &[], 0),
    ("setsid", &[], 0),
    ("stdbuf", &["-i", "-o", "-e", "--input", "--output", "--error"], 0),
    ("sudo", &["-u", "-g", "-C", "-D", "-h", "-p", "-r", "-t", "-T", "--user", "--group", "--chdir"], 0),
    ("doas", &["-u", "-C"], 0),
    ("exec", &["-a"], 0),
    ("command", &[], 0),
    ("taskset", &[], 1),
    ("caffeinate", &["-t", "-w"], 0),
    ("dotenv", &["-e", "-v", "-p", "-f"], 0),
    ("cross-env", &[], 0),
];

/// What a wrapper runs, and where; none when it is no wrapper, or runs nothing.
pub(super) fn inner<'a>(scene: &Scene<'a>, name: &str, arguments: &[String]) -> Option<(Scene<'a>, Vec<String>)> {
    if name == "env" {
        return env(scene, arguments);
    }
    if name == "bundle" {
        let (first, command) = arguments.split_first()?;
        return (first == "exec").then(|| (scene.clone(), command.to_vec()));
    }
    let (_, with_value, plain) = WRAPPERS.iter().find(|(wrapper, ..)| *wrapper == name)?;
    let options = Options::read(arguments, Style::Letters, with_value, &[]);
    let command = options.rest.get(*plain..).unwrap_or_default();
    let (scene, command) = assignments(scene.clone(), command);
    (!command.is_empty()).then(|| (scene, command.to_vec()))
}

fn env<'a>(scene: &Scene<'a>, arguments: &[String]) -> Option<(Scene<'a>, Vec<String>)> {
    let options = Options::read(
        arguments,
        Style::Letters,
        &["-u", "-C", "-S", "-a", "--unset", "--chdir", "--split-string", "--argv0"],
        &[],
    );
    let scene = scene.inside(options.value(&["-C", "--chdir"]));
    // `-S` splits one word into several, as in a script's first line.
    let mut words = match options.value(&["-S", "--split-string"]) {
        Some(line) => shell_words::split(line).ok()?,
        None => Vec::new(),
    };
    words.extend(options.rest.iter().cloned());
    let (scene, command) = assignments(scene, &words);
    (!command.is_empty()).then(|| (scene, command.to_vec()))
}

/// `A=b` in front of a command.
pub(super) fn assignments<'a, 'w>(mut scene: Scene<'a>, mut words: &'w [String]) -> (Scene<'a>, &'w [String]) {
    while let Some((word, rest)) = words.split_first() {
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| is_name(name)) else { break };
        if name == "PYTHONPATH" {
            scene.python_path = std::env::split_paths(value).collect();
        }
        words = rest;
    }
    (scene, words)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
