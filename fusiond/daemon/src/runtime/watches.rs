//! Folders that are watched for growth: by any number of readers, with one descriptor of the kernel's for all of them.
//!
//! ```text
//!   reader ─► Watch ─┐                                       ┌─► every Watch of that folder
//!   reader ─► Watch ─┴─► one watch a folder ─► one inotify ──┘
//! ```
//! A user may have few inotify instances (inotify(7): `max_user_instances`), and root shares its own with the whole
//! machine. Not here: what has changed; who is told looks.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::readiness::readable;

/// All watches. Cheap to clone. Nothing is open until the first one is wanted, nor after the last is dropped.
#[derive(Clone, Debug, Default)]
pub(super) struct Watches(Arc<Mutex<Weak<Instance>>>);

/// One folder, for one reader.
#[derive(Debug)]
pub(super) struct Watch {
    instance: Arc<Instance>,
    number: i32,
    changes: watch::Receiver<()>,
}

#[derive(Debug)]
struct Instance {
    board: Arc<Board>,
    listener: AbortHandle,
}

/// The descriptor, and who is told.
#[derive(Debug)]
struct Board {
    inotify: AsyncFd<OwnedFd>,
    /// The lock is held for one call of the kernel at most, which does not block; never across an await.
    folders: Mutex<HashMap<i32, Folder>>,
}

#[derive(Debug)]
struct Folder {
    readers: usize,
    told: watch::Sender<()>,
}

/// Room for some hundred announcements of names as short as the shim's.
const BUFFER_BYTES: usize = 8 << 10;

impl Watches {
    /// Begins to watch a folder: bytes grow and segments appear. What happens from now on is told. Needs a tokio runtime
    /// around it.
    ///
    /// # Errors
    /// Those of inotify(7).
    pub(super) fn watch(&self, folder: &Path) -> io::Result<Watch> {
        let instance = self.instance()?;
        let mut folders = lock(&instance.board.folders);
        // The same folder has the same number again.
        let wanted = WatchFlags::MODIFY | WatchFlags::CREATE;
        let number = inotify::add_watch(instance.board.inotify.get_ref(), folder, wanted)?;
        let fresh = || Folder { readers: 0, told: watch::Sender::new(()) };
        let known = folders.entry(number).or_insert_with(fresh);
        known.readers += 1;
        let changes = known.told.subscribe();
        drop(folders);
        Ok(Watch { instance, number, changes })
    }

    fn instance(&self) -> io::Result<Arc<Instance>> {
        let mut present = lock(&self.0);
        if let Some(instance) = present.upgrade() {
            return Ok(instance);
        }
        let inotify = readable(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?)?;
        let board = Arc::new(Board { inotify, folders: Mutex::default() });
        let listener = tokio::spawn(listen(Arc::clone(&board))).abort_handle();
        let instance = Arc::new(Instance { board, listener });
        *present = Arc::downgrade(&instance);
        Ok(instance)
    }
}

impl Watch {
    /// Returns when the folder has changed since the watch began, or since the last return. May be dropped and called
    /// again.
    pub(super) async fn changed(&mut self) {
        // The sender stays as long as this reader is counted.
        let _told = self.changes.changed().await;
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let board = &self.instance.board;
        let mut folders = lock(&board.folders);
        let Some(folder) = folders.get_mut(&self.number) else { return };
        folder.readers -= 1;
        if folder.readers == 0 {
            folders.remove(&self.number);
            // EINVAL: the folder is gone, and its watch with it.
            let _gone = inotify::remove_watch(board.inotify.get_ref(), self.number);
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

/// Tells whoever watches, until the last of them has left.
async fn listen(board: Arc<Board>) {
    loop {
        let told = match board.inotify.readable().await {
            Ok(mut ready) => match board.tell() {
                Ok(()) => Ok(()),
                Err(Errno::AGAIN) => {
                    ready.clear_ready();
                    Ok(())
                }
                Err(error) => Err(error.into()),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = told {
            tracing::error!("folders of logs cannot be watched any more: {error}");
            // Whoever waits looks, and is not told again.
            lock(&board.folders).values().for_each(|folder| folder.told.send_replace(()));
            return;
        }
    }
}

impl Board {
    /// Takes a few announcements.
    fn tell(&self) -> Result<(), Errno> {
        let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
        let mut announced = inotify::Reader::new(self.inotify.get_ref(), &mut buffer);
        loop {
            match announced.next() {
                Ok(event) => self.tell_of(event.wd()),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            }
            if announced.is_buffer_empty() {
                return Ok(());
            }
        }
    }

    fn tell_of(&self, number: i32) {
        let folders = lock(&self.folders);
        // A negative number: there was more than the kernel keeps.
        let all = folders.values().filter(|_| number < 0);
        all.chain(folders.get(&number)).for_each(|folder| folder.told.send_replace(()));
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instances() -> usize {
        let files = std::fs::read_dir("/proc/self/fd").expect("own files");
        let names = files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok());
        names.filter(|name| name.to_string_lossy().contains("inotify")).count()
    }

    #[tokio::test]
    async fn any_number_of_readers_is_told_by_one_descriptor_that_goes_with_the_last() {
        let before = instances();
        let watches = Watches::default();
        let folders = [tempfile::tempdir().expect("a folder"), tempfile::tempdir().expect("a folder")];
        // More than root may have instances.
        let watch = |number: usize| watches.watch(folders[number % 2].path()).expect("a watch");
        let mut all: Vec<Watch> = (0..300).map(watch).collect();
        assert_eq!(instances(), before + 1);
        std::fs::write(folders[0].path().join("1.out"), "x").expect("a file");
        for watch in all.iter_mut().step_by(2) {
            watch.changed().await;
        }
        assert!(!all[1].changes.has_changed().expect("it is open"), "another folder");
        let last = all.pop().expect("the last");
        all.truncate(1);
        let mut left = all;
        std::fs::write(folders[0].path().join("1.out"), "xy").expect("a file");
        left[0].changed().await;
        drop(last);
        let board = Arc::clone(&left[0].instance.board);
        assert_eq!(lock(&board.folders).len(), 1, "nobody watches the other one");
        drop((left, board));
        // The listener is dropped when its runtime comes to it.
        while instances() > before {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_folder_that_is_removed_is_told_too() {
        let watches = Watches::default();
        let folder = tempfile::tempdir().expect("a folder");
        let mut watch = watches.watch(folder.path()).expect("a watch");
        drop(folder);
        watch.changed().await;
    }
}
