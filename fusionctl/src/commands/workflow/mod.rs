//! `workflow`: steps that need one another, run as tasks.

mod applied;
mod apply;
mod approve;
mod cancel;
mod cost;
mod edit;
mod file;
mod follow;
mod graph;
mod import;
mod list;
mod live;
mod past;
mod pause;
mod plan;
mod rerun;
mod result;
mod resume;
mod revision;
mod run;
mod show;
mod validate;

use clap::Subcommand;

use super::Session;
use crate::error::{Exit, Stop};

/// What to do with workflows and their runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say what is wrong with a definition, with the place of each mistake
    Validate(validate::Args),
    /// Say what a run would do: waves, agents, files in common, time and cost of earlier runs
    Plan(plan::Args),
    /// Begin a run of a file, or of a workflow that was applied, and print its id
    Run(run::Args),
    /// Make a workflow of a task file of spec-kit, and begin a run of it
    Import(Box<import::Args>),
    /// Keep a definition under its name; each change is a new version
    Apply(apply::Args),
    /// List runs, newest first, or the definitions that were applied
    List(list::Args),
    /// Show one run with its nodes
    Show(show::Args),
    /// Draw the nodes of a definition or a run
    Graph(graph::Args),
    /// Let nothing new begin, and what runs end or stand still
    Pause(pause::Args),
    /// Let a paused run go on
    Resume(resume::Args),
    /// End a run and what it does
    Cancel(cancel::Args),
    /// Approve or reject a node that waits for a person
    Approve(approve::Args),
    /// Do nodes of an ended run once more
    Rerun(rerun::Args),
    /// Give a run another definition for what it has not begun
    Edit(edit::Args),
}

/// Picks the verb.
pub(crate) async fn run(session: Session, verb: Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::Validate(args) => validate::run(session, args),
        Verb::Plan(args) => plan::run(session, args).await,
        Verb::Run(args) => run::run(session, args).await,
        Verb::Import(args) => import::run(session, *args).await,
        Verb::Apply(args) => apply::run(session, args).await,
        Verb::List(args) => list::run(session, args).await,
        Verb::Show(args) => show::run(session, args).await,
        Verb::Graph(args) => graph::run(session, args).await,
        Verb::Pause(args) => pause::run(session, args).await,
        Verb::Resume(args) => resume::run(session, args).await,
        Verb::Cancel(args) => cancel::run(session, args).await,
        Verb::Approve(args) => approve::run(session, args).await,
        Verb::Rerun(args) => rerun::run(session, args).await,
        Verb::Edit(args) => edit::run(session, args).await,
    }
}
