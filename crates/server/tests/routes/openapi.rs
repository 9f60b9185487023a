//! `GET /openapi.json`.

use serde_json::{Value, json};
use tagrail_testkit::FakeUpstream;

use crate::gateway::Gateway;

#[tokio::test]
async fn every_route_is_described_and_nothing_else() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let response = gateway.send("GET", "/openapi.json", &[]).await;
    assert_eq!((response.status, response.header("content-type")), (200, "application/json"));
    let document = response.json();
    assert_eq!(document["openapi"], "3.1.0");
    let listed = gateway.send("GET", "/routes", &[]).await.json();
    let listed: Vec<(String, String)> = listed["routes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|route| {
            let path = route["path"].as_str().unwrap().replace("{*", "{");
            (path, route["methods"][0].as_str().unwrap().to_ascii_lowercase())
        })
        .collect();
    let paths = document["paths"].as_object().unwrap();
    let described = paths.iter().flat_map(|(path, operations)| {
        operations.as_object().unwrap().keys().map(move |method| (path.clone(), method.clone()))
    });
    let described: Vec<(String, String)> = described.collect();
    for route in &listed {
        assert!(described.contains(route), "{route:?} is not described");
    }
    for route in &described {
        assert!(listed.contains(route), "{route:?} is no route");
    }
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own_its_parameters_and_its_refusals() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let document = gateway.send("GET", "/openapi.json", &[]).await.json();
    let mut names = Vec::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            names.push(operation["operationId"].as_str().unwrap().to_owned());
            assert!(!operation["summary"].as_str().unwrap().is_empty());
            let none = Vec::new();
            let parameters = operation["parameters"].as_array().unwrap_or(&none);
            let in_path: Vec<_> = parameters.iter().filter(|it| it["in"] == "path").collect();
            assert_eq!(in_path.len(), path.matches('{').count(), "{path}");
            for parameter in in_path {
                assert!(path.contains(&format!("{{{}}}", parameter["name"].as_str().unwrap())), "{path}");
                assert_eq!(parameter["required"], true);
            }
            let responses = operation["responses"].as_object().unwrap();
            assert!(responses.contains_key("200"), "{method} {path}");
            let is_open = operation["security"] == json!([]);
            assert_eq!(responses.contains_key("401"), !is_open, "{method} {path}");
        }
    }
    let count = names.len();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[tokio::test]
async fn bodies_are_described_as_they_are_read() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let document = gateway.send("GET", "/openapi.json", &[]).await.json();
    let body = |path: &str| {
        let operation = &document["paths"][path]["post"];
        operation["requestBody"]["content"]["application/json"]["schema"]["properties"].clone()
    };
    let generate = body("/key/generate");
    assert_eq!(generate["models"]["type"], json!(["array", "null"]));
    assert_eq!(generate["rpm_limit"]["type"], json!(["integer", "null"]));
    let kinds = generate["key_type"]["enum"].as_array().unwrap();
    assert!(kinds.contains(&json!("llm_api")) && kinds.contains(&Value::Null));
    assert!(body("/team/new")["tags"].is_object());
    assert_eq!(document["components"]["securitySchemes"]["bearer"]["scheme"], "bearer");
    assert_eq!(document["security"].as_array().unwrap().len(), 2);
}
