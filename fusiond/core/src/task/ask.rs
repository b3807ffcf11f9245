//! `task ask`: a running attempt asks a person for leave or for words, and waits.
//!
//! Not for: the reply (`answer`), the program that asks.

use crate::agent::AgentLife;
use crate::event::EventKind;
use crate::input::{Caller, Rights};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::question::{self, TEXT_BYTES_MAX};
use crate::task::{Question, QuestionKind, TaskState};
use crate::time::Millis;

/// What is asked.
#[derive(Clone, Debug)]
pub struct AskTask {
    /// Leave or words.
    pub kind: QuestionKind,
    /// For people.
    pub text: String,
    /// How long a reply is waited for; `None`: as long as the attempt lives.
    pub timeout: Option<Millis>,
    /// Hash of the request id.
    pub request: u64,
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: AskTask,
) -> Result<Done, Reject> {
    let agent = match caller.rights {
        Rights::Agent(agent) => agent,
        Rights::Admin | Rights::User => return Err(Reject::AskedOutside),
    };
    let (id, active) = question::work_of(state, agent).ok_or(Reject::AskedOutside)?;
    if active.question.as_ref().is_some_and(|known| known.request == ask.request) {
        return Ok(Done::Same(id));
    }
    if active.open_question().is_some() {
        return Err(Reject::QuestionOpen { task: id.to_string() });
    }
    check_text("the question", &ask.text)?;
    if ask.text.is_empty() {
        return Err(Reject::FieldMissing { field: "text" });
    }
    let kind = ask.kind;
    let text = ask.text.clone();
    let owner = state.alter_task(out, id, |task| {
        if let TaskState::Active(active) = &mut task.state {
            active.clock = active.clock.stand(turn.now);
            active.question = Some(Box::new(Question {
                request: ask.request,
                kind,
                text: ask.text.into(),
                asked_at: turn.now,
                expires_at: ask.timeout.map(|span| turn.now.plus(span)),
                reply: None,
            }));
        }
        task.owner
    });
    state.alter_agent(out, agent, |agent| {
        if let AgentLife::Busy { work, .. } = agent.life {
            agent.life = AgentLife::Waiting { since: turn.now, work, reason: kind };
        }
    });
    let told = EventKind::TaskAsked { task: id, kind: kind.word().to_owned(), text };
    state.tell(out, turn.now, caller.actor(), owner, told);
    Ok(Done::Task(id))
}

pub(crate) fn check_text(what: &'static str, text: &str) -> Result<(), Reject> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(Reject::TooLarge { what, bytes: text.len(), limit: TEXT_BYTES_MAX });
    }
    Ok(())
}
