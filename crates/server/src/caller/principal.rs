//! What a virtual key stands for: its record with team and user, made ready once for all of its calls.

use std::sync::Arc;

use http::StatusCode;
use tagrail::Caller;
use tagrail::routing::{AccessList, Holder, Policy, TagOrigin};
use tagrail_store::{Identity, Key, Team, Timestamp, User};

use super::permitted::permits;
use super::{Known, Role, refused};
use crate::error::{Problem, python_list};
use crate::ledger::{Meters, Purse};

/// A key that leaves its models to its team.
const ALL_TEAM_MODELS: &str = "all-team-models";

/// What admits nothing.
const NO_MODELS: &str = "no-default-models";

/// A key, ready for calls. Remembered by hash; what depends on the clock is asked at every call.
pub(crate) struct Principal {
    role: Role,
    caller: Arc<Caller>,
    identity: Arc<Identity>,
    /// Why it may call nothing, whatever the time.
    blocked: Option<Blocked>,
}

/// Who is blocked.
enum Blocked {
    Key,
    Team(String),
    User(String),
}

impl Principal {
    pub(crate) fn new(identity: Identity, meters: &Arc<Meters>) -> Principal {
        let Identity { key, team, user } = &identity;
        let role = match user.as_ref().and_then(|user| user.role.as_deref()) {
            Some("proxy_admin") => Role::Admin,
            Some("proxy_admin_viewer") => Role::Viewer,
            _ => Role::Caller,
        };
        let policy = policy(Some(key), team.as_ref(), user.as_ref());
        // An admin's key opens everything unless somebody has narrowed it down.
        let policy = (role != Role::Admin || policy != Policy::default()).then_some(policy);
        let named = tagrail::Identity {
            key: key.hash.clone(),
            key_alias: key.alias.clone(),
            team: key.team_id.clone(),
            user: key.user_id.clone(),
        };
        let allowance = Some(Arc::new(Purse::of(&identity, meters)) as Arc<_>);
        let caller = Arc::new(Caller { identity: named, policy, allowance });
        let blocked = blocked(&identity);
        Principal { role, caller, identity: Arc::new(identity), blocked }
    }

    pub(crate) fn known(&self) -> Known {
        Known { role: self.role, caller: self.caller.clone(), identity: Some(self.identity.clone()) }
    }

    /// Whether it may call a route now; else the refusal, and what it is counted as.
    pub(super) fn admit(&self, route: &str, now: Timestamp) -> Result<(), (Problem, &'static str)> {
        let key = &self.identity.key;
        if let Some(Blocked::Key) = self.blocked {
            let message = "Key is blocked. Update via `/key/unblock` if you're an admin.";
            return Err((refused(message), "blocked"));
        }
        if let Some(expires) = key.expires.filter(|expires| *expires <= now) {
            return Err((expired(&key.name, expires, now), "expired"));
        }
        if !permits(&key.allowed_routes, route) {
            let allowed = python_list(key.allowed_routes.iter().map(String::as_str));
            let message = format!(
                "Virtual key is not allowed to call this route. Only allowed to call routes: {allowed}. Tried to call route: {route}"
            );
            return Err((Problem::detail(StatusCode::FORBIDDEN, message), "route"));
        }
        let (what, id, unblock) = match &self.blocked {
            Some(Blocked::Team(id)) => ("Team", id, "/team/unblock"),
            Some(Blocked::User(id)) => ("User", id, "/user/update"),
            Some(Blocked::Key) | None => return Ok(()),
        };
        let message = format!("{what}={id} is blocked. Update via `{unblock}` if you're an admin.");
        let why = if what == "Team" { "team blocked" } else { "user blocked" };
        Err((refused(&message), why))
    }
}

fn blocked(identity: &Identity) -> Option<Blocked> {
    if identity.key.blocked {
        return Some(Blocked::Key);
    }
    if let Some(team) = identity.team.as_ref().filter(|team| team.blocked) {
        return Some(Blocked::Team(team.id.clone()));
    }
    let is_blocked = |user: &&User| user.kept.get("blocked").is_some_and(|flag| flag == true);
    identity.user.as_ref().filter(is_blocked).map(|user| Blocked::User(user.id.clone()))
}

fn expired(name: &str, expires: Timestamp, now: Timestamp) -> Problem {
    let message = format!(
        "Authentication Error - Expired Key. Key Expiry time {} and current time {}",
        as_python(expires),
        as_python(now)
    );
    Problem::new(StatusCode::UNAUTHORIZED, message).kind("expired_key").param(name.to_owned())
}

/// `2026-11-21 19:42:52.524000+00:00`.
fn as_python(time: Timestamp) -> String {
    let text = time.to_rfc3339().replacen('T', " ", 1);
    format!("{}000+00:00", text.trim_end_matches('Z'))
}

/// What a key opens; without a key, what every key of a team does.
pub(crate) fn policy(key: Option<&Key>, team: Option<&Team>, user: Option<&User>) -> Policy {
    let mut policy = Policy::default();
    let tags = [(key.map(|key| &key.tags), TagOrigin::Key), (team.map(|team| &team.tags), TagOrigin::Team)];
    for (tags, origin) in tags {
        policy.tags.extend(tags.into_iter().flatten().map(|tag| (tag.clone(), origin)));
    }
    if let Some(team) = team {
        policy.aliases.extend(team.model_aliases.clone());
    }
    if let Some(key) = key {
        policy.aliases.extend(key.aliases.clone());
        policy.models.extend(list_of(key, team));
    }
    if let Some(team) = team.filter(|team| !team.models.is_empty()) {
        let also = team.model_aliases.keys().cloned().collect();
        policy.models.push(AccessList { holder: Holder::Team, models: team.models.clone(), also });
    }
    // A user's own models are for keys that are the user's alone.
    let alone = key.is_none_or(|key| key.team_id.is_none());
    if let Some(user) = user.filter(|user| alone && !user.models.is_empty()) {
        policy.models.push(AccessList {
            holder: Holder::User,
            models: user.models.clone(),
            also: Vec::new(),
        });
    }
    policy
}

/// A key's own list.
fn list_of(key: &Key, team: Option<&Team>) -> Option<AccessList> {
    let leaves_it = key.models.iter().any(|model| model == ALL_TEAM_MODELS);
    let models = match (leaves_it, team) {
        // The team that it relies on is gone, and what that allowed is not known any more.
        (true, None) if key.team_id.is_some() => vec![NO_MODELS.to_owned()],
        (true, _) => return None,
        _ if key.models.is_empty() => return None,
        _ => key.models.clone(),
    };
    Some(AccessList { holder: Holder::Key, models, also: Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn team() -> Team {
        Team {
            id: "t".to_owned(),
            tags: strings(&["&red"]),
            models: strings(&["g"]),
            model_aliases: [("nick".to_owned(), "g".to_owned()), ("both".to_owned(), "team's".to_owned())]
                .into(),
            ..Team::default()
        }
    }

    #[test]
    fn a_policy_has_the_keys_things_before_the_teams() {
        let key = Key {
            team_id: Some("t".to_owned()),
            tags: strings(&["blue"]),
            models: strings(&["g", "h"]),
            aliases: [("both".to_owned(), "key's".to_owned())].into(),
            ..Key::default()
        };
        let policy = policy(Some(&key), Some(&team()), None);
        let tags = [("blue".to_owned(), TagOrigin::Key), ("&red".to_owned(), TagOrigin::Team)];
        assert_eq!(policy.tags, tags);
        assert_eq!((policy.aliases["both"].as_str(), policy.aliases["nick"].as_str()), ("key's", "g"));
        let holders: Vec<_> = policy.models.iter().map(|list| list.holder).collect();
        assert_eq!(holders, [Holder::Key, Holder::Team]);
        assert_eq!(policy.models[1].also, strings(&["both", "nick"]));
    }

    #[test]
    fn a_key_may_leave_its_models_to_a_team_that_is_there() {
        let mut key = Key {
            team_id: Some("t".to_owned()),
            models: strings(&["all-team-models", "x"]),
            ..Key::default()
        };
        let lists = |key: &Key, team: Option<&Team>| policy(Some(key), team, None).models;
        assert_eq!(lists(&key, Some(&team())).len(), 1);
        assert_eq!(lists(&key, None)[0].models, strings(&["no-default-models"]));
        key.team_id = None;
        assert!(lists(&key, None).is_empty());
    }

    #[test]
    fn a_users_models_are_for_keys_without_a_team() {
        let user = User { models: strings(&["m"]), ..User::default() };
        let key = Key::default();
        assert_eq!(policy(Some(&key), None, Some(&user)).models[0].holder, Holder::User);
        let key = Key { team_id: Some("t".to_owned()), ..Key::default() };
        assert!(policy(Some(&key), Some(&Team::default()), Some(&user)).models.is_empty());
    }

    #[test]
    fn times_are_written_as_python_writes_them() {
        let time = Timestamp::parse("2026-11-21T19:42:52.524Z").unwrap();
        assert_eq!(as_python(time), "2026-11-21 19:42:52.524000+00:00");
    }
}
