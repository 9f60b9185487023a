//! Answers of a gateway for people: rows under titles, and one record line by line.

use serde_json::Value;
use tagrail_store::Timestamp;

/// Rows below their titles, columns as wide as they must be.
pub(crate) fn table<const N: usize>(titles: [&str; N], rows: &[[String; N]]) -> String {
    let titles = titles.map(str::to_owned);
    let all: Vec<&[String; N]> = std::iter::once(&titles).chain(rows).collect();
    let width = |column: usize| all.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..N).map(width).collect();
    all.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
        })
        .collect()
}

/// Lines of a name and what it is; those without anything to say are left out.
pub(crate) fn lines(pairs: &[(&str, String)]) -> String {
    let said: Vec<&(&str, String)> =
        pairs.iter().filter(|(_, text)| !text.is_empty() && text != NONE).collect();
    let width = said.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    said.iter().map(|(name, text)| format!("{name:<width$}  {text}\n")).collect()
}

/// What is not there.
pub(crate) const NONE: &str = "-";

/// A field as text.
pub(crate) fn text(record: &Value, field: &str) -> String {
    shown(record.get(field).unwrap_or(&Value::Null))
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => NONE.to_owned(),
        Value::String(text) if text.is_empty() => NONE.to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => NONE.to_owned(),
        Value::Array(list) => list.iter().map(shown).collect::<Vec<_>>().join(","),
        Value::Object(map) if map.is_empty() => NONE.to_owned(),
        Value::Object(map) => {
            map.iter().map(|(name, value)| format!("{name}={}", shown(value))).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

/// The tags of a team or key: LiteLLM keeps them in `metadata`.
pub(crate) fn tags(record: &Value) -> String {
    shown(record.pointer("/metadata/tags").unwrap_or(&Value::Null))
}

/// A sum of money. One call may cost less than what four places can show, and that is not nothing.
pub(crate) fn usd(sum: f64) -> String {
    if sum == 0.0 || sum >= 0.01 {
        return format!("{sum:.4}");
    }
    let exact = format!("{sum:.8}");
    let exact = exact.trim_end_matches('0');
    if exact.ends_with('.') { "<0.00000001".to_owned() } else { exact.to_owned() }
}

/// `0.0120 of 10 USD each 30d`.
pub(crate) fn spend(record: &Value) -> String {
    let spent = usd(record.get("spend").and_then(Value::as_f64).unwrap_or(0.0));
    let Some(budget) = record.get("max_budget").and_then(Value::as_f64) else { return spent };
    match record.get("budget_duration").and_then(Value::as_str) {
        Some(duration) => format!("{spent} of {budget} each {duration}"),
        None => format!("{spent} of {budget}"),
    }
}

/// `10 rpm, 5000 tpm, 3 at a time`.
pub(crate) fn limits(record: &Value) -> String {
    let of = |field: &str, unit: &str| Some(format!("{} {unit}", record.get(field)?.as_u64()?));
    let limits = [of("rpm_limit", "rpm"), of("tpm_limit", "tpm"), of("max_parallel_requests", "at a time")];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    if limits.is_empty() { NONE.to_owned() } else { limits.join(", ") }
}

/// `blocked`, `expired` or `active`.
pub(crate) fn state(record: &Value) -> String {
    let blocked = record.get("blocked").and_then(Value::as_bool).unwrap_or(false);
    let now = Timestamp::now().to_rfc3339();
    let expired = record.get("expires").and_then(Value::as_str).is_some_and(|moment| moment < now.as_str());
    let state = if blocked {
        "blocked"
    } else if expired {
        "expired"
    } else {
        "active"
    };
    state.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows = [["a".to_owned(), "long".to_owned()], ["bcd".to_owned(), "e".to_owned()]];
        assert_eq!(table(["X", "Y"], &rows), "X    Y\na    long\nbcd  e\n");
    }

    #[test]
    fn a_call_that_cost_little_did_not_cost_nothing() {
        assert_eq!(
            [0.0, 1.25, 0.0012, 5.7e-6, 1e-12].map(usd),
            ["0.0000", "1.2500", "0.0012", "0.0000057", "<0.00000001"]
        );
    }

    #[test]
    fn a_key_whose_time_is_over_is_not_called_active() {
        assert_eq!(state(&json!({"expires": "2020-01-01T00:00:00.000Z"})), "expired");
        assert_eq!(state(&json!({"expires": "9999-01-01T00:00:00.000Z"})), "active");
        assert_eq!(state(&json!({"expires": "2020-01-01T00:00:00.000Z", "blocked": true})), "blocked");
    }

    #[test]
    fn money_and_limits_are_said_in_a_few_words() {
        let record = json!({"spend": 0.5, "max_budget": 10.0, "budget_duration": "30d", "rpm_limit": 3});
        assert_eq!(spend(&record), "0.5000 of 10 each 30d");
        assert_eq!(limits(&record), "3 rpm");
        assert_eq!(tags(&json!({"metadata": {"tags": ["a", "b"]}})), "a,b");
    }
}
