//! The trait, over whichever database.

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use tagrail_money::Money;

use super::change::{Writing, changes};
use super::identity::{StoreIdentity, beat};
use super::{Done, Failure, Session, budgets, key, settle, spend, store_id, tag, team, user, values};
use crate::{
    Change, Changes, Condition, Counted, DailyBy, DailyFilter, DailySpend, Deleted, Generation, Identity,
    Key, KeyFilter, Page, Paged, Reserving, Settled, SpendFilter, SpendRow, Store, StoreError, Tag, Team,
    TeamFilter, Timestamp, Unwritable, User,
};

/// What is looked up for a call that waits, and what keeps this process up to date. Longer than this, and the database counts as gone.
const LOOKUP: Duration = Duration::from_secs(2);
/// Everything else, but for whole batches.
const MANAGEMENT: Duration = Duration::from_secs(15);
/// A heartbeat: longer than another process' transaction is waited for.
const HEARTBEAT: Duration = Duration::from_secs(8);
/// Batches of rows.
const BATCH: Duration = Duration::from_secs(60);

/// How often a transaction is tried that others were in the way of.
const TRIES: u32 = 8;

/// What the two databases do differently.
#[async_trait]
pub trait Database: Send + Sync + 'static {
    /// See [`Store::name`].
    fn name(&self) -> &'static str;

    /// A connection to read from, at once or not at all: a call waits for it.
    async fn lookup(&self) -> Result<Session, Failure>;

    /// A connection to read from.
    async fn read(&self) -> Result<Session, Failure>;

    /// A transaction that may write.
    async fn begin(&self) -> Result<Session, Failure>;

    /// Called when a transaction was committed.
    ///
    /// # Errors
    /// It was committed to something that is not the database any more.
    async fn committed(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// See [`Store::notified`].
    async fn notified(&self);

    /// Ends all connections.
    async fn close(&self);
}

/// A store in an SQL database.
pub struct SqlStore<D> {
    database: D,
    identity: StoreIdentity,
}

impl<D: Database> SqlStore<D> {
    pub(crate) fn over(database: D) -> SqlStore<D> {
        SqlStore { database, identity: StoreIdentity::default() }
    }

    /// A transaction that may write, in the database that was opened.
    async fn begin(&self) -> Done<Session> {
        let mut session = self.database.begin().await?;
        match self.verify(&mut session).await {
            Ok(()) => Ok(session),
            Err(failure) => {
                session.rollback().await;
                Err(failure)
            }
        }
    }

    /// Whether this is the database that was opened.
    async fn verify(&self, session: &mut Session) -> Done<()> {
        self.identity.verify(store_id(session).await?)
    }

    async fn beat(&self, now: Timestamp) -> Done<Timestamp> {
        let mut session = self.database.begin().await?;
        let verified = match beat(&mut session, now).await {
            Ok((id, last)) => self.identity.verify(id).map(|()| last),
            Err(failure) => Err(failure),
        };
        match verified {
            Ok(last) => {
                session.commit().await?;
                self.database.committed().await?;
                self.identity.found();
                Ok(last)
            }
            Err(failure) => {
                session.rollback().await;
                Err(failure)
            }
        }
    }
}

/// Runs a future, for at most so long.
async fn within<T>(limit: Duration, work: impl Future<Output = Done<T>>) -> Result<T, StoreError> {
    match tokio::time::timeout(limit, work).await {
        Ok(done) => done.map_err(Failure::told),
        Err(_) => Err(StoreError::Unavailable(format!("no answer in {} seconds", limit.as_secs()))),
    }
}

/// Asks, on a connection of its own.
macro_rules! ask {
    ($self:ident, $session:ident => $work:expr) => {
        ask!($self.read(), MANAGEMENT, $session => $work)
    };
    ($self:ident.$how:ident(), $limit:expr, $session:ident => $work:expr) => {
        within($limit, async {
            $self.identity.gate()?;
            let mut $session = $self.database.$how().await?;
            $work.await
        })
        .await
    };
}

/// Changes, in a transaction; again when it was in the way of others.
macro_rules! change {
    ($self:ident, $writing:ident => $work:expr) => {
        transaction!($self, MANAGEMENT, Writing::begin, $writing => $work)
    };
}

/// The same, whatever the transaction.
macro_rules! transaction {
    ($self:ident, $limit:expr, $begin:path, $writing:ident => $work:expr) => {
        within($limit, async {
            let mut tries = 1;
            loop {
                let tried = async {
                    $self.identity.gate()?;
                    let mut transaction = $begin($self.begin().await?).await?;
                    let done = {
                        let $writing = &mut transaction;
                        $work.await
                    };
                    match done {
                        Ok(done) => {
                            transaction.commit().await?;
                            $self.database.committed().await?;
                            Ok(done)
                        }
                        Err(failure) => {
                            transaction.rollback().await;
                            Err(failure)
                        }
                    }
                }
                .await;
                match tried {
                    Err(failure) if Failure::is_passing(&failure) && tries < TRIES => tries += 1,
                    tried => break tried,
                }
            }
        })
        .await
    };
}

/// A transaction that changes no record, and so has no generation.
async fn plainly(session: Session) -> Done<Session> {
    Ok(session)
}

#[async_trait]
impl<D: Database> Store for SqlStore<D> {
    fn name(&self) -> &'static str {
        self.database.name()
    }

    async fn ping(&self) -> Result<(), StoreError> {
        ask!(self.lookup(), LOOKUP, session => async {
            session.rows("SELECT value FROM tagrail_generation WHERE id = 1", values![]).await?;
            Ok(())
        })
    }

    async fn heartbeat(&self, now: Timestamp) -> Result<Timestamp, Unwritable> {
        let unwritable = |failure: Failure| {
            let condition = failure.condition();
            let why = match failure.told() {
                StoreError::Unavailable(why) | StoreError::Broken(why) => why,
                other => other.to_string(),
            };
            Unwritable { condition, why }
        };
        match tokio::time::timeout(HEARTBEAT, self.beat(now)).await {
            Ok(beaten) => beaten.map_err(unwritable),
            Err(_) => {
                let why = format!("no write within {} seconds", HEARTBEAT.as_secs());
                Err(Unwritable { condition: Condition::Locked, why })
            }
        }
    }

    async fn create_team(&self, team: &Team, reserving: Reserving<'_>) -> Result<(), StoreError> {
        change!(self, writing => team::create(writing, team, reserving))
    }

    async fn update_team(&self, team: &Team, reserving: Reserving<'_>) -> Result<Team, StoreError> {
        change!(self, writing => team::update(writing, team, reserving))
    }

    async fn team(&self, id: &str) -> Result<Option<Team>, StoreError> {
        ask!(self, session => team::get(&mut session, id))
    }

    async fn teams(&self, filter: &TeamFilter, page: Option<Page>) -> Result<Paged<Team>, StoreError> {
        ask!(self, session => team::find(&mut session, filter, page))
    }

    async fn delete_teams(&self, ids: &[String]) -> Result<Deleted, StoreError> {
        change!(self, writing => team::delete(writing, ids))
    }

    async fn create_key(&self, key: &Key) -> Result<(), StoreError> {
        change!(self, writing => key::create(writing, key))
    }

    async fn update_key(&self, key: &Key) -> Result<Key, StoreError> {
        change!(self, writing => key::update(writing, key))
    }

    async fn replace_key(&self, old_hash: &str, key: &Key) -> Result<Key, StoreError> {
        change!(self, writing => key::replace(writing, old_hash, key))
    }

    async fn key(&self, hash: &str) -> Result<Option<Key>, StoreError> {
        ask!(self, session => key::get(&mut session, hash))
    }

    async fn keys(&self, filter: &KeyFilter, page: Option<Page>) -> Result<Paged<Key>, StoreError> {
        ask!(self, session => key::find(&mut session, filter, page))
    }

    async fn delete_keys(&self, hashes: &[String]) -> Result<(), StoreError> {
        change!(self, writing => key::delete(writing, hashes))
    }

    async fn identity(&self, hash: &str) -> Result<Option<Identity>, StoreError> {
        ask!(self.lookup(), LOOKUP, session => async {
            let found = key::identity(&mut session, hash).await?;
            if found.is_none() {
                // A key is refused for good only by the store that would know it.
                self.verify(&mut session).await?;
            }
            Ok(found)
        })
    }

    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        change!(self, writing => user::create(writing, user))
    }

    async fn update_user(&self, user: &User) -> Result<User, StoreError> {
        change!(self, writing => user::update(writing, user))
    }

    async fn user(&self, id: &str) -> Result<Option<User>, StoreError> {
        ask!(self, session => user::get(&mut session, id))
    }

    async fn users(&self, page: Option<Page>) -> Result<Paged<User>, StoreError> {
        ask!(self, session => user::find(&mut session, page))
    }

    async fn delete_users(&self, ids: &[String]) -> Result<Vec<String>, StoreError> {
        change!(self, writing => user::delete(writing, ids))
    }

    async fn create_tag(&self, tag: &Tag) -> Result<(), StoreError> {
        change!(self, writing => tag::create(writing, tag))
    }

    async fn update_tag(&self, tag: &Tag) -> Result<Tag, StoreError> {
        change!(self, writing => tag::update(writing, tag))
    }

    async fn tags(&self, names: Option<&[String]>) -> Result<Vec<Tag>, StoreError> {
        ask!(self.lookup(), LOOKUP, session => tag::find(&mut session, names))
    }

    async fn delete_tag(&self, name: &str) -> Result<(), StoreError> {
        change!(self, writing => tag::delete(writing, name))
    }

    async fn reserved(&self) -> Result<(Generation, Vec<String>), StoreError> {
        ask!(self.lookup(), LOOKUP, session => tag::reserved(&mut session))
    }

    async fn changes(&self, since: Generation) -> Result<Changes, StoreError> {
        ask!(self.lookup(), LOOKUP, session => async {
            let (changes, store) = changes(&mut session, since).await?;
            self.identity.verify(store).map(|()| changes)
        })
    }

    async fn notified(&self) {
        self.database.notified().await;
    }

    async fn settle(&self, rows: &[SpendRow]) -> Result<Settled, StoreError> {
        if rows.is_empty() {
            return Ok(Settled::default());
        }
        transaction!(self, BATCH, plainly, session => settle::settle(session, rows))
    }

    async fn count(&self, counted: &[Counted]) -> Result<(), StoreError> {
        if counted.is_empty() {
            return Ok(());
        }
        transaction!(self, BATCH, plainly, session => settle::count(session, counted))
    }

    async fn spend(&self, filter: &SpendFilter) -> Result<Vec<SpendRow>, StoreError> {
        ask!(self, session => spend::find(&mut session, filter))
    }

    async fn daily(&self, by: DailyBy, filter: &DailyFilter) -> Result<Vec<DailySpend>, StoreError> {
        ask!(self, session => spend::daily(&mut session, by, filter))
    }

    async fn spent(&self, of: &Change) -> Result<Option<Money>, StoreError> {
        ask!(self.lookup(), LOOKUP, session => spend::spent(&mut session, of))
    }

    async fn spent_many(&self, of: &[Change]) -> Result<HashMap<Change, Money>, StoreError> {
        ask!(self.lookup(), LOOKUP, session => spend::spent_many(&mut session, of))
    }

    async fn prune(&self, before: Timestamp, most: u64) -> Result<u64, StoreError> {
        transaction!(self, BATCH, plainly, session => spend::prune(session, before, most))
    }

    async fn prune_daily(&self, before: &str, most: u64) -> Result<u64, StoreError> {
        transaction!(self, BATCH, plainly, session => spend::prune_daily(session, before, most))
    }

    async fn reset_budgets(&self, now: Timestamp) -> Result<Vec<Change>, StoreError> {
        let mut all = Vec::new();
        // Asked first, so as not to count up for nothing; and in batches, so that others write meanwhile.
        while ask!(self, session => budgets::due(&mut session, now))? {
            all.extend(change!(self, writing => budgets::reset(writing, now))?);
        }
        Ok(all)
    }

    async fn correct_resets(&self, now: Timestamp) -> Result<Vec<Change>, StoreError> {
        let (mut all, mut search) = (Vec::new(), budgets::Search::default());
        while let Some(found) = ask!(self, session => budgets::too_far(&mut session, &mut search, now))? {
            if !found.is_empty() {
                all.extend(change!(self, writing => budgets::correct(writing, &found))?);
            }
        }
        Ok(all)
    }

    async fn close(&self) {
        self.database.close().await;
    }
}
