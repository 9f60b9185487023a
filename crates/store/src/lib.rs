//! Teams, virtual keys, users, tags and spend: one small trait, [`Store`], and two back ends that keep
//! it, SQLite in a file and PostgreSQL.
//!
//! Every change is committed and synced before it is acknowledged, and has a *generation*: a number
//! that counts changes in the order in which they were committed, by which every process learns what
//! it must look at again.
//!
//! Map: `time.rs` moments; `team.rs`, `key.rs`, `user.rs`, `tag.rs` the records, with what they share in
//! `limits.rs`; `spend.rs` what calls cost; `reset.rs` when budgets begin anew; `change.rs` generations;
//! `error.rs`; `health.rs` how the database is; `open.rs` finds the back end; `sql.rs` and below are what `sqlite.rs` and `postgres.rs` share;
//! `migrate.rs` makes the tables; `journal.rs` spend that is not in the store yet;
//! `cached.rs` keys that are looked up for every request; `litellm.rs` moving in from LiteLLM's database;
//! `peek.rs` a look that changes nothing.

mod cached;
mod change;
mod error;
mod health;
mod journal;
mod key;
mod limits;
pub mod litellm;
mod migrate;
mod open;
mod peek;
mod postgres;
mod reset;
mod spend;
mod sql;
mod sqlite;
mod store;
mod tag;
mod team;
mod time;
mod user;

pub use cached::{Cached, Found};
pub use change::{Change, Changes, Generation, Kind};
pub use error::StoreError;
pub use health::{Condition, Unwritable};
pub use journal::{Batch, Journal, JournalHealth, Reader, RowId, RowIds, TooLong, Writer};
pub use key::{Identity, Key, KeyFilter, KeyHash};
pub use limits::{Budget, Limits};
pub use open::open;
pub use peek::{Peeked, peek};
pub use postgres::PostgresStore;
pub use reset::{after, corrected_reset, duration, next_reset};
pub use spend::{
    Counted, DailyBy, DailyFilter, DailySpend, OTHER, Settled, SpendFilter, SpendRow, Spender, Spent, SumBy,
};
pub use sqlite::SqliteStore;
pub use store::{Page, Paged, Reserving, Store};
pub use tag::Tag;
pub use team::{Deleted, Member, Team, TeamFilter};
pub use time::Timestamp;
pub use user::User;
