//! Bringing defaults, files, environment and flags together. Not here: reading one file (`read`), what each key takes
//! (`table`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fusion_core::Millis;
use fusion_core::agent::AgentLimits;
use fusion_core::state::{RootAgents, UserLimits};

use super::kind::Value;
use super::problem::Origin;
use super::table::{self, SETTINGS, Used};
use super::{
    Args, Backend, Config, Limits, Log, LogFormat, LogLevel, NologinUsers, Problem, Runtime, Socket, Store,
    Tasks, Workspaces, environment, read,
};
use crate::paths::{Mode, Paths};

/// A configuration without problems.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings in force.
    pub config: Config,
    /// Where everything lies, with the settings applied.
    pub paths: Paths,
    /// What is worth telling: ignored variables, settings that this version does not use.
    pub notes: Vec<String>,
    pub(super) values: Values,
}

/// Reads all there is: files by the places of the mode, the environment through `env`
/// ([`super::process_environment`]), and flags. Looks at the effective uid of this process.
///
/// # Errors
/// Everything that is wrong, in the order of the sources.
pub fn load(args: &Args, env: impl Fn(&str) -> Option<String>) -> Result<Loaded, Vec<Problem>> {
    load_as(args, &env, rustix::process::geteuid().as_raw())
}

pub(super) fn load_as(
    args: &Args,
    env: &dyn Fn(&str) -> Option<String>,
    uid: u32,
) -> Result<Loaded, Vec<Problem>> {
    let paths = Paths::find(args.place.mode(), uid, args.place.config.clone(), env);
    let mut paths = paths.map_err(|error| {
        let flag = match args.place.mode() {
            Mode::Root(_) => "--root",
            Mode::User => "--user",
            Mode::System => "fusiond",
        };
        vec![Problem { place: Origin::Flag(flag), text: format!("{error}: {}", error.hint()) }]
    })?;
    let mut problems = Vec::new();
    let mut values = Values::defaults();
    let is_named = args.place.config.is_some();
    for (key, value, origin) in read_files(&paths, is_named, &mut problems) {
        values.set(key, value, origin);
    }
    let found = environment::read(env);
    problems.extend(found.problems);
    for (key, value, origin) in found.values {
        values.set(path(key), value, origin);
    }
    for (key, word, flag) in flags(args) {
        values.set(path(key), Value::Word(word), Origin::Flag(flag));
    }
    let config = values.config(&paths.mode);
    values.check(&config, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    paths.apply(&config);
    let mut notes = found.notes;
    notes.extend(values.unused());
    Ok(Loaded { config, paths, notes, values })
}

fn flags(args: &Args) -> Vec<(&'static str, &'static str, &'static str)> {
    let level = args.log_level.map(|level| ("log.level", level.word(), "--log-level"));
    let format = args.log_format.map(|format| ("log.format", format.word(), "--log-format"));
    let backend = args.backend.map(|backend| ("runtime.backend", backend.word(), "--backend"));
    [level, format, backend].into_iter().flatten().collect()
}

/// The main file, then `*.toml` in the folder beside it that has its name and `.d`, in the order of names.
fn read_files(paths: &Paths, is_named: bool, problems: &mut Vec<Problem>) -> read::Found {
    let Some(file) = &paths.config else { return Vec::new() };
    let mut files = Vec::new();
    // The usual file may be missing; one that somebody named, or one without its parts, may not.
    if is_named || std::fs::symlink_metadata(file).is_ok() {
        files.push(file.clone());
    }
    let mut folder = file.clone().into_os_string();
    folder.push(".d");
    files.extend(parts(Path::new(&folder), problems));
    let mut found = Vec::new();
    for file in files {
        match read_file(&file, paths.trust()) {
            Ok(text) => found.extend(read::text(&file, &text, problems)),
            Err(reason) => problems.push(Problem::in_file(&file, 0, reason)),
        }
    }
    found
}

/// The `*.toml` files in a folder by name; a missing folder holds none.
pub(crate) fn parts(folder: &Path, problems: &mut Vec<Problem>) -> Vec<PathBuf> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            problems.push(Problem::in_file(folder, 0, format!("cannot read the folder: {error}")));
            return Vec::new();
        }
    };
    let names = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_part = |path: &PathBuf| {
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        path.extension().is_some_and(|end| end == "toml") && !is_hidden
    };
    let parts: BTreeSet<PathBuf> = names.filter(is_part).collect();
    parts.into_iter().collect()
}

/// Whose files may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that root alone can write: what root obeys must be root's.
    RootOnly,
    /// Whatever can be read.
    Readable,
}

/// The text of a file of settings or profiles.
///
/// # Errors
/// The reason, with what to do.
pub(crate) fn read_file(path: &Path, trust: Trust) -> Result<String, String> {
    let unreadable = |error: io::Error| format!("cannot read the file: {error}");
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    match trust {
        Trust::RootOnly => check_trust(path, &file.metadata().map_err(unreadable)?)?,
        Trust::Readable => {}
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(unreadable)?;
    Ok(text)
}

fn check_trust(path: &Path, seen: &std::fs::Metadata) -> Result<(), String> {
    let path = path.display();
    if seen.uid() != 0 {
        return Err(format!("belongs to uid {}, expected root: chown root {path}", seen.uid()));
    }
    if seen.mode() & 0o022 != 0 {
        let mode = seen.mode() & 0o7777;
        return Err(format!("has mode {mode:04o}, expected one that only root can write: chmod go-w {path}"));
    }
    Ok(())
}

/// Values by path, with where each came from.
#[derive(Clone, Debug, Default)]
pub(super) struct Values(pub(super) BTreeMap<Vec<String>, (Value, Origin)>);

pub(super) fn path(key: &str) -> Vec<String> {
    key.split('.').map(str::to_owned).collect()
}

impl Values {
    fn defaults() -> Self {
        let values = SETTINGS.iter().filter_map(|setting| {
            let value = setting.kind.parse_word(setting.default?).expect("a test reads every default");
            Some((path(setting.key), (value, Origin::Default)))
        });
        Self(values.collect())
    }

    fn set(&mut self, path: Vec<String>, value: Value, origin: Origin) {
        self.0.insert(path, (value, origin));
    }

    fn get(&self, key: &str) -> Option<&Value> {
        self.0.get(&path(key)).map(|(value, _)| value)
    }

    fn origin(&self, key: &str) -> Origin {
        self.0.get(&path(key)).map_or(Origin::Default, |(_, origin)| origin.clone())
    }

    /// The readers below ask for keys whose kind the table fixes; another kind cannot be stored under them.
    fn count(&self, key: &str) -> u32 {
        match self.get(key) {
            Some(Value::Count(count)) => u32::try_from(*count).unwrap_or(u32::MAX),
            other => wrong_kind(key, other),
        }
    }

    fn span(&self, key: &str) -> Millis {
        match self.get(key) {
            Some(Value::Span(span)) => *span,
            other => wrong_kind(key, other),
        }
    }

    fn bytes(&self, key: &str) -> u64 {
        match self.get(key) {
            Some(Value::Bytes(bytes)) => *bytes,
            other => wrong_kind(key, other),
        }
    }

    fn mode(&self, key: &str) -> Option<u32> {
        match self.get(key) {
            Some(Value::Mode(mode)) => Some(*mode),
            None => None,
            other => wrong_kind(key, other),
        }
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        match self.get(key) {
            Some(Value::Path(path)) => Some(path.clone()),
            None => None,
            other => wrong_kind(key, other),
        }
    }

    fn word<T: clap::ValueEnum>(&self, key: &str) -> T {
        match self.get(key) {
            Some(Value::Word(word)) => T::from_str(word, false).expect("a test compares the words of both"),
            other => wrong_kind(key, other),
        }
    }

    fn config(&self, mode: &Mode) -> Config {
        let per_user = UserLimits {
            agents_max: self.count("limits.per_user.max_concurrent_agents"),
            tasks_max: self.count("limits.per_user.max_queued_tasks"),
        };
        let may_root = *mode != Mode::System || self.get("allow_root_agents") == Some(&Value::Switch(true));
        let bounds = AgentLimits {
            memory_bytes: self.get("limits.per_user.memory").map(|_| self.bytes("limits.per_user.memory")),
            cpu_millis: self.cpus("limits.per_user.cpu"),
            pids: self.get("limits.per_user.pids").map(|_| self.count("limits.per_user.pids")),
            ..AgentLimits::default()
        };
        Config {
            limits: Limits {
                agents_max: self.count("limits.max_concurrent_agents"),
                running_max: self.count("limits.max_running"),
                per_user: (per_user, bounds),
                users: self.users((per_user, bounds)),
            },
            root_agents: if may_root { RootAgents::Allowed } else { RootAgents::Refused },
            nologin_users: match self.get("allow_nologin_users") {
                Some(Value::Switch(true)) => NologinUsers::Allowed,
                _missing_or_off => NologinUsers::Refused,
            },
            runtime: Runtime {
                backend: self.word::<Backend>("runtime.backend"),
                log_quota_bytes: self.bytes("runtime.log_quota"),
                grace: self.span("runtime.grace"),
                restart_backoff: self.span("runtime.restart_backoff"),
                restart_backoff_max: self.span("runtime.restart_backoff_max"),
                quarantine_crashes: self.count("runtime.quarantine_crashes"),
                quarantine_window: self.span("runtime.quarantine_window"),
            },
            tasks: Tasks {
                retry_backoff: self.span("tasks.retry_backoff"),
                retry_backoff_max: self.span("tasks.retry_backoff_max"),
                ended_in_memory: self.count("tasks.ended_in_memory"),
                history: self.span("tasks.history"),
            },
            workspaces: Workspaces {
                root: self.path("workspaces.root"),
                permissions: self.mode("workspaces.permissions").unwrap_or(0o700),
                retention: self.span("workspaces.retention"),
                seed_timeout: self.span("workspaces.seed_timeout"),
                disk_bytes: self.get("workspaces.disk").map(|_| self.bytes("workspaces.disk")),
            },
            store: Store { path: self.path("store.path"), free_floor_bytes: self.bytes("store.free_floor") },
            log: Log {
                level: self.word::<LogLevel>("log.level"),
                format: self.word::<LogFormat>("log.format"),
            },
            socket: Socket { mode: self.mode("socket.mode"), group: self.group(mode) },
        }
    }

    fn cpus(&self, key: &str) -> Option<u32> {
        match self.get(key) {
            Some(Value::Cpus(millis)) => Some(*millis),
            None => None,
            other => wrong_kind(key, other),
        }
    }

    fn users(&self, per_user: (UserLimits, AgentLimits)) -> BTreeMap<String, (UserLimits, AgentLimits)> {
        let mut users = BTreeMap::new();
        for (path, (value, _)) in &self.0 {
            let [section, name, _, key] = path.as_slice() else { continue };
            if section != "users" {
                continue;
            }
            let (limits, bounds) = users.entry(name.clone()).or_insert(per_user);
            let small = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
            match (key.as_str(), value) {
                ("max_concurrent_agents", Value::Count(count)) => limits.agents_max = small(*count),
                ("max_queued_tasks", Value::Count(count)) => limits.tasks_max = small(*count),
                ("pids", Value::Count(count)) => bounds.pids = Some(small(*count)),
                ("memory", Value::Bytes(bytes)) => bounds.memory_bytes = Some(*bytes),
                ("cpu", Value::Cpus(millis)) => bounds.cpu_millis = Some(*millis),
                (_, other) => wrong_kind("users", Some(other)),
            }
        }
        users
    }

    fn group(&self, mode: &Mode) -> Option<String> {
        match (self.get("socket.group"), mode) {
            (Some(Value::Text(group)), _) => Some(group.clone()),
            (Some(other), _) => wrong_kind("socket.group", Some(other)),
            (None, Mode::System) => Some(SOCKET_GROUP.into()),
            (None, Mode::User | Mode::Root(_)) => None,
        }
    }

    /// What single values cannot show.
    fn check(&self, config: &Config, problems: &mut Vec<Problem>) {
        let mut bad = |key: &str, text: String| {
            problems.push(Problem { place: self.origin(key), text: format!("`{key}`: {text}") });
        };
        let runtime = &config.runtime;
        for (key, first, most) in [
            ("runtime.restart_backoff", runtime.restart_backoff, runtime.restart_backoff_max),
            ("tasks.retry_backoff", config.tasks.retry_backoff, config.tasks.retry_backoff_max),
        ] {
            if first > most {
                bad(key, format!("{first} is longer than `{key}_max`, {most}"));
            }
        }
        if config.workspaces.permissions != 0o700 {
            bad("workspaces.permissions", "the owner needs all three rights: expected \"0o700\"".into());
        }
        if config.socket.mode.is_some_and(|mode| mode & 0o600 != 0o600) {
            bad("socket.mode", "the owner needs to read and write: expected \"0o600\" or more".into());
        }
    }

    /// A note on every setting without effect.
    fn unused(&self) -> Vec<String> {
        let without = self.0.iter().filter(|(path, (_, origin))| {
            *origin != Origin::Default
                && table::setting(path).is_some_and(|setting| setting.used == Used::Later)
        });
        without
            .map(|(path, (_, origin))| {
                format!("`{}` ({origin}) is not used by this version", read::dotted(path))
            })
            .collect()
    }
}

/// Whose members may speak to the system's daemon.
const SOCKET_GROUP: &str = "fusion";

fn wrong_kind(key: &str, value: Option<&Value>) -> ! {
    unreachable!("the table gives `{key}` another kind or no default: {value:?}")
}
