//! Bytes to lines: one line is one frame. Pure; it must not know what a frame says.
//!
//! A line that can't be JSON-RPC (its first byte is neither `{` nor `[`) is never kept: it is handed on in pieces
//! as it comes, so a server that prints a gigabyte without a line end costs nothing. A line that can is kept until it
//! ends, up to a limit.

use bytes::{Buf, Bytes, BytesMut};

use super::json;

/// The longest frame. Longer ones are no message that any client would take (one widely used client drops the connection at
/// 10 MB), and memory is finite.
pub const LONGEST: usize = 256 << 20;

/// One line, its end included: JSON-RPC, as far as its first byte tells.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Frame(Bytes);

impl Frame {
    /// A line. The end is added where it is missing (the last line of a server that has died).
    pub fn new(line: impl Into<Bytes>) -> Self {
        let line = line.into();
        if line.ends_with(b"\n") {
            return Self(line);
        }
        let mut whole = BytesMut::with_capacity(line.len() + 1);
        whole.extend_from_slice(&line);
        whole.extend_from_slice(b"\n");
        Self(whole.freeze())
    }

    /// The bytes, with the line's end.
    pub fn bytes(&self) -> &Bytes {
        &self.0
    }

    /// How many bytes.
    #[allow(clippy::len_without_is_empty)] // there is always the line's end
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// What [`Lines`] gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A whole line that may be JSON-RPC.
    Frame(Frame),
    /// A piece of a line that can't be. Ends with `\n` where the line ends.
    Noise(Bytes),
    /// A line that could have been one was longer than the limit, or its end never came; so many bytes were let go.
    Lost(usize),
}

/// Cuts what comes into lines.
#[derive(Debug)]
pub struct Lines {
    /// What came and was not handed out yet.
    kept: BytesMut,
    /// So many bytes at its beginning hold no line end.
    searched: usize,
    /// In the middle of a line that is not kept.
    skipping: Skipping,
    limit: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skipping {
    Nothing,
    Noise,
    TooLong(usize),
}

impl Default for Lines {
    fn default() -> Self {
        Self::with_limit(LONGEST)
    }
}

/// A frame larger than this takes its memory with it.
const LARGE: usize = 256 << 10;

impl Lines {
    /// With another limit than [`LONGEST`].
    pub fn with_limit(limit: usize) -> Self {
        Self { kept: BytesMut::new(), searched: 0, skipping: Skipping::Nothing, limit }
    }

    /// Nothing has come that was not handed out.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Adds what came.
    pub fn push(&mut self, piece: &[u8]) {
        self.kept.extend_from_slice(piece);
    }

    /// The next line that is whole. Empty lines are passed over.
    #[allow(clippy::should_implement_trait)] // what comes later makes it go on: no iterator
    pub fn next(&mut self) -> Option<Line> {
        loop {
            match self.skipping {
                Skipping::Nothing => {}
                Skipping::Noise => {
                    if self.kept.is_empty() {
                        return None;
                    }
                    return Some(Line::Noise(self.rest_of_line(|_| Skipping::Noise).1));
                }
                Skipping::TooLong(before) => {
                    if self.kept.is_empty() {
                        return None;
                    }
                    let (ended, piece) = self.rest_of_line(|piece| Skipping::TooLong(before + piece));
                    if ended {
                        return Some(Line::Lost(before + piece.len()));
                    }
                    return None;
                }
            }
            if self.searched == 0 {
                let blank = self.kept.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                self.kept.advance(blank);
                match self.kept.first() {
                    None => return None,
                    Some(b'{' | b'[') => {}
                    Some(_) => {
                        self.skipping = Skipping::Noise;
                        continue;
                    }
                }
            }
            if let Some(end) = memchr::memchr(b'\n', &self.kept[self.searched..]) {
                let line = self.kept.split_to(self.searched + end + 1);
                self.searched = 0;
                if line.len() > LARGE {
                    // They share one allocation, which would be used again: kept for good, for a few bytes.
                    self.kept = BytesMut::from(&self.kept[..]);
                }
                return Some(Line::Frame(Frame(line.freeze())));
            }
            self.searched = self.kept.len();
            if self.kept.len() <= self.limit {
                return None;
            }
            self.skipping = Skipping::TooLong(0);
        }
    }

    /// What is left when nothing more will come: a whole JSON text without its line end is a frame (of a server that
    /// has died, say).
    pub fn finish(&mut self) -> Option<Line> {
        if let Some(line) = self.next() {
            return Some(line);
        }
        let rest = std::mem::take(&mut self.kept);
        let skipping = std::mem::replace(&mut self.skipping, Skipping::Nothing);
        self.searched = 0;
        if let Skipping::TooLong(before) = skipping {
            return Some(Line::Lost(before + rest.len()));
        }
        if rest.is_empty() {
            return None;
        }
        if json::is_json(&rest) { Some(Line::Frame(Frame::new(rest.freeze()))) } else { Some(Line::Lost(rest.len())) }
    }

    /// Takes what there is of a line that is not kept. True: up to its end.
    fn rest_of_line(&mut self, unfinished: impl Fn(usize) -> Skipping) -> (bool, Bytes) {
        self.searched = 0;
        let end = memchr::memchr(b'\n', &self.kept);
        let piece = self.kept.split_to(end.map_or(self.kept.len(), |end| end + 1)).freeze();
        if piece.len() > LARGE {
            self.kept = BytesMut::from(&self.kept[..]); // as of a large frame
        }
        self.skipping = if end.is_some() { Skipping::Nothing } else { unfinished(piece.len()) };
        (end.is_some(), piece)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lines(pieces: &[&[u8]], limit: usize) -> Vec<Line> {
        let mut lines = Lines::with_limit(limit);
        let mut all = Vec::new();
        for piece in pieces {
            lines.push(piece);
            while let Some(line) = lines.next() {
                all.push(line);
            }
        }
        while let Some(line) = lines.finish() {
            all.push(line);
        }
        all
    }

    fn frame(text: &str) -> Line {
        Line::Frame(Frame::new(text.as_bytes().to_vec()))
    }

    fn noise(text: &str) -> Line {
        Line::Noise(Bytes::copy_from_slice(text.as_bytes()))
    }

    #[test]
    fn lines_are_cut() {
        let cases: &[(&[&[u8]], &[Line])] = &[
            (&[b"{}\n[1]\n"], &[frame("{}\n"), frame("[1]\n")]),
            (&[b"{\"a\":", b"1}", b"\n{"], &[frame("{\"a\":1}\n"), Line::Lost(1)]),
            (&[b"\n\r\n  {}\r\n"], &[frame("{}\r\n")]),
            (&[b"hello\n{}\n"], &[noise("hello\n"), frame("{}\n")]),
            (&[b"hel", b"lo", b"\n{}\n"], &[noise("hel"), noise("lo"), noise("\n"), frame("{}\n")]),
            (&[b"{}"], &[frame("{}\n")]),
            (&[b"{\"a\":12345678901234567890}\n{}\n"], &[frame("{\"a\":12345678901234567890}\n"), frame("{}\n")]),
            (&[b"{\"a\":12", b"3456789012345678", b"90}\n{}\n"], &[Line::Lost(27), frame("{}\n")]),
        ];
        for (pieces, expected) in cases {
            assert_eq!(lines(pieces, 16), *expected, "{pieces:?}");
        }
    }

    #[test]
    fn a_large_frame_takes_its_memory_with_it() {
        let mut lines = Lines::default();
        let large = format!("{{\"a\":\"{}\"}}\n", "x".repeat(4 << 20));
        for piece in large.as_bytes().chunks(64 << 10) {
            lines.push(piece);
        }
        lines.push(b"{}");
        let Some(Line::Frame(first)) = lines.next() else { panic!("a frame") };
        assert_eq!(first.len(), large.len());
        drop(first);
        assert_eq!(lines.next(), None);
        // What was a large allocation, and nobody's any more, must not come back as room to read into.
        let room = lines.kept.capacity();
        assert!(room < LARGE, "{room} bytes are kept");
        lines.push(b"\n");
        assert_eq!(lines.next(), Some(self::frame("{}\n")));
    }

    #[test]
    fn a_line_that_is_too_long_leaves_no_memory_behind() {
        let mut lines = Lines::with_limit(4 << 20);
        for _ in 0..80 {
            lines.push(&vec![b'{'; 64 << 10]);
            assert_eq!(lines.next(), None);
        }
        lines.push(b"\n{}\n");
        assert_eq!(lines.next(), Some(Line::Lost((80 << 16) + 1)));
        assert_eq!(lines.next(), Some(self::frame("{}\n")));
        let room = lines.kept.capacity();
        assert!(room < LARGE, "{room} bytes are kept");
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(text in r#"([{\[]?[a-z\{" ]{0,8}\n?){0,6}"#, cuts in proptest::collection::vec(0_usize..60, 0..6)) {
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < bytes.len()).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut from = 0;
            for cut in cuts {
                pieces.push(&bytes[from..cut]);
                from = cut;
            }
            pieces.push(&bytes[from..]);
            let frames = |lines: Vec<Line>| -> Vec<Line> { lines.into_iter().filter(|line| matches!(line, Line::Frame(_))).collect() };
            prop_assert_eq!(frames(lines(&pieces, 1 << 10)), frames(lines(&[bytes], 1 << 10)));
        }
    }
}
