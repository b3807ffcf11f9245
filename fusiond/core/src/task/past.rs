//! What a verb says of a task that ended and left the memory: the same as of one that ended just now.
//!
//! Nothing changes here. Not for: `task retry`, which brings such a task back (`retry`).

use crate::ids::TaskId;
use crate::input::{Caller, Command};
use crate::reject::Reject;
use crate::state::State;
use crate::step::Done;
use crate::task::{Task, TaskState, retry};

/// A command about one task that was named by its full id.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Which task.
    pub task: TaskId,
    verb: Verb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Cancel,
    Answer,
    Resolve,
    Hold,
    Release,
    Update,
}

impl Past {
    /// The part of a command that matters if its task is in memory no more; `None` when it can name none
    /// that ended.
    #[must_use]
    pub fn of(command: &Command) -> Option<Self> {
        let (task, verb) = match command {
            Command::CancelTask { task, .. } => (task, Verb::Cancel),
            Command::AnswerTask { task, .. } => (task, Verb::Answer),
            Command::ResolveTask { task, .. } => (task, Verb::Resolve),
            Command::HoldTask { task } => (task, Verb::Hold),
            Command::ReleaseTask { task } => (task, Verb::Release),
            Command::UpdateTask(ask) => (&ask.task, Verb::Update),
            Command::SpawnAgent(_)
            | Command::SpawnGroup { .. }
            | Command::ScaleAgents { .. }
            | Command::UpdateAgent { .. }
            | Command::PauseAgent { .. }
            | Command::ResumeAgent { .. }
            | Command::RestartAgent { .. }
            | Command::TerminateAgent { .. }
            | Command::RemoveAgent { .. }
            | Command::RemoveWorkspace { .. }
            | Command::SubmitTask(_)
            | Command::RunTask(_)
            | Command::RetryTask { .. }
            | Command::AskTask(_)
            | Command::WithdrawQuestion { .. }
            | Command::SetSecret(_)
            | Command::RemoveSecret { .. }
            | Command::ApplyProfiles { .. }
            | Command::RemoveProfile { .. }
            | Command::ApplyWorkflow(_)
            | Command::StartRun(_)
            | Command::PauseRun { .. }
            | Command::ResumeRun { .. }
            | Command::CancelRun { .. }
            | Command::ApproveNode(_)
            | Command::RerunRun { .. }
            | Command::EditRun(_)
            | Command::SetIntake(_)
            | Command::StopAll { .. } => return None,
        };
        TaskId::parse(task).map(|task| Self { task, verb })
    }

    /// What becomes of the command, given the task as it is stored.
    ///
    /// # Errors
    /// [`Reject::TaskNotFound`] for what the caller may not see and for what has not ended;
    /// [`Reject::NotPermitted`]; [`Reject::TaskState`].
    pub fn decide(self, state: &State, caller: Caller, stored: &Task) -> Result<Done, Reject> {
        let has_ended = stored.state.ended_at().is_some();
        if !has_ended || state.task(stored.id).is_some() || !state.sees_task(caller, stored) {
            return Err(Reject::TaskNotFound { task: self.task.to_string() });
        }
        if let Some(what) = self.verb.for_people() {
            retry::demand_owner(caller, what)?;
        }
        if self.verb == Verb::Cancel && matches!(stored.state, TaskState::Cancelled { .. }) {
            return Ok(Done::Task(stored.id));
        }
        Err(super::wrong_state(stored.id, &stored.state, self.verb.participle()))
    }
}

impl Verb {
    /// What an agent may not do, as the verb itself names it.
    const fn for_people(self) -> Option<&'static str> {
        match self {
            Self::Cancel => None,
            Self::Answer => Some(super::answer::LEAVE),
            Self::Resolve => Some(super::resolve::LEAVE),
            Self::Hold => Some(super::hold::LEAVE),
            Self::Release => Some(super::release::LEAVE),
            Self::Update => Some(super::update::LEAVE),
        }
    }

    const fn participle(self) -> &'static str {
        match self {
            Self::Cancel => "cancelled",
            Self::Answer => "answered",
            Self::Resolve => "resolved",
            Self::Hold => "held",
            Self::Release => "released",
            Self::Update => "updated",
        }
    }
}
