//! The settings with each compose target taken apart into its services: one `docker compose config` per compose target, all
//! at once, and again only when a file of it changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::future::join_all;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    cli::{ComposeCli, Said},
    develop::unknown_actions,
    discover::{Discovered, discover, on_disk},
    expand,
    generated::{self, GeneratedFile, ServiceLabels},
    invocation::Invocation,
    mentions::mentions,
};
use crate::{
    config::{dotenv, environment::plain, nearest::nearest, problem::KeyPath},
    error::{Error, Result},
    model::{Settings, Target, TargetKind, service::ComposeProject, target::ComposeTarget},
};

/// Whoever takes compose targets apart.
#[derive(Debug)]
pub struct Composer {
    cli: ComposeCli,
    known: Mutex<BTreeMap<String, Known>>,
}

/// What was read last for a compose target.
#[derive(Debug, Clone)]
struct Known {
    asked: ComposeTarget,
    files: BTreeMap<PathBuf, Option<[u8; 32]>>,
    read: Read,
}

/// One compose target's project.
#[derive(Debug, Clone)]
struct Read {
    said: Arc<Said>,
    project: Arc<ComposeProject>,
    inputs: Vec<PathBuf>,
}

impl Composer {
    /// With this compose command. Its folder is where compose looks for files.
    pub fn new(cli: ComposeCli) -> Self {
        Self { cli, known: Mutex::default() }
    }

    /// The compose command.
    pub fn cli(&self) -> &ComposeCli {
        &self.cli
    }

    /// The settings, their compose targets taken apart.
    ///
    /// # Errors
    /// Compose can't read a project: all of them, in its own words.
    pub async fn expand(&self, settings: Settings) -> Result<Settings> {
        let (settings, errors) = self.try_expand(settings).await;
        let mut errors = errors.into_iter();
        let Some(mut first) = errors.next() else { return Ok(settings) };
        for error in errors {
            first.message = format!("{}\n{}", first.message, error.message);
        }
        Err(first)
    }

    /// The same: those that could be read are taken apart, the others stay whole.
    pub async fn try_expand(&self, mut settings: Settings) -> (Settings, Vec<Error>) {
        let targets: Vec<(Target, ComposeTarget)> = settings
            .project
            .targets
            .values()
            .filter_map(|target| match &target.kind {
                TargetKind::Compose(compose) => Some((target.clone(), compose.clone())),
                _ => None,
            })
            .collect();
        if targets.is_empty() {
            return (settings, Vec::new());
        }
        let reads = join_all(targets.iter().map(|(target, compose)| self.read(&target.name, compose))).await;
        let mut errors = Vec::new();
        for ((target, _), read) in targets.iter().zip(reads) {
            match read {
                Ok(read) => {
                    settings.project.targets.remove(&target.name);
                    let services = expand::services(target, &read.said.config, &read.project);
                    settings.project.targets.extend(services.into_iter().map(|target| (target.name.clone(), target)));
                    settings.inputs.extend(read.inputs.iter().cloned());
                    settings.warnings.extend(read.said.warnings.iter().map(|text| format!("{}: {text}", target.name)));
                    settings.warnings.extend(read.said.config.services.iter().flat_map(|(name, service)| {
                        unknown_actions(expand::service_name(&target.name, name), &service.parts.develop.watch)
                    }));
                }
                Err(error) => errors.push(Error { message: format!("{}: {}", target.name, error.message), ..error }),
            }
        }
        expand::link(&mut settings.project);
        errors.extend(expand::part_networks(&mut settings.project).into_iter().map(|(network, target)| {
            Error::config(format!("{target}: its compose project makes the network {network}, and so does [networks]"))
                .hint(format!("give the one named {network:?} `external = true` to use compose's, or another name"))
        }));
        if let Some(error) = unknown_dependency(&settings) {
            errors.push(error);
        }
        (settings, errors)
    }

    async fn read(&self, name: &str, compose: &ComposeTarget) -> Result<Read> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(known) = known.filter(|known| known.asked == *compose)
            && known.files.iter().all(|(path, digest)| digest_of(path) == *digest)
        {
            return Ok(known.read);
        }
        let invocation = invocation(compose);
        let found = discover(&invocation, &on_disk(self.cli.folder(), self.cli.environment()))?;
        let (inputs, of_services) = inputs(&found, compose);
        // Before compose reads them: what changes meanwhile is read again.
        let files = inputs.iter().map(|path| (path.clone(), digest_of(path))).collect();
        let invocation = invocation.with_files(&found.files);
        let (overridden, _file) = with_overrides(&invocation, compose)?;
        let read = self.cli.config_of(&overridden, &compose.services).await;
        let strange = self.strange(&format!("targets.{name}"), &invocation, compose, &inputs).await;
        if let Some(one) = strange.iter().find(|one| one.spelled.is_some()) {
            return Err(one.error());
        }
        // Compose does not always say which file it speaks of.
        let mut said = read.map_err(|error| match strange.iter().find(|one| one.is_nothing).or(strange.first()) {
            // Compose says as much, without the place.
            Some(one @ Strange { is_nothing: true, .. }) => one.error(),
            Some(Strange { place, meant, .. }) => {
                let meant = meant.as_ref().map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
                error.hint(format!("{place}: no compose file has this service{meant}"))
            }
            None if error.hint.is_some() => error,
            None => error.hint(which(&found.files)),
        })?;
        // One that is like no other is meant to be there.
        said.warnings.extend(strange.into_iter().filter_map(|Strange { place, meant, .. }| {
            Some(format!("{place}: no compose file has this service, so it is one more; did you mean {}?", meant?))
        }));
        if said.config.services.is_empty() {
            return Err(Error::config("the compose project has no active services")
                .hint("services with `profiles` need compose.profiles in mcpmon.toml, or COMPOSE_PROFILES"));
        }
        let own = |resources: &BTreeMap<String, super::config::Resource>| -> BTreeMap<String, String> {
            let own = resources.iter().filter(|(_, resource)| !resource.external && !resource.name.is_empty());
            own.map(|(name, resource)| (name.clone(), resource.name.clone())).collect()
        };
        let project = ComposeProject {
            target: name.to_owned(),
            name: said.config.name.clone(),
            command: invocation.argv(),
            overrides: compose.overrides.clone(),
            networks: own(&said.config.networks),
            volumes: own(&said.config.volumes).into_values().collect(),
            env_file_keys: keys(&of_services),
        };
        let read = Read { said: Arc::new(said), project: Arc::new(project), inputs };
        let known = Known { asked: compose.clone(), files, read: read.clone() };
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), known);
        Ok(read)
    }
}

/// Keys of a service that a container can be made from, or that bring such a one along.
const MAKE: [&str; 4] = ["image", "build", "extends", "provider"];

/// A service that a target overrides, and that is in no compose file.
struct Strange {
    /// Its key, and where that was written.
    place: String,
    /// The one whose name is nearly the same.
    meant: Option<String>,
    /// The one that a variable's name must mean: `my_db` is all that it can say of `My-Db`.
    spelled: Option<String>,
    /// Nothing that a container could be made from: it is no service of its own.
    is_nothing: bool,
}

impl Strange {
    fn error(&self) -> Error {
        let Self { place, meant, spelled, .. } = self;
        if let Some(spelled) = spelled {
            let what = format!("no compose file has this service, and no variable can spell {spelled}");
            return Error::config(format!("{place}: {what}")).hint(format!(
                "name it in the file too, `override.services.{} = {{}}`, or use `--set`",
                KeyPath::default().key(spelled)
            ));
        }
        let what = "no compose file has this service, and it has neither image nor build";
        Error::config(format!("{place}: {what}")).hint(match meant {
            Some(meant) => format!("did you mean {meant}?"),
            None => "give it an image or a build, or take it out".to_owned(),
        })
    }
}

impl Composer {
    /// The services that the target overrides and no compose file has.
    async fn strange(
        &self,
        target: &str,
        invocation: &Invocation,
        compose: &ComposeTarget,
        inputs: &[PathBuf],
    ) -> Vec<Strange> {
        let named = compose.overrides.get("services").and_then(Value::as_object);
        let texts: Vec<String> = match named {
            Some(_) => inputs.iter().filter_map(|path| std::fs::read_to_string(path).ok()).collect(),
            None => return Vec::new(),
        };
        let is_strange = |name: &str| !texts.iter().any(|text| has_key(text, name));
        let unknown: Vec<(&String, &Value)> =
            named.into_iter().flatten().filter(|(name, _)| is_strange(name)).collect();
        if unknown.is_empty() {
            return Vec::new();
        }
        // Where they can't be read, that is what is to be said.
        let Ok(Said { config, .. }) = self.cli.config_of(invocation, &[]).await else { return Vec::new() };
        let there = config.services;
        let strange = unknown.into_iter().filter(|(name, _)| !there.contains_key(*name)).map(|(name, service)| {
            let origin = compose.origins.get(name).map_or_else(String::new, |origin| format!("{origin}: "));
            let spelled = origin.starts_with("MCPMON_").then(|| there.keys().find(|other| plain(other) == plain(name)));
            Strange {
                spelled: spelled.flatten().cloned(),
                place: format!("{origin}{target}.compose.override.services.{name}"),
                meant: nearest(name, there.keys().map(String::as_str)).map(str::to_owned),
                is_nothing: !MAKE.iter().any(|key| service.get(key).is_some()),
            }
        });
        strange.collect()
    }
}

/// Whether a YAML or JSON text has this key anywhere.
fn has_key(text: &str, key: &str) -> bool {
    let is_of_a_word = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.');
    text.match_indices(key).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + key.len()..]);
        !before.ends_with(is_of_a_word) && behind.trim_start_matches(['"', '\'', ' ']).starts_with(':')
    })
}

/// The invocation with what the target overrides as its last file. The file goes with what is given back.
fn with_overrides(invocation: &Invocation, compose: &ComposeTarget) -> Result<(Invocation, Option<GeneratedFile>)> {
    let mut with = invocation.clone();
    if compose.overrides.is_empty() {
        return Ok((with, None));
    }
    let text = generated::text(&compose.overrides, &ServiceLabels::new());
    let file = GeneratedFile::write(&std::env::temp_dir(), &text)?;
    with.files.push(file.path().into());
    Ok((with, Some(file)))
}

/// What the target says, as compose's options.
fn invocation(compose: &ComposeTarget) -> Invocation {
    let words = |paths: &[PathBuf]| paths.iter().map(OsString::from).collect();
    Invocation {
        files: words(&compose.file),
        project_name: compose.project_name.as_ref().map(OsString::from),
        project_directory: compose.project_directory.as_ref().map(OsString::from),
        profiles: compose.profiles.iter().map(OsString::from).collect(),
        env_files: words(&compose.env_file),
        ..Invocation::docker()
    }
}

fn which(files: &[PathBuf]) -> String {
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    format!("compose read {}", files.join(", "))
}

/// Every file whose edit means "read the project again", also those that are not there; and those of them that services
/// have their variables from.
fn inputs(found: &Discovered, compose: &ComposeTarget) -> (Vec<PathBuf>, BTreeSet<PathBuf>) {
    let mut all: BTreeSet<PathBuf> = found.env_files.iter().chain(&found.candidates).cloned().collect();
    let mut of_services = BTreeSet::new();
    let mut pending: Vec<PathBuf> = found.files.clone();
    // What the target overrides is a compose file too, and its paths are relative to the project.
    let overrides = serde_json::to_string_pretty(&compose.overrides).unwrap_or_default();
    let mut texts = vec![(found.directory.clone(), overrides)];
    loop {
        while let Some((folder, text)) = texts.pop() {
            for mention in mentions(&text) {
                // Relative to the file that says so, or to the project.
                let folders = [&folder, &found.directory];
                let paths: BTreeSet<PathBuf> =
                    folders.iter().map(|folder| super::discover::absolute(folder, Path::new(&mention))).collect();
                for path in paths.into_iter().filter(|path| path.is_file()) {
                    let is_compose = path.extension().is_some_and(|suffix| suffix == "yml" || suffix == "yaml");
                    if is_compose {
                        pending.push(path);
                    } else {
                        of_services.insert(path);
                    }
                }
            }
        }
        let Some(file) = pending.pop() else { break };
        if all.insert(file.clone())
            && let Ok(text) = std::fs::read_to_string(&file)
        {
            texts.push((file.parent().unwrap_or(&found.directory).to_owned(), text));
        }
    }
    all.extend(of_services.iter().cloned());
    (all.into_iter().collect(), of_services)
}

/// The variables that env files set.
fn keys(files: &BTreeSet<PathBuf>) -> BTreeSet<String> {
    let texts = files.iter().filter_map(|file| std::fs::read_to_string(file).ok());
    // Whatever a variable is filled in with, its name is the same.
    texts.flat_map(|text| dotenv::parse_all(&text, &|_| Some("x".into())).0.values.into_keys()).collect()
}

fn digest_of(path: &Path) -> Option<[u8; 32]> {
    std::fs::read(path).ok().map(|bytes| Sha256::digest(bytes).into())
}

/// A dependency that only shows once the services are known: `depends_on = ["web/nope"]`.
fn unknown_dependency(settings: &Settings) -> Option<Error> {
    let targets = &settings.project.targets;
    let (name, missing) = targets.iter().find_map(|(name, target)| {
        let missing = target.depends_on.keys().find(|dependency| {
            // One that could not be read says so itself.
            let of = dependency.split_once('/').map(|(of, _)| of);
            !targets.contains_key(*dependency) && of.is_some_and(|of| !targets.contains_key(of))
        })?;
        Some((name, missing))
    })?;
    let of = missing.split_once('/').map_or("", |(of, _)| of);
    let services = targets.keys().filter(|name| name.starts_with(&format!("{of}/"))).cloned().collect::<Vec<_>>();
    Some(
        Error::config(format!("targets.{name}.depends_on: there is no service {missing:?}"))
            .hint(format!("its services are {}", services.join(", "))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_env_files_of_services_are_found_and_read() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("compose.yaml", "services:\n  a:\n    image: i\n    env_file: [a.env, gone.env]\n");
        write("a.env", "# no\nFROM_FILE=1\nexport ASKED=${NEEDED:?set it}\n");
        write("b.env", "FROM_OVERRIDE='two\nlines'\n");
        write("c.env", "NOT_OF_A_SERVICE=1\n");
        let path = |name: &str| folder.path().join(name);
        let found = Discovered {
            files: vec![path("compose.yaml")],
            directory: folder.path().to_owned(),
            env_files: vec![path("c.env")],
            candidates: Vec::new(),
        };
        let Value::Object(overrides) = serde_json::json!({"services": {"a": {"env_file": ["b.env"]}}}) else {
            panic!()
        };
        let (all, of_services) = inputs(&found, &ComposeTarget { overrides, ..ComposeTarget::default() });
        assert_eq!(all, ["a.env", "b.env", "c.env", "compose.yaml"].map(path));
        assert_eq!(keys(&of_services).into_iter().collect::<Vec<_>>(), ["ASKED", "FROM_FILE", "FROM_OVERRIDE"]);
    }

    #[test]
    fn a_key_is_a_whole_word_before_a_colon() {
        for (text, expected) in [
            ("services:\n  db:\n    image: x\n", true),
            ("services: {web: {}, \"db\" : {}}", true),
            ("{\"db\":{}}", true),
            ("'db': {}", true),
            ("services:\n  my-db: {}\n  db2: {}\n", false),
            ("image: db\n", false),
            ("depends_on: [db]\n", false),
            ("", false),
        ] {
            assert_eq!(has_key(text, "db"), expected, "{text}");
        }
    }
}
