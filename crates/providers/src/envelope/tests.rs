use bytes::Bytes;
use serde_json::json;

use super::{Envelope, EnvelopeError, Fallback, MetadataRule, Rewrite};

const PLAIN: Rewrite<'_> = Rewrite {
    model: "up",
    ask_usage: false,
    metadata: MetadataRule::Drop,
    drop_user: false,
    previous_response: None,
    defaults: &[],
};

fn read(body: &str) -> Result<Envelope, EnvelopeError> {
    Envelope::read(Bytes::copy_from_slice(body.as_bytes()))
}

fn sent(body: &str, rewrite: &Rewrite<'_>) -> String {
    String::from_utf8(read(body).unwrap().rewrite(rewrite).concat()).unwrap()
}

#[track_caller]
fn refused(body: &str, param: &str) -> String {
    let error = read(body).unwrap_err();
    assert_eq!((&*error.param, error.status), (param, 400), "{body}: {}", error.message);
    error.message
}

#[test]
fn what_is_no_json_is_refused_with_its_place() {
    for (body, message) in [
        ("", "unexpected end of data: line 1 column 1 (byte 0)"),
        ("{\"model\": tru}", "invalid literal: line 1 column 11 (byte 10)"),
        ("{\n \"a\": NaN}", "expected a value: line 2 column 7 (byte 8)"),
        ("{\"a\": -Infinity}", "invalid number: line 1 column 8 (byte 7)"),
        ("{\"a\": 01}", "expected a comma or a closing bracket: line 1 column 8 (byte 7)"),
        ("{\"a\": [1,]}", "expected a value: line 1 column 10 (byte 9)"),
        ("{\"a\": 1,}", "expected a key in double quotes: line 1 column 9 (byte 8)"),
        ("{\"a\" 1}", "expected a colon behind the key: line 1 column 6 (byte 5)"),
        ("{\"a\": \"\t\"}", "control character in string: line 1 column 8 (byte 7)"),
        ("{\"a\": \"\\x\"}", "invalid escape in string: line 1 column 9 (byte 8)"),
        ("{\"a\": \"\\ud800\"}", "half a surrogate pair in string: line 1 column 8 (byte 7)"),
        ("{\"a\": \"", "unexpected end of data: line 1 column 8 (byte 7)"),
        ("{} {}", "unexpected content after document: line 1 column 4 (byte 3)"),
        ("[1]", "the document must be an object, not a list"),
        (" \"a\" ", "the document must be an object, not a string"),
        ("[1", "unexpected end of data: line 1 column 3 (byte 2)"),
    ] {
        assert_eq!(refused(body, "request_body"), format!("Invalid JSON payload: {message}"), "{body}");
    }
    let error = Envelope::read(Bytes::from_static(b"{\"a\": \"\xff\"}")).unwrap_err();
    assert_eq!(error.message, "Invalid JSON payload: invalid UTF-8: line 1 column 8 (byte 7)");
}

#[test]
fn depth_fields_and_tags_are_bounded() {
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(read(&nested(126)).is_ok());
    assert!(refused(&nested(127), "request_body").contains("nested too deeply"));
    let many = |count: usize| {
        let fields: Vec<_> = (0..count).map(|index| format!("\"{index}\":0")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let envelope = read(&many(512)).unwrap();
    assert!(envelope.has("0") && envelope.has("511") && !envelope.has("512"));
    refused(&many(513), "request_body");
    refused(&format!("{{\"extra_body\":{}}}", many(513)), "extra_body");
    refused(&format!("{{\"tags\":[{}0]}}", "0,".repeat(1024)), "tags");
    let lists = |tags: usize, others: usize| {
        let list = |count| json!(vec!["t"; count]);
        format!(r#"{{"tags":{},"metadata":{{"tags":{}}}}}"#, list(tags), list(others))
    };
    refused(&lists(512, 513), "metadata.tags");
    assert_eq!(read(&lists(512, 512)).unwrap().tag_count(), 1024);
    read(&json!({"tags": ["\u{e9}".repeat(512)]}).to_string()).unwrap();
    refused(&json!({"metadata": {"tags": ["t".repeat(1025)]}}).to_string(), "metadata.tags");
    refused(&json!({"metadata": format!("{{}}{}", " ".repeat(65_536))}).to_string(), "metadata");
    refused(&format!(r#"{{"\u0061{}":1}}"#, "a".repeat(6 * 1024)), "request_body");
}

#[test]
fn malformed_shapes_are_refused_by_name() {
    for (body, param, expected) in [
        (r#"{"model":7}"#, "model", "`model` must be a string, not a number"),
        (r#"{"model":["m"]}"#, "model", "`model` must be a string, not a list"),
        (r#"{"stream":"true"}"#, "stream", "`stream` must be a boolean, not a string"),
        (r#"{"tags":"free"}"#, "tags", "`tags` must be a list of strings, not a string"),
        (r#"{"tags":{"a":1}}"#, "tags", "not an object"),
        (r#"{"tags":["a",["b"]]}"#, "tags", "not a list of lists"),
        (r#"{"metadata":{"tags":"red"}}"#, "metadata.tags", "`metadata.tags` must be"),
        (r#"{"metadata":"{\"tags\":[{}]}"}"#, "metadata.tags", "not a list of objects"),
        (r#"{"litellm_metadata":"xx"}"#, "litellm_metadata", "must be an object, not a string"),
        (r#"{"litellm_metadata":"[1]"}"#, "litellm_metadata", "must be an object, not a string"),
        (r#"{"litellm_metadata":[]}"#, "litellm_metadata", "must be an object, not a list"),
        (r#"{"litellm_metadata":{"tags":7}}"#, "litellm_metadata.tags", "not a number"),
        (r#"{"stream_options":true}"#, "stream_options", "must be an object, not a boolean"),
        (r#"{"num_retries":-1}"#, "num_retries", "a whole number"),
        (r#"{"timeout":"soon"}"#, "timeout", "a number of seconds"),
        (r#"{"request_timeout":-1}"#, "request_timeout", "a number of seconds"),
        (r#"{"stream_timeout":1e999}"#, "stream_timeout", "a number of seconds"),
        (r#"{"fallbacks":["a",1]}"#, "fallbacks", "not a list with a number"),
        (r#"{"fallbacks":{}}"#, "fallbacks", "not an object"),
        (r#"{"extra_body":[]}"#, "extra_body", "must be an object, not a list"),
    ] {
        let message = refused(body, param);
        assert!(message.contains(expected), "{body}: {message}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    for (body, param) in [
        (r#"{"model":"a","model":"b"}"#, "model"),
        (r#"{"mod\u0065l":"a"}"#, "model"),
        (r#"{"model":"a","Model":"b"}"#, "model"),
        (r#"{"MOD\u0045L":"a"}"#, "model"),
        (r#"{"user":"a","user":"b"}"#, "user"),
        (r#"{"api\u005fbase":"http://x"}"#, "api_base"),
        (r#"{"\u0063ache":{}}"#, "cache"),
        (r#"{"metadata":{"tags":[],"tags":[]}}"#, "metadata.tags"),
        (r#"{"metadata":{"t\u0061gs":[]}}"#, "metadata.tags"),
        (r#"{"metadata":"{\"tags\":[],\"tags\":[]}"}"#, "metadata.tags"),
        (r#"{"litellm_metadata":{"tags":[],"tags":[]}}"#, "litellm_metadata.tags"),
        (
            r#"{"stream_options":{"include_usage":true,"include_usage":false}}"#,
            "stream_options.include_usage",
        ),
        (r#"{"extra_body":{"tags":[],"tags":[]}}"#, "extra_body.tags"),
        (r#"{"extra_body":{"mod\u0065l":"a"}}"#, "extra_body.model"),
        (r#"{"extra_body":{"MODEL":"a"}}"#, "extra_body.model"),
        (r#"{"litellm_p\u0061rams":{}}"#, "litellm_params"),
        (r#"{"litellm_\u006eew":{}}"#, "litellm_*"),
    ] {
        refused(body, param);
    }
    for fine in
        [r#"{"cache":1,"cache":2}"#, r#"{"x":1,"x":2,"\u0078":3}"#, r#"{"tools":[],"input":"","moder":0}"#]
    {
        assert!(read(fine).is_ok(), "{fine}");
    }
}

#[test]
fn reads_the_fields_of_the_gateway() {
    let envelope = read(
        r#"{"model":"a\/b","stream":true,"stream_options":{"include_usage":true},
            "tags":["x",1,"caf\u00e9",null],"metadata":"{\"tags\":[\"y\"]}","litellm_metadata":{"tags":["z"]},
            "num_retries":3,"timeout":"2.5","stream_timeout":0,"fallbacks":["f",{"model":"g"}],
            "disable_fallbacks":true,"messages":[],"input":null}"#,
    )
    .unwrap();
    assert_eq!(envelope.model().unwrap(), "a/b");
    assert!(envelope.stream() && envelope.wants_usage() && envelope.disable_fallbacks());
    assert_eq!(envelope.tags().unwrap(), ["x", "café"]);
    assert_eq!(envelope.metadata_tags().unwrap(), ["y"]);
    assert_eq!(envelope.litellm_metadata_tags().unwrap(), ["z"]);
    assert_eq!(
        (envelope.num_retries(), envelope.timeout(), envelope.stream_timeout()),
        (Some(3), Some(2.5), None)
    );
    let object = Fallback::Object { model: Some("g".into()), fields: r#"{"model":"g"}"#, overrides: false };
    assert_eq!(envelope.fallbacks().unwrap(), [Fallback::Name("f".into()), object]);
    assert!(envelope.has("messages") && !envelope.has("input") && !envelope.has("prompt"));
    assert_eq!(read(r#"{"fallbacks":"f"}"#).unwrap().fallbacks().unwrap(), [Fallback::Name("f".into())]);
    let table = r#"{"*":["a"],"m":["b",1,"c"]}"#;
    assert_eq!(Fallback::listed(table, &["m", "*"]), ["b", "c"]);
    assert_eq!(Fallback::listed(table, &["x", "*"]), ["a"]);
    assert_eq!(read(r#"{"timeout":0,"request_timeout":9}"#).unwrap().timeout(), Some(9.0));
}

#[test]
fn null_and_what_litellm_ignores_count_as_missing() {
    let envelope = read(
        r#"{"model":null,"stream":null,"tags":null,"metadata":null,"litellm_metadata":null,"fallbacks":null,
            "num_retries":null,"timeout":null,"stream_options":null,"extra_body":null}"#,
    )
    .unwrap();
    assert_eq!((envelope.model(), envelope.tags(), envelope.fallbacks()), (None, None, None));
    assert!(envelope.has_metadata() && !envelope.has_litellm_metadata() && !envelope.stream());
    for metadata in ["7", "[\"red\"]", "\"red\"", "\"[1]\"", "{\"tags\":null}", "true"] {
        let envelope = read(&format!("{{\"metadata\":{metadata}}}")).unwrap();
        assert_eq!((envelope.metadata_tags(), envelope.has_metadata()), (None, true), "{metadata}");
    }
}

#[test]
fn steering_is_told_in_order_and_not_sent() {
    let body = r#"{"headers":{"a":"b"},"model":"m","api_key":null,"base_url":"http://x",
        "extra_body":{"priority":1,"tags":["t"],"user":"u","api_base":"y"},"api_version":"1"}"#;
    let steering = ["headers", "base_url", "extra_body.tags", "extra_body.api_base", "api_version"];
    assert_eq!(read(body).unwrap().steering(), steering);
    assert!(read(r#"{"model":"m","messages":[]}"#).unwrap().steering().is_empty());
    let status = |field| EnvelopeError::not_allowed(field).status;
    assert_eq!(
        (status("api_base"), status("extra_body.api_base"), status("output_cost_per_token")),
        (401, 401, 401)
    );
    assert_eq!((status("headers"), status("api_key"), status("extra_body.tags")), (400, 400, 400));
    let error = EnvelopeError::not_allowed("base_url");
    assert!(error.message.starts_with("Rejected Request: base_url is not allowed in request body"));
    assert!(!sent(body, &PLAIN).contains("http://x"));
}

/// LiteLLM's own names, whatever its next release calls them.
#[test]
fn litellm_params_and_the_like_reach_no_provider() {
    let body = r#"{"model":"m","litellm_params":{"api_key":"sk-x"},"litellm_new":1,"mode":"chat","litellm_params_x":2,
        "extra_body":{"litellm_params":{"api_base":"x"},"litellm_other":3}}"#;
    assert_eq!(read(body).unwrap().steering(), ["litellm_params", "extra_body.litellm_params"]);
    assert_eq!(EnvelopeError::not_allowed("litellm_params").status, 400);
    assert_eq!(sent(body, &PLAIN), r#"{"model":"up"}"#);
    assert!(read(r#"{"litellm_params":null}"#).unwrap().steering().is_empty());
}

#[test]
fn only_the_gateways_fields_are_cut_and_commas_stay_right() {
    for (body, expected) in [
        (r#"{"tags":[1],"model":"m","x":1}"#, r#"{"model":"up","x":1}"#),
        (r#"{"model":"m","x":1,"tags":[]}"#, r#"{"model":"up","x":1}"#),
        (r#"{"tags":[],"timeout":1}"#, r#"{"model":"up"}"#),
        (r#"{"tags":[] , "x" : 1.50 , "cache":{} }"#, r#"{"model":"up" , "x" : 1.50 }"#),
        ("{}", r#"{"model":"up"}"#),
        (" { } ", r#" {"model":"up" } "#),
        (r#"{ "x":1 }"#, r#"{"model":"up", "x":1 }"#),
        (r#"{ "tags":[], "x":1, "guardrails":[], "model" : "m" }"#, r#"{"x":1, "model" : "up" }"#),
        (r#"{"tag_regex":["a"],"store":true,"user":"u"}"#, r#"{"model":"up","store":true,"user":"u"}"#),
    ] {
        assert_eq!(sent(body, &PLAIN), expected, "{body}");
    }
    assert_eq!(
        sent(r#"{"model":"m"}"#, &Rewrite { model: "a\"\\\n\u{e9}", ..PLAIN }),
        "{\"model\":\"a\\\"\\\\\\n\u{e9}\"}"
    );
    assert_eq!(
        sent(r#"{"user":"u","model":"m"}"#, &Rewrite { drop_user: true, ..PLAIN }),
        r#"{"model":"up"}"#
    );
}

#[test]
fn usage_is_asked_for_beside_the_clients_options() {
    let asking = Rewrite { ask_usage: true, ..PLAIN };
    for (options, expected) in [
        ("null", r#"{"include_usage":true}"#),
        ("{}", r#"{"include_usage":true}"#),
        (r#"{"a":1,"include_usage":false,"b":[2]}"#, r#"{"include_usage":true,"a":1,"b":[2]}"#),
    ] {
        let body = format!(r#"{{"model":"m","stream_options":{options}}}"#);
        assert_eq!(sent(&body, &asking), format!(r#"{{"model":"up","stream_options":{expected}}}"#));
        assert_eq!(sent(&body, &PLAIN), body.replace("\"m\"", "\"up\""));
    }
    assert_eq!(
        sent(r#"{"model":"m"}"#, &asking),
        r#"{"model":"up","stream_options":{"include_usage":true}}"#
    );
}

#[test]
fn metadata_goes_by_its_rule() {
    let send = |body, rule| sent(body, &Rewrite { metadata: rule, ..PLAIN });
    let body = r#"{"model":"m","metadata":{"user_id":"u","tags":["a"],"k":1}}"#;
    assert_eq!(send(body, MetadataRule::Drop), r#"{"model":"up"}"#);
    assert_eq!(send(body, MetadataRule::WithoutTags), r#"{"model":"up","metadata":{"user_id":"u","k":1}}"#);
    assert_eq!(send(body, MetadataRule::UserIdOnly), r#"{"model":"up","metadata":{"user_id":"u"}}"#);
    let body = r#"{"model":"m","metadata":"{\"tags\":[\"a\"],\"k\":1}"}"#;
    assert_eq!(send(body, MetadataRule::WithoutTags), r#"{"model":"up","metadata":{"k":1}}"#);
    assert_eq!(send(body, MetadataRule::UserIdOnly), r#"{"model":"up"}"#);
    assert_eq!(send(r#"{"model":"m","metadata":7}"#, MetadataRule::WithoutTags), r#"{"model":"up"}"#);
}

#[test]
fn extra_body_wins_over_the_body_but_not_over_the_gateway() {
    let body = r#"{"temperature":1,"metadata":"{}","model":"m","extra_body":{"temperature":0,"top_k":5,
        "model":"no","stream":true,"stream_options":{},"metadata":{"a":1}},"stream":false}"#;
    let expected = r#"{"model":"up","stream":false,"temperature":0,"top_k":5,"metadata":{"a":1}}"#;
    assert_eq!(sent(body, &PLAIN), expected);
}

#[test]
fn defaults_count_where_the_client_sent_none() {
    let defaults: Vec<_> = [("temperature", "0.5"), ("seed", "7"), ("top_k", "1"), ("model", "\"x\"")]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
    let body = r#"{"model":"m","temperature":null,"extra_body":{"top_k":2}}"#;
    let expected = r#"{"model":"up","temperature":null,"top_k":2,"seed":7}"#;
    assert_eq!(sent(body, &Rewrite { defaults: &defaults, ..PLAIN }), expected);
}

#[test]
fn long_bodies_are_sliced_and_short_ones_come_whole() {
    let text = "a".repeat(100_000);
    let body = format!(r#"{{"model":"m","messages":"{text}","tags":["x"],"input":"{text}"}}"#);
    let envelope = read(&body).unwrap();
    let pieces = envelope.rewrite(&PLAIN);
    let original = envelope.body().as_ptr_range();
    let shared: usize =
        pieces.iter().filter(|piece| original.contains(&piece.as_ptr())).map(|piece| piece.len()).sum();
    assert!(shared > 199_000, "{shared} of {} bytes were not copied", body.len());
    assert!(pieces.len() <= 5, "{} pieces", pieces.len());
    assert_eq!(pieces.concat(), body.replace("\"m\"", "\"up\"").replace(",\"tags\":[\"x\"]", "").as_bytes());
    assert_eq!(read(r#"{"model":"m","tags":[],"x":1}"#).unwrap().rewrite(&PLAIN).len(), 1);
}

#[test]
fn debugging_an_envelope_shows_no_prompt() {
    let shown = format!("{:?}", read(r#"{"model":"m","api_key":"sk-secret","messages":"private"}"#).unwrap());
    assert!(shown.contains("\"m\"") && !shown.contains("secret") && !shown.contains("private"), "{shown}");
}

#[test]
fn fields_can_be_replaced_for_a_fallback() {
    let envelope = read(r#"{"model":"m","x":1,"y":2,"x":3}"#).unwrap();
    let with = |object: &str| envelope.with(object);
    let changed = with(r#"{"model":"f", "x":[9], "z" : true, "x":[8], "fallbacks":["g"]}"#).unwrap();
    assert_eq!(changed.body(), r#"{"model":"m","x":[8],"y":2,"z":true}"#);
    assert_eq!(with(r#"{"tags":7}"#).unwrap_err().param, "tags");
    for broken in ["{\"x\":{", "[]", "{} {}", ""] {
        assert_eq!(with(broken).unwrap_err().param, "request_body", "{broken}");
    }
    assert_eq!(with(r#"{"metadata":{},"t\u0061gs":[]}"#).unwrap_err().param, "fallbacks.tags");
}

#[test]
fn what_a_fallback_changes_is_known_of_its_body() {
    let body = r#"{"model":"m","fallbacks":["f"],"metadata": {"a":1,"tags":["x","y"]},"api_key":"k",
        "extra_body":{"tags":[],"headers":{}},"\u0061":1}"#;
    let envelope = read(body).unwrap();
    assert_eq!(envelope.steering(), ["api_key", "extra_body.tags", "extra_body.headers"]);
    let changed = envelope.with(r#"{"tags":["z"],"a":2,"base_url":"u"}"#).unwrap();
    assert_eq!(changed.metadata_tags().unwrap(), ["x", "y"]);
    assert_eq!((changed.tags().unwrap(), changed.tag_count()), (vec!["z".into()], 3));
    assert_eq!(changed.steering(), ["api_key", "extra_body.tags", "extra_body.headers", "base_url"]);
    assert_eq!((changed.raw("a"), changed.raw("fallbacks")), (Some("2"), None));
    let changed = envelope.with(r#"{"metadata":null,"extra_body":null,"api_key":null}"#).unwrap();
    assert_eq!((changed.metadata_tags(), changed.tag_count()), (None, 0));
    assert!(changed.steering().is_empty());
}

#[test]
fn names_and_fallbacks_are_bounded() {
    let (fits, long) = ("é".repeat(512), "é".repeat(513));
    read(&json!({"model": fits, "fallbacks": [fits]}).to_string()).unwrap();
    read(&format!(r#"{{"model":"{}"}}"#, "\\u0061".repeat(1024))).unwrap();
    refused(&json!({ "model": long }).to_string(), "model");
    refused(&json!({ "fallbacks": long }).to_string(), "fallbacks");
    refused(&json!({ "fallbacks": [{ "model": long }] }).to_string(), "fallbacks");
    let names = vec!["f"; 33];
    refused(&json!({ "fallbacks": names }).to_string(), "fallbacks");
    refused(&json!({ "fallbacks": [{ "m": names }] }).to_string(), "fallbacks");
    refused(&json!({ "fallbacks": [{ "m": [long] }] }).to_string(), "fallbacks");
    let fields =
        |count: usize| (0..count).map(|at| (at.to_string(), json!(0))).collect::<serde_json::Map<_, _>>();
    let mut many = fields(511);
    many.insert("model".into(), json!("f"));
    read(&json!({ "fallbacks": [many] }).to_string()).unwrap();
    many.insert("one more".into(), json!(0));
    assert!(refused(&json!({ "fallbacks": [many] }).to_string(), "fallbacks").contains("512 fields"));
    refused(r#"{"fallbacks":[{"model":"f","api_b\u0061se":"x"}]}"#, "fallbacks.api_base");
    refused(r#"{"fallbacks":[{"model":"f","tags":[],"tags":[]}]}"#, "fallbacks.tags");
    let messages = vec![json!({}); 33];
    read(&json!({ "fallbacks": [{"model": "f", "messages": messages}] }).to_string()).unwrap();
    read(&json!({ "fallbacks": names[1..] }).to_string()).unwrap();
}
