//! A configuration is whole, or it is refused with everything that is wrong with it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tagrail::config::Severity;
use tagrail::routing::FallbackKind;
use tagrail::{Deployment, Outcome, Recorder, Router};
use tagrail_testkit::FakeUpstream;

use crate::{ask, at, builder};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn typed_and_plain_deployments_are_the_same() {
    let upstream = FakeUpstream::start();
    let typed =
        at(&upstream, "g", "a").tags(["x"]).order(1).weight(2).num_retries(1).max_parallel_requests(4);
    let plain = json!({
        "model_name": "g",
        "litellm_params": {
            "model": "openai/a", "api_base": upstream.base(), "api_key": "sk-upstream", "tags": ["x"],
            "order": 1, "weight": 2, "num_retries": 1, "max_parallel_requests": 4,
        },
        "model_info": {"id": "a"},
    });
    assert_eq!(Value::from(typed.clone()), plain);
    assert_eq!(Deployment::from(plain.clone()), typed);
    for list in [vec![plain.clone()].into(), json!([plain]).into(), tagrail::ModelList::from([typed])] {
        let router = builder().model_list(list).build().unwrap();
        assert_eq!(router.model_list(), vec![plain.clone()]);
        assert_eq!(router.completion(ask("g")).await.unwrap().facts.deployment_id(), "a");
    }
}

#[test]
fn one_bad_deployment_refuses_all_unless_it_may_be_left_out() {
    let list = || {
        [
            Deployment::new("good", "openai/a").api_key("k"),
            Deployment::new("bad", "openai/b").api_key("k").tag_regex(["("]),
            Deployment::new("worse", "no-such-provider/b"),
        ]
    };
    let error = builder().model_list(list()).build().map(drop).unwrap_err();
    let errors = error.diagnostics().iter().filter(|found| found.severity == Severity::Error);
    let paths: Vec<_> = errors.filter_map(|found| found.path.as_deref()).collect();
    assert!(paths[0].starts_with("model_list[1].litellm_params.tag_regex"), "{error}");
    assert!(paths[1].starts_with("model_list[2].litellm_params"), "all of them are told: {error}");
    assert!(error.to_string().contains("model_list[1].litellm_params.tag_regex"), "{error}");
    let router = builder().model_list(list()).ignore_invalid_deployments(true).build().unwrap();
    assert_eq!(router.model_names(), ["good"]);
    assert!(router.diagnostics().iter().any(|found| found.severity == Severity::Error));
}

/// In the configuration's own words, so that none is misspelt and none stands for another.
#[test]
fn every_method_is_the_setting_of_its_name() {
    let (short, long) = (Duration::from_millis(2500), Duration::from_secs(90));
    let by_methods = builder()
        .model_list([Deployment::new("g", "openai/a").api_key("k").tags(["t"])])
        .tag_filtering(true)
        .match_any(false)
        .tag_prefix("r:")
        .num_retries(3)
        .retry_after(short)
        .fallbacks("g", ["h"])
        .fallbacks("i", ["j", "k"])
        .context_window_fallbacks("g", ["l"])
        .content_policy_fallbacks("g", ["m"])
        .default_fallbacks(["n"])
        .max_fallbacks(4)
        .max_attempts_per_call(11)
        .alias("nick", "g")
        .alias("other", "g")
        .cooldown_time(long)
        .allowed_fails(7)
        .disable_cooldowns(true)
        .timeout(long)
        .stream_timeout(short)
        .routing_mode(tagrail::routing::RoutingMode::Litellm)
        .reserved_tags(["t"]);
    let by_words = json!({
        "router_settings": {
            "enable_tag_filtering": true, "tag_filtering_match_any": false, "tag_routing_prefix": "r:",
            "num_retries": 3, "retry_after": 2.5,
            "fallbacks": [{"g": ["h"]}, {"i": ["j", "k"]}],
            "context_window_fallbacks": [{"g": ["l"]}], "content_policy_fallbacks": [{"g": ["m"]}],
            "default_fallbacks": ["n"], "max_fallbacks": 4, "max_attempts_per_call": 11,
            "model_group_alias": {"nick": "g", "other": "g"},
            "cooldown_time": 90.0, "allowed_fails": 7, "disable_cooldowns": true,
            "timeout": 90.0, "stream_timeout": 2.5, "routing_mode": "litellm",
        },
        "general_settings": {"reserved_tags": ["t"]},
    });
    let by_words = ["router_settings", "general_settings"].map(|section| {
        by_words[section].as_object().map_or_else(Vec::new, |keys| {
            keys.iter().map(|(key, value)| (section, key.clone(), value.clone())).collect()
        })
    });
    let by_words = by_words.concat().into_iter().fold(
        builder().model_list([Deployment::new("g", "openai/a").api_key("k").tags(["t"])]),
        |builder, (section, key, value)| builder.section(section, key, value),
    );
    let (by_methods, by_words) = (by_methods.build().unwrap(), by_words.build().unwrap());
    let codes: Vec<_> = by_methods.diagnostics().iter().map(|found| found.code).collect();
    assert!(!codes.contains(&"unknown-key") && !codes.contains(&"wrong-type"), "{codes:?}");
    let all = |router: &Router| {
        let (settings, general) = (router.snapshot().router.clone(), router.snapshot().general.clone());
        let table = &router.snapshot().table;
        let kinds = [FallbackKind::General, FallbackKind::ContextWindow, FallbackKind::ContentPolicy];
        let of = |name: &str| kinds.map(|kind| table.fallbacks(name, kind).to_vec());
        let fallbacks = (of("g"), of("i"), table.default_fallbacks().to_vec());
        format!(
            "{settings:?} {fallbacks:?} {:?} {:?} {:?}",
            table.names(),
            table.rules(),
            (general.reserved_tags, table.behind_alias("nick"))
        )
    };
    assert_eq!(all(&by_methods), all(&by_words));
    let settings = &by_methods.snapshot().router;
    assert_eq!((settings.retry_after, settings.timeout, settings.stream_timeout), (short, long, Some(short)));
    assert_eq!((settings.num_retries, settings.max_fallbacks, settings.cooldown_time), (3, 4, long));
    assert_eq!(settings.max_attempts_per_call, 11);
}

#[test]
fn every_method_of_a_deployment_is_the_parameter_of_its_name() {
    let typed = Deployment::new("g", "openai/a")
        .api_key("k")
        .api_base("http://h/v1")
        .tags(["t"])
        .tag_regex(["^x"])
        .order(-1)
        .weight(0.5)
        .timeout(Duration::from_millis(1500))
        .num_retries(2)
        .max_parallel_requests(3)
        .mock_response("pretended")
        .price(0.1, 0.2)
        .param("temperature", 0)
        .info("mode", "chat")
        .id("a");
    let plain = json!({
        "model_name": "g",
        "litellm_params": {
            "model": "openai/a", "api_key": "k", "api_base": "http://h/v1", "tags": ["t"], "tag_regex": ["^x"],
            "order": -1, "weight": 0.5, "timeout": 1.5, "num_retries": 2, "max_parallel_requests": 3,
            "mock_response": "pretended", "input_cost_per_token": 0.1, "output_cost_per_token": 0.2,
            "temperature": 0,
        },
        "model_info": {"mode": "chat", "id": "a"},
    });
    assert_eq!(Value::from(typed.clone()), plain);
    let router = builder().model_list([typed]).tag_filtering(true).build().unwrap();
    assert!(router.diagnostics().is_empty(), "{:?}", router.diagnostics());
}

#[test]
fn every_method_of_a_request_is_the_field_of_its_name() {
    let typed = tagrail::Completion::new("g")
        .system("s")
        .user("u")
        .assistant("a")
        .message(json!({"role": "tool", "content": "t"}))
        .tags(["x"])
        .tags(["y"])
        .timeout(Duration::from_millis(1500))
        .num_retries(2)
        .fallbacks(["h"])
        .disable_fallbacks()
        .deadline(MINUTE)
        .user_agent("robot/1");
    let plain = json!({
        "model": "g",
        "messages": [
            {"role": "system", "content": "s"}, {"role": "user", "content": "u"},
            {"role": "assistant", "content": "a"}, {"role": "tool", "content": "t"},
        ],
        "tags": ["x", "y"], "timeout": 1.5, "num_retries": 2, "fallbacks": ["h"], "disable_fallbacks": true,
    });
    assert_eq!(typed.body(), &plain, "and a deadline is for this side of the wire");
    assert_eq!(typed.call().unwrap().user_agent(), Some("robot/1"));
}

#[tokio::test]
async fn a_text_and_a_file_are_read_and_laid_over() {
    let text = "
model_list:
  - model_name: g
    litellm_params: {model: openai/a, mock_response: from the file, tags: [x]}
router_settings: {num_retries: 1}
";
    let router = Router::from_yaml(text).unwrap();
    assert_eq!(router.completion(ask("g")).await.unwrap().text().as_deref(), Some("from the file"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    let router = Router::from_file(&path).unwrap();
    assert_eq!(router.snapshot().router.num_retries, 1);
    let over = builder().file(&path).tag_filtering(true).fallbacks("g", ["h"]).build().unwrap();
    assert_eq!(over.snapshot().router.num_retries, 1, "what is not laid over stays");
    assert!(over.completion(ask("g").tags(["y"])).await.is_err());
    assert!(over.completion(ask("g").tags(["x"])).await.is_ok());
    let error = Router::from_file(folder.path().join("none.yaml")).map(drop).unwrap_err();
    assert!(error.to_string().contains("none.yaml"), "{error}");
    let error = Router::from_yaml("model_list:\n  - model_name: g\n").map(drop).unwrap_err();
    assert!(error.render(false).contains("config.yaml:2"), "{}", error.render(false));
}

/// What is laid over a file does not hide that the file is not whole.
#[test]
fn a_file_that_includes_what_is_not_there_is_refused_under_settings_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    std::fs::write(&path, "include: [models.yaml]\nrouter_settings: {num_retries: 1}\n").unwrap();
    for build in [builder().file(&path), builder().file(&path).tag_filtering(true).cooldown_time(MINUTE)] {
        let error = build.ignore_invalid_deployments(true).build().map(drop).unwrap_err();
        assert!(error.to_string().contains("models.yaml"), "{error}");
    }
    std::fs::write(
        folder.path().join("models.yaml"),
        "model_list: [{model_name: g, litellm_params: {model: openai/a, api_key: k}}]\n",
    )
    .unwrap();
    let router = builder().file(&path).tag_filtering(true).build().unwrap();
    assert_eq!((router.model_names(), router.snapshot().router.num_retries), (vec!["g".to_owned()], 1));
}

#[tokio::test]
async fn variables_come_from_where_the_program_says() {
    let upstream = FakeUpstream::start();
    let deployment = at(&upstream, "g", "a").api_key("os.environ/ITS_KEY");
    let env = |name: &str| (name == "ITS_KEY").then(|| "sk-from-env".to_owned());
    let router = Router::builder().model_list([deployment]).env(env).build().unwrap();
    router.completion(ask("g")).await.unwrap();
    assert_eq!(upstream.requests()[0].header("authorization"), "Bearer sk-from-env");
    // A change looks there too.
    router.add_deployment(at(&upstream, "h", "b").api_key("os.environ/ITS_KEY")).unwrap();
    router.completion(ask("h")).await.unwrap();
    assert_eq!(upstream.requests()[1].header("authorization"), "Bearer sk-from-env");
}

#[tokio::test]
async fn a_recorder_hears_of_every_call() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<(String, u16, String)>>);
    impl Recorder for Heard {
        fn record(&self, outcome: &Outcome<'_>) {
            let row = (outcome.deployment.to_owned(), outcome.status, outcome.call_id.to_owned());
            self.0.lock().unwrap().push(row);
        }
    }
    let upstream = FakeUpstream::start();
    let heard = Arc::new(Heard::default());
    let router = builder().model_list([at(&upstream, "g", "a")]).recorder(heard.clone()).build().unwrap();
    router.completion(ask("g").id("call-7")).await.unwrap();
    router.completion(ask("nope")).await.unwrap_err();
    let rows = heard.0.lock().unwrap();
    assert_eq!(*rows, [("a".to_owned(), 200, "call-7".to_owned()), (String::new(), 400, String::new())]);
}

#[test]
fn keys_are_not_shown() {
    let deployment = Deployment::new("g", "openai/a").api_key("sk-secret").tag_regex(["("]);
    assert!(!format!("{deployment:?}").contains("sk-secret"));
    let error = builder().model_list([deployment]).build().map(drop).unwrap_err();
    assert!(!format!("{error} {error:?} {}", error.render(false)).contains("sk-secret"));
}

/// Whatever a type admits is a configuration, or an error that says why not.
#[tokio::test]
async fn extremes_are_values_or_errors() {
    let upstream = FakeUpstream::start();
    let times =
        [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(u64::from(u32::MAX)), Duration::MAX];
    let mut built = 0;
    for time in times {
        let router = builder()
            .model_list([at(&upstream, "g", "a").timeout(time).order(i64::MIN).num_retries(u32::MAX)])
            .timeout(time)
            .stream_timeout(time)
            .retry_after(time)
            .cooldown_time(time)
            .allowed_fails(u32::MAX)
            .max_fallbacks(u32::MAX)
            .num_retries(u32::MAX)
            .build();
        match router {
            Ok(router) => {
                built += 1;
                router.completion(ask("g").timeout(Duration::from_secs(60))).await.unwrap();
                let _ = router.completion(ask("g").timeout(time).deadline(MINUTE).num_retries(0)).await;
                let _ = router.stream(ask("g").timeout(time).num_retries(0)).await.map(drop);
            }
            Err(error) => assert!(!error.diagnostics().is_empty(), "{time:?}"),
        }
    }
    assert!(built > 0);
}
