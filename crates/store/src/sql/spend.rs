//! Reading what calls cost, and deleting what is too old.

use std::collections::HashMap;

use tagrail_money::Money;

use super::settle::{by_text, indexed};
use super::{Done, Filter, Session, Value, list, listed, rows, values};
use crate::{Change, DailyBy, DailyFilter, DailySpend, Kind, SpendFilter, SpendRow, SumBy, Timestamp};

/// How many rows are read out before others have their turn on the store's thread.
const AT_ONCE: usize = 200;

pub(crate) async fn find(session: &mut Session, filter: &SpendFilter) -> Done<Vec<SpendRow>> {
    let column = |text: &Option<String>| text.as_deref().map(indexed);
    let mut sql = Filter::new(rows::SELECT);
    sql.and("id = ? OR call_id = ?", column(&filter.request_id));
    sql.and("key_hash = ?", column(&filter.key));
    sql.and("user_id = ?", column(&filter.user_id));
    sql.and("team_id = ?", column(&filter.team_id));
    sql.and("started >= ?", filter.from.map(|time| time.0));
    sql.and("started < ?", filter.until.map(|time| time.0));
    if let Some((started, id)) = &filter.behind {
        sql.and("started <= ?", Some(started.0));
        sql.bind(" AND (started < ?", Value::from(started.0));
        sql.bind(" OR id < ?)", Value::from(id.as_str()));
    }
    sql.then(" ORDER BY started DESC, id DESC");
    let bounded = |number: u64| Value::from(i64::try_from(number).unwrap_or(i64::MAX));
    if filter.limit > 0 {
        sql.bind(" LIMIT ?", bounded(filter.limit));
        sql.bind(" OFFSET ?", bounded(filter.offset));
    }
    let values = sql.take_values();
    let mut found = Vec::new();
    for row in session.rows(&sql, values).await? {
        found.push(rows::read(&row)?);
        if found.len() % AT_ONCE == 0 {
            tokio::task::yield_now().await;
        }
    }
    Ok(found)
}

/// Begins a question for sums: what is kept apart, and what is added up.
macro_rules! select {
    ($day:literal, $id:literal, $model:literal) => {
        concat!(
            "SELECT ",
            $day,
            ", ",
            $id,
            ", ",
            $model,
            // In two parts, since neither database adds beyond 64 bits.
            ", CAST(CASE WHEN SUM(cost / 1000000) >= 9223372036000 THEN 9223372036854775807
                    ELSE SUM(cost / 1000000) * 1000000 + SUM(cost % 1000000) END AS BIGINT),
               CAST(SUM(input_tokens) AS BIGINT), CAST(SUM(output_tokens) AS BIGINT),
               CAST(SUM(requests) AS BIGINT), CAST(SUM(failed) AS BIGINT) FROM tagrail_daily"
        )
    };
}

/// A question for sums, and what stands behind its conditions.
fn sums(by: SumBy) -> (&'static str, &'static str) {
    match by {
        SumBy::Each => (
            "SELECT day, id, model, cost, input_tokens, output_tokens, requests, failed FROM tagrail_daily",
            " ORDER BY day, id, model",
        ),
        SumBy::Id => (select!("''", "id", "''"), " GROUP BY id ORDER BY 4 DESC, id"),
        SumBy::DayAndId => (select!("day", "id", "''"), " GROUP BY day, id ORDER BY day, id"),
        SumBy::IdAndModel => (select!("''", "id", "model"), " GROUP BY id, model ORDER BY id, model"),
        SumBy::All => (select!("''", "''", "''"), ""),
    }
}

pub(crate) async fn daily(session: &mut Session, by: DailyBy, filter: &DailyFilter) -> Done<Vec<DailySpend>> {
    let (select, behind) = sums(filter.sum);
    let mut sql = Filter::new(select);
    sql.and("spender = ?", Some(by_text(by)));
    sql.and("day >= ?", filter.from.as_deref());
    sql.and("day <= ?", filter.until.as_deref());
    sql.and("id = ?", filter.id.as_deref().map(indexed));
    sql.then(behind);
    if filter.limit > 0 {
        sql.bind(" LIMIT ?", Value::from(i64::try_from(filter.limit).unwrap_or(i64::MAX)));
    }
    let values = sql.take_values();
    let mut days = Vec::new();
    for (number, row) in session.rows(&sql, values).await?.into_iter().enumerate() {
        if number % AT_ONCE == AT_ONCE - 1 {
            // Others are looked up on this thread.
            tokio::task::yield_now().await;
        }
        let text = |at| Ok::<_, sqlx::Error>(row.text(at)?.unwrap_or_default());
        let count = |at| Ok::<_, sqlx::Error>(row.int(at)?.unwrap_or_default().unsigned_abs());
        days.push(DailySpend {
            day: text(0)?,
            id: text(1)?,
            model: text(2)?,
            cost: row.money(3)?,
            input_tokens: count(4)?,
            output_tokens: count(5)?,
            requests: count(6)?,
            failed: count(7)?,
        });
    }
    Ok(days)
}

pub(crate) async fn spent(session: &mut Session, of: &Change) -> Done<Option<Money>> {
    let select = match of.kind {
        Kind::Key => "SELECT spend FROM tagrail_keys WHERE hash = $1",
        Kind::Team => "SELECT spend FROM tagrail_teams WHERE id = $1",
        Kind::User => "SELECT spend FROM tagrail_users WHERE id = $1",
        Kind::Tag => "SELECT spend FROM tagrail_tags WHERE name = $1",
    };
    let row = session.row(select, values![of.id.as_str()]).await?;
    Ok(row.map(|row| row.money(0)).transpose()?)
}

pub(crate) async fn spent_many(session: &mut Session, of: &[Change]) -> Done<HashMap<Change, Money>> {
    let mut spent = HashMap::with_capacity(of.len());
    for kind in [Kind::Key, Kind::Team, Kind::User, Kind::Tag] {
        let ids: Vec<&str> =
            of.iter().filter(|change| change.kind == kind).map(|change| change.id.as_str()).collect();
        if ids.is_empty() {
            continue;
        }
        let select = match kind {
            Kind::Key => listed!("SELECT hash, spend FROM tagrail_keys WHERE hash IN", ""),
            Kind::Team => listed!("SELECT id, spend FROM tagrail_teams WHERE id IN", ""),
            Kind::User => listed!("SELECT id, spend FROM tagrail_users WHERE id IN", ""),
            Kind::Tag => listed!("SELECT name, spend FROM tagrail_tags WHERE name IN", ""),
        };
        for row in session.rows(select, values![list(&ids)]).await? {
            spent.insert(Change { kind, id: row.text(0)?.unwrap_or_default() }, row.money(1)?);
        }
    }
    Ok(spent)
}

pub(crate) async fn prune(session: &mut Session, before: Timestamp, most: u64) -> Done<u64> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let delete = "DELETE FROM tagrail_spend WHERE id IN
                  (SELECT id FROM tagrail_spend WHERE started < $1 AND ended < $1 ORDER BY started, id LIMIT $2)";
    Ok(session.run(delete, values![before.0, most]).await?)
}

pub(crate) async fn prune_daily(session: &mut Session, before: &str, most: u64) -> Done<u64> {
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let delete = "DELETE FROM tagrail_daily WHERE (spender, day, id, model) IN
                  (SELECT spender, day, id, model FROM tagrail_daily
                   WHERE spender = $1 AND day < $2 ORDER BY day LIMIT $3)";
    let mut pruned = 0;
    for by in [DailyBy::Key, DailyBy::Team, DailyBy::User, DailyBy::Tag, DailyBy::Model] {
        pruned += session.run(delete, values![by_text(by), before, most]).await?;
    }
    Ok(pruned)
}
