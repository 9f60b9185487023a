//! Changes of keys that are there. Each takes effect before it is answered.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use http::{Request, StatusCode};
use http_body::Body as _;
use serde_json::{Map, Value, json};
use tagrail_store::{Key, KeyFilter, StoreError, Timestamp};

use crate::app::Shared;
use crate::asked::Path;
use crate::caller::Admin;
use crate::error::Problem;
use crate::fields::{Asked, missing};
use crate::ledger::Ledger;
use crate::routes::edit::TRIES;
use crate::routes::key::made::{self, Made, refused, told};
use crate::routes::key::{change, minted, shown, taken};

/// `POST /key/update`.
pub(crate) async fn update(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::read(request, &shared.router.snapshot().general, taken::UPDATE).await?;
    let hash = which(&shared.ledger, &asked).await?;
    let ledger = &shared.ledger;
    let key = changed(ledger, &hash, |key| change::set(&asked, key, ledger.now())).await?;
    let mut answer = shown::whole(&key);
    let named = asked.value("key").cloned().unwrap_or_else(|| json!(key.hash));
    answer.insert("key".to_owned(), named);
    Ok(asked.answered(Value::Object(answer)))
}

/// The hash of the key that a change is about; it may be named by its alias alone.
async fn which(ledger: &Ledger, asked: &Asked) -> Result<String, Problem> {
    if let Some(key) = asked.text("key") {
        return Ok(minted::meant(key));
    }
    let alias = asked.text("key_alias").ok_or_else(|| missing("key"))?;
    by_alias(ledger, alias).await?.ok_or_else(made::missing)
}

async fn by_alias(ledger: &Ledger, alias: &str) -> Result<Option<String>, Problem> {
    let filter = KeyFilter { alias: Some(alias.to_owned()), ..KeyFilter::default() };
    let found = ledger.ask(async move |store| store.keys(&filter, None).await).await?;
    Ok(found.items.into_iter().next().map(|key| key.hash))
}

/// Reads a key, changes it, writes it back; anew when somebody else changed it meanwhile.
async fn changed(
    ledger: &Ledger,
    hash: &str,
    change: impl Fn(&mut Key) -> Result<(), Problem>,
) -> Result<Key, Problem> {
    for _ in 0..TRIES {
        let mut key = read(ledger, hash).await?;
        change(&mut key)?;
        let written = key.clone();
        match ledger.change(async move |store| told(store.update_key(&written).await)).await? {
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(refused(&error, &key)),
            Ok(key) => return Ok(key),
        }
    }
    Err(Problem::of_store(&StoreError::Conflict))
}

async fn read(ledger: &Ledger, hash: &str) -> Result<Key, Problem> {
    let hash = hash.to_owned();
    ledger.ask(async move |store| store.key(&hash).await).await?.ok_or_else(made::missing)
}

/// `POST /key/block`.
pub(crate) async fn block(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    set_blocked(&shared, request, true).await
}

/// `POST /key/unblock`.
pub(crate) async fn unblock(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    set_blocked(&shared, request, false).await
}

async fn set_blocked(shared: &Shared, request: Request<Body>, blocked: bool) -> Result<Json<Value>, Problem> {
    let asked = Asked::read(request, &shared.router.snapshot().general, taken::ONE).await?;
    let hash = minted::meant(asked.needed("key")?);
    let set = |key: &mut Key| {
        key.blocked = blocked;
        key.updated_at = shared.ledger.now();
        Ok(())
    };
    let key = changed(&shared.ledger, &hash, set).await?;
    Ok(asked.answered(Value::Object(shown::whole(&key))))
}

/// `POST /key/delete`: all that are named, or none.
pub(crate) async fn delete(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::read(request, &shared.router.snapshot().general, taken::DELETE).await?;
    let mut named = asked.texts("keys").unwrap_or_default();
    let mut hashes: Vec<String> = named.iter().map(|key| minted::meant(key)).collect();
    for alias in asked.texts("key_aliases").unwrap_or_default() {
        hashes.push(by_alias(&shared.ledger, &alias).await?.ok_or_else(none_found)?);
        named.push(alias);
    }
    if hashes.is_empty() {
        return Err(missing("keys"));
    }
    hashes.sort_unstable();
    hashes.dedup();
    match shared.ledger.change(async move |store| told(store.delete_keys(&hashes).await)).await? {
        Ok(()) => Ok(asked.answered(json!({ "deleted_keys": named }))),
        Err(StoreError::Missing { .. }) => Err(none_found()),
        Err(error) => Err(Problem::of_store(&error)),
    }
}

fn none_found() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "{'error': 'No keys found'}").kind("not_found_error").param("keys")
}

/// `POST /key/regenerate`.
pub(crate) async fn regenerate(
    _: Admin,
    State(shared): State<Shared>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let asked = Asked::read(request, &shared.router.snapshot().general, taken::REGENERATE).await?;
    let hash = minted::meant(asked.needed("key")?);
    replaced(&shared, asked, &hash).await
}

/// `POST /key/{key}/regenerate`. A body is not needed; the key in the path is the one that is meant.
pub(crate) async fn regenerate_named(
    _: Admin,
    State(shared): State<Shared>,
    Path(key): Path<String>,
    request: Request<Body>,
) -> Result<Json<Value>, Problem> {
    let asked = if request.body().is_end_stream() {
        Asked::default()
    } else {
        Asked::read(request, &shared.router.snapshot().general, taken::REGENERATE).await?
    };
    replaced(&shared, asked, &minted::meant(&key)).await
}

/// Another value for a key; all else stays but for what was written.
async fn replaced(shared: &Shared, asked: Asked, hash: &str) -> Result<Json<Value>, Problem> {
    let secret = match asked.text("new_key") {
        Some(own) => minted::chosen(own, &shared.router.snapshot().general, "new_key")?,
        None => minted::mint()?,
    };
    for _ in 0..TRIES {
        let mut key = read(&shared.ledger, hash).await?;
        let now = shared.ledger.now();
        change::set(&asked, &mut key, now)?;
        key.hash = minted::hash(secret.reveal());
        key.name = minted::name(secret.reveal());
        count_rotation(&mut key.kept, now);
        let (old, new) = (hash.to_owned(), key.clone());
        match shared.ledger.change(async move |store| told(store.replace_key(&old, &new).await)).await? {
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(refused(&error, &key)),
            Ok(key) => {
                let answer = Value::Object(Made { key, secret }.shown(&asked));
                return Ok(asked.answered(answer));
            }
        }
    }
    Err(Problem::of_store(&StoreError::Conflict))
}

fn count_rotation(kept: &mut Map<String, Value>, now: Timestamp) {
    let count = kept.get("rotation_count").and_then(Value::as_u64).unwrap_or(0) + 1;
    kept.insert("rotation_count".to_owned(), json!(count));
    kept.insert("last_rotation_at".to_owned(), json!(now.to_rfc3339()));
}
