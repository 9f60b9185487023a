//! Where one deployment lives and how to enter.

use http::HeaderMap;

use crate::{Envelope, EnvelopeError, Provider, Secret, UpstreamError};

/// An address that is connected to: what a connection pool is keyed by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// TLS or not.
    pub https: bool,
    /// Host name or IP address, without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
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
    /// `extra_headers` and `headers`.
    pub extra_headers: Vec<(String, String)>,
    /// Default parameters of the call and of `extra_body`: (key, JSON text).
    pub defaults: Vec<(String, String)>,
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
    // private
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
    /// `content-type`, `user-agent`.
    pub headers: &'a HeaderMap,
    /// For the header `x-litellm-model-api-base`; `None` where LiteLLM sends none.
    pub shown_base: Option<&'a str>,
}

impl Target {
    /// Builds a target. `env` looks up an environment variable (provider's default key and base).
    ///
    /// # Errors
    /// Unknown provider, base that is no URL, header that is no header.
    pub fn build(spec: &TargetSpec, env: &dyn Fn(&str) -> Option<String>) -> Result<Target, TargetError> {
        let _ = (spec, env);
        Ok(Target {})
    }

    /// Whether this deployment allows what the client steers by (rows D12, D31).
    ///
    /// # Errors
    /// A field that its `configurable_clientside_auth_params` does not name.
    pub fn admit(&self, envelope: &Envelope) -> Result<(), EnvelopeError> {
        let _ = envelope;
        Ok(())
    }

    /// Resolves a provider-qualified upstream model, whose provider may come from the request when
    /// the deployment's own model begins with a star.
    ///
    /// # Errors
    /// The name has no provider that is known (400, as LiteLLM has it).
    pub fn resolve<'a>(&'a self, upstream_model: &'a str) -> Result<Place<'a>, UpstreamError> {
        let _ = upstream_model;
        Err(UpstreamError {
            kind: crate::ErrorKind::BadRequest,
            status: 400,
            message: String::new(),
            upstream_type: None,
            upstream_code: None,
            param: None,
            retry_after: None,
        })
    }
}
