//! What one `mcpmon.toml` asks for, read without the other layers and without its variables: enough to tell whether it
//! still has a target. The path comes from a container's label, so it is anybody's word: only a regular file of a sane
//! size is read, and nothing of it is ever shown.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::Read,
    os::unix::fs::MetadataExt,
    path::Path,
};

use super::resolve::name_of_folder;
use crate::orphan::{Claim, Claims};

/// More is no configuration.
const LIMIT: u64 = 1 << 20;

/// The files of this host.
#[derive(Debug, Clone, Copy)]
pub struct Files;

impl Claims for Files {
    fn claim(&self, config_file: &str) -> Option<Claim> {
        let path = Path::new(config_file);
        let base = table(path).filter(|_| path.is_absolute())?;
        let local = path.file_stem().map(|stem| path.with_file_name(format!("{}.local.toml", stem.to_string_lossy())));
        let tables: Vec<toml::Table> =
            [Some(base), local.and_then(|local| table(&local))].into_iter().flatten().collect();
        // The last one that says something counts.
        let said = |read: &dyn Fn(&toml::Table) -> Option<String>| tables.iter().rev().find_map(read);
        let on_exit = said(&|table| Some(table.get("reconcile")?.get("on_exit")?.as_str()?.to_owned()));
        let targets = tables.iter().filter_map(|table| table.get("targets")?.as_table());
        Some(Claim {
            project: said(&|table| Some(table.get("name")?.as_str()?.to_owned()))
                .unwrap_or_else(|| name_of_folder(path.parent().unwrap_or(path))),
            targets: targets.flat_map(|targets| targets.keys().cloned()).collect::<BTreeSet<_>>(),
            keep: on_exit.as_deref() == Some("keep"),
        })
    }

    fn is_another(&self, config_file: &str, own: &Path) -> bool {
        let path = Path::new(config_file);
        let file =
            |path: &Path| fs::metadata(path).ok().filter(fs::Metadata::is_file).map(|meta| (meta.dev(), meta.ino()));
        path.is_absolute() && path != own && file(path).is_some_and(|there| file(own) != Some(there))
    }
}

fn table(path: &Path) -> Option<toml::Table> {
    // Asked first: opening a pipe would wait for somebody to write into it.
    if !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(LIMIT).read_to_string(&mut text).ok()?;
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_file_is_one_that_is_there_and_not_the_same() {
        let folder = tempfile::tempdir().expect("a folder");
        let own = folder.path().join("mcpmon.toml");
        let is_another = |name: &str| Files.is_another(&folder.path().join(name).display().to_string(), &own);
        fs::write(&own, "").expect("written");
        fs::write(folder.path().join("test.toml"), "[[[").expect("written");
        std::os::unix::fs::symlink(&own, folder.path().join("link.toml")).expect("a link");
        for (name, expected) in
            [("mcpmon.toml", false), ("link.toml", false), ("test.toml", true), ("gone.toml", false), (".", false)]
        {
            assert_eq!(is_another(name), expected, "{name}");
        }
        assert!(!Files.is_another("test.toml", &own), "a path from nowhere");
        assert!(!Files.is_another("/dev/null", &own), "no file");
    }

    #[test]
    fn a_file_claims_what_it_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let project = folder.path().join("_My Proj");
        fs::create_dir(&project).expect("a folder");
        let file = project.join("mcpmon.toml");
        let claim = || Files.claim(&file.display().to_string());
        assert_eq!(claim(), None, "there is no such file");
        fs::write(&file, "[targets.api]\nimage = \"i\"\n").expect("written");
        let targets = BTreeSet::from(["api".to_owned()]);
        let expected = Claim { project: "myproj".into(), targets, keep: false };
        assert_eq!(claim(), Some(expected.clone()));
        fs::write(project.join("mcpmon.local.toml"), "name = \"p\"\nreconcile.on_exit = \"keep\"").expect("written");
        assert_eq!(claim(), Some(Claim { project: "p".into(), keep: true, ..expected }));
        fs::write(&file, "[[[").expect("written");
        assert_eq!(claim(), None, "it can't be read");
        assert_eq!(Files.claim("/dev/zero"), None);
        assert_eq!(Files.claim("mcpmon.toml"), None, "a path from nowhere");
    }
}
