//! One call as it came in: operation, body, headers; and the tags of all its sources.

mod in_process;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName, HeaderValue};
use tagrail_providers::{Envelope, EnvelopeError, Operation};
use tagrail_routing::{RequestTag, Rules, TagOrigin};

use crate::Caller;

/// Up to this many tags are compared each with each.
const FEW: usize = 16;

/// Bodies of more than this many bytes are long.
const LONG: usize = 1024 * 1024;

static TAGS: HeaderName = HeaderName::from_static("x-litellm-tags");

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
    /// On whose behalf.
    pub caller: Arc<Caller>,
    /// `x-litellm-call-id`, for the books.
    pub id: HeaderValue,
    /// Made by the operator's own program, without a gateway in between; see [`Call::in_process`].
    pub(crate) in_process: bool,
    hints: Hints,
}

/// What the headers say of the call, found in one walk over them: looking for each name in the map
/// costs more, and mostly none is there.
#[derive(Clone, Copy, Debug, Default)]
struct Hints {
    /// Whether there is an `x-litellm-tags`.
    tags: bool,
    /// `x-litellm-timeout`, seconds.
    timeout: Option<f64>,
    /// `x-litellm-stream-timeout`, seconds.
    stream_timeout: Option<f64>,
    /// `x-litellm-num-retries`.
    num_retries: Option<u32>,
}

impl Hints {
    fn of(headers: &HeaderMap) -> Hints {
        let mut hints = Hints::default();
        for (name, value) in headers {
            let Some(name) = name.as_str().strip_prefix("x-litellm-") else { continue };
            let text = value.to_str().unwrap_or_default().trim();
            match name {
                "tags" => hints.tags = true,
                "timeout" => hints.timeout = text.parse().ok(),
                "stream-timeout" => hints.stream_timeout = text.parse().ok(),
                "num-retries" => hints.num_retries = text.parse().ok(),
                _ => {}
            }
        }
        hints
    }
}

impl Call {
    /// Reads a call.
    ///
    /// # Errors
    /// The body cannot be routed; see [`Envelope::read`]. Or the path's model is longer than a name
    /// may be, or header and body together hold more than [`Envelope::MAX_TAGS`] tags.
    pub fn read(
        operation: Operation,
        headers: HeaderMap,
        body: Bytes,
        path_model: Option<String>,
    ) -> Result<Call, EnvelopeError> {
        if path_model.as_ref().is_some_and(|model| model.len() > Envelope::MAX_MODEL) {
            return Err(EnvelopeError::model_too_long());
        }
        let envelope = Envelope::read(body)?;
        let hints = Hints::of(&headers);
        if hints.tags {
            bound_tags(&headers, &envelope)?;
        }
        let (caller, id) = (Caller::operator(), HeaderValue::from_static(""));
        Ok(Call { operation, envelope, headers, path_model, caller, id, in_process: false, hints })
    }

    /// The same call on somebody's behalf, and under an id of its own.
    #[must_use]
    pub fn by(mut self, caller: Arc<Caller>, id: HeaderValue) -> Call {
        self.caller = caller;
        self.id = id;
        self
    }

    /// The call with the fields of an object among its fallbacks in the place of its own.
    pub(crate) fn with(&self, fields: &str) -> Result<Call, EnvelopeError> {
        let envelope = self.envelope.with(fields)?;
        bound_tags(&self.headers, &envelope)?;
        Ok(Call {
            operation: self.operation,
            envelope,
            headers: self.headers.clone(),
            path_model: self.path_model.clone(),
            caller: self.caller.clone(),
            id: self.id.clone(),
            in_process: self.in_process,
            hints: self.hints,
        })
    }

    /// Lets others have the core between two steps that look at all of a long body: the estimate and the
    /// rewrite.
    pub(crate) async fn pause_if_long(&self) {
        if self.envelope.body().len() > LONG {
            tokio::task::yield_now().await;
        }
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
        let own = stream.then(|| self.hints.stream_timeout.or(self.envelope.stream_timeout()));
        let seconds = own.flatten().or_else(|| self.envelope.timeout()).or(self.hints.timeout)?;
        (seconds.is_finite() && seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(1e9)))
    }

    /// Retries by body or header.
    pub(crate) fn num_retries(&self) -> Option<u32> {
        self.envelope.num_retries().or(self.hints.num_retries)
    }

    /// All tags in LiteLLM's order: metadata, litellm_metadata, key, team, body. The header's stand
    /// before the key's where a metadata object keeps them, else in the place of the body's, whose list
    /// replaces them under `litellm` rules (D7).
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
        if self.hints.tags && slot {
            extend(&mut tags, Some(&self.header_tags()), TagOrigin::Header);
        }
        if let Some(policy) = &self.caller.policy {
            let held = policy.tags.iter();
            tags.extend(
                held.map(|(text, origin)| RequestTag { text: text.as_str().into(), origin: *origin }),
            );
        }
        if self.hints.tags && !slot && (rules.tags_always_unite || body.is_none()) {
            extend(&mut tags, Some(&self.header_tags()), TagOrigin::Header);
        }
        extend(&mut tags, body.as_deref(), TagOrigin::Body);
        if keeps_litellm_metadata {
            extend(&mut tags, metadata.as_deref(), TagOrigin::Metadata);
        }
        unite(&mut tags);
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

/// Refuses more tags than a call may have. An empty part of the header counts here.
fn bound_tags(headers: &HeaderMap, envelope: &Envelope) -> Result<(), EnvelopeError> {
    let parts = |line: &HeaderValue| 1 + memchr::memchr_iter(b',', line.as_bytes()).count();
    let count: usize = headers.get_all(&TAGS).iter().map(parts).sum();
    if count > 0 && count + envelope.tag_count() > Envelope::MAX_TAGS {
        return Err(EnvelopeError::too_many_tags(TAGS.as_str()));
    }
    Ok(())
}

fn extend<'a>(into: &mut Vec<RequestTag<'a>>, tags: Option<&[Cow<'a, str>]>, origin: TagOrigin) {
    into.extend(tags.unwrap_or_default().iter().map(|text| RequestTag { text: text.clone(), origin }));
}

/// Leaves every tag once, where it stood first. What the operator set stays the operator's, also
/// where the caller has said it before.
fn unite(tags: &mut Vec<RequestTag<'_>>) {
    if tags.len() > FEW {
        return unite_many(tags);
    }
    let mut kept = 0;
    for at in 0..tags.len() {
        match (0..kept).find(|known| tags[*known].text == tags[at].text) {
            Some(known) => repeat(tags, known, at),
            None => {
                tags.swap(kept, at);
                kept += 1;
            }
        }
    }
    tags.truncate(kept);
}

/// The same by sorting. The sort is stable, so that equal tags keep their order.
fn unite_many(tags: &mut Vec<RequestTag<'_>>) {
    let mut sorted: Vec<usize> = (0..tags.len()).collect();
    sorted.sort_by(|one, other| tags[*one].text.cmp(&tags[*other].text));
    let mut repeated = vec![false; tags.len()];
    let mut first = 0;
    for at in 1..sorted.len() {
        let (known, again) = (sorted[first], sorted[at]);
        if tags[known].text == tags[again].text {
            repeat(tags, known, again);
            repeated[again] = true;
        } else {
            first = at;
        }
    }
    let mut repeated = repeated.into_iter();
    tags.retain(|_| !repeated.next().unwrap_or(false));
}

/// A tag that is known comes again.
fn repeat(tags: &mut [RequestTag<'_>], known: usize, again: usize) {
    if tags[again].origin.is_policy() && !tags[known].origin.is_policy() {
        tags[known].origin = tags[again].origin;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tagrail_routing::{Policy, RoutingMode};

    use super::*;

    fn read(header: &str, body: &serde_json::Value, path: Option<String>) -> Result<Call, EnvelopeError> {
        let mut headers = HeaderMap::new();
        headers.insert(&TAGS, HeaderValue::from_str(header).unwrap());
        Call::read(Operation::ChatCompletions, headers, Bytes::from(body.to_string()), path)
    }

    fn united(texts: &[(&'static str, TagOrigin)]) -> Vec<(String, TagOrigin)> {
        let mut tags: Vec<_> =
            texts.iter().map(|(text, origin)| RequestTag { text: (*text).into(), origin: *origin }).collect();
        unite(&mut tags);
        tags.into_iter().map(|tag| (tag.text.into_owned(), tag.origin)).collect()
    }

    #[test]
    fn all_sources_together_are_bounded() {
        let body = json!({"model": "m", "tags": vec!["t"; 1000]});
        assert!(read(&"h,".repeat(23), &body, None).is_ok());
        let error = read(&"h,".repeat(24), &body, None).unwrap_err();
        assert_eq!((error.param.as_str(), error.status), ("x-litellm-tags", 400));
    }

    #[test]
    fn a_paths_model_is_bounded() {
        let read = |length| read("", &json!({}), Some("m".repeat(length)));
        assert!(read(1024).is_ok());
        let error = read(1025).unwrap_err();
        assert_eq!((error.param.as_str(), error.status), ("model", 400));
    }

    #[test]
    fn a_tag_is_there_once_and_the_operators_origin_wins() {
        use TagOrigin::{Body, Header, Key, Team};
        let some = [("a", Header), ("b", Header), ("a", Team), ("a", Key), ("c", Key), ("c", Body)];
        let expected =
            [("a", Team), ("b", Header), ("c", Key)].map(|(text, origin)| (text.to_owned(), origin));
        assert_eq!(united(&some), expected);
        let many: Vec<_> = [("z", Body); 20].into_iter().chain(some).collect();
        assert_eq!(united(&many)[0], ("z".to_owned(), Body));
        assert_eq!(united(&many)[1..], expected);
    }

    /// Captured from LiteLLM: see the contract of tag routing, section 2.
    #[test]
    fn the_tags_of_key_and_team_stand_where_litellm_has_them() {
        let held = [
            ("K1", TagOrigin::Key),
            ("dup", TagOrigin::Key),
            ("T1", TagOrigin::Team),
            ("dup", TagOrigin::Team),
        ];
        let tags = held.map(|(tag, origin)| (tag.to_owned(), origin)).to_vec();
        let policy = Some(Policy { tags, ..Policy::default() });
        let caller = Arc::new(Caller { policy, ..Caller::default() });
        let metadata = json!({"tags": ["m", "!default"]});
        for (operation, header, body, expected) in [
            (
                Operation::ChatCompletions,
                true,
                json!({"metadata": {"tags": ["m"]}, "tags": ["b", "!default"]}),
                "m h1 h2 K1 dup T1 b !default",
            ),
            (Operation::ChatCompletions, false, json!({"tags": ["b", "!default"]}), "K1 dup T1 b !default"),
            (
                Operation::ChatCompletions,
                true,
                json!({"metadata": metadata, "litellm_metadata": {"tags": ["l"]}}),
                "m !default l h1 h2 K1 dup T1",
            ),
            (Operation::ChatCompletions, true, json!({}), "K1 dup T1 h1 h2"),
            (Operation::ChatCompletions, true, json!({"tags": ["b"]}), "K1 dup T1 b"),
            (
                Operation::Messages,
                true,
                json!({"litellm_metadata": {"tags": ["l"]}, "metadata": {"tags": ["m"]}, "tags": ["b"]}),
                "l h1 h2 K1 dup T1 b m",
            ),
        ] {
            let mut headers = HeaderMap::new();
            if header {
                headers.insert(&TAGS, HeaderValue::from_static("h1,h2"));
            }
            let call = Call::read(operation, headers, Bytes::from(body.to_string()), None).unwrap();
            let call = call.by(caller.clone(), HeaderValue::from_static("c"));
            let tags = call.tags(&Rules::from(RoutingMode::Litellm));
            let texts: Vec<_> = tags.iter().map(|tag| &*tag.text).collect();
            assert_eq!(texts.join(" "), expected, "{body}");
        }
    }

    #[test]
    fn what_a_client_repeats_stays_the_operators() {
        let policy = Policy { tags: vec![("&t".to_owned(), TagOrigin::Team)], ..Policy::default() };
        let caller = Arc::new(Caller { policy: Some(policy), ..Caller::default() });
        let call = read("&t", &json!({"metadata": {"tags": ["&t"]}}), None).unwrap();
        let call = call.by(caller, HeaderValue::from_static("c"));
        let tags = call.tags(&Rules::from(RoutingMode::Tagrail));
        assert_eq!(tags, [RequestTag { text: "&t".into(), origin: TagOrigin::Team }]);
    }

    #[test]
    fn header_and_body_are_united_in_their_order() {
        let call = read("a, b,,a", &json!({"model": "m", "tags": ["b", "c"]}), None).unwrap();
        let tags = call.tags(&Rules::from(RoutingMode::Tagrail));
        let texts: Vec<_> = tags.iter().map(|tag| &*tag.text).collect();
        assert_eq!(texts, ["a", "b", "c"]);
    }
}
