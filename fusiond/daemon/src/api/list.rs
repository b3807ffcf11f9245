//! Which tasks are meant, and pages of them, newest first, from the store: it holds every task, memory
//! only the newest of those that have ended.
//!
//! A page goes on behind the id of the last task before it. Ids sort by age, so what is submitted in
//! between moves nothing. Not for: one task and its logs (`history`).

use super::refuse::{broken, refuse};
use super::submit::plan_instant;
use super::{Door, page_size, view};
use crate::engine::{attempts_of, decode_task, task_key};
use crate::store::{Direction, Reader};
use fusion_core::{AgentId, Caller, Reject, State, Task, TaskId, TaskState, Time};
use fusion_proto::v1;
use tonic::Status;

/// Tasks read at once from the store.
const PAGE: usize = 512;

/// The most tasks in one page of ids and states.
const BRIEF_PAGE_MAX: usize = 10_000;

/// Which tasks are meant, and who asks.
#[derive(Clone)]
pub(crate) struct Filter {
    caller: Caller,
    states: Vec<v1::TaskState>,
    labels: Vec<(String, String)>,
    dead: bool,
    agent: Option<AgentId>,
    since: Option<Time>,
}

/// How much of each task is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Detail {
    Whole,
    Brief,
}

impl Filter {
    /// What can be told without the attempts.
    fn takes(&self, task: &Task) -> bool {
        let has = |(key, value): &(String, String)| {
            task.spec.labels.iter().any(|(k, v)| **k == **key && **v == **value)
        };
        State::sees(self.caller, task.owner)
            && (self.states.is_empty() || self.states.contains(&view::task::state(&task.state)))
            && self.labels.iter().all(has)
            && (!self.dead || matches!(task.state, TaskState::Failed { .. } | TaskState::TimedOut { .. }))
            && self.since.is_none_or(|since| task.created_at >= since)
    }

    /// Whether it must run on the agent that is meant, or did.
    fn takes_agent(&self, task: &Task) -> bool {
        self.agent.is_none_or(|agent| {
            task.spec.target == Some(agent)
                || task.attempts.iter().any(|attempt| attempt.lease.agent == agent)
        })
    }

    /// Whether neither this task nor any older one is meant.
    fn is_past(&self, task: &Task) -> bool {
        self.since.is_some_and(|since| task.created_at < since)
    }
}

impl Door {
    /// Reads a filter of the wire.
    pub(crate) async fn filter(&self, caller: Caller, asked: v1::TaskFilter) -> Result<Filter, Status> {
        let mut states: Vec<v1::TaskState> = asked.states().collect();
        states.extend(Some(asked.state()).filter(|state| *state != v1::TaskState::Unspecified));
        let since = plan_instant("created_since", asked.created_since).map_err(|reject| refuse(&reject))?;
        let agent = match asked.agent {
            name if name.is_empty() => None,
            name => {
                let look = move |state: &State, _| state.find_agent(caller, &name).map(|agent| agent.id);
                let found = self.engine.look(look).await.and_then(|found| found);
                Some(found.map_err(|reject| refuse(&reject))?)
            }
        };
        let labels = asked.labels.into_iter().collect();
        Ok(Filter { caller, states, labels, dead: asked.dead, agent, since })
    }

    /// One page of tasks.
    pub(crate) async fn list_page(
        &self,
        caller: Caller,
        ask: v1::ListTasksRequest,
    ) -> Result<v1::ListTasksResponse, Status> {
        let filter = self.filter(caller, ask.filter.unwrap_or_default()).await?;
        let after = page_start(&ask.page_token).map_err(|reject| refuse(&reject))?;
        let (detail, size) = match ask.brief {
            true => (Detail::Brief, usize::try_from(ask.page_size).unwrap_or(0).clamp(1, BRIEF_PAGE_MAX)),
            false => (Detail::Whole, page_size(ask.page_size)),
        };
        let reader = self.engine.reader().clone();
        let read = tokio::task::spawn_blocking(move || read_page(&reader, &filter, detail, after, size));
        let tasks = read.await.map_err(|error| broken("listing tasks", &error))??;
        let full = tasks.len() == size;
        let next_page_token = tasks.last().filter(|_| full).map(|task| task.id.clone()).unwrap_or_default();
        let tasks = tasks.into_iter().map(|task| self.named_task(task)).collect();
        Ok(v1::ListTasksResponse { tasks, next_page_token })
    }

    /// The ids of all that are meant, newest first.
    pub(crate) async fn list_ids(&self, filter: Filter) -> Result<Vec<TaskId>, Status> {
        let reader = self.engine.reader().clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut ids = Vec::new();
            each_task(&reader, &filter, None, |task| {
                ids.push(task.id);
                Ok(Next::Go)
            })?;
            Ok(ids)
        });
        read.await.map_err(|error| broken("listing tasks", &error))?
    }
}

fn page_start(token: &str) -> Result<Option<TaskId>, Reject> {
    let invalid = || Reject::FieldInvalid {
        field: "page_token",
        value: token.to_owned(),
        expected: "the next_page_token of the page before",
    };
    if token.is_empty() { Ok(None) } else { TaskId::parse(token).map(Some).ok_or_else(invalid) }
}

fn read_page(
    reader: &Reader,
    filter: &Filter,
    detail: Detail,
    after: Option<TaskId>,
    size: usize,
) -> Result<Vec<v1::Task>, Status> {
    let mut found = Vec::new();
    each_task(reader, filter, after, |mut task| {
        found.push(match detail {
            Detail::Brief => view::task::brief(&task),
            Detail::Whole => {
                load_attempts(reader, &mut task)?;
                view::task::task(&task)
            }
        });
        Ok(if found.len() == size { Next::Stop } else { Next::Go })
    })?;
    Ok(found)
}

enum Next {
    Go,
    Stop,
}

/// Hands out all that are meant and older than `after`, newest first.
fn each_task(
    reader: &Reader,
    filter: &Filter,
    after: Option<TaskId>,
    mut each: impl FnMut(Task) -> Result<Next, Status>,
) -> Result<(), Status> {
    let mut after = after.map(task_key);
    loop {
        let page = reader.range(b"task/", after.as_deref(), PAGE, Direction::Descending);
        let page = page.map_err(|error| broken("listing tasks", &error))?;
        for entry in &page {
            let Some(mut task) = decode_task(&entry.body) else { continue };
            if filter.is_past(&task) {
                return Ok(());
            }
            if !filter.takes(&task) {
                continue;
            }
            if filter.agent.is_some() {
                load_attempts(reader, &mut task)?;
            }
            if filter.takes_agent(&task)
                && let Next::Stop = each(task)?
            {
                return Ok(());
            }
        }
        match page.last() {
            Some(last) if page.len() == PAGE => after = Some(last.key.clone()),
            Some(_) | None => return Ok(()),
        }
    }
}

fn load_attempts(reader: &Reader, task: &mut Task) -> Result<(), Status> {
    if task.attempts.is_empty() {
        task.attempts = attempts_of(reader, task.id).map_err(|error| broken("listing tasks", &error))?;
    }
    Ok(())
}
