//! The vault: seals values with the key of this host and opens them again, and masks them in what agents wrote.
//!
//! ```text
//! sealed = version u8 | key id 8 | nonce 24 | XChaCha20-Poly1305(value; associated data: user, name)
//! ```
//! A value is bound to its user and its name, so that no other stored bytes can take its place. Not for: where sealed
//! bytes are kept (the engine), who may have them (the core), the key's file (`key`).

mod key;
mod mask;
mod matcher;

pub use key::{KEY_CREDENTIAL, KEY_FILE, KeyError, PREVIOUS_CREDENTIAL, PREVIOUS_FILE};
pub use mask::{Cut, End, Mask, Masker, STARS, Span};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use fusion_core::Uid;
use key::HostKey;
use std::path::Path;
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// The shortest value: shorter ones stand everywhere by chance, so masking them would hide nothing.
pub const VALUE_BYTES_MIN: usize = 4;
/// The longest value: all that one user may have fits in memory as an automaton, and all that one attempt may ask for in
/// an environment (execve(2)).
pub const VALUE_BYTES_MAX: usize = 16 << 10;

const VERSION: u8 = 1;
const KEY_ID_BYTES: usize = 8;
const NONCE_BYTES: usize = 24;
const HEADER_BYTES: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;

/// A value in the clear. It is wiped when it is dropped, and is neither printed nor stored.
#[derive(Clone)]
pub struct Value(Arc<Zeroizing<Vec<u8>>>);

impl Value {
    /// Takes over these bytes.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Zeroizing::new(bytes)))
    }

    /// The bytes, for the one place that needs them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(STARS)
    }
}

/// Bytes that cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// They were sealed on another host, or before the key was replaced.
    #[error("it was sealed with another host key")]
    OtherKey,
    /// They are cut, changed, or not those of this user and name.
    #[error("its stored bytes are damaged")]
    Damaged,
}

/// Seals with the host key, and opens what it or the key before it has sealed. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    key: Arc<HostKey>,
    previous: Option<Arc<HostKey>>,
}

impl Vault {
    /// Reads the host key from the credentials of the service, else from the state folder, where it is made if it is
    /// missing; and the key before it, where one was left.
    ///
    /// # Errors
    /// [`KeyError`]: no key is used that others could read or have written.
    pub fn open(state: &Path, credentials: Option<&Path>) -> Result<Self, KeyError> {
        // Looked for first: one that may not be used is told before a new one is made.
        let previous = HostKey::find_previous(state, credentials)?.map(Arc::new);
        Ok(Self { key: Arc::new(HostKey::find(state, credentials)?), previous })
    }

    /// Whether the key before this one is there, too.
    #[must_use]
    pub fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// Whether these bytes were sealed with another key than the present one.
    #[must_use]
    pub fn is_outdated(&self, sealed: &[u8]) -> bool {
        sealed.get(1..=KEY_ID_BYTES).is_none_or(|id| id != self.key.id())
    }

    /// The stored form of a value.
    ///
    /// # Panics
    /// Without entropy, which the kernel gives once it is up.
    #[must_use]
    pub fn seal(&self, owner: Uid, name: &str, value: &Value) -> Vec<u8> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).expect("the kernel gives entropy after boot");
        let aad = associated(owner, name);
        let payload = Payload { msg: value.expose(), aad: &aad };
        let body = cipher(&self.key).encrypt(&XNonce::from(nonce), payload);
        let body = body.expect("a value is far below the limit of the cipher");
        let mut sealed = Vec::with_capacity(HEADER_BYTES + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&self.key.id());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        sealed
    }

    /// The value behind its stored form.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn unseal(&self, owner: Uid, name: &str, sealed: &[u8]) -> Result<Value, OpenError> {
        let (header, body) = sealed.split_at_checked(HEADER_BYTES).ok_or(OpenError::Damaged)?;
        let (version, header) = header.split_at(1);
        let (id, nonce) = header.split_at(KEY_ID_BYTES);
        if version != [VERSION] {
            return Err(OpenError::Damaged);
        }
        let key = [Some(&self.key), self.previous.as_ref()].into_iter().flatten().find(|key| key.id() == id);
        let key = key.ok_or(OpenError::OtherKey)?;
        let nonce: [u8; NONCE_BYTES] = nonce.try_into().map_err(|_| OpenError::Damaged)?;
        let aad = associated(owner, name);
        let opened = cipher(key).decrypt(&XNonce::from(nonce), Payload { msg: body, aad: &aad });
        opened.map(Value::new).map_err(|_| OpenError::Damaged)
    }
}

fn cipher(key: &HostKey) -> XChaCha20Poly1305 {
    let mut key = Key::from(*key.expose());
    let cipher = XChaCha20Poly1305::new(&key);
    key.as_mut_slice().zeroize();
    cipher
}

fn associated(owner: Uid, name: &str) -> Vec<u8> {
    let mut bytes = b"fusiond secret 1\0".to_vec();
    bytes.extend_from_slice(&owner.0.to_be_bytes());
    bytes.extend_from_slice(name.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vault() -> (tempfile::TempDir, Vault) {
        let folder = tempfile::tempdir().expect("a folder");
        let vault = Vault::open(folder.path(), None).expect("a fresh key");
        (folder, vault)
    }

    #[test]
    fn a_value_opens_for_its_user_and_name_alone() {
        let (_folder, vault) = vault();
        let value = Value::new(b"hunter2hunter2".to_vec());
        let sealed = vault.seal(Uid(7), "token", &value);
        let open = |uid, name| vault.unseal(Uid(uid), name, &sealed).map(|value| value.expose().to_vec());
        assert_eq!(open(7, "token"), Ok(b"hunter2hunter2".to_vec()));
        assert_eq!(open(8, "token"), Err(OpenError::Damaged));
        assert_eq!(open(7, "other"), Err(OpenError::Damaged));
        assert!(!sealed.windows(7).any(|window| window == b"hunter2"));
        assert_ne!(sealed, vault.seal(Uid(7), "token", &value), "the nonce is drawn anew");
    }

    #[test]
    fn what_the_key_before_has_sealed_opens_as_long_as_that_key_is_there() {
        let (folder, old) = vault();
        let value = Value::new(b"hunter2hunter2".to_vec());
        let before = old.seal(Uid(7), "token", &value);
        let path = |name: &str| folder.path().join(name);
        std::fs::rename(path(KEY_FILE), path(PREVIOUS_FILE)).expect("its owner may");
        let both = Vault::open(folder.path(), None).expect("a new key beside the old one");
        assert!(both.has_previous() && both.is_outdated(&before));
        let opened = both.unseal(Uid(7), "token", &before).expect("it opens");
        let anew = both.seal(Uid(7), "token", &opened);
        assert!(!both.is_outdated(&anew));
        std::fs::remove_file(path(PREVIOUS_FILE)).expect("its owner may");
        let new = Vault::open(folder.path(), None).expect("the new key");
        assert_eq!(
            new.unseal(Uid(7), "token", &anew).map(|value| value.expose().to_vec()),
            Ok(value.expose().to_vec())
        );
        assert_eq!(new.unseal(Uid(7), "token", &before).err(), Some(OpenError::OtherKey));
    }

    #[test]
    fn a_changed_byte_a_cut_or_another_key_opens_nothing() {
        let (_folder, own) = vault();
        let (_other_folder, other) = vault();
        let sealed = own.seal(Uid(7), "token", &Value::new(b"value".to_vec()));
        assert_eq!(other.unseal(Uid(7), "token", &sealed).err(), Some(OpenError::OtherKey));
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(own.unseal(Uid(7), "token", &changed).is_err(), "byte {place}");
            assert!(own.unseal(Uid(7), "token", &sealed[..place]).is_err(), "cut at {place}");
        }
    }

    #[test]
    fn a_value_is_not_printed() {
        assert_eq!(format!("{:?}", Some(Value::new(b"hunter2".to_vec()))), "Some(***)");
    }
}
