//! A container's stdin and output, on a local socket of its own: what a session's frames go through.
//!
//! bollard can attach too, and does wherever the engine is reached in another way (TCP, TLS, ssh). Its reader collects a
//! whole piece of output before it hands it on, from a stream that is shared in several layers; here the socket is read
//! as far as it goes, and what came is handed on without a copy.
//!
//! The format (engine API, "Attach to a container, stream format"): pieces, each behind a head of eight bytes: 0, 1 or 2
//! for stdin, stdout, stderr; three zeros; the length. With a terminal there are no heads.

use std::{
    io,
    path::Path,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use futures_util::Stream;
use hyper::{
    Request, StatusCode,
    client::conn::http1,
    header::{CONNECTION, HOST, UPGRADE},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, ReadHalf, WriteHalf},
    net::UnixStream,
};
use tokio_util::io::poll_read_buf;

use crate::engine::LogChunk;

/// Read at a time: what a local socket holds.
const PIECE: usize = 64 << 10;
/// A piece's head.
const HEAD: usize = 8;

/// Both directions of an attached container.
pub(super) type Ends = (WriteHalf<UnixStream>, Output<ReadHalf<UnixStream>>);

/// Asks for the streams at a path of the API. None: the engine refused; asked by bollard it says why.
pub(super) async fn attach(socket: &Path, path: &str) -> io::Result<Option<Ends>> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with the request's answer: then the socket is ours.
    tokio::spawn(connection.with_upgrades());
    let request = Request::post(path)
        .header(HOST, "docker")
        .header(CONNECTION, "Upgrade")
        .header(UPGRADE, "tcp")
        .body(String::new())
        .map_err(io::Error::other)?;
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(None);
    }
    let upgraded = hyper::upgrade::on(answer).await.map_err(io::Error::other)?;
    let Ok(parts) = upgraded.downcast::<TokioIo<UnixStream>>() else { return Ok(None) };
    let (output, input) = tokio::io::split(parts.io.into_inner());
    Ok(Some((input, Output::new(output, &parts.read_buf))))
}

/// What a container prints.
pub(super) struct Output<R> {
    stream: R,
    /// What was read and not handed out.
    read: BytesMut,
    /// What is still to come of a piece.
    piece: Option<Piece>,
    ended: bool,
}

#[derive(Clone, Copy)]
struct Piece {
    stderr: bool,
    left: usize,
}

impl<R> Output<R> {
    fn new(stream: R, first: &[u8]) -> Self {
        Self { stream, read: BytesMut::from(first), piece: None, ended: false }
    }

    /// What there is of a piece, as soon as any of it is there.
    fn chunk(&mut self) -> Option<LogChunk> {
        loop {
            let piece = if let Some(piece) = &mut self.piece {
                piece
            } else {
                let &first = self.read.first()?;
                if first > 2 || (self.ended && self.read.len() < HEAD) {
                    return Some(LogChunk { stderr: false, bytes: self.read.split().freeze() });
                }
                if self.read.len() < HEAD {
                    return None;
                }
                self.read.advance(4);
                let left = usize::try_from(self.read.get_u32()).unwrap_or(usize::MAX);
                self.piece.insert(Piece { stderr: first == 2, left })
            };
            let length = piece.left.min(self.read.len());
            piece.left -= length;
            let stderr = piece.stderr;
            if piece.left == 0 {
                self.piece = None;
            }
            if length > 0 {
                return Some(LogChunk { stderr, bytes: self.read.split_to(length).freeze() });
            }
            if self.piece.is_some() {
                return None;
            }
        }
    }
}

impl<R: AsyncRead + Unpin> Stream for Output<R> {
    type Item = io::Result<LogChunk>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            if let Some(chunk) = this.chunk() {
                return Poll::Ready(Some(Ok(chunk)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            // The room of pieces that nobody holds any more is used again.
            this.read.reserve(PIECE);
            match ready!(poll_read_buf(Pin::new(&mut this.stream), cx, &mut this.read)) {
                Ok(0) => this.ended = true,
                Ok(_) => {}
                Err(error) => return Poll::Ready(Some(Err(error))),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use proptest::prelude::*;

    use super::*;

    fn head(stream: u8, length: usize) -> Vec<u8> {
        [&[stream, 0, 0, 0][..], &u32::try_from(length).expect("short").to_be_bytes()].concat()
    }

    /// What comes out on stdout and on stderr when this comes in, cut in pieces of so many bytes.
    fn read(bytes: &[u8], first: usize, step: usize) -> (Vec<u8>, Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async {
            let (first, rest) = bytes.split_at(first.min(bytes.len()));
            let mut output = Output::new(Steps(rest, step), first);
            let (mut out, mut err) = (Vec::new(), Vec::new());
            while let Some(chunk) = output.next().await {
                let chunk = chunk.expect("read");
                if chunk.stderr { &mut err } else { &mut out }.extend_from_slice(&chunk.bytes);
            }
            (out, err)
        })
    }

    /// Gives so many bytes at a time.
    struct Steps<'a>(&'a [u8], usize);

    impl AsyncRead for Steps<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut tokio::io::ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let length = self.1.min(self.0.len()).min(buffer.remaining());
            let (given, rest) = self.0.split_at(length);
            buffer.put_slice(given);
            self.0 = rest;
            Poll::Ready(Ok(()))
        }
    }

    proptest! {
        #[test]
        fn what_was_put_in_pieces_comes_out(
            pieces in proptest::collection::vec((0_u8..3, proptest::collection::vec(any::<u8>(), 0..40)), 0..8),
            first in 0_usize..20,
            step in 1_usize..30,
        ) {
            let (mut bytes, mut out, mut err) = (Vec::new(), Vec::new(), Vec::new());
            for (stream, piece) in pieces {
                bytes.extend(head(stream, piece.len()));
                bytes.extend_from_slice(&piece);
                if stream == 2 { &mut err } else { &mut out }.extend(piece);
            }
            prop_assert_eq!(read(&bytes, first, step), (out, err));
        }
    }

    #[test]
    fn what_has_no_heads_is_output_and_nothing_is_lost_at_an_end() {
        assert_eq!(read(b"a terminal's\r\n", 0, 5).0, b"a terminal's\r\n");
        assert_eq!(read(&[head(1, 5), b"abc".to_vec()].concat(), 0, 100).0, b"abc", "cut off in a piece");
        assert_eq!(read(&[1, 0, 0], 0, 1).0, [1, 0, 0], "cut off in a head");
    }
}
