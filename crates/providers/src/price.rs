//! The model catalogue (models, providers, limits, prices), embedded from the price table, and the
//! arithmetic of a call's cost.

/// Tokens of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Usage {
    /// `prompt_tokens` / `input_tokens`, cached ones included.
    pub input: u64,
    /// `completion_tokens` / `output_tokens`.
    pub output: u64,
    /// Input tokens read from a prompt cache.
    pub cache_read: u64,
    /// Input tokens written to a prompt cache.
    pub cache_creation: u64,
}

/// One row of the catalogue.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelFacts {
    /// The key: `gpt-4o`, `groq/llama-3.1-8b-instant`.
    pub model: &'static str,
    /// LiteLLM's provider name, cleaned: `openai`, `vertex_ai`.
    pub provider: &'static str,
    /// `chat`, `embedding`, ...
    pub mode: &'static str,
    /// Context limit, tokens.
    pub max_input_tokens: Option<u64>,
    /// Output limit, tokens.
    pub max_output_tokens: Option<u64>,
    /// US dollars per input token.
    pub input_cost_per_token: Option<f64>,
    /// US dollars per output token.
    pub output_cost_per_token: Option<f64>,
    /// US dollars per token read from a prompt cache.
    pub cache_read_cost_per_token: Option<f64>,
    /// US dollars per token written to a prompt cache.
    pub cache_creation_cost_per_token: Option<f64>,
}

/// The embedded catalogue, parsed at first use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Catalogue;

impl Catalogue {
    /// The provider that a bare model name belongs to (`gpt-4o` is `openai`).
    pub fn provider_of(self, _model: &str) -> Option<&'static str> {
        None
    }

    /// The row for an upstream model: by `<provider>/<model>`, then by `<model>`.
    pub fn facts(self, _provider: &str, _model: &str) -> Option<&'static ModelFacts> {
        None
    }

    /// All models of a provider, for listings.
    pub fn models_of(self, _provider: &str) -> Vec<&'static ModelFacts> {
        Vec::new()
    }
}
