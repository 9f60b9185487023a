//! What a call is charged for: what its upstream reports, where that can be, and an estimate of what it
//! does not.

use crate::{Envelope, Usage};

use super::bound::{Bound, Reasoning};
use super::prompt_tokens;

/// A report may be above the limit by so much, and by an eighth: providers differ in what they count.
const TOLERANCE: u64 = 64;

/// What an upstream reports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Input tokens, cached ones included; `None` where there is no such count.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
    /// Input tokens read from a prompt cache.
    pub cache_read: u64,
    /// Input tokens written to a prompt cache.
    pub cache_creation: u64,
    /// Something of it is not a count: a negative number, a text.
    pub is_odd: bool,
    /// The report came with the end of the answer, or after it.
    pub is_final: bool,
}

/// What was seen of an answer, in tokens by its text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Text, tool calls, refusals, sound.
    pub text: u64,
    /// Reasoning, summaries and signatures of it.
    pub reasoning: u64,
}

/// How an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It came to its end.
    Whole,
    /// Its client left.
    CutShort,
    /// Its upstream broke off.
    Broken,
    /// The client has left before there was anything of it, and nothing was heard of it since.
    Abandoned,
}

/// What a call is charged for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Tokens, bounded by what request and model permit.
    pub usage: Usage,
    /// Not all of it is the upstream's count.
    pub is_estimated: bool,
    /// The upstream reports what cannot be.
    pub is_absurd: bool,
}

impl Passed {
    /// All of it.
    pub fn total(self) -> u64 {
        self.text.saturating_add(self.reasoning)
    }
}

/// What to charge for an answer to `envelope`.
pub fn settle(told: &Told, passed: Passed, bound: &Bound, envelope: &Envelope, ending: Ending) -> Settled {
    if ending == Ending::Abandoned {
        let input = bound.prompt.unwrap_or_else(|| bound.prompt_of(envelope));
        let usage = Usage { input, output: bound.answer, ..Usage::default() };
        return Settled { usage, is_estimated: true, is_absurd: false };
    }
    let mut settled = Settled { usage: Usage::default(), is_estimated: false, is_absurd: told.is_odd };
    settled.usage.input = match told.input {
        Some(input) => settled.within(input, bound.ceiling(envelope, input)),
        None => settled.estimate(prompt_tokens(envelope)),
    };
    settled.usage.output = match told.output {
        _ if bound.is_embedding => 0,
        // An upstream that counts as it goes has not counted an answer that was cut short.
        Some(output) if ending != Ending::Whole && !told.is_final => {
            let seen = if ending == Ending::Broken { passed.total() } else { unfinished(passed, bound) };
            if output >= seen { settled.within(output, bound.most()) } else { settled.estimate(seen) }
        }
        // No count is that of an answer with text.
        Some(0) if passed.text > 0 => settled.estimate(passed.total()),
        Some(output) => settled.within(output, bound.most()),
        None if ending == Ending::CutShort => settled.estimate(unfinished(passed, bound)),
        None if ending == Ending::Broken => settled.estimate(passed.total()),
        None => settled.estimate(whole(passed, bound)),
    };
    let input = settled.usage.input;
    settled.usage.cache_read = told.cache_read.min(input);
    settled.usage.cache_creation = told.cache_creation.min(input - settled.usage.cache_read);
    settled
}

impl Settled {
    fn estimate(&mut self, tokens: u64) -> u64 {
        self.is_estimated = true;
        tokens
    }

    fn within(&mut self, told: u64, most: u64) -> u64 {
        if told > most {
            self.is_estimated = true;
            self.is_absurd = true;
        }
        told.min(most)
    }
}

impl Bound {
    /// The most output tokens that a report is believed of.
    fn most(&self) -> u64 {
        self.answer.saturating_add(self.answer / 8).saturating_add(TOLERANCE)
    }
}

/// Output tokens of an answer that was cut short. A model that reasons without showing it has done so before
/// its first text: as long as it may where nothing was seen yet, else for the share that is stated.
fn unfinished(passed: Passed, bound: &Bound) -> u64 {
    match bound.reasoning {
        Reasoning::No => passed.total(),
        _ if passed.text == 0 => bound.answer.max(passed.reasoning),
        _ => whole(passed, bound),
    }
}

/// Output tokens of an answer whose usage was not reported.
fn whole(passed: Passed, bound: &Bound) -> u64 {
    match bound.reasoning {
        Reasoning::Yes => {
            let with_hidden = passed.text.saturating_add(bound.hidden).min(bound.answer);
            with_hidden.max(passed.total())
        }
        _ => passed.total(),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::{Asked, ModelLimits, Operation, Price, Target, TargetSpec};

    const LIMITS: ModelLimits = ModelLimits {
        max_input_tokens: Some(128_000),
        configured_output: None,
        listed_output: Some(4_000),
        default_output: 16_384,
        supports_reasoning: None,
    };

    fn asked(operation: Operation, body: &Value) -> (Envelope, Bound) {
        let envelope = Envelope::read(Bytes::from(body.to_string())).unwrap();
        let target =
            Target::build(&TargetSpec { model: "openai/m".into(), ..TargetSpec::default() }, &|_| None)
                .unwrap();
        let asked = Asked {
            operation,
            envelope: &envelope,
            target: &target,
            provider: "openai",
            model: "m",
            limits: LIMITS,
        };
        let bound = asked.bound().measured(&envelope);
        (envelope, bound)
    }

    fn told(input: u64, output: u64) -> Told {
        Told { input: Some(input), output: Some(output), ..Told::default() }
    }

    #[test]
    fn a_report_is_taken_as_it_is_unless_it_cannot_be() {
        let (envelope, bound) =
            asked(Operation::ChatCompletions, &json!({"messages": [{"content": "hi"}], "max_tokens": 1_000}));
        let of =
            |told: &Told| settle(told, Passed { text: 7, reasoning: 0 }, &bound, &envelope, Ending::Whole);
        let settled = of(&told(9, 1_100));
        assert_eq!((settled.usage.input, settled.usage.output), (9, 1_100));
        assert!(!settled.is_estimated && !settled.is_absurd);
        let settled = of(&told(u64::MAX, u64::MAX));
        assert!(settled.usage.input < 5_000 && settled.usage.output < 1_200, "{settled:?}");
        assert!(settled.is_estimated && settled.is_absurd);
        let settled = of(&told(9, 0));
        assert_eq!((settled.usage.output, settled.is_estimated), (7, true));
        let cached = Told { cache_read: u64::MAX, cache_creation: u64::MAX, ..told(9, 3) };
        assert_eq!((of(&cached).usage.cache_read, of(&cached).usage.cache_creation), (9, 0));
    }

    #[test]
    fn images_and_search_results_may_be_more_than_the_body() {
        let image = json!({"type": "image_url", "image_url": {"url": "https://x/y.png"}});
        let bodies = [
            json!({"messages": [{"content": [image]}]}),
            json!({"messages": [], "tools": [{"type": "web_search"}]}),
        ];
        for body in bodies {
            let (envelope, bound) = asked(Operation::ChatCompletions, &body);
            let settled = settle(&told(48_000, 3), Passed::default(), &bound, &envelope, Ending::Whole);
            assert_eq!((settled.usage.input, settled.is_absurd), (48_000, false), "{body}");
        }
    }

    /// Tokens as a tokenizer of words counts them: letters by fours with the blank before them, digits by threes,
    /// everything else by bytes.
    fn tokenized(text: &str) -> u64 {
        let (mut sum, mut letters, mut digits) = (0, 0, 0);
        for c in text.chars() {
            let (was_letters, was_digits) = (letters, digits);
            letters = if c.is_ascii_alphabetic() { was_letters + 1 } else { 0 };
            digits = if c.is_ascii_digit() { was_digits + 1 } else { 0 };
            sum += match c {
                _ if letters > 0 => u64::from(letters % 4 == 1),
                _ if digits > 0 => u64::from(digits % 3 == 1),
                ' ' => 0,
                c => c.len_utf8() as u64,
            };
        }
        sum
    }

    proptest! {
        #[test]
        fn a_call_that_keeps_to_its_limits_costs_no_more_than_was_reserved(
            prompts in prop::collection::vec("[a-z 0-9.,\u{e9}\u{4e2d}\u{1f600}\n\"]{0,80}", 1..20),
            limit in prop::option::of(1..10_000_u64), n in 1..5_u64, images in 0..4_u64, used in 0..=100_u64,
            is_chat in any::<bool>(), prices in prop::array::uniform4(prop::option::of(0.0..1e-3_f64)),
        ) {
            let mut body = json!({"model": "m", "n": n});
            if let Some(limit) = limit {
                body["max_tokens"] = json!(limit);
            }
            let one = limit.unwrap_or(4_000);
            let text: u64 = prompts.iter().map(|prompt| tokenized(prompt)).sum();
            let (operation, input, most) = if is_chat {
                let image = json!({"type": "image_url", "image_url": {"url": "https://x/y"}});
                let parts = |text: &String| -> Vec<Value> {
                    std::iter::once(json!({"type": "text", "text": text})).chain((0..images).map(|_| image.clone())).collect()
                };
                let turns: Vec<_> = prompts.iter().map(|text| json!({"role": "user", "content": parts(text)})).collect();
                body["messages"] = json!(turns);
                let count = prompts.len() as u64;
                (Operation::ChatCompletions, text + 4 * count + 3 + 1_445 * images * count, one * n)
            } else {
                body["prompt"] = json!(prompts);
                (Operation::Completions, text, one * n * prompts.len() as u64)
            };
            let (envelope, bound) = asked(operation, &body);
            let told = told(input, most * used / 100);
            let settled = settle(&told, Passed::default(), &bound, &envelope, Ending::Whole);
            prop_assert!(!settled.is_estimated && !settled.is_absurd, "{settled:?}");
            let [input_price, output_price, long_input, long_output] = prices;
            let price = Price { input: input_price, output: output_price, long_input, long_output, ..Price::default() };
            let reserved = price.at_most(bound.prompt.unwrap(), bound.answer);
            prop_assert!(price.cost(&settled.usage).total() <= reserved);
            prop_assert!(settled.usage.input + settled.usage.output <= bound.prompt.unwrap() + bound.answer);
        }
    }
}
