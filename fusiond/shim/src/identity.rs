//! Becoming a user whose ids stand on the command line, for work that root must not do. Not here: the work.

use std::ffi::OsString;

use fusion_sys::process::{Credentials, become_user};

/// Becomes `UID GID [GROUP…]`; without any, stays who it is.
pub(crate) fn become_named(ids: &[OsString]) -> std::io::Result<()> {
    let numbers: Option<Vec<u32>> = ids.iter().map(|text| text.to_str()?.parse().ok()).collect();
    match numbers.as_deref() {
        Some([]) => Ok(()),
        Some([uid, gid, groups @ ..]) if *uid != 0 => {
            become_user(&Credentials { uid: *uid, gid: *gid, groups: groups.to_vec() })
        }
        Some(_) | None => Err(std::io::ErrorKind::InvalidInput.into()),
    }
}
