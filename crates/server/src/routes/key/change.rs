//! What a body says of a key, written into it.

use http::StatusCode;
use tagrail_store::{Key, Timestamp};

use crate::error::Problem;
use crate::fields::Asked;
use crate::fields::labels::Labels;
use crate::fields::limits::set_budget;
use crate::routes::key::taken::{KEPT, KEY_TYPES};

/// Sets what was written; what was not stays.
pub(crate) fn set(asked: &Asked, key: &mut Key, now: Timestamp) -> Result<(), Problem> {
    Labels { tags: &mut key.tags, metadata: &mut key.metadata, limits: &mut key.limits }.set(asked)?;
    set_budget(asked, &mut key.budget, now);
    // An empty id is how some clients write none.
    for (name, id) in
        [("key_alias", &mut key.alias), ("team_id", &mut key.team_id), ("user_id", &mut key.user_id)]
    {
        if asked.is_there(name) {
            *id = asked.text(name).filter(|text| !text.is_empty()).map(str::to_owned);
        }
    }
    if asked.is_there("models") {
        key.models = asked.texts("models").unwrap_or_default();
    }
    if asked.is_there("aliases") {
        key.aliases = asked.map("aliases").unwrap_or_default();
    }
    if asked.is_there("duration") {
        key.expires = expiry(asked.text("duration"), now)?;
    }
    if asked.is_there("blocked") {
        key.blocked = asked.flag("blocked").unwrap_or_default();
    }
    set_routes(asked, key);
    asked.keep(KEPT, &mut key.kept);
    key.updated_at = now;
    Ok(())
}

/// `key_type` says it where `allowed_routes` does not. An empty list is every route, and is what clients
/// send that have nothing to say: beside a type it means nothing.
fn set_routes(asked: &Asked, key: &mut Key) {
    let routes = asked.texts("allowed_routes").filter(|routes| !routes.is_empty());
    let of_type = asked.text("key_type").and_then(|kind| KEY_TYPES.iter().find(|(name, _)| *name == kind));
    match (routes, of_type) {
        (Some(routes), _) => key.allowed_routes = routes,
        (None, Some((_, groups))) => {
            key.allowed_routes = groups.iter().map(|&group| group.to_owned()).collect()
        }
        (None, None) if asked.is_there("allowed_routes") => key.allowed_routes.clear(),
        (None, None) => {}
    }
}

/// When a key ends that is valid for so long.
fn expiry(duration: Option<&str>, now: Timestamp) -> Result<Option<Timestamp>, Problem> {
    let Some(duration) = duration.filter(|&duration| duration != "-1") else { return Ok(None) };
    let end = tagrail_store::after(duration, now);
    end.map(Some)
        .ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "Invalid duration format").param("duration"))
}
