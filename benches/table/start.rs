//! How long the program takes to say who it is.

use crate::{
    Plan,
    run::{Outcome, median, timed},
    table::Row,
};

const RUNS: usize = 50;

/// The row of `mcpmon --version`.
pub(crate) fn measure(plan: &Plan) -> Outcome<Vec<Row>> {
    let folder = std::env::temp_dir();
    let times: Outcome<Vec<f64>> = (0..RUNS).map(|_| timed(&folder, &plan.binary, &["--version"])).collect();
    Ok(vec![Row::absolute("`mcpmon --version`", median(times?)?, 5.0, "ms", "")])
}
