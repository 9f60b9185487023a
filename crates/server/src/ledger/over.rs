//! Refusals for a limit or a budget, in LiteLLM's words: each names the count that has no room, and
//! when it has some again.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use tagrail::{Money, OverLimit};
use tagrail_store::{Kind, Timestamp};

use super::allowance::Part;
use super::meters::{WINDOW, Window};
use crate::number::python_float;

/// What has run out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Unit {
    /// Requests per minute.
    Requests,
    /// Tokens per minute.
    Tokens,
    /// Places among the calls under way.
    Parallel,
    /// Money.
    Budget,
}

impl Unit {
    /// As LiteLLM calls it in `rate_limit_type`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Unit::Requests => "requests",
            Unit::Tokens => "tokens",
            Unit::Parallel => "max_parallel_requests",
            Unit::Budget => "budget",
        }
    }
}

/// A limit without room.
pub(super) struct Rate<'a> {
    pub(super) unit: Unit,
    pub(super) limit: u64,
    pub(super) used: u64,
    /// What the call would have taken.
    pub(super) more: u64,
    pub(super) window: Window,
    /// There will be room as soon as calls under way have used less than they reserved.
    pub(super) reserved: bool,
    /// When it is a limit for one model within the count.
    pub(super) model: Option<&'a str>,
    pub(super) now: Timestamp,
}

/// Places become free at any moment, and so does what others have reserved: soon enough to ask again.
const SOON: Duration = Duration::from_secs(1);

/// A budget: spent, or (when `reserved`) taken by calls that are under way.
pub(super) fn budget(part: &Part, spent: Money, reserved: bool, now: Timestamp) -> OverLimit {
    let holder_text = match part.kind {
        Kind::Key => "Key",
        Kind::Team => "Team",
        Kind::User => "User",
        Kind::Tag => "Tag",
    };
    let dollars = |amount: Money| {
        let mut text = String::new();
        python_float(&mut text, amount.dollars());
        text
    };
    let max = part.max.unwrap_or_default();
    let mut message = format!(
        "Budget has been exceeded! {holder_text}={} Current cost: {}, Max budget: {}",
        part.name,
        dollars(spent),
        dollars(max)
    );
    let mut headers = vec![(HeaderName::from_static("rate_limit_type"), HeaderValue::from_static("budget"))];
    let reset = part.reset_at.filter(|reset| *reset > now);
    if reserved {
        message.push_str(". What is left is reserved for calls that are under way");
    } else if let Some(reset) = reset {
        let reset = minute(reset);
        message.push_str(&format!(". Budget resets at: {reset}"));
        headers.extend(value("reset_at", &reset));
    }
    let holder = holder(part.kind);
    for (what, amount) in [("limit", max), ("remaining", max.less(spent))] {
        headers.extend(value(&format!("x-ratelimit-{holder}-{what}-budget"), &dollars(amount)));
    }
    let until = reset.map(|reset| Duration::from_millis(reset.0.abs_diff(now.0)));
    let retry_after = if reserved { Some(SOON) } else { until };
    OverLimit { kind: "budget_exceeded", message, retry_after, headers }
}

/// A header, where name and value can be one.
fn value(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((HeaderName::try_from(name).ok()?, HeaderValue::from_str(value).ok()?))
}

/// `2026-11-21 19:43:48 UTC`.
fn minute(time: Timestamp) -> String {
    let text = time.to_rfc3339().replacen('T', " ", 1);
    format!("{} UTC", text.split('.').next().unwrap_or_default())
}

/// Whose a limit is, as LiteLLM calls it.
pub(super) fn holder(kind: Kind) -> &'static str {
    match kind {
        Kind::Key => "api_key",
        Kind::Team => "team",
        Kind::User => "user",
        Kind::Tag => "tag",
    }
}

/// Requests, tokens or places.
pub(super) fn rate(part: &Part, rate: &Rate<'_>) -> OverLimit {
    let Rate { unit, limit, used, more, window, reserved, model, now } = rate;
    let holder = holder(part.kind);
    let count = match model {
        Some(model) => format!("model_per_{}: {}:{model}", holder.trim_start_matches("api_"), part.id),
        None => format!("{holder}: {}", part.id),
    };
    let left = match unit {
        Unit::Parallel => SOON,
        _ if *reserved => SOON,
        _ => until(*window, *now),
    };
    let reset = minute(now.plus_ms(i64::try_from(left.as_millis()).unwrap_or(WINDOW)));
    let remaining = limit.saturating_sub(*used);
    // Who sees that much remains wonders what it was refused for.
    let wanted = match unit {
        Unit::Tokens if *reserved => ". What is left is reserved for calls that are under way".to_owned(),
        Unit::Tokens => {
            format!(", and this call may need {more} tokens (max_tokens says of how many the answer is)")
        }
        _ => String::new(),
    };
    let unit = unit.name();
    let message = format!(
        "Rate limit exceeded for {count}. Limit type: {unit}. Current limit: {limit}, Remaining: {remaining}. \
         Limit resets at: {reset}{wanted}"
    );
    let holder = if model.is_some() {
        format!("model_per_{}", holder.trim_start_matches("api_"))
    } else {
        holder.to_owned()
    };
    let mut headers = vec![
        (HeaderName::from_static("rate_limit_type"), HeaderValue::from_static(unit)),
        (
            HeaderName::from_static("reset_at"),
            HeaderValue::from_str(&reset).unwrap_or(HeaderValue::from_static("")),
        ),
    ];
    for (what, value) in [("limit", *limit), ("remaining", remaining)] {
        let name = format!("x-ratelimit-{holder}-{what}-{unit}");
        headers.extend(HeaderName::try_from(name).ok().map(|name| (name, HeaderValue::from(value))));
    }
    if part.kind == Kind::Key {
        let own =
            [("x-litellm-key-rpm-limit", part.limits.rpm), ("x-litellm-key-tpm-limit", part.limits.tpm)];
        headers
            .extend(own.into_iter().filter_map(|(name, limit)| {
                Some((HeaderName::from_static(name), HeaderValue::from(limit?)))
            }));
    }
    OverLimit { kind: "throttling_error", message, retry_after: Some(left), headers }
}

/// Until a window ends; a whole one where it has not begun, since what is refused then needs more than it
/// ever holds.
fn until(window: Window, now: Timestamp) -> Duration {
    let began = window.began.unwrap_or(now);
    let left = (began.0 + WINDOW - now.0).clamp(1, WINDOW);
    Duration::from_millis(u64::try_from(left).unwrap_or_default())
}
