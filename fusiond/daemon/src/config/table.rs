//! Every setting: key, kind, default, meaning. Reading, `--check-config` and the reference follow from this table.
//! Not here: variables of the environment (`environment`).

use fusion_core::Millis;

use super::kind::Kind;

/// One setting. A `*` in the key stands for a name that the file chooses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) kind: Kind,
    /// As the environment would have it; `None` where the absence means something.
    pub(super) default: Option<&'static str>,
    pub(super) used: Used,
    pub(super) about: &'static str,
}

/// Whether a setting has an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    Now,
    /// Its shape is checked; the part that would use it is not there.
    Later,
}

const fn now(key: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Setting {
    Setting { key, kind, default: Some(default), used: Used::Now, about }
}

const fn optional(key: &'static str, kind: Kind, about: &'static str) -> Setting {
    Setting { key, kind, default: None, used: Used::Now, about }
}

const fn later(key: &'static str, kind: Kind, about: &'static str) -> Setting {
    Setting { key, kind, default: None, used: Used::Later, about }
}

/// More of anything on one machine is a slip.
const COUNT_MAX: u64 = 10_000_000;
const AGENTS: Kind = Kind::Count(1, 100_000);
const MEMORY: Kind = Kind::Bytes(1 << 20, 1 << 50);
const PIDS: Kind = Kind::Count(2, 4_194_304);
const TASKS: Kind = Kind::Count(1, COUNT_MAX);
/// Backoffs and graces: none is shorter than the clock can tell, none outlasts a day.
const WAIT: Kind = Kind::Span(Millis(1), Millis::from_secs(86_400));

/// The words of `runtime.backend`.
pub(super) const BACKENDS: &[&str] = &["auto", "systemd", "cgroup-v2", "cgroup-v1", "none"];
/// The words of `log.level`.
pub(super) const LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];
/// The words of `log.format`.
pub(super) const FORMATS: &[&str] = &["auto", "text", "json", "journald"];
const PROVIDERS: &[&str] = &["openrouter", "openai-compatible", "anthropic", "plugin"];

pub(super) const SETTINGS: &[Setting] = &[
    now("allow_root_agents", Kind::Switch, "false", "whether root may own agents; always so under `--root`"),
    now(
        "allow_nologin_users",
        Kind::Switch,
        "false",
        "whether accounts whose shell is `nologin` or `false` may own agents",
    ),
    now("limits.max_concurrent_agents", AGENTS, "200", "agents that are not terminated, overall"),
    now(
        "limits.max_running",
        Kind::Count(0, 100_000),
        "0",
        "attempts at once, overall; 0: as many as there are agents",
    ),
    now("limits.per_user.max_concurrent_agents", AGENTS, "20", "agents of one user that are not terminated"),
    now("limits.per_user.max_queued_tasks", TASKS, "200000", "tasks of one user that have not ended"),
    optional("limits.per_user.memory", MEMORY, "memory of all agents of one user together (systemd)"),
    optional("limits.per_user.cpu", Kind::Cpus, "processors of all agents of one user together (systemd)"),
    optional(
        "limits.per_user.pids",
        PIDS,
        "processes and threads of all agents of one user together (systemd)",
    ),
    optional(
        "users.*.limits.max_concurrent_agents",
        AGENTS,
        "the same for one user, by name or number; `limits.per_user` where absent",
    ),
    optional(
        "users.*.limits.max_queued_tasks",
        TASKS,
        "the same for one user, by name or number; `limits.per_user` where absent",
    ),
    optional("users.*.limits.memory", MEMORY, "the same for one user"),
    optional("users.*.limits.cpu", Kind::Cpus, "the same for one user"),
    optional("users.*.limits.pids", PIDS, "the same for one user"),
    now(
        "runtime.backend",
        Kind::Word(BACKENDS),
        "auto",
        "how process trees are held together; other than `auto`, it is this way or no start",
    ),
    now(
        "runtime.log_quota",
        Kind::Bytes(1 << 20, 1 << 40),
        "256MiB",
        "output kept of one attempt; the oldest goes first, and is counted",
    ),
    now(
        "runtime.grace",
        Kind::Span(Millis(0), Millis::from_secs(3600)),
        "10s",
        "between SIGTERM and the kill, where nobody says otherwise",
    ),
    now(
        "runtime.restart_backoff",
        WAIT,
        "500ms",
        "first wait before a crashed agent starts again, then doubled",
    ),
    now("runtime.restart_backoff_max", WAIT, "5m", "the longest such wait"),
    now(
        "runtime.quarantine_crashes",
        Kind::Count(1, 1000),
        "5",
        "crashes within the window after which an agent rests until `agent restart`",
    ),
    now("runtime.quarantine_window", WAIT, "10m", "the window"),
    now(
        "tasks.retry_backoff",
        WAIT,
        "2s",
        "the first wait before a retry is drawn from zero to this, then doubled",
    ),
    now("tasks.retry_backoff_max", WAIT, "10m", "the longest such wait"),
    now(
        "tasks.ended_in_memory",
        Kind::Count(0, COUNT_MAX),
        "10000",
        "ended tasks kept in memory; older ones are read from disk",
    ),
    now(
        "tasks.history",
        Kind::Span(Millis(1), Millis::from_secs(3660 * 86_400)),
        "30d",
        "how long ended tasks, their logs and events are kept on disk",
    ),
    optional(
        "workspaces.root",
        Kind::Path,
        "where workspaces lie; a folder of root (or of the daemon's user) that users may pass through",
    ),
    now(
        "workspaces.permissions",
        Kind::Mode(0o700),
        "0o700",
        "their permissions; must leave the owner all three rights, a looser one is refused",
    ),
    now(
        "workspaces.retention",
        Kind::Span(Millis(0), Millis::from_secs(3660 * 86_400)),
        "7d",
        "how long workspace and logs of a terminated agent stay",
    ),
    now(
        "workspaces.seed_timeout",
        Kind::Span(Millis(1), Millis::from_secs(366 * 86_400)),
        "10m",
        "how long `agent spawn --from` may take to fill a workspace",
    ),
    optional(
        "workspaces.disk",
        Kind::Bytes(1 << 20, 1 << 50),
        "how much the workspace of a new agent may take on the disk before its next task, where nobody says otherwise; absent: as much as there is",
    ),
    optional("store.path", Kind::Path, "where the store lies, if not in `store` below the state folder"),
    now(
        "store.free_floor",
        Kind::Bytes(1 << 20, 1 << 40),
        "64MiB",
        "new work is refused while the file system of the store has less than this free",
    ),
    now("log.level", Kind::Word(LEVELS), "info", "what is worth a line of the daemon's log"),
    now(
        "log.format",
        Kind::Word(FORMATS),
        "auto",
        "how a line looks; `journald` has fields (`FUSION_AGENT=` …), `auto` is `journald` where standard error is the \
         journal's, else `text`",
    ),
    optional(
        "socket.mode",
        Kind::Mode(0o666),
        "permissions of the main socket; 0o660 in system mode, 0o666 for root under `--root`, else 0o600",
    ),
    optional("socket.group", Kind::Name, "group of the main socket; `fusion` in system mode"),
    later("redis.url", Kind::RedisUrl, "the bus between agents; empty: embedded"),
    later("redis.db", Kind::Count(0, 65_535), "number of the Redis database"),
    later("providers.*.kind", Kind::Word(PROVIDERS), "how the provider is spoken to"),
    later("providers.*.base_url", Kind::Url, "its address"),
    later("providers.*.api_key", Kind::Secret, "where its key is"),
    later("api.host", Kind::Text, "address of the HTTP bridge"),
    later("api.port", Kind::Count(0, 65_535), "its port"),
    later("api.debug", Kind::Switch, "whether it tells more about errors"),
    later("dashboard.port", Kind::Count(0, 65_535), "port of the dashboard"),
    later("dashboard.url", Kind::Url, "its address, as browsers see it"),
];

impl Setting {
    /// The part of the key before the last point; empty for keys of the top.
    pub(super) fn section(&self) -> &'static str {
        self.key.rsplit_once('.').map_or("", |(section, _)| section)
    }
}

/// The setting that a path of a file names.
pub(super) fn setting(path: &[String]) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| {
        let parts: Vec<&str> = setting.key.split('.').collect();
        parts.len() == path.len() && is_match(&parts, path)
    })
}

/// Whether a path names a table that holds settings.
pub(super) fn is_section(path: &[String]) -> bool {
    SETTINGS.iter().any(|setting| {
        let parts: Vec<&str> = setting.key.split('.').collect();
        parts.len() > path.len() && is_match(&parts[..path.len()], path)
    })
}

/// The names that may stand right below a path.
pub(super) fn names_below(path: &[String]) -> Vec<&'static str> {
    let mut names: Vec<&str> = SETTINGS
        .iter()
        .filter_map(|setting| {
            let parts: Vec<&str> = setting.key.split('.').collect();
            let below = parts.get(path.len()).copied().filter(|name| *name != "*")?;
            is_match(&parts[..path.len()], path).then_some(below)
        })
        .collect();
    names.dedup();
    names
}

fn is_match(parts: &[&str], path: &[String]) -> bool {
    parts.iter().zip(path).all(|(part, name)| *part == "*" || part == name)
}
