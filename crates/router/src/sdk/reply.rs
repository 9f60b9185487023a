//! A whole answer.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tagrail_providers::Usage;

use super::text;
use crate::{Answer, AnswerBody, Call, Chosen, Facts};

/// A whole answer, as the upstream gave it, in the dialect of the request.
#[derive(Debug)]
pub struct Reply {
    /// Who answered, and how.
    pub facts: Facts,
    body: Bytes,
    call: Call,
}

impl Reply {
    pub(super) fn of(answer: Answer, call: Call) -> Reply {
        let body = match answer.body {
            AnswerBody::Whole(mut pieces) if pieces.len() == 1 => pieces.pop().unwrap_or_default(),
            AnswerBody::Whole(pieces) | AnswerBody::Events(pieces) => pieces.concat().into(),
            // What was not asked for as a stream is none.
            AnswerBody::Stream(_) => Bytes::new(),
        };
        Reply { facts: answer.facts, body, call }
    }

    /// The body's bytes, as they came.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body.
    ///
    /// # Errors
    /// The upstream said something that is not JSON.
    pub fn json(&self) -> serde_json::Result<Value> {
        serde_json::from_slice(&self.body)
    }

    /// The body as a type of yours.
    ///
    /// # Errors
    /// The body is not of this shape.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_slice(&self.body)
    }

    /// What the first choice says; `None` where it says nothing, as when it only calls tools.
    pub fn text(&self) -> Option<String> {
        text::whole(self.call.operation, &self.json().ok()?)
    }

    /// Tokens, where the upstream says them.
    pub fn usage(&self) -> Option<Usage> {
        self.facts.usage
    }

    /// US dollars; `None` where prices or tokens are not known.
    pub fn cost(&self) -> Option<f64> {
        self.facts.cost()
    }

    /// What it was decided by.
    pub fn decision(&self) -> Option<Chosen> {
        Some(Chosen::of(&self.call, &self.facts, self.facts.decision.as_ref()?))
    }
}
