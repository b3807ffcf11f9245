//! Secrets, opened: the variables of an attempt that starts, and the masking of what came out of it before it is stored
//! or served.
//!
//! The core says who is given what; the values come from the store and the vault. Not for: setting and removing
//! (`fusion_core::secret`).

use crate::engine::record;
use crate::store::{Batch, CommitError, ReadError, Reader, Store};
use crate::vault::{Cut, Mask, Value, Vault};
use fusion_core::task::{Exit, ExitKind};
use fusion_core::{AgentId, Outcome, Secret, State, TaskId};

/// What an exit keeps of the output; a longer one was cut in front.
const TAIL_BYTES: u64 = fusion_shim::wire::TAIL_BYTES_MAX as u64;

/// In place of words that could not be masked.
const WITHHELD: &str = "(withheld: a secret cannot be opened with this host's key)";

/// Sealed values that are written as one record.
const RESEAL_BYTES: usize = 1 << 20;

/// Values that could not be sealed anew.
#[derive(Debug, thiserror::Error)]
pub enum ResealError {
    /// The store does not answer.
    #[error("reading sealed values")]
    Read(#[from] ReadError),
    /// It does not take them.
    #[error("writing sealed values")]
    Commit(#[from] CommitError),
}

/// Values to be masked, of which one cannot be opened: what may hold it must not be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{name}\" cannot be opened: {reason}")]
pub struct Unsealed {
    /// The secret.
    pub name: String,
    /// Why not.
    pub reason: String,
}

/// The variables of an attempt that hold secrets, with the values of this moment.
///
/// # Errors
/// A sentence that names the one that is missing.
pub(crate) fn environment(
    state: &State,
    reader: &Reader,
    vault: &Vault,
    agent: AgentId,
    task: TaskId,
) -> Result<Vec<(String, Value)>, String> {
    let (Some(agent), Some(task)) = (state.agent(agent), state.task(task)) else { return Ok(Vec::new()) };
    let uses = agent.spec.secrets.iter().chain(&task.spec.secrets);
    uses.map(|wanted| {
        let name = &wanted.name;
        let secret = state.secret_named(agent.owner, name);
        let secret = secret.ok_or_else(|| format!("the secret \"{name}\" was removed"))?;
        let value = open(reader, vault, secret).map_err(|error| format!("the secret {error}"))?;
        Ok((wanted.env.to_string(), value))
    })
    .collect()
}

/// The mask of everything that these values' holders wrote.
///
/// # Errors
/// [`Unsealed`] if one of the values cannot be had.
pub fn mask_of<'a>(
    secrets: impl Iterator<Item = &'a Secret>,
    reader: &Reader,
    vault: &Vault,
) -> Result<Mask, Unsealed> {
    let values = secrets.map(|secret| open(reader, vault, secret)).collect::<Result<Vec<Value>, _>>()?;
    Ok(Mask::new(&values))
}

fn open(reader: &Reader, vault: &Vault, secret: &Secret) -> Result<Value, Unsealed> {
    let failed = |reason: String| Unsealed { name: secret.name.to_string(), reason };
    let sealed = reader.get(&record::sealed_key(secret.id)).map_err(|error| failed(error.to_string()))?;
    let sealed = sealed.ok_or_else(|| failed("its stored bytes are gone".to_owned()))?;
    vault.unseal(secret.owner, &secret.name, &sealed).map_err(|error| failed(error.to_string()))
}

/// What became of the values that the key before the present one had sealed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Sealed anew with the present key.
    pub values: usize,
    /// Those that neither key opens.
    pub lost: usize,
}

/// Seals every value with the present key. A crash in between leaves some with this and some with the key before it,
/// which opens them as ever; the next start goes on.
///
/// # Errors
/// When the store does not answer.
pub fn reseal(state: &State, store: &mut Store, vault: &Vault) -> Result<Resealed, ResealError> {
    let reader = store.reader();
    let (mut batch, mut resealed) = (Batch::new(), Resealed::default());
    for secret in state.secrets() {
        let key = record::sealed_key(secret.id);
        let Some(sealed) = reader.get(&key)?.filter(|sealed| vault.is_outdated(sealed)) else { continue };
        match vault.unseal(secret.owner, &secret.name, &sealed) {
            Ok(value) => {
                batch.put(&key, &vault.seal(secret.owner, &secret.name, &value));
                resealed.values += 1;
            }
            Err(_) => resealed.lost += 1,
        }
        if batch.bytes() > RESEAL_BYTES {
            store.commit(&mut batch)?;
        }
    }
    store.commit(&mut batch)?;
    Ok(resealed)
}

/// How many values were sealed with a key that is not at hand.
///
/// # Errors
/// When the store does not answer.
pub fn sealed_elsewhere(state: &State, store: &Store, vault: &Vault) -> Result<usize, ReadError> {
    let reader = store.reader();
    let mut count = 0;
    for secret in state.secrets() {
        let sealed = reader.get(&record::sealed_key(secret.id))?;
        count += usize::from(sealed.is_some_and(|sealed| vault.is_outdated(&sealed)));
    }
    Ok(count)
}

/// Masks the words of programs in news before anything else sees them: they are stored and told.
pub(crate) fn veil(state: &State, reader: &Reader, vault: &Vault, mut outcome: Outcome) -> Outcome {
    let (agent, exits): (AgentId, Vec<&mut Exit>) = match &mut outcome {
        Outcome::AttemptExited { agent, exit, .. } => (*agent, vec![exit]),
        Outcome::ShimUp { agent, exits, .. } => (*agent, exits.iter_mut().map(|(_, exit)| exit).collect()),
        Outcome::ShimGone { agent, witness, .. } => {
            (*agent, witness.exits.iter_mut().map(|(_, exit)| exit).collect())
        }
        Outcome::ShimFailed { .. }
        | Outcome::AttemptStarted { .. }
        | Outcome::AttemptRefused { .. }
        | Outcome::AttemptForgotten { .. }
        | Outcome::Frozen { .. }
        | Outcome::Observed { .. }
        | Outcome::WorkspaceRemoved { .. }
        | Outcome::WorkspaceMeasured { .. }
        | Outcome::WorkspaceKept { .. } => return outcome,
    };
    let given = given_to(state, agent);
    if given.is_empty() || exits.is_empty() {
        return outcome;
    }
    let mask = mask_of(given.into_iter(), reader, vault);
    for exit in exits {
        match &mask {
            Ok(mask) => veil_exit(exit, mask),
            Err(error) => {
                tracing::error!(%agent, "the last words of an attempt are withheld: {error}");
                WITHHELD.clone_into(&mut exit.tail);
            }
        }
    }
    outcome
}

/// Every value that an attempt of this agent was given, current or not.
pub fn given_to(state: &State, agent: AgentId) -> Vec<&Secret> {
    let Some(agent) = state.agent(agent) else { return Vec::new() };
    state.secrets_of(agent.owner).filter(|secret| secret.given.contains(&agent.id)).collect()
}

fn veil_exit(exit: &mut Exit, mask: &Mask) {
    let written = if exit.err_bytes > 0 { exit.err_bytes } else { exit.out_bytes };
    let cut = if written > TAIL_BYTES { Cut::Front } else { Cut::Nowhere };
    let veiled = |text: &str, cut| String::from_utf8_lossy(&mask.text(text.as_bytes(), cut)).into_owned();
    exit.tail = veiled(&exit.tail, cut);
    if let ExitKind::StartFailed { message, .. } = &mut exit.kind {
        *message = veiled(message, Cut::Nowhere);
    }
}
