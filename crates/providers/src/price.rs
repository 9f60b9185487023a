//! The model catalogue (models, providers, limits, prices), embedded from the price table, and the
//! arithmetic of a call's cost.
//!
//! The table is `data/prices.csv`: LiteLLM's `model_prices_and_context_window.json` reduced to the
//! columns read here (see NOTICE). It is embedded as `build.rs` compresses it, 346 kB as 44 kB, and is
//! inflated when the first model is looked up. Which provider a bare name belongs to depends on its age, exactly
//! as it does there.

use std::collections::HashMap;
use std::sync::OnceLock;

use tagrail_money::{Money, Rate};

const TABLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/prices.zlib"));

/// Prompts longer than this many tokens cost the long-context prices, where a model has such.
pub(crate) const LONG_PROMPT: u64 = 200_000;

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

/// What tokens cost, in US dollars per token. Unknown parts cost nothing, but cached input whose own
/// price is unknown costs what other input does.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Price {
    /// Input.
    pub input: Option<f64>,
    /// Output.
    pub output: Option<f64>,
    /// Input read from a prompt cache.
    pub cache_read: Option<f64>,
    /// Input written to a prompt cache.
    pub cache_creation: Option<f64>,
    /// Input of prompts above 200,000 tokens.
    pub long_input: Option<f64>,
    /// Output after prompts above 200,000 tokens.
    pub long_output: Option<f64>,
}

/// What one call cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Cost {
    /// Input, cached parts included.
    pub input: Money,
    /// Output.
    pub output: Money,
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
    /// US dollars per input token of prompts above 200,000 tokens.
    pub long_input_cost_per_token: Option<f64>,
    /// US dollars per output token after prompts above 200,000 tokens.
    pub long_output_cost_per_token: Option<f64>,
    /// Whether the model can reason before it answers.
    pub supports_reasoning: bool,
}

/// The embedded catalogue, parsed at first use.
#[derive(Clone, Copy, Debug, Default)]
pub struct Catalogue;

/// The parsed table.
struct Rows {
    /// Sorted by provider, then by key.
    facts: Vec<ModelFacts>,
    /// Key to place in `facts`.
    by_model: HashMap<&'static str, usize>,
}

impl Cost {
    /// Input and output together.
    pub fn total(self) -> Money {
        self.input + self.output
    }
}

impl Price {
    /// What these tokens cost.
    pub fn cost(&self, usage: &Usage) -> Cost {
        let long = usage.input > LONG_PROMPT;
        let tier = |long_price: Option<f64>, price: Option<f64>| {
            rate(if long { long_price.or(price) } else { price })
        };
        let input = tier(self.long_input, self.input);
        let output = tier(self.long_output, self.output);
        let fresh = usage.input.saturating_sub(usage.cache_read).saturating_sub(usage.cache_creation);
        Cost {
            input: Money::of([
                (fresh, input),
                (usage.cache_read, self.cache_read.map_or(input, Rate::from_dollars)),
                (usage.cache_creation, self.cache_creation.map_or(input, Rate::from_dollars)),
            ]),
            output: Money::of([(usage.output, output)]),
        }
    }
}

impl ModelFacts {
    /// The row's prices.
    pub fn price(&self) -> Price {
        Price {
            input: self.input_cost_per_token,
            output: self.output_cost_per_token,
            cache_read: self.cache_read_cost_per_token,
            cache_creation: self.cache_creation_cost_per_token,
            long_input: self.long_input_cost_per_token,
            long_output: self.long_output_cost_per_token,
        }
    }
}

impl Catalogue {
    /// The provider that a bare model name belongs to (`gpt-4o` is `openai`). Names with a slash and
    /// names that the table does not have belong to nobody: nothing is guessed from a prefix.
    pub fn provider_of(self, model: &str) -> Option<&'static str> {
        if model.contains('/') {
            return None;
        }
        row(model).or_else(|| fine_tuned(model)).map(|facts| facts.provider)
    }

    /// The row for an upstream model: by `<provider>/<model>`, then by `<model>` if that row is this
    /// provider's.
    pub fn facts(self, provider: &str, model: &str) -> Option<&'static ModelFacts> {
        row(&format!("{provider}/{model}"))
            .or_else(|| row(model))
            .or_else(|| fine_tuned(model))
            .filter(|facts| facts.provider == provider)
    }

    /// All models of a provider, for listings, sorted by key.
    pub fn models_of(self, provider: &str) -> Vec<&'static ModelFacts> {
        let facts = &rows().facts;
        let from = facts.partition_point(|row| row.provider < provider);
        facts[from..].iter().take_while(|row| row.provider == provider).collect()
    }
}

/// The table as it was written. What the build has compressed can be inflated, which a test holds.
fn table() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let bytes = miniz_oxide::inflate::decompress_to_vec_zlib(TABLE).unwrap_or_default();
        String::from_utf8(bytes).unwrap_or_default()
    })
}

fn rows() -> &'static Rows {
    static ROWS: OnceLock<Rows> = OnceLock::new();
    ROWS.get_or_init(|| {
        let mut facts: Vec<_> = table().lines().skip(1).filter_map(parse).collect();
        facts.sort_by_key(|row| (row.provider, row.model));
        let by_model = facts.iter().enumerate().map(|(at, row)| (row.model, at)).collect();
        Rows { facts, by_model }
    })
}

fn row(model: &str) -> Option<&'static ModelFacts> {
    let rows = rows();
    rows.by_model.get(model).map(|&at| &rows.facts[at])
}

/// `ft:<base>:<organisation>:<name>:<id>`: the row of the fine-tuned base if there is one, else of the
/// base itself.
fn fine_tuned(model: &str) -> Option<&'static ModelFacts> {
    let base = model.strip_prefix("ft:")?.split(':').next()?;
    row(&model[..3 + base.len()]).or_else(|| row(base).filter(|facts| facts.provider == "openai"))
}

/// One line. The table has no quoted fields, which a test holds.
fn parse(line: &'static str) -> Option<ModelFacts> {
    let mut fields = line.split(',');
    let (model, provider, mode) = (fields.next()?, fields.next()?, fields.next()?);
    let mut number = || fields.next().and_then(|text| text.parse::<f64>().ok());
    Some(ModelFacts {
        model,
        provider: clean(provider),
        mode,
        max_input_tokens: number().map(whole),
        max_output_tokens: number().map(whole),
        input_cost_per_token: number(),
        output_cost_per_token: number(),
        cache_read_cost_per_token: number(),
        cache_creation_cost_per_token: number(),
        long_input_cost_per_token: number(),
        long_output_cost_per_token: number(),
        supports_reasoning: line.ends_with(",1"),
    })
}

/// The table tells apart families of one provider (`vertex_ai-language-models`, `bedrock_converse`),
/// which model names do not.
fn clean(provider: &'static str) -> &'static str {
    match provider {
        "bedrock_converse" => "bedrock",
        "fireworks_ai-embedding-models" => "fireworks_ai",
        _ if provider.starts_with("vertex_ai-") => "vertex_ai",
        _ => provider,
    }
}

/// Limits are whole numbers, though some are written `2000000.0`.
fn whole(number: f64) -> u64 {
    number as u64
}

/// A price as it was written: 0.1 is a tenth. Unknown ones are zero.
pub(crate) fn rate(price: Option<f64>) -> Rate {
    price.map_or(Rate::default(), Rate::from_dollars)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dollars(dollars: f64) -> Money {
        Money::from_dollars(dollars).unwrap()
    }

    #[test]
    fn the_table_has_the_columns_and_no_quotes() {
        assert_eq!(table(), include_str!("../data/prices.csv"));
        assert!(!table().contains('"'));
        assert!(table().starts_with(
            "model,litellm_provider,mode,max_input_tokens,max_output_tokens,input_cost_per_token,\
             output_cost_per_token,cache_read_input_token_cost,cache_creation_input_token_cost,\
             input_cost_per_token_above_200k_tokens,output_cost_per_token_above_200k_tokens,"
        ));
        assert_eq!(rows().facts.len(), table().lines().count() - 1);
    }

    #[test]
    fn bare_names_belong_to_whom_the_table_says() {
        for (provider, models) in [
            ("openai", &["gpt-4o", "gpt-4o-mini", "o1", "text-embedding-3-small", "gpt-3.5-turbo"][..]),
            ("openai", &["ft:gpt-4o:org:x:y", "ft:gpt-3.5-turbo:org::id", "gpt-4o-2024-08-06"]),
            ("anthropic", &["claude-3-haiku-20240307", "claude-sonnet-4-5", "claude-opus-4-1"]),
            ("bedrock", &["anthropic.claude-3-sonnet-20240229-v1:0"]),
            ("vertex_ai", &["gemini-2.5-pro", "gemini-2.0-flash"]),
            ("text-completion-openai", &["gpt-3.5-turbo-instruct"]),
        ] {
            for model in models {
                assert_eq!(Catalogue.provider_of(model), Some(provider), "{model}");
            }
        }
    }

    #[test]
    fn other_names_belong_to_nobody() {
        for model in [
            "gpt-99-none",
            "azure/gpt-4o",
            "openai/gpt-4o",
            "claude-3-sonnet-20240229",
            "claude-3-5-sonnet-20241022",
            "claude-3-5-sonnet-20240620",
            "claude-new-thing",
            "gemini-1.5-pro",
            "llama3-8b-8192",
            "ft:",
            "ft:nothing:x",
            "",
        ] {
            assert_eq!(Catalogue.provider_of(model), None, "{model}");
        }
    }

    #[test]
    fn facts_are_found_with_and_without_prefix_but_not_across_providers() {
        assert_eq!(Catalogue.facts("openai", "gpt-4o").map(|f| f.max_output_tokens), Some(Some(16384)));
        let groq = Catalogue.models_of("groq");
        let model = groq[0].model.strip_prefix("groq/").unwrap();
        assert_eq!(Catalogue.facts("groq", model), Some(groq[0]));
        assert_eq!(Catalogue.facts("hosted_vllm", "gpt-4o"), None);
        assert_eq!(
            Catalogue.facts("xai", "grok-4-fast-reasoning").unwrap().max_input_tokens,
            Some(2_000_000)
        );
    }

    #[test]
    fn models_are_listed_by_provider() {
        let anthropic = Catalogue.models_of("anthropic");
        assert!(anthropic.iter().any(|f| f.model == "claude-3-haiku-20240307"));
        assert!(anthropic.iter().all(|f| f.provider == "anthropic"));
        assert!(anthropic.is_sorted_by_key(|f| f.model));
        assert!(Catalogue.models_of("nobody").is_empty());
    }

    #[test]
    fn cached_tokens_cost_their_own_price() {
        let price = Price {
            input: Some(2.0),
            output: Some(10.0),
            cache_read: Some(0.5),
            cache_creation: None,
            ..Price::default()
        };
        let usage = Usage { input: 10, output: 1, cache_read: 4, cache_creation: 1 };
        let cost = price.cost(&usage);
        assert_eq!(cost, Cost { input: dollars(5.0 * 2.0 + 4.0 * 0.5 + 2.0), output: dollars(10.0) });
        assert_eq!(cost.total(), dollars(24.0));
    }

    #[test]
    fn long_prompts_cost_the_long_price() {
        let price = Price { input: Some(1.0), output: Some(1.0), long_input: Some(2.0), ..Price::default() };
        let at = |input| price.cost(&Usage { input, output: 1, ..Usage::default() });
        assert_eq!(at(200_000), Cost { input: dollars(200_000.0), output: dollars(1.0) });
        assert_eq!(at(200_001), Cost { input: dollars(400_002.0), output: dollars(1.0) });
    }

    #[test]
    fn impossible_counts_do_not_pay_back() {
        let price = Price { input: Some(1.0), ..Price::default() };
        let usage = Usage { input: 1, cache_read: 5, ..Usage::default() };
        assert_eq!(price.cost(&usage).input, dollars(5.0));
    }

    #[test]
    fn prices_are_taken_as_they_are_written() {
        let price = Price { input: Some(0.1), output: Some(5.000_000_000_000_000_4e-8), ..Price::default() };
        let cost = price.cost(&Usage { input: 3, output: 1_000_000, ..Usage::default() });
        assert_eq!(cost, Cost { input: dollars(0.3), output: dollars(0.05) });
    }
}
