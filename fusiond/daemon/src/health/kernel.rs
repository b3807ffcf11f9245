//! What the kernel offers: cgroups, pidfds, openat2, namespaces, limits. Not here: files of the daemon.

use std::io;
use std::os::unix::net::UnixStream;

use fusion_sys::offer::Call;
use fusion_sys::peer;
use rustix::process::{PidfdFlags, getpid, pidfd_open};

use super::{Check, Probe, Status, Trees};
use crate::config::Backend;
use crate::paths::Mode;

pub(super) fn checks(probe: &Probe) -> Vec<Check> {
    let v2 = v2_remedy(probe.paths.uid);
    let mut checks = vec![trees(&probe.trees, probe.config.runtime.backend, v2, manager())];
    checks.extend(guarantees(&probe.trees, v2));
    checks.extend(kernel(&rustix::system::uname().release().to_string_lossy(), &features()));
    checks.extend([
        pidfd(),
        openat2(&probe.paths.run),
        namespaces(),
        bwrap(),
        open_files(&probe.paths.mode),
        pid_max(),
        clock(),
    ]);
    checks
}

/// What gives an agent its own cgroup v2 subtree with controllers.
const fn v2_remedy(uid: u32) -> &'static str {
    match uid {
        0 => {
            "use Linux 5.14 or later and boot with systemd.unified_cgroup_hierarchy=1; in a container, limit the \
             container"
        }
        _ => {
            "install dbus-user-session, and let your own systemd run it: systemctl --user enable --now fusiond"
        }
    }
}

/// Whether systemd runs the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Systemd,
    Another,
}

/// As sd_booted(3) has it.
fn manager() -> Manager {
    let is_there = std::path::Path::new("/run/systemd/system").is_dir();
    if is_there { Manager::Systemd } else { Manager::Another }
}

fn trees(trees: &Trees, wanted: Backend, v2: &str, manager: Manager) -> Check {
    const NAME: &str = "process trees";
    let is_passed_over = manager == Manager::Systemd && wanted == Backend::Auto;
    let forced = match wanted {
        Backend::Auto => "",
        Backend::Systemd | Backend::CgroupV2 | Backend::CgroupV1 | Backend::None => {
            " (forced by runtime.backend)"
        }
    };
    match trees {
        Trees::Systemd { .. } => Check::ok(
            NAME,
            format!(
                "systemd scopes{forced}: kill and freeze reach every process of an agent, and it outlives the daemon"
            ),
        ),
        Trees::CgroupV2 { .. } | Trees::CgroupV1 { .. } if is_passed_over => Check::weak(
            NAME,
            "a subtree that systemd does not know: it makes no scopes for agents, as its bus did not answer",
            "install dbus (without root dbus-user-session), then start fusiond anew",
        ),
        Trees::CgroupV2 { .. } => {
            Check::ok(NAME, format!("cgroup v2{forced}: kill and freeze reach every process of an agent"))
        }
        Trees::CgroupV1 { .. } => Check::ok(
            NAME,
            format!("cgroup v1{forced}: freeze and kill reach every process of an agent, in rounds"),
        ),
        Trees::None => Check::weak(
            NAME,
            format!(
                "descendants{forced}: a process that leaves its tree is found by its marker, and pause is by SIGSTOP"
            ),
            v2,
        ),
    }
}

/// One check for each limit, and one for knowing who was killed for want of memory.
fn guarantees(trees: &Trees, v2: &str) -> Vec<Check> {
    let controllers: &[String] = match trees {
        Trees::Systemd { controllers }
        | Trees::CgroupV2 { controllers }
        | Trees::CgroupV1 { controllers } => controllers,
        Trees::None => &[],
    };
    let limit = |name: &'static str, controller: &str, flag: &str| match controllers
        .iter()
        .any(|have| have == controller)
    {
        true => Check::ok(name, format!("the {controller} controller holds {flag}")),
        false => Check::weak(
            name,
            format!("no {controller} controller: {flag} is not enforced for whole trees"),
            match trees {
                Trees::Systemd { .. } => format!(
                    "boot with a kernel that has the {controller} controller, and with \
                     systemd.unified_cgroup_hierarchy=1; without root, Delegate={controller} for user@.service"
                ),
                Trees::CgroupV2 { .. } => {
                    format!("echo +{controller} > /sys/fs/cgroup/cgroup.subtree_control")
                }
                Trees::CgroupV1 { .. } => {
                    format!("mount -t cgroup -o {controller} {controller} /sys/fs/cgroup/{controller}")
                }
                Trees::None => v2.to_owned(),
            },
        ),
    };
    let mut checks = vec![
        limit("memory limit", "memory", "--memory"),
        limit("cpu limit", "cpu", "--cpu"),
        limit("process limit", "pids", "--pids"),
        throughput(controllers),
    ];
    checks.push(match controllers.iter().any(|have| have == "memory") {
        true => Check::ok("out of memory", "a kill for want of memory is told from other kills"),
        false => Check::weak(
            "out of memory",
            "a kill for want of memory looks like any other SIGKILL",
            "give agents a memory controller: see the memory limit",
        ),
    });
    checks
}

fn throughput(controllers: &[String]) -> Check {
    let name = "disk throughput";
    match controllers.iter().any(|have| have == "io") {
        true => Check::ok(name, "the io controller holds --io-read and --io-write"),
        false => Check::weak(
            name,
            "--io-read and --io-write are refused: they need cgroup v2 with the io controller, and workspaces on a disk",
            "enable +io in cgroup.subtree_control; keep workspaces on a block device (ext4, xfs), not on tmpfs, \
             overlay, btrfs or a network",
        ),
    }
}

/// Something that this program uses where the kernel has it.
struct Feature {
    name: &'static str,
    offered: io::Result<()>,
    /// The Linux that brought it.
    since: &'static str,
    /// What is lost without it, and how bad that is.
    lost: &'static str,
    without: Status,
}

fn features() -> Vec<Feature> {
    let (clone3, close_range) = (Call::Clone3.check(), Call::CloseRange.check());
    let pinned = UnixStream::pair().and_then(|(one, _other)| peer::pidfd(&one).map(drop));
    vec![
        Feature {
            name: "clone3",
            offered: clone3,
            since: "5.7",
            lost: "a program moves itself into its cgroup, which costs milliseconds a task",
            without: Status::Weak,
        },
        Feature {
            name: "close_range",
            offered: close_range,
            since: "5.9",
            lost: "no agent can be started: programs would inherit files that are not theirs",
            without: Status::Failed,
        },
        Feature {
            name: "peer pidfd",
            offered: pinned,
            since: "6.5",
            lost: "a caller is known by a process number, which in a race may be another's by then",
            without: Status::Weak,
        },
    ]
}

/// One line if all is there, else one for each that is not.
fn kernel(release: &str, features: &[Feature]) -> Vec<Check> {
    const NAME: &str = "kernel";
    let missing: Vec<Check> = features.iter().filter_map(missing).collect();
    let names: Vec<&str> = features.iter().map(|feature| feature.name).collect();
    let all = Check::ok(NAME, format!("Linux {release} has {}", names.join(", ")));
    if missing.is_empty() { vec![all] } else { missing }
}

fn missing(feature: &Feature) -> Option<Check> {
    let error = feature.offered.as_ref().err()?;
    Some(Check {
        name: feature.name,
        status: feature.without,
        detail: format!("not offered ({error}): {}", feature.lost),
        remedy: format!(
            "use Linux {} or later; in a container, allow it in the seccomp profile",
            feature.since
        ),
    })
}

fn pidfd() -> Check {
    const NAME: &str = "pidfd";
    match pidfd_open(getpid(), PidfdFlags::empty()) {
        Ok(_) => Check::ok(NAME, "signals reach the process that was meant, not one that got its number"),
        Err(error) => Check::failed(
            NAME,
            format!("pidfd_open: {error}"),
            "use Linux 5.10 or later, and allow pidfd_open in the container's seccomp profile",
        ),
    }
}

fn openat2(folder: &std::path::Path) -> Check {
    const NAME: &str = "openat2";
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    match rustix::fs::openat2(CWD, folder, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS) {
        Ok(_) => Check::ok(NAME, "no path in a user's folder can lead out of it"),
        Err(rustix::io::Errno::NOENT) => {
            Check::weak(NAME, format!("{} is missing", folder.display()), "restart fusiond")
        }
        Err(error) => Check::weak(
            NAME,
            format!("{error}: paths are walked one folder at a time instead"),
            "allow openat2 in the container's seccomp profile",
        ),
    }
}

fn namespaces() -> Check {
    const NAME: &str = "user namespaces";
    if let Err(error) = Call::UserNamespace.check() {
        return Check::weak(
            NAME,
            format!("refused ({error}): no program of an agent can make a sandbox or a container"),
            "use a kernel with CONFIG_USER_NS; in a container, allow unshare in the seccomp profile",
        );
    }
    let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    if number("/proc/sys/kernel/unprivileged_userns_clone") == Some(0) {
        return Check::weak(NAME, "switched off for users", "sysctl -w kernel.unprivileged_userns_clone=1");
    }
    if number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == Some(1) {
        return Check::weak(
            NAME,
            "restricted by AppArmor",
            "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0",
        );
    }
    match number("/proc/sys/user/max_user_namespaces") {
        Some(0) => Check::weak(NAME, "none are allowed", "sysctl -w user.max_user_namespaces=15000"),
        Some(count) => Check::ok(NAME, format!("up to {count}")),
        None => Check::weak(NAME, "the kernel has none", "use a kernel with CONFIG_USER_NS"),
    }
}

fn bwrap() -> Check {
    const NAME: &str = "bubblewrap";
    let found = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/bin/bwrap"]
        .into_iter()
        .find(|path| rustix::fs::access(*path, rustix::fs::Access::EXEC_OK).is_ok());
    match found {
        Some(path) => Check::ok(NAME, format!("{path}; this version confines no agent by it")),
        None => Check::ok(NAME, "not installed; this version confines no agent by it"),
    }
}

/// An agent takes up to five descriptors of the daemon: shim, two logs, listener, one connection.
const FILES_PER_AGENT: u64 = 5;
/// The store, the sockets, and callers.
const FILES_BESIDES: u64 = 512;

fn open_files(mode: &Mode) -> Check {
    const NAME: &str = "open files";
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let agents = current.saturating_sub(FILES_BESIDES) / FILES_PER_AGENT;
    let detail = format!("limit {current}, enough for {agents} agents");
    let remedy = match mode {
        Mode::System => "systemctl edit fusiond: [Service] LimitNOFILE=65536; or ulimit -n 65536",
        Mode::User => "systemctl --user edit fusiond: [Service] LimitNOFILE=65536; or ulimit -n 65536",
        Mode::Root(_) => "ulimit -n 65536, then restart fusiond",
    };
    match current {
        8192.. => Check::ok(NAME, detail),
        1024.. => Check::weak(NAME, detail, remedy),
        _ => Check::failed(NAME, detail, remedy),
    }
}

fn pid_max() -> Check {
    const NAME: &str = "process numbers";
    let text = std::fs::read_to_string("/proc/sys/kernel/pid_max").unwrap_or_default();
    match text.trim().parse::<u32>() {
        Ok(max @ 65_536..) => Check::ok(NAME, format!("up to {max}")),
        Ok(max) => Check::weak(
            NAME,
            format!("only {max}: numbers come round soon"),
            "sysctl -w kernel.pid_max=4194304",
        ),
        Err(_) => Check::weak(NAME, "/proc/sys/kernel/pid_max cannot be read", "mount -t proc proc /proc"),
    }
}

/// No release of this program is older: 2025-01-01.
const EARLIEST_UNIX_S: u64 = 1_735_689_600;

fn clock() -> Check {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let uptime = uptime.split('.').next().and_then(|seconds| seconds.parse::<u64>().ok());
    judge_clock(now, uptime)
}

fn judge_clock(now_unix_s: u64, uptime_s: Option<u64>) -> Check {
    const NAME: &str = "clock";
    match uptime_s {
        _ if now_unix_s < EARLIEST_UNIX_S => {
            Check::failed(NAME, "the wall clock is in the past", "timedatectl set-ntp true")
        }
        Some(uptime) => {
            let span = fusion_core::Millis::from_secs(uptime - uptime % 60);
            Check::ok(
                NAME,
                format!(
                    "set; the machine is up for {}",
                    if uptime < 60 { "less than 1m".into() } else { human(span) }
                ),
            )
        }
        None => Check::weak(NAME, "/proc/uptime cannot be read", "mount -t proc proc /proc"),
    }
}

fn human(span: fusion_core::Millis) -> String {
    let minutes = span.0 / 60_000;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_with_all_controllers_holds_everything() {
        let controllers = ["memory", "pids", "cpu", "io"].map(str::to_owned).to_vec();
        for trees in [
            Trees::CgroupV2 { controllers: controllers.clone() },
            Trees::CgroupV1 { controllers: controllers.clone() },
        ] {
            assert!(guarantees(&trees, "").iter().all(|check| check.status == Status::Ok));
            assert_eq!(super::trees(&trees, Backend::Auto, "", Manager::Another).status, Status::Ok);
            let unknown = super::trees(&trees, Backend::Auto, "", Manager::Systemd);
            assert!(unknown.status == Status::Weak && unknown.remedy.contains("dbus"));
            let forced = super::trees(&trees, Backend::CgroupV2, "", Manager::Systemd);
            assert_eq!(forced.status, Status::Ok, "somebody wants it so");
        }
    }

    #[test]
    fn what_is_missing_is_weak_and_says_how_to_get_it() {
        let checks = guarantees(&Trees::CgroupV2 { controllers: vec!["pids".into()] }, "");
        assert_eq!(checks[0].remedy, "echo +memory > /sys/fs/cgroup/cgroup.subtree_control");
        assert_eq!(checks[2].status, Status::Ok);
        let none = trees(&Trees::None, Backend::None, v2_remedy(7), Manager::Another);
        assert!(none.remedy.contains("systemctl --user") && v2_remedy(0).contains("boot with"));
        assert_eq!(none.status, Status::Weak);
        assert!(none.detail.contains("forced") && !none.remedy.is_empty());
    }

    #[test]
    fn what_the_kernel_lacks_says_what_is_lost_and_what_brings_it() {
        let all = kernel("6.9", &features());
        assert_eq!(all.len(), 1, "{all:?}");
        let mut features = features();
        features[1].offered = Err(io::ErrorKind::Unsupported.into());
        features[2].offered = Err(io::ErrorKind::PermissionDenied.into());
        let checks = kernel("5.4", &features);
        let found: Vec<_> = checks.iter().map(|check| (check.name, check.status)).collect();
        assert_eq!(found, [("close_range", Status::Failed), ("peer pidfd", Status::Weak)]);
        assert!(checks[0].detail.contains("no agent can be started"), "{checks:?}");
        assert!(checks[1].remedy.starts_with("use Linux 6.5 or later"), "{checks:?}");
    }

    #[test]
    fn a_clock_that_was_never_set_fails() {
        assert_eq!(judge_clock(0, Some(5)).status, Status::Failed);
        assert_eq!(judge_clock(EARLIEST_UNIX_S, Some(90_061)).detail, "set; the machine is up for 1d1h");
        assert_eq!(judge_clock(EARLIEST_UNIX_S, Some(59)).detail, "set; the machine is up for less than 1m");
    }
}
