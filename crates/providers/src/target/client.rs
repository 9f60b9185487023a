//! What a client may say about the address and the credentials of its own call (rows D12, D31).
//!
//! Nothing, unless the deployment names the field. What it may say counts for that one call, and a
//! client that chooses the address never gets the deployment's credentials sent there.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::uri::PathAndQuery;

use super::base::{Base, presentable};
use super::site::{authenticate, extra_header};
use super::{Place, Secrets, Target, TlsVerify};
use crate::{Coder, Envelope, EnvelopeError, Prepared, Secret, UpstreamError};

/// Fields that a deployment can open to clients.
pub(super) const OPENABLE: &[&str] = &["api_key", "api_base", "base_url", "headers", "extra_headers"];
/// As much of an address of a call's own is shown and written down: it is somebody else's to choose.
const LONGEST_SHOWN: usize = 512;
/// The longest field that is decoded, in bytes.
const LONGEST_FIELD: usize = 64 * 1024;
/// Headers that stand for the deployment, whatever it allows.
const RESERVED: [&str; 4] = ["host", "authorization", "x-api-key", "api-key"];

/// A place, with what the client was allowed to change.
pub(crate) struct Entry<'a> {
    base: Cow<'a, Base>,
    /// The field in which a client chose the base.
    chosen_by: Option<&'static str>,
    pub(crate) headers: HeaderMap,
    pub(crate) secrets: Secrets,
}

/// The fields that the deployment opened, as they stand in the body.
struct Said {
    key: Option<Secret>,
    /// With the field that it stands in.
    base: Option<(&'static str, String)>,
    headers: Vec<(String, String)>,
}

/// Refuses the first steering field that is not open.
pub(super) fn admit(open: &[impl AsRef<str>], envelope: &Envelope) -> Result<(), EnvelopeError> {
    let closed = |field: &&str| !(OPENABLE.contains(field) && is_open(open, field));
    match envelope.steering().iter().find(|field| closed(field)) {
        Some(field) => Err(EnvelopeError::not_allowed(field)),
        None => Ok(()),
    }
}

fn is_open(open: &[impl AsRef<str>], field: &str) -> bool {
    open.iter().any(|name| name.as_ref() == field)
}

impl Place<'_> {
    /// The address that a call brings itself, as it may be shown and written down: `None` where it is no
    /// address. It counts once the call is admitted.
    pub fn own_base(envelope: &Envelope) -> Option<String> {
        // Mostly there is nothing, which costs no look at the keys themselves.
        if envelope.steering().is_empty() {
            return None;
        }
        let short = |raw: &&str| raw.len() <= LONGEST_FIELD;
        let text = |field| serde_json::from_str::<String>(envelope.raw(field).filter(short)?).ok();
        let said = |text: &String| !text.trim().is_empty();
        let base = text("api_base").filter(said).or_else(|| text("base_url").filter(said))?;
        let base = base.trim();
        Base::parse(base).ok()?;
        let mut shown = presentable(base);
        shown.truncate(shown.floor_char_boundary(LONGEST_SHOWN));
        Some(shown)
    }
}

impl Target {
    /// Everything needed to send a call to `place`.
    ///
    /// # Errors
    /// No credentials (500), or something of the client's that cannot be used (400).
    pub(crate) fn enter<'a>(
        &'a self,
        place: &Place<'a>,
        envelope: &Envelope,
        in_process: bool,
    ) -> Result<Entry<'a>, UpstreamError> {
        let site = place.site;
        if envelope.steering().is_empty() {
            if let Some(error) = site.unauthenticated() {
                return Err(error);
            }
            let (headers, secrets) = (site.headers.clone(), site.secrets.clone());
            return Ok(Entry { base: Cow::Borrowed(&site.base), chosen_by: None, headers, secrets });
        }
        let said = if in_process {
            Said::read(OPENABLE, envelope)
        } else {
            Said::read(&self.spec.client_may_set, envelope)
        };
        said?.apply(place, in_process)
    }
}

impl Entry<'_> {
    /// The base's own path, without a trailing slash.
    pub(crate) fn base_path(&self) -> &str {
        &self.base.path
    }

    /// A path behind the base's, and the base's query behind that.
    pub(crate) fn path(&self, tail: &str) -> PathAndQuery {
        self.base.path_to(tail)
    }
}

impl<'a> Entry<'a> {
    /// The call, ready to be sent.
    pub(crate) fn prepared(
        self,
        path: PathAndQuery,
        body: Vec<Bytes>,
        coder: Box<dyn Coder>,
    ) -> Prepared<'a> {
        let endpoint = match self.base {
            Cow::Borrowed(base) => Cow::Borrowed(&base.endpoint),
            Cow::Owned(base) => Cow::Owned(base.endpoint),
        };
        Prepared { endpoint, chosen_by: self.chosen_by, path, headers: self.headers, body, coder }
    }
}

impl Said {
    fn read(open: &[impl AsRef<str>], envelope: &Envelope) -> Result<Said, UpstreamError> {
        let raw = |field: &str| envelope.raw(field).filter(|_| is_open(open, field));
        let mut headers = Vec::new();
        for field in ["headers", "extra_headers"] {
            let said: Option<BTreeMap<String, String>> = decoded(field, raw(field))?;
            headers.extend(said.into_iter().flatten());
        }
        let text =
            |field| decoded::<String>(field, raw(field)).map(|text| text.filter(|t| !t.trim().is_empty()));
        let key = text("api_key")?.map(|key| Secret::new(key.trim()));
        let base = |field: &'static str| Ok(text(field)?.map(|text| (field, text)));
        let base = base("api_base")?.or(base("base_url")?);
        Ok(Said { key, base, headers })
    }

    fn apply<'a>(self, place: &Place<'a>, in_process: bool) -> Result<Entry<'a>, UpstreamError> {
        let site = place.site;
        let own = Secrets::of(self.key.as_ref(), self.headers.iter().map(|(_, value)| value.as_str()));
        let mut entry = match self.base {
            Some((field, text)) => {
                let chosen_by = (!in_process).then_some(field);
                Entry { chosen_by, ..elsewhere(field, &text, own, &site.base.endpoint.tls_verify)? }
            }
            None => Entry {
                base: Cow::Borrowed(&site.base),
                chosen_by: None,
                headers: site.headers.clone(),
                secrets: site.secrets.and(&own),
            },
        };
        if let Some(key) = &self.key {
            let scheme = site.provider.access().scheme;
            authenticate(&mut entry.headers, scheme, key).map_err(|e| wrong("api_key", &e.message))?;
        } else if let (Cow::Borrowed(_), Some(error)) = (&entry.base, site.unauthenticated()) {
            return Err(error);
        }
        for (name, value) in self.headers {
            let (name, value) =
                extra_header(&name, &value).map_err(|e| wrong("extra_headers", &e.message))?;
            if RESERVED.contains(&name.as_str()) {
                return Err(wrong("extra_headers", "may not authenticate; send api_key"));
            }
            entry.headers.insert(name, value);
        }
        Ok(entry)
    }
}

fn decoded<T: serde::de::DeserializeOwned>(
    field: &str,
    raw: Option<&str>,
) -> Result<Option<T>, UpstreamError> {
    raw.map_or(Ok(None), |raw| {
        if raw.len() > LONGEST_FIELD {
            return Err(wrong(field, "is longer than 64 KiB"));
        }
        serde_json::from_str(raw).map_err(|_| wrong(field, "is not of the expected type"))
    })
}

/// An address of the call's own: none of the deployment's headers go there, since any of them may
/// be a credential. Where a client chose it, the router judges what it resolves to.
fn elsewhere(
    field: &str,
    text: &str,
    secrets: Secrets,
    tls_verify: &TlsVerify,
) -> Result<Entry<'static>, UpstreamError> {
    let mut base = Base::parse(text.trim()).map_err(|what| wrong(field, what))?;
    base.endpoint.tls_verify = tls_verify.clone();
    let host = base.authority.parse().map_err(|_| wrong(field, "has an invalid host"))?;
    let mut headers = HeaderMap::new();
    headers.insert(HOST, host);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(Entry { base: Cow::Owned(base), chosen_by: None, headers, secrets })
}

fn wrong(field: &str, what: &str) -> UpstreamError {
    UpstreamError::unsayable(field, format!("{field} {what}"))
}
