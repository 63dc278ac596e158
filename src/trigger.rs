//! trigger: to be written.
