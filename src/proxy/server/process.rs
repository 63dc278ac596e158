//! Servers that are plain commands: children of mcpmon. It must not know what is said through the streams.

use std::{
    collections::BTreeMap,
    io,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    process::{ChildStderr, ChildStdin, ChildStdout},
};
use tokio_util::{io::poll_read_buf, sync::CancellationToken};

use super::{Failed, Launcher, Streams, lock};
use crate::{
    engine::LogChunk,
    error::{Error, Kind},
    process::{self, END_OF_FILE_GRACE, Process, Running},
    proxy::{
        session::{ServerId, Start},
        stdio::enlarge,
    },
};

/// Read at a time.
const PIECE: usize = 64 << 10;

/// Starts one command, as often as it takes.
pub struct Processes {
    command: Mutex<process::Launcher>,
    grace: Duration,
    running: Mutex<BTreeMap<ServerId, Server>>,
    /// What could not be ended.
    left: Mutex<Vec<String>>,
}

/// A command that was started.
#[derive(Debug, Clone)]
struct Server {
    process: Process,
    /// When its stdin was closed.
    closed: Arc<OnceLock<Instant>>,
}

impl Processes {
    /// `grace`: between SIGTERM and SIGKILL.
    pub fn new(command: process::Launcher, grace: Duration) -> Self {
        Self { command: Mutex::new(command), grace, running: Mutex::default(), left: Mutex::default() }
    }

    /// From now on this is the command.
    pub fn set(&self, command: process::Launcher) {
        *lock(&self.command) = command;
    }

    fn server(&self, server: ServerId) -> Option<Server> {
        lock(&self.running).get(&server).cloned()
    }

    async fn end(&self, Server { process, closed }: &Server, hurry: &CancellationToken) -> String {
        let gently = async {
            // Whoever did not end when its stdin did, has had its time.
            match closed.get() {
                Some(at) if at.elapsed() >= END_OF_FILE_GRACE => process.terminate(self.grace).await,
                _ => process.stop(self.grace).await,
            }
        };
        let stopped = tokio::select! {
            stopped = gently => stopped,
            () = hurry.cancelled() => process.kill().await,
        };
        match stopped {
            Ok(stopped) => stopped.exit.to_string(),
            Err(error) => {
                let error = words(&error);
                lock(&self.left).push(error.clone());
                error
            }
        }
    }
}

impl Launcher for Processes {
    async fn prepare(&self, _server: ServerId, _rebuild: bool, _give_up: &CancellationToken) -> Result<(), Failed> {
        Ok(()) // a command needs nothing
    }

    async fn start(&self, server: ServerId, _how: Start, _give_up: &CancellationToken) -> Result<Streams, Failed> {
        let started = lock(&self.command).start();
        let Running { stdin, stdout, stderr, process } = started.map_err(|error| match error.kind {
            kind @ (Kind::NotFound | Kind::NotExecutable) => Failed { kind, ..Failed::hopeless(words(&error)) },
            _ => Failed::new(words(&error)),
        })?;
        tracing::debug!("server {} is process {}", server.0, process.pid());
        let closed = Arc::new(OnceLock::new());
        lock(&self.running).insert(server, Server { process, closed: Arc::clone(&closed) });
        enlarge(&stdin);
        enlarge(&stdout);
        let output = Output { stdout: Some(stdout), stderr: Some(stderr), room: BytesMut::new() };
        Ok(Streams { input: Box::pin(Input { stdin, closed }), output: Box::pin(output) })
    }

    async fn ended(&self, server: ServerId) -> String {
        let Some(Server { process, .. }) = self.server(server) else { return "it is gone".into() };
        match process.wait().await {
            Ok(exit) => exit.to_string(),
            Err(error) => words(&error),
        }
    }

    async fn stop(&self, server: ServerId, _keep: bool, hurry: &CancellationToken) -> String {
        match self.server(server) {
            Some(server) => self.end(&server, hurry).await,
            None => "it is gone".into(),
        }
    }

    async fn forget(&self, server: ServerId) {
        let server = lock(&self.running).remove(&server);
        if let Some(server) = server {
            // Those that it started go with it.
            self.end(&server, &CancellationToken::new()).await;
        }
    }

    async fn finish(&self, hurry: &CancellationToken) -> Result<(), Error> {
        let running = std::mem::take(&mut *lock(&self.running));
        for server in running.values() {
            self.end(server, hurry).await;
        }
        match std::mem::take(&mut *lock(&self.left)).as_slice() {
            [] => Ok(()),
            left => Err(Error::failed(left.join("; "))),
        }
    }
}

/// What happened, why, and what to do, in one line.
fn words(error: &Error) -> String {
    let source = error.source.as_ref().map(|source| format!(": {source}")).unwrap_or_default();
    let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    format!("{}{source}{hint}", error.message)
}

/// Both outputs as one stream; it ends when both have.
struct Output {
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// Where to read into: used again once nobody holds what was read.
    room: BytesMut,
}

impl Stream for Output {
    type Item = io::Result<LogChunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Self { stdout, stderr, room } = &mut *self;
        // What it complains about first: it often explains why nothing more comes.
        let (stderr, bytes) = match poll_piece(stderr, room, cx) {
            Some(bytes) => (true, bytes),
            None => match poll_piece(stdout, room, cx) {
                Some(bytes) => (false, bytes),
                None if stdout.is_none() && stderr.is_none() => return Poll::Ready(None),
                None => return Poll::Pending,
            },
        };
        Poll::Ready(Some(Ok(LogChunk { stderr, bytes })))
    }
}

/// What there is of an output; it is taken away at its end.
fn poll_piece<R: AsyncRead + Unpin>(
    output: &mut Option<R>,
    room: &mut BytesMut,
    cx: &mut Context<'_>,
) -> Option<Bytes> {
    room.reserve(PIECE);
    match poll_read_buf(Pin::new(output.as_mut()?), cx, room) {
        Poll::Pending => None,
        Poll::Ready(Ok(1..)) => Some(room.split().freeze()),
        Poll::Ready(_) => {
            *output = None;
            None
        }
    }
}

/// A server's stdin; remembers when it was closed.
struct Input {
    stdin: ChildStdin,
    closed: Arc<OnceLock<Instant>>,
}

impl Drop for Input {
    fn drop(&mut self) {
        let _ = self.closed.set(Instant::now());
    }
}

impl AsyncWrite for Input {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(cx)
    }
}
