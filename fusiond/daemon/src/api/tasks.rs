//! The task service: one method per verb.
//!
//! Not for: deciding; `fusion_core::task` does.

use super::change::{Changed, plan_resolution};
use super::refuse::refuse;
use super::subject::{find_subject, id_of};
use super::{Door, history, view};
use crate::engine::Beside;
use fusion_core::task::Answer;
use fusion_core::waiting::Thing;
use fusion_core::workflow::explain::{explain_node, explain_run};
use fusion_core::{AgentId, Caller, Command, Done, Reject, State, TaskId, Time, explain, waiting};
use fusion_proto::v1;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};

/// Submissions of one stream that may be under way; bounds memory when the client does not read.
const SUBMITS_IN_FLIGHT: usize = 4096;

type TaskStream<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl v1::task_service_server::TaskService for Door {
    async fn submit_task(
        &self,
        request: Request<v1::SubmitTaskRequest>,
    ) -> Result<Response<v1::Task>, Status> {
        let caller = Self::caller(&request)?;
        let (submit, input) =
            self.plan_submit(caller, request.into_inner()).map_err(|reject| refuse(&reject))?;
        let command = Command::SubmitTask(Box::new(submit));
        let view = |state: &State, _, done| (task_of(done), view_of(state, done));
        let asked = self.engine.ask(caller, command, Some(Beside::Task(input)), view).await;
        let task = match asked {
            Err(reject) => Err(reject),
            Ok((_, Ok(task))) => Ok(task),
            // The one of its key, which ended and left the memory.
            Ok((id, Err(not_found))) => {
                self.find_old(id).await?.map(|task| view::task::task(&task)).ok_or(not_found)
            }
        };
        self.answer(task)
    }

    async fn run_task(
        &self,
        request: Request<v1::RunTaskRequest>,
    ) -> Result<Response<v1::RunTaskResponse>, Status> {
        let caller = Self::caller(&request)?;
        let (run, input) = self.plan_run(caller, request.into_inner()).map_err(|reject| refuse(&reject))?;
        let command = Command::RunTask(Box::new(run));
        let view = |state: &State, _, done| (task_of(done), view_of_run(state, done));
        let asked = self.engine.ask(caller, command, Some(Beside::Task(input)), view).await;
        let (id, ran) = asked.map_err(|reject| refuse(&reject))?;
        let mut ran = match ran {
            Ok(ran) => ran,
            // The one of its key, which ended and left the memory.
            Err(not_found) => self.find_old_run(id).await?.ok_or_else(|| refuse(&not_found))?,
        };
        ran.task = ran.task.map(|task| self.named_task(task));
        Ok(Response::new(ran))
    }

    type SubmitTasksStream = TaskStream<v1::SubmitTasksResponse>;

    async fn submit_tasks(
        &self,
        request: Request<Streaming<v1::SubmitTaskRequest>>,
    ) -> Result<Response<Self::SubmitTasksStream>, Status> {
        let caller = Self::caller(&request)?;
        #[expect(clippy::disallowed_methods, reason = "bounded by the permits that travel with the answers")]
        let (answers, stream) = mpsc::unbounded_channel();
        let door = self.clone();
        tokio::spawn(async move { door.submit_all(caller, request.into_inner(), answers).await });
        // The permit travels with the answer and is freed when the transport has taken it.
        let stream = UnboundedReceiverStream::new(stream).map(|(answer, _permit)| answer);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn store_input(
        &self,
        request: Request<Streaming<v1::StoreInputRequest>>,
    ) -> Result<Response<v1::StoredInput>, Status> {
        let caller = Self::caller(&request)?;
        self.store_prompt(caller, request.into_inner()).await.map(Response::new)
    }

    async fn get_task(&self, request: Request<v1::GetTaskRequest>) -> Result<Response<v1::Task>, Status> {
        let caller = Self::caller(&request)?;
        let task = self.find_task(caller, request.into_inner().task).await?;
        Ok(Response::new(self.with_details(task).await?))
    }

    type FindTasksStream = TaskStream<v1::FindTasksResponse>;

    async fn find_tasks(
        &self,
        request: Request<v1::FindTasksRequest>,
    ) -> Result<Response<Self::FindTasksStream>, Status> {
        let caller = Self::caller(&request)?;
        let found = self.find_all(caller, request.into_inner()).await?;
        Ok(Response::new(Box::pin(found)))
    }

    async fn list_tasks(
        &self,
        request: Request<v1::ListTasksRequest>,
    ) -> Result<Response<v1::ListTasksResponse>, Status> {
        let caller = Self::caller(&request)?;
        self.list_page(caller, request.into_inner()).await.map(Response::new)
    }

    type WaitTasksStream = TaskStream<v1::Task>;

    async fn wait_tasks(
        &self,
        request: Request<v1::WaitTasksRequest>,
    ) -> Result<Response<Self::WaitTasksStream>, Status> {
        let caller = Self::caller(&request)?;
        let stream = self.wait_all(caller, request.into_inner()).await?;
        Ok(Response::new(Box::pin(stream)))
    }

    async fn cancel_task(
        &self,
        request: Request<v1::CancelTaskRequest>,
    ) -> Result<Response<v1::Task>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let grace = self.grace(ask.grace).map_err(|reject| refuse(&reject))?;
        let command = Command::CancelTask { task: ask.task, grace };
        let id = self.engine.ask(caller, command, None, |_, _, done| task_of(done)).await;
        let id = id.map_err(|reject| refuse(&reject))?;
        // Cancelled is said only when nothing of the attempt is left.
        let changed = self.cancelled(id).await.map_err(|reject| refuse(&reject))?;
        self.show_changed(changed).await.map(Response::new)
    }

    async fn retry_task(&self, request: Request<v1::RetryTaskRequest>) -> Result<Response<v1::Task>, Status> {
        let caller = Self::caller(&request)?;
        let task = request.into_inner().task;
        self.order_task(caller, Command::RetryTask { task, recalled: None }).await
    }

    async fn resolve_task(
        &self,
        request: Request<v1::ResolveTaskRequest>,
    ) -> Result<Response<v1::Task>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let resolution = plan_resolution(ask.resolution()).map_err(|reject| refuse(&reject))?;
        self.order_task(caller, Command::ResolveTask { task: ask.task, resolution }).await
    }

    async fn ask_task(&self, request: Request<v1::AskTaskRequest>) -> Result<Response<v1::Reply>, Status> {
        let caller = Self::caller(&request)?;
        self.ask_person(caller, request.into_inner()).await.map(Response::new)
    }

    async fn answer_task(
        &self,
        request: Request<v1::AnswerTaskRequest>,
    ) -> Result<Response<v1::Task>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let answer = Answer::Text(ask.text);
        self.order_task(caller, Command::AnswerTask { task: ask.task, answer }).await
    }

    async fn approve_task(
        &self,
        request: Request<v1::ApproveTaskRequest>,
    ) -> Result<Response<v1::Task>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let answer = match ask.reject {
            true => Answer::Reject { comment: ask.comment },
            false => Answer::Approve { comment: ask.comment },
        };
        self.order_task(caller, Command::AnswerTask { task: ask.task, answer }).await
    }

    async fn hold_task(&self, request: Request<v1::HoldTaskRequest>) -> Result<Response<v1::Task>, Status> {
        let caller = Self::caller(&request)?;
        self.order_task(caller, Command::HoldTask { task: request.into_inner().task }).await
    }

    async fn release_task(
        &self,
        request: Request<v1::ReleaseTaskRequest>,
    ) -> Result<Response<v1::Task>, Status> {
        let caller = Self::caller(&request)?;
        self.order_task(caller, Command::ReleaseTask { task: request.into_inner().task }).await
    }

    async fn update_task(
        &self,
        request: Request<v1::UpdateTaskRequest>,
    ) -> Result<Response<v1::Task>, Status> {
        let caller = Self::caller(&request)?;
        let (update, input) = self.plan_update(caller, request.into_inner()).await?;
        let command = Command::UpdateTask(Box::new(update));
        let changed = self.engine.ask(caller, command, input.map(Beside::Task), |state, _, done| {
            Changed::of(state, task_of(done))
        });
        let changed = changed.await.map_err(|reject| refuse(&reject))?;
        self.show_changed(changed).await.map(Response::new)
    }

    type ChangeTasksStream = TaskStream<v1::ChangeTasksResponse>;

    async fn change_tasks(
        &self,
        request: Request<v1::ChangeTasksRequest>,
    ) -> Result<Response<Self::ChangeTasksStream>, Status> {
        let caller = Self::caller(&request)?;
        let stream = self.change_all(caller, request.into_inner()).map_err(|reject| refuse(&reject))?;
        Ok(Response::new(Box::pin(stream)))
    }

    type TailLogsStream = super::logs::LogStream;

    async fn tail_logs(
        &self,
        request: Request<v1::TailLogsRequest>,
    ) -> Result<Response<Self::TailLogsStream>, Status> {
        let caller = Self::caller(&request)?;
        self.task_logs(caller, request.into_inner()).await.map(Response::new)
    }

    async fn get_task_result(
        &self,
        request: Request<v1::GetTaskResultRequest>,
    ) -> Result<Response<v1::TaskResult>, Status> {
        let caller = Self::caller(&request)?;
        let task = self.find_task(caller, request.into_inner().task).await?;
        let result = self.result_of(&task, history::RESULT_BYTES_MAX).await?;
        Ok(Response::new(result))
    }

    async fn explain(
        &self,
        request: Request<v1::ExplainRequest>,
    ) -> Result<Response<v1::Explanation>, Status> {
        let caller = Self::caller(&request)?;
        let text = request.into_inner().subject;
        let found = self.engine.look(move |state, now| explain_subject(state, caller, &text, now)).await;
        found.and_then(|found| found).map(Response::new).map_err(|reject| refuse(&reject))
    }

    async fn explain_waiting(
        &self,
        request: Request<v1::ExplainWaitingRequest>,
    ) -> Result<Response<v1::ExplainWaitingResponse>, Status> {
        let caller = Self::caller(&request)?;
        let most = match usize::try_from(request.into_inner().limit) {
            Ok(0) | Err(_) => WAITING,
            Ok(most) => most.min(WAITING_MAX),
        };
        let found = self.engine.look(move |state, now| waiting::waiting(state, caller, now, most)).await;
        let (found, more) = found.map_err(|reject| refuse(&reject))?;
        let explanations = found.into_iter().map(|each| explanation(id_of(each.thing), each.state, each.why));
        Ok(Response::new(v1::ExplainWaitingResponse { explanations: explanations.collect(), more }))
    }
}

impl Door {
    /// What a `run` on disk is answered with.
    async fn find_old_run(&self, id: TaskId) -> Result<Option<v1::RunTaskResponse>, Status> {
        let Some(task) = self.find_old(id).await? else { return Ok(None) };
        let look = move |state: &State, _: Time| with_agent(state, id, view::task::task(&task));
        self.engine.look(look).await.map(Some).map_err(|reject| refuse(&reject))
    }
}

/// How many things that wait are explained when nobody says how many.
const WAITING: usize = 10;

/// More at once hold up the engine.
const WAITING_MAX: usize = 100;

pub(super) fn task_of(done: Done) -> TaskId {
    match done {
        Done::Task(id) | Done::Same(id) => id,
        Done::Agent(_)
        | Done::Secret(_)
        | Done::Run(_)
        | Done::SameRun(_)
        | Done::Workflow(_)
        | Done::SameWorkflow(_)
        | Done::Daemon => TaskId(0),
    }
}

fn view_of(state: &State, done: Done) -> Result<v1::Task, Reject> {
    let id = task_of(done);
    state.task(id).map(view::task::task).ok_or_else(|| Reject::TaskNotFound { task: id.to_string() })
}

fn view_of_run(state: &State, done: Done) -> Result<v1::RunTaskResponse, Reject> {
    Ok(with_agent(state, task_of(done), view_of(state, done)?))
}

fn with_agent(state: &State, id: TaskId, task: v1::Task) -> v1::RunTaskResponse {
    let agent = task.agent.clone();
    let made = AgentId::parse(&agent).and_then(|id| state.agent(id)).and_then(fusion_core::Agent::errand);
    let on_demand = made.is_some_and(|errand| errand == id);
    v1::RunTaskResponse { task: Some(task), agent, on_demand }
}

fn explain_subject(state: &State, caller: Caller, text: &str, now: Time) -> Result<v1::Explanation, Reject> {
    let (subject, word, why) = match find_subject(state, caller, text) {
        Ok(Thing::Task(id)) => (
            id.to_string(),
            state.task(id).map(|task| task.state.word()),
            explain::explain_task(state, id, now),
        ),
        Ok(Thing::Agent(id)) => (
            id.to_string(),
            state.agent(id).map(|agent| agent.life.word()),
            explain::explain_agent(state, id, now),
        ),
        Ok(Thing::Run(_)) | Err(Reject::RunNotFound { .. }) => {
            return explain_run_or_node(state, caller, text, now);
        }
        Err(unknown @ Reject::SubjectNotFound { .. }) => {
            let found = explain_run_or_node(state, caller, text, now);
            return found.map_err(|reject| {
                if matches!(reject, Reject::RunNotFound { .. }) { unknown } else { reject }
            });
        }
        Err(other) => return Err(other),
    };
    let why = why.unwrap_or_else(|| explain::Explanation { summary: String::new(), reasons: Vec::new() });
    Ok(explanation(subject, word.unwrap_or_default(), why))
}

/// A run, or, as `RUN/NODE`, a node of it.
fn explain_run_or_node(
    state: &State,
    caller: Caller,
    text: &str,
    now: Time,
) -> Result<v1::Explanation, Reject> {
    // Keys may have slashes of their own, names of nodes have none.
    let whole = state.find_run(caller, text).is_ok();
    let split = text.rsplit_once('/').filter(|_| !whole);
    let (run, node) = split.map_or((text, None), |(run, node)| (run, Some(node)));
    let run = state.find_run(caller, run)?;
    let none = || explain::Explanation { summary: String::new(), reasons: Vec::new() };
    let Some(name) = node else {
        let why = explain_run(state, run.id, now).unwrap_or_else(none);
        return Ok(explanation(run.id.to_string(), run.state.word(), why));
    };
    let not_found = || Reject::NodeNotFound { run: run.id.to_string(), node: name.to_owned() };
    let place = run.find_place(name).ok_or_else(not_found)?;
    let word = run.node(place).map_or("pending", |node| node.state.word());
    let why = explain_node(state, run.id, place, now).unwrap_or_else(none);
    Ok(explanation(format!("{}/{name}", run.id), word, why))
}

fn explanation(subject: String, word: &str, why: explain::Explanation) -> v1::Explanation {
    let reasons = why.reasons.into_iter().map(|reason| v1::Reason {
        code: reason.code.to_owned(),
        text: reason.text,
        remedy: reason.remedy,
    });
    v1::Explanation { subject, state: word.to_owned(), summary: why.summary, reasons: reasons.collect() }
}

type Answered = (Result<v1::SubmitTasksResponse, Status>, tokio::sync::OwnedSemaphorePermit);

impl Door {
    fn answer(&self, task: Result<v1::Task, Reject>) -> Result<Response<v1::Task>, Status> {
        task.map(|task| Response::new(self.named_task(task))).map_err(|reject| refuse(&reject))
    }

    async fn order_task(&self, caller: Caller, command: Command) -> Result<Response<v1::Task>, Status> {
        let changed =
            self.engine.ask(caller, command, None, |state, _, done| Changed::of(state, task_of(done)));
        let changed = changed.await.map_err(|reject| refuse(&reject))?;
        self.show_changed(changed).await.map(Response::new)
    }

    /// Reads the whole stream; answers come in the order of the requests.
    async fn submit_all(
        &self,
        caller: Caller,
        mut requests: Streaming<v1::SubmitTaskRequest>,
        answers: mpsc::UnboundedSender<Answered>,
    ) {
        let slots = Arc::new(Semaphore::new(SUBMITS_IN_FLIGHT));
        while let Ok(Some(ask)) = requests.message().await {
            let Ok(permit) = slots.clone().acquire_owned().await else { return };
            if answers.is_closed() {
                return;
            }
            self.submit_one(caller, ask, permit, &answers).await;
        }
    }

    async fn submit_one(
        &self,
        caller: Caller,
        ask: v1::SubmitTaskRequest,
        permit: tokio::sync::OwnedSemaphorePermit,
        answers: &mpsc::UnboundedSender<Answered>,
    ) {
        let line = ask.line;
        let answers = answers.clone();
        // The client may have gone; what was accepted stands.
        let tell =
            move |result: Result<Done, Reject>| drop(answers.send((Ok(line_answer(line, result)), permit)));
        let (submit, input) = match self.plan_submit(caller, ask) {
            Ok(planned) => planned,
            // Refused lines keep their place in the order: they pass through the engine as a look.
            Err(reject) => {
                drop(self.engine.look(move |_, _| tell(Err(reject))).await);
                return;
            }
        };
        let command = Command::SubmitTask(Box::new(submit));
        let answer = Box::new(move |_: &State, _, result| tell(result));
        // A stopped engine drops the answer, which ends the stream.
        drop(self.engine.ask_later(caller, command, Some(Beside::Task(input)), answer).await);
    }
}

fn line_answer(line: u32, result: Result<Done, Reject>) -> v1::SubmitTasksResponse {
    let outcome = match result {
        Ok(done) => v1::submit_tasks_response::Outcome::Id(task_of(done).to_string()),
        Err(reject) => v1::submit_tasks_response::Outcome::Refusal(v1::Failure {
            code: reject.code().to_owned(),
            message: reject.to_string(),
            hint: reject.hint(),
        }),
    };
    v1::SubmitTasksResponse { line, outcome: Some(outcome) }
}
