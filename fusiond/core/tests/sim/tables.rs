//! The tables of refusals and failures, and the pages that explain them, hold together.
//!
//! `FUSION_UPDATE_DOCS=1` writes the page of the failures anew. Not for: what the words say.

use fusion_core::failure::RetriedBy;
use fusion_core::{FailureCode, Reject};
use std::collections::BTreeSet;
use std::path::PathBuf;

macro_rules! rejects {
    ($($name:ident { $($field:ident: $value:expr),* })*) => {
        /// One of each.
        fn every_reject() -> Vec<Reject> {
            vec![$(Reject::$name { $($field: $value.into()),* }),*]
        }

        /// Does not compile when one is missing above.
        fn is_listed(reject: &Reject) -> bool {
            match reject { $(Reject::$name { .. } => true),* }
        }
    };
}

rejects! {
    RunNotFound { run: "r" }
    PatternInvalid { pattern: "(", reason: "unclosed group" }
    NodeNotFound { run: "run_1", node: "n" }
    WorkflowNotFound { name: "w" }
    WorkflowInvalid { name: "w", problems: "nodes: it is empty" }
    InputsInvalid { workflow: "w", problems: "input \"a\" is required" }
    RunState { run: "run_1", state: "succeeded", verb: "paused" }
    NodeState { run: "run_1", node: "n", state: "running" }
    RunKeyConflict { key: "k", run: "run_1" }
    RunLimit { limit: 1u32, user: "ada" }
    NodeLimit { count: 0usize }
    WorkflowLimit { limit: 1usize, user: "ada" }
    WorkflowTooDeep { limit: 8u8 }
    RunWithin { run: "run_1", parent: "run_2" }
    StoreUnreadable { what: "the task of a key" }
    ResultIncomplete { task: "tsk_1", left: 1u64, bytes: 2u64 }
    NodeNoResult { run: "run_1", node: "fix", state: "running" }
    NodeBegun { run: "run_1", node: "fix", state: "running", act: "changed", others: "" }
    EditConflict { run: "run_1", revision: 3u32, base: 2u32 }
    EditFixed { run: "run_1", what: "the labels" }
    ConnectionLimit { limit: 256usize }
    ReadLimit { what: "definitions", limit: 64usize }
    FollowLimit { limit: 256usize }
    RevisionLimit { run: "run_1", limit: 100u32 }
    RevisionNotFound { run: "run_1", revision: 9u32 }
    TaskOfRun { task: "tsk_1", run: "run_1" }
    AgentNotFound { agent: "a" }
    TaskNotFound { task: "t" }
    SubjectNotFound { subject: "s" }
    AmbiguousId { kind: "task", part: "abc", count: 2usize }
    AskedOutside {}
    NotPermitted { who: "user:1", what: "stopping all agents" }
    NameTaken { name: "a", agent: "agt_1" }
    NameInvalid { name: "-" }
    AgentLimit { limit: 1u32 }
    UserAgentLimit { limit: 1u32, user: "ada" }
    QueueFull { limit: 1u32, user: "ada" }
    SubtaskLimit { limit: 1u32 }
    RootAgents {}
    PriorityInvalid { priority: 10u32 }
    CapabilityInvalid { name: " " }
    CapabilityLimit { count: 65usize }
    LabelInvalid { label: "=" }
    LabelLimit { count: 65usize }
    KeyInvalid { key: "k" }
    KeyConflict { key: "k", task: "tsk_1" }
    DependencyLimit { count: 1001usize }
    AgentState { agent: "agt_1", state: "idle", verb: "resumed" }
    AgentAlive { agent: "agt_1", state: "idle" }
    RemovalFailed { agent: "agt_1", reason: "it is busy" }
    TaskState { task: "tsk_1", state: "queued", verb: "retried" }
    DependencyEnded { task: "tsk_1" }
    QuestionOpen { task: "tsk_1" }
    QuestionKind { task: "tsk_1", kind: "approval" }
    RetryLimit { retries: 1001u32 }
    ProfileNotFound { profile: "p", nearest: String::from("shell") }
    CommandMissing { profile: "p" }
    CommandUnexpected { profile: "p" }
    ProfileKind { profile: "p", kind: "acp" }
    SandboxUnavailable { sandbox: "bwrap" }
    LimitUnenforceable { limit: "memory" }
    TooLarge { what: "the prompt", bytes: 2usize, limit: 1usize }
    NulByte { what: "the prompt" }
    FieldMissing { field: "name" }
    FieldInvalid { field: "name", value: "v", expected: "a name" }
    UserNotFound { user: "ada" }
    UserUnfit { user: "ada", reason: "it has no shell" }
    Stopping {}
    NoSpace {}
    SpawnFailed { agent: "agt_1", reason: "no room" }
    SeedFailed { agent: "a", reason: "no such folder" }
    WorkspaceGone { agent: "agt_1" }
    WorkspaceUnreadable { agent: "agt_1", reason: "it does not answer" }
    LogsGone { task: "tsk_1" }
    NoResult { task: "tsk_1", state: "queued" }
    InputNotFound { input: "inp_0" }
    StdinClosed { agent: "a", task: "t" }
    InputRefused { task: "t", reason: "it has ended" }
    LimitFixed { agent: "a", limit: "memory" }
    CallerUnknown { reason: "no peer" }
    SecretNotFound { name: "token" }
    SecretLimit { limit: 128usize, user: "ada" }
    TooManySecrets { count: 33usize }
    SecretTooShort { bytes: 3usize }
    SecretsUnavailable { reason: "the host key is gone" }
    ProfileLimit { count: 101usize, limit: 100usize }
    ProfileInvalid { file: "p.toml", problems: "p.toml:1:1: no" }
    ConfigInvalid { problems: "fusiond.toml:1: no" }
}

fn reference(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(reference(name)).unwrap_or_else(|error| panic!("docs/reference/{name}: {error}"))
}

/// As our messages are: one clause, no capital at the start, no full stop at the end.
fn is_message(text: &str) -> bool {
    text.chars().next().is_some_and(|first| !first.is_uppercase()) && !text.ends_with('.')
}

#[test]
fn every_refusal_has_a_code_of_its_own_a_message_and_a_hint() {
    let mut seen = BTreeSet::new();
    for reject in every_reject() {
        let code = reject.code();
        assert!(is_listed(&reject) && seen.insert(code), "{code} is there twice");
        assert!(code.chars().all(|c| c.is_ascii_lowercase() || c == '_'), "{code} is not snake_case");
        assert!(is_message(&reject.to_string()), "{code}: {reject}");
        assert!(!reject.hint().is_empty() && is_message(&reject.hint()), "{code}: {}", reject.hint());
    }
}

#[test]
fn every_refusal_has_a_page_with_its_message_and_no_page_is_left_over() {
    let list = read("errors/README.md");
    let mut pages = BTreeSet::from(["README.md".to_owned()]);
    for reject in every_reject() {
        let code = reject.code();
        let page = read(&format!("errors/{code}.md"));
        assert!(page.starts_with(&format!("# {code}\n")), "the title of errors/{code}.md");
        let shape = page.lines().find_map(|line| line.strip_prefix("> error: ")).unwrap_or_default();
        assert!(
            has_shape(&reject.to_string(), shape),
            "errors/{code}.md says \"{shape}\", it is \"{reject}\""
        );
        assert!(page.contains("**What to do.**"), "errors/{code}.md does not say what to do");
        assert!(list.contains(&format!("[{code}]({code}.md)")), "errors/README.md lacks {code}");
        pages.insert(format!("{code}.md"));
    }
    let entries = std::fs::read_dir(reference("errors")).expect("the folder of the pages");
    let names = entries.map(|entry| entry.expect("readable").file_name().to_string_lossy().into_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), pages);
}

/// Whether `text` is `shape` with words in place of everything between ‹ and ›.
fn has_shape(text: &str, shape: &str) -> bool {
    let mut parts = shape.split('‹').map(|part| part.split_once('›').map_or(part, |(_, rest)| rest));
    let Some(rest) = parts.next().and_then(|first| text.strip_prefix(first)) else { return false };
    let last = shape.rsplit('›').next().unwrap_or_default();
    let rest = parts.try_fold(rest, |rest, part| rest.find(part).map(|at| &rest[at + part.len()..]));
    rest.is_some_and(|rest| rest.ends_with(last) || (rest.is_empty() && text.ends_with(last)))
}

fn retried(code: FailureCode) -> &'static str {
    match code.retried() {
        RetriedBy::Request => "as often as `--retries` asks",
        RetriedBy::Default => "yes, up to 3 times",
        RetriedBy::Always => "yes, not counted",
        RetriedBy::Never => "no",
    }
}

fn failures_page() -> String {
    let mut page = "# Failure codes\n\nWhy an attempt or a task ended badly. The table is that of \
                    `fusiond/core/src/failure.rs`.\n\n| Code | Meaning | What to do | Retried by itself |\n\
                    | --- | --- | --- | --- |\n"
        .to_owned();
    for code in FailureCode::ALL {
        let cells = [code.meaning(), code.hint(), retried(*code)].map(|cell| cell.replace('|', "\\|"));
        page.push_str(&format!("| `{}` | {} |\n", code.code(), cells.join(" | ")));
    }
    page
}

#[test]
fn the_page_of_the_failures_is_the_table() {
    let page = failures_page();
    if std::env::var_os("FUSION_UPDATE_DOCS").is_some() {
        std::fs::write(reference("failures.md"), &page).expect("docs/reference/failures.md can be written");
    }
    assert_eq!(read("failures.md"), page, "run this test with FUSION_UPDATE_DOCS=1");
}

#[test]
fn failures_speak_like_refusals() {
    for code in FailureCode::ALL {
        assert!(is_message(code.meaning()) && is_message(code.hint()), "{}", code.code());
    }
}
