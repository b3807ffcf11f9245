//! From a task to a program run: argv, environment from nothing, standard input.
//!
//! What does not change within an incarnation is prepared once, so that a start costs some copies. Not here: the
//! identity (`identity`), the frames (`lane`).

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use fusion_core::TaskId;
use fusion_core::agent::prompt_place;
use fusion_core::task::{Stdin, TaskKind};
use fusion_core::workspace::{Seed, SeedHow};
use fusion_shim::names;
use fusion_shim::wire::{AttemptSpec, Content, Files, Output, Resource, Rlimit, StdinEnd};

use super::identity::Owner;
use super::order::{Setup, TaskInput, WORKDIR};
use super::{Config, LogQuota};
use crate::vault::Value;

type Variable = (Vec<u8>, Vec<u8>);

/// Everything about attempts of one incarnation that is the same for all.
#[derive(Clone, Debug)]
pub(super) struct Template {
    env: Vec<Variable>,
    /// The names at the front of `env` that are the daemon's own word.
    own: usize,
    /// Of which the login part is the same for all settings of the agent.
    owner: Owner,
    workspace: PathBuf,
    command: Vec<String>,
    prompt: Way,
    result: Way,
    stdin_end: StdinEnd,
    incarnation: u32,
    cwd: Vec<u8>,
    rlimits: Vec<Rlimit>,
    umask: u16,
    log_quota: LogQuota,
    /// The argv that fills the workspace, if something was asked for.
    seed: Option<Vec<Vec<u8>>>,
    /// Where the owner's settings of git and keys of ssh are.
    owner_home: Vec<u8>,
}

/// How a prompt reaches a program, or a result leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// By standard input or output.
    Stream,
    /// The prompt, without a place in the command, as its last argument.
    Argument,
    /// By a file of the attempt.
    File,
}

impl Way {
    /// From the word in a recipe.
    fn of(word: &str) -> Self {
        match word {
            "file" => Self::File,
            "argv" => Self::Argument,
            _other => Self::Stream,
        }
    }
}

/// Without a PATH of the caller. Behind the home folder's `.local/bin`.
const PATH_FALLBACK: &str = "/usr/local/bin:/usr/bin:/bin";
/// Without a LANG of the caller: every C library has it, and output is UTF-8.
const LANG_FALLBACK: &str = "C.UTF-8";
/// The soft limit that programs expect which still use select(2); they may raise it to the hard one.
const OPEN_FILES_SOFT: u64 = 1024;
/// What the daemon says, and nobody else.
const OWN_PREFIX: &str = "FUSION_";

/// Those that the engine puts beside the task of a node; no door takes them.
const OF_RUNS: [&str; 3] = ["FUSION_RUN_ID", "FUSION_NODE", "FUSION_ITEM"];

impl Template {
    pub(super) fn new(
        setup: &Setup,
        owner: &Owner,
        workspace: &Path,
        socket: &Path,
        config: &Config,
    ) -> Self {
        let recipe = &setup.recipe;
        let (env, own) = environment(setup, owner, workspace, socket.as_os_str().as_bytes());
        Self {
            env,
            own,
            owner: owner.clone(),
            workspace: workspace.to_owned(),
            command: recipe.command.clone(),
            prompt: Way::of(&recipe.prompt),
            result: Way::of(&recipe.result),
            stdin_end: if recipe.keeps_stdin_open() { StdinEnd::Open } else { StdinEnd::Closed },
            incarnation: setup.incarnation,
            cwd: workspace.as_os_str().as_bytes().to_vec(),
            rlimits: rlimits(),
            umask: config.umask,
            log_quota: config.log_quota.clone(),
            seed: setup.seed.as_ref().map(|seed| seed_argv(setup, seed, &config.shim_path)),
            owner_home: owner.home.as_os_str().as_bytes().to_vec(),
        }
    }

    /// The run that fills the workspace. It has the environment of an attempt, but the owner's home: there are the
    /// settings of git and the keys of ssh. Nobody is there to answer questions.
    pub(super) fn seeding(&self) -> Option<AttemptSpec> {
        let argv = self.seed.clone()?;
        let mut env = self.env.clone();
        put(&mut env, "HOME", &self.owner_home);
        put(&mut env, "LC_ALL", LANG_FALLBACK.as_bytes());
        put(&mut env, "GIT_TERMINAL_PROMPT", b"0");
        if !env.iter().any(|(name, _)| name == b"GIT_SSH_COMMAND") {
            put(&mut env, "GIT_SSH_COMMAND", b"ssh -o BatchMode=yes");
        }
        Some(self.attempt(argv, env, Content::Empty, None))
    }

    /// The same for other settings of the agent: its name and environment.
    pub(super) fn renew(&mut self, setup: &Setup) {
        let socket = self.env.iter().find(|(name, _)| name == b"FUSION_SOCKET");
        let socket = socket.map(|(_, path)| path.clone()).unwrap_or_default();
        (self.env, self.own) = environment(setup, &self.owner, &self.workspace, &socket);
    }

    /// The run of attempt `number` of a task, the agent's attempt `serial`.
    pub(super) fn spec(
        &self,
        task: TaskId,
        number: u32,
        serial: u32,
        asked: Stdin,
        input: &TaskInput,
        secrets: &[(String, Value)],
    ) -> AttemptSpec {
        let Program { argv, stdin, files } = self.program(serial, input);
        let cwd = input.workdir().map_or_else(|| self.cwd.clone(), |path| path.as_bytes().to_vec());
        let stdin_end = if asked.is_open() { StdinEnd::Open } else { self.stdin_end };
        let stdin = if stdin_end == StdinEnd::Open { as_line(stdin) } else { stdin };
        let mut env = Vec::with_capacity(self.env.len() + 5 + input.env.len() + secrets.len());
        env.extend_from_slice(&self.env[..self.own]);
        env.push((b"FUSION_TASK_ID".to_vec(), task.to_string().into_bytes()));
        env.push((b"FUSION_ATTEMPT".to_vec(), number.to_string().into_bytes()));
        env.push((b"TRACEPARENT".to_vec(), traceparent(task, number).into_bytes()));
        env.extend(input.workdir().map(|path| (WORKDIR.as_bytes().to_vec(), path.as_bytes().to_vec())));
        env.extend(files.iter().flat_map(|files| files_env(&cwd, files)));
        env.extend_from_slice(&self.env[self.own..]);
        let may_stand = |name: &str| !name.starts_with(OWN_PREFIX) || OF_RUNS.contains(&name);
        for (name, value) in input.env.iter().filter(|(name, _)| may_stand(name)) {
            put(&mut env, name, value.as_bytes());
        }
        for (name, value) in secrets {
            put(&mut env, name, value.expose());
        }
        AttemptSpec { cwd, stdin_end, ..self.attempt(argv, env, stdin, files) }
    }

    fn attempt(
        &self,
        argv: Vec<Vec<u8>>,
        env: Vec<Variable>,
        stdin: Content,
        files: Option<Files>,
    ) -> AttemptSpec {
        AttemptSpec {
            argv,
            env,
            cwd: self.cwd.clone(),
            stdin,
            stdin_end: StdinEnd::Closed,
            files,
            rlimits: self.rlimits.clone(),
            umask: self.umask,
            no_new_privs: true,
            log_quota_bytes: self.log_quota.bytes(),
        }
    }

    fn program(&self, serial: u32, input: &TaskInput) -> Program {
        match input.kind {
            TaskKind::Run => {
                let argv = input.run.iter().map(|word| word.as_bytes().to_vec()).collect();
                Program { argv, stdin: Content::Empty, files: None }
            }
            TaskKind::Prompt => self.prompt_program(serial, input),
        }
    }

    /// Whether a stored prompt can reach the program: arguments are too short for one.
    pub(super) fn takes_stored(&self) -> bool {
        !self.has_place() && self.prompt != Way::Argument
    }

    fn has_place(&self) -> bool {
        self.command.iter().any(|word| prompt_place(word).is_some())
    }

    fn prompt_program(&self, serial: u32, input: &TaskInput) -> Program {
        let (prompt, has_place) = (&input.prompt, self.has_place());
        let mut argv: Vec<Vec<u8>> =
            self.command.iter().map(|word| fill(word, prompt).into_bytes()).collect();
        let content = || match input.stored {
            Some(_) => Content::Laid,
            None => Content::Inline(prompt.as_bytes().to_vec()),
        };
        let (stdin, input) = match (self.prompt, has_place) {
            (Way::File, _) => (Content::Empty, Some(content())),
            (Way::Stream | Way::Argument, true) => (Content::Empty, None),
            (Way::Stream, false) => (content(), None),
            (Way::Argument, false) => {
                argv.push(prompt.as_bytes().to_vec());
                (Content::Empty, None)
            }
        };
        let output = if self.result == Way::File { Output::Result } else { Output::Left };
        let has_files = input.is_some() || output == Output::Result;
        let files =
            has_files.then(|| Files { name: format!("{}.{serial}", self.incarnation), input, output });
        Program { argv, stdin, files }
    }
}

/// Where the files of an attempt are.
fn files_env(cwd: &[u8], files: &Files) -> Vec<Variable> {
    let path = |name: &str| {
        let below = format!("/{}/{}/{name}", names::FILES, files.name);
        [cwd, below.as_bytes()].concat()
    };
    let input = files.input.as_ref().map(|_| (b"FUSION_INPUT".to_vec(), path(names::INPUT)));
    let output = match files.output {
        Output::Result => Some((b"FUSION_OUTPUT".to_vec(), path(names::OUTPUT))),
        Output::Left => None,
    };
    input.into_iter().chain(output).collect()
}

/// What stays open is read line by line: the first content is a whole one.
fn as_line(content: Content) -> Content {
    match content {
        Content::Inline(mut bytes) if bytes.last().is_some_and(|last| *last != b'\n') => {
            bytes.push(b'\n');
            Content::Inline(bytes)
        }
        content @ (Content::Inline(_) | Content::Empty | Content::Laid) => content,
    }
}

/// What a task makes of a command.
struct Program {
    argv: Vec<Vec<u8>>,
    stdin: Content,
    files: Option<Files>,
}

/// `fusion-shim seed SOURCE REFERENCE BRANCH HOW`.
fn seed_argv(setup: &Setup, seed: &Seed, program: &Path) -> Vec<Vec<u8>> {
    let how: &[u8] = match seed.how {
        SeedHow::Clone => b"clone",
        SeedHow::Worktree => b"worktree",
    };
    let (source, reference) = (seed.source.as_bytes(), seed.reference.as_bytes());
    let branch = branch(setup, seed.how);
    [program.as_os_str().as_bytes(), b"seed", source, reference, branch.as_bytes(), how]
        .map(<[u8]>::to_vec)
        .to_vec()
}

/// The branch that a workspace is on. In the user's own repository no other agent may have it.
fn branch(setup: &Setup, how: SeedHow) -> String {
    // Points are where git has rules of its own (git-check-ref-format(1)).
    let name = setup.name.replace('.', "-");
    match how {
        SeedHow::Clone => format!("fusion/{name}"),
        SeedHow::Worktree => format!("fusion/{name}-{}", setup.agent.short()),
    }
}

/// The environment of all attempts, and how many names at its front are the daemon's own word.
fn environment(setup: &Setup, owner: &Owner, workspace: &Path, socket: &[u8]) -> (Vec<Variable>, usize) {
    let mut env: Vec<Variable> = Vec::new();
    put(&mut env, "FUSION_AGENT_ID", setup.agent.to_string().as_bytes());
    put(&mut env, "FUSION_AGENT_NAME", setup.name.as_bytes());
    put(&mut env, "FUSION_WORKSPACE", workspace.as_os_str().as_bytes());
    put(&mut env, "FUSION_SOCKET", socket);
    let own = env.len();
    put_login(&mut env, setup, owner, workspace);
    for (name, value) in setup.recipe.env.iter().filter(|(name, _)| !name.starts_with(OWN_PREFIX)) {
        put(&mut env, name, value.as_bytes());
    }
    (env, own)
}

/// The attempt as a span of its task's trace, so that what a program reports can be joined to it: W3C Trace Context
/// level 1, section 3.2 (`version-trace_id-parent_id-flags`, the ids not zero). One trace for all attempts of a task.
fn traceparent(task: TaskId, number: u32) -> String {
    let low = u64::try_from(task.0 & u128::from(u64::MAX)).expect("masked to 64 bits");
    let span = low.wrapping_add(u64::from(number)).max(1);
    format!("00-{:032x}-{span:016x}-01", task.0.max(1))
}

/// Puts the prompt in its places; what the prompt itself contains is left as it is.
fn fill(word: &str, prompt: &str) -> String {
    let mut filled = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(place) = prompt_place(rest) {
        filled.push_str(&rest[..place.start]);
        filled.push_str(prompt);
        rest = &rest[place.end..];
    }
    filled.push_str(rest);
    filled
}

/// Sets a variable; the later word counts.
fn put(env: &mut Vec<Variable>, name: &str, value: &[u8]) {
    match env.iter_mut().find(|(known, _)| known == name.as_bytes()) {
        Some((_, old)) => *old = value.to_vec(),
        None => env.push((name.as_bytes().to_vec(), value.to_vec())),
    }
}

/// The caller's PATH, or the usual one.
pub(super) fn login_path(asked: &str, home: &Path) -> String {
    if asked.is_empty() {
        format!("{}:{PATH_FALLBACK}", home.join(".local/bin").display())
    } else {
        asked.to_owned()
    }
}

/// What a login would set, and no more.
fn put_login(env: &mut Vec<Variable>, setup: &Setup, owner: &Owner, workspace: &Path) {
    let recipe = &setup.recipe;
    let home = if recipe.home == "user" { owner.home.as_path() } else { workspace };
    let or = |text: &str, fallback: String| if text.is_empty() { fallback } else { text.to_owned() };
    let path = login_path(&recipe.path, &owner.home);
    let lang = or(&recipe.lang, LANG_FALLBACK.to_owned());
    let shell = if owner.shell.as_os_str().is_empty() { Path::new("/bin/sh") } else { owner.shell.as_path() };
    put(env, "HOME", home.as_os_str().as_bytes());
    put(env, "USER", owner.name.as_bytes());
    put(env, "LOGNAME", owner.name.as_bytes());
    put(env, "SHELL", shell.as_os_str().as_bytes());
    put(env, "PATH", path.as_bytes());
    put(env, "LANG", lang.as_bytes());
    put(env, "TERM", b"dumb");
}

/// No core files, which would hold an agent's secrets; and the number of files that programs are made for, whatever
/// the daemon has for itself.
fn rlimits() -> Vec<Rlimit> {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let hard = files.maximum.unwrap_or(u64::MAX);
    vec![
        Rlimit { resource: Resource::Core, soft: 0, hard: 0 },
        Rlimit { resource: Resource::OpenFiles, soft: OPEN_FILES_SOFT.min(hard), hard },
    ]
}

#[cfg(test)]
mod tests;
