//! `agent`: supervised workers.

pub(crate) mod attach;
mod list;
mod logs;
mod pause;
mod remove;
mod restart;
mod resume;
mod scale;
mod send;
mod show;
pub(crate) mod spawn;
mod terminate;
mod update;

use clap::Subcommand;

use super::Session;
use crate::error::{Exit, Stop};

/// What to do with agents.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Start an agent from a profile and print its id
    Spawn(Box<spawn::Args>),
    /// List your agents, oldest first
    List(list::Args),
    /// Show one agent: its state, limits and workspace
    Show(show::Args),
    /// Freeze an agent with all its processes, or let its task end first
    Pause(pause::Args),
    /// Let a paused agent go on
    Resume(resume::Args),
    /// End an agent's processes and start it anew; lifts a quarantine
    Restart(restart::Args),
    /// End an agent for good and return when none of its processes is left
    Terminate(terminate::Args),
    /// Remove what a terminated agent left: its record, logs and workspace
    Remove(remove::Args),
    /// See what an agent's running attempt writes, and type to it
    Attach(attach::Args),
    /// Write into the standard input of an agent's running attempt
    Send(send::Args),
    /// Change settings of a living agent
    Update(Box<update::Args>),
    /// Make more agents of one kind, or end some
    Scale(scale::Args),
    /// Print the output of an agent's attempts, oldest first
    Logs(logs::Args),
}

/// Picks the verb.
pub(crate) async fn run(session: Session, verb: Verb) -> Result<Exit, Stop> {
    match verb {
        Verb::Spawn(args) => spawn::run(session, *args).await,
        Verb::List(args) => list::run(session, args).await,
        Verb::Show(args) => show::run(session, args).await,
        Verb::Pause(args) => pause::run(session, args).await,
        Verb::Resume(args) => resume::run(session, args).await,
        Verb::Restart(args) => restart::run(session, args).await,
        Verb::Terminate(args) => terminate::run(session, args).await,
        Verb::Remove(args) => remove::run(session, args).await,
        Verb::Attach(args) => attach::run(session, args).await,
        Verb::Send(args) => send::run(session, args).await,
        Verb::Update(args) => update::run(session, *args).await,
        Verb::Scale(args) => scale::run(session, args).await,
        Verb::Logs(args) => logs::run(session, args).await,
    }
}

/// Prints an agent after a change: its name and new state, or its document.
fn print_changed(session: &mut Session, agent: fusion_proto::v1::Agent) -> Result<(), Stop> {
    let agent = crate::view::agent::Agent::from(agent);
    session.out.changed(&agent, &agent.line())
}

/// Prints the agents of a group: their ids, or a list of all that they are.
fn print_group(session: &mut Session, agents: Vec<fusion_proto::v1::Agent>) -> Result<(), Stop> {
    let agents: Vec<_> = agents.into_iter().map(crate::view::agent::Agent::from).collect();
    if session.out.is_quiet() {
        agents.iter().try_for_each(|agent| session.out.line(&agent.id))?;
        return session.out.flush();
    }
    session.out.document(&agents, |out| agents.iter().try_for_each(|agent| out.line(&agent.line())))
}
