//! `/spend/…`, `/global/spend/…` and `/…/daily/activity`: every answer holds the call just before it.

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, Reply};

use crate::gateway::{Gateway, chat, message};
use crate::key::keeping;

const CHAT: &str = "/v1/chat/completions";

/// What a call costs: 9 tokens sent, 3 got.
const COST: f64 = 9.0 * 1e-6 + 3.0 * 2e-6;

impl Gateway {
    async fn told(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()
    }

    async fn call(&self, key: &str, body: &Value) {
        let response = self.post_as(key, CHAT, body).await;
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

fn about(value: &Value, expected: f64) -> bool {
    value.as_f64().is_some_and(|value| (value - expected).abs() < 1e-12)
}

fn today() -> String {
    tagrail_store::Timestamp::now().day()
}

/// Yesterday to tomorrow: midnight may pass meanwhile.
fn around() -> String {
    let now = tagrail_store::Timestamp::now();
    let day = |days: i64| now.plus_ms(days * 86_400_000).day();
    format!("start_date={}&end_date={}", day(-1), day(1))
}

#[tokio::test]
async fn a_call_is_a_row_as_soon_as_it_is_answered() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    gateway.post("/team/new", &json!({"team_id": "t"})).await;
    let key = gateway.key(&json!({"team_id": "t", "user_id": "u", "key_alias": "k"})).await;
    let mut body = chat("m");
    body["tags"] = json!(["one", "two"]);
    body["user"] = json!("end");
    for calls in 1..=3 {
        gateway.call(&key, &body).await;
        let rows = gateway.told("/spend/logs").await;
        assert_eq!(rows.as_array().unwrap().len(), calls, "{rows}");
    }
    let row = &gateway.told("/spend/logs?limit=1").await[0];
    for (field, expected) in [
        ("call_type", json!("acompletion")),
        ("total_tokens", json!(12)),
        ("prompt_tokens", json!(9)),
        ("completion_tokens", json!(3)),
        ("model", json!("openai/m-1")),
        ("model_id", json!("m-1")),
        ("model_group", json!("m")),
        ("custom_llm_provider", json!("openai")),
        ("user", json!("u")),
        ("team_id", json!("t")),
        ("end_user", json!("end")),
        ("request_tags", json!(["one", "two"])),
        ("status", json!("success")),
        ("cache_hit", json!("False")),
    ] {
        assert_eq!(row[field], expected, "{field}: {row}");
    }
    assert!(about(&row["spend"], COST), "{row}");
    assert_eq!(row["api_key"].as_str().unwrap().len(), 64);
    assert_eq!(row["request_id"].as_str().unwrap().len(), 32);
    assert!(row["startTime"].as_str().unwrap().starts_with("20"));
    let metadata = &row["metadata"];
    assert_eq!((&metadata["status_code"], &metadata["estimated"]), (&json!(200), &json!(false)));
    assert_eq!(metadata["user_api_key_alias"], "k");
    assert!(metadata["decision"].as_str().unwrap().contains("m-1"), "{metadata}");
    assert!(metadata["litellm_call_id"].is_string());
}

#[tokio::test]
async fn failed_calls_are_rows_too_and_strangers_are_not() {
    let upstream = FakeUpstream::start();
    upstream.always("m-1", Reply::error(400));
    let gateway = keeping(&upstream);
    let key = gateway.key(&json!({})).await;
    assert_eq!(gateway.post_as(&key, CHAT, &chat("m")).await.status, 400);
    assert_eq!(gateway.post_as("sk-nobody-has-this-key", CHAT, &chat("m")).await.status, 401);
    let rows = gateway.told("/spend/logs").await;
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    assert_eq!((&rows[0]["status"], &rows[0]["spend"]), (&json!("failure"), &json!(0.0)));
    assert_eq!(rows[0]["metadata"]["status_code"], 400);
}

#[tokio::test]
async fn rows_are_found_by_whoever_and_whenever() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let key = gateway.key(&json!({"user_id": "u"})).await;
    gateway.call(&key, &chat("m")).await;
    assert_eq!(gateway.post(CHAT, &chat("m")).await.status, 200);
    let rows = gateway.told("/spend/logs").await;
    assert_eq!(rows.as_array().unwrap().len(), 2);
    let own = rows.as_array().unwrap().iter().find(|row| row["user"] == "u").unwrap().clone();
    let count =
        async |query: &str| gateway.told(&format!("/spend/logs?{query}")).await.as_array().unwrap().len();
    assert_eq!(count(&format!("api_key={key}")).await, 1);
    assert_eq!(count(&format!("api_key={}", own["api_key"].as_str().unwrap())).await, 1);
    assert_eq!(count("api_key=litellm_proxy_master_key").await, 1);
    assert_eq!(count("user_id=u").await, 1);
    assert_eq!(count("user_id=nobody").await, 0);
    assert_eq!(count(&format!("request_id={}", own["request_id"].as_str().unwrap())).await, 1);
    let call_id = own["metadata"]["litellm_call_id"].as_str().unwrap();
    assert_eq!(count(&format!("request_id={call_id}")).await, 1);
    assert_eq!(count(&around()).await, 2);
    assert_eq!(count("end_date=2001-01-01").await, 0);
    assert_eq!(count("start_date=2001-01-01").await, 2);
    let bad = gateway.get("/spend/logs?start_date=yesterday").await;
    assert_eq!((bad.status, &bad.json()["error"]["param"]), (400, &json!("start_date")));
    let summary = gateway.told("/spend/logs?summarize=true").await;
    assert!(about(&summary[0]["spend"], 2.0 * COST), "{summary}");
}

#[tokio::test]
async fn others_than_viewers_see_their_own_rows() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let key = gateway.key(&json!({"user_id": "u"})).await;
    let other = gateway.key(&json!({"user_id": "u"})).await;
    for caller in [&key, &other] {
        gateway.call(caller, &chat("m")).await;
    }
    assert_eq!(gateway.post(CHAT, &chat("m")).await.status, 200);
    for query in ["", "?user_id=u", "?summarize=true"] {
        let rows = gateway.get_as(&key, &format!("/spend/logs{query}")).await.json();
        assert_eq!(rows.as_array().unwrap().len(), 1, "{query}: {rows}");
    }
    let refused = gateway.get_as(&key, &format!("/spend/logs?api_key={other}")).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    let activity = gateway.get_as(&key, &format!("/user/daily/activity?{}", around())).await.json();
    assert_eq!(activity["metadata"]["total_api_requests"], 1, "{activity}");
    assert_eq!(activity["results"][0]["breakdown"]["entities"], json!({}));
    let of_another = gateway.get_as(&key, &format!("/user/daily/activity?{}&user_id=x", around())).await;
    assert_eq!(of_another.status, 403);
    for path in ["/spend/keys", "/spend/users", "/spend/tags", "/global/spend", "/global/spend/report"] {
        assert_eq!(gateway.get_as(&key, path).await.status, 401, "{path}");
    }
}

/// Two teams, two calls of one and one of the other, with tags.
async fn billed(upstream: &FakeUpstream) -> (Gateway, [String; 2]) {
    let gateway = keeping(upstream);
    for (id, alias) in [("a", "Team, A"), ("b", "=B")] {
        let made = gateway.post("/team/new", &json!({"team_id": id, "team_alias": alias})).await;
        assert_eq!(made.status, 200, "{}", made.text());
    }
    let keys = [
        gateway.key(&json!({"team_id": "a", "user_id": "u", "tags": ["t"]})).await,
        gateway.key(&json!({"team_id": "b"})).await,
    ];
    gateway.call(&keys[0], &chat("m")).await;
    gateway.call(&keys[0], &chat("n")).await;
    gateway.call(&keys[1], &chat("m")).await;
    (gateway, keys)
}

#[tokio::test]
async fn sums_have_litellms_shapes() {
    let upstream = FakeUpstream::start();
    let (gateway, keys) = billed(&upstream).await;
    assert!(about(&gateway.told("/global/spend").await["spend"], 3.0 * COST));
    let tags = gateway.told("/spend/tags").await;
    assert_eq!((&tags[0]["individual_request_tag"], &tags[0]["log_count"]), (&json!("t"), &json!(2)));
    assert!(about(&tags[0]["total_spend"], 2.0 * COST), "{tags}");
    let tags = gateway.told(&format!("/global/spend/tags?{}", around())).await;
    assert_eq!(tags["spend_per_tag"][0]["name"], "t");
    assert_eq!(
        gateway.told(&format!("/global/spend/tags?{}&tags=x,y", around())).await,
        json!({"spend_per_tag": []})
    );
    let dateless = gateway.get("/global/spend/tags").await;
    assert_eq!(
        (dateless.status, message(&dateless).as_str()),
        (400, "Please provide start_date and end_date")
    );
    let spent = gateway.told("/spend/keys").await;
    assert!(about(&spent[0]["spend"], 2.0 * COST), "who spent most comes first: {spent}");
    assert_eq!(spent[0]["token"].as_str().unwrap().len(), 64);
    let top = gateway.told("/global/spend/keys?limit=1").await;
    assert_eq!(top.as_array().unwrap().len(), 1);
    assert_eq!(top[0]["api_key"], spent[0]["token"]);
    let teams = gateway.told("/global/spend/teams").await;
    assert!(about(&teams["daily_spend"][0]["Team, A"], 2.0 * COST), "{teams}");
    assert_eq!(teams["teams"], json!(["=B", "Team, A"]));
    assert_eq!(teams["total_spend_per_team"][0]["team_id"], "Team, A");
    for key in &keys {
        let spend = &gateway.told(&format!("/key/info?key={key}")).await["info"]["spend"];
        assert!(spend.as_f64() > Some(0.0));
    }
    let team = gateway.told("/team/info?team_id=a").await;
    assert!(about(&team["team_info"]["spend"], 2.0 * COST), "{team}");
}

#[tokio::test]
async fn a_report_can_be_paid_by() {
    let upstream = FakeUpstream::start();
    let (gateway, keys) = billed(&upstream).await;
    let report = async |more: &str| gateway.told(&format!("/global/spend/report?{}{more}", around())).await;
    let by_team = report("").await;
    assert!(by_team[0]["group_by_day"].as_str().unwrap().ends_with("T00:00:00+00:00"));
    let team = &by_team[0]["teams"][0];
    assert_eq!((&team["team_name"], &team["requests"]), (&json!("Team, A"), &json!(2)));
    assert!(about(&team["total_spend"], 2.0 * COST) && about(&by_team[0]["total_spend"], 3.0 * COST));
    let models: Vec<_> = team["metadata"].as_array().unwrap().iter().map(|it| it["model"].clone()).collect();
    assert_eq!(models, ["m", "n"]);
    for (group, list, id, spend) in [
        ("user", "users", "u", 2.0),
        ("tag", "tags", "t", 2.0),
        ("model", "models", "m", 2.0),
        ("team", "teams", "b", 1.0),
    ] {
        let totals = report(&format!("&group_by={group}&format=totals")).await;
        let entry =
            totals[list].as_array().unwrap().iter().find(|it| it[format!("{group}_id")] == id).unwrap();
        assert!(about(&entry["total_spend"], spend * COST), "{group}: {totals}");
    }
    let one = report("&team_id=b&format=totals").await;
    assert!(about(&one["total_spend"], COST), "{one}");
    let by_key = report("&group_by=api_key").await;
    assert_eq!(by_key.as_array().unwrap().len(), 2);
    assert_eq!(by_key[0]["model_details"].as_array().unwrap().len(), 2);
    let one = report(&format!("&group_by=key&format=totals&api_key={}", keys[1])).await;
    assert_eq!(one["keys"].as_array().unwrap().len(), 1, "{one}");
    for path in ["/global/spend/report", "/global/spend/report?start_date=2026-01-01"] {
        assert_eq!(gateway.get(path).await.status, 400);
    }
    let odd = gateway.get(&format!("/global/spend/report?{}&group_by=customer", around())).await;
    assert_eq!(odd.json()["error"]["param"], "group_by");
}

#[tokio::test]
async fn a_report_is_a_spreadsheet_too() {
    let upstream = FakeUpstream::start();
    let (gateway, _) = billed(&upstream).await;
    let response = gateway.get(&format!("/global/spend/report?{}&format=csv", around())).await;
    assert_eq!(response.header("content-type"), "text/csv; charset=utf-8");
    let text = response.text();
    let mut lines = text.lines();
    assert_eq!(
        lines.next(),
        Some(
            "day,team_id,team_name,model,requests,failed_requests,prompt_tokens,completion_tokens,total_tokens,spend"
        )
    );
    let lines: Vec<_> = lines.collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines.iter().any(|line| line.contains(",a,\"Team, A\",m,1,0,9,3,12,0.000015")), "{text}");
    assert!(lines.iter().any(|line| line.contains(",b,\"'=B\",m,")), "a formula is none: {text}");
}

#[tokio::test]
async fn activity_is_broken_down_by_day_model_and_who() {
    let upstream = FakeUpstream::start();
    let (gateway, _) = billed(&upstream).await;
    let activity = async |path: &str| gateway.told(&format!("/{path}&{}", around())).await;
    let teams = activity("team/daily/activity?page=1").await;
    let day = &teams["results"][0];
    assert_eq!(day["date"], today());
    assert_eq!(day["metrics"]["api_requests"], 3);
    let a = &day["breakdown"]["entities"]["a"];
    assert_eq!(
        (&a["metadata"]["team_alias"], &a["metrics"]["total_tokens"]),
        (&json!("Team, A"), &json!(24))
    );
    assert_eq!(day["breakdown"]["models"]["m"]["metrics"]["successful_requests"], 2);
    let metadata = &teams["metadata"];
    assert_eq!(
        (&metadata["page"], &metadata["total_pages"], &metadata["has_more"]),
        (&json!(1), &json!(1), &json!(false))
    );
    assert!(about(&metadata["total_spend"], 3.0 * COST));
    let some = activity("team/daily/activity?team_ids=b").await;
    assert_eq!(some["metadata"]["total_api_requests"], 1);
    let others = activity("team/daily/activity?exclude_team_ids=b").await;
    assert_eq!(others["metadata"]["total_api_requests"], 2);
    let tags = activity("tag/daily/activity?tags=t&model=n").await;
    assert_eq!(tags["metadata"]["total_api_requests"], 1);
    let users = activity("user/daily/activity?user_id=u").await;
    assert_eq!(users["metadata"]["total_api_requests"], 2);
    assert_eq!(gateway.get("/tag/daily/activity").await.status, 400);
}

#[tokio::test]
async fn a_call_that_was_not_made_has_a_price() {
    let upstream = FakeUpstream::start();
    let gateway = keeping(&upstream);
    let asked =
        json!({"model": "m", "completion_response": {"usage": {"prompt_tokens": 9, "completion_tokens": 3}}});
    let cost = gateway.post("/spend/calculate", &asked).await;
    assert!(about(&cost.json()["cost"], COST), "{}", cost.text());
    let message = json!({"model": "m", "messages": [{"role": "user", "content": "x".repeat(4000)}]});
    let cost = gateway.post("/spend/calculate", &message).await.json()["cost"].as_f64().unwrap();
    assert!((1.0e-3..1.1e-3).contains(&cost), "{cost}");
    for body in
        [json!({"model": "m"}), json!({"messages": []}), json!({"model": "nobody-has-this", "messages": []})]
    {
        let status = gateway.post("/spend/calculate", &body).await.status;
        assert!([400, 422].contains(&status), "{body}: {status}");
    }
}
