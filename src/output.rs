//! What a person or a program reads: events, tables, the plan's diff. Decides form, never content.
//!
//! ```text
//! Reporter -> Reports -> show -> words -> stdout, stderr (live: the lines that move)
//! container -> lines -> follow -> Reporter
//! Reporter -> history        Plan -> diff        Error -> style::error, refusal
//! ```

pub mod diff;
pub mod event;
pub mod follow;
pub mod history;
pub mod lines;
mod live;
pub mod log;
pub mod private;
pub mod refusal;
pub mod reporter;
pub mod show;
pub mod stamp;
pub mod style;
pub mod words;

pub use event::{ActionKind, Event};
pub use history::History;
pub use reporter::Reporter;
pub use show::{Form, Options, ignore_closed, show};
pub use style::Paint;
