//! The envelope of a request body: where the fields that the gateway reads are, found in one pass
//! that validates the whole document, and the splice that rewrites them without re-encoding.

mod field;
mod member;
mod overriding;
mod read;
mod splice;
mod stored;
mod value;

use std::borrow::Cow;
use std::fmt;

use bytes::Bytes;

use crate::{Operation, work};
use field::{Name, Role};
pub use field::{gateway_parameters, is_gateway_parameter, is_price_parameter};
use member::{Member, Members};
use read::Facts;
pub use stored::StoredState;
pub(crate) use value::{elements, members, string};

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

/// One of a body's `fallbacks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fallback<'a> {
    /// A name.
    Name(Cow<'a, str>),
    /// An object.
    Object {
        /// Its `model`, where that is a string.
        model: Option<Cow<'a, str>>,
        /// The object, as it is written.
        fields: &'a str,
        /// Whether there is anything beside `model`.
        overrides: bool,
    },
}

/// A validated request body and the spans of the gateway's fields in it.
#[derive(Clone)]
pub struct Envelope {
    body: Bytes,
    members: Members,
    /// The first byte behind the opening brace.
    inside: u32,
    facts: Facts,
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
        self.tags_inside(Name::Metadata)
    }

    /// `litellm_metadata.tags`; `None` when missing.
    pub fn litellm_metadata_tags(&self) -> Option<Vec<Cow<'_, str>>> {
        self.tags_inside(Name::LitellmMetadata)
    }

    /// How many tags there are in all its lists, whatever they are.
    pub fn tag_count(&self) -> usize {
        self.facts.tag_count()
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

    /// Body `fallbacks`: names, or objects. `None` when missing. One name alone is a list of one.
    pub fn fallbacks(&self) -> Option<Vec<Fallback<'_>>> {
        let text = self.text(Name::Fallbacks)?;
        match text.as_bytes().first() {
            Some(b'[') => Some(value::elements(text).filter_map(Fallback::read).collect()),
            Some(b'"') => Some(vec![Fallback::Name(value::string(text)?)]),
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
    pub fn steering(&self) -> &[&'static str] {
        &self.facts.steering
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

    /// A body like this one with the fields of an object in the place of its own: what is asked for by an
    /// object among the `fallbacks`. `model` and `fallbacks` of that object are left out, and so are the
    /// `fallbacks` of the body, so that what comes out is no longer than the body itself. What was
    /// checked of this body is not looked at again.
    ///
    /// # Errors
    /// As [`Envelope::read`]: the object is none, or it has fields that a body may not have.
    pub fn with(&self, object: &str) -> Result<Envelope, EnvelopeError> {
        overriding::overridden(self, object)
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
        work::step(1);
        match self.members.escaped(member) {
            Some(text) => text == key,
            None => self.written_key(member) == key.as_bytes(),
        }
    }

    /// A key without its quotes, as it is written.
    fn written_key(&self, member: &Member) -> &[u8] {
        self.body.get(member.start as usize + 1..member.key_end as usize).unwrap_or_default()
    }

    /// The text of a key.
    fn key(&self, member: &Member) -> &str {
        let written = || self.slice(member.start as usize + 1, member.key_end as usize);
        self.members.escaped(member).unwrap_or_else(written)
    }

    /// The tags of a metadata object, which may itself be written as a JSON string.
    fn tags_inside(&self, name: Name) -> Option<Vec<Cow<'_, str>>> {
        let member = self.members.named(name)?;
        let start = member.value as usize;
        if self.body.get(start) == Some(&b'"') {
            return value::tags_inside(self.value(member));
        }
        let (from, to) = self.facts.tags_of(name)?;
        value::strings(self.slice(start + from as usize, start + to as usize))
    }

    /// Text of the body. Offsets come from the scanner and lie on tokens, hence on characters.
    fn slice(&self, start: usize, end: usize) -> &str {
        work::step(end.saturating_sub(start));
        self.body.get(start..end).and_then(|bytes| simdutf8::basic::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

impl<'a> Fallback<'a> {
    fn read(element: &'a str) -> Option<Self> {
        match element.as_bytes().first()? {
            b'"' => Some(Fallback::Name(value::decoded(element))),
            b'{' => {
                let (mut model, mut overrides) = (None, false);
                for (key, text) in members(element) {
                    match &*key {
                        "model" => model = value::string(text),
                        _ => overrides = true,
                    }
                }
                Some(Fallback::Object { model, fields: element, overrides })
            }
            _ => None,
        }
    }

    /// The strings of the list that an object has under the first of these keys that is there.
    pub fn listed(object: &'a str, keys: &[&str]) -> Vec<Cow<'a, str>> {
        let mut lists = vec![None; keys.len()];
        for (key, text) in members(object) {
            if let Some(at) = keys.iter().position(|wanted| *wanted == key) {
                lists[at] = Some(text);
            }
        }
        lists.into_iter().flatten().next().and_then(value::strings).unwrap_or_default()
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
