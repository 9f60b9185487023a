//! The trait that both back ends keep.

use std::collections::HashMap;

use async_trait::async_trait;
use tagrail_money::Money;

use crate::{
    Change, Changes, Counted, DailyBy, DailyFilter, DailySpend, Deleted, Generation, Identity, Key,
    KeyFilter, Settled, SpendFilter, SpendRow, StoreError, Tag, Team, TeamFilter, Timestamp, Unwritable,
    User,
};

/// Which part of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub number: u64,
    /// Rows in one.
    pub size: u64,
}

/// A part of a list, and how long the list is.
#[derive(Clone, Debug, PartialEq)]
pub struct Paged<T> {
    /// This part.
    pub items: Vec<T>,
    /// All of it.
    pub total: u64,
}

/// Tags that a grant to a team reserves, in the same transaction: those without sign and prefix, and
/// without `default`. A tag of which nothing was decided becomes reserved; one that was decided stays.
pub type Reserving<'a> = &'a [String];

/// Where teams, keys, users, tags and spend are kept. Every method that changes something has
/// committed and synced it when it returns, and counts the generation up in the same transaction.
///
/// Errors are those of [`StoreError`]; each method says which besides `Unavailable` and `Broken`.
#[async_trait]
pub trait Store: Send + Sync {
    /// `sqlite` or `postgresql`.
    fn name(&self) -> &'static str;

    /// Whether it answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Writes one small row, so that it is known that changes are taken, and that this is still the database
    /// that was opened. Gives when that was done last, by whichever process, from its clock.
    ///
    /// # Errors
    /// Changes are not taken, and why.
    async fn heartbeat(&self, now: Timestamp) -> Result<Timestamp, Unwritable>;

    /// Adds a team, with its tags reserved. `Taken`.
    async fn create_team(&self, team: &Team, reserving: Reserving<'_>) -> Result<(), StoreError>;

    /// Writes a team back, all but `spend`; `version` must be the one that was read. `Missing`,
    /// `Conflict`. Returns it as it is now.
    async fn update_team(&self, team: &Team, reserving: Reserving<'_>) -> Result<Team, StoreError>;

    /// One team.
    async fn team(&self, id: &str) -> Result<Option<Team>, StoreError>;

    /// Teams, oldest first.
    async fn teams(&self, filter: &TeamFilter, page: Option<Page>) -> Result<Paged<Team>, StoreError>;

    /// Takes teams and all of their keys away, or nothing: `Missing`.
    async fn delete_teams(&self, ids: &[String]) -> Result<Deleted, StoreError>;

    /// Adds a key. `Taken` (`key`, `key_alias`), `Missing` (`team_id`).
    async fn create_key(&self, key: &Key) -> Result<(), StoreError>;

    /// Writes a key back, all but `spend`. `Missing`, `Conflict`, `Taken` (`key_alias`).
    async fn update_key(&self, key: &Key) -> Result<Key, StoreError>;

    /// Gives a key another hash and name, and with it all else that `key` says; what it has spent goes
    /// with it. The old hash opens nothing from then on. `Missing`, `Conflict`, `Taken`.
    async fn replace_key(&self, old_hash: &str, key: &Key) -> Result<Key, StoreError>;

    /// One key, by its hash in hex.
    async fn key(&self, hash: &str) -> Result<Option<Key>, StoreError>;

    /// Keys, oldest first.
    async fn keys(&self, filter: &KeyFilter, page: Option<Page>) -> Result<Paged<Key>, StoreError>;

    /// Takes keys away by hash, or nothing: `Missing`.
    async fn delete_keys(&self, hashes: &[String]) -> Result<(), StoreError>;

    /// All that a key stands for.
    async fn identity(&self, hash: &str) -> Result<Option<Identity>, StoreError>;

    /// Adds a user. `Taken`.
    async fn create_user(&self, user: &User) -> Result<(), StoreError>;

    /// Writes a user back, all but `spend`. `Missing`, `Conflict`.
    async fn update_user(&self, user: &User) -> Result<User, StoreError>;

    /// One user.
    async fn user(&self, id: &str) -> Result<Option<User>, StoreError>;

    /// Users, oldest first.
    async fn users(&self, page: Option<Page>) -> Result<Paged<User>, StoreError>;

    /// Takes users and their keys away, or nothing: `Missing`. Returns the hashes of the keys.
    async fn delete_users(&self, ids: &[String]) -> Result<Vec<String>, StoreError>;

    /// Adds a tag. `Taken`.
    async fn create_tag(&self, tag: &Tag) -> Result<(), StoreError>;

    /// Writes a tag back, all but `spend`. `Missing`, `Conflict`.
    async fn update_tag(&self, tag: &Tag) -> Result<Tag, StoreError>;

    /// Tags of these names; all of them when `None`. By name.
    async fn tags(&self, names: Option<&[String]>) -> Result<Vec<Tag>, StoreError>;

    /// Takes a tag away: `Missing`. A reserved one stays reserved: its description, budget and limits go.
    async fn delete_tag(&self, name: &str) -> Result<(), StoreError>;

    /// The names of all reserved tags, and the generation that they were read at.
    async fn reserved(&self) -> Result<(Generation, Vec<String>), StoreError>;

    /// What changed behind a generation. From 0: `changes` is `None`.
    async fn changes(&self, since: Generation) -> Result<Changes, StoreError>;

    /// Waits until another process may have changed something, where the back end tells; otherwise for
    /// ever. May wake for nothing; a lost notice is found by asking [`Store::changes`] now and then.
    async fn notified(&self);

    /// Writes rows, sums and spends in one transaction. A row whose id is there already changes nothing.
    async fn settle(&self, rows: &[SpendRow]) -> Result<Settled, StoreError>;

    /// Adds calls that have no row to the sums by day. Not known by any id: what is counted twice counts
    /// twice.
    async fn count(&self, counted: &[Counted]) -> Result<(), StoreError>;

    /// Rows of calls, the newest first.
    async fn spend(&self, filter: &SpendFilter) -> Result<Vec<SpendRow>, StoreError>;

    /// Sums, as [`DailyFilter::sum`] says: by day, spender and model, in this order; or added up further, and
    /// then what cost most first.
    async fn daily(&self, by: DailyBy, filter: &DailyFilter) -> Result<Vec<DailySpend>, StoreError>;

    /// What one spender has spent since its budget's last reset; `None` when there is no such record.
    async fn spent(&self, of: &Change) -> Result<Option<Money>, StoreError>;

    /// The same of many, with one query for each kind, and only those that exist. A call may wait for it, and
    /// so it is given up as soon as [`Store::identity`].
    async fn spent_many(&self, of: &[Change]) -> Result<HashMap<Change, Money>, StoreError>;

    /// Deletes rows (not sums) that ended before; at most so many. Returns how many.
    async fn prune(&self, before: Timestamp, most: u64) -> Result<u64, StoreError>;

    /// Deletes sums of days before this one (`2026-11-21`); at most `most`. Returns how many.
    async fn prune_daily(&self, before: &str, most: u64) -> Result<u64, StoreError>;

    /// Begins every budget anew whose time has come: spend to zero, `reset_at` to the next. Several
    /// processes may do so at once; each budget is reset once. Returns whose.
    async fn reset_budgets(&self, now: Timestamp) -> Result<Vec<Change>, StoreError>;

    /// Computes again every reset that is further ahead than its budget's duration allows, because a clock
    /// was wrong when it was written. What was spent stays. Returns whose.
    async fn correct_resets(&self, now: Timestamp) -> Result<Vec<Change>, StoreError>;

    /// Ends all connections. What is asked afterwards is `Unavailable`.
    async fn close(&self);
}
