//! Log lines with the engine's time stamps: what makes it possible to merge several logs in their order,
//! and to go on after a cut without a line lost or doubled. Pure; it must not know how they are fetched.
//!
//! With `timestamps` the engine writes `2026-11-22T14:11:00.123456789Z ` before each message. A message is a
//! line, or a piece of 16 KiB of a longer one: then the stamp also stands in the middle of the line.

use std::time::{SystemTime, UNIX_EPOCH};

use super::lines::Lines;

/// The longest stamp (`2026-11-22T14:11:00.123456789+02:00`).
const LONGEST: usize = 35;

/// How far a container's output has been read: the stamp of the last line of stdout and of stderr.
/// Stamps of one engine have one form, so that their text sorts by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    last: [Option<String>; 2],
}

impl Position {
    /// Everything up to this time was read.
    pub fn at(time: SystemTime) -> Self {
        let stamp = humantime::format_rfc3339_nanos(time).to_string();
        Self { last: [Some(stamp.clone()), Some(stamp)] }
    }

    /// From when to ask again, in seconds since the epoch: a second early, as both streams are stamped on
    /// their own; what was read before is dropped by its stamp. None = nothing has been read.
    pub fn since(&self) -> Option<i64> {
        let latest = self.last.iter().flatten().max()?;
        let time = humantime::parse_rfc3339(latest).ok()?.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(time.as_secs()).ok().map(|seconds| seconds - 1)
    }

    /// Nothing has been read.
    pub fn is_start(&self) -> bool {
        self.last.iter().all(Option::is_none)
    }
}

/// One line and when the engine received it (empty where the engine told no time).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampedLine {
    /// The stamp as text.
    pub stamp: String,
    /// From stderr.
    pub stderr: bool,
    /// The line.
    pub line: String,
}

/// Reads one container's stamped output.
#[derive(Debug, Default)]
pub struct Stamped {
    streams: [Stream; 2],
    from: Position,
}

#[derive(Debug, Default)]
struct Stream {
    lines: Lines,
    /// The beginning of a stamp whose end has not come yet.
    held: Vec<u8>,
    stamp: String,
    /// The line was read before.
    old: bool,
    latest: Option<String>,
}

impl Stamped {
    /// Goes on after what was read before.
    pub fn after(from: Position) -> Self {
        Self { streams: <[Stream; 2]>::default(), from }
    }

    /// The lines that this piece completes.
    pub fn push(&mut self, stderr: bool, bytes: &[u8]) -> Vec<StampedLine> {
        let side = usize::from(stderr);
        let from = self.from.last[side].as_deref();
        let stream = &mut self.streams[side];
        let joined = [std::mem::take(&mut stream.held).as_slice(), bytes].concat();
        let mut found = Vec::new();
        for (position, mut piece) in joined.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let starts = stream.lines.is_at_start();
            if starts && piece.len() <= LONGEST && !piece.iter().any(|byte| matches!(byte, b' ' | b'\n')) {
                stream.held = piece.to_vec();
                break;
            }
            // A stamp stands where a line begins, and where a message begins.
            if starts || position == 0 {
                let (stamp, rest) = split(piece);
                piece = rest;
                if starts {
                    stamp.unwrap_or_default().clone_into(&mut stream.stamp);
                    stream.old = stamp.is_some_and(|stamp| from.is_some_and(|from| stamp <= from));
                }
            }
            for line in stream.lines.push(piece) {
                stream.emit(stderr, line, &mut found);
            }
        }
        found
    }

    /// The stream has ended: what is left, and how far it was read.
    pub fn finish(mut self) -> (Vec<StampedLine>, Position) {
        let mut found = Vec::new();
        for (side, stream) in self.streams.iter_mut().enumerate() {
            let held = String::from_utf8_lossy(&std::mem::take(&mut stream.held)).into_owned();
            if let Some(line) = stream.lines.finish().or_else(|| (!held.is_empty()).then_some(held)) {
                stream.emit(side == 1, line, &mut found);
            }
        }
        let position = self.position();
        (found, position)
    }

    /// How far it was read, without a line that has only begun.
    pub fn position(&self) -> Position {
        let mut position = self.from.clone();
        for (last, stream) in position.last.iter_mut().zip(&self.streams) {
            if let Some(latest) = &stream.latest {
                *last = Some(latest.clone());
            }
        }
        position
    }
}

impl Stream {
    fn emit(&mut self, stderr: bool, line: String, found: &mut Vec<StampedLine>) {
        if self.old {
            return;
        }
        if !self.stamp.is_empty() {
            self.latest = Some(self.stamp.clone());
        }
        found.push(StampedLine { stamp: self.stamp.clone(), stderr, line });
    }
}

/// The stamp at the beginning, and what follows it. One of whole seconds (podman's) is taken off and is none: several lines
/// have the same, so that it does not tell which were read.
fn split(bytes: &[u8]) -> (Option<&str>, &[u8]) {
    let shape = b"dddd-dd-ddTdd:dd:dd";
    let fits = bytes.len() > shape.len()
        && shape.iter().zip(bytes).all(|(shape, byte)| match shape {
            b'd' => byte.is_ascii_digit(),
            other => byte == other,
        });
    if !fits {
        return (None, bytes);
    }
    let Some(end) = bytes.iter().take(LONGEST + 1).position(|byte| *byte == b' ') else { return (None, bytes) };
    match (str::from_utf8(&bytes[..end]), bytes[shape.len()]) {
        (Ok(stamp), b'.') => (Some(stamp), &bytes[end + 1..]),
        (Ok(_), b'Z' | b'+' | b'-') => (None, &bytes[end + 1..]),
        _ => (None, bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(number: u32) -> String {
        format!("2026-11-22T14:11:{:02}.{number:09}Z", number / 10)
    }

    fn message(number: u32, text: &str) -> Vec<u8> {
        format!("{} {text}", stamp(number)).into_bytes()
    }

    #[test]
    fn whole_seconds_are_taken_off_and_tell_nothing() {
        let mut read = Stamped::default();
        let lines = read.push(false, b"2026-11-22T14:11:00Z one\n2026-11-22T14:11:00+02:00 two\n");
        assert_eq!(texts(&lines), ["one", "two"]);
        assert!(read.position().is_start());
    }

    fn texts(lines: &[StampedLine]) -> Vec<&str> {
        lines.iter().map(|line| line.line.as_str()).collect()
    }

    #[test]
    fn stamps_are_taken_off() {
        let mut output = Stamped::default();
        let lines = output.push(true, &message(7, "hello world\n"));
        assert_eq!(lines, [StampedLine { stamp: stamp(7), stderr: true, line: "hello world".into() }]);
        assert_eq!(texts(&output.push(false, b"no stamp\n")), ["no stamp"]);
        assert_eq!(texts(&output.push(false, &message(8, "\n"))), [""]);
    }

    #[test]
    fn a_long_line_comes_in_messages_of_its_own_stamps() {
        let mut output = Stamped::default();
        assert_eq!(output.push(false, &message(1, "one ")), []);
        assert_eq!(output.push(false, &message(2, "two ")), []);
        let lines = output.push(false, &message(3, "three\n"));
        assert_eq!(lines, [StampedLine { stamp: stamp(1), stderr: false, line: "one two three".into() }]);
    }

    #[test]
    fn bytes_may_be_cut_anywhere() {
        let bytes = [message(1, "one\r\n"), message(2, "two\n"), message(3, "three\n")].concat();
        for at in 0..bytes.len() {
            let mut output = Stamped::default();
            let mut lines = output.push(false, &bytes[..at]);
            lines.extend(output.push(false, &bytes[at..]));
            assert_eq!(texts(&lines), ["one", "two", "three"], "cut at {at}");
        }
    }

    #[test]
    fn what_was_read_before_is_dropped_and_nothing_else() {
        let mut output = Stamped::default();
        output.push(false, &message(1, "one\n"));
        output.push(true, &message(2, "error\n"));
        output.push(false, &message(5, "half"));
        let position = output.position();
        assert_eq!(
            position.since(),
            Some(humantime::parse_rfc3339(&stamp(2)).map_or(0, |time| {
                i64::try_from(time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()).unwrap_or_default() - 1
            }))
        );
        let mut again = Stamped::after(position);
        assert_eq!(texts(&again.push(false, &message(1, "one\n"))), Vec::<&str>::new());
        assert_eq!(texts(&again.push(true, &message(2, "error\n"))), Vec::<&str>::new());
        // On stdout nothing after 1 had been read, whatever stderr had.
        assert_eq!(texts(&again.push(false, &message(2, "beside\n"))), ["beside"]);
        assert_eq!(texts(&again.push(false, &message(5, "half and whole\n"))), ["half and whole"]);
        let (rest, position) = again.finish();
        assert_eq!((rest, position.is_start()), (Vec::new(), false));
    }

    #[test]
    fn an_end_without_a_line_break_is_a_line() {
        let mut output = Stamped::default();
        output.push(false, &message(1, "bye"));
        let (rest, position) = output.finish();
        assert_eq!(texts(&rest), ["bye"]);
        assert!(!position.is_start());
        let mut short = Stamped::default();
        assert_eq!(short.push(false, b"x"), []);
        assert_eq!(texts(&short.finish().0), ["x"]);
    }
}
