//! This process's own stdin, stdout and stderr, read and written by whoever polls them: no thread blocks on them.
//! It must not know what the bytes say.
//!
//! Whether reads and writes block is not a property of the descriptor but of what it refers to, and that is shared
//! with the process that made it: set non-blocking here, the parent's own writes fail. So:
//!
//! - pipes and terminals are opened once more (`/proc/self/fd/N`), which gives a description of our own;
//! - sockets (Node's child processes get them) can't be opened again, but each call can say that it must not wait;
//! - files and `/dev/null` never make anybody wait;
//! - where opening again is refused (a pipe of another user), each call asks first whether it would wait.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    task::{Context, Poll, ready},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fs::{FileType, Mode, OFlags, fstat, open},
    io::{Errno, fcntl_dupfd_cloexec, read, retry_on_intr, write},
    net::{RecvFlags, SendFlags, recv, send},
    pipe::{fcntl_getpipe_size, fcntl_setpipe_size},
};
use tokio::io::{Interest, unix::AsyncFd};

/// What a pipe takes without waiting once it says that it takes something (POSIX, `PIPE_BUF`).
const PIPE_TAKES: usize = 4096;

/// What a pipe is to hold. Who writes a line of many megabytes sleeps each time the pipe is full, and a pipe holds 64 KiB by
/// itself; what all pipes of a user hold is bounded, so it is not much more.
const PIPE_HOLDS: usize = 256 << 10;

/// Makes a pipe hold more, where the system allows it.
pub fn enlarge(pipe: impl AsFd) {
    if fcntl_getpipe_size(&pipe).is_ok_and(|size| size < PIPE_HOLDS) {
        let _ = fcntl_setpipe_size(&pipe, PIPE_HOLDS); // it is only slower then
    }
}

/// One of the three.
#[derive(Debug)]
pub struct Stdio {
    file: File,
    way: Way,
    /// Less than was asked for means that there was no more. (A terminal gives a line at a time.)
    gives_all: bool,
}

#[derive(Debug)]
enum File {
    /// The kernel tells when it can be used.
    Watched(AsyncFd<OwnedFd>),
    /// It can always be used.
    Always(OwnedFd),
}

/// How a call is kept from waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The description is our own, and non-blocking.
    Own,
    /// Each call says so.
    Socket,
    /// Each call is made only when it would not wait.
    Asking,
}

impl Stdio {
    /// What the client sends. Must be called in a tokio runtime.
    pub fn stdin() -> io::Result<Self> {
        Self::new(io::stdin(), Interest::READABLE)
    }

    /// What the client reads.
    pub fn stdout() -> io::Result<Self> {
        Self::new(io::stdout(), Interest::WRITABLE)
    }

    /// What a person reads.
    pub fn stderr() -> io::Result<Self> {
        Self::new(io::stderr(), Interest::WRITABLE)
    }

    /// A descriptor that is to be read from or written to, as the interest says. The descriptor itself stays as it is.
    pub fn new(file: impl AsFd, interest: Interest) -> io::Result<Self> {
        let fd = fcntl_dupfd_cloexec(&file, 0)?;
        let kind = FileType::from_raw_mode(fstat(&fd)?.st_mode);
        if kind == FileType::Fifo {
            enlarge(&fd);
        }
        let gives_all = matches!(kind, FileType::Fifo | FileType::Socket);
        let (fd, way) = match kind {
            FileType::Socket => (fd, Way::Socket),
            FileType::Fifo | FileType::CharacterDevice => {
                let direction = if interest.is_readable() { OFlags::RDONLY } else { OFlags::WRONLY };
                let flags = direction | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
                let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd));
                match open(path, flags, Mode::empty()) {
                    Ok(own) => (own, Way::Own),
                    Err(_) => (fd, Way::Asking),
                }
            }
            _ => return Ok(Self { file: File::Always(fd), way: Way::Own, gives_all }),
        };
        match watched(fd, interest) {
            Ok(watched) => Ok(Self { file: File::Watched(watched), way, gives_all }),
            // What the kernel can't watch never waits (`/dev/null`).
            Err((fd, error)) if error.kind() == io::ErrorKind::PermissionDenied => {
                Ok(Self { file: File::Always(fd), way: Way::Own, gives_all })
            }
            Err((_, error)) => Err(error),
        }
    }

    /// Reads what there is. 0: the end.
    pub fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let asked = buffer.len();
        let read = match &self.file {
            File::Always(fd) => retry_on_intr(|| read(fd, &mut *buffer)).map_err(io::Error::from),
            File::Watched(watched) => loop {
                let mut guard = ready!(watched.poll_read_ready(cx))?;
                let take = |fd: &AsyncFd<OwnedFd>| {
                    let fd = fd.get_ref();
                    let taken = retry_on_intr(|| match self.way {
                        Way::Socket => recv(fd, &mut *buffer, RecvFlags::DONTWAIT).map(|(taken, _)| taken),
                        Way::Asking if would_wait(fd, PollFlags::IN)? => Err(Errno::AGAIN),
                        Way::Own | Way::Asking => read(fd, &mut *buffer),
                    });
                    taken.map_err(io::Error::from)
                };
                if let Ok(read) = guard.try_io(take) {
                    // Asking once more would cost a call for each frame. What comes from now on is told.
                    if self.gives_all && read.as_ref().is_ok_and(|read| *read < asked) {
                        guard.clear_ready();
                    }
                    break read;
                }
            },
        };
        Poll::Ready(match read {
            // A terminal that was closed, and a peer that vanished, have ended.
            Err(error) if is_gone(&error) => Ok(0),
            read => read,
        })
    }

    /// Writes as much as is taken without waiting.
    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let watched = match &self.file {
            File::Always(fd) => return Poll::Ready(Ok(retry_on_intr(|| write(fd, bytes))?)),
            File::Watched(watched) => watched,
        };
        loop {
            let mut guard = ready!(watched.poll_write_ready(cx))?;
            let put = |fd: &AsyncFd<OwnedFd>| {
                let fd = fd.get_ref();
                let put = retry_on_intr(|| match self.way {
                    Way::Own => write(fd, bytes),
                    Way::Socket => send(fd, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
                    Way::Asking if would_wait(fd, PollFlags::OUT)? => Err(Errno::AGAIN),
                    Way::Asking => write(fd, &bytes[..bytes.len().min(PIPE_TAKES)]),
                });
                put.map_err(io::Error::from)
            };
            if let Ok(written) = guard.try_io(put) {
                return Poll::Ready(written);
            }
        }
    }
}

#[allow(
    deprecated,
    reason = "its successor is an unsafe fn; what is unsound about it are types that lie about their descriptor, and OwnedFd does not"
)]
fn watched(fd: OwnedFd, interest: Interest) -> Result<AsyncFd<OwnedFd>, (OwnedFd, io::Error)> {
    AsyncFd::try_with_interest(fd, interest).map_err(tokio::io::unix::AsyncFdTryNewError::into_parts)
}

fn would_wait(fd: &OwnedFd, flags: PollFlags) -> Result<bool, Errno> {
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    Ok(poll(&mut [PollFd::new(fd, flags)], Some(&at_once))? == 0)
}

fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw_os_error), Some(Errno::IO | Errno::CONNRESET))
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        io::{Read, Write},
        os::unix::net::UnixStream,
        time::Duration,
    };

    use rustix::fs::fcntl_getfl;

    use super::*;

    async fn read_some(stdio: &Stdio) -> io::Result<Vec<u8>> {
        let mut buffer = vec![0; 1 << 16];
        let read = poll_fn(|cx| stdio.poll_read(cx, &mut buffer));
        let read = tokio::time::timeout(Duration::from_secs(10), read).await.expect("something to read");
        read.map(|read| buffer[..read].to_vec())
    }

    async fn write_all(stdio: &Stdio, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = poll_fn(|cx| stdio.poll_write(cx, bytes));
            let written = tokio::time::timeout(Duration::from_secs(10), written).await.expect("room to write")?;
            bytes = &bytes[written..];
        }
        Ok(())
    }

    /// What is written at one end comes out at the other, more of it than fits in between, and waiting holds nobody up.
    async fn through(out: Stdio, into: Stdio) {
        let sent: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut received = Vec::new();
        let receive = async {
            while received.len() < sent.len() {
                received.extend(read_some(&out).await.expect("read"));
            }
        };
        let (written, ()) = tokio::join!(write_all(&into, &sent), receive);
        written.expect("written");
        assert!(received == sent);
    }

    #[tokio::test]
    async fn pipes_and_sockets_carry_more_than_they_hold() {
        let (out, into) = io::pipe().expect("a pipe");
        let reads = |fd: &dyn AsFd| Stdio::new(fd.as_fd(), Interest::READABLE).expect("reads");
        let writes = |fd: &dyn AsFd| Stdio::new(fd.as_fd(), Interest::WRITABLE).expect("writes");
        through(reads(&out), writes(&into)).await;
        let blocking = |fd: &dyn AsFd| !fcntl_getfl(fd).expect("flags").contains(OFlags::NONBLOCK);
        assert!(blocking(&out) && blocking(&into), "the description that is shared with others stays as it was");
        let (out, into) = UnixStream::pair().expect("sockets");
        through(reads(&out), writes(&into)).await;
        assert!(blocking(&out) && blocking(&into));
    }

    #[tokio::test]
    async fn a_pipe_that_can_not_be_opened_again_is_asked_first() {
        let (out, into) = io::pipe().expect("a pipe");
        // As it is where opening again is refused: the shared description itself.
        let asked = |fd: OwnedFd, interest| Stdio {
            file: File::Watched(watched(fd, interest).expect("watched")),
            way: Way::Asking,
            gives_all: true,
        };
        through(asked(out.into(), Interest::READABLE), asked(into.into(), Interest::WRITABLE)).await;
    }

    #[tokio::test]
    async fn ends_are_told() {
        let (out, mut into) = io::pipe().expect("a pipe");
        let stdio = Stdio::new(&out, Interest::READABLE).expect("reads");
        into.write_all(b"last").expect("written");
        drop(into);
        assert_eq!(read_some(&stdio).await.expect("read"), b"last");
        assert_eq!(read_some(&stdio).await.expect("the end"), b"");

        let (out, into) = io::pipe().expect("a pipe");
        let stdio = Stdio::new(&into, Interest::WRITABLE).expect("writes");
        drop(out);
        let error = write_all(&stdio, b"x").await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }

    #[tokio::test]
    async fn files_and_devices_never_wait() {
        let mut file = tempfile::tempfile().expect("a file");
        write_all(&Stdio::new(&file, Interest::WRITABLE).expect("writes"), b"kept").await.expect("written");
        std::io::Seek::rewind(&mut file).expect("rewound");
        let mut text = String::new();
        file.read_to_string(&mut text).expect("read");
        assert_eq!(text, "kept");
        let null = std::fs::File::open("/dev/null").expect("/dev/null");
        assert_eq!(read_some(&Stdio::new(&null, Interest::READABLE).expect("reads")).await.expect("read"), b"");
    }
}
