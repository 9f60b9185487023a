//! Which database it is. A random id is written when the tables are made: a database that was emptied,
//! deleted or exchanged under way has another one or none, and must not be taken for the one that was opened.

use std::sync::{OnceLock, PoisonError, RwLock};

use super::{Done, Failure, Session, values};
use crate::Timestamp;

/// What is said of a database without the tables or the id that it had.
const LOST: &str = "its tables are gone or are those of another store; put back the database \
                               that was there, or restart the gateway to begin with what is there now";

/// The id of the store in this database.
pub(crate) async fn store_id(session: &mut Session) -> Done<Option<String>> {
    let row = session.row("SELECT store_id FROM tagrail_store WHERE id = 1", values![]).await?;
    Ok(row.map_or(Ok(None), |row| row.text(0))?)
}

/// Writes that it is alive, and reads that all tables are there. Gives the id, and when that was
/// written last.
pub(crate) async fn beat(session: &mut Session, now: Timestamp) -> Done<(Option<String>, Timestamp)> {
    let row = session
        .row(
            "SELECT store_id, heartbeat, (SELECT 1 FROM tagrail_keys LIMIT 1), (SELECT 1 FROM tagrail_teams LIMIT 1),
                    (SELECT 1 FROM tagrail_users LIMIT 1), (SELECT 1 FROM tagrail_tags LIMIT 1),
                    (SELECT 1 FROM tagrail_spend LIMIT 1), (SELECT 1 FROM tagrail_daily LIMIT 1),
                    (SELECT value FROM tagrail_generation WHERE id = 1)
             FROM tagrail_store WHERE id = 1",
            values![],
        )
        .await?;
    let Some(row) = row else { return Ok((None, Timestamp::default())) };
    if row.int(8)?.is_none() {
        return Ok((None, Timestamp::default()));
    }
    session.run("UPDATE tagrail_store SET heartbeat = $1 WHERE id = 1", values![now.0]).await?;
    Ok((row.text(0)?, Timestamp(row.int(1)?.unwrap_or_default())))
}

/// What is known of which database it is.
#[derive(Default)]
pub(crate) struct StoreIdentity {
    /// As it was read first.
    expected: OnceLock<String>,
    /// Since it was found to be another.
    lost: RwLock<Option<String>>,
}

impl StoreIdentity {
    /// Whether this is it. The first id ever seen is.
    pub(crate) fn verify(&self, found: Option<String>) -> Done<()> {
        let is_it = found.is_some_and(|found| *self.expected.get_or_init(|| found.clone()) == found);
        if is_it { Ok(()) } else { Err(self.lose()) }
    }

    /// It is not, from now on.
    fn lose(&self) -> Failure {
        let mut lost = self.lost.write().unwrap_or_else(PoisonError::into_inner);
        if lost.is_none() {
            tracing::error!("this is not the database that was opened: {LOST}");
        }
        *lost = Some(LOST.to_owned());
        Failure::Lost(LOST.to_owned())
    }

    /// It is, again.
    pub(crate) fn found(&self) {
        if self.lost.write().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::info!("the database that was opened is there again");
        }
    }

    /// Whether it may be asked.
    pub(crate) fn gate(&self) -> Done<()> {
        let lost = self.lost.read().unwrap_or_else(PoisonError::into_inner);
        lost.as_ref().map_or(Ok(()), |why| Err(Failure::Lost(why.clone())))
    }
}
