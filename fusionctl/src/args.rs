//! The command line: what stands before the noun, and the nouns.
//!
//! Each verb declares its own arguments beside its work, in `commands/NOUN/VERB.rs`. Not for: work.

use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{ColorChoice, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::client::ssh::Host;
use crate::colour::Choice;
use crate::commands::{
    agent, completion, event, profile, run, secret, system, task, why, workflow, workspace,
};
use crate::error::Exit;
use crate::output::Format;
use crate::{complete, usage};

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
    /// A daemon on another machine: ssh://[USER@]MACHINE[:PORT][/SOCKET] [env: FUSION_HOST]
    #[arg(long, global = true, value_name = "ADDRESS", value_parser = Host::parse, conflicts_with = "socket", help_heading = EVERYWHERE)]
    pub(crate) host: Option<Host>,
    /// How to print
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = EVERYWHERE)]
    pub(crate) output: Format,
    /// Print ids alone, one a line
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub(crate) quiet: bool,
    /// Colours: where stdout is a terminal, always, or never (NO_COLOR and CLICOLOR_FORCE are heeded, too)
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = EVERYWHERE)]
    pub(crate) color: Choice,
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
    /// Run steps that need one another, with approvals, retries and results passed on
    #[command(subcommand)]
    Workflow(workflow::Verb),
    /// Look at the folders in which agents work
    #[command(subcommand)]
    Workspace(workspace::Verb),
    /// Read the durable log of what happened
    #[command(subcommand)]
    Event(event::Verb),
    /// See what agents can be made of
    #[command(subcommand)]
    Profile(profile::Verb),
    /// Keep values that agents are given by name
    #[command(subcommand)]
    Secret(secret::Verb),
    /// Say what a task, an agent or a run waits for, and what would change that
    Why(why::Args),
    /// Look after the daemon itself
    #[command(subcommand)]
    System(system::Verb),
    /// Write what lets a shell complete commands, flags, ids, names and labels
    Completion(completion::Args),
}

/// The command line with what completes its values.
pub(crate) fn command() -> clap::Command {
    complete::with_values(declared())
}

/// As declared; `-1` is a value where one may stand, so that what is wrong with it is said.
fn declared() -> clap::Command {
    fn take_numbers(command: clap::Command) -> clap::Command {
        let take = |argument: clap::Arg| {
            let takes = argument.is_positional() || argument.get_action().takes_values();
            if takes { argument.allow_negative_numbers(true) } else { argument }
        };
        command.mut_args(take).mut_subcommands(take_numbers)
    }
    take_numbers(Args::command())
}

/// Reads the command line; help, version and mistakes are printed here.
pub(crate) fn parse() -> Result<Args, Exit> {
    let matches = declared().color(help_colour(typed())).try_get_matches();
    matches.and_then(|matches| Args::from_arg_matches(&matches)).map_err(|error| answer(&error))
}

/// Prints help, version or what is wrong.
fn answer(error: &clap::Error) -> Exit {
    let kind = error.kind();
    let is_asked_for = matches!(kind, ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_asked_for || kind == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // A closed stdout leaves nobody to tell.
        drop(error.print());
        return if is_asked_for { Exit::Done } else { Exit::Usage };
    }
    let format = if asks_for_json(typed()) { Format::Json } else { Format::Table };
    usage::complaint(error, typed()).report(format);
    Exit::Usage
}

/// The words of the command line; what is no UTF-8 in them is replaced, since clap is what refuses it.
pub(crate) fn typed() -> impl Iterator<Item = String> {
    std::env::args_os().map(|word| word.to_string_lossy().into_owned())
}

/// Whether help is coloured; clap itself heeds the environment.
fn help_colour(args: impl Iterator<Item = String>) -> ColorChoice {
    let args: Vec<String> = args.take_while(|arg| arg != "--").collect();
    let named = |value: &str| {
        args.windows(2).any(|pair| pair[0] == "--color" && pair[1] == value)
            || args.iter().any(|arg| arg.strip_prefix("--color=") == Some(value))
    };
    match (named("never"), named("always")) {
        (true, _) => ColorChoice::Never,
        (false, true) => ColorChoice::Always,
        (false, false) => ColorChoice::Auto,
    }
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
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
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
