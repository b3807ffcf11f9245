//! Users and groups: who may call, who may own agents, whether a login is needed. Not here: single callers (`caller`).

use fusion_core::state::RootAgents;

use super::{Check, Probe};
use crate::paths::Mode;

pub(super) fn checks(probe: &Probe) -> Vec<Check> {
    match probe.paths.mode {
        Mode::System => vec![group(probe), root_agents(probe.config.root_agents)],
        Mode::User => vec![linger(probe.paths.uid)],
        Mode::Root(_) => vec![trial(probe)],
    }
}

fn group(probe: &Probe) -> Check {
    const NAME: &str = "group";
    let Some(name) = &probe.config.socket.group else {
        return Check::ok(NAME, "the socket belongs to no group of its own");
    };
    match fusion_sys::account::group_id(name) {
        Ok(Some(gid)) => Check::ok(NAME, format!("members of {name} (gid {gid}) may use this daemon")),
        Ok(None) => Check::failed(
            NAME,
            format!("there is no group {name}: only root can reach the socket"),
            format!("groupadd --system {name}; usermod -aG {name} USER; systemctl restart fusiond"),
        ),
        Err(error) => Check::failed(
            NAME,
            format!("the name service does not answer: {error}"),
            format!("getent group {name}"),
        ),
    }
}

fn root_agents(allowed: RootAgents) -> Check {
    const NAME: &str = "root agents";
    match allowed {
        RootAgents::Refused => Check::ok(NAME, "root cannot own agents"),
        RootAgents::Allowed => Check::weak(
            NAME,
            "root may own agents: nothing confines those",
            "set allow_root_agents = false, and own agents as another user",
        ),
    }
}

/// Without it, logind ends the user's manager, and all that it started, with the last session.
fn linger(uid: u32) -> Check {
    const NAME: &str = "linger";
    if !std::path::Path::new("/run/systemd/seats").exists() {
        return Check::ok(NAME, "no logind here: a logout ends nothing");
    }
    let name = fusion_sys::account::Account::by_uid(uid).ok().flatten().map(|account| account.name);
    let Some(name) = name else {
        return Check::weak(NAME, format!("uid {uid} has no name"), format!("getent passwd {uid}"));
    };
    match std::path::Path::new("/var/lib/systemd/linger").join(&name).exists() {
        true => Check::ok(NAME, "a logout ends nothing"),
        false => Check::weak(
            NAME,
            "the last logout ends this daemon and all agents",
            format!("loginctl enable-linger {name}"),
        ),
    }
}

fn trial(probe: &Probe) -> Check {
    const NAME: &str = "mode";
    match probe.paths.serves_all() {
        true => Check::weak(
            NAME,
            "a trial daemon of root: every user of the machine may use it, and root may own agents",
            "install the package and use the system's daemon: systemctl enable --now fusiond",
        ),
        false => Check::ok(NAME, format!("a trial daemon for uid {} alone", probe.paths.uid)),
    }
}
