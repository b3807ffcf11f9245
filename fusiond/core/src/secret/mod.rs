//! Secrets: values that agents are given by name.
//!
//! ```text
//!  set ──► current ── set again, or remove ──► kept ── the last agent that was given it is gone ──► forgotten
//! ```
//!
//! The core knows names, and who was given which value; the value itself is stored beside it, sealed. A value that is
//! no longer current is kept as long as an agent exists that was given it: its output may hold it and is served masked.
//! Not for: sealing, environments, masking (the daemon's hands).

pub mod remove;
pub mod set;

pub use set::SetSecret;

use crate::ids::{AgentId, SecretId, TaskId, Uid};
use crate::input::{Caller, Rights};
use crate::reject::Reject;
use crate::state::{Key, State};
use crate::step::Out;
use crate::time::Time;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most values of one user: current ones, and older ones that are kept.
pub const SECRETS_MAX: usize = 128;
/// The most secrets of one agent or one task.
pub const USES_MAX: usize = 32;

/// One value of a secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// Its id; a secret that is set again is a new value with a new id.
    pub id: SecretId,
    /// Whose it is.
    pub owner: Uid,
    /// By which name agents are given it; unique per owner among the current ones.
    pub name: Box<str>,
    /// When it was set.
    pub set_at: Time,
    /// When another value took its place, or it was removed.
    pub retired_at: Option<Time>,
    /// The agents of which an attempt was given it.
    pub given: BTreeSet<AgentId>,
}

impl Secret {
    /// Whether attempts that start now are given it.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.retired_at.is_none()
    }
}

/// A secret that an agent or a task asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    /// Which.
    pub name: Box<str>,
    /// The variable of the attempt's environment that holds it.
    pub env: Box<str>,
}

/// Whether the caller may set and remove secrets of `owner`.
pub(crate) fn check_caller(caller: Caller, owner: Uid) -> Result<(), Reject> {
    let refused = |what| Err(Reject::NotPermitted { who: caller.actor().to_string(), what });
    match caller.rights {
        Rights::Admin => Ok(()),
        Rights::User if caller.uid == owner => Ok(()),
        Rights::User => refused("changing secrets of others"),
        Rights::Agent(_) => refused("changing secrets"),
    }
}

/// Whether everything that is asked for exists.
pub(crate) fn check_uses(state: &State, owner: Uid, uses: &[SecretUse]) -> Result<(), Reject> {
    if uses.len() > USES_MAX {
        return Err(Reject::TooManySecrets { count: uses.len() });
    }
    match uses.iter().find(|wanted| state.secret_named(owner, &wanted.name).is_none()) {
        Some(missing) => Err(Reject::SecretNotFound { name: missing.name.to_string() }),
        None => Ok(()),
    }
}

/// An attempt of `task` by `agent` is about to start: takes note of the values that it will be given. A name without
/// a value is told by the hands, as an attempt that could not start.
pub(crate) fn give(state: &mut State, out: &mut Out, task: TaskId, agent: AgentId) {
    let (Some(task), Some(doer)) = (state.task(task), state.agent(agent)) else { return };
    let uses = doer.spec.secrets.iter().chain(&task.spec.secrets);
    let values = uses.filter_map(|wanted| state.secret_named(doer.owner, &wanted.name));
    let fresh: Vec<SecretId> =
        values.filter(|value| !value.given.contains(&agent)).map(|value| value.id).collect();
    for id in fresh {
        state.alter_secret(out, id, |value| value.given.insert(agent));
    }
}

/// An agent is gone, and its output with it.
pub(crate) fn forget_agent(state: &mut State, out: &mut Out, agent: AgentId, owner: Uid) {
    let values: Vec<SecretId> =
        state.secrets_of(owner).filter(|value| value.given.contains(&agent)).map(|value| value.id).collect();
    for id in values {
        state.alter_secret(out, id, |value| value.given.remove(&agent));
        forget_unneeded(state, out, id);
    }
}

/// The present value under a name is no longer current.
fn retire(state: &mut State, out: &mut Out, id: SecretId, now: Time) {
    state.alter_secret(out, id, |value| value.retired_at = Some(now));
    forget_unneeded(state, out, id);
}

fn forget_unneeded(state: &mut State, out: &mut Out, id: SecretId) {
    if state.secret(id).is_some_and(|value| !value.is_current() && value.given.is_empty()) {
        state.remove_secret(out, id);
    }
}

impl State {
    /// Puts the stored secrets in.
    #[must_use]
    pub fn with_secrets(mut self, secrets: Vec<Secret>) -> Self {
        for secret in secrets {
            self.index.enter_secret(&secret);
            self.secrets.insert(secret.id, secret);
        }
        self
    }

    /// One value of a secret.
    #[must_use]
    pub fn secret(&self, id: SecretId) -> Option<&Secret> {
        self.secrets.get(&id)
    }

    /// All values of all users, oldest first.
    pub fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.values()
    }

    /// The current value under a name.
    #[must_use]
    pub fn secret_named(&self, owner: Uid, name: &str) -> Option<&Secret> {
        self.index.secret_names.get(&owner)?.get(name).and_then(|id| self.secret(*id))
    }

    /// All values of a user, current and kept, oldest first.
    pub fn secrets_of(&self, owner: Uid) -> impl Iterator<Item = &Secret> {
        let ids = self.index.secrets.get(&owner).into_iter().flatten();
        ids.filter_map(|id| self.secret(*id))
    }

    /// Changes a value of a secret and keeps the index true.
    pub(crate) fn alter_secret<R>(
        &mut self,
        out: &mut Out,
        id: SecretId,
        change: impl FnOnce(&mut Secret) -> R,
    ) -> Option<R> {
        let secret = self.secrets.get_mut(&id)?;
        self.index.leave_secret(secret);
        let result = change(secret);
        self.index.enter_secret(secret);
        out.touch(Key::Secret(id));
        Some(result)
    }

    pub(crate) fn add_secret(&mut self, out: &mut Out, secret: Secret) {
        self.index.enter_secret(&secret);
        out.touch(Key::Secret(secret.id));
        self.secrets.insert(secret.id, secret);
    }

    pub(crate) fn remove_secret(&mut self, out: &mut Out, id: SecretId) {
        if let Some(secret) = self.secrets.remove(&id) {
            self.index.leave_secret(&secret);
            out.touch(Key::Secret(id));
        }
    }
}
