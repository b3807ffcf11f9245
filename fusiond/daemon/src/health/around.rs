//! What stands around the daemon: profiles, git, the journal, a container, what users see of one another. Not here: the kernel's
//! part (`kernel`).

use std::io;
use std::path::Path;

use fusion_sys::offer::Call;

use super::{Check, Probe};
use crate::config::LogFormat;
use crate::profile::{Profiles, Trust};
use crate::telemetry;

pub(super) fn checks(probe: &Probe) -> Vec<Check> {
    vec![
        profiles(probe),
        git(),
        log(probe.config.log.format, telemetry::is_journal(io::stderr())),
        landlock(Call::Landlock.check()),
        container(),
        processes(probe.paths.uid),
    ]
}

fn profiles(probe: &Probe) -> Check {
    const NAME: &str = "folders of profiles";
    let trust = if probe.paths.serves_all() { Trust::RootOnly } else { Trust::Readable };
    let (found, problems) = Profiles::load(&probe.paths.profiles, trust);
    match problems.as_slice() {
        [] => Check::ok(NAME, format!("{} for everybody, none left out", found.list().len())),
        [first, rest @ ..] => {
            let more =
                if rest.is_empty() { String::new() } else { format!(" (and {} more problems)", rest.len()) };
            Check::weak(
                NAME,
                format!("left out: {first}{more}"),
                "mend the file, then `fusionctl system reload`",
            )
        }
    }
}

/// Where a program of the system is; the folders of users are not looked at.
fn git() -> Check {
    const NAME: &str = "git";
    let found =
        ["/usr/local/bin/git", "/usr/bin/git", "/bin/git"].into_iter().find(|path| Path::new(path).is_file());
    match found {
        Some(path) => Check::ok(NAME, format!("{path}: workspaces can be made from repositories")),
        None => Check::weak(
            NAME,
            "not installed: no workspace can be made from a repository",
            "apt-get install git",
        ),
    }
}

fn log(format: LogFormat, has_journal: bool) -> Check {
    const NAME: &str = "log";
    match (format, has_journal) {
        (LogFormat::Auto | LogFormat::Journald, true) => {
            Check::ok(NAME, "goes to the journal: journalctl -u fusiond")
        }
        (LogFormat::Text | LogFormat::Json, true) => Check::weak(
            NAME,
            "goes to the journal as lines with times of their own, without priorities and fields",
            "set log.format to \"auto\"",
        ),
        (LogFormat::Auto | LogFormat::Text | LogFormat::Json, false) => {
            Check::ok(NAME, "goes to standard error")
        }
        (LogFormat::Journald, false) => Check::weak(
            NAME,
            "log.format is \"journald\", but standard error does not go to the journal",
            "start fusiond as a service of systemd, or set log.format to \"text\"",
        ),
    }
}

fn landlock(offered: io::Result<()>) -> Check {
    const NAME: &str = "landlock";
    match offered {
        Ok(()) => Check::ok(NAME, "the kernel offers it; this version confines no agent by it"),
        Err(error) => Check::ok(NAME, format!("not offered ({error}); this version confines no agent by it")),
    }
}

/// What ends together with this daemon.
fn container() -> Check {
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let first = std::fs::read_to_string("/proc/1/comm").unwrap_or_default();
    judge_container(&namespace.to_string_lossy(), first.trim(), std::process::id())
}

/// The namespace of processes that the kernel itself starts in.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

fn judge_container(namespace: &str, first: &str, own: u32) -> Check {
    const NAME: &str = "container";
    match (namespace, first, own) {
        (FIRST_NAMESPACE, ..) => Check::ok(NAME, "none: agents go on when this daemon ends"),
        (_, "systemd", _) => {
            Check::ok(NAME, "its first process is systemd: agents go on when this daemon ends")
        }
        (.., 1) => Check::weak(
            NAME,
            "this daemon is its first process: all agents end with it, and each leaves a process that nobody reaps",
            "docker run --init, and docker stop --time 60",
        ),
        _ => Check::weak(
            NAME,
            "all agents end with the container; attempts that run when it is killed are lost",
            "docker stop --time 60; or install the package on the machine, where agents go on",
        ),
    }
}

/// What proc(5) shows of other users' processes.
fn processes(uid: u32) -> Check {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    judge_processes(&mounts, uid)
}

fn judge_processes(mounts: &str, uid: u32) -> Check {
    const NAME: &str = "process list";
    let proc = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/proc"));
    let Some(proc) = proc else {
        return Check::weak(NAME, "/proc is not mounted", "mount -t proc proc /proc");
    };
    let options = proc
        .rsplit(' ')
        .next()
        .unwrap_or_default()
        .split(',')
        .chain(proc.split(' ').nth(5).into_iter().flat_map(|words| words.split(',')));
    let hidden =
        options.filter_map(|option| option.strip_prefix("hidepid=")).next().unwrap_or("0").to_owned();
    match hidden.as_str() {
        "0" | "off" => Check::ok(
            NAME,
            "every user sees the arguments of all processes: a prompt belongs on standard input",
        ),
        _ if uid == 0 => Check::ok(NAME, format!("hidepid={hidden}: users see their own processes alone")),
        "4" | "ptraceable" => Check::weak(
            NAME,
            format!("hidepid={hidden}: this daemon may not see agents that a crash left behind"),
            "mount -o remount,hidepid=invisible /proc",
        ),
        _ => Check::ok(NAME, format!("hidepid={hidden}: users see their own processes alone")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Status;
    use super::*;

    #[test]
    fn landlock_that_no_agent_uses_is_never_weak() {
        for offered in [Ok(()), Err(io::ErrorKind::Unsupported.into())] {
            let check = landlock(offered);
            assert_eq!(check.status, Status::Ok);
            assert!(check.detail.ends_with("confines no agent by it"), "{check:?}");
        }
    }

    #[test]
    fn a_container_without_systemd_ends_agents_and_says_so() {
        let judged = |namespace, first, own| judge_container(namespace, first, own).status;
        assert_eq!(judged(FIRST_NAMESPACE, "init", 700), Status::Ok);
        assert_eq!(judged("pid:[4026532180]", "systemd", 70), Status::Ok);
        assert_eq!(judged("pid:[4026532180]", "docker-init", 7), Status::Weak);
        assert!(judge_container("pid:[4026532180]", "fusiond", 1).remedy.contains("--init"));
    }

    #[test]
    fn a_hidden_process_list_matters_to_a_daemon_without_root() {
        let mounts = |options: &str| format!("22 1 0:20 / /proc rw,nosuid - proc proc rw{options}\n");
        assert_eq!(judge_processes(&mounts(""), 1000).status, Status::Ok);
        assert_eq!(judge_processes(&mounts(",hidepid=invisible"), 1000).status, Status::Ok);
        assert_eq!(judge_processes(&mounts(",hidepid=ptraceable"), 1000).status, Status::Weak);
        assert_eq!(judge_processes(&mounts(",hidepid=4"), 0).status, Status::Ok);
        assert_eq!(judge_processes("", 0).status, Status::Weak);
    }

    #[test]
    fn a_log_for_a_journal_that_is_not_there_is_weak() {
        assert_eq!(log(LogFormat::Journald, false).status, Status::Weak);
        assert_eq!(log(LogFormat::Text, false).status, Status::Ok);
        assert_eq!(log(LogFormat::Text, true).status, Status::Weak);
        assert_eq!(log(LogFormat::Auto, true).status, Status::Ok);
    }
}
