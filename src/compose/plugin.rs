//! Where docker's compose plugin lies, so that it can be run as the docker CLI runs it, without the CLI in front. The CLI
//! runs a plugin twice, once for nothing but its name and version: with its own start that is half of a `config` (measured:
//! 105 ms, and 59 ms without).
//!
//! The rules are docker's (`cli-plugins/manager` of the CLI): the folders of `cliPluginsExtraDirs`, the user's own, the
//! system's, in that order. A `docker` that is no plain CLI (a script, a snap, podman's) may do more than the CLI does, and
//! is left in front, as is one whose plugin is not found here. It must not run anything.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::engine::{cli::is_executable, connect::settings_folder};

/// What the plugin is called.
const NAME: &str = "docker-compose";

/// The variable that tells a plugin which command was typed; with it, it knows that it is a plugin.
pub const TYPED: &str = "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND";

/// Where packages put plugins.
const SYSTEM: [&str; 4] = [
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
];

/// The compose plugin that this docker CLI would run in this environment; none where only the CLI itself can tell.
pub fn find(docker: &Path, environment: &BTreeMap<String, String>) -> Option<PathBuf> {
    if !is_the_cli(docker) {
        return None;
    }
    let settings = settings_folder(environment)?;
    let folders = extra(&settings)?.into_iter().chain([settings.join("cli-plugins")]);
    folders.chain(SYSTEM.map(PathBuf::from)).map(|folder| folder.join(NAME)).find(|file| is_executable(file))
}

/// `cliPluginsExtraDirs`; none when the settings can't be read, which is the CLI's to say.
fn extra(settings: &Path) -> Option<Vec<PathBuf>> {
    #[derive(Deserialize)]
    struct Settings {
        #[serde(default, rename = "cliPluginsExtraDirs")]
        extra: Option<Vec<PathBuf>>,
    }
    match std::fs::read(settings.join("config.json")) {
        Ok(text) => Some(serde_json::from_slice::<Settings>(&text).ok()?.extra.unwrap_or_default()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(Vec::new()),
        Err(_) => None,
    }
}

/// Whether it is the docker CLI, and not something in its place.
fn is_the_cli(docker: &Path) -> bool {
    let Ok(file) = docker.canonicalize() else { return false };
    let mut start = [0; 2];
    file.file_name().is_some_and(|name| name == "docker")
        && File::open(&file).and_then(|mut file| file.read_exact(&mut start)).is_ok()
        && &start != b"#!"
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt};

    use super::*;

    fn put(file: &Path, text: &str) -> PathBuf {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        file.to_owned()
    }

    #[test]
    fn what_is_in_dockers_place_is_asked_itself() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let plugin = put(&at("settings/cli-plugins/docker-compose"), "");
        let environment = BTreeMap::from([("DOCKER_CONFIG".to_owned(), at("settings").display().to_string())]);
        let cli = put(&at("docker"), "\x7fELF");
        fs::create_dir(at("bin")).unwrap();
        std::os::unix::fs::symlink(&cli, at("bin/docker")).unwrap();
        assert_eq!(find(&at("bin/docker"), &environment), Some(plugin));

        let others =
            [put(&at("script/docker"), "#!/bin/sh\n"), put(&at("podman"), "\x7fELF"), put(&at("empty/docker"), "")];
        for other in others.iter().chain([&at("nowhere")]) {
            assert_eq!(find(other, &environment), None, "{}", other.display());
        }
        std::os::unix::fs::symlink(&others[1], at("script/bin")).unwrap();
        fs::write(at("settings/config.json"), "{").unwrap();
        assert_eq!(find(&cli, &environment), None, "the CLI says what is wrong with its settings");
    }
}
