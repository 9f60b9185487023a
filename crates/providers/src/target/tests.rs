use bytes::Bytes;
use http::HeaderMap;

use super::*;
use crate::{Ask, Operation, Prepared};

const NO_ENV: &dyn Fn(&str) -> Option<String> = &|_| None;

fn spec(model: &str) -> TargetSpec {
    TargetSpec { model: model.to_owned(), api_key: Some(Secret::new("sk-own")), ..TargetSpec::default() }
}

fn build(spec: &TargetSpec) -> Target {
    Target::build(spec, NO_ENV).unwrap_or_else(|error| panic!("{error}"))
}

fn mistake(spec: &TargetSpec) -> TargetError {
    match Target::build(spec, NO_ENV) {
        Ok(_) => panic!("{} was built", spec.model),
        Err(error) => error,
    }
}

fn at(base: &str) -> TargetSpec {
    TargetSpec { api_base: Some(base.to_owned()), ..spec("openai/m") }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// Prepares a chat call to `model` with these extra fields in the body, and shows it to `look`.
fn prepare<T>(target: &Target, model: &str, fields: &str, look: impl FnOnce(&Prepared<'_>) -> T) -> T {
    match try_prepare(target, model, fields, look) {
        Ok(seen) => seen,
        Err(error) => panic!("{error}"),
    }
}

fn try_prepare<T>(
    target: &Target,
    model: &str,
    fields: &str,
    look: impl FnOnce(&Prepared<'_>) -> T,
) -> Result<T, UpstreamError> {
    let body = format!(r#"{{"model":"asked","messages":[]{fields}}}"#);
    let envelope = Envelope::read(Bytes::from(body)).unwrap();
    target.admit(&envelope).unwrap();
    let place = target.resolve(model)?;
    let ask = Ask {
        operation: Operation::ChatCompletions,
        envelope: &envelope,
        target,
        upstream_model: model,
        echo_model: Some("asked"),
        client_headers: &HeaderMap::new(),
        in_process: false,
        responses: None,
        created: 0,
    };
    place.provider.prepare(&ask).map(|prepared| look(&prepared))
}

#[test]
fn the_first_part_names_the_provider() {
    for (model, provider, rest) in [
        ("openai/gpt-4o", "openai", "gpt-4o"),
        ("openai/openai/gpt-4o", "openai", "openai/gpt-4o"),
        ("openai/", "openai", ""),
        ("groq/meta-llama/llama-4", "groq", "meta-llama/llama-4"),
        ("anthropic/claude-x", "anthropic", "claude-x"),
        ("gpt-4o", "openai", "gpt-4o"),
        ("claude-sonnet-4-5", "anthropic", "claude-sonnet-4-5"),
        ("text-completion-openai/davinci-002", "text-completion-openai", "davinci-002"),
    ] {
        let target = build(&spec(model));
        let place = target.resolve(model).unwrap();
        assert_eq!((place.provider.name(), place.model), (provider, rest), "{model}");
    }
}

#[test]
fn custom_llm_provider_overrides_the_name() {
    let spec = |model: &str| TargetSpec { provider: Some("openai".to_owned()), ..spec(model) };
    for (model, rest) in [("groq/x", "groq/x"), ("openai/x", "x"), ("made-up", "made-up")] {
        let target = build(&spec(model));
        let place = target.resolve(model).unwrap();
        assert_eq!((place.provider.name(), place.model), ("openai", rest));
    }
    let unknown = TargetSpec { provider: Some("opnai".to_owned()), ..spec("x") };
    let error = mistake(&unknown);
    assert_eq!(error.key, "custom_llm_provider");
    assert!(error.message.contains("did you mean openai?"), "{error}");
}

#[test]
fn mistakes_in_the_model_are_told_apart() {
    let error = mistake(&spec("opnai/gpt-4o"));
    assert_eq!(error.key, "model");
    assert!(
        error.message.contains("\"opnai/gpt-4o\"") && error.message.contains("did you mean openai?"),
        "{error}"
    );
    assert!(mistake(&spec("made-up-model")).message.contains("openai/NAME"));
    for model in ["azure/gpt-4o", "bedrock/x", "gemini/x", "gemini-2.5-pro", "vertex_ai/*"] {
        let error = mistake(&spec(model));
        assert!(error.message.contains("needs a translation that this release does not have"), "{error}");
    }
}

#[test]
fn mistakes_in_addresses_and_headers_are_named_by_their_key() {
    let headers = |name: &str, value: &str| TargetSpec {
        extra_headers: vec![(name.to_owned(), value.to_owned())],
        ..spec("openai/m")
    };
    for (spec, key) in [
        (at("localhost:8000/v1"), "api_base"),
        (at("http://user:pw@h/v1"), "api_base"),
        (TargetSpec { api_base: None, ..spec("hosted_vllm/m") }, "api_base"),
        (TargetSpec { api_base: Some("nonsense".to_owned()), ..spec("*") }, "api_base"),
        (headers("bad name", "x"), "extra_headers"),
        (headers("x", "a\nb"), "extra_headers"),
        (headers("Content-Length", "5"), "extra_headers"),
        (TargetSpec { api_key: Some(Secret::new("a\nb")), ..spec("openai/m") }, "api_key"),
    ] {
        assert_eq!(mistake(&spec).key, key, "{}", spec.model);
    }
    assert!(!mistake(&at("http://h:x/?key=s3cret")).message.contains("s3cret"));
}

#[test]
fn a_star_takes_the_provider_from_the_request() {
    let env = |name: &str| (name == "GROQ_API_KEY").then(|| "sk-groq".to_owned());
    let star = TargetSpec { api_key: None, ..spec("*") };
    let target = Target::build(&star, &env).unwrap_or_else(|error| panic!("{error}"));
    let place = target.resolve("groq/llama").unwrap();
    assert_eq!((place.provider.name(), place.model), ("groq", "llama"));
    assert_eq!(header(place.headers, "authorization"), Some("Bearer sk-groq"));
    assert_eq!(target.resolve("gpt-4o").unwrap().provider.name(), "openai");
    assert_eq!(target.resolve("anthropic/x").unwrap().authority, "api.anthropic.com");
}

#[test]
fn a_name_without_provider_is_litellms_error() {
    for target in [build(&spec("*")), build(&spec("openai/*"))] {
        let error = target.resolve("hello-meta.llama3-70b").err().unwrap();
        assert_eq!((error.status, error.kind), (400, ErrorKind::BadRequest));
        assert!(error.message.starts_with("litellm.BadRequestError: LLM Provider NOT provided."));
        assert!(error.message.ends_with("You passed model=hello-meta.llama3-70b"));
        assert_eq!(target.resolve("m/abc-def").err().map(|e| e.status), Some(400));
        assert_eq!(target.resolve("azure/x").err().map(|e| e.status), Some(501));
    }
}

#[test]
fn another_provider_gets_the_deployments_own_base_and_key() {
    let target = build(&at("http://127.0.0.1:9/v1"));
    let place = target.resolve("anthropic/claude").unwrap();
    assert_eq!((place.provider.name(), place.authority), ("anthropic", "127.0.0.1:9"));
    assert_eq!(header(place.headers, "x-api-key"), Some("sk-own"));
    assert_eq!(header(place.headers, "authorization"), None);
}

#[test]
fn the_shown_base_is_litellms() {
    let env = |name: &str| match name {
        "OPENAI_BASE_URL" => Some("http://127.0.0.1:1/eo/v1".to_owned()),
        "GROQ_API_BASE" => Some("http://127.0.0.1:1/eg/v1".to_owned()),
        "ANTHROPIC_BASE_URL" => Some("http://127.0.0.1:1/ea".to_owned()),
        _ => None,
    };
    for (model, base, shown, path) in [
        ("openai/m", None, Some("https://api.openai.com"), "/eo/v1"),
        ("groq/m", None, Some("http://127.0.0.1:1/eg/v1"), "/eg/v1"),
        ("anthropic/m", None, None, "/ea"),
        ("anthropic/m", Some("http://h/x"), Some("http://h/x"), "/x"),
        ("openai/m", Some("http://h/?secret=1"), Some("http://h/"), ""),
        ("cerebras/m", None, Some("https://api.cerebras.ai/v1"), "/v1"),
    ] {
        let spec = TargetSpec { api_base: base.map(str::to_owned), ..spec(model) };
        let target = Target::build(&spec, &env).unwrap_or_else(|error| panic!("{error}"));
        let place = target.resolve(model).unwrap();
        assert_eq!((place.shown_base, place.base_path), (shown, path), "{model} {base:?}");
    }
}

#[test]
fn paths_get_one_slash_and_keep_the_query() {
    for (base, path) in [
        ("http://h", "/chat/completions"),
        ("http://h/", "/chat/completions"),
        ("http://h/v1/", "/v1/chat/completions"),
        ("http://h/v1?api-version=2", "/v1/chat/completions?api-version=2"),
    ] {
        assert_eq!(prepare(&build(&at(base)), "openai/m", "", |p| p.path.clone()), path, "{base}");
    }
}

#[test]
fn headers_say_who_and_nothing_more() {
    let spec = TargetSpec {
        organization: Some("org-1".to_owned()),
        extra_headers: vec![("X-Extra".to_owned(), "1".to_owned())],
        ..at("http://h:81/v1")
    };
    prepare(&build(&spec), "openai/m", "", |prepared| {
        let mut names: Vec<_> = prepared.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["authorization", "content-type", "host", "openai-organization", "user-agent", "x-extra"]
        );
        assert_eq!(header(&prepared.headers, "authorization"), Some("Bearer sk-own"));
        assert_eq!(header(&prepared.headers, "host"), Some("h:81"));
        assert!(header(&prepared.headers, "user-agent").unwrap().starts_with("tagrail/"));
        assert!(!format!("{:?}", prepared.headers).contains("sk-own"));
    });
}

#[test]
fn a_missing_key_is_said_when_called() {
    let unset = TargetSpec { api_key: None, missing_key: Some("MY_KEY".to_owned()), ..spec("openai/m") };
    let error = try_prepare(&build(&unset), "openai/m", "", |_| ()).unwrap_err();
    assert_eq!((error.status, error.kind), (500, ErrorKind::Internal));
    for part in ["Missing credentials", "MY_KEY", "OPENAI_API_KEY", "openai/m"] {
        assert!(error.message.contains(part), "{error}");
        assert!(build(&unset).missing_credentials().is_some_and(|why| why.contains(part)));
    }
    let opened = TargetSpec { client_may_set: vec!["api_key".to_owned()], ..unset };
    assert_eq!(build(&opened).missing_credentials(), None);
    assert_eq!(build(&spec("openai/m")).missing_credentials(), None);
    let keyless =
        TargetSpec { api_key: None, api_base: Some("http://h".to_owned()), ..spec("hosted_vllm/m") };
    prepare(&build(&keyless), "hosted_vllm/m", "", |prepared| {
        assert_eq!(header(&prepared.headers, "authorization"), Some("Bearer fake-api-key"));
    });
}

#[test]
fn clients_steer_nothing_that_was_not_opened() {
    let envelope =
        |fields: &str| Envelope::read(Bytes::from(format!(r#"{{"model":"m",{fields}}}"#))).unwrap();
    let closed = build(&spec("openai/m"));
    for (fields, status, param) in [
        (r#""api_base":"http://h""#, 401, "api_base"),
        (r#""api_key":"k""#, 400, "api_key"),
        (r#""extra_headers":{"a":"b"}"#, 400, "extra_headers"),
        (r#""custom_llm_provider":"groq""#, 400, "custom_llm_provider"),
    ] {
        let error = closed.admit(&envelope(fields)).unwrap_err();
        assert_eq!((error.status, error.param.as_str()), (status, param));
    }
    let open = |fields: &[&str]| {
        let client_may_set = fields.iter().map(|field| (*field).to_owned()).collect();
        build(&TargetSpec { client_may_set, ..spec("openai/m") })
    };
    assert!(open(&["api_key"]).admit(&envelope(r#""api_key":"k""#)).is_ok());
    assert!(open(&["api_key"]).admit(&envelope(r#""api_key":"k","api_base":"http://h""#)).is_err());
    // Opening a field that no deployment can open changes nothing.
    assert!(open(&["custom_llm_provider"]).admit(&envelope(r#""custom_llm_provider":"groq""#)).is_err());
}

#[test]
fn an_opened_key_counts_for_its_call_alone() {
    let target = build(&TargetSpec { client_may_set: vec!["api_key".to_owned()], ..at("http://h/v1") });
    let authorization = |fields: &str| {
        prepare(&target, "openai/m", fields, |prepared| {
            assert!(!prepared.body.concat().windows(7).any(|part| part == b"api_key"));
            header(&prepared.headers, "authorization").map(str::to_owned)
        })
    };
    assert_eq!(authorization(r#","api_key":"sk-client""#).as_deref(), Some("Bearer sk-client"));
    assert_eq!(authorization("").as_deref(), Some("Bearer sk-own"));
    prepare(&target, "openai/m", r#","api_key":"k""#, |prepared| assert_eq!(prepared.chosen_by, None));
}

#[test]
fn an_opened_address_never_gets_the_deployments_credentials() {
    let target = build(&TargetSpec {
        client_may_set: ["api_base", "api_key", "extra_headers"].map(str::to_owned).to_vec(),
        organization: Some("org-1".to_owned()),
        extra_headers: vec![("x-secret".to_owned(), "s".to_owned())],
        ..spec("openai/m")
    });
    let base = r#","api_base":"https://mine.example/v1""#;
    prepare(&target, "openai/m", base, |prepared| {
        assert_eq!(prepared.endpoint.host, "mine.example");
        assert_eq!(prepared.chosen_by, Some("api_base"));
        assert_eq!(header(&prepared.headers, "host"), Some("mine.example"));
        for name in ["authorization", "x-secret", "openai-organization"] {
            assert_eq!(header(&prepared.headers, name), None);
        }
    });
    let both = format!(r#"{base},"api_key":"sk-client","extra_headers":{{"x-a":"b"}}"#);
    prepare(&target, "openai/m", &both, |prepared| {
        assert_eq!(header(&prepared.headers, "authorization"), Some("Bearer sk-client"));
        assert_eq!(header(&prepared.headers, "x-a"), Some("b"));
    });
    for (fields, param) in [
        (r#","api_base":"file:///etc/passwd""#, "api_base"),
        (r#","api_key":5"#, "api_key"),
        (r#","extra_headers":{"Authorization":"x"}"#, "extra_headers"),
    ] {
        let error = try_prepare(&target, "openai/m", fields, |_| ()).unwrap_err();
        assert_eq!((error.status, error.param.as_deref()), (400, Some(param)));
    }
}

/// A model on the machine's own network is none of a client's, and may well be the operator's.
#[test]
fn an_operator_chooses_any_address_for_its_own_call() {
    let target = build(&spec("openai/m"));
    let body = r#"{"model":"m","api_base":"http://169.254.169.254/v1","api_key":"k"}"#;
    let envelope = Envelope::read(Bytes::from(body)).unwrap();
    assert!(target.admit(&envelope).is_err());
    target.admit_in_process(&envelope).unwrap();
    let entry = target.enter(&target.resolve("openai/m").unwrap(), &envelope, true).unwrap();
    assert_eq!(header(&entry.headers, "authorization"), Some("Bearer k"));
    assert_eq!(entry.base_path(), "/v1");
}

#[test]
fn an_address_of_a_calls_own_is_shown_in_bounds() {
    let shown = |fields: &str| {
        let envelope = Envelope::read(Bytes::from(format!(r#"{{"model":"m"{fields}}}"#))).unwrap();
        Place::own_base(&envelope)
    };
    assert_eq!(shown(""), None);
    assert_eq!(shown(r#","api_base":" http://h/v1?key=secret ""#).as_deref(), Some("http://h/v1"));
    assert_eq!(shown(r#","api_base":"","base_url":"http://h""#).as_deref(), Some("http://h"));
    for none in [r#","api_base":"http://u:secret@h/v1""#, r#","api_base":"ftp://h""#, r#","api_base":5"#] {
        assert_eq!(shown(none), None, "{none}");
    }
    let long = format!(r#","api_base":"http://h/{}""#, "é".repeat(20_000));
    assert!(shown(&long).is_none_or(|text| text.len() <= 512));
    let long = format!(r#","api_base":"http://h/{}""#, "x".repeat(20_000));
    assert_eq!(shown(&long).map(|text| text.len()), Some(512));
}

#[test]
fn no_credential_comes_back_in_an_upstreams_words() {
    let target = build(&TargetSpec {
        client_may_set: ["api_base", "api_key", "extra_headers"].map(str::to_owned).to_vec(),
        api_key: Some(Secret::new("sk-own-key")),
        extra_headers: vec![("cf-access-client-secret".to_owned(), "gateway-secret".to_owned())],
        ..spec("openai/m")
    });
    let echoed = |fields: &str| {
        prepare(&target, "openai/m", fields, |prepared| {
            let body = b"you sent sk-own-key, gateway-secret, sk-client-key, client-header, sk-other";
            prepared.coder.refusal(401, &HeaderMap::new(), body).message
        })
    };
    let said = |fields: &str, masked: &str| {
        let message = echoed(fields);
        assert!(message.ends_with(&format!("you sent {masked}, sk-other")), "{message}");
    };
    said("", "***, ***, sk-client-key, client-header");
    let own = r#","api_key":"sk-client-key","extra_headers":{"x-a":"client-header"}"#;
    said(own, "***, ***, ***, ***");
    said(&format!(r#"{own},"api_base":"https://mine.example""#), "sk-own-key, gateway-secret, ***, ***");
}
