//! Whole numbers that are written as text.

use super::Invalid;

/// A whole number that `T` can hold. `key`: what it is called.
pub fn parse<T: TryFrom<i64>>(text: &str, key: &str) -> Result<T, Invalid> {
    let number = text.trim().parse::<i64>().map_err(|_| Invalid::new(format!("{text:?} is not a whole number")))?;
    T::try_from(number).map_err(|_| Invalid::new(format!("{number} is out of range for {key}")))
}

/// A limit; -1 is none.
pub fn limit(text: &str, key: &str) -> Result<i64, Invalid> {
    match parse(text, key)? {
        ..-1 => Err(Invalid::new(format!("{key} can't be negative")).help("-1 is no limit")),
        limit => Ok(limit),
    }
}
