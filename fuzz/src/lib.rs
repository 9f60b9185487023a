//! Fuzz targets: functions that take any bytes and panic when a promise is broken.
//!
//! One file a target; `mutate.rs` makes inputs, `main.rs` runs them, `tests/corpus.rs` runs the
//! corpus in every test run.

mod config;
mod envelope;
mod mutate;
mod patterns;
mod sse;

pub use mutate::Mutator;

/// A function to be fuzzed.
pub struct Target {
    /// Its name, which is that of its folder in `corpus/`.
    pub name: &'static str,
    /// Panics when the input breaks something.
    pub run: fn(&[u8]),
    /// Texts that mean something to it.
    pub dictionary: &'static [&'static str],
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "config", run: config::run, dictionary: config::DICTIONARY },
    Target { name: "envelope", run: envelope::run, dictionary: envelope::DICTIONARY },
    Target { name: "patterns", run: patterns::run, dictionary: patterns::DICTIONARY },
    Target { name: "sse", run: sse::run, dictionary: sse::DICTIONARY },
];
