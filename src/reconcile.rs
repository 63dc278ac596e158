//! The loop: the one place where state changes. Events only say "look again"; each pass observes,
//! plans, acts, and observes again until the plan is empty.
//!
//! | part | what it is for |
//! |---|---|
//! | [`observe`] | one look at the engine |
//! | [`act`] | one change carried out; [`swap`]: one container in another one's place |
//! | [`compose`] | services of compose projects, made by `docker compose` |
//! | [`needs`] | what a container needs and mcpmon does not make |
//! | `ports` | host ports that somebody else holds |
//! | [`remarks`] | what is worth saying before anything is made |
//! | [`ready`] | when a started container can be relied on |
//! | [`attempts`] | failures in a row, and when to try again (pure) |
//! | [`sync`] | files copied into a container; [`sync_target`]: and what follows for a run target |
//! | [`supervise`] | the loop of a session |
//! | [`teardown`] | ending: stop, kill, remove |

pub mod act;
pub mod attempts;
pub mod compose;
pub mod needs;
pub mod observe;
mod ports;
pub mod ready;
pub mod remarks;
pub mod stamp;
pub mod supervise;
pub mod swap;
pub mod sync;
pub mod sync_target;
pub mod teardown;
