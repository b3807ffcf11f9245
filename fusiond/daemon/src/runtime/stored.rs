//! Prompts that are too long for a frame: their names, and laying them where a shim takes them.
//!
//! Not here: how they are kept (the engine), and who may use one (the doors).

use std::io;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::sync::Arc;

use fusion_core::Uid;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Shared;
use super::places::Life;

/// Names a stored prompt: a hash of its owner and its bytes, so that the same prompt is stored once and named alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputId(pub [u8; 16]);

/// A prompt that is stored apart from its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPrompt {
    /// Its name.
    pub id: InputId,
    /// Its length.
    pub bytes: u32,
}

/// Reads a stored prompt from its first byte to its last into a writer. Blocks.
pub type ReadStored = Arc<dyn Fn(StoredPrompt, &mut dyn io::Write) -> io::Result<()> + Send + Sync>;

impl InputId {
    const PREFIX: &'static str = "inp_";

    /// The name of this prompt of this user.
    #[must_use]
    pub fn of(owner: Uid, prompt: &[u8]) -> Self {
        let mut digest = Sha256::new();
        digest.update(owner.0.to_be_bytes());
        digest.update(prompt);
        let hash: [u8; 32] = digest.finalize().into();
        Self(hash[..16].try_into().expect("sixteen of thirty-two bytes"))
    }

    /// Reads what [`std::fmt::Display`] wrote.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(Self::PREFIX).filter(|digits| digits.len() == 32)?;
        let number = u128::from_str_radix(digits, 16).ok()?;
        let id = Self(number.to_be_bytes());
        (id.to_string() == text).then_some(id)
    }
}

impl std::fmt::Display for InputId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{:032x}", Self::PREFIX, u128::from_be_bytes(self.0))
    }
}

/// Lays the prompt of an attempt into the state folder of its incarnation. Blocks.
pub(super) fn lay(shared: &Shared, life: Life, serial: u32, stored: StoredPrompt) -> io::Result<()> {
    let path = shared.places.state(life).join(fusion_shim::names::prompt(serial));
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let laid = (shared.read_stored)(stored, &mut file)
        // A program opens its input again by `/dev/stdin`, with its own rights; nobody gets into the folder by name.
        .and_then(|()| file.set_permissions(std::fs::Permissions::from_mode(0o444)));
    if laid.is_err() {
        // Half a prompt is none.
        std::fs::remove_file(&path).unwrap_or_default();
    }
    laid
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_is_of_its_owner() {
        let id = InputId::of(Uid(1), b"words");
        assert_eq!(InputId::parse(&id.to_string()), Some(id));
        assert_ne!(id, InputId::of(Uid(2), b"words"));
        for wrong in ["", "inp_", "inp_00", &id.to_string().to_uppercase(), &format!("{id}0")] {
            assert_eq!(InputId::parse(wrong), None, "{wrong}");
        }
    }
}
