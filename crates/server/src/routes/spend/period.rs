//! From when to when.

use http::StatusCode;
use tagrail_store::{DailyFilter, Timestamp};

use crate::error::Problem;
use crate::fields::Asked;

const DAY_MS: i64 = 86_400_000;

/// Two moments, the second not included; either may be open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

impl Period {
    /// `start_date` and `end_date`. A day as the end is included, like LiteLLM's.
    pub(super) fn of(asked: &Asked) -> Result<Period, Problem> {
        let from = moment(asked, "start_date")?.map(|(time, _)| time);
        let until = moment(asked, "end_date")?;
        let until = until.map(|(time, is_day)| time.plus_ms(if is_day { DAY_MS } else { 1 }));
        if let (Some(from), Some(until)) = (from, until)
            && from >= until
        {
            let message = "`end_date` is before `start_date`.";
            return Err(Problem::new(StatusCode::BAD_REQUEST, message).param("end_date"));
        }
        Ok(Period { from, until })
    }

    /// The same where both must be there.
    pub(super) fn whole(asked: &Asked) -> Result<Period, Problem> {
        for name in ["start_date", "end_date"] {
            if asked.text(name).is_none_or(str::is_empty) {
                let message = "Please provide start_date and end_date";
                return Err(Problem::new(StatusCode::BAD_REQUEST, message).param(name));
            }
        }
        Period::of(asked)
    }

    /// The last days, where nothing was said.
    pub(super) fn or_last_days(self, days: i64) -> Period {
        match self {
            Period { from: None, until: None } => {
                Period { from: Some(Timestamp::now().plus_ms(-(days - 1) * DAY_MS)), until: None }
            }
            said => said,
        }
    }

    /// The days that it touches.
    pub(super) fn days(self, id: Option<String>) -> DailyFilter {
        DailyFilter {
            from: self.from.map(Timestamp::day),
            until: self.until.map(|until| until.plus_ms(-1).day()),
            id,
            ..DailyFilter::default()
        }
    }
}

/// A moment, and whether it is a day. LiteLLM writes moments with a space too, and means UTC.
fn moment(asked: &Asked, name: &'static str) -> Result<Option<(Timestamp, bool)>, Problem> {
    let Some(text) = asked.text(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    let is_day = text.len() <= 10;
    let written = if is_day { text.to_owned() } else { zoned(text) };
    match Timestamp::parse(&written) {
        Some(time) => Ok(Some((time, is_day))),
        None => {
            let message = format!("`{name}` must be a day, for instance 2026-11-21.");
            Err(Problem::new(StatusCode::BAD_REQUEST, message).param(name))
        }
    }
}

/// With `T` and a zone.
fn zoned(text: &str) -> String {
    let text = text.replacen(' ', "T", 1);
    let time = text.split_once('T').map_or("", |(_, time)| time);
    if time.ends_with(['Z', 'z']) || time.contains(['+', '-']) { text } else { format!("{text}Z") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(start: &str, end: &str) -> Asked {
        let fields = json!({ "start_date": start, "end_date": end });
        Asked { fields: fields.as_object().unwrap().clone(), warnings: Vec::new() }
    }

    #[test]
    fn the_last_day_is_included() {
        let period = Period::whole(&asked("2026-11-01", "2026-11-02")).unwrap();
        assert_eq!(period.until, Timestamp::parse("2026-11-03"));
        let days = period.days(None);
        assert_eq!((days.from.as_deref(), days.until.as_deref()), (Some("2026-11-01"), Some("2026-11-02")));
        let one_day = Period::whole(&asked("2026-11-01", "2026-11-01")).unwrap().days(None);
        assert_eq!(one_day.from, one_day.until);
    }

    #[test]
    fn a_moment_is_read_with_a_space_too() {
        let period = Period::of(&asked("2026-11-01 10:00:00", "2026-11-01T10:00:01Z")).unwrap();
        assert_eq!(period.from, Timestamp::parse("2026-11-01T10:00:00Z"));
        let elsewhere = Period::of(&asked("2026-11-01T10:00:00+01:00", "")).unwrap();
        assert_eq!(elsewhere.from, Timestamp::parse("2026-11-01T09:00:00Z"));
        assert!(period.until.unwrap() > Timestamp::parse("2026-11-01T10:00:01Z").unwrap());
    }

    #[test]
    fn what_is_no_time_names_the_field() {
        for (start, end) in [("yesterday", "2026-11-01"), ("2026-11-01", "x"), ("2026-11-02", "2026-11-01")] {
            assert_eq!(Period::of(&asked(start, end)).unwrap_err().status(), 400, "{start} {end}");
        }
        assert!(Period::whole(&asked("", "2026-11-01")).unwrap_err().message().contains("start_date"));
        assert_eq!(Period::of(&asked("", "")).unwrap(), Period::default());
    }
}
