//! The workflow service: definitions and runs.
//!
//! Not for: reading users' files; definitions come as JSON and are checked here once more.

use super::refuse::{broken, refuse};
use super::submit::{request_hash, sorted};
use super::{Door, page_size, view};
use crate::engine::Beside;
use crate::engine::workflow::{Script, definition_of, plan, stored_run, stored_runs};
use crate::turns::{Seats, Turns};
use fusion_core::input::PauseHow;
use fusion_core::workflow::{ApplyWorkflow, ApproveNode, Budget, Run, StartRun, Verdict, Workflow};
use fusion_core::{Caller, Command, Done, Key, Reject, RunId, State, Time, Uid, WorkflowId};
use fusion_proto::v1;
use fusion_workflow::{Definition, Severity, inputs};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use tokio_stream::{Stream, StreamExt as _};
use tonic::{Request, Response, Status};

/// Definitions of one user that are read at once; others of theirs wait.
static DEFINITIONS: Turns = Turns::new(2);

/// Those that are read or wait to be; they are in memory meanwhile.
static WAITING: Seats<Uid> = Seats::new();
const DEFINITIONS_WAITING_MAX: usize = 64;

#[tonic::async_trait]
impl v1::workflow_service_server::WorkflowService for Door {
    async fn apply_workflow(
        &self,
        request: Request<v1::ApplyWorkflowRequest>,
    ) -> Result<Response<v1::Workflow>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        self.apply_definition(caller, ask).await.map(Response::new).map_err(|reject| refuse(&reject))
    }

    async fn list_workflows(
        &self,
        request: Request<v1::ListWorkflowsRequest>,
    ) -> Result<Response<v1::ListWorkflowsResponse>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let size = page_size(ask.page_size);
        let after = ask.page_token;
        let look = move |state: &State, _: Time| newest(state, caller, &after, size);
        let workflows = self.engine.look(look).await.map_err(|reject| refuse(&reject))?;
        let last = workflows.last().filter(|_| workflows.len() == size);
        let next_page_token = last.map(|last| last.id.clone()).unwrap_or_default();
        let workflows = workflows.into_iter().map(|each| self.named_workflow(each)).collect();
        Ok(Response::new(v1::ListWorkflowsResponse { workflows, next_page_token }))
    }

    async fn get_workflow(
        &self,
        request: Request<v1::GetWorkflowRequest>,
    ) -> Result<Response<v1::Workflow>, Status> {
        let caller = Self::caller(&request)?;
        let (workflow, text) = self.find_workflow(caller, caller.uid, request.into_inner().workflow).await?;
        let definition = text;
        Ok(Response::new(self.named_workflow(v1::Workflow { definition, ..view::run::workflow(&workflow) })))
    }

    async fn run_workflow(
        &self,
        request: Request<v1::RunWorkflowRequest>,
    ) -> Result<Response<v1::Run>, Status> {
        let caller = Self::caller(&request)?;
        let (start, script) = self.plan_start(caller, request.into_inner()).await?;
        let start = self.check_start(caller, start, &script).await?;
        let command = Command::StartRun(Box::new(start));
        let beside = Some(Beside::Run(script));
        let run = self.engine.ask(caller, command, beside, |state, _, done| run_in(state, done)).await;
        let run = run.and_then(|run| run).map_err(|reject| refuse(&reject))?;
        self.with_results(run).await.map(Response::new)
    }

    async fn list_runs(
        &self,
        request: Request<v1::ListRunsRequest>,
    ) -> Result<Response<v1::ListRunsResponse>, Status> {
        let caller = Self::caller(&request)?;
        self.list_page_of_runs(caller, request.into_inner()).await.map(Response::new)
    }

    async fn get_run(&self, request: Request<v1::GetRunRequest>) -> Result<Response<v1::Run>, Status> {
        let caller = Self::caller(&request)?;
        let run = self.find_run(caller, request.into_inner().run).await?;
        self.with_results(run).await.map(Response::new)
    }

    type WaitRunStream = Pin<Box<dyn Stream<Item = Result<v1::Run, Status>> + Send>>;

    async fn wait_run(
        &self,
        request: Request<v1::WaitRunRequest>,
    ) -> Result<Response<Self::WaitRunStream>, Status> {
        let caller = Self::caller(&request)?;
        let run = self.find_run(caller, request.into_inner().run).await?;
        let door = self.clone();
        let stream = tokio_stream::once(()).then(move |()| {
            let door = door.clone();
            let id = run.id;
            async move { door.ended(id).await }
        });
        Ok(Response::new(Box::pin(stream)))
    }

    async fn pause_run(&self, request: Request<v1::PauseRunRequest>) -> Result<Response<v1::Run>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let how = if ask.freeze { PauseHow::Freeze } else { PauseHow::Drain };
        self.order_run(caller, Command::PauseRun { run: ask.run, how }).await
    }

    async fn resume_run(&self, request: Request<v1::ResumeRunRequest>) -> Result<Response<v1::Run>, Status> {
        let caller = Self::caller(&request)?;
        self.order_run(caller, Command::ResumeRun { run: request.into_inner().run }).await
    }

    async fn cancel_run(&self, request: Request<v1::CancelRunRequest>) -> Result<Response<v1::Run>, Status> {
        let caller = Self::caller(&request)?;
        self.order_run(caller, Command::CancelRun { run: request.into_inner().run }).await
    }

    async fn approve_node(
        &self,
        request: Request<v1::ApproveNodeRequest>,
    ) -> Result<Response<v1::Run>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        let verdict = if ask.reject { Verdict::Rejected } else { Verdict::Approved };
        let ask = ApproveNode { run: ask.run, node: ask.node, verdict, comment: ask.comment };
        self.order_run(caller, Command::ApproveNode(ask)).await
    }

    async fn rerun_run(&self, request: Request<v1::RerunRunRequest>) -> Result<Response<v1::Run>, Status> {
        let caller = Self::caller(&request)?;
        let ask = request.into_inner();
        self.order_run(caller, Command::RerunRun { run: ask.run, from: ask.from, recalled: None }).await
    }

    type ReadNodeOutputStream = Pin<Box<dyn Stream<Item = Result<v1::OutputPiece, Status>> + Send>>;

    async fn read_node_output(
        &self,
        request: Request<v1::ReadNodeOutputRequest>,
    ) -> Result<Response<Self::ReadNodeOutputStream>, Status> {
        let caller = Self::caller(&request)?;
        let pieces = self.read_output(caller, request.into_inner()).await?;
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces).map(Ok))))
    }

    async fn edit_run(&self, request: Request<v1::EditRunRequest>) -> Result<Response<v1::Run>, Status> {
        let caller = Self::caller(&request)?;
        let run = self.edit(caller, request.into_inner()).await?;
        self.with_results(run).await.map(Response::new)
    }

    async fn list_run_revisions(
        &self,
        request: Request<v1::ListRunRevisionsRequest>,
    ) -> Result<Response<v1::ListRunRevisionsResponse>, Status> {
        let caller = Self::caller(&request)?;
        let (run, found) = self.revisions(caller, request.into_inner().run).await?;
        let revisions = found.iter().map(|each| self.shown_revision(&run, each)).collect();
        Ok(Response::new(v1::ListRunRevisionsResponse { revisions }))
    }

    async fn get_run_revision(
        &self,
        request: Request<v1::GetRunRevisionRequest>,
    ) -> Result<Response<v1::RunRevision>, Status> {
        let caller = Self::caller(&request)?;
        self.revision(caller, request.into_inner()).await.map(Response::new)
    }
}

pub(super) fn run_in(state: &State, done: Done) -> Result<Run, Reject> {
    let id = match done {
        Done::Run(id) | Done::SameRun(id) => id,
        Done::Agent(_)
        | Done::Task(_)
        | Done::Same(_)
        | Done::Secret(_)
        | Done::Workflow(_)
        | Done::SameWorkflow(_)
        | Done::Daemon => RunId(0),
    };
    state.run(id).cloned().ok_or_else(|| Reject::RunNotFound { run: id.to_string() })
}

/// The newest version of this name, or, as `NAME@VERSION`, that one.
fn named<'a>(state: &'a State, owner: Uid, text: &str) -> Option<&'a Workflow> {
    let Some((name, version)) = text.split_once('@') else { return state.newest_workflow(owner, text) };
    let version: u32 = version.parse().ok()?;
    let is_it = |found: &&Workflow| found.owner == owner && *found.name == *name && found.version == version;
    state.workflows().find(is_it)
}

/// The newest versions that the caller sees, by id.
fn newest(state: &State, caller: Caller, after: &str, size: usize) -> Vec<v1::Workflow> {
    let is_newest = |workflow: &&Workflow| {
        state.newest_workflow(workflow.owner, &workflow.name).is_some_and(|newest| newest.id == workflow.id)
    };
    let seen = state.workflows().filter(|workflow| State::sees(caller, workflow.owner)).filter(is_newest);
    let rest = seen.filter(|workflow| after.is_empty() || workflow.id.to_string().as_str() > after);
    rest.take(size).map(view::run::workflow).collect()
}

impl Door {
    fn named_workflow(&self, mut workflow: v1::Workflow) -> v1::Workflow {
        workflow.user = self.name_of(&workflow.user);
        workflow
    }

    pub(super) fn named_run(&self, mut run: v1::Run) -> v1::Run {
        run.user = self.name_of(&run.user);
        run
    }

    async fn apply_definition(
        &self,
        caller: Caller,
        ask: v1::ApplyWorkflowRequest,
    ) -> Result<v1::Workflow, Reject> {
        let (owner, owner_name) = self.owner(caller, &ask.user)?;
        let definition = self.read_definition(caller, ask.definition).await?;
        let text = serde_json::to_string(&definition).expect("a definition always has a JSON form");
        let apply = ApplyWorkflow {
            id: WorkflowId(0),
            owner,
            owner_name,
            name: definition.name.clone(),
            fingerprint: fingerprint(&[text.as_bytes()]),
            nodes: u32::try_from(definition.nodes.len()).unwrap_or(u32::MAX),
        };
        let beside = Some(Beside::Definition(text));
        let applied = self.engine.ask(caller, Command::ApplyWorkflow(apply), beside, |state, _, done| {
            let id = match done {
                Done::Workflow(id) | Done::SameWorkflow(id) => id,
                Done::Agent(_)
                | Done::Task(_)
                | Done::Same(_)
                | Done::Secret(_)
                | Done::Run(_)
                | Done::SameRun(_)
                | Done::Daemon => WorkflowId(0),
            };
            state.workflow(id).map(view::run::workflow)
        });
        Ok(self.named_workflow(applied.await?.unwrap_or_default()))
    }

    /// A definition that somebody sent: reading a large one takes longer than those who serve can wait.
    pub(super) async fn read_definition(&self, caller: Caller, text: String) -> Result<Definition, Reject> {
        check_length(&text)?;
        let (what, limit) = ("definitions", DEFINITIONS_WAITING_MAX);
        let waiting = WAITING.take(caller.uid, limit).ok_or(Reject::ReadLimit { what, limit })?;
        let turn = DEFINITIONS.take(caller.uid).await;
        let read = tokio::task::spawn_blocking(move || {
            let _held = (turn, waiting);
            check_definition(&text)
        });
        read.await.unwrap_or_else(|error| {
            let problems = format!("it cannot be read: {error}");
            Err(Reject::WorkflowInvalid { name: String::new(), problems })
        })
    }

    /// A workflow by its name or by the id of one version, with its definition.
    pub(super) async fn find_workflow(
        &self,
        caller: Caller,
        owner: Uid,
        text: String,
    ) -> Result<(Workflow, String), Status> {
        let name = text.clone();
        let look = move |state: &State, _: Time| {
            let found = match WorkflowId::parse(&text) {
                Some(id) => state.workflow(id).filter(|found| State::sees(caller, found.owner)),
                None => named(state, owner, &text),
            };
            found.cloned()
        };
        let found = self.engine.look(look).await.map_err(|reject| refuse(&reject))?;
        let not_found = || refuse(&Reject::WorkflowNotFound { name: name.clone() });
        let found = found.ok_or_else(not_found)?;
        let (reader, id) = (self.engine.reader().clone(), found.id);
        let text = aside(move || definition_of(&reader, id)).await?;
        Ok((found, text.ok_or_else(not_found)?))
    }

    async fn plan_start(
        &self,
        caller: Caller,
        ask: v1::RunWorkflowRequest,
    ) -> Result<(StartRun, Arc<Script>), Status> {
        let (owner, owner_name) = self.owner(caller, &ask.user).map_err(|reject| refuse(&reject))?;
        let (definition, version) = match (ask.definition.is_empty(), ask.workflow.is_empty()) {
            (false, true) => {
                (self.read_definition(caller, ask.definition).await.map_err(|reject| refuse(&reject))?, 0)
            }
            (true, false) => {
                let (workflow, text) = self.find_workflow(caller, owner, ask.workflow).await?;
                (
                    self.read_definition(caller, text).await.map_err(|reject| refuse(&reject))?,
                    workflow.version,
                )
            }
            (true, true) => return Err(refuse(&Reject::FieldMissing { field: "workflow" })),
            (false, false) => {
                let (field, expected) = ("workflow", "either a definition or the name of one");
                return Err(refuse(&Reject::FieldInvalid { field, value: ask.workflow, expected }));
            }
        };
        let inputs = check_inputs(&definition, ask.inputs).map_err(|reject| refuse(&reject))?;
        let labels = sorted(definition.labels.clone().into_iter().chain(ask.labels).collect());
        let name = definition.name.clone();
        let script = Arc::new(Script::new(definition, inputs));
        let start = StartRun {
            id: RunId(0),
            owner,
            owner_name,
            workflow: name,
            version,
            plan: plan(&script),
            fingerprint: fingerprint(&[&script.encode(), format!("{labels:?}").as_bytes()]),
            labels,
            key: ask.key,
            request: request_hash(owner, &ask.request_id),
            parent: None,
            bound: Budget::default(),
        };
        Ok((start, script))
    }

    /// What its nodes name has to be there when a run begins, not when somebody asks once more for the one that did.
    async fn check_start(
        &self,
        caller: Caller,
        start: StartRun,
        script: &Script,
    ) -> Result<StartRun, Status> {
        let look = move |state: &State, _: Time| (state.same_run(&start), start);
        let (same, start) = self.engine.look(look).await.map_err(|reject| refuse(&reject))?;
        // A key that stands for something else is refused by the engine.
        if same == Ok(None) {
            self.check_nodes(caller, start.owner, &script.nodes).await?;
        }
        Ok(start)
    }

    async fn order_run(&self, caller: Caller, command: Command) -> Result<Response<v1::Run>, Status> {
        let run = self.engine.ask(caller, command, None, |state, _, done| run_in(state, done)).await;
        let run = run.and_then(|run| run).map_err(|reject| refuse(&reject))?;
        self.with_results(run).await.map(Response::new)
    }

    /// A run in memory, or, by its full id, on disk.
    pub(super) async fn find_run(&self, caller: Caller, text: String) -> Result<Run, Status> {
        let id = RunId::parse(&text);
        let look = move |state: &State, _: Time| state.find_run(caller, &text).cloned();
        let found = self.engine.look(look).await.and_then(|found| found);
        match (found, id) {
            (Err(reject @ Reject::RunNotFound { .. }), Some(id)) => {
                let old = self.read_run(id).await?.filter(|run| State::sees(caller, run.owner));
                old.ok_or_else(|| refuse(&reject))
            }
            (found, _) => found.map_err(|reject| refuse(&reject)),
        }
    }

    async fn read_run(&self, id: RunId) -> Result<Option<Run>, Status> {
        let reader = self.engine.reader().clone();
        aside(move || stored_run(&reader, id)).await
    }

    /// A run as soon as it has ended.
    async fn ended(&self, id: RunId) -> Result<v1::Run, Status> {
        let ended = move |state: &State| match state.run(id) {
            Some(run) if run.state.ended_at().is_none() => None,
            found => Some(found.cloned()),
        };
        let run = self.engine.wait(Key::Run(id), ended).await.map_err(|reject| refuse(&reject))?;
        let run = match run {
            Some(run) => Some(run),
            None => self.read_run(id).await?,
        };
        let gone = || refuse(&Reject::RunNotFound { run: id.to_string() });
        self.with_results(run.ok_or_else(gone)?).await
    }

    async fn list_page_of_runs(
        &self,
        caller: Caller,
        ask: v1::ListRunsRequest,
    ) -> Result<v1::ListRunsResponse, Status> {
        let size = page_size(ask.page_size);
        let states: Vec<v1::RunState> = ask.states().collect();
        let after = match ask.page_token.as_str() {
            "" => None,
            token => Some(RunId::parse(token).ok_or_else(|| {
                let (field, expected) = ("page_token", "the next_page_token of the page before");
                refuse(&Reject::FieldInvalid { field, value: token.to_owned(), expected })
            })?),
        };
        let takes = move |run: &Run| {
            let has = |(key, value): (&String, &String)| {
                run.spec.labels.iter().any(|(own, word)| **own == **key && **word == **value)
            };
            State::sees(caller, run.owner)
                && (states.is_empty() || states.contains(&view::run::state(&run.state)))
                && (ask.workflow.is_empty() || *run.spec.workflow == *ask.workflow)
                && ask.labels.iter().all(has)
        };
        let takes_whole = move |run: &Run| !ask.asking || run.asking().next().is_some();
        let reader = self.engine.reader().clone();
        let runs = aside(move || stored_runs(&reader, after, size, takes, takes_whole)).await?;
        let last = runs.last().filter(|_| runs.len() == size);
        let next_page_token = last.map(|last| last.id.to_string()).unwrap_or_default();
        let runs = runs.iter().map(|run| self.named_run(view::run::brief(run))).collect();
        Ok(v1::ListRunsResponse { runs, next_page_token })
    }
}

/// Reads the store aside from the threads that serve.
pub(super) async fn aside<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, crate::store::ReadError> + Send + 'static,
) -> Result<T, Status> {
    let read = tokio::task::spawn_blocking(read).await.map_err(|error| broken("reading a run", &error))?;
    read.map_err(|error| broken("reading a run", &error))
}

fn check_length(text: &str) -> Result<(), Reject> {
    let (bytes, limit) = (text.len(), fusion_workflow::DEFINITION_BYTES_MAX);
    if bytes > limit { Err(Reject::TooLarge { what: "the definition", bytes, limit }) } else { Ok(()) }
}

fn check_definition(text: &str) -> Result<Definition, Reject> {
    let read = fusion_workflow::read_json(text);
    let wrong: Vec<String> = read
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .take(20)
        .map(ToString::to_string)
        .collect();
    let name = || {
        let value: Option<Value> = serde_json::from_str(text).ok();
        let name = value.as_ref().and_then(|value| value.get("name")).and_then(Value::as_str);
        name.unwrap_or_default().chars().take(64).collect()
    };
    read.definition.ok_or_else(|| Reject::WorkflowInvalid { name: name(), problems: wrong.join("; ") })
}

fn check_inputs(
    definition: &Definition,
    given: HashMap<String, String>,
) -> Result<Map<String, Value>, Reject> {
    let given: BTreeMap<String, Value> =
        given.into_iter().map(|(name, text)| (name, Value::String(text))).collect();
    inputs::resolve(&definition.inputs, &given).map_err(|problems| Reject::InputsInvalid {
        workflow: definition.name.clone(),
        problems: problems.join("; "),
    })
}

fn fingerprint(parts: &[&[u8]]) -> u64 {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update(part.len().to_be_bytes());
        digest.update(part);
    }
    let bytes: [u8; 32] = digest.finalize().into();
    u64::from_be_bytes(bytes[..8].try_into().expect("eight of thirty-two bytes"))
}
