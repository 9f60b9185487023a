//! Moments as they are stored.

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The system's clock.
    pub fn now() -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_millisecond())
    }

    /// `2026-11-21T19:42:47.453Z`, as the management API writes times. Out of range: the epoch.
    pub fn to_rfc3339(self) -> String {
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        format!("{time:.3}")
    }

    /// Reads RFC 3339, or `2026-11-21` as its midnight UTC.
    pub fn parse(text: &str) -> Option<Timestamp> {
        if let Ok(time) = text.parse::<jiff::Timestamp>() {
            return Some(Timestamp(time.as_millisecond()));
        }
        let date: jiff::civil::Date = text.parse().ok()?;
        let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
        Some(Timestamp(midnight.timestamp().as_millisecond()))
    }

    /// The day in UTC, `2026-11-21`.
    pub fn day(self) -> String {
        let time = jiff::Timestamp::from_millisecond(self.0).unwrap_or_default();
        time.to_zoned(jiff::tz::TimeZone::UTC).date().to_string()
    }

    /// So many milliseconds later.
    #[must_use]
    pub fn plus_ms(self, milliseconds: i64) -> Timestamp {
        Timestamp(self.0.saturating_add(milliseconds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        let time = Timestamp::parse("2026-11-21T19:42:47.453Z").unwrap();
        assert_eq!(time.to_rfc3339(), "2026-11-21T19:42:47.453Z");
        assert_eq!(time.day(), "2026-11-21");
        assert_eq!(Timestamp::parse("2026-11-21").unwrap().to_rfc3339(), "2026-11-21T00:00:00.000Z");
        assert_eq!(Timestamp::parse("yesterday"), None);
    }
}
