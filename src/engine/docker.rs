//! docker: to be written.
