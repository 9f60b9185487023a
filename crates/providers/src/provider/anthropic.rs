//! Anthropic: Messages as they come, OpenAI's chat translated.

use bytes::Bytes;
use http::HeaderMap;

use super::{Access, Ask, Prepared, Provider, Scheme, Shown};
use crate::dialect::anthropic_messages::{self, About};
use crate::dialect::openai_chat;
use crate::passthrough::Passthrough;
use crate::payload;
use crate::translation::Translation;
use crate::{Catalogue, MetadataRule, Operation, Place, Rewrite, UpstreamError};

/// The one row.
pub(super) static ANTHROPIC: Anthropic = Anthropic {
    access: Access {
        base: Some("https://api.anthropic.com"),
        base_variables: &["ANTHROPIC_API_BASE", "ANTHROPIC_BASE_URL"],
        key_variables: &[],
        stand_in_key: None,
        scheme: Scheme::AnthropicKey,
        shown: Shown::Nothing,
    },
};

/// Headers of the client that choose what Anthropic's API does.
const PASSED_ON: [&str; 2] = ["anthropic-version", "anthropic-beta"];

/// Anthropic.
pub(super) struct Anthropic {
    access: Access,
}

impl Provider for Anthropic {
    fn name(&self) -> &'static str {
        "anthropic"
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn serves(&self, operation: Operation) -> bool {
        matches!(operation, Operation::Messages | Operation::ChatCompletions)
    }

    fn prepare<'a>(&self, ask: &Ask<'a>) -> Result<Prepared<'a>, UpstreamError> {
        if !self.serves(ask.operation) {
            return Err(UpstreamError::not_served(self.name(), ask.operation));
        }
        let place = ask.target.resolve(ask.upstream_model)?;
        let mut entry = ask.target.enter(&place, ask.envelope, ask.in_process)?;
        let path = entry.path(tail(entry.base_path()));
        let secrets = entry.secrets.clone();
        if ask.operation == Operation::ChatCompletions {
            let body = translated(ask, &place)?;
            return Ok(entry.prepared(path, body, Box::new(Translation::new(self.name(), ask, secrets))));
        }
        pass_on(ask.client_headers, &mut entry.headers);
        let body = ask.envelope.rewrite(&rewrite(ask, &place, MetadataRule::UserIdOnly));
        Ok(entry.prepared(path, body, Box::new(Passthrough::new(self.name(), ask, false, secrets))))
    }
}

/// The chat request as a Messages request. The splice comes first, so that the gateway's fields are
/// gone and the deployment's defaults and `extra_body` are there.
fn translated(ask: &Ask<'_>, place: &Place<'_>) -> Result<Vec<Bytes>, UpstreamError> {
    let pieces = ask.envelope.rewrite(&rewrite(ask, place, MetadataRule::Drop));
    let (body, payloads) = payload::take_out(&pieces)?;
    drop(pieces);
    let about = About {
        model: place.model,
        max_output_tokens: Catalogue
            .facts(place.provider.name(), place.model)
            .and_then(|facts| facts.max_output_tokens),
        drop_params: ask.target.drop_params(),
    };
    let chat = openai_chat::decode(&body)?;
    let mut text = Vec::with_capacity(body.len() + 1024);
    drop(body);
    let message = anthropic_messages::encode(chat, &about)?;
    // Writing a tree to memory cannot fail.
    serde_json::to_writer(&mut text, &message)
        .map_err(|error| UpstreamError::unsayable("request_body", error.to_string()))?;
    drop(message);
    payloads.put_back(text)
}

fn rewrite<'a>(ask: &Ask<'a>, place: &Place<'a>, metadata: MetadataRule) -> Rewrite<'a> {
    Rewrite {
        model: place.model,
        ask_usage: false,
        metadata,
        drop_user: false,
        previous_response: None,
        defaults: ask.target.defaults(),
    }
}

fn pass_on(client: &HeaderMap, headers: &mut HeaderMap) {
    for name in PASSED_ON {
        if let Some(value) = client.get(name) {
            headers.insert(name, value.clone());
        }
    }
}

/// LiteLLM's users write the base with and without the version, or all of it.
fn tail(base_path: &str) -> &'static str {
    if base_path.ends_with("/v1/messages") {
        ""
    } else if base_path.ends_with("/v1") {
        "messages"
    } else {
        "v1/messages"
    }
}
