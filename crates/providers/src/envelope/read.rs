//! Reading: the pass over the document, then the shapes of the fields that the gateway uses.

use bytes::Bytes;

use super::field::{self, Name, Role};
use super::member::{Member, Members, NO_ROW};
use super::{Envelope, EnvelopeError, value};
use crate::scan::{Fault, Found, Scanner, Walk};

/// More fields than any API has; what they cost is bounded by it.
const MAX_MEMBERS: usize = 4096;

pub(super) fn read(body: Bytes) -> Result<Envelope, EnvelopeError> {
    if u32::try_from(body.len()).is_err() {
        return Err(payload("longer than 4 GiB"));
    }
    if let Err(error) = simdutf8::basic::from_utf8(&body) {
        return Err(not_utf8(&body, error));
    }
    let mut scanner = Scanner::new(&body, 0);
    match scanner.peek() {
        Some(b'{') => {}
        None => return Err(invalid(&body, scanner.fault("unexpected end of data"))),
        Some(_) => return Err(no_object(&body)),
    }
    let inside = scanner.at() + 1;
    let mut members = Members::new();
    let mut walk = Walk::new(&body, inside - 1, 1);
    while let Some(found) = walk.member().map_err(|fault| invalid(&body, fault))? {
        if members.count() == MAX_MEMBERS {
            return Err(payload("more than 4096 fields"));
        }
        let member = member(&body, &found)?;
        once(&members, &member)?;
        members.push(member);
    }
    walk.into_scanner().end().map_err(|fault| invalid(&body, fault))?;
    let envelope = Envelope { body, members, inside: inside as u32 };
    envelope.check()?;
    Ok(envelope)
}

/// Offsets fit: the body is shorter than 4 GiB.
fn member(body: &[u8], found: &Found) -> Result<Member, EnvelopeError> {
    let row = row(body, found, "")?;
    Ok(Member {
        start: (found.key.start - 1) as u32,
        key_end: found.key.end as u32,
        value: found.value as u32,
        end: found.end as u32,
        row: row.unwrap_or(NO_ROW),
        escaped: found.key.escaped,
    })
}

/// The table's row for a key, which has to be spelt plainly: another parser must not find a field
/// of the gateway's where the gateway saw none. `model` in other letter case is refused too, since
/// parsers exist that ignore case.
fn row(body: &[u8], found: &Found, within: &str) -> Result<Option<u16>, EnvelopeError> {
    let key = body.get(found.key.start..found.key.end).unwrap_or_default();
    let row = field::find(key);
    if row.is_some() || (!found.key.escaped && key.len() != 5) {
        return Ok(row);
    }
    let quoted = body.get(found.key.start - 1..found.key.end + 1).unwrap_or_default();
    let text = value::decoded(std::str::from_utf8(quoted).unwrap_or_default());
    let name = match field::find(text.as_bytes()).and_then(field::field) {
        Some(field) => field.key,
        None if text.eq_ignore_ascii_case("model") => "model",
        None => return Ok(None),
    };
    Err(EnvelopeError {
        message: format!("Invalid request: the key `{within}{name}` must be spelt plainly"),
        param: format!("{within}{name}"),
        status: 400,
    })
}

/// A field that is read or refused stands there once; what is only cut may be repeated.
fn once(members: &Members, member: &Member) -> Result<(), EnvelopeError> {
    let twice = match member.role() {
        None | Some(Role::Cut) => false,
        Some(Role::Read(name)) => members.named(name).is_some(),
        Some(_) => members.iter().any(|other| other.row == member.row),
    };
    match field::field(member.row) {
        Some(field) if twice => Err(repeated(field.key)),
        _ => Ok(()),
    }
}

impl Envelope {
    fn check(&self) -> Result<(), EnvelopeError> {
        for member in self.members.iter() {
            if let Some(Role::Read(name)) = member.role() {
                let text = self.value(member);
                if text != "null" {
                    check(name, text)?;
                }
            }
        }
        Ok(())
    }
}

/// The shape of one field that is not null.
fn check(name: Name, text: &str) -> Result<(), EnvelopeError> {
    let first = text.as_bytes().first();
    let wrong = |param, expected| Err(EnvelopeError::shape(param, expected, value::kind(text)));
    match name {
        Name::Model if first != Some(&b'"') => wrong("model", "a string"),
        Name::Stream if !matches!(first, Some(b't' | b'f')) => wrong("stream", "a boolean"),
        Name::StreamOptions if first != Some(&b'{') => wrong("stream_options", "an object"),
        Name::StreamOptions => plain(text, &["include_usage"], "stream_options."),
        Name::Tags => tags(text, "tags"),
        Name::Metadata => match value::object(text) {
            Some(object) => metadata(&object, "metadata."),
            None => Ok(()),
        },
        Name::LitellmMetadata => match value::object(text) {
            Some(object) => metadata(&object, "litellm_metadata."),
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
fn tags(text: &str, param: &str) -> Result<(), EnvelopeError> {
    if !text.starts_with('[') {
        return Err(EnvelopeError::shape(param, "a list of strings", value::kind(text)));
    }
    match value::elements(text).find(|element| element.starts_with(['[', '{'])) {
        Some(nested) => Err(EnvelopeError::shape(
            param,
            "a list of strings",
            if nested.starts_with('[') { "a list of lists" } else { "a list of objects" },
        )),
        None => Ok(()),
    }
}

fn metadata(object: &str, within: &str) -> Result<(), EnvelopeError> {
    plain(object, &["tags"], within)?;
    match value::field_of(object, "tags") {
        Some(text) if text != "null" => tags(text, &format!("{within}tags")),
        _ => Ok(()),
    }
}

fn fallbacks(text: &str) -> Result<(), EnvelopeError> {
    let expected = "a list of model names or objects";
    match text.as_bytes().first() {
        Some(b'"') => Ok(()),
        Some(b'[') => match value::elements(text).find(|element| !element.starts_with(['"', '{'])) {
            Some(element) => {
                let found = format!("a list with {}", value::kind(element));
                Err(EnvelopeError::shape("fallbacks", expected, &found))
            }
            None => Ok(()),
        },
        _ => Err(EnvelopeError::shape("fallbacks", expected, value::kind(text))),
    }
}

/// The keys that are read inside an object stand there once, without escapes.
fn plain(object: &str, keys: &[&str], within: &str) -> Result<(), EnvelopeError> {
    for key in keys {
        let mut seen = false;
        let mut walk = Walk::new(object.as_bytes(), 0, 0);
        while let Some(found) = walk.member().unwrap_or_default() {
            let quoted = object.get(found.key.start - 1..found.key.end + 1).unwrap_or_default();
            if value::decoded(quoted) != **key {
                continue;
            }
            let name = format!("{within}{key}");
            if found.key.escaped {
                return Err(EnvelopeError {
                    message: format!("Invalid request: the key `{name}` must be spelt plainly"),
                    param: name,
                    status: 400,
                });
            }
            if seen {
                return Err(repeated(&name));
            }
            seen = true;
        }
    }
    Ok(())
}

fn extra_body(object: &str) -> Result<(), EnvelopeError> {
    let mut seen = Vec::new();
    let mut walk = Walk::new(object.as_bytes(), 0, 0);
    while let Some(found) = walk.member().unwrap_or_default() {
        if let Some(row) = row(object.as_bytes(), &found, "extra_body.")? {
            match field::field(row) {
                Some(field) if seen.contains(&row) => return Err(repeated(field.nested)),
                _ => seen.push(row),
            }
        }
    }
    Ok(())
}

fn repeated(key: &str) -> EnvelopeError {
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
fn not_utf8(body: &[u8], _: simdutf8::basic::Utf8Error) -> EnvelopeError {
    let at = std::str::from_utf8(body).map_or_else(|error| error.valid_up_to(), str::len);
    invalid(body, Fault { what: "invalid UTF-8", at })
}

/// Valid JSON of another kind gets a message of its own (row D10); the rest is no JSON.
fn no_object(body: &[u8]) -> EnvelopeError {
    let mut scanner = Scanner::new(body, 0);
    match scanner.value(0).and_then(|()| scanner.end()) {
        Err(fault) => invalid(body, fault),
        Ok(()) => {
            let text = std::str::from_utf8(body).unwrap_or_default().trim_start();
            payload(&format!("the document must be an object, not {}", value::kind(text)))
        }
    }
}
