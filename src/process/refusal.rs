//! Why a program could not be started, found out afterwards: what is wrong, where, and what to do about it.
//! The system gives one number for many reasons ("no such file" may mean the program, its interpreter or the folder).
//! Exit codes are those of `env(1)`: 127 what is not there, 126 what is there and can't be run.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, ErrorKind, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use crate::error::{Error, Kind};

/// Names under which the same thing is often installed.
const OTHER_NAMES: &[(&str, &[&str])] =
    &[("python", &["python3"]), ("pip", &["pip3"]), ("node", &["nodejs"]), ("python3", &["python"])];

/// Interpreters by the ends of files' names.
const INTERPRETERS: &[(&str, &str)] =
    &[("py", "python3"), ("js", "node"), ("mjs", "node"), ("cjs", "node"), ("ts", "tsx"), ("rb", "ruby"), ("sh", "sh")];

/// The error of starting `program` in `folder`.
pub(super) fn explain(program: &OsStr, folder: &Path, error: io::Error) -> Error {
    let name = program.to_string_lossy().into_owned();
    if !folder.is_dir() {
        return missing(
            format!("`{name}` can't be started, because its folder {} is not there", folder.display()),
            error,
        )
        .hint("make the folder, or start mcpmon in another one");
    }
    if program.as_encoded_bytes().contains(&b'/') {
        return explain_file(&name, &folder.join(program), error);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    match on_path(program, &path) {
        Some(file) => explain_file(&name, &file, error),
        None if error.kind() == ErrorKind::NotFound => not_on_path(&name, folder, &path, error),
        None => refused(format!("`{name}` can't be started"), error),
    }
}

fn not_on_path(name: &str, folder: &Path, path: &OsStr, error: io::Error) -> Error {
    let failure = missing(format!("`{name}` was not found in PATH"), error);
    if folder.join(name).is_file() {
        return failure.hint(format!("a file of this folder is started as `./{name}`"));
    }
    let others = OTHER_NAMES.iter().filter(|(other, _)| *other == name).flat_map(|(_, others)| *others);
    if let Some(other) = others.copied().find(|other| on_path(OsStr::new(other), path).is_some()) {
        return failure.hint(format!("`{other}` is there: use that"));
    }
    failure.hint(format!(
        "install it, or write its full path: programs started from a desktop often have a shorter PATH than a shell; \
         here it is `{}`",
        path.to_string_lossy()
    ))
}

fn explain_file(name: &str, file: &Path, error: io::Error) -> Error {
    let metadata = match fs::metadata(file) {
        Ok(metadata) => metadata,
        Err(reason) if reason.kind() == ErrorKind::NotFound => {
            let failure = missing(format!("`{name}` is not there: no file {}", file.display()), error);
            return failure.hint("check the path, or build the program first");
        }
        Err(reason) => return refused(format!("`{name}` can't be reached: {}", file.display()), reason),
    };
    if metadata.is_dir() {
        return refused(format!("`{name}` is a folder: {}", file.display()), error).hint("name a program in it");
    }
    if metadata.permissions().mode() & 0o111 == 0 {
        let suffix = file.extension().and_then(OsStr::to_str).unwrap_or_default();
        let interpreter = INTERPRETERS.iter().find(|(other, _)| *other == suffix);
        let or = interpreter.map(|(_, with)| format!(", or run it as `{with} {name}`")).unwrap_or_default();
        let failure = refused(format!("`{name}` is not executable: {}", file.display()), error);
        return failure.hint(format!("`chmod +x {name}` makes it so{or}"));
    }
    match error.kind() {
        ErrorKind::NotFound => no_interpreter(name, file, error),
        ErrorKind::PermissionDenied => refused(format!("`{name}` may not be run: {}", file.display()), error)
            .hint("another user's file, or a disk mounted with `noexec`"),
        ErrorKind::ExecutableFileBusy => refused(format!("`{name}` is being written: {}", file.display()), error)
            .hint("try again when the build is done"),
        _ if error.raw_os_error() == Some(rustix::io::Errno::NOEXEC.raw_os_error()) => {
            refused(format!("`{name}` is not a program for this machine: {}", file.display()), error)
                .hint("a script needs a first line such as `#!/bin/sh`; a binary must be built for this system")
        }
        ErrorKind::ArgumentListTooLong => refused(format!("`{name}` has too many arguments"), error)
            .hint("arguments and environment together are too large: put some of it into a file"),
        _ => refused(format!("`{name}` can't be started: {}", file.display()), error),
    }
}

/// The file is there, and "no such file" all the same: what it asks the system to run it with is missing.
fn no_interpreter(name: &str, file: &Path, error: io::Error) -> Error {
    let Some(line) = first_line(file).filter(|line| line.starts_with("#!")) else {
        return missing(format!("`{name}` needs a loader that is not there: {}", file.display()), error)
            .hint("it was built for another system (musl or glibc): build it for this one");
    };
    let failure = missing(format!("`{name}` begins with `{}`, which is not there", line.trim_end()), error);
    if line.ends_with('\r') {
        return failure.hint(format!("its lines end as on Windows: `sed -i 's/\\r$//' {name}` mends that"));
    }
    failure.hint(format!("install it, or correct the first line of {}", file.display()))
}

fn first_line(file: &Path) -> Option<String> {
    let mut beginning = Vec::new();
    // No system reads a longer one.
    File::open(file).ok()?.take(512).read_to_end(&mut beginning).ok()?;
    let line = beginning.split(|&byte| byte == b'\n').next()?;
    Some(String::from_utf8_lossy(line).into_owned())
}

/// The file that the system would take, or would have taken if it could be run.
fn on_path(program: &OsStr, path: &OsStr) -> Option<PathBuf> {
    let mut files = std::env::split_paths(path).map(|folder| folder.join(program)).filter(|file| file.is_file());
    let runs = |file: &PathBuf| fs::metadata(file).is_ok_and(|metadata| metadata.permissions().mode() & 0o111 != 0);
    let first = files.next()?;
    if runs(&first) { Some(first) } else { files.find(runs).or(Some(first)) }
}

fn missing(message: String, error: io::Error) -> Error {
    Error::new(Kind::NotFound, message).caused_by(error)
}

fn refused(message: String, error: io::Error) -> Error {
    Error::new(Kind::NotExecutable, message).caused_by(error)
}
