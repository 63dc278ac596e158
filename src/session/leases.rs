//! The leases of other sessions: which of them live, and what is left of those that don't.
//! A lease is held by a lock that the kernel frees at its holder's death, whatever that was; where a file system knows
//! no locks, pid and start time tell. Reading changes nothing; [`sweep`] removes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{BufRead, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, process::geteuid};
use uuid::Uuid;

use super::runtime_folder::{candidates, is_own};
use crate::model::Lease;

/// What a lease's file is called, after the session's UUID.
pub const SUFFIX: &str = ".lease";
/// More is not read: a lease says all there is to say in each line.
const LIMIT: u64 = 1 << 22;

/// How a lease's lock stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lock {
    /// Its session holds it.
    Held,
    /// Nobody does.
    Free,
    /// There are no locks here.
    Unknown,
}

/// Leases whose sessions live, from all folders. `dead`: that process is dead, by its labels.
pub fn living(dead: impl Fn(&Lease) -> bool) -> Vec<Lease> {
    candidates().iter().flat_map(|folder| living_in(folder, &dead)).collect()
}

/// The lease of a session; none where it has none.
pub fn file_of(session: Uuid) -> Option<PathBuf> {
    let mut paths = candidates().into_iter().map(|folder| folder.join(format!("{session}{SUFFIX}")));
    paths.find(|path| path.is_file())
}

/// Removes what dead sessions left in the folders.
pub fn sweep(dead: impl Fn(&Lease) -> bool) {
    for folder in candidates() {
        sweep_in(&folder, &dead);
    }
}

fn living_in(folder: &Path, dead: &impl Fn(&Lease) -> bool) -> Vec<Lease> {
    let leases = files(folder).into_iter().filter_map(|path| {
        let file = open(&path)?;
        // Shared: two readers at once are none in each other's way.
        let lock = lock_of(&file.try_lock_shared());
        let lease = last_line(file)?;
        // A lock may be another one's who only looks, for a moment; a dead pid stays dead.
        (lock != Lock::Free && !dead(&lease)).then_some(lease)
    });
    leases.collect()
}

fn sweep_in(folder: &Path, dead: &impl Fn(&Lease) -> bool) {
    for path in files(folder) {
        let Some(file) = open(&path) else { continue };
        // A lease gets its name once it is locked, so a free one is a dead session's.
        let is_dead = match lock_of(&file.try_lock()) {
            Lock::Held => false,
            Lock::Free => true,
            Lock::Unknown => last_line(file).is_some_and(|lease| dead(&lease)),
        };
        if is_dead {
            let _ = fs::remove_file(&path);
        }
    }
}

fn lock_of(tried: &Result<(), TryLockError>) -> Lock {
    match tried {
        Ok(()) => Lock::Free,
        Err(TryLockError::WouldBlock) => Lock::Held,
        Err(TryLockError::Error(_)) => Lock::Unknown,
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    if !is_own(folder) {
        return Vec::new();
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.filter(|path| path.to_string_lossy().ends_with(SUFFIX)).collect()
}

/// A regular file of this user's; no link.
fn open(path: &Path) -> Option<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    let meta = file.metadata().ok()?;
    (meta.is_file() && meta.uid() == geteuid().as_raw()).then_some(file)
}

/// What was written last, whole. Half a line is being written just now, or could not be.
fn last_line(mut file: File) -> Option<Lease> {
    let mut last = None;
    let length = file.metadata().ok()?.len();
    // Of a session that had much to say, the end counts.
    file.seek(SeekFrom::Start(length.saturating_sub(LIMIT))).ok()?;
    let mut reader = BufReader::new(file.take(LIMIT));
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line).ok()? > 0 {
        if line.ends_with(b"\n") {
            last = serde_json::from_slice(&line).ok().or(last);
        }
        line.clear();
    }
    last
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::session::{self, lease::LeaseFile};

    #[test]
    fn a_lease_lives_as_long_as_its_lock() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let owner = session::new();
        let mut lease = Lease::new(&owner, Some("unix:///a"), Some("p"));
        let mut file = LeaseFile::write(folder, &lease).expect("it can be written");
        let path = file.path().to_owned();
        assert_eq!(fs::metadata(&path).expect("meta").permissions().mode() & 0o777, 0o600);
        let nobody = |_: &Lease| false;
        assert_eq!(living_in(folder, &nobody), [lease.clone()]);
        lease.adopted.insert("abc".into());
        file.update(&lease).expect("updated");
        assert_eq!(living_in(folder, &nobody), [lease.clone()]);
        // What is half written does not count.
        std::io::Write::write_all(&mut OpenOptions::new().append(true).open(&path).expect("file"), b"{\"sess")
            .expect("half a line");
        assert_eq!(living_in(folder, &nobody), [lease.clone()]);
        // However much it has said, its last word counts.
        let room = File::options().write(true).open(&path).expect("file");
        room.set_len(2 * LIMIT).expect("room");
        lease.adopted.insert("def".into());
        let line = serde_json::to_string(&lease).expect("json");
        std::io::Write::write_all(
            &mut File::options().append(true).open(&path).expect("file"),
            format!("\n{line}\n").as_bytes(),
        )
        .expect("a line");
        assert_eq!(living_in(folder, &nobody), [lease.clone()]);
        sweep_in(folder, &nobody);
        assert!(path.exists(), "it lives");
        assert_eq!(living_in(folder, &|_: &Lease| true), [], "locked by one who only looks");
        // As a killed process leaves it.
        file.abandon();
        assert_eq!(living_in(folder, &nobody), []);
        assert!(path.exists(), "reading changes nothing");
        sweep_in(folder, &nobody);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_no_lease_is_not_followed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (folder, elsewhere) = (folder.path().join("leases"), folder.path().join("elsewhere"));
        fs::create_dir(&folder).expect("a folder");
        let lease = Lease::new(&session::new(), None, None);
        fs::write(&elsewhere, serde_json::to_string(&lease).expect("json") + "\n").expect("written");
        std::os::unix::fs::symlink(&elsewhere, folder.join("a.lease")).expect("a link");
        rustix::fs::mkfifoat(rustix::fs::CWD, folder.join("b.lease"), rustix::fs::Mode::RWXU).expect("a pipe");
        fs::write(folder.join("c.lease"), "garbage\n").expect("written");
        assert_eq!(living_in(&folder, &|_: &Lease| false), []);
        sweep_in(&folder, &|_: &Lease| true);
        assert!(elsewhere.exists());
        // Anybody's folder is nobody's.
        let link = folder.with_file_name("link");
        std::os::unix::fs::symlink(&folder, &link).expect("a link");
        assert_eq!(files(&link), Vec::<PathBuf>::new());
    }
}
