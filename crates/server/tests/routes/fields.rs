//! Which role may write which field: every field of every body, as the server's own description lists
//! them, written by everybody.

use serde_json::{Map, Value, json};

use crate::gateway::{Gateway, KEY};
use crate::people::{get_as, keeping, key, key_with_role, post_as, told};

/// Routes whose bodies write nothing, and which are for viewers, or for everybody.
const READING: [&str; 2] = ["/tag/info", "/spend/calculate"];

/// Every field that can be written: path, name, schema.
async fn fields(gateway: &Gateway) -> Vec<(String, String, Value)> {
    let described = gateway.get("/openapi.json").await.json();
    let mut all = Vec::new();
    for (path, operations) in described["paths"].as_object().unwrap() {
        let schema = &operations["post"]["requestBody"]["content"]["application/json"]["schema"];
        if READING.contains(&path.as_str()) {
            continue;
        }
        for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
            all.push((path.clone(), name.clone(), schema.clone()));
        }
    }
    assert!(all.len() > 300, "{}", all.len());
    all
}

/// Something that a field takes.
fn value(name: &str, schema: &Value) -> Value {
    match name {
        "team_id" | "user_id" => return json!("there"),
        "teams" => return json!(["there"]),
        "member" => return json!({"role": "user", "user_id": "new"}),
        "members_with_roles" => return json!([{"role": "user", "user_id": "new"}]),
        "key" | "new_key" => return json!("sk-chosen-by-the-admin"),
        _ => {}
    }
    if let Some(choice) = schema["enum"].get(0) {
        return choice.clone();
    }
    match schema["type"].get(0).and_then(Value::as_str) {
        Some("string") if schema["pattern"].is_string() => json!("7d"),
        Some("string") => json!("x"),
        Some("boolean") => json!(true),
        Some("integer") => json!(3),
        Some("number") => json!(1.5),
        Some("array") => json!(["x"]),
        Some("object") if schema["additionalProperties"]["type"] == "integer" => json!({"x": 3}),
        Some("object") => json!({"x": "m"}),
        _ => json!("x"),
    }
}

/// What a route needs besides the field in question: fresh things, so that nothing is left over.
async fn needed(gateway: &Gateway, path: &str) -> Value {
    let new = async |path: &str, body: Value, field: &str| told(gateway, path, &body).await[field].clone();
    let member = json!({"members_with_roles": [{"role": "user", "user_id": "ann"}]});
    match path {
        "/team/new" | "/key/generate" | "/user/new" => json!({}),
        "/team/delete" => json!({"team_ids": [new("/team/new", json!({}), "team_id").await]}),
        "/team/member_add" => {
            json!({"team_id": new("/team/new", json!({}), "team_id").await, "member": {"role": "user", "user_id": "ann"}})
        }
        "/team/member_delete" => {
            json!({"team_id": new("/team/new", member, "team_id").await, "user_id": "ann"})
        }
        "/team/model/add" | "/team/model/delete" => {
            json!({"team_id": new("/team/new", json!({}), "team_id").await, "models": ["m"]})
        }
        path if path.starts_with("/team/") => {
            json!({"team_id": new("/team/new", json!({}), "team_id").await})
        }
        "/key/delete" => {
            new("/key/generate", json!({"key_alias": "x"}), "key").await;
            json!({"keys": [new("/key/generate", json!({}), "key").await], "key_aliases": ["x"]})
        }
        path if path.starts_with("/key/") => json!({"key": new("/key/generate", json!({}), "key").await}),
        "/user/update" => json!({"user_id": "there"}),
        "/user/delete" => {
            json!({"user_ids": [new("/user/new", json!({"auto_create_key": false}), "user_id").await]})
        }
        "/tag/new" => json!({"name": format!("t{}", fastrand::u64(..))}),
        "/tag/update" | "/tag/delete" => {
            let name = json!(format!("t{}", fastrand::u64(..)));
            told(gateway, "/tag/new", &json!({"name": name})).await;
            json!({"name": name})
        }
        _ => panic!("{path} writes fields and has no entry: say here what it needs"),
    }
}

/// The path with a key in it where it has one.
fn target(path: &str, body: &Value) -> String {
    path.replace("{key}", body["key"].as_str().unwrap_or("sk-nobody-has-this-key"))
}

/// Everything that is kept, without the moments at which keys were last used.
async fn kept(gateway: &Gateway) -> Value {
    let mut all = Vec::new();
    for path in
        ["/team/list", "/key/list?return_full_object=true&size=100", "/user/list?page_size=100", "/tag/list"]
    {
        let mut listed = get_as(gateway, "sk-1234", path).await.json();
        forget_use(&mut listed);
        all.push(listed);
    }
    json!(all)
}

fn forget_use(value: &mut Value) {
    match value {
        Value::Object(entries) => {
            entries.remove("last_active");
            entries.values_mut().for_each(forget_use);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_use),
        _ => {}
    }
}

/// A gateway with a team and a user called `there`; the user is an admin of the team.
async fn inhabited() -> Gateway {
    let gateway = keeping(&json!({}));
    told(&gateway, "/user/new", &json!({"user_id": "there", "auto_create_key": false})).await;
    let member = json!([{"role": "admin", "user_id": "there"}]);
    told(&gateway, "/team/new", &json!({"team_id": "there", "members_with_roles": member})).await;
    gateway
}

#[tokio::test]
async fn only_admins_write_and_nobody_else_any_field() {
    let gateway = inhabited().await;
    let ordinary = key(&gateway, &json!({"team_id": "there", "user_id": "there"})).await;
    let loner = key(&gateway, &json!({})).await;
    let viewer = key_with_role(&gateway, "proxy_admin_viewer").await;
    let before = kept(&gateway).await;
    for (path, name, schema) in fields(&gateway).await {
        // About themselves, where they might be thought to have a say.
        for (who, own) in [("ordinary", &ordinary), ("loner", &loner), ("viewer", &viewer)] {
            let mut body = json!({"team_id": "there", "user_id": "there", "key": own, "name": "teamA"});
            body[&name] = value(&name, &schema);
            let response = post_as(&gateway, own, &target(&path, &body), &body).await;
            let status = response.status;
            assert!(
                status == 401 || status == 403,
                "{name} of {path} as {who}: {status} {}",
                response.text()
            );
        }
    }
    assert_eq!(kept(&gateway).await, before, "nothing was written");
}

#[tokio::test]
async fn admins_write_every_field() {
    let gateway = inhabited().await;
    let admin = key_with_role(&gateway, "proxy_admin").await;
    for (path, name, schema) in fields(&gateway).await {
        let mut body = needed(&gateway, &path).await;
        let target = target(&path, &body);
        if body.get(&name).is_none() {
            body[&name] = value(&name, &schema);
        }
        // Ids of what is made must be new.
        let taken =
            [("/team/new", "team_id"), ("/user/new", "user_id")].contains(&(path.as_str(), name.as_str()));
        if taken || name == "key_alias" || (path == "/key/generate" && name == "key") {
            body[&name] = json!(format!("sk-chosen-{}", fastrand::u64(..)));
        }
        if name == "user_email" && path.starts_with("/user/") {
            body[&name] = json!(format!("{}@example.com", fastrand::u64(..)));
        }
        if name == "new_key" {
            body[&name] = json!(format!("sk-chosen-{}", fastrand::u64(..)));
        }
        let response = post_as(&gateway, &admin, &target, &body).await;
        assert_eq!(response.status, 200, "{name} of {path}: {body} {}", response.text());
        let warnings = response.json()["warnings"].to_string();
        assert!(!warnings.contains("unknown field"), "{name} of {path}: {warnings}");
    }
}

#[tokio::test]
async fn a_wrong_value_of_any_field_is_refused_and_named() {
    let gateway = inhabited().await;
    for (path, name, schema) in fields(&gateway).await {
        let wrong = match schema["type"].get(0).and_then(Value::as_str) {
            Some("string") => json!({"x": 1}),
            Some(_) => json!("x"),
            None => continue,
        };
        let mut body = Map::from_iter([(name.clone(), wrong)]);
        // Whatever else is missing: what is there is looked at first.
        body.insert("nonsense".to_owned(), json!(1));
        let response = gateway.post(&target(&path, &json!({})), &Value::Object(body)).await;
        let error = &response.json()["error"];
        assert_eq!((response.status, &error["param"]), (422, &json!(name)), "{path}: {}", response.text());
        assert!(error["message"].as_str().unwrap().contains(&format!("`{name}` must be")), "{error}");
    }
}

#[tokio::test]
async fn a_body_that_is_no_object_is_a_400_on_every_route() {
    let gateway = inhabited().await;
    let mut paths: Vec<_> = fields(&gateway).await.into_iter().map(|(path, ..)| path).collect();
    paths.dedup();
    assert!(paths.len() > 20, "{paths:?}");
    for path in paths {
        for body in [json!([]), json!("x"), json!(1), Value::Null] {
            let response =
                tagrail_testkit::post(gateway.address, &target(&path, &json!({})), &[KEY], &body).await;
            assert_eq!(response.status, 400, "{path} {body}: {}", response.text());
        }
    }
}
