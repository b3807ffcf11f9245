//! What keeps the daemon from starting: settings, places that are taken or open to others, state of another version.

use std::fmt::Write as _;
use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use fusion_tests::{Daemon, Deadline, TestUser, binary, users, wait_for_exit};
use rustix::fs::{Mode, chmod};
use rustix::process::Pid;

use super::save;

/// What was started, and what it said.
struct Starts {
    folder: String,
    text: String,
    pid: u32,
}

impl Starts {
    fn new(daemon: &Daemon) -> Self {
        Self { folder: daemon.folder().display().to_string(), text: String::new(), pid: daemon.pid() }
    }

    /// Starts `fusiond` as it must not be started.
    #[track_caller]
    fn says(&mut self, what: &str, args: &[&str], env: &[(&str, &str)]) {
        self.says_to(what, args, env, None);
    }

    #[track_caller]
    fn says_to(&mut self, what: &str, args: &[&str], env: &[(&str, &str)], user: Option<&TestUser>) {
        let mut command = Command::new(binary("fusiond"));
        command
            .args(args)
            .envs(env.iter().copied())
            .env_remove("NOTIFY_SOCKET")
            .env_remove("XDG_RUNTIME_DIR");
        if let Some(user) = user {
            command.uid(user.uid).gid(user.uid).current_dir("/");
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("fusiond can be started");
        let ended = wait_for_exit(Pid::from_child(&child), Deadline::default());
        drop(child.kill());
        assert!(ended, "{what}: it serves");
        let code = child.wait().expect("our child").code().unwrap_or(-1);
        let mut said = String::new();
        child.stderr.take().expect("it is piped").read_to_string(&mut said).expect("text");
        assert!(code > 0 && code != 101, "{what}: exit code {code}: {said}");
        let said = said.replace(&self.folder, "DIR");
        let said = said.replace(&format!("process {}", self.pid), "process PID");
        let said = said.replace(&format!("kill {}", self.pid), "kill PID");
        writeln!(self.text, "# {what}\n{}\n[{code}]\n", said.trim_end()).expect("a string grows");
    }
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).expect("our own folder can be written");
    path.to_str().expect("plain letters").to_owned()
}

#[test]
fn bad_input_to_the_daemon_keeps_it_from_starting() {
    let daemon = Daemon::start();
    let folder = daemon.folder();
    let mut starts = Starts::new(&daemon);
    let root = folder.join("other");
    let root = root.to_str().unwrap();
    for (what, toml) in [
        ("an unknown key", "[limits]\nmax_concurent_agents = 5\n"),
        ("an unknown table", "[limitz]\nmax_running = 5\n"),
        ("a key that is near no other", "[limits]\ncolour = 5\n"),
        ("a value of the wrong kind", "[limits]\nmax_running = \"many\"\n"),
        ("a number out of range", "[limits]\nmax_running = 100001\n"),
        ("a duration without a unit", "[runtime]\ngrace = \"10\"\n"),
        ("a size that is none", "[runtime]\nlog_quota = \"big\"\n"),
        ("loose permissions of workspaces", "[workspaces]\npermissions = \"0o755\"\n"),
        ("a relative root of workspaces", "[workspaces]\nroot = \"here\"\n"),
        ("the same key twice", "[limits]\nmax_running = 1\nmax_running = 2\n"),
        ("no TOML", "limits = [\n"),
        (
            "three problems at once",
            "[limits]\na = 1\n[log]\nlevel = \"loud\"\n[runtime]\nbackend = \"magic\"\n",
        ),
    ] {
        let config = written(folder, "bad.toml", toml);
        starts.says(what, &["--root", root, "--config", &config], &[]);
    }
    fs::write(folder.join("latin1.toml"), b"# caf\xe9\n").unwrap();
    let latin1 = folder.join("latin1.toml");
    starts.says("no UTF-8", &["--root", root, "--config", latin1.to_str().unwrap()], &[]);
    starts.says("a config file that is not there", &["--root", root, "--config", "/no/such/file"], &[]);
    starts.says("an unknown flag", &["--frobnicate"], &[]);
    starts.says("two modes", &["--user", "--root", root], &[]);
    starts.says("a variable that makes no sense", &["--root", root], &[("FUSION_LOG_LEVEL", "loud")]);
    starts.says(
        "loose permissions by the environment",
        &["--root", root],
        &[("WORKSPACE_PERMISSIONS", "0o777")],
    );
    save("bad_input_daemon", &starts.text);
}

/// Everything that is refused here would let two daemons, or somebody else, at what is one daemon's own.
#[test]
fn bad_input_places_that_are_taken_or_open_to_others_are_refused() {
    let daemon = Daemon::start();
    daemon.ctl().ok(&["agent", "spawn", "a", "--profile", "shell"]);
    let folder = daemon.folder();
    let mut starts = Starts::new(&daemon);
    let own = daemon.root();
    let own = own.to_str().unwrap();
    starts.says("a second daemon on the same state", &["--root", own], &[]);
    let elsewhere =
        written(folder, "elsewhere.toml", &format!("[store]\npath = \"{}\"\n", folder.join("s2").display()));
    starts.says("a socket that is in use, for another state", &["--root", own, "--config", &elsewhere], &[]);
    let same = written(folder, "same.toml", &format!("[store]\npath = \"{own}/state/store\"\n"));
    let other = folder.join("other");
    let other = other.to_str().unwrap();
    starts.says("a state that is in use, from another root", &["--root", other, "--config", &same], &[]);
    let file = written(folder, "file", "no folder");
    starts.says("a file for a root", &["--root", &file], &[]);
    let loose = folder.join("loose");
    fs::create_dir_all(loose.join("workspaces")).unwrap();
    chmod(loose.join("workspaces"), Mode::from_raw_mode(0o777)).unwrap();
    starts.says("workspaces that others may change", &["--root", loose.to_str().unwrap()], &[]);
    fs::create_dir_all(folder.join("open/state/store")).unwrap();
    chmod(folder.join("open/state/store"), Mode::from_raw_mode(0o755)).unwrap();
    starts.says("a store that others may read", &["--root", folder.join("open").to_str().unwrap()], &[]);
    assert_eq!(
        daemon.ctl().json(&["agent", "show", "a"])["state"],
        "idle",
        "the first daemon was not touched"
    );
    save("bad_input_places", &starts.text);
}

mod as_root {
    use super::*;

    #[test]
    fn bad_input_modes_that_do_not_fit_their_user_are_refused() {
        let daemon = Daemon::start();
        let own = daemon.root();
        let user = users::first();
        let mut starts = Starts::new(&daemon);
        starts.says("--user as root", &["--user"], &[]);
        starts.says_to("a root of somebody else", &["--root", own.to_str().unwrap()], &[], Some(&user));
        starts.says_to("the system's daemon without root", &[], &[], Some(&user));
        starts.says_to("--user without its folders", &["--user"], &[], Some(&user));
        save("bad_input_modes", &starts.text);
    }
}

#[test]
fn bad_input_state_of_a_newer_version_is_refused() {
    let mut daemon = Daemon::start();
    let folder = daemon.folder().to_owned();
    let backup = folder.join("backup");
    let backup = backup.to_str().unwrap();
    daemon.ctl().ok(&["system", "backup", backup]);
    let mut starts = Starts::new(&daemon);
    let mut bytes = fs::read(backup).unwrap();
    assert_eq!(bytes[12..16], 2u32.to_le_bytes(), "the schema stands in the header");
    bytes[12..16].copy_from_slice(&200u32.to_le_bytes());
    let sum = crc32(&bytes[..40]);
    bytes[40..44].copy_from_slice(&sum.to_le_bytes());
    let end = bytes.len() - 32;
    let sum = sha256(&bytes[..end], &folder.join("part"));
    bytes[end..].copy_from_slice(&sum);
    let newer = folder.join("newer");
    fs::write(&newer, &bytes).unwrap();
    let newer = newer.to_str().unwrap();
    let root = folder.join("restored");
    let root = root.to_str().unwrap();
    starts.says("restoring a backup of a newer version", &["--root", root, "restore", newer], &[]);
    let half = folder.join("half");
    fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    starts.says("restoring half a backup", &["--root", root, "restore", half.to_str().unwrap()], &[]);
    assert!(!folder.join("restored/state/store/checkpoint").exists(), "nothing was restored");
    daemon.kill9();
    let own = daemon.root();
    starts.says("restoring into a state", &["--root", own.to_str().unwrap(), "restore", backup], &[]);
    // As if the newer version had served here.
    restore(root, backup);
    for entry in fs::read_dir(folder.join("restored/state/store/checkpoint")).unwrap() {
        fs::write(entry.unwrap().path(), &bytes).unwrap();
    }
    starts.says("state of a newer version", &["--root", root], &[]);
    save("bad_input_versions", &starts.text);
}

fn restore(root: &str, backup: &str) {
    let status = Command::new(binary("fusiond"))
        .args(["--root", root, "restore", backup])
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("fusiond can be started").success());
}

/// The check sum of a whole backup.
fn sha256(bytes: &[u8], file: &Path) -> [u8; 32] {
    fs::write(file, bytes).expect("our own folder can be written");
    let output = Command::new("sha256sum").arg(file).output().expect("coreutils are everywhere");
    let text = String::from_utf8(output.stdout).expect("hexadecimal digits");
    let pair = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).expect("two digits");
    std::array::from_fn(pair)
}

/// The check sum of a backup's header (CRC-32 of IEEE 802.3).
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}
