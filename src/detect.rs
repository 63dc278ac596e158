//! Which files and folders a command line's server is made of, so that saving one of them reloads it: what
//! `watch.paths = ["auto"]` means for a plain command. Decisions are pure; the file system is asked through [`Files`]
//! alone. It must not know how files are watched, nor start anything.
//!
//! # What is found
//!
//! | command | watched |
//! |---|---|
//! | `python server.py`, `node build/index.js`, `tsx src/index.ts`, `deno run x.ts`, `ruby x.rb`, … | the script's folder, because that is where it imports from; and the project around it (the nearest `pyproject.toml`, `package.json`, …), because it may import from there too |
//! | `python -m package.module` | the package's folder, and the project around it |
//! | `npm run dev`, `pnpm`, `yarn`, `bun run` | what the script in `package.json` runs; where it builds something first, the project as well |
//! | `uv run …`, `poetry run …` and the like | what is run, and the project |
//! | `cargo run`, `go run`, `mvn`, … | the workspace's or module's sources |
//! | `java -jar x.jar`, `./target/debug/server` | that file |
//! | `npx`, `uvx`, `bunx` | what they run, where it is of this project; what they fetch is not watched |
//! | `env`, `nice`, `time`, `sh -c '…'` and the like | what they run |
//! | anything else | a source file among its arguments (`mcp run server.py`), if there is one |
//!
//! In folders only files of the program's own language count, and manifests by name: not every `.json`, because many
//! servers keep their data in such files beside their code, and each call would reload them. Lock files don't
//! count, because the tools that run the server write them.
//! The search for a project goes up to the repository's top and never as far as the home folder.
//!
//! `MCPMON_WATCH` (`watch.paths`) replaces all this; its token `auto` keeps it.

mod command;
mod compiled;
mod files;
mod language;
mod node;
mod options;
mod program;
mod python;
mod scene;
mod shell;
#[cfg(test)]
mod tests;
mod wrapper;

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
};

pub use self::files::{Disk, FileKind, Files};
use self::scene::Scene;
use crate::{
    model::{Project, TargetKind},
    trigger::Rules,
};

/// One file or folder to watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Absolute. It may be missing (not built yet).
    pub path: PathBuf,
    /// Of a folder, the suffixes of the files that count, without dots; empty for a single file.
    pub suffixes: &'static [&'static str],
    /// Why it is watched: what it is to the command.
    pub reason: String,
}

/// What a command's server is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Detected {
    /// What to watch, most telling first.
    pub found: Vec<Found>,
    /// Where nothing was found, why: one sentence that holds no argument's value (it may be a secret).
    pub nothing: Option<String>,
}

/// What a command line is judged by, besides itself.
#[derive(Clone, Copy)]
pub struct Surroundings<'a> {
    /// The file system.
    pub files: &'a dyn Files,
    /// The folder the command runs in, absolute.
    pub folder: &'a Path,
    /// The user's home, which is never watched as a whole.
    pub home: Option<&'a Path>,
    /// `PYTHONPATH`, if it is set.
    pub python_path: Option<&'a OsStr>,
}

/// What the server of this command line is made of.
pub fn detect<W: AsRef<OsStr>>(words: &[W], surroundings: Surroundings<'_>) -> Detected {
    // A name that is not UTF-8 is not found below, which is as good as can be.
    let words: Vec<String> = words.iter().map(|word| word.as_ref().to_string_lossy().into_owned()).collect();
    match command::command(&Scene::new(surroundings), &words) {
        Ok(all) => {
            let mut found: Vec<Found> = Vec::new();
            for one in all {
                let covers = |other: &Found| other.path == one.path && covers(other.suffixes, one.suffixes);
                if !found.iter().any(covers) {
                    found.push(one);
                }
            }
            Detected { found, nothing: None }
        }
        Err(reason) => Detected {
            found: Vec::new(),
            nothing: Some(format!("no files to watch were found: {reason}; name them in MCPMON_WATCH")),
        },
    }
}

/// Whether suffixes that are known have all of the new ones; none = all.
fn covers(known: &[&str], new: &[&str]) -> bool {
    known.is_empty() || (!new.is_empty() && new.iter().all(|suffix| known.contains(suffix)))
}

/// Adds to the rules what the project's process targets are made of, where `watch.paths` has `auto`. Gives what was
/// found for each of them. `surroundings.folder` is not looked at: targets run in the project's folder.
pub fn watch(rules: &mut Rules, project: &Project, surroundings: Surroundings<'_>) -> BTreeMap<String, Detected> {
    let surroundings = Surroundings { folder: &project.folder, ..surroundings };
    let targets = project.targets.values().filter(|target| target.watch.auto);
    let commands = targets.filter_map(|target| match &target.kind {
        TargetKind::Process(process) => Some((&target.name, &process.words)),
        TargetKind::Run(_) | TargetKind::Compose(_) | TargetKind::Service(_) => None,
    });
    commands
        .map(|(name, words)| {
            let detected = detect(words, surroundings);
            for found in &detected.found {
                rules.watch_command(name, &found.path, found.suffixes);
            }
            (name.clone(), detected)
        })
        .collect()
}

/// `/srv/app/src (*.py, *.so): the folder of the script server.py`.
impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        if !self.suffixes.is_empty() {
            write!(f, " (*.{})", self.suffixes.join(", *."))?;
        }
        write!(f, ": {}", self.reason)
    }
}
