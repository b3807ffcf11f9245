//! The rules: what may happen next, and why not.
//!
//! This crate decides everything and does nothing. It has no I/O, no clock, no async and no
//! randomness: time, ids and entropy come in as values of a [`Turn`]. The engine is its only caller:
//!
//! ```text
//!   Turn{now, seed} + Input ──► step(state) ──► Out{touched, events, effects} | Reject
//!                                   ▲
//!   command (may be refused) ───────┤
//!   outcome (may not: it happened) ─┘
//! ```
//!
//! Laws: a refused input leaves the state as it was; everything that a crash must not forget is in
//! `touched`; an effect may be let out only after the batch is on disk; the index is a pure function
//! of the entities ([`State::check`] rebuilds it and compares).
//!
//! Not here: bytes of prompts, logs and results (only their lengths), names of files, the wire.

pub mod agent;
pub mod cost;
pub mod delegate;
pub mod effect;
pub mod event;
pub mod explain;
pub mod failure;
mod find;
pub mod ids;
pub mod index;
pub mod input;
pub mod invariants;
pub mod pool;
pub mod profile;
pub mod reconcile;
pub mod reject;
pub mod secret;
pub mod state;
pub mod step;
pub mod task;
pub mod time;
pub mod waiting;
pub mod wake;
pub mod workflow;
pub mod workspace;

pub use agent::{Agent, AgentLife};
pub use cost::{Cost, Usd};
pub use effect::Effect;
pub use event::{Event, EventKind};
pub use failure::{Failure, FailureCode};
pub use ids::{AgentId, Capabilities, Nonce, PROFILE_PREFIX, RunId, SecretId, TaskId, Uid, WorkflowId};
pub use input::{Actor, Caller, Command, Input, Outcome, Rights};
pub use reject::Reject;
pub use secret::Secret;
pub use state::{Config, Key, State};
pub use step::{Done, Out, Turn, step};
pub use task::{Attempt, Task, TaskState};
pub use time::{Millis, Time};
pub use workflow::{Run, Workflow};
