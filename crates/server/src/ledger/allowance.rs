//! What one caller may use up: the counts that its calls fall under, reserved all together or not at all.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard};

use http::{HeaderName, HeaderValue};
use tagrail::routing::RequestTag;
use tagrail::{Allowance, AllowanceFacts, Money, Need, OverLimit, Reservation, Used};
use tagrail_store::{Budget, Change, Identity, Kind, Limits, Tag, Timestamp};

use super::meters::{Counts, Meter, Meters, Window};
use super::over::{self, Unit};

/// One count that calls fall under, and what it is limited to.
pub(crate) struct Part {
    pub(super) kind: Kind,
    /// Hash, id or name.
    pub(super) id: String,
    /// As it is called in refusals.
    pub(super) name: String,
    pub(super) limits: Limits,
    pub(super) max: Option<Money>,
    /// When what was spent begins anew.
    pub(super) reset_at: Option<Timestamp>,
    pub(super) meter: Arc<Meter>,
}

/// A key's: the counts of key, team and user, and those of the tags that a call carries.
pub(crate) struct Purse {
    key: Arc<Meter>,
    max: Option<Money>,
    limits: Limits,
    /// Those that are limited at all; key, team, user.
    parts: Vec<Arc<Part>>,
    meters: Arc<Meters>,
}

impl Part {
    /// `None` where nothing is limited.
    fn new(kind: Kind, id: &str, name: String, by: (&Limits, &Budget), meter: Arc<Meter>) -> Option<Part> {
        let (limits, budget) = by;
        let Budget { max, reset_at, .. } = *budget;
        let part = Part { kind, id: id.to_owned(), name, limits: limits.clone(), max, reset_at, meter };
        (*limits != Limits::default() || budget.max.is_some()).then_some(part)
    }

    pub(super) fn of_tag(tag: &Tag, meter: Arc<Meter>) -> Option<Part> {
        Part::new(Kind::Tag, &tag.name, tag.name.clone(), (&tag.limits, &tag.budget), meter)
    }

    /// As the store knows it.
    pub(super) fn spender(&self) -> Change {
        Change { kind: self.kind, id: self.id.clone() }
    }

    fn limits_model(&self, model: &str) -> bool {
        let Limits { model_rpm, model_tpm, .. } = &self.limits;
        limit_of(model_rpm, model).or_else(|| limit_of(model_tpm, model)).is_some()
    }
}

/// A limit by model. One that was written without the provider holds for the name with it, too: `gpt-4o`
/// and `openai/gpt-4o` are one model where a wildcard takes both.
fn limit_of<'a>(limits: &'a BTreeMap<String, u64>, model: &str) -> Option<&'a u64> {
    limits.get(model).or_else(|| limits.get(model.split_once('/')?.1))
}

impl Purse {
    pub(crate) fn of(identity: &Identity, meters: &Arc<Meters>) -> Purse {
        let Identity { key, team, user } = identity;
        let own = meters.of(Kind::Key, &key.hash, key.spend);
        let name = format!("{} ({})", key.alias.as_deref().unwrap_or("key"), key.name);
        let mut parts = Vec::new();
        parts.extend(Part::new(Kind::Key, &key.hash, name, (&key.limits, &key.budget), own.clone()));
        if let Some(team) = team {
            let meter = meters.of(Kind::Team, &team.id, team.spend);
            let by = (&team.limits, &team.budget);
            parts.extend(Part::new(Kind::Team, &team.id, team.id.clone(), by, meter));
        }
        if let Some(user) = user {
            let meter = meters.of(Kind::User, &user.id, user.spend);
            let by = (&user.limits, &user.budget);
            parts.extend(Part::new(Kind::User, &user.id, user.id.clone(), by, meter));
        }
        let parts = parts.into_iter().map(Arc::new).collect();
        let (max, limits) = (key.budget.max, key.limits.clone());
        Purse { key: own, max, limits, parts, meters: meters.clone() }
    }
}

impl Allowance for Purse {
    fn reserve(&self, need: &Need<'_>) -> Result<Box<dyn Reservation>, OverLimit> {
        let mut parts = self.parts.clone();
        parts.extend(self.meters.limited(need.tags));
        let mut held = Held {
            meters: self.meters.clone(),
            parts,
            named: Vec::new(),
            taken: Vec::new(),
            tokens: 0,
            cost: Money::ZERO,
            open: false,
        };
        held.take(need)?;
        Ok(Box::new(held))
    }

    fn has_budget(&self, tags: &[RequestTag<'_>]) -> bool {
        let limited = self.meters.limited(tags);
        self.parts.iter().chain(&limited).any(|part| part.max.is_some())
    }

    fn facts(&self) -> AllowanceFacts {
        let now = self.meters.clock.now();
        let of = |kind| self.parts.iter().find(|part| part.kind == kind);
        let mut rates = Vec::new();
        for (part, names) in [(of(Kind::Key), &KEY_RATES), (of(Kind::Team), &TEAM_RATES)] {
            if let Some(part) = part {
                rates_of(part, names, now, &mut rates);
            }
        }
        AllowanceFacts {
            key_spend: self.key.spent(),
            key_max_budget: self.max,
            key_rpm_limit: self.limits.rpm,
            key_tpm_limit: self.limits.tpm,
            rates,
        }
    }
}

/// Limit and what remains of it, of requests and of tokens.
type Rates = [HeaderName; 4];

static KEY_RATES: Rates = [
    HeaderName::from_static("x-ratelimit-api_key-limit-requests"),
    HeaderName::from_static("x-ratelimit-api_key-remaining-requests"),
    HeaderName::from_static("x-ratelimit-api_key-limit-tokens"),
    HeaderName::from_static("x-ratelimit-api_key-remaining-tokens"),
];

static TEAM_RATES: Rates = [
    HeaderName::from_static("x-ratelimit-team-limit-requests"),
    HeaderName::from_static("x-ratelimit-team-remaining-requests"),
    HeaderName::from_static("x-ratelimit-team-limit-tokens"),
    HeaderName::from_static("x-ratelimit-team-remaining-tokens"),
];

fn rates_of(part: &Part, names: &Rates, now: Timestamp, into: &mut Vec<(HeaderName, HeaderValue)>) {
    let Limits { rpm, tpm, .. } = part.limits;
    if rpm.is_none() && tpm.is_none() {
        return;
    }
    let window = *part.meter.counts().window.look(now);
    let limits = [(rpm, window.requests), (tpm, window.tokens)];
    for ((limit, used), names) in limits.into_iter().zip(names.chunks(2)) {
        if let Some(limit) = limit {
            into.push((names[0].clone(), HeaderValue::from(limit)));
            into.push((names[1].clone(), HeaderValue::from(limit.saturating_sub(used))));
        }
    }
}

/// What is reserved for one call.
struct Held {
    meters: Arc<Meters>,
    /// In the order in which meters are locked: key, team, user, tags by name.
    parts: Vec<Arc<Part>>,
    /// Parallel to `parts`: the window that tokens were last taken from, and how many.
    taken: Vec<Taken>,
    /// The names that the call was tried under and that somebody limits, the last one last.
    named: Vec<Named>,
    tokens: u64,
    cost: Money,
    /// There is something to give back.
    open: bool,
}

/// Tokens, and when the window began that they were taken from.
type Taken = (Option<Timestamp>, u64);

/// What was taken for one name.
struct Named {
    model: String,
    tokens: u64,
    /// Parallel to the parts.
    taken: Vec<Taken>,
}

impl Held {
    /// Reserves what this needs beyond what is held, in every count or in none.
    fn take(&mut self, need: &Need<'_>) -> Result<(), OverLimit> {
        let now = self.meters.clock.now();
        let is_first = !self.open;
        let named = self.named.iter().find(|named| named.model == need.model);
        let more = More {
            model: need.model,
            requests: u64::from(is_first),
            tokens: Tokens::of(need, self.tokens),
            cost: need.cost.unwrap_or_default().less(self.cost),
            held: self.cost,
            of_model: match named {
                Some(named) => (0, Tokens::of(need, named.tokens)),
                None => (1, Tokens::of(need, 0)),
            },
            now,
        };
        let parts = self.parts.clone();
        // All of them, for as long as it takes to look and to take.
        let mut all: Vec<MutexGuard<'_, Counts>> = parts.iter().map(|part| part.meter.counts()).collect();
        for (part, counts) in parts.iter().zip(&mut all).filter(|(part, _)| part.max.is_some()) {
            self.meters.shared.use_budget(part, counts);
        }
        let mut both = parts.iter().zip(&mut all);
        let over = both.find_map(|(part, counts)| more.check_budget(part, counts).err());
        let over = over.or_else(|| {
            let mine = |taken: &[Taken], at: usize| taken.get(at).copied().unwrap_or_default();
            parts.iter().zip(&mut all).enumerate().find_map(|(at, (part, counts))| {
                let of_model = named.map(|named| mine(&named.taken, at)).unwrap_or_default();
                more.check_rates(part, counts, (mine(&self.taken, at), of_model)).err()
            })
        });
        if let Some(over) = over {
            drop(all);
            self.meters.metrics.over_limit(over.unit.name(), over::holder(over.kind));
            return Err(over.told);
        }
        self.taken.resize(parts.len(), (None, 0));
        let named = self.named_last(need.model, &parts);
        for (at, (part, counts)) in parts.iter().zip(&mut all).enumerate() {
            more.take(counts, is_first);
            add(&mut self.taken[at], counts.window.began, more.tokens.more);
            if let Some(named) = named
                && let Some(began) = more.take_model(part, counts)
            {
                add(&mut self.named[named].taken[at], Some(began), more.of_model.1.more);
            }
        }
        drop(all);
        if let Some(named) = named {
            self.named[named].tokens += more.of_model.1.more;
        }
        self.tokens += more.tokens.more;
        self.cost += more.cost;
        self.open = true;
        Ok(())
    }

    /// The place of what is taken for a name, which becomes the last one; `None` where nobody limits it.
    fn named_last(&mut self, model: &str, parts: &[Arc<Part>]) -> Option<usize> {
        if !parts.iter().any(|part| part.limits_model(model)) {
            return None;
        }
        let known = self.named.iter().position(|named| named.model == model);
        let named = match known {
            Some(at) => self.named.remove(at),
            None => Named { model: model.to_owned(), tokens: 0, taken: vec![(None, 0); parts.len()] },
        };
        self.named.push(named);
        Some(self.named.len() - 1)
    }

    /// Gives back what was not used.
    fn give_back(&mut self, used: u64) {
        if !std::mem::take(&mut self.open) {
            return;
        }
        let now = self.meters.clock.now();
        let last = self.named.len().saturating_sub(1);
        for (at, part) in self.parts.iter().enumerate() {
            let mut counts = part.meter.counts();
            counts.parallel = counts.parallel.saturating_sub(1);
            counts.let_go(self.cost);
            let (began, tokens) = self.taken[at];
            counts.window.look(now).correct(began, tokens, used);
            for (number, named) in self.named.iter().enumerate() {
                let (began, tokens) = named.taken[at];
                if began.is_some() {
                    let used = if number == last { used } else { 0 };
                    counts.model(&named.model).look(now).correct(began, tokens, used);
                }
            }
        }
    }
}

/// Adds to what was taken; a new window's tokens stand alone.
fn add(taken: &mut Taken, began: Option<Timestamp>, tokens: u64) {
    *taken = if taken.0 == began { (began, taken.1 + tokens) } else { (began, tokens) };
}

impl Reservation for Held {
    fn extend(&mut self, need: &Need<'_>) -> Result<(), OverLimit> {
        self.take(need)
    }

    fn settle(mut self: Box<Self>, used: Used) {
        self.give_back(used.tokens);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.give_back(0);
    }
}

/// What is to be taken.
struct More<'a> {
    model: &'a str,
    requests: u64,
    tokens: Tokens,
    cost: Money,
    /// What this call holds already.
    held: Money,
    /// Requests and tokens under this name.
    of_model: (u64, Tokens),
    now: Timestamp,
}

/// Tokens that an attempt needs of a count.
#[derive(Clone, Copy)]
struct Tokens {
    /// Beyond what the call holds.
    more: u64,
    /// For which there must be room.
    least: u64,
    /// That the call holds already, in whichever window.
    held: u64,
}

/// Why a window has no room for tokens.
struct Lack {
    /// By others.
    used: u64,
    wanted: u64,
    /// There would be, without what calls under way have reserved.
    passing: bool,
}

impl Tokens {
    fn of(need: &Need<'_>, held: u64) -> Tokens {
        Tokens { more: need.tokens.saturating_sub(held), least: need.tokens_least.min(need.tokens), held }
    }

    /// A limit has room when what the call uses in any case fits in. It then takes all that it may use, and what
    /// is left, if anything is, refuses the others: a limit is exceeded by one call's estimate at most, and a call
    /// that sets no limit to its answer is not refused for the longest one that its model could give.
    fn lack(self, limit: u64, window: &Window, mine: Taken) -> Option<Lack> {
        let own = if mine.0 == window.began { mine.1 } else { 0 };
        let least = self.least.saturating_sub(self.held.saturating_sub(own)).max(u64::from(own == 0));
        let used = window.tokens.saturating_sub(own);
        if self.more == 0 || used.saturating_add(least) <= limit {
            return None;
        }
        let settled = window.tokens.saturating_sub(window.held);
        Some(Lack { used, wanted: least, passing: settled.saturating_add(least) <= limit })
    }
}

/// A refusal, and what it is counted as.
struct Over {
    told: OverLimit,
    unit: Unit,
    kind: Kind,
}

impl More<'_> {
    /// What was spent must be less than the budget, and with what others have reserved there must be
    /// room. Whoever is alone crosses the limit and is served, as in LiteLLM; so it is crossed by one
    /// call at most.
    fn check_budget(&self, part: &Part, counts: &mut Counts) -> Result<(), Over> {
        let Some(max) = part.max else { return Ok(()) };
        let spent = counts.spent();
        let others = counts.holders > u64::from(self.held.is_positive());
        let fits = spent < max && (!others || spent + counts.reserved + self.cost <= max);
        if fits {
            return Ok(());
        }
        counts.refused = true;
        let told = over::budget(part, spent, spent < max, self.now);
        Err(Over { told, unit: Unit::Budget, kind: part.kind })
    }

    /// `mine` is what this call has taken before, from the count and from that of its name.
    fn check_rates(&self, part: &Part, counts: &mut Counts, mine: (Taken, Taken)) -> Result<(), Over> {
        let Limits { rpm, tpm, parallel, model_rpm, model_tpm } = &part.limits;
        let window = *counts.window.look(self.now);
        self.check_count(part, Unit::Requests, *rpm, (window.requests, self.requests), window, None)?;
        self.check_tokens(part, *tpm, self.tokens, (window, mine.0), None)?;
        self.check_count(part, Unit::Parallel, *parallel, (counts.parallel, self.requests), window, None)?;
        if !part.limits_model(self.model) {
            return Ok(());
        }
        let window = *counts.model(self.model).look(self.now);
        let (requests, tokens) = self.of_model;
        let limit = limit_of(model_rpm, self.model).copied();
        self.check_count(part, Unit::Requests, limit, (window.requests, requests), window, Some(self.model))?;
        let limit = limit_of(model_tpm, self.model).copied();
        self.check_tokens(part, limit, tokens, (window, mine.1), Some(self.model))
    }

    fn check_count(
        &self,
        part: &Part,
        unit: Unit,
        limit: Option<u64>,
        (used, more): (u64, u64),
        window: Window,
        model: Option<&str>,
    ) -> Result<(), Over> {
        let Some(limit) = limit.filter(|limit| more > 0 && used.saturating_add(more) > *limit) else {
            return Ok(());
        };
        Err(self.over(
            part,
            &over::Rate { unit, limit, used, more, window, reserved: false, model, now: self.now },
        ))
    }

    fn check_tokens(
        &self,
        part: &Part,
        limit: Option<u64>,
        tokens: Tokens,
        (window, mine): (Window, Taken),
        model: Option<&str>,
    ) -> Result<(), Over> {
        let Some(limit) = limit else { return Ok(()) };
        let Some(Lack { used, wanted, passing }) = tokens.lack(limit, &window, mine) else { return Ok(()) };
        let (unit, more) = (Unit::Tokens, wanted);
        Err(self.over(
            part,
            &over::Rate { unit, limit, used, more, window, reserved: passing, model, now: self.now },
        ))
    }

    fn over(&self, part: &Part, rate: &over::Rate<'_>) -> Over {
        Over { told: over::rate(part, rate), unit: rate.unit, kind: part.kind }
    }

    fn take(&self, counts: &mut Counts, is_first: bool) {
        counts.window.look(self.now).take(self.requests, self.tokens.more, self.now);
        counts.parallel += u64::from(is_first);
        if self.held.is_positive() {
            counts.reserved += self.cost;
        } else {
            counts.hold(self.cost);
        }
    }

    fn take_model(&self, part: &Part, counts: &mut Counts) -> Option<Timestamp> {
        if !part.limits_model(self.model) {
            return None;
        }
        let (requests, tokens) = self.of_model;
        let window = counts.model(self.model).look(self.now);
        window.take(requests, tokens.more, self.now);
        window.began
    }
}

#[cfg(test)]
#[path = "allowance_tests.rs"]
pub(super) mod tests;
