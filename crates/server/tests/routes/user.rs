//! `/user/*`.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::gateway::{Gateway, message};
use crate::people::{call_m, get_as, keeping, key, key_with_role, post_as, refusal, seen, told};

#[tokio::test]
async fn a_new_user_has_a_key_that_works() {
    let gateway = keeping(&json!({}));
    let body = json!({
        "user_id": "ann", "user_email": "ann@example.com", "user_alias": "Ann", "user_role": "internal_user",
        "max_budget": 5, "budget_duration": "7d", "models": ["m"], "metadata": {"a": 1}, "key_alias": "ann's",
    });
    let user = told(&gateway, "/user/new", &body).await;
    for (field, value) in [
        ("user_id", json!("ann")),
        ("user_email", json!("ann@example.com")),
        ("user_alias", json!("Ann")),
        ("user_role", json!("internal_user")),
        ("max_budget", json!(5.0)),
        ("budget_duration", json!("7d")),
        ("models", json!(["m"])),
        ("metadata", json!({"a": 1})),
        ("teams", json!([])),
        ("key_alias", json!("ann's")),
        ("spend", json!(0.0)),
    ] {
        assert_eq!(user[field], value, "{field}");
    }
    let key = user["key"].as_str().unwrap();
    assert_eq!(call_m(&gateway, key).await.0, 200);
    let info = seen(&gateway, &format!("/key/info?key={key}")).await;
    assert_eq!(info["info"]["user_id"], "ann");
}

#[tokio::test]
async fn a_user_without_a_key_is_one_that_was_asked_for() {
    let gateway = keeping(&json!({}));
    let user = told(&gateway, "/user/new", &json!({"auto_create_key": false})).await;
    assert_eq!((&user["key"], &user["token"]), (&json!(""), &Value::Null));
    let id = user["user_id"].as_str().unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(seen(&gateway, &format!("/user/info?user_id={id}")).await["keys"], json!([]));
}

#[tokio::test]
async fn what_cannot_be_a_user_is_refused_and_leaves_nothing() {
    let gateway = keeping(&json!({}));
    told(
        &gateway,
        "/user/new",
        &json!({"user_id": "ann", "user_email": "ann@example.com", "key_alias": "k"}),
    )
    .await;
    for (body, status, text, param) in [
        (json!({"user_id": "ann"}), 409, "User with id ann already exists", "user_id"),
        (
            json!({"user_email": "Ann@Example.com"}),
            409,
            "User with email Ann@Example.com already exists",
            "user_email",
        ),
        (json!({"teams": ["nope"]}), 404, "Team not found, passed team_id=nope", "teams"),
        (json!({"max_budget": -1}), 400, "max_budget cannot be negative. Received: -1", "max_budget"),
        (
            json!({"key_alias": "k"}),
            400,
            "Key with alias 'k' already exists. Unique key aliases across all keys are required.",
            "key_alias",
        ),
    ] {
        let seen = refusal(&gateway, "/user/new", &body).await;
        assert_eq!(seen, (status, text.to_owned(), json!(param)), "{body}");
    }
    assert_eq!(refusal(&gateway, "/user/new", &json!({"user_role": "root"})).await.0, 422);
    assert_eq!(refusal(&gateway, "/user/new", &json!({"teams": [7]})).await.0, 422);
    assert_eq!(seen(&gateway, "/user/list").await["total"], 1);
}

#[tokio::test]
async fn a_users_role_is_its_keys_role() {
    let gateway = keeping(&json!({}));
    let [admin, viewer, plain] = [
        key_with_role(&gateway, "proxy_admin").await,
        key_with_role(&gateway, "proxy_admin_viewer").await,
        key_with_role(&gateway, "internal_user").await,
    ];
    for (key, looks, changes) in [(&admin, 200, 200), (&viewer, 200, 401), (&plain, 401, 401)] {
        assert_eq!(get_as(&gateway, key, "/team/list").await.status, looks);
        let status = post_as(&gateway, key, "/team/new", &json!({})).await.status;
        assert!(status == changes || (changes == 401 && status == 403), "{status}");
    }
    // The team says who made it.
    let made = post_as(&gateway, &admin, "/team/new", &json!({})).await.json();
    assert_ne!(made["members_with_roles"][0]["user_id"], "default_user_id");
}

#[tokio::test]
async fn a_key_sees_its_own_user_and_no_other() {
    let gateway = keeping(&json!({}));
    let ann = told(&gateway, "/user/new", &json!({"user_id": "ann"})).await;
    told(&gateway, "/user/new", &json!({"user_id": "bob"})).await;
    let ann = ann["key"].as_str().unwrap();
    for path in ["/user/info", "/user/info?user_id=ann"] {
        let response = get_as(&gateway, ann, path).await;
        assert_eq!(
            (response.status, &response.json()["user_info"]["user_id"]),
            (200, &json!("ann")),
            "{path}"
        );
    }
    for other in ["bob", "nobody"] {
        let response = get_as(&gateway, ann, &format!("/user/info?user_id={other}")).await;
        let text = format!("key not allowed to access this user's info. user_id={other}, key's user_id=ann");
        assert_eq!((response.status, message(&response)), (403, text));
    }
    let nobodys = key(&gateway, &json!({})).await;
    assert_eq!(get_as(&gateway, &nobodys, "/user/info").await.status, 404);
    assert_eq!(get_as(&gateway, ann, "/user/list").await.status, 401);
}

#[tokio::test]
async fn users_belong_to_teams_from_the_start() {
    let gateway = keeping(&json!({}));
    for id in ["one", "two", "three"] {
        told(&gateway, "/team/new", &json!({"team_id": id, "team_alias": id})).await;
    }
    let body = json!({"user_id": "ann", "teams": ["one", {"team_id": "two", "user_role": "admin"}], "team_id": "three"});
    let user = told(&gateway, "/user/new", &body).await;
    assert_eq!(user["teams"], json!(["one", "three", "two"]));
    assert_eq!(user["team_id"], "three");
    let info = seen(&gateway, "/user/info?user_id=ann").await;
    assert_eq!(info["teams"].as_array().unwrap().len(), 3);
    assert_eq!(info["keys"][0]["team_alias"], "three");
    let two = seen(&gateway, "/team/info?team_id=two").await;
    let members = two["team_info"]["members_with_roles"].as_array().unwrap();
    assert_eq!(members[1], json!({"user_id": "ann", "user_email": null, "role": "admin"}));
}

#[tokio::test]
async fn what_is_not_written_stays() {
    let gateway = keeping(&json!({}));
    let body =
        json!({"user_id": "ann", "user_email": "ann@example.com", "max_budget": 5, "metadata": {"a": 1}});
    told(&gateway, "/user/new", &body).await;
    let changed =
        told(&gateway, "/user/update", &json!({"user_id": "ann", "rpm_limit": 3, "usr_alias": 1})).await;
    assert_eq!(changed["user_id"], "ann");
    let data = &changed["data"];
    assert_eq!(
        (&data["rpm_limit"], &data["max_budget"], &data["metadata"]),
        (&json!(3), &json!(5.0), &json!({"a": 1}))
    );
    assert_eq!(
        changed["warnings"],
        json!(["unknown field `usr_alias` is ignored, did you mean `user_alias`?"])
    );
    let by_email =
        told(&gateway, "/user/update", &json!({"user_email": "ann@example.com", "max_budget": null})).await;
    assert_eq!((&by_email["user_id"], &by_email["data"]["max_budget"]), (&json!("ann"), &Value::Null));
    for (body, status) in
        [(json!({"user_id": "nope"}), 404), (json!({"user_email": "x@y"}), 404), (json!({}), 422)]
    {
        assert_eq!(refusal(&gateway, "/user/update", &body).await.0, status, "{body}");
    }
}

#[tokio::test]
async fn deleting_a_user_ends_its_keys_and_memberships() {
    let gateway = keeping(&json!({}));
    told(&gateway, "/team/new", &json!({"team_id": "t"})).await;
    let ann = told(&gateway, "/user/new", &json!({"user_id": "ann", "teams": ["t"]})).await;
    let ann = ann["key"].as_str().unwrap();
    assert_eq!(call_m(&gateway, ann).await.0, 200);
    let (status, text, _) = refusal(&gateway, "/user/delete", &json!({"user_ids": ["ann", "nope"]})).await;
    assert_eq!((status, text.as_str()), (404, "User not found, passed user_id=nope"));
    assert_eq!(call_m(&gateway, ann).await.0, 200, "all or none");
    assert_eq!(told(&gateway, "/user/delete", &json!({"user_ids": ["ann"]})).await, json!(1));
    assert_eq!(call_m(&gateway, ann).await.0, 401);
    assert_eq!(gateway.get("/user/info?user_id=ann").await.status, 404);
    let team = seen(&gateway, "/team/info?team_id=t").await;
    assert_eq!(team["team_info"]["members_with_roles"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_blocked_users_keys_are_refused_at_once() {
    let gateway = keeping(&json!({}));
    let ann = told(&gateway, "/user/new", &json!({"user_id": "ann"})).await;
    let ann = ann["key"].as_str().unwrap();
    for (blocked, status) in [(false, 200), (true, 401), (false, 200)] {
        let changed = told(&gateway, "/user/update", &json!({"user_id": "ann", "blocked": blocked})).await;
        assert_eq!((&changed["data"]["blocked"], &changed["warnings"]), (&json!(blocked), &Value::Null));
        assert_eq!(call_m(&gateway, ann).await.0, status, "{blocked}");
    }
}

#[tokio::test]
async fn a_role_that_is_taken_away_is_gone_at_once() {
    let gateway = keeping(&json!({}));
    let ann = told(&gateway, "/user/new", &json!({"user_id": "ann", "user_role": "proxy_admin"})).await;
    let ann = ann["key"].as_str().unwrap();
    assert_eq!(post_as(&gateway, ann, "/team/new", &json!({})).await.status, 200);
    let update = json!({"user_id": "ann", "user_role": "internal_user"});
    // It may still do it, and then no more.
    assert_eq!(post_as(&gateway, ann, "/user/update", &update).await.status, 200);
    assert_eq!(post_as(&gateway, ann, "/team/new", &json!({})).await.status, 401);
}

#[tokio::test]
async fn users_are_listed_page_by_page() {
    let gateway = keeping(&json!({}));
    for number in 0..3 {
        told(&gateway, "/user/new", &json!({"user_id": format!("u{number}")})).await;
    }
    key(&gateway, &json!({"user_id": "u2"})).await;
    let page = seen(&gateway, "/user/list?page=2&page_size=2").await;
    assert_eq!((&page["users"][0]["user_id"], &page["users"][0]["key_count"]), (&json!("u2"), &json!(2)));
    for (field, value) in [("total", 3), ("page", 2), ("page_size", 2), ("total_pages", 2)] {
        assert_eq!(page[field], value, "{field}");
    }
    let all = seen(&gateway, "/user/info").await;
    assert_eq!((&all["user_info"], all["keys"].as_array().unwrap().len()), (&Value::Null, 4));
}

/// What is left when a gateway with these users is asked to show everything.
async fn everything(gateway: &Gateway) -> String {
    let mut all = String::new();
    for path in ["/user/list", "/user/info", "/team/list", "/tag/list", "/key/list?return_full_object=true"] {
        all.push_str(&gateway.get(path).await.text());
    }
    all
}

#[tokio::test]
async fn a_key_is_shown_once() {
    let gateway = keeping(&json!({}));
    let user = told(&gateway, "/user/new", &json!({"password": "correct horse"})).await;
    assert_eq!(user["warnings"], json!(["unknown field `password` is ignored"]));
    let everything = everything(&gateway).await;
    assert!(everything.contains(user["user_id"].as_str().unwrap()));
    let key = user["key"].as_str().unwrap();
    assert!(!everything.contains(key) && !everything.contains("correct horse"));
    let kept: Vec<_> = files(gateway.home()).iter().flat_map(|file| std::fs::read(file).unwrap()).collect();
    let is_kept = |text: &str| kept.windows(text.len()).any(|window| window == text.as_bytes());
    // PostgreSQL keeps it elsewhere; there it is enough that nothing is in files of the gateway's own.
    let in_a_file = gateway.home().join("tagrail.db").exists();
    assert_eq!(is_kept(user["user_id"].as_str().unwrap()), in_a_file, "the files are those that hold it");
    assert!(!is_kept(key) && !is_kept("correct horse"));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files
}
