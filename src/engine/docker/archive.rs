//! Files of a container by the archive API: look at a path, put a tar, read a small file. It must not know whose files
//! they are, or why they are moved.

use std::{
    io::{self, Read},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bollard::query_parameters::{ContainerArchiveInfoOptions, UploadToContainerOptions};
use futures_util::StreamExt;

use super::{Docker, containers::short, errors, wire};
use crate::engine::{ByteStream, ContainerFacts, EngineError, EngineResult, PathKind};

/// The most that is read of one file.
const MOST: u64 = 1 << 20;

/// Go's `os.FileMode`, as the engine tells it: the bits that say what a path is.
const FOLDER: u32 = 1 << 31;
const LINK: u32 = 1 << 27;

impl Docker {
    pub(super) async fn path_kind(&self, id: &str, path: &str) -> EngineResult<Option<PathKind>> {
        let options = ContainerArchiveInfoOptions { path: path.to_owned() };
        let operation = format!("looking at {path} in container {}", short(id));
        match self.call(&operation, self.client().get_container_archive_info(id, Some(options))).await {
            // The answer to HEAD has no text: which of the two is not there is told by the container itself.
            Err(EngineError::NotFound(message)) => match self.look(id).await? {
                Some(_) => Ok(None),
                None => Err(EngineError::NotFound(message)),
            },
            Err(error) => Err(error),
            Ok(found) => Ok(Some(match found.file_mode {
                mode if mode & FOLDER != 0 => PathKind::Folder,
                mode if mode & LINK != 0 => PathKind::Link,
                _ => PathKind::File,
            })),
        }
    }

    pub(super) async fn upload(&self, id: &str, folder: &str, tar: ByteStream) -> EngineResult<()> {
        let options = UploadToContainerOptions { path: folder.to_owned(), ..UploadToContainerOptions::default() };
        // A large tree takes its time: what is limited is the time in which nothing moves.
        let moved = Arc::new(Mutex::new(Instant::now()));
        let last = Arc::clone(&moved);
        let noted = tar.inspect(move |_| *moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now());
        let call = self.client().upload_to_container(id, Some(options), bollard::body_try_stream(noted));
        let stalled = async {
            loop {
                let idle = last.lock().unwrap_or_else(PoisonError::into_inner).elapsed();
                let Some(left) = self.call_limit().checked_sub(idle) else { return };
                tokio::time::sleep(left.max(Duration::from_millis(1))).await;
            }
        };
        tokio::select! {
            done = call => done.map_err(|error| errors::sort(error, self.place())),
            () = stalled => Err(EngineError::Timeout {
                operation: format!("copying into {folder} of container {}", short(id)),
                limit: self.call_limit(),
            }),
        }
    }

    pub(super) async fn download_file(&self, id: &str, path: &str) -> EngineResult<Option<Vec<u8>>> {
        let request = format!("/containers/{}/archive?path={}", wire::encode(id), wire::encode(path));
        let operation = format!("reading {path} of container {}", short(id));
        let mut body = self.send("GET", &request, None);
        let read = async {
            let mut bytes = Vec::new();
            while let Some(piece) = body.next().await {
                bytes.extend_from_slice(&piece?);
                if bytes.len() as u64 > MOST + 4096 {
                    break;
                }
            }
            Ok(bytes)
        };
        match self.call(&operation, read).await {
            Ok(bytes) => Ok(first_file(&bytes).ok()),
            Err(EngineError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn container_facts(&self, id: &str) -> EngineResult<ContainerFacts> {
        let gone = || EngineError::NotFound(format!("container {} is gone", short(id)));
        self.look(id).await?.map(super::answers::Inspected::facts).ok_or_else(gone)
    }
}

/// The content of a tar's first entry.
fn first_file(tar: &[u8]) -> io::Result<Vec<u8>> {
    let mut archive = tar::Archive::new(tar);
    let Some(entry) = archive.entries()?.next() else { return Err(io::ErrorKind::NotFound.into()) };
    let mut content = Vec::new();
    entry?.take(MOST).read_to_end(&mut content)?;
    Ok(content)
}
