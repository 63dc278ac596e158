//! The stdio session: it stands between an MCP client and a server, and replaces the server while the client stays.
//!
//! ```text
//! client stdin  -> frame --\                          /--> frame -> server stdin
//!                           session (pure) -> outputs
//! server stdout -> frame --/          |               \--> frame -> client stdout
//!                                     \--> start, stop, notices for stderr
//! ```
//!
//! | part | what it is for | pure |
//! |---|---|---|
//! | [`frame`] | bytes to lines, bounded | yes |
//! | [`json`] | JSON text, walked over and not built | yes |
//! | [`message`] | what a frame is: the few fields that are needed | yes |
//! | [`edit`] | the few changes made to frames that pass through | yes |
//! | [`make`] | frames that mcpmon writes itself | yes |
//! | [`lists`] | a server's tools, prompts and resources, and how two servers differ | yes |
//! | [`session`] | the state machine: who gets which frame, and when a server is replaced | yes |
//! | [`server`] | what starts and stops servers: a narrow trait, and a container behind it | no |
//! | [`stdio`] | this process's own stdin, stdout and stderr | no |
//! | [`drive`] | the loop: streams, servers, files and signals into the session, and what comes out of it done | no |
//!
//! A frame is forwarded byte for byte. The protocol's two eras are told apart by what the client says: `initialize`
//! opens a legacy session (2024-11-05 to 2025-11-25); a request with its version in `_meta` is of the modern era
//! (2026-07-28), which has no handshake.

pub mod drive;
pub mod edit;
pub mod frame;
pub mod json;
pub mod lists;
pub mod make;
pub mod message;
pub mod server;
pub mod session;
pub mod stdio;

pub use frame::{Frame, Line, Lines};
pub use session::{Input, Notice, Options, Output, ServerId, Session};
