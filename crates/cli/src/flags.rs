//! What can be typed.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::import::ImportFlags;
use crate::key::KeyFlags;
use crate::place::PlaceFlags;
use crate::spend::SpendFlags;
use crate::team::TeamFlags;

/// LiteLLM's, so that clients find the gateway where they expect it.
pub(crate) const DEFAULT_PORT: u16 = 4000;

/// An LLM gateway that routes by model name, wildcard and tag, from a LiteLLM config.yaml.
///
/// Without arguments it serves a demonstration on 127.0.0.1:4000 that needs no key and no network.
#[derive(Debug, Parser)]
#[command(name = "tagrail", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES)]
pub(crate) struct Flags {
    #[command(flatten)]
    pub(crate) serve: ServeFlags,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXAMPLES: &str = "\
Examples:
  tagrail                                    the demonstration, with curl lines to try
  tagrail --config config.yaml               serve a configuration on port 4000
  tagrail --config config.yaml --port 8080 --host 127.0.0.1
  tagrail check config.yaml                  what is wrong with it, and what it holds
  tagrail explain -c config.yaml -m gpt-4 --tag free
  tagrail team new --alias blue --tag teamA  at the gateway that runs here; then tagrail key generate

LiteLLM's flags are understood, with dashes or underscores; those without a meaning here say so.
Log levels: TAGRAIL_LOG, LITELLM_LOG or RUST_LOG, such as TAGRAIL_LOG=debug.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve a configuration (the same as no command).
    Serve(ServeFlags),
    /// Serve the demonstration: its own configuration, its own upstream, no network.
    Demo(DemoFlags),
    /// Say what is wrong with a configuration, and what it holds.
    Check(CheckFlags),
    /// Say which deployments a request may go to, and why, without sending anything.
    Explain(ExplainFlags),
    /// Teams of a running gateway: new, update, list, info, delete, block, members, models.
    Team(TeamFlags),
    /// Virtual keys of a running gateway: generate, update, list, info, delete, block, regenerate.
    Key(KeyFlags),
    /// What calls through a running gateway have cost.
    Spend(SpendFlags),
    /// Move in from another gateway's database.
    Import(ImportFlags),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tagrail serve --config config.yaml
  tagrail serve -c config.yaml --port 8080 --host 127.0.0.1 --num-workers 4
  tagrail serve -c config.yaml --data-dir /var/lib/tagrail")]
pub(crate) struct ServeFlags {
    /// The configuration, a LiteLLM config.yaml.
    #[arg(short, long, env = "CONFIG_FILE_PATH", value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Port to listen on; 0 lets the system choose. [default: 4000]
    #[arg(long, env = "PORT")]
    port: Option<u16>,
    /// Address to listen on; without a master key none that others can reach. [default: 0.0.0.0, and
    /// 127.0.0.1 without a master key]
    #[arg(long, env = "HOST")]
    pub(crate) host: Option<String>,
    /// Cores to use. [default: all]
    #[arg(long, env = "NUM_WORKERS", value_name = "N")]
    pub(crate) num_workers: Option<NonZeroUsize>,
    #[command(flatten)]
    pub(crate) place: PlaceFlags,
    /// Log every decision.
    #[arg(long)]
    pub(crate) debug: bool,
    /// Log everything that the libraries say, too.
    #[arg(long)]
    pub(crate) detailed_debug: bool,
    /// LiteLLM's name for `tagrail check`.
    #[arg(long, hide = true, alias = "skip-server-startup")]
    pub(crate) validate_config: bool,
}

impl ServeFlags {
    pub(crate) fn port(&self) -> u16 {
        self.port.unwrap_or(DEFAULT_PORT)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tagrail demo
  tagrail demo --port 8080")]
pub(crate) struct DemoFlags {
    /// Port to listen on; 0 lets the system choose.
    #[arg(long, default_value_t = DEFAULT_PORT)]
    pub(crate) port: u16,
}

#[derive(Debug, Args)]
#[command(after_help = "\
With --data-dir or --database-url, what is said about reserved tags names the teams that are kept there;
nothing is changed there.
Exit status: 0 when nothing but warnings was found, 1 with errors, 2 when called wrongly.

Examples:
  tagrail check config.yaml
  tagrail check config.yaml --data-dir .
  tagrail check config.yaml --json | jq .diagnostics")]
pub(crate) struct CheckFlags {
    /// The configuration, a LiteLLM config.yaml.
    #[arg(value_name = "CONFIG")]
    pub(crate) config: PathBuf,
    /// Look at the teams of the file tagrail.db there, too.
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Look at the teams of that database, too: postgres://... or sqlite:PATH.
    #[arg(long, value_name = "URL", conflicts_with = "data_dir", value_parser = crate::address::Address)]
    pub(crate) database_url: Option<String>,
    /// For machines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Nothing is observed: every deployment counts as healthy. With --team-tag, --key-tag or --reserved it is
asked as a caller who holds these tags, and no others; else as the admin. Exit status: 0 when somebody may serve the
request, 1 when it is refused or the configuration cannot be used, 2 when called wrongly.

Examples:
  tagrail explain -c config.yaml -m gpt-4
  tagrail explain -c config.yaml -m gpt-4 --tag free --tag '!eu'
  tagrail explain -c config.yaml -m gpt-4 --header 'x-litellm-tags=paid,vip'
  tagrail explain -c config.yaml -m gpt-4 --team-tag teamA --reserved teamB --tag teamB
  tagrail explain -c config.yaml -m gpt-4 --header User-Agent=claude-cli/2.0 --json")]
pub(crate) struct ExplainFlags {
    /// The configuration, a LiteLLM config.yaml.
    #[arg(short, long, env = "CONFIG_FILE_PATH", value_name = "FILE")]
    pub(crate) config: PathBuf,
    /// The model asked for.
    #[arg(short, long)]
    pub(crate) model: String,
    /// A tag in the body's `tags`; may be repeated.
    #[arg(short, long = "tag", value_name = "TAG", allow_hyphen_values = true)]
    pub(crate) tags: Vec<String>,
    /// A request header; may be repeated.
    #[arg(short = 'H', long = "header", value_name = "K=V")]
    pub(crate) headers: Vec<String>,
    /// A tag of the caller's team; may be repeated.
    #[arg(long = "team-tag", value_name = "TAG", allow_hyphen_values = true)]
    pub(crate) team_tags: Vec<String>,
    /// A tag of the caller's key; may be repeated.
    #[arg(long = "key-tag", value_name = "TAG", allow_hyphen_values = true)]
    pub(crate) key_tags: Vec<String>,
    /// A tag that is reserved, besides those of the configuration; may be repeated.
    #[arg(long, value_name = "TAG")]
    pub(crate) reserved: Vec<String>,
    /// For machines.
    #[arg(long)]
    pub(crate) json: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definitions_hold_together() {
        Flags::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        let mut command = Flags::command();
        command.build();
        let mut seen = 0;
        examples_below(&mut command, &mut seen);
        assert!(seen > 25, "nested commands are not looked at: {seen}");
    }

    fn examples_below(command: &mut clap::Command, seen: &mut usize) {
        for command in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let help = command.render_long_help().to_string();
            assert!(help.contains("Examples:\n  tagrail"), "{help}");
            *seen += 1;
            examples_below(command, seen);
        }
    }
}
