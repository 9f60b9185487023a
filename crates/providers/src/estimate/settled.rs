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
    /// Tokens.
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

/// Output tokens of an answer of which nobody has counted them.
fn whole(passed: Passed, bound: &Bound) -> u64 {
    match bound.reasoning {
        Reasoning::Yes => {
            let with_hidden = passed.text.saturating_add(bound.hidden).min(bound.answer);
            with_hidden.max(passed.total())
        }
        _ => passed.total(),
    }
}
