//! `fusion-shim rm-tree [UID GID]`: removes everything below the folder that is standard input, as that user. Root
//! never walks a tree that a user can change. Not here: the removal of the folder itself, which root owns.

use std::ffi::OsString;
use std::process::ExitCode;

use crate::identity::become_named;
use crate::{failed, say};

/// Exit status 0 if nothing is left below the folder.
pub(crate) fn run(identity: &[OsString]) -> ExitCode {
    if let Err(error) = become_named(identity) {
        return failed("cannot become the owner of the tree", &error);
    }
    match fusion_sys::folder::remove_below(std::io::stdin()) {
        Ok(leftovers) => match leftovers.first {
            None => ExitCode::SUCCESS,
            Some(error) => {
                say(&format!("{} names could not be removed: {error}", leftovers.count));
                ExitCode::FAILURE
            }
        },
        Err(error) => {
            say(&format!("cannot read the folder on standard input: {error}"));
            ExitCode::FAILURE
        }
    }
}
