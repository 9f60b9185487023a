//! For tests of what writes by itself: a store that keeps rows in memory, and answers or does not.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use tagrail::Money;
use tagrail_store::*;
use tokio::sync::watch;

/// The call id of a row that it refuses, and all that comes with it.
pub(super) const REFUSED: &str = "refused";

/// Knows rows, and nothing of teams and keys.
#[derive(Debug)]
pub(super) struct SettlingStore {
    /// By id: what is here is here once.
    pub(super) rows: Mutex<BTreeMap<String, SpendRow>>,
    /// How many batches were asked for, also in vain.
    pub(super) asked: watch::Sender<usize>,
    /// What it answers instead.
    pub(super) fails: Mutex<Option<fn() -> StoreError>>,
    /// What the next `reset_budgets` finds.
    pub(super) due: Mutex<Vec<Change>>,
    /// So many times what has changed cannot be read.
    pub(super) unheard: AtomicUsize,
    /// How many sums of spenders were asked for.
    pub(super) sums: AtomicUsize,
    /// What each of them is.
    pub(super) spend: Mutex<Money>,
    /// Spenders that it knows, with what each has spent; their rows are added up.
    pub(super) spenders: Mutex<BTreeMap<Change, Money>>,
    /// Calls without rows.
    pub(super) counted: Mutex<Vec<Counted>>,
    /// Before which days sums were to go.
    pub(super) pruned_days: Mutex<Vec<String>>,
    /// How often resets were to be corrected.
    pub(super) corrected: AtomicUsize,
}

impl SettlingStore {
    pub(super) fn new() -> SettlingStore {
        SettlingStore {
            rows: Mutex::default(),
            asked: watch::Sender::new(0),
            fails: Mutex::default(),
            due: Mutex::default(),
            unheard: AtomicUsize::new(0),
            sums: AtomicUsize::new(0),
            spend: Mutex::default(),
            counted: Mutex::default(),
            pruned_days: Mutex::default(),
            corrected: AtomicUsize::new(0),
            spenders: Mutex::default(),
        }
    }

    /// The call ids of all rows, sorted.
    pub(super) fn calls(&self) -> Vec<String> {
        let mut calls: Vec<String> =
            self.rows.lock().unwrap().values().map(|row| row.call_id.clone()).collect();
        calls.sort();
        calls
    }

    pub(super) fn gone(&self, gone: bool) {
        let error: fn() -> StoreError = || StoreError::Unavailable("gone".to_owned());
        *self.fails.lock().unwrap() = gone.then_some(error);
    }

    fn answer(&self) -> Result<(), StoreError> {
        self.fails.lock().unwrap().map_or(Ok(()), |error| Err(error()))
    }
}

fn nothing<T>() -> Result<T, StoreError> {
    Err(StoreError::Broken("it knows rows and nothing else".to_owned()))
}

#[async_trait]
impl Store for SettlingStore {
    fn name(&self) -> &'static str {
        "settling"
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.answer()
    }
    async fn heartbeat(&self, now: Timestamp) -> Result<Timestamp, Unwritable> {
        let unreachable =
            |error: StoreError| Unwritable { condition: Condition::Unreachable, why: error.to_string() };
        self.answer().map(|()| now).map_err(unreachable)
    }
    async fn create_team(&self, _: &Team, _: Reserving<'_>) -> Result<(), StoreError> {
        nothing()
    }
    async fn update_team(&self, _: &Team, _: Reserving<'_>) -> Result<Team, StoreError> {
        nothing()
    }
    async fn team(&self, _: &str) -> Result<Option<Team>, StoreError> {
        nothing()
    }
    async fn teams(&self, _: &TeamFilter, _: Option<Page>) -> Result<Paged<Team>, StoreError> {
        nothing()
    }
    async fn delete_teams(&self, _: &[String]) -> Result<Deleted, StoreError> {
        nothing()
    }
    async fn create_key(&self, _: &Key) -> Result<(), StoreError> {
        nothing()
    }
    async fn update_key(&self, _: &Key) -> Result<Key, StoreError> {
        nothing()
    }
    async fn replace_key(&self, _: &str, _: &Key) -> Result<Key, StoreError> {
        nothing()
    }
    async fn key(&self, _: &str) -> Result<Option<Key>, StoreError> {
        nothing()
    }
    async fn keys(&self, _: &KeyFilter, _: Option<Page>) -> Result<Paged<Key>, StoreError> {
        nothing()
    }
    async fn delete_keys(&self, _: &[String]) -> Result<(), StoreError> {
        nothing()
    }
    async fn identity(&self, _: &str) -> Result<Option<Identity>, StoreError> {
        nothing()
    }
    async fn create_user(&self, _: &User) -> Result<(), StoreError> {
        nothing()
    }
    async fn update_user(&self, _: &User) -> Result<User, StoreError> {
        nothing()
    }
    async fn user(&self, _: &str) -> Result<Option<User>, StoreError> {
        nothing()
    }
    async fn users(&self, _: Option<Page>) -> Result<Paged<User>, StoreError> {
        nothing()
    }
    async fn delete_users(&self, _: &[String]) -> Result<Vec<String>, StoreError> {
        nothing()
    }
    async fn create_tag(&self, _: &Tag) -> Result<(), StoreError> {
        nothing()
    }
    async fn update_tag(&self, _: &Tag) -> Result<Tag, StoreError> {
        nothing()
    }
    async fn tags(&self, _: Option<&[String]>) -> Result<Vec<Tag>, StoreError> {
        Ok(Vec::new())
    }
    async fn delete_tag(&self, _: &str) -> Result<(), StoreError> {
        nothing()
    }
    async fn reserved(&self) -> Result<(Generation, Vec<String>), StoreError> {
        Ok((1, Vec::new()))
    }
    async fn changes(&self, _: Generation) -> Result<Changes, StoreError> {
        let fewer = |left: usize| left.checked_sub(1);
        match self.unheard.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer) {
            Ok(_) => Err(StoreError::Unavailable("no connection in time".to_owned())),
            Err(_) => Ok(Changes { generation: 1, changes: None }),
        }
    }
    async fn notified(&self) {
        std::future::pending().await
    }
    async fn count(&self, counted: &[Counted]) -> Result<(), StoreError> {
        self.answer()?;
        self.counted.lock().unwrap().extend_from_slice(counted);
        Ok(())
    }
    async fn prune_daily(&self, before: &str, _: u64) -> Result<u64, StoreError> {
        self.answer()?;
        self.pruned_days.lock().unwrap().push(before.to_owned());
        Ok(0)
    }
    async fn correct_resets(&self, _: Timestamp) -> Result<Vec<Change>, StoreError> {
        self.answer()?;
        self.corrected.fetch_add(1, Ordering::SeqCst);
        Ok(Vec::new())
    }
    async fn spend(&self, _: &SpendFilter) -> Result<Vec<SpendRow>, StoreError> {
        nothing()
    }
    async fn daily(&self, _: DailyBy, _: &DailyFilter) -> Result<Vec<DailySpend>, StoreError> {
        nothing()
    }
    async fn spent_many(&self, of: &[Change]) -> Result<HashMap<Change, Money>, StoreError> {
        self.answer()?;
        self.sums.fetch_add(1, Ordering::SeqCst);
        let known = self.spenders.lock().unwrap();
        Ok(of.iter().filter_map(|change| Some((change.clone(), *known.get(change)?))).collect())
    }
    async fn spent(&self, of: &Change) -> Result<Option<Money>, StoreError> {
        self.sums.fetch_add(1, Ordering::SeqCst);
        if let Some(spend) = self.spenders.lock().unwrap().get(of) {
            return Ok(Some(*spend));
        }
        let spend = *self.spend.lock().unwrap();
        // On its way; others may be faster.
        tokio::task::yield_now().await;
        Ok(Some(spend))
    }
    async fn close(&self) {}

    async fn settle(&self, rows: &[SpendRow]) -> Result<Settled, StoreError> {
        self.asked.send_modify(|asked| *asked += 1);
        self.answer()?;
        if rows.iter().any(|row| row.call_id == REFUSED) {
            return nothing();
        }
        let mut known = self.rows.lock().unwrap();
        let before = known.len();
        let mut spenders = self.spenders.lock().unwrap();
        let mut added: BTreeMap<Change, Money> = BTreeMap::new();
        for row in rows.iter().filter(|row| known.insert(row.id.clone(), (*row).clone()).is_none()) {
            let of = |kind, id: &str| Change { kind, id: id.to_owned() };
            let team = row.team_id.iter().map(|id| of(Kind::Team, id));
            let tags = row.tags.iter().map(|tag| of(Kind::Tag, tag));
            for change in std::iter::once(of(Kind::Key, &row.key)).chain(team).chain(tags) {
                if let Some(spend) = spenders.get_mut(&change) {
                    *spend += row.cost;
                    *added.entry(change).or_default() += row.cost;
                }
            }
        }
        let spent = added.into_iter().map(|(change, added)| {
            let spend = spenders[&change];
            Spent { spender: Spender { kind: change.kind, id: change.id }, added, spend }
        });
        Ok(Settled { new: known.len() - before, spent: spent.collect() })
    }

    async fn prune(&self, before: Timestamp, most: u64) -> Result<u64, StoreError> {
        self.answer()?;
        let mut rows = self.rows.lock().unwrap();
        let old = rows.values().filter(|row| row.ended < before).map(|row| row.id.clone());
        let old: Vec<String> = old.take(usize::try_from(most).unwrap()).collect();
        old.iter().for_each(|id| drop(rows.remove(id)));
        Ok(old.len() as u64)
    }

    async fn reset_budgets(&self, _: Timestamp) -> Result<Vec<Change>, StoreError> {
        self.answer()?;
        Ok(std::mem::take(&mut self.due.lock().unwrap()))
    }
}
