//! connect: to be written.
