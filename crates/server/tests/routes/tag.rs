//! `/tag/*`, and what of it ends a reservation.

use serde_json::{Value, json};

use crate::gateway::{Gateway, chat};
use crate::people::{call, get_as, keeping, key, post_as, refusal, seen, told};

/// Where a call goes that asks for a tag. One that is out of reach is like one that nobody knows.
async fn reached(gateway: &Gateway, key: &str, tag: &str) -> String {
    let mut body = chat("m");
    body["tags"] = json!([tag]);
    let (status, deployment) = call(gateway, key, &body).await;
    assert_eq!(status, 200);
    deployment
}

#[tokio::test]
async fn a_new_tag_looks_as_litellm_shows_it() {
    let gateway = keeping(&json!({}));
    let body = json!({
        "name": "teamA", "description": "Engineering\ncost centre", "max_budget": 500, "budget_duration": "30d",
        "rpm_limit": 10, "tpm_limit": 20,
    });
    let made = told(&gateway, "/tag/new", &body).await;
    assert_eq!(made["message"], "Tag teamA created successfully");
    let tag = &made["tag"];
    for (field, value) in [
        ("name", json!("teamA")),
        ("description", json!("Engineering\ncost centre")),
        ("models", json!([])),
        ("model_info", json!({})),
        ("created_by", json!("default_user_id")),
        ("reserved", json!(false)),
        ("deployments", json!(["a"])),
        ("max_budget", json!(500.0)),
        ("budget_duration", json!("30d")),
        ("rpm_limit", json!(10)),
        ("tpm_limit", json!(20)),
        ("spend", json!(0.0)),
    ] {
        assert_eq!(tag[field], value, "{field}");
    }
    assert_eq!(tag["litellm_budget_table"]["max_budget"], 500.0);
    let info = told(&gateway, "/tag/info", &json!({"names": ["teamA"]})).await;
    assert_eq!(info, json!({"teamA": tag}));
}

#[tokio::test]
async fn what_cannot_be_a_tag_is_refused() {
    let gateway = keeping(&json!({}));
    told(&gateway, "/tag/new", &json!({"name": "there", "description": "x"})).await;
    for (body, status, text) in [
        (json!({}), 422, "`name` is missing."),
        (json!({"name": ""}), 422, "`name` is missing."),
        (json!({"name": "&teamA"}), 400, "`name` must be the tag alone, without `&` or `!`."),
        (json!({"name": " x"}), 400, "`name` holds a tag with space around it."),
        (json!({"name": "there"}), 400, "Tag there already exists"),
        (json!({"name": "x", "rpm_limit": -1}), 400, "rpm_limit cannot be negative. Received: -1"),
        (json!({"name": "x", "reserved": "yes"}), 422, "`reserved` must be true or false."),
        (
            json!({"name": "default", "reserved": true}),
            400,
            "`default` cannot be reserved: deployments that carry it are for everybody.",
        ),
    ] {
        let (seen, told, _) = refusal(&gateway, "/tag/new", &body).await;
        assert_eq!((seen, told.as_str()), (status, text), "{body}");
    }
    for path in ["/tag/update", "/tag/delete"] {
        let seen = refusal(&gateway, path, &json!({"name": "nope"})).await;
        assert_eq!(seen, (404, "Tag nope not found".to_owned(), Value::Null), "{path}");
    }
    let seen = refusal(&gateway, "/tag/info", &json!({"names": ["there", "nope"]})).await;
    assert_eq!(seen, (404, "Tags not found: ['nope']".to_owned(), Value::Null));
}

#[tokio::test]
async fn a_reservation_holds_from_the_answer_on_and_only_an_update_ends_it() {
    let gateway = keeping(&json!({}));
    let outsider = key(&gateway, &json!({})).await;
    assert_eq!(reached(&gateway, &outsider, "teamA").await, "a");
    told(&gateway, "/tag/new", &json!({"name": "teamA", "reserved": true, "description": "x"})).await;
    assert_eq!(reached(&gateway, &outsider, "teamA").await, "all");
    for (path, body) in [
        ("/tag/update", json!({"name": "teamA", "description": "y", "reserved": null})),
        ("/tag/delete", json!({"name": "teamA"})),
        ("/tag/new", json!({"name": "teamA", "max_budget": 5})),
    ] {
        told(&gateway, path, &body).await;
        assert_eq!(reached(&gateway, &outsider, "teamA").await, "all", "{path}");
    }
    let opening = json!({"name": "teamA", "reserved": false});
    assert_eq!(refusal(&gateway, "/tag/new", &opening).await.0, 400);
    assert_eq!(reached(&gateway, &outsider, "teamA").await, "all");
    let opened = told(&gateway, "/tag/update", &opening).await;
    assert_eq!((&opened["tag"]["reserved"], &opened["tag"]["max_budget"]), (&json!(false), &json!(5.0)));
    assert_eq!(reached(&gateway, &outsider, "teamA").await, "a");
    // What was decided stays decided: the next grant reserves nothing.
    told(&gateway, "/team/new", &json!({"tags": ["teamA"]})).await;
    assert_eq!(reached(&gateway, &outsider, "teamA").await, "a");
}

#[tokio::test]
async fn a_tag_that_a_team_was_granted_can_still_be_made() {
    let gateway = keeping(&json!({}));
    told(&gateway, "/team/new", &json!({"tags": ["&teamA"]})).await;
    let opening = json!({"name": "teamA", "reserved": false, "max_budget": 1});
    assert_eq!(refusal(&gateway, "/tag/new", &opening).await.0, 400, "and that opens nothing");
    let made = told(&gateway, "/tag/new", &json!({"name": "teamA", "max_budget": 1})).await;
    assert_eq!((&made["tag"]["reserved"], &made["tag"]["max_budget"]), (&json!(true), &json!(1.0)));
    assert_eq!(refusal(&gateway, "/tag/new", &json!({"name": "teamA", "max_budget": 1})).await.0, 400);
}

#[tokio::test]
async fn deleting_a_reserved_tag_says_that_it_stays_reserved() {
    let gateway = keeping(&json!({}));
    told(&gateway, "/tag/new", &json!({"name": "teamA", "reserved": true, "description": "x"})).await;
    let deleted = told(&gateway, "/tag/delete", &json!({"name": "teamA"})).await;
    assert_eq!(deleted["message"], "Tag teamA deleted successfully");
    assert!(deleted["warnings"][0].as_str().unwrap().contains("stays reserved"), "{deleted}");
    let left = told(&gateway, "/tag/info", &json!({"names": ["teamA"]})).await;
    assert_eq!((&left["teamA"]["reserved"], &left["teamA"]["description"]), (&json!(true), &Value::Null));
    told(&gateway, "/tag/new", &json!({"name": "loose", "description": "x"})).await;
    let deleted = told(&gateway, "/tag/delete", &json!({"name": "loose"})).await;
    assert_eq!(deleted, json!({"message": "Tag loose deleted successfully"}));
    assert_eq!(refusal(&gateway, "/tag/info", &json!({"names": ["loose"]})).await.0, 404);
}

#[tokio::test]
async fn the_list_has_stored_tags_and_those_that_deployments_carry() {
    let more = json!({"general_settings": {"reserved_tags": ["configured"]}});
    let gateway = keeping(&more);
    told(&gateway, "/tag/new", &json!({"name": "teamA", "description": "x"})).await;
    told(&gateway, "/team/new", &json!({"tags": ["elsewhere"]})).await;
    let list = seen(&gateway, "/tag/list").await;
    let of = |name: &str| list.as_array().unwrap().iter().find(|tag| tag["name"] == name).unwrap();
    let mut names: Vec<_> =
        list.as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["configured", "default", "elsewhere", "teamA", "teamB"]);
    assert_eq!((&of("teamA")["description"], &of("teamA")["deployments"]), (&json!("x"), &json!(["a"])));
    assert_eq!((&of("elsewhere")["reserved"], &of("elsewhere")["deployments"]), (&json!(true), &json!([])));
    assert_eq!((&of("teamB")["reserved"], &of("teamB")["created_at"]), (&json!(false), &Value::Null));
    assert_eq!(of("configured")["reserved"], true);
}

#[tokio::test]
async fn what_the_configuration_reserves_no_request_opens() {
    let more = json!({"general_settings": {"reserved_tags": ["teamA"]}});
    let gateway = keeping(&more);
    let outsider = key(&gateway, &json!({})).await;
    assert_eq!(reached(&gateway, &outsider, "teamA").await, "all");
    let made = told(&gateway, "/tag/new", &json!({"name": "teamA", "reserved": false})).await;
    assert_eq!(made["tag"]["reserved"], true);
    assert_eq!(made["warnings"], json!(["`teamA` stays reserved by general_settings.reserved_tags"]));
    assert_eq!(reached(&gateway, &outsider, "teamA").await, "all");
}

#[tokio::test]
async fn tags_are_nothing_for_ordinary_keys() {
    let gateway = keeping(&json!({}));
    let id = told(&gateway, "/team/new", &json!({"tags": ["teamA"]})).await["team_id"].clone();
    let key = key(&gateway, &json!({"team_id": id})).await;
    for response in [
        get_as(&gateway, &key, "/tag/list").await,
        post_as(&gateway, &key, "/tag/info", &json!({"names": ["teamB"]})).await,
        post_as(&gateway, &key, "/tag/update", &json!({"name": "teamA", "reserved": false})).await,
        post_as(&gateway, &key, "/tag/delete", &json!({"name": "teamA"})).await,
    ] {
        assert_eq!(response.status, 401);
        assert!(!response.text().contains("teamB"), "{}", response.text());
    }
}
