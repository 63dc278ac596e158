//! What every command begins with: flags, environment, configuration, engine.

use std::{
    collections::BTreeMap,
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;

use super::{detach::SUPERVISOR, lone};
use crate::{
    cli::{Format, GlobalArgs, WatchArgs},
    compose::{cli::ComposeCli, settings::Composer},
    config::{Loaded, Override, Request, discover::discover, load},
    engine::{Engine as _, cli::DockerCli, docker::Docker},
    error::{Error, Kind, Result},
    model::{Lease, Owner, Settings, labels::CONFIG_FILE},
    output::{Event, History, history::Subject, lines::json, log, refusal, style::Paint},
    session::{
        self,
        guard::{self, Begun},
        mark, state_folder,
    },
};

/// The file for all users of a machine.
const SYSTEM_CONFIG: &str = "/etc/mcpmon/config.toml";
/// One engine call, for commands that have no configuration.
pub const DOCKER_TIMEOUT: Duration = Duration::from_secs(30);

/// Reads the configuration again.
pub type Reader = Arc<dyn Fn() -> BoxFuture<'static, Result<Settings>> + Send + Sync>;

/// Flags and environment of this process.
#[derive(Debug, Clone)]
pub struct Context {
    /// Flags that every command takes.
    pub global: GlobalArgs,
    /// The environment; values that are not UTF-8 are left out, nothing of mcpmon's or docker's is such a one.
    pub environment: BTreeMap<String, String>,
    /// Where it was called.
    pub folder: PathBuf,
}

/// What the project of a file that has errors is called: by a session that keeps what it asked for before, or by what
/// is left of one on the engine.
async fn project_of(context: &Context, file: &Path) -> Option<String> {
    let is_of_file = |lease: &Lease| lease.config_file.as_deref().is_some_and(|of| Path::new(of) == file);
    let of_session = session::known().leases.into_iter().find(is_of_file).and_then(|lease| lease.project);
    if of_session.is_some() {
        return of_session;
    }
    let engine = context.connect(DOCKER_TIMEOUT).await.ok()?;
    let made = engine.list(&[(CONFIG_FILE, Some(&file.display().to_string()))]).await.ok()?;
    made.iter().find(|container| container.labels.managed())?.labels.project().map(str::to_owned)
}

impl Context {
    /// Reads the process's surroundings.
    pub fn new(global: GlobalArgs) -> Result<Self> {
        let environment = std::env::vars_os()
            // What mcpmon tells its own supervisor is no setting, and a mark is its bearer's own.
            .filter(|(key, _)| key != SUPERVISOR && key != mark::VARIABLE)
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let folder = std::env::current_dir()
            .map_err(|error| Error::failed("the current folder can't be used").caused_by(error))?;
        Ok(Self { global, environment, folder })
    }

    /// The user's home.
    pub fn home(&self) -> Option<PathBuf> {
        std::env::home_dir()
    }

    /// Where notes and logs of sessions are kept: `$XDG_STATE_HOME/mcpmon`, `~/.local/state/mcpmon`.
    pub fn state_folder(&self) -> PathBuf {
        state_folder::path()
    }

    /// Where what `by` does is kept, for `mcpmon events`.
    pub fn history(&self, subject: &Subject, by: &'static str) -> History {
        History::new(&self.state_folder(), subject, by)
    }

    /// The same of a project.
    pub fn project_history(&self, project: &str, by: &'static str) -> History {
        self.history(&Subject::Project(project.to_owned()), by)
    }

    /// What the configuration is read from.
    pub fn request(&self, watch: &WatchArgs) -> Request {
        let global = &self.global;
        let flag = |flag: &str, key: &[&str], values: &[String]| {
            (!values.is_empty()).then(|| Override {
                flag: flag.to_owned(),
                key: key.iter().map(|&segment| segment.to_owned()).collect(),
                values: values.to_vec(),
            })
        };
        let one = |value: &Option<String>| value.clone().into_iter().collect::<Vec<_>>();
        let verbose = if global.verbose > 0 { vec![global.verbose.to_string()] } else { Vec::new() };
        let overrides = [
            flag("--watch", &["watch", "paths"], &watch.watch),
            flag("--ignore", &["watch", "ignore"], &watch.ignore),
            flag("--extensions", &["watch", "extensions"], &watch.extensions),
            flag("--delay", &["watch", "delay"], &one(&watch.delay)),
            flag("--verbose", &["log", "verbose"], &verbose),
            flag("--log-level", &["log", "level"], &one(&global.log_level)),
        ];
        Request {
            folder: self.folder.clone(),
            environment: self.environment.clone(),
            home: self.home(),
            system: SYSTEM_CONFIG.into(),
            config: global.config.clone(),
            profiles: global.profile.clone(),
            overrides: overrides.into_iter().flatten().collect(),
            set: global.set.clone(),
            strict: global.strict,
            colour: Paint::stderr().is_on(),
            without_project: false,
        }
    }

    /// The configuration, with these flags on top. From here on the log is as it says.
    pub fn load(&self, watch: &WatchArgs) -> Result<Loaded> {
        let loaded = load(&self.request(watch))?;
        let session = &loaded.settings.session;
        log::start(&session.log_level, session.log_file.as_deref())?;
        Ok(loaded)
    }

    /// The configuration, its compose targets taken apart into their services.
    ///
    /// # Errors
    /// It has errors; compose can't read a project.
    pub async fn settings(&self, watch: &WatchArgs) -> Result<Settings> {
        let settings = self.load(watch)?.settings;
        self.composer(&settings).expand(settings).await
    }

    /// The same for commands that go by what is running: a compose project that can't be read now is left whole, with a
    /// warning.
    ///
    /// # Errors
    /// The configuration has errors.
    pub async fn settings_as_far_as_possible(&self) -> Result<Settings> {
        let settings = self.load(&WatchArgs::default())?.settings;
        let (settings, errors) = self.composer(&settings).try_expand(settings).await;
        for error in errors {
            let hint = error.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            self.warn(format!("{}{hint}", error.message));
        }
        Ok(settings)
    }

    /// Says something that is no error: beside what is shown, not in it.
    pub fn warn(&self, message: String) {
        let text = match self.format() {
            Format::Json => json(&Event::Warning { message }),
            Format::Text => format!("{} {message}", Paint::stderr().warn("warning:")),
        };
        let _ = writeln!(std::io::stderr(), "{text}");
    }

    /// The same for commands that need no more than the project's name: where the file has errors, a warning tells them, and
    /// the project has no targets.
    ///
    /// # Errors
    /// The configuration has errors, and nothing that was made from it is there.
    pub async fn settings_by_name_at_worst(&self) -> Result<Settings> {
        let request = self.request(&WatchArgs::default());
        match load(&request) {
            Err(error) if error.kind == Kind::Config => {
                let found = discover(&request).project().map(|project| project.path.clone());
                let file = found.as_deref().filter(|path| path.is_file());
                let name = match file {
                    Some(file) => project_of(self, file).await,
                    None => None,
                };
                let (Some(name), Some(path)) = (name, found) else { return Err(error) };
                let Ok(settings) = lone::project(self, &name, &path) else { return Err(error) };
                refusal::say(&error, self.json());
                self.warn(format!("this goes by the name of the project alone, {name}"));
                Ok(settings)
            }
            _ => self.settings_as_far_as_possible().await,
        }
    }

    /// Whoever takes the compose targets of these settings apart.
    pub fn composer(&self, settings: &Settings) -> Composer {
        Composer::new(self.compose_cli(settings))
    }

    /// The compose command, in the project's folder.
    pub fn compose_cli(&self, settings: &Settings) -> ComposeCli {
        ComposeCli::new(&self.environment, &settings.project.folder)
    }

    /// Reads the configuration again, as often as it is asked to: the project's same file, whatever lies above or below it.
    pub fn reader(&self, watch: &WatchArgs, settings: &Settings) -> Reader {
        let file = settings.project.config_file.clone();
        let mut request = self.request(watch);
        if discover(&request).named_by.is_none() {
            // Looked for from where it was found.
            request.folder.clone_from(&settings.project.folder);
        }
        let composer = Arc::new(self.composer(settings));
        Arc::new(move || {
            let there = file.symlink_metadata().is_ok();
            let loaded = if there { load(&request) } else { Err(is_gone(&file)) };
            let composer = Arc::clone(&composer);
            Box::pin(async move { composer.expand(loaded?.settings).await })
        })
    }

    /// Connects to the engine that the environment means.
    pub async fn connect(&self, limit: Duration) -> Result<Docker> {
        Ok(Docker::connect(&self.environment, limit).await?)
    }

    /// Begins a session: its lease and its watchdog. `engine`: the address, and the time for one call, of the engine that
    /// it has containers on.
    pub fn begin(
        &self,
        owner: &Owner,
        project: &str,
        engine: Option<(Option<String>, Duration)>,
        grace: Duration,
    ) -> Begun {
        Begun {
            owner: owner.clone(),
            environment: self.environment.clone(),
            engine: engine.map(|(address, timeout)| guard::Engine { address, timeout }),
            project: Some(project.to_owned()),
            config_file: None,
            grace,
            keep: false,
            leave_ended: false,
            state_folder: self.state_folder(),
        }
    }

    /// The docker CLI.
    pub fn docker_cli(&self) -> DockerCli {
        DockerCli::new(&self.environment)
    }

    /// `--format`.
    pub fn format(&self) -> Format {
        self.global.format.unwrap_or_default()
    }

    /// `--format json`.
    pub fn json(&self) -> bool {
        self.format() == Format::Json
    }
}

/// The project's file was there, and is not any more.
fn is_gone(file: &Path) -> Error {
    Error::config(format!("{} is gone", file.display())).hint("bring it back, or end the session")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test]
    async fn what_is_read_again_is_the_same_file() {
        let outer = tempfile::tempdir().unwrap();
        let folder = outer.path().join("inner");
        let file = folder.join("mcpmon.toml");
        fs::create_dir(&folder).unwrap();
        let write = |text: &str| fs::write(&file, text).unwrap();
        write("[targets.api]\nimage = 'a'\n");
        fs::write(outer.path().join("mcpmon.toml"), "name = 'inner'\n[targets.other]\nimage = 'a'\n").unwrap();
        let context = Context { global: GlobalArgs::default(), environment: BTreeMap::new(), folder: folder.clone() };
        let watch = WatchArgs::default();
        let settings = load(&context.request(&watch)).unwrap().settings;
        let read_again = context.reader(&watch, &settings);

        // Another project's file, further up, is nobody's edit of this one.
        fs::remove_file(&file).unwrap();
        let error = read_again().await.unwrap_err();
        assert_eq!(error.message, format!("{} is gone", file.display()));
        assert_eq!((error.kind.exit_code(), error.hint.is_some()), (78, true));
        write("[targets.api]\nimage = 'b'\n");
        assert_eq!(read_again().await.unwrap().project.config_file, file);
        // Nor is one that appears nearer.
        let deeper = folder.join("deeper");
        fs::create_dir(&deeper).unwrap();
        let context = Context { folder: deeper.clone(), ..context };
        let read_again = context.reader(&watch, &load(&context.request(&watch)).unwrap().settings);
        fs::write(deeper.join("mcpmon.toml"), "[targets.new]\nimage = 'a'\n").unwrap();
        assert_eq!(read_again().await.unwrap().project.config_file, file);
    }
}
