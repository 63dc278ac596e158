//! What a person or a program reads: events, tables, the plan's diff. Decides form, never content.

pub mod event;
pub mod reporter;

pub use event::{ActionKind, Event};
pub use reporter::Reporter;
