//! The log: lines on standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

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
    tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal).with_writer(std::io::stderr).init();
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
