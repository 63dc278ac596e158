//! The one integration-test binary: one module per room, all against the real engine.
//! Without an engine, or without the image `mcpmon-test-server`, these tests are red, never skipped.

mod cleanup;
mod client;
mod config_example;
mod config_like_compose;
mod detached;
mod docker_lines;
mod docker_options;
mod docker_session;
mod dockerignore;
mod engine_errors;
mod engine_fields;
mod engine_gone;
mod engine_lifecycle;
mod engine_tls;
mod examples;
mod golden;
mod history;
mod hostile;
mod large_results;
mod output;
mod plan_command;
mod project;
mod python;
mod readme;
mod reload;
mod sdk;
mod stdio;
mod stdio_project;
mod stdio_trouble;
mod support;
mod up_edit;
mod up_lifecycle;
mod up_order;
mod up_repair;
mod wire;
