//! What teams and keys have in common on the command line: tags, models, limits, a budget, metadata, and
//! any other field by its name.

use clap::Args;
use serde_json::{Map, Value, json};

use crate::failure::Failure;

/// Fields of a team or key.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct Terms {
    /// A tag that its calls carry and that it holds; may be repeated.
    #[arg(short, long = "tag", value_name = "TAG", allow_hyphen_values = true)]
    tags: Vec<String>,
    /// A model, wildcard or access group that it may use; may be repeated. [default: every model]
    #[arg(short, long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// A name that stands for another model; may be repeated.
    #[arg(long = "model-alias", value_name = "NAME=MODEL")]
    model_aliases: Vec<String>,
    /// US dollars that it may spend.
    #[arg(long, value_name = "USD", allow_negative_numbers = true)]
    max_budget: Option<f64>,
    /// When the budget begins anew: 24h, 7d, 30d, 1mo.
    #[arg(long, value_name = "DURATION")]
    budget_duration: Option<String>,
    /// Requests per minute.
    #[arg(long, value_name = "N")]
    rpm_limit: Option<u64>,
    /// Tokens per minute.
    #[arg(long, value_name = "N")]
    tpm_limit: Option<u64>,
    /// Requests at a time.
    #[arg(long, value_name = "N")]
    max_parallel_requests: Option<u64>,
    /// Anything to remember, as a JSON object.
    #[arg(long, value_name = "JSON")]
    metadata: Option<String>,
    /// Any other field of the API; the value is JSON, or else text. May be repeated.
    #[arg(long = "field", value_name = "NAME=VALUE")]
    fields: Vec<String>,
    /// A field to empty; may be repeated.
    #[arg(long, value_name = "FIELD")]
    clear: Vec<String>,
}

impl Terms {
    /// As a body; `aliases` is what the API calls the aliases there.
    pub(crate) fn body(&self, aliases: &str) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        for name in &self.clear {
            let lists = ["tags", "models", "allowed_routes", "guardrails", "policies"];
            let empty = if lists.contains(&name.as_str()) { json!([]) } else { Value::Null };
            body.insert(name.clone(), empty);
        }
        for (name, list) in [("tags", &self.tags), ("models", &self.models)] {
            if !list.is_empty() {
                body.insert(name.to_owned(), json!(list));
            }
        }
        if !self.model_aliases.is_empty() {
            let pairs: Result<Map<String, Value>, Failure> =
                self.model_aliases.iter().map(|pair| pair_of("--model-alias", pair)).collect();
            body.insert(aliases.to_owned(), Value::Object(pairs?));
        }
        for (name, value) in [
            ("max_budget", self.max_budget.map(|usd| json!(usd))),
            ("budget_duration", self.budget_duration.as_ref().map(|text| json!(text))),
            ("rpm_limit", self.rpm_limit.map(|count| json!(count))),
            ("tpm_limit", self.tpm_limit.map(|count| json!(count))),
            ("max_parallel_requests", self.max_parallel_requests.map(|count| json!(count))),
        ] {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        }
        if let Some(text) = &self.metadata {
            let metadata: Map<String, Value> = serde_json::from_str(text)
                .map_err(|error| Failure::Wrong(format!("--metadata is not a JSON object: {error}")))?;
            body.insert("metadata".to_owned(), Value::Object(metadata));
        }
        for field in &self.fields {
            let (name, text) = pair_of("--field", field)?;
            let text = text.as_str().unwrap_or_default().to_owned();
            body.insert(name, serde_json::from_str(&text).unwrap_or(Value::String(text)));
        }
        Ok(body)
    }
}

fn pair_of(flag: &str, pair: &str) -> Result<(String, Value), Failure> {
    match pair.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.into())),
        _ => Err(Failure::Wrong(format!("{flag} {pair:?} is not of the form NAME=VALUE"))),
    }
}

/// Puts a field into a body, when there is something to say.
pub(crate) fn put(body: &mut Map<String, Value>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        body.insert(name.to_owned(), value.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_json_or_text() {
        let terms = Terms {
            fields: vec!["blocked=true".into(), "x=a=b".into(), "y={\"a\": 1}".into()],
            clear: vec!["tags".into(), "max_budget".into()],
            ..Terms::default()
        };
        let body = Value::Object(terms.body("aliases").unwrap());
        assert_eq!(body, json!({"tags": [], "max_budget": null, "blocked": true, "x": "a=b", "y": {"a": 1}}));
        assert!(Terms::default().body("aliases").unwrap().is_empty());
    }
}
