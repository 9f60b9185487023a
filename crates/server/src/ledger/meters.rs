//! What is used up: one meter for each key, team, user and tag that somebody calls for, with what it has
//! used in this minute, what is reserved, and what it has spent.
//!
//! *Spent* is what the store says (`base`) and what this process has recorded but not yet written there
//! (`pending`). Several processes on one store see each other's spend with the next rows that they write, and the
//! sums of those whose budgets are in use are read again twice a second (`shared.rs`).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tagrail::routing::RequestTag;
use tagrail::{Identity, Money, Outcome, Router};
use tagrail_store::{Change, Kind, Settled, Spent, Store, StoreError, Tag, Timestamp};

use super::Clock;
use super::allowance::Part;
use super::names::{CurrentNames, Known};
use super::shared::Shared;
use crate::Metrics;

/// Milliseconds that a window lasts, from its first use.
pub(super) const WINDOW: i64 = 60_000;

/// So many sums are read again at once. Of more, none: whoever follows changes has no time for it, and each
/// comes with the next look-up of one of its keys.
const AT_ONCE: usize = 100;

/// So many meters may be there before those that nobody needs are looked for.
const SWEEP_FROM: usize = 1024;

/// How many tags of keys and teams are remembered.
const MOST_HELD: usize = 100_000;

/// All meters of a process.
pub(crate) struct Meters {
    kinds: [RwLock<Kept>; 4],
    /// Tags with limits or a budget, by name. The store's are few, and all known.
    tags: RwLock<Arc<HashMap<String, Arc<Part>>>>,
    /// Every tag that the store knows.
    stored_tags: RwLock<Arc<HashSet<String>>>,
    /// Tags of keys and teams that were looked up.
    held_tags: RwLock<HashSet<String>>,
    names: CurrentNames,
    /// So that nothing is looked up where no tag has any.
    any_tags: AtomicBool,
    /// Counts batches of rows that have come to be in the store.
    batches: AtomicU64,
    /// Whose sums are read again and again, since other processes may add to them.
    pub(super) shared: Shared,
    router: Router,
    pub(super) metrics: Arc<Metrics>,
    pub(super) clock: Clock,
}

#[derive(Default)]
struct Kept {
    meters: HashMap<String, Arc<Meter>>,
    sweep_at: usize,
}

/// One spender's counts.
#[derive(Default)]
pub(crate) struct Meter(Mutex<Counts>);

/// What is counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) window: Window,
    /// Names with a limit of their own alone.
    models: BTreeMap<String, Window>,
    pub(super) parallel: u64,
    /// By the store; `None` until it has been read.
    base: Option<Money>,
    /// How often `base` was set.
    pub(super) readings: u64,
    /// `base` may have been changed by others: the next that is heard of it takes its place.
    stale: bool,
    /// Recorded here and not in the store yet.
    pub(super) pending: Money,
    /// Recorded since the last mark, whether it is in the store or not.
    fresh: Money,
    /// For calls under way.
    pub(super) reserved: Money,
    /// How many calls have reserved something.
    pub(super) holders: u64,
    /// Somebody was refused for the budget since sums were reconciled.
    pub(super) refused: bool,
    /// It is among those whose sums are read again and again.
    pub(super) watched: bool,
    /// A budget was asked for room since it was last looked at whether to go on watching.
    pub(super) used: bool,
}

/// What was used since its first use, for a minute.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Window {
    /// When it began; `None` before the first use.
    pub(super) began: Option<Timestamp>,
    pub(super) requests: u64,
    pub(super) tokens: u64,
    /// Of the tokens, those that calls under way have reserved.
    pub(super) held: u64,
}

impl Window {
    /// Ends what is over. A clock that was put back ends it too.
    pub(super) fn look(&mut self, now: Timestamp) -> &mut Window {
        if self.began.is_some_and(|began| !(0..WINDOW).contains(&(now.0 - began.0))) {
            *self = Window::default();
        }
        self
    }

    pub(super) fn take(&mut self, requests: u64, tokens: u64, now: Timestamp) {
        self.began.get_or_insert(now);
        self.requests += requests;
        self.tokens = self.tokens.saturating_add(tokens);
        self.held = self.held.saturating_add(tokens);
    }

    /// Corrects what was estimated, if the window is still the one that it was taken from.
    pub(super) fn correct(&mut self, began: Option<Timestamp>, estimated: u64, used: u64) {
        if self.began == began {
            self.tokens = self.tokens.saturating_sub(estimated).saturating_add(used);
            self.held = self.held.saturating_sub(estimated);
        }
    }
}

impl Counts {
    /// As far as is known here.
    pub(super) fn spent(&self) -> Money {
        self.base.unwrap_or_default() + self.pending
    }

    /// The store has said it, just now.
    pub(super) fn set_base(&mut self, spend: Option<Money>) {
        self.base = spend;
        self.readings = self.readings.wrapping_add(1);
        self.stale = false;
    }

    pub(super) fn model(&mut self, name: &str) -> &mut Window {
        // The name is copied once for as long as the meter lives.
        if !self.models.contains_key(name) {
            self.models.insert(name.to_owned(), Window::default());
        }
        self.models.entry(name.to_owned()).or_default()
    }

    pub(super) fn hold(&mut self, cost: Money) {
        if cost.is_positive() {
            self.reserved += cost;
            self.holders += 1;
        }
    }

    pub(super) fn let_go(&mut self, cost: Money) {
        if cost.is_positive() {
            self.holders = self.holders.saturating_sub(1);
            // Nothing, also where the sum had come to the end of its range.
            self.reserved = if self.holders == 0 { Money::ZERO } else { self.reserved.less(cost) };
        }
    }

    fn is_idle(&mut self, now: Timestamp) -> bool {
        self.parallel == 0
            && self.holders == 0
            && !self.pending.is_positive()
            && self.window.look(now).began.is_none()
            && self.models.values_mut().all(|window| window.look(now).began.is_none())
    }
}

impl Meter {
    pub(super) fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was spent since the last reset, as far as is known here.
    pub(crate) fn spent(&self) -> Money {
        self.counts().spent()
    }
}

impl Meters {
    pub(super) fn new(router: Router, metrics: Arc<Metrics>, clock: Clock) -> Meters {
        Meters {
            kinds: std::array::from_fn(|_| RwLock::default()),
            tags: RwLock::default(),
            stored_tags: RwLock::default(),
            held_tags: RwLock::default(),
            names: CurrentNames::default(),
            any_tags: AtomicBool::new(false),
            batches: AtomicU64::new(0),
            shared: Shared::default(),
            router,
            metrics,
            clock,
        }
    }

    /// The meter of a spender. `spend` is what the store has just said of it, for one that is new or not to be
    /// relied on.
    pub(super) fn of(&self, kind: Kind, id: &str, spend: Money) -> Arc<Meter> {
        let mut kept = self.kept(kind).write().unwrap_or_else(PoisonError::into_inner);
        if kept.meters.len() >= kept.sweep_at.max(SWEEP_FROM) {
            let now = self.clock.now();
            // Whoever may call has a hold on its meter.
            kept.meters.retain(|_, meter| Arc::strong_count(meter) > 1 || !meter.counts().is_idle(now));
            kept.sweep_at = 2 * kept.meters.len();
        }
        let meter = kept.meters.entry(id.to_owned()).or_default().clone();
        {
            let mut counts = meter.counts();
            if counts.stale || counts.base.is_none() {
                counts.set_base(Some(spend));
            }
        }
        meter
    }

    fn kept(&self, kind: Kind) -> &RwLock<Kept> {
        let [keys, teams, users, tags] = &self.kinds;
        match kind {
            Kind::Key => keys,
            Kind::Team => teams,
            Kind::User => users,
            Kind::Tag => tags,
        }
    }

    fn with(&self, kind: Kind, id: &str, change: impl FnOnce(&mut Counts)) {
        let kept = self.kept(kind).read().unwrap_or_else(PoisonError::into_inner);
        if let Some(meter) = kept.meters.get(id) {
            change(&mut meter.counts());
        }
    }

    /// A call is over and its row on its way into the store. To be told before what was reserved for it is
    /// let go of, so that its cost is never nowhere.
    pub(crate) fn recorded(&self, outcome: &Outcome<'_>) {
        let Some(cost) = outcome.cost.filter(|cost| cost.is_positive()) else { return };
        let Identity { key, team, user, .. } = &outcome.caller.identity;
        let add = |counts: &mut Counts| {
            counts.pending += cost;
            counts.fresh += cost;
        };
        self.with(Kind::Key, key, add);
        if let Some(team) = team {
            self.with(Kind::Team, team, add);
        }
        if let Some(user) = user {
            self.with(Kind::User, user, add);
        }
        if self.any_tags.load(Ordering::Acquire) {
            let tags: BTreeSet<_> = outcome.tags.iter().filter_map(|tag| carried(tag, "")).collect();
            for tag in tags {
                self.with(Kind::Tag, tag, add);
            }
        }
    }

    /// Tags without `tag_routing_prefix`; `None` where there is none.
    pub(super) fn without_prefix(&self, tags: &[String]) -> Option<Vec<String>> {
        let snapshot = self.router.snapshot();
        let prefix = snapshot.table.tag_prefix();
        let bare = |tag: &String| tag.strip_prefix(prefix).unwrap_or(tag).to_owned();
        (!prefix.is_empty() && !tags.is_empty()).then(|| tags.iter().map(bare).collect())
    }

    /// A key was looked up: its tags, and those of its team, are no client's invention.
    pub(super) fn hold_tags(&self, tags: &[&String]) {
        if tags.is_empty() {
            return;
        }
        let snapshot = self.router.snapshot();
        let prefix = snapshot.table.tag_prefix();
        let mut held = self.held_tags.write().unwrap_or_else(PoisonError::into_inner);
        if held.len() > MOST_HELD {
            // Those in use come again with the next look-up.
            held.clear();
        }
        held.extend(tags.iter().filter_map(|tag| carried(tag, prefix)).map(str::to_owned));
    }

    /// The tags of a call as they are written down: those that are known, and of others as many bytes as
    /// that. `None` where all of them are.
    pub(super) fn bounded(&self, outcome: &Outcome<'_>, tags: &[String], most: usize) -> Option<Vec<String>> {
        if tags.iter().map(|tag| cost(tag)).sum::<usize>() <= most {
            return None;
        }
        let stored = self.stored_tags.read().unwrap_or_else(PoisonError::into_inner).clone();
        let names = self.names.of(&self.router);
        let policy = outcome.caller.policy.iter().flat_map(|policy| &policy.tags);
        let snapshot = self.router.snapshot();
        let own: HashSet<&str> =
            policy.filter_map(|(tag, _)| carried(tag, snapshot.table.tag_prefix())).collect();
        let is_known = |tag: &&String| {
            carried(tag, "")
                .is_some_and(|tag| own.contains(tag) || stored.contains(tag) || names.has_tag(tag))
        };
        let mut seen = HashSet::new();
        let distinct = tags.iter().filter(|tag| seen.insert(tag.as_str()));
        let (known, others): (Vec<&String>, Vec<&String>) = distinct.partition(is_known);
        let mut bytes = 0;
        let fitting = others.into_iter().take_while(|tag| {
            bytes += cost(tag);
            bytes <= most
        });
        Some(known.into_iter().chain(fitting).cloned().collect())
    }

    /// Rows are in the store. Those of this process were pending until now, and are in the sums that
    /// have come back.
    pub(crate) fn settled(&self, settled: &Settled, own: bool) {
        self.batches.fetch_add(1, Ordering::SeqCst);
        for Spent { spender, added, spend } in &settled.spent {
            // Both at once: between them a call would count twice, or not at all.
            self.with(spender.kind, &spender.id, |counts| {
                if own {
                    counts.pending = counts.pending.less(*added);
                }
                counts.set_base(Some(*spend));
            });
        }
    }

    /// From here on, what is recorded is kept apart: see [`Meters::reconcile`].
    pub(super) fn mark(&self) {
        for kept in &self.kinds {
            let kept = kept.read().unwrap_or_else(PoisonError::into_inner);
            kept.meters.values().for_each(|meter| meter.counts().fresh = Money::ZERO);
        }
    }

    /// Everything that was recorded before the mark is in the store, and so in the sums: nothing of it is
    /// pending, whatever became of its spender meanwhile, and whoever acknowledged it. And who was refused for
    /// a budget is looked at again, in case its sum was read before it began anew.
    pub(super) async fn reconcile(&self, store: &dyn Store) -> Result<(), StoreError> {
        let mut refused = Vec::new();
        for kind in [Kind::Key, Kind::Team, Kind::User, Kind::Tag] {
            let kept = self.kept(kind).read().unwrap_or_else(PoisonError::into_inner);
            for (id, meter) in &kept.meters {
                let mut counts = meter.counts();
                counts.pending = counts.pending.min(counts.fresh);
                if std::mem::take(&mut counts.refused) {
                    refused.push(Change { kind, id: id.clone() });
                }
            }
        }
        for change in refused {
            self.read_sum(store, &change).await?;
        }
        Ok(())
    }

    async fn read_sum(&self, store: &dyn Store, of: &Change) -> Result<(), StoreError> {
        let spent = self.newest(|| store.spent(of)).await?;
        self.with(of.kind, &of.id, |counts| counts.set_base(spent));
        Ok(())
    }

    /// What the store says. Asked again when rows were settled while that was on its way: what they have said
    /// is newer. Here and there both are heard on the store's thread, one after the other.
    async fn newest<T, F>(&self, ask: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        for _ in 0..2 {
            let batches = self.batches.load(Ordering::SeqCst);
            let answer = ask().await?;
            if batches == self.batches.load(Ordering::SeqCst) {
                return Ok(answer);
            }
        }
        ask().await
    }

    /// What these changes are about may have other sums by now; all sums, where it is not known what has
    /// changed. To be told before their keys are forgotten: who is looked up from then on brings the new ones.
    pub(super) fn mistrust(&self, changes: Option<&[Change]>) {
        let Some(changes) = changes else {
            for kept in &self.kinds {
                let kept = kept.read().unwrap_or_else(PoisonError::into_inner);
                kept.meters.values().for_each(|meter| meter.counts().stale = true);
            }
            return;
        };
        for change in changes {
            self.with(change.kind, &change.id, |counts| counts.stale = true);
        }
    }

    /// Reads again what these changes may have changed, or anything may have: what tags are limited to, and
    /// sums of spenders that have a meter.
    pub(super) async fn refresh(
        &self,
        store: &dyn Store,
        changes: Option<&[Change]>,
    ) -> Result<(), StoreError> {
        if changes.is_none_or(|changes| changes.iter().any(|change| change.kind == Kind::Tag)) {
            self.set_tags(self.newest(|| store.tags(None)).await?);
        }
        let metered = self.metered(changes);
        if metered.len() > AT_ONCE {
            return Ok(());
        }
        for change in &metered {
            self.read_sum(store, change).await?;
        }
        Ok(())
    }

    /// Keys, teams and users among these that have a meter; all that have one.
    fn metered(&self, changes: Option<&[Change]>) -> Vec<Change> {
        let Some(changes) = changes else {
            let of = |kind| self.ids(kind).into_iter().map(move |id| Change { kind, id });
            return [Kind::Key, Kind::Team, Kind::User].into_iter().flat_map(of).collect();
        };
        let has = |change: &&Change| change.kind != Kind::Tag && self.has(change.kind, &change.id);
        changes.iter().filter(has).cloned().collect()
    }

    #[cfg(test)]
    pub(super) fn look<T>(&self, of: &Change, look: impl FnOnce(&Counts) -> T) -> T {
        let meter = self.kept(of.kind).read().unwrap().meters[&of.id].clone();
        look(&meter.counts())
    }

    #[cfg(test)]
    pub(super) fn count(&self, kind: Kind) -> usize {
        self.ids(kind).len()
    }

    fn has(&self, kind: Kind, id: &str) -> bool {
        self.kept(kind).read().unwrap_or_else(PoisonError::into_inner).meters.contains_key(id)
    }

    fn ids(&self, kind: Kind) -> Vec<String> {
        self.kept(kind).read().unwrap_or_else(PoisonError::into_inner).meters.keys().cloned().collect()
    }

    /// All tags as the store has them.
    pub(super) fn set_tags(&self, tags: Vec<Tag>) {
        let names = tags.iter().map(|tag| tag.name.clone()).collect();
        *self.stored_tags.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(names);
        let limited = tags.into_iter().filter_map(|tag| {
            let meter = self.of(Kind::Tag, &tag.name, tag.spend);
            meter.counts().set_base(Some(tag.spend));
            let part = Part::of_tag(&tag, meter)?;
            Some((tag.name, Arc::new(part)))
        });
        let limited: HashMap<_, _> = limited.collect();
        self.any_tags.store(!limited.is_empty(), Ordering::Release);
        *self.tags.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(limited);
    }

    /// Those of a call's tags that have limits or a budget, each once, in the order of their names: all
    /// callers lock meters in one order.
    pub(super) fn limited(&self, tags: &[RequestTag<'_>]) -> Vec<Arc<Part>> {
        if tags.is_empty() || !self.any_tags.load(Ordering::Acquire) {
            return Vec::new();
        }
        let limited = self.tags.read().unwrap_or_else(PoisonError::into_inner).clone();
        let snapshot = self.router.snapshot();
        let prefix = snapshot.table.tag_prefix();
        let mut found: Vec<_> =
            tags.iter().filter_map(|tag| limited.get(carried(&tag.text, prefix)?)).cloned().collect();
        found.sort_by(|one, other| one.id.cmp(&other.id));
        found.dedup_by(|one, other| one.id == other.id);
        found
    }
}

/// What a tag takes in a row: bytes as JSON, quotes and comma included.
fn cost(tag: &str) -> usize {
    tag.len() + 3 + 5 * tag.bytes().filter(|byte| *byte < 0x20 || *byte == 0x7f).count()
}

impl Known for Meters {
    fn has_model(&self, name: &str) -> bool {
        self.names.of(&self.router).has_model(name)
    }

    fn has_tag(&self, tag: &str) -> bool {
        self.stored_tags.read().unwrap_or_else(PoisonError::into_inner).contains(tag)
            || self.held_tags.read().unwrap_or_else(PoisonError::into_inner).contains(tag)
            || self.names.of(&self.router).has_tag(tag)
    }
}

/// The tag that a call carries by saying this: `!t` carries none.
pub(crate) fn carried<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let text = if prefix.is_empty() { text } else { text.strip_prefix(prefix).unwrap_or(text) };
    let text = text.strip_prefix('&').unwrap_or(text);
    (!text.is_empty() && !text.starts_with('!')).then_some(text)
}
