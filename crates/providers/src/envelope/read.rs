//! Reading: the pass over the document, then the shapes of the fields that the gateway uses.

use bytes::Bytes;

use super::field::{self, Name, Role};
use super::member::{Member, Members, NO_ROW};
use super::{Envelope, EnvelopeError, value};
use crate::scan::{Broken, Fault, Found, Scanner, Text, Walk};

/// More fields than any API has, in the body and in its `extra_body`. Merging the two compares all
/// with all, so this bounds what a body can cost.
const MAX_FIELDS: usize = 512;

/// More tags than anybody routes by, in all lists of a body together.
pub(super) const MAX_TAGS: usize = 1024;

/// Longer than any model's name, in bytes.
pub(super) const MAX_MODEL: usize = 1024;

/// More groups than anybody falls back on in one call.
const MAX_FALLBACKS: usize = 32;

pub(super) fn read(body: Bytes) -> Result<Envelope, EnvelopeError> {
    if u32::try_from(body.len()).is_err() {
        return Err(payload("longer than 4 GiB"));
    }
    if simdutf8::basic::from_utf8(&body).is_err() {
        return Err(not_utf8(&body));
    }
    let mut scanner = Scanner::new(&body, 0);
    if scanner.peek() != Some(b'{') {
        return Err(no_object(&body));
    }
    let inside = scanner.at() + 1;
    let mut members = Members::new();
    let mut walk = Walk::new(&body, inside - 1, 1);
    loop {
        match walk.member() {
            Ok(Some(found)) => members.push(member(&body, &found, &members)?),
            Ok(None) if walk.scanner().end().is_ok() => break,
            _ => return Err(invalid(&body, walk.scanner().fault())),
        }
    }
    let mut envelope = Envelope { body, members, inside: inside as u32, tag_count: 0 };
    envelope.tag_count = envelope.check()? as u32;
    Ok(envelope)
}

/// Where a field is, as far as it may be there. Offsets fit: the body is shorter than 4 GiB.
#[inline]
fn member(body: &[u8], found: &Found, before: &Members) -> Result<Member, EnvelopeError> {
    let row = match body.get(found.key.start..found.key.end).and_then(field::find) {
        Some(row) => {
            once(row, before)?;
            row
        }
        None => {
            spelt_plainly(body, found.key, "")?;
            NO_ROW
        }
    };
    if before.count() == MAX_FIELDS {
        return Err(payload("more than 512 fields"));
    }
    Ok(Member {
        start: (found.key.start - 1) as u32,
        key_end: found.key.end as u32,
        value: found.value as u32,
        end: found.end as u32,
        row,
    })
}

/// A field that is read or refused stands there once; what is only cut may be repeated.
fn once(row: u32, before: &Members) -> Result<(), EnvelopeError> {
    match field::field(row) {
        Some(field) if field.role != Role::Cut && before.iter().any(|other| other.row == row) => {
            Err(repeated(field.key))
        }
        _ => Ok(()),
    }
}

/// Refuses a key that is not in the table as it is written, but could be as another parser reads it:
/// that parser must not find a field where the gateway saw none. Besides escapes this means `model`
/// in other letter case, since there are parsers that ignore case.
#[inline]
fn spelt_plainly(body: &[u8], key: Text, within: &str) -> Result<(), EnvelopeError> {
    let written = body.get(key.start..key.end).unwrap_or_default();
    if key.escaped || written.eq_ignore_ascii_case(b"model") {
        return decodes_to_no_field(body, key, within);
    }
    Ok(())
}

#[cold]
fn decodes_to_no_field(body: &[u8], key: Text, within: &str) -> Result<(), EnvelopeError> {
    let quoted = body.get(key.start - 1..key.end + 1).unwrap_or_default();
    let text = value::decoded(std::str::from_utf8(quoted).unwrap_or_default());
    match field::find(text.as_bytes()).and_then(field::field) {
        Some(field) => Err(disguised(&format!("{within}{}", field.key))),
        None if text.eq_ignore_ascii_case("model") => Err(disguised(&format!("{within}model"))),
        None => Ok(()),
    }
}

impl Envelope {
    /// The shapes of all fields that are read; gives the number of tags.
    fn check(&self) -> Result<usize, EnvelopeError> {
        let mut count = 0;
        for member in self.members.iter() {
            if let Some(Role::Read(name)) = member.role() {
                let text = self.value(member);
                if text != "null" {
                    check(name, text, &mut count)?;
                }
            }
        }
        Ok(count)
    }
}

/// The shape of one field that is not null. `count` is of tags, over all fields.
fn check(name: Name, text: &str, count: &mut usize) -> Result<(), EnvelopeError> {
    let first = text.as_bytes().first();
    let wrong = |param, expected| Err(EnvelopeError::shape(param, expected, value::kind(text)));
    match name {
        Name::Model if first != Some(&b'"') => wrong("model", "a string"),
        Name::Model if too_long(text) => Err(long_name("model")),
        Name::Stream if !matches!(first, Some(b't' | b'f')) => wrong("stream", "a boolean"),
        Name::StreamOptions if first != Some(&b'{') => wrong("stream_options", "an object"),
        Name::StreamOptions => single(text, "include_usage", "stream_options.").map(|_| ()),
        Name::Tags => tags(text, "tags", count),
        Name::Metadata => match value::object(text) {
            Some(object) => metadata(&object, "metadata.", count),
            None => Ok(()),
        },
        Name::LitellmMetadata => match value::object(text) {
            Some(object) => metadata(&object, "litellm_metadata.", count),
            None => wrong("litellm_metadata", "an object"),
        },
        Name::NumRetries if text.parse::<u32>().is_err() => wrong("num_retries", "a whole number"),
        Name::Timeout if value::seconds(text).is_none() => wrong("timeout", "a number of seconds"),
        Name::RequestTimeout if value::seconds(text).is_none() => {
            wrong("request_timeout", "a number of seconds")
        }
        Name::StreamTimeout if value::seconds(text).is_none() => {
            wrong("stream_timeout", "a number of seconds")
        }
        Name::Fallbacks => fallbacks(text),
        Name::ExtraBody if first != Some(&b'{') => wrong("extra_body", "an object"),
        Name::ExtraBody => extra_body(text),
        _ => Ok(()),
    }
}

/// A list whose elements are strings; numbers, booleans and nulls among them are left out later.
fn tags(text: &str, param: &str, count: &mut usize) -> Result<(), EnvelopeError> {
    if !text.starts_with('[') {
        return Err(EnvelopeError::shape(param, "a list of strings", value::kind(text)));
    }
    for element in value::elements(text) {
        *count += 1;
        let found = match element.as_bytes().first() {
            Some(b'[') => "a list of lists",
            Some(b'{') => "a list of objects",
            _ if *count > MAX_TAGS => return Err(EnvelopeError::too_many_tags(param)),
            _ => continue,
        };
        return Err(EnvelopeError::shape(param, "a list of strings", found));
    }
    Ok(())
}

fn metadata(object: &str, within: &str, count: &mut usize) -> Result<(), EnvelopeError> {
    match single(object, "tags", within)? {
        Some(text) if text != "null" => tags(text, &format!("{within}tags"), count),
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
            Some(b'{') => named_in(element)?,
            _ => return wrong(&format!("a list with {}", value::kind(element))),
        };
        if count > MAX_FALLBACKS {
            return wrong("a list of more than 32");
        }
    }
    Ok(())
}

/// How many groups an object among the fallbacks names: its `model`, or those of the lists in it.
fn named_in(object: &str) -> Result<usize, EnvelopeError> {
    match value::field_of(object, "model") {
        Some(model) if model.starts_with('"') && too_long(model) => Err(long_name("fallbacks")),
        Some(model) if model.starts_with('"') => Ok(1),
        _ => Ok(value::members(object).map(|(_, names)| value::elements(names).count().max(1)).sum()),
    }
}

/// Whether a JSON string is longer than a model's name may be.
fn too_long(quoted: &str) -> bool {
    quoted.len() > MAX_MODEL + 2 && value::decoded(quoted).len() > MAX_MODEL
}

pub(super) fn long_name(param: &str) -> EnvelopeError {
    EnvelopeError::shape(param, "a name of at most 1024 bytes", "a longer one")
}

/// The value of a key that is read inside an object, where it stands at most once and plainly.
fn single<'a>(object: &'a str, wanted: &str, within: &str) -> Result<Option<&'a str>, EnvelopeError> {
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
        value = object.get(found.value..found.end);
    }
    Ok(value)
}

fn extra_body(object: &str) -> Result<(), EnvelopeError> {
    let (mut seen, mut count) = (Vec::new(), 0);
    let mut walk = Walk::new(object.as_bytes(), 0, 0);
    while let Ok(Some(found)) = walk.member() {
        count += 1;
        if count > MAX_FIELDS {
            let found = "an object of more than 512 fields";
            return Err(EnvelopeError::shape("extra_body", "an object", found));
        }
        match object.as_bytes().get(found.key.start..found.key.end).and_then(field::find) {
            None => spelt_plainly(object.as_bytes(), found.key, "extra_body.")?,
            Some(row) => match field::field(row) {
                Some(field) if seen.contains(&row) => return Err(repeated(field.nested)),
                _ => seen.push(row),
            },
        }
    }
    Ok(())
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

fn invalid(body: &[u8], fault: Fault) -> EnvelopeError {
    payload(&fault.describe(body))
}

fn payload(what: &str) -> EnvelopeError {
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
