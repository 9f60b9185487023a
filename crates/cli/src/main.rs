//! The binary `tagrail`.
//!
//! Map: `flags.rs` what can be typed; `litellm_flags.rs` what people type who come from LiteLLM; one
//! file for each command: `serve.rs`, `demo.rs`, `check.rs`, `explain.rs`, `import.rs`, and those that ask a
//! running gateway: `team.rs`, `key.rs`, `spend.rs`, by `remote.rs`, with `terms.rs` for what teams and
//! keys share and `table.rs` for what is printed; `place.rs` where teams and keys are kept; `report.rs`
//! findings, `summary.rs` what a configuration holds, `differences.rs` what the routing modes make of it;
//! `failure.rs` how a command ends; `logging.rs` the log.

mod address;
mod check;
mod demo;
mod explain;
mod failure;
mod flags;
mod import;
mod key;
mod litellm_flags;
mod logging;
mod place;
mod remote;
mod report;
mod serve;
mod spend;
mod table;
mod team;
mod terms;

use std::process::ExitCode;

use clap::Parser;

use crate::failure::ended;
use crate::flags::{Command, Flags};
use crate::litellm_flags::Sifted;

/// A request allocates some forty times, often a few kilobytes for a map of headers, which the system's
/// allocator is slow at; the figures are in `bench/README.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A mistake in how the program was called.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let sifted = match litellm_flags::sift(std::env::args_os()) {
        Ok(sifted) => sifted,
        Err(refusal) => {
            report::complain(&refusal);
            return ExitCode::from(USAGE);
        }
    };
    let status = run(sifted);
    logging::finish();
    status
}

fn run(sifted: Sifted) -> ExitCode {
    let Sifted { arguments, notices } = sifted;
    let bare = arguments.len() == 1 && notices.is_empty();
    let flags = Flags::parse_from(arguments);
    for notice in notices {
        report::complain(&notice);
    }
    match flags.command {
        Some(Command::Check(flags)) => check::run(&flags),
        Some(Command::Explain(flags)) => explain::run(&flags),
        Some(Command::Demo(flags)) => demo::run(flags.port),
        Some(Command::Serve(flags)) => serve::run(&flags),
        Some(Command::Team(flags)) => ended(team::run(&flags)),
        Some(Command::Key(flags)) => ended(key::run(&flags)),
        Some(Command::Spend(flags)) => ended(spend::run(&flags)),
        Some(Command::Import(flags)) => ended(import::run(&flags)),
        None if bare && flags.serve.config.is_none() => demo::run(flags.serve.port()),
        None => serve::run(&flags.serve),
    }
}
