//! OpenAI's API, spoken by OpenAI and by all rows of `compatible.rs`: chat, completions, embeddings
//! and responses go through as they are.

use super::{Access, Ask, Prepared, Provider, Scheme, Shown};
use crate::passthrough::Passthrough;
use crate::{Catalogue, MetadataRule, Operation, Place, Rewrite, UpstreamError};

/// OpenAI itself.
pub(super) static OPENAI: OpenAi =
    OpenAi { name: "openai", access: ACCESS, operations: &ALL, asks_usage: true };

const ACCESS: Access = Access {
    base: Some("https://api.openai.com/v1"),
    base_variables: &["OPENAI_BASE_URL", "OPENAI_API_BASE"],
    key_variables: &[],
    stand_in_key: None,
    scheme: Scheme::Bearer,
    // LiteLLM shows this even where OPENAI_BASE_URL leads elsewhere.
    shown: Shown::Always("https://api.openai.com"),
};

const ALL: [Operation; 4] =
    [Operation::ChatCompletions, Operation::Completions, Operation::Embeddings, Operation::Responses];

/// A provider that speaks OpenAI's dialect.
pub(super) struct OpenAi {
    name: &'static str,
    access: Access,
    operations: &'static [Operation],
    /// Whether streams of chat and completions may be asked for `stream_options.include_usage`.
    asks_usage: bool,
}

impl OpenAi {
    /// A provider at `base`.
    pub(super) const fn at(
        name: &'static str,
        base: &'static str,
        key_variables: &'static [&'static str],
    ) -> OpenAi {
        let access = Access {
            base: Some(base),
            base_variables: &[],
            key_variables,
            stand_in_key: None,
            scheme: Scheme::Bearer,
            shown: Shown::Used,
        };
        OpenAi { name, access, operations: &ALL, asks_usage: true }
    }

    /// Software that every user runs at an address of their own. Without a key, most of it takes
    /// any.
    pub(super) const fn own_server(name: &'static str, stand_in_key: Option<&'static str>) -> OpenAi {
        let access = Access {
            base: None,
            base_variables: &[],
            key_variables: &[],
            stand_in_key,
            scheme: Scheme::Bearer,
            shown: Shown::Used,
        };
        OpenAi { name, access, operations: &ALL, asks_usage: true }
    }

    /// OpenAI's models that complete text and do not chat.
    pub(super) const fn text_completions() -> OpenAi {
        let access = Access { key_variables: &["OPENAI_API_KEY"], ..ACCESS };
        OpenAi {
            name: "text-completion-openai",
            access,
            operations: &[Operation::Completions],
            asks_usage: true,
        }
    }

    /// A provider that serves these only.
    pub(super) const fn only(self, operations: &'static [Operation]) -> OpenAi {
        OpenAi { operations, ..self }
    }

    /// A provider that refuses `stream_options`.
    pub(super) const fn never_asks_usage(self) -> OpenAi {
        OpenAi { asks_usage: false, ..self }
    }

    fn rewrite<'a>(&self, ask: &Ask<'a>, place: &Place<'a>) -> Rewrite<'a> {
        let tells_when_asked = matches!(ask.operation, Operation::ChatCompletions | Operation::Completions);
        Rewrite {
            model: place.model,
            ask_usage: tells_when_asked && ask.envelope.stream() && self.asks_usage,
            metadata: match ask.operation {
                Operation::Responses => MetadataRule::WithoutTags,
                _ => MetadataRule::Drop,
            },
            // LiteLLM sends `user` only to models that its table knows to be OpenAI's.
            drop_user: ask.envelope.has("user") && Catalogue.provider_of(place.model) != Some("openai"),
            previous_response: ask.responses.and_then(|responses| responses.previous.as_deref()),
            defaults: ask.target.defaults(),
        }
    }
}

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        self.name
    }

    fn access(&self) -> &Access {
        &self.access
    }

    fn serves(&self, operation: Operation) -> bool {
        self.operations.contains(&operation)
    }

    fn prepare<'a>(&self, ask: &Ask<'a>) -> Result<Prepared<'a>, UpstreamError> {
        if !self.serves(ask.operation) {
            return Err(UpstreamError::not_served(self.name, ask.operation));
        }
        let place = ask.target.resolve(ask.upstream_model)?;
        let entry = ask.target.enter(&place, ask.envelope, ask.in_process)?;
        let rewrite = self.rewrite(ask, &place);
        let withhold_usage = rewrite.ask_usage && !ask.envelope.wants_usage();
        let coder = Passthrough::new(self.name, ask, withhold_usage, entry.secrets.clone());
        let path = entry.path(ask.operation.path());
        Ok(entry.prepared(path, ask.envelope.rewrite(&rewrite), Box::new(coder)))
    }
}
