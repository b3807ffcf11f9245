//! Bringing the output of an ended attempt to the disk. Not here: when that is worth it (the shim's records).

use std::io;
use std::os::fd::AsFd;

use rustix::fs::{Dir, Mode, OFlags, fdatasync, openat};

use super::reader::parse_segment;

/// Returns when every segment of attempt `serial` in `folder` is on disk; its name is when the folder is.
///
/// # Errors
/// If the folder cannot be read, or the disk refuses.
pub fn sync(folder: impl AsFd, serial: u32) -> io::Result<()> {
    for entry in Dir::read_from(&folder)? {
        let entry = entry?;
        if entry.file_name().to_str().is_ok_and(|name| parse_segment(name, serial).is_some()) {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            fdatasync(openat(&folder, entry.file_name(), flags, Mode::empty())?)?;
        }
    }
    Ok(())
}
