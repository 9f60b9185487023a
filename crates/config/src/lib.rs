//! The configuration file as written, then as meant.
