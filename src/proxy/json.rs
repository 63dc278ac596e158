//! JSON text, walked over and not built: where the fields of an object and the items of a list stand. Pure.
//!
//! A session needs a few fields of each frame and hands the rest on, however large. What is walked over is still checked,
//! to the last byte: what is not JSON (RFC 8259) is refused, exactly where serde_json refuses it (a property test
//! compares them), but for `NaN`, `Infinity` and `-Infinity`: Python writes and reads them, and who can't read them has to
//! say so itself. It is quicker because of texts: a long one is skipped by vector instructions, in steps that stay in the
//! nearest cache, so that a large frame goes through memory once.

/// Why a text was not walked to its end.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped<E> {
    /// It is not JSON, or of another kind than was asked for.
    Unfit,
    /// Whoever looked at the parts has refused one.
    Refused(E),
}

/// The fields of an object, in their order: the name as it stands between its quotes, and the value as it stands.
pub fn object<'a, E>(
    text: &'a [u8],
    mut field: impl FnMut(&'a [u8], &'a [u8]) -> Result<(), E>,
) -> Result<(), Stopped<E>> {
    let mut walk = Walk { text, at: 0 };
    walk.parts(b'{', b'}', |walk| {
        let name = walk.name()?;
        let value = walk.value()?;
        Some(field(name, value))
    })
}

/// The items of a list, in their order, as they stand.
pub fn list<'a, E>(text: &'a [u8], mut item: impl FnMut(&'a [u8]) -> Result<(), E>) -> Result<(), Stopped<E>> {
    let mut walk = Walk { text, at: 0 };
    walk.parts(b'[', b']', |walk| Some(item(walk.value()?)))
}

/// Whether it is one whole JSON value.
pub fn is_json(text: &[u8]) -> bool {
    let mut walk = Walk { text, at: 0 };
    walk.value().is_some() && walk.next().is_none()
}

/// A place in a text. What gives `None` has found what is not JSON.
struct Walk<'a> {
    text: &'a [u8],
    at: usize,
}

/// Texts are looked at in words of eight bytes for so many words: most of them have ended by then.
const SHORT: usize = 8;
/// And then in such steps.
const STEP: usize = 8 << 10;

/// A bit, the highest, for each byte of a word that is more than a plain character: a quote, a backslash, a control character,
/// part of one beyond ASCII. What stands behind the first of them may be marked in error.
fn marks(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 0xff;
    let zero = |word: u64| word.wrapping_sub(ONES) & !word;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control | word) & (ONES * 0x80)
}

impl<'a> Walk<'a> {
    /// All parts between two brackets, and nothing behind them.
    fn parts<E>(
        &mut self,
        open: u8,
        close: u8,
        mut part: impl FnMut(&mut Self) -> Option<Result<(), E>>,
    ) -> Result<(), Stopped<E>> {
        self.expect(open).ok_or(Stopped::Unfit)?;
        let mut ended = self.next_is(close);
        while !ended {
            part(self).ok_or(Stopped::Unfit)?.map_err(Stopped::Refused)?;
            ended = self.next_is(close);
            if !ended {
                self.expect(b',').ok_or(Stopped::Unfit)?;
            }
        }
        if self.next().is_none() { Ok(()) } else { Err(Stopped::Unfit) }
    }

    /// The next byte that is no blank; it is not taken.
    fn next(&mut self) -> Option<u8> {
        while let Some(byte) = self.text.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes that byte if it is the next one.
    fn next_is(&mut self, byte: u8) -> bool {
        let is = self.next() == Some(byte);
        self.at += usize::from(is);
        is
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.next_is(byte).then_some(())
    }

    /// A field's name and the colon behind it.
    fn name(&mut self) -> Option<&'a [u8]> {
        self.expect(b'"')?;
        let begin = self.at;
        self.rest_of_text()?;
        let name = &self.text[begin..self.at - 1];
        self.expect(b':')?;
        Some(name)
    }

    /// Any value, however deep: what is open is remembered in bits, not in calls.
    fn value(&mut self) -> Option<&'a [u8]> {
        self.next()?;
        let begin = self.at;
        let mut open = Open::default();
        loop {
            let first = self.next()?;
            self.at += 1;
            match first {
                b'"' => self.rest_of_text()?,
                b'{' if !self.next_is(b'}') => {
                    open.push(true);
                    self.name()?;
                    continue;
                }
                b'[' if !self.next_is(b']') => {
                    open.push(false);
                    continue;
                }
                b'{' | b'[' => {}
                b't' => self.word(b"rue")?,
                b'f' => self.word(b"alse")?,
                b'n' => self.word(b"ull")?,
                b'N' => self.word(b"aN")?,
                b'I' => self.word(b"nfinity")?,
                b'-' | b'0'..=b'9' => self.rest_of_number(first)?,
                _ => return None,
            }
            // A value has ended, and with it perhaps what it stands in.
            loop {
                let Some(in_object) = open.last() else { return Some(&self.text[begin..self.at]) };
                if self.next_is(b',') {
                    if in_object {
                        self.name()?;
                    }
                    break;
                }
                self.expect(if in_object { b'}' } else { b']' })?;
                open.pop();
            }
        }
    }

    fn word(&mut self, rest: &[u8]) -> Option<()> {
        let is = self.text[self.at..].starts_with(rest);
        self.at += rest.len();
        is.then_some(())
    }

    fn rest_of_number(&mut self, first: u8) -> Option<()> {
        let first = if first == b'-' { self.take()? } else { first };
        match first {
            b'0' if !self.text.get(self.at).is_some_and(u8::is_ascii_digit) => {}
            b'1'..=b'9' => self.at += self.count_digits(),
            b'I' => return self.word(b"nfinity"),
            _ => return None,
        }
        if self.text.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.text.get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.text.get(self.at), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn count_digits(&self) -> usize {
        self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count()
    }

    fn digits(&mut self) -> Option<()> {
        let count = self.count_digits();
        self.at += count;
        (count > 0).then_some(())
    }

    fn take(&mut self) -> Option<u8> {
        let byte = *self.text.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    /// A text, from behind its first quote to behind its last one.
    fn rest_of_text(&mut self) -> Option<()> {
        for _ in 0..SHORT {
            let Some(word) = self.text[self.at..].first_chunk() else { break };
            let marks = marks(u64::from_le_bytes(*word));
            self.at += marks.trailing_zeros() as usize / 8;
            if marks != 0 {
                match self.text[self.at] {
                    0..0x20 => return None,
                    0x80.. => break,
                    byte => {
                        self.at += 1;
                        if byte == b'"' {
                            return Some(());
                        }
                        self.rest_of_escape()?;
                    }
                }
            }
        }
        self.rest_of_long_text()
    }

    /// A text from here on, of which nothing before this place is beyond ASCII.
    fn rest_of_long_text(&mut self) -> Option<()> {
        let begin = self.at;
        let mut ascii = true;
        loop {
            let step = &self.text[self.at..self.text.len().min(self.at + STEP)];
            let found = memchr::memchr2(b'"', b'\\', step);
            let plain = &step[..found.unwrap_or(step.len())];
            // Without a way out in the middle, so that it is done many bytes at a time.
            let (control, all) =
                plain.iter().fold((0_u8, 0), |(control, all), byte| (control | u8::from(*byte < 0x20), all | byte));
            if control != 0 {
                return None;
            }
            ascii &= all.is_ascii();
            self.at += plain.len();
            if found.is_some() || step.is_empty() {
                if self.take()? == b'"' {
                    let text = &self.text[begin..self.at - 1];
                    return (ascii || std::str::from_utf8(text).is_ok()).then_some(());
                }
                self.rest_of_escape()?;
            }
        }
    }

    /// Behind a backslash.
    fn rest_of_escape(&mut self) -> Option<()> {
        let length = match self.text.get(self.at)? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 1,
            b'u' if self.text.get(self.at + 1..self.at + 5)?.iter().all(u8::is_ascii_hexdigit) => 5,
            _ => return None,
        };
        self.at += length;
        Some(())
    }
}

/// What is open around a place: objects and lists, a bit for each.
#[derive(Default)]
struct Open {
    bits: u64,
    depth: usize,
    /// Those further out, 64 in each.
    outer: Vec<u64>,
}

impl Open {
    fn push(&mut self, object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.bits);
        }
        self.bits = self.bits << 1 | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.bits >>= 1;
        self.depth -= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.bits = self.outer.pop().unwrap_or_default();
        }
    }

    /// Whether the innermost one is an object; none: nothing is open.
    fn last(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.bits & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    fn agrees(text: &[u8]) {
        let theirs = serde_json::from_slice::<&RawValue>(text);
        assert_eq!(is_json(text), theirs.is_ok(), "{:?}: {theirs:?}", String::from_utf8_lossy(text));
    }

    #[test]
    fn what_python_writes_is_passed_over() {
        for text in ["NaN", "-Infinity", r#"{"a":[Infinity,NaN , 1]}"#] {
            assert!(is_json(text.as_bytes()), "{text}");
        }
        for text in ["Na", "-NaN", "Infinit", "--Infinity", "NaN1", "+Infinity", "nan", "[Inf]", "-I"] {
            assert!(!is_json(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn what_json_is_and_is_not() {
        let long = "x".repeat(STEP + SHORT * 8 + 1);
        let cases = [
            "",
            " ",
            "{",
            "{}",
            " { } ",
            "[]",
            "[ ]",
            "[1,]",
            "[,1]",
            "[1 2]",
            r#"{"a":1,}"#,
            r#"{"a" 1}"#,
            "{1:1}",
            r#"{"a":}"#,
            "0",
            "-0",
            "-",
            "01",
            "-01",
            "1.",
            "1.5",
            ".5",
            "1e",
            "1e5",
            "1E+5",
            "1e-",
            "0x1",
            "1-",
            "+1",
            "--1",
            "12345678901234567890123",
            "true",
            "tru",
            "truex",
            "false",
            "null",
            "nul",
            "nan",
            "[true,false,null]",
            r#""a"#,
            r#""\""#,
            r#""\n\u00e9\"\\""#,
            r#""\x""#,
            r#""\u12g4""#,
            r#""\u12""#,
            r#""\ud800""#,
            "\"a\tb\"",
            "\"a\nb\"",
            "\"\u{7f}é\"",
            "{}{}",
            "[]]",
            "[[[]]",
            "[{]}",
            r#"{"a":{"b":[1,{"c":"}"}]}}"#,
            "\u{feff}{}",
            "{}\u{a0}",
        ];
        for case in cases {
            agrees(case.as_bytes());
        }
        for text in [
            format!("\"{long}\""),
            format!("\"{long}\\n{long}\u{1}\""),
            format!("\"{long}é\""),
            format!("\"{long}\\\"{long}"),
        ] {
            agrees(text.as_bytes());
        }
        for text in [&b"\"\xff\""[..], b"{\"\xc3\":1}", b"\"\xed\xa0\x80\"", b"\xff"] {
            agrees(text);
        }
    }

    #[test]
    fn depth_costs_bits() {
        for depth in [63, 64, 65, 128, 129, 1000, 100_000] {
            let mixed: String = (0..depth).map(|place| if place % 3 == 0 { "[" } else { r#"{"a":"# }).collect();
            let ends: String = (0..depth).rev().map(|place| if place % 3 == 0 { "]" } else { "}" }).collect();
            let whole = format!("{mixed}1{ends}");
            assert!(is_json(whole.as_bytes()), "{depth}");
            assert!(!is_json(&whole.as_bytes()[..whole.len() - 1]));
            let wrong = whole.replacen("1]", "1}", 1).replacen("1}", "1]", usize::from(depth % 3 != 1));
            assert!(!is_json(wrong.as_bytes()), "{depth}");
        }
    }

    fn json() -> impl Strategy<Value = String> {
        let blank = "[ \t]{0,2}";
        let text = prop_oneof![r"[a-z \{\}\[\],:é]{0,40}", r#"([a-z]|\\n|\\"|\\u00e9|\\\\){0,40}"#]
            .prop_map(|text| format!("\"{text}\""));
        let number = "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?";
        let leaf = prop_oneof![text.clone(), number.prop_map(String::from), "true|false|null".prop_map(String::from)];
        let leaf = (blank, leaf, blank).prop_map(|(before, leaf, after)| before + &leaf + &after);
        leaf.prop_recursive(5, 40, 5, move |inner| {
            let list =
                proptest::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(",")));
            let field =
                (blank, text.clone(), blank, inner).prop_map(|(a, name, b, value)| format!("{a}{name}{b}:{value}"));
            let object =
                proptest::collection::vec(field, 0..5).prop_map(|fields| format!(" {{{}}} ", fields.join(",")));
            prop_oneof![list, object]
        })
    }

    proptest! {
        #[test]
        fn json_is_json(text in json()) {
            prop_assert!(is_json(text.as_bytes()), "{text}");
            agrees(text.as_bytes());
        }

        /// Changed in places, it is JSON where serde_json finds it so, and nowhere else.
        #[test]
        fn changed_json_is_what_serde_json_finds(
            text in json(),
            changes in proptest::collection::vec((any::<proptest::sample::Index>(), prop_oneof![any::<u8>(), proptest::sample::select(br#"{}[]",:\0-.e"#.to_vec())], 0..3), 1..4),
        ) {
            let mut bytes = text.into_bytes();
            for (place, byte, how) in changes {
                let place = place.index(bytes.len() + 1);
                match how {
                    0 => bytes.insert(place, byte),
                    1 if place < bytes.len() => bytes[place] = byte,
                    _ if place < bytes.len() => drop(bytes.remove(place)),
                    _ => {}
                }
            }
            agrees(&bytes);
        }

        #[test]
        fn parts_are_those_of_serde_json(values in proptest::collection::vec(json(), 0..5)) {
            let text = format!(" [{}] ", values.join(","));
            let mut items = Vec::new();
            prop_assert_eq!(list(text.as_bytes(), |item| { items.push(item); Ok::<_, Infallible>(()) }), Ok(()));
            let theirs: Vec<&RawValue> = serde_json::from_str(&text).expect("JSON");
            prop_assert_eq!(items, theirs.iter().map(|value| value.get().as_bytes()).collect::<Vec<_>>());

            let fields: Vec<String> = values.iter().enumerate().map(|(place, value)| format!("\"{place}\" :{value}")).collect();
            let text = format!("{{{}}}\n", fields.join(" ,"));
            let mut found = Vec::new();
            let walked = object(text.as_bytes(), |name, value| { found.push((name.to_vec(), value)); Ok::<_, Infallible>(()) });
            prop_assert_eq!(walked, Ok(()));
            let theirs: Vec<_> = theirs.iter().enumerate().map(|(place, value)| (place.to_string().into_bytes(), value.get().as_bytes())).collect();
            prop_assert_eq!(found, theirs);
        }
    }
}
