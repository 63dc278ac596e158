//! Languages that are compiled: tools that build and run (`cargo run`), and what is loaded as it is (`java -jar`).

use std::path::{Path, PathBuf};

use super::{
    Found,
    language::{CLASSES, GO, JAVA, Language, RUST},
    options::{Options, Style},
    scene::{Roots, Scene},
};

/// `cargo run`. All of the workspace counts: what is run may be made of any package of it.
pub(super) fn cargo(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    const WITH_VALUE: &[&str] = &[
        "-p",
        "-F",
        "-j",
        "-C",
        "-Z",
        "--package",
        "--bin",
        "--example",
        "--features",
        "--jobs",
        "--profile",
        "--target",
        "--target-dir",
        "--manifest-path",
        "--config",
        "--color",
        "--message-format",
    ];
    let arguments = match arguments.split_first() {
        Some((toolchain, rest)) if toolchain.starts_with('+') => rest,
        _ => arguments,
    };
    let options = Options::read(arguments, Style::Letters, WITH_VALUE, &[]);
    let (_, options) = options.after_first(Style::Letters, WITH_VALUE, &[]);
    let scene = scene.inside(options.value(&["-C"]));
    let from = match options.value(&["--manifest-path"]) {
        Some(manifest) => scene.at(manifest).parent().map(PathBuf::from).unwrap_or_default(),
        None => scene.folder.clone(),
    };
    // A manifest further up may hold the workspace that the nearest one belongs to.
    let is_workspace = |folder: &&Path| {
        let text = scene.files.beginning(&folder.join("Cargo.toml")).unwrap_or_default();
        text.lines().any(|line| line.trim_start().starts_with("[workspace"))
    };
    let top = scene.upwards(&from).filter(is_workspace).last().unwrap_or(&from);
    let found = scene.project(top, &RUST);
    if found.is_empty() { Err(no_manifest("cargo", &RUST)) } else { Ok(found) }
}

/// `go run`. All of the module counts.
pub(super) fn go(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    const WITH_VALUE: &[&str] = &[
        "-C",
        "-p",
        "-o",
        "-exec",
        "-tags",
        "-ldflags",
        "-gcflags",
        "-asmflags",
        "-mod",
        "-modfile",
        "-overlay",
        "-pkgdir",
        "-toolexec",
    ];
    let options = Options::read(arguments, Style::Words, WITH_VALUE, &[]);
    let (_, options) = options.after_first(Style::Words, WITH_VALUE, &[]);
    let scene = scene.inside(options.value(&["-C"]));
    let package = options.rest.first().map_or(".", String::as_str);
    if package.contains('@') {
        return Err("go fetches its program".to_owned());
    }
    let path = scene.at(package);
    let from = if scene.is_file(&path) { path.parent().map(PathBuf::from).unwrap_or_default() } else { path };
    let found = scene.project(&from, &GO);
    if !found.is_empty() {
        return Ok(found);
    }
    // A file alone needs no module.
    if scene.is_file(&scene.at(package)) {
        Ok(scene.script(&scene.at(package), &GO))
    } else {
        Err(no_manifest("go", &GO))
    }
}

/// `java -jar x.jar`, `java -cp build/classes Main`, `java Main.java`.
pub(super) fn java(scene: &Scene<'_>, arguments: &[String]) -> Roots {
    const CLASS_PATH: &[&str] = &["-cp", "-classpath", "--class-path", "-p", "--module-path"];
    let with_value = [CLASS_PATH, &["--add-modules", "--add-opens", "--add-exports", "--add-reads"]].concat();
    let options = Options::read(arguments, Style::Words, &with_value, &["-jar", "-m", "--module"]);
    let mut found = Vec::new();
    if let Some(jar) = options.value(&["-jar"]) {
        found.push(Found { path: scene.at(jar), suffixes: &[], reason: "the program".to_owned() });
    } else {
        for entry in options.values(CLASS_PATH).flat_map(|path| path.split(':')).filter(|entry| !entry.is_empty()) {
            let path = scene.at(entry.trim_end_matches('*'));
            let is_folder = scene.is_folder(&path) && !scene.is_too_wide(&path);
            let suffixes = if is_folder { CLASSES } else { &[] };
            found.push(Found { path, suffixes, reason: "part of the class path".to_owned() });
        }
        if let Some(source) = options.rest.first().map(|source| scene.at(source))
            && source.extension().is_some_and(|suffix| suffix == "java")
        {
            found.extend(scene.script(&source, &JAVA));
        }
    }
    if found.is_empty() { Err("java is given no jar, class path or source file".to_owned()) } else { Ok(found) }
}

/// A tool that builds and runs the project around it.
pub(super) fn project(scene: &Scene<'_>, tool: &str, language: &Language) -> Roots {
    let found = scene.project(&scene.folder, language);
    if found.is_empty() { Err(no_manifest(tool, language)) } else { Ok(found) }
}

fn no_manifest(tool: &str, language: &Language) -> String {
    format!("{tool} was started where no {} is", language.manifests.join(" or "))
}
