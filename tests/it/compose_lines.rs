//! Compose lines with and without mcpmon in front, really run.

mod alike;
mod ends;
mod owners;
mod place;
mod reloads;
