//! What is asked: a body in the shape of its API, and what only counts on this side of the wire.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value, json};
use tagrail_providers::{EnvelopeError, Operation};

use crate::{Call, Caller};

/// A request of one kind: [`Completion`] and its siblings. Made by its methods, or of a plain value in the
/// shape of the API's body; everything of a body that has no method here is set by [`Request::param`].
///
/// ```
/// use std::time::Duration;
/// use serde_json::json;
/// use tagrail::Completion;
///
/// let typed = Completion::new("gpt-4o")
///     .system("Answer in one word.")
///     .user("Which colour has the sky?")
///     .tags(["free"])
///     .param("temperature", 0.2)
///     .deadline(Duration::from_secs(20));
/// let plain = Completion::from(json!({
///     "model": "gpt-4o",
///     "messages": [
///         {"role": "system", "content": "Answer in one word."},
///         {"role": "user", "content": "Which colour has the sky?"},
///     ],
///     "tags": ["free"],
///     "temperature": 0.2,
/// }));
/// assert_eq!(typed.body(), plain.body());
/// ```
#[derive(Clone)]
pub struct Request<K> {
    body: Value,
    headers: HeaderMap,
    caller: Option<Arc<Caller>>,
    id: Option<HeaderValue>,
    pub(super) deadline: Option<Duration>,
    kind: PhantomData<K>,
}

/// A chat completion.
pub type Completion = Request<kind::Chat>;
/// A completion of a text (OpenAI's `/completions`).
pub type TextCompletion = Request<kind::Text>;
/// An embedding.
pub type Embedding = Request<kind::Vectors>;
/// A call of OpenAI's Responses API.
pub type Responses = Request<kind::Response>;
/// A call of Anthropic's Messages API.
pub type Messages = Request<kind::Message>;

/// A kind of request.
pub trait Kind: sealed::Sealed {
    /// What is asked for.
    const OPERATION: Operation;
}

mod sealed {
    pub trait Sealed {}
}

/// The kinds of requests.
pub mod kind {
    use tagrail_providers::Operation;

    macro_rules! kinds {
        ($($(#[$doc:meta])* $name:ident = $operation:ident;)*) => {$(
            $(#[$doc])*
            #[derive(Clone, Copy, Debug)]
            pub enum $name {}
            impl super::sealed::Sealed for $name {}
            impl super::Kind for $name {
                const OPERATION: Operation = Operation::$operation;
            }
        )*};
    }

    kinds! {
        /// Of [`Completion`](super::Completion).
        Chat = ChatCompletions;
        /// Of [`TextCompletion`](super::TextCompletion).
        Text = Completions;
        /// Of [`Embedding`](super::Embedding).
        Vectors = Embeddings;
        /// Of [`Responses`](super::Responses).
        Response = Responses;
        /// Of [`Messages`](super::Messages).
        Message = Messages;
    }
}

/// Of all kinds.
impl<K: Kind> Request<K> {
    fn of(body: Value) -> Request<K> {
        let headers = HeaderMap::new();
        Request { body, headers, caller: None, id: None, deadline: None, kind: PhantomData }
    }

    /// One field of the body.
    #[must_use]
    pub fn param(mut self, key: impl Into<String>, value: impl Into<Value>) -> Request<K> {
        // A body that is no object is refused when it is sent.
        if let Value::Object(fields) = &mut self.body {
            fields.insert(key.into(), value.into());
        }
        self
    }

    /// Tags to route on, beside those that are there already. They are not sent upstream.
    #[must_use]
    pub fn tags(mut self, tags: impl IntoIterator<Item = impl Into<String>>) -> Request<K> {
        let tags = tags.into_iter().map(|tag| Value::String(tag.into()));
        if let Value::Object(fields) = &mut self.body {
            match fields.get_mut("tags").and_then(Value::as_array_mut) {
                Some(there) => there.extend(tags),
                None => {
                    fields.insert("tags".to_owned(), Value::Array(tags.collect()));
                }
            }
        }
        self
    }

    /// How long the whole call may take: all tries, pauses between them and fallbacks, and of a stream its
    /// last piece too. When it has passed, the upstream call is ended, and the call fails with
    /// [`Error::Deadline`](crate::Error::Deadline); a stream that nobody reads at that moment, when it is read
    /// again. [`Request::timeout`] limits one try alone.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Request<K> {
        self.deadline = Some(deadline);
        self
    }

    /// How long one try may take; of a stream, how long its upstream may be silent.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Request<K> {
        self.param("timeout", timeout.as_secs_f64())
    }

    /// How often a failure is tried again, instead of as often as configured.
    #[must_use]
    pub fn num_retries(self, retries: u32) -> Request<K> {
        self.param("num_retries", retries)
    }

    /// Names that are asked when this one does not answer, instead of those configured.
    #[must_use]
    pub fn fallbacks(self, names: impl IntoIterator<Item = impl Into<String>>) -> Request<K> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        self.param("fallbacks", names)
    }

    /// Asks nobody else when this name does not answer.
    #[must_use]
    pub fn disable_fallbacks(self) -> Request<K> {
        self.param("disable_fallbacks", true)
    }

    /// On whose behalf: the call is confined to what that caller may use, under the rules that the gateway has
    /// for a key that holds the same. Without, it is the operator's, and may bring an `api_key`, `api_base` and
    /// `extra_headers` of its own; with one, only where the deployment allows that
    /// (`configurable_clientside_auth_params`).
    #[must_use]
    pub fn caller(mut self, caller: impl Into<Arc<Caller>>) -> Request<K> {
        self.caller = Some(caller.into());
        self
    }

    /// `User-Agent` for `tag_regex`. Whatever fits no header matches none.
    #[must_use]
    pub fn user_agent(mut self, agent: &str) -> Request<K> {
        if let Ok(agent) = HeaderValue::from_str(agent) {
            self.headers.insert(USER_AGENT, agent);
        }
        self
    }

    /// The call's name in the books; see [`Outcome::call_id`](crate::Outcome::call_id).
    #[must_use]
    pub fn id(mut self, id: &str) -> Request<K> {
        self.id = HeaderValue::from_str(id).ok();
        self
    }

    /// The body as it is now.
    pub fn body(&self) -> &Value {
        &self.body
    }

    /// The call that is made of it, for [`Router::explain`](crate::Router::explain) and whatever else takes one.
    ///
    /// # Errors
    /// The body cannot be routed.
    pub fn call(&self) -> Result<Call, EnvelopeError> {
        let body = Bytes::from(self.body.to_string());
        let call = Call::read(K::OPERATION, self.headers.clone(), body, None)?.in_process();
        let caller = self.caller.clone().unwrap_or_else(Caller::operator);
        Ok(call.by(caller, self.id.clone().unwrap_or_else(|| HeaderValue::from_static(""))))
    }

    /// The name asked for; empty when there is none.
    pub(super) fn model(&self) -> &str {
        self.body.get("model").and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the body asks for a stream.
    pub(super) fn streams(&self) -> bool {
        self.body.get("stream").is_some_and(|stream| *stream == Value::Bool(true))
    }

    /// One more entry of a list.
    fn entry(mut self, list: &str, entry: Value) -> Request<K> {
        if let Value::Object(fields) = &mut self.body
            && let Value::Array(entries) = fields.entry(list).or_insert_with(|| Value::Array(Vec::new()))
        {
            entries.push(entry);
        }
        self
    }

    fn said(self, role: &str, content: impl Into<Value>) -> Request<K> {
        self.entry("messages", json!({ "role": role, "content": content.into() }))
    }
}

/// Shows no content: prompts and credentials belong in no log. [`Request::body`] has it all.
impl<K> fmt::Debug for Request<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Request");
        shown.field("model", &self.body["model"]).field("caller", &self.caller);
        shown.field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// A body in the shape of the API.
impl<K: Kind> From<Value> for Request<K> {
    fn from(body: Value) -> Request<K> {
        Request::of(body)
    }
}

impl<K: Kind> From<Map<String, Value>> for Request<K> {
    fn from(body: Map<String, Value>) -> Request<K> {
        Request::of(Value::Object(body))
    }
}

/// Chats.
impl Request<kind::Chat> {
    /// A chat with this model, so far without messages.
    pub fn new(model: impl Into<String>) -> Completion {
        Request::of(json!({ "model": model.into(), "messages": [] }))
    }

    /// One more message of the user's: a text, or a list of parts.
    #[must_use]
    pub fn user(self, content: impl Into<Value>) -> Completion {
        self.said("user", content)
    }

    /// One more message of the system's.
    #[must_use]
    pub fn system(self, content: impl Into<Value>) -> Completion {
        self.said("system", content)
    }

    /// One more message of the model's, from a turn before.
    #[must_use]
    pub fn assistant(self, content: impl Into<Value>) -> Completion {
        self.said("assistant", content)
    }

    /// One more message, as the API writes it.
    #[must_use]
    pub fn message(self, message: impl Into<Value>) -> Completion {
        self.entry("messages", message.into())
    }
}

/// Completions of texts.
impl Request<kind::Text> {
    /// A completion of this text.
    pub fn new(model: impl Into<String>, prompt: impl Into<Value>) -> TextCompletion {
        Request::of(json!({ "model": model.into(), "prompt": prompt.into() }))
    }
}

/// Embeddings.
impl Request<kind::Vectors> {
    /// The embedding of a text, or of a list of texts.
    pub fn new(model: impl Into<String>, input: impl Into<Value>) -> Embedding {
        Request::of(json!({ "model": model.into(), "input": input.into() }))
    }
}

/// Calls of the Responses API.
impl Request<kind::Response> {
    /// A response to a text, or to a list of items.
    pub fn new(model: impl Into<String>, input: impl Into<Value>) -> Responses {
        Request::of(json!({ "model": model.into(), "input": input.into() }))
    }

    /// `instructions`.
    #[must_use]
    pub fn instructions(self, text: impl Into<String>) -> Responses {
        self.param("instructions", text.into())
    }
}

/// Calls of the Messages API.
impl Request<kind::Message> {
    /// A call that may be answered with so many tokens, so far without messages.
    pub fn new(model: impl Into<String>, max_tokens: u64) -> Messages {
        Request::of(json!({ "model": model.into(), "max_tokens": max_tokens, "messages": [] }))
    }

    /// `system`.
    #[must_use]
    pub fn system(self, text: impl Into<Value>) -> Messages {
        self.param("system", text)
    }

    /// One more message of the user's: a text, or a list of blocks.
    #[must_use]
    pub fn user(self, content: impl Into<Value>) -> Messages {
        self.said("user", content)
    }

    /// One more message of the model's, from a turn before.
    #[must_use]
    pub fn assistant(self, content: impl Into<Value>) -> Messages {
        self.said("assistant", content)
    }
}
