//! A configuration given as a value means what the same file means, and says where in it something is.

#![allow(clippy::unwrap_used, reason = "what helps a test fails as the test does")]

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use tagrail_config::{Diagnostic, Host, Loaded, Resolved, Source, load, load_for, load_text, load_value};

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "SET_KEY" => "sk-from-environment",
        "SET_BASE" => "http://from-environment:9/v1",
        "SET_TRUE" => "True",
        "LITELLM_MASTER_KEY" => "sk-environment-master",
        "LITELLM_ENVIRONMENT" => "staging",
        _ => return None,
    };
    Some(value.to_owned())
}

fn nothing(_: &str) -> Option<String> {
    None
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolve");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    cases.sort();
    assert!(cases.len() > 30, "the cases are gone");
    cases
}

/// What there is to compare: everything but what only a gateway asks for.
fn meaning(resolved: &Resolved) -> String {
    let specs: Vec<String> = resolved.table.deployments().iter().map(|spec| format!("{spec:?}")).collect();
    let settings = resolved.deployments.iter().map(|it| {
        let place = it.target.resolve("x").map(|place| (place.authority, place.base_path, place.headers));
        format!(
            "{} {:?} {:?} {:?} {:?} {:?}",
            it.place,
            place.map_err(|error| error.message),
            it.timeout,
            it.price,
            it.shown_params,
            it.info
        )
    });
    let settings: Vec<String> = settings.collect();
    let left_out: Vec<(usize, &str, Option<&str>)> =
        resolved.left_out.iter().map(|it| (it.place, it.group.as_str(), it.id.as_deref())).collect();
    let general = (resolved.general.tag_grants, &resolved.general.reserved_tags);
    format!("{specs:#?} {settings:#?} {left_out:#?} {:?} {general:?}", resolved.router)
}

/// Also what a value cannot express, such as a key that is written twice, is behind it then.
#[test]
fn what_a_file_holds_means_the_same_as_a_value() {
    let mut compared = 0;
    for path in cases() {
        let of_file = load_for(Host::Program, Source::File(&path), &environment);
        let Some(document) = of_file.document else {
            assert!(of_file.spec.is_none(), "{}", path.display());
            continue;
        };
        let of_value = load_value(&document, &environment);
        assert_eq!(of_value.document.as_ref(), Some(&document), "{}", path.display());
        if let (Some(of_file), Some(of_value)) = (&of_file.resolved, &of_value.resolved) {
            assert_eq!(meaning(of_file), meaning(of_value), "{}", path.display());
            compared += 1;
        }
        let told = |loaded: &[Diagnostic]| {
            let of_yaml = ["duplicate-key", "include-again", "yaml"];
            let mut told: Vec<&str> = loaded.iter().map(|found| found.code).collect();
            told.retain(|code| !of_yaml.contains(code));
            told.sort_unstable();
            told.dedup();
            told.join(" ")
        };
        // Of files that cannot be included nothing is left in the value.
        if !of_file.diagnostics.iter().any(|found| found.stops && found.message.contains("nclude")) {
            assert_eq!(told(&of_file.diagnostics), told(&of_value.diagnostics), "{}", path.display());
        }
        for found in &of_value.diagnostics {
            assert_eq!(found.spot, None, "{found}");
            for word in ["quotes", "YAML", "gateway is started", "--config", " line "] {
                assert!(!found.to_string().contains(word), "{found}");
            }
        }
    }
    assert!(compared > 20, "{compared}");
}

fn told(loaded: &Loaded) -> Vec<String> {
    loaded.diagnostics.iter().map(ToString::to_string).collect()
}

#[test]
fn a_mistake_is_named_by_its_path() {
    let loaded = load_value(
        &json!({
            "model_list": [
                {"model_name": "m", "litellm_params": {"model": "openai/a", "api_key": "k"}},
                {"model_name": "broken", "litellm_params": {"model": "openai/b", "tags": "free"}},
            ],
            "router_settings": {
                "num_retires": 2,
                "fallbacks": [{"m.1": ["m", 7]}],
                "model_group_alias": {"gpt-4.1": 5},
            },
        }),
        &nothing,
    );
    let found: Vec<(Option<&str>, &str)> =
        loaded.diagnostics.iter().map(|found| (found.path.as_deref(), found.code)).collect();
    assert_eq!(
        found,
        [
            (Some("model_list[1].litellm_params.tags"), "wrong-type"),
            (Some("router_settings.num_retires"), "unknown-key"),
            (Some("router_settings.fallbacks[0][\"m.1\"][1]"), "bad-fallback"),
            (Some("router_settings.model_group_alias[\"gpt-4.1\"]"), "wrong-type"),
        ]
    );
    let found = &loaded.diagnostics[0];
    assert_eq!(
        found.to_string(),
        "model_list[1].litellm_params.tags: error[wrong-type]: `tags` is a list of texts, and this is text \
         (write `tags: [\"free\"]`)"
    );
    assert_eq!(
        found.to_json(),
        json!({
            "severity": "error",
            "code": "wrong-type",
            "message": "`tags` is a list of texts, and this is text",
            "file": null,
            "line": null,
            "column": null,
            "help": "write `tags: [\"free\"]`",
            "stops": false,
            "path": "model_list[1].litellm_params.tags",
        })
    );
    let rendered = found.render(&loaded.sources, false);
    assert!(rendered.contains("--> model_list[1].litellm_params.tags\n"), "{rendered}");
    assert!(rendered.contains("this deployment is left out"), "{rendered}");
}

#[test]
fn a_deployment_that_is_left_out_says_where_and_why() {
    let loaded = load_value(
        &json!({
            "model_list": [
                {"model_name": "m", "litellm_params": {"model": "openai/a", "api_key": "k"}},
                {"model_name": "gone", "model_info": {"id": "g"},
                 "litellm_params": {"model": "openai/b", "tags": "free"}},
                {"model_name": "m", "model_info": {"id": "one"},
                 "litellm_params": {"model": "openai/c", "api_key": "k"}},
                {"model_name": "m", "model_info": {"id": "one"},
                 "litellm_params": {"model": "openai/d", "api_key": "k"}},
            ],
            "router_settings": {"fallbacks": [{"m": ["gone"]}]},
        }),
        &nothing,
    );
    let resolved = loaded.resolved.as_ref().unwrap();
    let places: Vec<usize> = resolved.left_out.iter().map(|it| it.place).collect();
    assert_eq!(places, [1, 3]);
    assert_eq!(resolved.left_out[0].path.as_deref(), Some("model_list[1]"));
    assert_eq!(
        resolved.left_out[0].reason,
        "model_list[1].litellm_params.tags: `tags` is a list of texts, and this is text"
    );
    assert!(resolved.left_out[1].reason.starts_with("model_list[3].model_info.id: "));
    let of_fallback = loaded.diagnostics.iter().find(|found| found.code == "unknown-target").unwrap();
    assert!(of_fallback.message.ends_with("(`model_list[1]`)"), "{of_fallback}");
}

#[test]
fn items_are_known_by_their_position() {
    let params = |more: Value| {
        let mut params = json!({"model": "openai/a", "api_key": "k"});
        params.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"model_name": "m", "litellm_params": params})
    };
    let list = json!([
        params(json!({"tags": "no list"})),
        params(json!({"organization": ["a", "b"]})),
        params(json!({"timeout": 5})),
    ]);
    let loaded = load_value(&json!({"model_list": list}), &nothing);
    let places: Vec<usize> = loaded.resolved.unwrap().deployments.iter().map(|it| it.place).collect();
    assert_eq!(places, [1, 1, 2]);
}

#[test]
fn a_generated_id_is_that_of_the_file() {
    let text = "model_list:\n- model_name: g\n  litellm_params:\n    model: openai/gpt-4o\n    api_key: k\n    \
                temperature: 1.0\n    max_tokens: 5\n    stream_options: {include_usage: true}\n    tags: [é, \"it's\"]\n    \
                weight: 1.5e-7\n    user: null\n    seed: 18446744073709551615\n";
    let value = json!({"model_list": [{"model_name": "g", "litellm_params": {
        "model": "openai/gpt-4o", "api_key": "k", "temperature": 1.0, "max_tokens": 5,
        "stream_options": {"include_usage": true}, "tags": ["é", "it's"], "weight": 1.5e-7, "user": null, "seed": 18446744073709551615_u64,
    }}]});
    let id = |loaded: Loaded| loaded.resolved.unwrap().table.deployments()[0].id.clone();
    let of_file = id(load_text(text, Path::new("c.yaml"), &nothing));
    assert_eq!(id(load_value(&value, &nothing)), of_file);
    let mut other = value.clone();
    other["model_list"][0]["litellm_params"]["max_tokens"] = json!(5.0);
    assert_ne!(id(load_value(&other, &nothing)), of_file);
}

/// The sections of a gateway that would stop it, or that it would be warned of, stop no program.
#[test]
fn a_program_has_no_door_and_no_database() {
    let text = "
model_list: [{model_name: m, litellm_params: {model: openai/a, api_key: k}}]
general_settings:
  master_key: os.environ/NOT_SET
  database_url: mysql://root@h/d
  max_connections: 0
  custom_auth: module.function
  store_model_in_db: true
  reserved_tags: [teamA]
litellm_settings: {max_budget: 5, default_team_settings: [{team_id: x}]}
mcp_servers: {x: {url: http://h}}
";
    let database = |name: &str| (name == "DATABASE_URL").then(|| "mysql://h/d".to_owned());
    let of_gateway = load_text(text, Path::new("c.yaml"), &database);
    assert!(of_gateway.resolved.is_none());
    let document = of_gateway.document.unwrap();
    let of_text = load_for(Host::Program, Source::Text(text, Path::new("c.yaml")), &database);
    for loaded in [of_text, load_value(&document, &database)] {
        let codes: Vec<&str> = loaded.diagnostics.iter().map(|found| found.code).collect();
        assert_eq!(codes, ["reserved-unused"]);
        let general = loaded.resolved.unwrap().general;
        assert!(general.master_key.is_none() && general.database_url.is_none());
        assert_eq!(general.reserved_tags, ["teamA"]);
    }
}

/// What of `general_settings` is the router's own holds in a program as well.
#[test]
fn a_program_has_what_the_router_obeys() {
    let price = json!({"input_cost_per_token": 0.5, "output_cost_per_token": 2});
    let general = json!({
        "completion_model": "forced", "tag_grants": false, "fallback_price": price, "strict_config": true,
    });
    let general = load_value(&json!({"general_settings": general}), &nothing).resolved.unwrap().general;
    assert_eq!(general.completion_model.as_deref(), Some("forced"));
    assert!(!general.tag_grants && general.strict);
    let price = general.fallback_price.unwrap();
    assert_eq!((price.input, price.output), (Some(0.5), Some(2.0)));
}

#[test]
fn what_a_program_would_do_without_is_still_refused_and_named() {
    let loaded = load_value(
        &json!({"guardrails": [{"guardrail_name": "x"}], "general_settings": {"reserved_tgas": []}}),
        &nothing,
    );
    assert!(loaded.resolved.is_none());
    let told = told(&loaded);
    assert!(told[0].starts_with("guardrails: error[unprotected]:"), "{told:?}");
    assert!(told[0].contains("this program"), "{told:?}");
    assert!(told[1].starts_with("general_settings.reserved_tgas: warning[unknown-key]:"), "{told:?}");
}

#[test]
fn a_value_includes_nothing() {
    let loaded = load_value(&json!({"model_list": [], "include": ["models.yaml"]}), &nothing);
    assert!(loaded.resolved.is_none());
    assert_eq!(
        told(&loaded),
        [
            "include: error[no-include]: `include` names files beside a file, and this configuration is in none \
          (put what they hold into the value, or load the configuration from its file)"
        ]
    );
    assert!(load_value(&json!({"model_list": [], "include": null}), &nothing).diagnostics.is_empty());
}

#[test]
fn only_a_map_is_a_configuration() {
    for value in [json!(null), json!([]), json!("sk-canary"), json!(5)] {
        let loaded = load_value(&value, &nothing);
        assert!(loaded.resolved.is_none() && loaded.document.is_none());
        let found = &loaded.diagnostics[0];
        assert_eq!((found.code, &found.path, found.stops), ("wrong-type", &None, true), "{found}");
    }
    let mut deep = json!(1);
    for _ in 0..60 {
        deep = json!([deep]);
    }
    let loaded = load_value(&json!({"x-deep": deep}), &nothing);
    assert!(loaded.resolved.is_none());
    assert!(loaded.diagnostics[0].message.contains("deep in each other"), "{}", loaded.diagnostics[0]);
}

#[test]
fn the_document_is_what_was_written() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolve");
    let document = load(&folder.join("include-main.yaml"), &environment).document.unwrap();
    assert!(document.get("include").is_none());
    let text = "model_list: [{model_name: m, litellm_params: {model: openai/a, api_key: os.environ/SET_KEY}}]\n\
                environment_variables: {A: b}\n";
    let loaded = load_text(text, Path::new("c.yaml"), &environment);
    assert_eq!(
        loaded.document.unwrap(),
        json!({
            "model_list": [{"model_name": "m",
                            "litellm_params": {"model": "openai/a", "api_key": "os.environ/SET_KEY"}}],
            "environment_variables": {"A": "b"},
        })
    );
    // Even where nothing runs: it can be mended and given again.
    let refused = load_text("router_settings: {num_retries: x}", Path::new("c.yaml"), &environment);
    assert!(refused.resolved.is_none() && refused.document.is_some());
    assert!(load_text("a: [", Path::new("c.yaml"), &environment).document.is_none());
}

/// Wherever a secret stands in a value, and whatever is wrong with it, no finding shows it.
#[test]
fn a_secret_is_in_no_finding() {
    let deployment = |params: Value| json!({"model_list": [{"model_name": "m", "litellm_params": params}]});
    for value in [
        json!({"general_settings": "canary"}),
        json!({"general_settings": {"sk-canary": 1, "fallback_price": "sk-canary"}}),
        json!({"sk-canary.b": {"x": 1}}),
        json!({"litellm_settings": {"fallbacks": "sk-canary"}}),
        json!({"router_settings": {"fallbacks": [{"sk-canary": [5]}], "model_group_alias": {"sk-canary": 1}}}),
        json!({"credential_list": [{"credential_nam": "n", "credential_values": {"region": "canary"}}]}),
        json!({"credential_list": "canary"}),
        json!({"environment_variables": ["canary"]}),
        deployment(json!({"model": "openai/m", "api_key": ["canary"]})),
        deployment(json!({"model": "openai/m", "api_key": {"sk-canary": "canary"}})),
        deployment(json!({"model": "openai/m", "headers": {"x": ["canary"]}})),
        deployment(
            json!({"model": "openai/m", "api_base": "ftp://u:canary@h/?key=canary", "api_kee": "canary"}),
        ),
        deployment(json!({"model": "openai/m", "tags": "sk-canary"})),
        deployment(json!("canary")),
        json!({"model_list": ["canary", {"api_key": "canary"}]}),
    ] {
        let loaded = load_value(&value, &nothing);
        assert!(!loaded.diagnostics.is_empty(), "{value}");
        for found in &loaded.diagnostics {
            for shown in
                [found.render(&loaded.sources, false), found.to_string(), found.to_json().to_string()]
            {
                assert!(!shown.contains("canary"), "{value}\n{shown}");
            }
        }
        for left_out in loaded.resolved.iter().flat_map(|resolved| &resolved.left_out) {
            assert!(!format!("{left_out:?}").contains("canary"), "{left_out:?}");
        }
    }
}

/// A value of a parameter that JSON and YAML write alike.
fn parameter() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-9000i32..9000).prop_map(|halves| Value::from(f64::from(halves) + 0.5)),
        prop::sample::select(vec![
            "",
            "a",
            "é",
            "it's",
            "say \"x\"",
            "a\\b",
            "💧",
            "yes",
            "1",
            "1.0",
            "null",
            "x: y"
        ])
        .prop_map(Value::from),
        prop::sample::select(vec!["os.environ/SET_KEY", "os.environ/NOT_SET", "os.environ/"])
            .prop_map(Value::from),
    ];
    scalar.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[a-cé ]{1,3}", inner), 0..3)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    /// JSON is YAML: the same deployments with the same ids, whatever their parameters are and in
    /// whatever order, and the same said of them.
    #[test]
    fn a_value_and_its_text_are_one_configuration(
        deployments in prop::collection::vec(
            prop::collection::vec(
                (prop::sample::select(vec![
                    "api_key", "tags", "timeout", "weight", "order", "seed", "stop", "user", "extra_body",
                    "extra_headers", "organization", "model_info", "whatever",
                ]), parameter()),
                0..5,
            ),
            1..4,
        )
    ) {
        let item = |params: Vec<(&str, Value)>| {
            let mut params: serde_json::Map<String, Value> =
                params.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
            params.insert("model".to_owned(), "openai/a".into());
            json!({"model_name": "g", "litellm_params": params})
        };
        let document = json!({"model_list": deployments.into_iter().map(item).collect::<Vec<_>>()});
        let of_value = load_value(&document, &environment);
        let text = document.to_string();
        let of_text = load_for(Host::Program, Source::Text(&text, Path::new("c.yaml")), &environment);
        prop_assert_eq!(of_text.document.as_ref(), Some(&document));
        let codes = |loaded: &Loaded| loaded.diagnostics.iter().map(|found| (found.code, found.stops)).collect::<Vec<_>>();
        prop_assert_eq!(codes(&of_text), codes(&of_value));
        let meant = |loaded: &Loaded| loaded.resolved.as_ref().map(meaning);
        prop_assert_eq!(meant(&of_text), meant(&of_value));
    }
}
