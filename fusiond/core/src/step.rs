//! The one door into the core: takes an input, asks the room that it concerns, lets work find agents.
//!
//! It only routes. Not for: rules; each has a file of its own in its room.

use crate::agent::{self, gone, life, pause, remove, restart, resume, scale, spawn, terminate};
use crate::effect::Effect;
use crate::event::Event;
use crate::ids::{AgentId, Nonce, RunId, SecretId, TaskId, WorkflowId};
use crate::input::{Caller, Command, Input, Intake, Outcome};
use crate::pool::supply;
use crate::reject::Reject;
use crate::state::{Key, State};
use crate::task::{answer, ask, cancel, hold, release, resolve, retry, run, submit, update};
use crate::time::Time;
use crate::workflow::{drive, watch};
use crate::{delegate, profile, reconcile, secret, wake, workflow, workspace};
use std::collections::BTreeSet;

/// What the world contributes to one step.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The present instant; never before that of an earlier turn.
    pub now: Time,
    /// Fresh entropy: jitter and nonces are derived from it.
    pub seed: u64,
}

/// What a batch of steps must write and may then let out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Out {
    /// Stored values that changed: put the present one, or delete it if it is gone.
    pub touched: BTreeSet<Key>,
    /// Facts to write, in order.
    pub events: Vec<Event>,
    /// Orders to let out after the write, in order.
    pub effects: Vec<Effect>,
}

impl Out {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.touched.is_empty() && self.events.is_empty()
    }

    pub(crate) fn touch(&mut self, key: Key) {
        self.touched.insert(key);
    }

    pub(crate) fn order(&mut self, effect: Effect) {
        self.effects.push(effect);
    }
}

/// What an accepted command made or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// This agent.
    Agent(AgentId),
    /// This task.
    Task(TaskId),
    /// The task of the same key, which existed before.
    Same(TaskId),
    /// This value of a secret.
    Secret(SecretId),
    /// This run.
    Run(RunId),
    /// The run of the same key, which existed before.
    SameRun(RunId),
    /// This version of a workflow.
    Workflow(WorkflowId),
    /// The version of the same content, which existed before.
    SameWorkflow(WorkflowId),
    /// The daemon as a whole.
    Daemon,
}

impl Turn {
    /// A number drawn from the seed, different for each `salt`. SplitMix64 (Steele, Lea, Flood 2014,
    /// "Fast splittable pseudorandom number generators").
    #[must_use]
    pub fn draw(self, salt: u64) -> u64 {
        let mut z = self
            .seed
            .wrapping_add(salt.wrapping_mul(0x9E37_79B9_7F4A_7C15))
            .wrapping_add(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// An id for something that is decided without being asked for, different for each `nth`: 48 bits of
    /// milliseconds, the place within the step, entropy.
    #[must_use]
    pub(crate) fn id(self, nth: u64) -> u128 {
        let place = nth & 0xFFFF;
        u128::from(self.now.0) << 80 | u128::from(place) << 64 | u128::from(self.draw(nth ^ 0x6964))
    }

    /// A nonce for an incarnation.
    #[must_use]
    pub(crate) fn nonce(self, agent: AgentId) -> Nonce {
        let salt = agent.salt();
        let mut nonce = [0; 16];
        nonce[..8].copy_from_slice(&self.draw(salt).to_le_bytes());
        nonce[8..].copy_from_slice(&self.draw(salt ^ 0x5DEE_CE66).to_le_bytes());
        nonce
    }
}

/// Takes one input. Everything that changed is added to `out`.
///
/// # Errors
/// A refused command; then neither `state` nor `out` has changed.
pub fn step(state: &mut State, out: &mut Out, turn: Turn, input: Input) -> Result<Done, Reject> {
    let done = match input {
        Input::Boot { epoch } => reconcile::boot(state, out, turn, epoch),
        Input::Configure(config) => {
            state.config = *config;
            state.reindex();
            Done::Daemon
        }
        Input::SetPools(pools) => {
            state.set_pools(*pools);
            Done::Daemon
        }
        Input::Command { caller, command } => route_command(state, out, turn, caller, command)?,
        Input::Outcome(outcome) => {
            route_outcome(state, out, turn, outcome);
            Done::Daemon
        }
        Input::Prepared { run, place, ticket, what } => {
            drive::prepared(state, out, turn, run, place, ticket, *what);
            Done::Daemon
        }
        Input::Collected { run, place, task, what } => {
            drive::collected(state, out, turn, run, place, task, what);
            Done::Daemon
        }
        Input::Tick => Done::Daemon,
    };
    settle(state, out, turn);
    Ok(done)
}

/// What follows by itself. A pool that grows may let one that was kept for its min end at once.
fn settle(state: &mut State, out: &mut Out, turn: Turn) {
    loop {
        wake::strike(state, out, turn);
        workspace::quota::plan(state, out);
        let changed = if state.config.pools.is_empty() { BTreeSet::new() } else { state.ready.clone() };
        delegate::dispatch(state, out, turn);
        supply::supply(state, out, turn, changed);
        let followed = watch::hear(state, out, turn);
        if !followed && wake::next_wake(state).is_none_or(|at| at > turn.now) {
            return;
        }
    }
}

fn route_command(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    command: Command,
) -> Result<Done, Reject> {
    match command {
        Command::SpawnAgent(ask) => spawn::decide(state, out, turn, caller, *ask),
        Command::SpawnGroup { agent, replicas } => {
            scale::decide_spawn(state, out, turn, caller, *agent, replicas)
        }
        Command::ScaleAgents { group, count } => scale::decide(state, out, turn, caller, &group, count),
        Command::UpdateAgent { agent: text, change } => {
            agent::update::decide(state, out, turn, caller, &text, *change)
        }
        Command::PauseAgent { agent, how } => pause::decide(state, out, turn, caller, &agent, how),
        Command::ResumeAgent { agent } => resume::decide(state, out, turn, caller, &agent),
        Command::RestartAgent { agent } => restart::decide(state, out, turn, caller, &agent),
        Command::TerminateAgent { agent, grace } => {
            terminate::decide(state, out, turn, caller, &agent, grace)
        }
        Command::RemoveAgent { agent, keep } => remove::decide(state, out, caller, &agent, keep),
        Command::RemoveWorkspace { agent } => workspace::remove::decide(state, out, caller, &agent),
        Command::SubmitTask(ask) => submit::decide(state, out, turn, caller, *ask),
        Command::RunTask(ask) => run::decide(state, out, turn, caller, *ask),
        Command::CancelTask { task, grace } => cancel::decide(state, out, turn, caller, &task, grace),
        Command::RetryTask { task, recalled } => {
            retry::decide(state, out, turn, caller, &task, recalled.map(|old| *old))
        }
        Command::ResolveTask { task, resolution } => {
            resolve::decide(state, out, turn, caller, &task, resolution)
        }
        Command::AskTask(question) => ask::decide(state, out, turn, caller, question),
        Command::WithdrawQuestion { request } => answer::withdraw(state, out, turn, caller, request),
        Command::AnswerTask { task, answer } => answer::decide(state, out, turn, caller, &task, answer),
        Command::HoldTask { task } => hold::decide(state, out, turn, caller, &task),
        Command::ReleaseTask { task } => release::decide(state, out, turn, caller, &task),
        Command::UpdateTask(ask) => update::decide(state, out, turn, caller, *ask),
        Command::SetSecret(ask) => secret::set::decide(state, out, turn, caller, ask),
        Command::RemoveSecret { owner, name } => {
            secret::remove::decide(state, out, turn, caller, owner, &name)
        }
        Command::ApplyProfiles { owner, profiles } => {
            profile::apply::decide(state, out, turn, caller, owner, profiles)
        }
        Command::RemoveProfile { owner, name } => {
            profile::remove::decide(state, out, turn, caller, owner, name)
        }
        Command::ApplyWorkflow(ask) => workflow::apply::decide(state, out, turn, caller, ask),
        Command::StartRun(ask) => workflow::start::decide(state, out, turn, caller, *ask),
        Command::PauseRun { run, how } => workflow::pause::decide(state, out, turn, caller, &run, how),
        Command::ResumeRun { run } => workflow::resume::decide(state, out, turn, caller, &run),
        Command::CancelRun { run } => workflow::cancel::decide(state, out, turn, caller, &run),
        Command::ApproveNode(ask) => workflow::approve::decide(state, out, turn, caller, ask),
        Command::RerunRun { run, from, recalled } => {
            let recalled = recalled.map(|old| *old);
            workflow::rerun::decide(state, out, turn, caller, &run, &from, recalled)
        }
        Command::EditRun(ask) => workflow::edit::decide(state, out, turn, caller, *ask),
        Command::SetIntake(intake) => set_intake(state, out, turn, caller, intake),
        Command::StopAll { grace } => terminate::decide_all(state, out, turn, caller, grace),
    }
}

fn route_outcome(state: &mut State, out: &mut Out, turn: Turn, outcome: Outcome) {
    match outcome {
        Outcome::ShimUp { agent, incarnation, highest_started, running, exits, frozen } => {
            let seen = life::Seen { highest_started, running, exits, frozen };
            life::shim_up(state, out, turn, agent, incarnation, seen);
        }
        Outcome::ShimFailed { agent, incarnation, reason } => {
            gone::shim_failed(state, out, turn, agent, incarnation, reason);
        }
        Outcome::ShimGone { agent, incarnation, witness } => {
            gone::shim_gone(state, out, turn, agent, incarnation, witness);
        }
        Outcome::AttemptStarted { agent, incarnation, serial, at } => {
            life::attempt_started(state, out, turn, agent, incarnation, serial, at);
        }
        Outcome::AttemptForgotten { agent, incarnation, serial } => {
            life::attempt_forgotten(state, out, turn, agent, incarnation, serial);
        }
        Outcome::AttemptRefused { agent, incarnation, serial, reason } => {
            life::attempt_refused(state, out, turn, agent, incarnation, serial, reason);
        }
        Outcome::AttemptExited { agent, incarnation, serial, exit } => {
            life::attempt_exited(state, out, turn, agent, incarnation, serial, exit);
        }
        Outcome::Frozen { agent, incarnation } => pause::frozen(state, out, turn, agent, incarnation),
        Outcome::Observed { agent, incarnation, serial, quiet, cpu } => {
            wake::observed(state, out, turn, agent, incarnation, serial, quiet, cpu);
        }
        Outcome::WorkspaceMeasured { agent, incarnation, serial, found } => {
            workspace::quota::measured(state, out, turn, agent, incarnation, serial, found);
        }
        Outcome::WorkspaceRemoved { agent, what } => workspace::removed(state, out, turn, agent, what),
        Outcome::WorkspaceKept { agent, what, reason } => {
            workspace::kept(state, out, turn, agent, what, reason);
        }
    }
}

fn set_intake(
    state: &mut State,
    out: &mut Out,
    turn: Turn,
    caller: Caller,
    intake: Intake,
) -> Result<Done, Reject> {
    terminate::demand_admin(caller, "draining the daemon")?;
    if state.meta.intake != intake {
        state.meta.intake = intake;
        out.touch(Key::Meta);
        let kind = match intake {
            Intake::Open => crate::event::EventKind::IntakeOpened,
            Intake::Closed => crate::event::EventKind::IntakeClosed,
        };
        state.tell(out, turn.now, caller.actor(), None, kind);
        state.ready_all();
    }
    Ok(Done::Daemon)
}
