//! The compose plugin that is run without the CLI in front is the one that the CLI would run, with the same words. Needs the
//! docker CLI and its compose plugin, no engine.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use mcpmon::{
    compose::{cli::ComposeCli, invocation::Invocation, plugin},
    engine::cli::find,
};

/// A plugin that says which one it is, and what it was asked.
const PLUGIN: &str = r#"#!/bin/sh
if [ "$1" = docker-cli-plugin-metadata ]; then
    echo '{"SchemaVersion": "0.1.0", "Vendor": "nobody", "Version": "1"}'
else
    echo "$0 $* (typed: $DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND)"
fi
"#;

fn put(folder: &Path) -> PathBuf {
    let file = folder.join("docker-compose");
    fs::create_dir_all(folder).expect("a folder");
    fs::write(&file, PLUGIN).expect("a file");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("a program");
    file
}

#[tokio::test]
async fn the_plugin_is_the_one_that_docker_runs() {
    let folder = tempfile::tempdir().expect("a folder");
    let (extra, more) = (folder.path().join("extra"), folder.path().join("more"));
    let inner = |name: &str| vec![folder.path().join(name).join("cli-plugins")];
    let cases: &[(&str, Vec<PathBuf>, Option<String>)] = &[
        ("own", inner("own"), None),
        ("extra", vec![extra.clone()], Some(format!("{{\"cliPluginsExtraDirs\": [{extra:?}]}}"))),
        ("both", inner("both"), Some(format!("{{\"cliPluginsExtraDirs\": [{more:?}, {extra:?}], \"auths\": {{}}}}"))),
        ("system", vec![], Some("{\"cliPluginsExtraDirs\": null}".to_owned())),
    ];
    let path = std::env::var("PATH").expect("PATH");
    for (name, folders, settings) in cases {
        let docker_config = folder.path().join(name);
        fs::create_dir_all(&docker_config).expect("a folder");
        for folder in folders {
            put(folder);
        }
        if let Some(settings) = settings {
            fs::write(docker_config.join("config.json"), settings).expect("a file");
        }
        let environment = BTreeMap::from([
            ("PATH".to_owned(), path.clone()),
            ("DOCKER_CONFIG".to_owned(), docker_config.display().to_string()),
        ]);
        let docker = find("docker", &environment).expect("the docker CLI");
        let found = plugin::find(&docker, &environment);
        assert!(found.is_some(), "{name}");
        let words = ["version", "--short"];
        let by_docker = Command::new(&docker).arg("compose").args(words).env_clear().envs(&environment).output();
        let cli = ComposeCli::new(&environment, folder.path());
        let own = cli.output(&Invocation::docker(), &words).await.expect("it runs");
        let said = |output: &[u8]| String::from_utf8_lossy(output).into_owned();
        assert_eq!(said(&own.stdout), said(&by_docker.expect("it runs").stdout), "{name}");
        assert_eq!(said(&own.stdout).contains("typed"), !folders.is_empty(), "{name}: {}", said(&own.stdout));
    }
}
