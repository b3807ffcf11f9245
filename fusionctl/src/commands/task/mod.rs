//! `task`: units of work in a durable queue.

mod answer;
mod approve;
mod ask;
mod cancel;
mod change;
mod hold;
mod line;
mod list;
mod logs;
pub(crate) mod progress;
mod release;
mod report;
mod resolve;
pub(crate) mod result;
mod retry;
mod selection;
mod show;
pub(crate) mod store;
pub(crate) mod submit;
mod submit_file;
mod task_file;
mod update;
pub(crate) mod wait;

use clap::Subcommand;

use super::Session;
use crate::error::{Exit, Stop};

/// What to do with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Submit a prompt, a command or a file of tasks, and print the ids
    Submit(Box<submit::Args>),
    /// List tasks, newest first
    List(list::Args),
    /// Show one task with its attempts
    Show(show::Args),
    /// Wait until tasks have ended; exits with 1 when one did not succeed
    Wait(wait::Args),
    /// End tasks that have not ended
    Cancel(cancel::Args),
    /// Queue ended tasks again
    Retry(retry::Args),
    /// Change what a task asks for before it starts
    Update(Box<update::Args>),
    /// Keep tasks that have not started from starting
    Hold(hold::Args),
    /// Let held tasks go on
    Release(release::Args),
    /// Decide tasks whose outcome is unknown
    Resolve(resolve::Args),
    /// Answer what a running task asks
    Answer(answer::Args),
    /// Approve or reject what a running task asks leave for
    Approve(approve::Args),
    /// Ask a person, from within a running task, and wait for the reply
    Ask(ask::Args),
    /// Print a task's output as it was written: stdout to stdout, stderr to stderr
    Logs(logs::Args),
    /// Print a task's result alone
    Result(result::Args),
}

/// Picks the verb.
pub(crate) async fn run(session: Session, verb: Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::Submit(args) => submit::run(session, *args).await,
        Verb::List(args) => list::run(session, args).await,
        Verb::Show(args) => show::run(session, args).await,
        Verb::Wait(args) => wait::run(session, args).await,
        Verb::Cancel(args) => cancel::run(session, args).await,
        Verb::Retry(args) => retry::run(session, args).await,
        Verb::Update(args) => update::run(session, *args).await,
        Verb::Hold(args) => hold::run(session, args).await,
        Verb::Release(args) => release::run(session, args).await,
        Verb::Resolve(args) => resolve::run(session, args).await,
        Verb::Answer(args) => answer::run(session, args).await,
        Verb::Approve(args) => approve::run(session, args).await,
        Verb::Ask(args) => ask::run(session, args).await,
        Verb::Logs(args) => logs::run(session, args).await,
        Verb::Result(args) => result::run(session, args).await,
    }
}
