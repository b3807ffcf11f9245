//! Users, an admin and agents who ask for anything at any time, sensible or not.
//!
//! Not for: when they ask (`life`).

use crate::flows;
use crate::rng::Rng;
use fusion_core::agent::update::Change;
use fusion_core::agent::{AgentChange, AgentSpec, Keep, RestartPolicy, SpawnAgent, Stay};
use fusion_core::input::{Intake, PauseHow};
use fusion_core::pool::{AllPools, Pool, Pools, Takes};
use fusion_core::profile::PROFILES_BYTES_MAX;
use fusion_core::secret::{SecretUse, SetSecret};
use fusion_core::task::submit::Admission;
use fusion_core::task::update::Edit;
use fusion_core::task::{
    Answer, AskTask, OnLost, QuestionKind, Resolution, RunTask, Stdin, SubmitTask, TaskKind, Timeouts,
    UpdateTask,
};
use fusion_core::workspace::{Seed, SeedHow};
use fusion_core::{
    AgentId, Caller, Capabilities, Command, Millis, Rights, SecretId, State, TaskId, Time, Uid,
};

const USERS: [u32; 3] = [1000, 1001, 1002];
const OFFERED: [&str; 3] = ["gpu", "net", "sh"];

/// Ids sort by age to the millisecond, as the engine draws them.
pub(crate) fn fresh(rng: &mut Rng, now: Time) -> u128 {
    (u128::from(now.0) << 80) | (rng.wide() >> 48)
}

fn capabilities(rng: &mut Rng, permille: u64) -> Capabilities {
    OFFERED.iter().filter(|_| rng.permille(permille)).copied().collect()
}

fn span(rng: &mut Rng, permille: u64, secs: u64) -> Option<Millis> {
    rng.permille(permille).then(|| Millis(rng.below(secs * 1000)))
}

/// Somebody, and what they ask for.
pub(crate) fn draw(rng: &mut Rng, state: &State, now: Time) -> (Caller, Command) {
    let caller = draw_caller(rng, state);
    if matches!(caller.rights, Rights::Agent(_)) && rng.permille(600) {
        return (caller, draw_question(rng));
    }
    let command = match rng.below(1000) {
        0..=249 => Command::SubmitTask(Box::new(draw_task(rng, state, caller, now))),
        250..=349 => flows::draw(rng, state, caller, now),
        350..=365 => Command::RunTask(Box::new(draw_run(rng, state, caller, now))),
        366..=375 => Command::SetSecret(set_secret(rng, caller, now)),
        376..=379 => Command::RemoveSecret { owner: Uid(*rng.pick(&USERS)), name: secret_name(rng) },
        380..=399 => Command::HoldTask { task: task_text(rng, state) },
        400..=424 => Command::ReleaseTask { task: held_text(rng, state) },
        425..=449 => Command::UpdateTask(Box::new(draw_update(rng, state, now))),
        450..=519 => Command::CancelTask { task: task_text(rng, state), grace: Millis(rng.below(4000)) },
        520..=589 => Command::RetryTask { task: task_text(rng, state), recalled: None },
        590..=629 => Command::ResolveTask { task: lost_text(rng, state), resolution: draw_resolution(rng) },
        630..=669 => Command::AnswerTask { task: asking_text(rng, state), answer: draw_answer(rng) },
        670..=719 => Command::SpawnAgent(Box::new(draw_agent(rng, state, caller, now))),
        720..=729 => {
            let replicas = u32::try_from(rng.below(4)).expect("small");
            Command::SpawnGroup { agent: Box::new(draw_agent(rng, state, caller, now)), replicas }
        }
        730..=744 => {
            let count = u32::try_from(rng.below(4)).expect("small");
            Command::ScaleAgents { group: group_text(rng, state), count }
        }
        745..=759 => {
            Command::UpdateAgent { agent: agent_text(rng, state), change: Box::new(draw_change(rng)) }
        }
        760..=839 => Command::PauseAgent { agent: agent_text(rng, state), how: draw_how(rng) },
        840..=919 => Command::ResumeAgent { agent: agent_text(rng, state) },
        920..=949 => Command::RestartAgent { agent: agent_text(rng, state) },
        950..=969 => {
            Command::TerminateAgent { agent: agent_text(rng, state), grace: Millis(rng.below(4000)) }
        }
        970..=978 => {
            let keep = if rng.permille(300) { Keep::Workspace } else { Keep::Nothing };
            Command::RemoveAgent { agent: over_text(rng, state), keep }
        }
        979..=982 => Command::RemoveWorkspace { agent: over_text(rng, state) },
        983..=988 => draw_profiles(rng, caller),
        989..=996 => Command::SetIntake(if rng.permille(300) { Intake::Closed } else { Intake::Open }),
        _ => Command::StopAll { grace: Millis(rng.below(4000)) },
    };
    (caller, command)
}

pub(crate) fn admin() -> Caller {
    Caller { uid: Uid(0), rights: Rights::Admin }
}

fn draw_caller(rng: &mut Rng, state: &State) -> Caller {
    if rng.permille(250) {
        return admin();
    }
    let agents: Vec<_> = state.agents().collect();
    if rng.permille(100) && !agents.is_empty() {
        let agent = rng.pick(&agents);
        return Caller { uid: agent.owner, rights: Rights::Agent(agent.id) };
    }
    Caller { uid: Uid(*rng.pick(&USERS)), rights: Rights::User }
}

fn secret_name(rng: &mut Rng) -> String {
    format!("s{}", rng.below(3))
}

/// Whose something is that a caller asks for.
pub(crate) fn draw_owner(rng: &mut Rng, caller: Caller) -> Uid {
    if caller.rights == Rights::Admin { Uid(*rng.pick(&USERS)) } else { caller.uid }
}

fn set_secret(rng: &mut Rng, caller: Caller, now: Time) -> SetSecret {
    let owner = draw_owner(rng, caller);
    let (id, name) = (SecretId(fresh(rng, now)), secret_name(rng));
    SetSecret { id, owner, owner_name: format!("user{}", owner.0), name }
}

/// Mostly some that exist: what asks for others is refused.
fn secret_uses(rng: &mut Rng, state: &State, owner: Uid) -> Vec<SecretUse> {
    let uses = state.secrets_of(owner).filter(|secret| secret.is_current() || rng.permille(50));
    uses.take(2).map(|secret| secret_use(&secret.name)).collect()
}

/// A secret under its own name.
pub(crate) fn secret_use(name: &str) -> SecretUse {
    SecretUse { name: name.into(), env: name.into() }
}

fn draw_profiles(rng: &mut Rng, caller: Caller) -> Command {
    let owner = if rng.permille(200) { Uid(*rng.pick(&USERS)) } else { caller.uid };
    let name = format!("p{}", rng.below(4));
    if rng.permille(300) {
        return Command::RemoveProfile { owner, name };
    }
    let long = if rng.permille(100) { PROFILES_BYTES_MAX } else { 1 };
    Command::ApplyProfiles {
        owner,
        profiles: vec![(name, "x".repeat(long + usize::from(rng.permille(500))))],
    }
}

fn draw_how(rng: &mut Rng) -> PauseHow {
    if rng.permille(500) { PauseHow::Freeze } else { PauseHow::Drain }
}

fn draw_resolution(rng: &mut Rng) -> Resolution {
    *rng.pick(&[Resolution::Retry, Resolution::Retry, Resolution::Fail, Resolution::Succeed])
}

fn agent_text(rng: &mut Rng, state: &State) -> String {
    let agents: Vec<_> = state.agents().collect();
    if agents.is_empty() || rng.permille(30) {
        return "nobody".to_owned();
    }
    let agent = rng.pick(&agents);
    match rng.below(4) {
        0 => agent.spec.name.clone(),
        1 => agent.id.short(),
        _ => agent.id.to_string(),
    }
}

fn over_text(rng: &mut Rng, state: &State) -> String {
    let over = state.agents().find(|agent| agent.is_terminated()).map(|agent| agent.id.to_string());
    over.filter(|_| rng.permille(800)).unwrap_or_else(|| agent_text(rng, state))
}

fn group_text(rng: &mut Rng, state: &State) -> String {
    let groups: Vec<&String> = state.agents().filter_map(|agent| agent.spec.group.as_ref()).collect();
    if groups.is_empty() { agent_text(rng, state) } else { (*rng.pick(&groups)).clone() }
}

fn draw_change(rng: &mut Rng) -> AgentChange {
    AgentChange {
        name: rng.permille(200).then(|| format!("a{}", rng.below(7))),
        capabilities: rng.permille(500).then(|| capabilities(rng, 600)),
        restart: rng.permille(200).then_some(RestartPolicy::Never),
        idle_timeout: rng.permille(300).then(|| Millis(rng.below(4000))),
        disk_bytes: *rng.pick(&[
            Change::Kept,
            Change::Kept,
            Change::Gone,
            Change::To(1000),
            Change::To(5000),
        ]),
        ..AgentChange::default()
    }
}

/// A pool whose agents can do what is drawn.
pub(crate) fn pool(profile: &str, offered: Capabilities, min: u32, max: u32, idle_timeout: Millis) -> Pool {
    let owner = Uid(0);
    let agent = spawn(AgentId(0), owner, profile.to_owned(), offered, RestartPolicy::OnFailure, 0);
    let mut spec = agent.spec;
    spec.profile = profile.to_owned();
    spec.recipe.workspace = "/w".to_owned();
    spec.capabilities = spec.capabilities.of_profile(profile);
    Pool { min, max, idle_timeout, warm: Vec::new(), takes: Takes::Any, spec }
}

/// Some pools, or none.
pub(crate) fn draw_pools(rng: &mut Rng) -> AllPools {
    let shared = draw_some_pools(rng, &["p", "q"]);
    let owners: Vec<Uid> = USERS.iter().filter(|_| rng.permille(200)).map(|uid| Uid(*uid)).collect();
    let own = owners.into_iter().map(|uid| (uid, draw_some_pools(rng, &["p", "o"]))).collect();
    AllPools { shared, own }
}

fn draw_some_pools(rng: &mut Rng, names: &[&str]) -> Pools {
    let mut pools = Pools::new();
    for name in names.iter().copied() {
        if rng.permille(400) {
            let min = u32::try_from(rng.below(2)).expect("small");
            let max = min + u32::try_from(rng.below(3)).expect("small");
            let mut made = pool(name, capabilities(rng, 600), min, max, Millis(1 + rng.below(8000)));
            made.takes = if rng.permille(300) { Takes::Named } else { Takes::Any };
            made.warm = rng.permille(300).then(|| Uid(*rng.pick(&USERS))).into_iter().collect();
            pools.insert(name.to_owned(), made);
        }
    }
    pools
}

fn task_text(rng: &mut Rng, state: &State) -> String {
    let tasks: Vec<_> = state.tasks().collect();
    if tasks.is_empty() || rng.permille(30) {
        return "tsk_nothing".to_owned();
    }
    let task = rng.pick(&tasks);
    match (&task.spec.key, rng.below(4)) {
        (Some(key), 0) => format!("key:{key}"),
        (_, 1) => task.id.short(),
        (Some(_) | None, _) => task.id.to_string(),
    }
}

/// Lets what is asked of one task be asked of any that was ever written, also of one that is forgotten.
pub(crate) fn ask_of_any(rng: &mut Rng, command: &mut Command, tasks: &[TaskId]) {
    if let Command::CancelTask { task, .. }
    | Command::RetryTask { task, .. }
    | Command::ResolveTask { task, .. }
    | Command::AnswerTask { task, .. }
    | Command::HoldTask { task }
    | Command::ReleaseTask { task } = command
        && !tasks.is_empty()
    {
        *task = rng.pick(tasks).to_string();
    }
}

fn lost_text(rng: &mut Rng, state: &State) -> String {
    let lost = state.tasks().find(|task| task.state.word() == "lost");
    lost.map_or_else(|| task_text(rng, state), |task| task.id.to_string())
}

fn asking_text(rng: &mut Rng, state: &State) -> String {
    let asking = state.tasks().find(|task| task.open_question().is_some());
    asking.map_or_else(|| task_text(rng, state), |task| task.id.to_string())
}

fn draw_question(rng: &mut Rng) -> Command {
    let request = 1 + rng.below(4);
    if rng.permille(200) {
        return Command::WithdrawQuestion { request };
    }
    let kind = *rng.pick(&[QuestionKind::Approval, QuestionKind::Input]);
    let text = if rng.permille(30) { String::new() } else { "may I?".to_owned() };
    Command::AskTask(AskTask { kind, text, timeout: span(rng, 600, 20), request })
}

fn draw_answer(rng: &mut Rng) -> Answer {
    match rng.below(3) {
        0 => Answer::Approve { comment: String::new() },
        1 => Answer::Reject { comment: "no".to_owned() },
        _ => Answer::Text("forty-two".to_owned()),
    }
}

fn held_text(rng: &mut Rng, state: &State) -> String {
    let held: Vec<_> = state.tasks().filter(|task| task.state.word() == "held").collect();
    if held.is_empty() { task_text(rng, state) } else { rng.pick(&held).id.to_string() }
}

fn draw_edit<T>(rng: &mut Rng, value: T) -> Edit<T> {
    match rng.below(6) {
        0 => Edit::Set(value),
        1 => Edit::Unset,
        _ => Edit::Keep,
    }
}

fn draw_update(rng: &mut Rng, state: &State, now: Time) -> UpdateTask {
    let (agent, key) = (agent_text(rng, state), format!("c{}", rng.below(3)));
    let at = now.plus(Millis(rng.below(20_000)));
    UpdateTask {
        task: task_text(rng, state),
        priority: rng.permille(400).then(|| u32::try_from(rng.below(11)).expect("small")),
        capabilities: rng.permille(200).then(|| capabilities(rng, 250)),
        agent: draw_edit(rng, agent),
        queue_timeout: draw_edit(rng, Millis(5_000)),
        run_timeout: draw_edit(rng, Millis(5_000)),
        not_before: draw_edit(rng, at),
        concurrency_key: draw_edit(rng, key),
        ..UpdateTask::default()
    }
}

fn draw_agent(rng: &mut Rng, state: &State, caller: Caller, now: Time) -> SpawnAgent {
    let restart = *rng.pick(&[RestartPolicy::OnFailure, RestartPolicy::Always, RestartPolicy::Never]);
    let owner = draw_owner(rng, caller);
    let name = format!("a{}", rng.below(5));
    let request = if rng.permille(100) { 1 + rng.below(5) } else { 0 };
    let mut ask = spawn(AgentId(fresh(rng, now)), owner, name, capabilities(rng, 700), restart, request);
    if rng.permille(200) {
        ask.spec.secrets = secret_uses(rng, state, owner);
    }
    if rng.permille(300) {
        ask.spec.seed = Some(seed("/somewhere"));
    }
    ask.spec.disk_bytes = rng.permille(200).then_some(1000);
    ask
}

/// An agent that is asked for.
pub(crate) fn spawn(
    id: AgentId,
    owner: Uid,
    name: String,
    capabilities: Capabilities,
    restart: RestartPolicy,
    request: u64,
) -> SpawnAgent {
    let (limits, recipe) = Default::default();
    let spec = AgentSpec {
        name,
        profile: "command".to_owned(),
        capabilities,
        restart,
        limits,
        idle_timeout: None,
        group: None,
        stay: Stay::default(),
        retention: None,
        recipe,
        secrets: Vec::new(),
        seed: None,
        disk_bytes: None,
    };
    SpawnAgent { id, owner, owner_name: format!("user{}", owner.0), spec, request }
}

/// What a workspace is to be filled with.
pub(crate) fn seed(source: &str) -> Seed {
    Seed { source: source.to_owned(), reference: String::new(), how: SeedHow::Clone }
}

fn draw_task(rng: &mut Rng, state: &State, caller: Caller, now: Time) -> SubmitTask {
    let owner = match caller.rights {
        Rights::Admin => Uid(*rng.pick(&USERS)),
        Rights::User | Rights::Agent(_) if rng.permille(20) => Uid(*rng.pick(&USERS)),
        Rights::User | Rights::Agent(_) => caller.uid,
    };
    let mut ask = draw_work(rng, owner, now);
    ask.priority = u32::try_from(rng.below(11)).expect("small");
    ask.not_before = span(rng, 100, 20).map(|wait| now.plus(wait));
    if rng.permille(150) {
        ask.agent = agent_text(rng, state);
    }
    if rng.permille(200) {
        ask.key = format!("k{}", rng.below(10));
        ask.fingerprint = rng.below(2);
    }
    if rng.permille(100) {
        ask.request = 1 + rng.below(20);
    }
    if rng.permille(80) {
        ask.admission = Admission::Held;
    }
    if rng.permille(250) {
        ask.after = (0..=rng.below(3)).map(|_| task_text(rng, state)).collect();
    }
    if rng.permille(150) {
        ask.secrets = secret_uses(rng, state, owner);
    }
    ask
}

/// What an agent is to do, by its own or for a node of a run.
pub(crate) fn draw_work(rng: &mut Rng, owner: Uid, now: Time) -> SubmitTask {
    let mut ask = submit(TaskId(fresh(rng, now)), owner);
    ask.capabilities = capabilities(rng, 250);
    ask.retries = u32::try_from(rng.below(3)).expect("small");
    ask.on_lost = *rng.pick(&[OnLost::Review, OnLost::Retry, OnLost::Fail]);
    ask.timeouts = Timeouts { run: span(rng, 300, 15), idle: span(rng, 250, 8), queue: span(rng, 150, 60) };
    if rng.permille(250) {
        ask.concurrency_key = format!("c{}", rng.below(3));
    }
    ask
}

fn draw_run(rng: &mut Rng, state: &State, caller: Caller, now: Time) -> RunTask {
    let mut agent = draw_agent(rng, state, caller, now);
    let task = draw_task(rng, state, caller, now);
    agent.owner = task.owner;
    agent.spec.retention = rng.permille(300).then_some(Millis::from_secs(5));
    RunTask { agent, task, is_named: rng.permille(300) }
}

/// A plain task.
pub(crate) fn submit(id: TaskId, owner: Uid) -> SubmitTask {
    SubmitTask {
        id,
        owner,
        owner_name: format!("user{}", owner.0),
        title: "work".to_owned(),
        kind: TaskKind::Run,
        input_bytes: 1,
        priority: 5,
        capabilities: Capabilities::default(),
        agent: String::new(),
        key: String::new(),
        request: 0,
        fingerprint: 0,
        labels: Vec::new(),
        timeouts: Timeouts::default(),
        retries: 0,
        on_lost: OnLost::Review,
        not_before: None,
        after: Vec::new(),
        concurrency_key: String::new(),
        admission: Admission::Free,
        secrets: Vec::new(),
        stdin: Stdin::default(),
        node: None,
        recalled: None,
    }
}
