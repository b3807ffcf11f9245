//! Locks, sealed memory and room on disk. Not here: what is stored.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    FlockOperation, MemfdFlags, SealFlags, SeekFrom, fcntl_add_seals, flock, memfd_create, seek,
};

/// An exclusive flock(2), held until it is dropped or the last process that inherited it has ended.
#[derive(Debug)]
pub struct Lock(OwnedFd);

impl Lock {
    /// Takes the lock without waiting; `None` if somebody holds it.
    ///
    /// # Errors
    /// Those of flock(2) besides `EWOULDBLOCK`.
    pub fn try_exclusive(file: OwnedFd) -> io::Result<Option<Self>> {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl AsFd for Lock {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// A file in memory with these bytes, at its start, that nobody can change or resize any more.
///
/// # Errors
/// `ENOMEM`, `EMFILE`.
pub fn sealed_memory(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let file = memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    write_all(&file, bytes)?;
    seek(&file, SeekFrom::Start(0))?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file)
}

/// Waits until the data of a file is on disk, and so much of its metadata as is needed to read it.
///
/// # Errors
/// `EIO`, `ENOSPC`: what was written since the last success may be lost.
pub fn sync_data<Fd: AsFd>(file: Fd) -> io::Result<()> {
    Ok(rustix::fs::fdatasync(file)?)
}

/// Writes all bytes at the position of a file.
///
/// # Errors
/// Those of write(2); some bytes may have been written.
pub fn write_all<Fd: AsFd>(file: Fd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(&file, bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_is_refused_and_a_dropped_one_is_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lock");
        std::fs::write(&path, "").expect("a file");
        let open = || OwnedFd::from(std::fs::File::open(&path).expect("the file"));
        let held = Lock::try_exclusive(open()).expect("flock");
        assert!(held.is_some());
        assert!(Lock::try_exclusive(open()).expect("flock").is_none());
        drop(held);
        assert!(Lock::try_exclusive(open()).expect("flock").is_some());
    }

    #[test]
    fn sealed_memory_reads_from_its_start_and_cannot_be_written() {
        let file = sealed_memory("words", b"hello").expect("memory");
        let mut read = [0u8; 16];
        assert_eq!(rustix::io::read(&file, &mut read).expect("read"), 5);
        assert_eq!(&read[..5], b"hello");
        assert_eq!(rustix::io::write(&file, b"x"), Err(rustix::io::Errno::PERM));
    }
}
