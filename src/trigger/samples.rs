//! Short ways to make settings in tests of the trigger and of the watcher.

use std::{path::Path, time::Duration};

use crate::model::{
    RunTarget, SessionSettings, Settings, Target, WatchSettings,
    settings::{BackoffSettings, OnDrift, OnExit, ReconcileSettings},
    spec::{Mount, MountSource},
    target::Build,
    testing,
};

/// A project in that folder with one run target `api`, which watches nothing yet; `.gitignore` and `.dockerignore` count.
pub(crate) fn settings(folder: &Path, change: impl FnOnce(&mut WatchSettings, &mut RunTarget)) -> Settings {
    several(folder, [target("api", change)])
}

/// A project in that folder with these targets.
pub(crate) fn several(folder: &Path, targets: impl IntoIterator<Item = Target>) -> Settings {
    let mut project = testing::project(targets);
    project.folder = folder.to_path_buf();
    project.config_file = folder.join("mcpmon.toml");
    let second = Duration::from_secs(1);
    Settings {
        project,
        reconcile: ReconcileSettings {
            interval: second,
            on_drift: OnDrift::Recreate,
            prune: true,
            backoff: BackoffSettings { initial: second, max: second, reset_after: second },
            on_exit: OnExit::Remove,
        },
        session: SessionSettings {
            docker_timeout: second,
            cleanup: true,
            labels: std::collections::BTreeMap::new(),
            extensions_dir: folder.join(".mcpmon"),
            log_level: "info".into(),
            log_file: Some(folder.join("mcpmon.log")),
        },
        inputs: vec![folder.join("mcpmon.toml"), folder.join(".env")],
        warnings: Vec::new(),
    }
}

/// A run target that watches nothing yet.
pub(crate) fn target(name: &str, change: impl FnOnce(&mut WatchSettings, &mut RunTarget)) -> Target {
    let mut target = testing::target(name, "image");
    target.watch.auto = false;
    target.watch.ignore_files = vec![".gitignore".into(), ".dockerignore".into()];
    let mut watch = target.watch.clone();
    change(&mut watch, testing::run(&mut target));
    target.watch = watch;
    target
}

/// A bind mount of that path.
pub(crate) fn bind(path: &Path) -> Mount {
    Mount {
        source: MountSource::Bind { path: path.to_path_buf(), create: true },
        target: "/mnt".into(),
        read_only: false,
        propagation: None,
        selinux: None,
        nocopy: false,
    }
}

/// A build with that context.
pub(crate) fn build(context: &Path, dockerfile: Option<&str>) -> Build {
    Build {
        context: context.to_path_buf(),
        dockerfile: dockerfile.map(Into::into),
        target: None,
        args: std::collections::BTreeMap::new(),
    }
}
