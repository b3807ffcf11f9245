//! The changes against the list of what was copied: kind, size, time of change and the right to execute tell. Not here:
//! repositories (`git`).

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

use fusion_shim::manifest::{Entries, Entry, Kind};

use super::Detail;

/// A repository that the agent has begun is one change, not as many as git keeps files.
const REPOSITORY: &str = ".git";

/// How a name changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    Added,
    Deleted,
    Modified,
}

impl Change {
    const fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Deleted => 'D',
            Self::Modified => 'M',
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Deleted => "deleted",
            Self::Modified => "modified",
        }
    }

    fn of(before: Option<&Entry>, now: Option<&Entry>) -> Option<Self> {
        match (before, now) {
            (None, Some(_)) => Some(Self::Added),
            (Some(_), None) => Some(Self::Deleted),
            (Some(before), Some(now)) => (!before.is_same(now)).then_some(Self::Modified),
            (None, None) => None,
        }
    }
}

/// Prints one line for each change, in the order of the names.
pub(super) fn tell(before: Entries, detail: Detail, until: Instant) -> Result<(), String> {
    let now = look(until).map_err(|error| format!("cannot read the workspace: {error}"))?;
    print(&before, &now, detail).map_err(|error| format!("cannot print: {error}"))
}

fn look(until: Instant) -> io::Result<Entries> {
    let mut found = Entries::new();
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder.as_path() };
        let entries = match std::fs::read_dir(here) {
            Ok(entries) => entries,
            // Gone meanwhile, or locked by the agent: what was there counts as deleted.
            Err(_) if !folder.as_os_str().is_empty() => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            if Instant::now() >= until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            let path = folder.join(entry?.file_name());
            if path == Path::new(super::OWN) {
                continue;
            }
            // It may be gone by now.
            let Ok(metadata) = std::fs::symlink_metadata(&path) else { continue };
            let kind = Kind::of(&metadata);
            if kind == Kind::Folder && path != Path::new(REPOSITORY) {
                waiting.push(path.clone());
            }
            found.insert(path.clone(), Entry::of(kind, &path, &metadata));
        }
    }
    Ok(found)
}

fn print(before: &Entries, now: &Entries, detail: Detail) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout());
    let mut counts: BTreeMap<Change, usize> = BTreeMap::new();
    let mut all: Vec<&PathBuf> = before.keys().chain(now.keys()).collect();
    all.sort();
    all.dedup();
    for path in all {
        let (was, is) = (before.get(path), now.get(path));
        let Some(change) = Change::of(was, is) else { continue };
        let name = quoted(path, is.or(was).is_some_and(|entry| entry.kind == Kind::Folder));
        match detail {
            Detail::Patch | Detail::NameStatus => writeln!(out, "{}\t{name}", change.letter())?,
            Detail::NameOnly => writeln!(out, "{name}")?,
            Detail::Stat => {
                let size = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.size);
                writeln!(out, " {name} | {} -> {} bytes", size(was), size(is))?;
            }
        }
        *counts.entry(change).or_default() += 1;
    }
    if detail == Detail::Stat && !counts.is_empty() {
        let counts: Vec<_> =
            counts.iter().map(|(change, count)| format!("{count} {}", change.word())).collect();
        writeln!(out, " {}", counts.join(", "))?;
    }
    out.flush()
}

/// As git quotes what would break a line.
fn quoted(path: &Path, is_folder: bool) -> String {
    let slash = if is_folder { "/" } else { "" };
    let bytes = path.as_os_str().as_bytes();
    let is_plain = std::str::from_utf8(bytes)
        .is_ok_and(|text| !text.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')));
    if is_plain {
        return format!("{}{slash}", path.display());
    }
    let mut text = String::from("\"");
    for byte in bytes.iter().copied().chain(slash.bytes()) {
        match byte {
            b'"' | b'\\' => text.extend(['\\', char::from(byte)]),
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b' '..=b'~' => text.push(char::from(byte)),
            other => text.push_str(&format!("\\{other:03o}")),
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn names_that_would_break_a_line_are_quoted_as_git_does() {
        let quoted = |bytes: &[u8], is_folder| quoted(Path::new(OsStr::from_bytes(bytes)), is_folder);
        assert_eq!(quoted("ä b".as_bytes(), true), "ä b/");
        assert_eq!(quoted(b"a\nb\"\xff\x1b", false), r#""a\nb\"\377\033""#);
    }
}
