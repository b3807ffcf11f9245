//! Whole loads from files, environment and flags. Not here: single kinds and units (beside them).

use std::path::Path;

use clap::Parser as _;

use super::load::load_as;
use super::table::{self, SETTINGS};
use super::*;

/// A root with this main file.
struct Place(tempfile::TempDir);

impl Place {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("f.toml"), text).unwrap();
        Self(folder)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("f.toml")
    }

    fn part(self, name: &str, text: &str) -> Self {
        let folder = self.0.path().join("f.toml.d");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(name), text).unwrap();
        self
    }

    fn load(&self, env: &[(&str, &str)], flags: &[&str]) -> Result<Loaded, Vec<String>> {
        let root = self.0.path().join("root").display().to_string();
        let file = self.file().display().to_string();
        let words = ["fusiond", "--root", &root, "--config", &file].into_iter().chain(flags.iter().copied());
        let args = Args::try_parse_from(words).unwrap();
        let env: BTreeMap<String, String> =
            env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let uid = rustix::process::geteuid().as_raw();
        let folder = format!("{}/", self.0.path().display());
        load_as(&args, &|name| env.get(name).cloned(), uid).map_err(|problems| {
            problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect()
        })
    }
}

fn refused(text: &str) -> Vec<String> {
    Place::new(text).load(&[], &[]).expect_err("this must be refused")
}

#[test]
fn defaults_are_those_of_the_core() {
    let loaded = Place::new("").load(&[], &[]).unwrap();
    let (core, _, notes) = loaded.config.core(|_| None);
    let expected = fusion_core::Config { root_agents: RootAgents::Allowed, ..fusion_core::Config::default() };
    assert_eq!((core, notes), (expected, Vec::new()));
    assert_eq!(loaded.config.runtime.log_quota_bytes, 256 << 20);
    assert_eq!(loaded.config.store.free_floor_bytes, 64 << 20);
    assert_eq!(loaded.config.workspaces.permissions, 0o700);
    assert_eq!(loaded.notes, Vec::<String>::new());
}

#[test]
fn the_table_is_sound() {
    for setting in SETTINGS {
        if let Some(default) = setting.default {
            assert!(setting.kind.parse_word(default).is_some(), "{}", setting.key);
        }
        assert_eq!(table::setting(&load::path(setting.key)).unwrap().key, setting.key);
    }
    let words = |all: &[&'static str], known: &[&str]| assert_eq!(all, known);
    words(
        &[Backend::Auto, Backend::Systemd, Backend::CgroupV2, Backend::CgroupV1, Backend::None]
            .map(Backend::word),
        table::BACKENDS,
    );
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    words(&levels.map(LogLevel::word), table::LEVELS);
    words(
        &[LogFormat::Auto, LogFormat::Text, LogFormat::Json, LogFormat::Journald].map(LogFormat::word),
        table::FORMATS,
    );
    for variable in environment::VARIABLES {
        let Some(key) = variable.key else { continue };
        let setting = SETTINGS.iter().find(|setting| setting.key == key).unwrap();
        assert!(setting.kind == variable.kind || variable.kind == kind::Kind::SledUrl, "{key}");
        let example = variable.kind.parse_word(variable.example);
        assert!(example.is_some() || variable.example.is_empty(), "{}", variable.name);
    }
}

#[test]
fn each_source_overrides_the_one_before() {
    let place = Place::new("[log]\nlevel = \"warn\"\nformat = \"json\"\n[limits]\nmax_running = 3\n")
        .part("20-later.toml", "limits.max_running = 5\n")
        .part("10-earlier.toml", "limits.max_running = 4\nlimits.per_user.max_concurrent_agents = 7\n")
        .part("ignored.txt", "nonsense")
        .part(".hidden.toml", "nonsense");
    let env = [("LOG_LEVEL", "error"), ("FUSION_MAX_CONCURRENT_AGENTS", "9"), ("MAX_CONCURRENT_AGENTS", "8")];
    let config = place.load(&env, &["--log-level", "debug", "--backend", "none"]).unwrap().config;
    assert_eq!(config.limits.running_max, 5);
    assert_eq!((config.limits.per_user.0.agents_max, config.limits.agents_max), (9, 200));
    assert_eq!(config.log, Log { level: LogLevel::Debug, format: LogFormat::Json });
    assert_eq!(config.runtime.backend, Backend::None);
}

#[test]
fn every_setting_is_read() {
    let text = "allow_root_agents = true\nallow_nologin_users = true\n[limits]\nmax_concurrent_agents = 1\nmax_running = 2\n\
        [limits.per_user]\nmax_concurrent_agents = 3\nmax_queued_tasks = 4\n\
        memory = \"8GiB\"\ncpu = 2\npids = 500\n\
        [users.ada.limits]\nmax_concurrent_agents = 5\nmemory = \"9GiB\"\ncpu = 1.5\npids = 600\n\
        [users.1000.limits]\nmax_queued_tasks = 6\n\
        [runtime]\nbackend = \"cgroup-v1\"\nlog_quota = \"1MiB\"\ngrace = \"0s\"\nrestart_backoff = \"1ms\"\n\
        restart_backoff_max = \"2ms\"\nquarantine_crashes = 7\nquarantine_window = \"3ms\"\n\
        [tasks]\nretry_backoff = \"4ms\"\nretry_backoff_max = \"5ms\"\nended_in_memory = 8\nhistory = \"7ms\"\n\
        [workspaces]\nroot = \"/w\"\npermissions = 0o700\nretention = \"6ms\"\ndisk = \"2MiB\"\n\
        [store]\npath = \"/s\"\nfree_floor = 1048576\n[socket]\nmode = \"0660\"\ngroup = \"staff\"\n";
    let loaded = Place::new(text).load(&[], &[]).unwrap();
    let config = &loaded.config;
    let (core, bounds, notes) = config.core(|name| (name == "ada").then_some(77));
    assert!(notes.is_empty());
    let limits = |agents_max, tasks_max| UserLimits { agents_max, tasks_max };
    assert_eq!(core.users, [(Uid(77), limits(5, 4)), (Uid(1000), limits(3, 6))].into());
    let together = |gib: u64, cpu, pids| AgentLimits {
        memory_bytes: Some(gib << 30),
        cpu_millis: Some(cpu),
        pids: Some(pids),
        ..AgentLimits::default()
    };
    assert_eq!(bounds.of(Uid(77)), together(9, 1500, 600));
    assert_eq!((bounds.of(Uid(1000)), bounds.of(Uid(1))), (together(8, 2000, 500), together(8, 2000, 500)));
    assert_eq!((core.agents_max, core.running_max, core.per_user), (1, 2, limits(3, 4)));
    assert_eq!((core.restart_base, core.restart_max, core.quarantine_crashes), (Millis(1), Millis(2), 7));
    assert_eq!((core.quarantine_window, core.retry_base, core.retry_max), (Millis(3), Millis(4), Millis(5)));
    assert_eq!((core.retention, core.ended_in_memory, core.grace), (Millis(6), 8, Millis(0)));
    assert_eq!(core.disk_bytes, Some(2 << 20));
    assert_eq!((config.tasks.history, config.runtime.backend), (Millis(7), Backend::CgroupV1));
    assert_eq!(config.socket, Socket { mode: Some(0o660), group: Some("staff".into()) });
    assert_eq!(loaded.paths.workspaces, Path::new("/w"));
    assert_eq!(loaded.paths.store, Path::new("/s"));
    let (_, _, notes) = config.core(|_| None);
    assert_eq!(notes, ["users.ada: there is no such user, its limits are ignored"]);
}

/// A file, and what is said of it.
const BAD_LINES: &[(&str, &str)] = &[
    (
        "\n[limits]\nmax_runing = 3\n",
        "f.toml:3: unknown key `limits.max_runing`, the nearest known key is `limits.max_running`",
    ),
    (
        "max_running = 3\n",
        "f.toml:1: unknown key `max_running`, the nearest known key is `limits.max_running`",
    ),
    ("[limit]\nx = 1\n", "f.toml:1: unknown key `limit`, the nearest known key is `limits`"),
    (
        "[users.ada]\nmax_concurrent_agents = 1\n",
        "f.toml:2: unknown key `users.ada.max_concurrent_agents`, the nearest known key is `limits.max_concurrent_agents`",
    ),
    ("[log]\nzzz = 1\n", "f.toml:2: unknown key `log.zzz`, known here are `level`, `format`"),
    ("limits = 3\n", "f.toml:1: `limits`: expected a table, found a whole number"),
    (
        "[limits]\nmax_running = \"3\"\n",
        "f.toml:2: `limits.max_running`: expected a whole number from 0 to 100000, found \"3\"",
    ),
    (
        "[limits]\nmax_running = -1\n",
        "f.toml:2: `limits.max_running`: expected a whole number from 0 to 100000, found -1",
    ),
    (
        "[limits]\nmax_concurrent_agents = 0\n",
        "f.toml:2: `limits.max_concurrent_agents`: expected a whole number from 1 to 100000, found 0",
    ),
    (
        "[runtime]\ngrace = 10\n",
        "f.toml:2: `runtime.grace`: expected a duration from 0s to 1h, such as \"1.5s\" or \"10m\", found 10",
    ),
    (
        "[runtime]\ngrace = \"2h\"\n",
        "f.toml:2: `runtime.grace`: expected a duration from 0s to 1h, such as \"1.5s\" or \"10m\", found \"2h\"",
    ),
    (
        "[runtime]\nlog_quota = \"1kb\"\n",
        "f.toml:2: `runtime.log_quota`: expected a size from 1MiB to 1TiB, such as \"64MiB\", found \"1kb\"",
    ),
    (
        "[runtime]\nbackend = \"v2\"\n",
        "f.toml:2: `runtime.backend`: expected one of \"auto\", \"systemd\", \"cgroup-v2\", \"cgroup-v1\", \"none\", found \"v2\"",
    ),
    (
        "[workspaces]\npermissions = \"0o755\"\n",
        "f.toml:2: `workspaces.permissions`: expected permissions no looser than \"0o700\", found \"0o755\"",
    ),
    (
        "[workspaces]\npermissions = 0o755\n",
        "f.toml:2: `workspaces.permissions`: expected permissions no looser than \"0o700\", found 0o755",
    ),
    (
        "[workspaces]\npermissions = 700\n",
        "f.toml:2: `workspaces.permissions`: expected permissions no looser than \"0o700\", found 700",
    ),
    (
        "[workspaces]\npermissions = \"0o500\"\n",
        "f.toml:2: `workspaces.permissions`: the owner needs all three rights: expected \"0o700\"",
    ),
    ("[workspaces]\nroot = \"w\"\n", "f.toml:2: `workspaces.root`: expected an absolute path, found \"w\""),
    (
        "[workspaces]\nroot = \"/a/../b\"\n",
        "f.toml:2: `workspaces.root`: expected an absolute path, found \"/a/../b\"",
    ),
    ("allow_root_agents = \"yes\"\n", "f.toml:1: `allow_root_agents`: expected true or false, found \"yes\""),
    (
        "[socket]\nmode = \"0o777\"\n",
        "f.toml:2: `socket.mode`: expected permissions no looser than \"0o666\", found \"0o777\"",
    ),
    (
        "[socket]\nmode = \"0o060\"\n",
        "f.toml:2: `socket.mode`: the owner needs to read and write: expected \"0o600\" or more",
    ),
    ("[socket]\ngroup = \"a b\"\n", "f.toml:2: `socket.group`: expected the name of a group, found \"a b\""),
    (
        "[runtime]\nrestart_backoff = \"10m\"\n",
        "f.toml:2: `runtime.restart_backoff`: 10m is longer than `runtime.restart_backoff_max`, 5m",
    ),
    (
        "[providers.x]\napi_key = \"sk-secret\"\n",
        "f.toml:2: `providers.x.api_key`: expected where the secret is: {credential = \"NAME\"}, {file = \"/PATH\"} or {env = \"NAME\"}, found a text",
    ),
    (
        "[providers.x]\nbase_url = \"ftp://x\"\n",
        "f.toml:2: `providers.x.base_url`: expected an address that begins with \"http://\" or \"https://\", found \"ftp://x\"",
    ),
];

#[test]
fn one_bad_line_is_told_with_its_place() {
    for (text, message) in BAD_LINES.iter().copied() {
        assert_eq!(refused(text), [message], "{text}");
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let place = Place::new("[limits]\nmax_runing = 1\n[log]\nlevel = 3\n").part("a.toml", "x = 1\n");
    let problems =
        place.load(&[("FUSION_LOG_FORMAT", "xml"), ("FUSION_API_PORT", "99999")], &[]).unwrap_err();
    assert_eq!(
        problems,
        [
            "f.toml:2: unknown key `limits.max_runing`, the nearest known key is `limits.max_running`",
            "f.toml:4: `log.level`: expected one of \"error\", \"warn\", \"info\", \"debug\", \"trace\", found 3",
            "f.toml.d/a.toml:1: unknown key `x`, known here are `allow_root_agents`, `allow_nologin_users`, `limits`, `users`, `runtime`, \
             `tasks`, `workspaces`, `store`, `log`, `socket`, `redis`, `providers`, `api`, `dashboard`",
            "FUSION_LOG_FORMAT: expected one of \"auto\", \"text\", \"json\", \"journald\"",
            "FUSION_API_PORT: expected a whole number from 0 to 65535",
        ]
    );
}

#[test]
fn broken_toml_is_told_with_its_line() {
    for text in ["[limits]\nmax_running = \n", "[limits\n", "a = 1\na = 2\n", "x = \"\n"] {
        let problems = refused(text);
        assert!(problems[0].starts_with("f.toml:"), "{problems:?}");
        assert!(!problems[0].contains('\n'), "{problems:?}");
    }
}

#[test]
fn a_named_file_must_be_there() {
    let place = Place::new("");
    std::fs::remove_file(place.file()).unwrap();
    let problems = place.load(&[], &[]).unwrap_err();
    assert_eq!(problems, ["f.toml: cannot read the file: No such file or directory (os error 2)"]);
}

#[test]
fn variables_of_others_are_ignored_with_a_note() {
    let place = Place::new("");
    let loaded =
        place.load(&[("DATABASE_URL", "postgres://u:secret@h/db"), ("LOG_LEVEL", "chatty")], &[]).unwrap();
    assert_eq!(
        loaded.notes,
        [
            "the variable LOG_LEVEL is ignored: expected one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
            "the variable DATABASE_URL is ignored: expected \"sled://\" and an absolute path",
        ]
    );
    let problems = place.load(&[("FUSION_DATABASE_URL", "postgres://u:secret@h/db")], &[]).unwrap_err();
    assert_eq!(problems, ["FUSION_DATABASE_URL: expected \"sled://\" and an absolute path"]);
}

#[test]
fn variables_that_make_sense_are_obeyed_and_empty_ones_are_none() {
    let place = Place::new("");
    let env = [
        ("DATABASE_URL", "sled:///var/tmp/db"),
        ("WORKSPACES_ROOT", "/srv/w"),
        ("WORKSPACE_PERMISSIONS", "0o700"),
        ("LOG_FORMAT", "Journald"),
        ("FUSION_LOG_LEVEL", ""),
        ("LOG_LEVEL", "WARN"),
    ];
    let loaded = place.load(&env, &[]).unwrap();
    assert_eq!(loaded.paths.store, Path::new("/var/tmp/db"));
    assert_eq!(loaded.paths.workspaces, Path::new("/srv/w"));
    assert_eq!(loaded.config.log, Log { level: LogLevel::Warn, format: LogFormat::Journald });
    assert!(loaded.notes.is_empty());
    let strange = place.load(&[("WORKSPACE_PERMISSIONS", "private")], &[]).unwrap();
    assert_eq!(strange.config.workspaces.permissions, 0o700);
    assert_eq!(strange.notes.len(), 1);
}

#[test]
fn looser_permissions_are_refused_wherever_they_are_asked_for() {
    for name in ["WORKSPACE_PERMISSIONS", "FUSION_WORKSPACE_PERMISSIONS"] {
        let problems = Place::new("").load(&[(name, "0o755")], &[]).unwrap_err();
        assert_eq!(problems, [format!("{name}: expected permissions no looser than \"0o700\"")]);
    }
}

#[test]
fn settings_without_effect_are_accepted_and_noted() {
    let text = "[redis]\nurl = \"\"\n[providers.openrouter]\nkind = \"openrouter\"\n\
        api_key = {credential = \"openrouter\"}\n[providers.local]\nkind = \"openai-compatible\"\n\
        base_url = \"http://127.0.0.1:11434/v1\"\n";
    let place = Place::new(text);
    let loaded = place.load(&[("API_PORT", "8080"), ("OPENROUTER_API_KEY", "sk-secret")], &[]).unwrap();
    let notes = loaded.notes.join("\n").replace(&format!("{}/", place.0.path().display()), "");
    assert_eq!(
        notes,
        "the variable OPENROUTER_API_KEY is not used by this version\n\
         `api.port` (API_PORT) is not used by this version\n\
         `providers.local.base_url` (f.toml:8) is not used by this version\n\
         `providers.local.kind` (f.toml:7) is not used by this version\n\
         `providers.openrouter.api_key` (f.toml:5) is not used by this version\n\
         `providers.openrouter.kind` (f.toml:4) is not used by this version\n\
         `redis.url` (f.toml:2) is not used by this version"
    );
    assert!(!loaded.to_toml().contains("sk-secret"));
}

#[test]
fn secrets_in_addresses_are_printed_nowhere() {
    let urls =
        ["redis://:s3cret@h:6379/1", "redis://ada:s3c/r#t@h:6379/1", "redis://s3cret@h:6379/1?a=s3cret"];
    for url in urls {
        let loaded = Place::new("").load(&[("REDIS_URL", url)], &[]).unwrap();
        let printed = loaded.to_toml();
        assert!(printed.contains("redis://***@h:6379/1") && !printed.contains("s3c"), "{printed}");
        let misspelt = refused(&format!("[redis]\nurl = \"{}\"\n", url.replace("redis", "rdis")));
        assert!(misspelt[0].contains("rediss://") && !misspelt[0].contains("s3c"), "{misspelt:?}");
    }
}

#[test]
fn what_is_printed_reads_back_as_the_same() {
    let text = "allow_root_agents = false\n[limits]\nmax_running = 3\n[users.\"a.b\".limits]\nmax_queued_tasks = 9\n\
        [workspaces]\nroot = \"/w\"\n[socket]\nmode = 0o600\n[providers.x]\napi_key = {file = \"/k\"}\n";
    let first = Place::new(text).load(&[("LOG_LEVEL", "warn")], &["--log-format", "json"]).unwrap();
    let printed = first.to_toml();
    let second = Place::new(&printed).load(&[], &[]).unwrap();
    assert_eq!(second.config, first.config);
    assert!(printed.contains("level = \"warn\"  # LOG_LEVEL"), "{printed}");
    assert!(printed.contains("format = \"json\"  # --log-format"), "{printed}");
    assert!(printed.contains("allow_root_agents = true  # --root"), "{printed}");
    assert!(printed.contains("# note: `providers.x.api_key`"), "{printed}");
}

#[test]
fn modes_that_do_not_fit_say_what_to_do() {
    let told = |flags: &[&str], uid: u32, env: &dyn Fn(&str) -> Option<String>| {
        let args = Args::try_parse_from(["fusiond"].iter().chain(flags)).unwrap();
        load_as(&args, env, uid).expect_err("this must be refused")[0].to_string()
    };
    assert_eq!(
        told(&["--user"], 0, &|_| None),
        "--user: root cannot run a daemon for one user (--user): start it without --user to serve all users, or with \
         --root DIR to try it"
    );
    assert_eq!(
        told(&[], 1000, &|_| None),
        "fusiond: the system's daemon must run as root, this is uid 1000: start it with --user, or with --root DIR to \
         try it"
    );
    assert!(
        told(&["--user"], 1000, &|_| None)
            .starts_with("--user: XDG_RUNTIME_DIR is not set to an absolute path: ")
    );
    assert!(Args::try_parse_from(["fusiond", "--user", "--root", "/x"]).is_err());
    let args = Args::try_parse_from(["fusiond", "restore", "f", "--root", "/x"]).unwrap();
    assert_eq!(args.place.root.as_deref(), Some(Path::new("/x")));
    assert_eq!(args.command, Some(Command::Restore { file: "f".into() }));
    let args = Args::try_parse_from(["fusiond", "--probe-store", "/db"]).unwrap();
    assert_eq!(args.probe_store.as_deref(), Some(Path::new("/db")));
}
