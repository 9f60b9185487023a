//! One row of LiteLLM's, read as leniently as its own program reads it.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tagrail_money::Money;

use crate::{Budget, Limits, StoreError, Timestamp, next_reset};

/// A row; what is read out of it is taken away, so that the rest can be kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Row(pub(super) Map<String, Value>);

impl Row {
    /// The JSON that PostgreSQL makes of a row.
    pub(super) fn read(text: &str) -> Result<Row, StoreError> {
        let row = serde_json::from_str(text);
        row.map(Row).map_err(|error| StoreError::Broken(format!("a row is not an object: {error}")))
    }

    /// Text, or a number as text; left where it is.
    pub(super) fn id(&self, column: &str) -> Option<String> {
        match self.0.get(column)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Text that says something.
    pub(super) fn text(&mut self, column: &str) -> Option<String> {
        match self.0.remove(column)? {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// A number; a limit of infinity, or of nothing that is a number, is none.
    pub(super) fn number(&mut self, column: &str) -> Option<f64> {
        self.0.remove(column)?.as_f64().filter(|number| number.is_finite())
    }

    /// US dollars; less than none is none.
    pub(super) fn money(&mut self, column: &str) -> Option<Money> {
        self.number(column).map(|dollars| Money::saturating_from_dollars(dollars).max(Money::ZERO))
    }

    /// A whole number from zero.
    pub(super) fn count(&mut self, column: &str) -> Option<u64> {
        whole(&self.0.remove(column)?)
    }

    /// A switch.
    pub(super) fn flag(&mut self, column: &str) -> bool {
        self.0.remove(column).is_some_and(|value| value == Value::Bool(true))
    }

    /// A list of texts; what else is in it is dropped.
    pub(super) fn texts(&mut self, column: &str) -> Vec<String> {
        texts(self.0.remove(column))
    }

    /// A JSON column that holds an object, or a text of one as some clients write it.
    pub(super) fn map(&mut self, column: &str) -> Map<String, Value> {
        match self.0.remove(column) {
            Some(Value::Object(map)) => map,
            Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or_default(),
            _ => Map::new(),
        }
    }

    /// An object of texts.
    pub(super) fn text_map(&mut self, column: &str) -> BTreeMap<String, String> {
        let map = self.map(column).into_iter();
        map.filter_map(|(name, value)| Some((name, value.as_str()?.to_owned()))).collect()
    }

    /// A moment. Prisma's columns have no time zone and mean UTC.
    pub(super) fn moment(&mut self, column: &str) -> Option<Timestamp> {
        let text = self.text(column)?;
        Timestamp::parse(&format!("{text}Z")).or_else(|| Timestamp::parse(&text))
    }

    /// Limits, with those by model that LiteLLM keeps in `metadata`.
    pub(super) fn limits(&mut self, metadata: &mut Map<String, Value>) -> Limits {
        Limits {
            rpm: self.count("rpm_limit"),
            tpm: self.count("tpm_limit"),
            parallel: self.count("max_parallel_requests"),
            model_rpm: counts(metadata.remove("model_rpm_limit")),
            model_tpm: counts(metadata.remove("model_tpm_limit")),
        }
    }

    /// A budget. One that begins anew, and for which nobody has noted when, does so at its next turn.
    pub(super) fn budget(&mut self) -> Budget {
        let duration = self.text("budget_duration");
        let next = || next_reset(duration.as_deref()?, Timestamp::now());
        Budget {
            max: self.money("max_budget"),
            soft: self.money("soft_budget"),
            reset_at: self.moment("budget_reset_at").or_else(next),
            duration,
        }
    }

    /// What is left, without columns that say nothing and without those of the list.
    pub(super) fn rest(self, without: &[&str]) -> Map<String, Value> {
        let says = |value: &Value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Array(list) => !list.is_empty(),
            Value::Object(map) => !map.is_empty(),
            Value::String(text) => !text.is_empty(),
            _ => true,
        };
        self.0.into_iter().filter(|(name, value)| says(value) && !without.contains(&name.as_str())).collect()
    }
}

/// The tags of `metadata`, taken out of it.
pub(super) fn tags(metadata: &mut Map<String, Value>) -> Vec<String> {
    let mut tags = Vec::new();
    for tag in texts(metadata.remove("tags")) {
        if !tag.trim().is_empty() && !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    tags
}

fn texts(value: Option<Value>) -> Vec<String> {
    let Some(Value::Array(list)) = value else { return Vec::new() };
    let text = |value: Value| if let Value::String(text) = value { Some(text) } else { None };
    list.into_iter().filter_map(text).collect()
}

fn counts(value: Option<Value>) -> BTreeMap<String, u64> {
    let Some(Value::Object(map)) = value else { return BTreeMap::new() };
    map.into_iter().filter_map(|(name, value)| Some((name, whole(&value)?))).collect()
}

/// Below zero nothing gets through, and nothing does at zero.
fn whole(value: &Value) -> Option<u64> {
    let of_float = || value.as_f64().filter(|number| *number < 9e15).map(|number| number.max(0.0) as u64);
    value.as_u64().or_else(of_float)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_read_as_leniently_as_they_were_written() {
        let mut row = Row::read(
            r#"{"a": "2026-11-21T19:42:47.453", "b": "2026-11-21T19:42:47.453+00:00", "c": "{\"x\": \"y\"}",
                "d": {"x": 1, "z": "w"}, "e": -1, "f": "Infinity", "g": -2.5, "h": [1, "t"], "i": 1e3, "j": null}"#,
        )
        .unwrap();
        assert_eq!(row.moment("a"), row.moment("b"));
        assert_eq!(row.map("c")["x"], "y");
        assert_eq!(row.text_map("d").into_iter().collect::<Vec<_>>(), [("z".to_owned(), "w".to_owned())]);
        assert_eq!(row.count("e"), Some(0));
        assert_eq!(row.number("f"), None);
        assert_eq!(row.money("g"), Some(Money::ZERO));
        assert_eq!(row.texts("h"), ["t"]);
        assert_eq!(row.count("i"), Some(1000));
        assert_eq!(row.text("not there"), None);
        assert_eq!(row.rest(&[]).len(), 0);
    }

    #[test]
    fn a_budget_without_a_moment_begins_anew_at_its_next_turn() {
        let mut row =
            Row::read(r#"{"max_budget": 1, "budget_duration": "30d", "budget_reset_at": null}"#).unwrap();
        assert!(row.budget().reset_at > Some(Timestamp::now()));
        let mut row = Row::read(r#"{"max_budget": 1, "budget_duration": "soon"}"#).unwrap();
        assert_eq!(row.budget().reset_at, None);
    }
}
