//! `ssl_verify`: which certificates of an upstream are accepted, and that no connection serves two answers
//! to that.

use serde_json::{Value, json};
use tagrail_testkit::{FakeUpstream, Reply, ca_file, deployment};

use crate::rig::Rig;

/// A deployment of each kind at one upstream, whose certificate no system knows.
fn rig(settings: &Value) -> Rig {
    let upstream = FakeUpstream::start_tls();
    upstream.otherwise(Reply::default().header("connection", "keep-alive"));
    let of = |name: &str, verify: Option<Value>| {
        let mut made = deployment(name, name, &[], &upstream.base());
        if let Some(verify) = verify {
            made["litellm_params"]["ssl_verify"] = verify;
        }
        made
    };
    let list = [
        of("usual", None),
        of("checked", Some(json!(true))),
        of("unchecked", Some(json!(false))),
        of("bundled", Some(json!(ca_file()))),
    ];
    let mut more = json!({"router_settings": {"num_retries": 0, "disable_cooldowns": true}});
    more["litellm_settings"] = settings.clone();
    Rig::of(upstream, &list, &more)
}

#[tokio::test]
async fn each_deployment_verifies_as_it_says() {
    let rig = rig(&json!({}));
    rig.chat("unchecked", json!({})).await.unwrap();
    rig.chat("unchecked", json!({})).await.unwrap();
    assert_eq!(rig.upstream.connections(), 1, "one connection serves both");
    for name in ["usual", "checked"] {
        let refused = rig.chat(name, json!({})).await.unwrap_err();
        assert_eq!(refused.told().status, 500, "{name}");
    }
    rig.chat("bundled", json!({})).await.unwrap();
    assert_eq!(rig.upstream.requests().len(), 3, "nothing was sent without verification");
}

#[tokio::test]
async fn the_settings_hold_where_a_deployment_says_nothing() {
    for (settings, served) in [(json!({"ssl_verify": false}), true), (json!({"ssl_verify": ca_file()}), true)]
    {
        let rig = rig(&settings);
        assert_eq!(rig.chat("usual", json!({})).await.is_ok(), served, "{settings}");
        assert!(rig.chat("checked", json!({})).await.is_err(), "{settings}");
    }
}
