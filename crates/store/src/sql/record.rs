//! Records as rows: a body of JSON, and the columns beside it, which count where both say something.

use serde::Serialize;
use serde::de::DeserializeOwned;
use tagrail_money::Money;

use super::{Done, Failure, Row};
use crate::{Budget, Key, Tag, Team, Timestamp, User};

/// What every kind of record has.
pub(crate) trait Record: Serialize + DeserializeOwned + Send + Sync {
    fn budget(&mut self) -> &mut Budget;
    fn set(&mut self, spend: Money, version: i64);
}

macro_rules! record {
    ($($of:ty),*) => {$(
        impl Record for $of {
            fn budget(&mut self) -> &mut Budget {
                &mut self.budget
            }

            fn set(&mut self, spend: Money, version: i64) {
                self.spend = spend;
                self.version = version;
            }
        }
    )*};
}
record!(Key, Tag, Team, User);

/// A record from the columns `body, spend, reset_at, version` that begin there; `None` where a join
/// found none.
pub(crate) fn read<R: Record>(row: &Row, at: usize) -> Done<Option<R>> {
    let Some(body) = row.text(at)? else { return Ok(None) };
    let mut record: R = serde_json::from_str(&body).map_err(|error| Failure::unreadable(&error))?;
    record.set(row.money(at + 1)?, row.int(at + 3)?.unwrap_or_default());
    record.budget().reset_at = row.int(at + 2)?.map(Timestamp);
    Ok(Some(record))
}

/// All rows as records.
pub(crate) fn read_all<R: Record>(rows: &[Row]) -> Done<Vec<R>> {
    rows.iter().filter_map(|row| read(row, 0).transpose()).collect()
}

/// The body of a record.
pub(crate) fn body(record: &impl Serialize) -> Done<String> {
    serde_json::to_string(record).map_err(|error| Failure::unreadable(&error))
}

/// A moment for a column.
pub(crate) fn at(time: Option<Timestamp>) -> Option<i64> {
    time.map(|time| time.0)
}
