//! watch: to be written.
