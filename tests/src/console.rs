//! Documents as sessions: the commands of a document's `console` blocks are run in one shell, one after the other, and
//! what they print is compared with what the document shows.
//!
//! ````text
//! ```console
//! $ command            run as it stands; `> ` continues it
//! what it prints       compared; `…` stands for anything, alone on its line for any lines
//! ```
//! ````
//!
//! Ids, instants, durations and sizes differ from run to run and are not compared; an id, or a part of one, that a
//! command takes from an earlier output is replaced by that of this run. Where the document's reader is `ada` in her
//! home, the test is whoever runs it in a temporary folder. With `UPDATE_DOCS=1` the document gets what was printed.
//!
//! Not here: which documents there are.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use regex::Regex;

use crate::{Deadline, files, processes, wait_readable};

/// What a test's shell has that a reader's has not: `pkill` means the daemon of this session alone.
const PRELUDE: &str = r#"
exec 2>&1
unset NO_COLOR FUSION_SOCKET XDG_RUNTIME_DIR
pkill() { kill -9 "$daemon"; while kill -0 "$daemon"; do :; done 2>/dev/null; }
"#;

/// Where the programs are built already.
const BUILT: &str = "cargo() { :; }";

/// How long it is looked again for what a document shows.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// The command that builds the programs, and how long it may take.
const BUILD: &str = "cargo build";
const BUILD_MAX: Duration = Duration::from_secs(3600);

/// One command and what the document shows of its output.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    /// Line of the command, from 1.
    line: usize,
    command: String,
    /// Lines of the document that hold the output: from, to (without).
    shown: (usize, usize),
}

/// What became of one command.
#[derive(Debug)]
pub struct Played {
    /// The heading that it stands below.
    pub heading: String,
    /// The command, with the ids of this run.
    pub command: String,
    /// What it printed.
    pub printed: Vec<String>,
    /// When it began.
    pub from: Instant,
    /// When it had ended.
    pub until: Instant,
    /// How the output differs from the document, if it does.
    pub wrong: Option<String>,
}

/// Runs a document in a shell of its own; `before` is run first, unseen.
///
/// # Errors
/// Each difference: where, what is shown, what was printed.
///
/// # Panics
/// When no shell can be run, or a command does not end in time.
pub fn play(document: &Path, before: &str) -> Result<Vec<Played>, String> {
    let mut shell = Shell::beside_the_programs();
    shell.prepare(before);
    let mut played = Vec::new();
    follow(document, &mut shell, |step| played.push(step))?;
    let wrong: Vec<&str> = played.iter().filter_map(|step| step.wrong.as_deref()).collect();
    if wrong.is_empty() { Ok(played) } else { Err(wrong.join("\n\n")) }
}

/// The commands of the README that start a daemon and point to it, for documents that go on from there.
///
/// # Panics
/// When the README does not begin so any more.
#[must_use]
pub fn started(readme: &Path) -> String {
    let text = fs::read_to_string(readme).expect("there is a README");
    let lines: Vec<&str> = text.lines().collect();
    let steps = steps(&lines);
    let begin = steps.iter().take_while(|step| !step.command.starts_with("fusionctl"));
    let commands: Vec<&str> =
        begin.map(|step| step.command.as_str()).filter(|line| !line.starts_with(BUILD)).collect();
    assert!(
        commands.iter().any(|line| line.starts_with("fusiond ")),
        "the README starts no daemon: {commands:?}"
    );
    commands.join("\n")
}

/// From the end of the build, or the first command, to the first result of a task; `None` when there was none.
#[must_use]
pub fn time_to_first_result(played: &[Played]) -> Option<Duration> {
    let built = played.iter().find(|step| step.command.starts_with(BUILD)).map(|step| step.until);
    let begin = built.or_else(|| played.first().map(|step| step.from))?;
    let result = played.iter().find(|step| step.command.starts_with("fusionctl task result"))?;
    Some(result.until.duration_since(begin))
}

/// Runs the commands of a document in `shell`; `tell` hears of each. With `UPDATE_DOCS=1` the document gets what was
/// printed.
///
/// # Errors
/// When the document cannot be read or written.
///
/// # Panics
/// When a command does not end in time.
pub fn follow(document: &Path, shell: &mut Shell, mut tell: impl FnMut(Played)) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", document.display());
    let text = fs::read_to_string(document).map_err(failed)?;
    let lines: Vec<&str> = text.lines().collect();
    let mut names = Names::default();
    let mut outputs = BTreeMap::new();
    let mut any_wrong = false;
    let updates = std::env::var_os("UPDATE_DOCS").is_some();
    for step in steps(&lines) {
        let shown = &lines[step.shown.0..step.shown.1];
        let mut played = run_step(shell, &names.translate(&step.command), shown);
        let printed = shell.as_shown(&played.printed);
        if !alike(shown, &printed) {
            any_wrong = true;
            let (name, line, command) = (document.display(), step.line, &step.command);
            let (shown, printed) = (shown.join("\n  "), printed.join("\n  "));
            let wrong = format!("{name}:{line}: $ {command}\n shown:\n  {shown}\n printed:\n  {printed}");
            played.wrong = Some(wrong).filter(|_| !updates);
        }
        names.learn(shown, &printed);
        outputs.insert(step.line, (step.shown, printed));
        played.heading = heading_of(&lines, step.line);
        tell(played);
    }
    if updates && any_wrong {
        fs::write(document, rewritten(&lines, &outputs)).map_err(failed)?;
    }
    Ok(())
}

fn run_step(shell: &mut Shell, command: &str, shown: &[&str]) -> Played {
    let from = Instant::now();
    let deadline = Deadline::after(LOOK_AGAIN);
    let mut printed = shell.run(command);
    while only_looks(command) && !alike(shown, &shell.as_shown(&printed)) && !deadline.is_over() {
        printed = shell.run(command);
    }
    let command = command.to_owned();
    Played { heading: String::new(), command, printed, from, until: Instant::now(), wrong: None }
}

fn heading_of(lines: &[&str], line: usize) -> String {
    let above = lines[..line].iter().rev().find_map(|line| line.strip_prefix("## "));
    above.unwrap_or_default().to_owned()
}

/// Whether a command changes nothing: a reader who is faster than the daemon looks again.
fn only_looks(command: &str) -> bool {
    let verbs = ["agent list", "agent show", "task list", "task show", "task logs", "workspace list", "why"];
    verbs.iter().any(|verb| command.starts_with(&format!("fusionctl {verb}")))
        || (command.starts_with("grep ") && !command.contains(['>', '|', ';']))
}

fn steps(lines: &[&str]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut inside = false;
    for (at, line) in lines.iter().enumerate() {
        match (inside, *line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (true, line) => match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
                (Some(command), ..) => {
                    steps.push(Step { line: at + 1, command: command.to_owned(), shown: (at + 1, at + 1) });
                }
                (None, Some(more), Some(step)) if step.shown.1 == at && step.shown.0 == at => {
                    step.command = format!("{}\n{more}", step.command);
                    step.shown = (at + 1, at + 1);
                }
                (None, _, Some(step)) => step.shown.1 = at + 1,
                (None, _, None) => {}
            },
            (false, _) => {}
        }
    }
    steps
}

fn rewritten(lines: &[&str], outputs: &BTreeMap<usize, ((usize, usize), Vec<String>)>) -> String {
    let mut text = String::new();
    let mut at = 0;
    for ((from, to), printed) in outputs.values() {
        for line in &lines[at..*from] {
            text.push_str(line);
            text.push('\n');
        }
        let keep = alike(&lines[*from..*to], printed);
        let output: Vec<&str> =
            if keep { lines[*from..*to].to_vec() } else { printed.iter().map(String::as_str).collect() };
        for line in output {
            text.push_str(line.trim_end());
            text.push('\n');
        }
        at = *to;
    }
    for line in &lines[at..] {
        text.push_str(line);
        text.push('\n');
    }
    text
}

static ID: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"\b(agt|tsk|run|msg)_([0-9a-hjkmnp-tv-z]{8,26})\b").expect("it is well formed")
});

/// What differs from run to run, and the word that stands for it.
static VARYING: LazyLock<Vec<(Regex, &'static str)>> = LazyLock::new(|| {
    [
        (r"\b(agt|tsk|run|msg)_[0-9a-hjkmnp-tv-z]{8,26}\b", "${1}_#"),
        (r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME"),
        (r"\b\d+(\.\d+)? ?(B|KiB|MiB|GiB|TiB)\b", "SIZE"),
        (r"\b(\d+(\.\d+)?(ms|s|m|h|d))+\b", "SPAN"),
        (r"\bpid \d+", "pid #"),
        (r"[─-╿]+", "-"),
        (r"\s+", " "),
    ]
    .into_iter()
    .map(|(pattern, word)| (Regex::new(pattern).expect("it is well formed"), word))
    .collect()
});

fn plain(line: &str) -> String {
    let line = VARYING
        .iter()
        .fold(line.to_owned(), |line, (pattern, word)| pattern.replace_all(&line, *word).into_owned());
    line.trim().to_owned()
}

/// Whether a printed output is the shown one.
fn alike(shown: &[&str], printed: &[String]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((&"…", rest)) => (0..=printed.len()).any(|skipped| alike(rest, &printed[skipped..])),
        Some((first, rest)) => match printed.split_first() {
            Some((line, others)) => line_alike(&plain(first), &plain(line)) && alike(rest, others),
            None => false,
        },
    }
}

fn line_alike(shown: &str, printed: &str) -> bool {
    let mut parts = shown.split('…');
    let Some(mut left) = parts.next().and_then(|first| printed.strip_prefix(first)) else { return false };
    let mut open = false;
    for part in parts {
        let Some(at) = left.find(part) else { return false };
        left = &left[at + part.len()..];
        open = part.is_empty();
    }
    left.is_empty() || open
}

/// Ids of the document and what they are in this run.
#[derive(Default)]
struct Names(Vec<(String, String)>);

impl Names {
    fn learn(&mut self, shown: &[&str], printed: &[String]) {
        let ids =
            |text: &str| -> Vec<String> { ID.captures_iter(text).map(|found| found[2].to_owned()).collect() };
        let pairs = ids(&shown.join("\n")).into_iter().zip(ids(&printed.join("\n")));
        self.0.extend(pairs.filter(|(shown, printed)| shown.len() == printed.len()));
    }

    /// The command with the ids of this run. A part of an id becomes the same part of the other.
    fn translate(&self, command: &str) -> String {
        static WORD: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"[0-9a-z]{5,26}").expect("it is well formed"));
        let word = |found: &regex::Captures<'_>| {
            let word = &found[0];
            let known = self.0.iter().rev().find_map(|(shown, printed)| {
                let at = shown.find(word)?;
                Some(printed[at..at + word.len()].to_owned())
            });
            known.unwrap_or_else(|| word.to_owned())
        };
        WORD.replace_all(command, word).into_owned()
    }
}

/// A bash in a folder that is, or looks like, a checkout.
pub struct Shell {
    folder: PathBuf,
    /// Removed at the end.
    _own: Option<tempfile::TempDir>,
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    seen: Vec<u8>,
}

impl Shell {
    /// In a folder of its own that looks like a checkout where the programs under test were built.
    fn beside_the_programs() -> Self {
        let own = tempfile::Builder::new().prefix("fusion-docs-").tempdir().expect("a folder");
        rustix::fs::chmod(own.path(), rustix::fs::Mode::from_raw_mode(0o755)).expect("our own folder");
        fs::create_dir(own.path().join("target")).expect("our own folder can be written");
        let built = files::binary("fusiond");
        let built = built.parent().expect("a program lies in a folder");
        std::os::unix::fs::symlink(built, own.path().join("target/release")).expect("our own folder");
        let folder = own.path().to_owned();
        let mut shell = Self::start(folder.clone(), Some(own), &folder);
        shell.prepare(BUILT);
        shell
    }

    /// In a real checkout, where `cargo build` builds.
    ///
    /// # Panics
    /// When bash cannot be started.
    #[must_use]
    pub fn in_checkout(folder: &Path) -> Self {
        let home = std::env::var_os("HOME").map_or_else(|| folder.to_owned(), PathBuf::from);
        Self::start(folder.to_owned(), None, &home)
    }

    fn start(folder: PathBuf, own: Option<tempfile::TempDir>, home: &Path) -> Self {
        let mut command = Command::new("bash");
        command.args(["--noprofile", "--norc"]).current_dir(&folder).env("HOME", home);
        // No document shows what cargo builds meanwhile.
        command.env("CARGO_TERM_QUIET", "true").stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("bash can be started");
        let stdin = child.stdin.take().expect("stdin is a pipe");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut shell = Self { folder, _own: own, child, stdin, stdout, seen: Vec::new() };
        shell.prepare(PRELUDE);
        shell
    }

    /// Runs what no reader sees, which prints nothing.
    ///
    /// # Panics
    /// When it prints something or does not end in time.
    pub fn prepare(&mut self, commands: &str) {
        for command in commands.lines() {
            let printed = self.run(command);
            assert!(printed.is_empty(), "`{command}` printed {printed:?}");
        }
    }

    /// The lines that a command prints. One that starts a daemon in the background returns when that answers.
    fn run(&mut self, command: &str) -> Vec<String> {
        let starts = command.contains("fusiond ") && command.ends_with('&');
        let after = if starts {
            "daemon=$!; disown \"$daemon\"; until fusionctl --socket fusion/run/fusiond.sock system status; do :; done >/dev/null 2>&1"
        } else {
            ":"
        };
        // `$?` of the command is that of the next one to ask.
        let marked = format!("{command}\ncode=$?; {after}; printf '\\n\\001\\n'; (exit $code)\n");
        self.stdin.write_all(marked.as_bytes()).expect("the shell reads");
        let printed = self.until_mark(command);
        let text = String::from_utf8_lossy(&printed).into_owned();
        text.trim_end_matches('\n').lines().map(str::to_owned).collect()
    }

    /// As the documents show it: of `ada`, in her home.
    fn as_shown(&self, printed: &[String]) -> Vec<String> {
        static ROOT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\broot\b").expect("it is well formed"));
        let own = self.folder.to_string_lossy().into_owned();
        let shown = |line: &String| {
            let line = line.replace(&own, "/home/ada");
            match files::is_root() {
                true => ROOT.replace_all(&line.replace("root  ", "ada   "), "ada").into_owned(),
                false => line,
            }
        };
        printed.iter().map(shown).collect()
    }

    fn until_mark(&mut self, command: &str) -> Vec<u8> {
        const MARK: &[u8] = b"\n\x01\n";
        let builds = command.starts_with(BUILD);
        let deadline = if builds { Deadline::after(BUILD_MAX) } else { Deadline::default() };
        loop {
            if let Some(at) = self.seen.windows(MARK.len()).position(|part| part == MARK) {
                let printed = self.seen.drain(..at + MARK.len()).take(at).collect();
                return printed;
            }
            let so_far = String::from_utf8_lossy(&self.seen).into_owned();
            let ready = wait_readable(&[self.stdout.as_fd()], deadline);
            assert!(ready.is_some(), "`{command}` did not end in time; it printed {so_far}");
            let mut chunk = [0; 65536];
            let count = self.stdout.read(&mut chunk).expect("the shell's pipe is read");
            assert!(count > 0, "the shell ended in `{command}`; it printed {so_far}");
            self.seen.extend_from_slice(&chunk[..count]);
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        processes::end_all(&self.folder);
        if let Ok(id) = fs::read_to_string(self.folder.join("fusion/state/id")) {
            processes::remove_groups(&format!("fusion-{id}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_goes_on_behind_its_mark_and_its_output_ends_at_the_next() {
        let lines = ["```console", "$ a \\", "> b", "out", "$ c", "```", "$ no", "```sh", "$ no", "```"];
        let found = steps(&lines);
        let commands: Vec<&str> = found.iter().map(|step| step.command.as_str()).collect();
        assert_eq!(commands, ["a \\\nb", "c"]);
        assert_eq!(found.iter().map(|step| step.shown).collect::<Vec<_>>(), [(3, 4), (5, 5)]);
    }

    #[test]
    fn what_varies_is_not_compared_and_the_ellipsis_stands_for_anything() {
        let printed = ["tsk_01jd0000000000000000abcdef  took 1.5s".to_owned(), "x".to_owned()];
        assert!(alike(&["tsk_01jd0000000000000000zzzzzz took 3ms", "x"], &printed));
        assert!(alike(&["tsk_… took …", "…"], &printed) && alike(&["…", "x"], &printed));
        assert!(!alike(&["agt_01jd0000000000000000zzzzzz took 3ms", "x"], &printed));
        assert!(!alike(&["…", "y"], &printed) && !alike(&[], &printed));
    }

    #[test]
    fn parts_of_ids_become_the_same_parts_of_other_ids() {
        let mut names = Names::default();
        names.learn(&["tsk_01jd0000000000000000abcdef"], &["tsk_01je1111111111111111vwxyz0".to_owned()]);
        assert_eq!(names.translate("result 0abcdef"), "result 1vwxyz0");
        assert_eq!(
            names.translate("show tsk_01jd0000000000000000abcdef"),
            "show tsk_01je1111111111111111vwxyz0"
        );
        assert_eq!(names.translate("result key:other"), "result key:other");
    }
}
