//! Durations: numbers with units, as compose writes them: `250ms`, `10s`, `1m30s`, `1.5h`.

use std::time::Duration;

use super::Invalid;

const HELP: &str = "write a number with its unit: 250ms, 10s, 1m30s, 2h";

/// Nanoseconds per unit. Source: compose-spec, "Specifying durations"; days and weeks as compose reads them.
const UNITS: &[(&str, u64)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
];

/// A duration with units. A bare number is refused (but `0` needs no unit).
pub fn parse(text: &str) -> Result<Duration, Invalid> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    if text.starts_with('-') {
        return Err(Invalid::new(format!("a duration can't be negative: {text:?}")).help(HELP));
    }
    let bad = || Invalid::new(format!("{text:?} is not a duration")).help(HELP);
    let too_long = || Invalid::new(format!("the duration {text:?} is too long")).help(HELP);
    let mut rest = text;
    let mut total: u64 = 0;
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        if unit.is_empty() {
            return Err(Invalid::new(format!("the duration {text:?} has no unit")).help(HELP));
        }
        let Some((_, scale)) = UNITS.iter().find(|(name, _)| *name == unit.trim()) else {
            return Err(Invalid::new(format!("unknown unit {unit:?} in the duration {text:?}")).help(HELP));
        };
        let part = decimal(number, *scale).ok_or_else(bad)?;
        total = u64::try_from(part).ok().and_then(|part| total.checked_add(part)).ok_or_else(too_long)?;
        rest = after;
    }
    Ok(Duration::from_nanos(total))
}

/// As variables are read: a bare whole number is milliseconds, else as [`parse`].
pub fn parse_or_milliseconds(text: &str) -> Result<Duration, Invalid> {
    let trimmed = text.trim();
    if !trimmed.is_empty() && trimmed.bytes().all(|byte| byte.is_ascii_digit()) {
        return trimmed
            .parse()
            .map(Duration::from_millis)
            .map_err(|_| Invalid::new(format!("the duration {text:?} is too long")).help(HELP));
    }
    parse(text)
}

/// `number × scale`, exact; None when `number` is no decimal number. Digits after the ninth are cut off.
pub(super) fn decimal(number: &str, scale: u64) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction = &fraction[..fraction.len().min(9)];
    let parts: u128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let below = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    whole.checked_mul(scale.into())?.checked_add(parts * u128::from(scale) / below)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_compose_reads() {
        let cases = [
            ("250ms", 250),
            ("10s", 10_000),
            ("1m30s", 90_000),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
            ("0", 0),
            ("0s", 0),
            (" 1s ", 1000),
            (".5s", 500),
            ("1h 2m", 3_720_000),
        ];
        for (text, milliseconds) in cases {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(parse("3us"), Ok(Duration::from_micros(3)));
    }

    #[test]
    fn says_what_is_wrong() {
        let cases = [
            ("10", "has no unit"),
            ("", "is not a duration"),
            ("10 parsecs", "unknown unit"),
            ("-3s", "negative"),
            ("s", "is not a duration"),
            ("1.2.3s", "is not a duration"),
            ("99999999999999w", "too long"),
            ("1m30", "has no unit"),
        ];
        for (text, part) in cases {
            let message = parse(text).unwrap_err().message;
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn variables_may_leave_milliseconds_out() {
        assert_eq!(parse_or_milliseconds("2000"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_or_milliseconds("2s"), Ok(Duration::from_secs(2)));
        assert!(parse_or_milliseconds("1.5").is_err());
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = parse(&text);
            let _ = parse_or_milliseconds(&text);
        }

        #[test]
        fn round_trips(milliseconds in 0u64..10_000_000_000) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&format!("{milliseconds}ms")), Ok(duration));
            prop_assert_eq!(parse_or_milliseconds(&milliseconds.to_string()), Ok(duration));
        }
    }
}
