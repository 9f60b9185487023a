//! Making, changing and ending rows of tags.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use tagrail::Snapshot;
use tagrail_store::{Budget, Limits, Store, StoreError, Tag, Timestamp};

use crate::app::Shared;
use crate::caller::Admin;
use crate::error::Problem;
use crate::fields::Asked;
use crate::fields::labels::check_tag;
use crate::fields::limits::{set_budget, set_limits};
use crate::routes::edit::edit;
use crate::routes::key::made::told;
use crate::routes::tag::taken::KEPT;
use crate::routes::tag::{shown, taken, unknown};

/// The tag that is for everybody.
const DEFAULT: &str = "default";

/// `POST /tag/new`.
pub(super) async fn new(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let snapshot = shared.router.snapshot();
    let mut asked = Asked::read(request, &snapshot.general, taken::NEW).await?;
    let name = name(&asked, &snapshot)?;
    let now = Timestamp::now();
    let mut tag = Tag { name: name.clone(), created_at: now, ..Tag::default() };
    set(&asked, &mut tag, now)?;
    let written = tag.clone();
    let create = async move |store: Arc<dyn Store>| told(store.create_tag(&written).await);
    let tag = match shared.ledger.change(create).await? {
        Ok(()) => tag,
        Err(StoreError::Taken { .. }) => describe(&shared, &asked, &name).await?,
        Err(error) => return Err(Problem::of_store(&error)),
    };
    warn(&mut asked, &tag, &snapshot);
    Ok(asked.answered(json!({
        "message": format!("Tag {name} created successfully"),
        "tag": shown::tag(&tag, &snapshot),
    })))
}

/// A row that a grant to a team has made says nothing but that the tag is reserved; for whoever makes
/// the tag it is not there yet. What is reserved stays so.
async fn describe(shared: &Shared, asked: &Asked, name: &str) -> Result<Tag, Problem> {
    let change = |tag: &mut Tag| {
        let opens = tag.reserved == Some(true) && asked.flag("reserved") == Some(false);
        if opens || !says_nothing(tag) {
            let message = format!("Tag {name} already exists");
            return Err(Problem::detail(StatusCode::BAD_REQUEST, message));
        }
        set(asked, tag, Timestamp::now())?;
        Ok(Vec::new())
    };
    edit(&shared.ledger, name, change).await?.ok_or_else(|| unknown(name))
}

fn says_nothing(tag: &Tag) -> bool {
    tag.description.is_none()
        && tag.models.is_empty()
        && tag.limits == Limits::default()
        && tag.budget == Budget::default()
        && tag.kept.is_empty()
}

/// `POST /tag/update`.
pub(super) async fn update(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let snapshot = shared.router.snapshot();
    let mut asked = Asked::read(request, &snapshot.general, taken::UPDATE).await?;
    let name = name(&asked, &snapshot)?;
    let change = |tag: &mut Tag| set(&asked, tag, Timestamp::now()).map(|()| Vec::new());
    let tag = edit(&shared.ledger, &name, change).await?.ok_or_else(|| unknown(&name))?;
    warn(&mut asked, &tag, &snapshot);
    Ok(asked.answered(json!({
        "message": format!("Tag {name} updated successfully"),
        "tag": shown::tag(&tag, &snapshot),
    })))
}

/// The tag that is meant, without the routing prefix.
fn name(asked: &Asked, snapshot: &Snapshot) -> Result<String, Problem> {
    let name = asked.needed("name")?;
    check_tag("name", name)?;
    if name.starts_with(['!', '&']) {
        let message = "`name` must be the tag alone, without `&` or `!`.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, message).param("name"));
    }
    // What a team's grant of it would be called.
    Ok(snapshot.table.reserving(&[name]).pop().unwrap_or_else(|| name.to_owned()))
}

/// Sets what was written; what was not stays.
fn set(asked: &Asked, tag: &mut Tag, now: Timestamp) -> Result<(), Problem> {
    set_limits(asked, &mut tag.limits);
    set_budget(asked, &mut tag.budget, now);
    if asked.is_there("description") {
        tag.description = asked.text("description").map(str::to_owned);
    }
    if asked.is_there("models") {
        tag.models = asked.texts("models").unwrap_or_default();
    }
    // `null` decides nothing: it must not open what is closed.
    if let Some(reserved) = asked.flag("reserved") {
        if reserved && tag.name == DEFAULT {
            let message = "`default` cannot be reserved: deployments that carry it are for everybody.";
            return Err(Problem::new(StatusCode::BAD_REQUEST, message).param("reserved"));
        }
        tag.reserved = Some(reserved);
    }
    asked.keep(KEPT, &mut tag.kept);
    tag.updated_at = now;
    Ok(())
}

/// Says what a change of the reservation does not do.
fn warn(asked: &mut Asked, tag: &Tag, snapshot: &Snapshot) {
    let name = &tag.name;
    if asked.flag("reserved") == Some(false) && shown::by_configuration(name, snapshot) {
        asked.warnings.push(format!("`{name}` stays reserved by general_settings.reserved_tags"));
    }
    if asked.flag("reserved") == Some(true) && !snapshot.general.tag_grants {
        asked.warnings.push(format!("`{name}` is reserved, but general_settings.tag_grants is off"));
    }
}

/// `POST /tag/delete`.
pub(super) async fn delete(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let snapshot = shared.router.snapshot();
    let mut asked = Asked::read(request, &snapshot.general, taken::ONE).await?;
    let name = name(&asked, &snapshot)?;
    let deleted = name.clone();
    let delete = async move |store: Arc<dyn Store>| match told(store.delete_tag(&deleted).await)? {
        Err(error) => Ok(Err(error)),
        Ok(()) => Ok(Ok(store.tags(Some(&[deleted])).await?.pop())),
    };
    let left = shared.ledger.change(delete).await?.map_err(|error| match error {
        StoreError::Missing { .. } => unknown(&name),
        other => Problem::of_store(&other),
    })?;
    if left.is_some_and(|tag| tag.reserved == Some(true)) {
        asked.warnings.push(format!(
            "`{name}` stays reserved; `/tag/update` with \"reserved\": false opens what it reserves"
        ));
    }
    Ok(asked.answered(json!({ "message": format!("Tag {name} deleted successfully") })))
}
