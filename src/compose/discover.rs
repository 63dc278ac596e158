//! The files that compose would use when nobody names them with `-f`. Any `-f` switches that off, so where one
//! generated file is to come last, all the others must be named too.
//!
//! 1. `COMPOSE_FILE`, cut at `COMPOSE_PATH_SEPARATOR` (`:`), relative to the working folder. From the environment, else from
//!    the env files: those named (`--env-file`, `COMPOSE_ENV_FILES`), else `.env` in the project directory that was
//!    named, else in the working folder.
//! 2. The first of `compose.yaml`, `compose.yml`, `docker-compose.yml`, `docker-compose.yaml` in that folder or the
//!    nearest one above it, and beside it the first of the four override files, whichever of the four names the first has.
//!
//! Source: compose-spec/compose-go `cli/options.go` (2.0); tried with compose 2.26, against the label
//! `com.docker.compose.project.config_files`. Pure over [`Scene`].

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
};

use super::invocation::Invocation;
use crate::{
    config::dotenv,
    error::{Error, Result},
};

const NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
const OVERRIDES: [&str; 4] =
    ["compose.override.yml", "compose.override.yaml", "docker-compose.override.yml", "docker-compose.override.yaml"];
/// The file that variables come from where none is named.
const DOTENV: &str = ".env";

/// Where compose would run, and what it would see there.
pub struct Scene<'a> {
    /// The working folder, absolute.
    pub folder: &'a Path,
    /// The environment.
    pub environment: &'a BTreeMap<String, String>,
    /// Reads a file.
    pub read: &'a dyn Fn(&Path) -> io::Result<String>,
    /// Whether something is there and no folder.
    pub is_file: &'a dyn Fn(&Path) -> bool,
}

/// What compose would use. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Discovered {
    /// Compose files, in order.
    pub files: Vec<PathBuf>,
    /// Env files that variables come from, in order; also those that are not there (yet).
    pub env_files: Vec<PathBuf>,
    /// Files that are not there and would be used if they were: what a change of the list shows itself by.
    pub candidates: Vec<PathBuf>,
    /// The folder that relative paths in the files are relative to.
    pub directory: PathBuf,
}

/// The files of an invocation: those it names, or those that compose would find.
///
/// # Errors
/// A file is to be read from stdin; there is none; an env file can't be read.
pub fn discover(invocation: &Invocation, scene: &Scene<'_>) -> Result<Discovered> {
    if invocation.reads_stdin() {
        return Err(stdin());
    }
    let at = |path: &OsStr| absolute(scene.folder, Path::new(path));
    let named_directory = invocation.project_directory.as_deref().map(at);
    let named_env_files = env_files(invocation, scene);
    let mut found = if invocation.files.is_empty() {
        let start = named_directory.clone().unwrap_or_else(|| scene.folder.to_owned());
        find(&start, &named_env_files, scene)?
    } else {
        Discovered { files: invocation.files.iter().map(|file| at(file)).collect(), ..Discovered::default() }
    };
    let beside = || found.files.first().and_then(|file| file.parent()).unwrap_or(scene.folder).to_owned();
    found.directory = named_directory.unwrap_or_else(beside);
    found.env_files = if named_env_files.is_empty() { vec![found.directory.join(DOTENV)] } else { named_env_files };
    Ok(found)
}

/// `--env-file`, else `COMPOSE_ENV_FILES`.
fn env_files(invocation: &Invocation, scene: &Scene<'_>) -> Vec<PathBuf> {
    if !invocation.env_files.is_empty() {
        return invocation.env_files.iter().map(|file| absolute(scene.folder, Path::new(file))).collect();
    }
    let listed = scene.environment.get("COMPOSE_ENV_FILES").filter(|list| !list.is_empty());
    listed.map_or_else(Vec::new, |list| list.split(',').map(|file| absolute(scene.folder, Path::new(file))).collect())
}

fn find(start: &Path, env_files: &[PathBuf], scene: &Scene<'_>) -> Result<Discovered> {
    let variables = variables(start, env_files, scene)?;
    if let Some(list) = variables.get("COMPOSE_FILE").filter(|list| !list.is_empty()) {
        let separator = variables.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty());
        let separator = separator.map_or(":", String::as_str);
        let files: Vec<PathBuf> = list.split(separator).map(|file| absolute(scene.folder, Path::new(file))).collect();
        return if list.split(separator).any(|file| file == "-") {
            Err(stdin())
        } else {
            Ok(Discovered { files, ..Discovered::default() })
        };
    }
    let mut candidates = Vec::new();
    for folder in start.ancestors() {
        let mut first = |names: &[&str]| {
            let paths = names.iter().map(|name| folder.join(name));
            let found = paths.clone().find(|path| (scene.is_file)(path));
            candidates.extend(paths.take_while(|path| Some(path) != found.as_ref()));
            found
        };
        if let Some(file) = first(&NAMES) {
            let files = [Some(file), first(&OVERRIDES)].into_iter().flatten().collect();
            return Ok(Discovered { files, candidates, ..Discovered::default() });
        }
    }
    Err(Error::failed(format!("no compose file was found in {} or above it", start.display())).hint(format!(
        "the names looked for are {}; `-f FILE` (in mcpmon.toml: compose.file) names another",
        NAMES.join(", ")
    )))
}

/// What decides about the files: the environment, then the env files.
fn variables(start: &Path, env_files: &[PathBuf], scene: &Scene<'_>) -> Result<BTreeMap<String, String>> {
    let default = [start.join(DOTENV)];
    let is_named = !env_files.is_empty();
    let mut variables = BTreeMap::new();
    for file in if is_named { env_files } else { &default } {
        let text = match (scene.read)(file) {
            Ok(text) => text,
            // Compose says the same about one that is named, and in its own words.
            Err(error) if error.kind() == io::ErrorKind::NotFound || !is_named => continue,
            Err(error) => {
                return Err(Error::failed(format!("the env file {} can't be read", file.display())).caused_by(error));
            }
        };
        let outside = |name: &str| scene.environment.get(name).cloned();
        // A line that is wrong is compose's to complain about.
        variables.extend(dotenv::parse_all(&text, &outside).0.values);
    }
    variables.extend(scene.environment.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(variables)
}

fn stdin() -> Error {
    Error::usage("a compose file from stdin (`-f -`) can't be used: mcpmon reads the project more than once")
        .hint("write it to a file, and name that with -f")
}

/// A path without `.` and `..`, as compose writes it: textual, links are not followed.
pub fn absolute(folder: &Path, path: &Path) -> PathBuf {
    use std::path::Component;
    let mut clean = PathBuf::new();
    for part in folder.join(path).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
    }
    clean
}

/// What the file system says: the scene of a real folder.
pub fn on_disk<'a>(folder: &'a Path, environment: &'a BTreeMap<String, String>) -> Scene<'a> {
    Scene {
        folder,
        environment,
        read: &|path| std::fs::read_to_string(path),
        is_file: &|path| std::fs::metadata(path).is_ok_and(|found| !found.is_dir()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// (what is there, `VARIABLE=value` and options, the files, the project directory, the env files)
    type Case = (&'static [(&'static str, &'static str)], &'static str, &'static str, &'static str, &'static str);

    const CASES: &[Case] = &[
        (&[("/a/b/compose.yaml", "")], "", "/a/b/compose.yaml", "/a/b", "/a/b/.env"),
        (
            &[("/a/b/docker-compose.yaml", ""), ("/a/b/docker-compose.yml", "")],
            "",
            "/a/b/docker-compose.yml",
            "/a/b",
            "/a/b/.env",
        ),
        (&[("/a/compose.yml", ""), ("/compose.yaml", "")], "", "/a/compose.yml", "/a", "/a/.env"),
        // The override beside it, whatever its name; the first of the four.
        (
            &[
                ("/a/compose.yml", ""),
                ("/a/docker-compose.override.yaml", ""),
                ("/a/compose.override.yaml", ""),
                ("/a/b/compose.override.yml", ""),
            ],
            "",
            "/a/compose.yml /a/compose.override.yaml",
            "/a",
            "/a/.env",
        ),
        (&[("/a/b/compose.yaml", "")], "COMPOSE_FILE=x.yml:../y.yml", "/a/b/x.yml /a/y.yml", "/a/b", "/a/b/.env"),
        (&[], "COMPOSE_FILE=x.yml;/y.yml COMPOSE_PATH_SEPARATOR=;", "/a/b/x.yml /y.yml", "/a/b", "/a/b/.env"),
        (
            &[("/a/b/.env", "COMPOSE_FILE=q/x.yml,y.yml\nCOMPOSE_PATH_SEPARATOR=,\n")],
            "",
            "/a/b/q/x.yml /a/b/y.yml",
            "/a/b/q",
            "/a/b/q/.env",
        ),
        (&[("/a/b/.env", "COMPOSE_FILE=x.yml")], "COMPOSE_FILE=z.yml", "/a/b/z.yml", "/a/b", "/a/b/.env"),
        (
            &[("/d/.env", "COMPOSE_FILE=x.yml"), ("/a/b/compose.yaml", "")],
            "--project-directory /d",
            "/a/b/x.yml",
            "/d",
            "/d/.env",
        ),
        (
            &[("/d/compose.yaml", ""), ("/a/b/compose.yaml", "")],
            "--project-directory ../../d",
            "/d/compose.yaml",
            "/d",
            "/d/.env",
        ),
        (
            &[("/e", "COMPOSE_FILE=x.yml"), ("/a/b/.env", "COMPOSE_FILE=y.yml")],
            "--env-file /e",
            "/a/b/x.yml",
            "/a/b",
            "/e",
        ),
        (
            &[("/e", "COMPOSE_FILE=x.yml"), ("/f", "COMPOSE_FILE=w.yml")],
            "COMPOSE_ENV_FILES=/e,/f",
            "/a/b/w.yml",
            "/a/b",
            "/e /f",
        ),
        // Named files: nothing is looked for.
        (
            &[("/a/b/compose.yaml", ""), ("/a/b/compose.override.yaml", "")],
            "-f s/x.yml -f y.yml COMPOSE_FILE=z.yml",
            "/a/b/s/x.yml /a/b/y.yml",
            "/a/b/s",
            "/a/b/s/.env",
        ),
    ];

    fn discovered(there: &[(&str, &str)], given: &str) -> Result<Discovered> {
        let (mut environment, mut line) = (BTreeMap::new(), vec!["docker".into(), "compose".into()]);
        for word in given.split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => drop(environment.insert(name.to_owned(), value.to_owned())),
                None => line.push(word.into()),
            }
        }
        let (invocation, _) = Invocation::read(&line, 2, &crate::docker_line::options::Options::default()).unwrap();
        let text =
            |path: &Path| there.iter().find(|(there, _)| Path::new(there) == path).map(|(_, text)| (*text).to_owned());
        let scene = Scene {
            folder: Path::new("/a/b"),
            environment: &environment,
            read: &|path| text(path).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound)),
            is_file: &|path| text(path).is_some(),
        };
        discover(&invocation, &scene)
    }

    #[test]
    fn the_files_are_those_that_compose_would_use() {
        for (there, given, files, directory, env_files) in CASES {
            let found = discovered(there, given).unwrap_or_else(|error| panic!("{there:?} {given}: {error}"));
            let shown =
                |paths: &[PathBuf]| paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(" ");
            let told = (shown(&found.files), found.directory.display().to_string(), shown(&found.env_files));
            assert_eq!(
                told,
                ((*files).to_owned(), (*directory).to_owned(), (*env_files).to_owned()),
                "{there:?} {given}"
            );
        }
    }

    #[test]
    fn what_would_change_the_list_is_told() {
        let found = discovered(&[("/a/compose.yml", "")], "").unwrap();
        for path in ["/a/b/docker-compose.yml", "/a/compose.yaml", "/a/compose.override.yml"] {
            assert!(found.candidates.contains(&PathBuf::from(path)), "{path}: {found:?}");
        }
        assert!(!found.candidates.contains(&PathBuf::from("/a/docker-compose.yml")), "{found:?}");
    }

    #[test]
    fn what_can_not_be_used_is_refused() {
        let error = |there: &[(&str, &str)], given| discovered(there, given).unwrap_err().to_string();
        assert!(error(&[], "").contains("no compose file was found in /a/b"), "{}", error(&[], ""));
        for given in ["-f -", "-f a.yml -f -", "COMPOSE_FILE=-"] {
            assert!(error(&[], given).contains("stdin"), "{given}");
        }
    }
}
