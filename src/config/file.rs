//! The types of `mcpmon.toml`. Every field is optional, because layers merge; defaults are a layer of their own
//! ([`DEFAULTS`]). The doc comments here become the descriptions in `schemas/mcpmon.schema.json`.
//!
//! These types read what they know and pass over what they don't: a walk along the [`schema()`] finds unknown keys, all of
//! them at once and with their place. They know neither layers nor the meaning of a value ([`crate::config::resolve`]).

mod env_files;
pub mod forms;
pub mod known;
pub mod mcp;
pub mod project;
pub mod reload;
pub mod scalar;
pub mod schema;
pub mod service;
pub mod target;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use known::{VARIABLES, compose_spec_key};
pub use schema::{CHECKED_IN, VARIABLE, schema};

use mcp::Mcp;
use project::{Docker, Log, Network, Reconcile, Volume, Watch};
use scalar::Integer;
use target::Target;

/// The one version of the file that there is.
pub const VERSION: i64 = 1;

/// The lowest layer, as TOML. What depends on other keys (a target's `init`, `stdin_open`, names) is filled in by
/// [`crate::config::resolve`].
pub const DEFAULTS: &str = include_str!("file/defaults.toml");

/// mcpmon.toml: which MCP servers run, in which containers, and what a saved file does. Tables that may hold own keys
/// take any that begins with `x-`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "mcpmon.toml")]
pub struct File {
    /// The version of this format: 1.
    #[schemars(extend("enum" = [1, "1"]))]
    pub version: Option<Integer>,
    /// The project's name: labels, and the names of containers, networks and volumes, come from it. Default: the name of
    /// the folder that this file is in.
    pub name: Option<String>,
    /// The folder for what mcpmon's extensions keep (saved large results, …), relative to this file; made when it is
    /// missing, never watched. Default `.mcpmon`.
    pub extensions_dir: Option<String>,
    /// What is watched, for every target.
    pub watch: Option<Watch>,
    /// How `mcpmon up` keeps containers as the file says.
    pub reconcile: Option<Reconcile>,
    /// Defaults for every target's `mcp`.
    pub mcp: Option<Mcp>,
    /// How mcpmon uses the container engine.
    pub docker: Option<Docker>,
    /// What mcpmon says about its own work.
    pub log: Option<Log>,
    /// What runs, by name.
    pub targets: Option<BTreeMap<String, Target>>,
    /// Networks by name. `default` is the one that targets without `networks` share.
    pub networks: Option<BTreeMap<String, Network>>,
    /// Named volumes by name.
    pub volumes: Option<BTreeMap<String, Volume>>,
    /// Layers that `--profile NAME` or `MCPMON_PROFILE` puts on top of this file; the same keys.
    pub profile: Option<BTreeMap<String, File>>,
}
