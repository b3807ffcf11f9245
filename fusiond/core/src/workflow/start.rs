//! `workflow run`: begins a run. The same key or request with the same content is the same run.
//!
//! Not for: reading definitions; the door does, and the engine keeps them.

use crate::ids::{RunId, Uid};
use crate::input::{Actor, Caller, Rights};
use crate::reject::Reject;
use crate::state::{Key, State};
use crate::step::{Done, Out, Turn};
use crate::task::submit;
use crate::workflow::budget::Budget;
use crate::workflow::drive::{drive, started};
use crate::workflow::node::Place;
use crate::workflow::plan::Plan;
use crate::workflow::run::News;
use crate::workflow::{Run, RunClock, RunSpec, RunState};
use std::sync::Arc;

/// The most runs of one user that have not ended.
pub const RUNS_MAX: u32 = 1000;
/// The most nodes of one run.
pub const NODES_MAX: usize = 20_002;
/// How many runs a run may stand within.
pub const DEPTH_MAX: u8 = 8;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct StartRun {
    /// The id it will have.
    pub id: RunId,
    /// Who will own it.
    pub owner: Uid,
    /// The owner's name, for messages.
    pub owner_name: String,
    /// The name of the workflow.
    pub workflow: String,
    /// Its version; 0: the definition comes with the run.
    pub version: u32,
    /// What it is to do.
    pub plan: Plan,
    /// For people and filters.
    pub labels: Vec<(String, String)>,
    /// Idempotency key; empty: none.
    pub key: String,
    /// Hash of the request id, 0 for none.
    pub request: u64,
    /// Hash of everything that is asked for.
    pub fingerprint: u64,
    /// The node that it is the work of.
    pub parent: Option<(RunId, Place)>,
    /// What that node has left for it.
    pub bound: Budget,
}

pub(crate) fn decide(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    ask: StartRun,
) -> Result<Done, Reject> {
    check_caller(caller, ask.owner)?;
    if let Some(same) = state.same_run(&ask)? {
        return Ok(Done::SameRun(same));
    }
    begin(state, out, turn, caller.actor(), ask).map(Done::Run)
}

/// Whether the caller may have runs of this owner.
pub(crate) fn check_caller(caller: Caller, owner: Uid) -> Result<(), Reject> {
    let refused = |what| Reject::NotPermitted { who: caller.actor().to_string(), what };
    match caller.rights {
        Rights::Admin => Ok(()),
        Rights::User if caller.uid == owner => Ok(()),
        Rights::User => Err(refused("workflows of others")),
        Rights::Agent(_) => Err(refused("running workflows")),
    }
}

/// Begins a run, also one within another.
pub(crate) fn begin(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    actor: Actor,
    ask: StartRun,
) -> Result<RunId, Reject> {
    let depth = match ask.parent.and_then(|(parent, _)| state.run(parent)) {
        Some(parent) => parent.spec.depth + 1,
        None => 0,
    };
    if depth > DEPTH_MAX {
        return Err(Reject::WorkflowTooDeep { limit: DEPTH_MAX });
    }
    let limit = RUNS_MAX;
    if state.index.open_runs.get(&ask.owner).copied().unwrap_or(0) >= limit {
        return Err(Reject::RunLimit { limit, user: ask.owner_name });
    }
    submit::check_key(&ask.key)?;
    submit::check_labels(ask.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())))?;
    if ask.plan.nodes.is_empty() || ask.plan.nodes.len() > NODES_MAX {
        return Err(Reject::NodeLimit { count: ask.plan.nodes.len() });
    }
    state.learn_name(ask.owner, &ask.owner_name);
    let (id, owner, workflow, version) = (ask.id, ask.owner, ask.workflow.clone(), ask.version);
    let run = make(actor, turn, ask, depth);
    state.add_run(out, run);
    state.tell(out, turn.now, actor, Some(owner), started(id, &workflow, version));
    drive(state, out, turn, id, actor, News::GoOn);
    Ok(id)
}

pub(super) fn make(actor: Actor, turn: Turn, ask: StartRun, depth: u8) -> Run {
    let clock = ask.plan.timeout.map_or(RunClock::None, |span| RunClock::At(turn.now.plus(span)));
    let spec = RunSpec {
        workflow: ask.workflow.into(),
        version: ask.version,
        labels: ask.labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
        key: submit::text(ask.key),
        request: ask.request,
        fingerprint: ask.fingerprint,
        parent: ask.parent,
        bound: ask.bound,
        depth,
    };
    let run = Run {
        id: ask.id,
        owner: ask.owner,
        actor,
        created_at: turn.now,
        spec,
        state: RunState::Running,
        doom: None,
        clock,
        generation: 1,
        revision: 1,
        plan: Arc::default(),
        nodes: Vec::new(),
        items: std::collections::BTreeMap::new(),
        book: super::book::Book::default(),
        tickets: 0,
    };
    run.with(Arc::new(ask.plan), Vec::new())
}

impl State {
    /// The run that the same request, or one with the same key, has begun before.
    ///
    /// # Errors
    /// [`Reject::RunKeyConflict`] when the key stands for something else.
    pub fn same_run(&self, ask: &StartRun) -> Result<Option<RunId>, Reject> {
        if ask.request != 0
            && let Some(id) = self.index.run_requests.get(&(ask.owner, ask.request))
        {
            return Ok(Some(*id));
        }
        let key = (ask.owner, ask.key.as_str().into());
        let Some(id) = self.index.run_keys.get(&key) else { return Ok(None) };
        if self.run(*id).is_some_and(|run| run.spec.fingerprint == ask.fingerprint) {
            return Ok(Some(*id));
        }
        Err(Reject::RunKeyConflict { key: ask.key.clone(), run: id.to_string() })
    }

    pub(crate) fn add_run(&mut self, out: &mut Out, run: Run) {
        self.index.enter_run(&run);
        out.touch(Key::Run(run.id));
        out.touch(Key::Plan(run.id));
        self.runs.insert(run.id, Box::new(run));
    }
}
