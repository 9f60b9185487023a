//! Answers of a gateway for people: rows under titles, and one record line by line.

use serde_json::Value;

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

/// `0.0120 of 10 USD each 30d`.
pub(crate) fn spend(record: &Value) -> String {
    let spent = format!("{:.4}", record.get("spend").and_then(Value::as_f64).unwrap_or(0.0));
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

/// `blocked`, or nothing.
pub(crate) fn state(record: &Value) -> String {
    let blocked = record.get("blocked").and_then(Value::as_bool).unwrap_or(false);
    if blocked { "blocked".to_owned() } else { "active".to_owned() }
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
    fn money_and_limits_are_said_in_a_few_words() {
        let record = json!({"spend": 0.5, "max_budget": 10.0, "budget_duration": "30d", "rpm_limit": 3});
        assert_eq!(spend(&record), "0.5000 of 10 each 30d");
        assert_eq!(limits(&record), "3 rpm");
        assert_eq!(tags(&json!({"metadata": {"tags": ["a", "b"]}})), "a,b");
    }
}
