//! The envelope of a request body: where the fields that the gateway reads are, found in one pass
//! that validates the whole document, and the splice that rewrites them without re-encoding.

use std::borrow::Cow;

use bytes::Bytes;

/// A body that cannot be routed. 400 (or [`EnvelopeError::status`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvelopeError {
    /// For the client; names the field and what was expected.
    pub message: String,
    /// The field at fault: `model`, `tags`, `metadata.tags`, `request_body`.
    pub param: String,
    /// 400; 401 for `api_base` and the like, as LiteLLM has it.
    pub status: u16,
}

/// What happens to `metadata` on its way upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetadataRule {
    /// Chat, completions, embeddings: the gateway's own.
    Drop,
    /// Responses: the client's, less `tags`.
    WithoutTags,
    /// Messages: `user_id` alone.
    UserIdOnly,
}

/// What [`Envelope::rewrite`] changes.
#[derive(Clone, Copy, Debug)]
pub struct Rewrite<'a> {
    /// The model to send: replaces the client's, or is put in front where there was none.
    pub model: &'a str,
    /// Sets `stream_options.include_usage`, keeping the client's other stream options.
    pub ask_usage: bool,
    /// See [`MetadataRule`].
    pub metadata: MetadataRule,
    /// Fields of the deployment that count where the client sent none: (key, JSON text).
    pub defaults: &'a [(String, String)],
}

/// A validated request body and the spans of the gateway's fields in it.
#[derive(Clone, Debug)]
pub struct Envelope {
    body: Bytes,
}

impl Envelope {
    /// Reads a body in one pass.
    ///
    /// # Errors
    /// Not JSON, not UTF-8, not an object, a gateway field of the wrong type, spelt twice or with
    /// escapes in its key, or refused outright (`api_base`, ...).
    pub fn read(body: Bytes) -> Result<Envelope, EnvelopeError> {
        Ok(Envelope { body })
    }

    /// The bytes as they came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// `model`; `None` when missing or null.
    pub fn model(&self) -> Option<Cow<'_, str>> {
        None
    }

    /// Whether `stream` is `true`.
    pub fn stream(&self) -> bool {
        false
    }

    /// Whether the client itself asked for `stream_options.include_usage`.
    pub fn wants_usage(&self) -> bool {
        false
    }

    /// Body `tags`; `None` when missing.
    pub fn tags(&self) -> Option<Vec<Cow<'_, str>>> {
        None
    }

    /// `metadata.tags` (also of a JSON-string metadata, row D10); `None` when missing.
    pub fn metadata_tags(&self) -> Option<Vec<Cow<'_, str>>> {
        None
    }

    /// `litellm_metadata.tags`; `None` when missing.
    pub fn litellm_metadata_tags(&self) -> Option<Vec<Cow<'_, str>>> {
        None
    }

    /// Whether the body has a `metadata` key, whatever its value.
    pub fn has_metadata(&self) -> bool {
        false
    }

    /// Whether the body has a `litellm_metadata` key that holds an object.
    pub fn has_litellm_metadata(&self) -> bool {
        false
    }

    /// Body `num_retries`.
    pub fn num_retries(&self) -> Option<u32> {
        None
    }

    /// Body `timeout` or `request_timeout`, seconds.
    pub fn timeout(&self) -> Option<f64> {
        None
    }

    /// Body `stream_timeout`, seconds.
    pub fn stream_timeout(&self) -> Option<f64> {
        None
    }

    /// Body `fallbacks`: names, or JSON objects that override request fields (`{"model": ...}`),
    /// each as its JSON text. `None` when missing.
    pub fn fallbacks(&self) -> Option<Vec<&str>> {
        None
    }

    /// Body `disable_fallbacks: true`.
    pub fn disable_fallbacks(&self) -> bool {
        false
    }

    /// Fields by which a client would steer the call past the gateway (`api_key`, `headers`,
    /// `extra_headers`, `custom_llm_provider`, ...; rows D12 and D31), in the order of the body. The
    /// target says whether its deployment allows them ([`crate::Target::admit`]).
    pub fn steering(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// Whether a required field of the operation is there (`messages`, `input`, `prompt`).
    pub fn has(&self, _key: &str) -> bool {
        false
    }

    /// A body like this one with top-level fields replaced or added: (key, JSON text).
    ///
    /// # Errors
    /// As [`Envelope::read`], which reads the result.
    pub fn with(&self, _fields: &[(String, String)]) -> Result<Envelope, EnvelopeError> {
        Ok(self.clone())
    }

    /// The rewritten body: slices of the original around what changed. Gateway fields are cut out,
    /// `extra_body` is merged, everything else goes as it was written.
    pub fn rewrite(&self, _rewrite: &Rewrite<'_>) -> Vec<Bytes> {
        vec![self.body.clone()]
    }
}
