//! The key of this host: from a credential of the service, else from a file that only the daemon's user can read.
//!
//! The file is made once and never written again; what is too open or cut short is refused, never mended. Not for: what
//! is sealed with it.

use rustix::fs::{Mode, OFlags, fstat, open};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The name of the credential (systemd.exec(5), `LoadCredentialEncrypted=`).
pub const KEY_CREDENTIAL: &str = "fusiond-host-key";
/// The name of the file in the state folder.
pub const KEY_FILE: &str = "host.key";
/// The names of the key before the present one, as long as something may be sealed with it.
pub const PREVIOUS_CREDENTIAL: &str = "fusiond-host-key-previous";
/// See [`PREVIOUS_CREDENTIAL`].
pub const PREVIOUS_FILE: &str = "host.key.previous";

const KEY_BYTES: usize = 32;
/// A key as text: 64 digits and the end of the line.
const FILE_BYTES_MAX: u64 = 80;

/// There is no key that may be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// It cannot be read or made.
    #[error("cannot {verb} the host key {path}", path = path.display())]
    Io {
        /// What failed.
        verb: &'static str,
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Others could read it or have written it.
    #[error("the host key {path} {what}: expected a file of mode 0600 or tighter that belongs to uid {uid}", path = path.display())]
    Unsafe {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
        /// The daemon's user.
        uid: u32,
    },
    /// It is no key.
    #[error("{path} holds no host key: expected 64 hexadecimal digits or 32 bytes", path = path.display())]
    Malformed {
        /// Where.
        path: PathBuf,
    },
}

impl KeyError {
    /// Whether it stays so until a person mends it.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        match self {
            Self::Unsafe { .. } | Self::Malformed { .. } => true,
            Self::Io { .. } => false,
        }
    }
}

/// The key, wiped when it is dropped.
pub(super) struct HostKey(Zeroizing<[u8; KEY_BYTES]>);

impl HostKey {
    pub(super) fn find(state: &Path, credentials: Option<&Path>) -> Result<Self, KeyError> {
        if let Some(credential) = credential(credentials, KEY_CREDENTIAL) {
            return read(&credential);
        }
        let path = state.join(KEY_FILE);
        match read(&path) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                make(state, &path).map_err(failed("make", &path))?;
                read(&path)
            }
            other => other,
        }
    }

    pub(super) fn find_previous(state: &Path, credentials: Option<&Path>) -> Result<Option<Self>, KeyError> {
        let path = credential(credentials, PREVIOUS_CREDENTIAL);
        match read(&path.unwrap_or_else(|| state.join(PREVIOUS_FILE))) {
            Err(KeyError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    pub(super) fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// Tells two keys apart and says nothing else of them.
    pub(super) fn id(&self) -> [u8; 8] {
        let mut digest = Sha256::new();
        digest.update(b"fusiond host key id\0");
        digest.update(*self.0);
        let whole: [u8; 32] = digest.finalize().into();
        whole[..8].try_into().expect("eight of thirty-two bytes")
    }
}

fn credential(folder: Option<&Path>, name: &str) -> Option<PathBuf> {
    folder.map(|folder| folder.join(name)).filter(|credential| credential.exists())
}

fn failed(verb: &'static str, path: &Path) -> impl FnOnce(io::Error) -> KeyError {
    let path = path.to_owned();
    move |source| KeyError::Io { verb, path, source }
}

fn read(path: &Path) -> Result<HostKey, KeyError> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = open(path, flags, Mode::empty()).map_err(io::Error::from).map_err(failed("open", path))?;
    let seen = fstat(&file).map_err(io::Error::from).map_err(failed("read", path))?;
    let uid = rustix::process::geteuid().as_raw();
    let unfit = |what: String| KeyError::Unsafe { path: path.to_owned(), what, uid };
    if !rustix::fs::FileType::from_raw_mode(seen.st_mode).is_file() {
        return Err(unfit("is no regular file".to_owned()));
    }
    if seen.st_uid != uid && seen.st_uid != 0 {
        return Err(unfit(format!("belongs to uid {}", seen.st_uid)));
    }
    if seen.st_mode & 0o077 != 0 {
        return Err(unfit(format!("has mode {:04o}", seen.st_mode & 0o7777)));
    }
    let mut bytes = Zeroizing::new(Vec::new());
    File::from(file).take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed("read", path))?;
    parse(&bytes).map(HostKey).ok_or_else(|| KeyError::Malformed { path: path.to_owned() })
}

fn parse(bytes: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    if let Ok(raw) = <[u8; KEY_BYTES]>::try_from(bytes) {
        return Some(Zeroizing::new(raw));
    }
    let digits = bytes.trim_ascii();
    if digits.len() != 2 * KEY_BYTES {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(key)
}

/// Draws a key. The file has its name only when it is whole and on disk.
fn make(state: &Path, path: &Path) -> io::Result<()> {
    let mut key = Zeroizing::new([0_u8; KEY_BYTES]);
    getrandom::fill(&mut *key).map_err(io::Error::other)?;
    let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
    for byte in *key {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(digit.into(), 16).expect("four bits are a digit"));
        }
    }
    text.push('\n');
    let draft = state.join(format!("{KEY_FILE}.tmp"));
    // One that a crash left is no key of anybody.
    drop(std::fs::remove_file(&draft));
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&draft, path)?;
    File::open(state)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    fn key(folder: &Path) -> Result<[u8; KEY_BYTES], KeyError> {
        HostKey::find(folder, None).map(|key| *key.expose())
    }

    #[test]
    fn a_key_is_made_once_and_is_for_its_user_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let first = key(folder.path()).expect("made");
        assert_eq!(key(folder.path()).expect("found"), first);
        let seen = std::fs::metadata(folder.path().join(KEY_FILE)).expect("there");
        assert_eq!(seen.mode() & 0o7777, 0o600);
        assert_ne!(first, [0; KEY_BYTES]);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_and_stays_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        key(folder.path()).expect("made");
        let path = folder.path().join(KEY_FILE);
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("its owner may");
        let error = key(folder.path()).expect_err("too open");
        assert!(error.to_string().contains("has mode 0640"), "{error}");
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o7777, 0o640);
    }

    #[test]
    fn links_and_what_is_no_key_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(KEY_FILE);
        symlink("/dev/null", &path).expect("a link");
        assert!(matches!(key(folder.path()), Err(KeyError::Io { .. })));
        std::fs::remove_file(&path).expect("removed");
        std::fs::write(&path, "too short").expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its owner may");
        assert!(matches!(key(folder.path()), Err(KeyError::Malformed { .. })));
    }

    #[test]
    fn a_credential_of_the_service_comes_first() {
        let folder = tempfile::tempdir().expect("a folder");
        let credential = folder.path().join(KEY_CREDENTIAL);
        std::fs::write(&credential, [7; KEY_BYTES]).expect("written");
        std::fs::set_permissions(&credential, std::fs::Permissions::from_mode(0o400)).expect("its owner may");
        let found = HostKey::find(folder.path(), Some(folder.path())).expect("found");
        assert_eq!(found.expose(), &[7; KEY_BYTES]);
        assert!(!folder.path().join(KEY_FILE).exists());
    }
}
