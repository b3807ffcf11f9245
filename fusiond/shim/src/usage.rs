//! What a tree takes, as `fusion-shim du` prints it: `bytes disk-bytes files folders unread whole|cut`.
//!
//! Not here: counting (`du`).

use std::fmt;

/// What lies below a folder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The sum of the lengths of files; of a link, its text. A file with several names counts once.
    pub bytes: u64,
    /// What files and folders take on the disk.
    pub disk_bytes: u64,
    /// How many names are no folders; a file with several counts once.
    pub files: u64,
    /// How many folders.
    pub folders: u64,
    /// Folders that could not be read: what is in them is not counted.
    pub unread: u64,
    /// Whether that is all.
    pub count: Count,
}

/// How far the counting came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Count {
    /// To the end.
    #[default]
    Whole,
    /// It took too long: there is more.
    Cut,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, disk_bytes, files, folders, unread, count } = self;
        let word = match count {
            Count::Whole => "whole",
            Count::Cut => "cut",
        };
        writeln!(f, "{bytes} {disk_bytes} {files} {folders} {unread} {word}")
    }
}

impl Usage {
    /// Reads what [`Usage`] prints; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_ascii_whitespace();
        let mut number = || words.next()?.parse().ok();
        let (bytes, disk_bytes, files) = (number()?, number()?, number()?);
        let (folders, unread) = (number()?, number()?);
        let count = match (words.next()?, words.next()) {
            ("whole", None) => Count::Whole,
            ("cut", None) => Count::Cut,
            (_, _) => return None,
        };
        Some(Self { bytes, disk_bytes, files, folders, unread, count })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back() {
        let usage = Usage { bytes: 1, disk_bytes: 4096, files: 2, folders: 3, unread: 4, count: Count::Cut };
        assert_eq!(Usage::parse(&usage.to_string()), Some(usage));
        assert_eq!(Usage::parse(&Usage::default().to_string()), Some(Usage::default()));
        for wrong in ["", "1 2 3 4 5", "1 2 3 4 5 some", "1 2 3 4 5 cut 6", "-1 2 3 4 5 cut"] {
            assert_eq!(Usage::parse(wrong), None, "{wrong}");
        }
    }
}
