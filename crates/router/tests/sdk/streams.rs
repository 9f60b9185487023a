//! Streams: chunk by chunk, whole or an error, and over when nobody reads them.

use std::future::poll_fn;
use std::pin::Pin;

use futures_core::Stream;
use serde_json::{Value, json};
use tagrail::{Error, Fault, Messages, Responses, TextCompletion};
use tagrail_testkit::{FakeUpstream, Gate, Reply};

use crate::{ask, at, builder};

fn chunk(text: &str) -> String {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
           "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
    .to_string()
}

fn usage() -> String {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [],
           "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}})
    .to_string()
}

#[tokio::test]
async fn chunks_come_as_the_upstream_sent_them_and_then_what_they_cost() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::events([chunk("one "), chunk("two"), usage(), "[DONE]".to_owned()]));
    let router = builder().model_list([at(&upstream, "g", "a").price(0.01, 0.1)]).build().unwrap();
    let mut stream = router.stream(ask("g")).await.unwrap();
    assert_eq!(stream.facts.deployment_id(), "a");
    let mut chunks = Vec::new();
    while let Some(chunk) = stream.next().await {
        chunks.push(chunk.unwrap());
    }
    let texts: Vec<_> = chunks.iter().filter_map(tagrail::Chunk::text).collect();
    assert_eq!(texts, ["one ", "two"]);
    assert_eq!(chunks.len(), 2, "the usage that nobody asked for is kept back, and the end is no chunk");
    assert_eq!(chunks[0].json().unwrap(), serde_json::from_str::<Value>(&chunk("one ")).unwrap());
    let usage = stream.usage().unwrap();
    assert_eq!((usage.input, usage.output), (10, 5));
    assert!((stream.cost().unwrap() - 0.6).abs() < 1e-9, "{:?}", stream.cost());
    assert_eq!(stream.decision().unwrap().permitted, ["a"]);
    assert!(stream.next().await.is_none(), "an end stays one");
}

#[tokio::test]
async fn usage_that_was_asked_for_is_a_chunk() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::events([chunk("one"), usage(), "[DONE]".to_owned()]));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let request = ask("g").param("stream_options", json!({"include_usage": true}));
    let mut stream = router.stream(request).await.unwrap();
    stream.next().await.unwrap().unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().json().unwrap()["usage"]["total_tokens"], 15);
}

#[tokio::test]
async fn a_break_is_an_error_and_no_chunk() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::events([chunk("one"), chunk("two")]).cut_after(1));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let mut stream = router.stream(ask("g")).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().text().as_deref(), Some("one"));
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Broken(_)), "{error:?}");
    assert_eq!((error.fault(), error.status()), (Fault::Upstream, 500));
    assert_eq!((error.deployment_id(), error.model()), (Some("a"), "g"));
    assert!(stream.next().await.is_none(), "behind an error there is nothing");
}

#[tokio::test]
async fn an_error_that_the_upstream_sends_in_the_stream_is_one() {
    let upstream = FakeUpstream::start();
    let told = json!({"error": {"message": "overloaded", "type": "server_error", "code": 503}}).to_string();
    upstream.otherwise(Reply::events([chunk("one"), told]));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let mut stream = router.stream(ask("g")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let error = stream.text().await.unwrap_err();
    assert!(matches!(error, Error::Broken(_)) && error.message().contains("overloaded"), "{error:?}");
}

/// What came before it in the same breath counts.
#[tokio::test]
async fn nothing_that_came_before_an_error_is_lost() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    let told = json!({"error": {"message": "overloaded", "type": "server_error", "code": 503}}).to_string();
    let frames = [
        format!("data: {}\n\n", chunk("one")),
        format!("data: {}\n\ndata: {}\n\ndata: {told}\n\n", chunk("two"), chunk("three")),
    ];
    upstream.otherwise(Reply::frames(frames).hold_after(1, &gate));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let mut stream = router.stream(ask("g")).await.unwrap();
    assert_eq!(stream.next().await.unwrap().unwrap().text().as_deref(), Some("one"));
    gate.open();
    for text in ["two", "three"] {
        assert_eq!(stream.next().await.unwrap().unwrap().text().as_deref(), Some(text));
    }
    let error = stream.next().await.unwrap().unwrap_err();
    assert!(matches!(error, Error::Broken(_)) && error.message().contains("overloaded"), "{error:?}");
    assert!(stream.next().await.is_none());
}

/// Anthropic counts the prompt with its first event.
#[tokio::test]
async fn a_stream_says_what_it_has_cost_so_far() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.otherwise(Reply::text("as said").hold_after(1, &gate));
    let claude = tagrail::Deployment::new("c", "anthropic/claude").api_base(upstream.url()).api_key("k");
    let router = builder().model_list([claude.price(0.5, 2.0)]).build().unwrap();
    let mut stream = router.messages_stream(Messages::new("c", 16).user("say")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    let (so_far, usage) = (stream.cost().unwrap(), stream.usage().unwrap());
    assert!(so_far >= usage.input as f64 * 0.5 && usage.input > 0, "{so_far}");
    gate.open();
    stream.text().await.unwrap();
    let (cost, usage) = (stream.cost().unwrap(), stream.usage().unwrap());
    assert!((cost - (usage.input as f64 * 0.5 + usage.output as f64 * 2.0)).abs() < 1e-9, "{cost}");
    assert!(cost > so_far, "{cost} {so_far}");
}

#[tokio::test]
async fn dropping_a_stream_ends_the_upstream_call() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.otherwise(Reply::events([chunk("one"), chunk("two")]).hold_after(1, &gate));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let mut stream = router.stream(ask("g")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    upstream.exchange().await.closed().await;
}

#[tokio::test]
async fn a_chunk_that_was_not_awaited_to_the_end_is_not_lost() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.otherwise(Reply::events([chunk("one"), chunk("two"), "[DONE]".to_owned()]).hold_after(1, &gate));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let mut stream = router.stream(ask("g")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    // Polled once, and dropped.
    tokio::select! {
        biased;
        _ = stream.next() => panic!("nothing is there yet"),
        () = std::future::ready(()) => {}
    }
    gate.open();
    assert_eq!(stream.next().await.unwrap().unwrap().text().as_deref(), Some("two"));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn before_the_first_chunk_another_deployment_is_tried() {
    let upstream = FakeUpstream::start();
    upstream.reply(Reply::error(500)).otherwise(Reply::text("kept"));
    let list = [at(&upstream, "g", "a"), at(&upstream, "g", "b")];
    let router = builder().model_list(list).build().unwrap();
    let mut stream = router.stream(ask("g")).await.unwrap();
    assert_eq!((stream.facts.retries, stream.facts.attempts), (1, 2));
    assert_eq!(stream.text().await.unwrap(), "kept");
}

#[tokio::test]
async fn every_api_streams() {
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::text("as said"));
    let claude = tagrail::Deployment::new("c", "anthropic/claude").api_base(upstream.url()).api_key("k");
    let router = builder().model_list([at(&upstream, "g", "a"), claude]).build().unwrap();
    let mut streams = [
        router.stream(ask("g")).await.unwrap(),
        router.text_completion_stream(TextCompletion::new("g", "say")).await.unwrap(),
        router.responses_stream(Responses::new("g", "say")).await.unwrap(),
        router.messages_stream(Messages::new("c", 16).user("say")).await.unwrap(),
        router.stream(ask("c")).await.unwrap(),
    ];
    for (number, stream) in streams.iter_mut().enumerate() {
        assert_eq!(stream.text().await.unwrap(), "as said", "stream {number}");
    }
}

#[tokio::test]
async fn mocked_answers_stream_too() {
    let mocked = tagrail::Deployment::new("m", "openai/gpt-4o").mock_response("pretended words");
    let router = builder().model_list([mocked]).build().unwrap();
    let mut stream = router.stream(ask("m")).await.unwrap();
    assert_eq!(stream.text().await.unwrap(), "pretended words");
    assert!(stream.cost().is_some_and(|cost| cost > 0.0));
}

/// What takes a stream takes this one: pinned and polled, without any method of its own.
#[tokio::test]
async fn it_is_a_stream_as_others_are() {
    async fn all<S: Stream + Unpin + Send + 'static>(mut stream: S) -> Vec<S::Item> {
        let mut items = Vec::new();
        while let Some(item) = poll_fn(|cx| Pin::new(&mut stream).poll_next(cx)).await {
            items.push(item);
        }
        items
    }
    let upstream = FakeUpstream::start();
    upstream.otherwise(Reply::events([chunk("one"), chunk("two")]).cut_after(1));
    let router = builder().model_list([at(&upstream, "g", "a")]).build().unwrap();
    let items = all(router.stream(ask("g")).await.unwrap()).await;
    assert_eq!(items[0].as_ref().unwrap().text().as_deref(), Some("one"));
    assert!(matches!(items[1], Err(Error::Broken(_))) && items.len() == 2, "{items:?}");
}
