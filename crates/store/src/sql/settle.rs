//! What calls cost, written down: the rows, the sums by day, and what each spender has spent, in one
//! transaction. Added up in memory first, so that a batch of thousands takes a dozen statements.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value as Json, json};
use tagrail_money::Money;

use super::{Done, Row, Session, Statement, each, list, listed, rows, storable, values};
use crate::{Counted, DailyBy, Kind, OTHER, Settled, SpendRow, Spender, Spent, Timestamp};

/// PostgreSQL's indexes take no text longer than 2.7 kB, and clients choose some of these.
pub(super) const INDEXED: usize = 500;

/// Milliseconds.
const DAY: i64 = 86_400_000;

/// More tokens than any call has, few enough that their sums cannot overflow.
const MOST_TOKENS: u64 = 1_000_000_000_000;

/// A text as it stands in a column that has an index.
pub(super) fn indexed(text: &str) -> String {
    let mut end = text.len().min(INDEXED);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    storable(&text[..end])
}

pub(crate) async fn settle(session: &mut Session, written: &[SpendRow]) -> Done<Settled> {
    let by_id: BTreeMap<&str, &SpendRow> = written.iter().map(|row| (row.id.as_str(), row)).collect();
    let new = rows::insert(session, &by_id).await?;
    let mut sums = Sums::default();
    for (id, row) in &by_id {
        sums.add(row, new.contains(*id));
    }
    let mut spent = Vec::new();
    for kind in [Kind::Key, Kind::Team, Kind::User, Kind::Tag] {
        spent.extend(add(session, kind, sums.spenders(kind)).await?);
    }
    daily(session, &sums.days()).await?;
    Ok(Settled { new: new.len(), spent })
}

pub(crate) async fn count(session: &mut Session, counted: &[Counted]) -> Done<()> {
    let mut sums = Sums::default();
    counted.iter().for_each(|counted| sums.count(counted));
    daily(session, &sums.days()).await
}

/// What one spender spent in a batch.
#[derive(Clone, Copy, Default)]
struct Sum {
    cost: Money,
    last: i64,
}

/// Day, spender's kind, spender, model.
type DayKey = (&'static str, String, String, String);

#[derive(Clone, Copy, Default)]
struct Day {
    cost: Money,
    input_tokens: u64,
    output_tokens: u64,
    requests: u64,
    failed: u64,
}

impl Day {
    fn of(row: &SpendRow) -> Day {
        Day {
            cost: charged(row),
            input_tokens: row.input_tokens.min(MOST_TOKENS),
            output_tokens: row.output_tokens.min(MOST_TOKENS),
            requests: 1,
            failed: u64::from(row.status >= 400),
        }
    }

    fn add(&mut self, other: Day) {
        self.cost += other.cost;
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.requests += other.requests;
        self.failed += other.failed;
    }
}

/// A batch added up. By what the rows say, borrowed: thousands of rows have a handful of spenders.
#[derive(Default)]
struct Sums<'a> {
    spenders: HashMap<(Kind, &'a str), Sum>,
    /// By spender's kind, day since 1970, spender, model.
    days: HashMap<(DailyBy, i64, &'a str, &'a str), Day>,
}

impl<'a> Sums<'a> {
    /// Adds a row. One that was there already adds nothing, but its spenders are told of all the same:
    /// whoever writes it again has not heard the answer to the first time.
    fn add(&mut self, row: &'a SpendRow, new: bool) {
        let cost = if new { charged(row) } else { Money::ZERO };
        let mut tags: Vec<&str> = row.tags.iter().filter_map(|tag| charged_tag(tag)).collect();
        tags.sort_unstable();
        tags.dedup();
        let mut charge = |kind, id| {
            let sum = self.spenders.entry((kind, id)).or_default();
            sum.cost += cost;
            sum.last = sum.last.max(row.ended.0);
        };
        charge(Kind::Key, &row.key);
        row.team_id.iter().for_each(|id| charge(Kind::Team, id));
        row.user_id.iter().for_each(|id| charge(Kind::User, id));
        tags.iter().for_each(|tag| charge(Kind::Tag, tag));
        if !new {
            return;
        }
        let (number, day) = (row.started.0.div_euclid(DAY), Day::of(row));
        let model = if row.sums_other_model { OTHER } else { row.model_group.as_str() };
        let others = tags.len();
        tags.retain(|tag| !row.sums_other_tags.iter().any(|other| other == tag));
        if tags.len() < others {
            tags.push(OTHER);
        }
        let mut count = |by, id| self.days.entry((by, number, id, model)).or_default().add(day);
        count(DailyBy::Key, &row.key);
        count(DailyBy::Team, row.team_id.as_deref().unwrap_or_default());
        count(DailyBy::User, row.user_id.as_deref().unwrap_or_default());
        count(DailyBy::Model, model);
        if tags.is_empty() {
            count(DailyBy::Tag, "");
        }
        tags.into_iter().for_each(|tag| count(DailyBy::Tag, tag));
    }

    /// Adds calls that have no row.
    fn count(&mut self, counted: &'a Counted) {
        let Counted { key, team_id, user_id, model_group, day, calls } = counted;
        let refused = Day { requests: *calls, failed: *calls, ..Day::default() };
        let mut count = |by, id| self.days.entry((by, *day, id, model_group)).or_default().add(refused);
        count(DailyBy::Key, key);
        count(DailyBy::Team, team_id.as_deref().unwrap_or_default());
        count(DailyBy::User, user_id.as_deref().unwrap_or_default());
        count(DailyBy::Model, model_group);
        count(DailyBy::Tag, "");
    }

    /// The spenders of a kind, as they are called in the store.
    fn spenders(&self, kind: Kind) -> BTreeMap<String, Sum> {
        let mut named: BTreeMap<String, Sum> = BTreeMap::new();
        for ((_, id), sum) in self.spenders.iter().filter(|((of, _), _)| *of == kind) {
            let known = named.entry(storable(id)).or_default();
            known.cost += sum.cost;
            known.last = known.last.max(sum.last);
        }
        named
    }

    /// The sums by day, by the keys that they have in the store.
    fn days(&self) -> BTreeMap<DayKey, Day> {
        let mut named: BTreeMap<DayKey, Day> = BTreeMap::new();
        for ((by, number, id, model), day) in &self.days {
            let date = Timestamp(number.saturating_mul(DAY)).day();
            named.entry((by_text(*by), date, indexed(id), indexed(model))).or_default().add(*day);
        }
        named
    }
}

/// What a row adds to sums. No call earns money.
pub(super) fn charged(row: &SpendRow) -> Money {
    row.cost.max(Money::ZERO)
}

/// The tag that is charged: `t` of `&t` as of `t`; a call that excludes `t` does not use it.
fn charged_tag(tag: &str) -> Option<&str> {
    match tag.strip_prefix('&') {
        Some(tag) => Some(tag),
        None => Some(tag).filter(|tag| !tag.starts_with('!')),
    }
}

/// As stored.
pub(super) fn by_text(by: DailyBy) -> &'static str {
    match by {
        DailyBy::Key => "key",
        DailyBy::Team => "team",
        DailyBy::User => "user",
        DailyBy::Tag => "tag",
        DailyBy::Model => "model",
    }
}

/// Adds to what spenders have spent; gives those that exist.
async fn add(session: &mut Session, kind: Kind, sums: BTreeMap<String, Sum>) -> Done<Vec<Spent>> {
    let mut spent = charge(session, kind, &sums).await?;
    if kind == Kind::Key && spent.len() < sums.len() {
        let missed = sums.into_iter().filter(|(id, _)| !spent.iter().any(|spent| spent.spender.id == *id));
        let heirs = heirs(session, missed.collect()).await?;
        for more in charge(session, kind, &heirs).await? {
            match spent.iter_mut().find(|spent| spent.spender == more.spender) {
                Some(spent) => *spent = Spent { added: spent.added + more.added, ..more },
                None => spent.push(more),
            }
        }
    }
    Ok(spent)
}

/// Sums of keys that have another hash by now, under that.
async fn heirs(session: &mut Session, missed: BTreeMap<String, Sum>) -> Done<BTreeMap<String, Sum>> {
    let old: Vec<&String> = missed.keys().collect();
    let replaced = listed!("SELECT old_hash, hash FROM tagrail_replaced WHERE old_hash IN", "");
    let mut heirs: BTreeMap<String, Sum> = BTreeMap::new();
    for row in session.rows(replaced, values![list(&old)]).await? {
        let (Some(old), Some(hash)) = (row.text(0)?, row.text(1)?) else { continue };
        let Some(sum) = missed.get(&old) else { continue };
        let heir = heirs.entry(hash).or_default();
        heir.cost += sum.cost;
        heir.last = heir.last.max(sum.last);
    }
    Ok(heirs)
}

async fn charge(session: &mut Session, kind: Kind, sums: &BTreeMap<String, Sum>) -> Done<Vec<Spent>> {
    if sums.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<&String> = sums.keys().collect();
    session.lock(locking(kind), values![list(&ids)]).await?;
    let sums_json: Vec<Json> = sums.iter().map(|(id, sum)| json!([id, sum.cost.picos(), sum.last])).collect();
    let charged = session.rows(charging(kind), values![Json::from(sums_json).to_string()]).await?;
    let spent = |row: &Row| {
        let id = row.text(0)?.unwrap_or_default();
        let added = sums.get(&id).map_or(Money::ZERO, |sum| sum.cost);
        let spend = row.money(1)?;
        Ok(Spent { spender: Spender { kind, id }, added, spend })
    };
    charged.iter().map(spent).collect()
}

/// Locks spenders in the order of their ids. Spenders of the four kinds are locked in the order of
/// [`settle`], here and in every other transaction.
fn locking(kind: Kind) -> &'static str {
    macro_rules! lock {
        ($table:literal, $id:literal) => {
            concat!(
                "SELECT 1 FROM tagrail_",
                $table,
                " WHERE ",
                $id,
                " IN (SELECT value FROM json_array_elements_text($1::json) AS e(value)) ORDER BY ",
                $id,
                " FOR UPDATE"
            )
        };
    }
    match kind {
        Kind::Key => lock!("keys", "hash"),
        Kind::Team => lock!("teams", "id"),
        Kind::User => lock!("users", "id"),
        Kind::Tag => lock!("tags", "name"),
    }
}

/// What is added is never negative. A sum that would leave the range of the column stays at its end: SQLite would
/// go on with a floating-point number, and PostgreSQL would refuse the whole batch.
fn charging(kind: Kind) -> Statement {
    match kind {
        Kind::Key => each!(
            "UPDATE tagrail_keys AS k SET
             spend = CASE WHEN k.spend > 9223372036854775807 - CAST(e.value->>1 AS BIGINT)
                          THEN 9223372036854775807 ELSE k.spend + CAST(e.value->>1 AS BIGINT) END,
             last_active = CASE WHEN k.last_active > CAST(e.value->>2 AS BIGINT) THEN k.last_active
                                ELSE CAST(e.value->>2 AS BIGINT) END FROM",
            "WHERE k.hash = e.value->>0 RETURNING hash, spend"
        ),
        Kind::Team => each!(
            "UPDATE tagrail_teams AS t SET
             spend = CASE WHEN t.spend > 9223372036854775807 - CAST(e.value->>1 AS BIGINT)
                          THEN 9223372036854775807 ELSE t.spend + CAST(e.value->>1 AS BIGINT) END FROM",
            "WHERE t.id = e.value->>0 RETURNING id, spend"
        ),
        Kind::User => each!(
            "UPDATE tagrail_users AS u SET
             spend = CASE WHEN u.spend > 9223372036854775807 - CAST(e.value->>1 AS BIGINT)
                          THEN 9223372036854775807 ELSE u.spend + CAST(e.value->>1 AS BIGINT) END FROM",
            "WHERE u.id = e.value->>0 RETURNING id, spend"
        ),
        Kind::Tag => each!(
            "UPDATE tagrail_tags AS t SET
             spend = CASE WHEN t.spend > 9223372036854775807 - CAST(e.value->>1 AS BIGINT)
                          THEN 9223372036854775807 ELSE t.spend + CAST(e.value->>1 AS BIGINT) END FROM",
            "WHERE t.name = e.value->>0 RETURNING name, spend"
        ),
    }
}

/// Adds to the sums by day, in the order of their key.
async fn daily(session: &mut Session, days: &BTreeMap<DayKey, Day>) -> Done<()> {
    if days.is_empty() {
        return Ok(());
    }
    let row = |((spender, day, id, model), sum): (&DayKey, &Day)| {
        let Day { cost, input_tokens, output_tokens, requests, failed } = sum;
        json!([spender, day, id, model, cost.picos(), input_tokens, output_tokens, requests, failed])
    };
    let rows: Vec<Json> = days.iter().map(row).collect();
    session
        .run(
            each!(
                "INSERT INTO tagrail_daily AS d
                     (spender, day, id, model, cost, input_tokens, output_tokens, requests, failed)
                 SELECT value->>0, value->>1, value->>2, value->>3, CAST(value->>4 AS BIGINT),
                        CAST(value->>5 AS BIGINT), CAST(value->>6 AS BIGINT), CAST(value->>7 AS BIGINT),
                        CAST(value->>8 AS BIGINT) FROM",
                "WHERE true ON CONFLICT (spender, day, id, model) DO UPDATE SET
                     cost = CASE WHEN d.cost > 9223372036854775807 - excluded.cost THEN 9223372036854775807
                                 ELSE d.cost + excluded.cost END,
                     input_tokens = d.input_tokens + excluded.input_tokens,
                     output_tokens = d.output_tokens + excluded.output_tokens,
                     requests = d.requests + excluded.requests,
                     failed = d.failed + excluded.failed"
            ),
            values![Json::from(rows).to_string()],
        )
        .await?;
    Ok(())
}
