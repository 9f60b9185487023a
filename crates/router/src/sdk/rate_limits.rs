//! What a provider says of its limits in the headers of an answer.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use tagrail_providers::retry_after;

/// What the provider said of its own limits. What it did not say is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RateLimits {
    /// Requests.
    pub requests: Window,
    /// Tokens.
    pub tokens: Window,
    /// `retry-after`: seconds, or a moment.
    pub retry_after: Option<Duration>,
}

/// One limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// How many there are in all.
    pub limit: Option<u64>,
    /// How many are left.
    pub remaining: Option<u64>,
    /// Until there are all of them again, from the answer on.
    pub reset: Option<Duration>,
}

impl RateLimits {
    /// Reads OpenAI's `x-ratelimit-*`, which most providers have, and Anthropic's
    /// `anthropic-ratelimit-*`.
    pub fn of(headers: &HeaderMap) -> RateLimits {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let window = |what: &str| {
            let read = |part: &str| {
                text(&format!("x-ratelimit-{part}-{what}"))
                    .or_else(|| text(&format!("anthropic-ratelimit-{what}-{part}")))
            };
            Window {
                limit: read("limit").and_then(count),
                remaining: read("remaining").and_then(count),
                reset: read("reset").and_then(|text| duration(text).or_else(|| until(text))),
            }
        };
        RateLimits {
            requests: window("requests"),
            tokens: window("tokens"),
            retry_after: retry_after(headers).and_then(|time| Duration::try_from_secs_f64(time).ok()),
        }
    }
}

/// Some providers write numbers with a fraction.
fn count(text: &str) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let number: f64 = text.parse().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number as u64)
    })
}

fn seconds(text: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(text.parse().ok()?).ok()
}

/// `6m0s`, `1.5s`, `20ms`, or seconds.
fn duration(text: &str) -> Option<Duration> {
    if let Some(time) = seconds(text) {
        return Some(time);
    }
    let (mut rest, mut total) = (text, Duration::ZERO);
    while !rest.is_empty() {
        let number = rest.find(|sign: char| !sign.is_ascii_digit() && sign != '.')?;
        let (value, behind) = rest.split_at(number);
        let unit = behind.find(|sign: char| sign.is_ascii_digit()).unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit);
        let scale = match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return None,
        };
        let value: f64 = value.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(value * scale).ok()?)?;
        rest = behind;
    }
    (!text.is_empty()).then_some(total)
}

/// Until a moment in RFC 3339; nothing, once it has passed.
fn until(text: &str) -> Option<Duration> {
    let moment = UNIX_EPOCH.checked_add(Duration::from_secs(unix_seconds(text)?))?;
    Some(moment.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Of `2026-02-03T04:05:06Z`; fractions of a second are dropped, and other zones than UTC are not read.
fn unix_seconds(text: &str) -> Option<u64> {
    let text = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
    let (date, time) = text.split_once('T')?;
    let time = time.split_once('.').map_or(time, |(whole, _)| whole);
    let [year, month, day] = parts(date, '-')?;
    let [hour, minute, second] = parts(time, ':')?;
    let is_date = (1970..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 1970 with the year beginning in March, so that the leap day is its last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn parts(text: &str, between: char) -> Option<[u64; 3]> {
    let mut parts = text.split(between).map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pairs = pairs.iter();
        pairs.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn openais_headers_are_read() {
        let limits = RateLimits::of(&headers(&[
            ("x-ratelimit-limit-requests", "5000"),
            ("x-ratelimit-remaining-requests", "4999"),
            ("x-ratelimit-reset-requests", "12ms"),
            ("x-ratelimit-limit-tokens", "800000"),
            ("x-ratelimit-remaining-tokens", "799500.0"),
            ("x-ratelimit-reset-tokens", "6m0.5s"),
            ("retry-after", "3"),
        ]));
        let window = |limit, remaining, ms| Window {
            limit: Some(limit),
            remaining: Some(remaining),
            reset: Some(Duration::from_millis(ms)),
        };
        assert_eq!(limits.requests, window(5000, 4999, 12));
        assert_eq!(limits.tokens, window(800_000, 799_500, 360_500));
        assert_eq!(limits.retry_after, Some(Duration::from_secs(3)));
    }

    #[test]
    fn anthropics_headers_are_read() {
        let limits = RateLimits::of(&headers(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "49"),
            ("anthropic-ratelimit-requests-reset", "1999-12-31T23:59:59Z"),
            ("anthropic-ratelimit-tokens-limit", "40000"),
        ]));
        let passed = Window { limit: Some(50), remaining: Some(49), reset: Some(Duration::ZERO) };
        assert_eq!(limits.requests, passed);
        assert_eq!(limits.tokens.limit, Some(40_000));
    }

    #[test]
    fn a_moment_to_retry_after_is_as_far_from_the_answer_as_it_says() {
        let limits = RateLimits::of(&headers(&[
            ("date", "Wed, 21 Oct 2015 07:28:00 GMT"),
            ("retry-after", "Wed, 21 Oct 2015 07:28:42 GMT"),
        ]));
        assert_eq!(limits.retry_after, Some(Duration::from_secs(42)));
    }

    #[test]
    fn what_is_not_said_is_not_made_up() {
        assert_eq!(RateLimits::of(&HeaderMap::new()), RateLimits::default());
        let limits = RateLimits::of(&headers(&[
            ("x-ratelimit-limit-requests", "many"),
            ("x-ratelimit-reset-requests", "soon"),
            ("x-ratelimit-reset-tokens", "5 apples"),
            ("retry-after", "-1"),
        ]));
        assert_eq!(limits, RateLimits::default());
    }

    #[test]
    fn moments_are_counted_from_1970() {
        assert_eq!(unix_seconds("1970-01-01T00:00:00Z"), Some(0));
        assert_eq!(unix_seconds("2000-03-01T00:00:00Z"), Some(951_868_800));
        assert_eq!(unix_seconds("2024-02-29T12:30:45.5Z"), Some(1_709_209_845));
        assert_eq!(unix_seconds("2024-02-29T12:30:45+01:00"), None);
        assert_eq!(unix_seconds("2024-13-01T00:00:00Z"), None);
    }
}
