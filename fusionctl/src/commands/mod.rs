//! One file for each verb: its arguments beside its work.
//!
//! For: picking the verb, and what every verb gets ([`Session`]). Not for: printing (`output`, `view`)
//! or the connection (`client`).

pub(crate) mod agent;
pub(crate) mod completion;
pub(crate) mod event;
pub(crate) mod profile;
pub(crate) mod run;
pub(crate) mod system;
pub(crate) mod task;
pub(crate) mod why;

use crate::args::{Args, Noun};
use crate::client::{Link, Place};
use crate::error::{Complaint, Exit, Stop};
use crate::output::Output;

/// What every verb gets.
#[derive(Debug)]
pub(crate) struct Session {
    /// Where the daemon is.
    pub(crate) place: Place,
    /// Where it prints.
    pub(crate) out: Output,
}

impl Session {
    /// Connects to the daemon.
    pub(crate) async fn link(&self) -> Result<Link, Stop> {
        Link::open(&self.place).await
    }

    /// Reports an error that does not end the run, behind everything printed so far.
    pub(crate) fn complain(&mut self, complaint: &Complaint) -> Result<(), Stop> {
        self.out.flush()?;
        complaint.report(self.out.format());
        Ok(())
    }
}

/// Does what the command line says.
pub(crate) async fn run(args: Args) -> Result<Exit, Stop> {
    let session = Session {
        place: Place { socket: args.socket, host: args.host },
        out: Output::new(args.output, args.quiet),
    };
    match args.noun {
        Noun::Run(args) => run::run(session, *args).await,
        Noun::Agent(verb) => agent::run(session, verb).await,
        Noun::Task(verb) => task::run(session, verb).await,
        Noun::Event(verb) => event::run(session, verb).await,
        Noun::Profile(verb) => profile::run(session, verb).await,
        Noun::Why(args) => why::run(session, args).await,
        Noun::System(verb) => system::run(session, verb).await,
        Noun::Completion(args) => completion::run(session, args),
    }
}
