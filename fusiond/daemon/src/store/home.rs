//! The state folder: what is where in it, the lock that keeps a second daemon out, the mark of a clean stop,
//! and setting things aside.
//!
//! Not for: what is inside the files.

use std::fmt::Write as _;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::error::{OpenError, io_error};
use super::tree;

/// A daemon that ends while it starts a child leaves a copy of the lock in it until the child's exec.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);

/// The places in a state folder.
#[derive(Debug, Clone)]
pub(super) struct Home {
    pub(super) dir: PathBuf,
    pub(super) db: PathBuf,
    /// Where a database is built before it takes its place.
    pub(super) building: PathBuf,
    /// The old database while a compacted one takes its place.
    pub(super) replaced: PathBuf,
    pub(super) journal: PathBuf,
    pub(super) checkpoints: PathBuf,
    clean: PathBuf,
    restored: PathBuf,
    of_backup: PathBuf,
}

impl Home {
    pub(super) fn at(dir: &Path) -> Home {
        Home {
            dir: dir.to_owned(),
            db: dir.join("db"),
            building: dir.join("db.rebuilding"),
            replaced: dir.join("db.replaced"),
            journal: dir.join("journal"),
            checkpoints: dir.join("checkpoint"),
            clean: dir.join("clean"),
            restored: dir.join("restored"),
            of_backup: dir.join("restored.begun"),
        }
    }

    /// Makes the folders that are missing, mode 0700.
    pub(super) fn make(&self) -> Result<(), OpenError> {
        let above = self.dir.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        for (folder, parent) in
            [(&self.dir, above), (&self.journal, &self.dir), (&self.checkpoints, &self.dir)]
        {
            if folder.is_dir() {
                continue;
            }
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(io_error("create", folder))?;
            sync_folder(parent)?;
        }
        Ok(())
    }

    /// Takes the lock for as long as the file lives.
    #[expect(
        clippy::disallowed_methods,
        reason = "a lock that is let go tells nobody: flock(2) has no timeout to wait with"
    )]
    pub(super) fn lock(&self) -> Result<File, OpenError> {
        let path = self.dir.join("lock");
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = file.map_err(io_error("open", &path))?;
        let patience = Instant::now() + LOCK_PATIENCE;
        let mut locked = file.try_lock();
        while matches!(locked, Err(TryLockError::WouldBlock)) && Instant::now() < patience {
            std::thread::sleep(Duration::from_millis(5));
            locked = file.try_lock();
        }
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // The pid is for the message alone.
                file.read_to_string(&mut pid).unwrap_or_default();
                return Err(OpenError::Locked { dir: self.dir.clone(), pid: pid.trim().parse().ok() });
            }
            Err(TryLockError::Error(source)) => return Err(io_error("lock", &path)(source)),
        }
        let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(io_error("write", &path))?;
        Ok(file)
    }

    /// Marks the closed database as left in order: the sums of its files.
    pub(super) fn mark_clean(&self) -> Result<(), OpenError> {
        let mark = self.sums().map_err(io_error("read", &self.db))?;
        let part = self.clean.with_extension("part");
        let written = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part);
        written
            .and_then(|mut file| file.write_all(mark.as_bytes()).and_then(|()| file.sync_all()))
            .map_err(io_error("write", &part))?;
        fs::rename(&part, &self.clean).map_err(io_error("rename to", &self.clean))?;
        sync_folder(&self.dir)
    }

    /// Whether the database is, byte for byte, what a clean stop left. The mark is gone afterwards.
    pub(super) fn take_clean(&self) -> Result<bool, OpenError> {
        let mark = match fs::read_to_string(&self.clean) {
            Ok(mark) => mark,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(_) => String::new(),
        };
        fs::remove_file(&self.clean).map_err(io_error("remove", &self.clean))?;
        sync_folder(&self.dir)?;
        Ok(self.sums().is_ok_and(|sums| sums == mark))
    }

    /// Says that this is a backup, of which the first start builds a database.
    pub(super) fn mark_restored(&self) -> Result<(), OpenError> {
        File::create(&self.restored).map_err(io_error("create", &self.restored))?;
        sync_folder(&self.dir)
    }

    pub(super) fn is_restored(&self) -> bool {
        self.restored.exists()
    }

    /// There is a database now: another one that goes missing is no backup's.
    pub(super) fn begin_restored(&self) -> Result<(), OpenError> {
        if !self.is_restored() {
            return Ok(());
        }
        fs::rename(&self.restored, &self.of_backup).map_err(io_error("rename", &self.restored))?;
        sync_folder(&self.dir)
    }

    /// Whether a daemon that began with a backup is still finding out what became of everything since.
    pub(super) fn is_of_backup(&self) -> bool {
        self.of_backup.exists()
    }

    /// What the backup did not know of is known now.
    pub(super) fn end_restored(&self) -> Result<(), OpenError> {
        match fs::remove_file(&self.of_backup) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(io_error("remove", &self.of_backup)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn sums(&self) -> io::Result<String> {
        let mut text = String::new();
        for (name, size, crc) in tree::fingerprint(&self.db)? {
            writeln!(text, "{name} {size} {crc:08x}").expect("writing to a string does not fail");
        }
        Ok(text)
    }
}

/// Renames `path` to `<path>.corrupt-<unix seconds>`; durable once the folder is synced.
pub(super) fn set_aside(path: &Path) -> Result<PathBuf, OpenError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let free = (0..).map(|n| match n {
        0 => path.with_file_name(format!("{name}.corrupt-{now}")),
        n => path.with_file_name(format!("{name}.corrupt-{now}-{n}")),
    });
    let target = { free }.find(|p| p.symlink_metadata().is_err()).expect("some number is free");
    fs::rename(path, &target).map_err(io_error("rename", path))?;
    Ok(target)
}

/// Removes the folder `path` with all that is in it, if it is there.
pub(super) fn remove_folder(path: &Path) -> Result<(), OpenError> {
    match fs::remove_dir_all(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(e)),
        Err(_) | Ok(()) => Ok(()),
    }
}

/// Makes what happened to the names in `folder` durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), OpenError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(io_error("sync", folder))
}
