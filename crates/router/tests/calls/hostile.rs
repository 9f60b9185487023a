//! Bodies that are made to cost much: the work on each is within a constant for each of its bytes.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use serde_json::json;
use tagrail::{Call, Operation};
use tagrail_providers::work;
use tagrail_testkit::Reply;

use crate::rig::Rig;

/// Steps for each byte of a body, to read it and to decide.
const FOR_THE_CALL: u64 = 40;
/// Steps for each byte of a body, for each attempt.
const FOR_AN_ATTEMPT: u64 = 30;
/// Steps whatever the body.
const ALWAYS: u64 = 20_000;

/// Every field that is parsed, and some that are not.
const FIELDS: [&str; 20] = [
    "model",
    "tags",
    "metadata",
    "litellm_metadata",
    "extra_body",
    "fallbacks",
    "stream",
    "stream_options",
    "num_retries",
    "timeout",
    "disable_fallbacks",
    "user",
    "api_key",
    "headers",
    "cache",
    "litellm_params",
    "messages",
    "tools",
    "response_format",
    "x",
];

/// Values of about `size` bytes that are dear in one way each.
const KINDS: usize = 16;

fn value(kind: usize, size: usize) -> String {
    let list = |element: &str| format!("[{}0]", format!("{element},").repeat(size / (element.len() + 1)));
    let object = |member: &dyn Fn(usize) -> String, each: usize| {
        let members: Vec<_> = (0..size / each).map(member).collect();
        format!("{{{}}}", members.join(","))
    };
    let escaped =
        |at: usize| format!("{at:06}").bytes().map(|byte| format!("\\u{byte:04x}")).collect::<String>();
    match kind % KINDS {
        0 => format!("{}{}", "[".repeat(100), "]".repeat(100)),
        1 => list("0"),
        2 => list("{}"),
        3 => list(r#"{"model":"f1"}"#),
        4 => object(&|at| format!(r#""k{at}":0"#), 9),
        5 => object(&|_| r#""k":0"#.to_owned(), 6),
        6 => object(&|at| format!(r#""{}":0"#, escaped(at)), 42),
        7 => object(&|_| r#""t\u0061g":[]"#.to_owned(), 14),
        8 => "1".repeat(size),
        9 => format!("1e{}", "9".repeat(size)),
        10 => format!("\"{}\"", "\\u0061".repeat(size / 6)),
        11 => format!("\"{}\"", "{\\\"tags\\\":[".repeat(size / 11)),
        12 => list(&format!("\"{}\"", "tag".repeat(5))),
        13 => format!("[{}1]", " ".repeat(size)),
        14 => format!(r#"{{"tags":{}}}"#, list("\"t\"")),
        _ => list(&format!(
            r#"{{"model":"f1",{}}}"#,
            (0..40).map(|at| format!(r#""k{at}":0"#)).collect::<Vec<_>>().join(",")
        )),
    }
}

fn rig() -> Rig {
    let rig = Rig::new(
        &[("g", "g1", &[]), ("f1", "f1", &["tag"]), ("f2", "f2", &[]), ("wild-*-*", "w", &[])],
        &json!({"router_settings": {"num_retries": 0, "disable_cooldowns": true, "fallbacks": [{"g": ["f1"]}]}}),
    );
    rig.upstream.otherwise(Reply::error(500));
    rig
}

/// Steps of a whole call, and how many times an upstream was asked.
async fn steps(rig: &Rig, body: &str, headers: HeaderMap) -> (u64, u64) {
    let before = work::steps();
    let asked = rig.upstream.requests().len() as u64;
    let call = Call::read(Operation::ChatCompletions, headers, Bytes::copy_from_slice(body.as_bytes()), None);
    if let Ok(call) = call {
        let _ = rig.router.call(&call).await;
        let _ = rig.router.explain(&call).map(|explained| explained.to_json());
    }
    (work::steps() - before, rig.upstream.requests().len() as u64 - asked)
}

async fn is_bounded(rig: &Rig, body: &str, what: &str) {
    let (steps, attempts) = steps(rig, body, HeaderMap::new()).await;
    let most = ALWAYS + (FOR_THE_CALL + FOR_AN_ATTEMPT * attempts) * body.len() as u64;
    assert!(steps <= most, "{what}: {steps} steps for {} bytes and {attempts} attempts", body.len());
}

fn with_field(field: &str, value: &str) -> String {
    let plain = [("model", r#""g""#), ("messages", "[]")].into_iter().filter(|(name, _)| *name != field);
    let members = plain.chain([(field, value)]).map(|(name, text)| format!("\"{name}\":{text}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn every_field_with_every_dear_value_is_bounded() {
    let rig = rig();
    for field in FIELDS {
        for kind in 0..KINDS {
            // The work may not grow faster than the body.
            for size in [1_000, 16_000] {
                let inner = value(kind, size);
                is_bounded(&rig, &with_field(field, &inner), &format!("{field} {kind} {size}")).await;
                let nested = format!(r#"{{"model":"f1","{field}":{inner}}}"#);
                let fallback = format!("[{nested}]");
                is_bounded(&rig, &with_field("fallbacks", &fallback), &format!("fallback's {field} {kind}"))
                    .await;
                let extra = format!(r#"{{"{field}":{inner}}}"#);
                is_bounded(&rig, &with_field("extra_body", &extra), &format!("extra_body's {field} {kind}"))
                    .await;
            }
        }
    }
}

/// The body that took a core for 31 seconds.
#[tokio::test]
async fn fallbacks_of_thousands_of_fields_beside_names_of_escapes_are_refused() {
    let body = escapes_and_fallbacks(64, 2_700);
    assert!(body.len() > 900_000);
    let error = Call::read(Operation::ChatCompletions, HeaderMap::new(), Bytes::from(body.clone()), None);
    let error = error.unwrap_err();
    assert_eq!((error.param.as_str(), error.status), ("fallbacks", 400));
    assert!(error.message.contains("512 fields"), "{}", error.message);
    is_bounded(&rig(), &body, "refused").await;
}

/// The same within the bounds of fields.
#[tokio::test]
async fn names_of_escapes_are_decoded_once_for_all_fallbacks() {
    let rig = rig();
    is_bounded(&rig, &escapes_and_fallbacks(200, 300), "served").await;
    assert_eq!(rig.upstream.requests().len(), 20, "the fallbacks are asked, as many as a call may");
}

fn escapes_and_fallbacks(escaped: usize, fields: usize) -> String {
    let names: Vec<_> = (0..escaped).map(|at| format!(r#""{}{at}":0"#, "\\u0061".repeat(40))).collect();
    let fields: Vec<_> = (0..fields).map(|at| format!(r#""field{at}":0"#)).collect();
    let fallback = format!(r#"{{"model":"f1",{}}}"#, fields.join(","));
    let fallbacks = vec![fallback; 32].join(",");
    format!(r#"{{"model":"g","messages":[],{},"fallbacks":[{fallbacks}]}}"#, names.join(","))
}

#[tokio::test]
async fn tags_of_all_sources_are_bounded() {
    let rig = rig();
    let mut headers = HeaderMap::new();
    headers.insert("x-litellm-tags", HeaderValue::from_str(&"t,".repeat(400)).unwrap());
    let tags: Vec<_> = (0..500).map(|at| format!("{:0>900}", at % 7)).collect();
    let body = json!({"model": "wild-a-b", "messages": [], "tags": tags}).to_string();
    let (steps, attempts) = steps(&rig, &body, headers).await;
    assert!(steps <= ALWAYS + (FOR_THE_CALL + FOR_AN_ATTEMPT * attempts) * body.len() as u64, "{steps}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn dear_fields_beside_each_other_are_bounded(
        fields in prop::collection::vec((0..FIELDS.len(), 0..KINDS, 10..6_000usize), 1..8),
        plain in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let members = fields.iter().map(|(field, kind, size)| {
            format!("\"{}\":{}", FIELDS[*field], value(*kind, *size))
        });
        let plain = plain.then(|| r#""model":"g","messages":[]"#.to_owned());
        let body = format!("{{{}}}", plain.into_iter().chain(members).collect::<Vec<_>>().join(","));
        runtime.block_on(async { is_bounded(&rig(), &body, &body[..body.len().min(500)]).await });
    }
}
