//! Commands that ask a running gateway: where it is, the key to it, and what its refusals mean.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use http::{Method, Request, Uri, header};
use serde_json::Value;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

use crate::failure::Failure;
use crate::report::{complain, say};
use crate::serve::environment;

/// Long enough for a list of a hundred thousand keys.
const PATIENCE: Duration = Duration::from_secs(60);
/// A gateway that is there answers at once.
const CONNECT: Duration = Duration::from_secs(10);
/// A page of the longest list.
const MAX_ANSWER: u64 = 256 * 1024 * 1024;

/// Which gateway, and how to speak to it.
#[derive(Clone, Debug, Args)]
pub(crate) struct RemoteFlags {
    /// Where the gateway is.
    #[arg(
        long,
        env = "TAGRAIL_URL",
        default_value = "http://127.0.0.1:4000",
        value_name = "URL",
        global = true
    )]
    url: String,
    /// The master key, or an administrator's; else TAGRAIL_MASTER_KEY or LITELLM_MASTER_KEY, which do not
    /// show in the list of processes.
    #[arg(long, value_name = "KEY", global = true)]
    key: Option<MasterKey>,
    /// For machines: the gateway's answer as it came.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// A key that prints as nothing.
#[derive(Clone)]
struct MasterKey(String);

impl From<&str> for MasterKey {
    fn from(text: &str) -> MasterKey {
        MasterKey(text.trim().to_owned())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// A gateway to ask.
pub(crate) struct Remote {
    agent: ureq::Agent,
    /// Without a slash at its end.
    base: String,
    /// The same for sentences: without what may be secret in it.
    shown: String,
    key: Option<MasterKey>,
    json: bool,
}

impl Remote {
    /// Reads the flags; nothing is sent.
    pub(crate) fn new(flags: &RemoteFlags) -> Result<Remote, Failure> {
        let base = flags.url.trim_end_matches('/').to_owned();
        let wrong = || Failure::Wrong("--url is not an address like http://127.0.0.1:4000".to_owned());
        let uri: Uri = base.parse().map_err(|_| wrong())?;
        let (Some(scheme), Some(host)) = (uri.scheme_str(), uri.host()) else { return Err(wrong()) };
        if !["http", "https"].contains(&scheme) {
            return Err(wrong());
        }
        let port = uri.port_u16().map(|port| format!(":{port}")).unwrap_or_default();
        let of_environment =
            || ["TAGRAIL_MASTER_KEY", "LITELLM_MASTER_KEY"].into_iter().find_map(environment);
        let key = flags.key.clone().or_else(|| of_environment().map(|key| MasterKey::from(key.as_str())));
        let key = key.filter(|key| !key.0.is_empty());
        if key.as_ref().is_some_and(|key| header::HeaderValue::from_str(&key.0).is_err()) {
            return Err(Failure::Wrong("the key has characters that no header can carry".to_owned()));
        }
        Ok(Remote {
            agent: agent(scheme == "https"),
            shown: format!("{scheme}://{host}{port}"),
            base,
            key,
            json: flags.json,
        })
    }

    /// `GET` with a query.
    pub(crate) fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failure> {
        self.read(&self.text(path, query)?)
    }

    /// The same, of what is not JSON.
    pub(crate) fn text(&self, path: &str, query: &[(&str, &str)]) -> Result<String, Failure> {
        let pairs: Vec<String> =
            query.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        self.ask(Method::GET, &format!("{path}{query}"), None)
    }

    /// `POST` with a body.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        self.read(&self.ask(Method::POST, path, Some(body))?)
    }

    fn read(&self, text: &str) -> Result<Value, Failure> {
        serde_json::from_str(text).map_err(|_| {
            Failure::Failed(format!("{} answers what is no JSON: is this a gateway?", self.shown))
        })
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<String, Failure> {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.base));
        if let Some(key) = &self.key {
            request = request.header(header::AUTHORIZATION, format!("Bearer {}", key.0));
        }
        let sent = match body {
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string())
                .map_err(ureq::Error::from)
                .and_then(|request| self.agent.run(request)),
            None => request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request)),
        };
        let mut response = sent.map_err(|error| self.unreachable(&error))?;
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let text = text.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        if !status.is_success() {
            return Err(self.refused(status.as_u16(), &text));
        }
        Ok(text)
    }

    /// Prints an answer: as it came for machines, as `told` for people, whom its warnings reach too.
    pub(crate) fn show(&self, answer: &Value, told: impl FnOnce(&Value) -> String) {
        if self.json {
            say(&format!("{answer:#}\n"));
            return;
        }
        say(&told(answer));
        let inner = answer.get("data").unwrap_or(answer);
        for warning in [answer, inner].into_iter().filter_map(|it| it.get("warnings")?.as_array()).flatten() {
            complain(warning.as_str().unwrap_or_default());
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let shown = &self.shown;
        Failure::Failed(match error {
            ureq::Error::Io(error) if error.kind() == io::ErrorKind::ConnectionRefused => format!(
                "nothing listens on {shown}: start the gateway, or say with --url or TAGRAIL_URL where it is"
            ),
            ureq::Error::HostNotFound => format!("the host of {shown} cannot be found"),
            ureq::Error::Timeout(_) => format!("{shown} does not answer in time"),
            ureq::Error::BodyExceedsLimit(_) => format!("the answer of {shown} is too long"),
            error => format!("{shown} cannot be asked: {error}"),
        })
    }

    /// What a refusal means. The key is in no sentence, nor what the gateway repeats of it.
    fn refused(&self, status: u16, text: &str) -> Failure {
        let said = message(text);
        let sentence = match status {
            401 if said.contains("Only proxy admin") => {
                "this key may not do that: it takes the master key, or the key of an administrator".to_owned()
            }
            401 if self.key.is_none() => format!(
                "{} wants a key: give --key, or set TAGRAIL_MASTER_KEY or LITELLM_MASTER_KEY",
                self.shown
            ),
            401 => format!(
                "{} does not accept the key (from --key, TAGRAIL_MASTER_KEY or LITELLM_MASTER_KEY)",
                self.shown
            ),
            300..=399 => format!("{} sends elsewhere ({status}): give the address behind it", self.shown),
            404 if said.is_empty() => format!("{} knows no such route: is this a gateway?", self.shown),
            _ if said.is_empty() => format!("{} answers {status}", self.shown),
            _ => said,
        };
        Failure::Failed(sentence)
    }
}

/// What an error says, in any of the shapes that it comes in.
fn message(text: &str) -> String {
    let body: Value = serde_json::from_str(text).unwrap_or_default();
    let found = ["/error/message", "/detail/error", "/detail", "/error"]
        .into_iter()
        .find_map(|pointer| body.pointer(pointer)?.as_str());
    found.unwrap_or_default().to_owned()
}

/// Straight to the gateway: no proxy of the environment may see the key, and no redirection carries it
/// elsewhere.
fn agent(tls: bool) -> ureq::Agent {
    let mut config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(PATIENCE))
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("tagrail/", env!("CARGO_PKG_VERSION")));
    if tls {
        let roots = rustls_native_certs::load_native_certs().certs;
        let roots: Vec<Certificate<'static>> =
            roots.iter().map(|root| Certificate::from_der(root.as_ref()).to_owned()).collect();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .unversioned_rustls_crypto_provider(provider)
            .build();
        config = config.tls_config(tls);
    }
    config.build().new_agent()
}

/// A value for a query string or a path.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_queries_are_encoded() {
        assert_eq!(encoded("a b&c/ü"), "a%20b%26c%2F%C3%BC");
    }

    #[test]
    fn errors_are_read_in_every_shape() {
        assert_eq!(message(r#"{"error": {"message": "m"}}"#), "m");
        assert_eq!(message(r#"{"detail": {"error": "m"}}"#), "m");
        assert_eq!(message(r#"{"detail": "m"}"#), "m");
        assert_eq!(message("<html>"), "");
    }

    #[test]
    fn a_key_prints_as_nothing() {
        let flags = RemoteFlags { url: "http://h".into(), key: Some("sk-secret".into()), json: false };
        assert!(!format!("{flags:?}").contains("secret"));
    }
}
