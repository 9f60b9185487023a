//! `GET /` and `GET /routes`.

use serde_json::json;
use tagrail_testkit::FakeUpstream;

use crate::gateway::{Gateway, KEY};

#[tokio::test]
async fn home_says_what_this_is() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let home = gateway.send("GET", "/", &[]).await;
    assert_eq!((home.status, &home.json()["name"]), (200, &json!("tagrail")));
}

#[tokio::test]
async fn every_listed_route_is_there() {
    let upstream = FakeUpstream::start();
    let gateway = Gateway::tagged(&upstream, &json!({}));
    let listed = gateway.send("GET", "/routes", &[]).await.json();
    let routes = listed["routes"].as_array().unwrap();
    assert!(routes.len() > 20, "{listed}");
    for route in routes {
        let path = route["path"].as_str().unwrap().replace("{model}", "m").replace("{id}", "m");
        // Each route has one method; PATCH is none of them, and only a path that exists is a 405.
        let response = gateway.send("PATCH", &path, &[KEY]).await;
        assert_eq!(response.status, 405, "{path}");
        assert_eq!(response.header("allow"), route["methods"][0], "{path}");
    }
}
