//! Where one deployment lives and how to enter.
//!
//! Everything that does not depend on the request is computed once: the provider, the address, the
//! headers. Which provider that is, the deployment's `model` says; where its first part is a star,
//! the request says it, and the deployment's `api_base` and `api_key` go with whichever it names.

mod base;
mod client;
mod secrets;
mod site;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use http::HeaderMap;

use crate::provider::{nearest, provider, providers, spoken_elsewhere};
use crate::{Catalogue, Envelope, EnvelopeError, ErrorKind, Misconfigured, Provider, Secret, UpstreamError};

pub(crate) use secrets::Secrets;
use site::Site;

/// An address that is connected to: what a connection pool is keyed by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// TLS or not.
    pub https: bool,
    /// Host name or IP address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Which certificates are accepted: a connection made with one rule is not used under another.
    pub tls_verify: TlsVerify,
}

/// Which certificates of an upstream are accepted (`ssl_verify`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum TlsVerify {
    /// Those that the system's roots, or those of SSL_CERT_FILE, vouch for.
    #[default]
    System,
    /// Those that a certificate in this PEM file vouches for.
    Bundle(Arc<Path>),
    /// Every certificate is accepted.
    Off,
}

/// What a target is built from: `litellm_params`, environment already looked up.
#[derive(Clone, Default)]
pub struct TargetSpec {
    /// `litellm_params.model`, with its provider prefix and its stars.
    pub model: String,
    /// `custom_llm_provider`.
    pub provider: Option<String>,
    /// `api_base` / `base_url`.
    pub api_base: Option<String>,
    /// `api_key`; `None` when not configured or its variable is unset.
    pub api_key: Option<Secret>,
    /// When `api_key` names an unset variable: its name, for the error of a call.
    pub missing_key: Option<String>,
    /// `api_version`.
    pub api_version: Option<String>,
    /// `organization`.
    pub organization: Option<String>,
    /// `ssl_verify`.
    pub tls_verify: TlsVerify,
    /// `extra_headers` and `headers`.
    pub extra_headers: Vec<(String, String)>,
    /// Default parameters of the call and of `extra_body`: (key, JSON text).
    pub defaults: Vec<(String, String)>,
    /// `drop_params`: parameters that the provider's dialect cannot say are left out; otherwise such
    /// a call is refused.
    pub drop_params: bool,
    /// Fields that clients may set although the gateway refuses them
    /// (`configurable_clientside_auth_params`).
    pub client_may_set: Vec<String>,
}

/// A mistake in a target; the deployment is left out (row D30).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetError {
    /// The key at fault, as in the config: `model`, `api_base`, `extra_headers`.
    pub key: &'static str,
    /// What is wrong and what to write instead.
    pub message: String,
}

/// Where one deployment lives, with everything computed that does not depend on the request.
pub struct Target {
    spec: TargetSpec,
    /// The provider of the deployment's own model; `None` where the request names it.
    home: Option<Site>,
    /// Whether `custom_llm_provider` says the provider, whatever the model's name begins with.
    pinned: bool,
    /// The variables of other providers that were set when the target was built.
    environment: HashMap<String, String>,
    /// Sites of other providers, computed when the first request names one.
    others: OnceLock<HashMap<&'static str, Result<Site, TargetError>>>,
}

/// What a concrete upstream model name resolves to.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// Who speaks its dialect.
    pub provider: &'static dyn Provider,
    /// The model without its provider prefix: what the body says.
    pub model: &'a str,
    /// Where to connect.
    pub endpoint: &'a Endpoint,
    /// Path prefix of the base, without a trailing slash: `/v1`.
    pub base_path: &'a str,
    /// Authority for the `Host` header.
    pub authority: &'a str,
    /// Headers that every call carries: authentication, `organization`, `extra_headers`,
    /// `content-type`, `user-agent`, `host`.
    pub headers: &'a HeaderMap,
    /// For the header `x-litellm-model-api-base`; `None` where LiteLLM sends none.
    pub shown_base: Option<&'a str>,
    site: &'a Site,
}

/// Why a model's name leads to no provider.
enum Nameless<'t> {
    /// LiteLLM knows this provider; this release does not speak to it.
    Elsewhere(&'t str),
    /// Nobody knows it.
    Unknown,
}

impl TargetError {
    pub(crate) fn new(key: &'static str, message: String) -> TargetError {
        TargetError { key, message }
    }
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.message)
    }
}

impl std::error::Error for TargetError {}

impl Target {
    /// Builds a target. `env` looks up an environment variable (provider's default key and base).
    ///
    /// # Errors
    /// Unknown provider, base that is no URL, header that is no header.
    pub fn build(spec: &TargetSpec, env: &dyn Fn(&str) -> Option<String>) -> Result<Target, TargetError> {
        let pinned = spec.provider.as_deref().filter(|name| !name.is_empty());
        let starred = spec.model.split('/').next().is_some_and(|first| first.contains('*'));
        let home = match pinned {
            Some(name) => Some(by_name(name).map_err(|n| n.mistake("custom_llm_provider", name))?),
            None if starred => None,
            None => Some(split(&spec.model).map_err(|n| n.mistake("model", &spec.model))?.0),
        };
        let home = home.map(|provider| Site::build(provider, spec, env)).transpose()?;
        let environment = if home.is_none() { variables(env) } else { HashMap::new() };
        if let (None, Some(any)) = (&home, provider("openai")) {
            // The address and the headers are the same whoever is asked for: say now what is wrong.
            Site::build(any, spec, env)?;
        }
        Ok(Target {
            spec: spec.clone(),
            home,
            pinned: pinned.is_some(),
            environment,
            others: OnceLock::new(),
        })
    }

    /// Whether this deployment allows what the client steers by (rows D12, D31).
    ///
    /// # Errors
    /// A field that its `configurable_clientside_auth_params` does not name.
    pub fn admit(&self, envelope: &Envelope) -> Result<(), EnvelopeError> {
        client::admit(&self.spec.client_may_set, envelope)
    }

    /// The same for a call of the operator's own, made in its process and on nobody's behalf: what could be
    /// opened is open.
    ///
    /// # Errors
    /// A field that steers past the gateway in another way.
    pub fn admit_in_process(&self, envelope: &Envelope) -> Result<(), EnvelopeError> {
        client::admit(client::OPENABLE, envelope)
    }

    /// Why no call to the deployment's own model can be authenticated, unless the client sends a key.
    /// `None` where the request names the provider.
    pub fn missing_credentials(&self) -> Option<&str> {
        let missing = self.home.as_ref()?.missing.as_deref();
        missing.filter(|_| !self.spec.client_may_set.iter().any(|field| field == "api_key"))
    }

    /// Resolves a provider-qualified upstream model, whose provider may come from the request when
    /// the deployment's own model begins with a star.
    ///
    /// # Errors
    /// The name has no provider that is known (400, as LiteLLM has it), or one that this release does
    /// not speak to (501).
    pub fn resolve<'a>(&'a self, upstream_model: &'a str) -> Result<Place<'a>, UpstreamError> {
        if let Some(home) = &self.home {
            let own =
                upstream_model.strip_prefix(home.provider.name()).and_then(|rest| rest.strip_prefix('/'));
            match own {
                Some(model) => return Ok(Place::new(home, model)),
                None if self.pinned => return Ok(Place::new(home, upstream_model)),
                None => {}
            }
        }
        let (provider, model) = split(upstream_model).map_err(|n| n.refusal(upstream_model))?;
        match &self.home {
            Some(home) if home.provider.name() == provider.name() => Ok(Place::new(home, model)),
            _ => Ok(Place::new(self.other(provider)?, model)),
        }
    }

    /// Default parameters: (key, JSON text).
    pub(crate) fn defaults(&self) -> &[(String, String)] {
        &self.spec.defaults
    }

    /// Whether parameters that cannot be said are dropped.
    pub(crate) fn drop_params(&self) -> bool {
        self.spec.drop_params
    }

    fn other(&self, provider: &dyn Provider) -> Result<&Site, UpstreamError> {
        let env = |name: &str| self.environment.get(name).cloned();
        let sites = self.others.get_or_init(|| {
            providers().map(|provider| (provider.name(), Site::build(provider, &self.spec, &env))).collect()
        });
        match sites.get(provider.name()) {
            Some(Ok(site)) => Ok(site),
            Some(Err(error)) => {
                let failed =
                    UpstreamError::new(ErrorKind::Internal, 500, provider.name(), &error.to_string());
                Err(failed.misconfigured(Misconfigured::Incomplete))
            }
            None => Err(Nameless::Unknown.refusal(provider.name())),
        }
    }
}

impl<'a> Place<'a> {
    fn new(site: &'a Site, model: &'a str) -> Place<'a> {
        Place {
            provider: site.provider,
            model,
            endpoint: &site.base.endpoint,
            base_path: &site.base.path,
            authority: &site.base.authority,
            headers: &site.headers,
            shown_base: site.shown_base.as_deref(),
            site,
        }
    }
}

impl Nameless<'_> {
    fn mistake(&self, key: &'static str, text: &str) -> TargetError {
        let message = match self {
            Nameless::Elsewhere(name) => format!(
                "{text:?}: provider {name} needs a translation that this release does not have; it speaks to \
                 OpenAI-compatible providers and to anthropic"
            ),
            Nameless::Unknown => {
                let first = text.split('/').next().unwrap_or(text);
                let hint = match nearest(first) {
                    Some(name) => format!("did you mean {name}?"),
                    None => "write provider/model, for instance openai/NAME with api_base for a server of your own"
                        .to_owned(),
                };
                format!("{text:?} has no known provider; {hint}")
            }
        };
        TargetError::new(key, message)
    }

    fn refusal(&self, model: &str) -> UpstreamError {
        match self {
            Nameless::Elsewhere(name) => UpstreamError::plain(
                ErrorKind::BadRequest,
                501,
                format!(
                    "litellm.BadRequestError: provider {name} needs a translation that this release does not \
                     have. You passed model={model}"
                ),
            ),
            Nameless::Unknown => UpstreamError::plain(
                ErrorKind::BadRequest,
                400,
                format!(
                    "litellm.BadRequestError: LLM Provider NOT provided. Pass in the LLM provider you are \
                     trying to call. You passed model={model}"
                ),
            ),
        }
    }
}

fn by_name(name: &str) -> Result<&'static dyn Provider, Nameless<'_>> {
    match provider(name) {
        Some(provider) => Ok(provider),
        None if spoken_elsewhere(name) => Err(Nameless::Elsewhere(name)),
        None => Err(Nameless::Unknown),
    }
}

/// `groq/llama` → Groq, `llama`; `gpt-4o` → OpenAI by the catalogue.
fn split(model: &str) -> Result<(&'static dyn Provider, &str), Nameless<'_>> {
    match model.split_once('/') {
        Some((first, rest)) => by_name(first).map(|provider| (provider, rest)),
        None => match Catalogue.provider_of(model) {
            Some(name) => by_name(name).map(|provider| (provider, model)),
            None => Err(Nameless::Unknown),
        },
    }
}

/// Every provider's variables that are set.
fn variables(env: &dyn Fn(&str) -> Option<String>) -> HashMap<String, String> {
    let found = std::cell::RefCell::new(HashMap::new());
    let note = |name: &str| {
        if let Some(value) = env(name) {
            found.borrow_mut().insert(name.to_owned(), value);
        }
        None
    };
    for provider in providers() {
        provider.access().key_in(provider.name(), &note);
        provider.access().base_in(provider.name(), &note);
    }
    found.into_inner()
}

#[cfg(test)]
mod tests;
