//! Seeding from a plain folder: a copy of its files, folders and links, listed on standard output.
//!
//! Modes, times of change and links are kept as they are; owners are not, and what is neither file, folder nor link is
//! passed over. Not here: repositories (`git`).

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, BufWriter, Stdout, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use fusion_shim::manifest::{Entry, Kind};
use rustix::fs::OFlags;

/// Copies everything below `source` into the working directory.
pub(super) fn tree(source: &Path) -> Result<(), String> {
    let here = std::fs::metadata(".").map_err(|error| format!("cannot look at the workspace: {error}"))?;
    let mut copy = Copy { target: (here.dev(), here.ino()), list: BufWriter::new(io::stdout()) };
    copy.folder(source, Path::new(""))
        .map_err(|(path, error)| format!("cannot copy {}: {error}", path.display()))?;
    copy.list.flush().map_err(|error| format!("cannot list what was copied: {error}"))
}

type Failed = (PathBuf, io::Error);

struct Copy {
    /// The workspace itself, should it lie in the source.
    target: (u64, u64),
    list: BufWriter<Stdout>,
}

impl Copy {
    /// One level after the other; what waits is one path for each folder that is still to be read.
    fn folder(&mut self, source: &Path, top: &Path) -> Result<(), Failed> {
        let mut waiting = vec![top.to_owned()];
        let mut made: Vec<(PathBuf, Metadata)> = Vec::new();
        while let Some(below) = waiting.pop() {
            let from = source.join(&below);
            let failed = |error| (from.clone(), error);
            for entry in std::fs::read_dir(&from).map_err(failed)? {
                let name = entry.map_err(failed)?.file_name();
                let below = below.join(&name);
                let from = source.join(&below);
                let found = std::fs::symlink_metadata(&from).map_err(|error| (from.clone(), error))?;
                if self.one(&from, &below, &found).map_err(|error| (from.clone(), error))? {
                    waiting.push(below.clone());
                    made.push((below, found));
                }
            }
        }
        // Behind the files in them: a folder may be read-only, and its time is that of its last change.
        for (path, found) in made.iter().rev() {
            finish(path, found).map_err(|error| (source.join(path), error))?;
        }
        Ok(())
    }

    /// Whether it is a folder to go on with.
    fn one(&mut self, from: &Path, to: &Path, found: &Metadata) -> io::Result<bool> {
        let kind = found.file_type();
        if kind.is_dir() {
            if (found.dev(), found.ino()) == self.target {
                return Ok(false);
            }
            std::fs::DirBuilder::new().mode(0o700).create(to)?;
            self.list(Kind::Folder, to, found)?;
            return Ok(true);
        }
        if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(from)?, to)?;
            self.list(Kind::Link, to, found)?;
        } else if kind.is_file() {
            copy_file(from, to)?;
            self.list(Kind::File, to, &std::fs::symlink_metadata(to)?)?;
        }
        Ok(false)
    }

    fn list(&mut self, kind: Kind, path: &Path, found: &Metadata) -> io::Result<()> {
        Entry::of(kind, path, found).write(&mut self.list)
    }
}

fn finish(path: &Path, found: &Metadata) -> io::Result<()> {
    let folder = File::open(path)?;
    folder.set_modified(found.modified()?)?;
    folder.set_permissions(std::fs::Permissions::from_mode(found.mode() & 0o777 | 0o700))
}

/// The descriptor decides what was opened: a link or a pipe that was put in place meanwhile is refused.
fn copy_file(from: &Path, to: &Path) -> io::Result<()> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits();
    let flags = i32::try_from(flags).expect("flags of open(2) are an int");
    let mut source = OpenOptions::new().read(true).custom_flags(flags).open(from)?;
    let found = source.metadata()?;
    if !found.is_file() {
        return Err(io::Error::other("it has been replaced meanwhile"));
    }
    let mut target = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut source, &mut target)?;
    target.set_permissions(std::fs::Permissions::from_mode(found.mode() & 0o777 | 0o600))?;
    target.set_modified(found.modified()?)
}
