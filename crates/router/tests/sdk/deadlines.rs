//! A deadline is for the whole call, and ends it upstream too.

use std::time::Duration;

use tagrail::{Error, Fault};
use tagrail_testkit::{FakeUpstream, Gate, Reply};

use crate::{ask, at, builder};

/// Long enough for a call to reach the upstream on a loaded machine.
const DEADLINE: Duration = Duration::from_millis(400);

#[tokio::test]
async fn an_upstream_that_hangs_is_left_when_the_deadline_passes() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.otherwise(Reply::text("late").hold(&gate));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let error = router.completion(ask("g").deadline(DEADLINE)).await.unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    assert_eq!((error.fault(), error.status(), error.model()), (Fault::Deadline, 408, "g"));
    upstream.exchange().await.closed().await;
}

#[tokio::test]
async fn a_try_that_times_out_is_another_error() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.otherwise(Reply::text("late").hold(&gate));
    let router = builder().model_list([at(&upstream, "g", "a")]).num_retries(0).build().unwrap();
    let request = ask("g").timeout(Duration::from_millis(50)).deadline(Duration::from_secs(60));
    let error = router.completion(request).await.unwrap_err();
    assert!(matches!(error, Error::Upstream(_)), "{error:?}");
    assert_eq!((error.fault(), error.status(), error.deployment_id()), (Fault::Upstream, 408, Some("a")));
}

/// Each try fails at once, and before the next one of the same deployment there is half a second at least.
#[tokio::test]
async fn the_pauses_between_tries_count() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::error(500));
    let list = [at(&upstream, "g", "a"), at(&upstream, "h", "b")];
    let router = builder().model_list(list).disable_cooldowns(true).num_retries(5).fallbacks("g", ["h"]);
    let error = router.build().unwrap().completion(ask("g").deadline(DEADLINE)).await.unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    assert!(upstream.requests().len() <= 1, "{:?}", upstream.models());
}

#[tokio::test]
async fn a_streams_last_chunk_has_to_come_in_time_too() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    let event = r#"{"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"one"}}]}"#;
    upstream.otherwise(Reply::events([event, event]).hold_after(1, &gate));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let mut stream = router.stream(ask("g").deadline(DEADLINE)).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    upstream.exchange().await.closed().await;
    assert!(stream.next().await.is_none());
}

/// Nothing has to be waited for here, so that no wait can notice the deadline.
#[tokio::test]
async fn a_reader_that_is_slower_than_the_stream_has_the_deadline_too() {
    let mocked = tagrail::Deployment::new("m", "openai/gpt-4o").mock_response("one two three");
    let router = builder().model_list([mocked]).build().unwrap();
    let mut early = router.stream(ask("m").deadline(DEADLINE)).await.unwrap();
    let mut late = router.stream(ask("m").deadline(DEADLINE)).await.unwrap();
    late.next().await.unwrap().unwrap();
    while !early.next().await.unwrap().unwrap().bytes().windows(6).any(|bytes| bytes == b"\"stop\"") {}
    let passed = tokio::time::timeout(DEADLINE, std::future::pending::<()>()).await;
    assert!(passed.is_err());
    let error = late.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    assert!(late.next().await.is_none());
    assert!(early.next().await.is_none(), "what is whole is an answer, however late that is noticed");
}

#[tokio::test]
async fn an_answer_in_time_is_an_answer() {
    let upstream = FakeUpstream::start();
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    for deadline in [Duration::from_secs(60), Duration::MAX] {
        router.completion(ask("g").deadline(deadline)).await.unwrap();
    }
}
