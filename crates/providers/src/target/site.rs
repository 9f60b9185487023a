//! One provider's address and headers for one deployment, computed when the target is built.

use http::HeaderMap;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};

use super::base::{Base, presentable, without_query};
use super::{Secrets, TargetError, TargetSpec};
use crate::provider::{Scheme, Shown};
use crate::{ErrorKind, Misconfigured, Provider, Secret, UpstreamError};

/// The version of Anthropic's API that is spoken, from its documentation on versioning.
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Headers that belong to one connection, or that the transport counts itself.
const NOT_OURS: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where and how.
pub(crate) struct Site {
    pub(crate) provider: &'static dyn Provider,
    pub(crate) base: Base,
    pub(crate) shown_base: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) secrets: Secrets,
    /// Why there is no key, when there should be one.
    pub(crate) missing: Option<String>,
}

impl Site {
    /// Computes a site.
    ///
    /// # Errors
    /// No base, a base that is no URL, a header that is no header.
    pub(crate) fn build(
        provider: &'static dyn Provider,
        spec: &TargetSpec,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Site, TargetError> {
        let access = provider.access();
        let configured = spec.api_base.as_deref().map(str::trim).filter(|base| !base.is_empty());
        let used = match configured.map(str::to_owned).or_else(|| access.base_in(provider.name(), env)) {
            Some(base) => base,
            None => access.base.map(str::to_owned).ok_or_else(|| no_base(provider))?,
        };
        let mut base = Base::parse(&used)
            .map_err(|what| TargetError::new("api_base", format!("{:?} {what}", presentable(&used))))?;
        base.endpoint.tls_verify = spec.tls_verify.clone();
        let shown_base = match (configured, access.shown) {
            (Some(base), _) => Some(without_query(base).to_owned()),
            (None, Shown::Always(text)) => Some(text.to_owned()),
            (None, Shown::Used) => Some(without_query(&used).to_owned()),
            (None, Shown::Nothing) => None,
        };
        let key = spec
            .api_key
            .as_ref()
            .map(|key| key.reveal().trim().to_owned())
            .filter(|key| !key.is_empty())
            .or_else(|| access.key_in(provider.name(), env))
            .or_else(|| access.stand_in_key.map(str::to_owned))
            .map(Secret::new);
        let missing = key.is_none().then(|| missing(provider, spec));
        let headers = headers(access.scheme, key.as_ref(), &base, spec)?;
        let secrets = Secrets::of(key.as_ref(), spec.extra_headers.iter().map(|(_, value)| value.as_str()));
        Ok(Site { provider, base, shown_base, headers, secrets, missing })
    }

    /// The error of a call that cannot be authenticated.
    pub(crate) fn unauthenticated(&self) -> Option<UpstreamError> {
        let text = self.missing.as_ref()?;
        let error = UpstreamError::new(ErrorKind::Internal, 500, self.provider.name(), text);
        Some(error.misconfigured(Misconfigured::NoCredential))
    }
}

/// Puts the key where the scheme wants it.
///
/// # Errors
/// The key has characters that no header can carry.
pub(crate) fn authenticate(headers: &mut HeaderMap, scheme: Scheme, key: &Secret) -> Result<(), TargetError> {
    let (name, text) = match scheme {
        Scheme::Bearer => (AUTHORIZATION, format!("Bearer {}", key.reveal())),
        Scheme::AnthropicKey => (HeaderName::from_static("x-api-key"), key.reveal().to_owned()),
    };
    let mut value = HeaderValue::try_from(text).map_err(|_| {
        TargetError::new("api_key", "has characters that no HTTP header can carry".to_owned())
    })?;
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}

/// A header that an operator or a client adds.
///
/// # Errors
/// It is no header, or one that belongs to the connection.
pub(crate) fn extra_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), TargetError> {
    let wrong = |what: &str| TargetError::new("extra_headers", format!("{name:?} {what}"));
    let name = HeaderName::try_from(name).map_err(|_| wrong("is not a header name"))?;
    if NOT_OURS.contains(&name.as_str()) {
        return Err(wrong("belongs to the connection and cannot be set"));
    }
    let mut value = HeaderValue::try_from(value.trim()).map_err(|_| wrong("has a value that is none"))?;
    // Nobody knows which of them are credentials, so none is printed.
    value.set_sensitive(true);
    Ok((name, value))
}

fn headers(
    scheme: Scheme,
    key: Option<&Secret>,
    base: &Base,
    spec: &TargetSpec,
) -> Result<HeaderMap, TargetError> {
    let mut headers = HeaderMap::with_capacity(8);
    let host = HeaderValue::try_from(base.authority.as_str())
        .map_err(|_| TargetError::new("api_base", "has a host that no HTTP header can carry".to_owned()))?;
    headers.insert(HOST, host);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tagrail/", env!("CARGO_PKG_VERSION"))));
    if scheme == Scheme::AnthropicKey {
        headers.insert("anthropic-version", HeaderValue::from_static(ANTHROPIC_VERSION));
    }
    if let Some(organization) = spec.organization.as_deref().filter(|_| scheme == Scheme::Bearer) {
        let value = HeaderValue::try_from(organization).map_err(|_| {
            TargetError::new("organization", "has characters that no HTTP header can carry".to_owned())
        })?;
        headers.insert("openai-organization", value);
    }
    if let Some(key) = key {
        authenticate(&mut headers, scheme, key)?;
    }
    for (name, value) in &spec.extra_headers {
        let (name, value) = extra_header(name, value)?;
        headers.insert(name, value);
    }
    Ok(headers)
}

fn no_base(provider: &dyn Provider) -> TargetError {
    let name = provider.name();
    TargetError::new("api_base", format!("is needed for provider {name}, which has no address of its own"))
}

fn missing(provider: &dyn Provider, spec: &TargetSpec) -> String {
    let variables = provider.access().key_names(provider.name());
    match &spec.missing_key {
        Some(variable) => format!(
            "Missing credentials. litellm_params.api_key of {} is os.environ/{variable}, and {variable} is not \
             set, nor is {variables}",
            spec.model
        ),
        None => format!(
            "Missing credentials. Set litellm_params.api_key of {} or the environment variable {variables}",
            spec.model
        ),
    }
}
