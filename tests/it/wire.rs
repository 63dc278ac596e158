//! A way to the engine that a test can cut: a socket that forwards to the engine's own.

use std::path::{Path, PathBuf};

use mcpmon::engine::docker::Docker;
use tokio::{
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
}

impl Wire {
    /// A wire that is whole.
    pub(crate) fn new() -> Self {
        let mut wire = Self { folder: tempfile::tempdir().expect("a folder"), task: None };
        wire.mend();
        wire
    }

    /// A connection over it.
    pub(crate) async fn connect(&self) -> Docker {
        let mut environment = environment();
        environment.insert("DOCKER_HOST".into(), format!("unix://{}", self.path().display()));
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
        self.task = Some(tokio::spawn(forward(listener, PathBuf::from(engine()))));
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("engine.sock")
    }
}

/// The engine's socket: `DOCKER_HOST` where that is one.
fn engine() -> String {
    environment().get("DOCKER_HOST").and_then(|host| host.strip_prefix("unix://")).unwrap_or(ENGINE).to_owned()
}

async fn forward(listener: UnixListener, engine: impl AsRef<Path>) {
    // Dropped with the task: every connection ends with it.
    let mut connections = JoinSet::new();
    while let Ok((mut client, _)) = listener.accept().await {
        let engine = engine.as_ref().to_owned();
        connections.spawn(async move {
            if let Ok(mut server) = UnixStream::connect(engine).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}
