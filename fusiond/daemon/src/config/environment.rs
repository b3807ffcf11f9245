//! Variables of the environment. Each exists also with the prefix `FUSION_`, which wins; an unprefixed one may belong
//! to another program, so one that makes no sense here is ignored with a note, while a prefixed one is a problem; so is
//! one that asks for looser permissions than are allowed.
//!
//! Values are never shown: they may be secrets. Not here: the variables that agents get.

use super::Problem;
use super::kind::{Kind, Value};
use super::problem::Origin;
use super::table::{self, SETTINGS, Used};

/// One variable.
#[derive(Clone, Copy, Debug)]
pub(super) struct Variable {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The setting that it overrides.
    pub(super) key: Option<&'static str>,
    /// What stands in `.env.example`.
    pub(super) example: &'static str,
    pub(super) about: &'static str,
}

/// What every variable may be preceded by.
pub(super) const PREFIX: &str = "FUSION_";

const fn sets(
    name: &'static str,
    key: &'static str,
    kind: Kind,
    example: &'static str,
    about: &'static str,
) -> Variable {
    Variable { name, kind, key: Some(key), example, about }
}

const fn alone(name: &'static str, kind: Kind, example: &'static str, about: &'static str) -> Variable {
    Variable { name, kind, key: None, example, about }
}

pub(super) const VARIABLES: &[Variable] = &[
    sets("WORKSPACES_ROOT", "workspaces.root", Kind::Path, "/srv/fusion/workspaces", "where workspaces lie"),
    sets(
        "WORKSPACE_PERMISSIONS",
        "workspaces.permissions",
        Kind::Mode(0o700),
        "0o700",
        "their permissions; a looser one is refused",
    ),
    sets("LOG_LEVEL", "log.level", Kind::Word(table::LEVELS), "info", "error, warn, info, debug or trace"),
    sets("LOG_FORMAT", "log.format", Kind::Word(table::FORMATS), "text", "text, json or journald"),
    sets(
        "MAX_CONCURRENT_AGENTS",
        "limits.per_user.max_concurrent_agents",
        Kind::Count(1, 100_000),
        "20",
        "agents of one user at once",
    ),
    sets(
        "DATABASE_URL",
        "store.path",
        Kind::SledUrl,
        "sled:///var/lib/fusiond/store",
        "where the store lies",
    ),
    alone("TEST_DATABASE_URL", Kind::SledUrl, "sled:///tmp/fusion-test", "the store of tests"),
    sets("REDIS_URL", "redis.url", Kind::RedisUrl, "", "the bus between agents; empty: embedded"),
    sets("REDIS_DB", "redis.db", Kind::Count(0, 65_535), "0", "number of the Redis database"),
    alone("OPENROUTER_API_KEY", Kind::Text, "", "the key of the provider OpenRouter"),
    alone("OPENROUTER_BASE_URL", Kind::Url, "https://openrouter.ai/api/v1", "its address"),
    sets("API_HOST", "api.host", Kind::Text, "127.0.0.1", "address of the HTTP bridge"),
    sets("API_PORT", "api.port", Kind::Count(0, 65_535), "8000", "its port"),
    sets("API_DEBUG", "api.debug", Kind::Switch, "false", "whether it tells more about errors"),
    sets("DASHBOARD_PORT", "dashboard.port", Kind::Count(0, 65_535), "3000", "port of the dashboard"),
    sets(
        "DASHBOARD_URL",
        "dashboard.url",
        Kind::Url,
        "http://localhost:3000",
        "its address, as browsers see it",
    ),
    alone("ENABLE_MULTI_AGENT", Kind::Switch, "true", "whether agents may work together"),
];

impl Variable {
    /// Whether it has an effect.
    pub(super) fn used(&self) -> Used {
        let setting = self.key.and_then(|key| SETTINGS.iter().find(|setting| setting.key == key));
        setting.map_or(Used::Later, |setting| setting.used)
    }
}

/// What was found in the environment.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Key, value and variable.
    pub(super) values: Vec<(&'static str, Value, Origin)>,
    pub(super) notes: Vec<String>,
    pub(super) problems: Vec<Problem>,
}

/// Reads all variables. An empty one is as good as none.
pub(super) fn read(env: &dyn Fn(&str) -> Option<String>) -> Found {
    let mut found = Found::default();
    for variable in VARIABLES {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let prefixed = format!("{PREFIX}{}", variable.name);
        if let Some(text) = set(&prefixed) {
            found.read(variable, prefixed, &text, Owner::Sure);
        } else if let Some(text) = set(variable.name) {
            found.read(variable, variable.name.to_owned(), &text, Owner::Unsure);
        }
    }
    found
}

/// Whether a variable is meant for this program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owner {
    Sure,
    Unsure,
}

impl Found {
    fn read(&mut self, variable: &Variable, name: String, text: &str, owner: Owner) {
        let expected = variable.kind.expected();
        match variable.kind.parse_word(text) {
            Some(value) => self.take(variable, value, name),
            // What would open a folder is refused, not replaced.
            None if owner == Owner::Sure || variable.kind.is_too_loose(text) => {
                let text = format!("expected {expected}");
                self.problems.push(Problem { place: Origin::Variable(name), text });
            }
            None => self.notes.push(format!("the variable {name} is ignored: expected {expected}")),
        }
    }

    fn take(&mut self, variable: &Variable, value: Value, name: String) {
        match variable.key {
            // The note on unused settings is made where all of them are known.
            Some(key) => self.values.push((key, value, Origin::Variable(name))),
            None => self.notes.push(format!("the variable {name} is not used by this version")),
        }
    }
}

/// The environment of this process, as [`super::load`] takes it; what is no UTF-8 counts as absent.
#[must_use]
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
