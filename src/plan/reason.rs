//! Sentences that plans of run targets and of services share: why something is replaced, or left alone. What is decided by
//! them is not known here.

use crate::model::fingerprint::FieldChange;

/// Why a container of another spec is replaced.
pub(super) fn other_spec(fields: Vec<FieldChange>) -> (String, Vec<FieldChange>) {
    let cause = if fields.is_empty() { "made from another configuration" } else { "the file asks for something else" };
    (cause.to_owned(), fields)
}

/// Why what another file asked for is left alone.
pub(super) fn of_other_file(file: &str) -> String {
    let down = down_of(file);
    format!("it was made from {file}, which has this project's name too: give one of the two another `name`, or {down}")
}

/// The command line that ends what a file asks for, as a shell takes it.
pub fn down_of(file: &str) -> String {
    format!("`mcpmon --config {} down`", shell_words::quote(file))
}

/// Why what another session keeps is left alone.
pub(super) fn of_living(pid: u32) -> String {
    format!("another mcpmon, pid {pid}, keeps it running: end that one first")
}
