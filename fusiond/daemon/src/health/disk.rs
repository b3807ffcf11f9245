//! Where the state lies: kind of file system, price of a sync, room. Not here: the store itself.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Check, Probe};
use crate::config::units::bytes_text;
use crate::paths::Mode;

pub(super) fn checks(probe: &Probe) -> Vec<Check> {
    let store = &probe.paths.store;
    vec![
        file_system(store),
        sync_price(store),
        room(store, probe.config.store.free_floor_bytes),
        memory_run(&probe.paths.run, &probe.paths.mode),
    ]
}

/// Magic numbers of statfs(2).
const MEMORY: &[(i64, &str)] = &[(0x0102_1994, "tmpfs"), (0x8584_58f6, "ramfs")];
const REMOTE: &[(i64, &str)] = &[
    (0x6969, "nfs"),
    (0x517b, "smb"),
    (0xff53_4d42, "cifs"),
    (0xfe53_4d42, "smb2"),
    (0x0102_1997, "9p"),
    (0x6573_5546, "fuse"),
];
const LOCAL: &[(i64, &str)] = &[
    (0xef53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683e, "btrfs"),
    (0x2fc1_2fc1, "zfs"),
    (0xf2f5_2010, "f2fs"),
    (0x794c_7630, "overlay"),
];

fn kind_of(path: &Path) -> io::Result<i64> {
    Ok(rustix::fs::statfs(path)?.f_type)
}

fn name_of(kind: i64, known: &[(i64, &'static str)]) -> Option<&'static str> {
    known.iter().find(|(number, _)| *number == kind).map(|(_, name)| *name)
}

fn file_system(store: &Path) -> Check {
    const NAME: &str = "state file system";
    let path = store.display();
    let kind = match kind_of(store) {
        Ok(kind) => kind,
        Err(error) => return Check::failed(NAME, format!("{path}: {error}"), format!("ls -ld {path}")),
    };
    if let Some(name) = name_of(kind, MEMORY) {
        let detail = format!("{path} is on {name}: a reboot or power cut forgets everything");
        return Check::weak(NAME, detail, "set store.path to a folder on a disk");
    }
    if let Some(name) = name_of(kind, REMOTE) {
        let detail = format!("{path} is on {name}: its locks and syncs may not hold");
        return Check::weak(NAME, detail, "set store.path to a folder on a local disk");
    }
    match name_of(kind, LOCAL) {
        Some(name) => Check::ok(NAME, format!("{path} is on {name}")),
        None => Check::ok(NAME, format!("{path} is on a file system of type {kind:#x}")),
    }
}

/// Slower than a turning disk.
const SYNC_MAX: Duration = Duration::from_millis(30);

fn sync_price(store: &Path) -> Check {
    const NAME: &str = "sync";
    match measure_sync(store) {
        Ok(time) if time <= SYNC_MAX => Check::ok(NAME, format!("one fdatasync takes {}", short(time))),
        Ok(time) => Check::weak(
            NAME,
            format!("one fdatasync takes {}: every submit waits for one", short(time)),
            "set store.path to a folder on a faster disk",
        ),
        Err(error) => Check::failed(
            NAME,
            format!("cannot write and sync in {}: {error}", store.display()),
            format!("touch {}/probe; dmesg | tail", store.display()),
        ),
    }
}

fn short(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// Writes a file of its own beside the store, and removes it.
fn measure_sync(store: &Path) -> io::Result<Duration> {
    let path = store.join(format!(".doctor-{}-{:?}", std::process::id(), std::thread::current().id()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let measured = fusion_sys::file::write_all(&file, &[0; 512]).and_then(|()| {
        let begun = Instant::now();
        fusion_sys::file::sync_data(&file).map(|()| begun.elapsed())
    });
    std::fs::remove_file(&path)?;
    measured
}

fn room(store: &Path, floor: u64) -> Check {
    const NAME: &str = "free space";
    let remedy = || format!("du -xh --max-depth=2 {} | sort -h; df -h {0}", store.display());
    let seen = match rustix::fs::statvfs(store) {
        Ok(seen) => seen,
        Err(error) => return Check::failed(NAME, format!("{}: {error}", store.display()), remedy()),
    };
    let free = seen.f_bavail.saturating_mul(seen.f_frsize);
    if seen.f_files > 0 && seen.f_favail == 0 {
        return Check::failed(NAME, "no inode is free", format!("df -i {}", store.display()));
    }
    judge_room(free, floor, remedy)
}

fn judge_room(free: u64, floor: u64, remedy: impl Fn() -> String) -> Check {
    const NAME: &str = "free space";
    let detail = format!("{} free, new work is refused below {}", rounded(free), bytes_text(floor));
    match free {
        free if free < floor => Check::failed(NAME, detail, remedy()),
        free if free < floor.saturating_mul(4) => Check::weak(NAME, detail, remedy()),
        _ => Check::ok(NAME, detail),
    }
}

fn rounded(bytes: u64) -> String {
    match bytes {
        0..1_048_576 => bytes_text(bytes),
        1_048_576..10_737_418_240 => format!("{}MiB", bytes >> 20),
        _ => format!("{}GiB", bytes >> 30),
    }
}

fn memory_run(run: &Path, mode: &Mode) -> Check {
    const NAME: &str = "run folder";
    let path = run.display();
    match kind_of(run) {
        Ok(kind) => match name_of(kind, MEMORY) {
            Some(name) => Check::ok(NAME, format!("{path} is on {name}")),
            None => Check::weak(
                NAME,
                format!(
                    "{path} is on a disk: it costs a little time per task, and old records stay after a reboot"
                ),
                match mode {
                    Mode::System => {
                        "mount a tmpfs on /run, as systemd does; for a container, docker run --tmpfs /run:mode=755"
                    }
                    Mode::User => "log in through a session that sets XDG_RUNTIME_DIR to a folder in memory",
                    Mode::Root(_) => "put --root below /dev/shm or /run, or use system mode or --user",
                },
            ),
        },
        Err(error) => Check::failed(NAME, format!("{path}: {error}"), "restart fusiond"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn a_sync_is_measured_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert!(measure_sync(folder.path()).unwrap() > Duration::ZERO);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert_eq!(sync_price(Path::new("/nonexistent")).status, Status::Failed);
    }

    #[test]
    fn room_is_judged_by_the_floor() {
        let floor = 64 << 20;
        for (free, status) in
            [(floor - 1, Status::Failed), (floor * 2, Status::Weak), (floor * 5, Status::Ok)]
        {
            assert_eq!(judge_room(free, floor, || "df".into()).status, status);
        }
        let check = judge_room(50 << 30, floor, || "df".into());
        assert_eq!(check.detail, "50GiB free, new work is refused below 64MiB");
    }

    #[test]
    fn memory_is_told_from_disk() {
        assert_eq!(memory_run(Path::new("/dev/shm"), &Mode::User).status, Status::Ok);
        assert_eq!(file_system(Path::new("/dev/shm")).status, Status::Weak);
        assert_eq!(file_system(Path::new("/nonexistent")).status, Status::Failed);
    }
}
