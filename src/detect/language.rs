//! Languages by what counts in a folder of theirs, and by what marks a project.

use std::path::Path;

/// A language, or a way to use one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Language {
    /// Suffixes of the files that count.
    pub(super) suffixes: &'static [&'static str],
    /// Files that mark a project's folder, best first.
    pub(super) manifests: &'static [&'static str],
    /// Other single files that count where they lie beside the manifest.
    pub(super) also: &'static [&'static str],
}

pub(super) const PYTHON: Language = Language {
    // Compiled modules are loaded like the others, once a build has put them there.
    suffixes: &["py", "pyx", "so"],
    manifests: &["pyproject.toml", "setup.py", "setup.cfg", "Pipfile", "requirements.txt"],
    also: &[],
};

/// What node itself loads.
pub(super) const JAVASCRIPT: Language =
    Language { suffixes: &["js", "mjs", "cjs"], manifests: &["package.json"], also: &[] };

/// What node loads with a compiler in between, or after a build.
pub(super) const TYPESCRIPT: Language = Language {
    suffixes: &["ts", "tsx", "mts", "cts", "js", "jsx", "mjs", "cjs"],
    manifests: &["package.json"],
    also: &["tsconfig.json"],
};

pub(super) const DENO: Language = Language {
    suffixes: TYPESCRIPT.suffixes,
    manifests: &["deno.json", "deno.jsonc", "package.json"],
    also: &["import_map.json"],
};

pub(super) const RUBY: Language = Language { suffixes: &["rb"], manifests: &["Gemfile"], also: &[] };

pub(super) const PHP: Language = Language { suffixes: &["php"], manifests: &["composer.json"], also: &[] };

pub(super) const PERL: Language = Language { suffixes: &["pl", "pm"], manifests: &["cpanfile"], also: &[] };

pub(super) const LUA: Language = Language { suffixes: &["lua"], manifests: &[], also: &[] };

/// `toml`: each package of a workspace has a manifest, and the toolchain's settings are such files too.
pub(super) const RUST: Language = Language { suffixes: &["rs", "toml"], manifests: &["Cargo.toml"], also: &[] };

pub(super) const GO: Language = Language { suffixes: &["go"], manifests: &["go.mod"], also: &["go.work"] };

/// What a build tool of the Java family compiles.
pub(super) const JAVA: Language = Language {
    suffixes: &["java", "kt", "kts", "scala", "groovy", "gradle"],
    manifests: &["pom.xml", "build.gradle", "build.gradle.kts", "build.sbt"],
    also: &[],
};

/// What a Java machine loads from a class path.
pub(super) const CLASSES: &[&str] = &["class", "jar"];

pub(super) const SWIFT: Language = Language { suffixes: &["swift"], manifests: &["Package.swift"], also: &[] };

pub(super) const ZIG: Language = Language { suffixes: &["zig", "zon"], manifests: &["build.zig"], also: &[] };

pub(super) const ELIXIR: Language = Language { suffixes: &["ex", "exs"], manifests: &["mix.exs"], also: &[] };

pub(super) const DART: Language = Language { suffixes: &["dart"], manifests: &["pubspec.yaml"], also: &[] };

/// The language of a source file that is run as it is, by its name.
pub(super) fn of_file(path: &Path) -> Option<&'static Language> {
    Some(match path.extension()?.to_str()? {
        "py" => &PYTHON,
        "js" | "mjs" | "cjs" => &JAVASCRIPT,
        "ts" | "tsx" | "mts" | "cts" | "jsx" => &TYPESCRIPT,
        "rb" => &RUBY,
        "php" => &PHP,
        "pl" => &PERL,
        "lua" => &LUA,
        _ => return None,
    })
}
