//! What is said of a configuration: the same of a file and of a value, to a machine and to a person.

#![allow(clippy::unwrap_used, reason = "what helps a test fails as the test does")]

use std::path::Path;

use serde_json::{Value, json};
use tagrail_config::{Loaded, Reader, Report, Summary, load_text, load_value};

fn document() -> Value {
    json!({
        "model_list": [
            {"model_name": "gpt-4", "model_info": {"id": "free"},
             "litellm_params": {"model": "openai/a", "api_key": "k", "tags": ["free"]}},
            {"model_name": "gpt-4", "model_info": {"id": "broken"},
             "litellm_params": {"model": "openai/b", "api_key": "k", "tags": "paid"}},
            {"model_name": "openai/*", "model_info": {"id": "all"},
             "litellm_params": {"model": "openai/*", "api_key": "k"}},
            {"model_name": "mine", "model_info": {"id": "mine"},
             "litellm_params": {"model": "openai/c", "api_key": "k", "tags": ["teamA"]}},
        ],
        "router_settings": {"enable_tag_filtering": true},
        "general_settings": {"reserved_tags": ["teamA"]},
    })
}

fn nothing(_: &str) -> Option<String> {
    None
}

fn of_value() -> Loaded {
    load_value(&document(), &nothing)
}

#[test]
fn a_machine_hears_everything_of_a_value() {
    let loaded = of_value();
    let report = Report::of(&loaded);
    assert!(!report.is_ok());
    let mut told = report.to_json();
    assert_eq!(told["ok"], false);
    assert_eq!(told["diagnostics"].as_array().unwrap().len(), 1);
    assert_eq!(told["diagnostics"][0]["path"], "model_list[1].litellm_params.tags");
    assert_eq!(
        told["summary"],
        json!({
            "routing_mode": "tagrail",
            "groups": [{"name": "gpt-4", "deployments": ["free"]}, {"name": "mine", "deployments": ["mine"]}],
            "wildcards": [{"name": "openai/*", "deployments": ["all"]}],
            "tags": ["free", "teamA"],
            "reserved": ["teamA"],
            "closed": ["mine"],
            "left_out": [
                {"model_name": "gpt-4", "id": "broken", "file": null, "line": null, "path": "model_list[1]"},
            ],
        })
    );
    let witnesses = told["mode_differences"]["witnesses"].take();
    let witnesses = witnesses.as_array().unwrap();
    let of_wildcard = witnesses.iter().find(|it| it["model"] == "openai/x" && it["tags"] == json!(["free"]));
    assert_eq!(
        of_wildcard.unwrap()["tagrail"],
        json!({"served_by": [{"id": "all", "upstream_model": "openai/x"}]})
    );
}

#[test]
fn a_file_and_a_value_hold_the_same() {
    let text = document().to_string();
    let of_file = load_text(&text, Path::new("config.yaml"), &nothing);
    let (of_file, loaded) = (Report::of(&of_file).to_json(), of_value());
    let of_value = Report::of(&loaded).to_json();
    for key in ["routing_mode", "groups", "wildcards", "tags", "reserved", "closed"] {
        assert_eq!(of_file["summary"][key], of_value["summary"][key], "{key}");
    }
    assert_eq!(of_file["mode_differences"], of_value["mode_differences"]);
    // Of a file there are lines, and no path.
    assert_eq!(of_file["diagnostics"][0]["file"], "config.yaml");
    assert!(of_file["diagnostics"][0].get("path").is_none());
    assert!(of_file["summary"]["left_out"][0].get("path").is_none());
}

#[test]
fn a_person_reads_what_is_wrong_and_what_is_there() {
    let loaded = of_value();
    let text = Report::of(&loaded).to_text("the configuration", Reader::Program);
    for line in [
        "error[wrong-type]: `tags` is a list of texts, and this is text\n",
        "\n--> model_list[1].litellm_params.tags\n",
        "the configuration: 1 error, 0 warnings\n1 error leaves a deployment out\n",
        "3 deployments in 3 groups, 1 left out, routing mode tagrail\n",
        "  groups     gpt-4     free\n             mine      mine\n  wildcards  openai/*  all\n",
        "  reserved   teamA\n             `tag_grants: false` would open mine\n",
        "  left out   model_list[1]  gpt-4  broken\n",
        "routing modes tagrail and litellm answer differently, for example:\n",
    ] {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");
    let coloured = Report::of(&loaded).to_text("c", Reader::Terminal { colours: true });
    assert!(coloured.contains('\u{1b}'), "{coloured:?}");
}

#[test]
fn what_cannot_run_has_no_summary() {
    let loaded = load_value(&json!({"router_settings": {"num_retries": "x"}}), &nothing);
    let report = Report::of(&loaded);
    let told = report.to_json();
    assert_eq!((&told["ok"], &told["summary"]), (&json!(false), &Value::Null));
    assert_eq!(told["mode_differences"], json!({"witnesses": [], "cut_short": false}));
    assert!(report.to_text("c", Reader::Program).ends_with("nothing of it can be served\n"));
    let unread = load_value(&json!([]), &nothing);
    assert_eq!(Report::of(&unread).to_json()["mode_differences"], Value::Null);
}

#[test]
fn warnings_alone_are_fine() {
    let loaded = load_value(&json!({"model_list": [], "router_settings": {"num_retires": 1}}), &nothing);
    assert!(Report::of(&loaded).is_ok() && !loaded.has_errors());
    assert_eq!((loaded.count(), loaded.verdict()), ("0 errors, 1 warning".to_owned(), None));
}

#[test]
fn tags_that_a_store_reserves_close_too() {
    let loaded = of_value();
    let told = Report::beside(&loaded, &["free".to_owned()]).to_json();
    assert_eq!(told["summary"]["closed"], json!(["free", "mine"]));
    let resolved = loaded.resolved.as_ref().unwrap();
    assert_eq!(Summary::beside(resolved, &["free".to_owned()]).to_json(), told["summary"]);
    assert_eq!(Summary::of(resolved).line(), "3 deployments in 3 groups, 1 left out, routing mode tagrail");
}

/// A terminal may ask for JSON; a program has it in its hands.
#[test]
fn a_flood_is_cut_and_says_where_the_rest_is() {
    let item = |number: usize| json!({"model_name": format!("m{number}"), "litellm_params": {"model": "openai/a", "tags": "x"}});
    let loaded = load_value(&json!({"model_list": (0..25).map(item).collect::<Vec<_>>()}), &nothing);
    let of_program = Report::of(&loaded).to_text("c", Reader::Program);
    assert!(of_program.contains("and 5 more of `wrong-type`; the diagnostics have them all"), "{of_program}");
    assert!(!of_program.contains("--json"), "{of_program}");
    assert_eq!(of_program.matches("error[wrong-type]").count(), 20);
    let of_terminal = Report::of(&loaded).to_text("c", Reader::Terminal { colours: false });
    assert!(of_terminal.contains("; `tagrail check --json` has them all"), "{of_terminal}");
    assert_eq!(Report::of(&loaded).to_json()["diagnostics"].as_array().unwrap().len(), 25);
}

#[test]
fn a_verdict_says_what_errors_do() {
    let verdict = |router: Value, general: Value, broken: usize| {
        let item = json!({"model_name": "m", "litellm_params": {"model": "openai/a", "tags": "x"}});
        let document =
            json!({"model_list": vec![item; broken], "router_settings": router, "general_settings": general});
        load_value(&document, &nothing).verdict().unwrap()
    };
    let (none, strict) = (json!({}), json!({"strict_config": true}));
    let (one, two) = (json!({"num_retries": "x"}), json!({"num_retries": "x", "timeout": "y"}));
    assert_eq!(verdict(one.clone(), none.clone(), 0), "1 error stops the start");
    assert_eq!(verdict(two, none.clone(), 0), "2 errors stop the start");
    assert_eq!(verdict(one, none.clone(), 1), "1 error stops the start; 1 error leaves a deployment out");
    assert_eq!(verdict(none.clone(), none.clone(), 1), "1 error leaves a deployment out");
    assert_eq!(
        verdict(none, strict, 2),
        "`strict_config` is on, so nothing is started; 2 errors leave out the deployment that they stand in"
    );
}

#[test]
fn what_stops_a_program_is_said_in_its_words() {
    let document = json!({"router_settings": {"num_retries": "x"}});
    let of_value = load_value(&document, &nothing);
    let of_file = load_text(&document.to_string(), Path::new("c.yaml"), &nothing);
    let shown = |loaded: &Loaded| loaded.diagnostics[0].render(&loaded.sources, false);
    assert!(shown(&of_value).contains("nothing runs with this"), "{}", shown(&of_value));
    assert!(shown(&of_file).contains("nothing is started with this"), "{}", shown(&of_file));
}
