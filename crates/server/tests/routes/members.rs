//! `/team/member_*` and `/team/model/*`: who belongs to a team, and what its keys may call.

use serde_json::{Value, json};

use crate::gateway::chat;
use crate::people::{call, call_m, keeping, key, refusal, seen, told};
use crate::team::team;

#[tokio::test]
async fn members_come_and_go_with_their_users_and_keys() {
    let gateway = keeping(&json!({}));
    let id = team(&gateway, &json!({})).await;
    let add = json!({"team_id": id, "max_budget_in_team": 2.0, "member": [
        {"role": "user", "user_id": "ann"}, {"role": "admin", "user_email": "bob@example.com"}]});
    let added = told(&gateway, "/team/member_add", &add).await;
    assert_eq!(added["members_with_roles"].as_array().unwrap().len(), 3);
    assert_eq!(added["updated_users"][0]["user_id"], "ann");
    assert_eq!(added["updated_team_memberships"][0]["litellm_budget_table"]["max_budget"], 2.0);
    assert!(added["warnings"][0].as_str().unwrap().contains("max_budget_in_team"), "{added}");
    assert_eq!(seen(&gateway, "/user/info?user_id=ann").await["user_info"]["teams"], json!([id]));
    let again = gateway.post("/team/member_add", &add).await;
    assert_eq!((again.status, &again.json()["error"]["type"]), (400, &json!("team_member_already_in_team")));
    for (member, what) in [
        (json!({"role": "owner", "user_id": "x"}), "role"),
        (json!({"role": "user"}), "user_id"),
        (json!("ann"), "object"),
        (json!([{"role": "user", "user_id": "x"}, {"role": "user", "user_id": "x"}]), "twice"),
        (json!([]), "missing"),
    ] {
        let body = json!({"team_id": id, "member": member});
        let (status, text, _) = refusal(&gateway, "/team/member_add", &body).await;
        assert!(status == 422 && text.contains(what), "{member}: {status} {text}");
    }
    let in_team = key(&gateway, &json!({"team_id": id, "user_id": "ann"})).await;
    let elsewhere = key(&gateway, &json!({"user_id": "ann"})).await;
    assert_eq!(call_m(&gateway, &in_team).await.0, 200);
    let gone = told(&gateway, "/team/member_delete", &json!({"team_id": id, "user_id": "ann"})).await;
    assert_eq!(gone["members_with_roles"].as_array().unwrap().len(), 2);
    assert_eq!(call_m(&gateway, &in_team).await.0, 401, "a member's keys of the team end with it");
    assert_eq!(call_m(&gateway, &elsewhere).await.0, 200);
    told(&gateway, "/team/member_delete", &json!({"team_id": id, "user_email": "bob@example.com"})).await;
    let (status, text, _) =
        refusal(&gateway, "/team/member_delete", &json!({"team_id": id, "user_id": "ann"})).await;
    assert_eq!((status, text), (400, format!("User not found in team. Team={id}")));
}

#[tokio::test]
async fn models_are_added_and_taken_away_and_the_last_one_opens_nothing() {
    let gateway = keeping(&json!({}));
    let id = team(&gateway, &json!({"models": ["m"]})).await;
    let key = key(&gateway, &json!({"team_id": id})).await;
    assert_eq!(call(&gateway, &key, &chat("plain")).await.0, 403);
    let added = told(&gateway, "/team/model/add", &json!({"team_id": id, "models": ["plain", "m"]})).await;
    assert_eq!(added["models"], json!(["m", "plain"]));
    assert_eq!(call(&gateway, &key, &chat("plain")).await.0, 200);
    let left = told(&gateway, "/team/model/delete", &json!({"team_id": id, "models": ["m"]})).await;
    assert_eq!((&left["models"], &left["warnings"]), (&json!(["plain"]), &Value::Null));
    let none = told(&gateway, "/team/model/delete", &json!({"team_id": id, "models": ["plain"]})).await;
    assert_eq!(none["models"], json!(["no-default-models"]));
    assert!(none["warnings"][0].as_str().unwrap().contains("may call nothing"), "{none}");
    for model in ["m", "plain"] {
        assert_eq!(call(&gateway, &key, &chat(model)).await.0, 403, "{model}");
    }
    let again = told(&gateway, "/team/model/add", &json!({"team_id": id, "models": ["m"]})).await;
    assert_eq!(again["models"], json!(["m"]));
    assert_eq!(call_m(&gateway, &key).await.0, 200);
}
