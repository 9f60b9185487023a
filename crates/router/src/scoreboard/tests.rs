//! When a deployment cools and for how long, on a clock of the test's own.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tagrail_config::{Resolved, load_text};
use tagrail_providers::{ErrorKind, UpstreamError};
use tagrail_routing::Moment;

use super::models::COOLING_MODELS;
use super::{Failure, Scoreboard, State};

/// One deployment's state under a configuration.
struct Case {
    resolved: Resolved,
    state: std::sync::Arc<State>,
    group_size: usize,
    captured: Option<&'static str>,
    caller: u32,
}

impl Case {
    fn new(router: Value, params: Value) -> Case {
        let mut own = json!({"model": "openai/m", "api_key": "k", "api_base": "http://127.0.0.1:1"});
        own.as_object_mut().unwrap().extend(params.as_object().cloned().unwrap());
        let config = json!({
            "model_list": [{"model_name": "g", "litellm_params": own, "model_info": {"id": "a"}}],
            "router_settings": router,
            "general_settings": {"master_key": "sk-1234"},
        });
        let loaded = load_text(&config.to_string(), Path::new("test.yaml"), &|_| None);
        let resolved = loaded.resolved.unwrap_or_else(|| panic!("{:#?}", loaded.diagnostics));
        Case { resolved, state: Scoreboard::new().state("a", None), group_size: 2, captured: None, caller: 0 }
    }

    fn fails(&self, error: &UpstreamError, at: u64) -> Option<Duration> {
        let failure = Failure {
            error,
            settings: &self.resolved.deployments[0],
            router: &self.resolved.router,
            rules: self.resolved.table.rules(),
            group_size: self.group_size,
            captured: self.captured,
            caller: self.caller,
        };
        self.state.failed(&failure, Moment(at))
    }

    fn until(&self) -> Option<u64> {
        self.state.cooling_until(self.captured).map(|moment| moment.0)
    }
}

fn error(kind: ErrorKind, status: u16) -> UpstreamError {
    UpstreamError::plain(kind, status, "")
}

fn after(kind: ErrorKind, status: u16, seconds: f64) -> UpstreamError {
    UpstreamError { retry_after: Some(seconds), ..error(kind, status) }
}

#[test]
fn a_rate_limit_cools_one_of_two_at_once_for_five_seconds() {
    let case = Case::new(json!({}), json!({}));
    assert_eq!(case.fails(&error(ErrorKind::RateLimit, 429), 1000), Some(Duration::from_secs(5)));
    assert_eq!(case.until(), Some(6000));
}

#[test]
fn a_lone_deployment_cools_by_its_key_and_not_by_its_rate() {
    let mut case = Case::new(json!({}), json!({}));
    case.group_size = 1;
    assert_eq!(case.fails(&error(ErrorKind::RateLimit, 429), 1), None);
    assert_eq!(case.fails(&error(ErrorKind::Internal, 500), 1), None);
    assert!(case.fails(&error(ErrorKind::Authentication, 401), 1).is_some());
    assert!(case.fails(&error(ErrorKind::NotFound, 404), 1).is_some());
}

#[test]
fn a_lone_deployment_without_a_single_success_in_a_thousand_cools() {
    let mut case = Case::new(json!({}), json!({}));
    case.group_size = 1;
    let refused = error(ErrorKind::Internal, 500);
    let cooled = (1..=1000).find(|_| case.fails(&refused, 1).is_some());
    assert_eq!(cooled, Some(1000));
}

#[test]
fn server_errors_cool_at_more_than_half_of_five_within_a_minute() {
    let case = Case::new(json!({}), json!({}));
    let broken = error(ErrorKind::Internal, 500);
    for _ in 0..2 {
        case.state.succeeded(Moment(1), 0, None);
        assert_eq!(case.fails(&broken, 1), None, "too few requests");
    }
    assert!(case.fails(&broken, 1).is_some(), "3 of 5");
    let next_minute = Case::new(json!({}), json!({}));
    for _ in 0..4 {
        assert_eq!(next_minute.fails(&broken, 59_999), None);
    }
    assert_eq!(next_minute.fails(&broken, 60_001), None, "a new minute counts anew");
}

#[test]
fn the_callers_mistakes_and_broken_connections_never_cool() {
    let case = Case::new(json!({"allowed_fails": 0}), json!({}));
    for (kind, status) in [
        (ErrorKind::BadRequest, 400),
        (ErrorKind::ContextWindow, 400),
        (ErrorKind::ContentPolicy, 400),
        (ErrorKind::PermissionDenied, 403),
        (ErrorKind::Other, 409),
        (ErrorKind::Unprocessable, 422),
        (ErrorKind::Connection, 500),
    ] {
        for _ in 0..20 {
            assert_eq!(case.fails(&error(kind, status), 1), None, "{kind:?}");
        }
    }
}

#[test]
fn retry_after_overrides_the_time_and_is_bounded() {
    let case = Case::new(json!({"cooldown_time": 9}), json!({}));
    assert_eq!(case.fails(&after(ErrorKind::RateLimit, 429, 120.0), 1), Some(Duration::from_secs(120)));
    assert_eq!(case.fails(&after(ErrorKind::RateLimit, 429, 1e12), 1), Some(Duration::from_secs(3600)));
    let own = Case::new(json!({"cooldown_time": 9}), json!({"cooldown_time": 2}));
    assert_eq!(own.fails(&error(ErrorKind::RateLimit, 429), 1), Some(Duration::from_secs(2)));
    let never = Case::new(json!({}), json!({"cooldown_time": 0}));
    assert_eq!(never.fails(&after(ErrorKind::RateLimit, 429, 120.0), 1), None);
}

#[test]
fn cooldowns_can_be_switched_off() {
    let case = Case::new(json!({"disable_cooldowns": true}), json!({}));
    assert_eq!(case.fails(&error(ErrorKind::RateLimit, 429), 1), None);
}

#[test]
fn allowed_fails_count_within_a_window_and_cool_a_lone_deployment_too() {
    let mut case = Case::new(json!({"allowed_fails": 2, "cooldown_time": 5}), json!({}));
    case.group_size = 1;
    let broken = error(ErrorKind::Internal, 500);
    assert_eq!(case.fails(&broken, 1000), None);
    assert_eq!(case.fails(&broken, 2000), None);
    assert!(case.fails(&broken, 3000).is_some(), "the third");
    let slow = Case::new(json!({"allowed_fails": 2, "cooldown_time": 5}), json!({}));
    for at in [1000, 4000, 7000, 10_000, 13_000] {
        assert_eq!(slow.fails(&broken, at), None, "never three within five seconds ({at})");
    }
}

#[test]
fn a_written_three_counts_in_tagrail_mode_alone() {
    let broken = error(ErrorKind::Internal, 500);
    let tagrail = Case::new(json!({"allowed_fails": 3}), json!({}));
    let tries = (1..=20).find(|_| tagrail.fails(&broken, 1).is_some());
    assert_eq!(tries, Some(4));
    let litellm = Case::new(json!({"allowed_fails": 3, "routing_mode": "litellm"}), json!({}));
    let tries = (1..=20).find(|_| litellm.fails(&broken, 1).is_some());
    assert_eq!(tries, Some(5), "the default rule");
}

#[test]
fn a_policy_by_class_is_asked_first() {
    let policy = json!({"allowed_fails": 9, "allowed_fails_policy": {"TimeoutErrorAllowedFails": 0}});
    let case = Case::new(policy, json!({}));
    assert!(case.fails(&error(ErrorKind::Timeout, 408), 1).is_some());
}

#[test]
fn deadlines_extend_in_tagrail_mode_and_stay_in_litellms() {
    let long = after(ErrorKind::RateLimit, 429, 60.0);
    let short = error(ErrorKind::RateLimit, 429);
    let tagrail = Case::new(json!({}), json!({}));
    tagrail.fails(&short, 1000);
    tagrail.fails(&long, 2000);
    tagrail.fails(&short, 3000);
    assert_eq!(tagrail.until(), Some(62_000));
    let litellm = Case::new(json!({"routing_mode": "litellm"}), json!({}));
    litellm.fails(&short, 1000);
    litellm.fails(&long, 2000);
    assert_eq!(litellm.until(), Some(6000));
}

#[test]
fn the_table_of_cooling_models_is_bounded() {
    let mut case = Case::new(json!({}), json!({}));
    let limited = after(ErrorKind::RateLimit, 429, 600.0);
    for number in 0..COOLING_MODELS + 50 {
        case.captured = Some(Box::leak(format!("m{number}").into_boxed_str()));
        case.fails(&limited, 1 + number as u64);
    }
    assert_eq!(case.state.models.count(), COOLING_MODELS);
    assert!(case.until().is_some(), "the last one is there");
    case.captured = Some("m0");
    assert_eq!(case.until(), None, "the one back soonest was forgotten");
}

#[test]
fn failures_of_one_caller_cool_nothing_that_answers_others() {
    let mut case = Case::new(json!({}), json!({}));
    let broken = error(ErrorKind::Internal, 500);
    case.state.succeeded(Moment(1), 1, None);
    case.caller = 2;
    for at in 0..50 {
        assert_eq!(case.fails(&broken, 1 + at), None, "another caller was answered");
    }
    assert_eq!(case.fails(&error(ErrorKind::NotFound, 404), 60), None);
    case.caller = 1;
    assert!(case.fails(&broken, 61).is_some(), "two callers fail");
}

#[test]
fn failures_of_the_only_caller_count() {
    let mut case = Case::new(json!({"allowed_fails": 1}), json!({}));
    case.caller = 7;
    case.state.succeeded(Moment(1), 7, None);
    let broken = error(ErrorKind::Internal, 500);
    assert_eq!(case.fails(&broken, 2), None);
    assert!(case.fails(&broken, 3).is_some());
}

#[test]
fn answers_to_others_are_forgotten_after_two_minutes() {
    let mut case = Case::new(json!({"allowed_fails": 0}), json!({}));
    case.state.succeeded(Moment(1), 1, None);
    case.caller = 2;
    let broken = error(ErrorKind::Internal, 500);
    assert_eq!(case.fails(&broken, 90_000), None);
    assert!(case.fails(&broken, 120_000).is_some());
}

#[test]
fn names_that_were_never_answered_do_not_count_against_those_that_were() {
    let mut case = Case::new(json!({}), json!({}));
    case.state.succeeded(Moment(1), 0, Some("real"));
    let broken = error(ErrorKind::Internal, 500);
    case.captured = Some("made-up");
    for _ in 0..50 {
        assert_eq!(case.fails(&broken, 2), None);
    }
    assert!(case.fails(&error(ErrorKind::Authentication, 401), 2).is_some());
    assert!(case.until().is_some(), "the name itself cools");
    case.captured = Some("real");
    assert_eq!(case.until(), None, "a key that serves others is not at fault");
    assert_eq!(case.fails(&broken, 3), None, "the first failure of two requests");
    assert!(case.fails(&error(ErrorKind::Authentication, 401), 3).is_some());
    case.captured = Some("other");
    assert!(case.until().is_some(), "a key that is refused for a known name is");
}

#[test]
fn made_up_names_do_not_end_the_cooldown_of_a_real_one() {
    let mut case = Case::new(json!({}), json!({}));
    case.state.succeeded(Moment(1), 0, Some("real"));
    case.captured = Some("real");
    assert!(case.fails(&error(ErrorKind::RateLimit, 429), 1).is_some());
    for number in 0..2 * COOLING_MODELS {
        case.captured = Some(Box::leak(format!("made-up-{number}").into_boxed_str()));
        case.fails(&after(ErrorKind::RateLimit, 429, 3600.0), 2);
    }
    assert_eq!(case.state.models.count(), COOLING_MODELS);
    case.captured = Some("real");
    assert_eq!(case.until(), Some(5001));
}
