//! What a provider is, and the list of them.

mod anthropic;
mod compatible;
mod known;
mod openai;

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use bytes::Bytes;
use http::HeaderMap;
use http::uri::PathAndQuery;

use crate::{Endpoint, Envelope, Operation, Passed, ResponseNames, Target, Told, UpstreamError, Usage};

pub(crate) use known::{nearest, spoken_elsewhere};

/// One call to be prepared.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// What the client asks for.
    pub operation: Operation,
    /// Its body.
    pub envelope: &'a Envelope,
    /// The deployment's target.
    pub target: &'a Target,
    /// The provider-qualified upstream model, captures filled in.
    pub upstream_model: &'a str,
    /// The name that replies carry in `model`; `None` leaves the upstream's own (after a fallback,
    /// and on path-model routes without a model in the body).
    pub echo_model: Option<&'a str>,
    /// Headers of the client's request, of which few are passed on (`anthropic-version`,
    /// `anthropic-beta` on Messages).
    pub client_headers: &'a HeaderMap,
    /// The call is the operator's own, made in its process: what deployments open to clients is open.
    pub in_process: bool,
    /// How the reply's responses are named, on `/responses`; `None` leaves the upstream's ids.
    pub responses: Option<&'a ResponseNames>,
    /// Now, in seconds since 1970: `created` of replies whose own dialect has no such field.
    pub created: u64,
}

/// What goes upstream, and how to read what comes back.
pub struct Prepared<'a> {
    /// Where to connect. Owned only where the client chose the address.
    pub endpoint: Cow<'a, Endpoint>,
    /// The field of the body in which a client chose the address; `None` where the operator did. Such a
    /// client must not reach what only the gateway's network can.
    pub chosen_by: Option<&'static str>,
    /// Path and query.
    pub path: PathAndQuery,
    /// All headers but `content-length`; `host` included.
    pub headers: HeaderMap,
    /// The body in pieces.
    pub body: Vec<Bytes>,
    /// For the answer.
    pub coder: Box<dyn Coder>,
}

/// Turns an upstream's answer into the client's. One per attempt.
pub trait Coder: Send {
    /// A whole 2xx reply.
    ///
    /// # Errors
    /// The body is not what the dialect promises.
    fn whole(&mut self, body: Bytes) -> Result<Vec<Bytes>, UpstreamError>;

    /// A reply with another status (headers for `Retry-After`).
    fn refusal(&self, status: u16, headers: &HeaderMap, body: &[u8]) -> UpstreamError;

    /// The next bytes of a stream, cut anywhere; pushes what can leave now onto `out`.
    ///
    /// # Errors
    /// The upstream sent an error event or something that is not its dialect.
    fn push(&mut self, bytes: Bytes, out: &mut Vec<Bytes>) -> Result<(), UpstreamError>;

    /// Whether the dialect's last event has passed (`[DONE]`, `message_stop`, `response.completed` and
    /// its kin): the reply is whole, and whatever the upstream does now is nothing to the client.
    fn finished(&self) -> bool {
        false
    }

    /// The upstream ended its stream; pushes what is left.
    ///
    /// # Errors
    /// It ended in the middle of an event, or before the dialect's last one.
    fn end(&mut self, out: &mut Vec<Bytes>) -> Result<(), UpstreamError>;

    /// The frame that tells the client, in its dialect, that the stream broke.
    fn error_frame(&self, error: &UpstreamError) -> Bytes;

    /// Tokens, as far as they are known.
    fn usage(&self) -> Option<Usage>;

    /// Counts what is passed on from now, for [`Coder::passed_on`].
    fn count(&mut self) {}

    /// Tokens of the answer passed on so far, by its text; an estimate. Zero without [`Coder::count`].
    fn passed_on(&self) -> Passed {
        Passed::default()
    }

    /// The upstream's report of tokens so far, part by part.
    fn told(&self) -> Told;

    /// Whether the answer is there, as far as can be seen, and only what follows it is outstanding: the
    /// report of tokens, the dialect's last event.
    fn answered(&self) -> bool {
        self.finished()
    }
}

/// A dialect, an address and authentication.
pub trait Provider: Send + Sync {
    /// LiteLLM's name: `openai`, `anthropic`, `groq`.
    fn name(&self) -> &'static str;

    /// Where it lives and how to enter, when the deployment does not say.
    fn access(&self) -> &Access;

    /// Whether the operation can be answered at all (the others are 501).
    fn serves(&self, operation: Operation) -> bool;

    /// What to send for this call. An error here depends on the call and the deployment alone: the
    /// same deployment will say the same again, so that only another one is worth a try.
    ///
    /// # Errors
    /// The request cannot be said in the provider's dialect (400), a credential is missing (500),
    /// or the operation is not served (501).
    fn prepare<'a>(&self, ask: &Ask<'a>) -> Result<Prepared<'a>, UpstreamError>;
}

/// A provider's defaults. Besides the variables named here, `<NAME>_API_KEY` and `<NAME>_API_BASE`
/// are looked up for every provider.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    /// Base URL; `None` where every user has a server of their own.
    pub base: Option<&'static str>,
    /// Environment variables with a base URL, first one set wins.
    pub base_variables: &'static [&'static str],
    /// Environment variables with a key, first one set wins.
    pub key_variables: &'static [&'static str],
    /// Sent where no key is configured; `None` where a key is needed.
    pub stand_in_key: Option<&'static str>,
    /// How the key is sent.
    pub scheme: Scheme,
    /// What `x-litellm-model-api-base` shows when the deployment has no `api_base`.
    pub shown: Shown,
}

/// How a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `authorization: Bearer KEY`
    Bearer,
    /// `x-api-key: KEY`, and the version of Anthropic's API.
    AnthropicKey,
}

/// Which base the response header shows for a deployment without one of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// This text, whatever the environment says.
    Always(&'static str),
    /// The base that is used.
    Used,
    /// None.
    Nothing,
}

/// Every provider that this release speaks to.
pub fn providers() -> impl Iterator<Item = &'static dyn Provider> {
    let own: [&'static dyn Provider; 2] = [&openai::OPENAI, &anthropic::ANTHROPIC];
    own.into_iter().chain(compatible::TABLE.iter().map(|row| row as &'static dyn Provider))
}

/// The provider of this name.
pub fn provider(name: &str) -> Option<&'static dyn Provider> {
    static BY_NAME: OnceLock<HashMap<&'static str, &'static dyn Provider>> = OnceLock::new();
    BY_NAME.get_or_init(|| providers().map(|p| (p.name(), p)).collect()).get(name).copied()
}

impl Access {
    /// The key in the environment.
    pub(crate) fn key_in(&self, name: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        first(self.key_variables, &variable(name, "API_KEY"), env)
    }

    /// The base in the environment.
    pub(crate) fn base_in(&self, name: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        first(self.base_variables, &variable(name, "API_BASE"), env)
    }

    /// The variables that may hold the key, for the error that says that none does.
    pub(crate) fn key_names(&self, name: &str) -> String {
        let own = variable(name, "API_KEY");
        let mut names: Vec<&str> = self.key_variables.to_vec();
        if !names.contains(&own.as_str()) {
            names.push(&own);
        }
        names.join(" or ")
    }
}

/// `nano-gpt`, `API_KEY` → `NANO_GPT_API_KEY`.
fn variable(name: &str, what: &str) -> String {
    format!("{}_{what}", name.to_ascii_uppercase().replace('-', "_"))
}

fn first(names: &[&str], own: &str, env: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    names
        .iter()
        .copied()
        .chain([own])
        .filter_map(env)
        .map(|value| value.trim().to_owned())
        .find(|v| !v.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found() {
        let names: Vec<_> = providers().map(Provider::name).collect();
        for name in &names {
            assert_eq!(names.iter().filter(|other| *other == name).count(), 1, "{name}");
            assert_eq!(provider(name).map(Provider::name), Some(*name));
            assert!(!spoken_elsewhere(name), "{name} is both spoken and not");
        }
        assert!(provider("nobody").is_none());
    }

    #[test]
    fn variables_are_tried_in_order_and_blank_ones_do_not_count() {
        let access = Access {
            base: None,
            base_variables: &[],
            key_variables: &["A", "B"],
            stand_in_key: None,
            scheme: Scheme::Bearer,
            shown: Shown::Used,
        };
        let env = |name: &str| match name {
            "A" => Some(" ".to_owned()),
            "B" => Some("b\n".to_owned()),
            "MY_ONE_API_KEY" => Some("own".to_owned()),
            _ => None,
        };
        assert_eq!(access.key_in("my-one", &env).as_deref(), Some("b"));
        let env = |name: &str| env(name).filter(|_| name != "B");
        assert_eq!(access.key_in("my-one", &env).as_deref(), Some("own"));
        assert_eq!(access.key_names("my-one"), "A or B or MY_ONE_API_KEY");
    }
}
