//! `AskTask`: an attempt asks a person, and its call stays open until there is a reply.
//!
//! A caller that hangs up withdraws its question; a daemon that stops does not: the next one finds the
//! question, and the caller that asks again goes on waiting.
//!
//! Not for: deciding; `fusion_core::task` does.

use super::refuse::refuse;
use super::tasks::task_of;
use super::{Door, millis, submit, view};
use crate::engine::Engine;
use fusion_core::task::{AskTask, QuestionKind, Reply};
use fusion_core::{Caller, Command, Key, Reject, Rights, State, TaskId};
use fusion_proto::v1;
use tonic::Status;

impl Door {
    pub(super) async fn ask_person(
        &self,
        caller: Caller,
        ask: v1::AskTaskRequest,
    ) -> Result<v1::Reply, Status> {
        let mut question = plan(caller, ask).map_err(|reject| refuse(&reject))?;
        if let Rights::Agent(agent) = caller.rights {
            // It is stored and shown, as output is.
            let text = self.masked(agent, question.text.into_bytes(), false).await?;
            question.text = String::from_utf8_lossy(&text).into_owned();
        }
        let request = question.request;
        let asked = self.engine.ask(caller, Command::AskTask(question), None, |_, _, done| task_of(done));
        let id = asked.await.map_err(|reject| refuse(&reject))?;
        let mut asker = Asker { engine: Some(self.engine.clone()), caller, request };
        let mut stopping = self.stopping.clone();
        let reply = tokio::select! {
            reply = self.engine.wait(Key::Task(id), move |state| reply_in(state, id, request)) => reply,
            // Ended with the daemon as well when the sender is gone.
            _ = stopping.wait_for(|stopping| *stopping) => Err(Reject::Stopping),
        };
        asker.engine = None;
        let reply = reply.and_then(|reply| reply).map_err(|reject| refuse(&reject))?;
        view::task::reply(&reply).ok_or_else(|| Status::cancelled("the question was withdrawn"))
    }
}

fn plan(caller: Caller, ask: v1::AskTaskRequest) -> Result<AskTask, Reject> {
    if ask.request_id.is_empty() {
        return Err(Reject::FieldMissing { field: "request_id" });
    }
    if ask.text.contains('\0') {
        return Err(Reject::NulByte { what: "the question".to_owned() });
    }
    let kind = match ask.kind() {
        v1::QuestionKind::Approval => QuestionKind::Approval,
        v1::QuestionKind::Input | v1::QuestionKind::Unspecified => QuestionKind::Input,
    };
    let timeout = millis("timeout", ask.timeout)?;
    let request = submit::request_hash(caller.uid, &ask.request_id);
    Ok(AskTask { kind, text: ask.text, timeout, request })
}

/// The reply to a question, or the news that it is no longer the one that the attempt asks.
fn reply_in(state: &State, id: TaskId, request: u64) -> Option<Result<Reply, Reject>> {
    let Some(task) = state.task(id) else {
        return Some(Err(Reject::TaskNotFound { task: id.to_string() }));
    };
    let question = task.state.active().and_then(|active| active.question.as_ref());
    match question.filter(|question| question.request == request) {
        Some(question) => question.reply.clone().map(Ok),
        None => {
            Some(Err(Reject::TaskState { task: id.to_string(), state: task.state.word(), verb: "answered" }))
        }
    }
}

/// Whoever waits for a reply. Dropped while it waits, it has hung up.
struct Asker {
    engine: Option<Engine>,
    caller: Caller,
    request: u64,
}

impl Drop for Asker {
    fn drop(&mut self) {
        let Some(engine) = self.engine.take() else { return };
        let (caller, command) = (self.caller, Command::WithdrawQuestion { request: self.request });
        tokio::spawn(async move {
            // An engine that has stopped keeps the question for the next daemon.
            drop(engine.ask(caller, command, None, |_, _, _| ()).await);
        });
    }
}
