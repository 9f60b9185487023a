//! Tags as rows, and what is reserved.

use super::change::Writing;
use super::key::texts;
use super::record::{at, body, read, read_all};
use super::{Done, Failure, Row, Session, list, listed, values};
use crate::{Generation, Kind, StoreError, Tag, Timestamp};

fn missing(name: &str) -> Failure {
    StoreError::Missing { field: "tag", value: name.to_owned() }.into()
}

fn reserved_column(tag: &Tag) -> Option<i64> {
    tag.reserved.map(i64::from)
}

async fn insert(writing: &mut Writing, tag: &Tag) -> Done<()> {
    let values = values![
        tag.name.as_str(),
        reserved_column(tag),
        body(tag)?,
        tag.spend,
        at(tag.budget.reset_at),
        tag.version,
    ];
    writing
        .session
        .run(
            "INSERT INTO tagrail_tags (name, reserved, body, spend, reset_at, version)
             VALUES ($1, $2, $3, $4, $5, $6)",
            values,
        )
        .await
        .map_err(|error| {
            Failure::from(error).taken(("tagrail_tags_pkey", "tagrail_tags.name"), "tag", &tag.name)
        })?;
    writing.note(Kind::Tag, tag.name.as_str());
    Ok(())
}

pub(crate) async fn create(writing: &mut Writing, tag: &Tag) -> Done<()> {
    insert(writing, tag).await
}

pub(crate) async fn update(writing: &mut Writing, tag: &Tag) -> Done<Tag> {
    let mut written = Tag { version: tag.version + 1, ..tag.clone() };
    let values = values![
        tag.name.as_str(),
        tag.version,
        reserved_column(tag),
        body(&written)?,
        at(tag.budget.reset_at),
    ];
    let row = writing
        .session
        .row(
            "UPDATE tagrail_tags SET reserved = $3, body = $4, reset_at = $5, version = version + 1
             WHERE name = $1 AND version = $2 RETURNING spend",
            values,
        )
        .await?;
    let Some(row) = row else {
        return match get(&mut writing.session, &tag.name).await? {
            Some(_) => Err(StoreError::Conflict.into()),
            None => Err(missing(&tag.name)),
        };
    };
    written.spend = row.money(0)?;
    writing.note(Kind::Tag, tag.name.as_str());
    Ok(written)
}

async fn get(session: &mut Session, name: &str) -> Done<Option<Tag>> {
    let row = session
        .row("SELECT body, spend, reset_at, version FROM tagrail_tags WHERE name = $1", values![name])
        .await?;
    row.map_or(Ok(None), |row| read(&row, 0))
}

pub(crate) async fn find(session: &mut Session, names: Option<&[String]>) -> Done<Vec<Tag>> {
    let rows: Vec<Row> = match names {
        None => {
            let all = "SELECT body, spend, reset_at, version FROM tagrail_tags ORDER BY name";
            session.rows(all, values![]).await?
        }
        Some(names) => {
            let these = listed!(
                "SELECT body, spend, reset_at, version FROM tagrail_tags WHERE name IN",
                "ORDER BY name"
            );
            session.rows(these, values![list(names)]).await?
        }
    };
    read_all(&rows)
}

/// What is reserved stays so when nothing else is known of it any more.
pub(crate) async fn delete(writing: &mut Writing, name: &str) -> Done<()> {
    let Some(tag) = get(&mut writing.session, name).await? else { return Err(missing(name)) };
    if tag.reserved != Some(true) {
        writing.session.run("DELETE FROM tagrail_tags WHERE name = $1", values![name]).await?;
        writing.note(Kind::Tag, name);
        return Ok(());
    }
    let bare = Tag {
        name: tag.name,
        reserved: Some(true),
        created_at: tag.created_at,
        updated_at: Timestamp::now(),
        version: tag.version,
        ..Tag::default()
    };
    writing.session.run("UPDATE tagrail_tags SET spend = 0 WHERE name = $1", values![name]).await?;
    update(writing, &bare).await?;
    Ok(())
}

/// Reserves for a team what nobody has decided about.
pub(crate) async fn reserve(writing: &mut Writing, tags: &[String]) -> Done<()> {
    let mut tags = tags.to_vec();
    tags.sort();
    tags.dedup();
    for name in tags {
        match get(&mut writing.session, &name).await? {
            Some(Tag { reserved: Some(_), .. }) => {}
            Some(tag) => {
                let tag = Tag { reserved: Some(true), updated_at: Timestamp::now(), ..tag };
                update(writing, &tag).await?;
            }
            None => {
                let now = Timestamp::now();
                let reserved = Some(true);
                let tag = Tag { name, reserved, created_at: now, updated_at: now, ..Tag::default() };
                insert(writing, &tag).await?;
            }
        }
    }
    Ok(())
}

/// What is reserved, and as of when; one statement, so that it is one moment.
pub(crate) async fn reserved(session: &mut Session) -> Done<(Generation, Vec<String>)> {
    let rows = session
        .rows(
            "SELECT t.name, g.value FROM tagrail_generation g
             LEFT JOIN tagrail_tags t ON t.reserved = 1 WHERE g.id = 1 ORDER BY t.name",
            values![],
        )
        .await?;
    let generation = rows.first().ok_or_else(Failure::no_row)?.int(1)?.unwrap_or_default();
    Ok((generation, texts(&rows)?))
}
