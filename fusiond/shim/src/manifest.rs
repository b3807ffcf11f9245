//! The list of what a workspace was seeded with: the commit that it began with, or one entry for each file, folder and
//! link; each ended by a NUL byte.
//!
//! ```text
//! C 4b825dc642cb6eb9a060e54bf8d69288fbee4904\0
//! F 1024 1767225600000000000 644 src/main.rs\0
//! │ size mtime in ns         mode path below the workspace
//! └ F file, D folder, L link, O other
//! ```
//!
//! Written as the agent's user and read as that user: root only carries it. Not here: what has changed
//! (`diff`).

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io::{self, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A pipe, a socket or a device: never copied.
    Other,
}

impl Kind {
    /// What the file system says of it.
    #[must_use]
    pub fn of(found: &Metadata) -> Self {
        let kind = found.file_type();
        match (kind.is_dir(), kind.is_symlink(), kind.is_file()) {
            (true, _, _) => Self::Folder,
            (_, true, _) => Self::Link,
            (_, _, true) => Self::File,
            (false, false, false) => Self::Other,
        }
    }
}

/// Entries by their path.
pub type Entries = BTreeMap<PathBuf, Entry>;

/// What a workspace was filled with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seeded {
    /// A commit of its repository.
    Commit(String),
    /// Files, perhaps none.
    Files(Entries),
}

/// What [`Seeded::Commit`] is written with.
const COMMIT: &[u8] = b"C ";

/// One line of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Length in bytes; of a link, of its target.
    pub size: u64,
    /// Time of the last change of its content, nanoseconds since 1970.
    pub modified_ns: i128,
    /// Permission bits.
    pub mode: u32,
    /// Below the workspace.
    pub path: PathBuf,
}

impl Entry {
    /// What the file system says of it.
    #[must_use]
    pub fn of(kind: Kind, path: &Path, found: &Metadata) -> Self {
        let modified_ns = i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec());
        Self { kind, size: found.len(), modified_ns, mode: found.mode() & 0o777, path: path.to_owned() }
    }

    /// Whether it is the same thing unchanged. The size of a folder and its time say nothing of its own.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self.kind, other.kind) {
            (Kind::Folder, Kind::Folder) | (Kind::Other, Kind::Other) => true,
            (Kind::Link, Kind::Link) => (self.size, self.modified_ns) == (other.size, other.modified_ns),
            (Kind::File, Kind::File) => {
                (self.size, self.modified_ns, self.mode & 0o111)
                    == (other.size, other.modified_ns, other.mode & 0o111)
            }
            (Kind::File | Kind::Folder | Kind::Link | Kind::Other, _) => false,
        }
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, to: &mut impl Write) -> io::Result<()> {
        let letter = match self.kind {
            Kind::File => 'F',
            Kind::Folder => 'D',
            Kind::Link => 'L',
            Kind::Other => 'O',
        };
        write!(to, "{letter} {} {} {:o} ", self.size, self.modified_ns, self.mode)?;
        to.write_all(self.path.as_os_str().as_bytes())?;
        to.write_all(&[0])
    }

    /// Reads one without its NUL byte; `None` for bytes that are none.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let mut fields = bytes.splitn(5, |byte| *byte == b' ');
        let mut text = || std::str::from_utf8(fields.next()?).ok();
        let kind = match text()? {
            "F" => Kind::File,
            "D" => Kind::Folder,
            "L" => Kind::Link,
            "O" => Kind::Other,
            _ => return None,
        };
        let size = text()?.parse().ok()?;
        let modified_ns = text()?.parse().ok()?;
        let mode = u32::from_str_radix(text()?, 8).ok()?;
        let path = PathBuf::from(OsString::from_vec(fields.next()?.to_vec()));
        Some(Self { kind, size, modified_ns, mode, path })
    }

    /// Reads a whole list; `None` if it is not in order.
    #[must_use]
    pub fn parse_all(bytes: &[u8]) -> Option<Seeded> {
        if bytes.is_empty() {
            return Some(Seeded::Files(Entries::new()));
        }
        let bytes = bytes.strip_suffix(&[0])?;
        if let Some(commit) = bytes.strip_prefix(COMMIT) {
            let is_commit = matches!(commit.len(), 40 | 64) && commit.iter().all(u8::is_ascii_hexdigit);
            let commit = String::from_utf8(commit.to_vec()).ok()?;
            return is_commit.then_some(Seeded::Commit(commit));
        }
        let entries = bytes.split(|byte| *byte == 0).map(|entry| {
            let entry = Self::parse(entry)?;
            Some((entry.path.clone(), entry))
        });
        entries.collect::<Option<Entries>>().map(Seeded::Files)
    }
}

/// Writes the commit that a workspace began with.
///
/// # Errors
/// Those of the writer.
pub fn write_commit(commit: &str, to: &mut impl Write) -> io::Result<()> {
    to.write_all(COMMIT)?;
    to.write_all(commit.as_bytes())?;
    to.write_all(&[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_reads_back_whatever_its_name() {
        for name in ["src/main.rs", "with space", "new\nline", "-f"] {
            let entry = Entry { kind: Kind::File, size: 7, modified_ns: -1, mode: 0o755, path: name.into() };
            let mut bytes = Vec::new();
            entry.write(&mut bytes).expect("memory");
            assert_eq!(bytes.pop(), Some(0));
            assert_eq!(Entry::parse(&bytes), Some(entry));
        }
        let mut bytes = Vec::new();
        let commit = "4b825dc642cb6eb9a060e54bf8d69288fbee4904";
        write_commit(commit, &mut bytes).expect("memory");
        assert_eq!(Entry::parse_all(&bytes), Some(Seeded::Commit(commit.to_owned())));
        assert_eq!(Entry::parse_all(b""), Some(Seeded::Files(Entries::new())));
        for wrong in [&b"C --output=x\0"[..], b"F 1 2 644 a\0F 1", b"F 1 2 644 a", b"\0"] {
            assert_eq!(Entry::parse_all(wrong), None);
        }
        assert_eq!(Entry::parse(b"X 1 2 3 a"), None);
        assert_eq!(Entry::parse(b""), None);
    }
}
