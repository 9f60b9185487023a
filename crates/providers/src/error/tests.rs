use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use super::{ErrorKind, UpstreamError};
use crate::Secret;
use crate::target::Secrets;

fn refused(status: u16, body: &str) -> UpstreamError {
    UpstreamError::from_reply("openai", status, &HeaderMap::new(), body.as_bytes(), &none())
}

fn none() -> Secrets {
    Secrets::of(None, [].into_iter())
}

#[test]
fn texts_are_those_that_were_recorded() {
    let body = |status: u16| {
        format!(
            r#"{{"error":{{"message":"no {status}","type":"mock_error","param":null,"code":"{status}"}}}}"#
        )
    };
    for (status, text) in [
        (400, "litellm.BadRequestError: OpenAIException - no 400"),
        (401, "litellm.AuthenticationError: AuthenticationError: OpenAIException - no 401"),
        (403, "litellm.APIError: APIError: OpenAIException - no 403"),
        (404, "litellm.NotFoundError: NotFoundError: OpenAIException - no 404"),
        (429, "litellm.RateLimitError: RateLimitError: OpenAIException - no 429"),
        (500, "litellm.InternalServerError: InternalServerError: OpenAIException - no 500"),
        (503, "litellm.ServiceUnavailableError: ServiceUnavailableError: OpenAIException - no 503"),
        (529, "litellm.APIError: APIError: OpenAIException - no 529"),
    ] {
        let error = refused(status, &body(status));
        assert_eq!((error.message.as_str(), error.status), (text, status));
        assert_eq!(error.upstream_type.as_deref(), Some("mock_error"));
        assert_eq!(error.upstream_code, Some(status.to_string()));
    }
}

#[test]
fn other_providers_are_named() {
    let error = UpstreamError::new(ErrorKind::Internal, 500, "groq", "x");
    assert_eq!(error.message, "litellm.InternalServerError: InternalServerError: GroqException - x");
}

#[test]
fn every_shape_of_body_gives_a_message() {
    for (body, message) in [
        (r#"{"error":"plain"}"#, "plain"),
        (r#"{"message":"top"}"#, "top"),
        (r#"{"detail":[{"loc":["body"]}]}"#, r#"[{"loc":["body"]}]"#),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "Overloaded"),
        ("<html>Bad gateway</html>\n", "<html>Bad gateway</html>"),
        (r#"{"odd":1}"#, r#"{"odd":1}"#),
        ("", ""),
    ] {
        let expected = format!("litellm.BadRequestError: OpenAIException - {message}");
        assert_eq!(refused(400, body).message, expected);
    }
}

#[test]
fn too_long_prompts_and_policies_are_classes_of_their_own() {
    for body in [
        r#"{"error":{"message":"x","code":"context_length_exceeded"}}"#,
        r#"{"error":{"message":"This model's maximum context length is 8192 tokens."}}"#,
        r#"{"error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}"#,
    ] {
        assert_eq!(refused(400, body).kind, ErrorKind::ContextWindow, "{body}");
        assert_eq!(refused(500, body).kind, ErrorKind::Internal);
    }
    for body in [
        r#"{"error":{"message":"Output blocked by content filtering policy"}}"#,
        r#"{"error":{"message":"x","type":"invalid_request_error","code":"content_policy_violation"}}"#,
    ] {
        assert_eq!(refused(400, body).kind, ErrorKind::ContentPolicy, "{body}");
    }
}

#[test]
fn a_generic_policy_sentence_from_openai_is_a_bad_request() {
    let body = r#"{"error":{"message":"The response was filtered due to our content management policy",
        "code":"content_policy_violation"}}"#;
    assert_eq!(refused(400, body).kind, ErrorKind::BadRequest);
}

#[test]
fn retry_after_is_seconds_or_a_date() {
    let read = |after: &str, date: Option<&str>| {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, after.parse().unwrap());
        date.map(|date| headers.insert(DATE, date.parse().unwrap()));
        UpstreamError::from_reply("openai", 429, &headers, b"", &none()).retry_after
    };
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    assert_eq!(read("2", None), Some(2.0));
    assert_eq!(read("0.5", None), Some(0.5));
    assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", Some(date)), Some(30.0));
    assert_eq!(read("Sun, 06 Nov 1994 08:49:07 GMT", Some(date)), Some(0.0));
    assert_eq!(read("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
    assert_eq!(read("-1", None), None);
    assert_eq!(read("soon", None), None);
}

#[test]
fn a_repeated_key_is_masked() {
    let secrets = Secrets::of(Some(&Secret::new("sk-very-secret")), ["gateway-token"].into_iter());
    let body = br#"{"error":{"message":"Incorrect API key provided: sk-very-secret, gateway-token.",
        "type":"sk-very-secret","code":"gateway-token","param":"gateway-token"}}"#;
    let error = UpstreamError::from_reply("openai", 401, &HeaderMap::new(), body, &secrets);
    assert!(error.message.ends_with("Incorrect API key provided: ***, ***."));
    for text in [error.upstream_type.map(String::from), error.upstream_code, error.param] {
        assert_eq!(text.as_deref(), Some("***"));
    }
}

#[test]
fn a_status_that_is_no_error_is_a_bad_gateway() {
    for status in [304, 302, 307, 600, 999] {
        let error = refused(status, r#"{"error":{"message":"no"}}"#);
        assert_eq!((error.status, error.kind), (502, ErrorKind::BadGateway), "{status}");
        assert!(error.message.contains(&status.to_string()), "{error}");
    }
}

#[test]
fn huge_bodies_are_cut() {
    let error = refused(500, &"é".repeat(100_000));
    assert!(error.message.len() < 5000);
}

#[test]
fn error_events_carry_their_status() {
    let status = |event: &str| UpstreamError::from_event("openai", event.as_bytes(), &none()).status;
    assert_eq!(status(r#"{"error":{"message":"x","code":"429"}}"#), 429);
    assert_eq!(status(r#"{"error":{"message":"x","code":503}}"#), 503);
    assert_eq!(status(r#"{"type":"error","error":{"type":"overloaded_error","message":"x"}}"#), 529);
    assert_eq!(status(r#"{"error":{"message":"x","code":"weird"}}"#), 500);
}
