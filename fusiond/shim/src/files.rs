//! Prompt and result by file: a folder in the workspace for each attempt, touched by a child with the user's rights
//! alone, so that nothing a user does there is done to root.
//!
//! ```text
//! <workspace>/.fusiond/.gitignore          nothing here is meant for a commit
//! <workspace>/.fusiond/<n>.<k>/input       the prompt             made before the program, removed after it
//! <workspace>/.fusiond/<n>.<k>/output      empty at first; read when nothing of the attempt is left
//! ```
//!
//! Not here: what the daemon makes of a result.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use fusion_shim::names;
use fusion_shim::wire::{AttemptSpec, Content, Files, Output, RESULT_BYTES_MAX};
use fusion_sys::folder::{make_folder_at, open_beneath, open_folder_beneath, remove_below};
use fusion_sys::helper::run_as;
use fusion_sys::process::Credentials;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;

use crate::startup::Begun;

/// The folder of one attempt.
pub(crate) struct Place {
    cwd: Vec<u8>,
    name: String,
    output: Output,
}

/// Nothing in a workspace takes longer but a file system that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first byte of the child's answer about a result.
const ABSENT: u8 = b'-';
const INVALID: u8 = b'!';
const FOUND: u8 = b'=';

/// Makes the files of an attempt that has some.
pub(crate) fn make(begun: &Begun, serial: u32, spec: &AttemptSpec) -> io::Result<Option<Place>> {
    let Some(files) = &spec.files else { return Ok(None) };
    let place = Place { cwd: spec.cwd.clone(), name: files.name.clone(), output: files.output };
    let laid = match &files.input {
        Some(Content::Laid) => Some(std::fs::File::from(take_laid(begun, serial)?)),
        Some(Content::Empty | Content::Inline(_)) | None => None,
    };
    let made = run_as(user(begun).as_ref(), 0, PATIENCE, || {
        make_below(&place, files, laid.as_ref()).map(|()| Vec::new())
    });
    if let Err(error) = made {
        place.remove(begun);
        return Err(error);
    }
    Ok(Some(place))
}

impl Place {
    /// Takes the result, if there is one, and removes the folder. The reason of a failure is one sentence for people.
    pub(crate) fn close(self, begun: &Begun, serial: u32) -> Result<(), String> {
        let Output::Result = self.output else {
            self.remove(begun);
            return Ok(());
        };
        let answer = run_as(user(begun).as_ref(), RESULT_BYTES_MAX + 1, PATIENCE, || {
            let answer = self.look();
            // What cannot be removed now goes with the next attempt or the workspace.
            let _left = self.remove_below();
            Ok(answer)
        });
        let answer = answer.map_err(|error| format!("the output file cannot be read: {error}"))?;
        match answer.split_first() {
            Some((&FOUND, bytes)) if !bytes.is_empty() => keep(&begun.state, serial, bytes)
                .map_err(|error| format!("the content of the output file cannot be kept: {error}")),
            Some((&INVALID, reason)) => Err(String::from_utf8_lossy(reason).into_owned()),
            Some(_) | None => Ok(()),
        }
    }

    /// Removes the folder without a look at it.
    pub(crate) fn remove(&self, begun: &Begun) {
        // What cannot be removed now goes with the next attempt or the workspace.
        let _left = run_as(user(begun).as_ref(), 0, PATIENCE, || self.remove_below().map(|()| Vec::new()));
    }

    /// In the child: what the output file holds, or why it cannot be the result.
    fn look(&self) -> Vec<u8> {
        match self.read() {
            Ok(Some(bytes)) if bytes.len() > RESULT_BYTES_MAX => {
                tagged(INVALID, format!("the output file is larger than {RESULT_BYTES_MAX} bytes").as_bytes())
            }
            Ok(Some(bytes)) => tagged(FOUND, &bytes),
            Ok(None) => vec![ABSENT],
            Err(error) => tagged(INVALID, format!("the output file cannot be read: {error}").as_bytes()),
        }
    }

    /// In the child: at most one byte more than is allowed. `None` if there is no file.
    fn read(&self) -> io::Result<Option<Vec<u8>>> {
        let path = format!("{}/{}/{}", names::FILES, self.name, names::OUTPUT);
        // A pipe must not hold up whoever opens it.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = match open_beneath(self.workspace()?, Path::new(&path), flags, Mode::empty()) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
                return Err(io::Error::other("there is a link in its place"));
            }
            Err(error) => return Err(error),
        };
        if FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Err(io::Error::other("it is no regular file"));
        }
        let mut bytes = Vec::new();
        let most = u64::try_from(RESULT_BYTES_MAX).unwrap_or(u64::MAX).saturating_add(1);
        std::fs::File::from(file).take(most).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// In the child.
    fn remove_below(&self) -> io::Result<()> {
        let all = open_folder_beneath(self.workspace()?, Path::new(names::FILES))?;
        remove_below(open_folder_beneath(&all, Path::new(&self.name))?)?;
        Ok(unlinkat(&all, self.name.as_str(), AtFlags::REMOVEDIR)?)
    }

    /// In the child, with the user's rights: the program enters the same path.
    fn workspace(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(rustix::fs::open(self.cwd.as_slice(), flags, Mode::empty())?)
    }
}

/// In the child. What earlier attempts have left (their shim was killed) goes first: one attempt has the workspace.
fn make_below(place: &Place, files: &Files, laid: Option<&std::fs::File>) -> io::Result<()> {
    let all = make_folder_at(place.workspace()?, names::FILES, Mode::RWXU)?;
    remove_below(&all)?;
    fusion_sys::file::write_all(create(&all, ".gitignore")?, b"*\n")?;
    let own = make_folder_at(&all, &place.name, Mode::RWXU)?;
    match &files.input {
        None => {}
        Some(Content::Empty) => drop(create(&own, names::INPUT)?),
        Some(Content::Inline(bytes)) => fusion_sys::file::write_all(create(&own, names::INPUT)?, bytes)?,
        Some(Content::Laid) => {
            let mut from = laid.ok_or(io::ErrorKind::NotFound)?;
            io::copy(&mut from, &mut std::fs::File::from(create(&own, names::INPUT)?))?;
        }
    }
    create(&own, names::OUTPUT).map(drop)
}

fn create(folder: impl AsFd, name: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    Ok(openat(folder, name, flags, Mode::RUSR | Mode::WUSR)?)
}

/// Opens the long prompt that the daemon has laid in its own folder, and takes its name away: it lasts as long as
/// somebody has it open.
pub(crate) fn take_laid(begun: &Begun, serial: u32) -> io::Result<OwnedFd> {
    let name = names::prompt(serial);
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = openat(&begun.state, name.as_str(), flags, Mode::empty())?;
    unlinkat(&begun.state, name.as_str(), AtFlags::empty())?;
    Ok(file)
}

/// Durably, in the daemon's own folder.
fn keep(state: &OwnedFd, serial: u32, bytes: &[u8]) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let name = names::result(serial);
    let file = openat(state, name.as_str(), flags, Mode::RUSR | Mode::WUSR)?;
    let written = fusion_sys::file::write_all(&file, bytes).and_then(|()| Ok(rustix::fs::fsync(&file)?));
    match written.and_then(|()| Ok(rustix::fs::fsync(state)?)) {
        Ok(()) => Ok(()),
        Err(error) => {
            // Half a result is none.
            match unlinkat(state, name.as_str(), AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => Err(error),
                Err(worse) => Err(worse.into()),
            }
        }
    }
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    [&[tag], bytes].concat()
}

fn user(begun: &Begun) -> Option<Credentials> {
    let identity = begun.spec.identity.as_ref()?;
    Some(Credentials { uid: identity.uid, gid: identity.gid, groups: identity.groups.clone() })
}
