//! One call as it came in: operation, body, headers; and the tags of all its sources.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName};
use tagrail_providers::{Envelope, EnvelopeError, Operation};
use tagrail_routing::{RequestTag, Rules, TagOrigin};

static TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");
static TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-timeout");
static STREAM_TIMEOUT: HeaderName = HeaderName::from_static("x-litellm-stream-timeout");
static NUM_RETRIES: HeaderName = HeaderName::from_static("x-litellm-num-retries");

/// A call, its body read and validated.
#[derive(Clone, Debug)]
pub struct Call {
    /// What is asked for.
    pub operation: Operation,
    /// The body.
    pub envelope: Envelope,
    /// The client's headers: tags, `User-Agent`, timeouts and retries are read from them.
    pub headers: HeaderMap,
    /// The model of a path such as `/engines/{model}/…`, which wins over the body's.
    pub path_model: Option<String>,
}

impl Call {
    /// Reads a call.
    ///
    /// # Errors
    /// The body cannot be routed; see [`Envelope::read`].
    pub fn read(
        operation: Operation,
        headers: HeaderMap,
        body: Bytes,
        path_model: Option<String>,
    ) -> Result<Call, EnvelopeError> {
        Ok(Call { operation, envelope: Envelope::read(body)?, headers, path_model })
    }

    /// The name that is routed on.
    pub fn model(&self) -> Option<Cow<'_, str>> {
        match &self.path_model {
            Some(model) => Some(Cow::Borrowed(model)),
            None => self.envelope.model(),
        }
    }

    /// `User-Agent`, as far as it is text.
    pub fn user_agent(&self) -> Option<&str> {
        self.text(&USER_AGENT)
    }

    /// A header's value, as far as it is text.
    pub fn text(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// One attempt's limit by body or header; a stream's limit between chunks when it streams.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        let stream = self.envelope.stream();
        let own = stream.then(|| self.seconds(&STREAM_TIMEOUT).or(self.envelope.stream_timeout()));
        let seconds = own.flatten().or_else(|| self.envelope.timeout()).or_else(|| self.seconds(&TIMEOUT))?;
        (seconds.is_finite() && seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(1e9)))
    }

    /// Retries by body or header.
    pub(crate) fn num_retries(&self) -> Option<u32> {
        self.envelope.num_retries().or_else(|| self.text(&NUM_RETRIES)?.trim().parse().ok())
    }

    fn seconds(&self, header: &HeaderName) -> Option<f64> {
        self.text(header)?.trim().parse().ok()
    }

    /// All tags in LiteLLM's order: metadata, litellm_metadata, header, (key, team,) body; under
    /// `litellm` rules a body list replaces the header unless a metadata object keeps it (D7).
    pub fn tags(&self, rules: &Rules) -> Vec<RequestTag<'_>> {
        let mut tags = Vec::new();
        let body = self.envelope.tags();
        let keeps_litellm_metadata = matches!(self.operation, Operation::Messages | Operation::Responses);
        let metadata = self.envelope.metadata_tags();
        if !keeps_litellm_metadata {
            extend(&mut tags, metadata.as_deref(), TagOrigin::Metadata);
        }
        extend(&mut tags, self.envelope.litellm_metadata_tags().as_deref(), TagOrigin::LitellmMetadata);
        let slot =
            self.envelope.has_litellm_metadata() || (self.envelope.has_metadata() && !keeps_litellm_metadata);
        if rules.tags_always_unite || slot || body.is_none() {
            extend(&mut tags, Some(&self.header_tags()), TagOrigin::Header);
        }
        extend(&mut tags, body.as_deref(), TagOrigin::Body);
        if keeps_litellm_metadata {
            extend(&mut tags, metadata.as_deref(), TagOrigin::Metadata);
        }
        tags
    }

    /// `x-litellm-tags`: every line, split at commas, trimmed, empty parts dropped, UTF-8 (row D27).
    fn header_tags(&self) -> Vec<Cow<'_, str>> {
        self.headers
            .get_all(&TAGS)
            .iter()
            .flat_map(|line| match String::from_utf8_lossy(line.as_bytes()) {
                Cow::Borrowed(text) => {
                    text.split(',').map(|tag| Cow::Borrowed(tag.trim())).collect::<Vec<_>>()
                }
                Cow::Owned(text) => text.split(',').map(|tag| Cow::Owned(tag.trim().to_owned())).collect(),
            })
            .filter(|tag| !tag.is_empty())
            .collect()
    }
}

/// Adds tags that are not there yet; the first origin stays.
fn extend<'a>(into: &mut Vec<RequestTag<'a>>, tags: Option<&[Cow<'a, str>]>, origin: TagOrigin) {
    for text in tags.unwrap_or_default() {
        if !into.iter().any(|known| known.text == *text) {
            into.push(RequestTag { text: text.clone(), origin });
        }
    }
}
