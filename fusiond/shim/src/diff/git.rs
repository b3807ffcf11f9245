//! The changes since the commit that a workspace began with. Git works with a folder of its own, made for this one question
//! and without settings: from the workspace it takes the objects and the files, and nothing that names a program.
//! Not here: workspaces without a commit (`listed`).

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use fusion_sys::pidfd::PidFd;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::Signal;

use super::Detail;

/// The files that git writes for itself have one short line.
const LINE_BYTES_MAX: u64 = 4096;
/// The agent's user decides nothing here, so its PATH does not either.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Prints the changes, files that git does not know among them; what it is told to ignore is not.
pub(super) fn tell(commit: &str, detail: Detail, until: Instant) -> Result<(), String> {
    let objects = objects().ok_or("it has no git repository any more")?;
    let folder = Folder::make().map_err(|error| format!("cannot make a folder for git: {error}"))?;
    let here = std::env::current_dir().map_err(|error| format!("cannot find the workspace: {error}"))?;
    let git = Git { folder: folder.0.clone(), here, objects, until };
    let format = if commit.len() == 64 { "--object-format=sha256" } else { "--object-format=sha1" };
    git.run(&["init", "--quiet", "--template=", format], Stdio::null())?;
    git.run(&["read-tree", commit], Stdio::null())?;
    let own = format!(":(exclude){}", super::OWN);
    git.add(&own)?;
    let how = match detail {
        Detail::Patch => "--patch",
        Detail::Stat => "--stat",
        Detail::NameStatus => "--name-status",
        Detail::NameOnly => "--name-only",
    };
    let diff =
        ["diff", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames", "--ignore-submodules=dirty"];
    let words = [diff.as_slice(), &[how, commit, "--", ".", &own]].concat();
    git.run(&words, Stdio::inherit())
}

/// Where the objects of the workspace's repository are.
fn objects() -> Option<PathBuf> {
    let folder = match line(Path::new(".git")) {
        // A worktree: the file names its folder in the repository.
        Some(text) => PathBuf::from(text.strip_prefix("gitdir: ")?),
        None => PathBuf::from(".git"),
    };
    let common = line(&folder.join("commondir")).map_or_else(|| folder.clone(), |below| folder.join(below));
    let objects = std::path::absolute(common.join("objects")).ok()?;
    objects.is_dir().then_some(objects)
}

/// The line of a regular file; anything else is none, and nobody waits for a pipe.
fn line(path: &Path) -> Option<String> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("flags of open(2) are an int");
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut text = String::new();
    file.take(LINE_BYTES_MAX).read_to_string(&mut text).ok()?;
    Some(text.trim_end().to_owned())
}

struct Git {
    folder: PathBuf,
    here: PathBuf,
    objects: PathBuf,
    until: Instant,
}

impl Git {
    fn run(&self, words: &[&str], out: Stdio) -> Result<(), String> {
        match wait(self.command(words).stdout(out), self.until) {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => Err(format!("git {} failed ({status})", words[0])),
            Ok(None) => Err(format!("git {} took too long", words[0])),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err("git is not installed".to_owned()),
            Err(error) => Err(format!("cannot run git: {error}")),
        }
    }

    /// Makes files known that are new. What git cannot take, such as a repository without a commit, is left out.
    fn add(&self, own: &str) -> Result<(), String> {
        let mut command = self.command(&["add", "--intent-to-add", "--ignore-errors", "--", ".", own]);
        match wait(command.stdout(Stdio::null()).stderr(Stdio::null()), self.until) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err("git add took too long".to_owned()),
            Err(error) => Err(format!("cannot run git: {error}")),
        }
    }

    fn command(&self, words: &[&str]) -> Command {
        let variables: [(&str, &OsStr); 9] = [
            ("PATH", OsStr::new(PATH)),
            ("LC_ALL", OsStr::new("C.UTF-8")),
            ("HOME", self.folder.as_os_str()),
            ("GIT_CONFIG_NOSYSTEM", OsStr::new("1")),
            ("GIT_CONFIG_GLOBAL", OsStr::new("/dev/null")),
            ("GIT_DIR", self.folder.as_os_str()),
            ("GIT_WORK_TREE", self.here.as_os_str()),
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES", self.objects.as_os_str()),
            ("GIT_OPTIONAL_LOCKS", OsStr::new("0")),
        ];
        let mut command = Command::new("git");
        command.args(["-c", "core.quotePath=false"]).args(words);
        command.env_clear().envs(variables).stdin(Stdio::null());
        command
    }
}

/// `None` if it had to be killed.
fn wait(command: &mut Command, until: Instant) -> io::Result<Option<ExitStatus>> {
    let mut child = command.spawn()?;
    let process = PidFd::open(child.id())?;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let seconds = i64::try_from(left.as_secs()).unwrap_or(i64::MAX);
        let left = Timespec { tv_sec: seconds, tv_nsec: left.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&left)) {
            Ok(0) => {
                process.signal(Signal::KILL)?;
                child.wait()?;
                return Ok(None);
            }
            Ok(_) => return Ok(Some(child.wait()?)),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// A folder of its user alone, gone with this value.
struct Folder(PathBuf);

impl Folder {
    fn make() -> io::Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        // A name that nobody can take first.
        let name = std::fs::read_to_string("/proc/sys/kernel/random/uuid")?;
        let path = std::env::temp_dir().join(format!("fusion-diff-{}", name.trim()));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(std::fs::remove_dir_all(&self.0));
    }
}
