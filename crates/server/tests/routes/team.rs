//! `/team/*`, in the shapes of `contract/teams-and-keys.md`, section 4.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::gateway::{Gateway, chat, message};
use crate::people::{call, call_m, get_as, keeping, key, post_as, refusal, seen, told};

pub(crate) async fn team(gateway: &Gateway, body: &Value) -> String {
    told(gateway, "/team/new", body).await["team_id"].as_str().unwrap().to_owned()
}

async fn info(gateway: &Gateway, id: &str) -> Value {
    seen(gateway, &format!("/team/info?team_id={id}")).await
}

#[tokio::test]
async fn a_new_team_looks_as_litellm_shows_it() {
    let gateway = keeping(&json!({}));
    let body = json!({
        "team_alias": "B", "team_id": "team-b", "metadata": {"tags": ["teamB"]}, "tpm_limit": 10000,
        "rpm_limit": 100, "max_budget": 1.0, "budget_duration": "30d", "models": ["g"],
        "model_aliases": {"gg": "g"},
    });
    let mut told = told(&gateway, "/team/new", &body).await;
    let fields = told.as_object_mut().unwrap();
    for moment in ["created_at", "updated_at", "budget_reset_at"] {
        let moment = fields.remove(moment).unwrap();
        assert!(moment.as_str().unwrap().ends_with('Z'), "{moment}");
    }
    let expected = json!({
        "team_alias": "B", "team_id": "team-b", "organization_id": null, "admins": [], "members": [],
        "members_with_roles": [{"user_id": "default_user_id", "user_email": null, "role": "admin"}],
        "team_member_permissions": [], "metadata": {"tags": ["teamB"]}, "tpm_limit": 10000, "rpm_limit": 100,
        "max_budget": 1.0, "soft_budget": null, "budget_duration": "30d", "budget_limits": null,
        "models": ["g"], "blocked": false, "router_settings": {}, "access_group_ids": [],
        "default_team_member_models": [], "spend": 0.0, "max_parallel_requests": null, "model_id": 1,
        "model_spend": {}, "model_max_budget": {}, "policies": [], "allow_team_guardrail_config": false,
        "litellm_model_table": {"id": 1, "model_aliases": {"gg": "g"}, "created_by": "default_user_id",
            "updated_by": "default_user_id", "team": null},
        "object_permission": null, "object_permission_id": null,
    });
    assert_eq!(told, expected);
}

#[tokio::test]
async fn a_month_of_budget_ends_with_the_calendars() {
    let gateway = keeping(&json!({}));
    let new = told(&gateway, "/team/new", &json!({"budget_duration": "30d", "max_budget": 1})).await;
    let reset = new["budget_reset_at"].as_str().unwrap();
    assert!(reset.contains("-01T00:00:00"), "{reset}");
    let id = new["team_id"].as_str().unwrap();
    let update = json!({"team_id": id, "budget_duration": null});
    let data = &told(&gateway, "/team/update", &update).await["data"];
    assert_eq!((&data["budget_duration"], &data["budget_reset_at"]), (&Value::Null, &Value::Null));
    assert_eq!(data["max_budget"], 1.0, "what is not written stays");
}

#[tokio::test]
async fn a_team_without_an_id_gets_one_of_its_own() {
    let gateway = keeping(&json!({}));
    let ids = [team(&gateway, &json!({})).await, team(&gateway, &json!({"team_id": ""})).await];
    assert_ne!(ids[0], ids[1]);
    assert!(ids.iter().all(|id| id.len() == 36), "{ids:?}");
}

#[tokio::test]
async fn what_cannot_be_a_team_is_refused_and_the_field_named() {
    let gateway = keeping(&json!({}));
    team(&gateway, &json!({"team_id": "there"})).await;
    for (body, status, text, param) in [
        (
            json!({"team_id": "there"}),
            400,
            "Team id = there already exists. Please use a different team id.",
            "team_id",
        ),
        (json!({"max_budget": -1}), 400, "max_budget cannot be negative. Received: -1", "max_budget"),
        (
            json!({"budget_duration": "abc"}),
            400,
            "Invalid budget_duration 'abc'. Use a format like '1h', '24h', '7d', or '30d'.",
            "budget_duration",
        ),
        (
            json!({"tags": "teamA"}),
            422,
            "`tags` must be a list of strings, for instance [\"a\", \"b\"].",
            "tags",
        ),
        (json!({"tags": [""]}), 400, "`tags` holds a tag without a name.", "tags"),
        (json!({"rpm_limit": "many"}), 422, "`rpm_limit` must be a whole number, zero or more.", "rpm_limit"),
        (json!({"blocked": "no"}), 422, "`blocked` must be true or false.", "blocked"),
        (json!({"team_id": "a\nb"}), 400, "`team_id` holds a control character.", "team_id"),
        (
            json!({"members_with_roles": [{"user_id": "u"}]}),
            422,
            "`members_with_roles` needs a role: admin or user.",
            "members_with_roles",
        ),
    ] {
        let seen = refusal(&gateway, "/team/new", &body).await;
        assert_eq!(seen, (status, text.to_owned(), json!(param)), "{body}");
    }
    assert_eq!(seen(&gateway, "/team/list").await.as_array().unwrap().len(), 1, "nothing of it was written");
}

#[tokio::test]
async fn a_field_that_nobody_knows_is_named_in_warnings() {
    let gateway = keeping(&json!({}));
    let body = json!({"team_allias": "x", "bogus_thing": 1, "guardrails": ["pii"], "team_member_budget": 5});
    let team = told(&gateway, "/team/new", &body).await;
    assert_eq!(
        team["warnings"],
        json!([
            "unknown field `team_allias` is ignored, did you mean `team_alias`?",
            "unknown field `bogus_thing` is ignored",
            "`guardrails` is kept, but has no effect here: there are no guardrails in this version",
            "`team_member_budget` is kept, but has no effect here: use max_budget of keys, users or the team",
        ])
    );
    assert_eq!((&team["guardrails"], &team["team_member_budget"]), (&json!(["pii"]), &json!(5.0)));
    let again = info(&gateway, team["team_id"].as_str().unwrap()).await;
    assert_eq!(again["team_info"]["guardrails"], json!(["pii"]), "it is kept");
    assert_eq!(again["warnings"], Value::Null);
}

#[tokio::test]
async fn tags_decide_where_a_teams_keys_go_at_once() {
    let gateway = keeping(&json!({}));
    let a = team(&gateway, &json!({"tags": ["teamA"]})).await;
    let b = team(&gateway, &json!({"metadata": {"tags": ["teamB"]}})).await;
    let (key_a, key_b) =
        (key(&gateway, &json!({"team_id": a})).await, key(&gateway, &json!({"team_id": b})).await);
    assert_eq!(call_m(&gateway, &key_a).await, (200, "a".to_owned()));
    assert_eq!(call_m(&gateway, &key_b).await, (200, "b".to_owned()));
    told(&gateway, "/team/update", &json!({"team_id": a, "tags": []})).await;
    assert_eq!(call_m(&gateway, &key_a).await, (200, "all".to_owned()));
    told(&gateway, "/team/update", &json!({"team_id": a, "metadata": {"tags": ["teamB"]}})).await;
    assert_eq!(call_m(&gateway, &key_a).await, (200, "b".to_owned()));
}

#[tokio::test]
async fn a_tag_granted_to_a_team_is_reserved_when_the_answer_is_there() {
    let gateway = keeping(&json!({}));
    let outsider = key(&gateway, &json!({})).await;
    let asking = |tag: &str| {
        let mut body = chat("m");
        body["tags"] = json!([tag]);
        body
    };
    assert_eq!(call(&gateway, &outsider, &asking("teamA")).await, (200, "a".to_owned()));
    let id = team(&gateway, &json!({"tags": ["&teamA"]})).await;
    assert_eq!(call(&gateway, &outsider, &asking("teamA")).await.1, "all");
    assert_eq!(call(&gateway, &outsider, &asking("teamB")).await, (200, "b".to_owned()));
    told(&gateway, "/team/update", &json!({"team_id": id, "metadata": {"tags": ["teamB"]}})).await;
    assert_eq!(call(&gateway, &outsider, &asking("teamB")).await.1, "all", "an update grants as well");
    told(&gateway, "/team/delete", &json!({"team_ids": [id]})).await;
    assert_eq!(call(&gateway, &outsider, &asking("teamA")).await.1, "all", "and only /tag/update opens");
}

#[tokio::test]
async fn where_tags_keep_nobody_out_the_answer_says_so() {
    let gateway = keeping(&json!({"general_settings": {"tag_grants": false}}));
    let outsider = key(&gateway, &json!({})).await;
    let new = told(&gateway, "/team/new", &json!({"tags": ["teamA"]})).await;
    assert!(new["warnings"][0].as_str().unwrap().contains("keep nobody else out"), "{new}");
    let mut body = chat("m");
    body["tags"] = json!(["teamA"]);
    assert_eq!(call(&gateway, &outsider, &body).await, (200, "a".to_owned()));
    let id = &new["team_id"];
    let updated = told(&gateway, "/team/update", &json!({"team_id": id, "rpm_limit": 1})).await;
    assert_eq!(updated["warnings"], Value::Null);
    let updated = told(&gateway, "/team/update", &json!({"team_id": id, "tags": ["default"]})).await;
    assert_eq!(updated["warnings"], Value::Null);
}

#[tokio::test]
async fn a_metadata_update_keeps_tags_unless_they_are_named() {
    let gateway = keeping(&json!({}));
    let id = team(&gateway, &json!({"metadata": {"a": 1, "tags": ["teamA"]}})).await;
    let key = key(&gateway, &json!({"team_id": id})).await;
    for (change, metadata, deployment) in [
        (json!({"metadata": {"b": 2}}), json!({"b": 2, "tags": ["teamA"]}), "a"),
        (json!({"team_alias": "A"}), json!({"b": 2, "tags": ["teamA"]}), "a"),
        (json!({"tags": ["teamB"]}), json!({"b": 2, "tags": ["teamB"]}), "b"),
        (json!({"metadata": {"tags": []}}), json!({}), "all"),
        (json!({"tags": ["teamA"], "metadata": {"tags": ["teamB"]}}), json!({"tags": ["teamA"]}), "a"),
    ] {
        let mut body = change.clone();
        body["team_id"] = json!(id);
        let updated = told(&gateway, "/team/update", &body).await;
        assert_eq!((&updated["team_id"], &updated["data"]["metadata"]), (&json!(id), &metadata), "{change}");
        assert_eq!(call_m(&gateway, &key).await, (200, deployment.to_owned()), "{change}");
    }
}

#[tokio::test]
async fn updates_of_different_fields_at_the_same_time_are_all_kept() {
    let gateway = keeping(&json!({}));
    let id = team(&gateway, &json!({"tags": ["teamA"]})).await;
    let changes = [
        ("rpm_limit", json!(11)),
        ("tpm_limit", json!(12)),
        ("max_parallel_requests", json!(13)),
        ("max_budget", json!(14.0)),
        ("soft_budget", json!(15.0)),
        ("team_alias", json!("alias")),
        ("models", json!(["m"])),
        ("blocked", json!(true)),
    ];
    let update = async |(field, value): &(&str, Value)| {
        told(&gateway, "/team/update", &json!({"team_id": id, *field: value})).await;
    };
    let [a, b, c, d, e, f, g, h] = &changes;
    tokio::join!(update(a), update(b), update(c), update(d), update(e), update(f), update(g), update(h));
    let team = &info(&gateway, &id).await["team_info"];
    for (field, value) in &changes {
        assert_eq!(&team[field], value, "{field}");
    }
    assert_eq!(team["metadata"]["tags"], json!(["teamA"]));
}

#[tokio::test]
async fn deleting_a_team_ends_its_keys_at_once_and_one_unknown_id_deletes_nothing() {
    let gateway = keeping(&json!({}));
    let [one, other] = [team(&gateway, &json!({})).await, team(&gateway, &json!({})).await];
    let key = key(&gateway, &json!({"team_id": one})).await;
    assert_eq!(call_m(&gateway, &key).await.0, 200);
    let response = gateway.post("/team/delete", &json!({"team_ids": [one, "nope"]})).await;
    assert_eq!(response.status, 404);
    assert_eq!(response.json(), json!({"detail": {"error": "Team not found, passed team_id=nope"}}));
    assert_eq!(call_m(&gateway, &key).await.0, 200);
    let deleted = told(&gateway, "/team/delete", &json!({"team_ids": [one, one]})).await;
    assert_eq!(deleted, json!({"deleted_teams": [one]}));
    let response = post_as(&gateway, &key, "/v1/chat/completions", &chat("m")).await;
    assert_eq!((response.status, &response.json()["error"]["type"]), (401, &json!("token_not_found_in_db")));
    assert_eq!(gateway.get(&format!("/team/info?team_id={one}")).await.status, 404);
    assert_eq!(info(&gateway, &other).await["team_id"], json!(other));
    assert_eq!(refusal(&gateway, "/team/delete", &json!({"team_ids": []})).await.0, 422);
}

#[tokio::test]
async fn a_blocked_team_is_refused_at_once_until_it_is_unblocked() {
    let gateway = keeping(&json!({}));
    let id = team(&gateway, &json!({})).await;
    let key = key(&gateway, &json!({"team_id": id})).await;
    assert_eq!(call_m(&gateway, &key).await.0, 200);
    let blocked = told(&gateway, "/team/block", &json!({"team_id": id})).await;
    assert_eq!((&blocked["team_id"], &blocked["blocked"]), (&json!(id), &json!(true)));
    let response = post_as(&gateway, &key, "/v1/chat/completions", &chat("m")).await;
    let text = format!("Team={id} is blocked. Update via `/team/unblock` if you're an admin.");
    assert_eq!((response.status, message(&response)), (401, format!("Authentication Error, {text}")));
    assert_eq!(told(&gateway, "/team/unblock", &json!({"team_id": id})).await["blocked"], false);
    assert_eq!(call_m(&gateway, &key).await.0, 200);
}

#[tokio::test]
async fn a_team_that_is_not_there_is_a_404() {
    let gateway = keeping(&json!({}));
    let text = "Team not found, passed team_id=nope".to_owned();
    for (path, more) in [
        ("/team/update", json!({})),
        ("/team/block", json!({})),
        ("/team/unblock", json!({})),
        ("/team/model/add", json!({"models": ["m"]})),
        ("/team/model/delete", json!({"models": ["m"]})),
        ("/team/member_delete", json!({"user_id": "u"})),
    ] {
        let mut body = more;
        body["team_id"] = json!("nope");
        assert_eq!(refusal(&gateway, path, &body).await, (404, text.clone(), Value::Null), "{path}");
        body.as_object_mut().unwrap().remove("team_id");
        let (status, _, param) = refusal(&gateway, path, &body).await;
        assert_eq!((status, param), (422, json!("team_id")), "{path}");
    }
    let add = json!({"team_id": "nope", "member": {"role": "user", "user_id": "u"}});
    let text = "Team doesn't exist in db. Team=nope. Create team via `/team/new` call.".to_owned();
    assert_eq!(refusal(&gateway, "/team/member_add", &add).await, (404, text, Value::Null));
    assert_eq!(gateway.get("/team/info?team_id=nope").await.status, 404);
    let nameless = gateway.get("/team/info").await;
    assert_eq!(
        (nameless.status, message(&nameless).as_str()),
        (422, "Malformed request. No team id passed in.")
    );
}

#[tokio::test]
async fn info_has_the_team_its_keys_and_memberships() {
    let gateway = keeping(&json!({}));
    let new = told(&gateway, "/team/new", &json!({"tags": ["teamA"]})).await;
    let id = new["team_id"].as_str().unwrap();
    let made = told(&gateway, "/key/generate", &json!({"team_id": id, "key_alias": "k"})).await;
    key(&gateway, &json!({})).await;
    let info = info(&gateway, id).await;
    let names: BTreeSet<_> = info.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names, BTreeSet::from(["team_id", "team_info", "keys", "team_memberships"]));
    assert_eq!((&info["team_info"], &info["team_memberships"]), (&new, &json!([])));
    let keys = info["keys"].as_array().unwrap();
    assert_eq!(keys.len(), 1);
    assert_eq!((&keys[0]["token"], &keys[0]["key_alias"]), (&made["token"], &json!("k")));
    assert!(!info.to_string().contains(made["key"].as_str().unwrap()));
}

#[tokio::test]
async fn a_key_sees_its_own_team_and_no_other() {
    let gateway = keeping(&json!({}));
    let a = team(&gateway, &json!({"tags": ["teamA"]})).await;
    let b = team(&gateway, &json!({"tags": ["teamB"]})).await;
    let own = key(&gateway, &json!({"team_id": a})).await;
    key(&gateway, &json!({"team_id": a, "tags": ["a-colleagues"]})).await;
    let response = get_as(&gateway, &own, &format!("/team/info?team_id={a}")).await;
    assert_eq!((response.status, &response.json()["team_id"]), (200, &json!(a)), "{}", response.text());
    assert_eq!(response.json()["keys"].as_array().unwrap().len(), 1, "its own key alone");
    assert!(!response.text().contains("a-colleagues"));
    let refused = async |key: &str, team: &str| {
        let response = get_as(&gateway, key, &format!("/team/info?team_id={team}")).await;
        (response.status, message(&response))
    };
    let text = format!("{{'error': 'Team key for team={a} not authorized to access this team={b}'}}");
    assert_eq!(refused(&own, &b).await, (403, text.clone()));
    // Whether there is such a team is nobody's business.
    assert_eq!(refused(&own, "nope").await, (403, text.replace(&b, "nope")));
    let nobodys = key(&gateway, &json!({})).await;
    assert_eq!(refused(&nobodys, &a).await.0, 403);
    for path in ["/team/list", "/v2/team/list"] {
        assert_eq!(get_as(&gateway, &own, path).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn teams_are_listed_with_their_keys_and_page_by_page() {
    let gateway = keeping(&json!({}));
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(team(&gateway, &json!({"team_alias": format!("t{number}")})).await);
    }
    key(&gateway, &json!({"team_id": ids[3]})).await;
    let member = json!({"team_id": ids[1], "member": {"role": "user", "user_id": "ann"}});
    told(&gateway, "/team/member_add", &member).await;
    let all = seen(&gateway, "/team/list").await;
    let listed: Vec<_> = all.as_array().unwrap().iter().map(|team| team["team_id"].clone()).collect();
    assert_eq!(json!(listed), json!(ids));
    let counts: Vec<_> =
        all.as_array().unwrap().iter().map(|team| team["keys"].as_array().unwrap().len()).collect();
    assert_eq!(counts, [0, 0, 0, 1, 0]);
    let of_ann = seen(&gateway, "/team/list?user_id=ann").await;
    assert_eq!((of_ann.as_array().unwrap().len(), &of_ann[0]["team_id"]), (1, &json!(ids[1])));
    let page = seen(&gateway, "/v2/team/list?page=2&page_size=2").await;
    let on_page: Vec<_> =
        page["teams"].as_array().unwrap().iter().map(|team| team["team_id"].clone()).collect();
    assert_eq!(json!(on_page), json!(ids[2..4]));
    for (field, value) in [("total", 5), ("page", 2), ("page_size", 2), ("total_pages", 3)] {
        assert_eq!(page[field], value, "{field}");
    }
    for query in ["page=0", "page_size=0", "page_size=101", "page=x"] {
        assert_eq!(gateway.get(&format!("/v2/team/list?{query}")).await.status, 422, "{query}");
    }
}
