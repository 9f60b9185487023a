//! Whoever has a whole reply is in the books: they are closed before its last byte leaves.

use std::convert::Infallible;
use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tagrail::{AnswerBody, Call, Operation, Router};
use tagrail_testkit::{Client, FakeUpstream, Gate, Reply, deployment};
use tokio::net::TcpListener;

use crate::admission::piece;
use crate::books::Purse;
use crate::rig::{Rig, chat};

/// Serves one connection: every request is a chat that streams.
async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.unwrap();
        let answer = |_: Request<Incoming>| async {
            let answer = router.call(&chat("g", json!({"stream": true}))).await.unwrap();
            let AnswerBody::Stream(stream) = answer.body else { panic!() };
            Ok::<_, Infallible>(Response::new(stream))
        };
        let served = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service_fn(answer));
        served.await.unwrap();
    });
    address
}

#[tokio::test]
async fn a_client_that_reads_done_finds_its_call_in_the_books() {
    let rig = Rig::new(&[("g", "a", &[])], &json!({}));
    // The upstream says [DONE] and then keeps the stream open: its end is not what closes the books.
    let gate = Gate::shut();
    let events = [piece("one"), piece("two"), "[DONE]".to_owned()];
    rig.upstream.otherwise(Reply::events(events).hold_after(3, &gate));
    let mut client = Client::connect(serve(rig.router.clone()).await).await;
    client.post("/", &[], &json!({})).await;
    client.head().await;
    let mut text = String::new();
    while !text.contains("[DONE]") {
        text.push_str(std::str::from_utf8(&client.piece().await.unwrap().bytes).unwrap());
    }
    assert_eq!(rig.records.rows().len(), 1);
}

fn calls() -> Vec<(Operation, &'static str, Value)> {
    let messages = json!([{"role": "user", "content": "hi"}]);
    vec![
        (Operation::ChatCompletions, "openai/a", json!({"messages": messages})),
        (Operation::Completions, "openai/a", json!({"prompt": "hi"})),
        (Operation::Responses, "openai/a", json!({"input": "hi"})),
        (Operation::Messages, "anthropic/a", json!({"messages": messages, "max_tokens": 9})),
        (Operation::ChatCompletions, "anthropic/a", json!({"messages": messages})),
    ]
}

fn rig(model: &str) -> Rig {
    let upstream = FakeUpstream::start();
    let mut one = deployment("g", "a", &[], &upstream.base());
    one["litellm_params"]["model"] = json!(model);
    Rig::of(upstream, &[one], &json!({}))
}

fn call(operation: Operation, mut body: Value, purse: &Purse) -> Call {
    body["model"] = json!("g");
    let body = Bytes::from(body.to_string());
    let call = Call::read(operation, HeaderMap::new(), body, None).unwrap();
    call.by(purse.caller(), http::HeaderValue::from_static("c"))
}

#[tokio::test]
async fn in_every_dialect_the_last_piece_leaves_after_the_books_are_closed_and_no_other_does() {
    for (operation, model, mut body) in calls() {
        let (rig, purse) = (rig(model), Purse::default());
        body["stream"] = json!(true);
        let answer = rig.router.call(&call(operation, body, &purse)).await.unwrap();
        let AnswerBody::Stream(mut stream) = answer.body else { panic!() };
        let mut closed = Vec::new();
        while let Some(frame) = stream.frame().await {
            assert!(frame.unwrap().is_data());
            closed.push(rig.records.rows().len());
        }
        assert_eq!(closed.pop(), Some(1), "{operation:?} {model}");
        assert!(
            !closed.is_empty() && closed.iter().all(|rows| *rows == 0),
            "{operation:?} {model}: {closed:?}"
        );
        // What the upstream has counted is asked for and told in every one of them; the fake one's
        // completions alone do not listen.
        let row = rig.records.row();
        assert_eq!(row.estimated, operation == Operation::Completions, "{operation:?} {model}: {row:?}");
        let told = if row.estimated { row.tokens() } else { Some((9, 3)) };
        assert_eq!(row.tokens(), told, "{operation:?} {model}");
        assert_eq!(Some(purse.settled().tokens), told.map(|(input, output)| input + output));
    }
}

#[tokio::test]
async fn whole_replies_are_settled_when_they_are_answered() {
    let embeddings = (Operation::Embeddings, "openai/a", json!({"input": "hi"}));
    for (operation, model, body) in calls().into_iter().chain([embeddings]) {
        let (rig, purse) = (rig(model), Purse::default());
        rig.router.call(&call(operation, body, &purse)).await.unwrap();
        let output = if operation == Operation::Embeddings { 0 } else { 3 };
        assert_eq!(rig.records.row().tokens(), Some((9, output)), "{operation:?} {model}");
        assert_eq!(purse.settled().tokens, 9 + output);
    }
}

#[tokio::test]
async fn a_stream_cut_short_by_its_upstream_is_settled_before_its_error_is_told() {
    let (rig, purse) = (rig("openai/a"), Purse::default());
    rig.upstream.otherwise(Reply::events([piece("one"), piece("two")]).cut_after(1));
    let body = json!({"messages": [], "stream": true});
    let answer = rig.router.call(&call(Operation::ChatCompletions, body, &purse)).await.unwrap();
    let AnswerBody::Stream(mut stream) = answer.body else { panic!() };
    while let Some(frame) = stream.frame().await {
        let text = frame.unwrap().into_data().unwrap();
        let told = text.windows(7).any(|window| window == b"\"error\"");
        assert_eq!(rig.records.rows().len(), usize::from(told));
    }
    purse.settled();
}
