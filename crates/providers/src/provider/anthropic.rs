//! Anthropic: Messages as they come, OpenAI's chat translated.

use http::HeaderMap;

use super::{Access, Ask, Prepared, Provider, Scheme, Shown};
use crate::passthrough::Passthrough;
use crate::{MetadataRule, Operation, Rewrite, UpstreamError};

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
        matches!(operation, Operation::Messages)
    }

    fn prepare<'a>(&self, ask: &Ask<'a>) -> Result<Prepared<'a>, UpstreamError> {
        if !self.serves(ask.operation) {
            return Err(UpstreamError::not_served(self.name(), ask.operation));
        }
        let place = ask.target.resolve(ask.upstream_model)?;
        let mut entry = ask.target.enter(&place, ask.envelope)?;
        let path = entry.path(tail(entry.base_path()));
        let body = ask.envelope.rewrite(&Rewrite {
            model: place.model,
            ask_usage: false,
            metadata: MetadataRule::UserIdOnly,
            drop_user: false,
            defaults: ask.target.defaults(),
        });
        pass_on(ask.client_headers, &mut entry.headers);
        let coder = Passthrough::new(self.name(), ask, false, entry.key.clone());
        Ok(entry.prepared(path, body, Box::new(coder)))
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
