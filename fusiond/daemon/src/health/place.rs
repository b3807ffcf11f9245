//! The daemon's own files: shim, socket, folders. Not here: disks (`disk`).

use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Check, Probe};
use crate::paths::Mode;

pub(super) fn checks(probe: &Probe) -> Vec<Check> {
    let lock = probe.paths.store.join("lock");
    vec![
        shim(probe.shim.as_deref()),
        socket(probe),
        private(&probe.paths.state, probe),
        judge_lock(&lock, std::fs::read_to_string(&lock).ok().as_deref(), std::process::id()),
        workspaces(probe),
    ]
}

/// `fusion-shim --version` prints its name and this.
const VERSION: &str = env!("CARGO_PKG_VERSION");

fn shim(path: Option<&Path>) -> Check {
    const NAME: &str = "shim";
    let Some(path) = path else {
        return Check::failed(
            NAME,
            "fusion-shim was not found",
            "put fusion-shim beside fusiond, then restart fusiond",
        );
    };
    let shown = path.display();
    let output =
        Command::new(path).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).env_clear().output();
    let output = match output {
        Ok(output) => output,
        Err(error) => return Check::failed(NAME, format!("{shown}: {error}"), format!("ls -l {shown}")),
    };
    let said = String::from_utf8_lossy(&output.stdout);
    match said.split_whitespace().last() {
        Some(version) if output.status.success() && version == VERSION => {
            Check::ok(NAME, format!("{shown}, version {version}"))
        }
        Some(version) if output.status.success() => Check::weak(
            NAME,
            format!("{shown} is version {version}, fusiond is {VERSION}"),
            format!(
                "install fusiond and fusion-shim of one version, then restart fusiond: {shown} --version"
            ),
        ),
        Some(_) | None => Check::weak(
            NAME,
            format!("{shown} does not tell its version, fusiond is {VERSION}"),
            format!(
                "install fusiond and fusion-shim of one version, then restart fusiond: {shown} --version"
            ),
        ),
    }
}

fn socket(probe: &Probe) -> Check {
    const NAME: &str = "socket";
    let path = &probe.paths.socket;
    let shown = path.display();
    let wanted = probe.config.socket.mode.unwrap_or_else(|| probe.paths.socket_mode());
    let seen = match std::fs::symlink_metadata(path) {
        Ok(seen) => seen,
        Err(error) => return Check::failed(NAME, format!("{shown}: {error}"), "restart fusiond"),
    };
    let mode = seen.mode() & 0o777;
    if !seen.file_type().is_socket() {
        return Check::failed(
            NAME,
            format!("{shown} is no socket"),
            format!("rm {shown}, then restart fusiond"),
        );
    }
    if mode != wanted {
        let detail = format!("{shown} has mode {mode:04o}, expected {wanted:04o}");
        return Check::weak(NAME, detail, format!("chmod {wanted:04o} {shown}"));
    }
    if shown.to_string().len() >= SOCKET_PATH_BYTES {
        let detail = format!("{shown} is too long for programs that connect by path");
        return Check::weak(NAME, detail, "choose a shorter --root");
    }
    match (&probe.paths.mode, wanted & 0o006) {
        (Mode::System, 0o006) => {
            Check::weak(NAME, format!("{shown} is open to every user"), "set socket.mode to \"0o660\"")
        }
        _ => Check::ok(NAME, format!("{shown}, mode {mode:04o}")),
    }
}

/// The size of `sun_path`, unix(7).
const SOCKET_PATH_BYTES: usize = 108;

/// Nobody else may write here, and what is private is below.
fn private(state: &Path, probe: &Probe) -> Check {
    const NAME: &str = "state folder";
    for path in [&probe.paths.store, &probe.paths.incarnations] {
        let shown = path.display();
        let seen = match std::fs::symlink_metadata(path) {
            Ok(seen) => seen,
            Err(error) => return Check::failed(NAME, format!("{shown}: {error}"), "restart fusiond"),
        };
        if seen.uid() != probe.paths.uid {
            let detail = format!("{shown} belongs to uid {}", seen.uid());
            return Check::failed(NAME, detail, format!("chown {} {shown}", probe.paths.uid));
        }
        if seen.mode() & 0o077 != 0 {
            let detail = format!("{shown} has mode {:04o}: others may read it", seen.mode() & 0o7777);
            return Check::failed(NAME, detail, format!("chmod 0700 {shown}"));
        }
    }
    Check::ok(NAME, format!("{}: store and records are closed to others", state.display()))
}

/// The lock is on the file, and the file says who took it last. Somebody who removes it lets a second daemon in.
fn judge_lock(path: &Path, says: Option<&str>, own: u32) -> Check {
    const NAME: &str = "state lock";
    let shown = path.display();
    let Some(says) = says else {
        let detail = format!("{shown} is gone: a second daemon could open the same state");
        return Check::failed(NAME, detail, "restart fusiond; agents go on");
    };
    match says.trim().parse::<u32>() {
        Ok(pid) if pid == own => {
            Check::ok(NAME, format!("held by this daemon (pid {pid}): no other one can open its state"))
        }
        Ok(pid) => {
            let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
            let name = name.map_or_else(|_| "gone".to_owned(), |name| name.trim().to_owned());
            let detail = format!(
                "{shown} was replaced: process {pid} ({name}) took it, besides this daemon (pid {own})"
            );
            Check::failed(
                NAME,
                detail,
                format!("end one of the two: kill {pid}, or kill {own}; agents go on"),
            )
        }
        Err(_) => Check::failed(NAME, format!("{shown} names no process"), "restart fusiond; agents go on"),
    }
}

fn workspaces(probe: &Probe) -> Check {
    const NAME: &str = "workspaces";
    let path = &probe.paths.workspaces;
    let shown = path.display();
    let seen = match std::fs::symlink_metadata(path) {
        Ok(seen) => seen,
        Err(error) => return Check::failed(NAME, format!("{shown}: {error}"), "restart fusiond"),
    };
    if !seen.is_dir() || seen.uid() != probe.paths.uid || seen.mode() & 0o022 != 0 {
        let detail = format!("{shown} can be changed by others");
        return Check::failed(NAME, detail, format!("chown {} {shown}; chmod 0711 {shown}", probe.paths.uid));
    }
    if let Some(closed) = probe.paths.serves_all().then(|| closed_above(path)).flatten() {
        let closed = closed.display();
        return Check::failed(
            NAME,
            format!("users cannot pass through {closed}"),
            format!("chmod o+x {closed}"),
        );
    }
    Check::ok(NAME, shown.to_string())
}

/// The first folder on the way that others cannot pass through.
fn closed_above(path: &Path) -> Option<&Path> {
    let closed = |path: &&Path| std::fs::metadata(path).is_ok_and(|seen| seen.mode() & 0o001 == 0);
    path.ancestors().filter(closed).last()
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn the_lock_names_who_holds_it() {
        let judge = |says: Option<&str>| judge_lock(Path::new("/s/lock"), says, 7);
        assert_eq!(judge(Some("7\n")).status, Status::Ok);
        let own = std::process::id();
        let second = judge(Some(&format!("{own}\n")));
        assert_eq!(second.status, Status::Failed);
        assert!(second.detail.contains(&format!("process {own} (")), "{second:?}");
        assert!(second.remedy.contains(&format!("kill {own}, or kill 7")), "{second:?}");
        for says in [None, Some(""), Some("x")] {
            assert_eq!(judge(says).status, Status::Failed);
        }
    }
}
