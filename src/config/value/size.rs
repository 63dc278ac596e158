//! Sizes in bytes by docker's rules: units are powers of 1024, however they are spelled (`64m` = `64MB` = `64MiB`).
//! Source: docker's go-units, `RAMInBytes`.

use super::{Invalid, duration::decimal};

const HELP: &str = "write bytes as a number, or a number with a unit (powers of 1024): 512k, 64m, 1MiB, 2g";

/// Bytes.
pub fn parse(text: &str) -> Result<u64, Invalid> {
    let bad = || Invalid::new(format!("{text:?} is not a size")).help(HELP);
    let trimmed = text.trim();
    if trimmed.starts_with('-') {
        return Err(Invalid::new(format!("a size can't be negative: {text:?}")).help(HELP));
    }
    let number_end = trimmed.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(number_end);
    let unit = unit.strip_prefix(' ').unwrap_or(unit).to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let prefix = match unit.strip_suffix('i') {
        Some("") => return Err(bad()),
        Some(prefix) => prefix,
        None => unit,
    };
    let power = match prefix {
        "" => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        "p" => 5,
        _ => return Err(bad()),
    };
    let bytes = decimal(number, 1024u64.pow(power)).ok_or_else(bad)?;
    // The engine counts in signed 64 bits.
    match i64::try_from(bytes) {
        Ok(bytes) => Ok(bytes.unsigned_abs()),
        Err(_) => Err(Invalid::new(format!("the size {text:?} is too large")).help(HELP)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_docker_reads() {
        let cases = [
            ("0", 0),
            ("32", 32),
            ("32b", 32),
            ("64m", 67_108_864),
            ("64MB", 67_108_864),
            ("1MiB", 1_048_576),
            ("1mib", 1_048_576),
            ("2g", 2_147_483_648),
            ("1.5g", 1_610_612_736),
            ("32 kB", 32_768),
            ("1T", 1_099_511_627_776),
        ];
        for (text, bytes) in cases {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        for text in ["", "m", "64x", "-1", "1..5m", "64 m b", "1ib", "99999999999p", "hello", "1e3"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*") {
            let _ = parse(&text);
        }

        #[test]
        fn units_are_powers_of_1024(number in 0u64..4096, unit in 0usize..4) {
            let name = ["", "k", "m", "g"][unit];
            prop_assert_eq!(parse(&format!("{number}{name}")), Ok(number << (10 * unit)));
        }
    }
}
