//! The settings of a line that brings its own target (`mcpmon docker run …`, `mcpmon python server.py`): no
//! `mcpmon.toml` is needed, and none is looked for. What the environment and the user's own file say holds all the same.

use std::path::Path;

use super::context::Context;
use crate::{
    cli::WatchArgs,
    config::{Override, Request, environment::CONFIG, load},
    error::Result,
    model::{Settings, TargetKind, target::ProcessTarget},
};

/// Variables that are about a project's targets, or choose within its file.
const OF_PROJECTS: [&str; 2] = ["MCPMON_TARGETS__", "MCPMON_PROFILE"];

/// A line's one target.
#[derive(Debug, Clone)]
pub struct Lone {
    request: Request,
    name: String,
    words: Option<Vec<String>>,
}

impl Lone {
    /// `said`: what the line is called in what is shown, made fit to be a target's name. `project`: in the project's
    /// place. `words`: the target is that command; none: a container that somebody else makes.
    pub fn new(context: &Context, said: &str, project: &str, words: Option<Vec<String>>) -> Self {
        let name = fit(said);
        let mut request = context.request(&WatchArgs::default());
        request.without_project = true;
        // A file that is named counts, without its targets.
        if request.config.is_none() && request.environment.get(CONFIG).is_none_or(String::is_empty) {
            request.environment.retain(|key, _| !OF_PROJECTS.iter().any(|prefix| key.starts_with(prefix)));
        }
        let key = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
        // What the target is made of is the line's business: it is there for what is watched.
        request.overrides.extend([
            Override { flag: name.clone(), key: key(&["targets", &name, "image"]), values: vec!["image".to_owned()] },
            Override { flag: name.clone(), key: key(&["name"]), values: vec![project.to_owned()] },
        ]);
        Self { request, name, words }
    }

    /// The target's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Reads the settings.
    pub fn load(&self) -> Result<Settings> {
        let mut settings = load(&self.request)?.settings;
        settings.project.targets.retain(|target, _| *target == self.name);
        let target = settings.project.targets.get_mut(&self.name).map(|target| &mut target.kind);
        if let (Some(words), Some(kind)) = (&self.words, target)
            && let TargetKind::Run(pattern) = &*kind
        {
            let stop_grace_period = pattern.spec.stop_grace_period;
            *kind = TargetKind::Process(ProcessTarget { words: words.clone(), stop_grace_period });
        }
        Ok(settings)
    }
}

/// The settings of a project whose own file can't be read: it has a name and no targets.
///
/// # Errors
/// Not only that file has errors.
pub fn project(context: &Context, name: &str, file: &Path) -> Result<Settings> {
    let mut bare = context.clone();
    (bare.global.config, bare.global.profile, bare.global.set) = (None, Vec::new(), Vec::new());
    bare.environment.remove(CONFIG);
    let mut settings = Lone::new(&bare, name, name, None).load()?;
    settings.project.targets.clear();
    file.clone_into(&mut settings.project.config_file);
    file.parent().unwrap_or(file).clone_into(&mut settings.project.folder);
    Ok(settings)
}

fn fit(said: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '-' };
    let name: String = said.chars().map(fit).collect();
    let name = name.trim_matches(['-', '_']).to_owned();
    if name.is_empty() { "server".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_fit_for_targets() {
        let cases = [("python3.11", "python3-11"), ("my_server", "my_server"), ("é", "server"), ("-x-", "x")];
        for (said, name) in cases {
            assert_eq!(fit(said), name);
        }
    }
}
