//! Users as rows.

use super::change::Writing;
use super::key::{absent, delete_of_users, paged, texts};
use super::record::{at, body, read};
use super::{Done, Failure, Filter, Session, list, listed, values};
use crate::{Kind, Page, Paged, StoreError, User};

fn missing(id: &str) -> Failure {
    StoreError::Missing { field: "user_id", value: id.to_owned() }.into()
}

pub(crate) async fn create(writing: &mut Writing, user: &User) -> Done<()> {
    let values = values![
        user.id.as_str(),
        body(user)?,
        user.spend,
        at(user.budget.reset_at),
        user.version,
        user.created_at.0,
    ];
    writing
        .session
        .run(
            "INSERT INTO tagrail_users (id, body, spend, reset_at, version, created_at)
             VALUES ($1, $2, $3, $4, $5, $6)",
            values,
        )
        .await
        .map_err(|error| {
            Failure::from(error).taken(("tagrail_users_pkey", "tagrail_users.id"), "user_id", &user.id)
        })?;
    writing.note(Kind::User, user.id.as_str());
    Ok(())
}

pub(crate) async fn update(writing: &mut Writing, user: &User) -> Done<User> {
    let mut written = User { version: user.version + 1, ..user.clone() };
    let values = values![user.id.as_str(), user.version, body(&written)?, at(user.budget.reset_at)];
    let row = writing
        .session
        .row(
            "UPDATE tagrail_users SET body = $3, reset_at = $4, version = version + 1
             WHERE id = $1 AND version = $2 RETURNING spend",
            values,
        )
        .await?;
    let Some(row) = row else {
        return match get(&mut writing.session, &user.id).await? {
            Some(_) => Err(StoreError::Conflict.into()),
            None => Err(missing(&user.id)),
        };
    };
    written.spend = row.money(0)?;
    writing.note(Kind::User, user.id.as_str());
    Ok(written)
}

pub(crate) async fn get(session: &mut Session, id: &str) -> Done<Option<User>> {
    let row = session
        .row("SELECT body, spend, reset_at, version FROM tagrail_users WHERE id = $1", values![id])
        .await?;
    row.map_or(Ok(None), |row| read(&row, 0))
}

pub(crate) async fn find(session: &mut Session, page: Option<Page>) -> Done<Paged<User>> {
    let mut select = Filter::new("SELECT body, spend, reset_at, version FROM tagrail_users");
    select.then(" ORDER BY created_at, id");
    let count = Filter::new("SELECT count(*) FROM tagrail_users");
    paged(session, select, count, page, |row| read(row, 0)).await
}

pub(crate) async fn delete(writing: &mut Writing, ids: &[String]) -> Done<Vec<String>> {
    let keys = delete_of_users(writing, ids).await?;
    let all = list(ids);
    writing
        .session
        .lock(
            "SELECT 1 FROM tagrail_users
             WHERE id IN (SELECT value FROM json_array_elements_text($1::json) AS e(value))
             ORDER BY id FOR UPDATE",
            values![all.as_str()],
        )
        .await?;
    let gone = writing
        .session
        .rows(listed!("DELETE FROM tagrail_users WHERE id IN", "RETURNING id"), values![all.as_str()])
        .await?;
    let gone = texts(&gone)?;
    if let Some(id) = absent(ids, &gone) {
        return Err(missing(id));
    }
    for id in gone {
        writing.note(Kind::User, id);
    }
    Ok(keys)
}
