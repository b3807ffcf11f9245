//! What became of several tasks: each as it is known, and the exit code at the end.
//!
//! Not for: which tasks (`selection`), nor what is done to them.

use fusion_proto::v1;

use crate::commands::Session;
use crate::error::{Complaint, Exit, Stop};
use crate::output::{Format, json_line};
use crate::view::task::Task;

/// Prints tasks as they come, and remembers what the exit code must say. One task that was named is
/// one JSON object; several are an array.
#[derive(Debug)]
pub(super) struct Report<'a> {
    session: &'a mut Session,
    alone: bool,
    kept: Vec<Task>,
    exits: Vec<Exit>,
}

impl<'a> Report<'a> {
    /// A report on one named task (`alone`) or on several.
    pub(super) const fn new(session: &'a mut Session, alone: bool) -> Self {
        Self { session, alone, kept: Vec::new(), exits: Vec::new() }
    }

    /// Whether it prints more of a task than a line.
    pub(super) fn wants_results(&self) -> bool {
        let out = &self.session.out;
        out.format() != Format::Table && !out.is_quiet()
    }

    /// Prints a task.
    pub(super) fn task(&mut self, task: v1::Task, exit: Exit) -> Result<(), Stop> {
        self.exits.push(exit);
        let task = Task::from(task);
        let out = &mut self.session.out;
        if out.is_quiet() {
            out.line(&task.id)?;
            return out.flush();
        }
        match out.format() {
            Format::Table => out.line(&task.state_line())?,
            Format::Jsonl => out.line(&json_line(&task))?,
            Format::Json | Format::Yaml => {
                self.kept.push(task);
                return Ok(());
            }
        }
        out.flush()
    }

    /// Remembers what the exit code must say of something that is not printed here.
    pub(super) fn exit(&mut self, exit: Exit) {
        self.exits.push(exit);
    }

    /// Reports that nothing was done to one of several.
    pub(super) fn refusal(&mut self, refusal: v1::Refusal, about: &str) -> Result<(), Stop> {
        self.error(Complaint::of_refusal(refusal).into(), Some(about))
    }

    /// Reports an error; the end of the output is passed on.
    pub(super) fn error(&mut self, stop: Stop, about: Option<&str>) -> Result<(), Stop> {
        let complaint = stop.into_complaint()?;
        let complaint = match about {
            Some(name) if !self.alone => complaint.about(name),
            Some(_) | None => complaint,
        };
        self.exits.push(complaint.exit);
        self.session.complain(&complaint)
    }

    /// Prints what was kept, and chooses the exit code.
    pub(super) fn finish(self) -> Result<Exit, Stop> {
        let Self { session, alone, kept, exits } = self;
        let exit = Exit::of_several(exits);
        let programs = matches!(session.out.format(), Format::Json | Format::Yaml) && !session.out.is_quiet();
        match kept.as_slice() {
            [] if alone => {}
            [one] if alone => session.out.document(one, |_| Ok(()))?,
            several if programs => session.out.document(&several, |_| Ok(()))?,
            _ => {}
        }
        session.out.flush()?;
        Ok(exit)
    }
}
