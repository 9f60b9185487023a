//! Parameters: limits, thinking, and what Anthropic has no word for.

use serde_json::{Map, Value, json};

use super::About;
use crate::UpstreamError;
use crate::dialect::{ChatRequest, Format};

/// The output limit where neither the client nor the catalogue has one; LiteLLM's.
const DEFAULT_MAX_TOKENS: u64 = 4096;
/// The most that is asked for unasked. Anthropic wants longer replies streamed.
const MOST_BY_DEFAULT: u64 = 32_000;
/// The least that Anthropic lets a model think, tokens.
const LEAST_THOUGHT: u64 = 1024;

/// Parameters of OpenAI's that change the reply and that Anthropic does not have.
const UNSAYABLE: [&str; 15] = [
    "audio",
    "frequency_penalty",
    "function_call",
    "functions",
    "logit_bias",
    "logprobs",
    "modalities",
    "n",
    "prediction",
    "presence_penalty",
    "seed",
    "service_tier",
    "top_logprobs",
    "verbosity",
    "web_search_options",
];

/// Parameters of OpenAI's about its own bookkeeping, which change no reply.
const BOOKKEEPING: [&str; 5] =
    ["prompt_cache_key", "prompt_cache_retention", "safety_identifier", "store", "stream_options"];

/// Takes out what Anthropic has no word for. What says nothing (`n: 1`, `null`) just goes.
pub(super) fn refuse_unsayable(chat: &mut ChatRequest, about: &About<'_>) -> Result<(), UpstreamError> {
    let mut found: Vec<&str> = Vec::new();
    for key in UNSAYABLE {
        match chat.other.get(key) {
            Some(value) if key == "service_tier" && anthropic_tier(value) => {}
            Some(value) => {
                if !says_nothing(key, value) {
                    found.push(key);
                }
                chat.other.shift_remove(key);
            }
            None => {}
        }
    }
    if matches!(chat.format, Some(Format::Json)) {
        chat.format = None;
        found.push("response_format");
    }
    chat.other.retain(|key, _| !BOOKKEEPING.contains(&key.as_str()));
    if found.is_empty() || about.drop_params {
        return Ok(());
    }
    let names: Vec<String> = found.iter().map(|name| format!("'{name}'")).collect();
    let message = format!(
        "litellm.UnsupportedParamsError: anthropic does not support parameters: [{}], for model={}. To leave \
         them out, set `drop_params: true` in `litellm_settings`",
        names.join(", "),
        about.model
    );
    let error = UpstreamError::plain(crate::ErrorKind::BadRequest, 400, message);
    Err(UpstreamError { param: found.first().map(|name| (*name).to_owned()), ..error })
}

/// The limit of the output: the client's, else the model's own within reason.
pub(super) fn max_tokens(chat: &ChatRequest, other: &Map<String, Value>, about: &About<'_>) -> u64 {
    if let Some(asked) = chat.max_tokens {
        return asked;
    }
    // A budget of the client's own for thinking counts as output, and has to be less.
    let budget =
        other.get("thinking").and_then(|thinking| thinking.get("budget_tokens")).and_then(Value::as_u64);
    default_max_tokens(about.max_output_tokens, budget)
}

/// The limit of the output where the client sets none.
pub(crate) fn default_max_tokens(most: Option<u64>, budget: Option<u64>) -> u64 {
    let usual = most.unwrap_or(DEFAULT_MAX_TOKENS).min(MOST_BY_DEFAULT);
    match budget {
        Some(budget) if budget >= usual => budget.saturating_add(DEFAULT_MAX_TOKENS),
        _ => usual,
    }
}

/// How hard to think: newer models decide within an effort, older ones want a budget in tokens.
pub(super) fn think(
    effort: &str,
    max_tokens: u64,
    model: &str,
    body: &mut Map<String, Value>,
    output: &mut Map<String, Value>,
) {
    if effort == "none" {
        return;
    }
    if decides_itself(model) {
        body.insert("thinking".to_owned(), json!({"type": "adaptive"}));
        output.insert("effort".to_owned(), if effort == "minimal" { "low" } else { effort }.into());
        return;
    }
    // LiteLLM's budgets.
    let budget = match effort {
        "minimal" | "low" => LEAST_THOUGHT,
        "medium" => 2048,
        _ => 4096,
    };
    // What is thought counts as output: a short limit leaves less for it, or nothing.
    let budget = budget.min(max_tokens.saturating_sub(1));
    if budget >= LEAST_THOUGHT {
        body.insert("thinking".to_owned(), json!({"type": "enabled", "budget_tokens": budget}));
    }
}

/// Whether the model thinks adaptively: all since Opus and Sonnet 4.6. The names are
/// `claude-3-7-sonnet-…`, `claude-opus-4-20250514`, `claude-sonnet-4-5-…`, `claude-opus-4-6`.
fn decides_itself(model: &str) -> bool {
    let mut version = model.split(['-', '.', '@']).filter_map(|part| part.parse::<u32>().ok());
    match (version.next(), version.next()) {
        (Some(1..=3), _) => false,
        (Some(4), Some(minor)) => (6..100).contains(&minor),
        (Some(4), None) => false,
        _ => true,
    }
}

/// Anthropic's own tiers.
fn anthropic_tier(value: &Value) -> bool {
    value == "auto" || value == "standard_only"
}

/// Whether a value asks for what would happen anyway.
fn says_nothing(key: &str, value: &Value) -> bool {
    match (key, value) {
        (_, Value::Null) => true,
        ("n", value) => value.as_u64() == Some(1),
        ("frequency_penalty" | "presence_penalty" | "top_logprobs", value) => value.as_f64() == Some(0.0),
        ("logprobs", value) => value == false,
        ("logit_bias", value) => value.as_object().is_some_and(Map::is_empty),
        ("functions", value) => value.as_array().is_some_and(Vec::is_empty),
        ("modalities", value) => *value == json!(["text"]),
        ("service_tier", value) => value == "default",
        ("verbosity", value) => value == "medium",
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(drop_params: bool) -> About<'static> {
        About { model: "claude-x", max_output_tokens: None, drop_params }
    }

    fn chat(other: Value) -> ChatRequest {
        let other = other.as_object().cloned().unwrap_or_default();
        ChatRequest { other, ..ChatRequest::default() }
    }

    #[test]
    fn what_cannot_be_said_is_refused_or_dropped() {
        let said = json!({"logit_bias": {"1": 2}, "n": 2, "top_k": 5, "store": true});
        let error = refuse_unsayable(&mut chat(said.clone()), &about(false)).unwrap_err();
        assert_eq!(error.status, 400);
        assert!(error.message.starts_with(
            "litellm.UnsupportedParamsError: anthropic does not support parameters: ['logit_bias', 'n'], \
             for model=claude-x."
        ));
        let mut dropped = chat(said);
        refuse_unsayable(&mut dropped, &about(true)).unwrap();
        assert_eq!(Value::Object(dropped.other), json!({"top_k": 5}));
    }

    #[test]
    fn what_says_nothing_is_no_reason_to_refuse() {
        let mut said = chat(json!({
            "n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "logprobs": false, "logit_bias": {},
            "seed": null, "modalities": ["text"], "service_tier": "default", "stream_options": {}
        }));
        refuse_unsayable(&mut said, &about(false)).unwrap();
        assert!(said.other.is_empty());
        let mut tier = chat(json!({"service_tier": "standard_only"}));
        refuse_unsayable(&mut tier, &about(false)).unwrap();
        assert_eq!(tier.other.len(), 1);
    }

    #[test]
    fn the_limit_is_the_clients_or_the_models() {
        let limit = |asked, known| {
            let chat = ChatRequest { max_tokens: asked, ..ChatRequest::default() };
            max_tokens(&chat, &Map::new(), &About { max_output_tokens: known, ..about(false) })
        };
        assert_eq!(limit(Some(7), Some(8192)), 7);
        assert_eq!(limit(None, Some(8192)), 8192);
        assert_eq!(limit(None, Some(128_000)), 32_000);
        assert_eq!(limit(None, None), 4096);
        let thinking = json!({"thinking": {"type": "enabled", "budget_tokens": 10_000}});
        assert_eq!(max_tokens(&chat(json!({})), thinking.as_object().unwrap(), &about(false)), 14_096);
    }

    #[test]
    fn effort_becomes_a_budget_or_stays_an_effort() {
        let think = |effort, max_tokens, model| {
            let (mut body, mut output) = (Map::new(), Map::new());
            super::think(effort, max_tokens, model, &mut body, &mut output);
            (Value::Object(body), Value::Object(output))
        };
        let budget =
            |tokens: u64| (json!({"thinking": {"type": "enabled", "budget_tokens": tokens}}), json!({}));
        let nothing = (json!({}), json!({}));
        assert_eq!(think("low", 4096, "claude-3-7-sonnet-20250219"), budget(1024));
        assert_eq!(think("medium", 4096, "claude-opus-4-20250514"), budget(2048));
        assert_eq!(think("high", 3000, "claude-sonnet-4-5"), budget(2999));
        assert_eq!(think("high", 1024, "claude-sonnet-4-5"), nothing);
        assert_eq!(think("none", 4096, "claude-opus-4-6"), nothing);
        let adaptive =
            |effort: &str| (json!({"thinking": {"type": "adaptive"}}), json!({ "effort": effort }));
        assert_eq!(think("high", 4096, "claude-opus-4-6"), adaptive("high"));
        assert_eq!(think("minimal", 4096, "claude-sonnet-5"), adaptive("low"));
    }
}
