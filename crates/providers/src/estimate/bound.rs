//! The most that a call may use up, before it is sent: every prompt, every answer that was asked for, and
//! the longest answer that request, deployment and model permit.

use std::borrow::Cow;

use crate::dialect::anthropic_messages::default_max_tokens;
use crate::envelope::{elements, members, string};
use crate::{Envelope, Operation, Target};

use super::prompt::{self, Prompt};

/// No answer is longer, whatever a request permits; it keeps sums from running over.
const LONGEST_ANSWER: u64 = 100_000_000;
/// The context window of a model whose own is not known, tokens.
const USUAL_CONTEXT: u64 = 128_000;
/// What a hidden chain of thought is taken for at most, where it is not known how long it was.
const MOST_HIDDEN: u64 = 32_768;
/// An image for `gpt-4o-mini`, which counts 33 times as many tokens as other models do.
const IMAGE_OF_4O_MINI: u64 = 48_169;

/// What is known of a model's limits.
#[derive(Clone, Copy, Debug, Default)]
pub struct ModelLimits {
    /// The context window, tokens.
    pub max_input_tokens: Option<u64>,
    /// The longest answer that the deployment's configuration states, tokens.
    pub configured_output: Option<u64>,
    /// The longest answer by the catalogue, tokens.
    pub listed_output: Option<u64>,
    /// The longest answer where neither states one, tokens.
    pub default_output: u64,
    /// Whether it can reason before it answers; `None` where that is not known.
    pub supports_reasoning: Option<bool>,
}

/// A call about to be made.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// What the client asks for.
    pub operation: Operation,
    /// Its body.
    pub envelope: &'a Envelope,
    /// The deployment's target, whose defaults count where the client says nothing.
    pub target: &'a Target,
    /// The provider's name.
    pub provider: &'a str,
    /// The upstream's model, without the provider.
    pub model: &'a str,
    /// Its limits.
    pub limits: ModelLimits,
}

/// The most that a call may use up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Tokens of all answers together.
    pub answer: u64,
    /// Whether the request or the deployment limits the answer; otherwise `answer` is the model's most.
    pub is_limited: bool,
    /// Tokens of all prompts, where they were measured: see [`Bound::measured`].
    pub prompt: Option<u64>,
    pub(super) reasoning: Reasoning,
    /// Tokens that are taken for a chain of thought of which nothing is seen.
    pub(super) hidden: u64,
    pub(super) context: u64,
    /// Tokens of an image, where the model has a count of its own.
    per_image: Option<u64>,
    /// Bytes that the deployment adds to the prompt.
    pub(super) added: u64,
    pub(super) is_embedding: bool,
}

/// Whether a model reasons before it answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Reasoning {
    #[default]
    No,
    Unknown,
    Yes,
}

impl Asked<'_> {
    /// The most that the answer may count, and by what. The prompt is not measured yet: see
    /// [`Bound::measured`].
    pub fn bound(&self) -> Bound {
        let is_embedding = self.operation == Operation::Embeddings;
        let (answer, is_limited) = if is_embedding { (0, true) } else { self.answer() };
        let effort = self.effort();
        let hidden = match self.budget() {
            Some(budget) => budget.min(answer),
            None => (answer / 100).saturating_mul(share(effort.as_deref())).min(MOST_HIDDEN),
        };
        Bound {
            answer,
            is_limited,
            prompt: None,
            reasoning: self.reasoning(effort.as_deref()),
            hidden,
            context: self.limits.max_input_tokens.unwrap_or(USUAL_CONTEXT),
            per_image: self.model.contains("gpt-4o-mini").then_some(IMAGE_OF_4O_MINI),
            added: self.added(),
            is_embedding,
        }
    }

    /// Tokens of all answers together, and whether the request or the deployment limits them.
    fn answer(&self) -> (u64, bool) {
        let limit = self.limit_fields().iter().filter_map(|field| self.number(field)).max();
        let limit = limit.filter(|limit| *limit > 0);
        let ModelLimits { configured_output, listed_output, default_output, .. } = self.limits;
        let budget = self.budget();
        let one = match limit {
            // A budget for thinking counts as output, even where it is longer than the limit.
            Some(limit) => configured_output.map_or(limit, |most| limit.min(most)).max(budget.unwrap_or(0)),
            None if self.is_translated() => default_max_tokens(listed_output, budget),
            None => configured_output.or(listed_output).unwrap_or(default_output).max(budget.unwrap_or(0)),
        };
        let several =
            ["n", "best_of"].iter().filter_map(|field| self.number(field)).max().unwrap_or(1).max(1);
        let prompts = match self.operation {
            Operation::Completions => self.sent("prompt").map(prompts).max().unwrap_or(1),
            _ => 1,
        };
        // A token of a prediction that the model does not follow is charged as output.
        let predicted =
            self.envelope.raw("prediction").map_or(0, |text| prompt::measure(text.as_bytes(), None).tokens());
        let all = one.saturating_add(predicted).saturating_mul(several).saturating_mul(prompts);
        (all.min(LONGEST_ANSWER), limit.is_some())
    }

    /// Whether the request is translated, and gets a limit on the way where it has none.
    fn is_translated(&self) -> bool {
        self.provider == "anthropic" && self.operation == Operation::ChatCompletions
    }

    /// The fields that limit the answer of this operation. Others do not, whatever they are called.
    fn limit_fields(&self) -> &'static [&'static str] {
        match self.operation {
            Operation::ChatCompletions => &["max_tokens", "max_completion_tokens"],
            Operation::Responses => &["max_output_tokens"],
            Operation::Completions | Operation::Messages => &["max_tokens"],
            Operation::Embeddings => &[],
        }
    }

    /// What is sent under a name: the client's, in `extra_body` too, else the deployment's.
    fn sent<'b>(&'b self, key: &str) -> impl Iterator<Item = &'b str> {
        let body = self.envelope.raw(key);
        let inside = self.envelope.raw("extra_body").and_then(|extra| member(extra, key));
        let default = || {
            let default = self.target.defaults().iter().find(|(name, _)| name == key);
            default.map(|(_, text)| text.as_str())
        };
        let first = if inside.is_some() { body } else { body.or_else(default) };
        [first, inside].into_iter().flatten()
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.sent(key).filter_map(count).max()
    }

    /// A member of an object that is sent.
    fn inner(&self, key: &str, name: &str) -> Option<&str> {
        self.sent(key).find_map(|object| member(object, name))
    }

    /// The budget for thinking.
    fn budget(&self) -> Option<u64> {
        let openrouters = || self.inner("reasoning", "max_tokens");
        self.inner("thinking", "budget_tokens").or_else(openrouters).and_then(count)
    }

    fn effort(&self) -> Option<Cow<'_, str>> {
        let own = self.sent("reasoning_effort").last();
        let inner = |key| self.inner(key, "effort");
        own.or_else(|| inner("reasoning")).or_else(|| inner("output_config")).and_then(string)
    }

    fn reasoning(&self, effort: Option<&str>) -> Reasoning {
        let thinking = self.inner("thinking", "type");
        if effort == Some("none") || thinking == Some("\"disabled\"") {
            return Reasoning::No;
        }
        if effort.is_some() || thinking.is_some() || self.budget().is_some() {
            return Reasoning::Yes;
        }
        match self.limits.supports_reasoning {
            // Claude thinks where it is asked to.
            _ if self.provider == "anthropic" => Reasoning::No,
            Some(true) => Reasoning::Yes,
            Some(false) => Reasoning::No,
            None => Reasoning::Unknown,
        }
    }

    /// Bytes of text that the deployment's defaults add.
    fn added(&self) -> u64 {
        let texts = self.target.defaults().iter().filter(|(_, text)| text.starts_with(['"', '{', '[']));
        texts.map(|(key, text)| (key.len() + text.len()) as u64).sum()
    }
}

impl Bound {
    /// The same with the prompts measured.
    #[must_use]
    pub fn measured(self, envelope: &Envelope) -> Bound {
        Bound { prompt: Some(self.prompt_of(envelope)), ..self }
    }

    /// The most tokens that a provider may count for all prompts.
    pub(super) fn prompt_of(&self, envelope: &Envelope) -> u64 {
        let prompt = prompt::measure(envelope.body(), self.per_image);
        let tokens = prompt.tokens().saturating_add(self.added);
        if prompt.grows { tokens.max(self.context) } else { tokens }
    }

    /// The most input tokens that an upstream can have counted for this body.
    pub(super) fn ceiling(&self, envelope: &Envelope, told: u64) -> u64 {
        /// What a provider may add, such as the prompts for its tools.
        const ADDED: u64 = 4_096;
        const IMAGE: u64 = 50_000;
        let plain = (envelope.body().len() as u64).saturating_add(self.added).saturating_add(ADDED);
        if told <= plain {
            return plain;
        }
        let Prompt { images, has_files, grows, .. } = prompt::measure(envelope.body(), None);
        let more = if has_files || grows { self.context.max(2_000_000) } else { 0 };
        plain.saturating_add(images.saturating_mul(IMAGE)).saturating_add(more)
    }
}

/// The percentage of an answer's limit that is taken for reasoning.
fn share(effort: Option<&str>) -> u64 {
    match effort {
        Some("minimal") => 10,
        Some("low") => 20,
        Some("high") => 80,
        Some("xhigh" | "max") => 95,
        _ => 50,
    }
}

/// How many prompts a completion has.
pub(crate) fn prompts(prompt: &str) -> u64 {
    let mut all = elements(prompt).peekable();
    let is_list = all.peek().is_some_and(|first| first.starts_with(['"', '[']));
    if is_list { all.count() as u64 } else { 1 }
}

/// A member of an object; nothing of other values.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    members(object).find(|(found, _)| found == name).map(|(_, text)| text)
}

/// The count that a field holds; a part of a token is one.
fn count(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number.ceil() as u64)
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    fn target(defaults: &[(&str, &str)]) -> Target {
        let defaults = defaults.iter().map(|(key, text)| ((*key).to_owned(), (*text).to_owned())).collect();
        let spec = crate::TargetSpec { model: "openai/m".into(), defaults, ..crate::TargetSpec::default() };
        Target::build(&spec, &|_| None).unwrap()
    }

    fn bound(operation: Operation, body: &Value, defaults: &[(&str, &str)], limits: ModelLimits) -> Bound {
        let envelope = Envelope::read(Bytes::from(body.to_string())).unwrap();
        let target = target(defaults);
        Asked { operation, envelope: &envelope, target: &target, provider: "openai", model: "m", limits }
            .bound()
    }

    const LIMITS: ModelLimits = ModelLimits {
        max_input_tokens: None,
        configured_output: None,
        listed_output: Some(8_000),
        default_output: 16_384,
        supports_reasoning: Some(false),
    };

    #[test]
    fn the_longest_answer_is_what_request_deployment_and_model_permit() {
        let chat = |body: &Value, defaults: &[(&str, &str)], limits| {
            let bound = bound(Operation::ChatCompletions, body, defaults, limits);
            (bound.answer, bound.is_limited)
        };
        assert_eq!(chat(&json!({}), &[], LIMITS), (8_000, false));
        assert_eq!(chat(&json!({}), &[], ModelLimits { listed_output: None, ..LIMITS }), (16_384, false));
        let configured = ModelLimits { configured_output: Some(500), ..LIMITS };
        assert_eq!(chat(&json!({}), &[], configured), (500, false));
        assert_eq!(chat(&json!({"max_tokens": 9_000}), &[], configured), (500, true));
        assert_eq!(chat(&json!({"max_tokens": 9_000}), &[], LIMITS), (9_000, true));
        assert_eq!(chat(&json!({}), &[("max_tokens", "77")], LIMITS), (77, true));
        assert_eq!(chat(&json!({"max_tokens": 5}), &[("max_completion_tokens", "77")], LIMITS), (77, true));
        assert_eq!(chat(&json!({"max_tokens": 5}), &[("max_tokens", "77")], LIMITS), (5, true));
        assert_eq!(
            chat(&json!({"max_tokens": 1, "extra_body": {"max_tokens": 50}}), &[], LIMITS),
            (50, true)
        );
        assert_eq!(chat(&json!({"max_tokens": 10, "n": 3}), &[], LIMITS), (30, true));
        assert_eq!(
            chat(&json!({"max_tokens": u64::MAX, "n": u64::MAX}), &[], LIMITS),
            (LONGEST_ANSWER, true)
        );
    }

    #[test]
    fn what_does_not_limit_the_answer_is_no_limit() {
        for body in [
            json!({"max_tokens": null}),
            json!({"max_tokens": -1}),
            json!({"max_tokens": 0}),
            json!({"max_tokens": "1"}),
            json!({"max_output_tokens": 1}),
        ] {
            assert_eq!(bound(Operation::ChatCompletions, &body, &[], LIMITS).answer, 8_000, "{body}");
        }
        let responses = json!({"max_tokens": 1, "max_output_tokens": 70});
        assert_eq!(bound(Operation::Responses, &responses, &[], LIMITS).answer, 70);
        assert_eq!(bound(Operation::Embeddings, &json!({"input": "x"}), &[], LIMITS).answer, 0);
    }

    #[test]
    fn every_prompt_of_a_completion_has_an_answer() {
        let of = |prompt: Value| {
            bound(
                Operation::Completions,
                &json!({"prompt": prompt, "max_tokens": 10, "best_of": 2}),
                &[],
                LIMITS,
            )
            .answer
        };
        assert_eq!(of(json!("one")), 20);
        assert_eq!(of(json!([1, 2, 3])), 20);
        assert_eq!(of(json!(vec!["x"; 500])), 10_000);
        assert_eq!(of(json!([[1, 2], [3]])), 40);
    }

    #[test]
    fn thinking_and_predictions_are_output() {
        let chat = |body: &Value| bound(Operation::ChatCompletions, body, &[], LIMITS).answer;
        assert_eq!(chat(&json!({"thinking": {"type": "enabled", "budget_tokens": 20_000}})), 20_000);
        assert!(chat(&json!({"max_tokens": 10, "prediction": {"content": "word ".repeat(100)}})) > 250);
    }

    #[test]
    fn reasoning_follows_the_request_before_the_catalogue() {
        let of = |body: &Value, supports_reasoning| {
            bound(Operation::ChatCompletions, body, &[], ModelLimits { supports_reasoning, ..LIMITS })
        };
        assert_eq!(of(&json!({}), Some(false)).reasoning, Reasoning::No);
        assert_eq!(of(&json!({}), None).reasoning, Reasoning::Unknown);
        assert_eq!(of(&json!({}), Some(true)).reasoning, Reasoning::Yes);
        assert_eq!(of(&json!({"reasoning_effort": "none"}), Some(true)).reasoning, Reasoning::No);
        let low = of(&json!({"reasoning": {"effort": "low"}, "max_tokens": 1_000}), None);
        assert_eq!((low.reasoning, low.hidden), (Reasoning::Yes, 200));
        let budget =
            of(&json!({"thinking": {"type": "enabled", "budget_tokens": 300}, "max_tokens": 1_000}), None);
        assert_eq!((budget.reasoning, budget.hidden), (Reasoning::Yes, 300));
    }
}
