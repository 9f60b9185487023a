//! The envelope of a request body: where the fields that the gateway reads are, found in one pass
//! that validates the whole document, and the splice that rewrites them without re-encoding.

mod field;
mod member;
mod read;
mod splice;
mod stored;
mod value;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::Operation;
use field::{Name, Role};
use member::{Member, Members};
pub use stored::StoredState;
pub(crate) use value::members;

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
    /// Cuts `user`, which LiteLLM sends only to models that it knows to be OpenAI's.
    pub drop_user: bool,
    /// Replaces the client's `previous_response_id` by the upstream's.
    pub previous_response: Option<&'a str>,
    /// Fields of the deployment that count where the client sent none: (key, JSON text). `model` and
    /// `stream` among them are ignored.
    pub defaults: &'a [(String, String)],
}

/// A validated request body and the spans of the gateway's fields in it.
#[derive(Clone)]
pub struct Envelope {
    body: Bytes,
    members: Members,
    /// The first byte behind the opening brace.
    inside: u32,
    /// Tags in all its lists.
    tag_count: u32,
}

impl EnvelopeError {
    /// A field that the client may not set: one of [`Envelope::steering`] that the deployment does
    /// not allow. 401 where LiteLLM has it so, 400 for what LiteLLM would have let through (D31).
    pub fn not_allowed(field: &str) -> EnvelopeError {
        let name = field.strip_prefix("extra_body.").unwrap_or(field);
        let role = field::find(name.as_bytes()).and_then(field::field).map(|field| field.role);
        EnvelopeError {
            message: format!(
                "Rejected Request: {field} is not allowed in request body. A deployment can allow it in \
                 `configurable_clientside_auth_params`."
            ),
            param: field.to_owned(),
            status: if role == Some(Role::Refuse) { 401 } else { 400 },
        }
    }

    /// More tags than a call may have, over all sources. `param` is where they no longer fitted.
    pub fn too_many_tags(param: &str) -> EnvelopeError {
        EnvelopeError::shape(param, "at most 1024 tags together with all other sources", "a longer list")
    }

    /// A path's model that is longer than a name may be.
    pub fn model_too_long() -> EnvelopeError {
        read::long_name("model")
    }

    fn shape(param: &str, expected: &str, found: &str) -> EnvelopeError {
        EnvelopeError {
            message: format!("Invalid request: `{param}` must be {expected}, not {found}"),
            param: param.to_owned(),
            status: 400,
        }
    }
}

impl Envelope {
    /// The most tags that a call may have, over all sources.
    pub const MAX_TAGS: usize = read::MAX_TAGS;
    /// The longest name of a model, in bytes.
    pub const MAX_MODEL: usize = read::MAX_MODEL;

    /// Reads a body in one pass.
    ///
    /// # Errors
    /// Not JSON, not UTF-8, not an object, nested more than 127 deep, more than 512 fields, or a
    /// field that the gateway reads has the wrong type or is too long, stands there twice, or has a
    /// key spelt with escapes. What the client may not set is told by [`Envelope::steering`] instead.
    pub fn read(body: Bytes) -> Result<Envelope, EnvelopeError> {
        read::read(body)
    }

    /// The bytes as they came.
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// `model`; `None` when missing or null.
    pub fn model(&self) -> Option<Cow<'_, str>> {
        value::string(self.text(Name::Model)?)
    }

    /// Whether `stream` is `true`.
    pub fn stream(&self) -> bool {
        self.text(Name::Stream) == Some("true")
    }

    /// Whether the client itself asked for `stream_options.include_usage`.
    pub fn wants_usage(&self) -> bool {
        self.text(Name::StreamOptions)
            .and_then(|options| value::field_of(options, "include_usage"))
            .is_some_and(|wanted| wanted == "true")
    }

    /// Who the client says it asks for: `user`, on Anthropic's side `metadata.user_id`.
    pub fn end_user(&self, operation: Operation) -> Option<Cow<'_, str>> {
        if operation != Operation::Messages {
            return value::string(self.raw("user")?);
        }
        match value::object(self.text(Name::Metadata)?)? {
            Cow::Borrowed(object) => value::string(value::field_of(object, "user_id")?),
            Cow::Owned(object) => {
                let user = value::string(value::field_of(&object, "user_id")?)?;
                Some(Cow::Owned(user.into_owned()))
            }
        }
    }

    /// Body `tags`; `None` when missing.
    pub fn tags(&self) -> Option<Vec<Cow<'_, str>>> {
        value::strings(self.text(Name::Tags)?)
    }

    /// `metadata.tags` (also of a JSON-string metadata, row D10); `None` when missing.
    pub fn metadata_tags(&self) -> Option<Vec<Cow<'_, str>>> {
        value::tags_inside(self.text(Name::Metadata)?)
    }

    /// `litellm_metadata.tags`; `None` when missing.
    pub fn litellm_metadata_tags(&self) -> Option<Vec<Cow<'_, str>>> {
        value::tags_inside(self.text(Name::LitellmMetadata)?)
    }

    /// How many tags there are in all its lists, whatever they are.
    pub fn tag_count(&self) -> usize {
        self.tag_count as usize
    }

    /// Whether the body has a `metadata` key, whatever its value.
    pub fn has_metadata(&self) -> bool {
        self.members.named(Name::Metadata).is_some()
    }

    /// Whether the body has a `litellm_metadata` key that holds an object, be it as a JSON string.
    pub fn has_litellm_metadata(&self) -> bool {
        self.text(Name::LitellmMetadata).is_some_and(|text| text != "null")
    }

    /// Body `num_retries`.
    pub fn num_retries(&self) -> Option<u32> {
        self.text(Name::NumRetries)?.parse().ok()
    }

    /// Body `timeout` or `request_timeout`, seconds. Zero is none, as in LiteLLM.
    pub fn timeout(&self) -> Option<f64> {
        self.seconds(Name::Timeout).or_else(|| self.seconds(Name::RequestTimeout))
    }

    /// Body `stream_timeout`, seconds. Zero is none.
    pub fn stream_timeout(&self) -> Option<f64> {
        self.seconds(Name::StreamTimeout)
    }

    /// Body `fallbacks`: names, or JSON objects that override request fields (`{"model": ...}`),
    /// each as its JSON text. `None` when missing. One name alone is a list of one.
    pub fn fallbacks(&self) -> Option<Vec<&str>> {
        let text = self.text(Name::Fallbacks)?;
        match text.as_bytes().first() {
            Some(b'[') => Some(value::elements(text).collect()),
            Some(b'"') => Some(vec![text]),
            _ => None,
        }
    }

    /// Body `disable_fallbacks: true`.
    pub fn disable_fallbacks(&self) -> bool {
        self.text(Name::DisableFallbacks) == Some("true")
    }

    /// Fields by which a client would steer the call past the gateway (`api_key`, `headers`,
    /// `extra_headers`, `custom_llm_provider`, ...; rows D12 and D31), in the order of the body. The
    /// target says whether its deployment allows them ([`crate::Target::admit`]), with
    /// [`EnvelopeError::not_allowed`] for the answer. `extra_body.tags` stands for a field of the
    /// gateway's inside `extra_body`.
    pub fn steering(&self) -> Vec<&'static str> {
        let mut found = Vec::new();
        for member in self.members.iter() {
            match member.role() {
                Some(Role::Refuse) => found.extend(field::field(member.row).map(|field| field.key)),
                Some(Role::Steer) if !self.is_null(member) => {
                    found.extend(field::field(member.row).map(|field| field.key));
                }
                Some(Role::Read(Name::ExtraBody)) => {
                    let fields = value::members(self.value(member))
                        .filter_map(|(key, _)| field::find(key.as_bytes()).and_then(field::field));
                    found.extend(
                        fields.filter(|field| field.kept_out_of_extra_body()).map(|field| field.nested),
                    );
                }
                _ => {}
            }
        }
        found
    }

    /// Whether a field is there and not null: the required ones of an operation (`messages`,
    /// `input`, `prompt`).
    pub fn has(&self, key: &str) -> bool {
        self.member(key).is_some_and(|member| !self.is_null(member))
    }

    /// The JSON text of a top-level field; of its last occurrence, as parsers have it.
    pub fn raw(&self, key: &str) -> Option<&str> {
        self.member(key).map(|member| self.value(member))
    }

    /// A body like this one with top-level fields replaced or added: (key, JSON text).
    ///
    /// # Errors
    /// As [`Envelope::read`], which reads the result.
    pub fn with(&self, fields: &[(String, String)]) -> Result<Envelope, EnvelopeError> {
        read::read(splice::replaced(self, fields))
    }

    /// The rewritten body: slices of the original around what changed. Gateway fields are cut out,
    /// `extra_body` is merged (its fields win, as in OpenAI's SDK, but `model`, `stream` and
    /// `stream_options` are never taken from it), everything else goes as it was written.
    pub fn rewrite(&self, rewrite: &Rewrite<'_>) -> Vec<Bytes> {
        splice::rewritten(self, rewrite)
    }

    fn seconds(&self, name: Name) -> Option<f64> {
        value::seconds(self.text(name)?).filter(|seconds| *seconds > 0.0)
    }

    /// The JSON text of a field that is read.
    fn text(&self, name: Name) -> Option<&str> {
        self.members.named(name).map(|member| self.value(member))
    }

    fn value(&self, member: &Member) -> &str {
        self.slice(member.value as usize, member.end as usize)
    }

    fn is_null(&self, member: &Member) -> bool {
        self.body.get(member.value as usize..member.end as usize) == Some(b"null")
    }

    fn member(&self, key: &str) -> Option<&Member> {
        self.members.iter().rev().find(|member| self.is(member, key))
    }

    fn is(&self, member: &Member, key: &str) -> bool {
        let (start, end) = (member.start as usize, member.key_end as usize);
        let written = self.body.get(start + 1..end).unwrap_or_default();
        written == key.as_bytes()
            || memchr::memchr(b'\\', written).is_some() && value::decoded(self.slice(start, end + 1)) == key
    }

    /// Text of the body. Offsets come from the scanner and lie on tokens, hence on characters.
    fn slice(&self, start: usize, end: usize) -> &str {
        self.body.get(start..end).and_then(|bytes| simdutf8::basic::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl fmt::Display for EnvelopeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for EnvelopeError {}

/// Shows no content: prompts and credentials belong in no log.
impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (length, model) = (self.body.len(), self.model());
        f.debug_struct("Envelope").field("length", &length).field("model", &model).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
