//! Splicing: a body out of slices of another, with some fields replaced, cut or added.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;

use super::field::{Name, Role, is_internal};
use super::member::Member;
use super::stored::PREVIOUS_RESPONSE;
use super::{Envelope, MetadataRule, Rewrite, value};
use crate::scan::plain_run;
use crate::work;

/// Bodies up to this many bytes come out in one piece: copying them is cheaper than a longer write.
const WHOLE: usize = 4096;

/// In longer bodies, slices shorter than this many bytes are copied into their neighbours.
const SMALL: usize = 512;

/// What becomes of one field.
enum Change {
    Keep,
    Cut,
    Rename,
    Replace(String),
}

pub(super) fn rewritten(envelope: &Envelope, rewrite: &Rewrite<'_>) -> Vec<Bytes> {
    let merged: Vec<(Cow<'_, str>, &str)> = envelope
        .text(Name::ExtraBody)
        .into_iter()
        .flat_map(value::members)
        .filter(|(key, _)| !is_decided_here(key))
        .collect();
    let default = |key: &str| rewrite.defaults.iter().find(|(name, _)| name == key).map(|(_, text)| &**text);
    let names: HashSet<&str> = merged.iter().map(|(name, _)| &**name).collect();
    let sent = |key: &str| envelope.member(key).is_some() || names.contains(key);
    let mut splice = Splice::new(envelope);
    if envelope.members.named(Name::Model).is_none() {
        splice.name("model");
        splice.string(rewrite.model);
    }
    for member in envelope.members.iter() {
        if !names.is_empty() && names.contains(envelope.key(member)) {
            splice.cut(member);
            continue;
        }
        match change(envelope, rewrite, member) {
            Change::Keep => splice.keep(member),
            Change::Cut => splice.cut(member),
            Change::Rename => {
                splice.begin(member);
                splice.string(rewrite.model);
            }
            Change::Replace(text) => splice.replace(member, &text),
        }
    }
    for (key, text) in &merged {
        splice.add(key, text);
    }
    if rewrite.ask_usage && envelope.text(Name::StreamOptions).is_none() {
        splice.add("stream_options", &asking_usage(default("stream_options").unwrap_or("null")));
    }
    for (key, text) in rewrite.defaults {
        let settled = matches!(&**key, "model" | "stream") || key == "stream_options" && rewrite.ask_usage;
        if !settled && !sent(key) {
            splice.add(key, text);
        }
    }
    splice.finish()
}

/// Fields that say what the gateway has decided, where no other place may say it differently, and LiteLLM's
/// own.
fn is_decided_here(key: &str) -> bool {
    matches!(key, "model" | "stream" | "stream_options" | "extra_body") || is_internal(key.as_bytes())
}

fn change(envelope: &Envelope, rewrite: &Rewrite<'_>, member: &Member) -> Change {
    match member.role() {
        None => match rewrite.previous_response {
            Some(id) if envelope.is(member, PREVIOUS_RESPONSE) => Change::Replace(quoted(id)),
            _ => Change::Keep,
        },
        Some(Role::Read(Name::Stream)) => Change::Keep,
        Some(Role::Read(Name::Model)) => Change::Rename,
        Some(Role::Read(Name::StreamOptions)) if rewrite.ask_usage => {
            Change::Replace(asking_usage(envelope.value(member)))
        }
        Some(Role::Read(Name::StreamOptions)) => Change::Keep,
        Some(Role::Read(Name::Metadata)) => metadata(rewrite.metadata, envelope.value(member)),
        Some(Role::User) if !rewrite.drop_user => Change::Keep,
        Some(_) => Change::Cut,
    }
}

fn metadata(rule: MetadataRule, text: &str) -> Change {
    match rule {
        MetadataRule::Drop => Change::Cut,
        MetadataRule::UserIdOnly => {
            match value::object(text).as_deref().and_then(|object| value::field_of(object, "user_id")) {
                Some(user) => Change::Replace(format!("{{\"user_id\":{user}}}")),
                None => Change::Cut,
            }
        }
        MetadataRule::WithoutTags => match value::object(text) {
            None => Change::Cut,
            Some(Cow::Borrowed(text)) if value::field_of(text, "tags").is_none() => Change::Keep,
            Some(object) => Change::Replace(without(&object, "tags", String::from("{"))),
        },
    }
}

/// Stream options with `include_usage: true` and whatever else was there.
fn asking_usage(options: &str) -> String {
    without(options, "include_usage", String::from("{\"include_usage\":true"))
}

/// The members of an object less one, behind those that `text` begins with.
fn without(object: &str, less: &str, mut text: String) -> String {
    for (key, value) in value::members(object).filter(|(key, _)| key != less) {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&quoted(&key));
        text.push(':');
        text.push_str(value);
    }
    text.push('}');
    text
}

/// A JSON string.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The body under construction. Source text that goes on in one run becomes one piece.
struct Splice<'a> {
    envelope: &'a Envelope,
    small: usize,
    done: Vec<Bytes>,
    text: Vec<u8>,
    run: Range<usize>,
    /// Where the previous field ends, or the inside of the object begins.
    before: usize,
    empty: bool,
}

impl<'a> Splice<'a> {
    fn new(envelope: &'a Envelope) -> Self {
        let inside = envelope.inside as usize;
        let whole = envelope.body.len() <= WHOLE;
        Splice {
            envelope,
            small: if whole { usize::MAX } else { SMALL },
            done: Vec::with_capacity(if whole { 1 } else { 8 }),
            text: Vec::with_capacity(if whole { envelope.body.len() + 128 } else { SMALL }),
            run: 0..inside,
            before: inside,
            empty: true,
        }
    }

    fn keep(&mut self, member: &Member) {
        self.source(member, member.end as usize);
    }

    fn replace(&mut self, member: &Member, text: &str) {
        self.begin(member);
        self.write(text.as_bytes());
    }

    fn cut(&mut self, member: &Member) {
        self.before = member.end as usize;
    }

    /// A field up to its value, which the caller writes.
    fn begin(&mut self, member: &Member) {
        self.source(member, member.value as usize);
        self.before = member.end as usize;
    }

    /// A field behind those so far.
    fn add(&mut self, key: &str, text: &str) {
        self.name(key);
        self.write(text.as_bytes());
    }

    /// The key of a field behind those so far; the caller writes its value.
    fn name(&mut self, key: &str) {
        if !self.empty {
            self.write(b",");
        }
        self.empty = false;
        self.string(key);
        self.write(b":");
    }

    fn string(&mut self, text: &str) {
        if plain_run(text.as_bytes(), 0) == text.len() {
            self.write(b"\"");
            self.write(text.as_bytes());
            self.write(b"\"");
        } else {
            self.write(quoted(text).as_bytes());
        }
    }

    /// Source text from behind the previous field up to `end`: with its comma, if one is wanted.
    fn source(&mut self, member: &Member, end: usize) {
        let first = self.before == self.envelope.inside as usize;
        let from = if self.empty && !first { member.start as usize } else { self.before };
        if !self.empty && first {
            self.write(b",");
        }
        self.empty = false;
        self.take(from..end);
        self.before = end;
    }

    fn take(&mut self, range: Range<usize>) {
        if range.start == self.run.end {
            self.run.end = range.end;
        } else {
            self.settle();
            self.run = range;
        }
    }

    fn write(&mut self, text: &[u8]) {
        self.settle();
        work::step(text.len());
        self.text.extend_from_slice(text);
    }

    /// Moves the run of source text to what is done.
    fn settle(&mut self) {
        let run = std::mem::replace(&mut self.run, 0..0);
        if run.len() < self.small {
            work::step(run.len());
            self.text.extend_from_slice(self.envelope.body.get(run).unwrap_or_default());
        } else {
            if !self.text.is_empty() {
                self.done.push(Bytes::from(std::mem::take(&mut self.text)));
            }
            self.done.push(self.envelope.body.slice(run));
        }
    }

    fn close(&mut self) {
        let end = self.envelope.members.iter().last().map_or(self.envelope.inside, |member| member.end);
        self.take(end as usize..self.envelope.body.len());
        self.settle();
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.close();
        if !self.text.is_empty() {
            self.done.push(Bytes::from(self.text));
        }
        self.done
    }
}
