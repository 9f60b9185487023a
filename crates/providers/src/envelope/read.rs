//! Reading: the pass over the document, then the shapes of the fields that the gateway uses.

use bytes::Bytes;

use super::field::{self, Name, Role, Seen};
use super::member::{Key, Member, Members};
use super::{Envelope, EnvelopeError, value};
use crate::scan::{Broken, Fault, Found, Scanner, Text, Walk};
use crate::work;

/// More fields than any API has: in the body, in its `extra_body`, in an object among its `fallbacks`.
pub(super) const MAX_FIELDS: usize = 512;

/// More tags than anybody routes by, in all lists of a body together.
pub(super) const MAX_TAGS: usize = 1024;

/// Longer than any model's name, in bytes.
pub(super) const MAX_MODEL: usize = 1024;

/// More groups than anybody falls back on in one call.
const MAX_FALLBACKS: usize = 32;

/// The longest tag, in bytes.
const MAX_TAG: usize = 1024;

/// The longest key that holds escapes, as it is written. No field that anybody reads has a longer name,
/// and decoding must not make many copies of a body.
const MAX_ESCAPED_KEY: usize = 6 * 1024;

/// The longest metadata that is written as a JSON string, in bytes: it has to be decoded to be read.
const MAX_METADATA_STRING: usize = 64 * 1024;

/// What reading finds out of a body besides where its fields are.
#[derive(Clone, Debug, Default)]
pub(super) struct Facts {
    /// Tags in `tags`, `metadata` and `litellm_metadata`.
    counts: [u32; 3],
    /// Where the lists of tags in the two metadata objects are, from the beginning of each object.
    lists: [Option<(u32, u32)>; 2],
    /// See [`Envelope::steering`].
    pub(super) steering: Vec<&'static str>,
    /// Those of them that stand in `extra_body`.
    nested: Vec<&'static str>,
}

pub(super) fn read(body: Bytes) -> Result<Envelope, EnvelopeError> {
    if u32::try_from(body.len()).is_err() {
        return Err(payload("longer than 4 GiB"));
    }
    work::step(body.len());
    if simdutf8::basic::from_utf8(&body).is_err() {
        return Err(not_utf8(&body));
    }
    let mut scanner = Scanner::new(&body, 0);
    if scanner.peek() != Some(b'{') {
        return Err(no_object(&body));
    }
    let inside = scanner.at() + 1;
    let (mut members, mut seen) = (Members::new(), Seen::default());
    let mut walk = Walk::new(&body, inside - 1, 1);
    loop {
        match walk.member() {
            Ok(Some(found)) => {
                let key = key(&body, found.key, &mut seen, "")?;
                if members.count() == MAX_FIELDS {
                    return Err(too_many_fields());
                }
                members.push(key, member(&found));
            }
            Ok(None) if walk.scanner().end().is_ok() => break,
            _ => return Err(invalid(&body, walk.scanner().fault())),
        }
    }
    let mut envelope = Envelope { body, members, inside: inside as u32, facts: Facts::default() };
    envelope.facts = Facts::of(&envelope)?;
    Ok(envelope)
}

/// Where a field is. Offsets fit: the body is shorter than 4 GiB.
#[inline]
fn member(found: &Found) -> Member {
    Member {
        start: (found.key.start - 1) as u32,
        key_end: found.key.end as u32,
        value: found.value as u32,
        end: found.end as u32,
        row: 0,
    }
}

/// What a key is, as far as it may be there. A field that is read or refused stands there once; what is only
/// cut may be repeated.
///
/// Refuses a key that is not in the table as it is written, but could be as another parser reads it:
/// that parser must not find a field where the gateway saw none. Besides escapes this means `model`
/// in other letter case, since there are parsers that ignore case.
#[inline]
pub(super) fn key(bytes: &[u8], key: Text, seen: &mut Seen, within: &str) -> Result<Key, EnvelopeError> {
    let written = bytes.get(key.start..key.end).unwrap_or_default();
    if key.escaped {
        return escaped(bytes, key, within).map(Key::Escaped);
    }
    if let Some(row) = field::find(written) {
        return match field::field(row) {
            Some(field) if field.role != Role::Cut && seen.again(row) => {
                Err(repeated(&format!("{within}{}", field.key)))
            }
            _ => Ok(Key::Row(row)),
        };
    }
    if written.eq_ignore_ascii_case(b"model") {
        return Err(disguised(&format!("{within}model")));
    }
    Ok(Key::Plain)
}

/// The text of a key that holds escapes.
#[cold]
fn escaped(bytes: &[u8], key: Text, within: &str) -> Result<String, EnvelopeError> {
    let quoted = bytes.get(key.start - 1..key.end + 1).unwrap_or_default();
    if quoted.len() > MAX_ESCAPED_KEY {
        return Err(payload("the name of a field is too long"));
    }
    let text = value::decoded(std::str::from_utf8(quoted).unwrap_or_default());
    match field::find(text.as_bytes()).and_then(field::field) {
        Some(field) => Err(disguised(&format!("{within}{}", field.key))),
        None if text.eq_ignore_ascii_case("model") => Err(disguised(&format!("{within}model"))),
        None => Ok(text.into_owned()),
    }
}

impl Facts {
    /// Checks the shapes of all fields that are read.
    fn of(envelope: &Envelope) -> Result<Facts, EnvelopeError> {
        let mut facts = Facts::default();
        for member in envelope.members.iter() {
            if let Some(Role::Read(name)) = member.role() {
                facts.check(name, envelope.value(member))?;
            }
        }
        facts.steer(envelope);
        Ok(facts)
    }

    /// Checks one field that takes the place of another, or of none.
    pub(super) fn replace(&mut self, name: Name, text: &str) -> Result<(), EnvelopeError> {
        match name {
            Name::Tags => self.counts[0] = 0,
            Name::Metadata => (self.counts[1], self.lists[0]) = (0, None),
            Name::LitellmMetadata => (self.counts[2], self.lists[1]) = (0, None),
            Name::ExtraBody => self.nested.clear(),
            _ => {}
        }
        self.check(name, text)
    }

    /// Gathers the fields that steer, in the order of the body.
    pub(super) fn steer(&mut self, envelope: &Envelope) {
        self.steering.clear();
        for member in envelope.members.iter() {
            match field::field(member.row) {
                Some(field) if field.role == Role::Refuse => self.steering.push(field.key),
                Some(field) if field.role == Role::Steer && !envelope.is_null(member) => {
                    self.steering.push(field.key);
                }
                Some(field) if field.role == Role::Read(Name::ExtraBody) => {
                    self.steering.extend_from_slice(&self.nested);
                }
                _ => {}
            }
        }
    }

    pub(super) fn tag_count(&self) -> usize {
        self.counts.iter().map(|count| *count as usize).sum()
    }

    /// Where the list of tags in a metadata object is.
    pub(super) fn tags_of(&self, name: Name) -> Option<(u32, u32)> {
        self.lists[usize::from(name == Name::LitellmMetadata)]
    }

    fn check(&mut self, name: Name, text: &str) -> Result<(), EnvelopeError> {
        if text == "null" {
            return Ok(());
        }
        match name {
            Name::Tags => self.tags(text, "tags", 0),
            Name::Metadata => self.metadata(text, "metadata", 1),
            Name::LitellmMetadata if !matches!(text.as_bytes().first(), Some(b'{' | b'"')) => {
                Err(EnvelopeError::shape("litellm_metadata", "an object", value::kind(text)))
            }
            Name::LitellmMetadata => self.metadata(text, "litellm_metadata", 2),
            Name::ExtraBody if !text.starts_with('{') => {
                Err(EnvelopeError::shape("extra_body", "an object", value::kind(text)))
            }
            Name::ExtraBody => self.extra_body(text),
            _ => check(name, text),
        }
    }

    /// A list whose elements are strings; numbers, booleans and nulls among them are left out later.
    /// `source` is one of [`Facts::counts`].
    fn tags(&mut self, text: &str, param: &str, source: usize) -> Result<(), EnvelopeError> {
        if !text.starts_with('[') {
            return Err(EnvelopeError::shape(param, "a list of strings", value::kind(text)));
        }
        for element in value::elements(text) {
            self.counts[source] += 1;
            let found = match element.as_bytes().first() {
                Some(b'[') => "a list of lists",
                Some(b'{') => "a list of objects",
                _ if self.tag_count() > MAX_TAGS => return Err(EnvelopeError::too_many_tags(param)),
                Some(b'"') if is_longer(element, MAX_TAG) => {
                    let expected = "a list of strings of at most 1024 bytes each";
                    return Err(EnvelopeError::shape(param, expected, "one with a longer string"));
                }
                _ => continue,
            };
            return Err(EnvelopeError::shape(param, "a list of strings", found));
        }
        Ok(())
    }

    fn metadata(&mut self, text: &str, param: &str, source: usize) -> Result<(), EnvelopeError> {
        if text.starts_with('"') && text.len() > MAX_METADATA_STRING {
            let expected = "an object, or a string of at most 64 KiB";
            return Err(EnvelopeError::shape(param, expected, "a longer string"));
        }
        let Some(object) = value::object(text) else {
            // Anything may be metadata where no provider gets it as it is.
            return match param {
                "metadata" => Ok(()),
                _ => Err(EnvelopeError::shape(param, "an object", value::kind(text))),
            };
        };
        let within = format!("{param}.");
        let Some((from, to)) = single(&object, "tags", &within)? else { return Ok(()) };
        let list = object.get(from..to).unwrap_or_default();
        if list == "null" {
            return Ok(());
        }
        if text.starts_with('{') {
            self.lists[source - 1] = Some((from as u32, to as u32));
        }
        self.tags(list, &format!("{within}tags"), source)
    }

    fn extra_body(&mut self, object: &str) -> Result<(), EnvelopeError> {
        let (mut seen, mut count) = (Seen::default(), 0);
        let mut walk = Walk::new(object.as_bytes(), 0, 0);
        while let Ok(Some(found)) = walk.member() {
            count += 1;
            if count > MAX_FIELDS {
                let found = "an object of more than 512 fields";
                return Err(EnvelopeError::shape("extra_body", "an object", found));
            }
            if let Key::Row(row) = key(object.as_bytes(), found.key, &mut seen, "extra_body.")? {
                let field = field::field(row).filter(|field| field.kept_out_of_extra_body());
                self.nested.extend(field.map(|field| field.nested));
            }
        }
        Ok(())
    }
}

/// The shape of one of the other fields, when it is not null.
fn check(name: Name, text: &str) -> Result<(), EnvelopeError> {
    let first = text.as_bytes().first();
    let wrong = |param, expected| Err(EnvelopeError::shape(param, expected, value::kind(text)));
    match name {
        Name::Model if first != Some(&b'"') => wrong("model", "a string"),
        Name::Model if too_long(text) => Err(long_name("model")),
        Name::Stream if !matches!(first, Some(b't' | b'f')) => wrong("stream", "a boolean"),
        Name::StreamOptions if first != Some(&b'{') => wrong("stream_options", "an object"),
        Name::StreamOptions => single(text, "include_usage", "stream_options.").map(|_| ()),
        Name::NumRetries if text.parse::<u32>().is_err() => wrong("num_retries", "a whole number"),
        Name::Timeout if value::seconds(text).is_none() => wrong("timeout", "a number of seconds"),
        Name::RequestTimeout if value::seconds(text).is_none() => {
            wrong("request_timeout", "a number of seconds")
        }
        Name::StreamTimeout if value::seconds(text).is_none() => {
            wrong("stream_timeout", "a number of seconds")
        }
        Name::Fallbacks => fallbacks(text),
        _ => Ok(()),
    }
}

fn fallbacks(text: &str) -> Result<(), EnvelopeError> {
    let wrong =
        |found: &str| Err(EnvelopeError::shape("fallbacks", "a list of model names or objects", found));
    match text.as_bytes().first() {
        Some(b'"') if too_long(text) => return Err(long_name("fallbacks")),
        Some(b'"') => return Ok(()),
        Some(b'[') => {}
        _ => return wrong(value::kind(text)),
    }
    let mut count = 0;
    for element in value::elements(text) {
        count += match element.as_bytes().first() {
            Some(b'"') if too_long(element) => return Err(long_name("fallbacks")),
            Some(b'"') => 1,
            Some(b'{') => fallback(element)?,
            _ => return wrong(&format!("a list with {}", value::kind(element))),
        };
        if count > MAX_FALLBACKS {
            return wrong("a list of more than 32");
        }
    }
    Ok(())
}

/// Checks the fields of an object among the fallbacks as those of a body. Gives how many groups it names:
/// its `model`, or those of the lists in it.
fn fallback(object: &str) -> Result<usize, EnvelopeError> {
    let (mut seen, mut count) = (Seen::default(), 0);
    let (mut model, mut names, mut any_long) = (None, 0, false);
    let mut walk = Walk::new(object.as_bytes(), 0, 0);
    while let Ok(Some(found)) = walk.member() {
        count += 1;
        if count > MAX_FIELDS {
            let found = "a list with an object of more than 512 fields";
            return Err(EnvelopeError::shape("fallbacks", "a list of model names or objects", found));
        }
        let value = object.get(found.value..found.end).unwrap_or_default();
        if let Key::Row(row) = key(object.as_bytes(), found.key, &mut seen, "fallbacks.")?
            && field::field(row).is_some_and(|field| field.role == Role::Read(Name::Model))
        {
            model = Some(value);
        }
        let mut listed = 0;
        for name in value::elements(value) {
            listed += 1;
            any_long |= name.starts_with('"') && too_long(name);
        }
        names += listed.max(1);
    }
    match model {
        Some(model) if model.starts_with('"') && too_long(model) => Err(long_name("fallbacks")),
        Some(model) if model.starts_with('"') => Ok(1),
        _ if any_long => Err(long_name("fallbacks")),
        _ => Ok(names),
    }
}

/// Whether a JSON string is longer than a model's name may be.
fn too_long(quoted: &str) -> bool {
    is_longer(quoted, MAX_MODEL)
}

/// Whether the text of a JSON string is longer than `most` bytes. An escape spells a byte with six at most.
fn is_longer(quoted: &str, most: usize) -> bool {
    quoted.len() > most + 2 && (quoted.len() > 6 * most + 2 || value::decoded(quoted).len() > most)
}

pub(super) fn long_name(param: &str) -> EnvelopeError {
    EnvelopeError::shape(param, "a name of at most 1024 bytes", "a longer one")
}

/// Where the value of a key is that is read inside an object, in which it stands at most once and plainly.
fn single(object: &str, wanted: &str, within: &str) -> Result<Option<(usize, usize)>, EnvelopeError> {
    let mut value = None;
    let mut walk = Walk::new(object.as_bytes(), 0, 0);
    while let Ok(Some(found)) = walk.member() {
        if value::key(object, found.key).is_none_or(|key| key != wanted) {
            continue;
        }
        if found.key.escaped {
            return Err(disguised(&format!("{within}{wanted}")));
        }
        if value.is_some() {
            return Err(repeated(&format!("{within}{wanted}")));
        }
        value = Some((found.value, found.end));
    }
    Ok(value)
}

pub(super) fn disguised(key: &str) -> EnvelopeError {
    EnvelopeError {
        message: format!("Invalid request: the key `{key}` must be spelt plainly"),
        param: key.to_owned(),
        status: 400,
    }
}

pub(super) fn repeated(key: &str) -> EnvelopeError {
    EnvelopeError {
        message: format!("Invalid request: the key `{key}` is there more than once"),
        param: key.to_owned(),
        status: 400,
    }
}

pub(super) fn too_many_fields() -> EnvelopeError {
    payload("more than 512 fields")
}

pub(super) fn invalid(body: &[u8], fault: Fault) -> EnvelopeError {
    payload(&fault.describe(body))
}

pub(super) fn payload(what: &str) -> EnvelopeError {
    EnvelopeError {
        message: format!("Invalid JSON payload: {what}"),
        param: "request_body".to_owned(),
        status: 400,
    }
}

#[cold]
fn not_utf8(body: &[u8]) -> EnvelopeError {
    let at = std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
    invalid(body, Fault { what: "invalid UTF-8", at })
}

/// Valid JSON of another kind gets a message of its own (row D10); the rest is no JSON.
#[cold]
fn no_object(body: &[u8]) -> EnvelopeError {
    let mut scanner = Scanner::new(body, 0);
    match scanner.value(0).and_then(|()| scanner.end()) {
        Err(Broken) => invalid(body, scanner.fault()),
        Ok(()) => {
            let text = std::str::from_utf8(body).unwrap_or_default().trim_start();
            payload(&format!("the document must be an object, not {}", value::kind(text)))
        }
    }
}
