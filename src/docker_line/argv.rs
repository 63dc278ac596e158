//! The line again, with mcpmon's own options right behind the verb, and nothing else changed. There every option of
//! mcpmon's is read before the user's; of labels a later one would win, so the user's own `mcpmon.*` are taken out.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use super::{ContainerLine, is_own, scan::Given};

/// What is put in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Injected {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Where the container's id is written. Where the line has a `--cidfile` of its own that one stays, unless
    /// `replace_cidfile`.
    pub cidfile: Option<PathBuf>,
    /// The line's own `--cidfile` makes way: docker refuses one that is there already, as it is at every start but
    /// the first.
    pub replace_cidfile: bool,
    /// `--log-driver none` where the line names no driver.
    pub log_driver_none: bool,
    /// The container's name, in place of the line's own.
    pub name: Option<OsString>,
    /// `--label-file`s as typed, and the files that take their place.
    pub label_files: BTreeMap<PathBuf, PathBuf>,
    /// A `run -i` line becomes a `create` line, which makes the same container and does not start it.
    pub create: bool,
}

impl ContainerLine {
    /// The file that the container's id will be in.
    pub fn cidfile<'a>(&'a self, injected: &'a Injected) -> Option<&'a Path> {
        let own = self.cidfile.as_deref().filter(|_| !injected.replace_cidfile);
        own.or(injected.cidfile.as_deref())
    }

    /// The line as it is run, the program first.
    pub fn argv(&self, injected: &Injected) -> Vec<OsString> {
        let mut words: Vec<Option<OsString>> = self.line.iter().cloned().map(Some).collect();
        for one in &self.given {
            let value = one.value.as_deref().unwrap_or_default();
            match one.name.as_str() {
                "label" if is_own(value) => take_out(one, &mut words),
                "name" if injected.name.is_some() => take_out(one, &mut words),
                "cidfile" if injected.replace_cidfile => take_out(one, &mut words),
                // Of `run` alone (`docker create --help`).
                "detach" | "detach-keys" | "sig-proxy" if injected.create => take_out_of_run(one, &mut words),
                "label-file" => {
                    if let Some(other) = injected.label_files.get(Path::new(value)) {
                        replace(one, other.as_os_str(), &mut words);
                    }
                }
                _ => {}
            }
        }
        if injected.create {
            words[self.verb_at] = Some("create".into());
        }
        let mut argv: Vec<OsString> = words.iter().take(self.verb_at + 1).flatten().cloned().collect();
        let mut add = |option: &str, value: &OsStr| argv.extend([OsString::from(option), value.to_owned()]);
        for (key, value) in &injected.labels {
            add("--label", OsStr::new(&format!("{key}={value}")));
        }
        if let Some(path) = &injected.cidfile
            && (self.cidfile.is_none() || injected.replace_cidfile)
        {
            add("--cidfile", path.as_os_str());
        }
        if injected.log_driver_none && self.log_driver.is_none() {
            add("--log-driver", OsStr::new("none"));
        }
        if let Some(name) = &injected.name {
            add("--name", name);
        }
        argv.extend(words.into_iter().skip(self.verb_at + 1).flatten());
        argv
    }
}

/// Takes an option with its value out; of a group of letters (`-itl x`) what stands before it stays.
pub(super) fn take_out(one: &Given, words: &mut [Option<OsString>]) {
    let Some(word) = words[one.argument].take() else { return };
    let before = &word.as_bytes()[..one.offset];
    words[one.argument] = (before.len() > 1).then(|| OsStr::from_bytes(before).to_owned());
    if one.separate {
        words[one.argument + 1] = None;
    }
}

/// Takes a switch of `run` alone out. Among other letters (`-dit`) `i` takes its place, which a line in the foreground
/// that is made ahead has anyway.
fn take_out_of_run(one: &Given, words: &mut [Option<OsString>]) {
    if one.offset == 0 || one.value.is_some() {
        return take_out(one, words);
    }
    let Some(word) = words[one.argument].take() else { return };
    let mut letters = word.into_vec();
    letters[one.offset] = b'i';
    words[one.argument] = Some(OsString::from_vec(letters));
}

/// Gives a long option another value.
fn replace(one: &Given, value: &OsStr, words: &mut [Option<OsString>]) {
    if one.separate {
        words[one.argument + 1] = Some(value.to_owned());
    } else {
        let mut word = OsString::from(format!("--{}=", one.name));
        word.push(value);
        words[one.argument] = Some(word);
    }
}
