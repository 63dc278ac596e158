//! Each field of a container spec, by what the engine then has.
