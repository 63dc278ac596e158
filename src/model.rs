//! The words everything else is written in. Pure: no I/O, no clock, no engine's types.

pub mod fingerprint;
pub mod labels;
pub mod lease;
pub mod observed;
pub mod probe;
pub mod secret;
pub mod service;
pub mod settings;
pub mod spec;
pub mod target;

#[cfg(test)]
pub mod testing;

pub use labels::{HostIdentity, Labels, Owner};
pub use lease::Lease;
pub use observed::{Health, Observed, ObservedContainer, State};
pub use service::ServiceTarget;
pub use settings::{OnDrift, OnExit, ReconcileSettings, SessionSettings, Settings, WatchSettings};
pub use spec::{ContainerSpec, EnvironmentValue};
pub use target::{Project, RunTarget, Target, TargetKind};
