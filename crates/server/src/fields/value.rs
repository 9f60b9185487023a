//! Whether a value fits what a field may hold, and what to write instead where it does not.

use http::StatusCode;
use serde_json::{Map, Value};

use crate::error::Problem;
use crate::fields::{Field, Holds};

/// Longest string on one line: an id, an alias, a tag, a model.
const LONGEST_TEXT: usize = 1024;

/// Longest of several lines.
const LONGEST_PROSE: usize = 16 * 1024;

/// Most entries of a list or an object of strings or counts.
const MOST_ENTRIES: usize = 4096;

/// Largest count: what a client's double-precision number still tells from its neighbours, and what
/// the store's integers hold.
const LARGEST_COUNT: u64 = (1 << 53) - 1;

/// Largest sum of money, in dollars: what [`tagrail::Money`] holds.
const LARGEST_SUM: f64 = 9_223_372.0;

/// Checks a value and brings it into its one form.
pub(super) fn checked(field: &Field, value: Value) -> Result<Value, Problem> {
    let name = field.name;
    match (field.holds, value) {
        (_, Value::Null) => Ok(Value::Null),
        (Holds::Any, value) => Ok(value),
        (Holds::Flag, value @ Value::Bool(_))
        | (Holds::Object, value @ Value::Object(_))
        | (Holds::List, value @ Value::Array(_)) => Ok(value),
        (Holds::Count, Value::Number(number)) => count(name, &number),
        (Holds::Money, Value::Number(number)) => money(name, &number),
        (Holds::Text, Value::String(text)) => line(name, &text).map(|()| Value::String(text)),
        (Holds::Prose, Value::String(text)) => prose(name, &text).map(|()| Value::String(text)),
        (Holds::Duration, Value::String(text)) => duration(name, text),
        (Holds::Lifetime, Value::String(text)) if text == "-1" => Ok(Value::String(text)),
        (Holds::Lifetime, Value::String(text)) => duration(name, text),
        (Holds::OneOf(choices), Value::String(text)) => {
            if choices.contains(&text.as_str()) {
                Ok(Value::String(text))
            } else {
                Err(wrong(name, &format!("one of {}", choices.join(", "))))
            }
        }
        (Holds::Texts, Value::Array(items)) => texts(name, items),
        (Holds::TextMap, Value::Object(entries)) => entries_of(name, entries, &|key, value| match value {
            Value::String(text) => line(key, &text).map(|()| Value::String(text)),
            _ => Err(wrong(name, EXAMPLES.text_map)),
        }),
        (Holds::CountMap, Value::Object(entries)) => entries_of(name, entries, &|key, value| match value {
            Value::Number(number) => count(key, &number),
            _ => Err(wrong(name, EXAMPLES.count_map)),
        }),
        (holds, _) => Err(wrong(name, &meant(holds))),
    }
}

struct Examples {
    text_map: &'static str,
    count_map: &'static str,
}

const EXAMPLES: Examples = Examples {
    text_map: "an object of strings, for instance {\"gpt\": \"gpt-4o\"}",
    count_map: "an object of whole numbers, for instance {\"gpt-4o\": 100}",
};

/// What to write.
fn meant(holds: Holds) -> String {
    match holds {
        Holds::Text | Holds::Prose => "a string".to_owned(),
        Holds::Flag => "true or false".to_owned(),
        Holds::Count => "a whole number, zero or more".to_owned(),
        Holds::Money => "a number of US dollars, zero or more".to_owned(),
        Holds::Duration => "a duration as a string, for instance \"30d\"".to_owned(),
        Holds::Lifetime => "a duration as a string, for instance \"30d\", or \"-1\" for ever".to_owned(),
        Holds::Texts => "a list of strings, for instance [\"a\", \"b\"]".to_owned(),
        Holds::TextMap => EXAMPLES.text_map.to_owned(),
        Holds::CountMap => EXAMPLES.count_map.to_owned(),
        Holds::Object => "an object, for instance {}".to_owned(),
        Holds::List => "a list, for instance []".to_owned(),
        Holds::Any => "anything".to_owned(),
        Holds::OneOf(choices) => format!("one of {}", choices.join(", ")),
    }
}

/// What a parameter of a query string says, as what its field may hold. What cannot be that stays a
/// string, and is refused like any other wrong value.
pub(super) fn of_text(holds: Holds, text: String) -> Value {
    let flag = |text: &str| match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" | "t" | "y" => Some(Value::Bool(true)),
        "false" | "0" | "no" | "off" | "f" | "n" => Some(Value::Bool(false)),
        _ => None,
    };
    let read = match holds {
        Holds::Flag => flag(&text),
        Holds::Count | Holds::Money => text.parse::<serde_json::Number>().ok().map(Value::Number),
        Holds::Texts => return Value::Array(vec![Value::String(text)]),
        _ => None,
    };
    read.unwrap_or(Value::String(text))
}

/// Whether nobody can rely on it.
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) | Value::Number(_) => false,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty(),
    }
}

/// A string on one line.
pub(super) fn line(name: &str, text: &str) -> Result<(), Problem> {
    if text.len() > LONGEST_TEXT {
        return Err(too_long(name, LONGEST_TEXT));
    }
    if text.chars().any(char::is_control) {
        return Err(bad(name, format!("`{name}` holds a control character.")));
    }
    Ok(())
}

fn prose(name: &str, text: &str) -> Result<(), Problem> {
    if text.len() > LONGEST_PROSE { Err(too_long(name, LONGEST_PROSE)) } else { Ok(()) }
}

fn too_long(name: &str, limit: usize) -> Problem {
    bad(name, format!("`{name}` is too long; the limit is {limit} bytes."))
}

fn count(name: &str, number: &serde_json::Number) -> Result<Value, Problem> {
    if let Some(count) = number.as_u64() {
        return if count <= LARGEST_COUNT { Ok(Value::from(count)) } else { Err(too_large(name)) };
    }
    let Some(number) = number.as_f64() else { return Err(wrong(name, &meant(Holds::Count))) };
    // Some languages write every number as a float.
    match number {
        number if number < 0.0 => Err(negative(name, number)),
        number if number.fract() != 0.0 => Err(wrong(name, &meant(Holds::Count))),
        number if number > LARGEST_COUNT as f64 => Err(too_large(name)),
        number => Ok(Value::from(number as u64)),
    }
}

fn money(name: &str, number: &serde_json::Number) -> Result<Value, Problem> {
    match number.as_f64() {
        Some(sum) if sum < 0.0 => Err(negative(name, sum)),
        Some(sum) if sum > LARGEST_SUM => {
            let message =
                format!("`{name}` can be {LARGEST_SUM} US dollars at most; leave it out for no limit.");
            Err(bad(name, message))
        }
        Some(sum) => Ok(Value::from(sum)),
        None => Err(wrong(name, &meant(Holds::Money))),
    }
}

fn negative(name: &str, number: f64) -> Problem {
    bad(name, format!("{name} cannot be negative. Received: {number}"))
}

fn too_large(name: &str) -> Problem {
    bad(name, format!("`{name}` is too large."))
}

fn duration(name: &str, text: String) -> Result<Value, Problem> {
    if tagrail_store::duration(&text).is_some() {
        return Ok(Value::String(text));
    }
    let shown: String = text.chars().filter(|character| !character.is_control()).take(32).collect();
    // Whoever mixes up two fields should not find a key in a log of errors.
    let shown = if shown.contains("sk-") { "****".to_owned() } else { shown };
    let message = format!("Invalid {name} '{shown}'. Use a format like '1h', '24h', '7d', or '30d'.");
    Err(bad(name, message))
}

fn texts(name: &str, items: Vec<Value>) -> Result<Value, Problem> {
    if items.len() > MOST_ENTRIES {
        return Err(too_many(name));
    }
    for item in &items {
        match item {
            Value::String(text) => line(name, text)?,
            _ => return Err(wrong(name, &meant(Holds::Texts))),
        }
    }
    Ok(Value::Array(items))
}

/// Checks an object's entries one by one.
fn entries_of(
    name: &str,
    entries: Map<String, Value>,
    each: &dyn Fn(&str, Value) -> Result<Value, Problem>,
) -> Result<Value, Problem> {
    if entries.len() > MOST_ENTRIES {
        return Err(too_many(name));
    }
    let mut checked = Map::new();
    for (key, value) in entries {
        line(name, &key)?;
        let value = each(&format!("{name}.{key}"), value)?;
        checked.insert(key, value);
    }
    Ok(Value::Object(checked))
}

fn too_many(name: &str) -> Problem {
    bad(name, format!("`{name}` has too many entries; the limit is {MOST_ENTRIES}."))
}

/// 400: of the right kind, and still impossible.
pub(super) fn bad(name: &str, message: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, message).param(name.to_owned())
}

/// 422: of the wrong kind.
pub(super) fn wrong(name: &str, meant: &str) -> Problem {
    let message = format!("`{name}` must be {meant}.");
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, message).param(name.to_owned())
}
