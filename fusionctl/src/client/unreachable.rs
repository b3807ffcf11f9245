//! What to say when no daemon answers on a socket of this machine: which daemon was meant, and the command that starts
//! it; or whose leave is missing.
//!
//! Not for: daemons elsewhere ([`super::ssh`]).

use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::socket::{SYSTEM, rootless};
use crate::error::{Complaint, Exit};

/// Who said which socket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NamedBy {
    /// `--socket`.
    Flag,
    /// `FUSION_SOCKET`.
    Variable,
    /// Nobody: the usual ones were tried.
    Nobody,
}

/// What the advice depends on.
pub(super) struct Around<'a> {
    /// `/`, where units, state and accounts are looked for.
    pub(super) top: &'a Path,
    pub(super) env: &'a dyn Fn(&str) -> Option<PathBuf>,
    pub(super) uid: u32,
    /// The groups that this process has.
    pub(super) groups: Vec<u32>,
}

/// A daemon by its place.
#[derive(Debug, PartialEq, Eq)]
enum Daemon {
    System,
    User,
    Root(PathBuf),
    Unknown,
}

/// Says why none of the sockets can be used.
pub(super) fn complaint(tried: &[(PathBuf, io::Error)], named: NamedBy, around: &Around<'_>) -> Complaint {
    let list: Vec<String> =
        tried.iter().map(|(path, error)| format!("{} ({})", path.display(), reason(error))).collect();
    let mut detail = format!("tried {}", list.join(", "));
    if named == NamedBy::Nobody && around.uid != 0 && rootless(around.env).is_none() {
        detail.push_str("; XDG_RUNTIME_DIR is not set, so no socket of your own");
    }
    if let Some((path, _)) = tried.iter().find(|(_, error)| error.kind() == io::ErrorKind::PermissionDenied) {
        let message = format!("this user may not use the socket {}", path.display());
        return Complaint::new(Exit::NotPermitted, "socket_denied", message)
            .detail(detail)
            .hint(around.leave(path));
    }
    let hint = match (named, tried) {
        (NamedBy::Nobody, _) | (_, []) => around.start_usual(tried),
        (NamedBy::Flag | NamedBy::Variable, [(path, error), ..]) => around.start_named(path, error, named),
    };
    Complaint::new(Exit::Unreachable, "daemon_unreachable", "no daemon answers").detail(detail).hint(hint)
}

impl Around<'_> {
    /// The file or folder below the top.
    fn at(&self, path: &str) -> PathBuf {
        self.top.join(path.trim_start_matches('/'))
    }

    fn sudo(&self) -> &'static str {
        if self.uid == 0 { "" } else { "sudo " }
    }

    fn daemon_of(&self, path: &Path) -> Daemon {
        if path == Path::new(SYSTEM) {
            return Daemon::System;
        }
        if rootless(self.env).is_some_and(|own| own == path) {
            return Daemon::User;
        }
        let root = path.parent().and_then(Path::parent).filter(|root| root.join("state/id").exists());
        let is_trial = path.ends_with("run/fusiond.sock");
        root.filter(|_| is_trial).map_or(Daemon::Unknown, |root| Daemon::Root(root.to_owned()))
    }

    /// The command that starts a daemon, or starts it again.
    fn start(&self, daemon: &Daemon, verb: &str) -> String {
        let sudo = self.sudo();
        match daemon {
            Daemon::System if self.has_unit("system") => format!("`{sudo}systemctl {verb} fusiond`"),
            Daemon::System => format!("`{sudo}fusiond`"),
            Daemon::User if self.has_unit("user") => format!("`systemctl --user {verb} fusiond`"),
            Daemon::User => "`fusiond --user`".to_owned(),
            Daemon::Root(root) => {
                let is_ours = std::fs::metadata(root.join("state")).is_ok_and(|seen| seen.uid() == self.uid);
                format!("`{}fusiond --root {}`", if is_ours { "" } else { sudo }, quoted(root.as_os_str()))
            }
            Daemon::Unknown => "`fusiond`".to_owned(),
        }
    }

    fn has_unit(&self, whose: &str) -> bool {
        ["/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib"]
            .iter()
            .any(|folder| self.at(&format!("{folder}/systemd/{whose}/fusiond.service")).exists())
    }

    fn start_named(&self, path: &Path, error: &io::Error, named: NamedBy) -> String {
        if named == NamedBy::Variable && (self.env)("FUSION_AGENT_ID").is_some() {
            return "this agent's daemon is away; agents go on without it, so try again when it is back"
                .to_owned();
        }
        let daemon = self.daemon_of(path);
        let verb = verb_after(error);
        let start = match daemon {
            Daemon::System | Daemon::User | Daemon::Root(_) => {
                let start = self.start(&daemon, verb);
                format!("{}{}", self.after_its_end(&daemon, &start), self.look_why(&daemon, error))
            }
            Daemon::Unknown => {
                "name the socket of a daemon that runs: DIR/run/fusiond.sock of `fusiond --root DIR`"
                    .to_owned()
            }
        };
        match named {
            NamedBy::Variable => format!("{start}; or unset FUSION_SOCKET for the usual sockets"),
            NamedBy::Flag | NamedBy::Nobody => start,
        }
    }

    /// A daemon that lost its socket, as to a logout that emptied XDG_RUNTIME_DIR, still holds its state.
    fn after_its_end(&self, daemon: &Daemon, start: &str) -> String {
        match self.holder(daemon) {
            Some(pid) => format!(
                "process {pid} holds its state and does not listen: unless it has only begun, `{}kill {pid}` (agents go on), then {start}",
                self.sudo_for(daemon)
            ),
            None => format!("start it with {start}"),
        }
    }

    /// The daemon that has the lock of the usual state folder.
    fn holder(&self, daemon: &Daemon) -> Option<u32> {
        let state = match daemon {
            Daemon::System => self.at("/var/lib/fusiond"),
            Daemon::User => self.own_state()?,
            Daemon::Root(root) => root.join("state"),
            Daemon::Unknown => return None,
        };
        let pid: u32 = std::fs::read_to_string(state.join("store/lock")).ok()?.trim().parse().ok()?;
        let stat = std::fs::read_to_string(self.at(&format!("/proc/{pid}/stat"))).ok()?;
        is_alive(&stat, "fusiond").then_some(pid)
    }

    fn sudo_for(&self, daemon: &Daemon) -> &'static str {
        match daemon {
            Daemon::System => self.sudo(),
            Daemon::User | Daemon::Root(_) | Daemon::Unknown => "",
        }
    }

    /// Where a daemon that ended says why.
    fn look_why(&self, daemon: &Daemon, error: &io::Error) -> &'static str {
        match daemon {
            Daemon::System if has_ended(error) && self.has_unit("system") => {
                "; `journalctl -u fusiond` tells why it ended"
            }
            Daemon::User if has_ended(error) && self.has_unit("user") => {
                "; `journalctl --user -u fusiond` tells why it ended"
            }
            Daemon::System | Daemon::User | Daemon::Root(_) | Daemon::Unknown => "",
        }
    }

    /// Of the usual daemons those are named that this machine knows of.
    fn start_usual(&self, tried: &[(PathBuf, io::Error)]) -> String {
        let error = |path: &Path| tried.iter().find(|(at, _)| at == path).map(|(_, error)| error);
        let was_there = |path: &Path| error(path).is_some_and(has_ended);
        let start = |daemon: &Daemon, path: &Path| {
            let verb = error(path).map_or("start", verb_after);
            let why = error(path).map_or("", |error| self.look_why(daemon, error));
            let start = self.start(daemon, verb);
            (format!("{}{why}", self.after_its_end(daemon, &start)), start)
        };
        let own = rootless(self.env).filter(|path| {
            was_there(path) || self.has_unit("user") || self.own_state().is_some_and(|state| state.is_dir())
        });
        let own = own.map(|path| start(&Daemon::User, &path));
        let system = Path::new(SYSTEM);
        let is_installed =
            was_there(system) || self.has_unit("system") || self.at("/var/lib/fusiond").exists();
        let all = is_installed.then(|| start(&Daemon::System, system));
        match (own, all) {
            (Some((_, own)), Some((_, all))) => {
                format!("start yours with {own}, or that of the machine with {all}")
            }
            (Some((advice, _)), None) | (None, Some((advice, _))) => advice,
            (None, None) if self.uid == 0 => {
                format!("start one: `fusiond` for every user, or `fusiond --root DIR` to try it; {BY_NAME}")
            }
            (None, None) => format!(
                "start one: `fusiond --user` for yourself, `sudo fusiond` for every user, or `fusiond --root DIR` to try it; {BY_NAME}"
            ),
        }
    }

    fn own_state(&self) -> Option<PathBuf> {
        let set = |name| (self.env)(name).filter(|value| value.is_absolute());
        let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
        state.map(|state| state.join("fusiond"))
    }

    /// What lets this user in.
    fn leave(&self, path: &Path) -> String {
        const OWN: &str = "or run a daemon of your own: `fusiond --user`";
        let user = self.name("/etc/passwd", self.uid).unwrap_or_else(|| "USER".to_owned());
        let Ok(seen) = std::fs::metadata(path) else {
            return format!(
                "a folder above it is closed to you: `namei -l {}` shows which; {OWN}",
                path.display()
            );
        };
        let whose = self.name("/etc/passwd", seen.uid()).unwrap_or_else(|| format!("uid {}", seen.uid()));
        if seen.mode() & 0o060 != 0o060 {
            return format!("it serves {whose} alone; {}", OWN.trim_start_matches("or "));
        }
        let group = self.name("/etc/group", seen.gid()).unwrap_or_else(|| seen.gid().to_string());
        if self.is_member(&user, seen.gid()) && !self.groups.contains(&seen.gid()) {
            return format!(
                "{user} joined the group {group} after this login: log in again, or `newgrp {group}`"
            );
        }
        format!("it serves the group {group}: `sudo usermod -aG {group} {user}`, then log in again; {OWN}")
    }

    /// The name of an id in a file of accounts. A directory service's are shown as numbers.
    fn name(&self, file: &str, id: u32) -> Option<String> {
        let text = std::fs::read_to_string(self.at(file)).ok()?;
        let line = text.lines().find(|line| line.split(':').nth(2) == Some(&id.to_string()))?;
        line.split(':').next().map(str::to_owned)
    }

    fn is_member(&self, user: &str, gid: u32) -> bool {
        let text = std::fs::read_to_string(self.at("/etc/group")).unwrap_or_default();
        let line = text.lines().find(|line| line.split(':').nth(2) == Some(&gid.to_string()));
        line.and_then(|line| line.split(':').nth(3))
            .is_some_and(|list| list.split(',').any(|each| each == user))
    }
}

/// Whether `/proc/PID/stat` (proc(5)) is of a process of this name that has not ended. One that has ended is a
/// zombie (Z) until its parent asks for it, or on its way out (X, x), and holds no lock.
fn is_alive(stat: &str, name: &str) -> bool {
    let parts = stat.split_once('(').and_then(|(_, rest)| rest.rsplit_once(") "));
    parts.is_some_and(|(found, rest)| found == name && !rest.starts_with(['Z', 'X', 'x']))
}

const BY_NAME: &str = "a socket elsewhere is named by --socket or FUSION_SOCKET";

/// A socket that nobody listens on was left by a daemon that ended.
fn has_ended(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::ConnectionRefused
}

fn verb_after(error: &io::Error) -> &'static str {
    if has_ended(error) { "restart" } else { "start" }
}

fn reason(error: &io::Error) -> String {
    let known = [
        (io::ErrorKind::NotFound, "does not exist"),
        (io::ErrorKind::ConnectionRefused, "nobody listens"),
        (io::ErrorKind::PermissionDenied, "permission denied"),
    ];
    let word = known.iter().find(|(kind, _)| *kind == error.kind());
    word.map_or_else(|| error.to_string(), |(_, word)| (*word).to_owned())
}

/// One word for a shell, in quotes where it needs them.
pub(crate) fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let is_plain = word.chars().all(|c| c.is_alphanumeric() || "/._-+@".contains(c));
    if is_plain { word.into_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    const OWN: &str = "/run/user/7/fusiond/fusiond.sock";

    /// A machine below a folder of its own.
    struct Machine(tempfile::TempDir);

    impl Machine {
        fn new() -> Self {
            let machine = Self(tempfile::tempdir().unwrap());
            machine.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nada:x:7:7::/home/ada:/bin/sh\n");
            machine.file("etc/group", "root:x:0:\nfusion:x:60:bob\n");
            machine
        }

        fn file(&self, path: &str, text: &str) {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn says(&self, uid: u32, named: NamedBy, tried: &[(&str, io::ErrorKind)]) -> Complaint {
            let home = self.0.path().join("home/ada");
            let env = |name: &str| match name {
                "XDG_RUNTIME_DIR" => Some(PathBuf::from("/run/user/7")),
                "HOME" => Some(home.clone()),
                _ => None,
            };
            let around = Around { top: self.0.path(), env: &env, uid, groups: vec![uid] };
            let tried: Vec<_> = tried.iter().map(|(path, kind)| (path.into(), (*kind).into())).collect();
            complaint(&tried, named, &around)
        }

        /// The hint when neither usual socket is there.
        fn absent(&self, uid: u32) -> String {
            let tried = [(OWN, io::ErrorKind::NotFound), (SYSTEM, io::ErrorKind::NotFound)];
            self.says(uid, NamedBy::Nobody, &tried).hint.unwrap()
        }
    }

    #[test]
    fn a_machine_that_knows_no_daemon_is_told_all_ways() {
        let hint = Machine::new().absent(7);
        for way in ["`fusiond --user`", "`sudo fusiond`", "`fusiond --root DIR`", "--socket"] {
            assert!(hint.contains(way), "{hint}");
        }
        assert!(!Machine::new().absent(0).contains("--user"), "root has no daemon of its own");
    }

    #[test]
    fn the_daemons_that_the_machine_knows_are_named() {
        let machine = Machine::new();
        machine.file("usr/lib/systemd/system/fusiond.service", "");
        assert_eq!(machine.absent(7), "start it with `sudo systemctl start fusiond`");
        assert_eq!(machine.absent(0), "start it with `systemctl start fusiond`");
        machine.file("home/ada/.local/state/fusiond/id", "");
        let both =
            "start yours with `fusiond --user`, or that of the machine with `sudo systemctl start fusiond`";
        assert_eq!(machine.absent(7), both);
        machine.file("usr/lib/systemd/user/fusiond.service", "");
        assert!(machine.absent(7).starts_with("start yours with `systemctl --user start fusiond`"));
        let bare = Machine::new();
        bare.file("var/lib/fusiond/id", "");
        assert_eq!(bare.absent(7), "start it with `sudo fusiond`");
    }

    #[test]
    fn a_daemon_that_lost_its_socket_is_ended_first() {
        let machine = Machine::new();
        machine.file("home/ada/.local/state/fusiond/store/lock", "4711\n");
        assert_eq!(machine.absent(7), "start it with `fusiond --user`", "nobody has this number");
        machine.file("proc/4711/stat", "4711 (fusiond) S 1 4711 4711 0\n");
        let hint = machine.absent(7);
        assert!(hint.contains("process 4711 holds its state and does not listen"), "{hint}");
        assert!(hint.ends_with("`kill 4711` (agents go on), then `fusiond --user`"), "{hint}");
        for other in ["4711 (fusiond) Z 1 4711", "4711 (another) S 1 4711", "4711 (fusiond) S) S 1 4711"] {
            machine.file("proc/4711/stat", other);
            assert_eq!(machine.absent(7), "start it with `fusiond --user`", "{other}");
        }
    }

    #[test]
    fn every_socket_that_was_tried_is_named() {
        let tried = [(OWN, io::ErrorKind::NotFound), (SYSTEM, io::ErrorKind::ConnectionRefused)];
        let complaint = Machine::new().says(7, NamedBy::Nobody, &tried);
        assert_eq!(complaint.exit, Exit::Unreachable);
        let detail = format!("tried {OWN} (does not exist), {SYSTEM} (nobody listens)");
        assert_eq!(complaint.detail, Some(detail));
    }

    #[test]
    fn a_daemon_that_ended_is_started_again_and_its_journal_named() {
        let machine = Machine::new();
        machine.file("etc/systemd/system/fusiond.service", "");
        let refused = [(SYSTEM, io::ErrorKind::ConnectionRefused)];
        let hint = machine.says(0, NamedBy::Flag, &refused).hint.unwrap();
        assert_eq!(
            hint,
            "start it with `systemctl restart fusiond`; `journalctl -u fusiond` tells why it ended"
        );
    }

    #[test]
    fn a_socket_below_a_root_names_that_root() {
        let machine = Machine::new();
        machine.file("my trial/state/id", "");
        let socket = machine.0.path().join("my trial/run/fusiond.sock");
        let tried = [(socket.to_str().unwrap(), io::ErrorKind::ConnectionRefused)];
        let uid = rustix::process::getuid().as_raw();
        let hint = machine.says(uid, NamedBy::Variable, &tried).hint.unwrap();
        let root = machine.0.path().join("my trial");
        let start = format!("start it with `fusiond --root '{}'`", root.display());
        assert_eq!(hint, format!("{start}; or unset FUSION_SOCKET for the usual sockets"));
        let unknown =
            machine.says(uid, NamedBy::Flag, &[("/a/b.sock", io::ErrorKind::NotFound)]).hint.unwrap();
        assert!(unknown.contains("DIR/run/fusiond.sock"), "{unknown}");
    }

    #[test]
    fn a_socket_that_is_forbidden_names_the_group_that_may() {
        let machine = Machine::new();
        machine.file("s", "");
        let path = machine.0.path().join("s");
        let says = |mode: u32, gid: u32, uid: u32| {
            std::os::unix::fs::chown(&path, None, Some(gid)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let tried = [(path.to_str().unwrap(), io::ErrorKind::PermissionDenied)];
            let complaint = machine.says(uid, NamedBy::Flag, &tried);
            assert_eq!((complaint.exit, complaint.code.as_str()), (Exit::NotPermitted, "socket_denied"));
            complaint.hint.unwrap()
        };
        let own = rustix::process::getgid().as_raw();
        machine.file("etc/group", &format!("fusion:x:{own}:bob\n"));
        assert!(says(0o600, own, 7).ends_with("alone; run a daemon of your own: `fusiond --user`"));
        assert!(says(0o660, own, 7).starts_with("it serves the group fusion: `sudo usermod -aG fusion ada`"));
        machine.file("etc/group", &format!("fusion:x:{own}:bob,ada\n"));
        let joined = says(0o660, own, 7);
        assert!(joined.contains("log in again") || own == 7, "{joined}");
        assert!(joined.contains("newgrp fusion") || own == 7, "{joined}");
    }
}
