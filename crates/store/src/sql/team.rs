//! Teams as rows.

use super::change::Writing;
use super::key::{absent, delete_of_teams, paged, texts};
use super::record::{at, body, read};
use super::{Done, Failure, Filter, Session, list, listed, tag, values};
use crate::{Deleted, Kind, Page, Paged, Reserving, StoreError, Team, TeamFilter};

fn organization(team: &Team) -> Option<&str> {
    team.kept.get("organization_id").and_then(|id| id.as_str())
}

fn missing(id: &str) -> Failure {
    StoreError::Missing { field: "team_id", value: id.to_owned() }.into()
}

pub(crate) async fn create(writing: &mut Writing, team: &Team, reserving: Reserving<'_>) -> Done<()> {
    let values = values![
        team.id.as_str(),
        organization(team),
        body(team)?,
        team.spend,
        at(team.budget.reset_at),
        team.version,
        team.created_at.0,
    ];
    writing
        .session
        .run(
            "INSERT INTO tagrail_teams (id, organization_id, body, spend, reset_at, version, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
            values,
        )
        .await
        .map_err(|error| {
            Failure::from(error).taken(("tagrail_teams_pkey", "tagrail_teams.id"), "team_id", &team.id)
        })?;
    members(&mut writing.session, team).await?;
    writing.note(Kind::Team, team.id.as_str());
    tag::reserve(writing, reserving).await
}

pub(crate) async fn update(writing: &mut Writing, team: &Team, reserving: Reserving<'_>) -> Done<Team> {
    let mut written = Team { version: team.version + 1, ..team.clone() };
    let values = values![
        team.id.as_str(),
        team.version,
        organization(team),
        body(&written)?,
        at(team.budget.reset_at),
    ];
    let row = writing
        .session
        .row(
            "UPDATE tagrail_teams SET organization_id = $3, body = $4, reset_at = $5, version = version + 1
             WHERE id = $1 AND version = $2 RETURNING spend",
            values,
        )
        .await?;
    let Some(row) = row else {
        return match get(&mut writing.session, &team.id).await? {
            Some(_) => Err(StoreError::Conflict.into()),
            None => Err(missing(&team.id)),
        };
    };
    written.spend = row.money(0)?;
    members(&mut writing.session, team).await?;
    writing.note(Kind::Team, team.id.as_str());
    tag::reserve(writing, reserving).await?;
    Ok(written)
}

/// Writes down who belongs to it, for [`TeamFilter::user_id`].
async fn members(session: &mut Session, team: &Team) -> Done<()> {
    session.run("DELETE FROM tagrail_members WHERE team_id = $1", values![team.id.as_str()]).await?;
    for member in team.members.iter().filter_map(|member| member.user_id.as_deref()) {
        session
            .run(
                "INSERT INTO tagrail_members (team_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING",
                values![team.id.as_str(), member],
            )
            .await?;
    }
    Ok(())
}

pub(crate) async fn get(session: &mut Session, id: &str) -> Done<Option<Team>> {
    let row = session
        .row("SELECT body, spend, reset_at, version FROM tagrail_teams WHERE id = $1", values![id])
        .await?;
    row.map_or(Ok(None), |row| read(&row, 0))
}

pub(crate) async fn find(
    session: &mut Session,
    filter: &TeamFilter,
    page: Option<Page>,
) -> Done<Paged<Team>> {
    let filtered = |select| {
        let mut sql = Filter::new(select);
        sql.and("id IN (SELECT team_id FROM tagrail_members WHERE user_id = ?)", filter.user_id.as_deref());
        sql.and("organization_id = ?", filter.organization_id.as_deref());
        sql
    };
    let mut select = filtered("SELECT body, spend, reset_at, version FROM tagrail_teams");
    select.then(" ORDER BY created_at, id");
    let count = filtered("SELECT count(*) FROM tagrail_teams");
    paged(session, select, count, page, |row| read(row, 0)).await
}

pub(crate) async fn delete(writing: &mut Writing, ids: &[String]) -> Done<Deleted> {
    let keys = delete_of_teams(writing, ids).await?;
    let all = list(ids);
    writing
        .session
        .lock(
            "SELECT 1 FROM tagrail_teams
             WHERE id IN (SELECT value FROM json_array_elements_text($1::json) AS e(value))
             ORDER BY id FOR UPDATE",
            values![all.as_str()],
        )
        .await?;
    let session = &mut writing.session;
    session.run(listed!("DELETE FROM tagrail_members WHERE team_id IN", ""), values![all.as_str()]).await?;
    let gone = session
        .rows(listed!("DELETE FROM tagrail_teams WHERE id IN", "RETURNING id"), values![all.as_str()])
        .await?;
    let teams = texts(&gone)?;
    if let Some(id) = absent(ids, &teams) {
        return Err(missing(id));
    }
    for id in &teams {
        writing.note(Kind::Team, id.as_str());
    }
    Ok(Deleted { teams, keys })
}
