//! However a call ends, whoever keeps count hears of it once.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use tagrail::{Error, Outcome, Recorder, Router};
use tagrail_testkit::{FakeUpstream, Gate, Reply};

use crate::{ask, at, builder};

/// Long enough for a call to reach the upstream on a loaded machine.
const DEADLINE: Duration = Duration::from_millis(400);
/// What a call is recorded with that nobody waited for.
const LEFT: u16 = 499;

/// Deployment, status, tries, whether it was cut short, tokens of the answer.
type Row = (String, u16, u32, bool, Option<u64>);

#[derive(Default)]
struct Books(Mutex<Vec<Row>>);

impl Books {
    fn rows(&self) -> Vec<Row> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Recorder for Books {
    fn record(&self, outcome: &Outcome<'_>) {
        let output = outcome.usage.map(|usage| usage.output);
        let row =
            (outcome.deployment.to_owned(), outcome.status, outcome.attempts, outcome.cut_short, output);
        self.0.lock().unwrap().push(row);
    }

    fn wants_details(&self) -> bool {
        false
    }
}

fn row(deployment: &str, status: u16, attempts: u32, cut_short: bool, output: Option<u64>) -> Row {
    (deployment.to_owned(), status, attempts, cut_short, output)
}

fn chunk(text: &str) -> String {
    json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up",
           "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]})
    .to_string()
}

fn rig(upstream: &FakeUpstream) -> (Arc<Books>, Router) {
    let books = Arc::new(Books::default());
    let list = [at(upstream, "g", "a"), at(upstream, "one", "b").max_parallel_requests(1)];
    let router = builder().model_list(list).num_retries(0).disable_cooldowns(true).recorder(books.clone());
    (books, router.build().unwrap())
}

#[tokio::test]
async fn a_call_that_is_left_is_recorded_once() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.otherwise(Reply::text("late").hold(&gate));
    let (books, router) = rig(&upstream);
    router.completion(ask("g").deadline(DEADLINE)).await.unwrap_err();
    assert_eq!(books.rows(), [row("a", LEFT, 1, true, None)], "the deadline has passed");
    let leaving = router.clone();
    let call = tokio::spawn(async move { leaving.completion(ask("g")).await });
    upstream.exchange().await;
    upstream.exchange().await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(books.rows(), [row("a", LEFT, 1, true, None)], "its future was dropped");
}

#[tokio::test]
async fn a_stream_is_recorded_once_however_it_ends() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": [],
                       "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}});
    let whole = [chunk("one"), chunk("two"), usage.to_string(), "[DONE]".to_owned()];
    let (books, router) = rig(&upstream);

    upstream.reply(Reply::events(&whole));
    let mut stream = router.stream(ask("g")).await.unwrap();
    assert!(books.rows().is_empty(), "nothing is over yet");
    stream.text().await.unwrap();
    drop(stream);
    assert_eq!(books.rows(), [row("a", 200, 1, false, Some(5))]);

    upstream.reply(Reply::events(&whole).hold_after(1, &gate));
    let mut stream = router.stream(ask("g")).await.unwrap();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    assert_eq!(books.rows(), [row("a", 200, 1, true, None)], "it was dropped");

    upstream.reply(Reply::events(&whole).hold_after(1, &gate));
    let mut stream = router.stream(ask("g").deadline(DEADLINE)).await.unwrap();
    assert!(matches!(stream.text().await, Err(Error::Deadline(_))));
    assert_eq!(books.rows(), [row("a", 200, 1, true, None)], "recorded when it is known");
    drop(stream);
    assert!(books.rows().is_empty());

    upstream.reply(Reply::events(&whole).cut_after(1));
    let mut stream = router.stream(ask("g")).await.unwrap();
    let error = stream.text().await.unwrap_err();
    assert!(matches!(error, Error::Broken(_)), "{error:?}");
    assert_eq!(error.attempts(), 1);
    drop(stream);
    assert_eq!(books.rows(), [row("a", 200, 1, true, None)], "it broke");
}

/// Who waits for a place waits no longer than its deadline, and takes none with it.
#[tokio::test]
async fn waiting_for_a_place_counts_too() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.reply(Reply::text("slow").hold(&gate));
    let (books, router) = rig(&upstream);
    let holding = router.clone();
    let held = tokio::spawn(async move { holding.completion(ask("one")).await });
    upstream.exchange().await;
    let error = router.completion(ask("one").deadline(DEADLINE)).await.unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    assert_eq!(upstream.requests().len(), 1, "nothing of it was sent");
    assert_eq!(books.rows(), [row("b", LEFT, 1, true, None)]);
    gate.open();
    held.await.unwrap().unwrap();
    router.completion(ask("one").deadline(Duration::from_secs(60))).await.unwrap();
}

/// A deadline is of the call: fallbacks have what its own deployments left of it.
#[tokio::test]
async fn a_fallback_has_what_is_left_of_the_deadline() {
    let upstream = FakeUpstream::start();
    let gate = Gate::shut();
    upstream.always("a", Reply::error(500)).always("b", Reply::text("late").hold(&gate));
    let (books, router) = rig(&upstream);
    let request = ask("g").fallbacks(["one"]).deadline(DEADLINE);
    let error = router.completion(request).await.unwrap_err();
    assert!(matches!(error, Error::Deadline(_)), "{error:?}");
    assert_eq!(upstream.models(), ["a", "b"]);
    assert_eq!(books.rows(), [row("b", LEFT, 2, true, None)]);
}
