//! Rows of calls into their table: many in a statement, each at most once.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;
use serde_json::{Map, Value as Json, json};
use sqlx::{AssertSqlSafe, SqlSafeStr as _};
use tagrail_money::Money;

use super::record::body;
use super::settle::{INDEXED, charged, indexed};
use super::{Done, Failure, Row, Session, Statement, Value, each, key, storable, values};
use crate::{SpendRow, Timestamp};

/// How many rows the statements take, the largest first: a few statements that are prepared once, and
/// no more values in one than either database takes.
const SIZES: [usize; 3] = [128, 16, 1];

const COLUMNS: usize = 8;

/// Inserts the rows that are not there yet, in the order of their ids, which is the same in every
/// process; gives the ids of those. Mostly none is there, and then nothing needs to be read back, which
/// in SQLite costs more than the writing.
pub(super) async fn insert<'a>(
    session: &mut Session,
    rows: &BTreeMap<&'a str, &SpendRow>,
) -> Done<HashSet<&'a str>> {
    session.run("SAVEPOINT rows", Vec::new()).await?;
    let all: Vec<(&str, &SpendRow)> = rows.iter().map(|(id, row)| (*id, *row)).collect();
    if write(session, &all).await? == rows.len() as u64 {
        session.run("RELEASE SAVEPOINT rows", Vec::new()).await?;
        return Ok(rows.keys().copied().collect());
    }
    session.run("ROLLBACK TO SAVEPOINT rows", Vec::new()).await?;
    let inserted: HashSet<String> = insert_asking(session, &all).await?.into_iter().collect();
    Ok(rows.keys().copied().filter(|id| inserted.contains(&storable(id))).collect())
}

/// Gives how many were new.
async fn write(session: &mut Session, mut rows: &[(&str, &SpendRow)]) -> Done<u64> {
    let mut new = 0;
    for size in SIZES {
        while let Some((some, rest)) = rows.split_at_checked(size) {
            rows = rest;
            let mut values = Vec::with_capacity(size * COLUMNS);
            for (id, row) in some {
                values.extend(columns(id, row)?);
            }
            new += session.run(statement(size), values).await?;
        }
    }
    Ok(new)
}

fn columns(id: &str, row: &SpendRow) -> Done<[Value; COLUMNS]> {
    Ok([
        Value::from(id),
        Value::from(indexed(&row.call_id)),
        Value::from(indexed(&row.key)),
        Value::Text(row.team_id.as_deref().map(indexed)),
        Value::Text(row.user_id.as_deref().map(indexed)),
        Value::from(row.started.0),
        Value::from(row.ended.0),
        Value::Text(Some(text(row)?)),
    ])
}

/// What of a row has no column of its own, or does not fit into it. What is left out reads back as its
/// default.
#[derive(Serialize)]
struct Body<'a> {
    #[serde(skip_serializing_if = "fits")]
    call_id: &'a str,
    call_type: &'a str,
    #[serde(skip_serializing_if = "fits")]
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_alias: Option<&'a str>,
    #[serde(skip_serializing_if = "some_fits")]
    team_id: Option<&'a str>,
    #[serde(skip_serializing_if = "some_fits")]
    user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_user: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    tags: &'a [String],
    model: &'a str,
    model_group: &'a str,
    deployment: &'a str,
    provider: &'a str,
    api_base: &'a str,
    input_tokens: u64,
    output_tokens: u64,
    #[serde(skip_serializing_if = "is_false")]
    estimated: bool,
    #[serde(with = "tagrail_money::exact")]
    cost: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_byte: Option<Timestamp>,
    status: u16,
    #[serde(skip_serializing_if = "is_false")]
    cut_short: bool,
    decision: &'a str,
    #[serde(skip_serializing_if = "Map::is_empty")]
    metadata: &'a Map<String, Json>,
}

fn text(row: &SpendRow) -> Done<String> {
    body(&Body {
        call_id: &row.call_id,
        call_type: &row.call_type,
        key: &row.key,
        key_alias: row.key_alias.as_deref(),
        team_id: row.team_id.as_deref(),
        user_id: row.user_id.as_deref(),
        end_user: row.end_user.as_deref(),
        tags: &row.tags,
        model: &row.model,
        model_group: &row.model_group,
        deployment: &row.deployment,
        provider: &row.provider,
        api_base: &row.api_base,
        input_tokens: row.input_tokens,
        output_tokens: row.output_tokens,
        estimated: row.estimated,
        cost: charged(row),
        first_byte: row.first_byte,
        status: row.status,
        cut_short: row.cut_short,
        decision: &row.decision,
        metadata: &row.metadata,
    })
}

/// Whether a column holds all of it.
fn fits(text: &str) -> bool {
    text.len() <= INDEXED && !text.contains('\0')
}

fn some_fits(text: &Option<&str>) -> bool {
    text.is_none_or(fits)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// Begins a question for rows that [`read`] understands.
pub(super) const SELECT: &str =
    "SELECT body, id, call_id, key_hash, team_id, user_id, started, ended FROM tagrail_spend";

/// A row as it was written.
pub(super) fn read(row: &Row) -> Done<SpendRow> {
    let body = row.text(0)?.unwrap_or_default();
    let mut read: SpendRow = serde_json::from_str(&body).map_err(|error| Failure::unreadable(&error))?;
    let text = |at| Ok::<_, sqlx::Error>(row.text(at)?.unwrap_or_default());
    read.id = text(1)?;
    if read.call_id.is_empty() {
        read.call_id = text(2)?;
    }
    if read.key.is_empty() {
        read.key = text(3)?;
    }
    read.team_id = read.team_id.or(row.text(4)?);
    read.user_id = read.user_id.or(row.text(5)?);
    read.started = Timestamp(row.int(6)?.unwrap_or_default());
    read.ended = Timestamp(row.int(7)?.unwrap_or_default());
    Ok(read)
}

/// For so many rows. Only numbers are put into it; SQLite's has none, since finding a value's place by
/// its number takes longer the more there are.
fn statement(size: usize) -> Statement {
    let with = |place: &dyn Fn(usize) -> String| {
        let row = |row: usize| {
            let places: Vec<String> = (1..=COLUMNS).map(|column| place(row * COLUMNS + column)).collect();
            format!("({})", places.join(", "))
        };
        let rows: Vec<String> = (0..size).map(row).collect();
        let sql = format!(
            "INSERT INTO tagrail_spend (id, call_id, key_hash, team_id, user_id, started, ended, body)
             VALUES {} ON CONFLICT (id) DO NOTHING",
            rows.join(", ")
        );
        AssertSqlSafe(sql).into_sql_str()
    };
    Statement { sqlite: with(&|_| "?".to_owned()), postgres: with(&|number| format!("${number}")) }
}

/// The same where some are there already: gives which were not.
async fn insert_asking(session: &mut Session, rows: &[(&str, &SpendRow)]) -> Done<Vec<String>> {
    let mut list = Vec::with_capacity(rows.len());
    for (id, row) in rows {
        list.push(json!([
            storable(id),
            indexed(&row.call_id),
            indexed(&row.key),
            row.team_id.as_deref().map(indexed),
            row.user_id.as_deref().map(indexed),
            row.started.0,
            row.ended.0,
            text(row)?,
        ]));
    }
    let inserted = session
        .rows(
            each!(
                "INSERT INTO tagrail_spend (id, call_id, key_hash, team_id, user_id, started, ended, body)
                 SELECT value->>0, value->>1, value->>2, value->>3, value->>4,
                        CAST(value->>5 AS BIGINT), CAST(value->>6 AS BIGINT), value->>7 FROM",
                "WHERE true ON CONFLICT (id) DO NOTHING RETURNING id"
            ),
            values![Json::from(list).to_string()],
        )
        .await?;
    key::texts(&inserted)
}
