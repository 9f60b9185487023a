//! Errors say whose fault it was.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tagrail::routing::{RequestTag, Reservations};
use tagrail::{
    Allowance, AllowanceFacts, Caller, Completion, Embedding, Error, Fault, Need, OverLimit, Reservation,
    Used,
};
use tagrail_testkit::{FakeUpstream, Reply};

use crate::{ask, at, builder};

#[tokio::test]
async fn an_unknown_model_is_told_as_litellms_router_tells_it() {
    let upstream = FakeUpstream::start();
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let error = router.completion(ask("nope")).await.unwrap_err();
    assert!(matches!(error, Error::UnknownModel(_)), "{error:?}");
    assert_eq!((error.fault(), error.status(), error.model()), (Fault::Caller, 400, "nope"));
    assert_eq!(
        error.message(),
        "litellm.BadRequestError: You passed in model=nope. There are no healthy deployments for this model. Received Model Group=nope\nAvailable Model Group Fallbacks=None"
    );
    assert_eq!(error.deployment_id(), None);
}

#[tokio::test]
async fn what_an_alias_stands_for_is_told_to_the_operator_alone() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "g", "a"), at(&upstream, "hidden", "b").param("timeout", "soon")];
    let router =
        builder().model_list(list).alias("nick", "hidden").ignore_invalid_deployments(true).build().unwrap();
    let error = router.completion(ask("nick")).await.unwrap_err();
    assert!(error.message().contains("You passed in model=hidden."), "{error}");
    assert!(error.help().unwrap().contains("left out"), "{error}");
    let error = router.completion(ask("nick").caller(Caller::confined())).await.unwrap_err();
    assert!(error.message().contains("You passed in model=nick."), "{error}");
    assert!(!error.to_string().contains("hidden"), "{error}");
}

#[tokio::test]
async fn tags_that_fit_nothing_name_those_that_would() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "g", "a").tags(["free", "eu"])];
    let router = builder().model_list(list).tag_filtering(true).build().unwrap();
    let error = router.completion(ask("g").tags(["paid"])).await.unwrap_err();
    assert!(matches!(error, Error::Tags(_)), "{error:?}");
    assert_eq!((error.fault(), error.status()), (Fault::Caller, 401));
    let text = "Not allowed to access model due to tags configuration. Passed model=g and tags=['paid']";
    assert_eq!(error.message(), text);
    assert!(error.help().unwrap().contains("['free', 'eu']"), "{error}");
    assert!(error.to_string().starts_with(text) && error.to_string().contains("['free', 'eu']"), "{error}");
    let confined = router.completion(ask("g").tags(["paid"]).caller(Caller::confined())).await.unwrap_err();
    assert!(!confined.to_string().contains("free"), "{confined}");
}

#[tokio::test]
async fn requests_that_are_none_name_the_field() {
    let upstream = FakeUpstream::start();
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    for (body, param) in [
        (json!({"model": "g", "messages": [], "tags": "paid"}), "tags"),
        (json!({"model": "g"}), "messages"),
        (json!({"messages": []}), "model"),
        (json!({"model": "g", "messages": [], "stream": true}), "stream"),
        (json!({"model": "g", "messages": [], "custom_llm_provider": "x"}), "custom_llm_provider"),
    ] {
        let error = router.completion(body).await.unwrap_err();
        assert!(matches!(error, Error::Request(_)), "{error:?}");
        assert_eq!((error.fault(), error.param()), (Fault::Caller, Some(param)));
    }
    let error = router.completion(json!(["model", "g"])).await.unwrap_err();
    assert!(matches!(error, Error::Request(_)), "{error:?}");
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn upstreams_failures_are_told_apart() {
    let upstream = FakeUpstream::start();
    let router = builder()
        .model_list([at(&upstream, "g", "a")])
        .num_retries(0)
        .disable_cooldowns(true)
        .build()
        .unwrap();
    for (status, fault) in [
        (400, Fault::Caller),
        (401, Fault::Operator),
        (403, Fault::Operator),
        (404, Fault::Operator),
        (413, Fault::Caller),
        (422, Fault::Caller),
        (429, Fault::Upstream),
        (500, Fault::Upstream),
        (502, Fault::Upstream),
        (503, Fault::Upstream),
        (529, Fault::Upstream),
    ] {
        upstream.reply(Reply::error(status).header("retry-after", "7"));
        let error = router.completion(ask("g")).await.unwrap_err();
        assert!(matches!(error, Error::Upstream(_)), "{error:?}");
        assert_eq!((error.status(), error.fault()), (status, fault));
        assert_eq!((error.deployment_id(), error.attempts()), (Some("a"), 1));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
        assert_eq!(error.code(), Some("fake"));
        assert!(std::error::Error::source(&error).is_some());
    }
    upstream.reply(Reply::error(401));
    let own_key = router.completion(ask("g").param("api_key", "sk-mine")).await.unwrap_err();
    assert_eq!(own_key.fault(), Fault::Caller);
    upstream.reply(Reply::reset());
    let reset = router.completion(ask("g")).await.unwrap_err();
    assert_eq!((reset.fault(), reset.status()), (Fault::Upstream, 500));
}

/// Whatever a provider writes there.
#[tokio::test]
async fn a_wait_beyond_all_measure_is_an_hour() {
    let upstream = FakeUpstream::start();
    let router = builder()
        .model_list([at(&upstream, "g", "a")])
        .num_retries(0)
        .disable_cooldowns(true)
        .build()
        .unwrap();
    for (said, told) in
        [("1e300", Some(3600)), ("4000", Some(3600)), ("-1", None), ("NaN", None), ("7", Some(7))]
    {
        upstream.reply(Reply::error(429).header("retry-after", said));
        let error = router.completion(ask("g")).await.unwrap_err();
        assert_eq!(error.retry_after(), told.map(Duration::from_secs), "{said}");
        error.rate_limits();
    }
}

#[tokio::test]
async fn a_caller_is_told_of_no_fallback_that_it_could_not_ask_for() {
    let upstream = FakeUpstream::start();
    let list =
        [at(&upstream, "g", "a"), at(&upstream, "open", "b"), at(&upstream, "closed", "c").tags(["t"])];
    let router = builder().model_list(list).fallbacks("g", ["open", "closed"]).reserved_tags(["t"]);
    let router = router.tag_filtering(true).num_retries(0).disable_cooldowns(true).build().unwrap();
    upstream.otherwise(Reply::error(500));
    let error = router.completion(ask("g")).await.unwrap_err();
    assert!(error.message().ends_with("Fallbacks=['open', 'closed']"), "{error}");
    let error = router.completion(ask("g").caller(Caller::confined())).await.unwrap_err();
    assert!(error.message().ends_with("Fallbacks=['open']"), "{error}");
}

#[tokio::test]
async fn what_cools_says_for_how_long() {
    let upstream = FakeUpstream::start();
    let router = builder()
        .model_list([at(&upstream, "g", "a"), at(&upstream, "g", "b")])
        .num_retries(0)
        .cooldown_time(Duration::from_secs(60))
        .build()
        .unwrap();
    upstream.otherwise(Reply::error(429));
    while !matches!(router.completion(ask("g")).await.unwrap_err(), Error::Cooling(_)) {}
    let error = router.completion(ask("g")).await.unwrap_err();
    assert_eq!((error.fault(), error.status()), (Fault::Upstream, 429));
    let wait = error.retry_after().unwrap();
    assert!(wait > Duration::from_secs(30) && wait <= Duration::from_secs(60), "{wait:?}");
    assert!(error.message().contains("cooldown_list=['a', 'b']"), "{error}");
}

#[tokio::test]
async fn what_only_the_operator_can_change_is_the_operators() {
    let upstream = FakeUpstream::start();
    let claude = tagrail::Deployment::new("c", "anthropic/claude").api_base(upstream.url()).api_key("k");
    let tagged = at(&upstream, "g", "a").tags(["x"]);
    let broken = at(&upstream, "left-out", "b").param("timeout", "soon");
    let list = [claude, tagged, broken];
    let router =
        builder().model_list(list).tag_filtering(true).ignore_invalid_deployments(true).build().unwrap();
    let error = router.embedding(Embedding::new("c", "text")).await.unwrap_err();
    assert!(matches!(error, Error::NotServed(_)), "{error:?}");
    assert_eq!((error.fault(), error.status()), (Fault::Operator, 501));
    router.reserve(Reservations::Unknown);
    let caller = Caller::confined().team_tags(["x"]);
    let error = router.completion(ask("g").caller(caller)).await.unwrap_err();
    assert!(matches!(error, Error::ReservationsUnknown(_)), "{error:?}");
    assert_eq!(error.fault(), Fault::Operator);
    let error = router.completion(ask("left-out")).await.unwrap_err();
    assert!(matches!(error, Error::NoDeployments(_)), "{error:?}");
    assert_eq!(error.fault(), Fault::Operator);
    assert!(error.help().unwrap().contains("diagnostics"), "{error}");
}

/// A budget that is kept, and has room for so many calls.
struct Budget(usize);

struct Place;

impl Allowance for Budget {
    fn reserve(&self, _: &Need<'_>) -> Result<Box<dyn Reservation>, OverLimit> {
        let over = || OverLimit {
            kind: "budget_exceeded",
            message: "nothing is left".to_owned(),
            retry_after: Some(Duration::from_secs(9)),
            headers: Vec::new(),
        };
        if self.0 > 0 { Ok(Box::new(Place)) } else { Err(over()) }
    }

    fn has_budget(&self, _: &[RequestTag<'_>]) -> bool {
        true
    }

    fn facts(&self) -> AllowanceFacts {
        AllowanceFacts::default()
    }
}

impl Reservation for Place {
    fn extend(&mut self, _: &Need<'_>) -> Result<(), OverLimit> {
        Ok(())
    }

    fn settle(self: Box<Self>, _: Used) {}
}

#[tokio::test]
async fn a_callers_budget_is_the_callers_and_a_missing_price_the_operators() {
    let upstream = FakeUpstream::start();
    let list = [at(&upstream, "dear", "a").price(1.0, 1.0), at(&upstream, "unlisted", "nobody-lists-this")];
    let router = builder().model_list(list).build().unwrap();
    let caller = |calls| Caller { allowance: Some(Arc::new(Budget(calls))), ..Caller::confined() };
    router.completion(ask("dear").caller(caller(1))).await.unwrap();
    let error = router.completion(ask("dear").caller(caller(0))).await.unwrap_err();
    assert!(matches!(error, Error::OverLimit(_)), "{error:?}");
    assert_eq!((error.fault(), error.status()), (Fault::Caller, 429));
    assert_eq!((error.message(), error.retry_after()), ("nothing is left", Some(Duration::from_secs(9))));
    let error = router.completion(ask("unlisted").caller(caller(1))).await.unwrap_err();
    assert!(matches!(error, Error::Unpriced(_)), "{error:?}");
    assert_eq!((error.fault(), error.status()), (Fault::Operator, 403));
    assert_eq!(upstream.models(), ["a"]);
}

/// Nobody upstream has heard of such a call.
#[tokio::test]
async fn a_key_that_is_not_there_is_the_operators() {
    let unset = tagrail::Deployment::new("g", "openai/a").api_key("os.environ/NOT_SET");
    let router = builder().model_list([unset]).build().unwrap();
    let error = router.completion(ask("g")).await.unwrap_err();
    assert!(matches!(error, Error::Upstream(_)) && error.message().contains("NOT_SET"), "{error:?}");
    assert_eq!((error.fault(), error.status()), (Fault::Operator, 500));
    // Where a call brings what cannot be used, it is the caller's.
    let error = router.completion(ask("g").param("api_base", "file:///x")).await.unwrap_err();
    assert_eq!((error.fault(), error.status(), error.param()), (Fault::Caller, 400, Some("api_base")));
    // And nobody listens there: that is for another time.
    let gone = at(&FakeUpstream::start(), "g", "a").api_base(format!("http://{}", FakeUpstream::refused()));
    let router = builder().model_list([gone]).num_retries(0).build().unwrap();
    assert_eq!(router.completion(ask("g")).await.unwrap_err().fault(), Fault::Upstream);
}

#[tokio::test]
async fn what_a_wildcard_makes_of_a_name_may_lead_nowhere() {
    let upstream = FakeUpstream::start();
    let router =
        builder().model_list([at(&upstream, "*", "*").param("model", "*").id("any")]).build().unwrap();
    // A provider that is known, and not spoken yet; and one that nobody knows.
    for (model, status, fault) in [("azure/x", 501, Fault::Operator), ("nobody/x", 400, Fault::Caller)] {
        let error = router.completion(ask(model)).await.unwrap_err();
        assert!(matches!(error, Error::Upstream(_)), "{error:?}");
        assert_eq!((error.status(), error.fault()), (status, fault), "{error:?}");
    }
    let error = router.completion(ask("any")).await.unwrap_err();
    assert!(matches!(error, Error::UnknownModel(_)), "{error:?}");
    assert_eq!((error.status(), error.fault()), (400, Fault::Caller));
    assert!(upstream.requests().is_empty());
}

#[tokio::test]
async fn no_key_is_in_an_error() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::json(401, &json!({"error": {"message": "bad key sk-upstream"}})));
    let router = builder().model_list([at(&upstream, "g", "a")]).num_retries(0).build().unwrap();
    let error = router.completion(Completion::new("g").user("hi")).await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("sk-upstream"), "{error:?}");
    let shown = format!("{router:?} {:?}", at(&upstream, "g", "a"));
    assert!(!shown.contains("sk-upstream"), "{shown}");
}

/// Whatever a program logs of a call of its own: no prompt is in it, and no key.
#[tokio::test]
async fn what_is_asked_is_not_in_what_is_logged() {
    let upstream = FakeUpstream::start();
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let request = Completion::new("g").user("my prompt").param("api_key", "sk-mine");
    let mut shown = format!("{request:?} {:?}", request.call().unwrap());
    shown += &format!("{:?}", router.completion(request.clone()).await.unwrap());
    upstream.otherwise(Reply::error(400));
    shown += &format!("{:?}", router.completion(request).await.unwrap_err());
    assert!(shown.contains("g") && !shown.contains("my prompt") && !shown.contains("sk-mine"), "{shown}");
}

/// For `?` into anything, over threads, and for matching on it.
#[test]
fn an_error_is_what_errors_have_to_be() {
    fn is_error<E: std::error::Error + Send + Sync + 'static>() {}
    fn is_sent<T: Send + Sync + 'static>() {}
    is_error::<Error>();
    is_error::<tagrail::ConfigError>();
    is_error::<tagrail::CallError>();
    is_sent::<tagrail::Router>();
    is_sent::<tagrail::RouterBuilder>();
    is_sent::<tagrail::Reply>();
    is_sent::<Completion>();
    assert!(std::mem::size_of::<Error>() <= 16, "a Result is no larger for its errors");
}

#[tokio::test]
async fn after_its_fallbacks_too_a_failure_is_that_of_the_group_asked_for() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::error(500));
    let list = [at(&upstream, "g", "a"), at(&upstream, "f", "b")];
    let router = builder().num_retries(0).model_list(list).fallbacks("g", ["f"]).build().unwrap();
    let error = router.completion(ask("g")).await.unwrap_err();
    assert_eq!(upstream.models(), ["a", "b"]);
    assert_eq!((error.deployment_id(), error.attempts()), (Some("a"), 2));
}
