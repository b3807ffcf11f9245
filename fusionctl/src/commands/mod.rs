//! One file for each verb: its arguments beside its work.
//!
//! For: picking the verb, and what every verb gets ([`Session`]). Not for: printing (`output`, `view`)
//! or the connection (`client`).

pub(crate) mod agent;
pub(crate) mod completion;
pub(crate) mod event;
pub(crate) mod logs;
pub(crate) mod profile;
pub(crate) mod run;
pub(crate) mod secret;
pub(crate) mod system;
pub(crate) mod task;
pub(crate) mod why;
pub(crate) mod workflow;
pub(crate) mod workspace;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use crate::args::{Args, Noun};
use crate::client::{Link, Place};
use crate::error::{Complaint, Exit, Stop};
use crate::output::{Output, Shown};

/// The exit code at the end of the terminal: 128 and the number of the signal.
pub(crate) const HUNG_UP: u8 = 129;

/// The exit code of somebody who has left with Ctrl-C: 128 and the number of the signal.
pub(crate) const INTERRUPTED: u8 = 130;

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

    /// Does one thing to each of several, prints each as it is then, and complains about the others. People get the line
    /// that `line` makes of a name and what has it. One that is named is one JSON object; several are an array.
    pub(crate) async fn each<T: Shown, F: Future<Output = Result<T, Stop>>>(
        &mut self,
        names: Vec<String>,
        act: impl Fn(String) -> F,
        line: impl Fn(&str, &T) -> String,
    ) -> Result<Exit, Stop> {
        if let [name] = names.as_slice() {
            let changed = act(name.clone()).await?;
            self.out.changed(&changed, &line(name, &changed))?;
            return Ok(Exit::Done);
        }
        let (mut exits, mut kept) = (Vec::new(), Vec::new());
        for name in names {
            match act(name.clone()).await {
                Ok(changed) if self.out.is_one_document() => kept.push(changed),
                Ok(changed) => self.out.changed(&changed, &line(&name, &changed))?,
                Err(stop) => {
                    let complaint = stop.into_complaint()?.about(&name);
                    exits.push(complaint.exit);
                    self.complain(&complaint)?;
                }
            }
        }
        if self.out.is_one_document() {
            self.out.document(&kept, |_| Ok(()))?;
        }
        self.out.flush()?;
        Ok(Exit::of_several(exits))
    }

    /// Reports an error that does not end the run, behind everything printed so far.
    pub(crate) fn complain(&mut self, complaint: &Complaint) -> Result<(), Stop> {
        self.out.flush()?;
        complaint.report(self.out.format());
        Ok(())
    }
}

/// Asks on a terminal; what runs without one is a script that says what it means.
fn agreed(question: &str) -> Result<bool, Stop> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Ok(true);
    }
    let unreadable = |error| Complaint::unreadable("the terminal", &error);
    io::stderr().write_all(format!("{question} [y/N] ").as_bytes()).map_err(unreadable)?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).map_err(unreadable)?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
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
        Noun::Workflow(verb) => workflow::run(session, verb).await,
        Noun::Workspace(verb) => workspace::run(session, verb).await,
        Noun::Event(verb) => event::run(session, verb).await,
        Noun::Profile(verb) => profile::run(session, verb).await,
        Noun::Secret(verb) => secret::run(session, verb).await,
        Noun::Why(args) => why::run(session, args).await,
        Noun::System(verb) => system::run(session, verb).await,
        Noun::Completion(args) => completion::run(session, args),
    }
}
