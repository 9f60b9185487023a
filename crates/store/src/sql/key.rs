//! Keys as rows.

use std::collections::HashSet;

use super::change::Writing;
use super::record::{at, body, read};
use super::{Done, Failure, Filter, Row, Session, Value, list, listed, values};
use crate::{Identity, Key, KeyFilter, Kind, Page, Paged, StoreError, Timestamp};

/// The columns that [`read_key`] reads.
macro_rules! columns {
    () => {
        "body, spend, reset_at, version, last_active"
    };
}

fn read_key(row: &Row, first: usize) -> Done<Option<Key>> {
    let Some(mut key) = read::<Key>(row, first)? else { return Ok(None) };
    key.last_active = row.int(first + 4)?.map(Timestamp);
    Ok(Some(key))
}

fn taken(failure: Failure, key: &Key) -> Failure {
    let alias = key.alias.as_deref().unwrap_or_default();
    failure.taken(("tagrail_keys_alias", "tagrail_keys.alias"), "key_alias", alias).taken(
        ("tagrail_keys_pkey", "tagrail_keys.hash"),
        "key",
        &key.hash,
    )
}

async fn team_exists(session: &mut Session, key: &Key) -> Done<()> {
    let Some(team) = &key.team_id else { return Ok(()) };
    let found = session.row("SELECT 1 FROM tagrail_teams WHERE id = $1", values![team.as_str()]).await?;
    match found {
        Some(_) => Ok(()),
        None => Err(StoreError::Missing { field: "team_id", value: team.clone() }.into()),
    }
}

fn missing(hash: &str) -> Failure {
    StoreError::Missing { field: "key", value: hash.to_owned() }.into()
}

pub(crate) async fn create(writing: &mut Writing, key: &Key) -> Done<()> {
    team_exists(&mut writing.session, key).await?;
    let values = values![
        key.hash.as_str(),
        key.alias.as_deref(),
        key.team_id.as_deref(),
        key.user_id.as_deref(),
        body(key)?,
        key.spend,
        at(key.budget.reset_at),
        key.version,
        key.created_at.0,
        at(key.last_active),
    ];
    writing
        .session
        .run(
            "INSERT INTO tagrail_keys (hash, alias, team_id, user_id, body, spend, reset_at, version,
             created_at, last_active) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            values,
        )
        .await
        .map_err(|error| taken(error.into(), key))?;
    // A hash that once was another key's is this one's now.
    writing
        .session
        .run("DELETE FROM tagrail_replaced WHERE old_hash = $1", values![key.hash.as_str()])
        .await?;
    writing.note(Kind::Key, key.hash.as_str());
    Ok(())
}

pub(crate) async fn update(writing: &mut Writing, key: &Key) -> Done<Key> {
    write(writing, &key.hash, key).await
}

pub(crate) async fn replace(writing: &mut Writing, old_hash: &str, key: &Key) -> Done<Key> {
    let written = write(writing, old_hash, key).await?;
    if old_hash == key.hash {
        return Ok(written);
    }
    let session = &mut writing.session;
    let hashes = || values![old_hash, key.hash.as_str()];
    session.run("DELETE FROM tagrail_replaced WHERE old_hash = $1 OR old_hash = $2", hashes()).await?;
    session.run("UPDATE tagrail_replaced SET hash = $2 WHERE hash = $1", hashes()).await?;
    session.run("INSERT INTO tagrail_replaced (old_hash, hash) VALUES ($1, $2)", hashes()).await?;
    writing.note(Kind::Key, old_hash);
    Ok(written)
}

/// Writes what `key` says over the key that has this hash now.
async fn write(writing: &mut Writing, hash: &str, key: &Key) -> Done<Key> {
    team_exists(&mut writing.session, key).await?;
    let mut written = Key { version: key.version + 1, ..key.clone() };
    let values = values![
        hash,
        key.version,
        key.hash.as_str(),
        key.alias.as_deref(),
        key.team_id.as_deref(),
        key.user_id.as_deref(),
        body(&written)?,
        at(key.budget.reset_at),
    ];
    let row = writing
        .session
        .row(
            "UPDATE tagrail_keys SET hash = $3, alias = $4, team_id = $5, user_id = $6, body = $7,
             reset_at = $8, version = version + 1 WHERE hash = $1 AND version = $2
             RETURNING spend, last_active",
            values,
        )
        .await
        .map_err(|error| taken(error.into(), key))?;
    let Some(row) = row else {
        return match get(&mut writing.session, hash).await? {
            Some(_) => Err(StoreError::Conflict.into()),
            None => Err(missing(hash)),
        };
    };
    written.spend = row.money(0)?;
    written.last_active = row.int(1)?.map(Timestamp);
    writing.note(Kind::Key, key.hash.as_str());
    Ok(written)
}

pub(crate) async fn get(session: &mut Session, hash: &str) -> Done<Option<Key>> {
    let row = session
        .row(concat!("SELECT ", columns!(), " FROM tagrail_keys WHERE hash = $1"), values![hash])
        .await?;
    row.map_or(Ok(None), |row| read_key(&row, 0))
}

pub(crate) async fn find(session: &mut Session, filter: &KeyFilter, page: Option<Page>) -> Done<Paged<Key>> {
    let filtered = |select| {
        let mut sql = Filter::new(select);
        sql.and("team_id = ?", filter.team_id.as_deref());
        sql.and("user_id = ?", filter.user_id.as_deref());
        sql.and("alias = ?", filter.alias.as_deref());
        sql
    };
    let mut select = filtered(concat!("SELECT ", columns!(), " FROM tagrail_keys"));
    select.then(" ORDER BY created_at, hash");
    let count = filtered("SELECT count(*) FROM tagrail_keys");
    paged(session, select, count, page, |row| read_key(row, 0)).await
}

/// A page of what is selected, and how much there is.
pub(crate) async fn paged<T>(
    session: &mut Session,
    mut select: Filter,
    mut count: Filter,
    page: Option<Page>,
    read: impl Fn(&Row) -> Done<Option<T>>,
) -> Done<Paged<T>> {
    let bounded = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    if let Some(page) = page {
        let before = page.number.saturating_sub(1).saturating_mul(page.size);
        select.bind(" LIMIT ?", Value::from(bounded(page.size)));
        select.bind(" OFFSET ?", Value::from(bounded(before)));
    }
    let values = select.take_values();
    let rows = session.rows(&select, values).await?;
    let items = rows.iter().filter_map(|row| read(row).transpose()).collect::<Done<Vec<T>>>()?;
    if page.is_none() {
        return Ok(Paged { total: items.len() as u64, items });
    }
    let values = count.take_values();
    let total = session.row(&count, values).await?.ok_or_else(Failure::no_row)?.int(0)?;
    Ok(Paged { items, total: total.unwrap_or_default().unsigned_abs() })
}

pub(crate) async fn delete(writing: &mut Writing, hashes: &[String]) -> Done<()> {
    let hashes_json = list(hashes);
    lock(&mut writing.session, &hashes_json).await?;
    let gone = writing
        .session
        .rows(
            listed!("DELETE FROM tagrail_keys WHERE hash IN", "RETURNING hash"),
            values![hashes_json.as_str()],
        )
        .await?;
    let gone = texts(&gone)?;
    if let Some(hash) = absent(hashes, &gone) {
        return Err(missing(hash));
    }
    forget(writing, gone).await
}

/// Takes away what is kept of keys beside themselves, and says that they are gone.
async fn forget(writing: &mut Writing, gone: Vec<String>) -> Done<()> {
    writing
        .session
        .run(listed!("DELETE FROM tagrail_replaced WHERE hash IN", ""), values![list(&gone)])
        .await?;
    for hash in gone {
        writing.note(Kind::Key, hash);
    }
    Ok(())
}

/// Takes the keys of teams away; gives their hashes.
pub(crate) async fn delete_of_teams(writing: &mut Writing, teams: &[String]) -> Done<Vec<String>> {
    let select = listed!("SELECT hash FROM tagrail_keys WHERE team_id IN", "");
    let hashes = texts(&writing.session.rows(select, values![list(teams)]).await?)?;
    delete(writing, &hashes).await?;
    Ok(hashes)
}

/// Takes the keys of users away; gives their hashes.
pub(crate) async fn delete_of_users(writing: &mut Writing, users: &[String]) -> Done<Vec<String>> {
    let select = listed!("SELECT hash FROM tagrail_keys WHERE user_id IN", "");
    let hashes = texts(&writing.session.rows(select, values![list(users)]).await?)?;
    delete(writing, &hashes).await?;
    Ok(hashes)
}

/// Locks keys in the order of their hashes, so that two processes never wait for each other.
pub(crate) async fn lock(session: &mut Session, hashes: &str) -> Result<(), sqlx::Error> {
    session
        .lock(
            "SELECT 1 FROM tagrail_keys
             WHERE hash IN (SELECT value FROM json_array_elements_text($1::json) AS e(value))
             ORDER BY hash FOR UPDATE",
            values![hashes],
        )
        .await
}

/// The first that was asked for and is not among these.
pub(crate) fn absent<'a>(asked: &'a [String], found: &[String]) -> Option<&'a String> {
    let found: HashSet<&String> = found.iter().collect();
    asked.iter().find(|one| !found.contains(one))
}

/// The first column of all rows.
pub(crate) fn texts(rows: &[Row]) -> Done<Vec<String>> {
    Ok(rows.iter().filter_map(|row| row.text(0).transpose()).collect::<Result<_, _>>()?)
}

/// All that a key stands for; one statement, so that it is one moment.
pub(crate) async fn identity(session: &mut Session, hash: &str) -> Done<Option<Identity>> {
    let row = session
        .row(
            "SELECT k.body, k.spend, k.reset_at, k.version, k.last_active,
                    t.body, t.spend, t.reset_at, t.version, u.body, u.spend, u.reset_at, u.version
             FROM tagrail_keys k
             LEFT JOIN tagrail_teams t ON t.id = k.team_id
             LEFT JOIN tagrail_users u ON u.id = k.user_id
             WHERE k.hash = $1",
            values![hash],
        )
        .await?;
    let Some(row) = row else { return Ok(None) };
    let Some(key) = read_key(&row, 0)? else { return Ok(None) };
    Ok(Some(Identity { key, team: read(&row, 5)?, user: read(&row, 9)? }))
}
