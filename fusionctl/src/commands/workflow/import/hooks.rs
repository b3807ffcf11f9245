//! The hooks that extensions of spec-kit have around `/speckit.implement`, from `.specify/extensions.yml`: which are run
//! before the tasks and after them, in the order of the file, and what an agent is told of each.
//!
//! ```text
//!   enabled: false     nothing
//!   condition: …       told; only spec-kit's own executor looks at conditions
//!   optional: false    run
//!   else               told, or run where all are wanted
//! ```
//!
//! Nothing in the file stops an import: what is wrong is told with its line. Not for: how a command is called (`call`),
//! where the steps stand (`definition`).

use clap::ValueEnum;
use fusion_workflow::problem::Span;
use fusion_workflow::tree::{Kind, Tree};
use fusion_workflow::yaml;

use super::call::Style;
use super::feature::Feature;
use crate::files;

const FILE: &str = "extensions.yml";
/// The longest file that is read.
const FILE_BYTES_MAX: usize = 256 << 10;
/// The longest name of a command.
const COMMAND_BYTES_MAX: usize = 128;
/// How much of a text is shown and handed on.
const TEXT_CHARS_MAX: usize = 1_000;

/// Which hooks are run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Which {
    /// None of them
    None,
    /// Those that spec-kit runs without asking
    #[default]
    Mandatory,
    /// Optional ones as well
    All,
}

/// When a hook is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// Before anything else is done.
    Before,
    /// When all tasks have succeeded.
    After,
}

impl When {
    /// As spec-kit names it.
    const fn event(self) -> &'static str {
        match self {
            Self::Before => "before_implement",
            Self::After => "after_implement",
        }
    }
}

/// A hook that is run.
#[derive(Clone, Debug)]
pub(super) struct Hook {
    when: When,
    /// Its command, such as `speckit.git.commit`.
    pub(super) command: String,
    /// The words that call it.
    call: String,
    extension: String,
    /// What it is for; may be empty.
    pub(super) description: String,
    /// What spec-kit would ask a person; may be empty.
    question: String,
    /// Where the command is described, for an agent that does not know it.
    paper: Option<String>,
}

impl Hook {
    /// What an agent is told. The call comes first, and the rest of its line is what the command is told.
    pub(super) fn prompt(&self, tasks: &str) -> String {
        let of = if self.extension.is_empty() { "" } else { " of the extension " };
        let about = if self.description.is_empty() { "" } else { ": " };
        let (call, event, extension) = (&self.call, self.when.event(), &self.extension);
        let mut text =
            format!("{call} This is the hook {event}{of}{extension}{about}{}\n\n", self.description);
        let now = match self.when {
            When::Before => "are done afterwards, by others",
            When::After => "are done",
        };
        text.push_str(&format!(
            "Do what the command {} says, and nothing else. The tasks of {tasks} {now}: do not edit that file.\n",
            self.command
        ));
        if !self.question.is_empty() {
            text.push_str(&format!(
                "Nobody is there to be asked. \"{}\" is answered with yes.\n",
                self.question
            ));
        }
        if let Some(paper) = &self.paper {
            text.push_str(&format!("If you do not know the command: it is described in {paper}.\n"));
        }
        text
    }
}

/// The hooks of a project.
#[derive(Clone, Debug, Default)]
pub(super) struct Hooks {
    /// What is run before the tasks, in order.
    pub(super) before: Vec<Hook>,
    /// What is run after them, in order.
    pub(super) after: Vec<Hook>,
    /// What is not run, and what is odd, with its line.
    pub(super) notes: Vec<String>,
}

impl Hooks {
    /// The hooks of the project that a feature is of.
    pub(super) fn of(feature: &Feature, which: Which) -> Self {
        let Some(specify) = feature.specify().filter(|_| which != Which::None) else {
            return Self::default();
        };
        let path = specify.join(FILE);
        let mut reader = Reader { feature, shown: feature.shown(&path), which, notes: Vec::new() };
        let (mut before, mut after) = match files::read(&path, FILE_BYTES_MAX) {
            Ok(None) => return Self::default(),
            Ok(Some(bytes)) => reader.read(&bytes),
            Err(error) => reader.nothing(None, &error.to_string()),
        };
        if !(before.is_empty() && after.is_empty()) {
            let style = Style::of(&specify).unwrap_or_else(|wrong| {
                reader.notes.push(format!("{wrong}: commands of hooks are called as they are written"));
                Style::default()
            });
            before.iter_mut().chain(&mut after).for_each(|hook| hook.call = style.call(&hook.command));
        }
        Self { before, after, notes: reader.notes }
    }
}

struct Reader<'a> {
    feature: &'a Feature,
    /// The file, as messages name it.
    shown: String,
    which: Which,
    notes: Vec<String>,
}

impl Reader<'_> {
    /// What is run before, and what after.
    fn read(&mut self, bytes: &[u8]) -> (Vec<Hook>, Vec<Hook>) {
        let tree = match std::str::from_utf8(bytes).map(yaml::document) {
            Ok(Ok(Some(tree))) => tree,
            Ok(Ok(None)) => return Default::default(),
            Ok(Err(problem)) => return self.nothing(problem.span, &problem.message),
            Err(error) => return self.nothing(None, &error.to_string()),
        };
        if !self.is_map(&tree, "the file") {
            return Default::default();
        }
        match tree.get("hooks") {
            Some(hooks) if self.is_map(hooks, "`hooks`") => {
                (self.event(hooks, When::Before), self.event(hooks, When::After))
            }
            Some(_) | None => Default::default(),
        }
    }

    /// Says that the file cannot be read: hooks that must be run are among those that are not.
    fn nothing(&mut self, at: Option<Span>, why: &str) -> (Vec<Hook>, Vec<Hook>) {
        let place = at.map(|at| format!(":{}:{}", at.line, at.column)).unwrap_or_default();
        let note =
            format!("{}{place}: {}; no hook is run, not even one that must be", self.shown, plain(why));
        self.notes.push(note);
        Default::default()
    }

    fn note(&mut self, tree: &Tree, text: &str) {
        let line = tree.span.map(|span| format!(":{}", span.line)).unwrap_or_default();
        self.notes.push(format!("{}{line}: {text}", self.shown));
    }

    fn is_map(&mut self, tree: &Tree, what: &str) -> bool {
        match &tree.kind {
            Kind::Map(_) => true,
            Kind::Null => false,
            Kind::Bool(_) | Kind::Number(..) | Kind::Text(_) | Kind::List(_) => {
                self.note(tree, &format!("{what} is {}, not a map; no hook is run", tree.word()));
                false
            }
        }
    }

    fn event(&mut self, hooks: &Tree, when: When) -> Vec<Hook> {
        let Some(list) = hooks.get(when.event()) else { return Vec::new() };
        let mut found: Vec<Hook> = Vec::new();
        let mut last = 0;
        for entry in list.items() {
            let Some(hook) = self.hook(entry, when) else { continue };
            let priority = priority(entry);
            if priority < last {
                let text = format!("{} is run in the order of the file, whatever its priority", hook.command);
                self.note(entry, &text);
            }
            last = priority;
            found.push(hook);
        }
        found
    }

    /// The hook, if it is run; why not, where nobody has said so.
    fn hook(&mut self, entry: &Tree, when: When) -> Option<Hook> {
        let event = when.event();
        if matches!(entry.kind, Kind::Null) || !self.flag(entry, "enabled", true) {
            return None;
        }
        let Some(command) = command(entry) else {
            self.note(
                entry,
                &format!("this hook of {event} names no command such as speckit.git.commit; it is left out"),
            );
            return None;
        };
        if let Some(condition) = condition(entry) {
            let text = format!(
                "{command}, a hook of {event}, has the condition \"{condition}\", which spec-kit leaves to its own \
                 executor; it is left out"
            );
            self.note(entry, &text);
            return None;
        }
        if self.flag(entry, "optional", true) && self.which != Which::All {
            let text =
                format!("{command}, a hook of {event}, is optional and left out; `--hooks all` takes it in");
            self.note(entry, &text);
            return None;
        }
        let text = |name: &str| entry.get(name).and_then(Tree::text).map(|text| plain(&text.text));
        let extension = text("extension").unwrap_or_default();
        Some(Hook {
            when,
            paper: self.paper(&extension, &command),
            call: String::new(),
            command,
            extension,
            description: text("description").unwrap_or_default(),
            question: text("prompt").unwrap_or_default(),
        })
    }

    /// Words that were truth values in the YAML of spec-kit count as such.
    fn flag(&mut self, entry: &Tree, name: &str, default: bool) -> bool {
        let Some(value) = entry.get(name) else { return default };
        let word = value.text().map(|text| text.text.to_ascii_lowercase());
        match (&value.kind, word.as_deref()) {
            (Kind::Null, _) => default,
            (Kind::Bool(value), _) => *value,
            (_, Some("yes" | "on" | "true")) => true,
            (_, Some("no" | "off" | "false")) => false,
            (Kind::Number(..) | Kind::Text(_) | Kind::List(_) | Kind::Map(_), _) => {
                let word = value.word();
                self.note(
                    value,
                    &format!("`{name}` is {word}, neither true nor false; it counts as {default}"),
                );
                default
            }
        }
    }

    /// Where an installed extension describes its command.
    fn paper(&self, extension: &str, command: &str) -> Option<String> {
        let is_name =
            |name: &str| !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-');
        let folder =
            self.feature.specify().filter(|_| is_name(extension))?.join("extensions").join(extension);
        let path = folder.join("commands").join(format!("{command}.md"));
        path.is_file().then(|| self.feature.shown(&path))
    }
}

fn command(entry: &Tree) -> Option<String> {
    let command = entry.get("command")?.text()?.text.trim();
    let is_fit = command.len() <= COMMAND_BYTES_MAX
        && command.starts_with(|first: char| first.is_ascii_alphanumeric())
        && command.bytes().all(|c| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_' | b':'));
    is_fit.then(|| command.to_owned())
}

fn condition(entry: &Tree) -> Option<String> {
    let condition = entry.get("condition")?;
    let text = match &condition.kind {
        Kind::Null => return None,
        Kind::Text(text) => plain(&text.text),
        Kind::Bool(_) | Kind::Number(..) | Kind::List(_) | Kind::Map(_) => condition.to_json().to_string(),
    };
    Some(plain(&text)).filter(|text| !text.is_empty())
}

/// Lower ones come first where spec-kit sorts by it; what is none counts as its default.
fn priority(entry: &Tree) -> i64 {
    const DEFAULT: i64 = 10;
    let Some(value) = entry.get("priority") else { return DEFAULT };
    match &value.kind {
        Kind::Number(number, _) => number.as_i64().filter(|priority| *priority > 0).unwrap_or(DEFAULT),
        Kind::Null | Kind::Bool(_) | Kind::Text(_) | Kind::List(_) | Kind::Map(_) => DEFAULT,
    }
}

/// A text on one line, without what a terminal would obey.
fn plain(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").chars().filter(|letter| !letter.is_control()).take(TEXT_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// What is run of a project with this file, as `event command`, and what is told.
    fn read(text: &[u8], which: Which) -> (Vec<String>, Vec<String>) {
        let (_root, hooks) = hooks(text, which);
        let told = |hook: &Hook| format!("{} {}", hook.when.event(), hook.command);
        (hooks.before.iter().chain(&hooks.after).map(told).collect(), hooks.notes)
    }

    fn hooks(text: &[u8], which: Which) -> (tempfile::TempDir, Hooks) {
        let root = tempfile::tempdir().unwrap();
        let specify = root.path().join(".specify");
        fs::create_dir_all(specify.join("extensions/git/commands")).unwrap();
        fs::write(specify.join("extensions/git/commands/speckit.git.commit.md"), "").unwrap();
        fs::write(root.path().join("tasks.md"), "").unwrap();
        fs::write(specify.join(FILE), text).unwrap();
        let feature = Feature::around(&root.path().join("tasks.md"), None).unwrap();
        let hooks = Hooks::of(&feature, which);
        (root, hooks)
    }

    const SEVERAL: &[u8] = b"\
installed: [git]
settings: {auto_execute_hooks: true}
hooks:
  before_plan:
  - {command: speckit.x.never, optional: false}
  before_implement:
  - extension: git
    command: speckit.git.commit
    enabled: true
    optional: false
    priority: 10
    prompt: Commit now?
    description: Keeps what  is there
    condition: null
  - {extension: x, command: speckit.x.off, optional: false, enabled: no}
  - {extension: x, command: speckit.x.ask, optional: true}
  - {extension: x, command: speckit.x.silent}
  - {extension: x, command: speckit.x.ci, optional: false, condition: env.CI is set}
  - {command: speckit.x.first, optional: false, priority: 1, condition: ''}
  after_implement:
  - {extension: x, command: speckit.x.check, optional: false}
";

    #[test]
    fn what_must_be_is_run_and_the_rest_is_told_with_its_line() {
        let (run, notes) = read(SEVERAL, Which::Mandatory);
        assert_eq!(
            run,
            [
                "before_implement speckit.git.commit",
                "before_implement speckit.x.first",
                "after_implement speckit.x.check"
            ]
        );
        let optional = "a hook of before_implement, is optional and left out; `--hooks all` takes it in";
        assert_eq!(
            notes,
            [
                format!(".specify/extensions.yml:16: speckit.x.ask, {optional}"),
                format!(".specify/extensions.yml:17: speckit.x.silent, {optional}"),
                ".specify/extensions.yml:18: speckit.x.ci, a hook of before_implement, has the condition \"env.CI is set\", \
                 which spec-kit leaves to its own executor; it is left out"
                    .to_owned(),
                ".specify/extensions.yml:19: speckit.x.first is run in the order of the file, whatever its priority"
                    .to_owned(),
            ]
        );
        let (all, notes) = read(SEVERAL, Which::All);
        assert_eq!((all.len(), all[1].as_str(), notes.len()), (5, "before_implement speckit.x.ask", 2));
        assert_eq!(read(SEVERAL, Which::None), (Vec::new(), Vec::new()));
    }

    #[test]
    fn an_agent_is_told_the_call_the_event_and_where_the_command_is_described() {
        let (_root, hooks) = hooks(SEVERAL, Which::Mandatory);
        assert_eq!(
            hooks.before[0].prompt("specs/a/tasks.md"),
            "/speckit.git.commit This is the hook before_implement of the extension git: Keeps what is there\n\n\
             Do what the command speckit.git.commit says, and nothing else. The tasks of specs/a/tasks.md are done \
             afterwards, by others: do not edit that file.\n\
             Nobody is there to be asked. \"Commit now?\" is answered with yes.\n\
             If you do not know the command: it is described in .specify/extensions/git/commands/speckit.git.commit.md.\n"
        );
        assert_eq!(
            hooks.after[0].prompt("t.md"),
            "/speckit.x.check This is the hook after_implement of the extension x\n\n\
             Do what the command speckit.x.check says, and nothing else. The tasks of t.md are done: do not edit that \
             file.\n"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_is_told_with_its_place_and_runs_nothing() {
        let told = |text: &[u8]| match read(text, Which::Mandatory) {
            (run, notes) if run.is_empty() => notes.join("\n"),
            (run, _) => panic!("{run:?}"),
        };
        let end = "; no hook is run, not even one that must be";
        let place = told(b"hooks:\n  before_implement: [\n  - {");
        assert!(place.starts_with(".specify/extensions.yml:3:") && place.ends_with(end), "{place}");
        assert!(
            told(b"hooks: {}\nhooks: {}\n")
                .starts_with(".specify/extensions.yml:2:1: \"hooks\" stands twice")
        );
        assert!(told(b"a: \xff").contains("utf-8"));
        assert!(told(&vec![b'#'; FILE_BYTES_MAX + 1]).contains("262144 bytes"));
        assert_eq!(told(b"[]"), ".specify/extensions.yml:1: the file is a list, not a map; no hook is run");
        assert_eq!(
            told(b"hooks: 3"),
            ".specify/extensions.yml:1: `hooks` is a number, not a map; no hook is run"
        );
        for nothing in [&b""[..], b"# none\n", b"a: 1", b"hooks:", b"hooks: {before_implement: }"] {
            assert_eq!(told(nothing), "", "{nothing:?}");
        }
    }

    #[test]
    fn an_entry_that_makes_no_sense_is_left_out_and_the_others_are_run() {
        let text = b"hooks:\n  after_implement:\n  - 7\n  - {command: \"a\\e[1m b\", optional: false}\n  \
                     - {command: speckit.a.b, optional: false, enabled: perhaps}\n  - {optional: false}\n";
        let (run, notes) = read(text, Which::Mandatory);
        assert_eq!(run, ["after_implement speckit.a.b"]);
        let lines: Vec<&str> = notes.iter().map(|note| note.split(": ").next().unwrap()).collect();
        let file = ".specify/extensions.yml";
        assert_eq!(lines, [3, 4, 5, 6].map(|line| format!("{file}:{line}")), "{notes:?}");
        // A single hook without a list.
        let single = b"hooks: {before_implement: {command: speckit.a.b, optional: false}}";
        assert_eq!(read(single, Which::Mandatory).0, ["before_implement speckit.a.b"]);
    }

    #[test]
    fn what_is_no_file_is_told() {
        let (root, _) = hooks(b"", Which::Mandatory);
        let file = root.path().join(".specify").join(FILE);
        let feature = Feature::around(&root.path().join("tasks.md"), None).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(Hooks::of(&feature, Which::All).notes.is_empty(), "no file, no hooks");
        rustix::fs::mkfifoat(rustix::fs::CWD, &file, rustix::fs::Mode::RUSR).unwrap();
        assert!(Hooks::of(&feature, Which::All).notes[0].contains("no regular file"));
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        assert!(Hooks::of(&feature, Which::All).notes[0].contains("no regular file"));
    }
}
