//! `task answer`, `task approve [--reject]`: a person's reply to the question of an attempt; and its end
//! without one.
//!
//! Not for: asking (`ask`).

use crate::agent::{AgentLife, Work};
use crate::event::EventKind;
use crate::ids::TaskId;
use crate::input::{Actor, Caller, Rights};
use crate::reject::Reject;
use crate::state::State;
use crate::step::{Done, Out, Turn};
use crate::task::ask::check_text;
use crate::task::{QuestionKind, Reply, TaskState, question, retry};

/// What a person replies.
#[derive(Clone, Debug)]
pub enum Answer {
    /// `task approve`.
    Approve {
        /// Why, for the record.
        comment: String,
    },
    /// `task approve --reject`.
    Reject {
        /// Why, for the record.
        comment: String,
    },
    /// `task answer`.
    Text(String),
}

impl Answer {
    const fn suits(&self) -> QuestionKind {
        match self {
            Self::Approve { .. } | Self::Reject { .. } => QuestionKind::Approval,
            Self::Text(_) => QuestionKind::Input,
        }
    }

    fn by(self, by: Actor) -> Reply {
        match self {
            Self::Approve { comment } => Reply::Approved { by, comment: comment.into() },
            Self::Reject { comment } => Reply::Rejected { by, comment: comment.into() },
            Self::Text(text) => Reply::Answered { by, text: text.into() },
        }
    }

    fn check(&self) -> Result<(), Reject> {
        match self {
            Self::Approve { comment } | Self::Reject { comment } => check_text("the comment", comment),
            Self::Text(text) => check_text("the answer", text),
        }
    }
}

/// What an agent has no leave for.
pub(crate) const LEAVE: &str = "answering questions of tasks";

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    task: &str,
    answer: Answer,
) -> Result<Done, Reject> {
    // A question is for a person: an agent could else give itself leave.
    let found = retry::find_for_owner(state, caller, task, LEAVE)?;
    let id = found.id;
    let Some(question) = found.open_question() else {
        return Err(super::wrong_state(id, &found.state, "answered"));
    };
    if question.kind != answer.suits() {
        return Err(Reject::QuestionKind { task: id.to_string(), kind: question.kind.word() });
    }
    answer.check()?;
    settle(state, out, turn, id, caller.actor(), answer.by(caller.actor()));
    Ok(Done::Task(id))
}

/// Whoever asked has gone: nobody hears a reply any more.
pub(crate) fn withdraw(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    request: u64,
) -> Result<Done, Reject> {
    let work = match caller.rights {
        Rights::Agent(agent) => question::work_of(state, agent),
        Rights::Admin | Rights::User => None,
    };
    let Some((id, active)) = work else { return Ok(Done::Daemon) };
    if active.open_question().is_some_and(|question| question.request == request) {
        settle(state, out, turn, id, caller.actor(), Reply::Withdrawn);
    }
    Ok(Done::Task(id))
}

/// Ends the open question: the clocks go on where nothing else holds them, and so does the agent.
pub(crate) fn settle(state: &mut State, out: &mut Out, turn: Turn, id: TaskId, actor: Actor, reply: Reply) {
    let agent = state.task(id).and_then(crate::Task::lease).and_then(|lease| state.agent(lease.agent));
    let Some(agent) = agent else { return };
    let (agent, owner, idle) = (agent.id, agent.owner, agent.spec.idle_timeout);
    let stands = matches!(state.agent(agent).map(|agent| &agent.life), Some(AgentLife::Paused { .. }));
    let kind = EventKind::TaskAnswered { task: id, reply: reply.word().to_owned(), comment: remark(&reply) };
    state.alter_task(out, id, |task| {
        let timeouts = task.spec.timeouts.or_idle(idle);
        let TaskState::Active(active) = &mut task.state else { return };
        if let Some(question) = &mut active.question {
            question.reply = Some(reply);
        }
        if !stands {
            active.clock = active.clock.tick(turn.now).look_again(timeouts, turn.now);
        }
    });
    state.alter_agent(out, agent, |agent| {
        if let AgentLife::Waiting { work, .. } = agent.life {
            agent.life = AgentLife::Busy { since: turn.now, work };
        }
    });
    state.tell(out, turn.now, actor, Some(owner), kind);
}

/// What the event keeps of a reply. Words that a program asked for may be a password: they are not kept.
fn remark(reply: &Reply) -> String {
    match reply {
        Reply::Approved { comment, .. } | Reply::Rejected { comment, .. } => comment.to_string(),
        Reply::Answered { .. } | Reply::Expired | Reply::Withdrawn => String::new(),
    }
}

/// What an agent does that holds this work and does not stand still.
pub(crate) fn life_with(state: &State, work: Work, turn: Turn) -> AgentLife {
    match state.task(work.task).and_then(crate::Task::open_question) {
        Some(question) => AgentLife::Waiting { since: turn.now, work, reason: question.kind },
        None => AgentLife::Busy { since: turn.now, work },
    }
}
