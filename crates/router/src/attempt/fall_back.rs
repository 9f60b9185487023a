//! Which groups are asked when one has failed, and how.

use std::collections::HashSet;
use std::future::Future;
use std::pin::Pin;

use serde_json::{Map, Value};
use tagrail_providers::{ErrorKind, Fallback};
use tagrail_routing::FallbackKind;

use super::{Asked, Attempts, Question, may_fall_back};
use crate::{Answer, Refusal};

/// A fallback: a name, and the object with the request fields that it overrides (only a client can ask for
/// those), as it stands in the body.
pub(super) struct Step<'a> {
    pub(super) model: String,
    fields: Option<&'a str>,
    /// The configuration names it, not the client.
    operators: bool,
}

/// What becomes of a step.
enum Turn {
    /// Its group is asked.
    Ask,
    /// Its group was asked before, and its own fallbacks were not: they are.
    Walk(Refusal),
    /// Nothing new would come of it.
    Skip,
}

impl<'a> Attempts<'a> {
    /// Asks the fallbacks in their order. Depth is bounded by `max_fallbacks`, not by refusing
    /// cycles: two groups that fall back on each other are an ordinary LiteLLM config. How many are
    /// asked is bounded by asking each once, as LiteLLM does: in an outage every one of them would walk all
    /// the others again.
    pub(super) fn fall_back<'b>(
        &'b mut self,
        question: Question<'b>,
        refusal: &'b Refusal,
    ) -> Pin<Box<dyn Future<Output = Option<Answer>> + Send + 'b>> {
        Box::pin(async move {
            // Another group's deployments do not have the response that a call continues.
            let is_pinned = matches!(self.pinned(self.snapshot, question), Ok(Some(_)));
            if is_pinned || self.too_deep(question) || !may_fall_back(self.snapshot, question.call, refusal) {
                return None;
            }
            if question.depth == 0 {
                self.asked.push(Asked { model: question.model.to_owned(), unwalked: None });
            }
            let mut tried = 0;
            for step in self.steps(question, refusal) {
                let turn = self.turn(question, &step);
                if matches!(turn, Turn::Skip) {
                    continue;
                }
                if !self.may_attempt() {
                    break;
                }
                tried += 1;
                if let Some(mut answer) = self.step(question, &step, turn).await {
                    answer.facts.fallbacks = tried;
                    return Some(answer);
                }
                if self.over.is_some() {
                    break;
                }
            }
            None
        })
    }

    async fn step(&mut self, question: Question<'_>, step: &Step<'_>, turn: Turn) -> Option<Answer> {
        let depth = question.depth + 1;
        let Some(fields) = step.fields else {
            let next = Question { model: &step.model, depth, operators_choice: step.operators, ..question };
            return match turn {
                Turn::Walk(refusal) => self.fall_back(next, &refusal).await,
                _ => self.ask(next).await,
            };
        };
        question.call.pause_if_long().await;
        // Fields that a body may not have are no fallback.
        let call = question.call.with(fields).ok()?;
        let tags = call.tags(self.snapshot.table.rules());
        let snapshot = self.snapshot;
        let counted = snapshot.as_caller(&call.caller, |access| snapshot.table.counted(&tags, access));
        // With other fields every group may answer otherwise.
        let asked = std::mem::take(&mut self.asked);
        let operators_choice = step.operators;
        let (call, tags, counted) = (&call, &*tags, &*counted);
        let next = Question { call, tags, counted, model: &step.model, depth, operators_choice };
        // Limits and budgets of other tags: what is reserved under these says nothing of them.
        let is_same = counted.iter().map(|tag| &tag.text).eq(question.counted.iter().map(|tag| &tag.text));
        self.account.tagged(tags, counted);
        if !is_same {
            self.account.give_back();
        }
        let answer = self.ask(next).await;
        self.asked = asked;
        match answer {
            Some(mut answer) => {
                // A further fallback of that one may have brought others still.
                let texts = || tags.iter().map(|tag| tag.text.to_string()).collect();
                answer.facts.tags.get_or_insert_with(texts);
                Some(answer)
            }
            None => {
                self.account.tagged(question.tags, question.counted);
                if !is_same {
                    self.account.give_back();
                }
                None
            }
        }
    }

    /// A group, then its own fallbacks.
    async fn ask(&mut self, question: Question<'_>) -> Option<Answer> {
        let at = self.asked.len();
        self.asked.push(Asked { model: question.model.to_owned(), unwalked: None });
        match self.nested(question).await {
            Ok(answer) => Some(answer),
            Err(refusal @ Refusal::OverLimit(_)) => {
                self.over = Some(refusal);
                None
            }
            Err(refusal) => {
                let too_deep = self.too_deep(question);
                if let Some(asked) = self.asked.get_mut(at).filter(|_| too_deep) {
                    asked.unwalked = Some(refusal);
                }
                None
            }
        }
    }

    /// The fallbacks that the client names.
    pub(super) fn asked_fallbacks(&self, question: Question<'_>) -> Option<Vec<Step<'a>>> {
        let asked = self.original.envelope.fallbacks()?;
        Some(once(asked.into_iter().flat_map(|fallback| Step::asked(fallback, question.model))))
    }

    fn turn(&mut self, question: Question<'_>, step: &Step<'_>) -> Turn {
        let walks = question.depth + 1 < self.snapshot.router.max_fallbacks;
        match self.asked.iter_mut().find(|asked| asked.model == step.model) {
            Some(asked) if step.fields.is_none() => {
                asked.unwalked.take_if(|_| walks).map_or(Turn::Skip, Turn::Walk)
            }
            _ => Turn::Ask,
        }
    }

    fn too_deep(&self, question: Question<'_>) -> bool {
        question.depth >= self.snapshot.router.max_fallbacks
    }

    /// The client's own list, or what is configured for the error, then in general, then by default.
    fn steps(&self, question: Question<'_>, refusal: &Refusal) -> Vec<Step<'a>> {
        if question.depth == 0
            && let Some(asked) = self.asked_fallbacks(question)
        {
            return asked;
        }
        let table = &self.snapshot.table;
        let model = question.behind_alias();
        let special = match refusal {
            Refusal::Upstream(error) if error.kind == ErrorKind::ContextWindow => {
                Some(("context_window_fallbacks", FallbackKind::ContextWindow))
            }
            Refusal::Upstream(error) if error.kind == ErrorKind::ContentPolicy => {
                Some(("content_policy_fallbacks", FallbackKind::ContentPolicy))
            }
            _ => None,
        };
        if let Some((field, _)) = special
            && let Some(Value::Array(own)) = question.call.own(field)
        {
            return own
                .iter()
                .filter_map(Value::as_object)
                .flat_map(|table| table_form(table, model))
                .collect();
        }
        let special = special.map_or(&[][..], |(_, kind)| table.fallbacks(model, kind));
        let general =
            if special.is_empty() { table.fallbacks(model, FallbackKind::General) } else { special };
        let mut names: Vec<&String> = Vec::new();
        for name in general.iter().chain(table.default_fallbacks()) {
            if name != model && !names.contains(&name) {
                names.push(name);
            }
        }
        let step = |name: &String| Step { model: name.clone(), fields: None, operators: true };
        names.into_iter().map(step).collect()
    }
}

impl<'a> Step<'a> {
    /// A name that the client sent.
    fn named(model: String) -> Self {
        Step { model, fields: None, operators: false }
    }

    /// What a client may write: a name, an object with a `model` and fields to override, or
    /// LiteLLM's table form `{"group": ["name", …]}`.
    fn asked(fallback: Fallback<'a>, model: &str) -> Vec<Self> {
        match fallback {
            Fallback::Name(name) => vec![Step::named(name.into_owned())],
            Fallback::Object { model: Some(name), fields, overrides } => {
                vec![Step { fields: overrides.then_some(fields), ..Step::named(name.into_owned()) }]
            }
            Fallback::Object { model: None, fields, .. } => {
                let names = Fallback::listed(fields, &[model, "*"]);
                names.into_iter().map(|name| Step::named(name.into_owned())).collect()
            }
        }
    }
}

/// Plain names, once each; the same name with other fields is another question.
fn once<'a>(steps: impl Iterator<Item = Step<'a>>) -> Vec<Step<'a>> {
    let mut list: Vec<Step<'a>> = Vec::new();
    let mut plain = HashSet::new();
    for step in steps {
        if step.fields.is_some() || plain.insert(step.model.clone()) {
            list.push(step);
        }
    }
    list
}

fn table_form(fields: &Map<String, Value>, model: &str) -> Vec<Step<'static>> {
    let names = fields.get(model).or_else(|| fields.get("*")).and_then(Value::as_array);
    let names = names.into_iter().flatten().filter_map(Value::as_str);
    names.map(|name| Step::named(name.to_owned())).collect()
}
