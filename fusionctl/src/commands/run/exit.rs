//! What the end of a task that was run says to the shell.
//!
//! Not for: errors of fusionctl itself (`error`).

use fusion_proto::v1::{Task, TaskState};

use crate::error::{Complaint, Exit};

/// What shells and `docker run` exit with when there is no such program.
const NO_PROGRAM: u8 = 127;

/// The exit code of a task that has ended or is lost.
pub(super) fn of(task: &Task) -> Exit {
    match task.state() {
        TaskState::Succeeded => Exit::Done,
        TaskState::Failed => of_failed(task),
        TaskState::TimedOut => Exit::TimedOut,
        TaskState::Unspecified
        | TaskState::Blocked
        | TaskState::Deferred
        | TaskState::Queued
        | TaskState::Dispatched
        | TaskState::Running
        | TaskState::WaitingApproval
        | TaskState::WaitingInput
        | TaskState::Held
        | TaskState::Lost
        | TaskState::Cancelled => Exit::Failed,
    }
}

fn of_failed(task: &Task) -> Exit {
    let last = task.attempts.last();
    let code = last.and_then(|attempt| attempt.exit_code).filter(|code| *code != 0);
    let signal = last.and_then(|attempt| attempt.signal).map(|signal| 128 + signal);
    let missing = task.failure.as_ref().is_some_and(|failure| failure.code == "program_not_found");
    match code.or(signal).and_then(|code| u8::try_from(code).ok()) {
        Some(code) => Exit::Program(code),
        None if missing => Exit::Program(NO_PROGRAM),
        None => Exit::Failed,
    }
}

/// What is to be said besides the code: nothing, where the program spoke for itself and was heard.
pub(super) fn complaint(task: &Task, exit: Exit, is_heard: bool) -> Option<Complaint> {
    let id = &task.id;
    if task.state() == TaskState::Lost {
        let message = format!("the outcome of {id} is unknown");
        let hint =
            format!("look at what it did, then `fusionctl task resolve {id} --retry|--fail|--succeed`");
        let failure = task.failure.as_ref();
        let detail = failure.map_or_else(|| task.reason.clone(), |failure| failure.message.clone());
        return Some(Complaint::new(exit, "lost", message).detail(detail).hint(hint));
    }
    if task.state() == TaskState::Cancelled {
        return Some(Complaint::new(exit, "cancelled", format!("somebody cancelled {id}")));
    }
    let failure = task.failure.as_ref()?;
    if failure.code == "exit_nonzero" && is_heard {
        return None;
    }
    let complaint = Complaint::new(exit, &failure.code, format!("{id} did not succeed: {}", failure.message));
    Some(if failure.hint.is_empty() { complaint } else { complaint.hint(failure.hint.clone()) })
}

#[cfg(test)]
mod tests {
    use fusion_proto::v1::{Attempt, Failure};

    use super::*;

    fn failed(code: &str, attempt: Attempt) -> Task {
        let failure = Failure { code: code.to_owned(), message: "m".to_owned(), hint: String::new() };
        Task {
            state: TaskState::Failed.into(),
            failure: Some(failure),
            attempts: vec![attempt],
            ..Task::default()
        }
    }

    #[test]
    fn a_failed_task_exits_as_its_program_did() {
        let exited = failed("exit_nonzero", Attempt { exit_code: Some(42), ..Attempt::default() });
        assert_eq!((of(&exited), complaint(&exited, of(&exited), true)), (Exit::Program(42), None));
        assert!(complaint(&exited, of(&exited), false).is_some(), "nobody heard it");
        let killed = failed("signaled", Attempt { signal: Some(11), ..Attempt::default() });
        assert_eq!(of(&killed), Exit::Program(139));
        assert!(complaint(&killed, of(&killed), true).is_some());
        let missing = failed("program_not_found", Attempt::default());
        assert_eq!(of(&missing), Exit::Program(127));
        let late = Task { state: TaskState::TimedOut.into(), ..Task::default() };
        assert_eq!(of(&late), Exit::TimedOut);
    }
}
