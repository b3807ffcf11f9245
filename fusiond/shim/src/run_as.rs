//! `fusion-shim run-as [UID GID GROUP…] -- PROGRAM ARG…`: becomes that user, then the program. Root itself starts nothing
//! that a user's PATH names. Not here: what is asked, and how long it may take.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use crate::failed;
use crate::identity::become_named;

/// The exit statuses that shells give for these.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// Returns only if there is no program to become.
pub(crate) fn run(words: &[OsString]) -> ExitCode {
    let mut parts = words.splitn(2, |word| word == "--");
    let (Some(ids), Some([program, arguments @ ..])) = (parts.next(), parts.next()) else {
        return failed(
            "cannot tell the user from the program",
            &std::io::Error::from(std::io::ErrorKind::InvalidInput),
        );
    };
    let dropped = become_named(ids).and_then(|()| Ok(rustix::thread::set_no_new_privs(true)?));
    if let Err(error) = dropped {
        return failed("cannot become the user", &error);
    }
    let error = Command::new(program).args(arguments).exec();
    let is_missing = error.kind() == std::io::ErrorKind::NotFound;
    ExitCode::from(if is_missing { NOT_FOUND } else { NOT_RUNNABLE })
}
