//! Python, and the tools that run it in a project's environment.

use std::path::Path;

use super::{
    Found,
    command::command,
    language::PYTHON,
    options::{Options, Style},
    program,
    scene::{Roots, Scene, join},
};

/// Options of uv that take a value, before and after `run`.
const UV: &[&str] = &[
    "-p",
    "-f",
    "-i",
    "-C",
    "-w",
    "-P",
    "--python",
    "--directory",
    "--project",
    "--with",
    "--with-editable",
    "--with-requirements",
    "--extra",
    "--group",
    "--only-group",
    "--no-group",
    "--no-extra",
    "--package",
    "--env-file",
    "--index",
    "--default-index",
    "--index-url",
    "--extra-index-url",
    "--find-links",
    "--config-file",
    "--cache-dir",
    "--color",
    "--from",
    "--config-setting",
    "--upgrade-package",
    "--constraints",
    "--overrides",
    "--exclude-newer",
    "--resolution",
    "--prerelease",
    "--index-strategy",
    "--keyring-provider",
    "--link-mode",
    "--allow-insecure-host",
];

/// `python script.py`, `python -m package`, `python folder`.
pub(super) fn run(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    let options = Options::read(arguments, Style::Letters, &["-W", "-X", "--check-hash-based-pycs"], &["-c", "-m"]);
    if let Some(name) = options.value(&["-m"]) {
        return module(scene, name, options.rest);
    }
    if options.value(&["-c"]).is_some() {
        return Err("Python is given its code on the command line".to_owned());
    }
    match options.rest.first().filter(|script| *script != "-") {
        Some(script) => Ok(scene.script(&scene.at(script), &PYTHON)),
        None => Err("Python is given no script".to_owned()),
    }
}

/// A module, found as Python does: from the folder it is started in, then `PYTHONPATH`; and in `src`, where an
/// installed project has its packages. A module from elsewhere may run a file of ours (`-m mcp run server.py`).
pub(super) fn module(scene: &Scene<'_>, name: &str, arguments: &[String]) -> Roots {
    local_module(scene, name)
        .or_else(|| program::source_argument(scene, arguments))
        .ok_or_else(|| format!("the module {name} is not in this folder or PYTHONPATH"))
}

/// A module that is in this folder, `PYTHONPATH` or `src`.
pub(super) fn local_module(scene: &Scene<'_>, name: &str) -> Option<Vec<Found>> {
    let top = name.split('.').next().filter(|top| !top.is_empty())?;
    let mut folders = vec![scene.folder.clone()];
    folders.extend(scene.python_path.iter().map(|folder| scene.at(folder)));
    folders.push(scene.at("src"));
    folders.iter().find_map(|folder| {
        let package = folder.join(top);
        if scene.is_folder(&package) {
            let reason = format!("the package {top}");
            let mut found = vec![Found { path: package.clone(), suffixes: PYTHON.suffixes, reason }];
            found.extend(scene.project(folder, &PYTHON));
            return Some(found);
        }
        let file = folder.join(format!("{top}.py"));
        scene.is_file(&file).then(|| scene.script(&file, &PYTHON))
    })
}

/// `uv run …`, `uv tool run …`.
pub(super) fn uv(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    let options = Options::read(arguments, Style::Letters, UV, &[]);
    let (verb, options) = options.after_first(Style::Letters, UV, &["-m", "--module"]);
    let scene = scene.inside(options.value(&["--directory"]));
    match verb {
        Some("tool" | "x") => {
            let rest = if options.rest.first().is_some_and(|word| word == "run") { &options.rest[1..] } else { &[] };
            uvx(&scene, rest)
        }
        Some("run") => {
            let command = match options.value(&["-m", "--module"]) {
                Some(name) => module(&scene, name, options.rest),
                None => run_in_project(&scene, options.rest),
            };
            let editable = editable(&scene, &options);
            let project = scene.at(options.value(&["--project"]).unwrap_or("."));
            join([command, Ok(editable), Ok(scene.project(&project, &PYTHON))])
        }
        _ => Err("uv runs no server without `run`".to_owned()),
    }
}

/// `uvx package`: fetched, unless it is told to take it from a folder.
pub(super) fn uvx(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    let options = Options::read(arguments, Style::Letters, UV, &[]);
    let mut found = editable(scene, &options);
    if let Some(folder) = options.value(&["--from"]).map(|from| scene.at(from)).filter(|path| scene.is_folder(path)) {
        found.extend(scene.project(&folder, &PYTHON));
    }
    if !found.is_empty() {
        return Ok(found);
    }
    let source = program::source_argument(scene, options.rest.get(1..).unwrap_or_default());
    source.ok_or_else(|| "uvx fetches its program".to_owned())
}

fn editable(scene: &Scene<'_>, options: &Options<'_>) -> Vec<Found> {
    let folders = options.values(&["--with-editable"]).map(|path| scene.at(path));
    folders.filter(|folder| scene.is_folder(folder)).flat_map(|folder| scene.project(&folder, &PYTHON)).collect()
}

/// `poetry run …` and its like: what is run, in the project's environment.
pub(super) fn project_runner(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    const WITH_VALUE: &[&str] =
        &["-C", "-P", "-p", "-e", "--directory", "--project", "--env", "--environment", "--manifest-path"];
    let options = Options::read(arguments, Style::Letters, WITH_VALUE, &[]);
    let (_, options) = options.after_first(Style::Letters, WITH_VALUE, &[]);
    let scene = scene.inside(options.value(&["-C", "--directory"]));
    let project = scene.at(options.value(&["-P", "-p", "--project"]).unwrap_or("."));
    join([run_in_project(&scene, options.rest), Ok(scene.project(&project, &PYTHON))])
}

/// The command behind `run`, which may be a script's bare name.
fn run_in_project(scene: &Scene<'_>, words: &[String]) -> Roots {
    match words.first() {
        Some(script) if Path::new(script).extension().is_some_and(|suffix| suffix == "py") => {
            Ok(scene.script(&scene.at(script), &PYTHON))
        }
        Some(_) => command(scene, words),
        None => Err("nothing is named to be run".to_owned()),
    }
}
