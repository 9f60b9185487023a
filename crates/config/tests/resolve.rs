//! Every `resolve/NAME.yaml` is loaded; what was noticed and what was meant stands in `NAME.snap`.

#![allow(clippy::unwrap_used, reason = "what helps a test fails as the test does")]

use std::fmt::Write;
use std::path::{Path, PathBuf};

use tagrail_config::{
    DeploymentSettings, Holdings, Loaded, Resolved, load, load_beside, load_text, mode_differences,
};
use tagrail_routing::DeploymentSpec;

/// The environment of every case.
fn environment(name: &str) -> Option<String> {
    let value = match name {
        "SET_KEY" => "sk-from-environment",
        "SET_BASE" => "http://from-environment:9/v1",
        "SET_TRUE" => "True",
        "LITELLM_MASTER_KEY" => "sk-environment-master",
        "LITELLM_ENVIRONMENT" => "staging",
        "DEFAULT_COOLDOWN_TIME_SECONDS" => "7",
        "ROUTER_MAX_FALLBACKS" => "4",
        _ => return None,
    };
    Some(value.to_owned())
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/resolve")
}

/// The least that can be served.
const ONE: &str = "model_list: [{model_name: m, litellm_params: {model: openai/m, api_key: k}}]";

fn cases() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut cases: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    cases.sort();
    assert!(cases.len() > 30, "the cases are gone");
    cases
}

#[test]
fn every_case_means_what_its_snapshot_says() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("resolve");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for path in cases() {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let loaded = load(&path, &environment);
        settings.set_description(name);
        settings.bind(|| insta::assert_snapshot!(name, told(&loaded)));
    }
}

/// Diagnostics and meaning, without this machine's paths.
fn told(loaded: &Loaded) -> String {
    let mut text = String::new();
    for diagnostic in &loaded.diagnostics {
        writeln!(text, "{}\n", diagnostic.render(&loaded.sources, false)).unwrap();
    }
    match &loaded.resolved {
        Some(resolved) => meaning(resolved, &mut text),
        None => text.push_str("nothing runs\n"),
    }
    text.replace(&format!("{}/", folder().display()), "").replace(&folder().display().to_string(), ".")
}

fn meaning(resolved: &Resolved, text: &mut String) {
    let table = &resolved.table;
    writeln!(text, "names: {}", table.names().join(", ")).unwrap();
    for (spec, settings) in table.deployments().iter().zip(&resolved.deployments) {
        deployment(spec, settings, text);
    }
    for left_out in &resolved.left_out {
        writeln!(text, "left out: {left_out:?}").unwrap();
    }
    writeln!(text, "{:#?}", resolved.router).unwrap();
    writeln!(text, "{:#?}", resolved.general).unwrap();
    let key = resolved.general.master_key.as_ref().map(|key| key.reveal());
    writeln!(text, "master key: {key:?}").unwrap();
}

fn deployment(spec: &DeploymentSpec, settings: &DeploymentSettings, text: &mut String) {
    writeln!(text, "{spec:?}").unwrap();
    match settings.target.resolve(&spec.model) {
        Ok(place) => {
            let scheme = if place.endpoint.https { "https" } else { "http" };
            let base = format!("{scheme}://{}{}", place.authority, place.base_path);
            writeln!(text, "  at {} {base} as {}", place.provider.name(), place.model).unwrap();
            for name in ["authorization", "x-api-key", "openai-organization", "x-extra"] {
                if let Some(value) = place.headers.get(name) {
                    writeln!(text, "  {name}: {value:?}").unwrap();
                }
            }
        }
        Err(error) => writeln!(text, "  at {}", error.message).unwrap(),
    }
    let numbers = (settings.timeout, settings.stream_timeout, settings.num_retries, settings.cooldown_time);
    writeln!(text, "  timeout, stream_timeout, num_retries, cooldown_time: {numbers:?}").unwrap();
    writeln!(text, "  {:?} {:?}", settings.allowed_fails, settings.price).unwrap();
    let rest = (&settings.mock_response, settings.max_parallel_requests, &settings.access_groups);
    writeln!(text, "  mock_response, max_parallel_requests, access_groups: {rest:?}").unwrap();
    writeln!(text, "  params {}", serde_json::to_string(&settings.shown_params).unwrap()).unwrap();
    writeln!(text, "  info {}", serde_json::to_string(&settings.info).unwrap()).unwrap();
}

/// Every code that a configuration can provoke is provoked by a case.
#[test]
fn every_code_has_a_case() {
    let mut codes = std::collections::BTreeSet::new();
    for path in cases() {
        codes.extend(load(&path, &environment).diagnostics.into_iter().map(|found| found.code));
    }
    let expected = [
        "bad-fallback",
        "bad-regex",
        "bad-target",
        "bad-value",
        "default-reserved",
        "duplicate-id",
        "duplicate-key",
        "emptied-default",
        "empty-file",
        "fail-open-group",
        "fallback-text",
        "fewer-stars",
        "grants-off",
        "guessed-provider",
        "include-again",
        "include-missing",
        "missing-key",
        "more-stars",
        "no-effect",
        "no-master-key",
        "not-a-configuration",
        "not-settable",
        "not-utf8",
        "not-yet-supported",
        "nothing-to-serve",
        "odd-reservation",
        "odd-tag",
        "open-end",
        "order-hides",
        "reserved-unused",
        "shadowed-wildcard",
        "shared-reservation",
        "string-switch",
        "tag-switch-conflict",
        "tags-off",
        "text-for-number",
        "tls-unverified",
        "unknown-credential",
        "unknown-key",
        "unknown-parameter",
        "unknown-target",
        "unprotected",
        "unset-variable",
        "weight-hides",
        "wildcard-order",
        "withheld",
        "wrong-type",
        "yaml",
    ];
    assert_eq!(codes.into_iter().collect::<Vec<_>>(), expected);
}

/// What `lint-reservations.yaml` is told when a store is asked, and when it is not.
fn said_of_reservations(holdings: Option<&Holdings>) -> Vec<String> {
    let path = folder().join("lint-reservations.yaml");
    let loaded = match holdings {
        Some(holdings) => load_beside(&path, &environment, holdings),
        None => load(&path, &environment),
    };
    loaded.diagnostics.into_iter().map(|found| format!("{}: {}", found.code, found.message)).collect()
}

fn holdings(reserved: &[&str], teams: &[(&str, &[&str])]) -> Holdings {
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let teams = teams.iter().map(|(name, tags)| ((*name).to_owned(), owned(tags))).collect();
    Holdings { reserved: owned(reserved), teams }
}

#[test]
fn teams_of_a_store_are_named_where_two_reach_a_deployment() {
    let two = holdings(&[], &[("blue", &["&teamA"]), ("red", &["teamB"]), ("green", &["!teamB"])]);
    let said = said_of_reservations(Some(&two));
    let sentence = "shared-reservation: `a-or-b` is reached by team `blue` through `teamA`, and by team `red` through `teamB`";
    assert!(said.iter().any(|line| line.starts_with(sentence)), "{said:#?}");
}

#[test]
fn one_team_behind_both_tags_shares_with_nobody() {
    for tags in [&["teamA", "teamB"] as &[&str], &["teamA"], &[]] {
        let said = said_of_reservations(Some(&holdings(&[], &[("blue", tags)])));
        assert!(!said.iter().any(|line| line.starts_with("shared-reservation")), "{said:#?}");
    }
    assert!(said_of_reservations(None).iter().any(|line| line.starts_with("shared-reservation")));
}

#[test]
fn tags_that_a_store_reserves_count_like_those_of_the_file() {
    let said = said_of_reservations(Some(&holdings(&["fast"], &[("q", &["fast"]), ("r", &["teamB"])])));
    let sentence =
        "shared-reservation: `a-or-b` is reached by team `q` through `fast`, and by team `r` through";
    assert!(said.iter().any(|line| line.starts_with(sentence)), "{said:#?}");
}

#[test]
fn the_database_may_be_named_by_the_environment() {
    let of = |text: &str, url: &'static str| {
        load_text(text, Path::new("c.yaml"), &move |name| (name == "DATABASE_URL").then(|| url.to_owned()))
    };
    let url = |loaded: &Loaded| {
        let general = &loaded.resolved.as_ref().unwrap().general;
        general.database_url.as_ref().map(|url| url.reveal().to_owned())
    };
    assert_eq!(url(&of(ONE, "postgres://h/d")).as_deref(), Some("postgres://h/d"));
    let written = format!("{ONE}\ngeneral_settings: {{database_url: 'sqlite:a.db'}}");
    assert_eq!(url(&of(&written, "mysql://not-asked")).as_deref(), Some("sqlite:a.db"));
    assert_eq!(url(&load_text(ONE, Path::new("c.yaml"), &|_| None)), None);

    for empty in ["", " "] {
        let refused = of(ONE, empty);
        assert!(refused.resolved.is_none());
        assert!(refused.diagnostics[0].message.contains("`DATABASE_URL` is empty"));
    }
    let refused = of(ONE, "mysql://root:hunter2@h/d");
    assert!(refused.resolved.is_none());
    let said = refused.diagnostics[0].to_string();
    assert!(said.contains("DATABASE_URL") && said.contains("`mysql:`"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn reservations_hold_by_mode_unless_the_file_says_otherwise() {
    for (mode, written, hold) in [
        ("tagrail", "", true),
        ("litellm", "", false),
        ("tagrail", "tag_grants: false", false),
        ("litellm", "tag_grants: true", true),
    ] {
        let text =
            format!("{ONE}\nrouter_settings: {{routing_mode: {mode}}}\ngeneral_settings: {{{written}}}");
        let loaded = load_text(&text, Path::new("c.yaml"), &environment);
        assert_eq!(loaded.resolved.unwrap().general.tag_grants, hold, "{mode} {written}");
        assert_eq!(loaded.spec.unwrap().tag_grants, hold, "{mode} {written}");
    }
}

#[test]
fn destinations_of_clients_are_read_from_both_sections_and_checked() {
    let of = |text: &str| load_text(text, Path::new("c.yaml"), &environment);
    let both = of(
        r#"{model_list: [{model_name: g, litellm_params: {model: openai/m, api_key: k}}], general_settings: {provider_url_destination_allowed_hosts: ["10.0.0.0/8"]},
            litellm_settings: {provider_url_destination_allowed_hosts: ["llm.internal:8000"]}}"#,
    );
    let listed = both.resolved.unwrap().general.client_destinations;
    assert!(listed.iter().any(|it| it.lists_address(true, [10, 1, 2, 3].into(), 443)));
    assert!(listed.iter().any(|it| it.lists_name(false, "llm.internal", 8000)));
    for section in ["general_settings", "litellm_settings"] {
        for wrong in [r#"["*.internal"]"#, r#""10.0.0.0/8""#, "[5]"] {
            let loaded = of(&format!("{{{section}: {{provider_url_destination_allowed_hosts: {wrong}}}}}"));
            assert!(loaded.resolved.is_none(), "{section} {wrong}");
            let said = loaded.diagnostics[0].to_string();
            assert!(said.contains("provider_url_destination_allowed_hosts"), "{said}");
        }
    }
}

#[test]
fn the_salt_is_read_where_a_gateway_is_started() {
    let salt = |env: &dyn Fn(&str) -> Option<String>| {
        load_text(ONE, Path::new("c.yaml"), env)
            .resolved
            .unwrap()
            .general
            .salt_key
            .map(|key| key.reveal().to_owned())
    };
    assert_eq!(
        salt(&|name| (name == "LITELLM_SALT_KEY").then(|| "salt".to_owned())).as_deref(),
        Some("salt")
    );
    assert_eq!(salt(&|name| (name == "LITELLM_SALT_KEY").then(String::new)), None);
    assert_eq!(salt(&|_| None), None);
}

#[test]
fn the_example_loads_without_a_word() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config.example.yaml");
    let loaded = load(&path, &|name| (name == "LITELLM_ENVIRONMENT").then(|| "development".to_owned()));
    let said: Vec<String> = loaded.diagnostics.iter().map(ToString::to_string).collect();
    assert_eq!(said, Vec::<String>::new());
    let resolved = loaded.resolved.unwrap();
    assert_eq!(
        resolved.table.names(),
        ["gpt-4-turbo", "gpt-4", "anthropic/*", "fo::*:static::*", "mock"],
        "the example shows every kind of name"
    );
    assert!(resolved.left_out.is_empty());
}

#[test]
fn the_example_explains_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config.example.yaml");
    let example = std::fs::read_to_string(path).unwrap();
    for key in tagrail_config::effective_keys() {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        assert!(
            example.split(|c| !word(c)).any(|found| found == key),
            "`{key}` is not in config.example.yaml"
        );
    }
}

#[test]
fn the_same_file_has_the_same_ids_after_every_start() {
    let ids = || {
        let loaded = load(&folder().join("ids.yaml"), &environment);
        let resolved = loaded.resolved.unwrap();
        resolved.table.deployments().iter().map(|spec| spec.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(ids(), ids());
}

#[test]
fn a_missing_file_is_named() {
    let loaded = load(Path::new("no/such/config.yaml"), &environment);
    assert!(loaded.resolved.is_none());
    assert_eq!(loaded.diagnostics.len(), 1);
    assert_eq!(loaded.diagnostics[0].code, "no-file");
    assert!(loaded.diagnostics[0].message.starts_with("Config file not found: no/such/config.yaml"));
}

#[test]
fn an_empty_file_is_refused() {
    for text in ["", "# nothing\n", "---\n", "~"] {
        let loaded = load_text(text, Path::new("config.yaml"), &environment);
        assert!(loaded.resolved.is_none(), "{text:?}");
        assert_eq!(loaded.diagnostics[0].code, "empty-file", "{text:?}");
    }
}

#[test]
fn a_bomb_of_aliases_is_refused() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    let loaded = load_text(&text, Path::new("config.yaml"), &environment);
    assert!(loaded.resolved.is_none());
    assert_eq!(loaded.diagnostics[0].code, "yaml");
    assert!(loaded.diagnostics[0].message.contains("expand to more"), "{}", loaded.diagnostics[0]);
}

#[test]
fn what_cannot_be_read_is_not_said_to_be_missing() {
    let loaded = load(&folder(), &environment);
    assert!(loaded.resolved.is_none());
    assert!(loaded.diagnostics[0].message.starts_with("cannot read "), "{}", loaded.diagnostics[0]);
    let text = "include: [include]";
    let loaded = load_text(text, &folder().join("config.yaml"), &environment);
    assert!(
        loaded.diagnostics[0].message.starts_with("cannot read the included"),
        "{}",
        loaded.diagnostics[0]
    );
}

#[test]
fn ten_thousand_deployments_may_share_their_defaults() {
    let mut text =
        "defaults: &d {api_key: k, api_base: 'http://h/v1', tags: [a, b], timeout: 5}\nmodel_list:\n"
            .to_owned();
    for number in 0..10_000 {
        writeln!(text, "- {{model_name: m{number}, litellm_params: {{<<: *d, model: openai/m{number}}}}}")
            .unwrap();
    }
    let loaded = load_text(&text, Path::new("config.yaml"), &environment);
    assert_eq!(loaded.resolved.unwrap().table.deployments().len(), 10_000);
}

#[test]
fn modes_are_compared_for_names_of_all_kinds() {
    let loaded = load(&folder().join("wildcards.yaml"), &environment);
    let found = mode_differences(&loaded.spec.unwrap());
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("resolve");
    settings.set_prepend_module_to_snapshot(false);
    let lines: Vec<String> = found.differences.iter().map(ToString::to_string).collect();
    settings.bind(|| insta::assert_snapshot!("wildcards-modes", lines.join("\n")));
}
