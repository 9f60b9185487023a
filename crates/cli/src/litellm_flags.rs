//! What people type who come from LiteLLM: underscores for dashes, and flags that have no meaning here.
//!
//! They are taken out before the rest is parsed, so the help stays about this program. What would
//! silently do something else than was asked for (serve without TLS, for one) is refused.

use std::ffi::OsString;

/// What is left of a command line.
#[derive(Debug)]
pub(crate) struct Sifted {
    /// For the parser, flags spelt with dashes.
    pub(crate) arguments: Vec<OsString>,
    /// One sentence for each flag that was dropped.
    pub(crate) notices: Vec<String>,
}

/// What becomes of a flag.
enum Fate {
    /// Dropped with a notice.
    Switch(&'static str),
    /// Dropped with its value, with a notice.
    Valued(&'static str),
    /// Not started at all.
    Refused(&'static str),
}

use Fate::{Refused, Switch, Valued};

const NO_WORKERS: &str = "one process serves on all cores; --num-workers says how many";
const IN_THE_FILE: &str = "write it into the configuration file";
const NO_TLS: &str = "put a TLS-terminating proxy in front: this program listens in plain text";
const NO_DATABASE: &str = "there is no such database client here";

/// LiteLLM's flags that this program does not have.
const FATES: &[(&str, Fate)] = &[
    ("add-function-to-prompt", Switch(IN_THE_FILE)),
    ("alias", Valued(IN_THE_FILE)),
    ("api-base", Valued(IN_THE_FILE)),
    ("api-version", Valued(IN_THE_FILE)),
    ("check-migrations-against-existing-data", Switch(NO_DATABASE)),
    ("ciphers", Refused(NO_TLS)),
    ("drop-params", Switch(IN_THE_FILE)),
    ("enforce-prisma-migration-check", Switch(NO_DATABASE)),
    ("headers", Valued(IN_THE_FILE)),
    ("health", Refused("start the gateway, then ask it: curl http://127.0.0.1:4000/health")),
    ("iam-token-db-auth", Switch(NO_DATABASE)),
    ("keepalive-timeout", Valued("idle connections cost next to nothing and are kept")),
    ("limit-concurrency", Valued("set general_settings.max_connections in the configuration file")),
    ("local", Switch("there is one way to start")),
    ("log-config", Valued("TAGRAIL_LOG sets the log levels")),
    ("loop-type", Valued("there is one event loop")),
    ("max-budget", Valued(IN_THE_FILE)),
    ("max-requests-before-restart", Valued("memory does not grow with requests, so nothing restarts")),
    ("max-tokens", Valued(IN_THE_FILE)),
    ("model", Valued(IN_THE_FILE)),
    ("prometheus-metrics-port", Valued("metrics are served on the same port, at /metrics")),
    ("request-timeout", Valued(IN_THE_FILE)),
    ("run-granian", Switch(NO_WORKERS)),
    ("run-gunicorn", Switch(NO_WORKERS)),
    ("run-hypercorn", Switch(NO_WORKERS)),
    ("save", Switch(IN_THE_FILE)),
    ("ssl-certfile-path", Refused(NO_TLS)),
    ("ssl-keyfile-path", Refused(NO_TLS)),
    ("telemetry", Valued("nothing is ever reported to anybody")),
    ("temperature", Valued(IN_THE_FILE)),
    ("test", Refused("start the gateway, then send it a request; `tagrail demo` prints some")),
    ("timeout-worker-healthcheck", Valued(NO_WORKERS)),
    ("use-prisma-db-push", Switch(NO_DATABASE)),
    ("use-queue", Switch("requests are not queued")),
    ("use-v2-migration-resolver", Switch(NO_DATABASE)),
];

/// Sorts a command line, the program's name first.
///
/// # Errors
/// A flag that cannot be ignored without harm, with what to do instead.
pub(crate) fn sift(arguments: impl IntoIterator<Item = OsString>) -> Result<Sifted, String> {
    let mut arguments = arguments.into_iter().peekable();
    let mut sifted = Sifted { arguments: arguments.next().into_iter().collect(), notices: Vec::new() };
    // Only `tagrail [serve]` stands in for `litellm`; to the other commands these flags mean nothing.
    let serves =
        arguments.peek().is_some_and(|first| first == "serve" || first.to_string_lossy().starts_with('-'));
    while let Some(argument) = arguments.next() {
        let Some((name, value)) = argument.to_str().filter(|_| serves).and_then(long_flag) else {
            sifted.arguments.push(argument);
            continue;
        };
        match FATES.iter().find(|(known, _)| *known == name) {
            None => sifted.arguments.push(spell(&name, value.as_deref())),
            Some((_, Refused(hint))) => return Err(format!("--{name} is not supported: {hint}")),
            Some((_, Switch(hint))) => sifted.notices.push(format!("--{name} is ignored: {hint}")),
            Some((_, Valued(hint))) => {
                let is_value = |next: &OsString| !next.to_string_lossy().starts_with("--");
                if value.is_none() && arguments.peek().is_some_and(is_value) {
                    arguments.next();
                }
                sifted.notices.push(format!("--{name} is ignored: {hint}"));
            }
        }
    }
    Ok(sifted)
}

/// `--a_b=v` is `a-b` and `v`.
fn long_flag(argument: &str) -> Option<(String, Option<String>)> {
    let flag = argument.strip_prefix("--").filter(|flag| !flag.is_empty())?;
    match flag.split_once('=') {
        Some((name, value)) => Some((name.replace('_', "-"), Some(value.to_owned()))),
        None => Some((flag.replace('_', "-"), None)),
    }
}

fn spell(name: &str, value: Option<&str>) -> OsString {
    match value {
        Some(value) => format!("--{name}={value}").into(),
        None => format!("--{name}").into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sifted(line: &str) -> (String, usize) {
        let sifted = sift(line.split(' ').map(OsString::from)).unwrap();
        let left: Vec<String> = sifted.arguments.iter().map(|a| a.to_string_lossy().into_owned()).collect();
        (left.join(" "), sifted.notices.len())
    }

    #[test]
    fn underscores_are_dashes_in_flags_and_nowhere_else() {
        assert_eq!(
            sifted("tagrail --config my_config.yaml --num_workers=8 --detailed_debug"),
            ("tagrail --config my_config.yaml --num-workers=8 --detailed-debug".into(), 0)
        );
    }

    #[test]
    fn flags_without_a_meaning_go_with_their_values() {
        assert_eq!(
            sifted("tagrail --telemetry False --run_gunicorn --config c.yaml --max_tokens=5 --port 1"),
            ("tagrail --config c.yaml --port 1".into(), 3)
        );
    }

    #[test]
    fn other_commands_keep_their_own_flags() {
        assert_eq!(
            sifted("tagrail explain --model a_b --tag x"),
            ("tagrail explain --model a_b --tag x".into(), 0)
        );
    }

    #[test]
    fn what_cannot_be_ignored_is_refused() {
        let refusal = sift(["tagrail", "--config", "c", "--ssl_keyfile_path", "k"].map(OsString::from));
        assert!(refusal.unwrap_err().contains("TLS"));
    }

    #[test]
    fn the_table_is_sorted() {
        assert!(FATES.is_sorted_by_key(|(name, _)| *name));
    }
}
