//! Which groups are asked when one has failed, and how.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;

use serde_json::{Map, Value};
use tagrail_providers::ErrorKind;
use tagrail_routing::FallbackKind;

use super::{Attempts, Question, may_fall_back};
use crate::{Answer, Call, Refusal};

/// A fallback: a name, and request fields that it overrides (only a client can ask for those).
struct Step {
    model: String,
    fields: Vec<(String, String)>,
}

impl Attempts<'_> {
    /// Asks the fallbacks in their order. Depth is bounded by `max_fallbacks`, not by refusing
    /// cycles: two groups that fall back on each other are an ordinary LiteLLM config.
    pub(super) fn fall_back<'b>(
        &'b mut self,
        question: Question<'b>,
        refusal: &'b Refusal,
    ) -> Pin<Box<dyn Future<Output = Option<Answer>> + Send + 'b>> {
        Box::pin(async move {
            if question.depth >= self.snapshot.router.max_fallbacks
                || !may_fall_back(self.snapshot, question.call, refusal)
            {
                return None;
            }
            let mut tried = 0;
            for step in self.steps(question, refusal) {
                tried += 1;
                let Some(call) = step.call(question.call) else { continue };
                let next = Question { call: &call, model: &step.model, depth: question.depth + 1 };
                if let Ok(mut answer) = self.nested(next).await {
                    answer.facts.fallbacks = tried;
                    return Some(answer);
                }
            }
            None
        })
    }

    /// The client's own list, or what is configured for the error, then in general, then by default.
    fn steps(&self, question: Question<'_>, refusal: &Refusal) -> Vec<Step> {
        if question.depth == 0
            && let Some(asked) = self.original.envelope.fallbacks()
        {
            return asked.iter().flat_map(|text| Step::asked(text, question.model)).collect();
        }
        let table = &self.snapshot.table;
        let special = match refusal {
            Refusal::Upstream(error) if error.kind == ErrorKind::ContextWindow => {
                table.fallbacks(question.model, FallbackKind::ContextWindow)
            }
            Refusal::Upstream(error) if error.kind == ErrorKind::ContentPolicy => {
                table.fallbacks(question.model, FallbackKind::ContentPolicy)
            }
            _ => &[],
        };
        let general =
            if special.is_empty() { table.fallbacks(question.model, FallbackKind::General) } else { special };
        let mut names: Vec<&String> = Vec::new();
        for name in general.iter().chain(table.default_fallbacks()) {
            if name != question.model && !names.contains(&name) {
                names.push(name);
            }
        }
        names.into_iter().map(|name| Step { model: name.clone(), fields: Vec::new() }).collect()
    }
}

impl Step {
    /// What a client may write: a name, an object with a `model` and fields to override, or
    /// LiteLLM's table form `{"group": ["name", …]}`.
    fn asked(text: &str, model: &str) -> Vec<Step> {
        match serde_json::from_str(text) {
            Ok(Value::String(name)) => vec![Step { model: name, fields: Vec::new() }],
            Ok(Value::Object(fields)) => match fields.get("model") {
                Some(Value::String(name)) => vec![Step { model: name.clone(), fields: overrides(&fields) }],
                _ => table_form(&fields, model),
            },
            _ => Vec::new(),
        }
    }

    /// The call with the fields of this step; `None` when they are not fields that a body may have.
    fn call<'a>(&self, call: &'a Call) -> Option<Cow<'a, Call>> {
        if self.fields.is_empty() {
            return Some(Cow::Borrowed(call));
        }
        let envelope = call.envelope.with(&self.fields).ok()?;
        call.with(envelope).ok().map(Cow::Owned)
    }
}

fn overrides(fields: &Map<String, Value>) -> Vec<(String, String)> {
    let mut list: Vec<_> = fields.iter().map(|(key, value)| (key.clone(), value.to_string())).collect();
    list.retain(|(key, _)| key != "model");
    list
}

fn table_form(fields: &Map<String, Value>, model: &str) -> Vec<Step> {
    let names = fields.get(model).or_else(|| fields.get("*")).and_then(Value::as_array);
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| Step { model: name.to_owned(), fields: Vec::new() }).collect()
}
