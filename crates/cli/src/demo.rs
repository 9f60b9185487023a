//! `tagrail demo`: a gateway to play with. Its configuration and its upstream are inside the program,
//! so it needs no key, no network and no database.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use tagrail_config::{Loaded, Resolved, Summary};
use tagrail_server::{Running, demo_upstream};

use crate::logging::{self, Loudness};
use crate::place::Place;
use crate::report::{self, complain, say};
use crate::serve::{NotStarted, cannot_listen, prepare_process, start, until_signal};

/// What it serves.
const CONFIG: &str = include_str!("demo.yaml");

/// In the configuration; printed, because nothing here is secret.
const KEY: &str = "sk-1234";

/// Runs until SIGTERM or Ctrl-C.
pub(crate) fn run(port: u16) -> ExitCode {
    logging::start(Loudness::Normal);
    let signals = match prepare_process() {
        Ok(signals) => signals,
        Err(status) => return status,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let loaded = match upstream() {
        Ok(upstream) => load(upstream),
        Err(error) => {
            complain(&format!("the demo upstream does not start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    report::show(&loaded);
    let Some(resolved) = loaded.resolved else { return ExitCode::FAILURE };
    // Its teams and keys are gone when it ends.
    let directory = match tempfile::Builder::new().prefix("tagrail-demo-").tempdir() {
        Ok(directory) => directory,
        Err(error) => {
            complain(&format!("there is no place for the demo's teams and keys: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let status = match launch(resolved, address, &Place::in_directory(directory.path())) {
        Ok(running) => until_signal(running, signals),
        Err(NotStarted::Address(error)) => {
            complain(&cannot_listen(address, &error, "tagrail demo --port"));
            ExitCode::FAILURE
        }
        Err(NotStarted::Ledger(sentence)) => {
            complain(&sentence);
            ExitCode::FAILURE
        }
    };
    if let Err(error) = directory.close() {
        complain(&format!("the demo's teams and keys are still there: {error}"));
    }
    status
}

fn launch(resolved: Resolved, address: SocketAddr, place: &Place) -> Result<Running, NotStarted> {
    let summary = Summary::of(&resolved);
    let running = start(resolved, address, None, place)?;
    say(&introduction(running.address(), &summary));
    Ok(running)
}

/// The configuration with the upstream's address in it. Nothing else of the environment counts: a
/// provider's key that happens to be set must not change what the demonstration shows.
fn load(upstream: SocketAddr) -> Loaded {
    let variable = |name: &str| match name {
        "DEMO_OPENAI_BASE" => Some(format!("http://{upstream}/v1")),
        "DEMO_ANTHROPIC_BASE" => Some(format!("http://{upstream}")),
        _ => None,
    };
    tagrail_config::load_text(CONFIG, Path::new("demo.yaml"), &variable)
}

/// Starts the upstream on a thread of its own, for as long as the program runs.
fn upstream() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("demo-upstream".into()).spawn(move || -> io::Result<Infallible> {
        let ended = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            Ok(demo_upstream::serve(listener).await)
        });
        if let Err(error) = &ended {
            complain(&format!("the demo upstream has ended: {error}"));
        }
        ended
    })?;
    Ok(address)
}

/// A request to try, and what to look for in the answer: a response header, mostly.
struct Example {
    title: &'static str,
    look_for: &'static str,
    path: &'static str,
    header: Option<&'static str>,
    body: &'static str,
}

const EXAMPLES: &[Example] = &[
    Example {
        title: "a tag in the body picks the free tier",
        look_for: "x-litellm-model-id: gpt-4-free",
        path: "/v1/chat/completions",
        header: None,
        body: r#"{"model": "gpt-4", "messages": [{"role": "user", "content": "Hello"}], "tags": ["free"]}"#,
    },
    Example {
        title: "a tag in a header picks the paid tier",
        look_for: "x-litellm-model-id: gpt-4-paid",
        path: "/v1/chat/completions",
        header: Some("x-litellm-tags: paid"),
        body: r#"{"model": "gpt-4", "messages": [{"role": "user", "content": "Hello"}]}"#,
    },
    Example {
        title: "no tag goes to the default, here as a stream",
        look_for: "x-litellm-model-id: gpt-4-default",
        path: "/v1/chat/completions",
        header: None,
        body: r#"{"model": "gpt-4", "messages": [{"role": "user", "content": "Hello"}], "stream": true}"#,
    },
    Example {
        title: "team A has its own deployment",
        look_for: "x-litellm-model-id: team-a-model",
        path: "/v1/chat/completions",
        header: None,
        body: r#"{"model": "fake-openai-endpoint", "messages": [{"role": "user", "content": "Hello"}], "metadata": {"tags": ["teamA"]}}"#,
    },
    Example {
        title: "any Anthropic model, translated from and to OpenAI's format",
        look_for: "x-litellm-model-name: anthropic/claude-3-haiku-20240307",
        path: "/v1/chat/completions",
        header: None,
        body: r#"{"model": "anthropic/claude-3-haiku-20240307", "messages": [{"role": "user", "content": "Hello"}]}"#,
    },
    Example {
        title: "the same in Anthropic's own format",
        look_for: "x-litellm-model-id: anthropic-wildcard",
        path: "/v1/messages",
        header: None,
        body: r#"{"model": "anthropic/claude-3-haiku-20240307", "max_tokens": 50, "messages": [{"role": "user", "content": "Hello"}]}"#,
    },
    Example {
        title: "any Groq model",
        look_for: "x-litellm-model-name: groq/llama3-8b-8192",
        path: "/v1/chat/completions",
        header: None,
        body: r#"{"model": "groq/llama3-8b-8192", "messages": [{"role": "user", "content": "Hello"}]}"#,
    },
    Example {
        title: "a pattern with two wildcards",
        look_for: "x-litellm-model-name: openai/fo::hi::static::hi",
        path: "/v1/chat/completions",
        header: None,
        body: r#"{"model": "fo::hi::static::hi", "messages": [{"role": "user", "content": "Hello"}]}"#,
    },
    Example {
        title: "where a request would go, and why, without sending it",
        look_for: "gpt-4-free",
        path: "/route/explain",
        header: None,
        body: r#"{"model": "gpt-4", "tags": ["free"]}"#,
    },
];

fn introduction(address: SocketAddr, summary: &Summary) -> String {
    let mut text = format!(
        "tagrail demo on http://{address}: {}\n\
         The master key is {KEY}. The answers come from an upstream inside this program.\n",
        summary.line()
    );
    for example in EXAMPLES {
        let header = example.header.map(|header| format!(" -H '{header}'")).unwrap_or_default();
        text.push_str(&format!(
            "\n# {}; look for  {}\ncurl -si http://{address}{} -H 'Authorization: Bearer {KEY}' -H 'Content-Type: application/json'{header} -d '{}'\n",
            example.title, example.look_for, example.path, example.body
        ));
    }
    text.push_str(&team_flow(address));
    text.push_str("\nCtrl-C ends it, and forgets the teams.\n");
    text
}

/// Two teams with a deployment each, from nothing but `curl` and the master key. Pasted as it is, it works:
/// the shell keeps what the answers say.
fn team_flow(address: SocketAddr) -> String {
    let admin = |path: &str, body: &str| {
        format!(
            "curl -s http://{address}{path} -H 'Authorization: Bearer {KEY}' -H 'Content-Type: application/json' -d {body}"
        )
    };
    let kept = |name: &str, field: &str, asked: &str| {
        format!("{name}=$({asked} | grep -o '\"{field}\":\"[^\"]*' | cut -d '\"' -f 4)\n")
    };
    let chat = |look_for: &str, key: &str, more: &str| {
        format!(
            "# look for  {look_for}\ncurl -si http://{address}/v1/chat/completions -H \"Authorization: Bearer ${key}\" -H \
             'Content-Type: application/json' -d '{{\"model\": \"fake-openai-endpoint\", \"messages\": [{{\"role\": \"user\", \
             \"content\": \"Hello\"}}]{more}}}'\n"
        )
    };
    let mut text = "\n# teams: each reaches its own deployment, whatever its calls say\n".to_owned();
    for (team, key, tag) in [("TEAM_A", "KEY_A", "teamA"), ("TEAM_B", "KEY_B", "teamB")] {
        text += &kept(team, "team_id", &admin("/team/new", &format!("'{{\"tags\": [\"{tag}\"]}}'")));
        let body = format!("\"{{\\\"team_id\\\": \\\"${team}\\\"}}\"");
        text += &kept(key, "key", &admin("/key/generate", &body));
    }
    text += &chat("x-litellm-model-id: team-a-model", "KEY_A", "");
    text += &chat("x-litellm-model-id: team-b-model", "KEY_B", "");
    text += &chat("x-litellm-model-id: team-a-model", "KEY_A", ", \"tags\": [\"teamB\"]");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_has_no_findings() {
        let loaded = load("127.0.0.1:1".parse().unwrap());
        assert_eq!(loaded.diagnostics, []);
        assert!(loaded.resolved.is_some());
    }
}
