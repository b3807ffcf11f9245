//! `fusionctl`: the command line of fusiond.
//!
//! For: arguments in, one call or stream on the socket, words and an exit code out. Not for: rules;
//! what may happen is decided in the daemon, and a script may rely on nothing here but
//! `docs/reference`.
//!
//! ```text
//!   args ──► commands/NOUN/VERB ──► client ──► fusiond.sock
//!                  │
//!                  └──► view (JSON shapes) ──► output (table, json, jsonl, yaml)
//! ```
//!
//! A library so that tests write the reference and the man pages from the command line itself.

mod args;
mod client;
mod colour;
mod commands;
mod complete;
mod elsewhere;
mod env_file;
mod error;
mod files;
mod near;
mod output;
mod speckit;
mod table;
mod units;
mod usage;
mod view;

use std::process::ExitCode;

use commands::HUNG_UP;
use error::{Complaint, Exit, Stop};
use output::Format;

/// The command line as it is declared: for its reference, its man pages and its completions.
#[must_use]
pub fn command() -> clap::Command {
    args::command()
}

/// Does what the command line says.
#[must_use]
pub fn run() -> ExitCode {
    complete::answer();
    let args = match args::parse() {
        Ok(args) => args,
        Err(exit) => return exit.into(),
    };
    let format = args.output;
    colour::choose(args.color);
    end(within_runtime(commands::run(args)), format)
}

/// The command line of `fusion-run` as it is declared: for its man page.
#[must_use]
pub fn speckit_command() -> clap::Command {
    speckit::command()
}

/// Does what spec-kit asks of an agent's command (`fusion-run`).
#[must_use]
pub fn run_speckit() -> ExitCode {
    let args = args::typed().skip(1).collect();
    end(within_runtime(speckit::run(args)), Format::Table)
}

/// Reports what stopped it, if that is for anybody to read.
fn end(done: Result<Exit, Stop>, format: Format) -> ExitCode {
    let exit = done.unwrap_or_else(|stop| match stop {
        Stop::OutputClosed => Exit::Done,
        Stop::TerminalGone => Exit::Program(HUNG_UP),
        Stop::Complaint(complaint) => {
            complaint.report(format);
            complaint.exit
        }
    });
    exit.into()
}

/// One thread does: every verb waits for one socket, and a thread pool would only cost start time.
fn within_runtime(work: impl Future<Output = Result<Exit, Stop>>) -> Result<Exit, Stop> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        Complaint::new(Exit::Bug, "runtime", "cannot wait for events").detail(error.to_string())
    })?;
    let done = runtime.block_on(work);
    // A thread that still reads a terminal must not hold up the end.
    runtime.shutdown_background();
    done
}
