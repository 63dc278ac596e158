//! One process after the other, of those of one user on one host: for what an engine does not do at once or not at all.
//! A lock on a file, which is gone when nobody waits for it. It must not know what is done meanwhile.

use std::{
    fs::{self, File, TryLockError},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tokio::{sync::oneshot, time::timeout};

use super::runtime_folder;

/// While it is held, no other process has a turn at the same.
#[derive(Debug)]
pub struct Turn {
    path: PathBuf,
    /// The lock goes with it.
    _file: File,
}

impl Turn {
    /// Waits for a turn at `what`, for so long.
    ///
    /// # Errors
    /// There is no folder for the lock, or somebody holds it for too long (`TimedOut`).
    pub async fn take(what: &str, limit: Duration) -> io::Result<Self> {
        // Always the same one, whatever the environment says: who looks in another folder does not wait.
        let folder = runtime_folder::candidates().pop().ok_or(io::ErrorKind::NotFound)?;
        runtime_folder::make(&folder)?;
        let mut hasher = DefaultHasher::new();
        what.hash(&mut hasher);
        let path = folder.join(format!("turn-{:016x}.lock", hasher.finish()));
        if let Some(turn) = Self::lock(&path, File::try_lock)? {
            return Ok(turn);
        }
        // A lock is waited for by a thread. One that nobody waits for any more lets go of what it gets.
        let (give, given) = oneshot::channel();
        thread::Builder::new().name("turn".into()).spawn(move || {
            let _ = give.send(Self::lock(&path, |file| file.lock().map_err(TryLockError::Error)));
        })?;
        let turn = timeout(limit, given).await.map_err(|_| io::ErrorKind::TimedOut)?;
        turn.map_err(io::Error::other)??.ok_or_else(|| io::ErrorKind::TimedOut.into())
    }

    /// Locks the file in this way; none: somebody else has.
    fn lock(path: &Path, lock: impl Fn(&File) -> Result<(), TryLockError>) -> io::Result<Option<Self>> {
        loop {
            let file = File::options().create(true).truncate(false).write(true).open(path)?;
            match lock(&file) {
                // Who had it before takes the file away: then this one is nobody's any more.
                Ok(()) if is_at(&file, path) => return Ok(Some(Self { path: path.to_owned(), _file: file })),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        // One that stays is used again.
        let _ = fs::remove_file(&self.path);
    }
}

fn is_at(file: &File, path: &Path) -> bool {
    let place = |meta: fs::Metadata| (meta.dev(), meta.ino());
    matches!((file.metadata().map(place), fs::metadata(path).map(place)), (Ok(a), Ok(b)) if a == b)
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_after_the_other_and_nothing_is_left() {
        let what = format!("a test of {}", std::process::id());
        let inside = Arc::new(AtomicUsize::new(0));
        let turns = (0..20).map(|_| {
            let (what, inside) = (what.clone(), Arc::clone(&inside));
            tokio::spawn(async move {
                let turn = Turn::take(&what, LIMIT).await.expect("a turn");
                assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0, "alone");
                tokio::task::yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                turn.path.clone()
            })
        });
        for turn in turns.collect::<Vec<_>>() {
            let path = turn.await.expect("it had its turn");
            assert!(path.is_absolute());
        }
        let turn = Turn::take(&what, LIMIT).await.expect("a turn");
        let late = Turn::take(&what, Duration::from_millis(30)).await.expect_err("it is held");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
        let path = turn.path.clone();
        drop(turn);
        assert!(!path.exists());
    }
}
