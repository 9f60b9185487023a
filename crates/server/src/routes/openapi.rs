//! `GET /openapi.json`: every route, described from the same tables by which bodies are read.

mod operation;
mod schema;

use std::sync::OnceLock;

use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use serde_json::{Map, Value, json};

use crate::app::Shared;
use crate::headers::COMPATIBLE_WITH;
use crate::path::MODEL_PATHS;
use crate::routes::{Needs, Route};

/// What there is.
pub(crate) const ROUTES: &[Route] = &[Route {
    method: "GET",
    path: "/openapi.json",
    needs: Needs::Nothing,
    says: "This description.",
    body: &[],
    query: &[],
}];

/// The handlers of [`ROUTES`].
pub(crate) fn router() -> axum::Router<Shared> {
    axum::Router::new().route("/openapi.json", get(described))
}

/// The description. It is the same for everybody, whatever is configured.
async fn described() -> Response {
    static TEXT: OnceLock<Bytes> = OnceLock::new();
    let text = TEXT.get_or_init(|| document().to_string().into());
    ([(CONTENT_TYPE, "application/json")], text.clone()).into_response()
}

fn document() -> Value {
    let mut paths = Map::new();
    let models = MODEL_PATHS.iter().map(|path| (*path, "POST", operation::of_model(path)));
    let others = crate::routes::all().map(|route| (route.path, route.method, operation::of_route(&route)));
    for (path, method, operation) in models.chain(others) {
        // What is `{*id}` to axum has slashes in it, for which OpenAPI has no sign.
        let entry = paths.entry(path.replace("{*", "{")).or_insert_with(|| json!({}));
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(method.to_ascii_lowercase(), operation);
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Tagrail",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!(
                "Calls of models in OpenAI's and Anthropic's dialects; teams, virtual keys, users, tags and spend in the shapes of litellm {COMPATIBLE_WITH}."
            ),
        },
        "servers": [{ "url": "/" }],
        "security": operation::with_key(),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The master key or a virtual key.",
                },
                "header": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "x-litellm-api-key",
                    "description": "The same without `Bearer`; api-key, x-api-key, x-goog-api-key and ocp-apim-subscription-key do as well.",
                },
            },
            "schemas": schema::shared(),
            "responses": operation::refusals(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_is_the_same_every_time_and_every_reference_leads_somewhere() {
        let document = document();
        assert_eq!(document.to_string(), super::document().to_string());
        let mut pending = vec![&document];
        let mut references = 0;
        while let Some(value) = pending.pop() {
            match value {
                Value::Array(items) => pending.extend(items),
                Value::Object(entries) => {
                    pending.extend(entries.values());
                    if let Some(Value::String(to)) = entries.get("$ref") {
                        references += 1;
                        let pointer = to.strip_prefix('#').unwrap();
                        assert!(document.pointer(pointer).is_some(), "{to} leads nowhere");
                    }
                }
                _ => {}
            }
        }
        assert!(references > 100);
    }

    #[test]
    fn every_field_is_described_as_what_it_may_hold() {
        let document = document();
        for route in crate::routes::all() {
            let path = route.path.replace("{*", "{");
            let operation = &document["paths"][&path][route.method.to_ascii_lowercase()];
            let body = &operation["requestBody"]["content"]["application/json"]["schema"]["properties"];
            for field in route.body {
                assert_eq!(body[field.name]["description"], field.says, "{path} {}", field.name);
            }
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            for field in route.query {
                let of_query = |it: &&Value| it["in"] == "query" && it["name"] == field.name;
                assert_eq!(parameters.iter().filter(of_query).count(), 1, "{path} {}", field.name);
            }
        }
    }
}
