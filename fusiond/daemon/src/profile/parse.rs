//! Profiles from files and back: strict, with the line of everything that is wrong. Not here: what a key means when an
//! agent runs.

use std::collections::BTreeMap;
use std::path::Path;

use fusion_core::agent::prompt_place;
use toml::de::{DeTable, DeValue};

use super::figure::Figure;
use super::result::ResultFormat;
use super::{Auth, Home, Kind, PoolSize, Profile, Prompt, Sandbox, Stdin};
use crate::config::{Origin, Problem, Trust, near, units};

/// Reads every `*.toml` of a folder by name. The profiles of a file without problems replace those of the same name.
pub(super) fn folder(
    folder: &Path,
    trust: Trust,
    into: &mut BTreeMap<String, Profile>,
    problems: &mut Vec<Problem>,
) {
    for path in crate::config::parts(folder, problems) {
        match crate::config::read_file(&path, trust) {
            Ok(text) => match file(&path, &text) {
                Ok(profiles) => {
                    into.extend(profiles.into_iter().map(|profile| (profile.name.clone(), profile)));
                }
                Err(found) => problems.extend(found),
            },
            Err(reason) => problems.push(Problem::in_file(&path, 0, reason)),
        }
    }
}

/// The profiles in the text of one file; all or none.
pub(super) fn file(path: &Path, text: &str) -> Result<Vec<Profile>, Vec<Problem>> {
    let mut reader = Reader { path, text, problems: Vec::new() };
    let (top, errors) = DeTable::parse_recoverable(text);
    for error in &errors {
        let at = error.span().map_or(0, |span| span.start);
        reader.problem(at, error.message().trim().replace('\n', ", "));
    }
    let profiles = if errors.is_empty() { reader.top(top.get_ref()) } else { Vec::new() };
    if reader.problems.is_empty() { Ok(profiles) } else { Err(reader.problems) }
}

/// The keys of a profile.
const KEYS: &[&str] = &[
    "description",
    "kind",
    "command",
    "prompt",
    "stdin",
    "home",
    "auth",
    "result",
    "usage",
    "tokens",
    "resume",
    "capabilities",
    "sandbox",
    "idle_timeout",
    "disk",
    "detect",
    "pool",
    "env",
];

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn problem(&mut self, at: usize, text: String) {
        let (line, column) = (crate::config::line_of(self.text, at), crate::config::column_of(self.text, at));
        let place = Origin::Text(self.path.display().to_string(), line, column);
        self.problems.push(Problem { place, text });
    }

    fn top(&mut self, top: &DeTable<'_>) -> Vec<Profile> {
        let mut profiles = Vec::new();
        for (key, value) in top {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("profile", DeValue::Table(tables)) => profiles.extend(self.profiles(tables)),
                ("profile", _) => {
                    self.problem(key.span().start, "`profile`: expected a table, [profile.NAME]".into());
                }
                (other, _) => self.problem(
                    key.span().start,
                    format!("unknown key `{other}`, expected tables [profile.NAME] alone"),
                ),
            }
        }
        profiles
    }

    fn profiles(&mut self, tables: &DeTable<'_>) -> Vec<Profile> {
        let mut entries: Vec<_> = tables.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        let mut profiles = Vec::new();
        for (key, value) in entries {
            let name = key.get_ref().as_ref();
            let at = key.span().start;
            if !is_name(name) {
                self.problem(at, format!("profile \"{name}\": expected a name of letters, digits, `.`, `_`, `-` that begins with a letter or digit, of at most 63 bytes"));
            } else if let DeValue::Table(table) = value.get_ref() {
                profiles.push(self.profile(name, at, table));
            } else {
                self.problem(at, format!("profile {name}: expected a table, [profile.{name}]"));
            }
        }
        profiles
    }

    fn profile(&mut self, name: &str, at: usize, table: &DeTable<'_>) -> Profile {
        let mut profile = Profile::new(name, &self.path.display().to_string());
        let mut entries: Vec<_> = table.iter().collect();
        entries.sort_by_key(|(key, _)| key.span().start);
        for (key, value) in entries {
            if let Err(text) = set(&mut profile, key.get_ref(), value.get_ref()) {
                self.problem(key.span().start, format!("profile {name}: {text}"));
            }
        }
        if profile.command.is_empty() && !table.iter().any(|(key, _)| key.get_ref() == "command") {
            self.problem(
                at,
                format!("profile {name}: `command` is missing: expected a list of texts, the program first"),
            );
        }
        if profile.prompt == Prompt::Argv && !profile.command.iter().any(|word| prompt_place(word).is_some())
        {
            self.problem(
                at,
                format!("profile {name}: prompt = \"argv\" without {{{{ prompt }}}} in `command`"),
            );
        }
        if let Some(text) = inconsistency(&profile) {
            self.problem(at, format!("profile {name}: {text}"));
        }
        profile
    }
}

/// What single keys cannot show.
fn inconsistency(profile: &Profile) -> Option<String> {
    if profile.pool.is_some() && profile.kind == Kind::Acp {
        return Some("a pool is for kind = \"exec\"".into());
    }
    match (profile.kind, profile.prompt) {
        (Kind::Acp, Prompt::Argv | Prompt::File) => {
            Some("kind = \"acp\" takes prompts as messages: leave `prompt` out".into())
        }
        (Kind::Acp, Prompt::Stdin) | (Kind::Exec, Prompt::Stdin | Prompt::Argv | Prompt::File) => None,
    }
}

fn set(profile: &mut Profile, key: &str, value: &DeValue<'_>) -> Result<(), String> {
    match key {
        "description" => profile.description = text(key, value)?.to_owned(),
        "kind" => profile.kind = word(key, value, Kind::ALL, Kind::word)?,
        "command" => profile.command = command(key, value)?,
        "prompt" => profile.prompt = word(key, value, Prompt::ALL, Prompt::word)?,
        "stdin" => profile.stdin = word(key, value, Stdin::ALL, Stdin::word)?,
        "home" => profile.home = word(key, value, Home::ALL, Home::word)?,
        "auth" => profile.auth = word(key, value, Auth::ALL, Auth::word)?,
        "result" => profile.result = format(key, value)?,
        "usage" => profile.usage = Some(figure(key, text(key, value)?)?),
        "tokens" => profile.tokens = figures(key, value)?,
        "resume" => profile.resume = texts(key, value)?,
        "capabilities" => profile.capabilities = capabilities(key, value)?,
        "sandbox" => profile.sandbox = word(key, value, Sandbox::ALL, Sandbox::word)?,
        "idle_timeout" => profile.idle_timeout = Some(duration(key, value)?),
        "disk" => profile.disk_bytes = Some(size(key, value)?),
        "detect" => profile.detect = texts(key, value)?,
        "pool" => profile.pool = Some(pool(key, value)?),
        "env" => profile.env = environment(key, value)?,
        _ => {
            let hint = match near::nearest(key, KEYS.iter().copied()) {
                Some(near) => format!("the nearest known key is `{near}`"),
                None => format!("known are {}", KEYS.join(", ")),
            };
            return Err(format!("unknown key `{key}`, {hint}"));
        }
    }
    Ok(())
}

/// `{min = 0, max = 4, idle_timeout = "5m"}`, of which only `max` must be there.
fn pool(key: &str, value: &DeValue<'_>) -> Result<PoolSize, String> {
    let Some(table) = value.as_table() else {
        return expected(key, "a table such as {min = 0, max = 4, idle_timeout = \"5m\"}", value);
    };
    let mut found = PoolSize { min: 0, max: 0, idle_timeout: PoolSize::IDLE_TIMEOUT_DEFAULT };
    for (name, value) in table {
        let inner = format!("{key}.{}", name.get_ref());
        match name.get_ref().as_ref() {
            "min" => found.min = count(&inner, value.get_ref())?,
            "max" => found.max = count(&inner, value.get_ref())?,
            "idle_timeout" => found.idle_timeout = duration(&inner, value.get_ref())?,
            _ => return Err(format!("unknown key `{inner}`, known are min, max, idle_timeout")),
        }
    }
    match found {
        PoolSize { max: 0, .. } => Err(format!("`{key}.max`: expected 1 to {}", PoolSize::MAX)),
        PoolSize { min, max, .. } if min > max => Err(format!("`{key}`: min {min} is more than max {max}")),
        found => Ok(found),
    }
}

fn count(key: &str, value: &DeValue<'_>) -> Result<u32, String> {
    let DeValue::Integer(number) = value else { return expected(key, "a number", value) };
    let read = number.as_str().parse().ok().filter(|count| *count <= PoolSize::MAX);
    read.ok_or_else(|| format!("`{key}`: expected 0 to {}, found {}", PoolSize::MAX, number.as_str()))
}

fn expected<T>(key: &str, what: &str, value: &DeValue<'_>) -> Result<T, String> {
    let found = match value {
        DeValue::String(text) if text.len() <= 60 => format!("\"{text}\""),
        DeValue::String(_) => "a longer text".into(),
        DeValue::Integer(_) | DeValue::Float(_) => "a number".into(),
        DeValue::Boolean(is_on) => is_on.to_string(),
        DeValue::Datetime(_) => "a date".into(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    };
    Err(format!("`{key}`: expected {what}, found {found}"))
}

fn text<'v>(key: &str, value: &'v DeValue<'_>) -> Result<&'v str, String> {
    value.as_str().filter(|text| !text.contains('\0')).map_or_else(|| expected(key, "a text", value), Ok)
}

fn texts(key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let Some(list) = value.as_array() else { return expected(key, "a list of texts", value) };
    list.iter().map(|item| text(key, item.get_ref()).map(str::to_owned)).collect()
}

fn command(key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    match texts(key, value)? {
        words if words.first().is_some_and(|program| !program.is_empty()) => Ok(words),
        _ => Err(format!("`{key}`: expected a list of texts, the program first, found no program")),
    }
}

fn word<T: Copy>(
    key: &str,
    value: &DeValue<'_>,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<T, String> {
    let found = value.as_str().and_then(|text| all.iter().find(|each| name(**each) == text));
    found.copied().map_or_else(
        || {
            let names: Vec<String> = all.iter().map(|each| format!("\"{}\"", name(*each))).collect();
            expected(key, &format!("one of {}", names.join(", ")), value)
        },
        Ok,
    )
}

fn format(key: &str, value: &DeValue<'_>) -> Result<ResultFormat, String> {
    ResultFormat::parse(text(key, value)?).map_err(|error| format!("`{key}`: {error}"))
}

fn figure(key: &str, text: &str) -> Result<Figure, String> {
    Figure::parse(text).map_err(|error| format!("`{key}`: {error}"))
}

/// One place or a list of them.
fn figures(key: &str, value: &DeValue<'_>) -> Result<Vec<Figure>, String> {
    match value.as_str() {
        Some(text) => Ok(vec![figure(key, text)?]),
        None => texts(key, value)?.iter().map(|text| figure(key, text)).collect(),
    }
}

fn duration(key: &str, value: &DeValue<'_>) -> Result<fusion_core::Millis, String> {
    let read = value.as_str().and_then(units::parse_duration).filter(|span| span.0 > 0);
    read.map_or_else(|| expected(key, "a duration such as \"10m\"", value), Ok)
}

/// As `--disk` has it.
fn size(key: &str, value: &DeValue<'_>) -> Result<u64, String> {
    let read = value.as_str().and_then(units::parse_bytes).filter(|bytes| *bytes >= 1 << 20);
    read.map_or_else(|| expected(key, "a size of at least 1MiB, such as \"10GiB\"", value), Ok)
}

/// The same rule as the core's, which would refuse every spawn.
fn capabilities(key: &str, value: &DeValue<'_>) -> Result<Vec<String>, String> {
    let names = texts(key, value)?;
    let is_valid = |name: &String| {
        (1..=fusion_core::Capabilities::NAME_BYTES_MAX).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-:/+".contains(&byte))
    };
    match names.iter().find(|name| !is_valid(name)) {
        _ if names.len() > fusion_core::Capabilities::COUNT_MAX => Err(format!(
            "`{key}`: expected at most {} names, found {}",
            fusion_core::Capabilities::COUNT_MAX,
            names.len()
        )),
        Some(name) => Err(format!(
            "`{key}`: expected names of letters, digits and `._-:/+` of at most {} bytes, found \"{name}\"",
            fusion_core::Capabilities::NAME_BYTES_MAX
        )),
        None => Ok(names),
    }
}

fn environment(key: &str, value: &DeValue<'_>) -> Result<BTreeMap<String, String>, String> {
    let Some(table) = value.as_table() else { return expected(key, "a table of texts", value) };
    let mut found = BTreeMap::new();
    for (name, value) in table {
        let name = name.get_ref().as_ref();
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("`{key}`: expected the name of a variable, found \"{name}\""));
        }
        if name.starts_with("FUSION_") {
            return Err(format!("`{key}`: {name} is the daemon's own to set"));
        }
        // The value may be a secret: it is not shown.
        let Some(text) = value.get_ref().as_str().filter(|text| !text.contains('\0')) else {
            return Err(format!("`{key}`: expected a text as the value of {name}"));
        };
        found.insert(name.to_owned(), text.to_owned());
    }
    Ok(found)
}

/// The same rule as for the names of agents.
fn is_name(name: &str) -> bool {
    name.len() <= 63
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

impl Profile {
    /// A profile of this name with nothing but defaults.
    #[must_use]
    pub fn new(name: &str, source: &str) -> Self {
        Self {
            name: name.to_owned(),
            description: String::new(),
            kind: Kind::default(),
            command: Vec::new(),
            prompt: Prompt::default(),
            stdin: Stdin::default(),
            home: Home::default(),
            auth: Auth::default(),
            result: ResultFormat::default(),
            usage: None,
            tokens: Vec::new(),
            resume: Vec::new(),
            capabilities: Vec::new(),
            sandbox: Sandbox::default(),
            idle_timeout: None,
            disk_bytes: None,
            detect: Vec::new(),
            pool: None,
            env: BTreeMap::new(),
            source: source.to_owned(),
        }
    }

    /// The profile as a file would have it, with its defaults written out.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let list = |words: &[String]| {
            format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
        };
        let mut lines =
            vec![format!("[profile.{}]", crate::config::dotted(std::slice::from_ref(&self.name)))];
        let mut put = |key: &str, value: String| lines.push(format!("{key} = {value}"));
        if !self.description.is_empty() {
            put("description", quoted(&self.description));
        }
        put("kind", quoted(self.kind.word()));
        // Only `command` has none: what it runs comes with the spawn.
        if !self.command.is_empty() {
            put("command", list(&self.command));
        }
        put("prompt", quoted(self.prompt.word()));
        put("stdin", quoted(self.stdin.word()));
        put("home", quoted(self.home.word()));
        put("auth", quoted(self.auth.word()));
        put("result", quoted(&self.result.to_string()));
        if let Some(usage) = &self.usage {
            put("usage", quoted(&usage.to_string()));
        }
        let tokens: Vec<String> = self.tokens.iter().map(ToString::to_string).collect();
        for (key, words) in [
            ("tokens", &tokens),
            ("resume", &self.resume),
            ("capabilities", &self.capabilities),
            ("detect", &self.detect),
        ] {
            if !words.is_empty() {
                put(key, list(words));
            }
        }
        put("sandbox", quoted(self.sandbox.word()));
        if let Some(span) = self.idle_timeout {
            put("idle_timeout", quoted(&units::duration_text(span)));
        }
        if let Some(bytes) = self.disk_bytes {
            put("disk", quoted(&units::bytes_text(bytes)));
        }
        if let Some(pool) = self.pool {
            let span = quoted(&units::duration_text(pool.idle_timeout));
            put("pool", format!("{{min = {}, max = {}, idle_timeout = {span}}}", pool.min, pool.max));
        }
        if !self.env.is_empty() {
            lines.push(String::new());
            lines.push(format!("[profile.{}.env]", crate::config::dotted(std::slice::from_ref(&self.name))));
            for (name, value) in &self.env {
                let name = crate::config::dotted(std::slice::from_ref(name));
                lines.push(format!("{name} = {}", quoted(value)));
            }
        }
        lines.join("\n") + "\n"
    }
}
