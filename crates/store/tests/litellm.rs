//! Moving in from LiteLLM's database: a real PostgreSQL with its tables, into both stores.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "whatever goes wrong here is a failed test, and a test fails by panicking"
)]

use std::sync::Arc;

use serde_json::json;
use tagrail_money::Money;
use tagrail_store::litellm::{Importing, Litellm, Report, import};
use tagrail_store::{Key, KeyFilter, Store, StoreError, Team, TeamFilter, Timestamp, open};
use tagrail_testkit::Postgres;

const TABLES: &str = include_str!("litellm/tables.sql");
const ROWS: &str = include_str!("litellm/rows.sql");

/// LiteLLM's database.
fn litellm() -> String {
    let address = Postgres::database();
    Postgres::sql(&address, TABLES);
    Postgres::sql(&address, ROWS);
    address
}

/// An empty store of each kind; the folder keeps the file.
async fn stores() -> Vec<(Arc<dyn Store>, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite:{}", folder.path().join("store.db").display());
    let sqlite = Box::pin(open(&file)).await.unwrap();
    let postgres = Box::pin(open(&Postgres::database())).await.unwrap();
    vec![(sqlite, Some(folder)), (postgres, None)]
}

async fn moved(from: &str, into: Option<&dyn Store>, dry_run: bool) -> Result<Report, StoreError> {
    let mut litellm = Litellm::open(from).await?;
    // Without prefix: sign and `default` off, exclusions out.
    let reserving = |tags: &[String]| -> Vec<String> {
        let held = tags.iter().filter(|tag| !tag.starts_with('!') && *tag != "default");
        held.map(|tag| tag.trim_start_matches('&').to_owned()).collect()
    };
    let mut seen = Vec::new();
    let mut progress = |kind, done, total| seen.push((kind, done, total));
    let importing = Importing { into, dry_run, reserving: &reserving, progress: &mut progress };
    let report = Box::pin(import(&mut litellm, importing)).await?;
    litellm.close().await;
    assert!(seen.iter().all(|(_, done, total)| done <= total), "{seen:?}");
    Ok(report)
}

/// The hash of a key, by PostgreSQL's own reckoning.
fn hash(address: &str, key: &str) -> String {
    Postgres::sql(address, &format!("SELECT encode(sha256('{key}'), 'hex')")).trim().to_owned()
}

fn usd(dollars: f64) -> Money {
    Money::from_dollars(dollars).unwrap()
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

#[tokio::test]
async fn a_team_comes_with_its_tags_aliases_members_and_spend() {
    let from = litellm();
    for (store, _folder) in stores().await {
        moved(&from, Some(store.as_ref()), false).await.unwrap();
        let team: Team = store.team("team-a").await.unwrap().unwrap();
        assert_eq!(team.alias.as_deref(), Some("blue"));
        assert_eq!(team.tags, ["teamA", "&eu", "!us", "default"]);
        assert_eq!(team.models, ["g", "anthropic/*"]);
        assert_eq!(team.model_aliases.iter().collect::<Vec<_>>(), [(&"gg".to_owned(), &"g".to_owned())]);
        assert_eq!(team.metadata, json!({"cost centre": 12}).as_object().unwrap().clone());
        assert_eq!((team.limits.rpm, team.limits.model_rpm["g"]), (Some(60), 3));
        assert_eq!((team.budget.max, team.budget.duration.as_deref()), (Some(usd(100.25)), Some("30d")));
        assert_eq!(team.budget.reset_at, Some(at("2030-01-01")));
        assert_eq!(team.spend, usd(12.5));
        assert_eq!(team.created_at, at("2025-03-01T10:20:30.123Z"));
        assert_eq!(team.kept["organization_id"], "org");
        let members: Vec<_> = team
            .members
            .iter()
            .map(|it| (it.user_id.as_deref().unwrap(), it.role.as_str(), it.max_budget))
            .collect();
        assert_eq!(members, [("ana", "admin", None), ("ben", "user", Some(usd(4.0)))]);

        let odd = store.team("Straße \"2\"").await.unwrap().unwrap();
        assert!(odd.blocked && odd.tags.is_empty() && odd.members.is_empty());
        assert_eq!(
            (odd.budget.max, odd.limits.tpm),
            (None, Some(0)),
            "infinite is no limit, negative is none left"
        );
        let of_org = TeamFilter { organization_id: Some("org".to_owned()), ..TeamFilter::default() };
        assert_eq!(store.teams(&of_org, None).await.unwrap().total, 1);
    }
}

#[tokio::test]
async fn a_key_comes_by_its_hash_with_what_it_may_and_has_spent() {
    let from = litellm();
    for (store, _folder) in stores().await {
        moved(&from, Some(store.as_ref()), false).await.unwrap();
        let found = store.identity(&hash(&from, "sk-usual-0123456789")).await.unwrap().unwrap();
        let key: Key = found.key;
        assert_eq!(found.team.unwrap().id, "team-a");
        assert_eq!(found.user.unwrap().id, "ana");
        assert_eq!((key.name.as_str(), key.alias.as_deref()), ("sk-...6789", Some("usual")));
        assert_eq!(key.tags, ["fast"]);
        assert_eq!(key.aliases["x"], "g");
        assert_eq!(key.allowed_routes, ["llm_api_routes"]);
        assert_eq!(key.spend, usd(0.012_345_678_901));
        assert_eq!(key.budget.max, Some(usd(5.5)), "its own budget comes before a shared one");
        assert_eq!(
            (key.limits.rpm, key.budget.duration.as_deref()),
            (Some(7), Some("7d")),
            "the rest is shared"
        );
        assert_eq!(key.budget.reset_at, Some(at("2030-01-07")));
        assert_eq!((key.limits.parallel, key.limits.model_tpm["g"]), (Some(2), 1000));
        assert_eq!(key.last_active, Some(at("2025-05-01")));
        assert_eq!(key.created_at, at("2025-04-01T00:00:00.001Z"));

        let expired = store.key(&hash(&from, "sk-expired-0123456789")).await.unwrap().unwrap();
        assert!(expired.blocked);
        assert_eq!(expired.expires, Some(at("2025-01-01")));
        assert_eq!((expired.budget.max, expired.limits.rpm), (Some(usd(25.0)), Some(7)));
        let plain = store.key(&hash(&from, "sk-plain-0123456789")).await.unwrap().unwrap();
        assert_eq!((plain.name.as_str(), plain.blocked, plain.models.len()), ("sk-...", false, 0));
        let second = store.key(&"f".repeat(64)).await.unwrap().unwrap();
        assert_eq!(second.alias, None, "the alias is the first one's");
    }
}

#[tokio::test]
async fn what_cannot_come_is_named_with_its_reason_and_no_secret() {
    let from = litellm();
    for (store, _folder) in stores().await {
        let report = moved(&from, Some(store.as_ref()), false).await.unwrap();
        assert_eq!((report.keys.brought, report.keys.refused, report.keys.found), (4, 2, 6));
        let why: Vec<(&str, &str)> =
            report.refused.iter().map(|it| (it.name.split(' ').next().unwrap(), it.why.as_str())).collect();
        assert!(why.contains(&("sk-...orph", "its team `no-such-team` does not exist")), "{why:?}");
        assert!(
            why.contains(&("sk-...nted", "its token is not a SHA-256, so the key cannot be recognised")),
            "{why:?}"
        );
        assert!(
            report.notes.iter().any(|note| note.starts_with("keys of sessions") && note.ends_with(": 1")),
            "{:?}",
            report.notes
        );
        assert!(report.notes.iter().any(|note| note.contains("proxy_admin")), "{:?}", report.notes);
        assert!(
            report.notes.iter().any(|note| note.contains("without its alias") && note.contains("`usual`")),
            "{:?}",
            report.notes
        );
        let unenforced: Vec<(&str, &str, u64)> =
            report.unenforced.iter().map(|it| (it.kind, it.field.as_str(), it.count)).collect();
        for expected in [
            ("key", "metadata.guardrails", 1),
            ("key", "project_id", 1),
            ("team", "model_max_budget", 1),
            ("team", "policies", 1),
        ] {
            assert!(unenforced.contains(&expected), "{expected:?}: {unenforced:?}");
        }
        let left: Vec<(&str, u64)> = report.left_behind.iter().map(|it| (it.what, it.count)).collect();
        assert_eq!(left, [("models in the database", 2), ("organisations", 1)]);
        let told = format!("{report:?}");
        assert!(!told.contains("planted"), "{told}");
    }
}

#[tokio::test]
async fn users_and_tags_come_and_grants_of_teams_are_reserved() {
    let from = litellm();
    for (store, _folder) in stores().await {
        let report = moved(&from, Some(store.as_ref()), false).await.unwrap();
        let ana = store.user("ana").await.unwrap().unwrap();
        assert_eq!(
            (ana.email.as_deref(), ana.role.as_deref()),
            (Some("ana@example.org"), Some("internal_user"))
        );
        assert_eq!(ana.spend, usd(1.25));
        assert!(!ana.kept.contains_key("password"), "{:?}", ana.kept);
        let tags = store.tags(None).await.unwrap();
        let seen: Vec<(&str, Option<bool>, Option<Money>)> =
            tags.iter().map(|tag| (tag.name.as_str(), tag.reserved, tag.budget.max)).collect();
        assert_eq!(
            seen,
            [("eu", Some(true), None), ("free", None, None), ("teamA", Some(true), Some(usd(3.5)))]
        );
        let blue = tags.iter().find(|tag| tag.name == "teamA").unwrap();
        assert_eq!((blue.description.as_deref(), blue.spend), (Some("the blue ones"), usd(2.5)));
        assert_eq!(report.reserved, ["eu", "teamA"]);
        assert_eq!(store.reserved().await.unwrap().1, ["eu", "teamA"]);
    }
}

#[tokio::test]
async fn what_is_there_is_left_alone_and_a_second_import_brings_nothing() {
    let from = litellm();
    for (store, _folder) in stores().await {
        let own = Team { id: "team-a".to_owned(), alias: Some("ours".to_owned()), ..Team::default() };
        store.create_team(&own, &[]).await.unwrap();
        let first = moved(&from, Some(store.as_ref()), false).await.unwrap();
        assert_eq!((first.teams.brought, first.teams.present), (1, 1));
        assert_eq!(first.present, ["team team-a"]);
        assert_eq!(store.team("team-a").await.unwrap().unwrap().alias.as_deref(), Some("ours"));
        let (generation, _) = store.reserved().await.unwrap();
        let second = moved(&from, Some(store.as_ref()), false).await.unwrap();
        assert_eq!(
            second.teams.brought + second.keys.brought + second.users.brought + second.tags.brought,
            0
        );
        assert_eq!((second.keys.present, second.users.present, second.tags.present), (4, 2, 2));
        assert_eq!(store.reserved().await.unwrap().0, generation, "nothing has changed");
    }
}

#[tokio::test]
async fn a_dry_run_says_what_an_import_does_and_writes_nothing() {
    let from = litellm();
    for (store, _folder) in stores().await {
        let dry = moved(&from, Some(store.as_ref()), true).await.unwrap();
        assert_eq!(store.teams(&TeamFilter::default(), None).await.unwrap().total, 0);
        assert_eq!(store.keys(&KeyFilter::default(), None).await.unwrap().total, 0);
        let without_a_store = moved(&from, None, true).await.unwrap();
        let wet = moved(&from, Some(store.as_ref()), false).await.unwrap();
        for (one, other) in [(dry.keys, wet.keys), (dry.teams, wet.teams), (without_a_store.keys, wet.keys)] {
            assert_eq!(one, other);
        }
        let dry = moved(&from, Some(store.as_ref()), true).await.unwrap();
        assert_eq!((dry.keys.present, dry.teams.present, dry.users.present, dry.tags.present), (4, 2, 2, 2));
    }
}

#[tokio::test]
async fn nothing_is_changed_there_and_the_right_to_read_is_enough() {
    let from = litellm();
    let role = from.rsplit('/').next().unwrap().replace("test", "reader");
    Postgres::sql(&from, &format!("CREATE ROLE {role} LOGIN"));
    Postgres::sql(&from, &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    let everything = "SELECT string_agg(query_to_xml(format('SELECT * FROM %I', tablename), true, true, '')::text, '' \
                      ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'";
    let before = Postgres::sql(&from, everything);
    let (store, _folder) = stores().await.remove(0);
    let report =
        moved(&from.replace("postgres@", &format!("{role}@")), Some(store.as_ref()), false).await.unwrap();
    assert_eq!(report.keys.brought, 4);
    assert_eq!(Postgres::sql(&from, everything), before);
}

#[tokio::test]
async fn it_may_move_into_the_very_database_that_litellm_is_in() {
    let from = litellm();
    let store = Box::pin(open(&from)).await.unwrap();
    let report = moved(&from, Some(store.as_ref()), false).await.unwrap();
    assert_eq!((report.keys.brought, report.teams.brought), (4, 2));
}

#[tokio::test]
async fn tables_and_columns_of_other_releases_may_be_missing() {
    let from = Postgres::database();
    Postgres::sql(
        &from,
        "CREATE TABLE \"LiteLLM_TeamTable\" (team_id TEXT PRIMARY KEY, metadata JSONB, a_new_column TEXT);
         CREATE TABLE \"LiteLLM_VerificationToken\" (token TEXT PRIMARY KEY, spend REAL, models TEXT[], team_id TEXT,
             expires TIMESTAMPTZ);
         INSERT INTO \"LiteLLM_TeamTable\" VALUES ('t', '{\"tags\": [\"x\"]}', 'later');
         INSERT INTO \"LiteLLM_VerificationToken\" VALUES
             (encode(sha256('sk-old-0123456789'), 'hex'), 0.5, '{g}', 't', '2031-01-01 01:00:00+01');",
    );
    let (store, _folder) = stores().await.remove(0);
    let report = moved(&from, Some(store.as_ref()), false).await.unwrap();
    assert_eq!((report.keys.brought, report.teams.brought, report.users.found), (1, 1, 0));
    let key = store.key(&hash(&from, "sk-old-0123456789")).await.unwrap().unwrap();
    assert_eq!((key.models, key.expires), (vec!["g".to_owned()], Some(at("2031-01-01"))));
    assert_eq!(key.spend, usd(0.5));
    assert_eq!(store.team("t").await.unwrap().unwrap().kept["a_new_column"], "later");
}

#[tokio::test]
async fn prismas_schema_is_found_and_another_database_is_refused() {
    let from = Postgres::database();
    Postgres::sql(&from, "CREATE SCHEMA \"Lite LLM\"");
    Postgres::sql(&from, &format!("SET search_path TO \"Lite LLM\"; {TABLES} {ROWS}"));
    let (store, _folder) = stores().await.remove(0);
    let elsewhere = moved(&from, Some(store.as_ref()), false).await.unwrap_err().to_string();
    assert!(elsewhere.contains("LiteLLM_TeamTable"), "{elsewhere}");
    let named = format!("{from}?schema=Lite LLM&connection_limit=10");
    assert_eq!(moved(&named, Some(store.as_ref()), false).await.unwrap().keys.brought, 4);
    let gone = Litellm::open("postgres://nobody:planted@127.0.0.1:1/none").await.err().unwrap().to_string();
    assert!(!gone.contains("planted"), "{gone}");
}

#[tokio::test]
async fn more_keys_come_than_are_read_at_once() {
    let from = Postgres::database();
    Postgres::sql(&from, TABLES);
    Postgres::sql(
        &from,
        "INSERT INTO \"LiteLLM_VerificationToken\" (token) SELECT encode(sha256(('k' || n)::bytea), 'hex')
         FROM generate_series(1, 2001) n",
    );
    let report = moved(&from, None, true).await.unwrap();
    assert_eq!(report.keys.brought, 2001);
}
