//! The one integration-test binary: one module per room, all against the real engine.
//! Without an engine, or without the image `mcpmon-test-server`, these tests are red, never skipped.

mod config_example;
mod config_like_compose;
mod dockerignore;
mod engine_errors;
mod engine_fields;
mod engine_lifecycle;
mod output;
mod project;
mod readme;
mod support;
mod up_lifecycle;
mod wire;
