//! Becoming a user whose ids stand on the command line, for work that root must not do. Not here: the work.

use std::ffi::OsString;

use crate::launch::OOM_SCORE_ADJ;
use fusion_sys::process::{Credentials, become_user};

/// The user of `UID GID [GROUP…]`; `None` without any.
///
/// # Errors
/// `InvalidInput`: something else than numbers, or root.
pub(crate) fn named(ids: &[OsString]) -> std::io::Result<Option<Credentials>> {
    let numbers: Option<Vec<u32>> = ids.iter().map(|text| text.to_str()?.parse().ok()).collect();
    match numbers.as_deref() {
        Some([]) => Ok(None),
        Some([uid, gid, groups @ ..]) if *uid != 0 => {
            Ok(Some(Credentials { uid: *uid, gid: *gid, groups: groups.to_vec() }))
        }
        Some(_) | None => Err(std::io::ErrorKind::InvalidInput.into()),
    }
}

/// Becomes the user that is [`named`]; without any, stays who it is.
pub(crate) fn become_named(ids: &[OsString]) -> std::io::Result<()> {
    let Some(user) = named(ids)? else { return Ok(()) };
    // The daemon's own score is for the daemon. Where it may not be set, nobody's was.
    let _refused = std::fs::write("/proc/self/oom_score_adj", OOM_SCORE_ADJ.to_string());
    become_user(&user)
}
