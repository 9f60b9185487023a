//! The configuration: the file as written, then the file as meant.
//!
//! [`load`] reads a LiteLLM `config.yaml` with its includes, looks up the environment, fills in
//! defaults and references, and compiles the routing table. What is wrong becomes a
//! [`Diagnostic`] with file, line, column and what to write instead; a mistake in one deployment
//! leaves that deployment out (row D30) and nothing else.
//!
//! Map: `file.rs` what is written, as a tree of nodes with their places; `keys.rs` which keys
//! there are and how each stands; `reading.rs` typed values out of a map; `environment.rs`
//! variables; `resolve.rs` what is meant, with `resolve/lint.rs` for what was hardly meant;
//! `settings.rs` the result outside of routing; `modes.rs` where the two routing modes differ;
//! `findings.rs` and `diagnostic.rs` what is wrong, for people and machines; `confidential.rs` what
//! neither may see; `python.rs` the texts that LiteLLM hashes into ids.

mod confidential;
mod diagnostic;
mod environment;
mod file;
mod findings;
mod keys;
mod modes;
mod node;
mod python;
mod reading;
mod resolve;
mod settings;

use std::path::Path;

use tagrail_routing::TableSpec;

use findings::Findings;
use node::Map;

pub use diagnostic::{Diagnostic, Severity, Spot};
pub use file::Sources;
pub use modes::{Answer, Difference, ModeDifferences, mode_differences};
pub use settings::{
    AllowedFails, DeploymentSettings, GeneralSettings, LeftOut, PriceOverride, Resolved, RetryPolicy,
    RouterSettings,
};

/// Looks up an environment variable.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// What a store says of tags, for [`load_beside`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    /// Reserved tags, without sign and prefix.
    pub reserved: Vec<String>,
    /// Teams as people call them, each with its tags as the admin wrote them.
    pub teams: Vec<(String, Vec<String>)>,
}

/// What came of a file.
pub struct Loaded {
    /// The configuration; `None` when an error leaves nothing to run.
    pub resolved: Option<Resolved>,
    /// What the table was compiled from; there whenever the file could be read as YAML.
    pub spec: Option<TableSpec>,
    /// Everything noticed, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that were read, for [`Diagnostic::render`].
    pub sources: Sources,
}

/// Loads a file and what it includes.
pub fn load(path: &Path, env: Env<'_>) -> Loaded {
    let (mut sources, mut findings) = (Sources::default(), Findings::default());
    let file = file::read(path, &mut sources, &mut findings);
    loaded(file, env, None, (sources, findings))
}

/// The same, held against what teams hold in a store: what is said about reservations names them.
pub fn load_beside(path: &Path, env: Env<'_>, holdings: &Holdings) -> Loaded {
    let (mut sources, mut findings) = (Sources::default(), Findings::default());
    let file = file::read(path, &mut sources, &mut findings);
    loaded(file, env, Some(holdings), (sources, findings))
}

/// Loads a text as if it were the file `name` (includes are resolved beside it).
pub fn load_text(text: &str, name: &Path, env: Env<'_>) -> Loaded {
    let (mut sources, mut findings) = (Sources::default(), Findings::default());
    let file = file::read_text(text, name, &mut sources, &mut findings);
    loaded(file, env, None, (sources, findings))
}

fn loaded(
    file: Option<Map>,
    env: Env<'_>,
    holdings: Option<&Holdings>,
    (sources, mut findings): (Sources, Findings),
) -> Loaded {
    let (mut resolved, mut spec) = (None, None);
    if let Some(file) = file {
        let outcome = resolve::resolve(file, env, holdings, &mut findings);
        let strict = outcome.resolved.general.strict && findings.has_errors();
        if !findings.refused() && !strict {
            resolved = Some(outcome.resolved);
        }
        spec = Some(outcome.spec);
    }
    Loaded { resolved, spec, diagnostics: findings.into_diagnostics(), sources }
}

/// The keys that have an effect, in no order: what `config.example.yaml` explains.
pub fn effective_keys() -> impl Iterator<Item = &'static str> {
    keys::effective()
}
