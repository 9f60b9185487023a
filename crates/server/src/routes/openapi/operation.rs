//! One route, as OpenAPI describes it.

use serde_json::{Map, Value, json};

use crate::fields::Field;
use crate::path;
use crate::routes::openapi::schema;
use crate::routes::{Needs, Route};
use tagrail::Operation;

/// Statuses that may come, and what each means here.
const REFUSALS: [(&str, &str, &str); 11] = [
    ("400", "Error", "A bad value; `param` names the field."),
    ("401", "Error", "No valid key, or tags that no deployment of the model carries."),
    ("403", "Error", "Not with this key."),
    ("404", "Error", "There is no such thing."),
    ("408", "Error", "The body took too long to arrive."),
    ("409", "Error", "Something of that name is there already, or was changed meanwhile."),
    ("413", "Error", "The body is too large."),
    ("422", "Error", "A value of the wrong kind, or one that is missing; `param` names the field."),
    ("429", "Error", "A limit, a budget, or all deployments are cooling down; see `retry-after`."),
    ("503", "Error", "The database cannot be reached; see `retry-after`."),
    ("default", "Error", "The upstream's refusal or failure."),
];

/// One of the tables' routes.
pub(super) fn of_route(route: &Route) -> Value {
    let mut operation = begun(route.method, route.path, route.says);
    if route.needs == Needs::Nothing {
        operation.insert("security".to_owned(), json!([]));
    }
    let mut parameters = in_path(route.path);
    parameters.extend(route.query.iter().map(in_query));
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), json!(parameters));
    }
    if !route.body.is_empty() {
        let content = json!({ "application/json": { "schema": schema::of_body(route.body) } });
        // Where the path says which, the body has nothing that must be said.
        let is_required = !route.path.contains('{');
        operation.insert("requestBody".to_owned(), json!({ "required": is_required, "content": content }));
    } else if route.path == "/route/explain" {
        let content =
            json!({ "application/json": { "schema": { "$ref": "#/components/schemas/ModelCall" } } });
        operation.insert("requestBody".to_owned(), json!({ "required": true, "content": content }));
    }
    let mut responses = Map::new();
    responses.insert("200".to_owned(), answer(route));
    let mut statuses = match route.needs {
        Needs::Nothing => vec![],
        Needs::Key | Needs::Viewer | Needs::Admin => vec!["401", "403", "503"],
    };
    if !route.body.is_empty() {
        statuses.extend(["400", "404", "408", "409", "413", "422"]);
    } else if !route.query.is_empty() || route.path.contains('{') {
        statuses.extend(["400", "404", "422"]);
    }
    responses.extend(refused(&statuses));
    operation.insert("responses".to_owned(), Value::Object(responses));
    Value::Object(operation)
}

/// A route that calls a model.
pub(super) fn of_model(path: &str) -> Value {
    let asked = path::model_route(path).map_or(Operation::ChatCompletions, |route| route.operation);
    let mut operation = begun("POST", path, &format!("Calls a model: {}.", asked.name()));
    let parameters = in_path(path);
    if !parameters.is_empty() {
        operation.insert("parameters".to_owned(), json!(parameters));
    }
    let body = json!({ "$ref": "#/components/schemas/ModelCall" });
    operation.insert(
        "requestBody".to_owned(),
        json!({ "required": true, "content": { "application/json": { "schema": body } } }),
    );
    let mut responses = Map::new();
    responses.insert(
        "200".to_owned(),
        json!({
            "description": "The answer; events where `stream` is true.",
            "content": {
                "application/json": { "schema": { "type": "object" } },
                "text/event-stream": { "schema": { "type": "string" } },
            },
        }),
    );
    let statuses = ["400", "401", "403", "408", "413", "429", "503", "default"];
    responses.extend(refused(&statuses).map(|(status, mut refusal)| {
        if asked == Operation::Messages {
            refusal = described("AnthropicError", "As Anthropic words it.");
        }
        (status, refusal)
    }));
    operation.insert("responses".to_owned(), Value::Object(responses));
    Value::Object(operation)
}

/// What an operation needs that asks for a key.
pub(super) fn with_key() -> Value {
    json!([{ "bearer": [] }, { "header": [] }])
}

/// The refusals that operations refer to.
pub(super) fn refusals() -> Value {
    REFUSALS.iter().map(|(status, schema, says)| (format!("R{status}"), described(schema, says))).collect()
}

fn begun(method: &str, path: &str, says: &str) -> Map<String, Value> {
    let words = path.split(|sign: char| !sign.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.fold(method.to_ascii_lowercase(), |name, word| format!("{name}_{word}"));
    let about = path.split('/').nth(1).filter(|word| !word.is_empty()).unwrap_or("gateway");
    let mut operation = Map::new();
    operation.insert("operationId".to_owned(), json!(name));
    operation.insert("summary".to_owned(), json!(says));
    operation.insert("tags".to_owned(), json!([about]));
    operation
}

fn in_path(path: &str) -> Vec<Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    names
        .map(|name| {
            let name = name.trim_start_matches('*');
            json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
        })
        .collect()
}

fn in_query(field: &Field) -> Value {
    json!({
        "name": field.name,
        "in": "query",
        "description": field.says,
        "schema": schema::of(field.holds),
    })
}

fn answer(route: &Route) -> Value {
    let schema = match route.body {
        [] => json!({}),
        _ => json!({ "$ref": "#/components/schemas/Answer" }),
    };
    let content = match route.path {
        "/metrics" => json!({ "text/plain": { "schema": { "type": "string" } } }),
        "/global/spend/report" => json!({
            "application/json": { "schema": schema },
            "text/csv": { "schema": { "type": "string" } },
        }),
        _ => json!({ "application/json": { "schema": schema } }),
    };
    json!({ "description": "Done.", "content": content })
}

fn refused(statuses: &[&str]) -> impl Iterator<Item = (String, Value)> {
    let mut statuses = statuses.to_vec();
    statuses.sort_unstable();
    statuses.dedup();
    statuses
        .into_iter()
        .map(|status| (status.to_owned(), json!({ "$ref": format!("#/components/responses/R{status}") })))
        .collect::<Vec<_>>()
        .into_iter()
}

fn described(schema: &str, says: &str) -> Value {
    let schema = json!({ "$ref": format!("#/components/schemas/{schema}") });
    json!({ "description": says, "content": { "application/json": { "schema": schema } } })
}
