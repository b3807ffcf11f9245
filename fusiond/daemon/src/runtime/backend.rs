//! How trees are held together on this machine, and which way one agent gets. Pure but for [`Ground`]'s probe.
//!
//! Not here: making cgroups and killing in them (`fusion_shim::cgroup`, `fusion_shim::tree`).

use fusion_core::Reject;
use fusion_core::agent::AgentLimits;
use fusion_shim::cgroup::{Ground, Kind};

/// What the settings say about backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// The best one for each agent.
    #[default]
    Auto,
    /// Scopes of systemd alone.
    Systemd,
    /// Version 2 alone.
    CgroupV2,
    /// Version 1 alone.
    CgroupV1,
    /// The walk of descendants alone.
    None,
}

impl BackendChoice {
    /// The kind that is forced, if one is.
    #[must_use]
    pub const fn forced(self) -> Option<Kind> {
        match self {
            Self::Auto => None,
            Self::Systemd => Some(Kind::Systemd),
            Self::CgroupV2 => Some(Kind::V2),
            Self::CgroupV1 => Some(Kind::V1),
            Self::None => Some(Kind::None),
        }
    }
}

/// The word for a kind in `Recipe::backend`, settings and status.
#[must_use]
pub const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Systemd => "systemd",
        Kind::V2 => "cgroup-v2",
        Kind::V1 => "cgroup-v1",
        Kind::None => "none",
    }
}

/// The kind of a [`word`].
#[must_use]
pub fn from_word(text: &str) -> Option<Kind> {
    KINDS.into_iter().find(|kind| word(*kind) == text)
}

/// What this machine can hold, for `status` and `doctor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The backend of an agent without limits.
    pub backend: &'static str,
    /// All backends that can be used here, best first.
    pub available: Vec<&'static str>,
    /// The backend that can limit memory, if one can.
    pub memory: Option<&'static str>,
    /// The backend that can limit processor time.
    pub cpu: Option<&'static str>,
    /// The backend that can limit processes.
    pub pids: Option<&'static str>,
    /// The backend that can limit what passes to and from the disk.
    pub io: Option<&'static str>,
    /// Whether agents of several users can run.
    pub many_users: bool,
}

/// In order of preference.
const KINDS: [Kind; 4] = [Kind::Systemd, Kind::V2, Kind::V1, Kind::None];

/// The backend for an agent with these limits: the first that holds all of them, of those that the settings allow.
///
/// # Errors
/// [`Reject::LimitUnenforceable`] with the first limit that no allowed backend holds.
pub fn choose_backend(ground: &Ground, choice: BackendChoice, limits: &AgentLimits) -> Result<Kind, Reject> {
    let allowed = || allowed(ground, choice);
    let mut missing = None;
    for kind in allowed() {
        match unheld(ground, kind, limits) {
            None => return Ok(kind),
            Some(limit) => missing = missing.or(Some(limit)),
        }
    }
    Err(Reject::LimitUnenforceable { limit: missing.unwrap_or("processes") })
}

/// What [`choose_backend`] can promise here.
#[must_use]
pub(super) fn capabilities(ground: &Ground, choice: BackendChoice, many_users: bool) -> Capabilities {
    let holder = |limits: AgentLimits| choose_backend(ground, choice, &limits).ok().map(word);
    let none = AgentLimits::default();
    Capabilities {
        backend: holder(none).unwrap_or(word(Kind::None)),
        available: KINDS.into_iter().filter(|kind| has(ground, *kind)).map(word).collect(),
        memory: holder(AgentLimits { memory_bytes: Some(u64::MAX), ..none }),
        cpu: holder(AgentLimits { cpu_millis: Some(u32::MAX), ..none }),
        pids: holder(AgentLimits { pids: Some(u32::MAX), ..none }),
        io: holder(AgentLimits { io_read_bytes: Some(u64::MAX), ..none }),
        many_users,
    }
}

fn allowed(ground: &Ground, choice: BackendChoice) -> impl Iterator<Item = Kind> {
    let forced = choice.forced();
    KINDS.into_iter().filter(move |kind| forced.is_none_or(|forced| forced == *kind) && has(ground, *kind))
}

/// Whether a kind can be used here.
pub(super) fn has(ground: &Ground, kind: Kind) -> bool {
    match kind {
        Kind::Systemd => ground.systemd.is_some(),
        Kind::V2 => ground.v2.is_some(),
        Kind::V1 => ground.v1.is_some(),
        Kind::None => true,
    }
}

/// The first limit that this kind cannot hold.
fn unheld(ground: &Ground, kind: Kind, limits: &AgentLimits) -> Option<&'static str> {
    let mut asked = asked(limits).into_iter();
    asked.find(|(limit, asked)| *asked && !holds(ground, kind, limit)).map(|(limit, _)| option(limit, limits))
}

/// The option of the command line that asks for the limit of a controller.
fn option(controller: &'static str, limits: &AgentLimits) -> &'static str {
    match (controller, limits.io_read_bytes) {
        ("io", Some(_)) => "io-read",
        ("io", None) => "io-write",
        (other, _) => other,
    }
}

/// Each controller, and whether these limits need it.
fn asked(limits: &AgentLimits) -> [(&'static str, bool); 4] {
    [
        ("memory", limits.memory_bytes.is_some()),
        ("cpu", limits.cpu_millis.is_some()),
        ("pids", limits.pids.is_some()),
        ("io", limits.io_read_bytes.is_some() || limits.io_write_bytes.is_some()),
    ]
}

/// Whether a living tree can be put from one set of limits under another. Version 1 hierarchies are entered at the start
/// alone: a tree that was started without a limit is not in the one that would hold it.
pub(super) fn check_change(
    ground: &Ground,
    backend: &str,
    present: &AgentLimits,
    wanted: &AgentLimits,
) -> Result<(), &'static str> {
    let kind = from_word(backend).unwrap_or(Kind::None);
    let pairs = asked(present).into_iter().zip(asked(wanted));
    let mut refused = pairs.filter(|((limit, had), (_, asked))| {
        *asked && (!holds(ground, kind, limit) || (kind == Kind::V1 && !had))
    });
    refused.next().map_or(Ok(()), |((limit, _), _)| Err(option(limit, wanted)))
}

fn holds(ground: &Ground, kind: Kind, limit: &str) -> bool {
    if limit == "io" && ground.disk.is_none() {
        return false;
    }
    let among = |controllers: &Vec<String>| controllers.iter().any(|name| name == limit);
    match kind {
        Kind::Systemd => ground.systemd.as_ref().is_some_and(among),
        Kind::V2 => ground.v2.as_ref().is_some_and(|v2| among(&v2.controllers)),
        Kind::V1 => ground.v1.as_ref().is_some_and(|v1| match limit {
            "memory" => v1.memory.is_some(),
            "cpu" => v1.cpu.is_some(),
            "pids" => v1.pids.is_some(),
            // What is written through the page cache is nobody's there.
            _io => false,
        }),
        Kind::None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fusion_shim::cgroup::{V1, V2};
    use fusion_shim::wire::Disk;

    fn v2(controllers: &[&str]) -> Option<V2> {
        let controllers = controllers.iter().map(|name| (*name).to_owned()).collect();
        Some(V2 { base: "/v2".into(), controllers })
    }

    fn v1() -> Option<V1> {
        let folder = |name: &str| Some(name.into());
        Some(V1 { freezer: "/f".into(), memory: folder("/m"), pids: folder("/p"), cpu: None })
    }

    #[test]
    fn an_agent_gets_the_first_backend_that_holds_its_limits() {
        let none = AgentLimits::default();
        let memory = AgentLimits { memory_bytes: Some(1), ..none };
        let cpu = AgentLimits { cpu_millis: Some(1), ..none };
        let hybrid = Ground { v2: v2(&[]), v1: v1(), ..Ground::default() };
        let full = Ground { v2: v2(&["memory", "cpu", "pids", "io"]), v1: v1(), ..Ground::default() };
        let systemd = Ground { systemd: Some(vec!["pids".to_owned()]), v1: v1(), ..Ground::default() };
        let bare = Ground::default();
        let reads = AgentLimits { io_read_bytes: Some(1), ..none };
        let disk = Some(Disk { major: 8, minor: 0 });
        let auto = BackendChoice::Auto;
        assert_eq!(choose_backend(&full, auto, &memory), Ok(Kind::V2));
        assert_eq!(choose_backend(&hybrid, auto, &none), Ok(Kind::V2));
        assert_eq!(choose_backend(&hybrid, auto, &memory), Ok(Kind::V1));
        assert_eq!(choose_backend(&hybrid, auto, &cpu), Err(Reject::LimitUnenforceable { limit: "cpu" }));
        assert_eq!(choose_backend(&bare, auto, &none), Ok(Kind::None));
        assert_eq!(choose_backend(&Ground { disk, ..full.clone() }, auto, &reads), Ok(Kind::V2));
        let diskless = choose_backend(&full, auto, &reads);
        assert_eq!(diskless, Err(Reject::LimitUnenforceable { limit: "io-read" }), "no disk to limit");
        assert_eq!(choose_backend(&systemd, auto, &none), Ok(Kind::Systemd));
        assert_eq!(choose_backend(&systemd, auto, &memory), Ok(Kind::V1), "a hybrid machine");
        let forced = choose_backend(&systemd, BackendChoice::Systemd, &memory);
        assert_eq!(forced, Err(Reject::LimitUnenforceable { limit: "memory" }));
        assert_eq!(choose_backend(&full, BackendChoice::CgroupV1, &none), Ok(Kind::V1));
        let forced = choose_backend(&full, BackendChoice::None, &memory);
        assert_eq!(forced, Err(Reject::LimitUnenforceable { limit: "memory" }));
    }

    #[test]
    fn every_kind_has_a_word() {
        for kind in KINDS {
            assert_eq!(from_word(word(kind)), Some(kind));
        }
        assert_eq!(from_word("cgroup-v3"), None);
    }
}
