//! create: to be written.
