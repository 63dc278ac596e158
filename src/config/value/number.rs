//! Numbers that are written as text.

use super::Invalid;

/// A number; neither infinite nor none at all.
pub fn parse(text: &str) -> Result<f64, Invalid> {
    let number = text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
    number.ok_or_else(|| Invalid::new(format!("{text:?} is not a number")))
}
