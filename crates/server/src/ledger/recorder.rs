//! A finished call becomes a row of the journal, on the call's own core, before its last byte leaves.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::ser::{Serialize, Serializer};
use tagrail::{Money, Operation, Outcome, Recorder};
use tagrail_store::{Timestamp, Writer};

use super::refused::Refused;

/// Of what a client or a wildcard wrote, so much is kept.
const MAX_TEXT: usize = 1024;

/// Bytes of tags in a row. Those that nothing knows were left out before, beyond 8 KiB.
const MAX_TAGS: usize = 128 << 10;

/// The same for tags that are all escapes.
const MAX_ODD_TAGS: usize = 16 << 10;

/// Writes a row for every call, and passes it on. A call has always a caller whom the server let in:
/// what is refused at the door does not become one.
struct SpendRecorder {
    journal: Writer,
    refused: Arc<Refused>,
    next: Arc<dyn Recorder>,
}

/// A recorder for one core.
pub(crate) fn recorder(journal: Writer, refused: Arc<Refused>, next: Arc<dyn Recorder>) -> Arc<dyn Recorder> {
    Arc::new(SpendRecorder { journal, refused, next })
}

impl Recorder for SpendRecorder {
    fn record(&self, outcome: &Outcome<'_>) {
        if self.refused.counts(outcome) {
            return self.next.record(outcome);
        }
        let started = milliseconds(outcome.started);
        let ended = started.plus_ms(whole_milliseconds(outcome.duration));
        let id = self.journal.row_id(ended);
        let mut row = Row::of(id.as_str(), outcome, started, ended);
        if self.journal.append(&row).is_err() {
            row.tags.most = MAX_ODD_TAGS;
            if let Err(error) = self.journal.append(&row) {
                tracing::error!(%error, row = id.as_str(), "what a call cost was not written down");
            }
        }
        self.next.record(outcome);
    }

    fn cooled(&self, deployment: &str, until: Duration) {
        self.next.cooled(deployment, until);
    }
}

/// A [`tagrail_store::SpendRow`] that owns nothing; what is left out reads back as its default.
#[derive(serde::Serialize)]
struct Row<'a> {
    id: &'a str,
    call_id: &'a str,
    call_type: &'static str,
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_alias: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_user: Option<&'a str>,
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags<'a>,
    model: &'a str,
    model_group: &'a str,
    deployment: &'a str,
    provider: &'a str,
    api_base: &'a str,
    input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "is_false")]
    estimated: bool,
    #[serde(with = "tagrail_money::exact")]
    cost: Money,
    started: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte: Option<Timestamp>,
    ended: Timestamp,
    status: u16,
    #[serde(skip_serializing_if = "is_false")]
    cut_short: bool,
    decision: &'a str,
}

impl<'a> Row<'a> {
    fn of(id: &'a str, outcome: &Outcome<'a>, started: Timestamp, ended: Timestamp) -> Row<'a> {
        let identity = &outcome.caller.identity;
        let usage = outcome.usage.unwrap_or_default();
        Row {
            id,
            call_id: clip(outcome.call_id),
            call_type: call_type(outcome.operation),
            key: &identity.key,
            key_alias: identity.key_alias.as_deref(),
            team_id: identity.team.as_deref(),
            user_id: identity.user.as_deref(),
            end_user: outcome.end_user.map(clip),
            tags: Tags { all: outcome.tags, most: MAX_TAGS },
            model: clip(outcome.upstream_model),
            model_group: clip(outcome.model),
            deployment: outcome.deployment,
            provider: outcome.provider,
            api_base: clip(outcome.api_base),
            input_tokens: usage.input,
            output_tokens: usage.output,
            estimated: outcome.estimated,
            cost: outcome.cost.unwrap_or_default(),
            started,
            first_byte: outcome.first_byte.map(|after| started.plus_ms(whole_milliseconds(after))),
            ended,
            status: outcome.status,
            cut_short: outcome.cut_short,
            decision: clip(outcome.decision),
        }
    }
}

/// Tags, each once.
struct Tags<'a> {
    all: &'a [String],
    most: usize,
}

impl Tags<'_> {
    fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    fn fitting(&self) -> &[String] {
        let mut bytes = 0;
        let fit = self.all.iter().take_while(|tag| {
            bytes += tag.len() + 3;
            bytes <= self.most
        });
        self.all.get(..fit.count()).unwrap_or_default()
    }
}

impl Serialize for Tags<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let tags = self.fitting();
        if tags.len() > 16 {
            let mut seen = HashSet::with_capacity(tags.len());
            return serializer.collect_seq(tags.iter().filter(|tag| seen.insert(tag.as_str())));
        }
        // A handful is compared sooner than hashed.
        let is_first = |(at, tag): &(usize, &String)| !tags.iter().take(*at).any(|other| other == *tag);
        serializer.collect_seq(tags.iter().enumerate().filter(is_first).map(|(_, tag)| tag))
    }
}

/// LiteLLM's name of an operation.
fn call_type(operation: Operation) -> &'static str {
    match operation {
        Operation::ChatCompletions => "acompletion",
        Operation::Completions => "atext_completion",
        Operation::Embeddings => "aembedding",
        Operation::Messages => "anthropic_messages",
        Operation::Responses => "aresponses",
    }
}

fn clip(text: &str) -> &str {
    match text.len() <= MAX_TEXT {
        true => text,
        false => &text[..text.floor_char_boundary(MAX_TEXT)],
    }
}

fn milliseconds(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp(whole_milliseconds(since))
}

fn whole_milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;
