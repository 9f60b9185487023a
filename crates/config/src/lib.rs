//! The configuration: the file as written, then the file as meant.
//!
//! [`load`] reads a LiteLLM `config.yaml` with its includes, looks up the environment, fills in
//! defaults and references, and compiles the routing table. What is wrong becomes a
//! [`Diagnostic`] with file, line, column and what to write instead; a mistake in one deployment
//! leaves that deployment out (row D30) and nothing else.
//!
//! [`load_value`] does the same for a value in the shape of the file, for a program that has the router
//! inside itself.
//!
//! Map: `file.rs` what is written, as a tree of nodes with their places; `document.rs` the same tree of
//! a value, `steps.rs` the paths in one; `keys.rs` which keys there are and how each stands; `reading.rs`
//! typed values out of a map; `environment.rs` variables; `resolve.rs` what is meant, with
//! `resolve/lint.rs` for what was hardly meant; `settings.rs` the result outside of routing;
//! `destination.rs` where clients may send their calls; `modes.rs`
//! where the two routing modes differ; `report.rs` all that there is to say of a configuration;
//! `findings.rs` and `diagnostic.rs` what is wrong, for people and machines; `confidential.rs` what
//! neither may see; `python.rs` the texts that LiteLLM hashes into ids.

mod confidential;
mod destination;
mod diagnostic;
mod document;
mod environment;
mod file;
mod findings;
mod keys;
mod modes;
mod node;
mod python;
mod reading;
mod report;
mod resolve;
mod settings;
mod steps;

use std::path::Path;

use tagrail_routing::TableSpec;

use findings::Findings;
use node::Map;

pub use destination::Destination;
pub use diagnostic::{Diagnostic, Severity, Spot};
pub use file::Sources;
pub use modes::{Answer, Difference, ModeDifferences, mode_differences};
pub use report::{Reader, Report, Summary};
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

/// What a configuration is read for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Host {
    /// A gateway process.
    #[default]
    Gateway,
    /// A program that has the router inside itself. What only concerns a gateway, such as its master
    /// key and its database, is neither asked for nor spoken of.
    Program,
}

impl Host {
    /// For a sentence.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Host::Gateway => "gateway",
            Host::Program => "program",
        }
    }
}

/// Where a configuration is written.
#[derive(Clone, Copy, Debug)]
pub enum Source<'a> {
    /// In a file, and in what it includes.
    File(&'a Path),
    /// In a text, as if it were the file of this name (includes are resolved beside it).
    Text(&'a str, &'a Path),
    /// In a value in the shape of the file. It includes nothing.
    Value(&'a serde_json::Value),
}

/// What came of a configuration.
pub struct Loaded {
    /// The configuration; `None` when an error leaves nothing to run.
    pub resolved: Option<Resolved>,
    /// What the table was compiled from; there whenever the file could be read as YAML.
    pub spec: Option<TableSpec>,
    /// Everything noticed, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that were read, for [`Diagnostic::render`].
    pub sources: Sources,
    /// The configuration as written: includes merged, `os.environ/NAME` not looked up. It holds secrets.
    /// There whenever `spec` is.
    pub document: Option<serde_json::Value>,
    /// Whether `document` is all that was written, and no file that it includes is missing.
    pub is_whole: bool,
}

/// Loads a file and what it includes, for a gateway.
pub fn load(path: &Path, env: Env<'_>) -> Loaded {
    load_for(Host::Gateway, Source::File(path), env)
}

/// The same, held against what teams hold in a store: what is said about reservations names them.
pub fn load_beside(path: &Path, env: Env<'_>, holdings: &Holdings) -> Loaded {
    loaded(Host::Gateway, Source::File(path), env, Some(holdings))
}

/// Loads a text as if it were the file `name` (includes are resolved beside it), for a gateway.
pub fn load_text(text: &str, name: &Path, env: Env<'_>) -> Loaded {
    load_for(Host::Gateway, Source::Text(text, name), env)
}

/// Loads a value in the shape of the file, for a program. Whoever writes the same in YAML gets the same
/// ids, as long as the maps keep their order; `include` is refused, because a value stands beside no file.
pub fn load_value(document: &serde_json::Value, env: Env<'_>) -> Loaded {
    load_for(Host::Program, Source::Value(document), env)
}

/// Loads a configuration from wherever it is written.
pub fn load_for(host: Host, source: Source<'_>, env: Env<'_>) -> Loaded {
    loaded(host, source, env, None)
}

fn loaded(host: Host, source: Source<'_>, env: Env<'_>, holdings: Option<&Holdings>) -> Loaded {
    let (mut sources, mut findings) = (Sources::default(), Findings::of(host));
    let file: Option<Map> = match source {
        Source::File(path) => file::read(path, &mut sources, &mut findings),
        Source::Text(text, name) => file::read_text(text, name, &mut sources, &mut findings),
        Source::Value(document) => document::read(document, &mut findings),
    };
    let is_whole = file.is_some() && !findings.refused();
    let (mut resolved, mut spec, mut document) = (None, None, None);
    if let Some(file) = file {
        document = Some(serde_json::Value::Object(file.to_json()));
        let outcome = resolve::resolve(file, env, holdings, &mut findings);
        let strict = outcome.resolved.general.strict && findings.has_errors();
        if !findings.refused() && !strict {
            resolved = Some(outcome.resolved);
        }
        spec = Some(outcome.spec);
    }
    Loaded { resolved, spec, diagnostics: findings.into_diagnostics(), sources, document, is_whole }
}

/// The keys that have an effect, in no order: what `config.example.yaml` explains.
pub fn effective_keys() -> impl Iterator<Item = &'static str> {
    keys::effective()
}
