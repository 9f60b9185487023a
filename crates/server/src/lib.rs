//! HTTP: the only crate that knows the HTTP server library.
