//! A body with some of its fields replaced: what a fallback is asked with. It is put together out of what
//! was read before, so that only what is new is scanned.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;

use super::field::{self, Name, Role, Seen};
use super::member::{Key, Member, Members};
use super::read::{MAX_FIELDS, invalid, key, payload, too_many_fields};
use super::{Envelope, EnvelopeError};
use crate::scan::{Scanner, Walk};
use crate::work;

/// A field to be put in.
struct New<'a> {
    row: Option<u32>,
    /// Its key, quotes included, as it is written.
    written: &'a str,
    /// Its key; owned where it holds escapes.
    text: Cow<'a, str>,
    value: &'a str,
}

pub(super) fn overridden(envelope: &Envelope, object: &str) -> Result<Envelope, EnvelopeError> {
    let fields = fields(object)?;
    let mut facts = envelope.facts.clone();
    for new in &fields {
        if let Some(Role::Read(name)) = role(new.row) {
            facts.replace(name, new.value)?;
        }
    }
    if facts.tag_count() > Envelope::MAX_TAGS {
        return Err(EnvelopeError::too_many_tags("fallbacks"));
    }
    // Of several with one name the last counts, in the place of the first, as parsers have it.
    let places: HashMap<&str, usize> = fields.iter().enumerate().map(|(at, new)| (&*new.text, at)).collect();
    let mut done = vec![false; fields.len()];
    let mut building = Building::new(envelope);
    for member in envelope.members.iter().filter(|member| !is_fallbacks(member.role())) {
        match places.get(envelope.key(member)) {
            Some(at) if std::mem::replace(&mut done[*at], true) => {}
            Some(at) => building.add(&fields[*at])?,
            None => building.keep(member)?,
        }
    }
    for new in &fields {
        let at = places.get(&*new.text).copied().unwrap_or_default();
        if !std::mem::replace(&mut done[at], true) {
            building.add(&fields[at])?;
        }
    }
    let mut envelope = building.finish(facts.clone())?;
    facts.steer(&envelope);
    envelope.facts = facts;
    Ok(envelope)
}

/// The fields of an object, but for `model` and `fallbacks`.
fn fields(object: &str) -> Result<Vec<New<'_>>, EnvelopeError> {
    let bytes = object.as_bytes();
    let mut scanner = Scanner::new(bytes, 0);
    if scanner.peek() != Some(b'{') {
        return Err(payload("a fallback must be a name or an object"));
    }
    let (mut fields, mut seen) = (Vec::new(), Seen::default());
    let mut walk = Walk::new(bytes, scanner.at(), 1);
    loop {
        let found = match walk.member() {
            Ok(Some(found)) => found,
            Ok(None) if walk.scanner().end().is_ok() => return Ok(fields),
            _ => return Err(invalid(bytes, walk.scanner().fault())),
        };
        let slice = |from: usize, to: usize| object.get(from..to).unwrap_or_default();
        let plain = slice(found.key.start, found.key.end);
        let (row, text) = match key(bytes, found.key, &mut seen, "fallbacks.")? {
            Key::Row(row) => (Some(row), Cow::Borrowed(plain)),
            Key::Plain => (None, Cow::Borrowed(plain)),
            Key::Escaped(text) => (None, Cow::Owned(text)),
        };
        if fields.len() == MAX_FIELDS {
            return Err(too_many_fields());
        }
        if !is_fallbacks(role(row)) && role(row) != Some(Role::Read(Name::Model)) {
            let written = slice(found.key.start - 1, found.key.end + 1);
            fields.push(New { row, written, text, value: slice(found.value, found.end) });
        }
    }
}

fn role(row: Option<u32>) -> Option<Role> {
    row.and_then(field::field).map(|field| field.role)
}

fn is_fallbacks(role: Option<Role>) -> bool {
    role == Some(Role::Read(Name::Fallbacks))
}

/// The body under construction, and where its fields are.
struct Building<'a> {
    from: &'a Envelope,
    body: Vec<u8>,
    members: Members,
}

impl<'a> Building<'a> {
    fn new(from: &'a Envelope) -> Self {
        let mut body = Vec::with_capacity(from.body.len());
        body.push(b'{');
        Building { from, body, members: Members::new() }
    }

    /// A field of the body, as it is.
    fn keep(&mut self, member: &Member) -> Result<(), EnvelopeError> {
        let from = self.from;
        let key = match (from.members.escaped(member), field::field(member.row)) {
            (Some(text), _) => Key::Escaped(text.to_owned()),
            (None, Some(_)) => Key::Row(member.row),
            (None, None) => Key::Plain,
        };
        let slice = |from: u32, to: u32| self.from.body.get(from as usize..to as usize).unwrap_or_default();
        let (written, value) = (slice(member.start, member.key_end + 1), slice(member.value, member.end));
        self.push(key, written, value)
    }

    fn add(&mut self, new: &New<'_>) -> Result<(), EnvelopeError> {
        let key = match (new.row, &new.text) {
            (Some(row), _) => Key::Row(row),
            (None, Cow::Owned(text)) => Key::Escaped(text.clone()),
            (None, Cow::Borrowed(_)) => Key::Plain,
        };
        self.push(key, new.written.as_bytes(), new.value.as_bytes())
    }

    fn push(&mut self, key: Key, written: &[u8], value: &[u8]) -> Result<(), EnvelopeError> {
        if self.members.count() == MAX_FIELDS {
            return Err(too_many_fields());
        }
        work::step(written.len() + value.len());
        if self.members.count() > 0 {
            self.body.push(b',');
        }
        let start = self.body.len() as u32;
        self.body.extend_from_slice(written);
        let key_end = self.body.len() as u32 - 1;
        self.body.push(b':');
        let at = self.body.len() as u32;
        self.body.extend_from_slice(value);
        let end = self.body.len() as u32;
        self.members.push(key, Member { start, key_end, value: at, end, row: 0 });
        Ok(())
    }

    fn finish(mut self, facts: super::Facts) -> Result<Envelope, EnvelopeError> {
        self.body.push(b'}');
        if u32::try_from(self.body.len()).is_err() {
            return Err(payload("longer than 4 GiB"));
        }
        Ok(Envelope { body: Bytes::from(self.body), members: self.members, inside: 1, facts })
    }
}
