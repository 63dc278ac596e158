//! Files of one extension and one session, for their owner alone: `<extensions_dir>/<extension>/<session>/<file>`. It must
//! not know what they hold.
//!
//! - Nothing is made before there is something to keep. What is made: folders with mode 0700, files with 0600, and a
//!   `.gitignore` in the extension's folder, because what servers answer belongs into nobody's repository.
//! - Symbolic links are not followed from the extension's folder on, and a folder of another user is refused: who can
//!   write beside us must not choose what we write to.
//! - A session holds a lock on its folder. [`Folder::end`] removes it. What a killed session left is found by its lock,
//!   which the kernel freed, and removed by the next session that keeps something, once it is an hour old.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use rustix::fs::{AtFlags, Mode, OFlags};
use uuid::Uuid;

use crate::output::private::{self, FOLDER};

/// How long what a killed session left stays; one that has just made its folder may not have locked it yet.
const LEFT_FOR: Duration = Duration::from_hours(1);
const IGNORE: &str = ".gitignore";

/// The files of one extension in one session.
#[derive(Debug)]
pub struct Folder {
    above: PathBuf,
    extension: PathBuf,
    session: String,
    /// The session's folder, locked; none before something is kept.
    opened: Option<File>,
}

impl Folder {
    /// The files that the extension of this name keeps for this session. Touches nothing yet.
    pub fn new(extensions_dir: &Path, extension: &str, session: Uuid) -> Self {
        Self {
            above: extensions_dir.to_owned(),
            extension: extensions_dir.join(extension),
            session: session.to_string(),
            opened: None,
        }
    }

    /// Where a file lies.
    pub fn path(&self, name: &str) -> PathBuf {
        self.extension.join(&self.session).join(name)
    }

    /// Keeps a new file. One that could not be written whole is not there.
    pub fn save(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match self.write(name, bytes) {
            // Somebody has cleared up while we were at work: once more, from the beginning.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.opened.take().is_some() => {
                self.write(name, bytes)
            }
            written => written,
        }
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let folder = match &mut self.opened {
            Some(folder) => folder,
            closed => closed.insert(open(&self.above, &self.extension, &self.session)?),
        };
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&*folder, name, flags, Mode::RUSR | Mode::WUSR)?);
        file.write_all(bytes).inspect_err(|_| {
            let _ = rustix::fs::unlinkat(&*folder, name, AtFlags::empty());
        })
    }

    /// Opens a file that was kept.
    pub fn open(&self, name: &str) -> io::Result<Kept> {
        let folder = self.opened.as_ref().ok_or(io::ErrorKind::NotFound)?;
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(Kept(File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?)))
    }

    /// Removes a file. It is fine if it is gone.
    pub fn remove(&self, name: &str) {
        if let Some(folder) = &self.opened {
            let _ = rustix::fs::unlinkat(folder, name, AtFlags::empty());
        }
    }

    /// Removes all that was kept, and the folders above it that nobody else uses.
    pub fn end(&mut self) -> io::Result<()> {
        let Some(locked) = self.opened.take() else { return Ok(()) };
        remove(&self.extension.join(&self.session))?;
        drop(locked);
        let left: Vec<_> = fs::read_dir(&self.extension)?.collect::<io::Result<_>>()?;
        if left.iter().all(|entry| entry.file_name() == IGNORE) {
            let _ = fs::remove_file(self.extension.join(IGNORE));
            let _ = fs::remove_dir(&self.extension);
            let _ = fs::remove_dir(&self.above); // where it holds anything else, it stays
        }
        Ok(())
    }
}

/// A file that was kept.
#[derive(Debug)]
pub struct Kept(File);

impl Kept {
    /// Bytes `range` of it.
    pub fn read(&self, range: std::ops::Range<usize>) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; range.len()];
        self.0.read_exact_at(&mut bytes, range.start as u64)?;
        Ok(bytes)
    }
}

/// Makes and locks the session's folder; clears up after dead sessions.
fn open(above: &Path, extension: &Path, session: &str) -> io::Result<File> {
    private::folder(above, true)?;
    match fs::symlink_metadata(extension) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => private::folder(extension, false)?,
        _ => {}
    }
    let parent = File::from(
        rustix::fs::open(extension, FOLDER, Mode::empty()).map_err(|error| private::refused(error, extension))?,
    );
    private::own(&parent, extension, Mode::RWXU)?;
    let ignore = OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut ignore = File::from(rustix::fs::openat(&parent, IGNORE, ignore, Mode::RUSR | Mode::WUSR)?);
    ignore.write_all(b"*\n")?;
    rustix::fs::mkdirat(&parent, session, Mode::RWXU)?;
    let folder = File::from(rustix::fs::openat(&parent, session, FOLDER, Mode::empty())?);
    folder.try_lock().map_err(io::Error::from)?;
    clear(&parent, extension, session, SystemTime::now());
    Ok(folder)
}

/// Removes what dead sessions left. What can't be removed stays for the next try.
fn clear(parent: &File, extension: &Path, own: &str, now: SystemTime) {
    let Ok(entries) = fs::read_dir(extension) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(session) = name.to_str().filter(|name| *name != own && Uuid::try_parse(name).is_ok()) else {
            continue;
        };
        let Ok(folder) = rustix::fs::openat(parent, session, FOLDER, Mode::empty()).map(File::from) else { continue };
        let changed = folder.metadata().and_then(|found| found.modified());
        let old = changed.is_ok_and(|changed| now.duration_since(changed).is_ok_and(|age| age >= LEFT_FOR));
        if old && folder.try_lock().is_ok() {
            let _ = remove(&extension.join(session));
        }
    }
}

/// Removes a session's folder; links in it are removed, not followed. It is fine if it is gone.
fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn folder(root: &Path) -> Folder {
        Folder::new(&root.join("kept"), "results", Uuid::new_v4())
    }

    #[test]
    fn files_are_for_their_owner_alone_and_gone_at_the_end() {
        let root = tempfile::tempdir().unwrap();
        let mut one = folder(root.path());
        assert!(!root.path().join("kept").exists(), "nothing is made before there is something to keep");
        assert!(one.open("a").is_err());
        one.save("a", b"0123456789").unwrap();
        let path = one.path("a");
        assert_eq!(mode(&path), 0o600);
        for folder in path.ancestors().skip(1).take(3) {
            assert_eq!(mode(folder), 0o700, "{}", folder.display());
        }
        assert_eq!(fs::read_to_string(root.path().join("kept/results/.gitignore")).unwrap(), "*\n");
        assert_eq!(one.open("a").unwrap().read(3..6).unwrap(), b"345");
        assert!(one.open("a").unwrap().read(8..12).is_err(), "it is shorter");
        assert_eq!(one.save("a", b"again").unwrap_err().kind(), io::ErrorKind::AlreadyExists);

        let mut two = folder(root.path());
        two.save("b", b"").unwrap();
        one.end().unwrap();
        assert!(!path.exists() && two.open("b").is_ok());
        one.end().unwrap();
        two.save("c", b"").unwrap();
        two.remove("c");
        two.remove("c");
        assert!(two.open("c").is_err());
        two.end().unwrap();
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    fn a_folder_that_was_cleared_away_is_made_again() {
        let root = tempfile::tempdir().unwrap();
        let mut one = folder(root.path());
        one.save("a", b"a").unwrap();
        fs::remove_dir_all(root.path().join("kept")).unwrap();
        assert!(one.open("a").is_err());
        one.save("b", b"b").unwrap();
        assert_eq!(one.open("b").unwrap().read(0..1).unwrap(), b"b");
    }

    #[test]
    fn links_are_not_followed_and_open_folders_are_closed() {
        let root = tempfile::tempdir().unwrap();
        let kept = root.path().join("kept");
        fs::create_dir(&kept).unwrap();
        let elsewhere = root.path().join("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        symlink(&elsewhere, kept.join("results")).unwrap();
        let error = folder(root.path()).save("a", b"a").unwrap_err().to_string();
        assert!(error.contains("is a symbolic link"), "{error}");
        symlink("nowhere", kept.join("dangling")).unwrap();
        let mut dangling = Folder::new(&kept, "dangling", Uuid::new_v4());
        assert!(dangling.save("a", b"a").unwrap_err().to_string().contains("is a symbolic link"));
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);

        fs::remove_file(kept.join("results")).unwrap();
        fs::create_dir(kept.join("results")).unwrap();
        fs::set_permissions(kept.join("results"), fs::Permissions::from_mode(0o777)).unwrap();
        let mut one = folder(root.path());
        one.save("a", b"a").unwrap();
        assert_eq!(mode(&kept.join("results")), 0o700);
        symlink(&elsewhere, one.path("b")).unwrap();
        assert!(one.save("b", b"b").is_err() && one.open("b").is_err());

        fs::remove_dir_all(&kept).unwrap();
        fs::write(&kept, "").unwrap();
        assert!(folder(root.path()).save("a", b"a").is_err(), "a file stands in the way");
    }

    #[test]
    fn what_dead_sessions_left_goes_when_it_is_old() {
        let root = tempfile::tempdir().unwrap();
        let (mut living, mut dead, mut fresh) = (folder(root.path()), folder(root.path()), folder(root.path()));
        for one in [&mut living, &mut dead, &mut fresh] {
            one.save("a", b"a").unwrap();
        }
        let long_ago = SystemTime::now() - 2 * LEFT_FOR;
        for one in [&living, &dead] {
            File::open(one.path("")).unwrap().set_modified(long_ago).unwrap();
        }
        (dead.opened, fresh.opened) = (None, None);
        let foreign = root.path().join("kept/results/notes");
        fs::create_dir(&foreign).unwrap();
        File::open(&foreign).unwrap().set_modified(long_ago).unwrap();
        folder(root.path()).save("b", b"b").unwrap();
        assert!(living.path("a").exists() && fresh.path("a").exists() && foreign.exists());
        assert!(!dead.path("").exists());
    }
}
