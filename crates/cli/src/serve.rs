//! `tagrail --config FILE`: the gateway.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tagrail::Router;
use tagrail_config::{Resolved, Summary};
use tagrail_server::{Metrics, Parts, Running, Signals};

use crate::flags::ServeFlags;
use crate::logging::{self, Loudness};
use crate::place::Place;
use crate::report::{self, complain, say};
use crate::{USAGE, check};

/// How long calls in flight may go on after SIGTERM: what orchestrators commonly wait before they kill.
const DRAIN: Duration = Duration::from_secs(25);

/// Runs until SIGTERM or Ctrl-C.
pub(crate) fn run(flags: &ServeFlags) -> ExitCode {
    let Some(path) = &flags.config else {
        complain("no configuration: give --config FILE, or try `tagrail demo`");
        return ExitCode::from(USAGE);
    };
    if flags.validate_config {
        return check::check(path, None, false);
    }
    logging::start(match (flags.detailed_debug, flags.debug) {
        (true, _) => Loudness::Everything,
        (false, true) => Loudness::Debug,
        (false, false) => Loudness::Normal,
    });
    let signals = match prepare_process() {
        Ok(signals) => signals,
        Err(status) => return status,
    };
    let loaded = tagrail_config::load(path, &environment);
    report::show(&loaded);
    let (verdict, count) = (loaded.verdict(), loaded.count());
    let Some(resolved) = loaded.resolved else {
        let why = verdict.unwrap_or(count);
        complain(&format!("{} cannot be served: {why}", path.display()));
        return ExitCode::FAILURE;
    };
    if let Some(verdict) = verdict {
        complain(&format!("{verdict}; `tagrail check {}` says more", path.display()));
    }
    let host = flags.host.as_deref().unwrap_or_else(|| default_host(&resolved));
    let address = match address(host, flags.port()) {
        Ok(address) => address,
        Err(error) => {
            complain(&format!("cannot listen on {host}: {error}"));
            return ExitCode::from(USAGE);
        }
    };
    if resolved.general.master_key.is_none() {
        if !address.ip().to_canonical().is_loopback() {
            complain(&not_without_a_key(host));
            return ExitCode::FAILURE;
        }
        complain(
            "no master key: only clients on this machine are served, and each may do everything; keys, teams and budgets \
             hold for nobody",
        );
    }
    let summary = Summary::of(&resolved);
    let place = Place::of(&flags.place, &resolved.general);
    match start(resolved, address, flags.num_workers, &place) {
        Ok(running) => {
            say(&format!("tagrail on http://{}: {}\n", running.address(), summary.line()));
            until_signal(running, signals)
        }
        Err(NotStarted::Address(error)) => {
            complain(&cannot_listen(address, &error, "--port"));
            ExitCode::FAILURE
        }
        Err(NotStarted::Ledger(sentence)) => {
            complain(&sentence);
            ExitCode::FAILURE
        }
    }
}

/// Takes over signals, and raises the limit on open files.
pub(crate) fn prepare_process() -> Result<Signals, ExitCode> {
    if let Err(error) = tagrail_server::raise_file_limit() {
        complain(&format!("the limit on open files cannot be raised: {error}"));
    }
    Signals::install().map_err(|error| {
        complain(&format!("signals cannot be handled: {error}"));
        ExitCode::FAILURE
    })
}

/// Why the server does not run.
pub(crate) enum NotStarted {
    /// It cannot listen.
    Address(io::Error),
    /// Teams and keys cannot be kept; a sentence.
    Ledger(String),
}

/// Starts the server on threads of its own.
pub(crate) fn start(
    resolved: Resolved,
    address: SocketAddr,
    threads: Option<NonZeroUsize>,
    place: &Place,
) -> Result<Running, NotStarted> {
    let metrics = Arc::new(Metrics::new());
    logging::count_in(metrics.clone());
    let router = Router::new(resolved, metrics.clone());
    let ledger = place.ledger(&router, &metrics).map_err(NotStarted::Ledger)?;
    tagrail_server::serve(Parts { router, metrics, ledger, address, threads, drain: DRAIN })
        .map_err(NotStarted::Address)
}

/// Blocks until the end, which a signal brings.
pub(crate) fn until_signal(running: Running, signals: Signals) -> ExitCode {
    match running.run_until_signal(signals) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

/// What to say when the address cannot be had.
pub(crate) fn cannot_listen(address: SocketAddr, error: &io::Error, flag: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            let other = address.port().checked_add(1).unwrap_or(crate::flags::DEFAULT_PORT);
            format!("port {} is taken by another program; try {flag} {other}", address.port())
        }
        _ => format!("cannot listen on {address}: {error}"),
    }
}

/// The process environment. What is not Unicode counts as unset.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// What to say to a host that others can reach, when nothing tells them from the owner (row D19).
fn not_without_a_key(host: &str) -> String {
    format!(
        "without a master key this gateway does not listen on {host}, where others could reach it: set \
         `general_settings.master_key` or the environment variable LITELLM_MASTER_KEY, or give --host 127.0.0.1"
    )
}

/// LiteLLM listens on every interface; without a master key that would help nobody but a scanner.
fn default_host(resolved: &Resolved) -> &'static str {
    if resolved.general.master_key.is_some() { "0.0.0.0" } else { "127.0.0.1" }
}

fn address(host: &str, port: u16) -> io::Result<SocketAddr> {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let found = (host, port).to_socket_addrs()?.next();
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        assert_eq!(address("127.0.0.1", 1).unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(address("[::1]", 1).unwrap().to_string(), "[::1]:1");
        assert!(address("not a host", 1).is_err());
    }

    #[test]
    fn a_taken_port_comes_with_another() {
        let address = "127.0.0.1:4000".parse().unwrap();
        let sentence = cannot_listen(address, &io::ErrorKind::AddrInUse.into(), "--port");
        assert!(sentence.contains("4000") && sentence.contains("--port 4001"), "{sentence}");
    }
}
