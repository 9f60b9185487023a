//! What `general_settings` says of teams, keys and spend: where they are kept, which tags are reserved,
//! what is paid for models without a price, and for how long rows are kept.

use std::time::Duration;

use tagrail_providers::Secret;

use super::router::Router;
use crate::environment::Environment;
use crate::findings::Findings;
use crate::keys::FALLBACK_PRICE;
use crate::node::{Map, Node};
use crate::reading::Reader;
use crate::settings::PriceOverride;

const SCHEMES: &str = "write `postgres://USER:PASSWORD@HOST/NAME`, or `sqlite:PATH`; without it they are kept in a \
                       file in the data directory";

/// `database_url`. Its text may hold a password, so no sentence repeats it.
pub(super) fn database_url(reader: &mut Reader<'_, '_>) -> Option<Secret> {
    let entry = reader.entry("database_url")?;
    let url = reader.text("database_url")?;
    if url.trim().is_empty() {
        let message = "`database_url` is empty: nothing is started without it".to_owned();
        reader.reject("bad-value", entry.value.at, message, Some(SCHEMES.to_owned()));
        return None;
    }
    if let Some(problem) = unusable(&url) {
        let message = format!("`database_url` {problem}");
        reader.reject("bad-value", entry.value.at, message, Some(SCHEMES.to_owned()));
    }
    Some(Secret::new(url))
}

/// `DATABASE_URL`, which counts where the file names no database.
pub(super) fn database_of(environment: &Environment<'_>, findings: &mut Findings) -> Option<Secret> {
    let url = environment.get("DATABASE_URL")?;
    if url.trim().is_empty() {
        let message = "the environment variable `DATABASE_URL` is empty: nothing is started without it";
        let help = format!("unset it, or {SCHEMES}");
        findings.refuse("bad-value", None, message.to_owned(), Some(help));
        return None;
    }
    if let Some(problem) = unusable(&url) {
        let message = format!("the environment variable `DATABASE_URL` {problem}");
        findings.refuse("bad-value", None, message, Some(SCHEMES.to_owned()));
    }
    Some(Secret::new(url))
}

/// Why teams and keys cannot be kept there.
fn unusable(url: &str) -> Option<String> {
    let at = |scheme: &str| url.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty());
    if at("postgres://") || at("postgresql://") || at("sqlite:") {
        return None;
    }
    let named = url.split_once(':').map(|(scheme, _)| scheme);
    let scheme =
        named.filter(|scheme| scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)));
    Some(match scheme.filter(|scheme| !scheme.is_empty()) {
        Some(scheme) if ["postgres", "postgresql", "sqlite"].contains(&scheme) => {
            format!("says `{scheme}:` and then not which database")
        }
        Some(scheme) => {
            format!("is of the kind `{scheme}:`; teams and keys are kept in PostgreSQL or SQLite")
        }
        None => {
            "is not the address of a database: teams and keys are kept in PostgreSQL or SQLite".to_owned()
        }
    })
}

/// `reserved_tags`, as deployments carry them: without sign and prefix, without `default`.
pub(super) fn reserved_tags(reader: &mut Reader<'_, '_>, router: &Router<'_>) -> Vec<String> {
    let Some(written) = reader.texts("reserved_tags") else { return Vec::new() };
    let items = reader.entry("reserved_tags").and_then(|entry| entry.value.as_list()).unwrap_or_default();
    let mut tags: Vec<String> = Vec::new();
    for (text, node) in written.iter().zip(items) {
        let bare = bare_tag(text, &router.tag_prefix);
        let warned = if bare == "default" {
            let message =
                "`default` cannot be reserved: deployments that carry it serve everybody".to_owned();
            Some((message, "remove it; to close a deployment, take `default` from its tags".to_owned()))
        } else if bare.is_empty() {
            Some(("an empty tag reserves nothing".to_owned(), "remove it".to_owned()))
        } else if bare != text {
            let message =
                format!("`{text}` is not a tag as deployments carry it; `{bare}` is what is reserved");
            Some((message, format!("write `{bare}`: signs and `tag_routing_prefix` are a request's")))
        } else {
            None
        };
        if let Some((message, help)) = warned {
            reader.warn("odd-reservation", node.at, message, Some(help));
        }
        if bare != "default" && !bare.is_empty() && !tags.iter().any(|known| known == bare) {
            tags.push(bare.to_owned());
        }
    }
    tags
}

/// A tag without the spaces, the prefix and the sign that a request may put around it. The prefix comes
/// off before the sign, as it does in routing.
pub(super) fn bare_tag<'a>(text: &'a str, prefix: &str) -> &'a str {
    let text = text.trim();
    let text = text.strip_prefix(prefix).unwrap_or(text);
    text.strip_prefix(['!', '&']).unwrap_or(text).trim()
}

/// `fallback_price`: both prices, or it would hide that one is missing.
pub(super) fn fallback_price(map: &Map, findings: &mut Findings) -> Option<PriceOverride> {
    let mut reader = Reader::new(map, findings);
    let inner = reader.map("fallback_price");
    reader.refuse_wrong();
    let inner = inner?;
    FALLBACK_PRICE.check(inner, findings);
    let mut reader = Reader::new(inner, findings);
    let price = PriceOverride {
        input: reader.number("input_cost_per_token"),
        output: reader.number("output_cost_per_token"),
        ..PriceOverride::default()
    };
    let missing = ["input_cost_per_token", "output_cost_per_token"].into_iter();
    for key in missing.filter(|key| inner.get(key).is_none_or(Node::is_null)) {
        if let Some(at) = map.entry("fallback_price").map(|entry| entry.at) {
            let message = format!("`fallback_price` needs `{key}`");
            let help =
                "write US dollars per token: `{input_cost_per_token: 1e-5, output_cost_per_token: 3e-5}`";
            reader.reject("missing-key", at, message, Some(help.to_owned()));
        }
    }
    reader.refuse_wrong();
    Some(price)
}

/// `maximum_spend_logs_retention_period`: `30d`, `24h`.
pub(super) fn retention(reader: &mut Reader<'_, '_>) -> Option<Duration> {
    kept(reader, "maximum_spend_logs_retention_period")
}

/// How long sums of days are kept where nothing is said: a year can be compared with the one before.
const DAILY: Duration = Duration::from_secs(400 * 86_400);

/// `maximum_daily_spend_retention_period`.
pub(super) fn daily_retention(reader: &mut Reader<'_, '_>) -> Option<Duration> {
    Some(kept(reader, "maximum_daily_spend_retention_period").unwrap_or(DAILY))
}

fn kept(reader: &mut Reader<'_, '_>, key: &'static str) -> Option<Duration> {
    let entry = reader.entry(key)?;
    let period = entry.value.as_text().and_then(period).filter(|period| !period.is_zero());
    if period.is_none() {
        let message = format!("`{key}` is a number and a unit, and more than nothing");
        let help = "write `30d`; the units are s, m, h, d, w and mo (30 days)".to_owned();
        reader.reject("bad-value", entry.value.at, message, Some(help));
    }
    period
}

/// `30d` as a duration.
fn period(text: &str) -> Option<Duration> {
    let text = text.trim();
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "mo" => 30 * 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

/// `spend_journal_sync_interval`; 50 ms.
pub(super) fn journal_sync(reader: &mut Reader<'_, '_>) -> Duration {
    const KEY: &str = "spend_journal_sync_interval";
    let interval = reader.seconds(KEY);
    if let (Some(interval), Some(entry)) = (interval, reader.entry(KEY))
        && interval < Duration::from_millis(1)
    {
        let message = format!("`{KEY}` is at least a millisecond");
        reader.reject("bad-value", entry.value.at, message, Some(format!("write `{KEY}: 0.001` or more")));
    }
    interval.unwrap_or(Duration::from_millis(50))
}
