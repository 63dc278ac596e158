//! Bytes to lines, and lines to something a terminal can show: pure. Memory is bounded whatever a
//! container prints, and words from outside as they may be shown. It must not know where the bytes come from.

/// The longest line kept whole; a longer one becomes several.
pub const LONGEST: usize = 64 * 1024;

/// Capacity worth keeping between two lines.
const KEPT: usize = 8 * 1024;

/// Splits one stream of bytes into lines. `\n` and `\r\n` end a line; bytes that are no UTF-8 become U+FFFD.
#[derive(Debug)]
pub struct Lines {
    pending: Vec<u8>,
    longest: usize,
}

impl Default for Lines {
    fn default() -> Self {
        Self::with_longest(LONGEST)
    }
}

impl Lines {
    /// With another limit than [`LONGEST`], in bytes; at least 4, so that a character fits.
    pub fn with_longest(longest: usize) -> Self {
        Self { pending: Vec::new(), longest: longest.max(4) }
    }

    /// No line has begun.
    pub fn is_at_start(&self) -> bool {
        self.pending.is_empty()
    }

    /// The lines that these bytes complete.
    pub fn push(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.extend(&bytes[..end], &mut lines);
            lines.push(self.take());
            bytes = &bytes[end + 1..];
        }
        self.extend(bytes, &mut lines);
        lines
    }

    /// What is left when the stream has ended without a line break.
    pub fn finish(&mut self) -> Option<String> {
        (!self.pending.is_empty()).then(|| self.take())
    }

    /// Forgets an unfinished line.
    pub fn clear(&mut self) {
        self.pending = Vec::new();
    }

    fn extend(&mut self, bytes: &[u8], lines: &mut Vec<String>) {
        self.pending.extend_from_slice(bytes);
        let mut start = 0;
        while self.pending.len() - start > self.longest {
            let mut cut = start + self.longest;
            // Not through the middle of a character (its later bytes are 10xxxxxx).
            for back in 0..4 {
                if self.pending[start + self.longest - back] & 0b1100_0000 != 0b1000_0000 {
                    cut = start + self.longest - back;
                    break;
                }
            }
            lines.push(text(&self.pending[start..cut]));
            start = cut;
        }
        self.pending.drain(..start);
    }

    fn take(&mut self) -> String {
        let line = text(self.pending.strip_suffix(b"\r").unwrap_or(&self.pending));
        if self.pending.capacity() > KEPT {
            self.pending = Vec::new();
        } else {
            self.pending.clear();
        }
        line
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A line from outside as it may go to a terminal: no control character moves the cursor, changes the
/// title or clears anything. Colours (`ESC [ … m`) stay where `colours` says so, and end with the line.
/// Of a line that overwrites itself (`10 %\r20 %`) the last state stays, as a terminal would show it.
pub fn printable(line: &str, colours: bool) -> String {
    let line = line.trim_end_matches('\r');
    let line = line.rsplit_once('\r').map_or(line, |(_, last)| last);
    let mut shown = String::with_capacity(line.len());
    let mut coloured = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.next_if(|next| !next.is_control()) {
                // A control sequence: parameters, then one character from @ to ~.
                Some('[') => {
                    let mut parameters = String::new();
                    while let Some(next) = characters.next_if(|next| matches!(next, ' '..='?')) {
                        parameters.push(next);
                    }
                    let end = characters.next_if(|next| matches!(next, '@'..='~'));
                    let plain = parameters.chars().all(|next| next.is_ascii_digit() || matches!(next, ';' | ':'));
                    if colours && end == Some('m') && plain {
                        shown.extend(["\u{1b}[", &parameters, "m"]);
                        coloured = true;
                    }
                }
                // Title, link and the like: up to BEL or ESC \.
                Some(']' | 'P' | 'X' | '^' | '_') => {
                    while let Some(next) = characters.next_if(|next| *next != '\u{1b}') {
                        if next == '\u{7}' {
                            break;
                        }
                    }
                }
                // One of the short ones, or half of one.
                _ => {}
            },
            '\t' => shown.push('\t'),
            other if other.is_control() => {}
            other => shown.push(other),
        }
    }
    if coloured {
        shown.push_str("\u{1b}[0m");
    }
    shown
}

/// A word from outside (a name, a label) as it may stand in a table or a sentence: on one line, without control characters
/// or anything that turns the reading direction, and of at most that many characters.
pub fn cell(text: &str, longest: usize) -> String {
    // Far more than is shown: a label may be megabytes long.
    let end = text.char_indices().nth(longest.saturating_mul(4)).map_or(text.len(), |(end, _)| end);
    let spaced: String =
        text[..end].chars().map(|c| if matches!(c, '\r' | '\n' | '\t') || is_break(c) { ' ' } else { c }).collect();
    let plain: String = printable(&spaced, false).chars().filter(|c| !turns(*c)).collect();
    if end == text.len() && plain.chars().count() <= longest {
        return plain;
    }
    plain.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

/// Ends a line for some readers.
fn is_break(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}' | '\u{85}' | '\u{b}' | '\u{c}')
}

/// Turns the reading direction, of what comes after it too.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// As one line of JSON. What JSON lets stand and a terminal may act on (C1 controls, DEL, line separators, characters that turn
/// the reading direction) is escaped: to programs it is the same text.
pub fn json(value: &impl serde::Serialize) -> String {
    harmless(serde_json::to_string(value).unwrap_or_default())
}

/// JSON with the same escapes, however it was written.
pub fn harmless(text: String) -> String {
    let acts = |c: char| matches!(c, '\u{7f}'..='\u{9f}') || is_break(c) || turns(c);
    if !text.contains(acts) {
        return text;
    }
    // Outside of its strings JSON has none of them.
    let escape = |c: char| if acts(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(chunks: &[&[u8]], longest: usize) -> Vec<String> {
        let mut lines = Lines::with_longest(longest);
        let mut all: Vec<_> = chunks.iter().flat_map(|chunk| lines.push(chunk)).collect();
        all.extend(lines.finish());
        all
    }

    #[test]
    fn lines_are_split() {
        for (chunks, expected) in [
            (vec![&b""[..]], vec![]),
            (vec![b"a\nb\n"], vec!["a", "b"]),
            (vec![b"a\r\nb"], vec!["a", "b"]),
            (vec![b"a\r", b"\nb"], vec!["a", "b"]),
            (vec![b"a", b"b", b"\n", b"\n"], vec!["ab", ""]),
            (vec![b"\xff\n"], vec!["\u{fffd}"]),
            (vec![b"12345678\n"], vec!["12345678"]),
            (vec![b"123456789\n"], vec!["12345678", "9"]),
            (vec![b"1234567\xc3", b"\xa4\n"], vec!["1234567", "ä"]),
            (vec![b"12345678", b"9abcdefghi"], vec!["12345678", "9abcdefg", "hi"]),
        ] {
            assert_eq!(split(&chunks, 8), expected, "{chunks:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_no_line_is_too_long(text in "[a-zäö\u{1f600}\n ]{0,200}", longest in 4_usize..20) {
            let mut lines = Lines::with_longest(longest);
            let mut all = lines.push(text.as_bytes());
            prop_assert!(all.iter().all(|line| line.len() <= longest));
            all.extend(lines.finish());
            prop_assert_eq!(all.concat(), text.replace('\n', ""));
        }

        #[test]
        fn chunks_make_no_difference(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0_usize..300) {
            let at = at.min(bytes.len());
            prop_assert_eq!(split(&[&bytes], 16), split(&[&bytes[..at], &bytes[at..]], 16));
        }

        #[test]
        fn nothing_that_moves_the_cursor_is_printable(line in "[\\x00-\\x1f\\x7f\u{80}-\u{9f}a-z0-9;\\[\\]m\\\\ä]{0,60}") {
            let plain = printable(&line, false);
            prop_assert!(!plain.chars().any(|c| c.is_control() && c != '\t'), "{:?}", plain);
            let coloured = printable(&line, true);
            prop_assert_eq!(printable(&coloured, false), plain);
            let moves = coloured.replace('\u{1b}', "").chars().any(|c| c.is_control() && c != '\t');
            prop_assert!(!moves, "{:?}", coloured);
        }
    }

    proptest! {
        #[test]
        fn a_cell_is_one_short_line_whatever_it_was(text in "\\PC{0,40}|[\\x00-\\x1f\\x7f-\u{a0}\u{2028}\u{202e}\u{2066}a-z]{0,60}", longest in 1_usize..50) {
            let cell = cell(&text, longest);
            prop_assert!(cell.chars().count() <= longest, "{:?}", cell);
            prop_assert!(!cell.chars().any(|c| c.is_control() || is_break(c) || turns(c)), "{:?}", cell);
        }

        #[test]
        fn json_is_one_line_of_the_same_text(text in any::<String>(), odd in "[\\x00-\\x1f\\x7f-\u{a0}\u{2028}\u{202e}a]{0,20}") {
            let whole = text + &odd;
            let line = json(&whole);
            prop_assert!(!line.chars().any(|c| c.is_control() || is_break(c) || turns(c)), "{:?}", line);
            prop_assert_eq!(serde_json::from_str::<String>(&line).unwrap(), whole);
        }
    }

    #[test]
    fn a_cell_shows_what_it_can() {
        for (text, expected) in [
            ("plain", "plain"),
            ("exactly10!", "exactly10!"),
            ("more than that", "more than…"),
            ("a\r\nb", "a  b"),
            ("real\rfake", "real fake"),
            ("\u{1b}[2J\u{1b}[31mred", "red"),
            ("\u{202e}txt.exe", "txt.exe"),
        ] {
            assert_eq!(cell(text, 10), expected);
        }
        assert_eq!(cell(&"x".repeat(10_000_000), 10), "xxxxxxxxx…");
    }

    #[test]
    fn control_characters_go_and_colours_may_stay() {
        for (line, plain, coloured) in [
            ("plain\ttext", "plain\ttext", "plain\ttext"),
            ("\u{1b}[31mred\u{1b}[0m", "red", "\u{1b}[31mred\u{1b}[0m\u{1b}[0m"),
            ("\u{1b}[2J\u{1b}[1;1Hclear", "clear", "clear"),
            ("\u{1b}]0;title\u{7}after", "after", "after"),
            ("\u{1b}]8;;http://x\u{1b}\\link", "link", "link"),
            ("10 %\r20 %\r", "20 %", "20 %"),
            ("bell\u{7} back\u{8}", "bell back", "bell back"),
            ("half \u{1b}[3", "half ", "half "),
            ("\u{9b}31mc1", "31mc1", "31mc1"),
            ("\u{1b}[>4mprivate", "private", "private"),
        ] {
            assert_eq!(printable(line, false), plain);
            assert_eq!(printable(line, true), coloured);
        }
    }
}
