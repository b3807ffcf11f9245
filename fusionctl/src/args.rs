//! The command line: what stands before the noun, and the nouns.
//!
//! Each verb declares its own arguments beside its work, in `commands/NOUN/VERB.rs`. Not for: work.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use crate::commands::{agent, event, profile, run, system, task, why};
use crate::error::{Complaint, Exit};
use crate::output::Format;

/// Supervise AI agents on this machine.
///
/// A daemon, fusiond, keeps agents and a durable queue of tasks; this program speaks to it.
#[derive(Debug, Parser)]
#[command(name = "fusionctl", version, subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = AFTER)]
pub(crate) struct Args {
    /// Socket of the daemon [env: FUSION_SOCKET]
    #[arg(long, global = true, value_name = "PATH", help_heading = EVERYWHERE)]
    pub(crate) socket: Option<PathBuf>,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = EVERYWHERE)]
    pub(crate) output: Format,
    /// Print ids alone, one a line
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

/// Under which heading the options of every verb stand.
const EVERYWHERE: &str = "Everywhere";

const AFTER: &str = "\
Examples:
  fusionctl run shell 'make check'
  fusionctl agent spawn builder --profile shell --capability sh
  fusionctl task submit --capability sh --wait 'echo hello'
  fusionctl why tsk_4f2k9x0a

Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 refused in this state, 5 not permitted,
            6 daemon unreachable, 7 timed out, 8 limit reached, 70 bug";

/// What a command is about.
#[derive(Debug, Subcommand)]
pub(crate) enum Noun {
    /// Run one prompt or command with an agent of its own, and exit with its code
    Run(Box<run::Args>),
    /// Start, confine, stop and watch agents
    #[command(subcommand)]
    Agent(agent::Verb),
    /// Submit work, follow it and end it
    #[command(subcommand)]
    Task(task::Verb),
    /// Read the durable log of what happened
    #[command(subcommand)]
    Event(event::Verb),
    /// See what agents can be made of
    #[command(subcommand)]
    Profile(profile::Verb),
    /// Say what a task or an agent waits for, and what would change that
    Why(why::Args),
    /// Look after the daemon itself
    #[command(subcommand)]
    System(system::Verb),
}

/// Reads the command line; help, version and mistakes are printed here.
pub(crate) fn parse() -> Result<Args, Exit> {
    Args::try_parse().map_err(|error| {
        // A closed stdout or stderr leaves nobody to tell.
        drop(error.print());
        if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            return Exit::Done;
        }
        let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
        if !is_help && asks_for_json(std::env::args()) {
            let text = error.to_string();
            let first = text.lines().next().unwrap_or_default().trim_start_matches("error: ");
            let object = serde_json::to_string(&Complaint::usage(first)).expect("strings are valid JSON");
            drop(std::io::Write::write_all(&mut std::io::stderr(), format!("{object}\n").as_bytes()));
        }
        Exit::Usage
    })
}

/// Whether the arguments, which did not parse, ask for JSON.
fn asks_for_json(args: impl Iterator<Item = String>) -> bool {
    let args: Vec<String> = args.take_while(|arg| arg != "--").collect();
    let is_json = |value: &str| matches!(value, "json" | "jsonl");
    args.windows(2).any(|pair| matches!(pair[0].as_str(), "-o" | "--output") && is_json(&pair[1]))
        || args
            .iter()
            .any(|arg| arg.strip_prefix("--output=").or_else(|| arg.strip_prefix("-o")).is_some_and(is_json))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn every_verb_has_one_sentence_and_an_example() {
        fn check(command: &clap::Command, path: &str) {
            for verb in command.get_subcommands() {
                let path = format!("{path} {}", verb.get_name());
                let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
                assert!(about.len() > 10, "{path} says nothing");
                if !verb.has_subcommands() {
                    let after = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
                    assert!(after.contains(path.trim()), "{path} has no example");
                }
                check(verb, &path);
            }
        }
        check(&Args::command(), "fusionctl");
    }

    #[test]
    fn json_is_recognised_in_arguments_that_do_not_parse() {
        let asks = |line: &str| asks_for_json(line.split(' ').map(str::to_owned));
        assert!(asks("fusionctl -o json nonsense"));
        assert!(asks("fusionctl task --output=jsonl"));
        assert!(asks("fusionctl -ojson"));
        assert!(!asks("fusionctl -o yaml"));
        assert!(!asks("fusionctl task submit --run -- cmd -o json"));
    }
}
