//! Cases as files: `golden/<upstream's dialect>/<case>/`.
//!
//! - `request.json`: the client's body
//! - `call.json` (optional): `model`, `operation`, `drop_params`, `defaults`, `echo` of the call
//! - `upstream.json`: the body that goes upstream; or `refused.json`: the error instead
//! - `reply.json` and `client.json`: what the upstream answers and what the client gets
//! - `stream.sse` and `client.sse`: the same as a stream, which every way to cut it must give; a
//!   stream that breaks ends in the frame for the client
//! - `error.json` and `client_error.json`: a refusal (`status`, `headers`, `body`), and what becomes of
//!   it
//!
//! `TAGRAIL_GOLDEN=write` writes the second of each pair, to be read before it is committed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, its helpers too")]

use std::fs;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tagrail_providers::{Ask, Coder, Envelope, Operation, Secret, Target, TargetSpec, UpstreamError, Usage};

const CREATED: u64 = 1_700_000_000;

/// What a case says about its call.
struct Call {
    dir: PathBuf,
    operation: Operation,
    target: Target,
    model: String,
    echo: Option<String>,
    envelope: Envelope,
}

impl Call {
    fn read(dir: &Path) -> Call {
        let call = json_at(&dir.join("call.json")).unwrap_or_else(|| json!({}));
        let dialect = dir.parent().and_then(Path::file_name).unwrap();
        let usual = if dialect == "anthropic_messages" { "anthropic/claude-x" } else { "openai/up" };
        let text = |key: &str, usual: &str| call[key].as_str().unwrap_or(usual).to_owned();
        let model = text("model", usual);
        let defaults = call["defaults"].as_object().into_iter().flatten();
        let spec = TargetSpec {
            model: model.clone(),
            api_key: Some(Secret::new("sk-very-secret")),
            drop_params: call["drop_params"] == true,
            defaults: defaults.map(|(key, value)| (key.clone(), value.to_string())).collect(),
            ..TargetSpec::default()
        };
        let body = fs::read(dir.join("request.json")).unwrap_or_else(|_| b"{\"messages\":[]}".to_vec());
        Call {
            operation: match text("operation", "chat_completions").as_str() {
                "messages" => Operation::Messages,
                "chat_completions" => Operation::ChatCompletions,
                other => panic!("{}: {other}", dir.display()),
            },
            target: Target::build(&spec, &|_| None).unwrap_or_else(|error| panic!("{error}")),
            envelope: Envelope::read(Bytes::from(body)).unwrap(),
            echo: Some(text("echo", "asked")).filter(|echo| !echo.is_empty()),
            model,
            dir: dir.to_owned(),
        }
    }

    fn prepare(&self) -> Result<(Vec<u8>, Box<dyn Coder>), UpstreamError> {
        let headers = HeaderMap::new();
        let ask = Ask {
            operation: self.operation,
            envelope: &self.envelope,
            target: &self.target,
            upstream_model: &self.model,
            echo_model: self.echo.as_deref(),
            client_headers: &headers,
            in_process: false,
            responses: None,
            created: CREATED,
        };
        let place = self.target.resolve(&self.model)?;
        let prepared = place.provider.prepare(&ask)?;
        Ok((prepared.body.concat(), prepared.coder))
    }

    fn coder(&self) -> Box<dyn Coder> {
        match self.prepare() {
            Ok((_, coder)) => coder,
            Err(error) => panic!("{}: {error}", self.dir.display()),
        }
    }

    fn request(&self) {
        match self.prepare() {
            Ok((body, _)) => {
                assert!(!self.dir.join("refused.json").exists(), "{}: not refused", self.dir.display());
                let body: Value = serde_json::from_slice(&body).unwrap();
                compare(&self.dir.join("upstream.json"), &pretty(&body));
            }
            Err(error) => {
                assert!(!self.dir.join("upstream.json").exists(), "{}: {error}", self.dir.display());
                compare(&self.dir.join("refused.json"), &pretty(&shown(&error)));
            }
        }
    }

    fn reply(&self, reply: Vec<u8>) {
        let mut coder = self.coder();
        let client = match coder.whole(Bytes::from(reply)) {
            Ok(parts) => serde_json::from_slice(&parts.concat()).unwrap(),
            Err(error) => shown(&error),
        };
        if let (Some(usage), Some(seen)) = (client.get("usage"), coder.usage()) {
            let part = |names: [&str; 2]| names.iter().find_map(|name| usage[*name].as_u64());
            assert_eq!(
                part(["completion_tokens", "output_tokens"]),
                Some(seen.output),
                "{}",
                self.dir.display()
            );
        }
        compare(&self.dir.join("client.json"), &pretty(&client));
    }

    fn stream(&self, stream: &[u8]) {
        let whole = self.streamed(stream, stream.len());
        for size in 1..stream.len() {
            assert_eq!(self.streamed(stream, size), whole, "{} in pieces of {size}", self.dir.display());
        }
        compare(&self.dir.join("client.sse"), &whole.0);
    }

    fn streamed(&self, stream: &[u8], size: usize) -> (String, Option<Usage>) {
        let mut coder = self.coder();
        let mut out = Vec::new();
        let mut fed = Ok(());
        for piece in stream.chunks(size) {
            fed = fed.and_then(|()| coder.push(Bytes::copy_from_slice(piece), &mut out));
        }
        if let Err(error) = fed.and_then(|()| coder.end(&mut out)) {
            out.push(coder.error_frame(&error));
        }
        (String::from_utf8(out.concat()).unwrap(), coder.usage())
    }

    fn refusal(&self, error: &Value) {
        let mut headers = HeaderMap::new();
        for (name, value) in error["headers"].as_object().into_iter().flatten() {
            let value = HeaderValue::from_str(value.as_str().unwrap()).unwrap();
            headers.insert(HeaderName::from_bytes(name.as_bytes()).unwrap(), value);
        }
        let status = u16::try_from(error["status"].as_u64().unwrap()).unwrap();
        let refusal = self.coder().refusal(status, &headers, error["body"].to_string().as_bytes());
        compare(&self.dir.join("client_error.json"), &pretty(&shown(&refusal)));
    }
}

fn shown(error: &UpstreamError) -> Value {
    json!({
        "status": error.status,
        "kind": format!("{:?}", error.kind),
        "message": error.message,
        "type": error.upstream_type,
        "code": error.upstream_code,
        "param": error.param,
        "retry_after": error.retry_after,
    })
}

fn json_at(path: &Path) -> Option<Value> {
    let text = fs::read(path).ok()?;
    Some(serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

fn compare(path: &Path, seen: &str) {
    if std::env::var("TAGRAIL_GOLDEN").is_ok_and(|mode| mode == "write") {
        fs::write(path, seen).unwrap();
        return;
    }
    let expected = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(expected == seen, "{} differs\n--- expected\n{expected}\n--- seen\n{seen}", path.display());
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect();
    paths.sort();
    paths
}

/// Runs all cases of one dialect.
fn run(dialect: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(dialect);
    let cases = directories(&root);
    assert!(!cases.is_empty());
    for dir in cases {
        let call = Call::read(&dir);
        let mut pairs = 0;
        if dir.join("request.json").exists() {
            call.request();
            pairs += 1;
        }
        if let Ok(reply) = fs::read(dir.join("reply.json")) {
            call.reply(reply);
            pairs += 1;
        }
        if let Ok(stream) = fs::read(dir.join("stream.sse")) {
            call.stream(&stream);
            pairs += 1;
        }
        if let Some(error) = json_at(&dir.join("error.json")) {
            call.refusal(&error);
            pairs += 1;
        }
        assert!(pairs > 0, "{} tests nothing", dir.display());
    }
}

#[test]
fn anthropic_messages() {
    run("anthropic_messages");
}

#[test]
fn openai_chat() {
    run("openai_chat");
}
