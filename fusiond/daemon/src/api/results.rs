//! Results of nodes: shown with their run as far as they are short, and read whole by themselves.
//!
//! Not for: where they stand (`engine::workflow`), results of single tasks (`history`).

use super::refuse::refuse;
use super::workflows::aside;
use super::{Door, view};
use crate::engine::workflow::outputs::{self, ITEMS_BYTES_MAX};
use crate::engine::workflow::{NodeOutput, output_of, question_of, script_of};
use fusion_core::workflow::{Decision, Place, Run};
use fusion_core::{Actor, Caller, Reject, State, Task, TaskId, TaskState};
use fusion_proto::v1;
use serde_json::Value;
use tonic::Status;

/// The longest result of a node that is shown with its run.
const OUTPUT_BYTES_MAX: usize = 64 << 10;

/// All results that are shown with a run together: what is longer would not fit into one message.
const OUTPUTS_BYTES_MAX: usize = 2 << 20;

/// Results that stay with tasks are read for at most so many nodes of a run that is shown.
const TASK_OUTPUTS_MAX: usize = 200;

/// The length of a piece of a result on the wire.
const CHUNK_BYTES: usize = 256 << 10;

/// How much may still be shown with a run.
struct Room(usize);

impl Room {
    /// Puts a result in if there is room for it, else how long it is and how it begins.
    fn show(&mut self, node: &mut v1::Node, text: String) {
        if text.len() <= OUTPUT_BYTES_MAX.min(self.0) {
            self.0 -= text.len();
            node.output = Some(text);
        } else {
            node.output_bytes = Some(text.len() as u64);
            node.output_preview = outputs::beginning(text.as_bytes());
        }
    }
}

impl Door {
    /// The run as `workflow show` has it: with inputs, results and questions.
    pub(super) async fn with_results(&self, run: Run) -> Result<v1::Run, Status> {
        let reader = self.engine.reader().clone();
        let (mut shown, left, run, mut room) = aside(move || {
            let mut room = Room(OUTPUTS_BYTES_MAX);
            let mut shown = view::run::run(&run);
            shown.inputs = script_of(&reader, run.id)?.map(|inputs| inputs.to_string()).unwrap_or_default();
            for at in view::run::asking(&run) {
                shown.nodes[at as usize].reason = question_of(&reader, run.id, at)?;
            }
            let mut left = Vec::new();
            for (at, node) in (0..).zip(&mut shown.nodes) {
                let place = Place::whole(at);
                let bytes = outputs::length(&reader, &run, place)?;
                if bytes > OUTPUT_BYTES_MAX as u64 {
                    node.output_bytes = Some(bytes);
                    node.output_preview = outputs::preview(&reader, run.id, place)?;
                    continue;
                }
                match output_of(&reader, &run, place)? {
                    NodeOutput::Value(value) => room.show(node, value.to_string()),
                    NodeOutput::Task => left.push(at),
                    NodeOutput::Nothing => {}
                }
            }
            Ok((shown, left, run, room))
        })
        .await?;
        for at in left.into_iter().take(TASK_OUTPUTS_MAX) {
            let task = run.node(Place::whole(at)).and_then(|node| node.state.task());
            self.show_left(task, &mut shown.nodes[at as usize], &mut room).await;
        }
        for (at, decision) in view::run::decisions(&run) {
            shown.nodes[at as usize].reason = self.decided(decision);
        }
        self.show_waiting(&run, &mut shown).await?;
        view::run::put_in_order(&mut shown.nodes, &run.plan);
        Ok(self.named_run(shown))
    }

    /// Says of nodes, and of their items, what their tasks wait for before they begin.
    async fn show_waiting(&self, run: &Run, shown: &mut v1::Run) -> Result<(), Status> {
        let begun = run.places().filter(|(_, node)| node.state.is_active());
        let begun: Vec<(Place, TaskId)> =
            begun.filter_map(|(place, node)| Some((place, node.state.task()?))).collect();
        if begun.is_empty() {
            return Ok(());
        }
        let look = move |state: &State, _| -> Vec<(Place, &'static str)> {
            let waits =
                begun.into_iter().filter_map(|(place, id)| Some((place, wait_of(&state.task(id)?.state)?)));
            waits.collect()
        };
        let waits = self.engine.look(look).await.map_err(|reject| refuse(&reject))?;
        for (place, why) in waits {
            let Some(node) = shown.nodes.get_mut(place.node as usize) else { continue };
            let number = |own: &v1::Node| own.id.parse().unwrap_or(u32::MAX);
            let shown = match place.item {
                None => Some(node),
                Some(item) => {
                    let at = node.items.binary_search_by_key(&item, number);
                    at.ok().and_then(|at| node.items.get_mut(at))
                }
            };
            if let Some(shown) = shown {
                why.clone_into(&mut shown.reason);
            }
        }
        Ok(())
    }

    /// Who decided, and what they said.
    fn decided(&self, decision: &Decision) -> String {
        let who = match decision.by {
            Actor::User(uid) => format!(" by {}", self.name_of(&uid.0.to_string())),
            Actor::Agent(id) => format!(" by {id}"),
            Actor::Daemon => String::new(),
        };
        let word = if decision.verdict.is_approved() { "approved" } else { "rejected" };
        let said =
            if decision.comment.is_empty() { String::new() } else { format!(": {}", decision.comment) };
        format!("{word}{who}{said}")
    }

    /// A result that stays with its task; nothing when its log is gone.
    async fn show_left(&self, task: Option<TaskId>, node: &mut v1::Node, room: &mut Room) {
        let Some(task) = self.task_of_node(task).await else { return };
        let Ok(result) = self.result_of(&task, OUTPUT_BYTES_MAX).await else { return };
        let text = Value::String(text_of(&result.data)).to_string();
        if result.truncated || result.missing_bytes > 0 {
            let exit = task.attempts.last().and_then(|attempt| attempt.exit());
            node.output_bytes = Some(exit.map_or(text.len() as u64, |exit| exit.out_bytes));
            node.output_preview = outputs::beginning(text.as_bytes());
        } else {
            room.show(node, text);
        }
    }

    async fn task_of_node(&self, id: Option<TaskId>) -> Option<Task> {
        let id = id?;
        match self.engine.look(move |state, _| state.task(id).cloned()).await.ok()? {
            Some(task) => Some(task),
            None => self.find_old(id).await.ok()?,
        }
    }

    /// The whole result of a node, or of one of its items, as JSON in pieces.
    pub(super) async fn read_output(
        &self,
        caller: Caller,
        ask: v1::ReadNodeOutputRequest,
    ) -> Result<Vec<v1::OutputPiece>, Status> {
        let run = self.find_run(caller, ask.run).await?;
        let place = find_place(&run, &ask.node, ask.item).map_err(|reject| refuse(&reject))?;
        let state = run.node(place).map(|node| node.state.clone()).unwrap_or_default();
        let none = Reject::NodeNoResult { run: run.id.to_string(), node: ask.node, state: state.word() };
        let reader = self.engine.reader().clone();
        let found = aside(move || {
            let bytes = usize::try_from(outputs::length(&reader, &run, place)?).unwrap_or(usize::MAX);
            Ok(if bytes > ITEMS_BYTES_MAX { Err(bytes) } else { Ok(output_of(&reader, &run, place)?) })
        });
        let too_long = |bytes| {
            let what = "the result of all items together";
            refuse(&Reject::TooLarge { what, bytes, limit: ITEMS_BYTES_MAX })
        };
        let text = match found.await?.map_err(too_long)? {
            NodeOutput::Value(value) => value.to_string(),
            NodeOutput::Task => {
                let task = self.task_of_node(state.task()).await.ok_or_else(|| refuse(&none))?;
                let result = self.result_of(&task, ITEMS_BYTES_MAX).await?;
                if result.truncated {
                    let exit = task.attempts.last().and_then(|attempt| attempt.exit());
                    let bytes = exit.map_or(ITEMS_BYTES_MAX, |exit| {
                        usize::try_from(exit.out_bytes).unwrap_or(usize::MAX)
                    });
                    let what = "the result";
                    return Err(refuse(&Reject::TooLarge { what, bytes, limit: ITEMS_BYTES_MAX }));
                }
                if result.missing_bytes > 0 {
                    let (task, left) = (task.id.to_string(), result.data.len() as u64);
                    let bytes = left + result.missing_bytes;
                    return Err(refuse(&Reject::ResultIncomplete { task, left, bytes }));
                }
                Value::String(text_of(&result.data)).to_string()
            }
            NodeOutput::Nothing => return Err(refuse(&none)),
        };
        Ok(text
            .as_bytes()
            .chunks(CHUNK_BYTES)
            .map(|piece| v1::OutputPiece { data: piece.to_vec() })
            .collect())
    }
}

fn text_of(data: &[u8]) -> String {
    String::from_utf8_lossy(data).trim_end_matches(['\n', '\r']).to_owned()
}

fn find_place(run: &Run, name: &str, item: Option<u32>) -> Result<Place, Reject> {
    let not_found = |node: String| Reject::NodeNotFound { run: run.id.to_string(), node };
    let node = run.plan.find(name).ok_or_else(|| not_found(name.to_owned()))?;
    let place = Place { node, item };
    match item {
        Some(item) if run.node(place).is_none() => Err(not_found(format!("{name}[{item}]"))),
        Some(_) | None => Ok(place),
    }
}

/// What a task that has not begun, or begins once more, waits for.
const fn wait_of(state: &TaskState) -> Option<&'static str> {
    match state {
        TaskState::Blocked { .. } => Some("waits for other tasks"),
        TaskState::Deferred { .. } => Some("waits to be tried again"),
        TaskState::Queued { .. } => Some("waits for an agent"),
        TaskState::Held(_) => Some("is held"),
        TaskState::Lost { .. } => Some("is lost: `fusionctl task resolve` decides"),
        TaskState::Active(_)
        | TaskState::Succeeded { .. }
        | TaskState::Failed { .. }
        | TaskState::Cancelled { .. }
        | TaskState::TimedOut { .. } => None,
    }
}
