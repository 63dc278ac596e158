//! JavaScript and TypeScript: node, deno, bun, and what `package.json` runs.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{
    Found,
    command::known,
    language::{DENO, JAVASCRIPT, Language, TYPESCRIPT, of_file},
    options::{Options, Style},
    program,
    scene::{Roots, Scene, join},
    shell,
};

const NODE: &[&str] = &[
    "-r",
    "-C",
    "-e",
    "-p",
    "--require",
    "--import",
    "--loader",
    "--experimental-loader",
    "--conditions",
    "--eval",
    "--print",
    "--env-file",
    "--env-file-if-exists",
    "--title",
    "--icu-data-dir",
    "--inspect-port",
    "--tsconfig",
    "-P",
    "--project",
];

const PACKAGE_MANAGER: &[&str] = &[
    "-C",
    "-w",
    "-F",
    "-p",
    "-c",
    "--prefix",
    "--dir",
    "--cwd",
    "--workspace",
    "--filter",
    "--loglevel",
    "--package",
    "--call",
    "--userconfig",
    "--registry",
    "--cache",
    "--script-shell",
];

/// `node build/index.js`.
pub(super) fn node(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    let options = Options::read(arguments, Style::Letters, NODE, &["--run"]);
    if let Some(name) = options.value(&["--run"]) {
        return package_script(scene, name);
    }
    let Some(path) = script(scene, options.rest) else { return Err("node is given no script".to_owned()) };
    let mut loaders = options.values(&["-r", "--require", "--import", "--loader", "--experimental-loader"]);
    let compiles = loaders.any(|loader| ["tsx", "ts-node", "swc", "esbuild"].iter().any(|name| loader.contains(name)));
    let language = of_file(&path).filter(|_| !compiles).unwrap_or(if compiles { &TYPESCRIPT } else { &JAVASCRIPT });
    Ok(scene.script(&path, language))
}

/// `tsx src/index.ts`, `tsx watch src/index.ts`.
pub(super) fn compiler(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    let mut options = Options::read(arguments, Style::Letters, NODE, &[]);
    if options.rest.first().is_some_and(|word| word == "watch") {
        options = Options::read(&options.rest[1..], Style::Letters, NODE, &[]);
    }
    match script(scene, options.rest) {
        Some(path) => Ok(scene.script(&path, &TYPESCRIPT)),
        None => Err("the compiler is given no script".to_owned()),
    }
}

/// `deno run -A server.ts`, `deno task dev`.
pub(super) fn deno(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    const WITH_VALUE: &[&str] = &[
        "-c",
        "-L",
        "--config",
        "--import-map",
        "--lock",
        "--cert",
        "--location",
        "--seed",
        "--log-level",
        "--env-file",
        "--cwd",
        "--port",
        "--host",
        "--ext",
    ];
    let options = Options::read(arguments, Style::Letters, WITH_VALUE, &[]);
    let (verb, options) = match options.rest.first().map(String::as_str) {
        Some("run" | "serve" | "task" | "x") => options.after_first(Style::Letters, WITH_VALUE, &[]),
        _ => (Some("run"), options),
    };
    let scene = scene.inside(options.value(&["--cwd"]));
    if verb == Some("task") {
        return project(&scene, &DENO);
    }
    match options.rest.first() {
        Some(script) if script.contains("://") || script.starts_with("jsr:") || script.starts_with("npm:") => {
            Err("deno fetches its program".to_owned())
        }
        Some(script) if verb != Some("x") => Ok(scene.script(&scene.at(script), &DENO)),
        _ => Err("deno is given no script".to_owned()),
    }
}

/// `bun server.ts`, `bun run dev`.
pub(super) fn bun(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    const WITH_VALUE: &[&str] = &[
        "-r",
        "-c",
        "-e",
        "-p",
        "-F",
        "--cwd",
        "--preload",
        "--require",
        "--config",
        "--env-file",
        "--eval",
        "--filter",
    ];
    let mut options = Options::read(arguments, Style::Letters, WITH_VALUE, &[]);
    if options.rest.first().is_some_and(|word| word == "run") {
        (_, options) = options.after_first(Style::Letters, WITH_VALUE, &[]);
    }
    let scene = scene.inside(options.value(&["--cwd"]));
    match options.rest {
        [] => Err("bun is given no script".to_owned()),
        [verb, rest @ ..] if verb == "x" => fetched(&scene, rest),
        [name, ..] => {
            let path = scene.at(name);
            let is_script = name.contains('/') || of_file(&path).is_some() || scene.is_file(&path);
            if is_script { Ok(scene.script(&path, &TYPESCRIPT)) } else { package_script(&scene, name) }
        }
    }
}

/// `npm run dev`, `pnpm start`, `yarn dev`, `npm exec …`.
pub(super) fn package_manager(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    let options = Options::read(arguments, Style::Letters, PACKAGE_MANAGER, &[]);
    let (verb, options) = options.after_first(Style::Letters, PACKAGE_MANAGER, &[]);
    let scene = scene.inside(options.value(&["-C", "--prefix", "--dir", "--cwd"]));
    match verb {
        None => Err("the package manager is told to run nothing".to_owned()),
        Some("exec" | "x" | "dlx") => fetched(&scene, options.rest),
        // Which packages are meant is for the package manager to say.
        _ if options.values(&["-w", "-F", "--workspace", "--filter"]).next().is_some() => project(&scene, &TYPESCRIPT),
        Some("run" | "run-script") => match options.rest.first() {
            Some(name) => package_script(&scene, name),
            None => Err("the package manager is told to run nothing".to_owned()),
        },
        Some(name) => package_script(&scene, name),
    }
}

/// `npx tsx src/index.ts`, `npx my-server`: what is run, where it is of this project.
pub(super) fn fetched(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    let options = Options::read(arguments, Style::Letters, PACKAGE_MANAGER, &[]);
    if let Some(line) = options.value(&["-c", "--call"]) {
        return shell::line(scene, line);
    }
    let Some((package, rest)) = options.rest.split_first() else { return Err("npx is told to run nothing".to_owned()) };
    // `tsx@latest`, `@scope/name@1.2`
    let name =
        package.char_indices().skip(1).find(|(_, c)| *c == '@').map_or(package.as_str(), |(at, _)| &package[..at]);
    if !["npx", "bunx", "pnpx"].contains(&name)
        && let Some(roots) = known(scene, name, rest)
    {
        return roots;
    }
    if let Some(found) = program::source_argument(scene, rest) {
        return Ok(found);
    }
    let path = scene.at(name);
    if name.starts_with('.') && scene.is_folder(&path) {
        return project(&scene.inside(Some(name)), &TYPESCRIPT);
    }
    match scene.nearest(&scene.folder, TYPESCRIPT.manifests) {
        Some(manifest) if is_of_project(scene, &manifest, name) => project(scene, &TYPESCRIPT),
        _ => Err("npx fetches its program".to_owned()),
    }
}

/// Whether a program is the project's own, or installed in it.
fn is_of_project(scene: &Scene<'_>, manifest: &Path, name: &str) -> bool {
    let installed = manifest.with_file_name("node_modules").join(".bin").join(name);
    let package = read(scene, manifest).unwrap_or_default();
    scene.is_file(&installed) || package["name"] == name || !package["bin"][name].is_null()
}

/// A script of the nearest `package.json`, as npm runs it: after its `pre` script.
fn package_script(scene: &Scene<'_>, name: &str) -> Roots {
    let Some(manifest) = scene.nearest(&scene.folder, TYPESCRIPT.manifests) else {
        return Err("no package.json is here".to_owned());
    };
    let whole = || project(scene, &TYPESCRIPT);
    let package = read(scene, &manifest).unwrap_or_default();
    let lines = [format!("pre{name}"), name.to_owned()];
    let lines: Vec<&str> = lines.iter().filter_map(|name| package["scripts"][name].as_str()).collect();
    let (Some(inner), Some(folder)) = (scene.deeper(), manifest.parent()) else { return whole() };
    let inner = inner.inside(Some(folder));
    let commands: Vec<Roots> = lines.iter().flat_map(|line| shell::each(&inner, line)).collect();
    // A command that is not known may well be a compiler: then all sources count.
    let is_known = !commands.is_empty() && commands.iter().all(Result::is_ok);
    let found = join(commands).unwrap_or_default();
    let sources = if is_known { Vec::new() } else { whole()? };
    let manifest = Found { path: manifest, suffixes: &[], reason: "the project's manifest".to_owned() };
    Ok(sources.into_iter().chain(found).chain([manifest]).collect())
}

fn project(scene: &Scene<'_>, language: &Language) -> Roots {
    let found = scene.project(&scene.folder, language);
    if found.is_empty() { Err(format!("no {} is here", language.manifests[0])) } else { Ok(found) }
}

fn read(scene: &Scene<'_>, manifest: &Path) -> Option<Value> {
    serde_json::from_str(&scene.files.beginning(manifest)?).ok()
}

/// What node makes of a script's name: a file, one whose suffix was left out, or a folder's index.
fn script(scene: &Scene<'_>, arguments: &[String]) -> Option<PathBuf> {
    let name = arguments.first().filter(|name| *name != "-" && !name.contains("://"))?;
    let path = scene.at(name);
    if scene.is_file(&path) {
        return Some(path);
    }
    let with_suffix = ["js", "json", "node", "ts"].map(|suffix| {
        let mut path = path.clone().into_os_string();
        path.push(".");
        path.push(suffix);
        PathBuf::from(path)
    });
    let index = ["index.js", "index.ts"].map(|index| path.join(index));
    Some(with_suffix.into_iter().chain(index).find(|path| scene.is_file(path)).unwrap_or(path))
}
