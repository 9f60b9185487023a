//! When budgets begin anew, and what durations mean. Calendar-aligned, as LiteLLM does it.

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Span, ToSpan, Zoned};

use crate::Timestamp;

/// What a duration is counted in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Month,
}

/// `7d` as 7 and days.
fn parse(text: &str) -> Option<(i64, Unit)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let (times, unit) = match unit {
        "s" => (1, Unit::Second),
        "m" => (1, Unit::Minute),
        "h" => (1, Unit::Hour),
        "d" => (1, Unit::Day),
        "w" => (7, Unit::Day),
        "mo" => (1, Unit::Month),
        _ => return None,
    };
    // A thousand years are enough, and all that follows can be reckoned with.
    let number: i64 = number.parse().ok().filter(|number| (1..=31_536_000_000).contains(number))?;
    Some((number * times, unit))
}

/// How long a duration is, in milliseconds: `30s`, `15m`, `1h`, `7d`, `2w`, `1mo`, which is 30 days
/// here, because a length has no calendar. `None` for anything else, and for nothing at all.
pub fn duration(text: &str) -> Option<i64> {
    let (number, unit) = parse(text)?;
    let unit = match unit {
        Unit::Second => 1000,
        Unit::Minute => 60_000,
        Unit::Hour => 3_600_000,
        Unit::Day => 86_400_000,
        Unit::Month => 30 * 86_400_000,
    };
    number.checked_mul(unit)
}

/// When that long has passed: a month later is the same day of the next one, or its last.
pub fn after(text: &str, now: Timestamp) -> Option<Timestamp> {
    match parse(text)? {
        (months, Unit::Month) => {
            let later = utc(now)?.checked_add(Span::new().try_months(months).ok()?).ok()?;
            Some(stamp(&later))
        }
        _ => {
            let later = now.0.checked_add(duration(text)?)?;
            jiff::Timestamp::from_millisecond(later).ok().map(|_| Timestamp(later))
        }
    }
}

/// When a budget with this duration begins anew, UTC. A day: the next midnight. A week: the next
/// Monday. 30 days or a month: the first of the next. Other days are counted from the last midnight,
/// months from the first of this one. Hours, minutes and seconds end at multiples of themselves,
/// counted from midnight, from the full hour, from the full minute.
pub fn next_reset(text: &str, now: Timestamp) -> Option<Timestamp> {
    let now = utc(now)?;
    let (number, unit) = parse(text)?;
    let midnight = now.with().time(Time::midnight()).build().ok()?;
    let next = match (number, unit) {
        (7, Unit::Day) => {
            let past = i64::from(now.weekday().since(Weekday::Monday));
            midnight.checked_add((7 - past).days()).ok()?
        }
        (30, Unit::Day) => first_of_month(&midnight, 1)?,
        (days, Unit::Day) => midnight.checked_add(Span::new().try_days(days).ok()?).ok()?,
        (months, Unit::Month) => first_of_month(&midnight, months)?,
        (hours, Unit::Hour) => multiple(&midnight, &now, hours.checked_mul(3600)?)?,
        (minutes, Unit::Minute) => {
            let hour = midnight.checked_add(i64::from(now.hour()).hours()).ok()?;
            multiple(&hour, &now, minutes.checked_mul(60)?)?
        }
        (seconds, Unit::Second) => {
            let minute = now.with().second(0).subsec_nanosecond(0).build().ok()?;
            multiple(&minute, &now, seconds)?
        }
    };
    Some(stamp(&next))
}

/// How much clocks of several gateways may differ.
const SKEW: i64 = 5 * 60_000;

/// What a reset should be instead, where it is further ahead than the duration allows: it was computed while
/// a clock was wrong. `None` where it may stay.
pub fn corrected_reset(text: &str, reset_at: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let next = next_reset(text, now)?;
    let latest = after(text, now).map_or(next, |after| after.max(next));
    (reset_at > latest.plus_ms(SKEW)).then_some(next)
}

/// The first moment after `now` that is a multiple of so many seconds from `start`.
fn multiple(start: &Zoned, now: &Zoned, seconds: i64) -> Option<Zoned> {
    let past = now.timestamp().as_second() - start.timestamp().as_second();
    let next = (past / seconds + 1).checked_mul(seconds)?;
    start.checked_add(Span::new().try_seconds(next).ok()?).ok()
}

fn first_of_month(midnight: &Zoned, months: i64) -> Option<Zoned> {
    let first = midnight.with().day(1).build().ok()?;
    first.checked_add(Span::new().try_months(months).ok()?).ok()
}

fn utc(time: Timestamp) -> Option<Zoned> {
    Some(jiff::Timestamp::from_millisecond(time.0).ok()?.to_zoned(TimeZone::UTC))
}

fn stamp(time: &Zoned) -> Timestamp {
    Timestamp(time.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(duration: &str, now: &str) -> Option<String> {
        next_reset(duration, Timestamp::parse(now).unwrap()).map(Timestamp::to_rfc3339)
    }

    #[test]
    fn budgets_begin_anew_where_the_calendar_does() {
        for (duration, now, expected) in [
            ("1d", "2026-11-21T19:42:47Z", "2026-11-22T00:00:00.000Z"),
            ("1d", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00.000Z"),
            // A Saturday, and a Monday.
            ("7d", "2026-11-21T19:42:47Z", "2026-11-23T00:00:00.000Z"),
            ("1w", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00.000Z"),
            ("30d", "2026-11-21T19:42:47Z", "2026-12-01T00:00:00.000Z"),
            ("1mo", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00.000Z"),
            ("3mo", "2026-11-21T19:42:47Z", "2027-02-01T00:00:00.000Z"),
            ("3d", "2026-11-21T19:42:47Z", "2026-11-24T00:00:00.000Z"),
            ("2w", "2026-11-21T19:42:47Z", "2026-12-05T00:00:00.000Z"),
            ("1h", "2026-11-21T19:42:47Z", "2026-11-21T20:00:00.000Z"),
            ("4h", "2026-11-21T19:42:47Z", "2026-11-21T20:00:00.000Z"),
            ("4h", "2026-11-21T20:00:00Z", "2026-11-22T00:00:00.000Z"),
            ("24h", "2026-11-21T19:42:47Z", "2026-11-22T00:00:00.000Z"),
            ("15m", "2026-11-21T19:42:47Z", "2026-11-21T19:45:00.000Z"),
            ("15m", "2026-11-21T23:50:00Z", "2026-11-22T00:00:00.000Z"),
            ("30s", "2026-11-21T19:42:47.5Z", "2026-11-21T19:43:00.000Z"),
            ("30s", "2026-11-21T19:42:30Z", "2026-11-21T19:43:00.000Z"),
        ] {
            assert_eq!(next(duration, now).as_deref(), Some(expected), "{duration} at {now}");
        }
    }

    #[test]
    fn a_duration_has_a_length() {
        assert_eq!(duration("30s"), Some(30_000));
        assert_eq!(duration("15m"), Some(900_000));
        assert_eq!(duration("1h"), Some(3_600_000));
        assert_eq!(duration("7d"), Some(604_800_000));
        assert_eq!(duration("1w"), duration("7d"));
        assert_eq!(duration("1mo"), duration("30d"));
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        let bad = ["", "d", "1", "0d", "-1d", "1.5h", "1y", "abc", "1 d", "9999999999999999999d", "１d"];
        for text in bad {
            assert_eq!(duration(text), None, "{text}");
            assert_eq!(after(text, Timestamp(0)), None, "{text}");
            assert_eq!(next(text, "2026-11-21"), None, "{text}");
        }
        // As a number it can be written, but no calendar reaches so far.
        assert_eq!(next("31536000000mo", "2026-11-21"), None);
        assert_eq!(after("31536000000d", Timestamp(0)), None);
    }

    #[test]
    fn only_a_reset_beyond_its_duration_is_corrected() {
        let time = |text| Timestamp::parse(text).unwrap();
        let now = time("2026-11-21T10:00:00Z");
        for (duration, wrong, right) in [
            ("1d", "2028-01-01T00:00:00Z", "2026-11-22T00:00:00Z"),
            ("1h", "2026-11-21T11:10:00Z", "2026-11-21T11:00:00Z"),
            ("7d", "2026-12-07T00:00:00Z", "2026-11-23T00:00:00Z"),
            ("1mo", "2027-02-01T00:00:00Z", "2026-12-01T00:00:00Z"),
        ] {
            assert_eq!(corrected_reset(duration, time(wrong), now), Some(time(right)), "{duration}");
        }
        // What `next_reset` gives at any time before is never corrected, nor what another gateway's
        // clock gives that is a little ahead.
        for duration in ["90s", "1m", "5h", "1d", "3d", "7d", "30d", "1mo", "2mo"] {
            for minutes in 0..3000 {
                let before = now.plus_ms(-minutes * 60_000);
                let reset_at = next_reset(duration, before.plus_ms(60_000)).unwrap();
                if reset_at > now {
                    assert_eq!(corrected_reset(duration, reset_at, now), None, "{duration} {minutes}");
                }
            }
        }
    }

    #[test]
    fn a_month_after_the_last_of_january_is_the_last_of_february() {
        let time = Timestamp::parse("2027-01-31T10:00:00Z").unwrap();
        assert_eq!(after("1mo", time).unwrap().to_rfc3339(), "2027-02-28T10:00:00.000Z");
        assert_eq!(after("1h", time).unwrap().to_rfc3339(), "2027-01-31T11:00:00.000Z");
    }
}
