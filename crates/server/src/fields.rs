//! What the management routes take: every field with what it may hold and who may write it. Bodies are
//! read by these lists, `/openapi.json` is made from them, and a test writes every field as every role.
//!
//! Map: here the lists and what came of reading by them; `fields/document.rs` JSON without doubt about
//! what it says; `fields/value.rs` whether a value fits; `fields/near.rs` what a misspelt name meant;
//! `fields/limits.rs` and `fields/labels.rs` what teams, keys, users and tags share.

mod document;
pub(crate) mod labels;
pub(crate) mod limits;
mod near;
mod value;

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Body;
use http::{Request, StatusCode, Uri};
use serde_json::{Map, Value, json};
use tagrail::Money;
use tagrail::config::GeneralSettings;
use tagrail_store::Page;

use crate::error::Problem;
use crate::inbound;

/// One field of a body or a query string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// As clients write it.
    pub(crate) name: &'static str,
    /// What it may hold; `null` is always allowed, and means "none".
    pub(crate) holds: Holds,
    /// What it is for, one line for `/openapi.json`.
    pub(crate) says: &'static str,
    /// What becomes of it.
    pub(crate) use_: Use,
}

/// What a field may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A string on one line.
    Text,
    /// A string of any number of lines.
    Prose,
    /// `true` or `false`.
    Flag,
    /// A whole number, zero or more.
    Count,
    /// US dollars, zero or more.
    Money,
    /// A duration: `30s`, `15m`, `1h`, `7d`, `1w`, `1mo`.
    Duration,
    /// A duration, or `-1` for ever.
    Lifetime,
    /// A list of strings.
    Texts,
    /// An object of strings.
    TextMap,
    /// An object of counts.
    CountMap,
    /// An object.
    Object,
    /// A list.
    List,
    /// Anything.
    Any,
    /// One of these strings.
    OneOf(&'static [&'static str]),
}

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// It has its effect.
    Acts,
    /// LiteLLM knows it; it is kept and given back, and has no effect. What that means for whoever
    /// relies on it goes into `warnings` when the field is there and is not empty: "" for nothing.
    Kept(&'static str),
}

/// A field that has its effect.
pub(crate) const fn acts(name: &'static str, holds: Holds, says: &'static str) -> Field {
    Field { name, holds, says, use_: Use::Acts }
}

/// A field that is kept for LiteLLM's sake, with the warning for whoever relies on it.
pub(crate) const fn kept(name: &'static str, holds: Holds, warning: &'static str) -> Field {
    Field { name, holds, says: "Kept and given back; it has no effect here.", use_: Use::Kept(warning) }
}

/// Several lists as one.
macro_rules! lists {
    ($($list:expr),+ $(,)?) => {
        &{
            const ALL: usize = 0 $(+ $list.len())+;
            $crate::fields::joined::<ALL>(&[$($list),+])
        }
    };
}
pub(crate) use lists;

/// What [`lists!`] expands to.
pub(crate) const fn joined<const ALL: usize>(lists: &[&[Field]]) -> [Field; ALL] {
    let mut all = [acts("", Holds::Any, ""); ALL];
    let (mut at, mut list) = (0, 0);
    while list < lists.len() {
        let mut field = 0;
        while field < lists[list].len() {
            all[at] = lists[list][field];
            at += 1;
            field += 1;
        }
        list += 1;
    }
    all
}

/// Entries on one page of a list.
const LARGEST_PAGE: u64 = 100;

/// No list is that long.
const LAST_PAGE: u64 = 1 << 32;

/// A body or a query string as it was asked for: read, checked, nothing in it but known fields.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    /// By name, in the order of the body.
    pub(crate) fields: Map<String, Value>,
    /// For `warnings` of the answer.
    pub(crate) warnings: Vec<String>,
}

impl Asked {
    /// Reads a body by its list of fields.
    ///
    /// # Errors
    /// 400 or 422 that names the field.
    pub(crate) async fn read(
        request: Request<Body>,
        general: &GeneralSettings,
        fields: &[Field],
    ) -> Result<Asked, Problem> {
        let (parts, body) = request.into_parts();
        let (body, _held) = inbound::read_management(&parts.headers, body, general).await?;
        Asked::of(document::object(&body)?, fields)
    }

    /// Reads a query string by its list of fields. A list of strings may be written as a parameter that
    /// repeats.
    ///
    /// # Errors
    /// As [`Asked::read`].
    pub(crate) fn query(uri: &Uri, fields: &[Field]) -> Result<Asked, Problem> {
        let mut named = Map::new();
        for (name, text) in document::pairs(uri)? {
            let holds = fields.iter().find(|field| field.name == name).map_or(Holds::Text, |it| it.holds);
            let value = value::of_text(holds, text);
            match (named.get_mut(&name), value) {
                (None, value) => drop(named.insert(name, value)),
                (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
                (Some(_), _) => return Err(document::twice(&name)),
            }
        }
        Asked::of(named, fields)
    }

    pub(crate) fn of(named: Map<String, Value>, fields: &[Field]) -> Result<Asked, Problem> {
        let mut asked = Asked::default();
        for (name, value) in named {
            let Some(field) = fields.iter().find(|field| field.name == name) else {
                let before = asked.warnings.len();
                asked.warnings.push(near::unknown(&name, fields, before));
                continue;
            };
            let value = value::checked(field, value)?;
            if let Use::Kept(warning) = field.use_
                && !warning.is_empty()
                && !value::is_empty(&value)
            {
                asked.warnings.push(format!("`{name}` is kept, but has no effect here: {warning}"));
            }
            asked.fields.insert(name, value);
        }
        Ok(asked)
    }

    /// Whether a field was written, be it as `null`.
    pub(crate) fn is_there(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// What a field holds; `None` also for `null`.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.fields.get(name).filter(|value| !value.is_null())
    }

    /// A string; of durations and choices too.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.value(name)?.as_str()
    }

    /// A string that must be there and say something.
    ///
    /// # Errors
    /// 422.
    pub(crate) fn needed(&self, name: &'static str) -> Result<&str, Problem> {
        self.text(name).filter(|text| !text.is_empty()).ok_or_else(|| missing(name))
    }

    /// A flag.
    pub(crate) fn flag(&self, name: &str) -> Option<bool> {
        self.value(name)?.as_bool()
    }

    /// A whole number.
    pub(crate) fn count(&self, name: &str) -> Option<u64> {
        self.value(name)?.as_u64()
    }

    /// US dollars.
    pub(crate) fn money(&self, name: &str) -> Option<Money> {
        self.value(name)?.as_f64().map(Money::saturating_from_dollars)
    }

    /// A list of strings.
    pub(crate) fn texts(&self, name: &str) -> Option<Vec<String>> {
        let items = self.value(name)?.as_array()?;
        Some(items.iter().filter_map(|item| Some(item.as_str()?.to_owned())).collect())
    }

    /// An object of strings.
    pub(crate) fn map(&self, name: &str) -> Option<BTreeMap<String, String>> {
        let entries = self.value(name)?.as_object()?.iter();
        Some(entries.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect())
    }

    /// An object of counts.
    pub(crate) fn counts(&self, name: &str) -> Option<BTreeMap<String, u64>> {
        let entries = self.value(name)?.as_object()?.iter();
        Some(entries.filter_map(|(name, value)| Some((name.clone(), value.as_u64()?))).collect())
    }

    /// An object.
    pub(crate) fn object(&self, name: &str) -> Option<&Map<String, Value>> {
        self.value(name)?.as_object()
    }

    /// A string that says something; an empty one is how some clients write none.
    pub(crate) fn said(&self, name: &str) -> Option<String> {
        self.text(name).filter(|text| !text.is_empty()).map(str::to_owned)
    }

    /// Which part of a list is asked for: `page`, and how many there are on one.
    ///
    /// # Errors
    /// 422.
    pub(crate) fn page(&self, size: &'static str, usual: u64) -> Result<Page, Problem> {
        let within = |name: &'static str, usual: u64, most: u64| {
            let asked = self.count(name).unwrap_or(usual);
            if (1..=most).contains(&asked) {
                return Ok(asked);
            }
            let message = format!("`{name}` must be between 1 and {most}.");
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message).param(name))
        };
        Ok(Page { number: within("page", 1, LAST_PAGE)?, size: within(size, usual, LARGEST_PAGE)? })
    }

    /// Takes the fields that are only kept over into a record. What is `null` is forgotten.
    pub(crate) fn keep(&self, fields: &[Field], kept: &mut Map<String, Value>) {
        for field in fields.iter().filter(|field| matches!(field.use_, Use::Kept(_))) {
            match self.fields.get(field.name) {
                None => {}
                Some(Value::Null) => drop(kept.shift_remove(field.name)),
                Some(value) => drop(kept.insert(field.name.to_owned(), value.clone())),
            }
        }
    }

    /// The answer, with `warnings` where there are any.
    pub(crate) fn answered(self, answer: Value) -> Json<Value> {
        Json(self.with_warnings(answer))
    }

    /// The same as a value.
    pub(crate) fn with_warnings(self, mut answer: Value) -> Value {
        if let Some(answer) = answer.as_object_mut().filter(|_| !self.warnings.is_empty()) {
            answer.insert("warnings".to_owned(), json!(self.warnings));
        }
        answer
    }
}

/// 422 for a field that must be there.
pub(crate) fn missing(name: &'static str) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, format!("`{name}` is missing.")).param(name)
}

#[cfg(test)]
mod tests;
