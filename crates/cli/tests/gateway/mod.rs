//! The built binary, serving on a port of its own.

#![allow(dead_code, reason = "each file of tests uses its part")]

pub(crate) mod desk;
pub(crate) mod shell;

use std::net::SocketAddr;

use serde_json::{Value, json};
use tagrail_testkit::{Client, Program, Response, post};
use tempfile::TempDir;

/// A running gateway; dropping it ends it.
pub(crate) struct Gateway {
    pub(crate) program: Program,
    pub(crate) address: SocketAddr,
    pub(crate) directory: Option<TempDir>,
}

impl Gateway {
    /// Serves a configuration.
    pub(crate) fn start(config: &str) -> Gateway {
        Gateway::start_with(config, &[])
    }

    /// The same, with environment variables. Its teams and keys are kept beside the configuration.
    pub(crate) fn start_with(config: &str, environment: &[(&str, &str)]) -> Gateway {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("config.yaml");
        std::fs::write(&file, config).unwrap();
        let data = directory.path().to_str().unwrap().to_owned();
        let file = file.to_str().unwrap();
        Gateway::launch(
            &["--config", file, "--host", "127.0.0.1", "--port", "0", "--data-dir", &data],
            environment,
            Some(directory),
        )
    }

    /// Whatever these arguments start.
    pub(crate) fn with_arguments(arguments: &[&str]) -> Gateway {
        Gateway::launch(arguments, &[], None)
    }

    /// The demonstration.
    pub(crate) fn demo() -> Gateway {
        let directory = tempfile::tempdir().unwrap();
        let gateway = Gateway::demo_in(directory.path());
        Gateway { directory: Some(directory), ..gateway }
    }

    /// The demonstration, with its own directory below this one.
    pub(crate) fn demo_in(temporary: &std::path::Path) -> Gateway {
        Gateway::launch(&["demo", "--port", "0"], &[("TMPDIR", temporary.to_str().unwrap())], None)
    }

    fn launch(arguments: &[&str], environment: &[(&str, &str)], directory: Option<TempDir>) -> Gateway {
        let mut program = Program::start(env!("CARGO_BIN_EXE_tagrail"), arguments, environment);
        let line = program.line("on http://");
        let address =
            line.split("http://").nth(1).unwrap().split([':', ' ']).take(2).collect::<Vec<_>>().join(":");
        Gateway { program, address: address.parse().unwrap(), directory }
    }

    /// A connection.
    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address).await
    }

    /// A request with the master key.
    pub(crate) async fn post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Response {
        let mut all = vec![KEY];
        all.extend_from_slice(headers);
        post(self.address, path, &all, body).await
    }

    /// A chat request with the master key and a message, `more` laid over the body.
    pub(crate) async fn chat(&self, model: &str, headers: &[(&str, &str)], more: &Value) -> Response {
        self.post("/v1/chat/completions", headers, &chat_body(model, more)).await
    }
}

/// The master key of all configurations here.
pub(crate) const KEY: (&str, &str) = ("authorization", "Bearer sk-1234");

/// A chat request.
pub(crate) fn chat_body(model: &str, more: &Value) -> Value {
    let mut body = json!({"model": model, "messages": [{"role": "user", "content": "Hello"}]});
    for (key, value) in more.as_object().into_iter().flatten() {
        body[key] = value.clone();
    }
    body
}
