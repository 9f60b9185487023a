//! The log: lines on standard error, by a queue that never makes a call wait (`logging/queue.rs`).

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tagrail_server::Metrics;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

mod queue;

pub(crate) use queue::Target;
use queue::{LogWriter, Queue, StandardStreams};

/// How long the end of the process waits for lines that are not written yet.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Once the log has started, everything that this process prints goes through it.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// Counts panics and dropped lines, once there is a server.
static METRICS: OnceLock<Arc<Metrics>> = OnceLock::new();

/// Ours at information, libraries at warnings. `tagrail` is the prefix of all our crates' names.
const DEFAULT: &str = "warn,sqlx=error,tagrail=info";

/// How much to log, as asked for by flags.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Loudness {
    /// What the environment says.
    #[default]
    Normal,
    /// `--debug`.
    Debug,
    /// `--detailed_debug`.
    Everything,
}

/// Starts to log. A filter that cannot be read is named, and the default taken.
pub(crate) fn start(loudness: Loudness) {
    let wish = match loudness {
        Loudness::Debug => Some("warn,sqlx=error,tagrail=debug".to_owned()),
        Loudness::Everything => Some("debug".to_owned()),
        Loudness::Normal => {
            ["TAGRAIL_LOG", "LITELLM_LOG", "RUST_LOG"].iter().find_map(|name| std::env::var(name).ok())
        }
    };
    let filter = EnvFilter::try_new(directives(wish.as_deref().unwrap_or(DEFAULT))).unwrap_or_else(|error| {
        crate::report::complain(&format!("the log filter is not understood: {error}"));
        EnvFilter::new(DEFAULT)
    });
    let terminal = std::io::stderr().is_terminal();
    let queue = match Queue::start(StandardStreams, count_dropped) {
        Ok(queue) => queue,
        Err(error) => {
            crate::report::complain(&format!(
                "no thread can be started for the log, so there is none: {error}"
            ));
            return;
        }
    };
    let queue = QUEUE.get_or_init(|| queue).clone();
    std::panic::set_hook(Box::new(panicked));
    // An error about the log itself would be written past the queue.
    let log =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal).log_internal_errors(false);
    log.with_writer(move || LogWriter(queue.clone())).init();
}

/// Prints through the queue. `false`: there is none, because the log has not started.
pub(crate) fn print(target: Target, text: &str) -> bool {
    let Some(queue) = QUEUE.get() else { return false };
    queue.push(target, text.as_bytes());
    true
}

/// Whether what is printed goes through the queue.
pub(crate) fn is_started() -> bool {
    QUEUE.get().is_some()
}

/// Has panics and dropped lines counted here.
pub(crate) fn count_in(metrics: Arc<Metrics>) {
    // There is one server in a process.
    let _ = METRICS.set(metrics);
}

/// Writes what waits, for a moment at most: a reader who has stopped does not keep the process.
pub(crate) fn finish() {
    if let Some(queue) = QUEUE.get() {
        queue.flush(LAST_LINES);
    }
}

fn count_dropped(lines: u64) {
    if let Some(metrics) = METRICS.get() {
        metrics.log_lines_dropped(lines);
    }
}

/// The default hook writes to standard error itself, and would wait there.
fn panicked(info: &PanicHookInfo<'_>) {
    if let Some(metrics) = METRICS.get() {
        metrics.panicked();
    }
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("without a name");
    print(Target::Error, &format!("tagrail: panic in thread {thread}: {info}\n"));
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        print(Target::Error, &format!("{backtrace}\n"));
    }
}

/// What sqlx says at `warn`, that a pool was slow, the ledger says better.
///
/// A bare level, LiteLLM's `DEBUG` among them, is about this program and not about its libraries.
fn directives(wish: &str) -> String {
    match wish.trim().parse::<LevelFilter>() {
        Ok(level) => format!("warn,sqlx=error,tagrail={level}"),
        Err(_) => wish.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_level_is_about_this_program() {
        assert_eq!(directives("DEBUG"), "warn,sqlx=error,tagrail=debug");
        assert_eq!(directives("hyper=trace"), "hyper=trace");
    }
}
