//! The list of models as Anthropic's API has it, for clients that send `anthropic-version`: pages between
//! cursors. The format is that of "List Models" and "Get a Model" in Anthropic's API reference
//! (platform.claude.com/docs/en/api/models-list).

use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tagrail::Operation;

use super::Wanted;
use crate::error::Problem;

/// Models on a page, where the query does not say how many.
const USUAL: usize = 20;
/// The most that a query may ask for.
const MOST: usize = 1000;
/// What the reference has for a model whose day of release is not known.
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// Whether a client speaks Anthropic's API.
pub(super) fn is_meant(headers: &HeaderMap) -> bool {
    headers.contains_key("anthropic-version")
}

/// An error in Anthropic's shape.
pub(super) fn problem(problem: Problem) -> Problem {
    problem.for_operation(Operation::Messages)
}

/// One model.
pub(super) fn entry(name: &str) -> Value {
    json!({ "type": "model", "id": name, "display_name": name, "created_at": EPOCH })
}

/// One page of them.
///
/// # Errors
/// `limit` is no number from 1 to 1000, or a cursor names no model of the list.
pub(super) fn page(names: &[String], wanted: &Wanted) -> Result<Value, Problem> {
    let limit = limit(wanted.limit.as_deref())?;
    let at = |cursor: &str, field: &'static str| {
        names.iter().position(|name| name == cursor).ok_or_else(|| {
            let message = format!("{field}: no model of the list has the id {cursor}");
            Problem::new(StatusCode::BAD_REQUEST, message).param(field)
        })
    };
    let (start, end, has_more) = match (&wanted.after_id, &wanted.before_id) {
        (Some(_), Some(_)) => {
            let message = "after_id and before_id cannot be used together";
            return Err(Problem::new(StatusCode::BAD_REQUEST, message).param("after_id"));
        }
        (None, Some(before)) => {
            let end = at(before, "before_id")?;
            let start = end.saturating_sub(limit);
            (start, end, start > 0)
        }
        (after, None) => {
            let start =
                after.as_deref().map_or(Ok(0), |after| at(after, "after_id").map(|found| found + 1))?;
            let end = start.saturating_add(limit).min(names.len());
            (start, end, end < names.len())
        }
    };
    let page = names.get(start..end).unwrap_or_default();
    Ok(json!({
        "data": page.iter().map(|name| entry(name)).collect::<Vec<_>>(),
        "has_more": has_more,
        "first_id": page.first(),
        "last_id": page.last(),
    }))
}

fn limit(text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(USUAL) };
    let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
    limit.ok_or_else(|| {
        let message = format!("limit: a whole number from 1 to {MOST} is expected");
        Problem::new(StatusCode::BAD_REQUEST, message).param("limit")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Vec<String> {
        (0..5).map(|number| format!("m{number}")).collect()
    }

    fn asked(
        limit: &str,
        after: Option<&str>,
        before: Option<&str>,
    ) -> Result<(Vec<String>, bool), StatusCode> {
        let wanted = Wanted {
            limit: Some(limit.to_owned()),
            after_id: after.map(str::to_owned),
            before_id: before.map(str::to_owned),
            ..Wanted::default()
        };
        let page = page(&names(), &wanted).map_err(|problem| problem.status())?;
        let ids = page["data"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|entry| entry["id"].as_str().unwrap().to_owned());
        let ids: Vec<String> = ids.collect();
        assert_eq!(page["first_id"].as_str(), ids.first().map(String::as_str));
        assert_eq!(page["last_id"].as_str(), ids.last().map(String::as_str));
        Ok((ids, page["has_more"] == json!(true)))
    }

    #[test]
    fn pages_lie_between_their_cursors() {
        for (limit, after, before, expected, has_more) in [
            ("2", None, None, vec!["m0", "m1"], true),
            ("2", Some("m1"), None, vec!["m2", "m3"], true),
            ("2", Some("m3"), None, vec!["m4"], false),
            ("2", Some("m4"), None, vec![], false),
            ("2", None, Some("m4"), vec!["m2", "m3"], true),
            ("2", None, Some("m1"), vec!["m0"], false),
            ("1000", None, None, vec!["m0", "m1", "m2", "m3", "m4"], false),
        ] {
            let expected = expected.into_iter().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(asked(limit, after, before), Ok((expected, has_more)), "{limit} {after:?} {before:?}");
        }
    }

    #[test]
    fn bad_limits_and_cursors_are_refused() {
        for (limit, after, before) in [
            ("0", None, None),
            ("1001", None, None),
            ("-1", None, None),
            ("x", None, None),
            ("1", Some("nobody"), None),
            ("1", None, Some("nobody")),
            ("1", Some("m1"), Some("m3")),
        ] {
            assert_eq!(
                asked(limit, after, before),
                Err(StatusCode::BAD_REQUEST),
                "{limit} {after:?} {before:?}"
            );
        }
    }
}
