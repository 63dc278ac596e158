//! orphan: to be written.
