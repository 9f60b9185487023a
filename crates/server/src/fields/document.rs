//! A JSON object, or a query string, about which there is no doubt: no name stands twice in one object,
//! at whatever depth, and no string holds a NUL, which PostgreSQL cannot store.

use std::fmt;

use http::{StatusCode, Uri};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use tagrail_providers::tree_bytes;

use crate::error::Problem;

/// Bytes that a body may take as a tree, by [`tree_bytes`].
const MAX_TREE: usize = 8 * 1024 * 1024;

/// Most fields of a body.
const MAX_FIELDS: usize = 512;

/// Reads a body that must be an object.
pub(super) fn object(body: &[u8]) -> Result<Map<String, Value>, Problem> {
    if tree_bytes(body) > MAX_TREE {
        let message =
            format!("The body has too many values; they may take {MAX_TREE} bytes of memory (fixed).");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    let text = std::str::from_utf8(body).map_err(|_| refused("The body is not UTF-8."))?;
    if text.trim().is_empty() {
        return Err(refused("The body is empty. Send a JSON object."));
    }
    match serde_json::from_str(text) {
        Ok(Strict(Value::Object(fields))) if fields.len() > MAX_FIELDS => {
            Err(refused(format!("The body has more than {MAX_FIELDS} fields.")))
        }
        Ok(Strict(Value::Object(fields))) => Ok(fields),
        Ok(Strict(_)) => Err(refused("The body is no JSON object.")),
        Err(error) => Err(refused(format!("The body cannot be read as JSON: {error}."))),
    }
}

/// Reads a query string.
pub(super) fn pairs(uri: &Uri) -> Result<Vec<(String, String)>, Problem> {
    axum::extract::Query::try_from_uri(uri)
        .map(|axum::extract::Query(pairs)| pairs)
        .map_err(|error| refused(format!("The query string cannot be read: {error}.")))
}

/// 400: which of the two is meant?
pub(super) fn twice(name: &str) -> Problem {
    refused(format!("`{name}` is there twice.")).param(name.to_owned())
}

fn refused(message: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, message)
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Strict, D::Error> {
        from.deserialize_any(Anything)
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Strict, E> {
        Ok(Strict(Value::Null))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Strict, E> {
        Ok(Strict(Value::Bool(flag)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Strict, E> {
        Ok(Strict(Value::from(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Strict, E> {
        Ok(Strict(Value::from(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Strict, E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("a number that is none"))?;
        Ok(Strict(Value::Number(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Strict, E> {
        no_nul(text)?;
        Ok(Strict(Value::String(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Strict, A::Error> {
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Strict(Value::Array(list)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Strict, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            no_nul(&name)?;
            if object.contains_key(&name) {
                return Err(A::Error::custom(format_args!("`{name}` is there twice")));
            }
            let Strict(value) = entries.next_value()?;
            object.insert(name, value);
        }
        Ok(Strict(Value::Object(object)))
    }
}

fn no_nul<E: Error>(text: &str) -> Result<(), E> {
    if text.contains('\0') { Err(E::custom("a string holds the character NUL")) } else { Ok(()) }
}
