//! A way to the engine that a test can cut, and that notes what is asked: a socket that forwards to the engine's own.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use mcpmon::engine::docker::Docker;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    task::{JoinHandle, JoinSet},
};

use crate::support::{DEADLINE, environment};

/// Where the engine of the tests listens.
const ENGINE: &str = "/var/run/docker.sock";

/// The forwarding socket.
pub(crate) struct Wire {
    folder: tempfile::TempDir,
    task: Option<JoinHandle<()>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Wire {
    /// A wire that is whole.
    pub(crate) fn new() -> Self {
        let mut wire = Self { folder: tempfile::tempdir().expect("a folder"), task: None, requests: Arc::default() };
        wire.mend();
        wire
    }

    /// A connection over it.
    pub(crate) async fn connect(&self) -> Docker {
        let mut environment = environment();
        environment.insert("DOCKER_HOST".into(), self.address());
        Docker::connect(&environment, DEADLINE).await.expect("the engine answers over the wire")
    }

    /// Ends every connection and lets no new one through.
    pub(crate) async fn cut(&mut self) {
        if let Some(task) = self.task.take() {
            std::fs::remove_file(self.path()).expect("the socket is there");
            task.abort();
            let _ = task.await;
        }
    }

    /// Lets connections through again.
    pub(crate) fn mend(&mut self) {
        let listener = UnixListener::bind(self.path()).expect("a socket");
        self.task = Some(tokio::spawn(forward(listener, PathBuf::from(engine()), Arc::clone(&self.requests))));
    }

    /// What `DOCKER_HOST` must be.
    pub(crate) fn address(&self) -> String {
        format!("unix://{}", self.path().display())
    }

    /// The request lines so far (`GET /v1.41/…`), as far as they begin what a client sends at one go.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("nobody panicked").clone()
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }
}

/// The engine's socket: `DOCKER_HOST` where that is one.
fn engine() -> String {
    environment().get("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://")).unwrap_or(ENGINE).to_owned()
}

async fn forward(listener: UnixListener, engine: impl AsRef<Path>, requests: Arc<Mutex<Vec<String>>>) {
    // Dropped with the task: every connection ends with it.
    let mut connections = JoinSet::new();
    while let Ok((client, _)) = listener.accept().await {
        let (engine, requests) = (engine.as_ref().to_owned(), Arc::clone(&requests));
        connections.spawn(async move {
            let Ok(server) = UnixStream::connect(engine).await else { return };
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let up = async {
                let mut buffer = vec![0; 64 << 10];
                while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
                    note(&buffer[..length], &requests);
                    if to_server.write_all(&buffer[..length]).await.is_err() {
                        break;
                    }
                }
                // The other direction may go on: an attach whose input has ended.
                let _ = to_server.shutdown().await;
            };
            let down = async {
                let _ = tokio::io::copy(&mut from_server, &mut to_client).await;
                let _ = to_client.shutdown().await;
            };
            tokio::join!(up, down);
        });
    }
}

/// Notes the request line that these bytes begin with, if they do.
fn note(bytes: &[u8], requests: &Mutex<Vec<String>>) {
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    if let Some(request) = std::str::from_utf8(line).ok().and_then(|line| line.trim_end().strip_suffix(" HTTP/1.1")) {
        requests.lock().expect("nobody panicked").push(request.to_owned());
    }
}
