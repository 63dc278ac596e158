//! The last lines that a server printed for people: they say why it ended. Pure, bounded.

use std::collections::VecDeque;

/// So many lines are kept.
const LINES: usize = 10;
/// So many bytes of them.
const BYTES: usize = 16 << 10;

/// The last lines of one server.
#[derive(Debug, Default)]
pub(super) struct LastWords {
    lines: VecDeque<Vec<u8>>,
    /// The line that has not ended yet.
    open: Vec<u8>,
    bytes: usize,
}

impl LastWords {
    /// What it printed, as it came.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1));
            rest = later;
            let room = BYTES.saturating_sub(self.open.len());
            self.open.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.open);
        if line.trim_ascii().is_empty() {
            return;
        }
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > LINES || self.bytes > BYTES {
            let Some(gone) = self.lines.pop_front() else { break };
            self.bytes -= gone.len();
        }
    }

    /// Takes the lines, oldest first, without their ends.
    pub(super) fn take(&mut self) -> Vec<String> {
        self.end_line();
        self.bytes = 0;
        self.lines.drain(..).map(|line| String::from_utf8_lossy(line.trim_ascii_end()).into_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_and_no_more() {
        let mut words = LastWords::default();
        words.push(b"a\nb");
        words.push(b"c\n\n  \nlast");
        assert_eq!(words.take(), ["a", "bc", "last"]);
        assert_eq!(words.take(), Vec::<String>::new());

        for number in 0..50 {
            words.push(format!("line {number}\n").as_bytes());
        }
        let lines = words.take();
        assert_eq!((lines.len(), lines[0].as_str()), (LINES, "line 40"));
    }

    #[test]
    fn a_line_without_an_end_costs_no_memory() {
        let mut words = LastWords::default();
        for _ in 0..100 {
            words.push(&[b'x'; 1 << 12]);
            assert!(words.open.len() <= BYTES);
        }
        words.push(b"\nshort\n");
        assert_eq!(words.take(), ["short"], "what is too long alone makes room");
    }
}
