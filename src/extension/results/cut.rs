//! Where a text may be cut so that each part is a text of its own. Texts are taken as they stand in JSON; sizes are what they
//! take there. Pure.

use std::ops::Range;

/// Of text as it stands between JSON's quotes: how many of its bytes make the longest beginning of at most `most` bytes
/// that ends neither within a character nor within an escape, nor between the halves of a pair of surrogates.
pub(super) fn escaped(text: &[u8], most: usize) -> usize {
    if text.len() <= most {
        return text.len();
    }
    let mut from = 0;
    while let Some(found) = memchr::memchr(b'\\', &text[from..most]) {
        let escape = from + found;
        let end = escape + escape_length(&text[escape..]);
        if end > most {
            return escape;
        }
        from = end;
    }
    let within = (from..=most).rev().find(|end| text[*end] & 0xC0 != 0x80); // not before a byte that goes on
    within.unwrap_or(from)
}

/// How many bytes the escape takes that `text` begins with.
fn escape_length(text: &[u8]) -> usize {
    if text.get(1) != Some(&b'u') {
        return 2;
    }
    let is_pair = half(text, 0xD800..0xDC00) && text.get(6..).is_some_and(|next| half(next, 0xDC00..0xE000));
    if is_pair { 12 } else { 6 }
}

/// `text` begins with `\uXXXX` of that range.
fn half(text: &[u8], range: Range<u32>) -> bool {
    let digits = text.get(2..6).and_then(|digits| std::str::from_utf8(digits).ok());
    text.starts_with(b"\\u")
        && digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).is_some_and(|code| range.contains(&code))
}

/// Of JSON itself, as text: how many of its bytes make the longest beginning that takes at most `most` bytes between JSON's
/// quotes, and does not end within a character.
pub(super) fn json(json: &[u8], most: usize) -> usize {
    let mut taken = 0;
    for (place, byte) in json.iter().enumerate() {
        taken += width(*byte);
        if taken > most {
            return (0..=place).rev().find(|end| json[*end] & 0xC0 != 0x80).unwrap_or(0);
        }
    }
    json.len()
}

/// What JSON takes as text, between JSON's quotes.
pub(super) fn json_width(json: &[u8]) -> usize {
    json.iter().map(|byte| width(*byte)).sum()
}

/// What a byte of JSON takes between JSON's quotes. Other control characters can't stand in JSON.
fn width(byte: u8) -> usize {
    if matches!(byte, b'"' | b'\\' | b'\t' | b'\r' | b'\n') { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn cuts() {
        let cases: &[(&str, usize, &str)] = &[
            ("abc", 3, "abc"),
            ("abc", 2, "ab"),
            ("aß", 2, "a"),
            ("a😀b", 4, "a"),
            ("a😀b", 5, "a😀"),
            (r"a\nb", 2, "a"),
            (r"a\nb", 3, r"a\n"),
            (r"\\\\\\x", 3, r"\\"),
            (r"a\u00dfb", 6, "a"),
            (r"a\u00dfb", 7, r"a\u00df"),
            (r"\ud83d\ude00b", 11, ""),
            (r"\ud83d\ude00b", 12, r"\ud83d\ude00"),
            (r"\ud83d\ud83d\ude00b", 12, r"\ud83d"),
            (r"\ud83dabc", 7, r"\ud83da"),
            (r"\ude00\ude00", 6, r"\ude00"),
            ("", 0, ""),
        ];
        for (text, most, expected) in cases {
            assert_eq!(&text[..escaped(text.as_bytes(), *most)], *expected, "{text} at {most}");
        }
        let cases: &[(&str, usize, &str)] =
            &[(r#"{"a":1}"#, 3, r#"{""#), (r#"{"a":1}"#, 4, r#"{"a"#), (r#""ß""#, 3, "\""), (r#""ß""#, 4, "\"ß")];
        for (text, most, expected) in cases {
            assert_eq!(&text[..json(text.as_bytes(), *most)], *expected, "{text} at {most}");
        }
    }

    proptest! {
        #[test]
        fn parts_are_texts_and_make_the_whole(text in "(\\\\|\"|\n|\u{1}|a|ß|😀){0,40}", ascii: bool, most in 12_usize..30) {
            let quoted = serde_json::to_string(&text).unwrap();
            let mut whole = quoted[1..quoted.len() - 1].to_owned();
            if ascii {
                let unit = |unit: u16| match u8::try_from(unit) {
                    Ok(byte @ 0..0x80) => char::from(byte).to_string(),
                    _ => format!("\\u{unit:04x}"),
                };
                whole = whole.encode_utf16().map(unit).collect::<Vec<_>>().concat();
            }
            let (mut rest, mut parts) = (whole.as_str(), String::new());
            while !rest.is_empty() {
                let (part, after) = rest.split_at(escaped(rest.as_bytes(), most));
                prop_assert!(!part.is_empty() && part.len() <= most);
                parts += &serde_json::from_str::<String>(&format!("\"{part}\"")).unwrap();
                rest = after;
            }
            prop_assert_eq!(parts, text);

            let value = serde_json::to_string(&vec![&whole]).unwrap();
            let cut = json(value.as_bytes(), most);
            let taken = serde_json::to_string(&value[..cut]).unwrap().len() - 2;
            prop_assert!(taken <= most && (cut == value.len() || taken + 5 > most));
        }
    }
}
